//! Segments: a stretch of the chain whose end is signed, and which may be dropped when it was kept long enough.

use crate::chain::{self, STREAM, START};
use crate::subject::INDEXES;
use crate::{Journal, JournalError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use waybill_keys::{Key, KeyLookup, b64url, jws};
use waybill_model::DateTime;
use waybill_store::{Batch, Reader, StoreError};

pub(crate) const SEGMENTS: &str = "journal.segment";

/// Signs a statement's bytes; the text that comes back holds the statement. See [`signed_by`].
pub type Signer<'a> = dyn Fn(&[u8]) -> String + Send + Sync + 'a;
/// Checks what a [`Signer`] made and gives the statement's bytes back, or says why not.
pub type Verifier<'a> = dyn Fn(&str) -> Result<Vec<u8>, String> + Send + Sync + 'a;

/// The statement of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its number, from 1.
    pub segment: u64,
    /// Its first record.
    pub first: u64,
    /// Its last record.
    pub last: u64,
    /// The hash of the record before the first, base64url.
    pub before: String,
    /// The hash of the last record, base64url. It covers the whole chain up to there.
    pub hash: String,
    /// The time of the last record.
    pub until: DateTime,
    /// When it was sealed.
    pub sealed: DateTime,
    /// What the signer made. Not part of the statement.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub signed: String,
}

impl Segment {
    /// The bytes that are signed.
    pub fn statement(&self) -> Vec<u8> {
        let bare = Self { signed: String::new(), ..self.clone() };
        // INVARIANT: numbers, strings and times always serialise.
        serde_json::to_vec(&bare).unwrap_or_default()
    }

    /// Whether `statement`, however it is spaced and ordered, is this one's.
    pub(crate) fn says(&self, statement: &[u8]) -> bool {
        serde_json::from_slice::<Self>(statement).is_ok_and(|said| said.statement() == self.statement())
    }
}

/// The kind of JWS that a segment's signature is.
const TYP: &str = "waybill-journal-segment+jwt";

/// A [`Signer`] that signs with `key`.
pub fn signed_by(key: &Key) -> impl Fn(&[u8]) -> String + Send + Sync + '_ {
    move |statement| {
        // INVARIANT: a statement is JSON text.
        let raw: Option<&RawValue> = serde_json::from_slice(statement).ok();
        jws::sign(key, TYP, &raw)
    }
}

/// A [`Verifier`] of what [`signed_by`] signed with one of `keys`, also when the key was replaced since.
pub fn checked_by(keys: &(dyn KeyLookup + Send + Sync), now: DateTime) -> impl Fn(&str) -> Result<Vec<u8>, String> + Send + Sync {
    move |signed| jws::verify(signed, TYP, keys, now).map(|good| good.payload).map_err(|e| e.to_string())
}

fn key(number: u64) -> String {
    format!("{number:020}")
}

pub(crate) fn all(reader: &Reader<'_>) -> Result<Vec<Segment>, StoreError> {
    let docs = reader.docs(SEGMENTS, "", usize::MAX, None)?;
    docs.iter().map(|doc| read(&doc.payload)).collect()
}

fn read(payload: &[u8]) -> Result<Segment, StoreError> {
    serde_json::from_slice(payload).map_err(|_| StoreError::Corrupt("a journal segment's statement cannot be read".into()))
}

impl Journal {
    /// Seals what came since the last segment as a new one, signed by `sign`. Nothing when nothing came, or when somebody else was quicker.
    ///
    /// # Errors
    /// When the store does not answer or the last record cannot be read.
    pub async fn seal(&self, now: DateTime, sign: &Signer<'_>) -> Result<Option<Segment>, JournalError> {
        let store = &self.0.store;
        let (last, head, payload) = store
            .read(|r| {
                let head = r.stream_head(STREAM)?;
                let payload = r.stream(STREAM, head.max(1), 1)?.pop().map(|(_, payload)| payload);
                Ok((r.last_doc(SEGMENTS)?.map(|doc| read(&doc.payload)).transpose()?, head, payload))
            })
            .await?;
        let first = last.as_ref().map_or(0, |s| s.last) + 1;
        let Some(payload) = payload.filter(|_| head >= first) else { return Ok(None) };
        let unreadable = |why: &str| JournalError::Unreadable(format!("record {head}: {why}"));
        let link = chain::read(&payload).map_err(unreadable)?;
        let body: crate::record::Body = serde_json::from_slice(link.body).map_err(|_| unreadable("it is no record"))?;
        let mut segment = Segment {
            segment: last.as_ref().map_or(0, |s| s.segment) + 1,
            first,
            last: head,
            before: last.map_or_else(|| b64url(START.hash), |s| s.hash),
            hash: b64url(link.hash),
            until: body.at,
            sealed: now,
            signed: String::new(),
        };
        segment.signed = sign(&segment.statement());
        let text = serde_json::to_vec(&segment).map_err(|e| StoreError::Invalid(e.to_string()))?;
        let mut batch = Batch::new();
        batch.expect_doc(SEGMENTS, &key(segment.segment), None).put_doc(SEGMENTS, &key(segment.segment), text, None);
        match store.commit(batch).await {
            Ok(_) => Ok(Some(segment)),
            Err(StoreError::Conflict { .. }) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Drops the records of all sealed segments that ended before `before`. Their signed statements stay, and the chain verifies from there. Returns
    /// the number of the first record that is left.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn retain(&self, before: DateTime) -> Result<u64, JournalError> {
        let store = &self.0.store;
        let (segments, head) = store.read(|r| Ok((all(r)?, r.stream_head(STREAM)?))).await?;
        // The last record stays: the next one is tied to it.
        let keep = segments.iter().take_while(|s| s.until < before).last().map_or(1, |s| s.last + 1).min(head.max(1));
        let mut after: Option<String> = None;
        loop {
            let from = after.clone();
            let page = store.read(move |r| r.streams(INDEXES, 500, from.as_deref())).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            let mut batch = Batch::new();
            batch.then(move |reader| forget_before(reader, &page, keep));
            store.commit(batch).await?;
        }
        let mut batch = Batch::new();
        batch.truncate_stream(STREAM, keep);
        store.commit(batch).await?;
        Ok(keep)
    }
}

/// Takes out of people's indexes what points before record `keep`.
fn forget_before(reader: &Reader<'_>, indexes: &[String], keep: u64) -> Result<Batch, StoreError> {
    let mut batch = Batch::new();
    for index in indexes {
        let entries = reader.stream(index, 0, usize::MAX)?;
        let stays = |payload: &[u8]| crate::subject::read_entry(payload).is_none_or(|(number, _)| number >= keep);
        match entries.iter().find(|(_, payload)| stays(payload)) {
            Some((at, _)) => batch.truncate_stream(index, *at),
            None => batch.delete_stream(index),
        };
    }
    Ok(batch)
}
