//! Changes of consents: one [`Batch`] for each, with all that follows from it, so that a crash leaves no half of it.

use crate::book::{ENVELOPE, EVENT, GRANT, GrantRow, HUB, MARK, OF, RECORD, STATUS, TERMS, all, join, list_name, write_row};
use crate::envelope::{ConsentPointer, StatusEntry, StatusPointer};
use crate::fault;
use crate::grant::{Opening, StatusIndexes};
use crate::{
    ActorRole, Binding, Change, ConsentBook, ConsentError, ConsentEvent, ConsentRecord, Envelope, EnvelopeClaims, Folded, Guardianship, Note,
    OnWithdrawal, Registry, State, StatusList, StatusPurpose, StoredEnvelope, compile, fold,
};
use std::collections::{BTreeMap, BTreeSet};
use waybill_keys::{KeyRing, hex};
use waybill_model::{DateTime, EnvelopeHash, Iri, TenantId};
use waybill_store::{Batch, Reader};

/// What is new about a record: a version, events, both, or nothing but the time.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Whose store.
    pub tenant: &'a TenantId,
    /// Which record.
    pub record: &'a Iri,
    /// A new version of it.
    pub version: Option<&'a ConsentRecord>,
    /// What happened.
    pub events: &'a [ConsentEvent],
}

/// A grant that is closed by a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The process.
    pub process: String,
    /// The version that the grant was of.
    pub version: u32,
    /// Who must be told.
    pub recipient: Iri,
    /// The envelope that is over.
    pub envelope: EnvelopeHash,
    /// The state that closed it; nothing when a newer version took its place.
    pub state: Option<State>,
    /// What to do with copies.
    pub on_withdrawal: OnWithdrawal,
    /// The envelope that takes its place for this process and recipient.
    pub successor: Option<EnvelopeHash>,
}

/// A change, ready to be committed with whatever else belongs to it.
#[derive(Default)]
pub struct Applied {
    /// What is written. Nothing is changed until it is committed; on a conflict, make the change anew.
    pub batch: Batch,
    /// Whose consents changed.
    pub subject: Option<Iri>,
    /// The state afterwards.
    pub folded: Option<Folded>,
    /// Envelopes that are new.
    pub opened: Vec<Envelope>,
    /// Grants that are over: their holders must be told.
    pub closed: Vec<Closed>,
    /// Envelopes that rest now.
    pub suspended: Vec<(Iri, EnvelopeHash)>,
    /// Envelopes that rest no more.
    pub resumed: Vec<(Iri, EnvelopeHash)>,
}

impl std::fmt::Debug for Applied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Applied({} opened, {} closed, {} suspended, {} resumed)", self.opened.len(), self.closed.len(), self.suspended.len(), self.resumed.len())
    }
}

impl Applied {
    /// Whether what anybody may see of the subject's data changes.
    pub fn changes_visibility(&self) -> bool {
        !(self.opened.is_empty() && self.closed.is_empty() && self.suspended.is_empty() && self.resumed.is_empty())
    }
}

/// Status lists that a change touches.
pub(crate) struct Lists<'a> {
    reader: &'a Reader<'a>,
    open: BTreeMap<(StatusPurpose, u32), (StatusList, Option<u64>, bool)>,
}

impl<'a> Lists<'a> {
    pub fn new(reader: &'a Reader<'a>) -> Self {
        Self { reader, open: BTreeMap::new() }
    }

    fn get(&mut self, purpose: StatusPurpose, number: u32) -> Result<&mut (StatusList, Option<u64>, bool), ConsentError> {
        let found = match self.open.entry((purpose, number)) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let doc = self.reader.doc(STATUS, &list_name(purpose, number))?;
                let revision = doc.as_ref().map(|doc| doc.revision);
                let list = match doc {
                    None => StatusList::new(purpose),
                    Some(doc) => StatusList::from_bytes(&doc.payload).ok_or(ConsentError::Corrupt("status list"))?,
                };
                entry.insert((list, revision, false))
            }
        };
        Ok(found)
    }

    pub fn take(&mut self, purpose: StatusPurpose) -> Result<(u32, u32), ConsentError> {
        for number in 1..=u32::MAX {
            let (list, _, dirty) = self.get(purpose, number)?;
            match list.take() {
                Ok(index) => {
                    *dirty = true;
                    return Ok((number, index));
                }
                Err(ConsentError::StatusFull) => {}
                Err(other) => return Err(other),
            }
        }
        Err(ConsentError::StatusFull)
    }

    pub fn set(&mut self, purpose: StatusPurpose, (number, index): (u32, u32), on: bool) -> Result<(), ConsentError> {
        let (list, _, dirty) = self.get(purpose, number)?;
        *dirty |= list.set(index, on);
        Ok(())
    }

    pub fn write(self, batch: &mut Batch) {
        for ((purpose, number), (list, revision, dirty)) in self.open {
            if dirty {
                let name = list_name(purpose, number);
                batch.expect_doc(STATUS, &name, revision);
                batch.put_doc(STATUS, &name, list.to_bytes(), None);
            }
        }
    }
}

