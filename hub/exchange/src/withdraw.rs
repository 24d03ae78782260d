//! Taking back: who has to be told, who answered what, and what is overdue (consent-design §9).

use crate::admit::without;
use crate::fan::came_under;
use crate::follow::{encode, followers_of};
use crate::hub::Hub;
use crate::notice::did_of;
use crate::rows::{Follower, POD, SEEN, SEP, Seen, TODO, Todo, WITHDRAWAL, key};
use crate::scan::each_doc;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use waybill_consent::{Acknowledgement, Closed, ConsentBook, EnvelopeEvent, EventKind, EventToken, Outcome, StatusPurpose, StoreAnswer};
use waybill_gate::{HOLDER, INBOUND, Inbound, InboundState, ONWARD};
use waybill_journal::{Kind, Record};
use waybill_model::{DateTime, EnvelopeHash, Iri, PartyId, Problem, ProblemCode, TenantId};
use waybill_port::{AccessChange, Delivered, Notice};
use waybill_store::{Batch, Reader, StoreError};

/// From an event or an envelope to the withdrawals it belongs to. Key: event or envelope, withdrawal.
const PART_OF: &str = "withdrawal-part";

/// One withdrawal, and how far it has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Withdrawal {
    /// Its identifier.
    pub id: Iri,
    /// Whose store.
    pub tenant: TenantId,
    /// The person; nothing where another hub withdrew, which names nobody.
    pub subject: Option<Iri>,
    /// The consent record at the hub where she gave it.
    pub record: Option<Iri>,
    /// The hub that told this one, and its event.
    pub upstream: Option<(String, String)>,
    /// The envelopes that are over.
    pub envelopes: Vec<EnvelopeHash>,
    /// When this hub's gate closed.
    pub stopped_at: DateTime,
    /// Who holds copies.
    pub holders: Vec<HolderProgress>,
    /// When the last holder had answered for good.
    pub finished_at: Option<DateTime>,
}

/// One holder.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HolderProgress {
    /// Who.
    pub party: PartyId,
    /// Its hub, when it has one.
    pub hub: Option<String>,
    /// The follower through which this hub takes the data back itself, when there is no hub.
    pub follower: Option<Iri>,
    /// The event it was told by.
    pub event: Option<String>,
    /// How far it is.
    pub progress: Progress,
    /// Store by store, as it said.
    pub answers: Vec<StoreAnswer>,
    /// The signed answers, also of holders further down, as they came.
    pub signed: Vec<String>,
    /// When it was done.
    pub done_at: Option<DateTime>,
}

/// How far a holder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// It is being told.
    Told,
    /// It has answered, and not everything is final.
    Partly,
    /// Everything is final.
    Done,
    /// It has no hub and no door of ours: nothing bounds when it stops.
    Unbounded,
}

impl Withdrawal {
    fn settle(&mut self, now: DateTime) {
        let open = self.holders.iter().any(|h| matches!(h.progress, Progress::Told | Progress::Partly));
        if !open && self.finished_at.is_none() {
            self.finished_at = Some(now);
        }
    }
}

impl Hub {
    /// What follows from grants that are over: their holders are told, and what becomes of it is kept. Part of the Batch that closes them.
    pub(crate) fn tell_holders(&self, r: &Reader<'_>, batch: &mut Batch, tenant: &TenantId, subject: &Iri, record: &Iri, closed: &[Closed], successors: &[(EnvelopeHash, String)], epoch: u64) -> Result<(), StoreError> {
        if closed.is_empty() {
            return Ok(());
        }
        let now = self.inner.clock.now();
        let mut withdrawal = Withdrawal {
            id: Self::fresh_id("withdrawal"),
            tenant: tenant.clone(),
            subject: Some(subject.clone()),
            record: Some(record.clone()),
            upstream: None,
            envelopes: closed.iter().map(|c| c.envelope).collect(),
            stopped_at: now,
            holders: Vec::new(),
            finished_at: None,
        };
        let parties: BTreeSet<&Iri> = closed.iter().map(|c| &c.recipient).collect();
        for party in parties {
            let own: Vec<&Closed> = closed.iter().filter(|c| &c.recipient == party).collect();
            let event = EnvelopeEvent {
                envelopes: own.iter().map(|c| c.envelope).collect(),
                time: now,
                on_withdrawal: own.first().map(|c| c.on_withdrawal).unwrap_or_default(),
                successors: own.iter().filter_map(|c| c.successor).filter_map(|hash| successors.iter().find(|(h, _)| *h == hash).map(|(_, jws)| jws.clone())).collect(),
            };
            self.add_holders(r, batch, &mut withdrawal, party, event, epoch, now)?;
        }
        self.put_withdrawal(batch, &mut withdrawal, now);
        Ok(())
    }

