//! What a record says.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use waybill_model::{DateTime, Iri, PartyId, TenantId};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A decision that something is not released.
    Refusal,
    /// Personal data left in an answer.
    Disclosure,
    /// Personal data left by itself: a notification, a push to a holder.
    Delivery,
    /// Data about nobody was read; coalesced per minute.
    OpenRead,
    /// Consent was given, or widened.
    Grant,
    /// Consent was narrowed.
    Narrowing,
    /// Consent was withdrawn.
    Withdrawal,
    /// A holder was told of a change.
    Notice,
    /// A holder answered what it did.
    Acknowledgement,
    /// Data that came in was admitted.
    Admission,
    /// Data that came in was held back.
    Quarantine,
    /// Data that was delivered was taken back.
    Retraction,
    /// Who data is about was asserted or ended.
    Binding,
    /// A person's part was erased.
    Erasure,
    /// A key was made, replaced or revoked.
    KeyChange,
    /// The configuration changed.
    Configuration,
    /// The store was put back from a backup.
    Restore,
    /// An organisation was licensed to ask for data, or its licence ended.
    Agreement,
}

impl Kind {
    /// The name, as in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refusal => "refusal",
            Self::Disclosure => "disclosure",
            Self::Delivery => "delivery",
            Self::OpenRead => "open-read",
            Self::Grant => "grant",
            Self::Narrowing => "narrowing",
            Self::Withdrawal => "withdrawal",
            Self::Notice => "notice",
            Self::Acknowledgement => "acknowledgement",
            Self::Admission => "admission",
            Self::Quarantine => "quarantine",
            Self::Retraction => "retraction",
            Self::Binding => "binding",
            Self::Erasure => "erasure",
            Self::KeyChange => "key-change",
            Self::Configuration => "configuration",
            Self::Restore => "restore",
            Self::Agreement => "agreement",
        }
    }
}

/// Which consent, in which version, at which epoch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConsentRef {
    /// The consent record.
    pub id: Iri,
    /// Its version.
    pub version: u64,
    /// The consent epoch at the time.
    pub epoch: u64,
}

/// What a record says of one person. Sealed under her key.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    /// Who.
    pub subject: Iri,
    /// Under which consent.
    pub consent: Option<ConsentRef>,
    /// Anything else of hers: entities, attributes, a holder's words. `null` for nothing.
    pub detail: Value,
}

/// One record. Everything but [`Self::about`] can be read by whoever reads the journal, for ever: it must name no person.
/// A recipient who is one of the subjects herself is sealed as well.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What happened.
    pub kind: Kind,
    /// When.
    pub at: DateTime,
    /// In whose store.
    pub tenant: TenantId,
    /// The party that got, asked or answered.
    pub recipient: Option<PartyId>,
    /// For what.
    pub purpose: Option<Iri>,
    /// The SHA-256 of the query. Stored salted when the record is about somebody.
    pub query: Option<[u8; 32]>,
    /// How many entities left, or how often it happened.
    pub count: u64,
    /// The root over what left. Made of salted leaves.
    pub root: Option<[u8; 32]>,
    /// Whom it is about.
    pub about: Vec<About>,
    /// Anything else that names no person: reasons, codes. `null` for nothing.
    pub detail: Value,
}

impl Record {
    /// A record with nothing but its kind, place and time.
    pub fn new(kind: Kind, tenant: TenantId, at: DateTime) -> Self {
        Self { kind, at, tenant, recipient: None, purpose: None, query: None, count: 0, root: None, about: Vec::new(), detail: Value::Null }
    }
    /// The same with a recipient.
    #[must_use]
    pub fn recipient(mut self, recipient: Option<PartyId>) -> Self {
        self.recipient = recipient;
        self
    }
    /// The same with a purpose.
    #[must_use]
    pub fn purpose(mut self, purpose: Option<Iri>) -> Self {
        self.purpose = purpose;
        self
    }
    /// The same with the query's hash.
    #[must_use]
    pub fn query(mut self, digest: [u8; 32]) -> Self {
        self.query = Some(digest);
        self
    }
    /// The same with what left: how many, and the root over it.
    #[must_use]
    pub fn left(mut self, count: u64, root: Option<[u8; 32]>) -> Self {
        (self.count, self.root) = (count, root);
        self
    }
    /// The same, about `subject` too.
    #[must_use]
    pub fn about(mut self, subject: Iri, consent: Option<ConsentRef>, detail: Value) -> Self {
        self.about.push(About { subject, consent, detail });
        self
    }
    /// The same with details that name no person.
    #[must_use]
    pub fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}

/// The readable part of a record, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    pub n: u64,
    pub kind: Kind,
    pub at: DateTime,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<PartyId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Iri>,
    /// base64url of the query's hash, or of the salted hash when there are boxes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// One sealed part a subject, base64url. Nothing here says whose it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boxes: Vec<String>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The sealed part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sealed {
    /// base64url; what the readable part's hashes are salted with.
    pub salt: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<PartyId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<ConsentRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}
