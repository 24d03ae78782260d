//! Keys with an identifier and a history; JWS, hashes and canonical JSON.
#![forbid(unsafe_code)]
