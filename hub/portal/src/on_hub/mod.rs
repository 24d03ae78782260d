//! The engine as the portal asks it.

mod consents;
mod desk;

use crate::admin::{Admin, Answer, Listing, Paging};
use crate::view::{
    Bound, Changed, Check, Connection, ConsentDetail, ConsentSummary, DeadLetter, Erased, HeartbeatState, Holder, JournalLine, JournalVerdict,
    KeyState, Quarantined, WithdrawalReport,
};
use std::sync::{Arc, Mutex};
use waybill_consent::{Binding, ConsentError, ConsentEvent, ConsentRecord, Guardianship, Registry};
use waybill_exchange::Hub;
use waybill_journal::Page;
use waybill_model::{DateTime, Iri, Problem, TenantId};
use waybill_port::Health;
use waybill_store::StoreError;

/// A connection whose state can be asked for.
#[derive(Clone)]
pub struct Probe {
    /// Its name in the configuration.
    pub name: String,
    /// `ngsi-ld`, `solid`, `peer` …
    pub kind: String,
    /// What asks.
    pub health: Arc<dyn Health>,
}

/// [`Admin`] over a running [`Hub`].
pub struct HubAdmin {
    hub: Hub,
    probes: Vec<Probe>,
    /// What the probes answered last.
    lately: Mutex<Option<(DateTime, Vec<Connection>)>>,
}

impl HubAdmin {
    /// Over `hub`, whose connections `probes` ask.
    pub fn new(hub: Hub, probes: Vec<Probe>) -> Self {
        Self { hub, probes, lately: Mutex::new(None) }
    }
}

fn told(e: ConsentError) -> StoreError {
    match e {
        ConsentError::Store(e) => e,
        other => StoreError::Corrupt(other.to_string()),
    }
}

/// The page of `all`, by the keys that `key` gives. Where the row that the page before ended with is gone meanwhile, it goes on behind
/// where that stood in the order of keys.
fn page_of<T>(all: Vec<T>, paging: &Paging, key: impl Fn(&T) -> String) -> Listing<T> {
    let start = match &paging.after {
        None => 0,
        Some(after) => match all.iter().position(|item| key(item) == *after) {
            Some(at) => at + 1,
            None => all.iter().filter(|item| key(item) <= *after).count(),
        },
    };
    let next = (all.len() > start + paging.limit).then(|| key(&all[start + paging.limit - 1]));
    Listing { items: all.into_iter().skip(start).take(paging.limit).collect(), next }
}

