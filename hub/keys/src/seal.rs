//! Sealing bytes under a secret key: XChaCha20-Poly1305, whose long nonce may be drawn at random without counting.

use crate::{b64url, random, unb64url};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use std::fmt;
use zeroize::Zeroizing;

const NONCE: usize = 24;

/// A 256-bit secret. Wiped when dropped, never printed. Whoever destroys the last copy destroys what was sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey(Zeroizing<[u8; 32]>);

impl SealKey {
    /// A new random key.
    pub fn generate() -> Self {
        Self(Zeroizing::new(random()))
    }
    /// Takes 32 bytes as a key.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
    /// Reads what [`Self::to_text`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(unb64url(text)?);
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }
    /// The secret as base64url. For the store only.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(b64url(self.0.as_slice()))
    }
    /// The secret bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(…)")
    }
}

/// Why sealed bytes do not open. There is one answer on purpose: which check failed is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed bytes do not open: another key, another context, or they were changed")]
pub struct OpenError;

/// Seals `plain`, bound to `context`, which is not in the result and must be given again to open it.
pub fn seal(key: &SealKey, plain: &[u8], context: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE] = random();
    let cipher = XChaCha20Poly1305::new(key.0.as_slice().into());
    let sealed = cipher.encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad: context });
    // INVARIANT: the cipher refuses only texts beyond 256 GiB, which no memory here holds.
    let sealed = sealed.expect("a text that fits in memory is sealed");
    [nonce.as_slice(), &sealed].concat()
}

/// Opens what [`seal`] made.
pub fn open(key: &SealKey, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, OpenError> {
    let (nonce, body) = sealed.split_at_checked(NONCE).ok_or(OpenError)?;
    let cipher = XChaCha20Poly1305::new(key.0.as_slice().into());
    cipher.decrypt(XNonce::from_slice(nonce), Payload { msg: body, aad: context }).map_err(|_| OpenError)
}
