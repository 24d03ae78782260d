//! Compact JWS (RFC 7515), held strict: two algorithms, a `kid` and an exact `typ`, no way for a token to bring its own key.

use crate::{Algorithm, Key, KeyLookup, PublicKey, SKEW_SECONDS, b64url, fault, unb64url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use waybill_model::{DateTime, Problem, ProblemCode};

/// The longest compact JWS that is read, in bytes.
pub const MAX_BYTES: usize = 16 << 20;

/// The header. A member that is not here makes the JWS refused, `crit` and key-bearing ones above all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// What it is signed with.
    pub alg: String,
    /// What kind of statement it is.
    pub typ: String,
    /// Which key signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The signer's own key; only in a proof of possession.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwk: Option<Value>,
}

/// Why a JWS was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Not three base64url parts with a JSON header, or too long.
    #[error("not a compact JWS: {0}")]
    Malformed(&'static str),
    /// An algorithm that is not accepted, `none` included, or not the key's own.
    #[error("the algorithm is not accepted; EdDSA and ES256 are")]
    Algorithm,
    /// A statement of another kind.
    #[error("a `{wanted}` was wanted, not a `{found}`")]
    Type {
        /// What was wanted.
        wanted: String,
        /// What it says it is.
        found: String,
    },
    /// No `kid`, or one that is not known.
    #[error("the key that signed is not known")]
    UnknownKey,
    /// The key was revoked.
    #[error("the key that signed was revoked")]
    RevokedKey,
    /// Signed before the key was there, after it was replaced, or in the future.
    #[error("the time of signing does not fit the key or the clock")]
    Time,
    /// The signature is not the key's.
    #[error("the signature is not good")]
    Signature,
    /// The payload is not what that kind of statement holds.
    #[error("the payload is not what a statement of this kind holds: {0}")]
    Payload(String),
}

impl JwsError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "signature-malformed",
            Self::Algorithm => "signature-algorithm-refused",
            Self::Type { .. } => "signature-of-another-kind",
            Self::UnknownKey => "signature-key-unknown",
            Self::RevokedKey => "signature-key-revoked",
            Self::Time => "signature-time-wrong",
            Self::Signature => "signature-not-good",
            Self::Payload(_) => "signature-payload-wrong",
        }
    }
}
impl From<JwsError> for Problem {
    fn from(error: JwsError) -> Self {
        Self::new(ProblemCode(error.code()), 400, "Signed statement refused", error.to_string())
    }
}

/// A JWS whose signature is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The header.
    pub header: Header,
    /// The payload's bytes as they were signed.
    pub payload: Vec<u8>,
    /// The identifier of the key that signed.
    pub kid: String,
    /// The key, with its history and its owner.
    pub key: PublicKey,
}

impl Verified {
    /// The payload as `T`.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, JwsError> {
        serde_json::from_slice(&self.payload).map_err(|e| JwsError::Payload(e.to_string()))
    }

    /// Whether the key is one that `issuer` published.
    pub fn is_from(&self, issuer: &str) -> bool {
        self.key.controller.as_deref() == Some(issuer)
    }
}

fn compact(key: &Key, header: &Header, payload: &impl Serialize) -> String {
    // INVARIANT: our payloads are plain structures; a map with keys that are not strings does not occur.
    let payload = serde_json::to_vec(payload).unwrap_or_default();
    let header = serde_json::to_vec(header).unwrap_or_default();
    let mut out = format!("{}.{}", b64url(header), b64url(payload));
    let signature = key.sign(out.as_bytes());
    out.push('.');
    out.push_str(&b64url(signature));
    out
}

/// Signs `payload` as a statement of kind `typ`.
pub fn sign(key: &Key, typ: &str, payload: &impl Serialize) -> String {
    let header = Header { alg: key.public().algorithm().as_str().to_owned(), typ: typ.to_owned(), kid: Some(key.kid().to_owned()), jwk: None };
    compact(key, &header, payload)
}

/// A statement of one's own, signed anew as of `now` when the key that signed it was revoked since: what was said stays said. Nothing when it
/// is still good, or is no statement.
pub fn renewed(compact: &str, own: &dyn KeyLookup, key: &Key, now: DateTime) -> Option<String> {
    let (signed, _) = compact.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    let header: Header = serde_json::from_slice(&unb64url(header)?).ok()?;
    own.key(header.kid.as_deref()?).filter(|key| key.revoked.is_some())?;
    let mut payload: Value = serde_json::from_slice(&unb64url(payload)?).ok()?;
    if payload.get("iat").is_some() {
        payload["iat"] = now.seconds().into();
    }
    Some(sign(key, &header.typ, &payload))
}

