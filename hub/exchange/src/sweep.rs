//! Rows that have had their time.

use crate::hub::Hub;
use crate::pulled::PULLED;
use crate::rows::EVENT_SEEN;
use waybill_gate::MANIFEST;
use waybill_model::Problem;
use waybill_store::Batch;

/// Rows deleted at once.
const AT_ONCE: usize = 500;
/// How often it is looked, in seconds.
const EVERY: i64 = 60;

impl Hub {
    /// Deletes manifests that need not be fetched any more, names of events that nobody sends again, and what organisations were given and have been told long ago is gone; finishes erasures whose followers were
    /// told late. Returns how many rows went.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep(&self) -> Result<usize, Problem> {
        let now = self.inner.clock.now();
        {
            let mut swept = self.inner.swept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if swept.is_some_and(|at| now < at.plus_seconds(EVERY)) {
                return Ok(0);
            }
            *swept = Some(now);
        }
        self.scrub_what_is_told().await?;
        let mut done = 0;
        for space in [MANIFEST, EVENT_SEEN, PULLED] {
            loop {
                let rows = self.inner.store.read(move |r| r.due(space, now, AT_ONCE)).await?;
                let mut batch = Batch::new();
                for row in &rows {
                    batch.delete_doc_at(space, &row.key, row.revision);
                }
                if !rows.is_empty() {
                    self.inner.store.commit(batch).await?;
                }
                done += rows.len();
                if rows.len() < AT_ONCE {
                    break;
                }
            }
        }
        Ok(done)
    }
}
