//! What is wrong with a policy, where, and what to do about it.

use std::fmt;
use waybill_model::{Problem, ProblemCode};

/// One fault of a policy, found while reading or compiling it. A policy with a fault gives nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} at {place}: {message}")]
pub struct Diagnostic {
    /// The stable code, kebab case.
    pub code: &'static str,
    /// A JSON Pointer (RFC 6901) into the policy, or `/` for all of it.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: &'static str,
}

impl Diagnostic {
    /// A fault at `place`. Text taken from the policy is cut so that a fault stays a line.
    pub(crate) fn new(code: &'static str, place: impl fmt::Display, message: impl fmt::Display, help: &'static str) -> Self {
        let place = place.to_string();
        let place = if place.is_empty() { "/".to_owned() } else { place.chars().take(200).collect() };
        Self { code, place, message: message.to_string().chars().take(300).collect(), help }
    }

    /// The same as a problem that can leave the hub (status 400).
    pub fn to_problem(&self) -> Problem {
        Problem::new(ProblemCode(self.code), 400, "The policy cannot be used", &self.message).at(&self.place).help(self.help)
    }
}

/// What is left of a text for a message.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
