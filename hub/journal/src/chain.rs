//! The bytes of a record and how it is tied to the one before it.
//!
//! `format (1 byte) | hash of the record before (32) | readable part (JSON) | hash (32)`, where the hash is SHA-256 of all before it. So a
//! changed byte shows in its own record, and a record that was written anew shows in the next one.

use waybill_keys::sha256;

/// The stream that is the journal.
pub(crate) const STREAM: &str = "journal";
const FORMAT: u8 = 1;

/// The place of a record in the chain, to be given to a second party: whoever has it can tell later that nothing before it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The record's number; 0 when the journal is empty.
    pub number: u64,
    /// Its hash.
    pub hash: [u8; 32],
}

/// What comes before the first record.
pub(crate) const START: Anchor = Anchor { number: 0, hash: [0; 32] };

pub(crate) fn write(before: [u8; 32], body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 65);
    out.push(FORMAT);
    out.extend_from_slice(&before);
    out.extend_from_slice(body);
    let hash = sha256(&out);
    out.extend_from_slice(&hash);
    out
}

/// A record's bytes, taken apart.
pub(crate) struct Link<'a> {
    pub before: [u8; 32],
    pub body: &'a [u8],
    pub hash: [u8; 32],
}

/// Takes a record apart and checks its own hash.
pub(crate) fn read(payload: &[u8]) -> Result<Link<'_>, &'static str> {
    let (rest, hash) = payload.split_last_chunk::<32>().ok_or("it is too short")?;
    if sha256(rest) != *hash {
        return Err("its bytes do not give its hash");
    }
    let (head, rest) = rest.split_first().ok_or("it is too short")?;
    if *head != FORMAT {
        return Err("its format is unknown");
    }
    let (before, body) = rest.split_first_chunk::<32>().ok_or("it is too short")?;
    Ok(Link { before: *before, body, hash: *hash })
}

/// The hash of a record that this hub wrote just before: its last bytes.
pub(crate) fn hash_of(payload: &[u8]) -> [u8; 32] {
    payload.last_chunk::<32>().copied().unwrap_or_default()
}
