//! What another hub says of envelopes that data came under here, and the answer to it (consent-design §9).

use crate::fan::{CAME_UNDER, came_under};
use crate::follow::{encode, followers_of};
use crate::hub::Hub;
use crate::notice::did_of;
use crate::origin::without;
use crate::restore::Note;
use crate::rows::{SEEN, SEP, TODO, Todo, follower_entity, key};
use crate::scan::each_doc;
use crate::withdraw::{HolderProgress, Progress, Withdrawal, holding};
use serde_json::json;
use std::collections::BTreeSet;
use waybill_consent::{Acknowledgement, ConsentBook, EnvelopeEvent, EventToken, Outcome, StatusPurpose, StoreAnswer};
use waybill_gate::{INBOUND, Inbound, InboundState, ONWARD};
use waybill_journal::{Kind, Record};
use waybill_model::{DateTime, EnvelopeHash, Iri, Problem, TenantId};
use waybill_port::Notice;
use waybill_store::{Batch, Reader, StoreError};

impl Hub {
    /// Another hub withdrew: what came under its envelopes closes, goes, and is called back from whoever got it from here.
    pub(crate) async fn upstream_withdrew(&self, batch: &mut Batch, hub: &str, token: &EventToken, event: &EnvelopeEvent) -> Result<(), Problem> {
        for compact in &event.successors {
            // What is over must close even when what comes after it is no good; a good one is fetched with the data that comes under it.
            if let Err(problem) = self.take_envelope(hub, waybill_consent::Envelope::hash_of(compact), compact).await {
                tracing::warn!(hub, code = problem.code, "the envelope that takes another's place was not taken");
            }
        }
        let (this, hub, token, event) = (self.clone(), hub.to_owned(), token.clone(), event.clone());
        let written = self.inner.store.read(move |r| this.close_inbound(r, &hub, &token.jti, token.epoch, &event)).await?;
        batch.absorb(written);
        Ok(())
    }

    /// Everything that follows from another hub's withdrawal.
    pub(crate) fn close_inbound(&self, r: &Reader<'_>, hub: &str, jti: &str, epoch: u64, event: &EnvelopeEvent) -> Result<Batch, StoreError> {
        let now = self.inner.clock.now();
        let mut batch = Batch::new();
        // No backup may bring back what is over.
        let what = EnvelopeEvent { successors: Vec::new(), ..event.clone() };
        batch.raise_epoch(encode(&Note::Upstream { hub: hub.to_owned(), event: jti.to_owned(), epoch, what }));
        let mut tenants: BTreeSet<TenantId> =
            self.inner.intake.read().unwrap_or_else(std::sync::PoisonError::into_inner).values().filter(|i| i.hub.as_deref() == Some(hub)).map(|i| i.tenant.clone()).collect();
        // Also where nothing comes from there any more, or not yet: after a restore, connections are made later.
        for envelope in &event.envelopes {
            each_doc(r, CAME_UNDER, &format!("{envelope}{SEP}"), |doc| tenants.extend(doc.key.split(SEP).nth(1).and_then(TenantId::new)))?;
        }
        if tenants.is_empty() {
            // Nothing comes from there, so there is nothing to take back: that is an answer too.
            tenants.insert(TenantId::main());
        }
        let mut event = event.clone();
        let named = std::mem::take(&mut event.envelopes);
        for envelope in &named {
            if set_state(r, &mut batch, hub, *envelope, InboundState::Withdrawn)? {
                event.envelopes.push(*envelope);
            }
        }
        let event = &event;
        crate::quarantine::sweep(r, &mut batch, &event.envelopes)?;
        for tenant in tenants {
            let mut withdrawal = Withdrawal {
                id: Self::fresh_id("withdrawal"),
                tenant: tenant.clone(),
                subject: None,
                record: None,
                upstream: Some((hub.to_owned(), jti.to_owned())),
                envelopes: event.envelopes.clone(),
                stopped_at: now,
                holders: Vec::new(),
                finished_at: None,
            };
            self.nothing_between(r, &mut batch, &tenant, &event.envelopes)?;
            for (recipient, derived) in passed_on(r, &event.envelopes)? {
                ConsentBook::mark_envelopes(&mut batch, &derived, StatusPurpose::Revocation, true);
                let onward = EnvelopeEvent { envelopes: derived, time: event.time, on_withdrawal: event.on_withdrawal, successors: Vec::new() };
                self.add_holders(r, &mut batch, &mut withdrawal, &recipient, onward, &event.envelopes, epoch, now)?;
            }
            let mut erased = 0u64;
            for envelope in &event.envelopes {
                for entity in came_under(r, &tenant, Some(*envelope))? {
                    batch.delete_doc(CAME_UNDER, &key(&[&envelope.to_string(), tenant.as_str(), entity.as_str()]));
                    self.todo_entity(&mut batch, &tenant, &entity);
                    let Some(current) = r.entity(&tenant, entity.as_str())? else { continue };
                    batch.expect_version(&tenant, entity.as_str(), Some(current.system.version));
                    match without(&current, |span| span.envelope.is_some_and(|e| event.envelopes.contains(&e)), now) {
                        crate::Change::Put(doc, ()) => {
                            batch.put_entity(&tenant, &doc);
                            erased += 1;
                        }
                        crate::Change::Delete(()) => {
                            batch.delete_entity(&tenant, entity.as_str());
                            erased += 1;
                        }
                        crate::Change::Keep(()) => {}
                    }
                }
            }
            let party = self.governance().party.clone();
            for follower in holding(r, &mut batch, &tenant, &event.envelopes)? {
                let ours = matches!(&follower.on_behalf, crate::Behalf::Operator) || follower.on_behalf.recipient() == Some(&party);
                if ours {
                    withdrawal.holders.push(HolderProgress {
                        party: party.clone(),
                        hub: None,
                        follower: Some(follower.id),
                        event: None,
                        progress: Progress::Told,
                        answers: Vec::new(),
                        signed: Vec::new(),
                        done_at: None,
                        licences: BTreeSet::new(),
                    });
                }
            }
            let row = Todo::Envelope { tenant: tenant.clone(), envelope: None };
            batch.put_doc(TODO, &key(&["envelopes", tenant.as_str()]), encode(&row), Some(now));
            self.put_withdrawal(&mut batch, &mut withdrawal, now);
            self.answer_upstream(&mut batch, &withdrawal, now);
            let record = Record::new(Kind::Withdrawal, tenant, now).left(erased, None).detail(json!({ "from": hub, "event": jti, "envelopes": event.envelopes }));
            self.inner.journal.append(&mut batch, record);
        }
        Ok(batch)
    }

