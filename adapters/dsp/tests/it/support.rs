//! Hubs with connectors over real sockets, and counterparts that a test plays itself.

use serde_json::Value;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use waybill_dsp::{Conformance, Connector, DataRoute, DspConfig, Limits, Offering, PATH, Participant, StaticIdentity, Strategy, conformance_routes, management_routes, routes};
use waybill_exchange::Hub;
use waybill_gate::{Class, ClassRule, Governance};
use waybill_http::{
    Allow, Auth, Authenticator, BreakerConfig, Cidr, Client, ClientConfig, Guard, Method, OutRequest, Request, Response, RouteOptions, Router, ServerConfig, ServerHandle, StaticToken, header, serve,
};
use waybill_model::{Clock, DateTime, Iri};
use waybill_store::Store;

/// How long something that must come is waited for. Generous: nothing is measured by it.
const PATIENCE: Duration = Duration::from_mins(1);
pub const CONTEXT: &str = "https://w3id.org/dspace/2025/1/context.jsonld";
pub const STATION: &str = "https://w3id.org/example/Station";
pub const OPERATOR: &str = "operator-0123456789";

pub fn iri(text: &str) -> Iri {
    Iri::new(text).expect("an IRI")
}

pub fn free() -> SocketAddr {
    use std::sync::atomic::{AtomicU32, Ordering};
    // Below the ports that calls go out from: else one of those may take it before somebody listens there.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(101).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let port = u16::try_from(20_000 + number).expect("a port");
        if let Ok(at) = std::net::TcpListener::bind(("127.0.0.1", port)).and_then(|l| l.local_addr()) {
            return at;
        }
    }
}

pub fn noon() -> Clock {
    Clock::fixed(DateTime::parse("2026-11-24T12:00:00Z").expect("a time"))
}

/// What `from` shows at `to`.
pub fn token(from: &str, to: &str) -> String {
    format!("{from}-at-{to}-0123456789")
}

pub fn party_of(id: &str) -> Iri {
    iri(&format!("https://{id}.example/#party"))
}

pub fn client(clock: &Clock) -> Client {
    let allow: Cidr = "127.0.0.0/8".parse().expect("a range");
    let mut config = ClientConfig::new(clock.clone()).guard(Guard::allowing([Allow::Range(allow)]));
    config.breaker = BreakerConfig { failures: 0, ..BreakerConfig::default() };
    Client::new(config).expect("a client")
}

/// A dataset of open stations with one offer that has no purpose.
pub fn open_offering(dataset: &str) -> Offering {
    Offering {
        description: None,
        legislation: Vec::new(),
        dataset: dataset.to_owned(),
        title: None,
        types: vec![iri(STATION)],
        ids: Vec::new(),
        attributes: Vec::new(),
        personal: false,
        purposes: Vec::new(),
        to: Vec::new(),
        formats: vec![waybill_dsp::Format::Pull, waybill_dsp::Format::Query],
        until: None,
        needs_enforcing: false,
        strategy: Strategy::Automatic,
        offer_id: None,
        route: None,
        terms: waybill_dsp::Terms::default(),
    }
}

/// What a hub is set up with.
pub struct Setup {
    pub id: &'static str,
    pub at: SocketAddr,
    pub clock: Clock,
    pub store: Store,
    /// Other participants: identifier and, where it is known, the address of its connector.
    pub others: Vec<(&'static str, Option<String>)>,
    pub offers: Vec<Offering>,
    pub routes: Vec<DataRoute>,
    pub conformance: Option<Conformance>,
    pub limits: Limits,
    pub governance: fn(&mut Governance),
}

fn nothing_more(_: &mut Governance) {}

impl Setup {
    pub fn new(id: &'static str, at: SocketAddr, clock: &Clock) -> Self {
        let store = Store::memory(clock.clone()).expect("a store");
        Self { id, at, clock: clock.clone(), store, others: Vec::new(), offers: Vec::new(), routes: Vec::new(), conformance: None, limits: Limits::default(), governance: nothing_more }
    }
    pub fn knows(mut self, id: &'static str, connector: Option<String>) -> Self {
        self.others.push((id, connector));
        self
    }
    pub fn offers(mut self, offers: impl IntoIterator<Item = Offering>) -> Self {
        self.offers.extend(offers);
        self
    }

