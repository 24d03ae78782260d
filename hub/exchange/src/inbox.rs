//! The inbox: what came in lies here, durably, until it is admitted or refused.

use crate::follow::encode;
use crate::hub::Hub;
use crate::rows::{INBOX, key};
use serde::{Deserialize, Serialize};
use waybill_model::{DateTime, EnvelopeHash, Iri, Problem, ProblemCode, TenantId};
use waybill_store::Batch;

/// Deliveries of one connection admitted at once.
const AT_ONCE: usize = 50;

/// Failed attempts are counted so far while it is the sender who cannot be reached: that ends by itself, and is waited for.
const UNREACHED: u32 = 7;
/// So often more is tried, half a minute apart, when the sender refuses its own documents: its credentials or keys may be about to change.
const REFUSALS: u32 = 20;

/// How one connection's data is to be treated.
#[derive(Debug, Clone)]
pub struct Intake {
    /// Whose store it goes to.
    pub tenant: TenantId,
    /// The base URL of the hub at the other end, when there is one: what is personal must then be tagged by it.
    pub hub: Option<String>,
    /// The followers that feed the store at the other end, when this hub does: what comes back is compared with what was sent.
    pub fed_by: Vec<Iri>,
    /// The SHA-256 of the secret that the other end shows with what it sends.
    pub secret: [u8; 32],
}

/// One entity as it came.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Incoming {
    /// It is new or changed: the canonical document, tags inside.
    Changed(String),
    /// It is gone there, or some of its Attributes are.
    Gone {
        /// The entity.
        id: Iri,
        /// The Attributes that are gone; none when the whole entity is.
        attributes: Vec<Iri>,
    },
}

/// A delivery as it lies in the inbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Parcelled {
    /// The connection.
    pub connection: String,
    /// What came.
    pub items: Vec<Incoming>,
    /// Where the sender's manifest lies; or the manifest itself, where whoever brought it was the one that could fetch it.
    pub manifest: Option<String>,
    /// The envelope that it comes under, where this hub states one for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<EnvelopeHash>,
    /// When it came.
    pub at: DateTime,
    /// Failed attempts to admit it: the sender's documents could not be fetched. Beyond a few, how often the sender refused them.
    #[serde(default)]
    pub attempts: u32,
}

impl Parcelled {
    /// Whether `problem` may be over at a later attempt.
    pub(crate) fn waits_for(&self, problem: &Problem) -> bool {
        problem.status >= 500 || (is_refusal(problem) && self.attempts < UNREACHED + REFUSALS)
    }

    /// The parcel after an attempt that met `problem`, with the items that wait.
    fn later(&self, items: Vec<Incoming>, problem: &Problem) -> Self {
        let attempts = match self.attempts {
            n if is_refusal(problem) => n.max(UNREACHED) + 1,
            n if n >= UNREACHED => n,
            n => n + 1,
        };
        Self { items, attempts, ..self.clone() }
    }
}

/// Whether the sender answered, but gave no document or key that could be used (401, 403, an unreadable key document).
fn is_refusal(problem: &Problem) -> bool {
    problem.status < 500 && matches!(problem.code.as_str(), "peer-document" | "peer-keys")
}

/// What an attempt left to be done, and why.
pub(crate) type Left = Option<(Vec<Incoming>, Problem)>;

/// The connection of what the operator releases from quarantine.
pub(crate) const VOUCHED: &str = "vouched";

impl Hub {
    /// Says how a connection's data is to be treated.
    pub fn set_intake(&self, connection: &str, intake: Intake) {
        self.inner.intake.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(connection.to_owned(), intake);
    }

    fn intake(&self, connection: &str) -> Option<Intake> {
        self.inner.intake.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(connection).cloned()
    }

    /// Whether who shows `secret` may put something into the inbox of `connection`: to be asked before anything is made of what comes.
    ///
    /// # Errors
    /// 404 for a connection that does not exist or a wrong `secret`, in the same words.
    pub fn may_deliver(&self, connection: &str, secret: &str) -> Result<(), Problem> {
        if self.intake(connection).is_some_and(|i| i.secret == waybill_keys::sha256(secret.as_bytes())) {
            return Ok(());
        }
        Err(Problem::new(ProblemCode("inbox-not-found"), 404, "No such inbox", "there is no such inbox, or not for this sender"))
    }

