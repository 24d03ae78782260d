//! What happened to a consent: who did what, when, and how that is known.

use crate::{ConsentError, Validity};
use serde::{Deserialize, Serialize};
use waybill_model::{DateTime, Iri};

/// What an event says happened (the states of DPV 2.3, and suspension under GDPR Art. 18).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A controller asks.
    Requested,
    /// She puts it off.
    Deferred,
    /// She says no.
    Refused,
    /// She says yes.
    Given,
    /// She says yes again.
    Renewed,
    /// She takes it back.
    Withdrawn,
    /// Somebody else ends it: a controller who stops, a guardian, a court.
    Revoked,
    /// It turns out that it never was good.
    Invalidated,
    /// It rests.
    Suspended,
    /// It rests no more.
    Resumed,
    /// It ended by time; the clock alone does that too.
    Expired,
}

/// What an actor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActorRole {
    /// The person.
    Subject,
    /// Who acts for her.
    Guardian,
    /// A controller.
    Controller,
    /// A court or supervisory authority.
    Authority,
    /// The hub itself: a clock that ran out, a binding that ended.
    Hub,
}

/// Who brought an event about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Actor {
    /// Who.
    pub id: Iri,
    /// As what.
    pub role: ActorRole,
}

/// How it is known that the actor did it. What the hub observed itself is never shown as signed by her.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvidenceKind {
    /// A signature by a key in her profile.
    Signed,
    /// The access rules of the place where it stood: only she could write it.
    AccessRules,
    /// A clerk heard or saw it.
    Clerk,
    /// The consent API, by a client on her behalf.
    Api,
    /// She was signed in herself.
    SignedIn,
    /// The hub's own observation: the clock, a document that is gone.
    Observed,
}

/// What proves an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// What kind.
    pub kind: EvidenceKind,
    /// SHA-256 (hexadecimal) of what was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Where it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Iri>,
    /// The version of the source that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// SHA-256 (hexadecimal) of the access rules at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_rules: Option<String>,
    /// Who recorded it: the clerk, the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorder: Option<Iri>,
}

impl Evidence {
    /// Evidence of that kind with nothing else.
    pub fn of(kind: EvidenceKind) -> Self {
        Self { kind, hash: None, source: None, etag: None, access_rules: None, recorder: None }
    }
}

/// Which processes of the record an event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Pids {
    /// These.
    Some(Vec<String>),
    /// All; written `"*"`.
    All(Star),
}

/// The text `"*"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Star {
    /// All.
    #[serde(rename = "*")]
    All,
}

impl Pids {
    /// All processes.
    pub const ALL: Self = Self::All(Star::All);

    /// Whether `pid` is one of them.
    pub fn holds(&self, pid: &str) -> bool {
        match self {
            Self::All(_) => true,
            Self::Some(list) => list.iter().any(|own| own == pid),
        }
    }
}

/// One thing that happened to one version of a record. Events are only ever added.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsentEvent {
    /// When, as the actor says; when nothing better is known, when the hub saw it.
    pub time: DateTime,
    /// Its identifier; the same event told twice counts once.
    pub eid: String,
    /// Which record.
    pub record: Iri,
    /// Which version. A withdrawal holds for this version and all before it.
    pub version: u32,
    /// When the hub received it.
    pub received: DateTime,
    /// Which processes.
    pub pids: Pids,
    /// What happened.
    pub state: Change,
    /// Who did it.
    pub by: Actor,
    /// How it is known.
    pub evidence: Evidence,
    /// Identifiers of events whose effect the actor knew when she acted: a grant that names a withdrawal came after it, however
    /// close in time the two are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// From when until when, where the event says so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Validity>,
    /// Why, in plain words. No personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ConsentEvent {
    /// Reads an event. Repeated and unknown members are refused.
    pub fn parse(text: &[u8]) -> Result<Self, ConsentError> {
        crate::signed::parse_strict(text)
    }

    /// Whether this actor may bring this change about. A withdrawal by another than her counts as a revocation; nobody but she, or who
    /// acts for her, opens anything.
    pub fn actor_fault(&self) -> Option<&'static str> {
        let hers = matches!(self.by.role, ActorRole::Subject | ActorRole::Guardian);
        let fits = match self.state {
            Change::Given | Change::Renewed | Change::Deferred | Change::Refused => hers,
            Change::Requested => self.by.role == ActorRole::Controller,
            Change::Resumed => hers || self.by.role == ActorRole::Authority,
            Change::Withdrawn | Change::Revoked | Change::Suspended | Change::Invalidated | Change::Expired => true,
        };
        (!fits).then_some(match self.state {
            Change::Requested => "only a controller asks",
            Change::Resumed => "only she, her guardian or an authority ends a suspension",
            _ => "only she or her guardian answers",
        })
    }
}
