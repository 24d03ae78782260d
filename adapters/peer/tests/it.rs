//! Two hubs over real sockets: what one publishes the other verifies; what is forged, stale or for another is refused.

mod admission;
mod answers;
mod household;
mod senders;

use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use waybill_consent::{EnvelopeEvent, EventKind, EventToken, Heartbeat};
use waybill_exchange::{Hub, Intake};
use waybill_gate::{Agreement, Governance, HolderClass, LastHeartbeat};
use waybill_http::{Auth, Authenticator, Client, ClientConfig, Guard, Method, OutRequest, Registration, Role, ServerConfig, ServerHandle, StaticToken, serve};
use waybill_keys::KeyRing;
use waybill_model::{Clock, DateTime, EnvelopeHash, Iri, TenantId};
use waybill_peer::{PeerClient, PeerConfig, routes};
use waybill_port::{Notice, Notices};
use waybill_store::Store;

const B_PARTY: &str = "https://b.example/#city";

fn iri(text: &str) -> Iri {
    Iri::new(text).expect("an IRI")
}

struct Town {
    hub: Hub,
    url: String,
    client: Client,
    _server: ServerHandle,
}

/// A hub that serves the peer routes; `others` are the hubs it deals with.
async fn town(party: &str, port: std::net::SocketAddr, others: &[(&str, String)], clock: &Clock) -> Town {
    town_over(Store::memory(clock.clone()).expect("a store"), party, port, others, clock).await
}

async fn town_over(store: Store, party: &str, port: std::net::SocketAddr, others: &[(&str, String)], clock: &Clock) -> Town {
    let url = format!("http://{port}");
    let mut governance = Governance::bare(&url).expect("governance");
    governance.party = iri(party);
    for (other, hub) in others {
        governance.agreements.push(Agreement {
            id: iri(&format!("urn:agreement:{}", hub.rsplit(':').next().unwrap_or("x"))),
            recipient: Some(iri(other)),
            purposes: vec![iri("https://w3id.org/waybill/purpose#EnergyAdvice")],
            open: true,
            holder: HolderClass::Enforcing,
            hub: Some(hub.clone()),
            write: false,
        });
    }
    let hub = Hub::open(store, governance, clock.clone()).await.expect("a hub");
    let allow: waybill_http::Cidr = "127.0.0.0/8".parse().expect("a range");
    let client = Client::new(ClientConfig::new(clock.clone()).guard(Guard::allowing([waybill_http::Allow::Range(allow)]))).expect("a client");
    let peers = others.iter().map(|(_, base_url)| PeerConfig { base_url: base_url.clone(), auth: Auth::Bearer(Arc::from("b-at-a-0123456789")) }).collect();
    hub.set_notices(Arc::new(PeerClient::new(client.clone(), peers)));
    let known = StaticToken::new("b-at-a-0123456789", Registration::new("static", "b", Role::Party(iri(B_PARTY))));
    let server = serve(ServerConfig::new(port), routes(hub.clone()), Authenticator::closed().with_tokens([known]), clock.clone()).await.expect("served");
    Town { hub, url, client, _server: server }
}

