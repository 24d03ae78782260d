//! Writing entities: one Batch holds the new state, what windows took in, and the work that follows from it.

use crate::consent::told;
use crate::fault;
use crate::hub::Hub;
use crate::rows::{TODO, Todo, key};
use waybill_gate::{Accumulator, WINDOW, WindowShape, window_key};
use waybill_consent::Transform;
use waybill_model::{Attribute, AttributeValue, DateTime, EntityDoc, Iri, Problem, ProblemCode, Scope, TenantId};
use waybill_store::{Batch, Reader, StoreError};

/// What a change makes of an entity, with what the caller wants to know of it.
#[derive(Debug)]
pub enum Change<T> {
    /// It becomes this.
    Put(EntityDoc, T),
    /// It goes.
    Delete(T),
    /// It stays.
    Keep(T),
}

/// How often a change is tried again when another writer was faster.
const TRIES: u32 = 16;

impl Hub {
    /// Whether the caller may write here.
    ///
    /// # Errors
    /// A 403 [`Problem`].
    pub fn may_write(&self, scope: &Scope) -> Result<(), Problem> {
        let governance = self.governance();
        if governance.is_licensed(scope) && !fault::off("exchange-licence-writes") {
            return Err(Problem::new(ProblemCode("licence-never-writes"), 403, "A licence is for reading", "this call is made under a negotiated agreement, and those let nobody write here")
                .help("Write as a client that is registered for a party with an agreement with `write = true`."));
        }
        let allowed = scope.is_operator()
            || matches!(scope.principal, waybill_model::Principal::Hub)
            || scope.recipient.as_ref().is_some_and(|party| governance.agreements.iter().any(|a| a.write && a.recipient.as_ref() == Some(party)));
        if allowed {
            return Ok(());
        }
        Err(Problem::new(ProblemCode("write-not-agreed"), 403, "Not allowed to write", "no agreement lets this caller write entities here")
            .help("Ask the operator for an agreement with `write = true`."))
    }

