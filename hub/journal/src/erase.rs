//! Erasing a person: her key is destroyed, every byte of the chain stays.

use crate::subject::{SUBJECTS, index_of, read};
use crate::{Journal, JournalError, Kind, Record};
use waybill_model::{Iri, TenantId};
use waybill_store::{Batch, Store};

const NOTE: &str = "journal.erase ";

impl Journal {
    /// What erases `subject` from the journal, to be committed with whatever erases her elsewhere. Her sealed parts can then be opened by nobody, and
    /// nothing tells that they were hers; the chain still verifies. A record says that somebody was erased. Nothing happens when the
    /// journal does not know her.
    ///
    /// After the commit, [`waybill_store::Store::scrub`] removes what deletion left in the files. The epoch rises, so that a backup that still has
    /// her key does not bring it back: see [`Self::recover`].
    pub fn erase(&self, subject: &Iri) -> Batch {
        self.forget(subject);
        let mut batch = Batch::new();
        let (journal, subject, pepper) = (self.clone(), subject.clone(), self.0.pepper);
        batch.then(move |reader| {
            let mut batch = Batch::new();
            let Some(found) = pepper.find(reader, &subject)? else { return Ok(batch) };
            let index = index_of(&found.handle);
            let closed = reader.stream_head(&index)?;
            batch.delete_doc(SUBJECTS, &pepper.key(&subject)).delete_stream(&index).raise_epoch(format!("{NOTE}{}", found.handle));
            journal.append(&mut batch, Record::new(Kind::Erasure, TenantId::main(), reader.now()).left(closed, None));
            Ok(batch)
        });
        batch
    }

    /// After a restore: erases again whom the ledger says was erased since the backup. Returns how many. Call it before anything is released.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn recover(&self) -> Result<usize, JournalError> {
        let store: &Store = &self.0.store;
        let gone = store
            .read(|r| {
                let Some(from) = r.restored_from()? else { return Ok(Vec::new()) };
                let notes = r.withdrawn(from)?;
                Ok(notes.iter().filter_map(|(_, note)| Some(std::str::from_utf8(note).ok()?.strip_prefix(NOTE)?.to_owned())).collect())
            })
            .await?;
        let mut erased = 0;
        let mut after: Option<String> = None;
        while !gone.is_empty() {
            let from = after.clone();
            let page = store.read(move |r| r.docs(SUBJECTS, "", 500, from.as_deref())).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            let mut batch = Batch::new();
            for doc in &page {
                let subject = read(&doc.payload)?;
                if gone.contains(&subject.handle) {
                    batch.delete_doc(SUBJECTS, &doc.key).delete_stream(&index_of(&subject.handle));
                    self.append(&mut batch, Record::new(Kind::Erasure, TenantId::main(), store.clock().now()).detail(serde_json::json!({ "reason": "restored" })));
                    erased += 1;
                }
            }
            store.commit(batch).await?;
        }
        Ok(erased)
    }
}
