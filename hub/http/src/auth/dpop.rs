//! Proofs of possession of the key a token is bound to (RFC 9449), as a server checks them.

use super::replay::{ReplayCache, ReplayError};
use crate::fault;
use crate::jose::{Compact, PublicKey, thumbprint};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use waybill_model::DateTime;

/// How far a proof's time may lie from ours, in seconds.
const WINDOW: i64 = 60;

/// Why a proof is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DpopError {
    /// It is no proof, or of an algorithm that is not taken.
    #[error("it is not a DPoP proof of an algorithm that is taken")]
    Form,
    /// Its signature is not by the key it carries.
    #[error("its signature is not by the key it carries")]
    Signature,
    /// It was made for another method or address.
    #[error("it was made for another request")]
    OtherRequest,
    /// It was made for another token.
    #[error("it was made for another token")]
    OtherToken,
    /// It was made with another key than the token is bound to.
    #[error("it was made with another key than the token is bound to")]
    OtherKey,
    /// It is too old, or from the future.
    #[error("its time is more than a minute from ours")]
    Time,
    /// It was used before, or cannot be remembered.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// What a proof must be for.
#[derive(Debug, Clone, Copy)]
pub struct ProofExpectation<'a> {
    /// The method.
    pub method: &'a str,
    /// The address; its query and fragment do not count.
    pub url: &'a str,
    /// The token it comes with.
    pub access_token: Option<&'a str>,
    /// The thumbprint of the key the token is bound to.
    pub key_thumbprint: Option<&'a str>,
}

/// A proof that was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The thumbprint of its key (RFC 7638, base64url).
    pub key_thumbprint: String,
    /// Its identifier.
    pub id: String,
    /// When it was made.
    pub issued: DateTime,
}

#[derive(Deserialize)]
struct ProofClaims {
    jti: String,
    htm: String,
    htu: String,
    iat: f64,
    #[serde(default)]
    ath: Option<String>,
}

/// Checks `proof` and remembers it in `replay`, so that it is good once.
///
/// # Errors
/// [`DpopError`] naming the first thing that is wrong.
pub fn verify_proof(proof: &str, expected: &ProofExpectation<'_>, now: DateTime, replay: &ReplayCache) -> Result<Proof, DpopError> {
    let compact = Compact::parse(proof).ok_or(DpopError::Form)?;
    if !compact.head.typ.as_deref().is_some_and(|t| t.eq_ignore_ascii_case("dpop+jwt")) {
        return Err(DpopError::Form);
    }
    let jwk = compact.head.jwk.as_ref().ok_or(DpopError::Form)?;
    let key = PublicKey::from_jwk(jwk).ok_or(DpopError::Form)?;
    if !compact.is_signed_by(&key) {
        return Err(DpopError::Signature);
    }
    let claims: ProofClaims = serde_json::from_slice(&compact.payload).map_err(|_| DpopError::Form)?;
    if (claims.htm != expected.method || !same_target(&claims.htu, expected.url)) && !fault::off("http-proof-request") {
        return Err(DpopError::OtherRequest);
    }
    let issued = DateTime::from_micros((claims.iat * 1e6) as i64);
    if !claims.iat.is_finite() || (now.seconds() - issued.seconds()).abs() > WINDOW {
        return Err(DpopError::Time);
    }
    if let Some(token) = expected.access_token {
        let wanted = URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes()));
        if claims.ath.as_deref() != Some(wanted.as_str()) {
            return Err(DpopError::OtherToken);
        }
    }
    let key_thumbprint = thumbprint(jwk).ok_or(DpopError::Form)?;
    if expected.key_thumbprint.is_some_and(|bound| bound != key_thumbprint) && !fault::off("http-proof-key") {
        return Err(DpopError::OtherKey);
    }
    if claims.jti.is_empty() || claims.jti.len() > 256 {
        return Err(DpopError::Form);
    }
    replay.take(&key_thumbprint, &claims.jti, issued.plus_seconds(2 * WINDOW + 1), now)?;
    Ok(Proof { key_thumbprint, id: claims.jti, issued })
}

/// Whether two addresses are the same but for query and fragment, after the normalisation that parsing does.
fn same_target(a: &str, b: &str) -> bool {
    let plain = |text: &str| {
        let mut url = url::Url::parse(text).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        Some(url)
    };
    match (plain(a), plain(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}
