//! What a notification looks like.

use crate::subscriptions::subscription;
use serde_json::{Value, json};
use waybill_context::{Contexts, Options, decode_entity};
use waybill_model::{Clock, DateTime, EntityDoc, Iri};
use waybill_ngsi_ld::Subscription;
use waybill_ngsi_ld::notify::{Gone, Notification, request};

fn now() -> DateTime {
    DateTime::parse(crate::wire::NOW).expect("a time")
}
fn iri(text: &str) -> Iri {
    Iri::new(text).expect("an IRI")
}

fn sent(change: impl Fn(&mut Value), docs: &[EntityDoc], gone: &[Gone]) -> waybill_http::OutRequest {
    let core = Contexts::offline(Clock::fixed(now())).core();
    let mut body = subscription();
    change(&mut body);
    let (id, made) = Subscription::create(&body, &core, now()).unwrap_or_else(|p| panic!("{p:?}"));
    let notification = Notification { key: "a b/1", subscription: &id.expect("an id"), at: now(), entities: docs, gone, manifest: Some("https://hub.example/manifests/1"), tenant: Some("north") };
    request(&made, &notification, &core, "https://x.org/context").expect("a request")
}

fn doc() -> EntityDoc {
    let core = Contexts::offline(Clock::fixed(now())).core();
    let body = json!({"id": "urn:e", "type": "Building", "floors": {"type": "Property", "value": 4}, "name": {"type": "Property", "value": "N"}, "secret": {"type": "Property", "value": 1}});
    decode_entity(&core, body.to_string().as_bytes(), &Options::new(now())).expect("an entity")
}

fn term(name: &str) -> Iri {
    iri(&format!("{}{name}", waybill_model::DEFAULT_VOCAB))
}

#[test]
fn entities_are_shown_as_the_subscription_asks() {
    let out = sent(|_| {}, &[doc()], &[]);
    let body: Value = serde_json::from_slice(&out.body).expect("JSON");
    assert_eq!((&body["type"], &body["subscriptionId"], &body["notifiedAt"]), (&json!("Notification"), &json!("urn:ngsi-ld:Subscription:1"), &json!(crate::wire::NOW)));
    assert_eq!(body["data"], json!([{"id": "urn:e", "type": "Building", "floors": 4, "name": "N"}]));
    let header = |name: &str| out.headers.get_all(name).iter().map(|v| v.to_str().expect("text").to_owned()).collect::<Vec<_>>();
    assert_eq!((out.url.as_str(), header("content-type"), header("x-app"), header("ngsild-tenant"), header("idempotency-key")), ("http://app.example/notify", vec!["application/json".into()], vec!["1".into()], vec!["north".into()], vec!["a%20b%2F1".to_owned()]));
    assert!(header("link").iter().any(|l| l.starts_with("<https://x.org/context>")) && header("link").iter().any(|l| l.contains("ns#manifest")));
    // Every attempt carries the same identifier.
    assert_eq!(sent(|_| {}, &[doc()], &[]).body, out.body);
    let ld = sent(|s| s["notification"]["endpoint"]["accept"] = json!("application/ld+json"), &[doc()], &[]);
    let body: Value = serde_json::from_slice(&ld.body).expect("JSON");
    assert!(body.get("@context").is_some() && body["data"][0].get("@context") == body.get("@context"));
    let one = sent(|s| s["datasetId"] = json!(["urn:other"]), &[doc()], &[]);
    let body: Value = serde_json::from_slice(&one.body).expect("JSON");
    assert_eq!(body["data"], json!([{"id": "urn:e", "type": "Building"}]));
    let geo = sent(|s| s["notification"]["endpoint"]["accept"] = json!("application/geo+json"), &[doc()], &[]);
    let body: Value = serde_json::from_slice(&geo.body).expect("JSON");
    assert_eq!((&body["data"]["type"], &body["data"]["features"][0]["type"]), (&json!("FeatureCollection"), &json!("Feature")));
}

