//! A connector over real sockets, and others for it to deal with: real ones of ours, scripted ones, and ones that say anything.

use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use waybill_dsp::{About, Connector, Crawled, DspConfig, Format, Limits, MockIdentity, Offering, Participant, Strategy};
use waybill_exchange::Hub;
use waybill_gate::Governance;
use waybill_http::{Auth, Authenticator, Client, ClientConfig, Guard, InResponse, Method, OutRequest, Request, Response, RouteOptions, Router, ServerConfig, ServerHandle, StaticToken, header, serve};
use waybill_model::{Clock, DateTime, Iri};
use waybill_store::Store;

/// The period in which catalogues are looked at, in seconds.
pub const PERIOD: i64 = 600;
/// The operator's token.
pub const OPERATOR: &str = "operator-0123456789";
const PATIENCE: Duration = Duration::from_secs(20);

pub fn iri(text: &str) -> Iri {
    Iri::new(text).expect("an IRI")
}

pub fn noon() -> Clock {
    Clock::fixed(DateTime::parse("2026-11-24T12:00:00Z").expect("a time"))
}

/// Waits until `ready` gives something.
pub async fn until<T>(what: &str, mut ready: impl AsyncFnMut() -> Option<T>) -> T {
    tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(found) = ready().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("it did not come to this: {what}"))
}

/// A participant at `url` whose catalogue is fetched.
pub fn crawled(id: &str, url: &str) -> Participant {
    Participant { id: id.to_owned(), party: iri("https://party.example/#us"), address: Some(url.to_owned()), auth: Auth::None, enforcing: false, hub: None, crawl: true }
}

/// An offering to everybody.
pub fn offering(dataset: &str, title: Option<&str>, kind: &str) -> Offering {
    Offering {
        dataset: dataset.to_owned(),
        title: title.map(str::to_owned),
        description: None,
        legislation: Vec::new(),
        types: vec![iri(kind)],
        ids: Vec::new(),
        attributes: Vec::new(),
        personal: false,
        purposes: Vec::new(),
        to: Vec::new(),
        formats: vec![Format::Pull],
        until: None,
        needs_enforcing: false,
        strategy: Strategy::Automatic,
        offer_id: None,
        route: None,
        terms: waybill_dsp::Terms::default(),
    }
}

/// What a connector of `id` knows.
pub fn settings(id: &str, base_url: &str, participants: Vec<Participant>, offers: Vec<Offering>) -> DspConfig {
    DspConfig {
        control_plane: None,
        routes: Vec::new(),
        participant: id.to_owned(),
        base_url: base_url.to_owned(),
        participants: participants.into_iter().map(Arc::new).collect(),
        offers: offers.into_iter().map(Arc::new).collect(),
        conformance: None,
        limits: Limits { crawl_seconds: PERIOD, ..Limits::default() },
        about: About::default(),
    }
}

pub use crate::support::free;

/// A connector that is served, and crawls.
pub struct Stand {
    pub connector: Connector,
    pub url: String,
    pub client: Client,
    pub clock: Clock,
    crawl: tokio::task::JoinHandle<()>,
    _server: ServerHandle,
}

impl Stand {
    pub async fn new(id: &str, participants: Vec<Participant>, offers: Vec<Offering>) -> Self {
        let clock = noon();
        Self::over(Store::memory(clock.clone()).expect("a store"), &clock, id, participants, offers).await
    }

    pub async fn over(store: Store, clock: &Clock, id: &str, participants: Vec<Participant>, offers: Vec<Offering>) -> Self {
        let at = free();
        let url = format!("http://{at}");
        let hub = Hub::open(store, Governance::bare(&url).expect("governance"), clock.clone()).await.expect("a hub");
        let client = client(clock);
        let connector = Connector::new(hub, client.clone(), settings(id, &url, participants, offers), Arc::new(MockIdentity), |_| ("none", String::new()));
        let router = waybill_dsp::routes(&connector).merge(waybill_dsp::management_routes(&connector)).merge(waybill_dsp::federated_routes(&connector)).merge(waybill_dsp::open_data_routes(&connector));
        let operator = StaticToken::operator(OPERATOR, "operator");
        let server = serve(ServerConfig::new(at), router, Authenticator::closed().with_tokens([operator]), clock.clone()).await.expect("served");
        let crawl = tokio::spawn(connector.clone().crawl());
        Self { connector, url, client, clock: clock.clone(), crawl, _server: server }
    }

