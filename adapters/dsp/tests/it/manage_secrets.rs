//! Secrets by reference: never shown, put into what is sent when it is sent, and nothing is sent without them.

use crate::deals::{agreements, connector_at, negotiated, offered};
use crate::manage::{AIR, found, make_air, provider};
use crate::support::{Double, Setup, eventually, free};
use serde_json::{Value, json};
use waybill_dsp::{NegotiationState, Strategy, TransferState};
use waybill_http::Response;
use waybill_model::Clock;
use waybill_store::Store;

const VALUE: &str = "Bearer the-secret-value-0123456789";

#[tokio::test]
async fn a_secret_is_kept_sealed_and_never_shown() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::system());
    let mut setup = provider(free(), free(), &clock);
    setup.store = Store::open(folder.path(), clock.clone()).expect("a store");
    let p = setup.start().await;
    let wire = p.managed();
    wire.make("/secrets", json!({"@id": "push", "value": VALUE})).await;
    wire.make("/secrets", json!({"@id": "other", "https://w3id.org/edc/v0.0.1/ns/value": [{"@value": VALUE}]})).await;
    let (status, shown) = wire.get("/secrets/push").await;
    assert_eq!((status, &shown["@id"], &shown["@type"]), (200, &json!("push"), &json!("Secret")), "{shown}");
    assert!(shown["withheld"].is_string() && shown.get("value").is_none(), "{shown}");
    let mut answers = vec![shown, wire.post("/secrets/request", &json!({})).await.1];
    answers.push(wire.post("/secrets", &json!({"@id": "push", "value": VALUE})).await.1);
    answers.push(wire.put("/secrets", &json!({"@id": "push", "value": VALUE})).await.1);
    answers.push(wire.put("/secrets", &json!({"@id": "nowhere", "value": VALUE})).await.1);
    answers.push(wire.post("/secrets", &json!({"@id": "odd", "value": VALUE, "more": 1})).await.1);
    for answer in &answers {
        assert!(!answer.to_string().contains("secret-value"), "{answer}");
    }
    assert_eq!(found(&wire, "/secrets/request", &json!({"sortField": "id"})).await, ["other", "push"]);
    assert_eq!(wire.delete("/secrets/other").await, (200, json!({})));
    p.hub.store().close().await;
    for entry in std::fs::read_dir(folder.path()).expect("a folder").flatten().filter(|e| e.path().is_file()) {
        let bytes = std::fs::read(entry.path()).expect("a file");
        let clear = bytes.windows(VALUE.len()).any(|w| w == VALUE.as_bytes());
        assert!(!clear, "{} holds it in clear", entry.path().display());
    }
}

/// A provider that this test plays.
async fn provider_double() -> Double {
    Double::start(free(), |path: String, _| async move {
        let body = if path.ends_with("/transfers/request") { json!({"@context": [crate::support::CONTEXT], "@type": "TransferProcess", "providerPid": "urn:uuid:1", "consumerPid": "x", "state": "REQUESTED"}) } else { json!({}) };
        Response::json(201, &body)
    })
    .await
}

