//! Consents and bindings: what changes them, with all that follows, in one Batch.

use crate::hub::Hub;
use crate::rows::ERASED;
use serde::Serialize;
use serde_json::json;
use waybill_consent::{Applied, Binding, Change, Closed, ConsentBook, ConsentError, ConsentEvent, ConsentRecord, EnvelopeEvent, EventKind, EventToken, Folded, GrantDocument, Guardianship, Input, Observed, Registry, StatusPurpose, Target, record_id_of};
use waybill_journal::{ConsentRef, Kind, Record};
use waybill_model::{EnvelopeHash, Iri, Problem, ProblemCode, TenantId};
use waybill_port::Notice;
use waybill_store::{Batch, Filter, Reader, StoreError};

/// What became of a consent.
#[derive(Debug, Clone, Serialize)]
pub struct Granted {
    /// The record.
    pub record: Iri,
    /// The person.
    pub subject: Iri,
    /// The state of each process, and what is missing where it is a draft.
    pub state: Option<Folded>,
    /// Envelopes that are new.
    pub opened: Vec<EnvelopeHash>,
    /// Envelopes that are over.
    pub closed: Vec<EnvelopeHash>,
}

impl Hub {
    /// Says that data is about somebody.
    ///
    /// # Errors
    /// The store's.
    pub async fn bind(&self, tenant: &TenantId, binding: &Binding) -> Result<(), Problem> {
        let now = self.inner.clock.now();
        let mut batch = Batch::new();
        ConsentBook::bind(&mut batch, tenant, binding, now);
        self.todo_subject(&mut batch, tenant, &binding.subject);
        for at in [binding.validity.from, binding.validity.until].into_iter().flatten().filter(|at| *at > now) {
            self.todo_subject_at(&mut batch, tenant, &binding.subject, at);
        }
        let record = Record::new(Kind::Binding, tenant.clone(), now).left(1, None).about(binding.subject.clone(), None, json!({ "target": binding.target, "assertedBy": binding.asserted_by }));
        self.inner.journal.append(&mut batch, record);
        self.commit(batch).await.map(drop)
    }

    /// Says that somebody acts for somebody else.
    ///
    /// # Errors
    /// The store's.
    pub async fn appoint(&self, tenant: &TenantId, guardianship: &Guardianship) -> Result<(), Problem> {
        let mut batch = Batch::new();
        ConsentBook::appoint(&mut batch, tenant, guardianship, self.inner.clock.now());
        self.commit(batch).await.map(drop)
    }

    /// The bindings of a tenant.
    ///
    /// # Errors
    /// The store's.
    pub async fn bindings(&self, tenant: &TenantId, limit: usize, after: Option<String>) -> Result<Vec<(String, Binding)>, Problem> {
        let tenant = tenant.clone();
        Ok(self.inner.store.read(move |r| Registry::list(r, &tenant, limit, after.as_deref()).map_err(told)).await?)
    }

    /// Takes a new version of a record, events about it, or both. Durable when this returns: the next decision sees it, and every holder
    /// of what it closes is being told.
    ///
    /// # Errors
    /// What the consent room refuses; the store's.
    pub async fn change_consent(&self, tenant: &TenantId, record: &Iri, version: Option<ConsentRecord>, events: Vec<ConsentEvent>) -> Result<Granted, Problem> {
        self.change_by(tenant, record, version, events, None).await
    }

    /// The same; by a `document` when there is one, which must not be from before an erasure.
    async fn change_by(&self, tenant: &TenantId, record: &Iri, version: Option<ConsentRecord>, events: Vec<ConsentEvent>, document: Option<&GrantDocument>) -> Result<Granted, Problem> {
        for _ in 0..16 {
            let (hub, tenant_, record_, version_, events_) = (self.clone(), tenant.clone(), record.clone(), version.clone(), events.clone());
            let said = document.map(|document| (document.subject.clone(), document.stated));
            let outcome = self
                .inner
                .store
                .read(move |r| {
                    if let Some((subject, stated)) = &said
                        && let Some(erased) = hub.erased_at(r, &tenant_, subject)?
                        && stated.is_none_or(|at| at <= erased)
                    {
                        return Ok(Err(crate::erase::forgotten("the document is from before the erasure")));
                    }
                    let input = Input { tenant: &tenant_, record: &record_, version: version_.as_ref(), events: &events_ };
                    let now = hub.inner.clock.now();
                    let applied = {
                        let ring = hub.keys();
                        hub.inner.book.change(r, input, &ring, now)
                    };
                    match applied {
                        Ok(applied) => hub.follow_through(r, &tenant_, &record_, applied, &events_, version_.is_none() && events_.is_empty()).map(Ok),
                        Err(ConsentError::Store(e)) => Err(e),
                        Err(refused) => Ok(Err(Problem::from(refused))),
                    }
                })
                .await?;
            let (batch, granted) = outcome?;
            match self.commit(batch).await {
                Ok(_) => return Ok(granted),
                Err(problem) if problem.code == "store-conflict" => {}
                Err(problem) => return Err(problem),
            }
        }
        Err(Problem::new(ProblemCode("busy-consent"), 503, "Too many changes", "others kept changing this person's consents").help("Try again in a moment."))
    }