    fn add_holders(&self, r: &Reader<'_>, batch: &mut Batch, withdrawal: &mut Withdrawal, party: &PartyId, event: EnvelopeEvent, epoch: u64, now: DateTime) -> Result<(), StoreError> {
        let hub = self.governance().agreements.iter().find(|a| a.recipient.as_ref() == Some(party)).and_then(|a| a.hub.clone());
        let holder = |hub: Option<String>, follower: Option<Iri>, event: Option<String>, progress| HolderProgress {
            party: party.clone(),
            hub,
            follower,
            event,
            progress,
            answers: Vec::new(),
            signed: Vec::new(),
            done_at: None,
        };
        if let Some(hub) = hub {
            let token = EventToken::new(self.did(), did_of(&hub), epoch, EventKind::Withdrawn(event), now);
            batch.put_doc(PART_OF, &key(&[&token.jti, withdrawal.id.as_str()]), Vec::new(), None);
            self.queue_notice(batch, &hub, Notice::Event(token.sign(self.keys().active())));
            withdrawal.holders.push(holder(Some(hub), None, Some(token.jti), Progress::Told));
            return Ok(());
        }
        let mut any = false;
        for follower in holding(r, batch, &withdrawal.tenant, &event.envelopes)? {
            if matches!(&follower.on_behalf, crate::Behalf::Party { recipient, .. } if recipient == party) {
                withdrawal.holders.push(holder(None, Some(follower.id), None, Progress::Told));
                any = true;
            }
        }
        // Who only ever asked, and has no hub, was given copies that nobody can call back. A release that comes between makes it look anew.
        let mut asked = false;
        for envelope in &event.envelopes {
            let at = key(&[&envelope.to_string(), party.as_str()]);
            let row = r.doc(HOLDER, &at)?;
            asked |= row.is_some();
            batch.expect_doc(HOLDER, &at, row.map(|doc| doc.revision));
        }
        if !any && asked {
            withdrawal.holders.push(holder(None, None, None, Progress::Unbounded));
        }
        Ok(())
    }

    fn put_withdrawal(&self, batch: &mut Batch, withdrawal: &mut Withdrawal, now: DateTime) {
        withdrawal.settle(now);
        for envelope in &withdrawal.envelopes {
            batch.put_doc(PART_OF, &key(&[&envelope.to_string(), withdrawal.id.as_str()]), Vec::new(), None);
        }
        batch.put_doc(WITHDRAWAL, withdrawal.id.as_str(), encode(withdrawal), None);
    }

    /// Another hub withdrew: what came under its envelopes closes, goes, and is called back from whoever got it from here.
    pub(crate) async fn upstream_withdrew(&self, batch: &mut Batch, hub: &str, token: &EventToken, event: &EnvelopeEvent) -> Result<(), Problem> {
        for compact in &event.successors {
            self.take_envelope(hub, waybill_consent::Envelope::hash_of(compact), compact).await?;
        }
        let (this, hub, token, event) = (self.clone(), hub.to_owned(), token.clone(), event.clone());
        let written = self.inner.store.read(move |r| this.close_inbound(r, &hub, &token, &event)).await?;
        batch.absorb(written);
        Ok(())
    }

