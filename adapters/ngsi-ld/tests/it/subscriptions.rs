//! Subscriptions over the wire, and what is made of them.

use crate::wire::World;
use serde_json::{Value, json};
use waybill_context::Contexts;
use waybill_model::{Clock, DateTime};
use waybill_ngsi_ld::Subscription;

pub(crate) fn subscription() -> Value {
    serde_json::from_str(include_str!("../../fixtures/subscription.json")).expect("a fixture")
}

#[tokio::test]
async fn a_subscription_comes_changes_and_goes() {
    let w = World::new().await;
    let made = w.json("POST", "/subscriptions/", &subscription()).await.expect(201);
    let path = "/subscriptions/urn:ngsi-ld:Subscription:1";
    assert_eq!(made.header("location"), Some("/ngsi-ld/v1/subscriptions/urn:ngsi-ld:Subscription:1"));
    w.json("POST", "/subscriptions", &subscription()).await.expect(409);
    let mut expected = subscription();
    expected["status"] = json!("active");
    expected["notificationTrigger"] = json!(["attributeCreated", "attributeUpdated"]);
    assert_eq!(w.get(path).await.expect(200).json(), expected);
    let all = w.get("/subscriptions?limit=1&count=true").await.expect(200);
    assert_eq!((all.json(), all.header("ngsild-results-count")), (json!([expected]), Some("1")));
    assert_eq!(w.get(&format!("{path}?options=sysAttrs")).await.expect(200).json()["createdAt"], crate::wire::NOW);
    w.json("PATCH", path, &json!({"isActive": false, "q": "urn:ngsi-ld:null", "watchedAttributes": ["name"]})).await.expect(204);
    let now = w.get(path).await.expect(200).json();
    assert_eq!((&now["status"], now.get("q"), &now["watchedAttributes"], &now["isActive"]), (&json!("paused"), None, &json!(["name"]), &json!(false)));
    w.json("PATCH", path, &json!({"isActive": true, "expiresAt": "2026-11-24T08:00:00Z"})).await.expect(204);
    assert_eq!(w.get(path).await.json()["status"], "active");
    w.clock.advance_micros(3_600_000_000);
    assert_eq!(w.get(path).await.json()["status"], "expired");
    w.json("PATCH", path, &json!({"expiresAt": "2026-11-25T08:00:00Z"})).await.expect(204);
    assert_eq!(w.get(path).await.json()["status"], "active");
    w.delete(path).await.expect(204);
    w.delete(path).await.expect(404);
    w.get(path).await.expect(404);
    w.json("PATCH", path, &json!({"isActive": true})).await.expect(404);
    let mut nameless = subscription();
    nameless.as_object_mut().expect("an object").remove("id");
    let made = w.json("POST", "/subscriptions", &nameless).await.expect(201);
    w.send("GET", made.header("location").expect("a location"), &[], None).await.expect(200);
}

#[tokio::test]
async fn what_is_not_done_as_asked_is_said() {
    let w = World::new().await;
    let mut body = subscription();
    body["throttling"] = json!(5);
    body["mystery"] = json!(1);
    body["status"] = json!("expired");
    let made = w.json("POST", "/subscriptions", &body).await.expect(201);
    assert_eq!(made.all("ngsild-warning"), ["199 waybill \"no such member: mystery\"", "199 waybill \"this hub does not throttle notifications\""]);
    let shown = w.get("/subscriptions/urn:ngsi-ld:Subscription:1").await.json();
    assert_eq!((shown.get("mystery"), &shown["status"]), (None, &json!("active")));
    body = json!({"type": "Subscription", "entities": [{"type": "T"}], "timeInterval": 5, "notification": {"endpoint": {"uri": "http://a.example/"}}});
    assert_eq!(w.json("POST", "/subscriptions", &body).await.expect(201).all("ngsild-warning").len(), 1);
}

fn now() -> DateTime {
    DateTime::parse(crate::wire::NOW).expect("a time")
}

#[test]
fn names_mean_what_they_meant_when_they_were_written() {
    let contexts = Contexts::offline(Clock::fixed(now()));
    contexts.put("https://x.org/c", json!({"@context": {"Building": "https://x.org/B", "floors": "https://x.org/f", "name": "https://x.org/n"}}), waybill_context::Kind::Hosted).expect("kept");
    let own = futures(contexts.resolve(&json!("https://x.org/c"))).expect("resolved");
    let (_, made) = Subscription::create(&subscription(), &own, now()).expect("a subscription");
    let made = Subscription::from_spec(&made.to_spec()).expect("kept");
    // A change without an @context does not touch the rest.
    let made = made.patched(&json!({"watchedAttributes": ["name"]}), &contexts.core(), now()).expect("patched");
    assert_eq!(made.watched().iter().map(waybill_model::Iri::as_str).collect::<Vec<_>>(), ["https://uri.etsi.org/ngsi-ld/default-context/name"]);
    let query = made.query().expect("a query");
    assert_eq!(query.type_names().iter().map(waybill_model::Iri::as_str).collect::<Vec<_>>(), ["https://x.org/B"]);
    assert!(format!("{:?}", query.q).contains("https://x.org/f"));
    assert!(query.projection.keeps_attribute("https://x.org/n") && !query.projection.keeps_attribute("https://x.org/other"));
    assert!(made.hears_deletions());
    assert_eq!(made.kept().iter().map(waybill_model::Iri::as_str).collect::<Vec<_>>(), ["https://x.org/f", "https://x.org/n"]);
    let deaf = made.patched(&json!({"notificationTrigger": ["attributeUpdated"]}), &own, now()).expect("patched");
    assert!(!deaf.hears_deletions() && deaf.fires_on("attributeUpdated") && !deaf.fires_on("entityDeleted"));
}

