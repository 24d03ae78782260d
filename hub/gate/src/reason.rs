//! Why data stayed closed, and how often: for the journal, in words that name no person.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use waybill_model::Iri;

/// Why an Attribute was not released. The text is the stable code that the journal and `waybill explain` know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The caller has no agreement that covers this.
    NoAgreement,
    /// It is personal and nobody is bound to it.
    Unbound,
    /// The person granted nothing to this recipient for this Attribute.
    NoGrant,
    /// There is a grant, for another purpose; or the caller named none.
    Purpose,
    /// There is a grant, and its time has not come or is over.
    Time,
    /// The policy of the grant does not permit it, or an input that it needs is missing.
    Policy,
    /// The precision that is granted is not available yet: no complete window, nothing coarse to show.
    NotYet,
    /// It came under an envelope that was withdrawn or suspended.
    Withdrawn,
    /// It came under an envelope whose sender has not been heard for too long.
    Stale,
    /// It came under an envelope that does not permit passing it on to this recipient.
    NotForwardable,
    /// It came under an envelope that this hub does not have.
    UnknownEnvelope,
    /// The licence of the call is missing, another party's, not in its time or ended.
    LicenceOver,
    /// The licence of the call does not cover this.
    NotLicensed,
}

impl Reason {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoAgreement => "no-agreement",
            Self::Unbound => "unbound",
            Self::NoGrant => "no-grant",
            Self::Purpose => "purpose",
            Self::Time => "time",
            Self::Policy => "policy",
            Self::NotYet => "not-yet",
            Self::Withdrawn => "withdrawn",
            Self::Stale => "stale",
            Self::NotForwardable => "not-forwardable",
            Self::UnknownEnvelope => "unknown-envelope",
            Self::LicenceOver => "licence-over",
            Self::NotLicensed => "not-licensed",
        }
    }
}

/// How often each reason was met while one call was answered, and about whom.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Entities with personal data that were matched: a count of them is told, even when none is shown.
    pub matched_personal: u64,
    /// Attributes closed, by reason.
    pub closed: BTreeMap<Reason, u64>,
    /// Attributes closed, by person and reason: for her page in the journal.
    pub by_subject: BTreeMap<(Iri, Reason), u64>,
    /// How many entities about each person were counted without being shown.
    pub counted: BTreeMap<Iri, u64>,
    /// Instances (name, datasetId) of the last entity looked at that are closed only because their sender is not heard of.
    pub stale: Vec<(String, Option<String>)>,
}

impl Tally {
    pub(crate) fn note(&mut self, reason: Reason, subjects: &[Iri]) {
        *self.closed.entry(reason).or_default() += 1;
        for subject in subjects {
            *self.by_subject.entry((subject.clone(), reason)).or_default() += 1;
        }
    }
    /// Notes that there is more than was looked at, of which it is known without looking that it is granted to nobody who asks.
    pub fn not_looked_at(&mut self) {
        self.note(Reason::NoGrant, &[]);
    }
    /// Adds what another one counted.
    pub fn absorb(&mut self, other: Self) {
        self.matched_personal += other.matched_personal;
        for (reason, n) in other.closed {
            *self.closed.entry(reason).or_default() += n;
        }
        for (subject, n) in other.counted {
            *self.counted.entry(subject).or_default() += n;
        }
        for (key, n) in other.by_subject {
            *self.by_subject.entry(key).or_default() += n;
        }
    }
    /// Whether nothing was closed.
    pub fn is_empty(&self) -> bool {
        self.closed.is_empty()
    }
}
