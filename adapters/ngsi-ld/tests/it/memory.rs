//! A hub in memory: everybody sees and may change everything.

use std::collections::BTreeMap;
use std::sync::Mutex;
use waybill_context::Contexts;
use waybill_model::{Clock, DateTime, EntityDoc, Iri, Problem, Scope};
use waybill_ngsi_ld::{Action, Answer, BoxFuture, ChangeFn, ChangeSubscription, Keep, NewSubscription, NgsiHub, Report, StoredSubscription, problem};
use waybill_query::EntityQuery;

type Key = (String, String);

pub(crate) struct Memory {
    clock: Clock,
    contexts: Contexts,
    started_at: DateTime,
    entities: Mutex<BTreeMap<Key, EntityDoc>>,
    subscriptions: Mutex<BTreeMap<Key, StoredSubscription>>,
    /// Tenants that were written to.
    tenants: Mutex<Vec<String>>,
}

impl Memory {
    pub(crate) fn new(clock: Clock) -> Self {
        let contexts = Contexts::offline(clock.clone());
        Self::with(clock, contexts)
    }
    pub(crate) fn with(clock: Clock, contexts: Contexts) -> Self {
        Self { started_at: clock.now(), clock, contexts, entities: Mutex::default(), subscriptions: Mutex::default(), tenants: Mutex::default() }
    }
    /// The Entity as it is held.
    pub(crate) fn held(&self, id: &str) -> Option<EntityDoc> {
        self.entities.lock().expect("a lock").get(&(String::new(), id.to_owned())).cloned()
    }
    pub(crate) fn contexts(&self) -> &Contexts {
        &self.contexts
    }
    fn key(scope: &Scope, id: &Iri) -> Key {
        (scope.tenant.to_string(), id.to_string())
    }
    fn missing() -> Problem {
        problem::not_found("subscription-not-found", "there is no such subscription")
    }
    fn live(&self, doc: &EntityDoc) -> bool {
        doc.system.expires_at.is_none_or(|at| at > self.clock.now())
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

fn projected(doc: &EntityDoc, keep: &Keep, now: DateTime) -> EntityDoc {
    let spans: Vec<_> = doc.spans().iter().filter(|s| keep(doc.name(s)) && s.expires_at.is_none_or(|at| at > now)).cloned().collect();
    let (types, scopes) = doc.head_spans();
    EntityDoc::from_parts(doc.text().into(), doc.id_span(), types.to_vec(), scopes.to_vec(), spans, doc.system.clone())
}

impl NgsiHub for Memory {
    fn clock(&self) -> &Clock {
        &self.clock
    }
    fn contexts(&self) -> &Contexts {
        &self.contexts
    }
    fn alias(&self) -> &str {
        "memory"
    }
    fn started_at(&self) -> DateTime {
        self.started_at
    }
    fn knows_tenant<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<bool, Problem>> {
        ready(Ok(self.tenants.lock().expect("a lock").iter().any(|t| t == scope.tenant.as_str())))
    }
    fn retrieve<'a>(&'a self, scope: &'a Scope, id: &'a Iri, keep: Keep) -> BoxFuture<'a, Result<Answer, Problem>> {
        let found = self.entities.lock().expect("a lock").get(&Self::key(scope, id)).filter(|d| self.live(d)).map(|d| projected(d, &keep, self.clock.now()));
        ready(found.map(|doc| Answer { docs: vec![doc], total: 1, ..Answer::default() }).ok_or_else(problem::no_entity))
    }
    fn query<'a>(&'a self, scope: &'a Scope, query: EntityQuery, keep: Keep) -> BoxFuture<'a, Result<Answer, Problem>> {
        let entities = self.entities.lock().expect("a lock");
        let mut all: Vec<EntityDoc> = entities.iter().filter(|((t, _), d)| t == scope.tenant.as_str() && self.live(d) && query.matches(d)).map(|(_, d)| d.clone()).collect();
        if let Some(order) = &query.order {
            order.sort(&mut all);
        }
        let docs = all.iter().skip(query.offset).take(query.limit).map(|d| projected(d, &keep, self.clock.now())).collect();
        ready(Ok(Answer { docs, total: all.len() as u64, ..Answer::default() }))
    }
    fn modify<'a>(&'a self, scope: &'a Scope, id: &'a Iri, change: ChangeFn) -> BoxFuture<'a, Result<Report, Problem>> {
        let mut entities = self.entities.lock().expect("a lock");
        let key = Self::key(scope, id);
        let step = match change(entities.get(&key).filter(|d| self.live(d))) {
            Ok(step) => step,
            Err(problem) => return ready(Err(problem)),
        };
        match step.action {
            Action::Put(mut doc) => {
                doc.system.version = entities.get(&key).map_or(0, |d| d.system.version) + 1;
                self.tenants.lock().expect("a lock").push(scope.tenant.to_string());
                entities.insert(key, doc);
            }
            Action::Delete => {
                entities.remove(&key);
            }
            Action::Keep => {}
        }
        ready(Ok(step.report))
    }
    fn subscribe<'a>(&'a self, scope: &'a Scope, new: NewSubscription) -> BoxFuture<'a, Result<Iri, Problem>> {
        let mut all = self.subscriptions.lock().expect("a lock");
        let id = new.id.unwrap_or_else(|| Iri::new(format!("urn:waybill:subscription:{}", all.len())).expect("an IRI"));
        let key = Self::key(scope, &id);
        if all.contains_key(&key) {
            return ready(Err(problem::already_exists()));
        }
        let now = self.clock.now();
        let stored = StoredSubscription {
            id: id.clone(), spec: new.spec, active: new.active, expires_at: new.expires_at, created_at: now, modified_at: now,
            times_sent: 0, times_failed: 0, last_notification: None, last_success: None, last_failure: None,
        };
        all.insert(key, stored);
        self.tenants.lock().expect("a lock").push(scope.tenant.to_string());
        ready(Ok(id))
    }
    fn subscriptions<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<StoredSubscription>, Problem>> {
        let all = self.subscriptions.lock().expect("a lock");
        ready(Ok(all.iter().filter(|((t, _), _)| t == scope.tenant.as_str()).map(|(_, s)| s.clone()).collect()))
    }
    fn subscription<'a>(&'a self, scope: &'a Scope, id: &'a Iri) -> BoxFuture<'a, Result<StoredSubscription, Problem>> {
        ready(self.subscriptions.lock().expect("a lock").get(&Self::key(scope, id)).cloned().ok_or_else(Self::missing))
    }
    fn change_subscription<'a>(&'a self, scope: &'a Scope, id: &'a Iri, change: ChangeSubscription) -> BoxFuture<'a, Result<(), Problem>> {
        let mut all = self.subscriptions.lock().expect("a lock");
        ready(match all.get_mut(&Self::key(scope, id)) {
            Some(stored) => change(stored),
            None => Err(Self::missing()),
        })
    }
    fn unsubscribe<'a>(&'a self, scope: &'a Scope, id: &'a Iri) -> BoxFuture<'a, Result<(), Problem>> {
        ready(self.subscriptions.lock().expect("a lock").remove(&Self::key(scope, id)).map(drop).ok_or_else(Self::missing))
    }
}
