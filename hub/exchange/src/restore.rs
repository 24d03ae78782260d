//! After a restore: what was closed after the backup was made is closed again, before anything is answered.

use crate::consent::told;
use crate::hub::Hub;
use waybill_journal::{Kind, Record};
use waybill_model::{Problem, ProblemCode, TenantId};
use waybill_store::Batch;

impl Hub {
    /// Closes again what the store's ledger says was closed since the backup that this store was restored from. Does nothing on a store
    /// that was not restored.
    ///
    /// # Errors
    /// When the ledger is lost: then nobody knows what was withdrawn, and the hub does not start. The store's.
    pub async fn settle_restore(&self) -> Result<(), Problem> {
        let (from, lost) = self.inner.store.read(|r| Ok((r.restored_from()?, r.ledger_lost()?))).await?;
        if lost {
            return Err(Problem::new(
                ProblemCode("restore-ledger-lost"),
                500,
                "Withdrawals since the backup are unknown",
                "the ledger of closed consents beside the database is missing, so what was withdrawn after the backup could be revived",
            )
            .help("Put the ledger file of the old data directory back, or close all consents and ask anew."));
        }
        let Some(epoch) = from else { return Ok(()) };
        let notes = self.inner.store.read(move |r| r.withdrawn(epoch)).await?;
        let now = self.inner.clock.now();
        let mut closed = 0u64;
        for (_, note) in notes {
            let hub = self.clone();
            let applied = self
                .inner
                .store
                .read(move |r| {
                    let ring = hub.keys();
                    hub.inner.book.reapply(r, &note, &ring, now).map_err(told)
                })
                .await?;
            if let Some(applied) = applied {
                closed += applied.closed.len() as u64;
                self.commit(applied.batch).await?;
            }
        }
        self.inner.journal.recover().await?;
        let mut batch = Batch::new();
        batch.settle_restore();
        self.inner.journal.append(&mut batch, Record::new(Kind::Restore, TenantId::main(), now).left(closed, None));
        self.commit(batch).await.map(drop)
    }
}
