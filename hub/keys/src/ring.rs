//! The keys of one hub: those that sign, those that did, those that never may again.

use crate::{Algorithm, Key, KeyLookup, KeySet, PublicKey, b64url, did, unb64url};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use waybill_model::{Clock, DateTime};
use zeroize::{Zeroize as _, Zeroizing};

/// The keys of one hub. At any time one key of each algorithm is active.
#[derive(Debug, Clone)]
pub struct KeyRing {
    controller: Option<String>,
    /// Oldest first.
    keys: Vec<Key>,
}

/// Why a key ring cannot do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// The stored text is no key ring.
    #[error("the stored key ring cannot be read: {0}")]
    Unreadable(&'static str),
    /// No key has that identifier.
    #[error("there is no key `{0}`")]
    UnknownKey(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    controller: Option<String>,
    keys: Vec<StoredKey>,
}
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    algorithm: Algorithm,
    secret: String,
    created: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retired: Option<DateTime>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked: Option<DateTime>,
}
impl Drop for StoredKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl KeyRing {
    /// A new ring with one key of each algorithm.
    pub fn generate(clock: &Clock) -> Self {
        let now = clock.now();
        let keys = [Algorithm::EdDsa, Algorithm::Es256].map(|algorithm| Key::generate(algorithm, None, now));
        Self { controller: None, keys: keys.into() }
    }

    /// The same ring, whose keys are those of `did`. A signature that is checked against an issuer needs it.
    #[must_use]
    pub fn controlled_by(mut self, did: impl Into<String>) -> Self {
        let did = did.into();
        for key in &mut self.keys {
            key.public_mut().controller = Some(did.clone());
        }
        self.controller = Some(did);
        self
    }

    /// The DID whose keys these are.
    pub fn controller(&self) -> Option<&str> {
        self.controller.as_deref()
    }

    /// The Ed25519 key that signs now.
    pub fn active(&self) -> &Key {
        self.active_of(Algorithm::EdDsa)
    }

    /// The key of that algorithm that signs now.
    pub fn active_of(&self, algorithm: Algorithm) -> &Key {
        let found = self.keys.iter().rev().find(|key| key.public().algorithm() == algorithm && key.public().is_active());
        // INVARIANT: a ring is made, read and changed only by ways that leave one active key of each algorithm.
        found.expect("a key ring has an active key of each algorithm")
    }

    /// Replaces the active Ed25519 key. The old one stays for what it signed. Returns the new key's identifier.
    pub fn rotate(&mut self, now: DateTime) -> String {
        self.rotate_of(Algorithm::EdDsa, now)
    }

    /// Replaces the active key of that algorithm.
    pub fn rotate_of(&mut self, algorithm: Algorithm, now: DateTime) -> String {
        for key in self.keys.iter_mut().filter(|key| key.public().algorithm() == algorithm && key.public().is_active()) {
            key.public_mut().retired = Some(now);
        }
        let key = Key::generate(algorithm, self.controller.as_deref(), now);
        let kid = key.kid().to_owned();
        self.keys.push(key);
        kid
    }

    /// Revokes a key: nothing it signed verifies any more, before or after. An active key is replaced at once.
    pub fn revoke(&mut self, kid: &str, now: DateTime) -> Result<(), RingError> {
        let key = self.keys.iter_mut().find(|key| key.kid() == kid).ok_or_else(|| RingError::UnknownKey(kid.to_owned()))?;
        let (was_active, algorithm) = (key.public().is_active(), key.public().algorithm());
        let public = key.public_mut();
        public.revoked = public.revoked.or(Some(now));
        if was_active {
            self.rotate_of(algorithm, now);
        }
        Ok(())
    }

    /// All public halves, oldest first.
    pub fn public_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter().map(Key::public)
    }

    /// All public halves as a set that verifies.
    pub fn key_set(&self) -> KeySet {
        KeySet::new(self.public_keys().cloned().collect())
    }

    /// The JWK set (RFC 7517 §5), history included.
    pub fn public_jwks(&self) -> Value {
        json!({ "keys": self.public_keys().map(PublicKey::jwk).collect::<Vec<_>>() })
    }

    /// The DID document for `host` (host, port and path without scheme).
    pub fn did_document(&self, host: &str) -> Value {
        did::did_document(&did::did_web(host), &self.public_keys().collect::<Vec<_>>())
    }

    /// The ring with its secrets, for the store.
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        let keys = self.keys.iter().map(|key| StoredKey {
            algorithm: key.public().algorithm(),
            secret: b64url(key.secret_bytes().as_slice()),
            created: key.public().created,
            retired: key.public().retired,
            revoked: key.public().revoked,
        });
        let stored = Stored { version: 1, controller: self.controller.clone(), keys: keys.collect() };
        // INVARIANT: plain members only.
        Zeroizing::new(serde_json::to_string(&stored).unwrap_or_default())
    }

    /// Reads what [`Self::to_secret_text`] wrote. The error never quotes the text.
    pub fn from_secret_text(text: &str) -> Result<Self, RingError> {
        let stored: Stored = serde_json::from_str(text).map_err(|_| RingError::Unreadable("it is not the expected JSON"))?;
        if stored.version != 1 {
            return Err(RingError::Unreadable("it was written by a newer version"));
        }
        let mut keys = Vec::with_capacity(stored.keys.len());
        for entry in &stored.keys {
            let bytes = Zeroizing::new(unb64url(&entry.secret).ok_or(RingError::Unreadable("a secret is not base64url"))?);
            let bytes: Zeroizing<[u8; 32]> =
                Zeroizing::new(bytes.as_slice().try_into().map_err(|_| RingError::Unreadable("a secret has not 32 bytes"))?);
            let key = Key::from_secret(entry.algorithm, &bytes, stored.controller.as_deref(), entry.created);
            let mut key = key.ok_or(RingError::Unreadable("a secret is no key"))?;
            key.public_mut().retired = entry.retired;
            key.public_mut().revoked = entry.revoked;
            keys.push(key);
        }
        for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
            if !keys.iter().any(|key| key.public().algorithm() == algorithm && key.public().is_active()) {
                return Err(RingError::Unreadable("an algorithm has no active key"));
            }
        }
        Ok(Self { controller: stored.controller, keys })
    }
}

impl KeyLookup for KeyRing {
    fn key(&self, kid: &str) -> Option<PublicKey> {
        self.public_keys().find_map(|key| key.key(kid))
    }
}
