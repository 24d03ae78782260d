//! The key and the handle of each person, and where her records are.
//!
//! The document that ties a person to key and handle is found by a salted hash of her IRI; it is the only thing that does, and erasure deletes it.

use serde::{Deserialize, Serialize};
use waybill_keys::{SealKey, b64url, hex, random, sha256};
use waybill_model::Iri;
use waybill_store::{Batch, Reader, StoreError};

/// The space of the documents that tie a person to her key.
pub(crate) const SUBJECTS: &str = "journal.subject";

/// The stream of the numbers of a person's records.
pub(crate) fn index_of(handle: &str) -> String {
    format!("journal.of.{handle}")
}
pub(crate) const INDEXES: &str = "journal.of.";

#[derive(Serialize, Deserialize)]
struct Stored {
    handle: String,
    key: String,
}

pub(crate) struct Subject {
    pub handle: String,
    pub key: SealKey,
}

/// The salt of this journal's look-ups.
#[derive(Clone, Copy)]
pub(crate) struct Pepper(pub [u8; 32]);

impl Pepper {
    /// The key of a person's document.
    pub fn key(self, subject: &Iri) -> String {
        b64url(sha256(&[&self.0, subject.as_str().as_bytes()].concat()))
    }

    pub fn find(self, reader: &Reader<'_>, subject: &Iri) -> Result<Option<Subject>, StoreError> {
        let Some(doc) = reader.doc(SUBJECTS, &self.key(subject))? else { return Ok(None) };
        read(&doc.payload).map(Some)
    }

    /// The person's key and handle; when she has none yet, they are made and `batch` stores them.
    pub fn find_or_make(self, reader: &Reader<'_>, batch: &mut Batch, subject: &Iri) -> Result<Subject, StoreError> {
        if let Some(found) = self.find(reader, subject)? {
            return Ok(found);
        }
        let made = Subject { handle: hex(&random::<16>()), key: SealKey::generate() };
        let stored = Stored { handle: made.handle.clone(), key: made.key.to_text().to_string() };
        let text = serde_json::to_vec(&stored).map_err(|e| StoreError::Invalid(e.to_string()))?;
        batch.put_doc(SUBJECTS, &self.key(subject), text, None);
        Ok(made)
    }
}

pub(crate) fn read(payload: &[u8]) -> Result<Subject, StoreError> {
    let broken = || StoreError::Corrupt("a subject's key document cannot be read".into());
    let stored: Stored = serde_json::from_slice(payload).map_err(|_| broken())?;
    Ok(Subject { handle: stored.handle, key: SealKey::parse(&stored.key).ok_or_else(broken)? })
}

/// An entry of a person's index: the record's number, and which of its boxes is hers.
pub(crate) fn entry(number: u64, place: u32) -> Vec<u8> {
    [&number.to_be_bytes()[..], &place.to_be_bytes()].concat()
}

pub(crate) fn read_entry(payload: &[u8]) -> Option<(u64, u32)> {
    let (number, place) = payload.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), u32::from_be_bytes(place.try_into().ok()?)))
}

/// What a box is bound to: it opens in no other place.
pub(crate) fn context(number: u64, place: u32) -> Vec<u8> {
    [b"waybill journal 1".as_slice(), &entry(number, place)].concat()
}
