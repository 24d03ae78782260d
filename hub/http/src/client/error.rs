//! Why a call failed, in kinds that callers decide by.

use std::fmt;
use std::time::Duration;

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallErrorKind {
    /// The address is no address that can be called.
    BadAddress,
    /// The address is not public and not allowed.
    RefusedAddress,
    /// The origin failed so often that it is given a rest.
    BreakerOpen,
    /// The name cannot be resolved.
    Dns,
    /// Nobody answers there.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// Not done in time.
    Timeout,
    /// The connection ended in the middle.
    Broken,
    /// The answer is larger than is taken.
    TooLarge,
    /// More redirects than are followed, or one that may not be.
    Redirect,
    /// An answer with this status, where success was needed.
    Status(u16),
    /// No access token could be had.
    Token,
    /// The answer is not what was expected.
    BadAnswer,
    /// The client could not be set up.
    Setup,
}

impl CallErrorKind {
    /// The stable code, also the label it is counted under.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadAddress => "bad-address",
            Self::RefusedAddress => "refused-address",
            Self::BreakerOpen => "breaker-open",
            Self::Dns => "name-not-found",
            Self::Connect => "no-connection",
            Self::Tls => "tls-failed",
            Self::Timeout => "timeout",
            Self::Broken => "connection-broken",
            Self::TooLarge => "answer-too-large",
            Self::Redirect => "redirect-refused",
            Self::Status(_) => "bad-status",
            Self::Token => "no-token",
            Self::BadAnswer => "bad-answer",
            Self::Setup => "client-setup",
        }
    }
}

/// Why a call failed. Its text names the origin at most, never a path, a query or a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    /// The kind.
    pub kind: CallErrorKind,
    /// The origin that was called, `scheme://host:port`; empty when there was none.
    pub origin: String,
    /// What was wrong.
    pub detail: String,
    /// When the origin wants to be asked again.
    pub retry_after: Option<Duration>,
}

impl CallError {
    pub(crate) fn new(kind: CallErrorKind, origin: &str, detail: impl Into<String>) -> Self {
        Self { kind, origin: origin.to_owned(), detail: detail.into(), retry_after: None }
    }
    pub(crate) fn setup(detail: &str) -> Self {
        Self::new(CallErrorKind::Setup, "", detail)
    }
    /// The answer was not what the caller of the client expected.
    pub fn bad_answer(origin: &str, detail: impl Into<String>) -> Self {
        Self::new(CallErrorKind::BadAnswer, origin, detail)
    }
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        use CallErrorKind as K;
        match self.kind {
            K::BreakerOpen | K::Dns | K::Connect | K::Tls | K::Timeout | K::Broken | K::Token => true,
            K::Status(status) => matches!(status, 408 | 421 | 425 | 429 | 500..=599) && status != 501,
            K::BadAddress | K::RefusedAddress | K::TooLarge | K::Redirect | K::BadAnswer | K::Setup => false,
        }
    }
    /// Whether the other side may have done what was asked all the same.
    pub fn may_have_happened(&self) -> bool {
        use CallErrorKind as K;
        matches!(self.kind, K::Timeout | K::Broken | K::TooLarge | K::BadAnswer | K::Status(500..=599))
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin.is_empty() {
            write!(f, "{}: {}", self.kind.code(), self.detail)
        } else {
            write!(f, "{} at {}: {}", self.kind.code(), self.origin, self.detail)
        }
    }
}
impl std::error::Error for CallError {}
