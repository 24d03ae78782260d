//! Taking back: who has to be told, who answered what, and what is overdue (consent-design §9).

use crate::follow::{encode, followers_of};
use crate::hub::Hub;
use crate::notice::did_of;
use crate::rows::{Follower, SEEN, SEP, Seen, WITHDRAWAL, key, of_follower};
use crate::scan::each_doc;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use waybill_consent::{Acknowledgement, Closed, ConsentBook, EnvelopeEvent, EventKind, EventToken, Outcome, StatusPurpose, StoreAnswer};
use waybill_gate::{HOLDER, Joint};
use waybill_journal::{Kind, Record};
use waybill_model::{DateTime, EnvelopeHash, Iri, PartyId, Problem, ProblemCode, TenantId};
use waybill_port::{Delivered, Notice};
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
    /// The licences under which it asked and was given copies, as long as it has not answered under them that those are deleted. Empty where
    /// it was given something in another way, too: then no such answer bounds it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub licences: BTreeSet<Iri>,
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
        let parts: Vec<EnvelopeHash> = closed.iter().map(|c| c.envelope).collect();
        let joint = with_joint(r, batch, &parts)?;
        withdrawal.envelopes.extend(joint.iter().map(|(_, joint)| joint.hash).collect::<BTreeSet<_>>());
        ConsentBook::mark_envelopes(batch, &withdrawal.envelopes[parts.len()..], StatusPurpose::Revocation, true);
        for (_, joint) in &joint {
            joint.forget(batch);
        }
        let parties: BTreeSet<&Iri> = closed.iter().map(|c| &c.recipient).collect();
        for party in parties {
            let own: Vec<&Closed> = closed.iter().filter(|c| &c.recipient == party).collect();
            let parts = own.iter().map(|c| c.envelope);
            let together = joint.iter().filter(|(part, _)| own.iter().any(|c| c.envelope == *part)).map(|(_, joint)| joint.hash);
            let event = EnvelopeEvent {
                envelopes: parts.chain(together.collect::<BTreeSet<_>>()).collect(),
                time: now,
                on_withdrawal: own.iter().map(|c| c.on_withdrawal).min().unwrap_or_default(),
                successors: own.iter().filter_map(|c| c.successor).filter_map(|hash| successors.iter().find(|(h, _)| *h == hash).map(|(_, jws)| jws.clone())).collect(),
            };
            let shown: Vec<EnvelopeHash> = event.envelopes.clone();
            self.add_holders(r, batch, &mut withdrawal, party, event, &shown, epoch, now)?;
        }
        self.put_withdrawal(batch, &mut withdrawal, now);
        Ok(())
    }

    /// Adds who holds something for `party`. Followers are found by the envelopes that things were `shown` under: for data that was passed
    /// on, those it came under.
    #[allow(clippy::too_many_arguments, reason = "one step of two")]
    pub(crate) fn add_holders(&self, r: &Reader<'_>, batch: &mut Batch, withdrawal: &mut Withdrawal, party: &PartyId, event: EnvelopeEvent, shown: &[EnvelopeHash], epoch: u64, now: DateTime) -> Result<(), StoreError> {
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
            licences: BTreeSet::new(),
        };
        if let Some(hub) = hub {
            let token = EventToken::new(self.did(), did_of(&hub), epoch, EventKind::Withdrawn(event), now);
            batch.put_doc(PART_OF, &key(&[&token.jti, withdrawal.id.as_str()]), Vec::new(), None);
            self.queue_notice(batch, &hub, Notice::Event(token.sign(self.keys().active())));
            withdrawal.holders.push(holder(Some(hub), None, Some(token.jti), Progress::Told));
            return Ok(());
        }
        let mut any = false;
        for follower in holding(r, batch, &withdrawal.tenant, shown)? {
            if follower.on_behalf.recipient() == Some(party) {
                withdrawal.holders.push(holder(None, Some(follower.id), None, Progress::Told));
                any = true;
            }
        }
        // Who only ever asked, and has no hub, was given copies that nobody can call back. A release that comes between makes it look anew.
        let asked = asked_for(r, batch, &event.envelopes, party)?;
        if !any && !asked.is_empty() {
            let licences = if asked.contains(&None) { BTreeSet::new() } else { asked.into_iter().flatten().collect() };
            withdrawal.holders.push(HolderProgress { licences, ..holder(None, None, None, Progress::Unbounded) });
        }
        Ok(())
    }

    pub(crate) fn put_withdrawal(&self, batch: &mut Batch, withdrawal: &mut Withdrawal, now: DateTime) {
        withdrawal.settle(now);
        for envelope in &withdrawal.envelopes {
            batch.put_doc(PART_OF, &key(&[&envelope.to_string(), withdrawal.id.as_str()]), Vec::new(), None);
        }
        batch.put_doc(WITHDRAWAL, withdrawal.id.as_str(), encode(withdrawal), None);
    }

    /// A follower was told that something is gone: the withdrawals that this belongs to come further, in the transaction that notes what
    /// the follower has seen. A withdrawal waits for a follower as long as it holds anything under its envelopes.
    pub(crate) fn note_taken_back(&self, batch: &mut Batch, follower: &Follower, gone: &BTreeSet<EnvelopeHash>, done: &Delivered) {
        let (hub, follower, done) = (self.clone(), follower.clone(), done.clone());
        let wanted: Vec<String> = gone.iter().map(ToString::to_string).collect();
        batch.then(move |r| {
            let (mut batch, now) = (Batch::new(), hub.inner.clock.now());
            for (mut withdrawal, revision) in withdrawals_of(r, &wanted)? {
                if !held_by(r, &follower.tenant, &follower.id, &withdrawal.envelopes)?.is_empty() {
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

    /// A follower is ended: what it holds, it keeps, and withdrawals that wait for it wait in vain.
    pub(crate) fn let_go(&self, r: &Reader<'_>, batch: &mut Batch, tenant: &TenantId, follower: &Iri) -> Result<(), StoreError> {
        let now = self.inner.clock.now();
        let mut waiting = Vec::new();
        each_doc(r, WITHDRAWAL, "", |doc| {
            if let Ok(withdrawal) = serde_json::from_slice::<Withdrawal>(&doc.payload)
                && withdrawal.tenant == *tenant
            {
                waiting.push((withdrawal, doc.revision));
            }
        })?;
        for (mut withdrawal, revision) in waiting {
            let mut touched = false;
            for holder in withdrawal.holders.iter_mut().filter(|h| h.follower.as_ref() == Some(follower) && matches!(h.progress, Progress::Told | Progress::Partly)) {
                (holder.progress, touched) = (Progress::Unbounded, true);
            }
            if touched {
                self.come_further(batch, &mut withdrawal, revision, now);
            }
        }
        Ok(())
    }

    /// Takes another hub's answer to an event of this one.
    ///
    /// # Errors
    /// 403 for a hub that is not known; 400 for what does not verify or answers nothing; the store's.
    pub async fn take_acknowledgement(&self, compact: &str) -> Result<(), Problem> {
        let hub = self.claimed_sender(compact)?;
        let (now, did) = (self.inner.clock.now(), self.did());
        let ack = self.noticed_by(&hub, |keys| Acknowledgement::verify(compact, &did, keys, now)).await?;
        for _ in 0..16 {
            let wanted = vec![ack.event.clone()];
            let list = self.inner.store.read(move |r| withdrawals_of(r, &wanted)).await?;
            let Some((mut withdrawal, revision)) = list.into_iter().next() else {
                return Err(Problem::new(ProblemCode("acknowledgement-of-nothing"), 400, "Acknowledgement refused", "it answers no event of this hub"));
            };
            let Some(holder) = withdrawal.holders.iter_mut().find(|h| h.event.as_deref() == Some(&ack.event) && h.hub.as_deref() == Some(&hub)) else {
                return Err(Problem::new(ProblemCode("acknowledgement-of-another"), 400, "Acknowledgement refused", "the event was for another hub"));
            };
            // An answer that was on the way when a later one came takes nothing back.
            if holder.progress == Progress::Done {
                return Ok(());
            }
            let below = ack.through.iter().all(|text| claims_complete(text));
            let progress = if ack.is_complete() && below { Progress::Done } else { Progress::Partly };
            let signed = vec![compact.to_owned()];
            // Who got no word that an answer was taken sends it again: no news, so no second line on her page and in her pod.
            if holder.progress == progress && holder.answers == ack.stores && answered_below(&holder.signed) == answered_below(&signed) {
                return Ok(());
            }
            holder.answers.clone_from(&ack.stores);
            (holder.signed, holder.progress) = (signed, progress);
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
    pub(crate) fn come_further(&self, batch: &mut Batch, withdrawal: &mut Withdrawal, revision: u64, now: DateTime) {
        batch.expect_doc(WITHDRAWAL, withdrawal.id.as_str(), Some(revision));
        self.put_withdrawal(batch, withdrawal, now);
        self.answer_upstream(batch, withdrawal, now);
        let detail = json!({ "withdrawal": withdrawal.id, "finished": withdrawal.finished_at, "holders": withdrawal.holders.iter().map(|h| json!({ "party": h.party, "progress": h.progress, "answers": h.answers, "through": answered_below(&h.signed) })).collect::<Vec<_>>() });
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

/// The joint envelopes that `parts` have a share in, each with the part. `batch` then only commits if there are no others: one that a
/// release made meanwhile would never be taken back.
pub(crate) fn with_joint(r: &Reader<'_>, batch: &mut Batch, parts: &[EnvelopeHash]) -> Result<Vec<(EnvelopeHash, Joint)>, StoreError> {
    let read = |r: &Reader<'_>, parts: &[EnvelopeHash]| {
        let mut out = Vec::new();
        for part in parts {
            out.extend(Joint::with(r, part)?.into_iter().map(|joint| (*part, joint)));
        }
        Ok::<_, StoreError>(out)
    };
    let found = read(r, parts)?;
    let (parts, expected) = (parts.to_vec(), found.clone());
    batch.check(move |r| if read(r, &parts)? == expected { Ok(()) } else { Err(StoreError::conflict("envelope")) });
    Ok(found)
}

/// What an answer says of itself, unverified: for those further down, whose hub vouches for them by carrying them; this hub cannot verify
/// a stranger's key.
fn claimed(compact: &str) -> Option<Acknowledgement> {
    let payload = compact.split('.').nth(1).and_then(waybill_keys::unb64url)?;
    serde_json::from_slice(&payload).ok()
}

fn claims_complete(compact: &str) -> bool {
    claimed(compact).is_some_and(|ack| ack.is_complete() && ack.through.iter().all(|t| claims_complete(t)))
}

/// Who answered further down, and what, as the `signed` answers carry it: so that she reads of every platform, and not of the next ones only.
fn answered_below(signed: &[String]) -> Vec<serde_json::Value> {
    let below = signed.iter().filter_map(|text| claimed(text)).flat_map(|ack| ack.through);
    below.filter_map(|text| Some((claimed(&text)?, text))).map(|(ack, text)| json!({ "party": ack.holder, "answers": ack.stores, "through": answered_below(&[text]) })).collect()
}

/// The rows of what `follower` saw under one of `envelopes`, with their revisions.
fn held_by(r: &Reader<'_>, tenant: &TenantId, follower: &Iri, envelopes: &[EnvelopeHash]) -> Result<Vec<(String, u64)>, StoreError> {
    let mut rows = Vec::new();
    each_doc(r, SEEN, &of_follower(tenant, follower), |doc| {
        let seen: Seen = serde_json::from_slice(&doc.payload).unwrap_or_default();
        if seen.envelopes().any(|e| envelopes.contains(&e)) {
            rows.push((doc.key, doc.revision));
        }
    })?;
    Ok(rows)
}

/// The followers that hold something under one of `envelopes`. `batch` then only commits if they still do: one that was just told to
/// let go would never be told again, and the withdrawal would wait for it for ever.
pub(crate) fn holding(r: &Reader<'_>, batch: &mut Batch, tenant: &TenantId, envelopes: &[EnvelopeHash]) -> Result<Vec<Follower>, StoreError> {
    let mut out = Vec::new();
    for follower in followers_of(r, tenant)? {
        let rows = held_by(r, tenant, &follower.id, envelopes)?;
        for (at, revision) in &rows {
            batch.expect_doc(SEEN, at, Some(*revision));
        }
        if !rows.is_empty() {
            out.push(follower);
        }
    }
    Ok(out)
}

/// Under which licences `party` was given something under one of `envelopes` when it asked; nothing among them stands for any other way.
/// `batch` then only commits if no release came between.
fn asked_for(r: &Reader<'_>, batch: &mut Batch, envelopes: &[EnvelopeHash], party: &PartyId) -> Result<BTreeSet<Option<Iri>>, StoreError> {
    let read = |r: &Reader<'_>, envelopes: &[EnvelopeHash], party: &PartyId| {
        let mut rows = Vec::new();
        for envelope in envelopes {
            let plain = key(&[&envelope.to_string(), party.as_str()]);
            rows.extend(r.doc(HOLDER, &plain)?.map(|doc| (doc.key, doc.revision)));
            each_doc(r, HOLDER, &format!("{plain}{SEP}"), |doc| rows.push((doc.key, doc.revision)))?;
        }
        Ok::<_, StoreError>(rows)
    };
    let found = read(r, envelopes, party)?;
    let out = found.iter().map(|(at, _)| at.split(SEP).nth(2).and_then(|id| Iri::new(id).ok())).collect();
    let (envelopes, party) = (envelopes.to_vec(), party.clone());
    batch.check(move |r| if read(r, &envelopes, &party)? == found { Ok(()) } else { Err(StoreError::conflict("holder")) });
    Ok(out)
}

/// The withdrawals that events or envelopes belong to, each with the revision it was read at.
pub(crate) fn withdrawals_of(r: &Reader<'_>, parts: &[String]) -> Result<Vec<(Withdrawal, u64)>, StoreError> {
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