impl ConsentBook {
    /// Works out a change. `reader` must be of the state that the batch will be committed on, or the commit ends in a conflict.
    ///
    /// # Errors
    /// A version that is taken, old or unchained; an event of somebody who may not; a record that is not there; the store.
    pub fn change(&self, reader: &Reader<'_>, input: Input<'_>, ring: &KeyRing, now: DateTime) -> Result<Applied, ConsentError> {
        let Input { tenant, record: id, version, events } = input;
        let mut out = Applied::default();
        let mut versions = Self::versions(reader, tenant, id.as_str())?;
        let mut known = Self::events(reader, tenant, id.as_str())?;
        if let Some(new) = version
            && Self::accept_version(&versions, new, id)?
        {
            let key = join(&[tenant.as_str(), id.as_str(), &format!("{:010}", new.version)]);
            out.batch.expect_doc(RECORD, &key, None).put_doc(RECORD, &key, write_row(new), None);
            out.batch.put_doc(OF, &join(&[tenant.as_str(), new.subject.id.as_str(), id.as_str()]), Vec::new(), None);
            versions.push(new.clone());
        }
        let newest = versions.iter().max_by_key(|v| v.version).ok_or(ConsentError::UnknownRecord)?;
        let subject = newest.subject.id.clone();
        let mut notes = Vec::new();
        for event in events {
            // When it was received is the hub's word, whoever sends the event.
            let event = &ConsentEvent { received: now, ..event.clone() };
            let same = |own: &&ConsentEvent| own.eid == event.eid;
            match known.iter().find(same) {
                Some(own) if ConsentEvent { received: event.received, ..own.clone() } == *event => continue,
                Some(_) => return Err(ConsentError::Schema { place: "/eid".to_owned(), fault: "another event has this identifier".to_owned() }),
                None => {}
            }
            Self::accept_event(reader, tenant, &versions, &subject, event)?;
            let key = join(&[tenant.as_str(), id.as_str(), &event.eid]);
            out.batch.expect_doc(EVENT, &key, None).put_doc(EVENT, &key, write_row(event), None);
            if matches!(event.state, Change::Withdrawn | Change::Revoked | Change::Invalidated | Change::Suspended) {
                notes.push(Note::of_event(tenant, event));
            }
            known.push(event.clone());
        }
        // Serialises the changes of one record: what this one saw must be what it changes.
        let mark = join(&[tenant.as_str(), subject.as_str()]);
        out.batch.expect_doc(MARK, &mark, reader.doc(MARK, &mark)?.map(|doc| doc.revision));
        let folded = fold(&versions, &known, self.templates.profile().purposes(), now);
        let openings = versions.iter().find(|v| v.version == folded.version).map(|v| (v, compile(v, &folded)));
        let mut lists = Lists::new(reader);
        let epoch = reader.epoch()? + 1;
        self.reconcile(reader, tenant, &subject, id, &folded, openings, &mut lists, &mut out, ring, epoch, now)?;
        lists.write(&mut out.batch);
        // A version that was replaced must not come back from a backup either.
        let replaced = out.closed.iter().filter(|closed| closed.state.is_none()).map(|closed| (closed.version, closed.process.clone()));
        for (version, pid) in replaced.collect::<BTreeSet<_>>().into_iter().filter(|(version, _)| *version < folded.version) {
            notes.push(Note::of_replaced(tenant, id, version, pid, now));
        }
        for note in notes.into_iter().filter(|_| !fault::off("consent-ledger")) {
            out.batch.raise_epoch(write_row(&note));
        }
        // A check alone writes nothing.
        let steps = out.batch.len();
        if steps > 0 {
            Self::mark(&mut out.batch, &mark, now);
        }
        out.subject = Some(subject);
        out.folded = Some(folded);
        Ok(out)
    }

    pub(crate) fn mark(batch: &mut Batch, key: &str, now: DateTime) {
        let payload = now.micros().to_be_bytes();
        batch.put_doc(MARK, key, payload, None).put_doc(MARK, HUB, payload, None);
    }

