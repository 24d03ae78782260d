//! What one transaction does.

use crate::sqlite::index::Keys;
use crate::sqlite::spans;
use crate::{Reader, StoreError};
use waybill_model::{DateTime, EntityDoc, TenantId};

pub(crate) type CheckFn = Box<dyn FnOnce(&Reader<'_>) -> Result<(), StoreError> + Send>;
pub(crate) type AppendFn = Box<dyn FnOnce(u64, Option<&[u8]>) -> Vec<u8> + Send>;

pub(crate) type ThenFn = Box<dyn FnOnce(&Reader<'_>) -> Result<Batch, StoreError> + Send>;

pub(crate) enum Check {
    Version { tenant: TenantId, id: String, expected: Option<u64> },
    Doc { space: String, key: String, expected: Option<u64> },
    With(CheckFn),
}

/// An entity, with what can be worked out before the writer thread sees it.
pub(crate) struct Put {
    pub tenant: TenantId,
    pub doc: EntityDoc,
    pub spans: Vec<u8>,
    pub keys: Keys,
}

pub(crate) enum Op {
    PutEntity(Box<Put>),
    DeleteEntity { tenant: TenantId, id: String },
    Append { stream: String, payload: Vec<u8> },
    AppendWith { stream: String, make: AppendFn },
    Truncate { stream: String, before: u64 },
    PutDoc { space: String, key: String, payload: Vec<u8>, due: Option<DateTime> },
    DeleteDoc { space: String, key: String },
    DeleteDocAt { space: String, key: String, revision: u64 },
    RaiseEpoch { note: Vec<u8> },
    Settle,
    DeleteStream { stream: String },
    Then(ThenFn),
}

/// One transaction over entities, streams and documents. Preconditions are checked first, against the state before the batch; then the
/// steps are done in the order they were added. Either all of it happens or nothing.
#[derive(Default)]
pub struct Batch {
    pub(crate) checks: Vec<Check>,
    pub(crate) ops: Vec<Op>,
}

/// What a batch that is durable did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Committed {
    /// The sequence number of each append, in the order of the appends in the batch.
    pub sequences: Vec<u64>,
    /// The new version of each entity that was put, in the order of the puts.
    pub versions: Vec<u64>,
    /// The revision that every document put by this batch now has. Grows with every batch of the store.
    pub revision: u64,
    /// How many entities and documents that existed were deleted.
    pub deleted: u64,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing would be done or checked.
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty() && self.ops.is_empty()
    }

    /// How many steps it has.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Adds all checks and steps of `other` behind this batch's own.
    pub fn absorb(&mut self, mut other: Batch) -> &mut Self {
        self.checks.append(&mut other.checks);
        self.ops.append(&mut other.ops);
        self
    }

    /// Stores `doc` in the place of what is there. The store counts the version; all other columns are taken as they are.
    pub fn put_entity(&mut self, tenant: &TenantId, doc: &EntityDoc) -> &mut Self {
        let put = Put { tenant: tenant.clone(), doc: doc.clone(), spans: spans::encode(doc), keys: Keys::of(doc) };
        self.ops.push(Op::PutEntity(Box::new(put)));
        self
    }

    /// Deletes the entity; nothing happens when there is none.
    pub fn delete_entity(&mut self, tenant: &TenantId, id: &str) -> &mut Self {
        self.ops.push(Op::DeleteEntity { tenant: tenant.clone(), id: id.to_owned() });
        self
    }

    /// Needs the entity to have this version, or to be absent (`None`; an expired one counts as absent). Otherwise [`StoreError::Conflict`].
    pub fn expect_version(&mut self, tenant: &TenantId, id: &str, expected: Option<u64>) -> &mut Self {
        self.checks.push(Check::Version { tenant: tenant.clone(), id: id.to_owned(), expected });
        self
    }

    /// Appends to the stream. The sequence numbers of a stream run from 1 without a gap; [`Committed::sequences`] has this one's.
    pub fn append(&mut self, stream: &str, payload: impl Into<Vec<u8>>) -> &mut Self {
        self.ops.push(Op::Append { stream: stream.to_owned(), payload: payload.into() });
        self
    }

    /// Appends what `make` returns. It runs on the writer thread in the order of commits, and is given the sequence number and the payload
    /// before it (nothing for the first), so that a record can chain to its predecessor. It must be quick and must not panic.
    pub fn append_with(&mut self, stream: &str, make: impl FnOnce(u64, Option<&[u8]>) -> Vec<u8> + Send + 'static) -> &mut Self {
        self.ops.push(Op::AppendWith { stream: stream.to_owned(), make: Box::new(make) });
        self
    }

    /// Forgets the stream's records before `before`. Its last record always stays.
    pub fn truncate_stream(&mut self, stream: &str, before: u64) -> &mut Self {
        self.ops.push(Op::Truncate { stream: stream.to_owned(), before });
        self
    }

    /// Deletes the stream with all its records. Should it come into being again, its numbers run from 1 again.
    pub fn delete_stream(&mut self, stream: &str) -> &mut Self {
        self.ops.push(Op::DeleteStream { stream: stream.to_owned() });
        self
    }

    /// Does what `make` returns, at this place among the steps. It runs on the writer thread and sees the state as the steps before it left
    /// it; nothing comes between what it saw and what it returns. It must be quick. When it fails, so does the whole batch.
    pub fn then(&mut self, make: impl FnOnce(&Reader<'_>) -> Result<Batch, StoreError> + Send + 'static) -> &mut Self {
        self.ops.push(Op::Then(Box::new(make)));
        self
    }

    /// Stores a document in the place of what is there. With `due`, [`Reader::due`] finds it from that time on.
    pub fn put_doc(&mut self, space: &str, key: &str, payload: impl Into<Vec<u8>>, due: Option<DateTime>) -> &mut Self {
        self.ops.push(Op::PutDoc { space: space.to_owned(), key: key.to_owned(), payload: payload.into(), due });
        self
    }

    /// Deletes the document; nothing happens when there is none.
    pub fn delete_doc(&mut self, space: &str, key: &str) -> &mut Self {
        self.ops.push(Op::DeleteDoc { space: space.to_owned(), key: key.to_owned() });
        self
    }

    /// Removes a document if it still has this revision; else it stays, and the batch goes on. So a row of work ends that was done, and
    /// one that was written again meanwhile stays due.
    pub fn delete_doc_at(&mut self, space: &str, key: &str, revision: u64) -> &mut Self {
        self.ops.push(Op::DeleteDocAt { space: space.to_owned(), key: key.to_owned(), revision });
        self
    }

    /// Needs the document to have this revision, or to be absent (`None`). Otherwise [`StoreError::Conflict`].
    pub fn expect_doc(&mut self, space: &str, key: &str, expected: Option<u64>) -> &mut Self {
        self.checks.push(Check::Doc { space: space.to_owned(), key: key.to_owned(), expected });
        self
    }

    /// Needs `check` to return `Ok`. It runs on the writer thread, on the state that the batch will change: what it saw still holds when the
    /// batch is committed. It must be quick.
    pub fn check(&mut self, check: impl FnOnce(&Reader<'_>) -> Result<(), StoreError> + Send + 'static) -> &mut Self {
        self.checks.push(Check::With(Box::new(check)));
        self
    }

    /// Raises the store's epoch and notes why in a ledger beside the database, which no backup contains and no restore replaces. For what
    /// must never be revived by an old backup: a withdrawal, an erasure. The note must hold no personal data in the clear.
    pub fn raise_epoch(&mut self, note: impl Into<Vec<u8>>) -> &mut Self {
        self.ops.push(Op::RaiseEpoch { note: note.into() });
        self
    }

    /// Says that everything that [`Reader::withdrawn`] lists has been applied again after a restore: [`Reader::restored_from`] then
    /// says nothing any more.
    pub fn settle_restore(&mut self) -> &mut Self {
        self.ops.push(Op::Settle);
        self
    }
}