    fn close_inbound(&self, r: &Reader<'_>, hub: &str, token: &EventToken, event: &EnvelopeEvent) -> Result<Batch, StoreError> {
        let now = self.inner.clock.now();
        let mut batch = Batch::new();
        let tenants: BTreeSet<TenantId> =
            self.inner.intake.read().unwrap_or_else(std::sync::PoisonError::into_inner).values().filter(|i| i.hub.as_deref() == Some(hub)).map(|i| i.tenant.clone()).collect();
        for envelope in &event.envelopes {
            set_state(r, &mut batch, hub, *envelope, InboundState::Withdrawn)?;
        }
        for tenant in tenants {
            let mut withdrawal = Withdrawal {
                id: Self::fresh_id("withdrawal"),
                tenant: tenant.clone(),
                subject: None,
                record: None,
                upstream: Some((hub.to_owned(), token.jti.clone())),
                envelopes: event.envelopes.clone(),
                stopped_at: now,
                holders: Vec::new(),
                finished_at: None,
            };
            self.nothing_between(r, &mut batch, &tenant, &event.envelopes)?;
            for (recipient, derived) in passed_on(r, &event.envelopes)? {
                batch.absorb(ConsentBook::mark_envelopes(r, &derived, StatusPurpose::Revocation, true).map_err(|e| StoreError::Corrupt(e.to_string()))?);
                let onward = EnvelopeEvent { envelopes: derived, time: event.time, on_withdrawal: event.on_withdrawal, successors: Vec::new() };
                self.add_holders(r, &mut batch, &mut withdrawal, &recipient, onward, token.epoch, now)?;
            }
            let mut erased = 0u64;
            for envelope in &event.envelopes {
                for entity in came_under(r, &tenant, Some(*envelope))? {
                    batch.delete_doc(crate::fan::CAME_UNDER, &key(&[&envelope.to_string(), tenant.as_str(), entity.as_str()]));
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
                let ours = matches!(&follower.on_behalf, crate::Behalf::Operator) || matches!(&follower.on_behalf, crate::Behalf::Party { recipient, .. } if *recipient == party);
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
                    });
                }
            }
            let row = Todo::Envelope { tenant: tenant.clone(), envelope: None };
            batch.put_doc(TODO, &key(&["envelopes", tenant.as_str()]), encode(&row), Some(now));
            self.put_withdrawal(&mut batch, &mut withdrawal, now);
            self.answer_upstream(&mut batch, &withdrawal, now);
            let record = Record::new(Kind::Withdrawal, tenant, now).left(erased, None).detail(json!({ "from": hub, "event": token.jti, "envelopes": event.envelopes }));
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
                let at = key(&[follower.id.as_str(), entity.as_str()]);
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
                let state = if rests { InboundState::Suspended } else { InboundState::Live };
                for envelope in &event.envelopes {
                    let ended = r.doc(INBOUND, &envelope.to_string())?.and_then(|d| serde_json::from_slice::<Inbound>(&d.payload).ok());
                    if ended.is_none_or(|row| row.state != InboundState::Withdrawn) {
                        set_state(r, &mut batch, &hub, *envelope, state)?;
                    }
                }
                for (_, derived) in passed_on(r, &event.envelopes)? {
                    batch.absorb(ConsentBook::mark_envelopes(r, &derived, StatusPurpose::Suspension, rests).map_err(|e| StoreError::Corrupt(e.to_string()))?);
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

    pub(crate) async fn upstream_deleted(&self, batch: &mut Batch, hub: &str, event: &waybill_consent::DeletionEvent) -> Result<(), Problem> {
        let tenants: Vec<TenantId> =
            self.inner.intake.read().unwrap_or_else(std::sync::PoisonError::into_inner).values().filter(|i| i.hub.as_deref() == Some(hub)).map(|i| i.tenant.clone()).collect();
        let (this, event) = (self.clone(), event.clone());
        let written = self
            .inner
            .store
            .read(move |r| {
                let (mut batch, now) = (Batch::new(), this.inner.clock.now());
                for tenant in &tenants {
                    for entity in event.entities.iter().filter_map(|e| Iri::new(e).ok()) {
                        let Some(current) = r.entity(tenant, entity.as_str())? else { continue };
                        batch.expect_version(tenant, entity.as_str(), Some(current.system.version));
                        // Only what came from hubs goes: what this hub holds of its own about the same entity is its own affair.
                        match without(&current, |span| span.envelope.is_some(), now) {
                            crate::Change::Put(doc, ()) => drop(batch.put_entity(tenant, &doc)),
                            crate::Change::Delete(()) => drop(batch.delete_entity(tenant, entity.as_str())),
                            crate::Change::Keep(()) => {}
                        }
                        this.todo_entity(&mut batch, tenant, &entity);
                    }
                }
                Ok(batch)
            })
            .await?;
        batch.absorb(written);
        Ok(())
    }

    /// Tells the hub that told this one what became of it here, with the signed answers of those further down.
    fn answer_upstream(&self, batch: &mut Batch, withdrawal: &Withdrawal, now: DateTime) {
        let Some((hub, event)) = &withdrawal.upstream else { return };
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

    /// A follower was told that something is gone: the withdrawals that this belongs to come further, in the transaction that notes what
    /// the follower has seen. A withdrawal waits for a follower as long as it holds anything under its envelopes.
    pub(crate) fn note_taken_back(&self, batch: &mut Batch, follower: &Follower, gone: &BTreeSet<EnvelopeHash>, done: &Delivered) {
        let (hub, follower, done) = (self.clone(), follower.clone(), done.clone());
        let wanted: Vec<String> = gone.iter().map(ToString::to_string).collect();
        batch.then(move |r| {
            let (mut batch, now) = (Batch::new(), hub.inner.clock.now());
            for (mut withdrawal, revision) in withdrawals_of(r, &wanted)? {
                if !held_by(r, &follower.id, &withdrawal.envelopes)?.is_empty() {
                    continue;
                }
                let mut touched = false;
                for holder in withdrawal.holders.iter_mut().filter(|h| h.follower.as_ref() == Some(&follower.id) && h.progress != Progress::Done) {
                    let (outcome, how) = match &done.erased_how {
                        Some(how) => (Outcome::Erased, how.clone()),
                        None => (Outcome::Stopped, "the deletion was notified and taken".to_owned()),
                    };
                    holder.answers = vec![StoreAnswer { store: "broker".into(), outcome, how, at: now, attested: true }];
                    (holder.progress, holder.done_at, touched) = (Progress::Done, Some(now), true);
                }
                if touched {
                    hub.come_further(&mut batch, &mut withdrawal, revision, now);
                }
            }
            Ok(batch)
        });
    }

    /// Takes another hub's answer to an event of this one.
    ///
    /// # Errors
    /// 403 for a hub that is not known; 400 for what does not verify or answers nothing; the store's.
    pub async fn take_acknowledgement(&self, compact: &str) -> Result<(), Problem> {
        let hub = self.claimed_sender(compact)?;
        let (now, did) = (self.inner.clock.now(), self.did());
        let ack = self.by_keys_of(&hub, |keys| Acknowledgement::verify(compact, &did, keys, now)).await?;
        for _ in 0..16 {
            let wanted = vec![ack.event.clone()];
            let list = self.inner.store.read(move |r| withdrawals_of(r, &wanted)).await?;
            let Some((mut withdrawal, revision)) = list.into_iter().next() else {
                return Err(Problem::new(ProblemCode("acknowledgement-of-nothing"), 400, "Acknowledgement refused", "it answers no event of this hub"));
            };
            let Some(holder) = withdrawal.holders.iter_mut().find(|h| h.event.as_deref() == Some(&ack.event) && h.hub.as_deref() == Some(&hub)) else {
                return Err(Problem::new(ProblemCode("acknowledgement-of-another"), 400, "Acknowledgement refused", "the event was for another hub"));
            };
            holder.answers.clone_from(&ack.stores);
            holder.signed = vec![compact.to_owned()];
            let below = ack.through.iter().all(|text| claims_complete(text));
            holder.progress = if ack.is_complete() && below { Progress::Done } else { Progress::Partly };
            holder.done_at = (holder.progress == Progress::Done).then_some(now);
            let mut batch = Batch::new();
            self.come_further(&mut batch, &mut withdrawal, revision, now);
            match self.commit(batch).await {
                Err(problem) if problem.code == "store-conflict" => {}
                other => return other.map(drop),
            }
        }
        Err(Problem::new(ProblemCode("busy-withdrawal"), 503, "Too many answers", "others kept answering at the same time"))
    }

    /// Puts a withdrawal back with what is new, if nobody else did meanwhile, and tells upstream and her.
    fn come_further(&self, batch: &mut Batch, withdrawal: &mut Withdrawal, revision: u64, now: DateTime) {
        batch.expect_doc(WITHDRAWAL, withdrawal.id.as_str(), Some(revision));
        self.put_withdrawal(batch, withdrawal, now);
        self.answer_upstream(batch, withdrawal, now);
        let detail = json!({ "withdrawal": withdrawal.id, "finished": withdrawal.finished_at, "holders": withdrawal.holders.iter().map(|h| json!({ "party": h.party, "progress": h.progress, "answers": h.answers })).collect::<Vec<_>>() });
        let mut record = Record::new(Kind::Acknowledgement, withdrawal.tenant.clone(), now).left(1, None);
        match &withdrawal.subject {
            Some(subject) => {
                record = record.about(subject.clone(), None, detail.clone());
                self.acknowledge_to_her(batch, subject, &json!({ "at": now, "report": detail }));
            }
            None => record = record.detail(json!({ "withdrawal": withdrawal.id, "finished": withdrawal.finished_at })),
        }
        self.inner.journal.append(batch, record);
    }

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
                    batch.put_doc(crate::rows::DEAD, &key(&["pod", &row.key]), row.payload.clone(), None);
                    batch.delete_doc_at(POD, &row.key, row.revision);
                }
            }
            self.commit(batch).await?;
        }
        Ok(done)
    }

    /// The withdrawals of a tenant, newest last.
    ///
    /// # Errors
    /// The store's.
    pub async fn withdrawals(&self, tenant: &TenantId) -> Result<Vec<Withdrawal>, Problem> {
        let tenant = tenant.clone();
        let list = self.inner.store.read(move |r| {
            let mut out: Vec<Withdrawal> = Vec::new();
            each_doc(r, WITHDRAWAL, "", |doc| out.extend(serde_json::from_slice(&doc.payload)))?;
            out.retain(|w| w.tenant == tenant);
            Ok(out)
        });
        let mut list = list.await?;
        list.sort_by_key(|w| w.stopped_at);
        Ok(list)
    }
}

