//! Fanning out: from what changed to who has to hear of it.
//!
//! A row of work says only *what* may look different now. Who sees a difference is found by comparing, at delivery, what the follower
//! may see with what she saw. So a grant, a narrowing, a withdrawal, a window that ended and a plain change all go the same way.

use crate::follow::followers_of;
use crate::hub::Hub;
use crate::scan::each_doc;
use crate::rows::{Behalf, Delivery, FOLLOWER, Follower, OUTBOX, SEEN, TODO, Todo, follower_entity, key, of_follower};
use crate::write::put_todo;
use std::ops::ControlFlow;
use waybill_gate::{Accumulator, WINDOW};
use waybill_model::{DateTime, EntityDoc, EnvelopeHash, Iri, Problem, TenantId};
use waybill_port::Selection;
use waybill_store::{Batch, Doc, Filter, Reader, StoreError};

/// Rows taken at once.
const AT_ONCE: usize = 200;

/// For how long a row that cannot be done rests, in seconds.
const PUT_OFF: i64 = 60;

/// Which entities came under an envelope. Key: envelope, tenant, entity.
pub(crate) const CAME_UNDER: &str = "came-under";

impl Hub {
    /// Does the work that is due. Returns how many rows it did.
    ///
    /// # Errors
    /// The store's.
    pub async fn fan_out(&self) -> Result<usize, Problem> {
        let now = self.inner.clock.now();
        let rows = self.inner.store.read(move |r| r.due(TODO, now, AT_ONCE)).await?;
        let done = rows.len();
        // Looked at together and committed side by side: then those rows share one sync, and each stands or falls by itself.
        let hub = self.clone();
        let batches = self
            .inner
            .store
            .read(move |r| {
                let follow_up = |row: Doc| {
                    let Ok(todo) = serde_json::from_slice::<Todo>(&row.payload) else {
                        let mut batch = Batch::new();
                        batch.delete_doc(TODO, &row.key);
                        return batch;
                    };
                    let mut batch = match hub.follow_up(r, &todo) {
                        Ok(mut batch) => {
                            batch.delete_doc(TODO, &row.key);
                            batch
                        }
                        // One row that cannot be done must not hold up everybody else's.
                        Err(e) => {
                            tracing::error!("a row of work is put off: {e}");
                            let mut batch = Batch::new();
                            batch.put_doc(TODO, &row.key, row.payload.clone(), Some(now.plus_seconds(PUT_OFF)));
                            batch
                        }
                    };
                    batch.expect_doc(TODO, &row.key, Some(row.revision));
                    batch
                };
                Ok(rows.into_iter().map(follow_up).collect::<Vec<_>>())
            })
            .await?;
        let mut commits = tokio::task::JoinSet::new();
        for batch in batches {
            let store = self.inner.store.clone();
            commits.spawn(async move { store.commit(batch).await });
        }
        let mut failed = None;
        while let Some(outcome) = commits.join_next().await {
            match outcome {
                Ok(Ok(_)) => self.ring(),
                // The row was written again while it was being done: it is due again, and nothing is lost.
                Ok(Err(StoreError::Conflict { .. })) => {}
                Ok(Err(e)) => failed = Some(e),
                Err(_) => failed = Some(StoreError::Panicked),
            }
        }
        if let Some(e) = failed {
            return Err(e.into());
        }
        Ok(done)
    }

    fn follow_up(&self, r: &Reader<'_>, todo: &Todo) -> Result<Batch, StoreError> {
        let now = self.inner.clock.now();
        let mut batch = Batch::new();
        match todo {
            Todo::Entity { tenant, id } => {
                let doc = r.entity(tenant, id.as_str())?;
                for follower in followers_of(r, tenant)? {
                    // Also without its sink: what it has seen has to be taken back once the sink is there again.
                    let selection = self.selection(&follower);
                    let wanted = is_on(&follower, now) && selection.is_some_and(|s| doc.as_ref().is_some_and(|d| may_fit(&follower, &s, d)));
                    let at = follower_entity(tenant, &follower.id, id.as_str());
                    // What a follower has seen is taken back even while it rests.
                    // So is what may be on its way to it just now.
                    if wanted || r.doc(SEEN, &at)?.is_some() || r.doc(OUTBOX, &at)?.is_some() {
                        put_delivery(&mut batch, &at, now);
                    }
                }
            }
            Todo::Subject { tenant, subject } => {
                for entity in crate::consent::entities_of(r, tenant, subject)? {
                    self.todo_entity(&mut batch, tenant, &entity);
                }
            }
            Todo::Envelope { tenant, envelope } => {
                for entity in came_under(r, tenant, *envelope)? {
                    self.todo_entity(&mut batch, tenant, &entity);
                }
            }
            Todo::Licence { id } => followers_under(r, &mut batch, id, now)?,
            Todo::Rules { tenant, after } => self.apply_rules(r, &mut batch, tenant, after)?,
            Todo::Load { tenant, follower, after } => self.load(r, &mut batch, tenant, follower, after, now)?,
        }
        Ok(batch)
    }

