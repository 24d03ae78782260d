//! Followers: who wants to be told, kept in the store.

use crate::fault;
use crate::hub::Hub;
use crate::rows::{Behalf, DEAD, FOLLOWER, Follower, FollowerStatus, OUTBOX, SEEN, SEP, Todo, key, of_follower};
use crate::scan::each_doc;
use crate::write::put_todo;
use std::sync::Arc;
use waybill_model::{DateTime, Iri, Problem, ProblemCode, Scope, TenantId};
use waybill_port::{Selection, Sink};
use waybill_store::{Batch, Reader, StoreError};

/// What a caller says of a new follower.
#[derive(Debug, Clone)]
pub struct NewFollower {
    /// Its identifier; nothing lets the hub choose one.
    pub id: Option<Iri>,
    /// The kind of sink.
    pub sink: &'static str,
    /// What only the sink reads.
    pub spec: String,
    /// Whether it delivers from the start.
    pub active: bool,
    /// When it ends.
    pub expires_at: Option<DateTime>,
    /// Whether what exists already is sent at once.
    pub initial_load: bool,
}

impl Hub {
    pub(crate) fn sink(&self, kind: &str) -> Option<Arc<dyn Sink>> {
        self.inner.sinks.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(kind).cloned()
    }

    /// Makes a follower on behalf of the caller. Durable when this returns; what exists is sent as its initial load.
    ///
    /// # Errors
    /// 401 for nobody in particular, 403 for a person: what belongs to no party, anybody could read, change and end. 409 when the identifier is taken; what the sink says of the specification; 422 when personal data would go where a deletion is
    /// not heard (consent-design §8).
    pub async fn follow(&self, scope: &Scope, new: NewFollower) -> Result<Iri, Problem> {
        let on_behalf = self.behalf(scope);
        owned(scope, &on_behalf)?;
        let sink = self.sink(new.sink).ok_or_else(|| Problem::new(ProblemCode("no-such-sink"), 422, "Cannot deliver", format!("there is no sink `{}`", new.sink)))?;
        let selection = sink.selection(new.spec.as_bytes())?;
        self.hears(scope, &selection)?;
        let now = self.inner.clock.now();
        let id = new.id.unwrap_or_else(|| Self::fresh_id("subscription"));
        let follower = Follower {
            id: id.clone(),
            tenant: scope.tenant.clone(),
            sink: new.sink.to_owned(),
            spec: new.spec,
            on_behalf,
            active: new.active,
            expires_at: new.expires_at,
            created_at: now,
            modified_at: now,
            status: FollowerStatus::default(),
        };
        let mut batch = Batch::new();
        let at = follower_key(&scope.tenant, &id);
        batch.expect_doc(FOLLOWER, &at, None);
        batch.put_doc(FOLLOWER, &at, encode(&follower), None);
        if new.initial_load {
            let row = Todo::Load { tenant: scope.tenant.clone(), follower: id.clone(), after: String::new() };
            put_todo(&mut batch, &key(&["load", scope.tenant.as_str(), id.as_str()]), &row, now);
        }
        self.commit(batch).await.map_err(|p| match p.code.as_str() {
            "store-conflict" => Problem::new(ProblemCode("already-exists"), 409, "Already exists", format!("`{id}` is taken"))
                .of_type("https://uri.etsi.org/ngsi-ld/errors/AlreadyExists"),
            _ => p,
        })?;
        Ok(id)
    }

    /// What a follower keeps of `scope`: of the agreement, only a licence. Agreements of the configuration go by the recipient.
    fn behalf(&self, scope: &Scope) -> Behalf {
        let agreement = scope.agreement.clone().filter(|_| self.governance().is_licensed(scope) && !fault::off("exchange-licence-kept"));
        Behalf::of(&Scope { agreement, ..scope.clone() })
    }

    /// A follower that would not hear of deletions gets no personal data, unless the recipient's hub hears of withdrawals by event.
    fn hears(&self, scope: &Scope, selection: &Selection) -> Result<(), Problem> {
        let governance = self.governance();
        if !governance.is_deaf(scope, selection.hears_deletions) {
            return Ok(());
        }
        let types = crate::read::types_of(&selection.query);
        // An entity may have a personal type besides: what is personal of it is left out when it is delivered.
        let open = !types.is_empty() && types.iter().all(|t| governance.is_open_throughout(t.as_str()));
        if open {
            return Ok(());
        }
        Err(Problem::new(
            ProblemCode("subscription-deaf-to-deletion"),
            422,
            "Subscription would not hear of withdrawals",
            "the selection may hold personal data and the subscription's triggers leave out deletions",
        )
        .at("/notificationTrigger")
        .help("Leave `notificationTrigger` out, or add `entityDeleted` and `attributeDeleted`, or register an event inbox for your hub."))
    }

    /// The caller's followers with this kind of sink, in the order of their ids. Who acts for no party has none, whatever an older version took.
    ///
    /// # Errors
    /// The store's.
    pub async fn followers(&self, scope: &Scope, sink: &'static str) -> Result<Vec<Follower>, Problem> {
        let (tenant, behalf, all) = (scope.tenant.clone(), self.behalf(scope), scope.is_operator() && !self.governance().is_licensed(scope));
        let list = self.inner.store.read(move |r| followers_of(r, &tenant)).await?;
        Ok(list.into_iter().filter(|f| f.sink == sink && (all || (behalf != Behalf::Anonymous && f.on_behalf == behalf))).collect())
    }

