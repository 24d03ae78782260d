//! What is wrong with a message, and the protocol's answer to it. A fault never changes a process.

use crate::vocab::CONTEXT;
use serde_json::{Value, json};
use waybill_http::Response;
use waybill_model::Problem;

/// A fault of a message or a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} at `{place}`: {detail}")]
pub struct Fault {
    /// The status of the answer.
    pub status: u16,
    /// A stable code, kebab case.
    pub code: String,
    /// Where: a JSON Pointer into the message; empty when it is the whole.
    pub place: String,
    /// What was wrong and what to do.
    pub detail: String,
}

/// Which error object answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// CatalogError
    Catalog,
    /// ContractNegotiationError
    Negotiation,
    /// TransferError
    Transfer,
}

impl Fault {
    /// A fault.
    pub fn new(status: u16, code: &str, place: &str, detail: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), place: place.to_owned(), detail: detail.into() }
    }
    /// A member that is not what it must be.
    pub fn bad(place: &str, detail: impl Into<String>) -> Self {
        Self::new(400, "bad-message", place, detail)
    }
    /// The same for what does not exist and what is another's.
    pub fn missing() -> Self {
        Self::new(404, "not-found", "", "there is no such thing here, or not for this participant")
    }
    /// A message that its sender may not send now.
    pub fn transition(state: &str) -> Self {
        Self::new(400, "invalid-transition", "", format!("in state {state} this message may not come from this side"))
    }

    /// The answer. `pids` are those of the process, provider first, as far as they are known.
    pub fn answer(&self, kind: ErrorKind, pids: (&str, &str)) -> Response {
        let name = match kind {
            ErrorKind::Catalog => "CatalogError",
            ErrorKind::Negotiation => "ContractNegotiationError",
            ErrorKind::Transfer => "TransferError",
        };
        let reason = if self.place.is_empty() { self.detail.clone() } else { format!("{}: {}", self.place, self.detail) };
        let mut body = json!({"@context": [CONTEXT], "@type": name, "code": self.code, "reason": [reason]});
        if kind != ErrorKind::Catalog
            && let Value::Object(map) = &mut body
        {
            map.insert("providerPid".into(), pids.0.into());
            map.insert("consumerPid".into(), pids.1.into());
        }
        Response::json(self.status, &body)
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self { status: problem.status, code: problem.code, place: problem.place.unwrap_or_default(), detail: problem.detail }
    }
}
