//! Bindings, holders, withdrawals, quarantine, dead letters, heartbeats, keys, journal.

use crate::support::*;
use serde_json::{Value, json};
use waybill_model::TenantId;
use waybill_portal::{Connection, DeadLetter, HeartbeatState, Holder, JournalLine, KeyState, Quarantined, WithdrawalReport};

#[tokio::test]
async fn bindings_are_made_listed_and_ended() {
    let world = world().await;
    let body = json!({"target": {"entity": "urn:meter:1"}, "subject": ANNA, "validity": {"until": at(100).to_string()}, "evidence": "meter contract"});
    let made = world.post(Caller::Operator, "/bindings", &body).await;
    assert_eq!(made.status, 201, "{}", value(&made));
    let id = value(&made)["id"].as_str().unwrap().to_owned();
    assert!(made.header("location").unwrap().ends_with(&format!("/bindings/{id}")));
    let listed = value(&world.get(Caller::Anna, "/bindings").await);
    let expected = json!({
        "id": id, "target": {"entity": "urn:meter:1"}, "subject": ANNA, "validity": {"until": at(100).to_string()},
        "assertedBy": "urn:waybill:operator:olga", "evidence": "meter contract", "rule": "all",
    });
    assert_eq!(listed["items"], json!([expected]));
    assert_eq!(value(&world.get(Caller::Berta, "/bindings").await)["items"], json!([]));
    for (body, what) in [
        (json!({"target": {"entity": "urn:meter:1"}}), "no subject"),
        (json!({"target": {}, "subject": ANNA}), "no target"),
        (json!({"target": {"entity": "x"}, "subject": ANNA}), "no IRI"),
        (json!({"target": {"pattern": "*"}, "subject": ANNA}), "everything"),
        (json!({"target": {"pattern": ""}, "subject": ANNA}), "nothing"),
        (json!({"target": {"entity": "urn:m:1", "pattern": "urn:*"}, "subject": ANNA}), "two targets"),
        (json!({"target": {"entity": "urn:m:1"}, "subject": ANNA, "assertedBy": ANNA}), "who says so is who calls"),
        (json!({"target": {"entity": "urn:m:1"}, "subject": ANNA, "rule": "some"}), "no such rule"),
        (json!({"target": {"entity": "urn:m:1"}, "subject": ANNA, "validity": {"from": at(9).to_string(), "until": at(9).to_string()}}), "no time at all"),
    ] {
        assert_eq!(world.post(Caller::Operator, "/bindings", &body).await.status, 400, "{what}");
    }
    assert_eq!(world.delete(Caller::Operator, &format!("/bindings/{id}")).await.status, 204);
    assert_eq!(world.delete(Caller::Operator, &format!("/bindings/{id}")).await.status, 404);
    assert_eq!(world.delete(Caller::Operator, "/bindings/%21").await.status, 404);
    world.server.stop().await;
}

#[tokio::test]
async fn erasing_a_person_is_the_operators_and_leaves_others() {
    let world = world().await;
    world.granted(Caller::Anna, &json!({ "record": record(ANNA) })).await;
    let others = world.granted(Caller::Berta, &json!({ "record": record(BERTA) })).await;
    let path = format!("/subjects/{}", coded(ANNA));
    assert_eq!(world.delete(Caller::Anna, &path).await.status, 403);
    let erased = world.delete(Caller::Operator, &path).await;
    assert_eq!(value(&erased), json!({"consents": 1, "entities": 0, "journalKey": true, "withdrawals": []}));
    let left = value(&world.get(Caller::Operator, "/consents").await);
    assert_eq!(left["items"].as_array().unwrap().iter().map(|i| i["id"].clone()).collect::<Vec<_>>(), [json!(others)]);
    world.server.stop().await;
}

fn withdrawal(id: &str, subject: Option<&str>) -> WithdrawalReport {
    WithdrawalReport {
        id: iri(id),
        subject: subject.map(iri),
        consent: None,
        stopped_at: at(0),
        finished_at: None,
        last_stopped_after: None,
        holders: Vec::new(),
        not_bounded: Vec::new(),
    }
}

