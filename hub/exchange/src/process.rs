//! Processes of an adapter that outlive a crash: where each stands, what happened to it, and when it is to be looked at again.
//!
//! A step writes the new state, what happened, and when work is due, in one Batch with the journal's record. What is still to be
//! sent is part of the state; so a process that died between two steps goes on where it was, and a step is taken once.

use crate::follow::encode;
use crate::hub::Hub;
use crate::rows::key;
use serde::de::DeserializeOwned;
use serde_json::Value;
use waybill_journal::{Kind, Record};
use waybill_model::{DateTime, PartyId, Problem, ProblemCode, TenantId};
use waybill_store::{Batch, Doc};

/// The most entries of one page.
const MOST: usize = 1000;
/// The crash points on both sides of a step.
const STEP: [&str; 2] = ["step", "stepped"];

/// The processes of one kind, e.g. an adapter's negotiations. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    hub: Hub,
    kind: &'static str,
}

/// A process as it stands.
#[derive(Debug, Clone)]
pub struct Entry<T> {
    /// Its identifier.
    pub id: String,
    /// Which state of it this is; a step names it.
    pub revision: u64,
    /// When it is to be looked at again.
    pub due: Option<DateTime>,
    /// Where it stands.
    pub state: T,
}

/// One step of a process.
#[derive(Debug, Default)]
pub struct Step {
    /// The process.
    pub id: String,
    /// The revision that it was decided on; nothing for a process that must not exist yet.
    pub expected: Option<u64>,
    /// Where the process stands afterwards.
    pub state: Vec<u8>,
    /// When it is to be looked at again.
    pub due: Option<DateTime>,
    /// What happened, for its history. `null` writes none.
    pub event: Value,
    /// Other names that it is found by from now on; taken by no other process.
    pub aliases: Vec<String>,
    /// What the journal is to say.
    pub record: Option<ProcessRecord>,
}

/// What the journal says of a step. Names no person.
#[derive(Debug)]
pub struct ProcessRecord {
    /// The other party, when it is known as one.
    pub party: Option<PartyId>,
    /// What happened.
    pub detail: Value,
}

impl Step {
    /// A step of `id`, decided on `expected`, that leads to `state`.
    pub fn new(id: &str, expected: Option<u64>, state: &impl serde::Serialize) -> Self {
        Self { id: id.to_owned(), expected, state: encode(state), ..Self::default() }
    }
}

impl Hub {
    /// Takes several steps at once: all of them or none. Durable when this returns.
    ///
    /// # Errors
    /// As [`Ledger::commit`].
    pub async fn commit_steps(&self, steps: Vec<(Ledger, Step)>) -> Result<u64, Problem> {
        let mut batch = Batch::new();
        for (ledger, step) in steps {
            ledger.add(&mut batch, step);
        }
        Ok(self.commit_between(batch, STEP).await?.revision)
    }

    /// The processes of `kind`, a fixed word such as `dsp-negotiation`.
    pub fn ledger(&self, kind: &'static str) -> Ledger {
        Ledger { hub: self.clone(), kind }
    }
}

impl Ledger {
    fn space(&self) -> String {
        format!("process/{}", self.kind)
    }
    fn alias_space(&self) -> String {
        format!("process-name/{}", self.kind)
    }
    fn stream(&self, id: &str) -> String {
        format!("process/{}/{id}", self.kind)
    }

    /// Takes a step. Durable when this returns.
    ///
    /// # Errors
    /// `store-conflict` when the process moved on meanwhile, exists already, or one of the aliases is taken: look again. The store's.
    pub async fn commit(&self, step: Step) -> Result<u64, Problem> {
        let mut batch = Batch::new();
        self.add(&mut batch, step);
        Ok(self.hub.commit_between(batch, STEP).await?.revision)
    }