fn free() -> std::net::SocketAddr {
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

fn noon() -> Clock {
    Clock::fixed(DateTime::parse("2026-11-24T10:00:00Z").expect("a time"))
}

async fn pair() -> (Town, Town, Clock) {
    let clock = noon();
    pair_with(Store::memory(clock.clone()).expect("a store"), clock).await
}

async fn pair_with(store_of_b: Store, clock: Clock) -> (Town, Town, Clock) {
    let (at_a, at_b) = (free(), free());
    let a = town("https://a.example/#city", at_a, &[(B_PARTY, format!("http://{at_b}"))], &clock).await;
    let b = town_over(store_of_b, B_PARTY, at_b, &[("https://a.example/#city", format!("http://{at_a}"))], &clock).await;
    b.hub.set_intake("a", Intake { tenant: TenantId::main(), hub: Some(a.url.clone()), fed_by: Vec::new(), secret: [0; 32] });
    (a, b, clock)
}

impl Town {
    async fn post(&self, path: &str, kind: &str, body: &str) -> (u16, String) {
        let answer = self.client.send(OutRequest::post(format!("{}{path}", self.url), kind, body.to_owned())).await.expect("an answer");
        let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        (answer.status.as_u16(), problem["code"].as_str().unwrap_or_default().to_owned())
    }
    async fn get(&self, path: &str, token: &str) -> (u16, String) {
        let mut request = OutRequest::new(Method::GET, format!("{}{path}", self.url));
        if !token.is_empty() {
            request = request.auth(Auth::Bearer(Arc::from(token)));
        }
        let answer = self.client.send(request).await.expect("an answer");
        (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned())
    }
}

#[tokio::test]
async fn what_is_no_notice_is_refused_and_says_why() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        path: String,
        #[serde(rename = "type")]
        kind: String,
        body: String,
        status: u16,
        code: String,
    }
    let cases: Vec<Case> = serde_json::from_str(include_str!("../fixtures/refused-notices.json")).expect("the fixture");
    let (a, _b, _) = pair().await;
    for case in cases {
        let (status, code) = a.post(&case.path, &case.kind, &case.body).await;
        assert_eq!((status, code.as_str()), (case.status, case.code.as_str()), "{}", case.name);
    }
}

#[tokio::test]
async fn the_key_document_verifies_what_the_hub_signs() {
    let (a, _b, _) = pair().await;
    let (status, text) = a.get("/.well-known/did.json", "").await;
    assert_eq!(status, 200);
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(document["id"], a.hub.did());
    assert!(!text.contains("\"d\""), "no secret key is published");
}

#[tokio::test]
async fn what_is_not_there_and_what_is_anothers_are_answered_alike() {
    let (a, _b, _) = pair().await;
    let nothing = EnvelopeHash([7; 32]);
    for path in [format!("/env/{nothing}"), "/env/abc".into(), "/status/revocation-9".into(), format!("/waybill/manifests/{nothing}"), "/waybill/bundles/urn:x:1".into()] {
        for token in ["", "b-at-a-0123456789"] {
            assert_eq!(a.get(&path, token).await.0, 404, "{path}");
        }
    }
}

#[tokio::test]
async fn a_heartbeat_counts_when_it_is_signed_new_and_for_this_hub() {
    let (a, b, clock) = pair().await;
    let beat = |iss: &str, aud: &str, epoch| Heartbeat::new(iss, iri(aud), epoch, clock.now());
    let stranger = KeyRing::generate(&clock);
    let forged = beat(&a.hub.did(), B_PARTY, 3).sign(stranger.active());
    assert_eq!(b.post("/waybill/heartbeats", "application/jose", &forged).await.0, 400, "signed by another key");
    let elsewhere = beat(&a.hub.did(), "https://c.example/#city", 3).sign(a.hub.keys().active());
    assert_eq!(b.post("/waybill/heartbeats", "application/jose", &elsewhere).await, (400, "statement-audience".into()));
    let good = beat(&a.hub.did(), B_PARTY, 3).sign(a.hub.keys().active());
    assert_eq!(b.post("/waybill/heartbeats", "application/jose", &good).await.0, 204);
    clock.advance_micros(5_000_000);
    let lower = beat(&a.hub.did(), B_PARTY, 2).sign(a.hub.keys().active());
    assert_eq!(b.post("/waybill/heartbeats", "application/jose", &lower).await, (400, "statement-old".into()), "an epoch never falls");
    let url = a.url.clone();
    let last = b.hub.store().read(move |r| r.doc(waybill_gate::HEARTBEAT, &url)).await.expect("read").expect("a row");
    let last: LastHeartbeat = serde_json::from_slice(&last.payload).expect("a heartbeat");
    assert_eq!(last.epoch, 3);
}