#[tokio::test]
async fn a_person_follows_her_withdrawals_and_holders_and_nobody_elses() {
    let world = world().await;
    {
        let mut state = world.hub.state.lock().unwrap();
        let main = TenantId::main();
        for (id, subject) in [("urn:w:1", Some(ANNA)), ("urn:w:2", Some(BERTA)), ("urn:w:3", None)] {
            state.withdrawals.push((main.clone(), withdrawal(id, subject)));
        }
        for (id, subject) in [("h\u{1f}1", ANNA), ("h\u{1f}2", BERTA)] {
            let holder =
                Holder { id: id.into(), party: iri(CITY_B), class: "plain".into(), hub: None, consent: None, envelope: None, since: at(0), bounded_by: None };
            state.holders.push((main.clone(), iri(subject), holder));
        }
    }
    let ids = |v: Value| -> Vec<String> { v["items"].as_array().unwrap().iter().map(|i| i["id"].as_str().unwrap().to_owned()).collect() };
    assert_eq!(ids(value(&world.get(Caller::Anna, "/withdrawals").await)), ["urn:w:1"]);
    assert_eq!(ids(value(&world.get(Caller::Operator, "/withdrawals").await)), ["urn:w:1", "urn:w:2", "urn:w:3"]);
    assert_eq!(ids(value(&world.get(Caller::Anna, "/holders").await)).len(), 1);
    assert_eq!(ids(value(&world.get(Caller::Operator, "/holders").await)).len(), 2);
    for (caller, id, status) in [
        (Caller::Anna, "urn:w:1", 200),
        (Caller::Anna, "urn:w:2", 404),
        (Caller::Anna, "urn:w:3", 404),
        (Caller::Anna, "urn:w:9", 404),
        (Caller::Operator, "urn:w:3", 200),
    ] {
        assert_eq!(world.get(caller, &format!("/withdrawals/{}", coded(id))).await.status, status, "{caller:?} {id}");
    }
    world.server.stop().await;
}

#[tokio::test]
async fn quarantine_and_dead_letters_are_worked_off() {
    let world = world().await;
    let key = "broker\u{1f}urn:meter:1\u{1f}7";
    {
        let mut state = world.hub.state.lock().unwrap();
        for (tenant, id) in [(TenantId::main(), key), (TenantId::main(), "second"), (north(), "theirs")] {
            let quarantined = Quarantined { id: id.into(), connection: "broker".into(), entity: "urn:meter:1".into(), attribute: None, code: "tampered".into(), at: at(0) };
            state.quarantine.push((tenant.clone(), quarantined));
            let dead = DeadLetter { id: id.into(), kind: "delivery".into(), to: "urn:sub:1".into(), entity: None, attempts: 9, since: None, error: None };
            if tenant == TenantId::main() {
                state.dead.push(dead);
            }
        }
    }
    for list in ["quarantine", "dead-letters"] {
        let listed = value(&world.get(Caller::Operator, &format!("/{list}")).await);
        assert_eq!(listed["items"].as_array().unwrap().len(), 2, "{list}");
        let id = listed["items"][0]["id"].as_str().unwrap().to_owned();
        assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "a key fits into a path: {id}");
        assert_eq!(value(&world.get(Caller::Operator, &format!("/{list}/{id}")).await), listed["items"][0], "{list}");
        let action = if list == "quarantine" { "release" } else { "replay" };
        let act = |id: String| world.act(Caller::Operator, format!("/{list}/{id}/{action}"));
        assert_eq!(act(id.clone()).await.status, 204, "{list}");
        assert_eq!(act(id.clone()).await.status, 404, "{list}: once");
        assert_eq!(world.get(Caller::Operator, &format!("/{list}/{id}")).await.status, 404);
        assert!(world.hub.state.lock().unwrap().done.contains(&format!("{action} {key}")), "the hub is given the key as it is");
        let theirs = waybill_keys::b64url(b"theirs");
        assert_eq!(act(theirs).await.status, 404, "{list}: another tenant's");
    }
    let second = waybill_keys::b64url(b"second");
    assert_eq!(world.delete(Caller::Operator, &format!("/quarantine/{second}")).await.status, 204);
    assert_eq!(world.delete(Caller::Operator, &format!("/quarantine/{second}")).await.status, 404);
    world.server.stop().await;
}

