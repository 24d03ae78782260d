//! What happens often and concerns nobody: counted in memory, written once a minute.

use crate::{Journal, JournalError, Kind, Record};
use serde_json::json;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use waybill_model::{DateTime, Iri, PartyId, TenantId};
use waybill_store::Batch;

/// So many different tallies are kept; what comes beyond is counted together.
const LIMIT: usize = 10_000;
/// So many records go into one batch.
const BATCH: usize = 500;

/// What is counted together in one minute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tally {
    /// [`Kind::OpenRead`], [`Kind::Refusal`] or another kind that may be counted.
    pub kind: Kind,
    /// In whose store.
    pub tenant: TenantId,
    /// Who.
    pub recipient: Option<PartyId>,
    /// For what.
    pub purpose: Option<Iri>,
    /// Whose data, when it is a refusal that should stand on her page.
    pub subject: Option<Iri>,
    /// The reason's stable code.
    pub reason: Cow<'static, str>,
}

#[derive(Default)]
pub(crate) struct Counters(Mutex<BTreeMap<(i64, Tally), u64>>);

fn minute(at: DateTime) -> i64 {
    at.seconds().div_euclid(60)
}

impl Journal {
    /// Counts `times` of it in the minute of `at`. Costs no write; a crash may lose up to the minute that is being counted.
    pub fn coalesce(&self, tally: Tally, at: DateTime, times: u64) {
        let mut counters = self.0.counters.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = counters.len() >= LIMIT;
        let mut key = (minute(at), tally);
        if full && !counters.contains_key(&key) {
            let Tally { kind, tenant, .. } = key.1;
            key.1 = Tally { kind, tenant, recipient: None, purpose: None, subject: None, reason: Cow::Borrowed("many-callers") };
        }
        let count = counters.entry(key).or_default();
        *count = count.saturating_add(times);
    }

    /// Forgets in what is being counted that it was about `subject`.
    pub(crate) fn forget(&self, subject: &Iri) {
        let mut counters = self.0.counters.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hers: Vec<_> = counters.keys().filter(|(_, t)| t.subject.as_ref() == Some(subject) || t.recipient.as_ref() == Some(subject)).cloned().collect();
        for key in hers {
            let count = counters.remove(&key).unwrap_or_default();
            let (minute, mut tally) = key;
            tally.subject = None;
            tally.recipient = tally.recipient.filter(|party| party != subject);
            *counters.entry((minute, tally)).or_default() += count;
        }
    }

    /// Writes the minutes that are over at `now`; call it every minute. Returns how many records were written.
    ///
    /// # Errors
    /// When the store did not take them. Then they are still counted and the next flush tries again.
    pub async fn flush(&self, now: DateTime) -> Result<usize, JournalError> {
        self.flush_until(minute(now)).await
    }

    /// Writes all that is counted, also the present minute; for a graceful stop.
    ///
    /// # Errors
    /// As [`Self::flush`].
    pub async fn flush_all(&self) -> Result<usize, JournalError> {
        self.flush_until(i64::MAX).await
    }

    async fn flush_until(&self, end: i64) -> Result<usize, JournalError> {
        let mut written = 0;
        loop {
            let due: Vec<_> = {
                let mut counters = self.0.counters.0.lock().unwrap_or_else(PoisonError::into_inner);
                let keys: Vec<_> = counters.keys().take_while(|(m, _)| *m < end).take(BATCH).cloned().collect();
                keys.into_iter().filter_map(|key| counters.remove_entry(&key)).collect()
            };
            if due.is_empty() {
                return Ok(written);
            }
            let mut batch = Batch::new();
            for ((minute, tally), count) in &due {
                self.append(&mut batch, record(*minute, tally, *count));
            }
            match self.0.store.commit(batch).await {
                Ok(_) => written += due.len(),
                Err(e) => {
                    let mut counters = self.0.counters.0.lock().unwrap_or_else(PoisonError::into_inner);
                    for (key, count) in due {
                        *counters.entry(key).or_default() += count;
                    }
                    return Err(e.into());
                }
            }
        }
    }
}

fn record(minute: i64, tally: &Tally, count: u64) -> Record {
    let record = Record::new(tally.kind, tally.tenant.clone(), DateTime::from_seconds(minute.saturating_mul(60)))
        .recipient(tally.recipient.clone())
        .purpose(tally.purpose.clone())
        .left(count, None)
        .detail(json!({ "seconds": 60, "reason": tally.reason }));
    match &tally.subject {
        Some(subject) => record.about(subject.clone(), None, serde_json::Value::Null),
        None => record,
    }
}
