//! What the portal shows, in the form it is shown.

use serde::Serialize;
use waybill_consent::{Binding, ConsentEvent, ConsentRecord, Folded};
use waybill_model::{DateTime, Iri, PartyId};

/// One thing that must be well for the hub to do its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What: `store`, `keys`, `journal` …
    pub name: String,
    /// Whether it is well.
    pub ok: bool,
    /// What is not. No personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A consent in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsentSummary {
    /// The record.
    pub id: Iri,
    /// The person.
    pub subject: Iri,
    /// Whether any process is open now.
    pub open: bool,
    /// Whether mandatory members are missing, so that it can open nothing.
    pub draft: bool,
    /// Where it stands.
    pub state: Folded,
}

/// A consent, whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsentDetail {
    /// The record.
    pub id: Iri,
    /// The person.
    pub subject: Iri,
    /// Where it stands.
    pub state: Folded,
    /// Its versions, oldest first.
    pub versions: Vec<ConsentRecord>,
    /// What happened.
    pub events: Vec<ConsentEvent>,
}

impl ConsentDetail {
    /// The newest version.
    pub fn newest(&self) -> Option<&ConsentRecord> {
        self.versions.iter().max_by_key(|v| v.version)
    }
}

/// What a change of a consent brought about.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// The record.
    pub id: Iri,
    /// Where it stands now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Folded>,
    /// Envelopes that are new, by hash.
    pub opened: Vec<String>,
    /// Envelopes that are over, by hash.
    pub closed: Vec<String>,
}

/// A binding with its key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bound {
    /// Its key; callers see it coded.
    pub id: String,
    /// What it says.
    #[serde(flatten)]
    pub binding: Binding,
}

/// What an erasure removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Erased {
    /// Consent records.
    pub consents: usize,
    /// Entities, whole or in part.
    pub entities: usize,
    /// Whether the journal had a key of hers, which is destroyed now.
    pub journal_key: bool,
    /// Withdrawals that holders are being told of.
    pub withdrawals: Vec<Iri>,
}

/// Who holds a copy.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// Its key; callers see it coded.
    pub id: String,
    /// The party.
    pub party: PartyId,
    /// `enforcing`, `expiring` or `plain`.
    pub class: String,
    /// Its hub, when it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
    /// The consent under which it got the copy, when that was the basis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent: Option<Iri>,
    /// The envelope, by hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envelope: Option<String>,
    /// Since when.
    pub since: DateTime,
    /// When the copy is over by itself; nothing when nothing bounds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounded_by: Option<String>,
}

/// A withdrawal and how far it has come.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WithdrawalReport {
    /// Its identifier.
    pub id: Iri,
    /// The person, when it was withdrawn here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Iri>,
    /// The consent, when it was given here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent: Option<Iri>,
    /// When this hub's gate closed.
    pub stopped_at: DateTime,
    /// When the last holder had answered for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime>,
    /// How long after the gate closed the last platform had stopped, in seconds; nothing while one has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_stopped_after: Option<f64>,
    /// Holders, one by one.
    pub holders: Vec<HolderReport>,
    /// Holders for whom nothing bounds when they stop.
    pub not_bounded: Vec<PartyId>,
}

/// How far one holder is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HolderReport {
    /// The party.
    pub party: PartyId,
    /// Its hub, when it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
    /// `told`, `partly`, `done` or `unbounded`.
    pub progress: String,
    /// Whether its answer is overdue.
    pub overdue: bool,
    /// Store by store, as it said.
    pub answers: Vec<serde_json::Value>,
    /// When it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_at: Option<DateTime>,
}

/// What came in and was refused. The data itself is not shown: whoever may see it asks for it through the gate once it is released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    /// Its key; callers see it coded.
    pub id: String,
    /// The connection it came through.
    pub connection: String,
    /// The entity.
    pub entity: String,
    /// The Attribute, when one is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// Why: a stable code.
    pub code: String,
    /// When.
    pub at: DateTime,
}

/// A delivery that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Its key; callers see it coded.
    pub id: String,
    /// `delivery`, `notice` or `pod`.
    pub kind: String,
    /// Whom it was for: a subscription, a hub.
    pub to: String,
    /// The entity, when it was about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Attempts.
    pub attempts: u32,
    /// When it was first due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime>,
    /// What the last attempt met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A heartbeat, sent or received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatState {
    /// The other hub.
    pub hub: String,
    /// `sent` or `received`.
    pub direction: String,
    /// When the last one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime>,
    /// The status epoch it carried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// After how many seconds without one the gate closes.
    pub max_stale: u64,
    /// Whether it is too old, so that the gate is closed for what depends on it.
    pub stale: bool,
}

/// A connection and how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Its name in the configuration.
    pub name: String,
    /// `ngsi-ld`, `solid`, `peer` …
    pub kind: String,
    /// `up`, `down` or `unknown`.
    pub state: String,
    /// What is wrong. No personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When that was found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<DateTime>,
}

/// A key of the hub, its public side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyState {
    /// Its name.
    pub kid: String,
    /// `EdDSA` or `ES256`.
    pub algorithm: String,
    /// `active`, `retired` or `revoked`.
    pub state: String,
    /// When it was made.
    pub created: DateTime,
    /// When it was replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired: Option<DateTime>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<DateTime>,
}

/// Whether the journal holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum JournalVerdict {
    /// Every record is tied to the one before it, and every segment's signature holds.
    Holds {
        /// The first record that is kept; 0 when the journal is empty.
        first: u64,
        /// The last record.
        last: u64,
        /// Its hash, base64url: keep it elsewhere to hold the journal to it later.
        hash: String,
        /// How many segments are sealed.
        segments: usize,
    },
    /// It does not.
    Broken {
        /// The first bad record.
        record: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// A record of the journal as a line of JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalLine {
    /// Its number.
    pub number: u64,
    /// The line, without its end.
    pub text: String,
}
