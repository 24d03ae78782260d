//! What all signed statements have in common: strict reading, and an issuer who owns the key.

use crate::ConsentError;
use crate::fault;
use serde::de::DeserializeOwned;
use waybill_keys::{JwsError, KeyLookup, Verified, jws};
use waybill_model::{DateTime, Problem, ProblemCode};

/// Why a signed statement was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The signature, the key or the kind.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// The key is good but belongs to another than the one who is named as the issuer.
    #[error("the key that signed is not the issuer's")]
    Issuer,
    /// It is meant for somebody else.
    #[error("the statement is meant for somebody else")]
    Audience,
    /// A newer one was seen.
    #[error("a newer statement was seen already")]
    Old,
    /// Its parts contradict each other.
    #[error("the statement contradicts itself: {0}")]
    Inconsistent(&'static str),
    /// Its time lies in the future, or it has run out.
    #[error("the statement is not good at this time")]
    Time,
}

impl StatementError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Jws(error) => error.code(),
            Self::Issuer => "statement-issuer",
            Self::Audience => "statement-audience",
            Self::Old => "statement-old",
            Self::Inconsistent(_) => "statement-inconsistent",
            Self::Time => "statement-time",
        }
    }
}
impl From<StatementError> for Problem {
    fn from(error: StatementError) -> Self {
        Self::new(ProblemCode(error.code()), 400, "Signed statement refused", error.to_string())
    }
}

/// Verifies a statement and reads its claims; `issuer` finds in them who says so.
pub(crate) fn verified<T: DeserializeOwned>(
    compact: &str,
    typ: &str,
    keys: &dyn KeyLookup,
    now: DateTime,
    issuer: impl Fn(&T) -> &str,
) -> Result<(T, Verified), StatementError> {
    let verified = jws::verify(compact, typ, keys, now)?;
    let claims: T = verified.claims()?;
    if verified.is_from(issuer(&claims)) || fault::off("consent-issuer") { Ok((claims, verified)) } else { Err(StatementError::Issuer) }
}

/// Reads JSON into a type that refuses unknown and repeated members.
pub(crate) fn parse_strict<T: DeserializeOwned>(text: &[u8]) -> Result<T, ConsentError> {
    serde_json::from_slice(text).map_err(|e| schema_error(&e))
}

/// The reader's words without the values it quotes: they may be hers. Names of members that are missing or unknown stay.
pub(crate) fn schema_error(error: &serde_json::Error) -> ConsentError {
    let text = error.to_string();
    let names = text.starts_with("missing field") || text.starts_with("unknown field") || text.starts_with("duplicate field");
    let mut plain = String::with_capacity(text.len());
    for (i, part) in text.split(|c| c == '"' || (c == '`' && !names)).enumerate() {
        plain.push_str(if i % 2 == 0 { part } else { "…" });
    }
    ConsentError::Schema { place: format!("line {}, column {}", error.line(), error.column()), fault: plain }
}
