//! Consents and bindings as the engine keeps them.

use super::{HubAdmin, page_of, told};
use crate::admin::{Listing, Paging};
use crate::view::{Bound, ConsentDetail, ConsentSummary};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use waybill_consent::{Binding, ConsentBook, Registry, Target, fold};
use waybill_exchange::Hub;
use waybill_model::{DateTime, Iri, Problem, TenantId};
use waybill_store::{Reader, StoreError};

/// What tells one binding of a tenant from all others; its name to callers.
#[derive(Serialize, Deserialize)]
struct BindingName<'a> {
    target: Cow<'a, Target>,
    subject: Cow<'a, Iri>,
    from: Option<DateTime>,
}

pub(super) fn binding_name(binding: &Binding) -> String {
    let name = BindingName { target: Cow::Borrowed(&binding.target), subject: Cow::Borrowed(&binding.subject), from: binding.validity.from };
    // INVARIANT: plain members; serialising cannot fail.
    serde_json::to_string(&name).unwrap_or_default()
}

fn bound(binding: Binding) -> Bound {
    Bound { id: binding_name(&binding), binding }
}

/// The consent `id` as it is in the store.
fn detail(hub: &Hub, r: &Reader<'_>, tenant: &TenantId, id: &Iri) -> Result<Option<ConsentDetail>, StoreError> {
    let versions = ConsentBook::versions(r, tenant, id.as_str()).map_err(told)?;
    let Some(subject) = versions.last().map(|v| v.subject.id.clone()) else { return Ok(None) };
    let events = ConsentBook::events(r, tenant, id.as_str()).map_err(told)?;
    let state = fold(&versions, &events, hub.book().templates.profile().purposes(), hub.clock().now());
    Ok(Some(ConsentDetail { id: id.clone(), subject, state, versions, events }))
}

impl HubAdmin {
    pub(super) async fn list_consents(&self, tenant: &TenantId, subject: Option<&Iri>, paging: &Paging) -> Result<Listing<ConsentSummary>, Problem> {
        let (hub, tenant, subject, paging) = (self.hub.clone(), tenant.clone(), subject.cloned(), paging.clone());
        let read = move |r: &Reader<'_>| {
            let ids = if let Some(subject) = &subject {
                page_of(ConsentBook::records_of(r, &tenant, subject.as_str()).map_err(told)?, &paging, Iri::to_string)
            } else {
                let mut ids = ConsentBook::list(r, &tenant, paging.limit + 1, paging.after.as_deref()).map_err(told)?;
                let more = ids.len() > paging.limit;
                ids.truncate(paging.limit);
                let next = ids.last().filter(|_| more).map(Iri::to_string);
                Listing { items: ids, next }
            };
            let mut items = Vec::with_capacity(ids.items.len());
            for id in &ids.items {
                if let Some(c) = detail(&hub, r, &tenant, id)? {
                    items.push(ConsentSummary { open: c.state.is_open(), draft: !c.state.missing.is_empty(), id: c.id, subject: c.subject, state: c.state });
                }
            }
            Ok(Listing { items, next: ids.next })
        };
        Ok(self.hub.store().read(read).await?)
    }

    pub(super) async fn show_consent(&self, tenant: &TenantId, id: &Iri) -> Result<Option<ConsentDetail>, Problem> {
        let (hub, tenant, id) = (self.hub.clone(), tenant.clone(), id.clone());
        Ok(self.hub.store().read(move |r| detail(&hub, r, &tenant, &id)).await?)
    }

    pub(super) async fn list_bindings(&self, tenant: &TenantId, subject: Option<&Iri>, paging: &Paging) -> Result<Listing<Bound>, Problem> {
        if let Some(subject) = subject {
            let all = self.targets_of(tenant, subject).await?.into_iter().map(bound).collect();
            return Ok(page_of(all, paging, |b: &Bound| b.id.clone()));
        }
        let mut rows = self.hub.bindings(tenant, paging.limit + 1, paging.after.clone()).await?;
        let more = rows.len() > paging.limit;
        rows.truncate(paging.limit);
        let next = rows.last().filter(|_| more).map(|(key, _)| key.clone());
        Ok(Listing { items: rows.into_iter().map(|(_, binding)| bound(binding)).collect(), next })
    }

    async fn targets_of(&self, tenant: &TenantId, subject: &Iri) -> Result<Vec<Binding>, Problem> {
        let (tenant, subject) = (tenant.clone(), subject.clone());
        Ok(self.hub.store().read(move |r| Registry::targets_of(r, &tenant, subject.as_str()).map_err(told)).await?)
    }

    /// Ends a binding now. It is kept with its end: who the data was about stays known, from when until when.
    pub(super) async fn end_binding(&self, tenant: &TenantId, name: &str) -> Result<bool, Problem> {
        let Ok(named) = serde_json::from_str::<BindingName<'_>>(name) else { return Ok(false) };
        let now = self.hub.clock().now();
        let all = self.targets_of(tenant, &named.subject).await?;
        let found = all.into_iter().find(|b| b.target == *named.target && b.validity.from == named.from);
        let Some(mut binding) = found.filter(|b| b.validity.until.is_none_or(|until| until > now)) else { return Ok(false) };
        // One that has not begun ends where it would have begun, and so never holds.
        binding.validity.until = Some(binding.validity.from.map_or(now, |from| from.max(now)));
        self.hub.bind(tenant, &binding).await?;
        Ok(true)
    }
}
