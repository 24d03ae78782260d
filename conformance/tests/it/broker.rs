//! The plain NGSI-LD broker.

use super::calls::{call, receiver};
use serde_json::{Value, json};
use waybill_conformance::{BrokerOptions, StandInBroker};

const JSON: (&str, &str) = ("content-type", "application/json");
const LD: (&str, &str) = ("content-type", "application/ld+json");

async fn broker() -> (StandInBroker, String) {
    let broker = StandInBroker::start(BrokerOptions::default()).await.unwrap();
    let entities = format!("{}/ngsi-ld/v1/entities", broker.url());
    (broker, entities)
}

fn meter(n: u32) -> Value {
    json!({"id": format!("urn:x:meter:{n}"), "type": "Meter", "power": {"type": "Property", "value": n}})
}

#[tokio::test]
async fn keeps_sub_attributes_it_does_not_know_and_gives_them_back_unchanged() {
    let (broker, entities) = broker().await;
    let tag = json!({"type": "Relationship", "object": "https://hub.example/env/00"});
    let power = json!({"type": "Property", "value": 1.50, "https://w3id.org/waybill/ns#usagePolicy": tag});
    let sent = json!({"id": "urn:x:1", "type": "https://example.org/Meter", "https://example.org/power": power});
    assert_eq!(call("POST", &entities, &[JSON], &sent.to_string()).await.status, 201);
    assert_eq!(call("GET", &format!("{entities}/urn:x:1"), &[], "").await.json(), sent);
    assert_eq!(call("POST", &entities, &[JSON], &sent.to_string()).await.status, 409);
    assert_eq!(broker.entity("", "urn:x:1").unwrap()["https://example.org/power"], power);
    assert_eq!(broker.entities("other"), Vec::<Value>::new());
}

#[tokio::test]
async fn names_follow_the_context_of_each_call() {
    let (_broker, entities) = broker().await;
    let context = json!({"Meter": "https://example.org/Meter", "power": {"@id": "https://example.org/power"}});
    let sent = json!({"id": "urn:x:1", "type": "Meter", "power": 3, "@context": context});
    assert_eq!(call("POST", &entities, &[LD], &sent.to_string()).await.status, 201);
    let plain = call("GET", &format!("{entities}/urn:x:1"), &[], "").await.json();
    assert_eq!(plain, json!({"id": "urn:x:1", "type": "https://example.org/Meter", "https://example.org/power": {"type": "Property", "value": 3}}));
    let simplified = call("GET", &format!("{entities}/urn:x:1?options=keyValues"), &[], "").await.json();
    assert_eq!(simplified["https://example.org/power"], 3);
    let unknown = [("link", "<https://example.org/c.jsonld>; rel=\"http://www.w3.org/ns/json-ld#context\"")];
    assert_eq!(call("GET", &format!("{entities}/urn:x:1"), &unknown, "").await.status, 504);
}

