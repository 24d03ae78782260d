//! Why the consent room refuses something.

use waybill_model::{Problem, ProblemCode};

/// Why something about a consent was refused. The text never holds personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsentError {
    /// The document is not what its schema says.
    #[error("the document does not follow its schema: {fault}")]
    Schema {
        /// Where: a JSON Pointer.
        place: String,
        /// What is wrong.
        fault: String,
    },
    /// This version is there already, with another content.
    #[error("version {0} of this record is there already, with another content")]
    VersionTaken(u32),
    /// A newer version is there.
    #[error("version {given} comes after version {newest}, which is there already")]
    OldVersion {
        /// The version that was offered.
        given: u32,
        /// The newest one.
        newest: u32,
    },
    /// The version names another predecessor than the one that is there.
    #[error("version {0} does not follow the version before it: its `prev` is another hash")]
    BrokenChain(u32),
    /// No such record or version.
    #[error("there is no such consent record")]
    UnknownRecord,
    /// The actor may not bring about this change.
    #[error("this change is not for this actor: {0}")]
    Actor(&'static str),
    /// The evidence does not show what it should.
    #[error("the evidence does not show that the grant is hers: {0}")]
    Evidence(&'static str),
    /// No status index is free.
    #[error("every status list is full")]
    StatusFull,
    /// A stored row cannot be read.
    #[error("a stored row cannot be read: {0}")]
    Corrupt(&'static str),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] waybill_store::StoreError),
}

impl ConsentError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Schema { .. } => "consent-schema",
            Self::VersionTaken(_) => "consent-version-taken",
            Self::OldVersion { .. } => "consent-version-old",
            Self::BrokenChain(_) => "consent-chain-broken",
            Self::UnknownRecord => "consent-unknown",
            Self::Actor(_) => "consent-actor",
            Self::Evidence(_) => "consent-evidence",
            Self::StatusFull => "status-list-full",
            Self::Corrupt(_) => "consent-row-corrupt",
            Self::Store(_) => "consent-store",
        }
    }
}

impl From<ConsentError> for Problem {
    fn from(error: ConsentError) -> Self {
        if let ConsentError::Store(error) = error {
            return error.into();
        }
        let status = match &error {
            ConsentError::Schema { .. } | ConsentError::Evidence(_) => 400,
            ConsentError::Actor(_) => 403,
            ConsentError::UnknownRecord => 404,
            ConsentError::VersionTaken(_) | ConsentError::OldVersion { .. } | ConsentError::BrokenChain(_) => 409,
            ConsentError::StatusFull | ConsentError::Corrupt(_) | ConsentError::Store(_) => 500,
        };
        let out = Self::new(ProblemCode(error.code()), status, "Consent refused", error.to_string());
        match error {
            ConsentError::Schema { place, .. } => out.at(place).help("Compare the document with the schema in schemas/consent."),
            ConsentError::OldVersion { newest, .. } => out.help(format!("Write a version above {newest}.")),
            ConsentError::BrokenChain(_) => out.help("Set `prev` to the SHA-256 of the canonical text (RFC 8785) of the version before."),
            _ => out,
        }
    }
}