    /// Makes `batch` fail with a conflict when, until it is committed, something else comes in under one of `envelopes`, is passed on, or
    /// is shown to a follower: what closes them must have seen all of it.
    fn nothing_between(&self, r: &Reader<'_>, batch: &mut Batch, tenant: &TenantId, envelopes: &[EnvelopeHash]) -> Result<(), StoreError> {
        let (mut came, onward) = (Vec::new(), passed_on(r, envelopes)?);
        for envelope in envelopes {
            came.push(came_under(r, tenant, Some(*envelope))?);
        }
        for follower in followers_of(r, tenant)? {
            for entity in came.iter().flatten() {
                let at = follower_entity(tenant, &follower.id, entity.as_str());
                batch.expect_doc(SEEN, &at, r.doc(SEEN, &at)?.map(|doc| doc.revision));
            }
        }
        let (tenant, envelopes) = (tenant.clone(), envelopes.to_vec());
        batch.check(move |r| {
            let mut now = Vec::new();
            for envelope in &envelopes {
                now.push(came_under(r, &tenant, Some(*envelope))?);
            }
            if now == came && passed_on(r, &envelopes)? == onward { Ok(()) } else { Err(StoreError::conflict("envelope")) }
        });
        Ok(())
    }

    pub(crate) async fn upstream_rests(&self, batch: &mut Batch, hub: &str, event: &EnvelopeEvent, rests: bool) -> Result<(), Problem> {
        let (this, hub, event) = (self.clone(), hub.to_owned(), event.clone());
        let written = self
            .inner
            .store
            .read(move |r| {
                let mut batch = Batch::new();
                let mut own = Vec::new();
                let state = if rests { InboundState::Suspended } else { InboundState::Live };
                for envelope in &event.envelopes {
                    let ended = r.doc(INBOUND, &envelope.to_string())?.and_then(|d| serde_json::from_slice::<Inbound>(&d.payload).ok());
                    if ended.is_none_or(|row| row.state != InboundState::Withdrawn) && set_state(r, &mut batch, &hub, *envelope, state)? {
                        own.push(*envelope);
                    }
                }
                for (_, derived) in passed_on(r, &own)? {
                    ConsentBook::mark_envelopes(&mut batch, &derived, StatusPurpose::Suspension, rests);
                }
                if !own.is_empty() {
                    let what = EnvelopeEvent { envelopes: own, successors: Vec::new(), ..event.clone() };
                    batch.raise_epoch(encode(&Note::Rests { hub: hub.clone(), what, rests }));
                }
                let now = this.inner.clock.now();
                let intakes = this.inner.intake.read().unwrap_or_else(std::sync::PoisonError::into_inner);
                for intake in intakes.values().filter(|i| i.hub.as_deref() == Some(hub.as_str())) {
                    let row = Todo::Envelope { tenant: intake.tenant.clone(), envelope: None };
                    batch.put_doc(TODO, &key(&["envelopes", intake.tenant.as_str()]), encode(&row), Some(now));
                }
                Ok(batch)
            })
            .await?;
        batch.absorb(written);
        Ok(())
    }

