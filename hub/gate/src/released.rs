//! The seal: a value that went through the gate.

use crate::standing::Standing;
use std::sync::Arc;
use waybill_model::{EnvelopeHash, Iri};

/// A value that the gate released. Only [`crate::Gate`] can make one, and it does so only with a decision on record: adapters take
/// `Released<T>`, so data that has not been through the gate cannot reach them.
#[derive(Debug)]
pub struct Released<T> {
    value: T,
    receipt: Receipt,
}

/// What the gate noted about a release.
#[derive(Debug, Clone, Default)]
pub struct Receipt {
    /// Whether personal data is in it: such an answer must not be cached.
    pub personal: bool,
    /// The envelopes whose tags stand in it.
    pub envelopes: Vec<EnvelopeHash>,
    /// The address of its signed manifest.
    pub manifest: Option<String>,
    /// The highest consent epoch of what is in it.
    pub epoch: u64,
    /// To whom.
    pub recipient: Option<Iri>,
    /// What it stands on, where personal data is in it: asked again while it is sent.
    pub standing: Option<Arc<Standing>>,
}

impl<T> Released<T> {
    pub(crate) fn new(value: T, receipt: Receipt) -> Self {
        Self { value, receipt }
    }
    /// The value, to be encoded.
    pub fn get(&self) -> &T {
        &self.value
    }
    /// What the gate noted.
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }
}
