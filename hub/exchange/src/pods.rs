//! What is to be changed in her pod waits here until it is done.

use crate::follow::encode;
use crate::hub::Hub;
use crate::rows::{DEAD, POD, key};
use waybill_model::{Iri, Problem};
use waybill_port::AccessChange;
use waybill_store::Batch;

impl Hub {
    /// Puts a document into her acknowledgements container, when she has a pod here.
    pub(crate) fn acknowledge_to_her(&self, batch: &mut Batch, subject: &Iri, document: &serde_json::Value) {
        self.queue_pod(batch, subject, &AccessChange::Acknowledge { document: document.to_string() });
    }

    pub(crate) fn queue_pod(&self, batch: &mut Batch, subject: &Iri, change: &AccessChange) {
        if self.inner.pods.read().unwrap_or_else(std::sync::PoisonError::into_inner).is_empty() {
            return;
        }
        batch.put_doc(POD, &self.ordered_key(subject.as_str()), encode(&(subject, change)), Some(self.inner.clock.now()));
    }

    /// Carries out changes in pods that are due. Returns how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn change_pods(&self) -> Result<usize, Problem> {
        let now = self.inner.clock.now();
        let rows = self.inner.store.read(move |r| r.due(POD, now, 50)).await?;
        let mut done = 0;
        for row in rows {
            let Ok((subject, change)) = serde_json::from_slice::<(Iri, AccessChange)>(&row.payload) else { continue };
            let pods: Vec<_> = self.inner.pods.read().unwrap_or_else(std::sync::PoisonError::into_inner).values().cloned().collect();
            waybill_store::crash_point("pod");
            let mut answer = Ok(());
            for pod in pods.iter().filter(|p| p.serves(&subject)) {
                answer = pod.apply(&subject, &change).await;
            }
            waybill_store::crash_point("pod-done");
            let mut batch = Batch::new();
            match answer {
                Ok(()) => {
                    done += 1;
                    batch.delete_doc_at(POD, &row.key, row.revision);
                }
                Err(error) if error.retry => {
                    batch.put_doc(POD, &row.key, row.payload.clone(), Some(now.plus_seconds(5)));
                }
                Err(error) => {
                    tracing::warn!(detail = error.detail, "a change in a pod was refused");
                    batch.put_doc(DEAD, &key(&["pod", &row.key]), row.payload.clone(), None);
                    batch.delete_doc_at(POD, &row.key, row.revision);
                }
            }
            self.commit(batch).await?;
        }
        Ok(done)
    }
}