/// Signs a proof of possession: the header carries the public key instead of a `kid` (RFC 9449 §4.2).
pub fn sign_possession(key: &Key, typ: &str, payload: &impl Serialize) -> String {
    let header = Header { alg: key.public().algorithm().as_str().to_owned(), typ: typ.to_owned(), kid: None, jwk: Some(key.public().bare_jwk()) };
    compact(key, &header, payload)
}

struct Parts<'a> {
    header: Header,
    algorithm: Algorithm,
    payload: Vec<u8>,
    signed: &'a str,
    signature: Vec<u8>,
}

fn parts<'a>(compact: &'a str, typ: &str) -> Result<Parts<'a>, JwsError> {
    if compact.len() > MAX_BYTES {
        return Err(JwsError::Malformed("it is too long"));
    }
    let (signed, signature) = compact.rsplit_once('.').ok_or(JwsError::Malformed("it has not three parts"))?;
    let (header, payload) = signed.split_once('.').ok_or(JwsError::Malformed("it has not three parts"))?;
    let bytes = |text: &str| unb64url(text).ok_or(JwsError::Malformed("a part is not base64url"));
    let header: Header = serde_json::from_slice(&bytes(header)?).map_err(|_| JwsError::Malformed("its header is not understood"))?;
    let algorithm = Algorithm::parse(&header.alg).ok_or(JwsError::Algorithm)?;
    if header.typ != typ && !fault::off("keys-type") {
        return Err(JwsError::Type { wanted: typ.to_owned(), found: header.typ.chars().take(60).collect() });
    }
    Ok(Parts { algorithm, payload: bytes(payload)?, signature: bytes(signature)?, signed, header })
}

fn checked(parts: Parts<'_>, key: PublicKey, kid: String) -> Result<Verified, JwsError> {
    if key.algorithm() != parts.algorithm && !fault::off("keys-algorithm") {
        return Err(JwsError::Algorithm);
    }
    if !key.verify(parts.signed.as_bytes(), &parts.signature) && !fault::off("keys-signature") {
        return Err(JwsError::Signature);
    }
    Ok(Verified { header: parts.header, payload: parts.payload, kid, key })
}

/// Verifies a statement of kind `typ`: algorithm, kind, key and its history, signature, and that its `iat` (when it has one) is not
/// in the future and fits the key's life. `exp` and `nbf` are the caller's, since a statement that ended may still be read as history.
pub fn verify(compact: &str, typ: &str, keys: &dyn KeyLookup, now: DateTime) -> Result<Verified, JwsError> {
    let parts = parts(compact, typ)?;
    if parts.header.jwk.is_some() {
        return Err(JwsError::Malformed("it brings its own key"));
    }
    let kid = parts.header.kid.clone().ok_or(JwsError::UnknownKey)?;
    let key = keys.key(&kid).ok_or(JwsError::UnknownKey)?;
    if key.revoked.is_some() && !fault::off("keys-revoked") {
        return Err(JwsError::RevokedKey);
    }
    let out = checked(parts, key, kid)?;
    if let Some(at) = issued_at(&out.payload)? {
        let skew = |at: DateTime, by: i64| at.plus_seconds(by * SKEW_SECONDS);
        let before_key = at < skew(out.key.created, -1);
        let after_key = out.key.retired.is_some_and(|end| at > skew(end, 1));
        if (before_key || after_key || at > skew(now, 1)) && !fault::off("keys-time") {
            return Err(JwsError::Time);
        }
    }
    Ok(out)
}

fn issued_at(payload: &[u8]) -> Result<Option<DateTime>, JwsError> {
    #[derive(Deserialize)]
    struct Issued {
        iat: Option<serde_json::Number>,
    }
    let Ok(issued) = serde_json::from_slice::<Issued>(payload) else {
        // A payload that is no object has no time; one whose `iat` is no number has a wrong one.
        return if serde_json::from_slice::<serde_json::Map<String, Value>>(payload).is_ok() { Err(JwsError::Time) } else { Ok(None) };
    };
    issued.iat.map(|n| n.as_i64().map(DateTime::from_seconds).ok_or(JwsError::Time)).transpose()
}

/// Verifies a proof of possession (RFC 9449 §4.3, the part about the signature): the key is the header's own. The caller compares its
/// thumbprint (`kid` of the result) with the one the access token is bound to, and checks the claims.
pub fn verify_possession(compact: &str, typ: &str) -> Result<Verified, JwsError> {
    let parts = parts(compact, typ)?;
    let jwk = parts.header.jwk.as_ref().ok_or(JwsError::UnknownKey)?;
    let key = PublicKey::from_jwk(jwk, None).ok_or(JwsError::UnknownKey)?;
    let kid = key.kid.clone();
    checked(parts, key, kid)
}
