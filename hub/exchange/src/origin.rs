//! Where data on an entity came from: what a sender may replace and take away is what came from it.

use crate::follow::encode;
use crate::hub::Hub;
use crate::rows::key;
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
        seq < self.floor || self.instances.get(which).is_some_and(|last| seq < last.seq)
    }
}

/// An instance's name and datasetId in one.
pub(crate) fn which(name: &str, dataset: Option<&str>) -> String {
    key(&[name, dataset.unwrap_or("")])
}

impl Hub {
    /// The key of an entity's row of a connection. It does not name the entity: the row outlives it.
    pub(crate) fn origin_key(&self, connection: &str, tenant: &TenantId, entity: &str) -> String {
        let digest = waybill_keys::sha256(&[self.inner.secret.as_slice(), entity.as_bytes()].concat());
        key(&[connection, tenant.as_str(), &waybill_keys::hex(&digest)])
    }

    /// What the sender no longer has, or no longer shows: its copy here goes, all else on the entity stays.
    pub(crate) async fn take_away(&self, connection: &str, intake: &crate::Intake, id: &Iri, attributes: &[Iri]) -> Result<(), Problem> {
        // What is gone in a store that this hub feeds is no word on what this hub holds.
        if !intake.fed_by.is_empty() {
            return Ok(());
        }
        for _ in 0..16 {
            let (this, connection, intake, id, attributes) = (self.clone(), connection.to_owned(), intake.clone(), id.clone(), attributes.to_vec());
            let read = move |r: &Reader<'_>| {
                let mut batch = Batch::new();
                let named = |name: &str| attributes.is_empty() || attributes.iter().any(|a| a.as_str() == name);
                this.remove_of(r, &mut batch, &connection, intake.hub.as_deref(), &intake.tenant, &id, &named)?;
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

    /// Adds to `batch` that what came through `connection` of the named Attributes goes. Of another hub's connection, that is what came
    /// under its envelopes and the open data it sent; of a source of the city's own, all that came under no envelope.
    #[allow(clippy::too_many_arguments, reason = "each says something else of one removal")]
    pub(crate) fn remove_of(&self, r: &Reader<'_>, batch: &mut Batch, connection: &str, hub: Option<&str>, tenant: &TenantId, id: &Iri, named: &dyn Fn(&str) -> bool) -> Result<(), StoreError> {
        let now = self.inner.clock.now();
        let at = self.origin_key(connection, tenant, id.as_str());
        let (mut origin, revision) = Origin::read(r, &at)?;
        let Some(current) = r.entity(tenant, id.as_str())? else { return Ok(()) };
        if hub.is_some() && current.spans().is_empty() && revision.is_none() {
            // It holds nothing, and not from there.
            return Ok(());
        }
        let mut theirs = BTreeSet::new();
        if let Some(hub) = hub {
            for hash in current.spans().iter().filter_map(|s| s.envelope) {
                let row = r.doc(INBOUND, &hash.to_string())?.and_then(|doc| serde_json::from_slice::<Inbound>(&doc.payload).ok());
                if row.is_some_and(|row| row.sender == hub) {
                    theirs.insert(hash);
                }
            }
        }
        let goes = |span: &AttributeSpan| {
            let name = current.name(span);
            named(name)
                && match (span.envelope, hub) {
                    (Some(hash), _) => theirs.contains(&hash),
                    (None, None) => true,
                    (None, Some(_)) => {
                        let came = origin.instances.get(&which(name, current.dataset_id(span))).and_then(|arrival| arrival.open);
                        came.is_some_and(|digest| digest == normal_digest(&self.inner.secret, current.instance(span)))
                    }
                }
        };
        batch.expect_version(tenant, id.as_str(), Some(current.system.version));
        match without(&current, goes, now) {
            crate::Change::Put(doc, ()) => drop(batch.put_entity(tenant, &doc)),
            crate::Change::Delete(()) => drop(batch.delete_entity(tenant, id.as_str())),
            crate::Change::Keep(()) => return Ok(()),
        }
        self.todo_entity(batch, tenant, id);
        if hub.is_some() {
            // A delivery from before, played again, must not bring it back. How far the clocks lie apart is given to the sender.
            let said = u64::try_from(now.micros()).unwrap_or(0).saturating_sub(SKEW);
            for (_, arrival) in origin.instances.iter_mut().filter(|(at, _)| named(at.split(crate::rows::SEP).next().unwrap_or(at))) {
                *arrival = Arrival { seq: arrival.seq.max(said), open: None };
            }
            if named("") {
                origin.floor = origin.floor.max(said);
            }
            origin.put(batch, &at, revision);
        }
        Ok(())
    }
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