    /// Changes one entity: `change` is given its present state (nothing when there is none, or when it has expired) and says what
    /// becomes of it. Durable when this returns. Called again when another writer was faster, so it must have no effects.
    ///
    /// # Errors
    /// What `change` says; the store's; 403 when the caller may not write.
    pub async fn modify<T: Send + 'static>(
        &self,
        scope: &Scope,
        id: &Iri,
        change: impl Fn(Option<&EntityDoc>) -> Result<Change<T>, Problem> + Send,
    ) -> Result<T, Problem> {
        self.may_write(scope)?;
        for _ in 0..TRIES {
            let (tenant, wanted) = (scope.tenant.clone(), id.clone());
            let current = self.inner.store.read(move |r| r.entity(&tenant, wanted.as_str())).await?;
            let now = self.inner.clock.now();
            let live = current.as_ref().filter(|doc| doc.system.expires_at.is_none_or(|at| at > now));
            let mut batch = Batch::new();
            batch.expect_version(&scope.tenant, id.as_str(), current.as_ref().map(|doc| doc.system.version));
            let answer = match change(live)? {
                Change::Keep(answer) => return Ok(answer),
                Change::Put(doc, answer) => {
                    self.put(&mut batch, &scope.tenant, live, &doc).await?;
                    answer
                }
                Change::Delete(answer) => {
                    batch.delete_entity(&scope.tenant, id.as_str());
                    self.todo_entity(&mut batch, &scope.tenant, id);
                    answer
                }
            };
            match self.commit(batch).await {
                Ok(_) => return Ok(answer),
                Err(problem) if problem.code == "store-conflict" => {}
                Err(problem) => return Err(problem),
            }
        }
        Err(Problem::new(ProblemCode("busy-entity"), 503, "Too many writers", "other writers kept changing this entity").help("Try again in a moment."))
    }

    /// Adds to `batch` all that storing `doc` means.
    pub(crate) async fn put(&self, batch: &mut Batch, tenant: &TenantId, before: Option<&EntityDoc>, doc: &EntityDoc) -> Result<(), Problem> {
        batch.put_entity(tenant, doc);
        let id = doc.id_iri().map_err(|e| Problem::new(ProblemCode("bad-entity-id"), 400, "Bad entity id", e.to_string()))?;
        self.todo_entity(batch, tenant, &id);
        if !self.governance().bindings.is_empty() {
            let (hub, tenant_, doc_) = (self.clone(), tenant.clone(), doc.clone());
            let bound = self
                .inner
                .store
                .read(move |r| {
                    let mut bound = Batch::new();
                    hub.bind_by_rules(r, &mut bound, &tenant_, &doc_)?;
                    Ok(bound)
                })
                .await?;
            batch.absorb(bound);
        }
        let samples = samples(before, doc, self.inner.clock.now());
        if samples.is_empty() {
            return Ok(());
        }
        let (hub, tenant, doc) = (self.clone(), tenant.clone(), doc.clone());
        let rows = self.inner.store.read(move |r| hub.accumulate(r, &tenant, &doc, &samples)).await?;
        for (at, payload, due) in rows {
            batch.put_doc(WINDOW, &at, payload, due);
        }
        Ok(())
    }

    /// The accumulators that `samples` change: those of every mean that some grant on the data asks for.
    fn accumulate(&self, reader: &Reader<'_>, tenant: &TenantId, doc: &EntityDoc, samples: &[Sample]) -> Result<Vec<(String, Vec<u8>, Option<DateTime>)>, StoreError> {
        let now = self.inner.clock.now();
        let consents = self.inner.book.view(reader).map_err(told)?;
        let types: Vec<&str> = doc.types().collect();
        let mut rows = Vec::new();
        for sample in samples {
            let bound = consents.bound(tenant, doc.id(), Some(&sample.name), now).map_err(told)?;
            let mut grants = self.governance().basis.clone();
            for subject in &bound.subjects {
                grants.extend(consents.grants(tenant, subject).map_err(told)?.grants.iter().cloned());
            }
            let mut shapes: Vec<WindowShape> = Vec::new();
            for grant in &grants {
                for asset in grant.assets_about(types.iter().copied(), &sample.name) {
                    let Transform::Mean { window, zone, .. } = &asset.transform else { continue };
                    let shape = WindowShape { seconds: i64::from(*window), zone: zone.clone() };
                    if !shapes.contains(&shape) {
                        shapes.push(shape);
                    }
                }
            }
            for shape in shapes {
                let at = window_key(tenant.as_str(), doc.id(), &sample.name, shape.seconds, &shape.zone);
                let mut state: Accumulator = match reader.doc(WINDOW, &at)? {
                    Some(row) => serde_json::from_slice(&row.payload).unwrap_or_default(),
                    None => Accumulator::default(),
                };
                if state.add(&shape, sample.at, sample.value) {
                    let due = state.due();
                    rows.push((at, serde_json::to_vec(&state).unwrap_or_default(), due));
                }
            }
        }
        Ok(rows)
    }

    pub(crate) fn todo_entity(&self, batch: &mut Batch, tenant: &TenantId, id: &Iri) {
        let row = Todo::Entity { tenant: tenant.clone(), id: id.clone() };
        put_todo(batch, &key(&["entity", tenant.as_str(), id.as_str()]), &row, self.inner.clock.now());
    }

    pub(crate) fn todo_subject(&self, batch: &mut Batch, tenant: &TenantId, subject: &Iri) {
        let row = Todo::Subject { tenant: tenant.clone(), subject: subject.clone() };
        put_todo(batch, &key(&["subject", tenant.as_str(), subject.as_str()]), &row, self.inner.clock.now());
    }

    /// Looks at a subject's data again at `due`: when a grant begins or ends.
    pub(crate) fn todo_subject_at(&self, batch: &mut Batch, tenant: &TenantId, subject: &Iri, due: DateTime) {
        let row = Todo::Subject { tenant: tenant.clone(), subject: subject.clone() };
        put_todo(batch, &key(&["subject-at", tenant.as_str(), subject.as_str(), &due.to_string()]), &row, due);
    }
}

pub(crate) fn put_todo(batch: &mut Batch, at: &str, row: &Todo, due: DateTime) {
    batch.put_doc(TODO, at, serde_json::to_vec(row).unwrap_or_default(), Some(due));
}

/// A number that was observed.
struct Sample {
    name: String,
    at: DateTime,
    value: f64,
}

/// The numbers in `doc` that `before` did not have. A time more than a minute ahead is no observation.
fn samples(before: Option<&EntityDoc>, doc: &EntityDoc, now: DateTime) -> Vec<Sample> {
    let mut out = Vec::new();
    for span in doc.spans() {
        if span.kind != waybill_model::AttributeKind::Property || span.dataset_id.is_some() {
            continue;
        }
        let (name, instance) = (doc.name(span), doc.instance(span));
        let known = before.is_some_and(|b| b.instances_of(name).any(|s| s.dataset_id.is_none() && b.instance(s) == instance));
        if known {
            continue;
        }
        let Ok(attribute) = Attribute::from_canonical(instance) else { continue };
        let AttributeValue::Property(raw) = &attribute.value else { continue };
        let Some(value) = raw.value().as_f64() else { continue };
        let at = attribute.observed_at.unwrap_or(now);
        if at <= now.plus_seconds(waybill_keys::SKEW_SECONDS) {
            out.push(Sample { name: name.to_owned(), at, value });
        }
    }
    out
}
