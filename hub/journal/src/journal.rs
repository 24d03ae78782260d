//! The handle, and how a record gets into the chain.

use crate::chain::{self, Anchor, START, STREAM};
use crate::coalesce::Counters;
use crate::record::{Body, Record, Sealed};
use crate::segment::Segment;
use crate::subject::{Pepper, Subject, context, entry, index_of};
use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::sync::Arc;
use waybill_keys::{b64url, random, seal, sha256};
use waybill_model::{Iri, Problem, ProblemCode};
use waybill_store::{Batch, Committed, Reader, Store, StoreError};

const SETTINGS: &str = "journal";
const PEPPER: &str = "pepper";

/// Why the journal did not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The store did not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored is no journal of ours.
    #[error("the journal cannot be read: {0}")]
    Unreadable(String),
}

impl From<JournalError> for Problem {
    fn from(e: JournalError) -> Self {
        match e {
            JournalError::Store(e) => e.into(),
            JournalError::Unreadable(detail) => Problem::new(ProblemCode("journal-unreadable"), 500, "Journal damaged", detail)
                .help("Run `waybill journal verify`: it names the first bad record."),
        }
    }
}

/// A handle on the journal of a store. Cheap to clone.
#[derive(Clone)]
pub struct Journal(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub store: Store,
    pub pepper: Pepper,
    pub counters: Counters,
}

impl Journal {
    /// Opens the journal of `store`, or starts it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn open(store: &Store) -> Result<Self, JournalError> {
        let find = |r: &Reader<'_>| Ok(r.doc(SETTINGS, PEPPER)?.map(|doc| doc.payload));
        let mut found = store.read(find).await?;
        if found.is_none() {
            let mut batch = Batch::new();
            batch.expect_doc(SETTINGS, PEPPER, None).put_doc(SETTINGS, PEPPER, random::<32>(), None);
            match store.commit(batch).await {
                // Somebody else was quicker.
                Ok(_) | Err(StoreError::Conflict { .. }) => found = store.read(find).await?,
                Err(e) => return Err(e.into()),
            }
        }
        let pepper = found.and_then(|p| p.try_into().ok()).ok_or_else(|| JournalError::Unreadable("its settings are damaged".into()))?;
        Ok(Self(Arc::new(Inner { store: store.clone(), pepper: Pepper(pepper), counters: Counters::default() })))
    }

    /// Adds the record to what `batch` does: the state change and its record stand or fall together. Number and chain are settled at the commit,
    /// which fails with [`StoreError::Invalid`] when the readable part names one whom the record is about.
    pub fn append(&self, batch: &mut Batch, record: Record) {
        let pepper = self.0.pepper;
        batch.then(move |reader| write(reader, pepper, record));
    }

    /// Records a release by itself, and returns when the record is durable: then the data may leave. Those who wait at the same time share one sync.
    ///
    /// # Errors
    /// When it could not be made durable. Then nothing may leave.
    pub async fn record_release(&self, record: Record) -> Result<Committed, JournalError> {
        let mut batch = Batch::new();
        self.append(&mut batch, record);
        Ok(self.0.store.commit(batch).await?)
    }

    /// The last record, for a second party to keep.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn head(&self) -> Result<Anchor, JournalError> {
        Ok(self.0.store.read(head).await?)
    }

    /// The store below.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The signed segments, in order.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn segments(&self) -> Result<Vec<Segment>, JournalError> {
        Ok(self.0.store.read(crate::segment::all).await?)
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Journal")
    }
}

/// The last record. Its hash is taken as written; [`Journal::verify`] checks.
pub(crate) fn head(reader: &Reader<'_>) -> Result<Anchor, StoreError> {
    let number = reader.stream_head(STREAM)?;
    if number == 0 {
        return Ok(START);
    }
    let last = reader.stream(STREAM, number, 1)?;
    let (_, payload) = last.first().ok_or_else(|| StoreError::Corrupt("the journal's last record is missing".into()))?;
    Ok(Anchor { number, hash: chain::hash_of(payload) })
}

/// On the writer thread: seals each person's part, ties the record to the last one, and notes it for each person.
fn write(reader: &Reader<'_>, pepper: Pepper, record: Record) -> Result<Batch, StoreError> {
    let mut batch = Batch::new();
    let last = head(reader)?;
    let number = last.number + 1;
    let salt = random::<16>();
    let himself = record.recipient.as_ref().is_some_and(|party| record.about.iter().any(|a| a.subject == *party));
    let invalid = |e: serde_json::Error| StoreError::Invalid(e.to_string());
    let mut boxes = Vec::with_capacity(record.about.len());
    let mut known: HashMap<Iri, Subject> = HashMap::new();
    for (place, about) in (0u32..).zip(record.about) {
        // One person may occur twice; her key must not be made twice.
        let subject = match known.entry(about.subject) {
            Occupied(found) => found.into_mut(),
            Vacant(place) => {
                let subject = pepper.find_or_make(reader, &mut batch, place.key())?;
                place.insert(subject)
            }
        };
        let sealed = Sealed {
            salt: b64url(salt),
            recipient: record.recipient.clone().filter(|_| himself),
            consent: about.consent,
            query: record.query.map(b64url),
            detail: about.detail,
        };
        let plain = serde_json::to_vec(&sealed).map_err(invalid)?;
        boxes.push(b64url(seal(&subject.key, &plain, &context(number, place))));
        batch.append(&index_of(&subject.handle), entry(number, place));
    }
    let query = record.query.map(|digest| if boxes.is_empty() { b64url(digest) } else { b64url(sha256(&[&salt[..], &digest].concat())) });
    let mut body = Body {
        n: number,
        kind: record.kind,
        at: record.at,
        tenant: record.tenant.as_str().to_owned(),
        recipient: record.recipient.filter(|_| !himself),
        purpose: record.purpose,
        query,
        count: record.count,
        root: record.root.map(b64url),
        boxes: Vec::new(),
        detail: record.detail,
    };
    // What is written openly stays for ever: better no record, and so no release, than one that names her. No IRI stands in a sealed box, whose
    // letters are those of base64url; and there may be many, of many persons.
    let open = serde_json::to_string(&body).map_err(invalid)?;
    if known.keys().any(|subject| open.contains(&format!("\"{subject}\""))) {
        return Err(StoreError::Invalid("a journal record names its subject in its readable part".into()));
    }
    body.boxes = boxes;
    let text = serde_json::to_string(&body).map_err(invalid)?;
    batch.append(STREAM, chain::write(last.hash, text.as_bytes()));
    Ok(batch)
}