impl Admin for HubAdmin {
    fn checks(&self) -> Answer<'_, Vec<Check>> {
        Box::pin(self.checks_now())
    }
    fn consents<'a>(&'a self, tenant: &'a TenantId, subject: Option<&'a Iri>, paging: &'a Paging) -> Answer<'a, Listing<ConsentSummary>> {
        Box::pin(self.list_consents(tenant, subject, paging))
    }
    fn consent<'a>(&'a self, tenant: &'a TenantId, id: &'a Iri) -> Answer<'a, Option<ConsentDetail>> {
        Box::pin(self.show_consent(tenant, id))
    }
    fn change_consent<'a>(&'a self, tenant: &'a TenantId, id: &'a Iri, version: Option<ConsentRecord>, events: Vec<ConsentEvent>) -> Answer<'a, Changed> {
        Box::pin(async move {
            let done = self.hub.change_consent(tenant, id, version, events).await?;
            let names = |hashes: &[waybill_model::EnvelopeHash]| hashes.iter().map(ToString::to_string).collect();
            Ok(Changed { opened: names(&done.opened), closed: names(&done.closed), id: done.record, state: done.state })
        })
    }
    fn bindings<'a>(&'a self, tenant: &'a TenantId, subject: Option<&'a Iri>, paging: &'a Paging) -> Answer<'a, Listing<Bound>> {
        Box::pin(self.list_bindings(tenant, subject, paging))
    }
    fn bind<'a>(&'a self, tenant: &'a TenantId, binding: Binding) -> Answer<'a, String> {
        Box::pin(async move {
            let name = consents::binding_name(&binding);
            self.hub.bind(tenant, &binding).await?;
            Ok(name)
        })
    }
    fn unbind<'a>(&'a self, tenant: &'a TenantId, key: &'a str) -> Answer<'a, bool> {
        Box::pin(self.end_binding(tenant, key))
    }
    fn appoint<'a>(&'a self, tenant: &'a TenantId, guardianship: Guardianship) -> Answer<'a, ()> {
        Box::pin(async move { self.hub.appoint(tenant, &guardianship).await })
    }
    fn acts_for<'a>(&'a self, tenant: &'a TenantId, guardian: &'a Iri, ward: &'a Iri) -> Answer<'a, bool> {
        let (tenant, guardian, ward, now) = (tenant.clone(), guardian.clone(), ward.clone(), self.hub.clock().now());
        let read = move |r: &waybill_store::Reader<'_>| Registry::acts_for(r, &tenant, guardian.as_str(), ward.as_str(), now).map_err(told);
        Box::pin(async move { Ok(self.hub.store().read(read).await?) })
    }
    fn erase<'a>(&'a self, tenant: &'a TenantId, subject: &'a Iri) -> Answer<'a, Erased> {
        Box::pin(async move {
            let journal_key = !self.hub.journal().page_of(subject).await.is_ok_and(|page| page.entries.is_empty());
            let done = self.hub.erase(tenant, subject).await?;
            Ok(Erased { consents: done.consents, entities: done.entities, journal_key, withdrawals: done.withdrawals })
        })
    }
    fn holders<'a>(&'a self, tenant: &'a TenantId, subject: Option<&'a Iri>, paging: &'a Paging) -> Answer<'a, Listing<Holder>> {
        Box::pin(self.list_holders(tenant, subject, paging))
    }
    fn withdrawals<'a>(&'a self, tenant: &'a TenantId, subject: Option<&'a Iri>, paging: &'a Paging) -> Answer<'a, Listing<WithdrawalReport>> {
        Box::pin(async move {
            let mut all = self.hub.withdrawals(tenant).await?;
            all.retain(|w| subject.is_none() || w.subject.as_ref() == subject);
            all.reverse();
            let reports = all.into_iter().map(|w| self.report(w)).collect();
            Ok(page_of(reports, paging, |w: &WithdrawalReport| w.id.to_string()))
        })
    }
    fn withdrawal<'a>(&'a self, tenant: &'a TenantId, id: &'a Iri) -> Answer<'a, Option<WithdrawalReport>> {
        Box::pin(async move {
            let all = self.hub.withdrawals(tenant).await?;
            Ok(all.into_iter().find(|w| w.id == *id).map(|w| self.report(w)))
        })
    }
    fn quarantine<'a>(&'a self, tenant: &'a TenantId, paging: &'a Paging) -> Answer<'a, Listing<Quarantined>> {
        Box::pin(self.list_quarantine(tenant, paging))
    }
    fn quarantined<'a>(&'a self, tenant: &'a TenantId, key: &'a str) -> Answer<'a, Option<Quarantined>> {
        Box::pin(async move {
            let all = self.all_quarantined(tenant).await?;
            Ok(all.into_iter().find(|q| q.id == key))
        })
    }
    fn release<'a>(&'a self, tenant: &'a TenantId, key: &'a str) -> Answer<'a, bool> {
        Box::pin(self.hub.admit_quarantined(tenant, key))
    }
    fn discard<'a>(&'a self, tenant: &'a TenantId, key: &'a str) -> Answer<'a, bool> {
        Box::pin(self.hub.discard(tenant, key))
    }
    fn dead_letters<'a>(&'a self, paging: &'a Paging) -> Answer<'a, Listing<DeadLetter>> {
        Box::pin(async move {
            let rows = self.hub.dead_letters(paging.limit + 1, paging.after.clone()).await?;
            let next = (rows.len() > paging.limit).then(|| rows[paging.limit - 1].0.clone());
            let items = rows.into_iter().take(paging.limit).map(|(key, row)| desk::dead_letter(key, row)).collect();
            Ok(Listing { items, next })
        })
    }
    fn dead_letter<'a>(&'a self, key: &'a str) -> Answer<'a, Option<DeadLetter>> {
        Box::pin(async move {
            // The first row behind the greatest key below this one.
            let mut after: Option<String> = None;
            loop {
                let rows = self.hub.dead_letters(1000, after).await?;
                let Some((last, _)) = rows.last() else { return Ok(None) };
                after = Some(last.clone());
                if let Some((key, row)) = rows.into_iter().find(|(k, _)| k == key) {
                    return Ok(Some(desk::dead_letter(key, row)));
                }
            }
        })
    }
    fn replay<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(self.hub.replay(key))
    }
    fn heartbeats(&self) -> Answer<'_, Vec<HeartbeatState>> {
        Box::pin(self.list_heartbeats())
    }
    fn connections(&self) -> Answer<'_, Vec<Connection>> {
        Box::pin(self.ask_connections())
    }
    fn keys(&self) -> Answer<'_, Vec<KeyState>> {
        Box::pin(async move { Ok(self.key_states()) })
    }
    fn rotate_key<'a>(&'a self, algorithm: &'a str) -> Answer<'a, KeyState> {
        Box::pin(async move {
            let algorithm = waybill_keys::Algorithm::parse(algorithm)
                .ok_or_else(|| waybill_http::problems::bad_request("a key is EdDSA or ES256").at("/algorithm"))?;
            let kid = self.hub.rotate_key(algorithm).await?;
            self.key_states().into_iter().find(|k| k.kid == kid).ok_or_else(waybill_http::problems::internal)
        })
    }
    fn revoke_key<'a>(&'a self, kid: &'a str) -> Answer<'a, Option<KeyState>> {
        Box::pin(async move {
            if !self.key_states().iter().any(|k| k.kid == kid) {
                return Ok(None);
            }
            self.hub.revoke_key(kid).await?;
            Ok(self.key_states().into_iter().find(|k| k.kid == kid))
        })
    }
    fn verify_journal(&self) -> Answer<'_, JournalVerdict> {
        Box::pin(self.check_journal())
    }
    fn export_journal(&self, from: u64, limit: usize) -> Answer<'_, Vec<JournalLine>> {
        Box::pin(async move {
            let lines = self.hub.journal().export(from, limit).await?;
            lines.into_iter().map(desk::journal_line).collect::<Result<_, Problem>>()
        })
    }
    fn journal_page<'a>(&'a self, _: &'a TenantId, subject: &'a Iri) -> Answer<'a, Page> {
        Box::pin(async move { Ok(self.hub.journal().page_of(subject).await?) })
    }
}
