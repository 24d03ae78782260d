//! What a format could not carry.

use serde::Serialize;
use std::fmt::Write as _;

/// One thing that was lost in a conversion.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Loss {
    /// Where: a JSON Pointer (RFC 6901) into the canonical form of the Entity.
    pub pointer: String,
    /// What was lost.
    pub what: String,
}

/// Collects losses.
#[derive(Debug, Default)]
pub(crate) struct Losses(Vec<Loss>);

impl Losses {
    pub(crate) fn note(&mut self, path: &[&str], what: impl Into<String>) {
        let mut pointer = String::new();
        for part in path {
            let _ = write!(pointer, "/{}", part.replace('~', "~0").replace('/', "~1"));
        }
        self.0.push(Loss { pointer, what: what.into() });
    }

    pub(crate) fn into_vec(mut self) -> Vec<Loss> {
        self.0.sort();
        self.0
    }
}
