//! The envelopes under which data came from other hubs, as verified at admission, and the heartbeats of their senders.

use serde::{Deserialize, Serialize};
use waybill_consent::Envelope;
use waybill_model::{DateTime, EnvelopeHash, Iri, PartyId};
use waybill_policy::Purposes;
use waybill_store::{Reader, StoreError};

/// Documents of envelopes that came in. Key: the hash.
pub const INBOUND: &str = "envelope-in";
/// Documents of the last heartbeat of each sender. Key: the sender's base URL.
pub const HEARTBEAT: &str = "heartbeat-in";

/// Until when what this hub imports under an agreement stays open unless the provider is heard of again. Key: the import's sender.
pub const IMPORT_HEARD: &str = "import-heard";

/// What became of an envelope that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// In force, as far as this hub was told.
    Live,
    /// Withdrawn: never to open again.
    Withdrawn,
    /// Suspended.
    Suspended,
}

/// A verified envelope that came in, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbound {
    /// The compact JWS. It was verified when it came.
    pub jws: String,
    /// The sender's base URL.
    pub sender: String,
    /// What became of it.
    pub state: State,
}

/// An inbound envelope, read.
#[derive(Debug, Clone)]
pub struct InboundEnvelope {
    /// The envelope.
    pub envelope: Envelope,
    /// The sender's base URL.
    pub sender: String,
    /// What became of it.
    pub state: State,
}

impl InboundEnvelope {
    /// The envelope with this hash, when it came in.
    ///
    /// # Errors
    /// The store's. A row that cannot be read counts as no envelope.
    pub fn read(reader: &Reader<'_>, hash: EnvelopeHash) -> Result<Option<Self>, StoreError> {
        let row = reader.doc(INBOUND, &hash.to_string())?;
        let parsed = row.and_then(|row| serde_json::from_slice::<Inbound>(&row.payload).ok());
        Ok(parsed.and_then(|row| {
            let envelope = Envelope::trusted(&row.jws).filter(|e| e.hash == hash)?;
            Some(Self { envelope, sender: row.sender, state: row.state })
        }))
    }
    /// The consent it belongs to: no person is named in an envelope.
    pub fn consent(&self) -> &Iri {
        &self.envelope.claims.con.id
    }
    /// Whether `now` lies in its time.
    pub fn within_validity(&self, now: DateTime) -> bool {
        self.envelope.claims.validity().holds(now)
    }
    /// Whether it covers `purpose`: by name, or because a purpose it names is broader, in the scheme as it was when she was asked.
    pub fn allows_purpose(&self, purposes: &Purposes, purpose: &Iri) -> bool {
        let terms = &self.envelope.claims.terms;
        terms.purposes.iter().any(|p| p == purpose || purposes.covers(p.as_str(), purpose.as_str(), terms.purpose_version))
    }
    /// Whether it says that `recipient` may have it from this hub.
    pub fn may_pass_on_to(&self, recipient: &PartyId) -> bool {
        self.envelope.claims.terms.distribute_to.contains(recipient)
    }
}

/// The last heartbeat of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastHeartbeat {
    /// When it came, by this hub's clock; no later than what the sender says, plus the skew that is tolerated.
    pub at: DateTime,
    /// The sender's status epoch.
    pub epoch: u64,
}

/// Whether nothing was heard of `sender` for more than `max_stale_seconds`. A sender never heard of is stale.
///
/// # Errors
/// The store's.
pub fn is_stale(reader: &Reader<'_>, sender: &str, now: DateTime, max_stale_seconds: i64) -> Result<bool, StoreError> {
    let row = reader.doc(HEARTBEAT, sender)?;
    let last: Option<LastHeartbeat> = row.and_then(|row| serde_json::from_slice(&row.payload).ok());
    Ok(last.is_none_or(|last| last.at.plus_seconds(max_stale_seconds) < now))
}

/// Whether a provider without a hub was not heard of in time: whether the agreement still holds is then not known. One that was never heard of
/// is not.
///
/// # Errors
/// The store's.
pub fn is_unheard(reader: &Reader<'_>, sender: &str, now: DateTime) -> Result<bool, StoreError> {
    let until: Option<DateTime> = reader.doc(IMPORT_HEARD, sender)?.and_then(|row| serde_json::from_slice(&row.payload).ok());
    Ok(until.is_none_or(|until| until < now))
}
