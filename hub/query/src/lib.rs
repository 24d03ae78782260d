//! The NGSI-LD query languages: parse, syntax tree, evaluate (ETSI GS CIM 009 clauses 4.9, 4.10, 4.17, 4.19, 4.21, 4.23).
//!
//! Each language is a type with `parse` and an evaluation over [`waybill_model::EntityDoc`] that looks only into the instances
//! it needs. [`EntityQuery`] puts them together; [`EntityQuery::candidates`] says what an index may narrow the search by.
#![forbid(unsafe_code)]

mod candidates;
mod cursor;
mod entity_query;
mod error;
mod expand;
mod geo_query;
mod geometry;
mod json;
mod order;
mod pattern;
mod projection;
mod q;
mod scope_query;
mod types;

pub use candidates::{Candidates, Terms};
pub use entity_query::{DatasetIds, EntityQuery, EntitySelector, MAX_LIMIT};
pub use error::{ErrorKind, QueryError};
pub use expand::{Expander, NoContext};
pub use geo_query::{GeoQuery, GeoRel};
pub use geometry::Geometry;
pub use order::{Direction, OrderBy, OrderItem, OrderKey};
pub use pattern::Pattern;
pub use projection::{Member, Projection, ProjectionItem};
pub use q::{Comparison, Expr, Links, Literal, Meta, Operand, Operator, Path, Q, QOptions, Root, Step};
pub use scope_query::ScopeQuery;
pub use types::TypeSelection;

/// The longest text of one query language, in bytes.
pub const MAX_TEXT: usize = 8 * 1024;
/// How deep parentheses, braces and nested projections may go.
pub const MAX_DEPTH: usize = 16;
/// How many terms one expression may have, and how many items one list.
pub const MAX_TERMS: usize = 512;
/// The longest regular expression, in bytes.
pub const MAX_PATTERN: usize = 1024;
/// How many positions the geometry of a query may have.
pub const MAX_POSITIONS: usize = 10_000;
