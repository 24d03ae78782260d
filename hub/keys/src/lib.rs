//! Keys with an identifier and a history; JWS, hashes and canonical JSON.
//!
//! Signatures are Ed25519 (`EdDSA`) or P-256 (`ES256`) and nothing else. A key that was replaced still verifies what it signed; a key
//! that was revoked verifies nothing. Nothing here reads the time or the network: the caller gives both.
#![forbid(unsafe_code)]

mod bytes;
mod did;
mod fault;
mod jcs;
pub mod jws;
mod key;
mod ring;
mod seal;
mod steady;

pub use bytes::{b64url, hex, random, sha256, unb64url};
pub use did::{KeySet, KeySetError, did_web, did_web_url};
pub use jcs::{es_number, jcs, jcs_hash};
pub use jws::{JwsError, Verified};
pub use key::{Algorithm, Key, KeyLookup, PublicKey};
pub use ring::{KeyRing, RingError};
pub use seal::{OpenError, SealKey, open, seal};
pub use steady::{hmac_sha256, open_steadily, seal_steadily};

/// How far two clocks may be apart before a time counts as wrong, in seconds.
pub const SKEW_SECONDS: i64 = 60;
