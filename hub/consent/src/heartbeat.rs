//! The heartbeat: a hub's sign that what it has withdrawn so far is known. When it stays away, the holder closes.

use crate::fault;
use crate::signed::verified;
use crate::{SKEW_SECONDS, StatementError};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use waybill_keys::{Key, KeyLookup, jws};
use waybill_model::{DateTime, PartyId};

/// The `typ` of a heartbeat.
pub const TYP: &str = "waybill-heartbeat+jwt";

/// What a heartbeat says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The DID of the hub that is alive.
    pub iss: String,
    /// The recipient it is for.
    pub aud: PartyId,
    /// When it was signed, in seconds.
    pub iat: i64,
    /// The same to the microsecond; later ones are newer.
    pub time: DateTime,
    /// The consent epoch: everything closed up to it was told to this recipient.
    pub epoch: u64,
}

impl Heartbeat {
    /// A heartbeat of this moment.
    pub fn new(iss: impl Into<String>, aud: PartyId, epoch: u64, now: DateTime) -> Self {
        Self { iss: iss.into(), aud, iat: now.seconds(), time: now, epoch }
    }

    /// Signs it.
    pub fn sign(&self, key: &Key) -> String {
        jws::sign(key, TYP, self)
    }

    /// Verifies a heartbeat for `audience`. Whether it is newer than the last, [`Heartbeats`] knows.
    pub fn verify(compact: &str, audience: &PartyId, keys: &dyn KeyLookup, now: DateTime) -> Result<Self, StatementError> {
        let (beat, _) = verified::<Self>(compact, TYP, keys, now, |beat| &beat.iss)?;
        if beat.aud != *audience {
            Err(StatementError::Audience)
        } else if beat.time.seconds() != beat.iat {
            Err(StatementError::Inconsistent("its two times differ"))
        } else {
            Ok(beat)
        }
    }
}

/// The last heartbeat of each sender.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeats {
    last: HashMap<String, Heartbeat>,
}

impl Heartbeats {
    /// Takes in a verified heartbeat. An older one than the last, or one with a lower epoch, is refused: somebody plays it again.
    pub fn take(&mut self, beat: Heartbeat) -> Result<(), StatementError> {
        match self.last.get(&beat.iss) {
            Some(last) if (beat.time <= last.time || beat.epoch < last.epoch) && !fault::off("consent-replay") => Err(StatementError::Old),
            _ => {
                self.last.insert(beat.iss.clone(), beat);
                Ok(())
            }
        }
    }

    /// The last heartbeat of `issuer`.
    pub fn last(&self, issuer: &str) -> Option<&Heartbeat> {
        self.last.get(issuer)
    }

    /// Whether what `issuer` sent is closed: its last heartbeat is older than `max_stale` seconds, lies in the future, or there was none.
    pub fn is_stale(&self, issuer: &str, max_stale: u32, now: DateTime) -> bool {
        self.last(issuer).is_none_or(|beat| {
            let ends = beat.time.plus_seconds(i64::from(max_stale));
            (now > ends && !fault::off("consent-stale")) || beat.time > now.plus_seconds(SKEW_SECONDS)
        })
    }

    /// When what `issuer` sent will be closed unless another heartbeat comes.
    pub fn stale_at(&self, issuer: &str, max_stale: u32) -> Option<DateTime> {
        self.last(issuer).map(|beat| beat.time.plus_seconds(i64::from(max_stale)).plus_micros(1))
    }
}