    pub fn config(&self) -> DspConfig {
        DspConfig {
            about: waybill_dsp::About::default(),
            control_plane: None,
            routes: self.routes.clone(),
            participant: self.id.to_owned(),
            base_url: format!("http://{}", self.at),
            participants: self
                .others
                .iter()
                .map(|(id, address)| {
                    Arc::new(Participant { id: (*id).to_owned(), party: party_of(id), address: address.clone(), auth: Auth::Bearer(Arc::from(token(self.id, id))), enforcing: false, hub: None, crawl: false })
                })
                .collect(),
            offers: self.offers.iter().cloned().map(Arc::new).collect(),
            conformance: self.conformance.clone(),
            limits: self.limits,
        }
    }
    pub fn identity(&self) -> Arc<StaticIdentity> {
        Arc::new(StaticIdentity::new(self.others.iter().map(|(id, _)| ((*id).to_owned(), token(id, self.id)))))
    }

    /// The hub, served, with its processes prepared and nothing driven yet.
    pub async fn start(self) -> Node {
        let base = format!("http://{}", self.at);
        let mut governance = Governance::bare(&base).expect("governance");
        governance.party = party_of(self.id);
        governance.classes.push(ClassRule { types: vec![iri(STATION)], attributes: Vec::new(), class: Class::Open });
        (self.governance)(&mut governance);
        let hub = Hub::open(self.store.clone(), governance, self.clock.clone()).await.expect("a hub");
        let connector = Connector::new(hub.clone(), client(&self.clock), self.config(), self.identity(), |feed| ("no-sink", feed.endpoint.clone()));
        connector.prepare().await.expect("prepared");
        let router = routes(&connector).merge(management_routes(&connector)).merge(conformance_routes(&connector));
        let authenticator = Authenticator::closed().with_tokens([StaticToken::operator(OPERATOR, "operator")]).with_resolver(Arc::new(connector.clone()));
        let server = serve(ServerConfig::new(self.at), router, authenticator, self.clock.clone()).await.expect("served");
        Node { address: format!("{base}{PATH}"), url: base, hub, connector, _server: server, tasks: Vec::new() }
    }
    /// The same, and it sends what is due.
    pub async fn run(self) -> Node {
        let mut node = self.start().await;
        node.drive();
        node
    }
}

/// A hub that runs.
pub struct Node {
    pub hub: Hub,
    pub connector: Connector,
    pub url: String,
    /// Where counterparts call.
    pub address: String,
    _server: ServerHandle,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Node {
    pub fn drive(&mut self) {
        self.tasks.push(tokio::spawn(self.connector.clone().run()));
    }
    /// Sends nothing more until it is driven again.
    pub fn pause(&mut self) {
        self.tasks.drain(..).for_each(|task| task.abort());
    }
    /// As a participant calls it.
    pub fn seen_by(&self, token: &str) -> Wire {
        client_wire(&self.address, token)
    }
    /// As its operator calls the management interface.
    pub fn managed(&self) -> Wire {
        client_wire(&format!("{}/management/v3", self.url), OPERATOR)
    }
    pub fn participant(&self, id: &str) -> Arc<Participant> {
        self.connector.config().participants.iter().find(|p| p.id == id).expect("a participant").clone()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A caller of `base` that shows `token`.
pub fn client_wire(base: &str, token: &str) -> Wire {
    Wire { client: client(&Clock::system()), base: base.to_owned(), token: token.to_owned() }
}

/// One caller of one base address.
#[derive(Clone)]
pub struct Wire {
    client: Client,
    pub base: String,
    token: String,
}

impl Wire {
    /// The same caller at another base address.
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }
    pub async fn send(&self, method: Method, path: &str, kind: &str, body: impl Into<Vec<u8>>) -> (u16, Value) {
        let (status, body, _) = self.send_raw(method, path, kind, body).await;
        (status, body)
    }
    pub async fn send_raw(&self, method: Method, path: &str, kind: &str, body: impl Into<Vec<u8>>) -> (u16, Value, waybill_http::HeaderMap) {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let mut request = OutRequest::new(method, url).deadline(PATIENCE).body(body.into());
        if !kind.is_empty() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        if !self.token.is_empty() {
            request = request.auth(Auth::Bearer(Arc::from(self.token.as_str())));
        }
        let answer = self.client.send(request).await.expect("an answer");
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default(), answer.headers)
    }
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(Method::POST, path, "application/json", body.to_string()).await
    }
    /// The same, where nobody may be there to answer.
    pub async fn try_post(&self, path: &str, body: &Value) -> Option<u16> {
        let request = OutRequest::post(format!("{}{path}", self.base), "application/json", body.to_string()).auth(Auth::Bearer(Arc::from(self.token.as_str())));
        self.client.send(request).await.ok().map(|a| a.status.as_u16())
    }
    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, "", Vec::new()).await
    }
    /// The state that a process is in, as its `GET` says.
    pub async fn state(&self, process: &str) -> String {
        let (status, body) = self.get(process).await;
        assert_eq!(status, 200, "GET {process}: {body}");
        body["state"].as_str().unwrap_or_default().to_owned()
    }
    /// Waits until the process is in `state`.
    pub async fn until(&self, process: &str, state: &str) {
        let mut last = String::new();
        let came = eventually(async || {
            last = self.state(process).await;
            last == state
        });
        assert!(came.await, "{process} does not come to {state}; it stays {last}");
    }
}

