//! Status lists (W3C Bitstring Status List 1.0): one bit a consent, in a crowd that hides which one is looked at.

use crate::fault;
use crate::signed::verified;
use crate::{ConsentError, StatementError};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use waybill_keys::{Key, KeyLookup, b64url, jws, random, unb64url};
use waybill_model::{DateTime, Iri};

/// How many entries a list has: the least that the recommendation allows, so that one look says little.
pub const ENTRIES: u32 = 131_072;
const BYTES: usize = ENTRIES as usize / 8;
/// The `typ` of a list: a W3C credential secured as a JWT.
pub const TYP: &str = "vc+jwt";

/// What a set bit means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StatusPurpose {
    /// It is over.
    Revocation,
    /// It rests.
    Suspension,
}

/// A list's bits. Kept by the hub that issues it.
#[derive(Clone, PartialEq, Eq)]
pub struct StatusList {
    /// What a set bit means.
    pub purpose: StatusPurpose,
    /// Counts the changes.
    pub sequence: u64,
    bits: Box<[u8]>,
    taken: Box<[u8]>,
    used: u32,
}

fn get(bits: &[u8], index: u32) -> bool {
    bits.get(index as usize / 8).is_some_and(|byte| byte >> (7 - index % 8) & 1 == 1)
}
fn put(bits: &mut [u8], index: u32, on: bool) {
    if let Some(byte) = bits.get_mut(index as usize / 8) {
        let bit = 1 << (7 - index % 8);
        *byte = if on { *byte | bit } else { *byte & !bit };
    }
}

impl StatusList {
    /// A list with no bit set and no index taken.
    pub fn new(purpose: StatusPurpose) -> Self {
        Self { purpose, sequence: 0, bits: vec![0; BYTES].into(), taken: vec![0; BYTES].into(), used: 0 }
    }

    /// Whether the bit is set.
    pub fn is_set(&self, index: u32) -> bool {
        get(&self.bits, index)
    }

    /// Sets or clears the bit. Returns whether that changed it.
    pub fn set(&mut self, index: u32, on: bool) -> bool {
        let changed = index < ENTRIES && self.is_set(index) != on;
        if changed {
            put(&mut self.bits, index, on);
            self.sequence += 1;
        }
        changed
    }

    /// How many indexes are taken.
    pub fn taken(&self) -> u32 {
        self.used
    }

    /// Takes a random index that nobody has, never to be given again. A list that is half full gives none: a new one hides better.
    pub fn take(&mut self) -> Result<u32, ConsentError> {
        if self.used >= ENTRIES / 2 {
            return Err(ConsentError::StatusFull);
        }
        loop {
            // A power of two: the remainder prefers no index. At most half are taken, so a free one is near.
            let index = u32::from_be_bytes(random()) % ENTRIES;
            if !get(&self.taken, index) {
                put(&mut self.taken, index, true);
                self.used += 1;
                return Ok(index);
            }
        }
    }

    /// For a list that came back from a backup: what nobody has in it may have been given away since, to envelopes that nobody here knows any
    /// more. They are over, none of their places is given again, and a reader of the lost list takes this one for newer.
    pub fn give_up_rest(&mut self) {
        if self.purpose == StatusPurpose::Revocation {
            for (bits, taken) in self.bits.iter_mut().zip(&self.taken) {
                *bits |= !taken;
            }
        }
        self.taken.fill(0xff);
        self.used = ENTRIES;
        self.sequence = self.sequence.saturating_add(1 << 32);
    }

    /// The list for the store.
    pub fn to_bytes(&self) -> Vec<u8> {
        let purpose = u8::from(self.purpose == StatusPurpose::Suspension);
        let packed = gzip(&[&*self.bits, &*self.taken].concat());
        [&[1, purpose], self.sequence.to_be_bytes().as_slice(), &packed].concat()
    }

    /// Reads what [`Self::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, packed) = bytes.split_at_checked(10)?;
        let purpose = match head[..2] {
            [1, 0] => StatusPurpose::Revocation,
            [1, 1] => StatusPurpose::Suspension,
            _ => return None,
        };
        let sequence = u64::from_be_bytes(head[2..].try_into().ok()?);
        let all = gunzip(packed, 2 * BYTES)?;
        let (bits, taken) = all.split_at(BYTES);
        let used = taken.iter().map(|byte| byte.count_ones()).sum();
        Some(Self { purpose, sequence, bits: bits.into(), taken: taken.into(), used })
    }

    /// Signs the list as it is now. `url` is where it stands, `ttl_seconds` how long a reader may keep it.
    pub fn sign(&self, key: &Key, issuer: &str, url: &Iri, ttl_seconds: u32, now: DateTime) -> String {
        let claims = ListClaims {
            context: vec!["https://www.w3.org/ns/credentials/v2".to_owned()],
            id: url.clone(),
            kind: vec!["VerifiableCredential".to_owned(), "BitstringStatusListCredential".to_owned()],
            issuer: issuer.to_owned(),
            iat: now.seconds(),
            valid_from: now,
            valid_until: now.plus_seconds(i64::from(ttl_seconds)),
            sequence: self.sequence,
            subject: ListSubject {
                id: format!("{url}#list"),
                kind: "BitstringStatusList".to_owned(),
                purpose: self.purpose,
                encoded: format!("u{}", b64url(gzip(&self.bits))),
                ttl: u64::from(ttl_seconds) * 1000,
            },
        };
        jws::sign(key, TYP, &claims)
    }
}

