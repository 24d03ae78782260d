//! The portal over the real engine, on a store in memory.

use crate::support::*;
use serde_json::{Value, json};
use std::sync::Arc;
use waybill_exchange::Hub;
use waybill_gate::Governance;
use waybill_http::Method;
use waybill_model::Clock;
use waybill_port::{BoxFuture, Health, HealthState};
use waybill_portal::{HubAdmin, Probe};
use waybill_store::Store;

struct Down;
impl Health for Down {
    fn check(&self) -> BoxFuture<'_, HealthState> {
        Box::pin(async { HealthState::Down { detail: "timeout".into() } })
    }
}

async fn engine() -> World<HubAdmin> {
    let clock = Clock::fixed(at(0));
    let store = Store::memory(clock.clone()).unwrap();
    let hub = Hub::open(store, Governance::bare("https://hub.city-a.example").unwrap(), clock.clone()).await.unwrap();
    let probe = Probe { name: "pod".into(), kind: "solid".into(), health: Arc::new(Down) };
    world_over(Arc::new(HubAdmin::new(hub, vec![probe])), clock, false).await
}

fn process(answer: &Value) -> &Value {
    answer["state"]["processes"].as_object().unwrap().values().next().unwrap()
}

#[tokio::test]
async fn a_consent_is_given_shown_narrowed_and_taken_back() {
    let world = engine().await;
    let given = world.post(Caller::Anna, "/consents", &json!({ "document": document(ANNA) })).await;
    assert_eq!(given.status, 201, "{}", value(&given));
    let id = value(&given)["id"].as_str().unwrap().to_owned();
    assert_eq!((process(&value(&given))["open"].as_bool(), value(&given)["opened"].as_array().unwrap().len()), (Some(true), 1));
    let listed = value(&world.get(Caller::Anna, "/consents").await);
    assert_eq!((listed["items"][0]["id"].as_str(), listed["items"][0]["open"].as_bool()), (Some(id.as_str()), Some(true)));
    assert_eq!(value(&world.get(Caller::Operator, "/consents").await), listed);
    assert_eq!(value(&world.get(Caller::Berta, "/consents").await)["items"], json!([]));
    world.clock.advance_micros(2_000_000);
    let mut shorter = document(ANNA);
    shorter["until"] = at(86_400).to_string().into();
    let narrowed = world.post(Caller::Anna, "/consents", &json!({"document": shorter, "consent": id})).await;
    assert_eq!(narrowed.status, 200, "{}", value(&narrowed));
    assert_eq!((value(&narrowed)["opened"].as_array().unwrap().len(), value(&narrowed)["closed"].as_array().unwrap().len()), (1, 1));
    world.clock.advance_micros(2_000_000);
    let ended = world.act(Caller::Anna, format!("/consents/{}/withdraw", coded(&id))).await;
    assert_eq!(ended.status, 200, "{}", value(&ended));
    assert_eq!(process(&value(&ended))["state"], "withdrawn");
    let shown = value(&world.get(Caller::Anna, &format!("/consents/{}", coded(&id))).await);
    assert_eq!((shown["versions"].as_array().unwrap().len(), process(&shown)["open"].as_bool()), (2, Some(false)));
    let withdrawals = value(&world.get(Caller::Anna, "/withdrawals").await);
    let newest = &withdrawals["items"][0];
    assert_eq!((newest["subject"].as_str(), newest["consent"].as_str()), (Some(ANNA), Some(id.as_str())), "{withdrawals}");
    assert_eq!(newest["stoppedAt"], json!(at(4).to_string()));
    let one = world.get(Caller::Anna, &format!("/withdrawals/{}", coded(newest["id"].as_str().unwrap()))).await;
    assert_eq!(value(&one), *newest);
    let page = value(&world.get(Caller::Anna, &format!("/subjects/{}/journal", coded(ANNA))).await);
    let kinds: Vec<&str> = page["entries"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect();
    assert_eq!((kinds.first(), kinds.contains(&"narrowing"), kinds.contains(&"withdrawal")), (Some(&"grant"), true, true), "{kinds:?}");
    world.server.stop().await;
}

#[tokio::test]
async fn exported_and_imported_between_hubs() {
    let (from, to) = (engine().await, engine().await);
    let id = from.granted(Caller::Anna, &json!({ "record": record(ANNA) })).await;
    let history = value(&from.get(Caller::Anna, &format!("/consents/{}/export", coded(&id))).await);
    for _ in 0..2 {
        let taken = to.post(Caller::Operator, "/consents/import", &history).await;
        assert_eq!(taken.status, 200, "{}", value(&taken));
        assert_eq!(process(&value(&taken))["open"], true, "taking it twice changes nothing");
    }
    from.server.stop().await;
    to.server.stop().await;
}

#[tokio::test]
async fn bindings_begin_and_end() {
    let world = engine().await;
    let body = json!({"target": {"entity": "urn:meter:1"}, "subject": ANNA});
    let id = value(&world.post(Caller::Operator, "/bindings", &body).await)["id"].as_str().unwrap().to_owned();
    for path in ["/bindings".to_owned(), format!("/bindings?subject={}", coded(ANNA))] {
        let listed = value(&world.get(Caller::Operator, &path).await);
        assert_eq!((listed["items"].as_array().unwrap().len(), listed["items"][0]["id"].as_str()), (1, Some(id.as_str())), "{path}");
    }
    world.clock.advance_micros(1_000_000);
    assert_eq!(world.delete(Caller::Operator, &format!("/bindings/{id}")).await.status, 204);
    assert_eq!(world.delete(Caller::Operator, &format!("/bindings/{id}")).await.status, 404, "it has ended");
    let kept = value(&world.get(Caller::Anna, "/bindings").await);
    assert_eq!(kept["items"][0]["validity"]["until"], json!(at(1).to_string()), "who it was about stays known");
    world.server.stop().await;
}

#[tokio::test]
async fn keys_journal_connections_and_health() {
    let world = engine().await;
    assert_eq!(value(&world.send(Caller::Operator, Method::GET, "/readyz", &[], None).await)["ready"], true);
    world.granted(Caller::Anna, &json!({ "record": record(ANNA) })).await;
    let before = value(&world.get(Caller::Operator, "/keys").await);
    assert_eq!(before["items"].as_array().unwrap().len(), 2);
    let made = value(&world.act(Caller::Operator, "/keys/rotate".to_owned()).await);
    let after = value(&world.get(Caller::Operator, "/keys").await)["items"].clone();
    let active: Vec<&Value> = after.as_array().unwrap().iter().filter(|k| k["state"] == "active" && k["algorithm"] == "EdDSA").collect();
    assert_eq!(active, [&made]);
    let old = before["items"].as_array().unwrap().iter().find(|k| k["algorithm"] == "EdDSA").unwrap()["kid"].as_str().unwrap().to_owned();
    let revoked = value(&world.act(Caller::Operator, format!("/keys/{old}/revoke")).await);
    assert_eq!((revoked["kid"].as_str(), revoked["state"].as_str()), (Some(old.as_str()), Some("revoked")));
    assert_eq!(world.act(Caller::Operator, "/keys/none/revoke".to_owned()).await.status, 404);
    let verdict = value(&world.get(Caller::Operator, "/journal/verify").await);
    assert_eq!(verdict["verdict"], "holds");
    let exported = world.get(Caller::Operator, "/journal/export").await;
    let lines: Vec<Value> = std::str::from_utf8(&exported.body).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len() as u64, verdict["last"].as_u64().unwrap());
    assert_eq!(lines.last().unwrap()["hash"], verdict["hash"]);
    assert!(!exported.body.windows(4).any(|w| w == b"anna"), "her part stays sealed");
    let connections = value(&world.get(Caller::Operator, "/connections").await);
    let pod = json!({"name": "pod", "kind": "solid", "state": "down", "detail": "timeout", "checkedAt": at(0).to_string()});
    assert_eq!(connections["items"], json!([pod]));
    for path in ["/holders", "/quarantine", "/dead-letters", "/heartbeats"] {
        assert_eq!(value(&world.get(Caller::Operator, path).await)["items"], json!([]), "{path}");
    }
    world.server.stop().await;
}

