//! What the engine keeps in the store, and under which keys.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use waybill_model::{DateTime, EnvelopeHash, Iri, PartyId, Principal, Scope, TenantId};

/// Followers: subscriptions and fed connections. Key: tenant, the follower's id.
pub const FOLLOWER: &str = "follower";
/// What a follower last saw of an entity. Key: tenant, follower, entity.
pub const SEEN: &str = "seen";
/// Work to fan out: an entity, a subject or a new follower whose visibility may have changed. Due at once.
pub const TODO: &str = "todo";
/// Deliveries to be made. Key: tenant, follower, entity. Due when the next attempt is.
pub const OUTBOX: &str = "outbox";
/// What was given up. Key: `delivery`, `notice` or `pod`, and the key that it had in [`OUTBOX`], [`NOTICE`] or [`POD`].
pub const DEAD: &str = "dead";
/// What came in and is not admitted yet.
pub const INBOX: &str = "inbox";
/// What came in and was refused.
pub const QUARANTINE: &str = "quarantine";
/// Notices to other hubs. Key: peer, sequence.
pub const NOTICE: &str = "notice";
/// Changes to be made in pods. Key: subject, sequence.
pub const POD: &str = "pod";
/// Withdrawals in progress, with what each holder answered.
pub const WITHDRAWAL: &str = "withdrawal";
/// Identifiers of events that took effect, so that they do so once.
pub const EVENT_SEEN: &str = "event-seen";

/// Persons who were erased, and when: what they stated before is not taken again. Key: tenant, salted digest of the person.
pub(crate) const ERASED: &str = "erased";
/// Erasures after which the files are still to be scrubbed. Key: as in [`ERASED`]; the row has salted digests of her entities.
pub(crate) const SCRUB: &str = "scrub";
/// The grant documents of a pod that were taken, as its watcher notes them. Key: the connection, her WebID.
pub(crate) const POD_KNOWN: &str = "pod-known";
/// Which entity a pod's resource holds. Key: the resource.
pub(crate) const POD_ENTITY: &str = "pod-entity";
/// Which resource an entity came from. Key: tenant, entity.
pub(crate) const POD_OWNER: &str = "pod-owner";

/// Separates the parts of a key; no IRI and no tenant holds it.
pub const SEP: char = '\u{1f}';

/// Joins the parts of a key.
pub fn key(parts: &[&str]) -> String {
    parts.join(&SEP.to_string())
}

/// The key of what concerns a follower and an entity.
pub(crate) fn follower_entity(tenant: &TenantId, follower: &Iri, entity: &str) -> String {
    key(&[tenant.as_str(), follower.as_str(), entity])
}

/// How all keys of a follower's entities begin.
pub(crate) fn of_follower(tenant: &TenantId, follower: &Iri) -> String {
    follower_entity(tenant, follower, "")
}

/// A party that follows: an NGSI-LD subscription, or a connection that is fed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Follower {
    /// Its identifier; a subscription's URI.
    pub id: Iri,
    /// Whose data.
    pub tenant: TenantId,
    /// Which [`waybill_port::Sink`] delivers.
    pub sink: String,
    /// What only the sink reads.
    pub spec: String,
    /// On whose behalf.
    pub on_behalf: Behalf,
    /// Delivers only while this holds.
    pub active: bool,
    /// Ends here.
    pub expires_at: Option<DateTime>,
    /// When it was made.
    pub created_at: DateTime,
    /// When it was changed.
    pub modified_at: DateTime,
    /// How deliveries went.
    #[serde(default)]
    pub status: FollowerStatus,
}

/// How deliveries to a follower went.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FollowerStatus {
    /// Deliveries tried.
    pub times_sent: u64,
    /// Deliveries that failed.
    pub times_failed: u64,
    /// The last try.
    pub last_notification: Option<DateTime>,
    /// The last success.
    pub last_success: Option<DateTime>,
    /// The last failure.
    pub last_failure: Option<DateTime>,
}

/// The part of a [`Scope`] that a follower keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Behalf {
    /// The operator of this hub.
    Operator,
    /// A party, for a purpose.
    Party {
        /// Who receives.
        recipient: PartyId,
        /// For what.
        purpose: Option<Iri>,
    },
    /// An organisation, under a licence.
    Licensed {
        /// Who receives.
        recipient: PartyId,
        /// For what.
        purpose: Option<Iri>,
        /// The agreement's id.
        agreement: Iri,
    },
    /// Nobody that is known.
    Anonymous,
}

impl Behalf {
    /// What `scope` says, which names an agreement only where that is a licence.
    pub fn of(scope: &Scope) -> Self {
        match (&scope.principal, &scope.recipient, &scope.agreement) {
            (_, Some(recipient), Some(agreement)) => Self::Licensed { recipient: recipient.clone(), purpose: scope.purpose.clone(), agreement: agreement.clone() },
            (Principal::Operator(_), None, None) => Self::Operator,
            (_, Some(recipient), None) => Self::Party { recipient: recipient.clone(), purpose: scope.purpose.clone() },
            _ => Self::Anonymous,
        }
    }
    /// The scope to decide with.
    pub fn scope(&self, tenant: &TenantId) -> Scope {
        let base = Scope::anonymous(tenant.clone());
        match self {
            Self::Operator => Scope { principal: Principal::Operator("follower".into()), ..base },
            Self::Party { recipient, purpose } => {
                Scope { principal: Principal::Hub, recipient: Some(recipient.clone()), purpose: purpose.clone(), ..base }
            }
            Self::Licensed { recipient, purpose, agreement } => {
                Scope { principal: Principal::Hub, recipient: Some(recipient.clone()), purpose: purpose.clone(), agreement: Some(agreement.clone()), ..base }
            }
            Self::Anonymous => base,
        }
    }
    /// Who receives, where that is a party.
    pub fn recipient(&self) -> Option<&PartyId> {
        match self {
            Self::Party { recipient, .. } | Self::Licensed { recipient, .. } => Some(recipient),
            Self::Operator | Self::Anonymous => None,
        }
    }
}