/// What an answer further down says of itself: its hub vouches for it by carrying it, this hub cannot verify a stranger's key.
fn claims_complete(compact: &str) -> bool {
    let payload = compact.split('.').nth(1).and_then(waybill_keys::unb64url).unwrap_or_default();
    serde_json::from_slice::<Acknowledgement>(&payload).is_ok_and(|ack| ack.is_complete() && ack.through.iter().all(|t| claims_complete(t)))
}

fn set_state(r: &Reader<'_>, batch: &mut Batch, hub: &str, envelope: EnvelopeHash, state: InboundState) -> Result<(), StoreError> {
    let at = envelope.to_string();
    let found = r.doc(INBOUND, &at)?;
    let row = found.as_ref().and_then(|d| serde_json::from_slice::<Inbound>(&d.payload).ok());
    // Nobody's envelope but the sender's own: another hub cannot end what it did not issue.
    if row.as_ref().is_some_and(|row| row.sender != hub) {
        return Ok(());
    }
    // An event that comes before its envelope leaves a mark, so that the envelope never opens.
    let row = Inbound { jws: row.map(|r| r.jws).unwrap_or_default(), sender: hub.to_owned(), state };
    batch.expect_doc(INBOUND, &at, found.map(|d| d.revision));
    batch.put_doc(INBOUND, &at, encode(&row), None);
    Ok(())
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

/// The rows of what `follower` saw under one of `envelopes`, with their revisions.
fn held_by(r: &Reader<'_>, follower: &Iri, envelopes: &[EnvelopeHash]) -> Result<Vec<(String, u64)>, StoreError> {
    let mut rows = Vec::new();
    each_doc(r, SEEN, &format!("{follower}{SEP}"), |doc| {
        let seen: Seen = serde_json::from_slice(&doc.payload).unwrap_or_default();
        if seen.envelopes().any(|e| envelopes.contains(&e)) {
            rows.push((doc.key, doc.revision));
        }
    })?;
    Ok(rows)
}

/// The followers that hold something under one of `envelopes`. `batch` then only commits if they still do: one that was just told to
/// let go would never be told again, and the withdrawal would wait for it for ever.
fn holding(r: &Reader<'_>, batch: &mut Batch, tenant: &TenantId, envelopes: &[EnvelopeHash]) -> Result<Vec<Follower>, StoreError> {
    let mut out = Vec::new();
    for follower in followers_of(r, tenant)? {
        let rows = held_by(r, &follower.id, envelopes)?;
        for (at, revision) in &rows {
            batch.expect_doc(SEEN, at, Some(*revision));
        }
        if !rows.is_empty() {
            out.push(follower);
        }
    }
    Ok(out)
}

/// The withdrawals that events or envelopes belong to, each with the revision it was read at.
fn withdrawals_of(r: &Reader<'_>, parts: &[String]) -> Result<Vec<(Withdrawal, u64)>, StoreError> {
    let mut ids = BTreeSet::new();
    for part in parts {
        each_doc(r, PART_OF, &format!("{part}{SEP}"), |doc| ids.extend(doc.key.split(SEP).nth(1).map(str::to_owned)))?;
    }
    let mut out = Vec::new();
    for id in ids {
        out.extend(r.doc(WITHDRAWAL, &id)?.and_then(|d| Some((serde_json::from_slice(&d.payload).ok()?, d.revision))));
    }
    Ok(out)
}
