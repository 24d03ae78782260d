//! Where data on an entity came from: what a sender may replace and take away is what came from it.

use crate::follow::encode;
use crate::hub::Hub;
use crate::rows::{SEP, key};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use waybill_gate::{INBOUND, Inbound};
use waybill_model::{AttributeSpan, DateTime, EntityDoc, EnvelopeHash, Iri, Problem, ProblemCode, TenantId};
use waybill_store::{Batch, Reader, StoreError};

/// What came of an entity through a connection. Key: connection, tenant, salted digest of the entity's identifier.
const CAME: &str = "came-through";
/// How far clocks of two hubs may lie apart, in microseconds.
const SKEW: u64 = 60_000_000;

/// A row of [`CAME`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// What the sender decided before this is over: it has said since that the entity is gone.
    #[serde(default)]
    pub floor: u64,
    /// The same of single Attributes, by name: also of such as never came, or are not here any more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gone: BTreeMap<String, u64>,
    /// By name and datasetId.
    #[serde(default)]
    pub instances: BTreeMap<String, Arrival>,
}

/// The last arrival of an instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Arrival {
    /// The sequence number of the manifest it came with; 0 without one.
    pub seq: u64,
    /// For open data, the digest of what came: it has no envelope that says whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<EnvelopeHash>,
}

impl Origin {
    /// The row, with its revision.
    ///
    /// # Errors
    /// The store's.
    pub fn read(r: &Reader<'_>, at: &str) -> Result<(Self, Option<u64>), StoreError> {
        let row = r.doc(CAME, at)?;
        let revision = row.as_ref().map(|doc| doc.revision);
        Ok((row.and_then(|doc| serde_json::from_slice(&doc.payload).ok()).unwrap_or_default(), revision))
    }

    /// Puts the row, if it is still what was read.
    pub fn put(&self, batch: &mut Batch, at: &str, revision: Option<u64>) {
        batch.expect_doc(CAME, at, revision);
        batch.put_doc(CAME, at, encode(self), None);
    }

    /// Whether something newer than `seq` has come of the instance.
    pub fn is_older(&self, which: &str, seq: u64) -> bool {
        let name = which.split(SEP).next().unwrap_or(which);
        seq < self.floor || self.gone.get(name).is_some_and(|gone| seq < *gone) || self.instances.get(which).is_some_and(|last| seq < last.seq)
    }

    /// Notes that what the sender decided before `said` is over: on the Attributes in `only`, or on the whole entity when there are none.
    fn close(&mut self, only: &[Iri], named: &dyn Fn(&str) -> bool, said: u64) {
        for (_, arrival) in self.instances.iter_mut().filter(|(at, _)| named(at.split(SEP).next().unwrap_or(at))) {
            *arrival = Arrival { seq: arrival.seq.max(said), open: None };
        }
        for name in only {
            let gone = self.gone.entry(name.to_string()).or_default();
            *gone = said.max(*gone);
        }
        if named("") {
            self.floor = self.floor.max(said);
        }
    }
}

/// An instance's name and datasetId in one.
pub(crate) fn which(name: &str, dataset: Option<&str>) -> String {
    key(&[name, dataset.unwrap_or("")])
}

impl Hub {
    /// The key of an entity's row of a connection. It does not name the entity: the row outlives it.
    pub(crate) fn origin_key(&self, connection: &str, tenant: &TenantId, entity: &str) -> String {
        key(&[connection, tenant.as_str(), &self.entity_digest(entity)])
    }

    /// A name for an entity that outlives it without telling which it was.
    pub(crate) fn entity_digest(&self, id: &str) -> String {
        waybill_keys::hex(&waybill_keys::sha256(&[self.inner.secret.as_slice(), id.as_bytes()].concat()))
    }