#[tokio::test]
async fn a_person_is_erased_and_the_journal_holds() {
    let world = engine().await;
    world.post(Caller::Operator, "/bindings", &json!({"target": {"entity": "urn:meter:1"}, "subject": ANNA})).await;
    let id = world.granted(Caller::Anna, &json!({ "record": record(ANNA) })).await;
    let berta = world.granted(Caller::Berta, &json!({ "record": record(BERTA) })).await;
    world.clock.advance_micros(1_000_000);
    let erased = world.delete(Caller::Operator, &format!("/subjects/{}", coded(ANNA))).await;
    assert_eq!(erased.status, 200, "{}", value(&erased));
    assert_eq!((value(&erased)["consents"].as_u64(), value(&erased)["journalKey"].as_bool()), (Some(1), Some(true)));
    assert_eq!(world.get(Caller::Anna, &format!("/consents/{}", coded(&id))).await.status, 404);
    assert_eq!(value(&world.get(Caller::Anna, "/bindings").await)["items"], json!([]));
    assert_eq!(value(&world.get(Caller::Anna, &format!("/subjects/{}/journal", coded(ANNA))).await)["entries"], json!([]));
    assert_eq!(world.get(Caller::Berta, &format!("/consents/{}", coded(&berta))).await.status, 200);
    assert_eq!(value(&world.get(Caller::Operator, "/journal/verify").await)["verdict"], "holds");
    world.server.stop().await;
}

#[tokio::test]
async fn a_guardian_acts_for_her_ward_until_the_end() {
    let world = engine().await;
    assert_eq!(world.post(Caller::Berta, "/consents", &json!({ "record": record(ANNA) })).await.status, 403);
    for (body, what) in [
        (json!({"ward": ANNA, "guardian": BERTA}), "no end"),
        (json!({"ward": ANNA, "guardian": BERTA, "until": at(0).to_string()}), "no time at all"),
        (json!({"ward": ANNA, "guardian": ANNA, "until": at(9).to_string()}), "oneself"),
    ] {
        assert_eq!(world.post(Caller::Operator, "/guardianships", &body).await.status, 400, "{what}");
    }
    let body = json!({"ward": ANNA, "guardian": BERTA, "until": at(100).to_string(), "evidence": "court order 7"});
    assert_eq!(world.post(Caller::Operator, "/guardianships", &body).await.status, 204);
    let id = world.granted(Caller::Berta, &json!({ "record": record(ANNA) })).await;
    let path = format!("/consents/{}", coded(&id));
    let by = |detail: &Value| detail["events"].as_array().unwrap().iter().map(|e| e["by"].clone()).collect::<Vec<_>>();
    assert_eq!(by(&value(&world.get(Caller::Anna, &path).await)), [json!({"id": BERTA, "role": "guardian"})]);
    world.clock.advance_micros(101_000_000);
    assert_eq!(world.act(Caller::Berta, format!("{path}/withdraw")).await.status, 404, "she acts for her no more");
    let ended = value(&world.act(Caller::Anna, format!("{path}/withdraw")).await);
    assert_eq!(process(&ended)["state"], "withdrawn");
    world.server.stop().await;
}
