//! A hub in memory. It keeps consents as the real one does, by their fold; the rest are rows that the tests put there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use waybill_consent::{Binding, ConsentEvent, ConsentRecord, Guardianship, Target, fold};
use waybill_journal::Page;
use waybill_model::{Clock, Iri, Problem, ProblemCode, TenantId};
use waybill_policy::Purposes;
use waybill_portal::{
    Admin, Answer, Bound, Changed, Check, Connection, ConsentDetail, ConsentSummary, DeadLetter, Erased, HeartbeatState, Holder, JournalLine,
    JournalVerdict, KeyState, Listing, Paging, Quarantined, WithdrawalReport,
};

#[derive(Default)]
pub struct State {
    pub consents: BTreeMap<(TenantId, Iri), (Vec<ConsentRecord>, Vec<ConsentEvent>)>,
    pub bindings: BTreeMap<(TenantId, String), Binding>,
    pub guardians: Vec<(TenantId, Guardianship)>,
    pub holders: Vec<(TenantId, Iri, Holder)>,
    pub withdrawals: Vec<(TenantId, WithdrawalReport)>,
    pub quarantine: Vec<(TenantId, Quarantined)>,
    pub dead: Vec<DeadLetter>,
    pub heartbeats: Vec<HeartbeatState>,
    pub connections: Vec<Connection>,
    pub keys: Vec<KeyState>,
    pub journal: Vec<JournalLine>,
    pub broken: Option<(u64, String)>,
    pub unwell: bool,
    pub done: Vec<String>,
}

pub struct Fake {
    pub clock: Clock,
    pub state: Mutex<State>,
}

impl Fake {
    fn detail(&self, versions: &[ConsentRecord], events: &[ConsentEvent]) -> ConsentDetail {
        ConsentDetail {
            id: versions[0].id.clone(),
            subject: versions[0].subject.id.clone(),
            state: fold(versions, events, &Purposes::bundled(), self.clock.now()),
            versions: versions.to_vec(),
            events: events.to_vec(),
        }
    }
}

/// The part of `all` that a page holds, by key.
fn page<T>(all: Vec<(String, T)>, paging: &Paging) -> Listing<T> {
    let rest: Vec<(String, T)> = all.into_iter().filter(|(key, _)| paging.after.as_ref().is_none_or(|after| key > after)).collect();
    let next = (rest.len() > paging.limit).then(|| rest[paging.limit - 1].0.clone());
    Listing { items: rest.into_iter().take(paging.limit).map(|(_, item)| item).collect(), next }
}

fn ready<T: Send + 'static>(value: T) -> Answer<'static, T> {
    Box::pin(async move { Ok(value) })
}

