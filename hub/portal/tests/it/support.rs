//! A portal that runs, and callers of every kind.

use crate::fake::{Fake, State};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use waybill_http::{
    Allow, Auth, Authenticator, Client, ClientConfig, Guard, InResponse, Method, Metrics, OutRequest, Registration, Role, ServerConfig, ServerHandle,
    StaticToken, Tenants, encode_component, header, serve,
};
use waybill_model::{Clock, DateTime, Iri, TenantId};
use waybill_portal::{PortalConfig, routes};

pub const NOW: i64 = 1_800_000_000;
pub const ANNA: &str = "https://pods.example/anna#me";
pub const BERTA: &str = "https://pods.example/berta#me";
pub const CITY_A: &str = "https://city-a.example/";
pub const CITY_B: &str = "https://city-b.example/";
pub const ADVICE: &str = "https://w3id.org/waybill/purpose#EnergyAdvice";
pub const PORTAL: &str = "/waybill/v1";

pub fn iri(text: &str) -> Iri {
    Iri::new(text).unwrap()
}
pub fn north() -> TenantId {
    TenantId::new("north").unwrap()
}
pub fn at(seconds: i64) -> DateTime {
    DateTime::from_seconds(NOW + seconds)
}

/// Who calls in a test; each has a token of that name but `Nobody`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    Nobody,
    CityB,
    Anna,
    Berta,
    Operator,
    /// An operator of the tenant `north` alone.
    NorthOperator,
}

pub struct World<A = Fake> {
    pub hub: Arc<A>,
    pub clock: Clock,
    pub metrics: Metrics,
    pub server: ServerHandle,
    client: Client,
}

pub async fn world() -> World {
    world_with(false).await
}

pub async fn world_with(open_metrics: bool) -> World {
    let clock = Clock::fixed(at(0));
    let hub = Arc::new(Fake { clock: clock.clone(), state: Mutex::new(State::default()) });
    world_over(hub, clock, open_metrics).await
}

/// The portal over any hub.
pub async fn world_over<A: waybill_portal::Admin + 'static>(hub: Arc<A>, clock: Clock, open_metrics: bool) -> World<A> {
    let metrics = Metrics::new();
    let router = routes(hub.clone(), PortalConfig { clock: clock.clone(), metrics: metrics.clone(), open_metrics });
    let north = Registration::new("", "nora", Role::Operator).tenants(Tenants::Only(Arc::from([north()])));
    let authenticator = Authenticator::closed().with_tokens([
        StaticToken::operator("Operator", "olga"),
        StaticToken::new("NorthOperator", north),
        StaticToken::new("CityB", Registration::new("", "app", Role::Party(iri(CITY_B)))),
        StaticToken::person("Anna", iri(ANNA)),
        StaticToken::person("Berta", iri(BERTA)),
    ]);
    let mut config = ServerConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    config.metrics = metrics.clone();
    let server = serve(config, router, authenticator, clock.clone()).await.unwrap();
    let allow: Allow = "127.0.0.0/8".parse().unwrap();
    let client = Client::new(ClientConfig::new(clock.clone()).guard(Guard::allowing([allow]))).unwrap();
    World { hub, clock, metrics, server, client }
}

impl<A> World<A> {
    pub async fn send(&self, caller: Caller, method: Method, path: &str, lines: &[(&'static str, &str)], body: Option<&str>) -> InResponse {
        let mut request = OutRequest::new(method, format!("http://{}{path}", self.server.addr));
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_owned());
        }
        for (name, value) in lines {
            request = request.header(header::HeaderName::from_static(name), value);
        }
        if caller != Caller::Nobody {
            request = request.auth(Auth::XAuthToken(format!("{caller:?}").into()));
        }
        self.client.send(request).await.unwrap()
    }
    pub async fn get(&self, caller: Caller, path: &str) -> InResponse {
        self.send(caller, Method::GET, &format!("{PORTAL}{path}"), &[], None).await
    }
    pub async fn delete(&self, caller: Caller, path: &str) -> InResponse {
        self.send(caller, Method::DELETE, &format!("{PORTAL}{path}"), &[], None).await
    }
    pub async fn post(&self, caller: Caller, path: &str, body: &Value) -> InResponse {
        self.send(caller, Method::POST, &format!("{PORTAL}{path}"), &[], Some(&body.to_string())).await
    }
    pub async fn post_text(&self, caller: Caller, path: &str, body: &str) -> InResponse {
        self.send(caller, Method::POST, &format!("{PORTAL}{path}"), &[], Some(body)).await
    }
    /// A `POST` without a body.
    pub async fn act(&self, caller: Caller, path: String) -> InResponse {
        self.send(caller, Method::POST, &format!("{PORTAL}{path}"), &[], None).await
    }
    /// Gives `body` and answers the consent's identifier.
    pub async fn granted(&self, caller: Caller, body: &Value) -> String {
        let answer = self.post(caller, "/consents", body).await;
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        value(&answer)["id"].as_str().unwrap().to_owned()
    }
}

pub fn value(answer: &InResponse) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|e| panic!("{e}: {} {:?}", answer.status, answer.body))
}
pub fn code(answer: &InResponse) -> String {
    value(answer)["code"].as_str().unwrap_or_default().to_owned()
}
pub fn coded(text: &str) -> String {
    encode_component(text)
}

/// A record of `subject` that lacks nothing but what the portal fills in.
pub fn record(subject: &str) -> Value {
    json!({
        "subject": {"id": subject},
        "parties": [
            {"id": CITY_A, "role": "controller", "name": "City A", "address": "Hill 1", "contact": "privacy@city-a.example"},
            {"id": CITY_B, "role": "recipient", "name": "City B"},
        ],
        "notice": {"uri": "https://city-a.example/notice", "language": "en"},
        "processes": [{
            "pid": "advice",
            "purposes": [ADVICE],
            "legalBasis": "consent",
            "data": [{"attribute": "https://example.org/power", "transform": {"kind": "share"}}],
            "recipients": [CITY_B],
            "storage": {"locations": ["AT"], "retention": "P1Y"},
            "validity": {"until": at(30 * 86_400).to_string()},
        }],
        "jurisdiction": "AT",
        "withdrawal": {"uri": "https://city-a.example/withdraw"},
    })
}

/// The same as a citizen writes it.
pub fn document(subject: &str) -> Value {
    json!({
        "type": "ConsentGrant",
        "subject": subject,
        "controller": {"id": CITY_A, "name": "City A", "address": "Hill 1", "contact": "privacy@city-a.example"},
        "recipients": [{"id": CITY_B, "name": "City B"}],
        "purposes": [ADVICE],
        "notice": {"uri": "https://city-a.example/notice", "language": "en"},
        "data": [{"attribute": "https://example.org/power", "precision": "exact"}],
        "until": at(30 * 86_400).to_string(),
        "storage": {"locations": ["AT"], "retention": "P1Y"},
        "jurisdiction": "AT",
        "withdrawal": {"uri": "https://city-a.example/withdraw"},
    })
}
