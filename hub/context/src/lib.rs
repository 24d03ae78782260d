//! JSON-LD @contexts: bundled, fetched, cached, compiled; and what is done with them: Entities decoded to the canonical form and encoded
//! from it, documents expanded and compacted.
#![forbid(unsafe_code)]

mod compact;
mod compile;
mod context;
mod contexts;
mod core;
mod decode;
mod dspace;
mod encode;
mod error;
mod expand;
mod hash;
mod names;
mod oracle;
mod remote;
mod strict;
mod tape;
mod write;

pub use context::{Context, Explanation};
pub use contexts::{BoxFuture, Contexts, Fetch, Fetched, Held, Keep, Kept, Kind, Limits, NoFetch};
pub use core::CoreVersion;
pub use decode::{
    Change, DEPTH, Document, Form, Fragment, FragmentInstance, Nulls, Options, Part, decode_attribute, decode_entity, decode_fragment,
};
pub use encode::{ContextPlace, EncodeOptions, Format, Languages, default_geometry, encode_entity, encode_geojson};
pub use compact::{compact_jsonld, compact_jsonld_generally, compacts_streaming};
pub use dspace::{DSPACE, DSPACE_EDC, DSPACE_ODRL};
pub use expand::{expand_jsonld, expand_jsonld_generally, expands_streaming};
pub use strict::expand_jsonld_strictly;
pub use remote::{HttpFetch, StoreKeep};
pub use error::{ContextError, DecodeError, Fault, NGSI_LD_ERRORS};
