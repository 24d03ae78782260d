//! Licences: agreements that were negotiated between organisations, and who is reached under them.

use crate::follow::{encode, followers_of};
use crate::hub::Hub;
use crate::rows::{Behalf, OUTBOX, TODO, Todo, key, of_follower};
use crate::write::put_todo;
use serde_json::json;
use std::ops::ControlFlow;
use waybill_gate::{LICENCE, Licence, Tally};
use waybill_journal::{Kind, Record};
use waybill_model::{Iri, Problem, Scope, TenantId};
use waybill_store::{Batch, Filter};

impl Hub {
    /// Puts a licence in force. Durable when this returns; the same once more changes nothing.
    ///
    /// # Errors
    /// The store's.
    pub async fn license(&self, licence: &Licence) -> Result<(), Problem> {
        let id = licence.id.to_string();
        if self.licence(&licence.id).await?.as_ref() == Some(licence) {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.put_doc(LICENCE, &id, encode(licence), licence.until);
        let detail = json!({"licence": licence.id, "dataset": licence.dataset, "purposes": licence.purposes, "participant": licence.participant, "until": licence.until});
        let record = Record::new(Kind::Agreement, TenantId::main(), self.inner.clock.now()).recipient(Some(licence.party.clone())).detail(detail);
        self.inner.journal.append(&mut batch, record);
        self.commit(batch).await.map(drop)
    }

    /// The licence of the agreement `id`.
    ///
    /// # Errors
    /// The store's.
    pub async fn licence(&self, id: &Iri) -> Result<Option<Licence>, Problem> {
        let id = id.to_string();
        Ok(self.inner.store.read(move |r| Licence::read(r, &id)).await?)
    }

    /// Ends a licence: the next request under it sees nothing, and what followers under it hold is taken back.
    ///
    /// # Errors
    /// The store's.
    pub async fn end_licence(&self, id: &Iri, reason: &str) -> Result<(), Problem> {
        let Some(mut licence) = self.licence(id).await?.filter(|l| l.ended.is_none()) else { return Ok(()) };
        licence.ended = Some(reason.to_owned());
        let now = self.inner.clock.now();
        let tenant = TenantId::main();
        let under = {
            let (tenant, id) = (tenant.clone(), id.clone());
            let mine = move |b: &Behalf| matches!(b, Behalf::Party { agreement: Some(under), .. } if *under == id);
            self.inner.store.read(move |r| Ok(followers_of(r, &tenant)?.into_iter().filter(|f| mine(&f.on_behalf)).map(|f| f.id).collect::<Vec<_>>())).await?
        };
        let mut batch = Batch::new();
        batch.put_doc(LICENCE, id.as_str(), encode(&licence), None);
        for follower in under {
            let row = Todo::Load { tenant: tenant.clone(), follower: follower.clone(), after: String::new() };
            put_todo(&mut batch, &key(&["load", tenant.as_str(), follower.as_str()]), &row, now);
        }
        let detail = json!({"licence": id, "dataset": licence.dataset, "participant": licence.participant, "ended": reason});
        self.inner.journal.append(&mut batch, Record::new(Kind::Agreement, tenant, now).recipient(Some(licence.party.clone())).detail(detail));
        self.commit(batch).await.map(drop)
    }

    /// Whether at least one entity with personal data is visible to this licensed scope now. Releases nothing and records nothing: it tells
    /// this hub whether a transfer has anything left to carry.
    ///
    /// # Errors
    /// The store's.
    pub async fn anyone_visible(&self, scope: &Scope) -> Result<bool, Problem> {
        let view = self.inner.gate.view(scope);
        let (tenant, agreement) = (scope.tenant.clone(), scope.agreement.clone());
        let look = move |r: &waybill_store::Reader<'_>| {
            let Some(licence) = agreement.map(|id| Licence::read(r, id.as_str())).transpose()?.flatten() else { return Ok(false) };
            let eyes = view.eyes(r)?;
            let mut tally = Tally::default();
            let filter = Filter::Types(licence.types.iter().map(ToString::to_string).collect());
            let filter = crate::read::within_reach(r, &eyes, &licence.types, filter, &mut tally)?;
            let (mut found, mut failed) = (false, None);
            r.candidates(&tenant, &filter, None, |doc| match eyes.mask(&doc, &mut tally) {
                Ok(Some(visible)) if visible.is_personal() => {
                    found = true;
                    ControlFlow::Break(())
                }
                Ok(_) => ControlFlow::Continue(()),
                Err(e) => {
                    failed = Some(e);
                    ControlFlow::Break(())
                }
            })?;
            failed.map_or(Ok(found), Err)
        };
        Ok(self.inner.store.read(look).await?)
    }

    /// Whether nothing waits to be looked at or delivered for the follower.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_idle(&self, scope: &Scope, follower: &Iri) -> Result<bool, Problem> {
        let (tenant, follower) = (scope.tenant.clone(), follower.clone());
        Ok(self
            .inner
            .store
            .read(move |r| {
                let load = r.docs(TODO, &key(&["load", tenant.as_str(), follower.as_str()]), 1, None)?;
                let waiting = r.docs(OUTBOX, &of_follower(&tenant, &follower), 1, None)?;
                Ok(load.is_empty() && waiting.is_empty())
            })
            .await?)
    }
}
