//! What can be wrong with an @context or with a document, and how a caller sees it.

use std::fmt;
use waybill_model::{Problem, ProblemCode};

/// Where NGSI-LD's own problem types live.
pub const NGSI_LD_ERRORS: &str = "https://uri.etsi.org/ngsi-ld/errors/";

/// Why an @context cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// A remote @context could not be had: LdContextNotAvailable, 504.
    #[error("the @context {url} is not available: {reason}")]
    NotAvailable {
        /// Which.
        url: String,
        /// Why: the address was refused, no answer, a status, too large.
        reason: String,
    },
    /// The @context, or one it refers to, is wrong: BadRequestData, 400.
    #[error("the @context is not valid at {place}: {reason}")]
    Invalid {
        /// A URL or `@context`, and the term in it.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

impl ContextError {
    pub(crate) fn invalid(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { place: place.into(), reason: reason.into() }
    }
    /// The NGSI-LD error name.
    pub fn ngsi_ld(&self) -> &'static str {
        match self {
            Self::NotAvailable { .. } => "LdContextNotAvailable",
            Self::Invalid { .. } => "BadRequestData",
        }
    }
}

impl From<&ContextError> for Problem {
    fn from(e: &ContextError) -> Self {
        let kind = format!("{NGSI_LD_ERRORS}{}", e.ngsi_ld());
        match e {
            ContextError::NotAvailable { url, .. } => {
                Self::new(ProblemCode("context-not-available"), 504, "The @context is not available", e.to_string())
                    .of_type(kind)
                    .at(url)
                    .help("Check that the URL answers with a JSON-LD document, or preload it with --preload-contexts.")
            }
            ContextError::Invalid { place, .. } => Self::new(ProblemCode("context-invalid"), 400, "The @context is not valid", e.to_string())
                .of_type(kind)
                .at(place)
                .help("Correct the @context document; NGSI-LD allows no scoped or embedded @context (clause 5.5.7)."),
        }
    }
}
impl From<ContextError> for Problem {
    fn from(e: ContextError) -> Self {
        Self::from(&e)
    }
}

/// The stable codes of what is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// Not JSON, not UTF-8, a key twice, nested too deep: InvalidRequest.
    Json,
    /// Another JSON type than the member has.
    Shape,
    /// `id`, a datasetId or the object of a Relationship is no URI, or the `id` is missing.
    Id,
    /// The `type` is missing or not usable.
    Type,
    /// A name that no Attribute may have.
    Name,
    /// A JSON null or an NGSI-LD Null where none may be.
    Null,
    /// The value member is missing, or there are two.
    Value,
    /// No DateTime.
    Time,
    /// No GeoJSON geometry.
    Geometry,
    /// Two instances with one datasetId.
    Dataset,
    /// An @context where none may be.
    Context,
    /// A member that has no meaning there.
    Member,
    /// Not processable as JSON-LD.
    JsonLd,
}

impl Fault {
    /// The code, kebab case.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Json => "invalid-json",
            Self::Shape => "wrong-json-type",
            Self::Id => "not-a-uri",
            Self::Type => "bad-type",
            Self::Name => "bad-name",
            Self::Null => "null-not-allowed",
            Self::Value => "bad-attribute-value",
            Self::Time => "bad-datetime",
            Self::Geometry => "bad-geometry",
            Self::Dataset => "bad-dataset-id",
            Self::Context => "misplaced-context",
            Self::Member => "unknown-member",
            Self::JsonLd => "bad-json-ld",
        }
    }
    fn help(self) -> &'static str {
        match self {
            Self::Json => "Send one JSON document in UTF-8, every member once, nested no deeper than the limit.",
            Self::Shape => "Give the member the JSON type the clause names.",
            Self::Id => "Use an absolute URI such as urn:ngsi-ld:Building:1.",
            Self::Type => "Give `type` a name or a non-empty array of names.",
            Self::Name => "Use a letter followed by letters, digits or `_`, with at most one known prefix, or a full IRI.",
            Self::Null => "Leave the member out; urn:ngsi-ld:null deletes only in an update or a merge.",
            Self::Value => "Give the one value member of the Attribute's type.",
            Self::Time => "Write UTC as in 2026-11-24T07:00:00Z, with at most six fraction digits.",
            Self::Geometry => "Give a GeoJSON geometry (RFC 7946) that is no GeometryCollection.",
            Self::Dataset => "Give every instance its own datasetId; at most one may have none.",
            Self::Context => "Put the @context at the top of the document, or in the Link header.",
            Self::Member => "Remove the member.",
            Self::JsonLd => "Correct the document to valid JSON-LD 1.1.",
        }
    }
}

/// What is wrong with a document, where, and by which clause. Holds no value of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// What kind of fault.
    pub fault: Fault,
    /// A JSON Pointer (RFC 6901) to the place; empty for the document.
    pub pointer: String,
    /// One sentence.
    pub detail: String,
    /// The clause of ETSI GS CIM 009 V1.9.1.
    pub clause: &'static str,
}

impl DecodeError {
    /// The NGSI-LD error name: `InvalidRequest` for what is not JSON, else `BadRequestData` (clause 5.5.4).
    pub fn ngsi_ld(&self) -> &'static str {
        if self.fault == Fault::Json { "InvalidRequest" } else { "BadRequestData" }
    }
}
impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "the document" } else { &self.pointer };
        write!(f, "{place}: {} (clause {})", self.detail, self.clause)
    }
}
impl std::error::Error for DecodeError {}

impl From<&DecodeError> for Problem {
    fn from(e: &DecodeError) -> Self {
        let title = if e.fault == Fault::Json { "The request is not valid JSON" } else { "The data is not valid" };
        Self::new(ProblemCode(e.fault.code()), 400, title, format!("{} (clause {})", e.detail, e.clause))
            .of_type(format!("{NGSI_LD_ERRORS}{}", e.ngsi_ld()))
            .at(&e.pointer)
            .help(e.fault.help())
    }
}
impl From<DecodeError> for Problem {
    fn from(e: DecodeError) -> Self {
        Self::from(&e)
    }
}