    /// Takes a grant document: from a pod, or as the consent API was given it. `seen` says where it stood and how it is known to be hers.
    /// The same reading twice changes nothing the second time.
    ///
    /// # Errors
    /// What the consent room refuses, also when the evidence does not show that it is hers; the store's.
    pub async fn take_grant_document(&self, tenant: &TenantId, document: &GrantDocument, seen: &Observed) -> Result<Granted, Problem> {
        let id = record_id_of(&seen.source, &self.inner.secret);
        for _ in 0..4 {
            let (tenant_, id_) = (tenant.clone(), id.clone());
            let read = move |r: &Reader<'_>| {
                Ok((ConsentBook::versions(r, &tenant_, id_.as_str()).map_err(told)?, ConsentBook::events(r, &tenant_, id_.as_str()).map_err(told)?))
            };
            let (versions, events) = self.inner.store.read(read).await?;
            let imported = document.import(&id, seen, &versions, &events)?;
            if imported.record.is_none() && imported.events.is_empty() {
                return Ok(Granted { record: id, subject: document.subject.clone(), state: None, opened: Vec::new(), closed: Vec::new() });
            }
            match self.change_by(tenant, &id, imported.record, imported.events, Some(document)).await {
                // Somebody else read the same document at the same time.
                Err(problem) if matches!(problem.code.as_str(), "consent-version-taken" | "consent-chain-broken") => {}
                other => return other,
            }
        }
        Err(Problem::new(ProblemCode("busy-consent"), 503, "Too many changes", "others kept reading the same document").help("Try again in a moment."))
    }

    /// The grant document at `source` is gone: whoever deletes her grant takes it back.
    ///
    /// # Errors
    /// The store's. A document that was never taken is no error.
    pub async fn grant_document_gone(&self, tenant: &TenantId, source: &Iri) -> Result<Option<Granted>, Problem> {
        let id = record_id_of(source, &self.inner.secret);
        let (tenant_, id_) = (tenant.clone(), id.clone());
        let versions = self.inner.store.read(move |r| ConsentBook::versions(r, &tenant_, id_.as_str()).map_err(told)).await?;
        let Some(last) = versions.iter().max_by_key(|v| v.version) else { return Ok(None) };
        let event = waybill_consent::gone(last, source, self.inner.clock.now());
        self.change_consent(tenant, &id, None, vec![event]).await.map(Some)
    }

    /// All that follows from a change. One of which nothing follows and that nobody made, `by_clock`, leaves no record.
    pub(crate) fn follow_through(&self, r: &Reader<'_>, tenant: &TenantId, record: &Iri, applied: Applied, events: &[ConsentEvent], by_clock: bool) -> Result<(Batch, Granted), StoreError> {
        let now = self.inner.clock.now();
        let epoch = r.epoch()? + 1;
        let visible = applied.changes_visibility();
        let Applied { mut batch, subject, folded, opened, closed, suspended, resumed } = applied;
        let Some(subject) = subject else { return Err(StoreError::Invalid("a record without a subject".into())) };
        // An erasure that comes between has to be looked at anew.
        let erased = self.erased_key(tenant, &subject);
        batch.expect_doc(ERASED, &erased, r.doc(ERASED, &erased)?.map(|doc| doc.revision));
        let version = folded.as_ref().map_or(0, |f| f.version);
        let reference = ConsentRef { id: record.clone(), version: u64::from(version), epoch };
        if visible {
            self.todo_subject(&mut batch, tenant, &subject);
        }
        if let Some(at) = folded.as_ref().and_then(|f| f.next_change(now)) {
            self.todo_subject_at(&mut batch, tenant, &subject, at);
        }
        for envelope in &opened {
            if let Some(from) = envelope.claims.validity().from.filter(|at| *at > now) {
                self.todo_subject_at(&mut batch, tenant, &subject, from);
            }
        }
        let successors: Vec<(EnvelopeHash, String)> = opened.iter().map(|e| (e.hash, e.compact.to_string())).collect();
        self.tell_holders(r, &mut batch, tenant, &subject, record, &closed, &successors, epoch)?;
        self.tell_rest(r, &mut batch, &suspended, true, epoch)?;
        self.tell_rest(r, &mut batch, &resumed, false, epoch)?;
        // Also one that closes nothing, since it was said before or there was nothing to close, is no grant.
        let ends = |e: &ConsentEvent| matches!(e.state, Change::Withdrawn | Change::Revoked | Change::Invalidated | Change::Refused);
        let kind = if closed.iter().any(|c| c.successor.is_none()) || (opened.is_empty() && closed.is_empty() && events.iter().any(ends)) {
            Kind::Withdrawal
        } else if closed.is_empty() {
            Kind::Grant
        } else {
            Kind::Narrowing
        };
        let what = json!({
            "opened": opened.iter().map(|e| json!({ "recipient": e.claims.aud, "purposes": e.claims.terms.purposes, "until": e.claims.validity().until })).collect::<Vec<_>>(),
            "closed": closed.iter().map(|c: &Closed| json!({ "recipient": c.recipient, "process": c.process, "envelope": c.envelope })).collect::<Vec<_>>(),
            "missing": folded.as_ref().map(|f| &f.missing),
            "events": events.iter().map(|e| json!({ "state": e.state, "by": e.by, "evidence": e.evidence.kind })).collect::<Vec<_>>(),
        });
        let entry = Record::new(kind, tenant.clone(), now).left((opened.len() + closed.len()) as u64, None).about(subject.clone(), Some(reference), what);
        if visible || !by_clock {
            self.inner.journal.append(&mut batch, entry);
        }
        let granted = Granted { record: record.clone(), subject, state: folded, opened: opened.iter().map(|e| e.hash).collect(), closed: closed.iter().map(|c| c.envelope).collect() };
        Ok((batch, granted))
    }

    fn tell_rest(&self, r: &Reader<'_>, batch: &mut Batch, envelopes: &[(Iri, EnvelopeHash)], rests: bool, epoch: u64) -> Result<(), StoreError> {
        let (now, governance) = (self.inner.clock.now(), self.governance());
        for (party, envelope) in envelopes {
            let mut all = vec![*envelope];
            for (_, joint) in crate::withdraw::with_joint(r, batch, &[*envelope])? {
                let mut held = false;
                // What is about several people goes on when nobody's consent rests any more.
                for other in joint.parts.iter().filter(|part| *part != envelope && !rests) {
                    held |= ConsentBook::is_marked(r, batch, other).map_err(told)?;
                }
                if !held {
                    ConsentBook::mark_envelopes(batch, &[joint.hash], StatusPurpose::Suspension, rests);
                    all.push(joint.hash);
                }
            }
            let Some(hub) = governance.agreements.iter().find(|a| a.recipient.as_ref() == Some(party)).and_then(|a| a.hub.as_ref()) else { continue };
            let event = EnvelopeEvent { envelopes: all, time: now, on_withdrawal: waybill_consent::OnWithdrawal::default(), successors: Vec::new() };
            let kind = if rests { EventKind::Suspended(event) } else { EventKind::Resumed(event) };
            let token = EventToken::new(self.did(), crate::notice::did_of(hub), epoch, kind, now);
            self.queue_in_order(batch, hub, Notice::Event(token.sign(self.keys().active())));
        }
        Ok(())
    }

    /// Closes grants whose time is over, and tells their holders. Returns how many records it looked at.
    ///
    /// # Errors
    /// The store's.
    pub async fn end_grants(&self) -> Result<usize, Problem> {
        let now = self.inner.clock.now();
        let ended = self.inner.store.read(move |r| ConsentBook::ended(r, now, 1000).map_err(told)).await?;
        let mut done = 0;
        for (tenant, record) in ended {
            match self.change_consent(&tenant, &record, None, Vec::new()).await {
                // One that stays as it was is due still; the next look is not made at once for it.
                Ok(granted) => done += usize::from(!granted.closed.is_empty()),
                // One record must not keep others open.
                Err(problem) => tracing::warn!(%record, code = problem.code, "a consent whose time is over is not closed: {}", problem.detail),
            }
        }
        Ok(done)
    }
}

/// The entities that `subject` is bound to.
pub(crate) fn entities_of(r: &Reader<'_>, tenant: &TenantId, subject: &Iri) -> Result<Vec<Iri>, StoreError> {
    let (mut out, mut patterns) = (Vec::new(), Vec::new());
    for binding in Registry::targets_of(r, tenant, subject.as_str()).map_err(told)? {
        match binding.target {
            Target::Entity(entity) | Target::Attribute { entity, .. } => out.push(entity),
            Target::Pattern(pattern) => patterns.push(pattern),
        }
    }
    for pattern in patterns {
        let head = pattern.split('*').next().unwrap_or_default().to_owned();
        let target = Target::Pattern(pattern);
        r.candidates(tenant, &Filter::IdPrefix(head), None, |doc| {
            out.extend(doc.id_iri().ok().filter(|id| target.covers(id.as_str(), "")));
            std::ops::ControlFlow::Continue(())
        })?;
    }
    out.sort();
    out.dedup();
    Ok(out)
}

pub(crate) fn told(e: ConsentError) -> StoreError {
    match e {
        ConsentError::Store(e) => e,
        other => StoreError::Corrupt(other.to_string()),
    }
}