#[test]
fn what_went_is_told() {
    let entity = Gone { id: iri("urn:gone"), types: vec![term("Building")], attributes: vec![] };
    let hidden = Gone { id: iri("urn:hidden"), types: vec![term("Building")], attributes: vec![term("floors"), term("secret")] };
    let part = Gone { id: iri("urn:e"), types: vec![term("Building")], attributes: vec![term("floors")] };
    let body = |format: &str, sys: bool| -> Value {
        let out = sent(|s| { s["notification"]["format"] = json!(format); s["notification"]["sysAttrs"] = json!(sys); }, &[doc()], &[entity.clone(), hidden.clone(), part.clone()]);
        serde_json::from_slice(&out.body).expect("JSON")
    };
    let data = body("concise", false)["data"].clone();
    assert_eq!(data[0]["floors"], "urn:ngsi-ld:null");
    assert_eq!(data[1], json!({"id": "urn:gone", "type": "Building", "deletedAt": crate::wire::NOW}));
    assert_eq!(data[2], json!({"id": "urn:hidden", "type": "Building", "floors": "urn:ngsi-ld:null"}));
    assert_eq!(data.as_array().map(Vec::len), Some(3));
    assert_eq!(body("normalized", true)["data"][2]["floors"], json!({"type": "Property", "value": "urn:ngsi-ld:null", "deletedAt": crate::wire::NOW}));
}

/// The rule for receivers that are deaf to deletions rests on this: GeoJSON is not one of them.
#[test]
fn what_went_is_told_in_geojson_too() {
    let whole = Gone { id: iri("urn:gone"), types: vec![term("Building"), term("House")], attributes: vec![] };
    let hidden = Gone { id: iri("urn:hidden"), types: vec![term("Building")], attributes: vec![term("floors"), term("secret")] };
    let part = Gone { id: iri("urn:e"), types: vec![term("Building")], attributes: vec![term("floors")] };
    let body = |docs: &[EntityDoc], gone: &[Gone]| -> Value {
        let out = sent(|s| s["notification"]["endpoint"]["accept"] = json!("application/geo+json"), docs, gone);
        serde_json::from_slice(&out.body).expect("JSON")
    };
    let all = body(&[doc()], &[whole.clone(), hidden, part])["data"].clone();
    assert_eq!((&all["type"], all["features"].as_array().map(Vec::len)), (&json!("FeatureCollection"), Some(3)));
    assert!(all.get("@context").is_some());
    assert_eq!(all["features"][0], json!({"id": "urn:e", "type": "Feature", "geometry": null, "properties": {"type": "Building", "floors": "urn:ngsi-ld:null", "name": "N"}}));
    assert_eq!(all["features"][1], json!({"id": "urn:gone", "type": "Feature", "geometry": null, "properties": {"type": ["Building", "House"], "deletedAt": crate::wire::NOW}}));
    assert_eq!(all["features"][2], json!({"id": "urn:hidden", "type": "Feature", "geometry": null, "properties": {"type": "Building", "floors": "urn:ngsi-ld:null"}}));
    // Alone, as a withdrawal is told.
    assert_eq!(body(&[], &[whole])["data"]["features"][0]["properties"]["deletedAt"], crate::wire::NOW);
}

#[test]
fn a_receiver_cannot_reframe_the_message() {
    let out = sent(|s| s["notification"]["endpoint"]["receiverInfo"] = json!([{"key": "Content-Length", "value": "1"}, {"key": "Host", "value": "evil"}, {"key": "bad name", "value": "x"}, {"key": "X-Good", "value": "a\r\nX-Bad: b"}]), &[doc()], &[]);
    assert!(!out.headers.contains_key("content-length") && !out.headers.contains_key("host") && !out.headers.contains_key("x-bad") && !out.headers.contains_key("x-good"));
}
