//! The envelope: the signed, stable statement of one consent for one recipient. No data of hers is in it.

use crate::fault;
use crate::signed::verified;
use crate::{OnWithdrawal, StatementError, Terms, Validity};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use waybill_keys::{Key, KeyLookup, b64url, jws, random, sha256};
use waybill_model::{DateTime, EnvelopeHash, Iri, PartyId};

/// The `typ` of an envelope.
pub const TYP: &str = "waybill-env+jwt";

/// Which version of a consent an envelope states. The identifier is the hub's own and says nothing about the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentPointer {
    /// The record.
    pub id: Iri,
    /// Its version.
    pub ver: u32,
    /// SHA-256 (hexadecimal) of the record's canonical text.
    pub hash: String,
}

/// One entry of a status list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusEntry {
    /// The list's address.
    pub list: Iri,
    /// The entry's number.
    pub idx: u32,
}

/// Where to learn whether the consent still holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusPointer {
    /// Set when it is over.
    pub rev: StatusEntry,
    /// Set while it rests.
    pub sus: StatusEntry,
    /// After how many seconds without a sign of the issuer the holder must close.
    pub max_stale: u32,
}

/// What an envelope says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeClaims {
    /// The DID of the hub that signed.
    pub iss: String,
    /// Its own identifier, random.
    pub jti: String,
    /// When it was signed, in seconds.
    pub iat: i64,
    /// From when it holds, in seconds.
    pub nbf: i64,
    /// Until when, in seconds, excluded; nothing for a basis without an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// For whom.
    pub aud: PartyId,
    /// Which consent.
    pub con: ConsentPointer,
    /// What is allowed.
    pub terms: Terms,
    /// The same as an ODRL policy, for readers that know ODRL.
    pub pol: Value,
    /// Whether it still holds.
    pub st: StatusPointer,
    /// What to do with copies when it is withdrawn.
    pub onw: OnWithdrawal,
    /// Where events about it are sent.
    pub inf: Iri,
    /// What it says, in plain words, by language.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lbl: BTreeMap<String, String>,
}

impl EnvelopeClaims {
    /// From when until when it holds.
    pub fn validity(&self) -> Validity {
        Validity { from: Some(DateTime::from_seconds(self.nbf)), until: self.exp.map(DateTime::from_seconds) }
    }

    /// The identifier of the policy.
    pub fn policy_uid(jti: &str) -> String {
        format!("urn:waybill:policy:{jti}")
    }

    /// Fills in `jti` and `pol`, which follow from the rest.
    #[must_use]
    pub fn completed(mut self) -> Self {
        self.jti = b64url(random::<16>());
        self.pol = self.terms.odrl(&Self::policy_uid(&self.jti), Some(&self.validity()));
        self
    }

    fn fault(&self) -> Option<&'static str> {
        if self.terms.recipient != self.aud {
            Some("the terms are for another recipient")
        } else if self.exp.is_some_and(|end| end <= self.nbf) {
            Some("it ends before it begins")
        } else if self.terms.assets.iter().any(|asset| asset.transform.fault().is_some()) {
            Some("a transform has impossible parameters")
        } else if self.terms.purposes.is_empty() {
            Some("it names no purpose")
        } else if self.pol != self.terms.odrl(&Self::policy_uid(&self.jti), Some(&self.validity())) {
            // Whoever reads the policy and whoever reads the terms must come to the same decision.
            Some("the policy says something else than the terms")
        } else {
            None
        }
    }
}

/// An envelope with its text and its hash. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The compact JWS.
    pub compact: Arc<str>,
    /// The SHA-256 of the compact JWS; the name under which it is known.
    pub hash: EnvelopeHash,
    /// What it says.
    pub claims: Arc<EnvelopeClaims>,
}

impl Envelope {
    /// Signs `claims`.
    pub fn issue(key: &Key, claims: EnvelopeClaims) -> Self {
        let compact = jws::sign(key, TYP, &claims);
        Self { hash: Self::hash_of(&compact), compact: compact.into(), claims: Arc::new(claims) }
    }

    /// The name of the envelope whose compact JWS is `compact`.
    pub fn hash_of(compact: &str) -> EnvelopeHash {
        EnvelopeHash(sha256(compact.as_bytes()))
    }

    /// Verifies an envelope: kind, signature, that the key is its issuer's, and that it does not contradict itself. Whether it holds at
    /// this time, and whether it was withdrawn, are other questions: [`EnvelopeClaims::validity`], [`crate::StatusList`].
    pub fn verify(compact: &str, keys: &dyn KeyLookup, now: DateTime) -> Result<Self, StatementError> {
        let (claims, _) = verified::<EnvelopeClaims>(compact, TYP, keys, now, |claims| &claims.iss)?;
        match claims.fault().filter(|_| !fault::off("consent-envelope")) {
            Some(fault) => Err(StatementError::Inconsistent(fault)),
            None => Ok(Self { hash: Self::hash_of(compact), compact: compact.into(), claims: Arc::new(claims) }),
        }
    }

    /// Reads an envelope that this hub itself stored, without verifying it again.
    pub fn trusted(compact: &str) -> Option<Self> {
        let payload = waybill_keys::unb64url(compact.split('.').nth(1)?)?;
        let claims = serde_json::from_slice(&payload).ok()?;
        Some(Self { hash: Self::hash_of(compact), compact: compact.into(), claims: Arc::new(claims) })
    }
}
