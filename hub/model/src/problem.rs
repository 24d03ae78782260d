//! The one shape of an error that leaves the hub (RFC 9457).

use serde::{Deserialize, Serialize};
use std::fmt;

/// A stable code of a problem, kebab case, as `waybill explain CODE` knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct ProblemCode(pub &'static str);

/// What was wrong, where, and what to do. `type` is `https://w3id.org/waybill/problems#<code>` unless `kind` names another URI
/// (NGSI-LD has its own for its interface).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{title}: {detail}")]
pub struct Problem {
    /// The stable code.
    pub code: String,
    /// The problem type URI.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status.
    pub status: u16,
    /// A short summary, the same for every problem of this code.
    pub title: String,
    /// What was wrong this time. Never holds personal data or a secret.
    pub detail: String,
    /// Where: a JSON Pointer (RFC 6901), a parameter or header name.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Problem {
    /// A problem with our own type URI.
    pub fn new(code: ProblemCode, status: u16, title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            code: code.0.to_owned(),
            kind: format!("https://w3id.org/waybill/problems#{}", code.0),
            status,
            title: title.into(),
            detail: detail.into(),
            place: None,
            help: None,
        }
    }
    /// The same with another type URI.
    #[must_use]
    pub fn of_type(mut self, uri: impl Into<String>) -> Self {
        self.kind = uri.into();
        self
    }
    /// The same, saying where.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.place = Some(place.to_string());
        self
    }
    /// The same, saying what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