fn futures<T>(f: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(f)
}

#[tokio::test]
async fn wrong_subscriptions_are_refused_where_they_are_wrong() {
    let w = World::new().await;
    let with = |pointer: &str, value: Value| {
        let mut s = subscription();
        let (parent, last) = pointer.rsplit_once('/').expect("a pointer");
        s.pointer_mut(parent).expect("a place")[last] = value;
        s
    };
    for (body, status, place) in [
        (json!({}), 400, "/type"), (json!([]), 400, ""), (with("/type", json!("Sub")), 400, "/type"), (with("/id", json!("no-uri")), 400, "/id"), (with("/id", json!(1)), 400, "/id"),
        (with("/entities", json!([])), 400, "/entities"), (with("/entities", json!({})), 400, "/entities"), (with("/entities", json!([{"id": "urn:a"}])), 400, "/entities/0/type"),
        (with("/entities", json!([{"type": "T", "id": "x"}])), 400, "/entities/0/id"), (with("/entities", json!([{"type": "T", "idPattern": "["}])), 400, "idPattern"), (with("/entities", json!([{"type": "T", "x": 1}])), 400, "/entities/0/x"),
        (with("/watchedAttributes", json!([])), 400, "/watchedAttributes"), (with("/watchedAttributes", json!("a")), 400, "/watchedAttributes"), (with("/watchedAttributes", json!([1])), 400, "/watchedAttributes"),
        (with("/q", json!("a==")), 400, "/q"), (with("/q", json!(1)), 400, "/q"), (with("/geoQ", json!({"georel": "near"})), 400, "geometry"), (with("/geoQ", json!(1)), 400, "/geoQ"),
        (with("/notificationTrigger", json!(["never"])), 400, "/notificationTrigger/0"), (with("/notificationTrigger", json!([])), 400, "/notificationTrigger"),
        (with("/expiresAt", json!("2020-01-01T00:00:00Z")), 400, "/expiresAt"), (with("/expiresAt", json!("soon")), 400, "/expiresAt"), (with("/throttling", json!(-5)), 400, "/throttling"), (with("/throttling", json!(0)), 400, "/throttling"),
        (with("/timeInterval", json!(10)), 400, "/watchedAttributes"), (with("/isActive", json!("yes")), 400, "/isActive"), (with("/scopeQ", json!(1)), 400, "/scopeQ"), (with("/scopeQ", json!("//")), 400, "scopeQ"), (with("/temporalQ", json!({})), 400, "/temporalQ"),
        (with("/q", json!("urn:ngsi-ld:null")), 400, "/q"), (with("/notification", json!(1)), 400, "/notification"), (with("/notification/endpoint", json!({})), 400, "/notification/endpoint/uri"),
        (with("/notification/endpoint/uri", json!("not a uri")), 400, "/notification/endpoint/uri"), (with("/notification/endpoint/uri", json!("file:///etc/passwd")), 400, "/notification/endpoint/uri"), (with("/notification/endpoint/uri", json!("mqtt://a/b")), 422, "/notification/endpoint/uri"),
        (with("/notification/endpoint/accept", json!("text/html")), 400, "/notification/endpoint/accept"), (with("/notification/endpoint/timeout", json!(-1)), 400, "/notification/endpoint/timeout"), (with("/notification/endpoint/receiverInfo", json!([{"key": "a"}])), 400, "/notification/endpoint/receiverInfo"),
        (with("/notification/format", json!("xml")), 400, "/notification/format"), (with("/notification/showChanges", json!(true)), 400, "/notification/showChanges"), (with("/notification/endpoint/notifierInfo", json!({})), 400, "/notification/endpoint/notifierInfo"), (with("/jsonldContext", json!("x y")), 400, "/jsonldContext"), (with("/notification/join", json!("inline")), 422, "/notification/join"), (with("/notification/mystery", json!(1)), 400, "/notification/mystery"),
        (with("/notification/pick", json!(["a"])), 400, "attrs"), (with("/notification/attributes", json!([])), 400, "/notification/attributes"), (with("/csf", json!("a==1")), 422, "/csf"), (with("/csf", json!("((")), 400, "/csf"), (with("/splitEntities", json!(true)), 422, "/splitEntities"), (with("/datasetId", json!(["x"])), 400, "datasetId"),
    ] {
        let reply = w.json("POST", "/subscriptions", &body).await;
        assert_eq!((reply.status, reply.json()["where"].as_str().unwrap_or_default()), (status, place), "{body}: {}", reply.json());
        assert!(reply.json()["help"].is_string() || reply.json()["title"].is_string());
    }
    assert_eq!(w.get("/subscriptions").await.expect(200).json(), json!([]));
    let context = w.json("POST", "/subscriptions", &with("/jsonldContext", json!("https://nowhere.example/c"))).await.expect(504);
    assert_eq!(context.json()["type"], "https://uri.etsi.org/ngsi-ld/errors/LdContextNotAvailable");
}
