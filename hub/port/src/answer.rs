//! What a sink answers.

use std::time::Duration;

/// What a sink did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    /// How the sink knows that what was deleted is gone, e.g. "DELETE, then 404 read back". Nothing when it does not know.
    pub erased_how: Option<String>,
}

/// Why a delivery did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct DeliveryError {
    /// What happened, without personal data.
    pub detail: String,
    /// Whether another attempt may succeed. If not, the row goes to the dead letters.
    pub retry: bool,
    /// How long the other side asks to wait.
    pub after: Option<Duration>,
}

impl DeliveryError {
    /// An error that another attempt may mend.
    pub fn retry(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), retry: true, after: None }
    }
    /// An error that stays.
    pub fn fatal(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), retry: false, after: None }
    }
}
