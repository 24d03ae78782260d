//! What the API server needs of the engine. The program bridges it to the exchange; tests have one in memory.

use crate::server::catalog::Catalog;
use crate::write::UpdateResult;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use waybill_context::Contexts;
use waybill_http::AsLongAs;
use waybill_model::{Clock, DateTime, EntityDoc, Iri, Problem, Scope};
use waybill_query::{EntityQuery, MAX_LIMIT};

/// A boxed future, so that the trait can be an object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// Which Attributes (expanded names) are wanted of each Entity; asked after the filters.
pub type Keep = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Entities as the caller may see them, tags inside.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The page.
    pub docs: Vec<EntityDoc>,
    /// How many match: exact when the query asked for the count, else at least one more than the page when there is a next one.
    pub total: u64,
    /// Whether personal data is in it: the answer must not be cached.
    pub personal: bool,
    /// Where the signed manifest of this answer lies.
    pub manifest: Option<String>,
    /// Under which condition it may be sent on, where it takes long.
    pub as_long_as: Option<AsLongAs>,
}

/// What becomes of an Entity.
#[derive(Debug, Clone)]
pub enum Action {
    /// It becomes this.
    Put(EntityDoc),
    /// It goes.
    Delete,
    /// It stays.
    Keep,
}

/// What a change decided.
#[derive(Debug, Clone)]
pub struct Step {
    /// What becomes of the Entity.
    pub action: Action,
    /// What to tell the caller.
    pub report: Report,
}

/// What a caller is told of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether there was an Entity before.
    pub existed: bool,
    /// What happened to each Attribute.
    pub result: UpdateResult,
}

/// A change: given the present state, it says what becomes of it. It may be asked again when another writer was faster, so it must have
/// no effects.
pub type ChangeFn = Box<dyn Fn(Option<&EntityDoc>) -> Result<Step, Problem> + Send + Sync>;

/// What a caller says of a new subscription.
#[derive(Debug, Clone)]
pub struct NewSubscription {
    /// Its identifier; nothing lets the hub choose.
    pub id: Option<Iri>,
    /// What [`crate::Subscription::from_spec`] reads.
    pub spec: String,
    /// Whether it notifies from the start.
    pub active: bool,
    /// When it ends.
    pub expires_at: Option<DateTime>,
}

/// A subscription as it is kept.
#[derive(Debug, Clone)]
pub struct StoredSubscription {
    /// Its identifier.
    pub id: Iri,
    /// What [`crate::Subscription::from_spec`] reads.
    pub spec: String,
    /// Whether it is not paused.
    pub active: bool,
    /// When it ends.
    pub expires_at: Option<DateTime>,
    /// When it was made.
    pub created_at: DateTime,
    /// When it was changed.
    pub modified_at: DateTime,
    /// Deliveries tried.
    pub times_sent: u64,
    /// Deliveries that failed.
    pub times_failed: u64,
    /// The last try.
    pub last_notification: Option<DateTime>,
    /// The last success.
    pub last_success: Option<DateTime>,
    /// The last failure.
    pub last_failure: Option<DateTime>,
}

/// A change of a subscription.
pub type ChangeSubscription = Box<dyn FnOnce(&mut StoredSubscription) -> Result<(), Problem> + Send>;

/// The engine as this interface sees it. Every method takes the [`Scope`] of the call; what is read has been through the gate.
pub trait NgsiHub: Send + Sync + 'static {
    /// The clock.
    fn clock(&self) -> &Clock;
    /// The @contexts.
    fn contexts(&self) -> &Contexts;
    /// The name of this context source, as it stands in `Via` and in its identity.
    fn alias(&self) -> &str;
    /// When this hub started.
    fn started_at(&self) -> DateTime;

    /// Whether the tenant of `scope` was ever written to. The default tenant is always known.
    fn knows_tenant<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<bool, Problem>>;
    /// One Entity; 404 in the same words whether it is missing, hidden or foreign.
    fn retrieve<'a>(&'a self, scope: &'a Scope, id: &'a Iri, keep: Keep) -> BoxFuture<'a, Result<Answer, Problem>>;
    /// The Entities that fit `query`, by identifier unless it asks for another order. Filters, counts and pages see what the caller sees.
    fn query<'a>(&'a self, scope: &'a Scope, query: EntityQuery, keep: Keep) -> BoxFuture<'a, Result<Answer, Problem>>;
    /// Whether [`Self::query`] minds the order that a query asks for.
    fn orders(&self) -> bool {
        true
    }
    /// Changes one Entity; durable when it answers.
    fn modify<'a>(&'a self, scope: &'a Scope, id: &'a Iri, change: ChangeFn) -> BoxFuture<'a, Result<Report, Problem>>;
    /// Changes several Entities, each by itself, those with the same identifier in order.
    fn modify_many<'a>(&'a self, scope: &'a Scope, changes: Vec<(Iri, ChangeFn)>) -> BoxFuture<'a, Vec<Result<Report, Problem>>> {
        Box::pin(async move {
            let mut out = Vec::with_capacity(changes.len());
            for (id, change) in changes {
                out.push(self.modify(scope, &id, change).await);
            }
            out
        })
    }
    /// The types and Attributes of all that the caller sees. This default reads all of it; an engine that counts as it writes does better.
    fn catalog<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Catalog, Problem>> {
        Box::pin(async move {
            let mut catalog = Catalog::default();
            let mut query = EntityQuery { limit: MAX_LIMIT, ..EntityQuery::new() };
            loop {
                let answer = self.query(scope, query.clone(), Arc::new(|_| true)).await?;
                answer.docs.iter().for_each(|doc| catalog.add(doc));
                if answer.docs.len() < MAX_LIMIT {
                    return Ok(catalog);
                }
                query.offset += MAX_LIMIT;
            }
        })
    }

    /// Makes a subscription; 409 when the identifier is taken.
    fn subscribe<'a>(&'a self, scope: &'a Scope, new: NewSubscription) -> BoxFuture<'a, Result<Iri, Problem>>;
    /// The caller's subscriptions, by identifier.
    fn subscriptions<'a>(&'a self, scope: &'a Scope) -> BoxFuture<'a, Result<Vec<StoredSubscription>, Problem>>;
    /// One of the caller's subscriptions; 404.
    fn subscription<'a>(&'a self, scope: &'a Scope, id: &'a Iri) -> BoxFuture<'a, Result<StoredSubscription, Problem>>;
    /// Changes one of the caller's subscriptions; 404.
    fn change_subscription<'a>(&'a self, scope: &'a Scope, id: &'a Iri, change: ChangeSubscription) -> BoxFuture<'a, Result<(), Problem>>;
    /// Ends one of the caller's subscriptions; 404.
    fn unsubscribe<'a>(&'a self, scope: &'a Scope, id: &'a Iri) -> BoxFuture<'a, Result<(), Problem>>;
}
