//! Telling other hubs: events and acknowledgements wait here until each was taken.

use crate::follow::encode;
use crate::hub::Hub;
use crate::rows::{DEAD, NOTICE, SEP, key};
use crate::scan::each_doc;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use waybill_model::Problem;
use waybill_port::{DeliveryError, Notice, Notices};
use waybill_store::{Batch, Doc};

/// Notices tried at once for one hub.
const AT_ONCE: usize = 100;
/// The longest rest after a failure that may pass by itself, in microseconds.
const REST: i64 = 15_000_000;
/// The rest after a refusal, in microseconds: somebody has to mend something first.
const REST_REFUSED: i64 = 300_000_000;

/// A row of [`NOTICE`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outgoing {
    pub hub: String,
    pub notice: Notice,
    pub attempts: u32,
    /// Whether it must not be overtaken by another of its kind: to rest and to go on undo each other, to end does not.
    #[serde(default)]
    pub in_order: bool,
    /// Whether the last answer was a refusal: then it waits for somebody to mend something, and others need not wait with it.
    #[serde(default)]
    pub refused: bool,
    /// What the last attempt met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Hub {
    pub(crate) fn queue_notice(&self, batch: &mut Batch, hub: &str, notice: Notice) {
        self.queue(batch, Outgoing { hub: hub.to_owned(), notice, attempts: 0, in_order: false, refused: false, error: None });
    }

    /// The same for a notice that must not be overtaken by another that must not.
    pub(crate) fn queue_in_order(&self, batch: &mut Batch, hub: &str, notice: Notice) {
        self.queue(batch, Outgoing { hub: hub.to_owned(), notice, attempts: 0, in_order: true, refused: false, error: None });
    }

    fn queue(&self, batch: &mut Batch, row: Outgoing) {
        batch.put_doc(NOTICE, &self.ordered_key(&row.hub), encode(&row), Some(self.inner.clock.now()));
    }

    /// Sends the notices that are due and waits for what becomes of them. Returns how many were taken.
    ///
    /// # Errors
    /// The store's.
    pub async fn send_notices(&self) -> Result<usize, Problem> {
        let mut sent = 0;
        for task in self.tell_each().await? {
            sent += task.await.unwrap_or_default();
        }
        Ok(sent)
    }

    /// Starts sending the notices that are due, one task a hub, so that none waits for another's. Returns 0: what was sent rings.
    ///
    /// # Errors
    /// The store's.
    pub async fn start_notices(&self) -> Result<usize, Problem> {
        self.tell_each().await?;
        Ok(0)
    }

    async fn tell_each(&self) -> Result<Vec<tokio::task::JoinHandle<usize>>, Problem> {
        let Some(notices) = self.inner.notices.get() else { return Ok(Vec::new()) };
        let read = |r: &waybill_store::Reader<'_>| {
            let mut rows = Vec::new();
            each_doc(r, NOTICE, "", |doc| rows.push(doc))?;
            Ok(rows)
        };
        let mut by_hub: BTreeMap<String, Vec<(Doc, Outgoing)>> = BTreeMap::new();
        for row in self.inner.store.read(read).await? {
            let Ok(outgoing) = serde_json::from_slice::<Outgoing>(&row.payload) else { continue };
            by_hub.entry(outgoing.hub.clone()).or_default().push((row, outgoing));
        }
        let mut tasks = Vec::new();
        for (hub, rows) in by_hub {
            let flight = key(&["notices", &hub]);
            if !self.flights().insert(flight.clone()) {
                continue;
            }
            let (this, notices) = (self.clone(), notices.clone());
            tasks.push(tokio::spawn(async move {
                let sent = this.tell(&hub, notices, rows).await.unwrap_or_else(|problem| {
                    tracing::warn!(hub, code = problem.code, "notices not sent");
                    0
                });
                this.flights().remove(&flight);
                sent
            }));
        }
        Ok(tasks)
    }

    /// Sends one hub what is due for it, in its order. One that cannot be reached is left alone for a while; what it refuses for good stays
    /// behind, and only what must not overtake it waits with it.
    async fn tell(&self, hub: &str, notices: Arc<dyn Notices>, rows: Vec<(Doc, Outgoing)>) -> Result<usize, Problem> {
        let now = self.inner.clock.now();
        let (mut sent, mut tried, mut order_held) = (0, 0, false);
        for (row, mut outgoing) in rows {
            if outgoing.in_order && order_held {
                continue;
            }
            if row.due.is_some_and(|due| due > now) {
                if !outgoing.refused {
                    break;
                }
                order_held |= outgoing.in_order;
                continue;
            }
            if tried == AT_ONCE {
                break;
            }
            tried += 1;
            self.sign_again(&mut outgoing.notice);
            waybill_store::crash_point("notice");
            let answer = notices.send(hub, &outgoing.notice).await;
            waybill_store::crash_point("noticed");
            let mut batch = Batch::new();
            let mut gone = false;
            match answer {
                Ok(()) => {
                    sent += 1;
                    batch.delete_doc_at(NOTICE, &row.key, row.revision);
                }
                // Nobody is harmed by an answer that is not wanted.
                Err(error) if !error.retry && matches!(outgoing.notice, Notice::Acknowledgement(_)) => {
                    tracing::warn!(hub, detail = error.detail, "an acknowledgement was refused");
                    outgoing.attempts += 1;
                    outgoing.error = Some(brief(&error));
                    batch.put_doc(DEAD, &format!("notice{SEP}{}", row.key), encode(&outgoing), None);
                    batch.delete_doc(NOTICE, &row.key);
                }
                Err(error) => {
                    outgoing.attempts += 1;
                    order_held |= outgoing.in_order;
                    gone = error.retry;
                    (outgoing.refused, outgoing.error) = (!gone, Some(brief(&error)));
                    if !gone {
                        tracing::warn!(hub, detail = error.detail, "an event was refused: until it is taken, this hub sends no heartbeat there");
                    }
                    batch.put_doc(NOTICE, &row.key, encode(&outgoing), Some(now.plus_micros(rest_after(&error, outgoing.attempts))));
                }
            }
            self.commit(batch).await?;
            if gone {
                break;
            }
        }
        Ok(sent)
    }
}

impl Hub {
    /// A notice may have waited longer than the key lasted that signed it.
    fn sign_again(&self, notice: &mut Notice) {
        let (Notice::Event(compact) | Notice::Acknowledgement(compact) | Notice::Heartbeat(compact)) = notice;
        let ring = self.keys();
        if let Some(again) = waybill_keys::jws::renewed(compact, &ring.key_set(), ring.active(), self.inner.clock.now()) {
            *compact = again;
        }
    }
}

fn brief(error: &DeliveryError) -> String {
    error.detail.chars().take(300).collect()
}

/// For how long a notice rests after a failed attempt, in microseconds.
fn rest_after(error: &DeliveryError, attempts: u32) -> i64 {
    if !error.retry {
        return REST_REFUSED;
    }
    let asked = error.after.map(|d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX));
    asked.unwrap_or_else(|| 250_000i64 << attempts.min(7)).min(REST)
}