impl Admin for Fake {
    fn checks(&self) -> Answer<'_, Vec<Check>> {
        let ok = !self.state.lock().unwrap().unwell;
        ready(vec![Check { name: "store".to_owned(), ok, detail: (!ok).then(|| "it does not answer".to_owned()) }])
    }

    fn consents<'a>(&'a self, tenant: &'a TenantId, subject: Option<&'a Iri>, paging: &'a Paging) -> Answer<'a, Listing<ConsentSummary>> {
        let state = self.state.lock().unwrap();
        let own = state.consents.iter().filter(|((t, _), _)| t == tenant).map(|(_, (v, e))| self.detail(v, e));
        let rows = own.filter(|c| subject.is_none_or(|s| *s == c.subject)).map(|c| {
            let row = ConsentSummary { open: c.state.is_open(), draft: !c.state.missing.is_empty(), id: c.id.clone(), subject: c.subject, state: c.state };
            (c.id.to_string(), row)
        });
        ready(page(rows.collect(), paging))
    }

    fn consent<'a>(&'a self, tenant: &'a TenantId, id: &'a Iri) -> Answer<'a, Option<ConsentDetail>> {
        let state = self.state.lock().unwrap();
        ready(state.consents.get(&(tenant.clone(), id.clone())).map(|(v, e)| self.detail(v, e)))
    }

    fn change_consent<'a>(&'a self, tenant: &'a TenantId, id: &'a Iri, version: Option<ConsentRecord>, events: Vec<ConsentEvent>) -> Answer<'a, Changed> {
        let mut state = self.state.lock().unwrap();
        let entry = state.consents.entry((tenant.clone(), id.clone())).or_default();
        let open = |entry: &(Vec<ConsentRecord>, Vec<ConsentEvent>)| -> BTreeSet<String> {
            if entry.0.is_empty() {
                return BTreeSet::new();
            }
            let folded = self.detail(&entry.0, &entry.1).state;
            folded.processes.iter().filter(|(_, p)| p.open).map(|(pid, _)| format!("{pid}-{}", folded.version)).collect()
        };
        let before = open(entry);
        if let Some(version) = version {
            match entry.0.last() {
                Some(last) if version.version == last.version && version == *last => {}
                Some(last) if version.version <= last.version => {
                    return Box::pin(async { Err(Problem::new(ProblemCode("consent-version-old"), 409, "Consent refused", "an old version")) });
                }
                _ => entry.0.push(version),
            }
        }
        entry.1.extend(events);
        let after = open(entry);
        let changed = Changed {
            id: id.clone(),
            state: Some(self.detail(&entry.0, &entry.1).state),
            opened: after.difference(&before).cloned().collect(),
            closed: before.difference(&after).cloned().collect(),
        };
        ready(changed)
    }

    fn bindings<'a>(&'a self, tenant: &'a TenantId, subject: Option<&'a Iri>, paging: &'a Paging) -> Answer<'a, Listing<Bound>> {
        let state = self.state.lock().unwrap();
        let own = state.bindings.iter().filter(|((t, _), b)| t == tenant && subject.is_none_or(|s| *s == b.subject));
        ready(page(own.map(|((_, key), b)| (key.clone(), Bound { id: key.clone(), binding: b.clone() })).collect(), paging))
    }

    fn bind<'a>(&'a self, tenant: &'a TenantId, binding: Binding) -> Answer<'a, String> {
        let target = match &binding.target {
            Target::Entity(entity) => entity.to_string(),
            other => format!("{other:?}"),
        };
        let key = format!("e\u{1f}{target}\u{1f}{}", binding.subject);
        self.state.lock().unwrap().bindings.insert((tenant.clone(), key.clone()), binding);
        ready(key)
    }

    fn unbind<'a>(&'a self, tenant: &'a TenantId, key: &'a str) -> Answer<'a, bool> {
        ready(self.state.lock().unwrap().bindings.remove(&(tenant.clone(), key.to_owned())).is_some())
    }

    fn appoint<'a>(&'a self, tenant: &'a TenantId, guardianship: Guardianship) -> Answer<'a, ()> {
        self.state.lock().unwrap().guardians.push((tenant.clone(), guardianship));
        ready(())
    }

    fn acts_for<'a>(&'a self, tenant: &'a TenantId, guardian: &'a Iri, ward: &'a Iri) -> Answer<'a, bool> {
        let now = self.clock.now();
        let state = self.state.lock().unwrap();
        let mut own = state.guardians.iter().filter(|(t, g)| t == tenant && g.guardian == *guardian && g.ward == *ward);
        ready(own.any(|(_, g)| g.from <= now && now < g.until))
    }

    fn erase<'a>(&'a self, tenant: &'a TenantId, subject: &'a Iri) -> Answer<'a, Erased> {
        let mut state = self.state.lock().unwrap();
        let before = state.consents.len();
        state.consents.retain(|(t, _), (v, _)| t != tenant || v[0].subject.id != *subject);
        ready(Erased { consents: before - state.consents.len(), entities: 0, journal_key: true, withdrawals: Vec::new() })
    }

    fn holders<'a>(&'a self, tenant: &'a TenantId, subject: Option<&'a Iri>, paging: &'a Paging) -> Answer<'a, Listing<Holder>> {
        let state = self.state.lock().unwrap();
        let own = state.holders.iter().filter(|(t, s, _)| t == tenant && subject.is_none_or(|asked| asked == s));
        ready(page(own.map(|(_, _, h)| (h.id.clone(), h.clone())).collect(), paging))
    }

    fn withdrawals<'a>(&'a self, tenant: &'a TenantId, subject: Option<&'a Iri>, paging: &'a Paging) -> Answer<'a, Listing<WithdrawalReport>> {
        let state = self.state.lock().unwrap();
        let own = state.withdrawals.iter().filter(|(t, w)| t == tenant && (subject.is_none() || w.subject.as_ref() == subject));
        ready(page(own.map(|(_, w)| (w.id.to_string(), w.clone())).collect(), paging))
    }

    fn withdrawal<'a>(&'a self, tenant: &'a TenantId, id: &'a Iri) -> Answer<'a, Option<WithdrawalReport>> {
        ready(self.state.lock().unwrap().withdrawals.iter().find(|(t, w)| t == tenant && w.id == *id).map(|(_, w)| w.clone()))
    }

    fn quarantine<'a>(&'a self, tenant: &'a TenantId, paging: &'a Paging) -> Answer<'a, Listing<Quarantined>> {
        let state = self.state.lock().unwrap();
        ready(page(state.quarantine.iter().filter(|(t, _)| t == tenant).map(|(_, q)| (q.id.clone(), q.clone())).collect(), paging))
    }

    fn quarantined<'a>(&'a self, tenant: &'a TenantId, key: &'a str) -> Answer<'a, Option<Quarantined>> {
        ready(self.state.lock().unwrap().quarantine.iter().find(|(t, q)| t == tenant && q.id == key).map(|(_, q)| q.clone()))
    }

    fn release<'a>(&'a self, tenant: &'a TenantId, key: &'a str) -> Answer<'a, bool> {
        self.state.lock().unwrap().done.push(format!("release {key}"));
        self.discard(tenant, key)
    }

    fn discard<'a>(&'a self, tenant: &'a TenantId, key: &'a str) -> Answer<'a, bool> {
        let mut state = self.state.lock().unwrap();
        let before = state.quarantine.len();
        state.quarantine.retain(|(t, q)| t != tenant || q.id != key);
        ready(state.quarantine.len() < before)
    }

    fn dead_letters<'a>(&'a self, paging: &'a Paging) -> Answer<'a, Listing<DeadLetter>> {
        let state = self.state.lock().unwrap();
        ready(page(state.dead.iter().map(|d| (d.id.clone(), d.clone())).collect(), paging))
    }

    fn dead_letter<'a>(&'a self, key: &'a str) -> Answer<'a, Option<DeadLetter>> {
        ready(self.state.lock().unwrap().dead.iter().find(|d| d.id == key).cloned())
    }

    fn replay<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        let mut state = self.state.lock().unwrap();
        state.done.push(format!("replay {key}"));
        let before = state.dead.len();
        state.dead.retain(|d| d.id != key);
        ready(state.dead.len() < before)
    }

    fn heartbeats(&self) -> Answer<'_, Vec<HeartbeatState>> {
        ready(self.state.lock().unwrap().heartbeats.clone())
    }
    fn connections(&self) -> Answer<'_, Vec<Connection>> {
        ready(self.state.lock().unwrap().connections.clone())
    }
    fn keys(&self) -> Answer<'_, Vec<KeyState>> {
        ready(self.state.lock().unwrap().keys.clone())
    }

    fn rotate_key<'a>(&'a self, algorithm: &'a str) -> Answer<'a, KeyState> {
        let mut state = self.state.lock().unwrap();
        let key = KeyState {
            kid: format!("k{}", state.keys.len() + 1),
            algorithm: algorithm.to_owned(),
            state: "active".to_owned(),
            created: self.clock.now(),
            retired: None,
            revoked: None,
        };
        state.keys.push(key.clone());
        ready(key)
    }

    fn revoke_key<'a>(&'a self, kid: &'a str) -> Answer<'a, Option<KeyState>> {
        let mut state = self.state.lock().unwrap();
        let now = self.clock.now();
        ready(state.keys.iter_mut().find(|k| k.kid == kid).map(|key| {
            "revoked".clone_into(&mut key.state);
            key.revoked = Some(now);
            key.clone()
        }))
    }

    fn verify_journal(&self) -> Answer<'_, JournalVerdict> {
        let state = self.state.lock().unwrap();
        ready(match &state.broken {
            Some((record, why)) => JournalVerdict::Broken { record: *record, why: why.clone() },
            None => JournalVerdict::Holds { first: 1, last: state.journal.len() as u64, hash: "h".to_owned(), segments: 2 },
        })
    }

    fn export_journal(&self, from: u64, limit: usize) -> Answer<'_, Vec<JournalLine>> {
        ready(self.state.lock().unwrap().journal.iter().filter(|l| l.number >= from).take(limit).cloned().collect())
    }

    fn journal_page<'a>(&'a self, _: &'a TenantId, subject: &'a Iri) -> Answer<'a, Page> {
        ready(Page { subject: subject.clone(), entries: Vec::new() })
    }
}