    /// One step of an initial load: the next entities that fit, and a row for the rest.
    fn load(&self, r: &Reader<'_>, batch: &mut Batch, tenant: &TenantId, id: &Iri, after: &str, now: DateTime) -> Result<(), StoreError> {
        let Some(follower) = find_follower(r, tenant, id)? else { return Ok(()) };
        let Some(selection) = self.selection(&follower) else { return Ok(()) };
        let types: Vec<String> = crate::read::types_of(&selection.query).iter().map(ToString::to_string).collect();
        let filter = if types.is_empty() { Filter::All } else { Filter::Types(types) };
        if after.is_empty() {
            // What it saw before may be gone since: then nothing else would look at it.
            each_doc(r, SEEN, &of_follower(tenant, id), |doc| put_delivery(batch, &doc.key, now))?;
        }
        let (mut last, mut n) = (None, 0usize);
        r.candidates(&follower.tenant, &filter, Some(after), |doc| {
            last = Some(doc.id().to_owned());
            n += 1;
            put_delivery(batch, &follower_entity(tenant, id, doc.id()), now);
            if n >= AT_ONCE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if let (Some(last), true) = (last, n >= AT_ONCE) {
            let row = Todo::Load { tenant: tenant.clone(), follower: id.clone(), after: last.clone() };
            put_todo(batch, &key(&["load-more", follower.tenant.as_str(), id.as_str(), &last]), &row, now);
        }
        Ok(())
    }

    pub(crate) fn selection(&self, follower: &Follower) -> Option<Selection> {
        self.sink(&follower.sink)?.selection(follower.spec.as_bytes()).ok()
    }

    /// Ends the windows that are over. Returns how many ended.
    ///
    /// # Errors
    /// The store's.
    pub async fn close_windows(&self) -> Result<usize, Problem> {
        let now = self.inner.clock.now();
        let rows = self.inner.store.read(move |r| r.due(WINDOW, now, AT_ONCE)).await?;
        let mut closed = 0;
        for row in rows {
            let mut state: Accumulator = serde_json::from_slice(&row.payload).unwrap_or_default();
            closed += usize::from(state.close(now));
            let mut batch = Batch::new();
            batch.expect_doc(WINDOW, &row.key, Some(row.revision));
            batch.put_doc(WINDOW, &row.key, crate::follow::encode(&state), state.due());
            let mut parts = row.key.split(crate::rows::SEP);
            if let (Some(Some(tenant)), Some(Ok(id))) = (parts.next().map(TenantId::new), parts.next().map(Iri::new)) {
                self.todo_entity(&mut batch, &tenant, &id);
            }
            match self.inner.store.commit(batch).await {
                Ok(_) => self.ring(),
                Err(StoreError::Conflict { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(closed)
    }
}

/// Everybody who follows under the licence `id` is shown what may be seen under it now.
fn followers_under(r: &Reader<'_>, batch: &mut Batch, id: &Iri, now: DateTime) -> Result<(), StoreError> {
    each_doc(r, FOLLOWER, "", |doc| {
        let Ok(follower) = serde_json::from_slice::<Follower>(&doc.payload) else { return };
        if matches!(&follower.on_behalf, Behalf::Licensed { agreement, .. } if agreement == id) {
            let row = Todo::Load { tenant: follower.tenant.clone(), follower: follower.id.clone(), after: String::new() };
            put_todo(batch, &key(&["load", follower.tenant.as_str(), follower.id.as_str()]), &row, now);
        }
    })
}

/// Whether `doc` may be one that the follower selects. Under a licence it may go by an identifier that only eyes know.
fn may_fit(follower: &Follower, selection: &Selection, doc: &EntityDoc) -> bool {
    let selectors = &selection.query.selectors;
    match follower.on_behalf {
        Behalf::Licensed { .. } => selectors.is_empty() || selectors.iter().any(|s| s.types.as_ref().is_none_or(|types| types.matches(doc))),
        _ => crate::read::fits(&selection.query, doc),
    }
}

pub(crate) fn is_on(follower: &Follower, now: DateTime) -> bool {
    follower.active && follower.expires_at.is_none_or(|at| now < at)
}

pub(crate) fn find_follower(r: &Reader<'_>, tenant: &TenantId, id: &Iri) -> Result<Option<Follower>, StoreError> {
    let row = r.doc(FOLLOWER, &crate::follow::follower_key(tenant, id))?;
    Ok(row.and_then(|doc| serde_json::from_slice(&doc.payload).ok()))
}

pub(crate) fn put_delivery(batch: &mut Batch, at: &str, now: DateTime) {
    let row = Delivery { attempts: 0, since: Some(now), error: None };
    batch.put_doc(OUTBOX, at, crate::follow::encode(&row), Some(now));
}

/// The entities that came under an envelope, or under any.
pub(crate) fn came_under(r: &Reader<'_>, tenant: &TenantId, envelope: Option<EnvelopeHash>) -> Result<Vec<Iri>, StoreError> {
    let prefix = envelope.map(|h| key(&[&h.to_string(), tenant.as_str(), ""])).unwrap_or_default();
    let mut out = Vec::new();
    each_doc(r, CAME_UNDER, &prefix, |doc| {
        let mut parts = doc.key.split(crate::rows::SEP).skip(1);
        if parts.next() == Some(tenant.as_str())
            && let Some(Ok(id)) = parts.next().map(Iri::new)
        {
            out.push(id);
        }
    })?;
    out.sort();
    out.dedup();
    Ok(out)
}