    /// Forgets a process as it stood at `revision`: for what is kept about something that is gone. Its history and its other names stay.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn forget(&self, id: &str, revision: u64) -> Result<(), Problem> {
        let mut batch = Batch::new();
        batch.expect_doc(&self.space(), id, Some(revision));
        batch.delete_doc(&self.space(), id);
        self.hub.commit_between(batch, STEP).await?;
        Ok(())
    }

    fn add(&self, batch: &mut Batch, step: Step) {
        let space = self.space();
        batch.expect_doc(&space, &step.id, step.expected);
        batch.put_doc(&space, &step.id, step.state, step.due);
        for alias in &step.aliases {
            batch.expect_doc(&self.alias_space(), alias, None);
            batch.put_doc(&self.alias_space(), alias, step.id.as_bytes(), None);
        }
        if !step.event.is_null() {
            batch.append(&self.stream(&step.id), encode(&step.event));
        }
        if let Some(record) = step.record {
            let at = self.hub.clock().now();
            let told = Record::new(Kind::Agreement, TenantId::main(), at).recipient(record.party).detail(record.detail);
            self.hub.journal().append(batch, told);
        }
    }

    /// The process `id`.
    ///
    /// # Errors
    /// The store's; also when the row is not what this version writes.
    pub async fn get<T: DeserializeOwned>(&self, id: &str) -> Result<Option<Entry<T>>, Problem> {
        let (space, id) = (self.space(), id.to_owned());
        self.hub.store().read(move |r| r.doc(&space, &id)).await?.map(read).transpose()
    }

    /// The process that goes by `alias`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn named<T: DeserializeOwned>(&self, alias: &str) -> Result<Option<Entry<T>>, Problem> {
        let (names, space, alias) = (self.alias_space(), self.space(), alias.to_owned());
        let found = self.hub.store().read(move |r| {
            let Some(id) = r.doc(&names, &alias)?.and_then(|d| String::from_utf8(d.payload).ok()) else { return Ok(None) };
            r.doc(&space, &id)
        });
        found.await?.map(read).transpose()
    }

    /// Processes that are due, the longest due first.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn due<T: DeserializeOwned>(&self, limit: usize) -> Result<Vec<Entry<T>>, Problem> {
        let (space, now) = (self.space(), self.hub.clock().now());
        let rows = self.hub.store().read(move |r| r.due(&space, now, limit.min(MOST))).await?;
        rows.into_iter().map(read).collect()
    }

    /// Processes in the order of their identifiers, from the first behind `after` on.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn list<T: DeserializeOwned>(&self, limit: usize, after: Option<&str>) -> Result<Vec<Entry<T>>, Problem> {
        let (space, after) = (self.space(), after.map(str::to_owned));
        let rows = self.hub.store().read(move |r| r.docs(&space, "", limit.min(MOST), after.as_deref())).await?;
        rows.into_iter().map(read).collect()
    }

    /// What happened to a process, in order.
    ///
    /// # Errors
    /// The store's.
    pub async fn history(&self, id: &str) -> Result<Vec<Value>, Problem> {
        let stream = self.stream(id);
        let rows = self.hub.store().read(move |r| r.stream(&stream, 1, MOST)).await?;
        Ok(rows.iter().filter_map(|(_, bytes)| serde_json::from_slice(bytes).ok()).collect())
    }

    /// Returns when something was committed in this hub, or at once when that happened since the last call returned to somebody.
    pub async fn rung(&self) {
        self.hub.inner.bell.notified().await;
    }
}

/// Joins the parts of an alias.
pub fn alias(parts: &[&str]) -> String {
    key(parts)
}

fn read<T: DeserializeOwned>(doc: Doc) -> Result<Entry<T>, Problem> {
    let state = serde_json::from_slice(&doc.payload).map_err(|e| {
        Problem::new(ProblemCode("process-unreadable"), 500, "A process cannot be read", format!("its row is not what this version writes: {e}"))
            .help("Run the version that wrote it, or restore a backup.")
    })?;
    Ok(Entry { id: doc.key, revision: doc.revision, due: doc.due, state })
}