/// Whether `fits` holds at some time before patience ends.
pub async fn eventually(mut fits: impl AsyncFnMut() -> bool) -> bool {
    let until = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < until {
        if fits().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

/// A message that a counterpart was sent: path and body.
pub type Heard = (String, Value);

/// A counterpart that a test plays: every request is kept, and answered by `answer`.
pub struct Double {
    pub base: String,
    heard: Arc<Mutex<Vec<Heard>>>,
    _server: ServerHandle,
}

impl Double {
    pub async fn start<F, R>(at: SocketAddr, answer: F) -> Self
    where
        F: Fn(String, Value) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response> + Send + 'static,
    {
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let options = RouteOptions { own_auth: true, ..RouteOptions::default() };
        let mut router = Router::new();
        for method in [Method::GET, Method::POST, Method::PUT] {
            let (heard, answer) = (heard.clone(), answer.clone());
            router = router.route_with(method, "/{*rest}", options, move |request: Request| {
                let (path, body): Heard = (request.path.clone(), serde_json::from_slice(&request.body).unwrap_or_default());
                heard.lock().expect("lock").push((path.clone(), body.clone()));
                let answered = answer(path, body);
                async move { Ok(answered.await) }
            });
        }
        let server = serve(ServerConfig::new(at), router, Authenticator::closed(), Clock::system()).await.expect("served");
        Self { base: format!("http://{at}"), heard, _server: server }
    }
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("lock").clone()
    }
    /// How many messages of the type `kind` came.
    pub fn count(&self, kind: &str) -> usize {
        self.heard().iter().filter(|(_, body)| body["@type"] == kind).count()
    }
    /// Waits for the `nth` message of the type `kind`.
    pub async fn nth(&self, kind: &str, nth: usize) -> Heard {
        let found = || self.heard().into_iter().filter(|(_, body)| body["@type"] == kind).nth(nth);
        assert!(eventually(async || found().is_some()).await, "no {kind} number {nth} comes; there came {:?}", self.heard());
        found().expect("it came")
    }
}
