//! Proofs of possession as a client makes them (RFC 9449), and the nonces servers ask for.

use super::error::{CallError, CallErrorKind};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;
use waybill_model::DateTime;

/// A key for proofs (ES256).
pub struct DpopKey {
    key: SigningKey,
    jwk: Value,
    thumbprint: String,
}

impl fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DpopKey({})", self.thumbprint)
    }
}

impl DpopKey {
    /// A new key.
    ///
    /// # Errors
    /// [`CallErrorKind::Setup`] when the system gives no randomness.
    pub fn generate() -> Result<Self, CallError> {
        loop {
            // Almost every number is a key; the few that are not are drawn again.
            if let Some(key) = Self::from_secret(&random::<32>()?) {
                return Ok(key);
            }
        }
    }
    /// The key of the secret number `secret` (32 bytes, big endian); nothing when it is zero or too large.
    pub fn from_secret(secret: &[u8; 32]) -> Option<Self> {
        let key = SigningKey::from_slice(secret).ok()?;
        let point = key.verifying_key().to_sec1_point(false);
        let (x, y) = (point.x()?, point.y()?);
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)});
        let thumbprint = crate::jose::thumbprint(&jwk)?;
        Some(Self { key, jwk, thumbprint })
    }
    /// The public key as a JSON Web Key.
    pub fn public_jwk(&self) -> &Value {
        &self.jwk
    }
    /// The thumbprint of the public key (RFC 7638, base64url).
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }
    /// A proof for one request. Query and fragment of `url` are left out.
    ///
    /// # Errors
    /// [`CallErrorKind::Setup`] when the system gives no randomness.
    pub fn proof(&self, method: &str, url: &Url, access_token: Option<&str>, nonce: Option<&str>, now: DateTime) -> Result<String, CallError> {
        let mut target = url.clone();
        target.set_query(None);
        target.set_fragment(None);
        let mut claims = json!({
            "jti": URL_SAFE_NO_PAD.encode(random::<16>()?),
            "htm": method,
            "htu": target.as_str(),
            "iat": now.seconds(),
        });
        if let Some(token) = access_token {
            claims["ath"] = URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes())).into();
        }
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        let head = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk});
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(head.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature: Signature = self.key.sign(signed.as_bytes());
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes())))
    }
}

fn random<const N: usize>() -> Result<[u8; N], CallError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| CallError::new(CallErrorKind::Setup, "", "the system gives no randomness"))?;
    Ok(bytes)
}

/// The last nonce each origin asked for.
#[derive(Debug, Default)]
pub(crate) struct Nonces(Mutex<HashMap<String, Arc<str>>>);

impl Nonces {
    pub(crate) fn of(&self, origin: &str) -> Option<Arc<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(origin).cloned()
    }
    pub(crate) fn keep(&self, origin: &str, nonce: &str) {
        let mut nonces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if nonces.len() >= 4096 {
            nonces.clear();
        }
        nonces.insert(origin.to_owned(), Arc::from(nonce));
    }
}
