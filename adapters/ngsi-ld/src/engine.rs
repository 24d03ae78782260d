//! The exchange as the API server sees it.

use crate::guard;
use crate::server::hub::{Action, Answer, BoxFuture, ChangeFn, ChangeSubscription, Keep, NewSubscription, NgsiHub, Report, StoredSubscription};
use crate::sink::NOTIFY;
use waybill_context::Contexts;
use waybill_exchange::{Change, Follower, Hub, NewFollower};
use waybill_gate::{Page, Released};
use waybill_http::AsLongAs;
use waybill_model::{Clock, DateTime, Iri, Problem, Scope};
use waybill_query::EntityQuery;

/// The engine behind the API server.
#[derive(Clone)]
pub struct Engine {
    hub: Hub,
    contexts: Contexts,
    alias: String,
    started_at: DateTime,
}

impl Engine {
    /// Serves `hub` under the name `alias`.
    pub fn new(hub: Hub, contexts: Contexts, alias: impl Into<String>) -> Self {
        let started_at = hub.clock().now();
        Self { hub, contexts, alias: alias.into(), started_at }
    }
}

fn answer(hub: &Hub, page: &Released<Page>) -> Answer {
    let docs = page.get().entities.clone();
    let (total, receipt) = (page.get().total.unwrap_or(docs.len() as u64), page.receipt());
    let as_long_as = receipt.standing.clone().map(|standing| {
        let gate = hub.gate().clone();
        AsLongAs::new(move || {
            let (gate, standing) = (gate.clone(), standing.clone());
            async move { gate.stands(&standing).await }
        })
    });
    Answer { docs, total, personal: receipt.personal, manifest: receipt.manifest.clone(), as_long_as }
}

fn stored(follower: Follower) -> StoredSubscription {
    let status = follower.status;
    StoredSubscription {
        id: follower.id,
        spec: follower.spec,
        active: follower.active,
        expires_at: follower.expires_at,
        created_at: follower.created_at,
        modified_at: follower.modified_at,
        times_sent: status.times_sent,
        times_failed: status.times_failed,
        last_notification: status.last_notification,
        last_success: status.last_success,
        last_failure: status.last_failure,
    }
}

impl NgsiHub for Engine {
    fn clock(&self) -> &Clock {
        self.hub.clock()
    }
    fn contexts(&self) -> &Contexts {
        &self.contexts
    }
    fn alias(&self) -> &str {
        &self.alias
    }
    fn started_at(&self) -> DateTime {
        self.started_at
    }

    fn knows_tenant<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<bool, Problem>> {
        Box::pin(self.hub.knows_tenant(&scope.tenant))
    }

    fn retrieve<'a>(&'a self, scope: &'a Scope, id: &'a Iri, keep: Keep) -> BoxFuture<'a, Result<Answer, Problem>> {
        Box::pin(async move { Ok(answer(&self.hub, &self.hub.retrieve(scope, id, move |name| keep(name)).await?)) })
    }

    fn query<'a>(&'a self, scope: &'a Scope, query: EntityQuery, keep: Keep) -> BoxFuture<'a, Result<Answer, Problem>> {
        Box::pin(async move { Ok(answer(&self.hub, &self.hub.query(scope, query, move |name| keep(name)).await?)) })
    }

    fn modify<'a>(&'a self, scope: &'a Scope, id: &'a Iri, change: ChangeFn) -> BoxFuture<'a, Result<Report, Problem>> {
        Box::pin(async move {
            let governance = self.hub.governance();
            self.hub
                .modify(scope, id, move |current| {
                    let step = change(current)?;
                    guard::check(scope, &governance, current, &step.action)?;
                    Ok(match step.action {
                        Action::Put(doc) => Change::Put(doc, step.report),
                        Action::Delete => Change::Delete(step.report),
                        Action::Keep => Change::Keep(step.report),
                    })
                })
                .await
        })
    }

    fn modify_many<'a>(&'a self, scope: &'a Scope, changes: Vec<(Iri, ChangeFn)>) -> BoxFuture<'a, Vec<Result<Report, Problem>>> {
        Box::pin(async move {
            // Those with different identifiers go side by side and share commits; those with the same one wait for each other.
            let mut out: Vec<Option<Result<Report, Problem>>> = changes.iter().map(|_| None).collect();
            let mut waiting: Vec<(usize, (Iri, ChangeFn))> = changes.into_iter().enumerate().collect();
            while !waiting.is_empty() {
                let mut names = std::collections::HashSet::new();
                let (now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, (id, _))| names.insert(id.clone()));
                waiting = later;
                let running = now.into_iter().map(|(at, (id, change))| async move { (at, self.modify(scope, &id, change).await) });
                for (at, result) in join_all(running).await {
                    out[at] = Some(result);
                }
            }
            out.into_iter().flatten().collect()
        })
    }

    fn subscribe<'a>(&'a self, scope: &'a Scope, new: NewSubscription) -> BoxFuture<'a, Result<Iri, Problem>> {
        let new = NewFollower { id: new.id, sink: NOTIFY, spec: new.spec, active: new.active, expires_at: new.expires_at, initial_load: true };
        Box::pin(self.hub.follow(scope, new))
    }

    fn subscriptions<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<StoredSubscription>, Problem>> {
        Box::pin(async move { Ok(self.hub.followers(scope, NOTIFY).await?.into_iter().map(stored).collect()) })
    }

    fn subscription<'a>(&'a self, scope: &'a Scope, id: &'a Iri) -> BoxFuture<'a, Result<StoredSubscription, Problem>> {
        Box::pin(async move { Ok(stored(self.hub.follower(scope, NOTIFY, id).await?)) })
    }

    fn change_subscription<'a>(&'a self, scope: &'a Scope, id: &'a Iri, change: ChangeSubscription) -> BoxFuture<'a, Result<(), Problem>> {
        Box::pin(self.hub.change_follower(scope, NOTIFY, id, move |follower| {
            let mut view = stored(follower.clone());
            change(&mut view)?;
            (follower.spec, follower.active, follower.expires_at) = (view.spec, view.active, view.expires_at);
            Ok(())
        }))
    }

    fn unsubscribe<'a>(&'a self, scope: &'a Scope, id: &'a Iri) -> BoxFuture<'a, Result<(), Problem>> {
        Box::pin(self.hub.unfollow(scope, NOTIFY, id))
    }
}

/// Runs all at once and gives the results in order.
async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    use std::task::Poll;
    let mut running: Vec<(std::pin::Pin<Box<_>>, Option<T>)> = futures.map(|f| (Box::pin(f), None)).collect();
    std::future::poll_fn(move |cx| {
        let mut all = true;
        for (future, done) in &mut running {
            if done.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(value) => *done = Some(value),
                    Poll::Pending => all = false,
                }
            }
        }
        if all { Poll::Ready(running.iter_mut().filter_map(|(_, done)| done.take()).collect()) } else { Poll::Pending }
    })
    .await
}