/// What a follower last saw of an entity: the digests of the instances, by name and datasetId.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its types.
    pub types: Vec<Iri>,
    /// Instance (name, [`SEP`], datasetId) to the digest of what was shown.
    pub instances: BTreeMap<String, SeenInstance>,
    /// The identifiers it was or may have been shown under; empty for its own. They are kept here, since a licence that is over makes no more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub shown_as: BTreeSet<Iri>,
}

/// One instance that a follower saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenInstance {
    /// SHA-256 of the instance as shown, without its tag, salted with the hub's secret.
    pub digest: EnvelopeHash,
    /// The same of its normalised form: what comes back from a store may have its numbers and members written otherwise.
    pub normal: EnvelopeHash,
    /// The envelope it was shown under; where it is about several people, that of the first.
    pub envelope: Option<EnvelopeHash>,
    /// Further envelopes that it stands or may stand under there: of the others it is about, and of deliveries before, since no answer says
    /// that the last one arrived. When one of them is over, it goes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub perhaps: BTreeSet<EnvelopeHash>,
}

/// The digest of what was sent without an answer: it is like nothing that could be shown, so it is sent again.
pub const UNCONFIRMED: EnvelopeHash = EnvelopeHash([0; 32]);

impl SeenInstance {
    /// All envelopes that the follower may hold it under.
    pub fn envelopes(&self) -> impl Iterator<Item = EnvelopeHash> + '_ {
        self.envelope.into_iter().chain(self.perhaps.iter().copied())
    }
}

impl Seen {
    /// All envelopes that the follower may hold something under.
    pub fn envelopes(&self) -> impl Iterator<Item = EnvelopeHash> + '_ {
        self.instances.values().flat_map(SeenInstance::envelopes)
    }

    /// The identifiers under which the follower may know the entity `stored`.
    pub fn ids(&self, stored: &Iri) -> BTreeSet<Iri> {
        if self.shown_as.is_empty() { BTreeSet::from([stored.clone()]) } else { self.shown_as.clone() }
    }

    /// What the follower may have seen of the entity `stored` when `after` was sent to it and no answer came: that, or what it saw before.
    #[must_use]
    pub fn or_perhaps(before: Option<&Self>, after: &Self, stored: &Iri) -> Self {
        let mut out = before.cloned().unwrap_or_default();
        let ids: BTreeSet<Iri> = before.into_iter().chain([after]).flat_map(|seen| seen.ids(stored)).collect();
        out.shown_as = if ids.iter().eq([stored]) { BTreeSet::new() } else { ids };
        out.types.extend(after.types.iter().filter(|t| !before.is_some_and(|b| b.types.contains(t))).cloned());
        for (at, new) in &after.instances {
            let old = out.instances.get(at);
            if old == Some(new) {
                continue;
            }
            let mut perhaps: BTreeSet<EnvelopeHash> = old.into_iter().flat_map(SeenInstance::envelopes).collect();
            perhaps.extend(&new.perhaps);
            perhaps.retain(|e| Some(*e) != new.envelope);
            out.instances.insert(at.clone(), SeenInstance { digest: UNCONFIRMED, perhaps, ..new.clone() });
        }
        out
    }
}

/// A row of [`TODO`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Todo {
    /// An entity changed.
    Entity {
        /// Whose.
        tenant: TenantId,
        /// Which.
        id: Iri,
    },
    /// What may be seen of a person's data changed.
    Subject {
        /// Whose store.
        tenant: TenantId,
        /// Who.
        subject: Iri,
    },
    /// Everything a sender sent may have become closed or open.
    Envelope {
        /// Whose store.
        tenant: TenantId,
        /// The envelope; nothing means all that came under envelopes.
        envelope: Option<EnvelopeHash>,
    },
    /// The rules that say who data is about are new.
    Rules {
        /// Whose store.
        tenant: TenantId,
        /// Where to go on.
        after: String,
    },
    /// A licence was given, changed, began or ended: whoever follows under it may see other things.
    Licence {
        /// The agreement's id.
        id: Iri,
    },
    /// A follower is new, or may see other things: everything is looked at.
    Load {
        /// Whose store.
        tenant: TenantId,
        /// Which.
        follower: Iri,
        /// Where to go on.
        after: String,
    },
}

/// A row of [`POD_ENTITY`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PodEntity {
    /// In whose store it is.
    pub tenant: TenantId,
    /// Which.
    pub id: Iri,
    /// Whose pod.
    pub subject: Iri,
}

/// A row of [`OUTBOX`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Failed attempts so far.
    pub attempts: u32,
    /// When it was first due.
    pub since: Option<DateTime>,
    /// What the last attempt met.
    pub error: Option<String>,
}

/// A row of [`QUARANTINE`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Quarantined {
    /// The connection it came through.
    pub connection: String,
    /// Whose store it was for.
    pub tenant: TenantId,
    /// The entity's id.
    pub entity: String,
    /// The Attribute, when one is at fault.
    pub attribute: Option<String>,
    /// Why: a stable code.
    pub code: String,
    /// When.
    pub at: DateTime,
    /// What was refused of the entity, canonical, as it came.
    pub document: String,
}