#[tokio::test]
async fn a_transfer_is_asked_for_with_the_secret_that_its_destination_names() {
    let (p, c, clock) = (free(), free(), Clock::system());
    let giver = provider(p, c, &clock).run().await;
    make_air(&giver.managed()).await;
    let double = provider_double().await;
    let mut setup = Setup::new("c", c, &clock).knows("p", Some(connector_at(p)));
    let folder = tempfile::tempdir().expect("a folder");
    setup.store = Store::open(folder.path(), clock.clone()).expect("a store");
    let mut taker = setup.start().await;
    taker.drive();
    let done = negotiated(&taker, &giver.address, offered(&taker, &giver, AIR).await, Strategy::Automatic).await;
    assert_eq!(done.state, Some(NegotiationState::Finalized));
    let agreement = agreements(&taker).await.swap_remove(0);
    // From now on the provider is the test's: it sees what it is sent.
    let mut config = (*taker.connector.config()).clone();
    let mut who = (*config.participants[0]).clone();
    who.address = Some(double.base.clone());
    config.participants = vec![std::sync::Arc::new(who)];
    taker.connector.replace(config, std::sync::Arc::new(waybill_dsp::StaticIdentity::new([])));

    let wire = taker.managed();
    let begin = |destination: Value| json!({"counterPartyId": "p", "counterPartyAddress": double.base, "contractId": agreement, "transferType": "HttpData-PUSH", "dataDestination": destination});
    let named = json!({"type": "HttpData", "baseUrl": "https://c.example/in", "secretName": "push"});
    wire.make("/secrets", json!({"@id": "lines", "value": "two\nlines"})).await;
    let refused: [(&str, Value); 5] = [
        ("no such secret", named.clone()),
        ("a secret and a value", json!({"type": "HttpData", "baseUrl": "https://c.example/in", "secretName": "push", "authCode": "x"})),
        ("another header", json!({"type": "HttpData", "baseUrl": "https://c.example/in", "secretName": "push", "authKey": "X-Key"})),
        ("a header without anything", json!({"type": "HttpData", "baseUrl": "https://c.example/in", "secretName": "nothing", "authKey": "Authorization"})),
        ("what is no header", json!({"type": "HttpData", "baseUrl": "https://c.example/in", "secretName": "lines"})),
    ];
    for (what, destination) in &refused {
        if *what != "no such secret" {
            let _ = wire.post("/secrets", &json!({"@id": "push", "value": VALUE})).await;
        }
        let (status, said) = wire.post("/transferprocesses", &begin(destination.clone())).await;
        assert_eq!(status, 400, "{what}: {said}");
    }
    let (status, begun) = wire.post("/transferprocesses", &begin(named.clone())).await;
    assert_eq!(status, 200, "{begun}");
    let (_, sent) = double.nth("TransferRequestMessage", 0).await;
    let properties = sent["dataAddress"]["endpointProperties"].as_array().expect("properties").clone();
    let value = |name: &str| properties.iter().find(|p| p["name"] == name).map(|p| p["value"].clone());
    assert_eq!(value("authorization"), Some(json!(VALUE)), "{sent}");
    assert_eq!(value("https://w3id.org/edc/v0.0.1/ns/secretName"), None, "the name is nobody else's affair: {sent}");
    let id = begun["@id"].as_str().expect("an id").to_owned();
    let kept = taker.connector.transfer(&id).await.expect("read").expect("there");
    let kept = serde_json::to_string(&kept).expect("JSON");
    assert!(!kept.contains("secret-value") && kept.contains("secretName"), "the row has the name only: {kept}");

    // Gone before it is sent: nothing is sent, and it is said why.
    assert_eq!(wire.delete("/secrets/push").await.0, 200);
    wire.make("/secrets", json!({"@id": "push", "value": VALUE})).await;
    let before = double.count("TransferRequestMessage");
    taker.pause();
    let (_, begun) = wire.post("/transferprocesses", &begin(named)).await;
    assert_eq!(wire.delete("/secrets/push").await.0, 200);
    taker.drive();
    let id = begun["@id"].as_str().expect("an id").to_owned();
    let ended = async || taker.connector.transfer(&id).await.expect("read").expect("there").state == Some(TransferState::Terminated);
    assert!(eventually(ended).await, "{:?}", taker.connector.transfer(&id).await);
    let (_, shown) = wire.get(&format!("/transferprocesses/{id}")).await;
    assert!(shown["errorDetail"].as_str().is_some_and(|d| d.contains("the secret `push` does not exist")), "{shown}");
    assert_eq!(double.count("TransferRequestMessage"), before, "nothing was sent without it");
    taker.hub.store().close().await;
    for entry in std::fs::read_dir(folder.path()).expect("a folder").flatten().filter(|e| e.path().is_file()) {
        let bytes = std::fs::read(entry.path()).expect("a file");
        assert!(!bytes.windows(VALUE.len()).any(|w| w == VALUE.as_bytes()), "{} holds it in clear", entry.path().display());
    }
}
