//! The client, against our own server and against one that answers badly.

use crate::entities::building;
use crate::wire::World;
use serde_json::json;
use std::str::FromStr;
use waybill_context::{Contexts, Options, decode_entity};
use waybill_http::{Allow, CallErrorKind, Client, ClientConfig, Guard};
use waybill_model::{Clock, DateTime, EntityDoc, Iri};
use waybill_ngsi_ld::{AuthConfig, Broker, BrokerConfig, check};
use wiremock::matchers::{body_string_contains, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn now() -> DateTime {
    DateTime::parse(crate::wire::NOW).expect("a time")
}
fn broker(config: BrokerConfig) -> Broker {
    let clock = Clock::fixed(now());
    let guard = Guard::allowing([Allow::from_str("127.0.0.1").expect("an address")]);
    let client = Client::new(ClientConfig::new(clock.clone()).guard(guard)).expect("a client");
    Broker::new(client, config, Contexts::offline(clock))
}
fn doc(id: &str) -> EntityDoc {
    decode_entity(&Contexts::offline(Clock::fixed(now())).core(), building(id).to_string().as_bytes(), &Options::new(now())).expect("an entity")
}

#[tokio::test]
async fn entities_go_there_and_come_back() {
    let w = World::new().await;
    let broker = broker(BrokerConfig { batch: 2, ..BrokerConfig::new(format!("http://{}/", w.server.addr)) });
    check(&broker).await.expect("healthy");
    broker.create(&doc("a")).await.expect("created");
    assert_eq!(broker.create(&doc("a")).await.expect_err("it is there").kind, CallErrorKind::Status(409));
    let docs = ["a", "bb", "ccc", "dddd", "eeeee"].map(doc);
    assert!(broker.upsert(&docs).await.expect("sent").errors.is_empty());
    let all = broker.query_all(&[("type", "Building"), ("q", "floors>1")], now()).await.expect("read");
    assert_eq!((all.docs.len(), all.unreadable.len(), all.total), (4, 0, Some(4)));
    assert_eq!(all.docs[0].text(), docs[1].text());
    let id = Iri::new("urn:ngsi-ld:Building:a").expect("an IRI");
    assert_eq!(broker.retrieve(&id, now()).await.expect("read").expect("there").text(), docs[0].text());
    broker.delete_attribute(&id, &format!("{}floors", waybill_model::DEFAULT_VOCAB)).await.expect("deleted");
    broker.delete_attribute(&id, "https://x.org/none").await.expect("it was not there");
    assert!(broker.delete(&[id.clone(), Iri::new("urn:none").expect("an IRI")]).await.expect("sent").errors.is_empty());
    assert!(broker.retrieve(&id, now()).await.expect("read").is_none());
    let subscription = Iri::new("urn:ngsi-ld:Subscription:hub").expect("an IRI");
    for _ in 0..2 {
        broker.subscribe(&subscription, &[Iri::new("https://x.org/Meter").expect("an IRI")], "https://hub.example/inbox", &[("X-Key".into(), "1".into())]).await.expect("subscribed");
    }
    assert_eq!(w.get("/subscriptions").await.json()[0]["entities"], json!([{"type": "https://x.org/Meter"}]));
    broker.unsubscribe(&subscription).await.expect("ended");
    broker.unsubscribe(&subscription).await.expect("it was not there");
}

#[tokio::test]
async fn credentials_and_tenant_are_shown() {
    let server = MockServer::start().await;
    Mock::given(method("POST")).and(path("/token")).and(body_string_contains("grant_type=client_credentials")).respond_with(ResponseTemplate::new(200).set_body_json(json!({"access_token": "t1", "token_type": "bearer", "expires_in": 300}))).expect(1).mount(&server).await;
    Mock::given(method("GET")).and(path("/ngsi-ld/v1/types")).and(header("authorization", "Bearer t1")).and(header("ngsild-tenant", "north")).respond_with(ResponseTemplate::new(200).set_body_json(json!({}))).expect(2).mount(&server).await;
    let auth = AuthConfig::ClientCredentials { token_url: format!("{}/token", server.uri()), client_id: "hub".into(), client_secret: "s".into(), scopes: vec![], audience: None };
    let tenant = waybill_model::TenantId::new("north");
    let oauth = broker(BrokerConfig { auth, tenant, ..BrokerConfig::new(server.uri()) });
    check(&oauth).await.expect("known");
    check(&oauth).await.expect("known, with the token that was kept");
    Mock::given(method("GET")).and(path("/ngsi-ld/v1/types")).and(header("x-auth-token", "secret")).respond_with(ResponseTemplate::new(200)).expect(1).mount(&server).await;
    let token = broker(BrokerConfig { auth: AuthConfig::XAuthToken { token: "secret".into() }, ..BrokerConfig::new(format!("{}/ngsi-ld/v1/", server.uri())) });
    check(&token).await.expect("known");
    assert!(!format!("{token:?}").contains("secret"));
}

#[tokio::test]
async fn bad_answers_are_told_and_never_half_taken() {
    for (answer, kind) in [
        (ResponseTemplate::new(200).set_body_string("<html>"), CallErrorKind::BadAnswer),
        (ResponseTemplate::new(200).set_body_json(json!({"not": "an array"})), CallErrorKind::BadAnswer),
        (ResponseTemplate::new(200).set_body_json(json!([{"id": "urn:e", "type": "T", "@context": "https://nowhere.example/c"}])), CallErrorKind::BadAnswer),
        (ResponseTemplate::new(503).insert_header("Retry-After", "7"), CallErrorKind::Status(503)),
    ] {
        let server = MockServer::start().await;
        Mock::given(method("GET")).respond_with(answer).mount(&server).await;
        let error = broker(BrokerConfig::new(server.uri())).query(&[("type", "T")], 10, 0, now()).await.expect_err("refused");
        assert_eq!(error.kind, kind, "{error:?}");
        assert_eq!(waybill_ngsi_ld::is_retryable(&error), kind == CallErrorKind::Status(503));
    }
    // One bad Entity does not hide the good ones, nor goes unmentioned.
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(200).set_body_json(json!([{"id": "urn:e", "type": "T"}, {"id": "nothing", "type": "T"}]))).mount(&server).await;
    let page = broker(BrokerConfig::new(server.uri())).query(&[], 10, 0, now()).await.expect("read");
    assert_eq!((page.docs.len(), page.unreadable.len()), (1, 1));
    let server = MockServer::start().await;
    let refusals = json!({"success": [], "errors": [{"entityId": "urn:ngsi-ld:Building:a", "error": {"type": "https://uri.etsi.org/ngsi-ld/errors/BadRequestData", "status": 400}}]});
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(207).set_body_json(refusals)).mount(&server).await;
    let outcome = broker(BrokerConfig::new(server.uri())).upsert(&[doc("a")]).await.expect("sent");
    assert_eq!((outcome.errors[0].id.as_str(), outcome.errors[0].status), ("urn:ngsi-ld:Building:a", Some(400)));
}
