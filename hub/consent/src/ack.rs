//! The acknowledgement: a holder's signed answer to a withdrawal, store by store.

use crate::signed::verified;
use crate::{Basis, StatementError};
use serde::{Deserialize, Serialize};
use waybill_keys::{Key, KeyLookup, b64url, jws, random};
use waybill_model::{DateTime, PartyId};

/// The `typ` of an acknowledgement.
pub const TYP: &str = "waybill-ack+jwt";
/// How deep acknowledgements of further holders may be nested.
const MAX_DEPTH: usize = 8;

/// What became of the data in one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Outcome {
    /// It is not given out any more.
    Stopped,
    /// It is gone.
    Erased,
    /// It is kept on another basis.
    Kept {
        /// Which.
        basis: Basis,
        /// Until when, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<DateTime>,
    },
    /// It is gone but for backups.
    BackupUntil {
        /// When the last of them is gone.
        until: DateTime,
    },
    /// It could not be done.
    Failed {
        /// Why, in plain words.
        reason: String,
    },
}

impl Outcome {
    /// Whether the store is done with it: it is neither given out nor waiting for another attempt.
    pub const fn is_final(&self) -> bool {
        !matches!(self, Self::Failed { .. })
    }
}

/// The answer for one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreAnswer {
    /// The store: `hub`, `broker`, `history`, …
    pub store: String,
    /// What became of it.
    pub outcome: Outcome,
    /// How that is known: `DELETE, then 404 read back`.
    pub how: String,
    /// When.
    pub at: DateTime,
    /// Whether it is only the holder's word, or that of the hub beside a store: nothing technical proves it.
    pub attested: bool,
}

/// What an acknowledgement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Acknowledgement {
    /// The DID of the hub that answers.
    pub iss: String,
    /// Its own identifier.
    pub jti: String,
    /// When it was signed, in seconds.
    pub iat: i64,
    /// The DID of the hub that told it.
    pub aud: String,
    /// The identifier of the event it answers.
    pub event: String,
    /// The holder.
    pub holder: PartyId,
    /// Store by store.
    pub stores: Vec<StoreAnswer>,
    /// The signed answers of holders further down the chain, as they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<String>,
}

impl Acknowledgement {
    /// An answer of the hub `iss`, for `holder`, to the event `event` of the hub `aud`.
    pub fn new(iss: impl Into<String>, aud: impl Into<String>, event: impl Into<String>, holder: PartyId, now: DateTime) -> Self {
        Self {
            iss: iss.into(),
            jti: b64url(random::<16>()),
            iat: now.seconds(),
            aud: aud.into(),
            event: event.into(),
            holder,
            stores: Vec::new(),
            through: Vec::new(),
        }
    }

    /// Whether every store of this holder is done. Says nothing of those further down.
    pub fn is_complete(&self) -> bool {
        !self.stores.is_empty() && self.stores.iter().all(|answer| answer.outcome.is_final())
    }

    /// Signs it.
    pub fn sign(&self, key: &Key) -> String {
        jws::sign(key, TYP, self)
    }

    /// Verifies an answer to `audience`.
    pub fn verify(compact: &str, audience: &str, keys: &dyn KeyLookup, now: DateTime) -> Result<Self, StatementError> {
        let (answer, _) = verified::<Self>(compact, TYP, keys, now, |answer| &answer.iss)?;
        if answer.aud == audience { Ok(answer) } else { Err(StatementError::Audience) }
    }

    /// The answers further down, each verified against the hub above it; what does not verify is left out and counted.
    pub fn further(&self, keys: &dyn KeyLookup, now: DateTime) -> (Vec<Self>, usize) {
        let (mut good, mut bad) = (Vec::new(), 0);
        let mut open: Vec<(Self, usize)> = vec![(self.clone(), 0)];
        while let Some((above, depth)) = open.pop() {
            for compact in &above.through {
                match Self::verify(compact, &above.iss, keys, now) {
                    Ok(answer) if depth < MAX_DEPTH => {
                        good.push(answer.clone());
                        open.push((answer, depth + 1));
                    }
                    _ => bad += 1,
                }
            }
        }
        (good, bad)
    }
}