    /// One of the caller's followers.
    ///
    /// # Errors
    /// 404 when there is none, or it is another's.
    pub async fn follower(&self, scope: &Scope, sink: &'static str, id: &Iri) -> Result<Follower, Problem> {
        let all = self.followers(scope, sink).await?;
        all.into_iter().find(|f| &f.id == id).ok_or_else(|| {
            Problem::new(ProblemCode("subscription-not-found"), 404, "Subscription not found", "there is no such subscription, or not for this caller")
                .of_type("https://uri.etsi.org/ngsi-ld/errors/ResourceNotFound")
        })
    }

    /// Whether nothing waits to be looked at or delivered for the follower.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_idle(&self, scope: &Scope, follower: &Iri) -> Result<bool, Problem> {
        let (tenant, follower) = (scope.tenant.clone(), follower.clone());
        let read = move |r: &Reader<'_>| {
            let load = r.docs(crate::rows::TODO, &key(&["load", tenant.as_str(), follower.as_str()]), 1, None)?;
            let waiting = r.docs(OUTBOX, &of_follower(&tenant, &follower), 1, None)?;
            Ok(load.is_empty() && waiting.is_empty())
        };
        Ok(self.inner.store.read(read).await?)
    }

    /// Changes one of the caller's followers.
    ///
    /// # Errors
    /// 404; what `change` or the sink says; the store's.
    pub async fn change_follower(&self, scope: &Scope, sink: &'static str, id: &Iri, change: impl FnOnce(&mut Follower) -> Result<(), Problem>) -> Result<(), Problem> {
        let at = follower_key(&scope.tenant, id);
        let looked = at.clone();
        let revision = self.inner.store.read(move |r| Ok(r.doc(FOLLOWER, &looked)?.map(|d| d.revision))).await?;
        let mut follower = self.follower(scope, sink, id).await?;
        change(&mut follower)?;
        let there = self.sink(sink).ok_or_else(|| Problem::new(ProblemCode("no-such-sink"), 422, "Cannot deliver", "the sink is gone"))?;
        self.hears(scope, &there.selection(follower.spec.as_bytes())?)?;
        follower.modified_at = self.inner.clock.now();
        let mut batch = Batch::new();
        batch.expect_doc(FOLLOWER, &at, revision);
        batch.put_doc(FOLLOWER, &at, encode(&follower), None);
        let row = Todo::Load { tenant: scope.tenant.clone(), follower: id.clone(), after: String::new() };
        put_todo(&mut batch, &key(&["load", scope.tenant.as_str(), id.as_str()]), &row, follower.modified_at);
        self.commit(batch).await.map(drop).map_err(|p| match p.code.as_str() {
            "store-conflict" => Problem::new(ProblemCode("busy-subscription"), 503, "Changed at the same time", "the subscription was changed while this change was made").help("Try again in a moment."),
            _ => p,
        })
    }

    /// Ends one of the caller's followers. What it saw stays known as held by its recipient; a withdrawal that waits for it is told that
    /// nothing bounds it any more.
    ///
    /// # Errors
    /// 404; the store's.
    pub async fn unfollow(&self, scope: &Scope, sink: &'static str, id: &Iri) -> Result<(), Problem> {
        self.follower(scope, sink, id).await?;
        for _ in 0..16 {
            let (this, tenant, id) = (self.clone(), scope.tenant.clone(), id.clone());
            let read = move |r: &Reader<'_>| {
                let prefix = of_follower(&tenant, &id);
                let mut batch = Batch::new();
                batch.delete_doc(FOLLOWER, &follower_key(&tenant, &id));
                for (space, prefix) in [(SEEN, prefix.clone()), (OUTBOX, prefix.clone()), (DEAD, key(&["delivery", &prefix]))] {
                    each_doc(r, space, &prefix, |doc| {
                        batch.delete_doc(space, &doc.key);
                    })?;
                }
                this.let_go(r, &mut batch, &tenant, &id)?;
                Ok(batch)
            };
            let batch = self.inner.store.read(read).await?;
            match self.commit(batch).await {
                Err(problem) if problem.code == "store-conflict" => {}
                other => return other.map(drop),
            }
        }
        Err(Problem::new(ProblemCode("busy-withdrawal"), 503, "Too many answers", "withdrawals that wait for this subscription kept changing").help("Try again in a moment."))
    }
}

/// Whether what `scope` makes belongs to somebody whom a later call can be told apart from others.
fn owned(scope: &Scope, on_behalf: &Behalf) -> Result<(), Problem> {
    if *on_behalf != Behalf::Anonymous {
        return Ok(());
    }
    Err(if scope.principal == waybill_model::Principal::Anonymous {
        Problem::new(ProblemCode("unauthenticated"), 401, "Credentials are needed", "a subscription belongs to somebody whom the hub knows")
    } else {
        Problem::new(ProblemCode("no-recipient"), 403, "There is no recipient", "a subscription belongs to a party, and this caller acts for none")
            .help("Subscribe as a client that is registered for a party.")
    })
}

pub(crate) fn follower_key(tenant: &TenantId, id: &Iri) -> String {
    key(&[tenant.as_str(), id.as_str()])
}

pub(crate) fn encode(row: &impl serde::Serialize) -> Vec<u8> {
    // INVARIANT: our rows have string keys only.
    serde_json::to_vec(row).unwrap_or_default()
}

pub(crate) fn followers_of(reader: &Reader<'_>, tenant: &TenantId) -> Result<Vec<Follower>, StoreError> {
    let mut out = Vec::new();
    each_doc(reader, FOLLOWER, &format!("{tenant}{SEP}"), |doc| out.extend(serde_json::from_slice::<Follower>(&doc.payload)))?;
    Ok(out)
}
