//! What can go wrong with a pod, and how it is told.

use waybill_model::{Problem, ProblemCode};

/// Why a call to a pod, or the reading of what it holds, did not succeed. Texts hold no address: a WebID is a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SolidError {
    /// No answer came: refused by the address guard, no connection, no answer in time.
    #[error("the server did not answer: {0}")]
    Unreachable(String),
    /// The hub could not sign in.
    #[error("the hub could not sign in: {0}")]
    SignIn(String),
    /// The answer was 401 even with a fresh token.
    #[error("the server did not recognise the hub")]
    Unauthorized,
    /// The answer was 403.
    #[error("the hub has no access to this resource")]
    Forbidden,
    /// The answer was 404 or 410.
    #[error("there is no such resource")]
    NotFound,
    /// The answer was 409 or 412: it changed meanwhile.
    #[error("the resource changed meanwhile")]
    Conflict,
    /// Any other status that is no success.
    #[error("the server answered {0}")]
    Status(u16),
    /// The answer is larger than the hub takes.
    #[error("the answer is larger than is taken")]
    TooLarge,
    /// What came is not what it should be.
    #[error("{what}: {detail}")]
    Malformed {
        /// What was read, e.g. `profile`.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// The profile does not name this issuer.
    #[error("the profile of the WebID does not name this issuer")]
    ForeignIssuer,
    /// Something that must be known was neither configured nor found.
    #[error("{0} was neither configured nor found in the profile")]
    NotFoundInProfile(&'static str),
    /// The server does not offer what was asked.
    #[error("the server does not offer {0}")]
    Unsupported(&'static str),
}

impl SolidError {
    /// Something came that is not what it should be.
    pub fn malformed(what: &'static str, detail: impl Into<String>) -> Self {
        Self::Malformed { what, detail: detail.into() }
    }

    /// Whether another attempt may succeed without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::SignIn(_) | Self::Unauthorized | Self::Conflict => true,
            Self::Status(status) => *status == 429 || *status == 408 || *status >= 500,
            _ => false,
        }
    }

    /// The stable code.
    pub fn code(&self) -> ProblemCode {
        ProblemCode(match self {
            Self::Unreachable(_) => "pod-unreachable",
            Self::SignIn(_) | Self::Unauthorized => "pod-sign-in",
            Self::Forbidden => "pod-forbidden",
            Self::NotFound => "pod-not-found",
            Self::Conflict => "pod-changed-meanwhile",
            Self::Status(_) => "pod-answer",
            Self::TooLarge | Self::Malformed { .. } => "pod-malformed",
            Self::ForeignIssuer => "pod-foreign-issuer",
            Self::NotFoundInProfile(_) => "pod-incomplete-profile",
            Self::Unsupported(_) => "pod-unsupported",
        })
    }
}

impl From<SolidError> for Problem {
    fn from(error: SolidError) -> Self {
        let help = match &error {
            SolidError::SignIn(_) | SolidError::Unauthorized => "Check issuer, id and secret of the hub's account in the configuration, and the clock.",
            SolidError::Forbidden => "Its owner must give the hub's WebID the access that is needed (Read on grants, Append on acknowledgements).",
            SolidError::ForeignIssuer => "The profile must name, as solid:oidcIssuer, the issuer that vouches for the WebID.",
            SolidError::NotFoundInProfile(_) => "Name it in the configuration of the pod, or register it in the type index.",
            SolidError::Unreachable(_) => "Check the address, and whether the configuration allows calls to it.",
            _ => "See the detail; the pod was left as it was.",
        };
        Problem::new(error.code(), 502, "The personal data store could not do this", error.to_string()).help(help)
    }
}
