//! What comes from her pod is hers; what is to be changed in it waits here until it is done.

use crate::consent::told;
use crate::erase::forgotten;
use crate::follow::encode;
use crate::hub::Hub;
use crate::rows::{DEAD, ERASED, POD, POD_ENTITY, POD_KNOWN, POD_OWNER, PodEntity, key};
use crate::scan::each_doc;
use serde_json::json;
use waybill_consent::{Binding, ConsentBook, Registry, Rule, Target, Validity};
use waybill_journal::{Kind, Record};
use waybill_model::{EntityDoc, Iri, Problem, ProblemCode, TenantId};
use waybill_port::AccessChange;
use waybill_store::{Batch, Reader, StoreError};

/// How often taking an entity is tried again when another writer was faster.
const TRIES: u32 = 16;

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

    /// Takes the entity that the resource `url` in the pod of `subject` holds, and binds it to her: from its first moment it is hers. Durable
    /// when this returns.
    ///
    /// # Errors
    /// 409 when an entity of that identifier came from elsewhere or is about somebody else: a pod speaks for its own things only. 409 when
    /// she was erased and has granted nothing since. The store's.
    pub async fn take_from_pod(&self, tenant: &TenantId, subject: &Iri, url: &str, entity: &EntityDoc) -> Result<(), Problem> {
        let id = entity.id_iri().map_err(|_| Problem::new(ProblemCode("bad-entity-id"), 400, "Bad entity id", "it is no absolute IRI"))?;
        let row = PodEntity { tenant: tenant.clone(), id, subject: subject.clone() };
        for _ in 0..TRIES {
            let (hub, row_, url_) = (self.clone(), row.clone(), url.to_owned());
            let (mut batch, current) = self.inner.store.read(move |r| hub.claim(r, &row_, &url_)).await??;
            self.put(&mut batch, tenant, current.as_ref(), entity).await?;
            match self.commit(batch).await {
                Err(problem) if problem.code == "store-conflict" => {}
                other => return other.map(drop),
            }
        }
        Err(Problem::new(ProblemCode("busy-entity"), 503, "Too many writers", "other writers kept changing this entity").help("Try again in a moment."))
    }

    /// The resource `url` holds `row` from now on; what it held before goes.
    #[allow(clippy::type_complexity, reason = "refused, or what to do and what is there")]
    fn claim(&self, r: &Reader<'_>, row: &PodEntity, url: &str) -> Result<Result<(Batch, Option<EntityDoc>), Problem>, StoreError> {
        let now = self.inner.clock.now();
        let (tenant, mut batch) = (&row.tenant, Batch::new());
        if self.is_forgotten(r, tenant, &row.subject)? {
            return Ok(Err(forgotten("what her pod holds is not taken")));
        }
        let owner_key = key(&[tenant.as_str(), row.id.as_str()]);
        let owner = r.doc(POD_OWNER, &owner_key)?;
        let current = r.entity(tenant, row.id.as_str())?;
        let other = || Problem::new(ProblemCode("entity-of-another"), 409, "Not this pod's entity", "an entity of that identifier is known from elsewhere").help("Give what stands in a pod an identifier under the pod's own address.");
        let own = owner.as_ref().is_some_and(|doc| doc.payload == url.as_bytes());
        let about = Registry::ever(r, tenant, row.id.as_str(), "").map_err(told)?;
        let known = current.is_some() || about.iter().any(|s| s != &row.subject);
        if !own && (owner.is_some() || known) {
            return Ok(Err(other()));
        }
        let erased = self.erased_key(tenant, &row.subject);
        batch.expect_doc(ERASED, &erased, r.doc(ERASED, &erased)?.map(|doc| doc.revision));
        batch.expect_version(tenant, row.id.as_str(), current.as_ref().map(|doc| doc.system.version));
        batch.expect_doc(POD_OWNER, &owner_key, owner.map(|doc| doc.revision));
        let held = r.doc(POD_ENTITY, url)?;
        batch.expect_doc(POD_ENTITY, url, held.as_ref().map(|doc| doc.revision));
        if let Some(before) = held.and_then(|doc| serde_json::from_slice::<PodEntity>(&doc.payload).ok())
            && before.id != row.id
        {
            self.let_entity_go(&mut batch, &before);
        }
        batch.put_doc(POD_ENTITY, url, encode(row), None).put_doc(POD_OWNER, &owner_key, url.as_bytes().to_vec(), None);
        // A binding that the operator ended stays ended.
        if !about.contains(&row.subject) {
            let binding = Binding {
                target: Target::Entity(row.id.clone()),
                subject: row.subject.clone(),
                validity: Validity::default(),
                asserted_by: self.governance().party.clone(),
                evidence: format!("pod resource {url}"),
                rule: Rule::All,
            };
            ConsentBook::bind(&mut batch, tenant, &binding, now);
            let record = Record::new(Kind::Binding, tenant.clone(), now).left(1, None).about(row.subject.clone(), None, json!({ "target": binding.target, "assertedBy": binding.asserted_by }));
            self.inner.journal.append(&mut batch, record);
        }
        Ok(Ok((batch, current)))
    }

    /// The resource `url` of a pod is gone, and with it what came from it.
    ///
    /// # Errors
    /// The store's. A resource that nothing came from is no error.
    pub async fn gone_from_pod(&self, url: &str) -> Result<(), Problem> {
        let looked = url.to_owned();
        let Some(doc) = self.inner.store.read(move |r| r.doc(POD_ENTITY, &looked)).await? else { return Ok(()) };
        let mut batch = Batch::new();
        batch.expect_doc(POD_ENTITY, url, Some(doc.revision));
        batch.delete_doc(POD_ENTITY, url);
        if let Ok(row) = serde_json::from_slice::<PodEntity>(&doc.payload) {
            self.let_entity_go(&mut batch, &row);
        }
        self.commit(batch).await.map(drop)
    }

    fn let_entity_go(&self, batch: &mut Batch, row: &PodEntity) {
        batch.delete_doc(POD_OWNER, &key(&[row.tenant.as_str(), row.id.as_str()]));
        batch.delete_entity(&row.tenant, row.id.as_str());
        self.todo_entity(batch, &row.tenant, &row.id);
    }

    /// Notes which grant documents of a pod were taken, for the next watch; not of a person who was erased.
    ///
    /// # Errors
    /// The store's.
    pub async fn note_pod_known(&self, tenant: &TenantId, subject: &Iri, connection: &str, known: Vec<u8>) -> Result<(), Problem> {
        let (hub, tenant, subject) = (self.clone(), tenant.clone(), subject.clone());
        let at = key(&[connection, subject.as_str()]);
        let mut batch = Batch::new();
        batch.then(move |r| {
            let mut batch = Batch::new();
            if !hub.is_forgotten(r, &tenant, &subject)? {
                batch.put_doc(POD_KNOWN, &at, known, None);
            }
            Ok(batch)
        });
        self.inner.store.commit(batch).await?;
        Ok(())
    }

    /// What [`Self::note_pod_known`] noted last.
    ///
    /// # Errors
    /// The store's.
    pub async fn pod_known(&self, subject: &Iri, connection: &str) -> Result<Option<Vec<u8>>, Problem> {
        let at = key(&[connection, subject.as_str()]);
        Ok(self.inner.store.read(move |r| r.doc(POD_KNOWN, &at)).await?.map(|doc| doc.payload))
    }

    /// The addresses in pods of `subject` that entities came from and that still count.
    ///
    /// # Errors
    /// The store's.
    pub async fn pod_resources(&self, tenant: &TenantId, subject: &Iri) -> Result<Vec<String>, Problem> {
        let (tenant, subject) = (tenant.clone(), subject.clone());
        let read = move |r: &Reader<'_>| {
            let mut out = Vec::new();
            each_doc(r, POD_ENTITY, "", |doc| {
                let row = serde_json::from_slice::<PodEntity>(&doc.payload);
                out.extend(row.is_ok_and(|row| row.tenant == tenant && row.subject == subject).then_some(doc.key));
            })?;
            Ok(out)
        };
        Ok(self.inner.store.read(read).await?)
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