#[tokio::test]
async fn queries_by_type_count_page_and_refuse_what_they_do_not_know() {
    let (broker, entities) = broker().await;
    let all: Vec<Value> = (1..=5).map(meter).collect();
    let upsert = format!("{}/ngsi-ld/v1/entityOperations/upsert", broker.url());
    let answer = call("POST", &upsert, &[JSON], &json!(all).to_string()).await;
    assert_eq!((answer.status, answer.json().as_array().unwrap().len()), (201, 5));
    assert_eq!(call("POST", &upsert, &[JSON], &json!(all).to_string()).await.status, 204);
    let page = call("GET", &format!("{entities}/?type=Meter&limit=2&offset=4&count=true"), &[], "").await;
    assert_eq!(page.json(), json!([meter(5)]));
    assert_eq!(page.header("ngsild-results-count"), Some("5"));
    assert_eq!(call("GET", &format!("{entities}?type=Meter&q=power==1"), &[], "").await.status, 422);
    assert_eq!(call("GET", &entities, &[], "").await.status, 400);
    let delete = format!("{}/ngsi-ld/v1/entityOperations/delete", broker.url());
    let answer = call("POST", &delete, &[JSON], r#"["urn:x:meter:1","urn:x:meter:9"]"#).await;
    assert_eq!(answer.status, 207);
    assert_eq!(answer.json()["success"], json!(["urn:x:meter:1"]));
    assert_eq!(broker.entities("").len(), 4);
}

#[tokio::test]
async fn notifies_creation_change_and_deletion_in_order_and_only_when_asked() {
    let (broker, entities) = broker().await;
    let (inbox, mut received) = receiver().await;
    let subscription = json!({
        "type": "Subscription", "entities": [{"type": "Meter"}],
        "notificationTrigger": ["entityCreated", "entityUpdated", "entityDeleted"],
        "notification": {"endpoint": {"uri": inbox, "receiverInfo": [{"key": "X-Route", "value": "r1"}]}}
    });
    let subscriptions = format!("{}/ngsi-ld/v1/subscriptions/", broker.url());
    let answer = call("POST", &subscriptions, &[JSON], &subscription.to_string()).await;
    assert_eq!(answer.status, 201);
    let location = format!("{}{}", broker.url(), answer.header("location").unwrap());
    call("POST", &entities, &[JSON], r#"{"id":"urn:x:other","type":"Other","a":1}"#).await;
    call("POST", &entities, &[JSON], &meter(1).to_string()).await;
    let patch = r#"{"power":{"type":"Property","value":7}}"#;
    assert_eq!(call("PATCH", &format!("{entities}/urn:x:meter:1/attrs"), &[JSON], patch).await.status, 204);
    // The same value again is no change.
    call("PATCH", &format!("{entities}/urn:x:meter:1/attrs"), &[JSON], patch).await;
    assert_eq!(call("DELETE", &format!("{entities}/urn:x:meter:1"), &[], "").await.status, 204);
    let (head, first) = received.recv().await.unwrap();
    assert!(head.contains("x-route: r1"), "{head}");
    assert_eq!(first["data"], json!([meter(1)]));
    let (_, second) = received.recv().await.unwrap();
    assert_eq!(second["data"][0]["power"]["value"], 7);
    let (_, third) = received.recv().await.unwrap();
    assert_eq!(third["data"][0]["id"], "urn:x:meter:1");
    assert!(third["data"][0]["deletedAt"].is_string());
    assert_eq!(call("DELETE", &location, &[], "").await.status, 204);
    call("POST", &entities, &[JSON], &meter(2).to_string()).await;
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn an_expiring_broker_hides_what_expired_a_plain_one_does_not() {
    for (hides_expired, seen) in [(true, false), (false, true)] {
        let options = BrokerOptions { hides_expired, now: std::sync::Arc::new(|| 1_800_000_000), ..BrokerOptions::default() };
        let broker = StandInBroker::start(options).await.unwrap();
        let entities = format!("{}/ngsi-ld/v1/entities", broker.url());
        // 1 800 000 000 s is 2027-01-15T08:00:00Z.
        let power = json!({"type": "Property", "value": 1, "expiresAt": "2027-01-15T07:59:59Z"});
        let volts = json!({"type": "Property", "value": 2, "expiresAt": "2027-01-15T08:00:01Z"});
        let sent = json!({"id": "urn:x:1", "type": "Meter", "power": power, "volts": volts});
        call("POST", &entities, &[JSON], &sent.to_string()).await;
        let got = call("GET", &format!("{entities}/urn:x:1"), &[], "").await.json();
        assert_eq!(got.get("power").is_some(), seen);
        assert_eq!(got["volts"], volts);
    }
}

#[tokio::test]
async fn demands_its_token_and_keeps_tenants_apart() {
    let options = BrokerOptions { token: Some("s3cret".to_owned()), ..BrokerOptions::default() };
    let broker = StandInBroker::start(options).await.unwrap();
    let entities = format!("{}/ngsi-ld/v1/entities", broker.url());
    assert_eq!(call("GET", &format!("{entities}?type=Meter"), &[], "").await.status, 401);
    let token = ("x-auth-token", "s3cret");
    assert_eq!(call("POST", &entities, &[JSON, token, ("ngsild-tenant", "a")], &meter(1).to_string()).await.status, 201);
    assert_eq!(call("GET", &format!("{entities}?type=Meter"), &[token], "").await.json(), json!([]));
    assert_eq!(call("GET", &format!("{entities}?type=Meter"), &[token, ("fiware-service", "a")], "").await.json(), json!([meter(1)]));
}