impl std::fmt::Debug for StatusList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StatusList({:?}, sequence {}, {} taken)", self.purpose, self.sequence, self.taken())
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    // INVARIANT: writing into memory does not fail.
    let _ = out.write_all(bytes);
    out.finish().unwrap_or_default()
}

/// Exactly `size` bytes, or nothing: a list that swells is not read.
fn gunzip(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(size + 1);
    GzDecoder::new(packed).take(size as u64 + 1).read_to_end(&mut out).ok()?;
    (out.len() == size).then_some(out)
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListClaims {
    #[serde(rename = "@context")]
    context: Vec<String>,
    id: Iri,
    #[serde(rename = "type")]
    kind: Vec<String>,
    issuer: String,
    iat: i64,
    valid_from: DateTime,
    valid_until: DateTime,
    sequence: u64,
    #[serde(rename = "credentialSubject")]
    subject: ListSubject,
}
#[derive(Serialize, Deserialize)]
struct ListSubject {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "statusPurpose")]
    purpose: StatusPurpose,
    #[serde(rename = "encodedList")]
    encoded: String,
    ttl: u64,
}

/// A list as somebody read it from its issuer.
#[derive(Clone, PartialEq, Eq)]
pub struct Reading {
    /// Where it stands.
    pub url: Iri,
    /// The DID of who issued it.
    pub issuer: String,
    /// What a set bit means.
    pub purpose: StatusPurpose,
    /// As of when.
    pub as_of: DateTime,
    /// Until when it may be used.
    pub until: DateTime,
    /// Counts the issuer's changes.
    pub sequence: u64,
    bits: Box<[u8]>,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reading({}, {:?}, as of {})", self.url, self.purpose, self.as_of)
    }
}

impl Reading {
    /// Verifies a signed list.
    pub fn verify(compact: &str, keys: &dyn KeyLookup, now: DateTime) -> Result<Self, StatementError> {
        let (claims, _) = verified::<ListClaims>(compact, TYP, keys, now, |claims| &claims.issuer)?;
        let wrong = StatementError::Inconsistent;
        if !claims.kind.iter().any(|kind| kind == "BitstringStatusListCredential") || claims.subject.kind != "BitstringStatusList" {
            return Err(wrong("it is another kind of credential"));
        }
        if claims.valid_from.seconds() != claims.iat || claims.valid_until <= claims.valid_from {
            return Err(wrong("its times contradict each other"));
        }
        let packed = claims.subject.encoded.strip_prefix('u').and_then(unb64url).ok_or(wrong("the list is not base64url"))?;
        let bits = gunzip(&packed, BYTES).ok_or(wrong("the list has another length"))?;
        Ok(Self {
            url: claims.id,
            issuer: claims.issuer,
            purpose: claims.subject.purpose,
            as_of: claims.valid_from,
            until: claims.valid_until,
            sequence: claims.sequence,
            bits: bits.into(),
        })
    }

    /// Whether the bit is set. An index outside the list counts as set: it closes.
    pub fn is_set(&self, index: u32) -> bool {
        index >= ENTRIES || get(&self.bits, index)
    }
}

/// The newest reading of each list.
#[derive(Debug, Clone, Default)]
pub struct StatusLists {
    lists: HashMap<Iri, Reading>,
}

impl StatusLists {
    /// Takes in a verified list. One that is older than the last, or goes back behind it, is refused.
    pub fn take(&mut self, reading: Reading) -> Result<(), StatementError> {
        if let Some(last) = self.lists.get(&reading.url) {
            if last.issuer != reading.issuer || last.purpose != reading.purpose {
                return Err(StatementError::Inconsistent("the list has changed its issuer or purpose"));
            }
            if (reading.as_of < last.as_of || reading.sequence < last.sequence) && !fault::off("consent-old-list") {
                return Err(StatementError::Old);
            }
        }
        self.lists.insert(reading.url.clone(), reading);
        Ok(())
    }

    /// The newest reading of the list at `url`.
    pub fn get(&self, url: &str) -> Option<&Reading> {
        self.lists.get(url)
    }
}
