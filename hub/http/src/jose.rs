//! The little of JOSE that is needed to check a token: compact form, a list of algorithms, a key that fits its algorithm.

use crate::fault;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The longest token that is looked at, in bytes.
const LONGEST: usize = 16 * 1024;
/// The smallest RSA modulus that is taken, in bytes (RFC 7518 3.3: 2048 bits).
const RSA_BYTES: usize = 256;

/// The head of a token. A member given twice is refused.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Head {
    pub(crate) alg: String,
    #[serde(default)]
    pub(crate) kid: Option<String>,
    #[serde(default)]
    pub(crate) typ: Option<String>,
    #[serde(default)]
    pub(crate) jwk: Option<Value>,
    #[serde(default)]
    crit: Option<Value>,
}

/// A token taken apart, not yet believed.
#[derive(Debug)]
pub(crate) struct Compact<'a> {
    pub(crate) head: Head,
    pub(crate) payload: Vec<u8>,
    signed: &'a str,
    signature: &'a str,
}

/// The algorithms that are taken: signatures only, so that no shared secret and no `none` can pass (RFC 8725 3.1).
pub(crate) fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "RS256" => Some(Algorithm::RS256),
        "PS256" => Some(Algorithm::PS256),
        "ES256" => Some(Algorithm::ES256),
        "EdDSA" => Some(Algorithm::EdDSA),
        _ => None,
    }
}

impl<'a> Compact<'a> {
    /// Takes `token` apart; nothing when it is no compact JWS of a form that is taken.
    pub(crate) fn parse(token: &'a str) -> Option<Self> {
        if token.len() > LONGEST {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (head, payload) = signed.split_once('.')?;
        if payload.contains('.') || signature.is_empty() {
            return None;
        }
        let head: Head = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
        // RFC 7515 4.1.11: an extension that must be understood and is not, refuses the token.
        if head.crit.is_some() {
            return None;
        }
        Some(Self { head, payload: URL_SAFE_NO_PAD.decode(payload).ok()?, signed, signature })
    }

    /// Whether `key` made the signature.
    pub(crate) fn is_signed_by(&self, key: &PublicKey) -> bool {
        let Some(alg) = algorithm(&self.head.alg) else { return false };
        if fault::off("http-token-signature") {
            return true;
        }
        // The key decides which algorithms it may be used with, not the token.
        key.fits(alg) && jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), &key.decoding, alg).unwrap_or(false)
    }
}

/// A public key of a kind that is taken.
#[derive(Clone)]
pub(crate) struct PublicKey {
    pub(crate) kid: Option<String>,
    algs: &'static [Algorithm],
    decoding: DecodingKey,
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({:?}, {:?})", self.kid, self.algs)
    }
}

impl PublicKey {
    /// Reads a JSON Web Key; nothing when it is private, of a kind or strength that is not taken, or not meant for signatures.
    pub(crate) fn from_jwk(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if jwk.get("d").is_some() || jwk.get("k").is_some() || text("use").is_some_and(|u| u != "sig") {
            return None;
        }
        let kind: &'static [Algorithm] = match (text("kty")?, text("crv")) {
            ("RSA", None) if URL_SAFE_NO_PAD.decode(text("n")?).ok()?.len() >= RSA_BYTES => &[Algorithm::RS256, Algorithm::PS256],
            ("EC", Some("P-256")) => &[Algorithm::ES256],
            ("OKP", Some("Ed25519")) => &[Algorithm::EdDSA],
            _ => return None,
        };
        let algs = match text("alg") {
            None => kind,
            Some("Ed25519") if kind[0] == Algorithm::EdDSA => kind,
            Some(named) => {
                let at = kind.iter().position(|k| algorithm(named) == Some(*k))?;
                &kind[at..=at]
            }
        };
        // The crate's own reading is given only what it needs, so that an unknown `alg` or `key_ops` cannot trip it.
        let mut bare = serde_json::Map::new();
        for name in ["kty", "crv", "x", "y", "n", "e"] {
            if let Some(value) = jwk.get(name) {
                bare.insert(name.to_owned(), value.clone());
            }
        }
        let parsed: Jwk = serde_json::from_value(Value::Object(bare)).ok()?;
        let decoding = DecodingKey::from_jwk(&parsed).ok()?;
        Some(Self { kid: text("kid").map(str::to_owned), algs, decoding })
    }

    fn fits(&self, alg: Algorithm) -> bool {
        self.algs.contains(&alg)
    }
}

/// The thumbprint of a public key (RFC 7638), base64url; nothing when members are missing.
pub(crate) fn thumbprint(jwk: &Value) -> Option<String> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let names: &[&str] = match text("kty")? {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        _ => return None,
    };
    let mut members = serde_json::Map::new();
    for name in names {
        members.insert((*name).to_owned(), Value::from(text(name)?));
    }
    // serde_json keeps a map sorted, which is the order the RFC wants.
    let canonical = serde_json::to_vec(&members).ok()?;
    Some(URL_SAFE_NO_PAD.encode(Sha256::digest(canonical)))
}