    /// Takes a delivery into the inbox. Durable when this returns; admission follows.
    ///
    /// # Errors
    /// As [`Self::may_deliver`]; the store's.
    pub async fn receive(&self, connection: &str, secret: &str, items: Vec<Incoming>, manifest: Option<String>) -> Result<(), Problem> {
        self.may_deliver(connection, secret)?;
        self.lay_down(connection, items, manifest, None).await
    }

    /// The same of what this hub fetched itself.
    pub(crate) async fn lay_down(&self, connection: &str, items: Vec<Incoming>, manifest: Option<String>, under: Option<EnvelopeHash>) -> Result<(), Problem> {
        let parcel = Parcelled { connection: connection.to_owned(), items, manifest, under, at: self.inner.clock.now(), attempts: 0 };
        let mut batch = Batch::new();
        batch.put_doc(INBOX, &self.ordered_key(connection), encode(&parcel), Some(parcel.at));
        self.commit(batch).await.map(drop)
    }

    /// Admits what lies in the inbox and is due, and waits until that is done. Returns how many deliveries it looked at.
    ///
    /// # Errors
    /// The store's.
    pub async fn process_inbox(&self) -> Result<usize, Problem> {
        let mut done = 0;
        for task in self.admit_each() {
            done += task.await.unwrap_or_default();
        }
        Ok(done)
    }

    /// Starts admitting what lies in the inbox and is due, one task a connection, so that none waits for another's hub. Returns 0: what was
    /// admitted rings.
    ///
    /// # Errors
    /// None yet.
    #[allow(clippy::unused_async, reason = "a worker's step")]
    pub async fn start_inbox(&self) -> Result<usize, Problem> {
        drop(self.admit_each());
        Ok(0)
    }

    fn admit_each(&self) -> Vec<tokio::task::JoinHandle<usize>> {
        let mut connections: Vec<String> = self.inner.intake.read().unwrap_or_else(std::sync::PoisonError::into_inner).keys().cloned().collect();
        connections.push(VOUCHED.to_owned());
        let mut tasks = Vec::new();
        for connection in connections {
            let flight = key(&["inbox", &connection]);
            if !self.flights().insert(flight.clone()) {
                continue;
            }
            let hub = self.clone();
            tasks.push(tokio::spawn(async move {
                let done = hub.admit_of(&connection).await.unwrap_or_else(|problem| {
                    tracing::warn!(connection, code = problem.code, "inbox not looked at");
                    0
                });
                hub.flights().remove(&flight);
                done
            }));
        }
        tasks
    }

    /// Admits what one connection sent, in its order: an older value must not overtake, so what cannot be admitted yet holds up the rest.
    async fn admit_of(&self, connection: &str) -> Result<usize, Problem> {
        let now = self.inner.clock.now();
        let prefix = key(&[connection, ""]);
        let rows = self.inner.store.read(move |r| r.docs(INBOX, &prefix, AT_ONCE, None)).await?;
        let mut done = 0;
        for row in rows {
            if row.due.is_some_and(|due| due > now) {
                break;
            }
            let Some((parcel, intake)) = self.opened(&row.payload) else { break };
            done += 1;
            let mut batch = Batch::new();
            let left = match self.admit(&parcel, &intake).await {
                Ok(left) => left,
                // The store's: all of it is done again.
                Err(problem) => Some((parcel.items.clone(), problem)),
            };
            let Some((items, problem)) = left else {
                batch.delete_doc_at(INBOX, &row.key, row.revision);
                self.commit(batch).await?;
                continue;
            };
            tracing::warn!(connection, code = problem.code, "not admitted yet");
            let parcel = parcel.later(items, &problem);
            let wait = (250_000i64 << parcel.attempts.min(7)).min(30_000_000);
            let payload = if parcel.connection == VOUCHED { encode(&(&intake.tenant, &parcel)) } else { encode(&parcel) };
            batch.put_doc(INBOX, &row.key, payload, Some(now.plus_micros(wait)));
            self.inner.store.commit(batch).await?;
            break;
        }
        Ok(done)
    }

    /// A row of the inbox with the treatment of its connection.
    fn opened(&self, payload: &[u8]) -> Option<(Parcelled, Intake)> {
        if let Ok((tenant, parcel)) = serde_json::from_slice::<(TenantId, Parcelled)>(payload) {
            return (parcel.connection == VOUCHED).then_some((parcel, Intake { tenant, hub: None, fed_by: Vec::new(), secret: [0; 32] }));
        }
        let parcel: Parcelled = serde_json::from_slice(payload).ok()?;
        Some((self.intake(&parcel.connection)?, parcel)).map(|(intake, parcel)| (parcel, intake))
    }
}