    /// Another hub says that entities are gone there: what came from it of them goes here.
    pub(crate) async fn upstream_deleted(&self, batch: &mut Batch, hub: &str, event: &waybill_consent::DeletionEvent) -> Result<(), Problem> {
        let through: Vec<(String, TenantId)> = {
            let intakes = self.inner.intake.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            intakes.iter().filter(|(_, i)| i.hub.as_deref() == Some(hub)).map(|(name, i)| (name.clone(), i.tenant.clone())).collect()
        };
        let (this, hub, event) = (self.clone(), hub.to_owned(), event.clone());
        let written = self
            .inner
            .store
            .read(move |r| {
                let mut batch = Batch::new();
                for entity in event.entities.iter().filter_map(|e| Iri::new(e).ok()) {
                    // One removal an entity and tenant: a second in the same transaction would not see the first.
                    let mut done = BTreeSet::new();
                    for (connection, tenant) in through.iter().filter(|(_, tenant)| done.insert(tenant.clone())) {
                        this.remove_of(r, &mut batch, connection, Some(&hub), tenant, &entity, &|_| true)?;
                    }
                }
                Ok(batch)
            })
            .await?;
        batch.absorb(written);
        Ok(())
    }

    /// Tells the hub that told this one what became of it here, with the signed answers of those further down.
    pub(crate) fn answer_upstream(&self, batch: &mut Batch, withdrawal: &Withdrawal, now: DateTime) {
        // An agreement that this hub stated itself, for what it imports, is over: there is nobody to answer.
        let Some((hub, event)) = withdrawal.upstream.as_ref().filter(|(hub, _)| !self.governance().is_import(hub)) else { return };
        let mut ack = Acknowledgement::new(self.did(), did_of(hub), event.clone(), self.governance().party.clone(), now);
        ack.stores.push(StoreAnswer {
            store: "hub".into(),
            outcome: Outcome::Erased,
            how: "removed in the transaction that closed the envelope".into(),
            at: withdrawal.stopped_at,
            attested: false,
        });
        for holder in &withdrawal.holders {
            if holder.follower.is_some() {
                let pending = StoreAnswer { store: "broker".into(), outcome: Outcome::Failed { reason: "not yet confirmed".into() }, how: "deletion is being delivered".into(), at: now, attested: true };
                ack.stores.extend(if holder.answers.is_empty() { vec![pending] } else { holder.answers.clone() });
            } else if holder.progress == Progress::Unbounded {
                let reason = format!("{} was given copies and has no hub", holder.party);
                ack.stores.push(StoreAnswer { store: "asked-once".into(), outcome: Outcome::Failed { reason }, how: "nothing tells".into(), at: now, attested: true });
            }
            if holder.hub.is_some() && holder.progress != Progress::Done && holder.signed.is_empty() {
                let reason = format!("{} has not answered yet", holder.party);
                ack.stores.push(StoreAnswer { store: "onward".into(), outcome: Outcome::Failed { reason }, how: "told by event".into(), at: now, attested: false });
            }
            ack.through.extend(holder.signed.iter().cloned());
        }
        self.queue_notice(batch, hub, Notice::Acknowledgement(ack.sign(self.keys().active())));
    }
}

/// Says what became of an envelope. Answers whether it was the hub's to say.
fn set_state(r: &Reader<'_>, batch: &mut Batch, hub: &str, envelope: EnvelopeHash, state: InboundState) -> Result<bool, StoreError> {
    let at = envelope.to_string();
    let found = r.doc(INBOUND, &at)?;
    let row = found.as_ref().and_then(|d| serde_json::from_slice::<Inbound>(&d.payload).ok());
    // Nobody's envelope but the sender's own: another hub cannot end what it did not issue.
    if row.as_ref().is_some_and(|row| row.sender != hub) {
        return Ok(false);
    }
    // An event that comes before its envelope leaves a mark, so that the envelope never opens.
    let row = Inbound { jws: row.map(|r| r.jws).unwrap_or_default(), sender: hub.to_owned(), state };
    batch.expect_doc(INBOUND, &at, found.map(|d| d.revision));
    batch.put_doc(INBOUND, &at, encode(&row), None);
    Ok(true)
}

/// To whom data under `envelopes` was passed on, and under which envelopes of this hub.
fn passed_on(r: &Reader<'_>, envelopes: &[EnvelopeHash]) -> Result<Vec<(Iri, Vec<EnvelopeHash>)>, StoreError> {
    let mut out: Vec<(Iri, Vec<EnvelopeHash>)> = Vec::new();
    for envelope in envelopes {
        each_doc(r, ONWARD, &format!("{envelope}{SEP}"), |doc| {
            let recipient = doc.key.split(SEP).nth(1).and_then(|p| Iri::new(p).ok());
            let derived = std::str::from_utf8(&doc.payload).ok().and_then(EnvelopeHash::parse);
            if let (Some(recipient), Some(derived)) = (recipient, derived) {
                match out.iter_mut().find(|(party, _)| *party == recipient) {
                    Some((_, list)) => list.push(derived),
                    None => out.push((recipient, vec![derived])),
                }
            }
        })?;
    }
    Ok(out)
}
