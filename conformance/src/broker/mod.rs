//! A plain NGSI-LD broker in memory: entities, batches, queries by id and type, subscriptions over HTTP. It keeps every Attribute with
//! all its sub-attributes, known to it or not, and knows nothing of consent.

mod answers;
mod entities;
mod names;
mod subscriptions;

pub(crate) use subscriptions::stamp;

use crate::net::{Handler, Reply, Request, Seen, Server, bare, decoded, locked};
use crate::{LOOPBACK, Now, system_time};
use answers::{Refusal, Responder};
use entities::Store;
use http::{Method, StatusCode};
use serde_json::Value;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use subscriptions::Subscriptions;
use tokio::net::TcpListener;

/// How a [`StandInBroker`] behaves.
#[derive(Clone)]
pub struct BrokerOptions {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// @context documents by their address: it fetches none.
    pub contexts: HashMap<String, Value>,
    /// Whether it hides entities and Attributes after their `expiresAt` (a broker that does is of the *expiring* class).
    pub hides_expired: bool,
    /// Its clock.
    pub now: Now,
    /// The token it demands as `Authorization: Bearer …` or `X-Auth-Token`, if any.
    pub token: Option<String>,
}
impl Default for BrokerOptions {
    fn default() -> Self {
        Self { listen: LOOPBACK, contexts: HashMap::new(), hides_expired: false, now: system_time(), token: None }
    }
}

/// The stand-in for any NGSI-LD broker. Dropping it stops it.
pub struct StandInBroker {
    server: Server,
    state: Arc<State>,
}

struct State {
    options: BrokerOptions,
    /// By tenant.
    tenants: Mutex<HashMap<String, Tenant>>,
}

#[derive(Default)]
struct Tenant {
    store: Store,
    subscriptions: Subscriptions,
}

impl StandInBroker {
    /// Starts one.
    ///
    /// # Errors
    /// When the address cannot be taken.
    pub async fn start(options: BrokerOptions) -> std::io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let state = Arc::new(State { options, tenants: Mutex::default() });
        let shared = state.clone();
        let handler: Handler = Arc::new(move |request| {
            let state = shared.clone();
            Box::pin(async move { state.answer(&request) })
        });
        Ok(Self { server: Server::start(listener, handler)?, state })
    }
    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr
    }
    /// `http://` and its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.addr)
    }
    /// Every request it answered.
    pub fn seen(&self) -> Vec<Seen> {
        self.server.seen()
    }
    /// What it holds for a tenant (empty for the default one), with full names.
    pub fn entities(&self, tenant: &str) -> Vec<Value> {
        locked(&self.state.tenants).get(tenant).map(|t| t.store.all().cloned().collect()).unwrap_or_default()
    }
    /// One entity of a tenant, with full names.
    pub fn entity(&self, tenant: &str, id: &str) -> Option<Value> {
        locked(&self.state.tenants).get(tenant).and_then(|t| t.store.get(id).cloned())
    }
    /// Puts an entity in, as an application beside it would; names as without an @context. Whoever subscribed is notified.
    pub fn put(&self, tenant: &str, entity: Value) {
        let mut tenants = locked(&self.state.tenants);
        let held = tenants.entry(tenant.to_owned()).or_default();
        held.store.put_from_outside(&entity);
        let changes = held.store.take_changes();
        held.subscriptions.notify(&changes, (self.state.options.now)());
    }
    /// Stops it. What it held is gone.
    pub fn stop(self) {
        self.server.stop();
    }
}

impl State {
    fn answer(&self, request: &Request) -> Reply {
        let path = request.path.trim_end_matches('/');
        if path == "/version" {
            return answers::json(StatusCode::OK, &serde_json::json!({"standIn": "waybill-conformance", "version": env!("CARGO_PKG_VERSION")}));
        }
        if let Some(token) = &self.options.token {
            let bearer = request.header("authorization").and_then(|v| v.strip_prefix("Bearer "));
            if bearer.or_else(|| request.header("x-auth-token")) != Some(token) {
                return bare(StatusCode::UNAUTHORIZED);
            }
        }
        let Some(rest) = path.strip_prefix("/ngsi-ld/v1/") else { return bare(StatusCode::NOT_FOUND) };
        let parts: Vec<String> = rest.split('/').map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match self.route(request, &parts) {
            Ok(reply) => reply,
            Err(Refusal(reply)) => *reply,
        }
    }

    fn route(&self, request: &Request, parts: &[&str]) -> Result<Reply, Refusal> {
        let responder = Responder::of(request, &self.options.contexts)?;
        let name = request.header("ngsild-tenant").or_else(|| request.header("fiware-service")).unwrap_or_default();
        let mut tenants = locked(&self.tenants);
        let tenant = tenants.entry(name.to_owned()).or_default();
        let now = (self.options.now)();
        if self.options.hides_expired {
            tenant.store.forget_expired(now);
        }
        let reply = match (&request.method, parts) {
            (&Method::GET, ["entities"]) => tenant.store.query(request, &responder),
            (&Method::POST, ["entities"]) => tenant.store.create(&responder),
            (&Method::GET, ["entities", id]) => tenant.store.retrieve(id, request, &responder),
            (&Method::PUT, ["entities", id]) => tenant.store.replace(id, &responder),
            (&Method::PATCH, ["entities", id]) => tenant.store.merge(id, &responder),
            (&Method::DELETE, ["entities", id]) => tenant.store.delete(id),
            (&Method::POST | &Method::PATCH, ["entities", id, "attrs"]) => tenant.store.set_attributes(id, request, &responder),
            (&Method::PATCH | &Method::PUT, ["entities", id, "attrs", name]) => tenant.store.set_attribute(id, name, request, &responder),
            (&Method::DELETE, ["entities", id, "attrs", name]) => tenant.store.delete_attribute(id, name, &responder),
            (&Method::GET, ["types"]) => Ok(tenant.store.types(&responder)),
            (&Method::POST, ["entityOperations", "query"]) => tenant.store.query_by_body(request, &responder),
            (&Method::POST, ["entityOperations", operation]) => tenant.store.batch(operation, request, &responder),
            (_, ["subscriptions", rest @ ..]) => tenant.subscriptions.answer(rest, request, &responder),
            (_, ["entities" | "entityOperations", ..]) => Ok(bare(StatusCode::METHOD_NOT_ALLOWED)),
            _ => Ok(bare(StatusCode::NOT_FOUND)),
        };
        let changes = tenant.store.take_changes();
        tenant.subscriptions.notify(&changes, now);
        reply
    }
}
