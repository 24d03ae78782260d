//! Security event tokens (RFC 8417): what hubs tell each other about consents and deletions.

use crate::signed::verified;
use crate::{OnWithdrawal, StatementError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use waybill_keys::{Key, KeyLookup, b64url, jws, random};
use waybill_model::{DateTime, EnvelopeHash};

/// The `typ` of a security event token.
pub const TYP: &str = "secevent+jwt";
/// Where the names of our events stand.
const EVENTS: &str = "https://w3id.org/waybill/event#";

/// What happened to the consents behind some envelopes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvelopeEvent {
    /// Which envelopes.
    pub envelopes: Vec<EnvelopeHash>,
    /// When it happened at the source.
    pub time: DateTime,
    /// What to do with copies.
    #[serde(default)]
    pub on_withdrawal: OnWithdrawal,
    /// The envelopes that take their place, as compact JWS: after narrowing or renewal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub successors: Vec<String>,
}

/// Entities that are gone at the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeletionEvent {
    /// Their identifiers.
    pub entities: Vec<String>,
    /// When.
    pub time: DateTime,
}

/// What an event token tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// Consents are over: withdrawn, revoked, invalidated, replaced by narrower ones.
    Withdrawn(EnvelopeEvent),
    /// Consents rest.
    Suspended(EnvelopeEvent),
    /// Consents rest no more.
    Resumed(EnvelopeEvent),
    /// Entities were deleted.
    Deleted(DeletionEvent),
}

impl EventKind {
    const fn name(&self) -> &'static str {
        match self {
            Self::Withdrawn(_) => "consent-withdrawn",
            Self::Suspended(_) => "consent-suspended",
            Self::Resumed(_) => "consent-resumed",
            Self::Deleted(_) => "entity-deleted",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    iat: i64,
    jti: String,
    /// The consent epoch that the event belongs to: a receiver that has seen a higher one has missed nothing.
    epoch: u64,
    events: BTreeMap<String, serde_json::Value>,
}

/// A security event token. That one takes effect once is the receiver's affair: it remembers `jti`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventToken {
    /// The DID of the hub that tells.
    pub iss: String,
    /// The DID of the hub that is told.
    pub aud: String,
    /// When it was signed.
    pub at: DateTime,
    /// Its identifier.
    pub jti: String,
    /// The consent epoch it belongs to.
    pub epoch: u64,
    /// What happened.
    pub event: EventKind,
}

impl EventToken {
    /// A token with a new identifier.
    pub fn new(iss: impl Into<String>, aud: impl Into<String>, epoch: u64, event: EventKind, now: DateTime) -> Self {
        Self { iss: iss.into(), aud: aud.into(), at: now, jti: b64url(random::<16>()), epoch, event }
    }

    /// Signs it.
    pub fn sign(&self, key: &Key) -> String {
        let content = match &self.event {
            EventKind::Withdrawn(e) | EventKind::Suspended(e) | EventKind::Resumed(e) => serde_json::to_value(e),
            EventKind::Deleted(e) => serde_json::to_value(e),
        };
        // INVARIANT: plain members; serialising cannot fail.
        let events = BTreeMap::from([(format!("{EVENTS}{}", self.event.name()), content.unwrap_or_default())]);
        let claims =
            Claims { iss: self.iss.clone(), aud: self.aud.clone(), iat: self.at.seconds(), jti: self.jti.clone(), epoch: self.epoch, events };
        jws::sign(key, TYP, &claims)
    }

    /// Verifies a token for `audience`. One with several events, or with one that is not ours, is refused.
    pub fn verify(compact: &str, audience: &str, keys: &dyn KeyLookup, now: DateTime) -> Result<Self, StatementError> {
        let (claims, _) = verified::<Claims>(compact, TYP, keys, now, |claims| &claims.iss)?;
        if claims.aud != audience {
            return Err(StatementError::Audience);
        }
        let mut events = claims.events.into_iter();
        let (Some((name, content)), None) = (events.next(), events.next()) else {
            return Err(StatementError::Inconsistent("it must tell exactly one event"));
        };
        let unreadable = |_| StatementError::Inconsistent("the event has not the members it must have");
        let event = match name.strip_prefix(EVENTS) {
            Some("consent-withdrawn") => EventKind::Withdrawn(serde_json::from_value(content).map_err(unreadable)?),
            Some("consent-suspended") => EventKind::Suspended(serde_json::from_value(content).map_err(unreadable)?),
            Some("consent-resumed") => EventKind::Resumed(serde_json::from_value(content).map_err(unreadable)?),
            Some("entity-deleted") => EventKind::Deleted(serde_json::from_value(content).map_err(unreadable)?),
            _ => return Err(StatementError::Inconsistent("the event is not known")),
        };
        Ok(Self { iss: claims.iss, aud: claims.aud, at: DateTime::from_seconds(claims.iat), jti: claims.jti, epoch: claims.epoch, event })
    }
}
