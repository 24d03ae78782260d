//! Where released entities go: a subscriber's endpoint, or a broker that this hub feeds.

use crate::client::{Broker, is_retryable};
use crate::notify::{self, Gone, Notification};
use crate::subscription::Subscription;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use waybill_context::{Contexts, CoreVersion};
use waybill_gate::{Parcel, Released};
use waybill_http::{CallError, Client};
use waybill_model::{Iri, Problem, ProblemCode};
use waybill_port::{BoxFuture, Delivered, DeliveryError, Selection, Sink};
use waybill_query::{EntityQuery, NoContext, TypeSelection};

/// The sink of subscriptions.
pub(crate) const NOTIFY: &str = "ngsi-ld.notify";

/// Notifies the endpoints of subscriptions.
#[derive(Clone)]
pub struct NotifySink {
    client: Client,
    contexts: Contexts,
}

impl NotifySink {
    /// Notifies through `client`.
    pub fn new(client: Client, contexts: Contexts) -> Self {
        Self { client, contexts }
    }
}

impl NotifySink {
    /// The specification of a follower that tells `endpoint` of every change to entities of `types` (expanded), deletions included;
    /// `authorization` is shown there. For what is no subscription of the interface, such as a feed of a dataspace.
    pub fn feed(endpoint: &str, authorization: Option<&str>, types: &[Iri]) -> (&'static str, String) {
        let info: Vec<Value> = authorization.iter().map(|a| json!({"key": "Authorization", "value": a})).collect();
        let mut there = json!({"uri": endpoint, "accept": "application/json"});
        if !info.is_empty() {
            there["receiverInfo"] = info.into();
        }
        let entities: Vec<Value> = types.iter().map(|t| json!({"type": t})).collect();
        let mut members = Map::new();
        members.insert("entities".into(), entities.into());
        members.insert("notification".into(), json!({"endpoint": there}));
        (NOTIFY, Subscription { members, names: BTreeMap::new(), context: Value::Null }.to_spec())
    }
}

fn told(e: &CallError) -> DeliveryError {
    DeliveryError { detail: format!("{} ({})", e.detail, e.kind.code()), retry: is_retryable(e), after: e.retry_after }
}

impl Sink for NotifySink {
    fn kind(&self) -> &'static str {
        NOTIFY
    }

    fn selection(&self, spec: &[u8]) -> Result<Selection, Problem> {
        let subscription = Subscription::from_spec(std::str::from_utf8(spec).unwrap_or_default())?;
        Ok(Selection { query: subscription.query()?, watched: subscription.watched(), hears_deletions: subscription.hears_deletions() })
    }

    fn deliver<'a>(&'a self, spec: &'a [u8], parcel: &'a Released<Parcel>) -> BoxFuture<'a, Result<Delivered, DeliveryError>> {
        Box::pin(async move {
            let subscription = Subscription::from_spec(std::str::from_utf8(spec).unwrap_or_default()).map_err(|p| DeliveryError::fatal(p.detail))?;
            let content = parcel.get();
            // A @context that cannot be had must not keep a deletion back: names are then written in full.
            let (context, url) = match &subscription.context {
                Value::String(url) => match self.contexts.resolve(&subscription.context).await {
                    Ok(context) => (context, url.clone()),
                    Err(_) => (self.contexts.core(), CoreVersion::LATEST.url()),
                },
                _ => (self.contexts.core(), CoreVersion::LATEST.url()),
            };
            let gone: Vec<Gone> = content.deleted.iter().map(|d| Gone { id: d.id.clone(), types: d.types.clone(), attributes: d.attributes.clone() }).collect();
            let tenant = content.tenant.as_str();
            let notification = Notification {
                key: &content.key,
                subscription: &content.follower,
                at: content.at,
                entities: &content.entities,
                gone: &gone,
                manifest: content.manifest.as_deref(),
                tenant: (!tenant.is_empty()).then_some(tenant),
            };
            let request = notify::request(&subscription, &notification, &context, &url).map_err(|p| DeliveryError::fatal(p.detail))?;
            Broker::post(&self.client, request).await.map_err(|e| told(&e))?;
            Ok(Delivered::default())
        })
    }
}

/// What a fed broker is to hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedSpec {
    /// Expanded types.
    pub types: Vec<Iri>,
}

