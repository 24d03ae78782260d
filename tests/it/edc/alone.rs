//! Two real connectors with each other, without a hub: what fails here is not the hub's fault.

use super::{Edc, Edr, Kind, Process, Way};
use crate::it::java::turn;
use crate::it::program::{PATIENCE, client};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use waybill_http::{Client, Method, OutRequest, header};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const DATA: &str = r#"{"power":42}"#;

/// The connector's data as the holder of `edr` gets them: the status and the text.
async fn fetched(client: &Client, edr: &Edr) -> (u16, String) {
    let request = OutRequest::new(Method::GET, &edr.endpoint).header(header::AUTHORIZATION, edr.authorization.as_str());
    let answer = client.send(request).await.expect("the proxy answers");
    (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned())
}

/// Waits until the proxy refuses what it gave.
async fn refused(client: &Client, edr: &Edr) {
    let began = Instant::now();
    while fetched(client, edr).await.0 != 403 {
        assert!(began.elapsed() < PATIENCE, "the data are still to be had");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_connectors_deal_with_each_other() {
    let Some(classes) = Kind::V0_14.peer().required("two connectors") else { return };
    let _turn = turn().await;
    let store = MockServer::start().await;
    Mock::given(method("GET")).and(path("/source")).respond_with(ResponseTemplate::new(200).set_body_raw(DATA, "application/json")).mount(&store).await;
    Mock::given(method("POST")).and(path("/sink")).respond_with(ResponseTemplate::new(200)).mount(&store).await;
    let (giver, taker) = tokio::join!(Edc::start(&classes, "giver", &[]), Edc::start(&classes, "taker", &[]));
    giver.asset("meters", &format!("{}/source", store.uri())).await;
    giver.policy("seen-by-all", json!([])).await;
    giver.policy("use", json!([{ "action": "use" }])).await;
    giver.contract_definition("meters-for-use", "seen-by-all", "use", "meters").await;

    let of = giver.party();
    let catalog = taker.catalog(&of).await;
    assert_eq!(catalog["participantId"], "giver", "{catalog}");
    let dataset = &catalog["dataset"][0];
    assert_eq!(dataset["@id"], "meters", "{catalog}");
    assert_eq!(taker.dataset(&of, "meters").await["@id"], "meters");

    let negotiation = taker.negotiate(&of, "meters", &dataset["hasPolicy"][0]).await;
    taker.until(Process::Negotiation, &negotiation, &["FINALIZED"]).await;
    let agreement = taker.agreement(&negotiation).await;
    // Who asks for something else than was offered gets nothing.
    let mut other = dataset["hasPolicy"][0].clone();
    other["permission"][0]["action"] = json!("http://www.w3.org/ns/odrl/2/read");
    let other = taker.negotiate(&of, "meters", &other).await;
    taker.until(Process::Negotiation, &other, &["TERMINATED"]).await;

    pulled(&giver, &taker, &agreement).await;
    let to = format!("{}/sink", store.uri());
    let pushed = taker.transfer(&of, &agreement, Way::Push(&to)).await;
    taker.until(Process::Transfer, &pushed, &["COMPLETED"]).await;
    giver.until(Process::Transfer, &giver.counterpart(&pushed).await, &["COMPLETED", "DEPROVISIONED"]).await;
    let came: Vec<Vec<u8>> = store.received_requests().await.expect("recorded").into_iter().filter(|r| r.method == "POST").map(|r| r.body).collect();
    assert_eq!(came, [DATA.as_bytes()], "pushed once");
}

/// Data are to be had while the transfer runs, and by the newest token only.
async fn pulled(giver: &Edc, taker: &Edc, agreement: &str) {
    let client = client();
    let started = async |transfer: &str| {
        taker.until(Process::Transfer, transfer, &["STARTED"]).await;
        let edr = taker.edr_soon(transfer).await;
        assert_eq!(fetched(&client, &edr).await, (200, DATA.to_owned()));
        edr
    };
    let transfer = taker.transfer(&giver.party(), agreement, Way::Pull).await;
    let first = started(&transfer).await;
    let theirs = giver.counterpart(&transfer).await;

    taker.suspend(&transfer, "paused by the taker").await;
    giver.until(Process::Transfer, &theirs, &["SUSPENDED"]).await;
    taker.until(Process::Transfer, &transfer, &["SUSPENDED"]).await;
    refused(&client, &first).await;
    assert_eq!(taker.edr(&transfer).await, None, "the token is forgotten");
    taker.resume(&transfer).await;
    let second = started(&transfer).await;
    assert_ne!(first.authorization, second.authorization);

    giver.until(Process::Transfer, &theirs, &["STARTED"]).await;
    giver.suspend(&theirs, "withdrawn").await;
    taker.until(Process::Transfer, &transfer, &["SUSPENDED"]).await;
    refused(&client, &second).await;
    let about: Value = taker.get(Process::Transfer, &transfer).await;
    assert!(about["errorDetail"].as_str().is_some_and(|why| why.contains("withdrawn")), "the reason came along: {about}");
    giver.until(Process::Transfer, &theirs, &["SUSPENDED"]).await;
    giver.resume(&theirs).await;
    let third = started(&transfer).await;

    giver.until(Process::Transfer, &theirs, &["STARTED"]).await;
    giver.terminate(&theirs, "over").await;
    taker.until(Process::Transfer, &transfer, &["TERMINATED"]).await;
    refused(&client, &third).await;
}

/// The newer generation as one who asks: it sees what is offered and comes to an agreement.
#[tokio::test(flavor = "multi_thread")]
async fn the_newer_connector_agrees_with_the_older() {
    let (Some(older), Some(newer)) = (Kind::V0_14.peer().required("two generations"), Kind::V0_15.peer().required("two generations")) else { return };
    let _turn = turn().await;
    let (giver, taker) = tokio::join!(Edc::start(&older, "giver", &[]), Edc::start(&newer, "taker", &[]));
    giver.asset("meters", "http://127.0.0.1:9/nothing").await;
    giver.policy("seen-by-all", json!([])).await;
    giver.policy("use", json!([{ "action": "use" }])).await;
    giver.contract_definition("meters-for-use", "seen-by-all", "use", "meters").await;
    let of = giver.party();
    let catalog = taker.catalog(&of).await;
    let negotiation = taker.negotiate(&of, "meters", &catalog["dataset"][0]["hasPolicy"][0]).await;
    taker.until(Process::Negotiation, &negotiation, &["FINALIZED"]).await;
    let transfer = taker.transfer(&of, &taker.agreement(&negotiation).await, Way::Pull).await;
    taker.until(Process::Transfer, &transfer, &["STARTED"]).await;
    let edr = taker.edr_soon(&transfer).await;
    assert!(!edr.endpoint.is_empty() && !edr.authorization.is_empty(), "{}", edr.address);
}