#[tokio::test]
async fn an_event_that_comes_before_its_envelope_keeps_it_closed_for_ever() {
    let (a, b, clock) = pair().await;
    let hash = EnvelopeHash([9; 32]);
    let event = EnvelopeEvent { envelopes: vec![hash], time: clock.now(), on_withdrawal: waybill_consent::OnWithdrawal::default(), successors: Vec::new() };
    let token = EventToken::new(a.hub.did(), b.hub.did(), 1, EventKind::Withdrawn(event), clock.now()).sign(a.hub.keys().active());
    assert_eq!(b.post("/waybill/events", "application/secevent+jwt", &token).await.0, 202);
    assert_eq!(b.post("/waybill/events", "application/secevent+jwt", &token).await.0, 202, "told again, it is answered like the first");
    let row = b.hub.store().read(move |r| r.doc(waybill_gate::INBOUND, &hash.to_string())).await.expect("read").expect("a mark");
    let row: Value = serde_json::from_slice(&row.payload).expect("JSON");
    assert_eq!(row["state"], "withdrawn");
    let known = b.hub.withdrawals(&TenantId::main()).await.expect("withdrawals");
    assert_eq!(known.len(), 1, "it took effect once");
}

#[tokio::test]
async fn an_event_for_another_hub_does_nothing() {
    let (a, b, clock) = pair().await;
    let event = EnvelopeEvent { envelopes: vec![EnvelopeHash([9; 32])], time: clock.now(), on_withdrawal: waybill_consent::OnWithdrawal::default(), successors: Vec::new() };
    let token = EventToken::new(a.hub.did(), "did:web:c.example", 1, EventKind::Withdrawn(event), clock.now()).sign(a.hub.keys().active());
    assert_eq!(b.post("/waybill/events", "application/secevent+jwt", &token).await, (400, "statement-audience".into()));
    assert!(b.hub.withdrawals(&TenantId::main()).await.expect("withdrawals").is_empty());
}

#[tokio::test]
async fn an_answer_to_nothing_is_refused() {
    let (a, b, clock) = pair().await;
    let ack = waybill_consent::Acknowledgement::new(b.hub.did(), a.hub.did(), "no-such-event", iri(B_PARTY), clock.now()).sign(b.hub.keys().active());
    assert_eq!(a.post("/waybill/acknowledgements", "application/jose", &ack).await, (400, "acknowledgement-of-nothing".into()));
}

#[tokio::test]
async fn only_configured_hubs_are_called() {
    let (a, _b, _) = pair().await;
    let client = PeerClient::new(a.client.clone(), vec![PeerConfig { base_url: "https://b.example".into(), auth: Auth::None }]);
    for url in ["https://b.example.evil.org/x", "https://evil.org/", "https://b.exampl", "http://b.example/x"] {
        let error = client.fetch(url).await.expect_err("refused");
        assert!(!error.retry, "{url}: {}", error.detail);
    }
    let error = client.send("https://evil.org", &Notice::Heartbeat("e30.e30.e30".into())).await.expect_err("refused");
    assert!(!error.retry);
}

#[tokio::test]
async fn of_heartbeats_that_come_together_the_latest_stands() {
    let (a, b, clock) = pair().await;
    for round in 0..20i64 {
        clock.advance_micros(1_000_000);
        let now = clock.now();
        let sign = |ago: i64| {
            let beat = Heartbeat::new(a.hub.did(), iri(B_PARTY), 0, now.plus_micros(-ago));
            beat.sign(a.hub.keys().active())
        };
        let beats: Vec<String> = [900_000, 0, 500_000, 100_000].into_iter().map(sign).collect();
        let taken = tokio::join!(b.hub.take_heartbeat(&beats[0]), b.hub.take_heartbeat(&beats[1]), b.hub.take_heartbeat(&beats[2]), b.hub.take_heartbeat(&beats[3]));
        assert!(taken.1.is_ok(), "the latest is always taken");
        let url = a.url.clone();
        let last = b.hub.store().read(move |r| r.doc(waybill_gate::HEARTBEAT, &url)).await.expect("read").expect("a row");
        let last: LastHeartbeat = serde_json::from_slice(&last.payload).expect("a heartbeat");
        assert_eq!(last.at, now, "round {round}");
    }
}
