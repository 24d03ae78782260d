//! Sealing that gives the same bytes for the same text: for names that must be the same each time and tell nothing to whoever lacks the key.
//! The nonce is made of the text (a synthetic IV), so two texts never share one but by chance; that two sealed texts are the same, and how long
//! they are, is all that can be seen.

use crate::{OpenError, SealKey};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

const NONCE: usize = 12;
/// The block of SHA-256.
const BLOCK: usize = 64;

/// HMAC with SHA-256 (RFC 2104), under a key that is not longer than a block.
pub fn hmac_sha256(key: &[u8; 32], data: &[u8]) -> [u8; 32] {
    let pad = |with: u8| {
        let mut out = Zeroizing::new([with; BLOCK]);
        out.iter_mut().zip(key).for_each(|(byte, own)| *byte ^= own);
        out
    };
    let inner = Sha256::new().chain_update(pad(0x36).as_slice()).chain_update(data).finalize();
    Sha256::new().chain_update(pad(0x5c).as_slice()).chain_update(inner).finalize().into()
}

/// Seals `plain`, bound to `context`, always to the same bytes.
pub fn seal_steadily(key: &SealKey, plain: &[u8], context: &[u8]) -> Vec<u8> {
    let nonce = nonce(key, plain, context);
    let sealed = cipher(key).encrypt(Nonce::from_slice(&nonce), Payload { msg: plain, aad: context });
    // INVARIANT: the cipher refuses only texts beyond 256 GiB, which no memory here holds.
    let sealed = sealed.expect("a text that fits in memory is sealed");
    [nonce.as_slice(), &sealed].concat()
}

/// Opens what [`seal_steadily`] made. Each text has exactly one sealed form: others do not open.
pub fn open_steadily(key: &SealKey, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, OpenError> {
    let (given, body) = sealed.split_at_checked(NONCE).ok_or(OpenError)?;
    let plain = cipher(key).decrypt(Nonce::from_slice(given), Payload { msg: body, aad: context }).map_err(|_| OpenError)?;
    if nonce(key, &plain, context) == given { Ok(plain) } else { Err(OpenError) }
}

fn cipher(key: &SealKey) -> ChaCha20Poly1305 {
    let own = Zeroizing::new(hmac_sha256(key.as_bytes(), b"waybill steady seal"));
    ChaCha20Poly1305::new(own.as_slice().into())
}

fn nonce(key: &SealKey, plain: &[u8], context: &[u8]) -> [u8; NONCE] {
    let own = Zeroizing::new(hmac_sha256(key.as_bytes(), b"waybill steady nonce"));
    // The length first: where context ends and text begins must not be open to doubt.
    let all = hmac_sha256(&own, &[&(context.len() as u64).to_be_bytes(), context, plain].concat());
    let mut out = [0; NONCE];
    out.copy_from_slice(&all[..NONCE]);
    out
}