    /// What the sender no longer has, or no longer shows, as it said at `at`: its copy here goes, all else on the entity stays.
    pub(crate) async fn take_away(&self, connection: &str, intake: &crate::Intake, id: &Iri, attributes: &[Iri], at: DateTime) -> Result<(), Problem> {
        // What is gone in a store that this hub feeds is no word on what this hub holds.
        if !intake.fed_by.is_empty() {
            return Ok(());
        }
        for _ in 0..16 {
            let (this, connection, intake, id, attributes) = (self.clone(), connection.to_owned(), intake.clone(), id.clone(), attributes.to_vec());
            let read = move |r: &Reader<'_>| {
                let mut batch = Batch::new();
                let from = From { connection: &connection, hub: intake.hub.as_deref(), tenant: &intake.tenant, at };
                this.remove_said(r, &mut batch, &from, &id, &attributes)?;
                Ok(batch)
            };
            let batch = self.inner.store.read(read).await?;
            match self.commit(batch).await {
                Err(problem) if problem.code == "store-conflict" => {}
                other => return other.map(drop),
            }
        }
        Err(Problem::new(ProblemCode("busy-entity"), 503, "Too many writers", "other writers kept changing this entity").help("Try again in a moment."))
    }

    /// The instances of `current` that came through a connection: of another hub's, what came under its envelopes and the open data it sent,
    /// as long as nobody changed it; of a source of the city's own, all that came under no envelope.
    pub(crate) fn came_of(&self, r: &Reader<'_>, hub: Option<&str>, origin: &Origin, current: &EntityDoc) -> Result<BTreeSet<String>, StoreError> {
        let mut theirs = BTreeSet::new();
        for span in current.spans() {
            let at = which(current.name(span), current.dataset_id(span));
            let came = match (span.envelope, hub) {
                (Some(_), None) => false,
                (None, None) => true,
                (Some(hash), Some(hub)) => {
                    let row = r.doc(INBOUND, &hash.to_string())?.and_then(|doc| serde_json::from_slice::<Inbound>(&doc.payload).ok());
                    // Under an agreement that this hub states, it came through the connection that noted its arrival.
                    let governance = self.governance();
                    row.is_some_and(|row| row.sender == hub || governance.is_import(&row.sender) && origin.instances.contains_key(&at))
                }
                (None, Some(_)) => {
                    let came = origin.instances.get(&at).and_then(|arrival| arrival.open);
                    came.is_some_and(|digest| digest == normal_digest(&self.inner.secret, current.instance(span)))
                }
            };
            if came {
                theirs.insert(at);
            }
        }
        Ok(theirs)
    }

    /// Adds to `batch` that what came through `connection` of the named Attributes goes.
    #[allow(clippy::too_many_arguments, reason = "each says something else of one removal")]
    pub(crate) fn remove_of(&self, r: &Reader<'_>, batch: &mut Batch, connection: &str, hub: Option<&str>, tenant: &TenantId, id: &Iri, named: &dyn Fn(&str) -> bool) -> Result<(), StoreError> {
        let from = From { connection, hub, tenant, at: self.inner.clock.now() };
        self.remove(r, batch, &from, id, &[], named)
    }

    /// The same of the Attributes in `only`, or of the whole entity when there are none.
    fn remove_said(&self, r: &Reader<'_>, batch: &mut Batch, from: &From<'_>, id: &Iri, only: &[Iri]) -> Result<(), StoreError> {
        self.remove(r, batch, from, id, only, &|name| only.is_empty() || only.iter().any(|a| a.as_str() == name))
    }

    fn remove(&self, r: &Reader<'_>, batch: &mut Batch, from: &From<'_>, id: &Iri, only: &[Iri], named: &dyn Fn(&str) -> bool) -> Result<(), StoreError> {
        let now = self.inner.clock.now();
        let at = self.origin_key(from.connection, from.tenant, id.as_str());
        let (mut origin, revision) = Origin::read(r, &at)?;
        let current = r.entity(from.tenant, id.as_str())?;
        // One without Attributes is deleted when the sender has sent something of it, and is else another's.
        let touched = current.as_ref().filter(|doc| from.hub.is_none() || !doc.spans().is_empty() || revision.is_some());
        if let Some(current) = touched {
            let theirs = self.came_of(r, from.hub, &origin, current)?;
            let goes = |span: &AttributeSpan| {
                let name = current.name(span);
                named(name) && theirs.contains(&which(name, current.dataset_id(span)))
            };
            let changes = match without(current, goes, now) {
                crate::Change::Put(doc, ()) => {
                    batch.put_entity(from.tenant, &doc);
                    true
                }
                crate::Change::Delete(()) => {
                    batch.delete_entity(from.tenant, id.as_str());
                    true
                }
                crate::Change::Keep(()) => false,
            };
            if changes {
                batch.expect_version(from.tenant, id.as_str(), Some(current.system.version));
                self.todo_entity(batch, from.tenant, id);
            }
        }
        if from.hub.is_some() {
            // A delivery from before, played again or late, must not bring it back, whether it is here or not. How far the clocks lie apart
            // is given to the sender.
            origin.close(only, named, u64::try_from(from.at.micros()).unwrap_or(0).saturating_sub(SKEW));
            origin.put(batch, &at, revision);
        }
        Ok(())
    }
}

/// Who says that something is gone.
struct From<'a> {
    connection: &'a str,
    /// The hub at the other end, when there is one.
    hub: Option<&'a str>,
    tenant: &'a TenantId,
    /// When it was said.
    at: DateTime,
}

/// A digest of an instance that does not mind how its numbers and members were written.
pub(crate) fn normal_digest(secret: &[u8; 32], instance: &str) -> EnvelopeHash {
    let value: serde_json::Value = serde_json::from_str(instance).unwrap_or_default();
    let mut bytes = secret.to_vec();
    bytes.extend_from_slice(waybill_keys::jcs(&value).as_bytes());
    EnvelopeHash(waybill_keys::sha256(&bytes))
}

/// `current` without the instances for which `goes` holds; deleted when nothing is left of it.
pub(crate) fn without(current: &EntityDoc, goes: impl Fn(&waybill_model::AttributeSpan) -> bool, now: DateTime) -> crate::Change<()> {
    let kept: Vec<_> = current.spans().iter().filter(|s| !goes(s)).collect();
    if kept.len() == current.spans().len() && !kept.is_empty() {
        return crate::Change::Keep(());
    }
    if kept.is_empty() {
        return crate::Change::Delete(());
    }
    let mut builder = waybill_model::DocBuilder::new(current.id(), current.types(), current.scopes(), current.system.expires_at);
    for span in kept {
        builder.instance(current.name(span), current.instance(span), waybill_model::InstanceMeta::of(current, span));
    }
    let mut system = current.system.clone();
    system.modified_at = now;
    crate::Change::Put(builder.finish(system), ())
}
