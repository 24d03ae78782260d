//! A counterpart whose next message is faster than its answer to the first: the answer would have named its identifier, the message does too.

use serde_json::{Value, json};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use waybill_dsp::{Agreed, CONTEXT, Connector, DspConfig, Limits, Participant, Role, StaticIdentity, Strategy, routes};
use waybill_exchange::{Hub, Step};
use waybill_gate::Governance;
use waybill_http::{Allow, Auth, Authenticator, Cidr, Client, ClientConfig, Guard, Method, OutRequest, Request, Response, RouteOptions, Router, ServerConfig, ServerHandle, serve};
use waybill_model::{Clock, Iri};
use waybill_store::Store;

const PROVIDER: &str = "urn:connector:provider";
const CONSUMER: &str = "urn:connector:consumer";
/// What the provider calls its side of the process.
const THEIRS: &str = "urn:uuid:provider-side";
/// What each shows the other.
const TOKEN: &str = "provider-at-consumer-0123456789";
const DATASET: &str = "urn:dataset:meters";
const PATIENCE: Duration = Duration::from_secs(20);

/// A message that the provider got: the path it was sent to, and what it said.
type Got = (String, Value);

/// A consumer of ours, and a provider that answers a process's first message only when it is let.
struct Pair {
    hub: Hub,
    consumer: Connector,
    url: String,
    provider: Arc<Participant>,
    client: Client,
    got: mpsc::UnboundedReceiver<Got>,
    answers: Arc<Semaphore>,
    _servers: [ServerHandle; 2],
}

async fn pair() -> Pair {
    let clock = Clock::system();
    let here = || TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    let (own, other) = (here(), here());
    let range: Cidr = "127.0.0.0/8".parse().expect("a range");
    let client = Client::new(ClientConfig::new(clock.clone()).guard(Guard::allowing([Allow::Range(range)]))).expect("a client");
    let provider = Arc::new(Participant {
        id: PROVIDER.into(),
        party: Iri::new("https://provider.example/#us").expect("an IRI"),
        address: Some(format!("http://{other}/dsp/2025-1")),
        auth: Auth::Bearer(Arc::from(TOKEN)),
        enforcing: false, hub: None, crawl: false
    });
    let config = DspConfig { about: waybill_dsp::About::default(), control_plane: None, routes: Vec::new(),
        participant: CONSUMER.into(),
        base_url: format!("http://{own}"),
        participants: vec![provider.clone()],
        offers: Vec::new(),
        conformance: None,
        limits: Limits::default(),
    };
    let governance = Governance::bare(&config.base_url).expect("governance");
    let hub = Hub::open(Store::memory(clock.clone()).expect("a store"), governance, clock.clone()).await.expect("a hub");
    let identity = Arc::new(StaticIdentity::new([(PROVIDER.to_owned(), TOKEN.to_owned())]));
    let consumer = Connector::new(hub.clone(), client.clone(), config, identity, |_| ("none", String::new()));
    let served = serve(ServerConfig::new(own), routes(&consumer), Authenticator::closed(), clock.clone()).await.expect("served");
    tokio::spawn(consumer.clone().run());

    let (tell, got) = mpsc::unbounded_channel();
    let answers = Arc::new(Semaphore::new(0));
    let mut router = Router::new();
    let options = RouteOptions { own_auth: true, ..RouteOptions::default() };
    for path in ["negotiations/request", "negotiations/{pid}/agreement/verification", "transfers/request", "transfers/{pid}/completion"] {
        let (tell, answers) = (tell.clone(), answers.clone());
        router = router.route_with(Method::POST, &format!("/dsp/2025-1/{path}"), options, move |request: Request| {
            let (tell, answers) = (tell.clone(), answers.clone());
            async move {
                let said: Value = serde_json::from_slice(&request.body).expect("JSON");
                let consumer = said["consumerPid"].clone();
                let _ = tell.send((path.replace("{pid}", request.param("pid")), said));
                if path.ends_with("/request") {
                    answers.acquire().await.expect("open").forget();
                }
                Ok(Response::json(201, &json!({"@context": [CONTEXT], "providerPid": THEIRS, "consumerPid": consumer, "state": "REQUESTED"})))
            }
        });
    }
    let theirs = serve(ServerConfig::new(other), router, Authenticator::closed(), clock).await.expect("served");
    Pair { hub, consumer, url: format!("http://{own}/dsp/2025-1"), provider, client, got, answers, _servers: [served, theirs] }
}

impl Pair {
    /// The next message that the provider gets.
    async fn next(&mut self) -> Got {
        tokio::time::timeout(PATIENCE, self.got.recv()).await.expect("a message in time").expect("a message")
    }

    /// The provider says something, and it is taken.
    async fn say(&self, path: &str, kind: &str, consumer: &Value, more: Value) {
        let mut body = json!({"@context": [CONTEXT], "@type": kind, "providerPid": THEIRS, "consumerPid": consumer});
        for (name, value) in more.as_object().expect("members") {
            body[name] = value.clone();
        }
        let request = OutRequest::post(format!("{}/{path}", self.url), "application/json", body.to_string());
        let answer = self.client.send(request.auth(Auth::Bearer(Arc::from(TOKEN)))).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }
}

#[tokio::test]
async fn an_agreement_that_overtakes_the_answer_to_the_request_is_verified() {
    let mut pair = pair().await;
    let offer = json!({"@id": "urn:offer:1", "@type": "Offer", "target": DATASET, "permission": [{"action": "use"}]});
    let id = pair.consumer.negotiate(&pair.provider, pair.provider.address.as_deref().expect("an address"), offer, Strategy::Automatic).await.expect("begun");
    let (path, request) = pair.next().await;
    assert_eq!((path.as_str(), &request["consumerPid"]), ("negotiations/request", &json!(id)));

    let agreement = json!({
        "@id": "urn:uuid:agreed", "@type": "Agreement", "target": DATASET, "assigner": PROVIDER, "assignee": CONSUMER,
        "permission": [{"action": "use"}],
    });
    pair.say(&format!("negotiations/{id}/agreement"), "ContractAgreementMessage", &request["consumerPid"], json!({"agreement": agreement})).await;
    pair.answers.add_permits(1);

    let (path, verification) = pair.next().await;
    assert_eq!(path, format!("negotiations/{THEIRS}/agreement/verification"));
    assert_eq!(verification["providerPid"], THEIRS);
}

#[tokio::test]
async fn a_start_that_overtakes_the_answer_to_the_request_leaves_a_transfer_that_can_be_completed() {
    let mut pair = pair().await;
    let agreed = Agreed {
        id: "urn:uuid:agreed".into(),
        role: Role::Consumer,
        participant: PROVIDER.into(),
        dataset: DATASET.into(),
        purpose: None,
        policy: json!({}),
        at: Clock::system().now(),
        until: None,
        ended: None,
    };
    let step = Step::new(&agreed.id, None, &agreed);
    pair.hub.ledger("dsp-agreement").commit(step).await.expect("an agreement");
    let address = pair.provider.address.clone().expect("an address");
    let id = pair.consumer.request_transfer(&pair.provider, &address, &agreed.id, "HttpData-PULL", None).await.expect("begun");
    let (path, request) = pair.next().await;
    assert_eq!(path, "transfers/request");

    pair.say(&format!("transfers/{id}/start"), "TransferStartMessage", &request["consumerPid"], json!({})).await;
    pair.answers.add_permits(1);
    pair.consumer.act_in_transfer(&id, "complete", None).await.expect("it can be said");

    let (path, _) = pair.next().await;
    assert_eq!(path, format!("transfers/{THEIRS}/completion"));
}