#[tokio::test]
async fn heartbeats_connections_and_keys_are_shown_and_keys_changed() {
    let world = world().await;
    {
        let mut state = world.hub.state.lock().unwrap();
        state.heartbeats.push(HeartbeatState { hub: "did:web:a".into(), direction: "received".into(), at: Some(at(-90)), epoch: Some(7), max_stale: 60, stale: true });
        state.connections.push(Connection { name: "pod".into(), kind: "solid".into(), state: "down".into(), detail: Some("timeout".into()), checked_at: Some(at(0)) });
        state.keys.push(KeyState { kid: "k1".into(), algorithm: "EdDSA".into(), state: "active".into(), created: at(-10), retired: None, revoked: None });
    }
    let beats = value(&world.get(Caller::Operator, "/heartbeats").await);
    let beat = json!({"hub": "did:web:a", "direction": "received", "at": at(-90).to_string(), "epoch": 7, "maxStale": 60, "stale": true});
    assert_eq!(beats["items"], json!([beat]));
    assert_eq!(value(&world.get(Caller::Operator, "/connections").await)["items"][0]["state"], "down");
    let made = world.post(Caller::Operator, "/keys/rotate", &json!({"algorithm": "ES256"})).await;
    assert_eq!((made.status.as_u16(), value(&made)["algorithm"].as_str()), (201, Some("ES256")));
    let usual = world.act(Caller::Operator, "/keys/rotate".to_owned()).await;
    assert_eq!(value(&usual)["algorithm"], "EdDSA");
    for bad in [json!({"algorithm": "HS256"}), json!({"algorithm": null}), json!({"kid": "k1"})] {
        assert_eq!(world.post(Caller::Operator, "/keys/rotate", &bad).await.status, 400, "{bad}");
    }
    let revoke = |kid: &str| world.act(Caller::Operator, format!("/keys/{kid}/revoke"));
    assert_eq!(value(&revoke("k1").await)["state"], "revoked");
    assert_eq!(revoke("k9").await.status, 404);
    let states: Vec<Value> = value(&world.get(Caller::Operator, "/keys").await)["items"].as_array().unwrap().iter().map(|k| k["state"].clone()).collect();
    assert_eq!(states, [json!("revoked"), json!("active"), json!("active")]);
    world.server.stop().await;
}

#[tokio::test]
async fn the_journal_is_verified_shown_and_exported_whole() {
    let world = world().await;
    world.hub.state.lock().unwrap().journal = (3..=1203).map(|n| JournalLine { number: n, text: format!("{{\"n\":{n}}}") }).collect();
    let holds = value(&world.get(Caller::Operator, "/journal/verify").await);
    assert_eq!(holds, json!({"verdict": "holds", "first": 1, "last": 1201, "hash": "h", "segments": 2}));
    world.hub.state.lock().unwrap().broken = Some((7, "it is not tied to the one before".into()));
    let broken = value(&world.get(Caller::Operator, "/journal/verify").await);
    assert_eq!((broken["verdict"].as_str(), broken["record"].as_u64()), (Some("broken"), Some(7)));
    let lines = |body: &[u8]| -> Vec<u64> {
        let text = std::str::from_utf8(body).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["n"].as_u64().unwrap()).collect()
    };
    let export = async |query: &str| world.get(Caller::Operator, &format!("/journal/export{query}")).await;
    let all = export("").await;
    assert_eq!(all.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(lines(&all.body), (3..=1203).collect::<Vec<_>>());
    assert_eq!(lines(&export("?from=1000&limit=600").await.body), (1000..=1203).collect::<Vec<_>>());
    assert_eq!(lines(&export("?limit=501").await.body), (3..=503).collect::<Vec<_>>());
    assert_eq!(lines(&export("?from=5000").await.body), Vec::<u64>::new());
    assert_eq!(export("?from=-1").await.status, 400);
    let page = world.get(Caller::Anna, &format!("/subjects/{}/journal", coded(ANNA))).await;
    assert_eq!(value(&page), json!({"subject": ANNA, "entries": []}));
    world.server.stop().await;
}