/// Keeps a broker in step with what its owner may hold. Reads back after a deletion, so it can say how it knows.
pub struct BrokerSink {
    kind: &'static str,
    broker: Broker,
}

impl BrokerSink {
    /// Feeds `broker`, under the name [`Self::kind_of`] the connection.
    pub fn new(connection: &str, broker: Broker) -> Self {
        Self { kind: Self::kind_of(connection), broker }
    }
    /// How followers name the sink of a connection. Names live as long as the program, as the connections of its configuration do.
    pub fn kind_of(connection: &str) -> &'static str {
        static NAMES: std::sync::Mutex<Vec<&'static str>> = std::sync::Mutex::new(Vec::new());
        let name = format!("ngsi-ld.broker.{connection}");
        let mut names = NAMES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = names.iter().find(|n| **n == name) {
            return known;
        }
        let kept: &'static str = Box::leak(name.into_boxed_str());
        names.push(kept);
        kept
    }
    /// What a follower of this sink says, so that entities of `types` are fed.
    pub fn spec(types: Vec<Iri>) -> String {
        serde_json::to_string(&FeedSpec { types }).unwrap_or_default()
    }
}

impl Sink for BrokerSink {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn selection(&self, spec: &[u8]) -> Result<Selection, Problem> {
        let bad = |detail: String| Problem::new(ProblemCode("feed-spec"), 422, "Feed not readable", detail);
        let spec: FeedSpec = serde_json::from_slice(spec).map_err(|e| bad(e.to_string()))?;
        let names: Vec<&str> = spec.types.iter().map(Iri::as_str).collect();
        let query = if names.is_empty() {
            EntityQuery::new()
        } else {
            EntityQuery::of_types(TypeSelection::parse(&names.join(","), &NoContext).map_err(|e| bad(e.to_string()))?)
        };
        Ok(Selection { query, watched: Vec::new(), hears_deletions: true })
    }

    fn deliver<'a>(&'a self, _: &'a [u8], parcel: &'a Released<Parcel>) -> BoxFuture<'a, Result<Delivered, DeliveryError>> {
        Box::pin(async move {
            let content = parcel.get();
            let refused = |errors: &[crate::client::ItemError]| {
                let first = errors.first().map(|e| format!("{} of {} refused: {}", errors.len(), content.entities.len(), e.reason)).unwrap_or_default();
                DeliveryError { detail: first, retry: true, after: None }
            };
            if !content.entities.is_empty() {
                let outcome = self.broker.upsert(&content.entities).await.map_err(|e| told(&e))?;
                if !outcome.errors.is_empty() {
                    return Err(refused(&outcome.errors));
                }
            }
            let whole: Vec<Iri> = content.deleted.iter().filter(|d| d.attributes.is_empty()).map(|d| d.id.clone()).collect();
            if !whole.is_empty() {
                let outcome = self.broker.delete(&whole).await.map_err(|e| told(&e))?;
                // What is not there is as good as deleted.
                let left: Vec<_> = outcome.errors.into_iter().filter(|e| e.status != Some(404)).collect();
                if !left.is_empty() {
                    return Err(refused(&left));
                }
            }
            for gone in content.deleted.iter().filter(|d| !d.attributes.is_empty()) {
                for name in &gone.attributes {
                    match self.broker.delete_attribute(&gone.id, name.as_str()).await {
                        Err(e) if !matches!(e.kind, waybill_http::CallErrorKind::Status(404)) => return Err(told(&e)),
                        _ => {}
                    }
                }
            }
            if content.deleted.is_empty() {
                return Ok(Delivered::default());
            }
            for gone in &content.deleted {
                let there = self.broker.retrieve(&gone.id, content.at).await.map_err(|e| told(&e))?;
                let still = there.is_some_and(|doc| gone.attributes.is_empty() || doc.spans().iter().any(|s| gone.attributes.iter().any(|a| a.as_str() == doc.name(s))));
                if still {
                    return Err(DeliveryError { detail: "the broker still shows what was deleted".into(), retry: true, after: Some(Duration::from_secs(1)) });
                }
            }
            Ok(Delivered { erased_how: Some("DELETE, then read back: not there".into()) })
        })
    }
}