    /// Whether the version is new; a repetition is not.
    fn accept_version(versions: &[ConsentRecord], new: &ConsentRecord, id: &Iri) -> Result<bool, ConsentError> {
        if new.id != *id {
            return Err(ConsentError::UnknownRecord);
        }
        if let Some(own) = versions.iter().find(|own| own.version == new.version) {
            return if own == new { Ok(false) } else { Err(ConsentError::VersionTaken(new.version)) };
        }
        let Some(newest) = versions.iter().max_by_key(|own| own.version) else {
            return if new.version > 0 { Ok(true) } else { Err(ConsentError::OldVersion { given: 0, newest: 0 }) };
        };
        if new.version < newest.version && !fault::off("consent-old-version") {
            return Err(ConsentError::OldVersion { given: new.version, newest: newest.version });
        }
        if new.prev.as_deref() != Some(newest.hash_text().as_str()) {
            return Err(ConsentError::BrokenChain(new.version));
        }
        if new.subject.id != newest.subject.id {
            return Err(ConsentError::Actor("a record cannot change whose it is"));
        }
        Ok(true)
    }

    fn accept_event(
        reader: &Reader<'_>,
        tenant: &TenantId,
        versions: &[ConsentRecord],
        subject: &Iri,
        event: &ConsentEvent,
    ) -> Result<(), ConsentError> {
        if !versions.iter().any(|v| v.id == event.record && v.version == event.version) {
            return Err(ConsentError::UnknownRecord);
        }
        if let Some(fault) = event.actor_fault() {
            return Err(ConsentError::Actor(fault));
        }
        if !(1..=128).contains(&event.eid.len()) || !event.eid.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(ConsentError::Schema { place: "/eid".to_owned(), fault: "an identifier has 1 to 128 visible ASCII characters".to_owned() });
        }
        match event.by.role {
            ActorRole::Subject if event.by.id != *subject => Err(ConsentError::Actor("the record is somebody else's")),
            ActorRole::Guardian if !fault::off("consent-guardian") && !Registry::acts_for(reader, tenant, event.by.id.as_str(), subject.as_str(), event.received)? => {
                Err(ConsentError::Actor("nobody has recorded that this guardian acts for her now"))
            }
            _ => Ok(()),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one step of one function, split for reading")]
    fn reconcile(
        &self,
        reader: &Reader<'_>,
        tenant: &TenantId,
        subject: &Iri,
        id: &Iri,
        folded: &Folded,
        openings: Option<(&ConsentRecord, Vec<Opening>)>,
        lists: &mut Lists<'_>,
        out: &mut Applied,
        ring: &KeyRing,
        epoch: u64,
        now: DateTime,
    ) -> Result<(), ConsentError> {
        let prefix = join(&[tenant.as_str(), subject.as_str(), id.as_str(), ""]);
        let mut rows: Vec<GrantRow> = all(reader, GRANT, &prefix)?;
        rows.retain(GrantRow::is_live);
        let mut fresh: Vec<(String, Iri, EnvelopeHash)> = Vec::new();
        if let Some((record, openings)) = openings {
            for opening in openings {
                let terms = hex(&opening.terms.id());
                let same = |row: &GrantRow| row.version == record.version && row.terms == terms && row.valid == opening.validity;
                let Some(at) = rows.iter().position(same) else {
                    let (row, envelope) = self.open(tenant, record, opening, terms, lists, &mut out.batch, ring, epoch, now)?;
                    fresh.push((row.process.clone(), row.recipient.clone(), row.envelope));
                    row.put(&mut out.batch, tenant, subject, row.valid.until);
                    out.opened.push(envelope);
                    continue;
                };
                let mut row = rows.swap_remove(at);
                if row.state == State::Suspended {
                    lists.set(StatusPurpose::Suspension, row.status.suspension, false)?;
                    out.resumed.push((row.recipient.clone(), row.envelope));
                }
                if row.state != opening.state {
                    row.state = opening.state;
                    row.put(&mut out.batch, tenant, subject, row.valid.until);
                }
            }
        }
        for mut row in rows {
            let state = folded.processes.get(&row.process).filter(|_| row.version == folded.version).map(|process| process.state);
            if state == Some(State::Suspended) {
                if row.state != State::Suspended {
                    row.state = State::Suspended;
                    lists.set(StatusPurpose::Suspension, row.status.suspension, true)?;
                    row.put(&mut out.batch, tenant, subject, row.valid.until);
                    out.suspended.push((row.recipient, row.envelope));
                }
                continue;
            }
            lists.set(StatusPurpose::Revocation, row.status.revocation, true)?;
            let successor = fresh.iter().find(|(process, recipient, _)| *process == row.process && *recipient == row.recipient);
            out.closed.push(Closed {
                process: row.process.clone(),
                version: row.version,
                recipient: row.recipient.clone(),
                envelope: row.envelope,
                state: state.filter(|state| !state.is_given()),
                on_withdrawal: on_withdrawal(reader, &row.envelope)?,
                successor: successor.map(|(_, _, envelope)| *envelope),
            });
            match state.filter(|state| !state.is_given()) {
                Some(state) => {
                    row.state = state;
                    row.put(&mut out.batch, tenant, subject, None);
                }
                // The key of a renewed grant is the key of the one before it: what took its place is written there already.
                None if successor.is_some() && row.version == folded.version => {}
                None => {
                    row.delete(&mut out.batch, tenant, subject);
                }
            }
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "one step of one function, split for reading")]
    fn open(
        &self,
        tenant: &TenantId,
        record: &ConsentRecord,
        opening: Opening,
        terms: String,
        lists: &mut Lists<'_>,
        batch: &mut Batch,
        ring: &KeyRing,
        epoch: u64,
        now: DateTime,
    ) -> Result<(GrantRow, Envelope), ConsentError> {
        // Refuses here what no gate could evaluate later.
        self.templates.share(opening.terms.clone())?;
        let status =
            StatusIndexes { revocation: lists.take(StatusPurpose::Revocation)?, suspension: lists.take(StatusPurpose::Suspension)? };
        let entry = |purpose, (number, idx)| {
            let list = self.issuer.list_url(purpose, number).ok_or(ConsentError::Corrupt("the hub's address"))?;
            Ok::<_, ConsentError>(StatusEntry { list, idx })
        };
        let claims = EnvelopeClaims {
            iss: self.issuer.did.clone(),
            jti: String::new(),
            iat: now.seconds(),
            nbf: opening.validity.from.unwrap_or(now).seconds(),
            exp: opening.validity.until.map(DateTime::seconds),
            aud: opening.terms.recipient.clone(),
            con: ConsentPointer { id: record.id.clone(), ver: record.version, hash: record.hash_text() },
            terms: opening.terms,
            pol: serde_json::Value::Null,
            st: StatusPointer {
                rev: entry(StatusPurpose::Revocation, status.revocation)?,
                sus: entry(StatusPurpose::Suspension, status.suspension)?,
                max_stale: self.issuer.max_stale,
            },
            onw: opening.on_withdrawal,
            inf: self.issuer.inbox.clone(),
            lbl: opening.label,
        };
        let envelope = Envelope::issue(ring.active(), claims.completed());
        let claims = &envelope.claims;
        batch.put_doc(TERMS, &terms, write_row(&claims.terms), None);
        let row = GrantRow {
            record: record.id.clone(),
            version: record.version,
            process: claims.terms.process.clone(),
            recipient: claims.aud.clone(),
            terms,
            valid: opening.validity,
            state: opening.state,
            epoch,
            envelope: envelope.hash,
            status,
        };
        let stored = StoredEnvelope {
            compact: envelope.compact.to_string(),
            tenant: tenant.clone(),
            record: row.record.clone(),
            version: row.version,
            process: row.process.clone(),
            recipient: row.recipient.clone(),
            status,
        };
        batch.put_doc(ENVELOPE, &envelope.hash.to_string(), write_row(&stored), None);
        Ok((row, envelope))
    }

    /// Binds data to a subject.
    pub fn bind(batch: &mut Batch, tenant: &TenantId, binding: &Binding, now: DateTime) {
        Registry::put(batch, tenant, binding);
        Self::mark(batch, &Registry::mark_of(tenant, &binding.target), now);
        Self::mark(batch, &join(&[tenant.as_str(), binding.subject.as_str()]), now);
    }

    /// Records that somebody acts for somebody else.
    pub fn appoint(batch: &mut Batch, tenant: &TenantId, guardianship: &Guardianship, now: DateTime) {
        Registry::put_guardian(batch, tenant, guardianship);
        Self::mark(batch, &join(&[tenant.as_str(), guardianship.ward.as_str()]), now);
    }
}

fn on_withdrawal(reader: &Reader<'_>, envelope: &EnvelopeHash) -> Result<OnWithdrawal, ConsentError> {
    let stored = ConsentBook::envelope(reader, envelope)?;
    // An envelope that cannot be read is erased under the strictest rule.
    Ok(stored.and_then(|stored| Envelope::trusted(&stored.compact)).map_or(OnWithdrawal::Erase, |envelope| envelope.claims.onw))
}
