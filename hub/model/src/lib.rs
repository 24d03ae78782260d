//! The data every room shares: entities, names, times, scopes, problems. Pure, no I/O, no async.
//!
//! The canonical model is the NGSI-LD information model with expanded names (ETSI GS CIM 009 clause 4.5).
//! An [`Entity`] is the tree, an [`EntityDoc`] the stored bytes with a table of where each Attribute stands.
#![forbid(unsafe_code)]

mod attribute;
mod builder;
mod clock;
mod consignment;
mod doc;
mod entity;
mod iri;
mod json;
mod kind;
mod problem;
mod scope;
mod time;

pub use attribute::{Attribute, AttributeValue, Instances};
pub use builder::{DocBuilder, InstanceMeta, with_member};
pub use clock::Clock;
pub use consignment::{Arrival, Consignment, EnvelopeHash};
pub use doc::{AttributeSpan, DocError, EntityDoc, Span, SystemColumns};
pub use entity::{Entity, is_reserved_member};
pub use iri::{Iri, IriError};
pub use json::RawJson;
pub use kind::AttributeKind;
pub use problem::{Problem, ProblemCode};
pub use scope::{PartyId, Principal, Scope, ScopePath, TenantId};
pub use time::{DateTime, DateTimeError};

/// The marker that deletes a member in an update fragment and reports a deletion in a notification (clause 4.5.0).
pub const NGSI_LD_NULL: &str = "urn:ngsi-ld:null";
/// Prefix of every name of the NGSI-LD core vocabulary.
pub const NGSI_LD: &str = "https://uri.etsi.org/ngsi-ld/";
/// Where a term goes that no @context defines (clause 5.5.7).
pub const DEFAULT_VOCAB: &str = "https://uri.etsi.org/ngsi-ld/default-context/";
/// Our own vocabulary.
pub const WAYBILL: &str = "https://w3id.org/waybill/ns#";
/// The Relationship that carries a tag beside a value: its object is `https://<hub>/env/<hash>`.
pub const TAG_NAME: &str = "https://w3id.org/waybill/ns#usagePolicy";