    /// Its participants from now on.
    pub fn deal_with(&self, participants: Vec<Participant>) {
        let config = settings(&self.connector.config().participant, &self.url, participants, Vec::new());
        self.connector.replace(config, Arc::new(MockIdentity));
    }

    pub fn advance(&self, seconds: i64) {
        self.clock.advance_micros(seconds * 1_000_000);
    }

    /// What is known of a catalogue, once it is as `ready` wants.
    pub async fn row(&self, id: &str, ready: impl Fn(&Crawled) -> bool) -> Crawled {
        until(&format!("the row of {id}"), async || self.connector.crawled(id).await.expect("the store").filter(|row| ready(row))).await
    }

    /// Calls an address as the operator.
    pub async fn operator(&self, method: Method, path: &str, body: &Value) -> InResponse {
        self.call(method, path, body, Some(OPERATOR)).await
    }

    /// Calls an address as nobody, with an `Accept` where one is given.
    pub async fn get(&self, path: &str, accept: Option<&str>) -> InResponse {
        let mut request = OutRequest::get(format!("{}{path}", self.url));
        if let Some(accept) = accept {
            request = request.header(header::ACCEPT, accept);
        }
        self.client.send(request).await.expect("an answer")
    }

    pub async fn call(&self, method: Method, path: &str, body: &Value, token: Option<&str>) -> InResponse {
        let mut request = OutRequest::new(method.clone(), format!("{}{path}", self.url));
        if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        if let Some(token) = token {
            request = request.auth(Auth::Bearer(Arc::from(token)));
        }
        self.client.send(request).await.expect("an answer")
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.crawl.abort();
    }
}

fn client(clock: &Clock) -> Client {
    let loopback: waybill_http::Cidr = "127.0.0.0/8".parse().expect("a range");
    let mut config = ClientConfig::new(clock.clone()).guard(Guard::allowing([waybill_http::Allow::Range(loopback)]));
    // A rest by the real clock would outlast a test whose clock stands.
    config.breaker.failures = 0;
    config.max_response = 64 << 20;
    Client::new(config).expect("a client")
}

type Script = Arc<Mutex<Box<dyn Fn(&Request) -> Response + Send>>>;

/// A connector that answers as it is told to.
pub struct Other {
    pub url: String,
    pub asked: Arc<AtomicUsize>,
    script: Script,
    _server: ServerHandle,
}

impl Other {
    pub async fn new(script: impl Fn(&Request) -> Response + Send + 'static) -> Self {
        let at = free();
        let asked = Arc::new(AtomicUsize::new(0));
        let script: Script = Arc::new(Mutex::new(Box::new(script)));
        let (count, answer) = (asked.clone(), script.clone());
        let options = RouteOptions { own_auth: true, ..RouteOptions::default() };
        let router = Router::new().route_with(Method::POST, "/dsp/catalog/request", options, move |request: Request| {
            count.fetch_add(1, Ordering::SeqCst);
            let response = answer.lock().expect("the script")(&request);
            async move { Ok(response) }
        });
        let server = serve(ServerConfig::new(at), router, Authenticator::closed(), noon()).await.expect("served");
        Self { url: format!("http://{at}/dsp"), asked, script, _server: server }
    }

    pub fn now_says(&self, script: impl Fn(&Request) -> Response + Send + 'static) {
        *self.script.lock().expect("the script") = Box::new(script);
    }
    pub fn times(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A catalogue of `id` with a dataset for each name.
pub fn catalog(id: &str, datasets: &[&str]) -> Value {
    let list: Vec<Value> = datasets
        .iter()
        .map(|name| {
            json!({
                "@id": name, "@type": "Dataset",
                "hasPolicy": [{"@id": format!("{name}-offer"), "@type": "Offer", "permission": [{"action": "use"}]}],
                "distribution": [{"@type": "Distribution", "format": "HttpData-PULL", "accessService": "urn:service"}],
            })
        })
        .collect();
    let mut out = json!({"@context": ["https://w3id.org/dspace/2025/1/context.jsonld"], "@id": format!("urn:catalog:{id}"), "@type": "Catalog", "participantId": id});
    if !list.is_empty() {
        out["dataset"] = list.into();
    }
    out
}

/// Somebody who answers a request with bytes without an end, and counts how many were taken.
pub async fn endless() -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/dsp", listener.local_addr().expect("its address"));
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await;
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
                let piece = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
                if socket.write_all(head.as_bytes()).await.is_err() {
                    return;
                }
                while socket.write_all(piece.as_bytes()).await.is_ok() {
                    count.fetch_add(0x10000, Ordering::SeqCst);
                }
            });
        }
    });
    (url, taken)
}
