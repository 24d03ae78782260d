//! What can be wrong with a query, and where.

use waybill_model::{Problem, ProblemCode};

/// Whether a query is wrong or only too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// It breaks the grammar or the rules of the language.
    Invalid,
    /// It passes a limit of this hub.
    TooComplex,
}

/// Why a query text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{parameter}`, character {at}: {message}")]
pub struct QueryError {
    /// Wrong, or too large.
    pub kind: ErrorKind,
    /// The parameter the text came in, such as `q`.
    pub parameter: &'static str,
    /// The character at which reading stopped, from 1; 0 when the whole text is meant.
    pub at: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl QueryError {
    pub(crate) fn invalid(parameter: &'static str, at: usize, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Invalid, parameter, at, message: message.into(), help: help.into() }
    }
    pub(crate) fn too_complex(parameter: &'static str, at: usize, message: impl Into<String>) -> Self {
        let help = "Ask for less at once, or split the query.".to_owned();
        Self { kind: ErrorKind::TooComplex, parameter, at, message: message.into(), help }
    }
}

impl From<QueryError> for Problem {
    /// With the NGSI-LD type URI (clause 5.5.2): `BadRequestData`, 400, or `TooComplexQuery`, 403.
    fn from(e: QueryError) -> Self {
        let (code, status, title, kind) = match e.kind {
            ErrorKind::Invalid => ("query-syntax", 400, "The query is not valid", "BadRequestData"),
            ErrorKind::TooComplex => ("query-too-complex", 403, "The query is too complex", "TooComplexQuery"),
        };
        let detail = if e.at == 0 { e.message } else { format!("{}, at character {}", e.message, e.at) };
        Self::new(ProblemCode(code), status, title, detail)
            .of_type(format!("{}errors/{kind}", waybill_model::NGSI_LD))
            .at(e.parameter)
            .help(e.help)
    }
}
