//! Keys, signed tokens and proofs of possession (RFC 7515, 7638, 9449), written for the stand-in alone.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// How far a proof's time may be from ours, in seconds.
const PROOF_WINDOW: i64 = 120;

pub(crate) fn b64(bytes: &[u8]) -> String {
    B64.encode(bytes)
}

pub(crate) fn hash(bytes: &[u8]) -> String {
    b64(&Sha256::digest(bytes))
}

/// A name nobody can guess.
pub(crate) fn random_name() -> String {
    let mut bytes = [0; 16];
    // Without randomness from the system no stand-in can work; an empty name then collides and the test fails.
    let _ = getrandom::fill(&mut bytes);
    b64(&bytes)
}

/// The issuer's key.
pub(super) struct IssuerKey {
    key: SigningKey,
    pub public: Value,
    pub thumbprint: String,
}

impl IssuerKey {
    pub fn generate() -> std::io::Result<Self> {
        let key = loop {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(|e| std::io::Error::other(e.to_string()))?;
            // All but about 2^-32 of the numbers are scalars of the curve.
            if let Ok(key) = SigningKey::from_slice(&bytes) {
                break key;
            }
        };
        let point = key.verifying_key().to_sec1_point(false);
        let bytes = point.as_bytes();
        let mut public = json!({"kty": "EC", "crv": "P-256", "x": b64(&bytes[1..33]), "y": b64(&bytes[33..65])});
        let thumbprint = thumbprint(&public).unwrap_or_default();
        public["kid"] = thumbprint.clone().into();
        public["alg"] = "ES256".into();
        public["use"] = "sig".into();
        Ok(Self { key, public, thumbprint })
    }

    /// A compact JWS with that header (`alg` is added).
    pub fn sign(&self, mut header: Value, claims: &Value) -> String {
        header["alg"] = "ES256".into();
        let signed = format!("{}.{}", b64(header.to_string().as_bytes()), b64(claims.to_string().as_bytes()));
        let signature: Signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", b64(&signature.to_bytes()))
    }
}

/// The RFC 7638 thumbprint of a public key.
pub(crate) fn thumbprint(jwk: &Value) -> Option<String> {
    let member = |name: &str| jwk.get(name).and_then(Value::as_str);
    let canonical = match member("kty")? {
        "EC" => format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, member("crv")?, member("x")?, member("y")?),
        "OKP" => format!(r#"{{"crv":"{}","kty":"OKP","x":"{}"}}"#, member("crv")?, member("x")?),
        _ => return None,
    };
    Some(hash(canonical.as_bytes()))
}

/// A token taken apart, not yet verified.
pub(super) struct Parts<'a> {
    pub header: Value,
    pub claims: Value,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    pub fn of(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let read = |part: &str| B64.decode(part).ok().and_then(|b| serde_json::from_slice::<Value>(&b).ok());
        Some(Self { header: read(header)?, claims: read(claims)?, signed, signature: B64.decode(signature).ok()? })
    }

    /// Whether `jwk` made the signature, by ES256 or EdDSA and nothing else.
    pub fn signed_by(&self, jwk: &Value) -> bool {
        let coordinate = |name: &str| jwk.get(name).and_then(Value::as_str).and_then(|t| B64.decode(t).ok());
        match self.header["alg"].as_str() {
            Some("ES256") => {
                let (Some(x), Some(y)) = (coordinate("x"), coordinate("y")) else { return false };
                let point = [&[4][..], &x, &y].concat();
                match (VerifyingKey::from_sec1_bytes(&point), Signature::from_slice(&self.signature)) {
                    (Ok(key), Ok(signature)) => key.verify(self.signed.as_bytes(), &signature).is_ok(),
                    _ => false,
                }
            }
            Some("EdDSA") => {
                let key = coordinate("x").and_then(|x| <[u8; 32]>::try_from(x).ok());
                let key = key.and_then(|x| ed25519_dalek::VerifyingKey::from_bytes(&x).ok());
                match (key, ed25519_dalek::Signature::from_slice(&self.signature)) {
                    (Some(key), Ok(signature)) => key.verify_strict(self.signed.as_bytes(), &signature).is_ok(),
                    _ => false,
                }
            }
            _ => false,
        }
    }

    /// Whether one of a JWK set made the signature.
    pub fn signed_by_one_of(&self, set: &Value) -> bool {
        let kid = self.header.get("kid");
        set["keys"].as_array().into_iter().flatten().filter(|k| kid.is_none() || k.get("kid") == kid).any(|k| self.signed_by(k))
    }
}

/// Proofs that were used already, by their identifier, with the time they came.
#[derive(Default)]
pub(super) struct Proofs(HashMap<String, i64>);

impl Proofs {
    /// Checks a DPoP proof for this call and gives the thumbprint of its key.
    pub fn check(&mut self, proof: &str, method: &str, url: &str, token: Option<&str>, now: i64) -> Result<String, &'static str> {
        let parts = Parts::of(proof).ok_or("the DPoP proof is not a token")?;
        let jwk = parts.header["jwk"].clone();
        if parts.header["typ"] != "dpop+jwt" {
            return Err("the DPoP proof has another typ");
        }
        if !parts.signed_by(&jwk) {
            return Err("the DPoP proof is not signed by its key");
        }
        if parts.claims["htm"] != method {
            return Err("the DPoP proof is for another method");
        }
        let target = parts.claims["htu"].as_str().unwrap_or_default();
        if target.split(['?', '#']).next() != url.split(['?', '#']).next() {
            return Err("the DPoP proof is for another address");
        }
        if token.is_some_and(|t| parts.claims["ath"] != hash(t.as_bytes())) {
            return Err("the DPoP proof is for another token");
        }
        if parts.claims["iat"].as_i64().is_none_or(|at| (at - now).abs() > PROOF_WINDOW) {
            return Err("the DPoP proof is too old or from the future");
        }
        let id = parts.claims["jti"].as_str().filter(|j| !j.is_empty()).ok_or("the DPoP proof has no jti")?;
        self.0.retain(|_, at| *at + 2 * PROOF_WINDOW > now);
        if self.0.insert(id.to_owned(), now).is_some() {
            return Err("the DPoP proof was used before");
        }
        thumbprint(&jwk).ok_or("the DPoP proof's key is of an unknown kind")
    }
}
