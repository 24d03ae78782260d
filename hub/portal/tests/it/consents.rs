//! Giving, narrowing, taking back, importing, exporting.

use crate::support::*;
use serde_json::{Value, json};
use waybill_consent::{ActorRole, Change, EvidenceKind};
use waybill_http::Method;
use waybill_model::TenantId;

/// The last event of the consent `id`.
fn last_event(world: &World, id: &str) -> waybill_consent::ConsentEvent {
    world.hub.state.lock().unwrap().consents[&(TenantId::main(), iri(id))].1.last().unwrap().clone()
}
fn state(answer: &waybill_http::InResponse) -> Value {
    value(answer)["state"]["processes"].as_object().unwrap().values().next().unwrap().clone()
}

#[tokio::test]
async fn a_person_gives_by_record_or_by_document() {
    let world = world().await;
    for body in [json!({ "record": record(ANNA) }), json!({ "document": document(ANNA) })] {
        let answer = world.post(Caller::Anna, "/consents", &body).await;
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        assert_eq!(state(&answer)["open"], true, "{}", value(&answer));
        assert_eq!(value(&answer)["opened"].as_array().unwrap().len(), 1);
        let id = value(&answer)["id"].as_str().unwrap().to_owned();
        assert!(id.starts_with("urn:waybill:consent:") && !id.contains("anna"), "the name says nothing of her: {id}");
        let place = answer.header("location").unwrap();
        assert_eq!(place, format!("http://{}{PORTAL}/consents/{}", world.server.addr, coded(&id)));
        let event = last_event(&world, &id);
        assert_eq!((event.state, event.by.role, event.by.id.as_str()), (Change::Given, ActorRole::Subject, ANNA));
        assert_eq!((event.evidence.kind, event.evidence.recorder), (EvidenceKind::SignedIn, None));
        assert_eq!(event.evidence.hash.unwrap().len(), 64);
        assert_eq!((event.time, event.received), (at(0), at(0)));
        let shown = value(&world.get(Caller::Anna, &format!("/consents/{}", coded(&id))).await);
        assert_eq!((shown["subject"].as_str(), shown["versions"].as_array().unwrap().len()), (Some(ANNA), 1));
    }
    world.server.stop().await;
}

#[tokio::test]
async fn a_clerk_records_what_was_said_and_is_named() {
    let world = world().await;
    let evidence = json!({"source": "https://city-a.example/forms/17", "hash": "ab".repeat(32)});
    for body in [
        json!({"record": record(ANNA), "stated": at(-3600).to_string(), "evidence": evidence}),
        json!({"document": document(ANNA), "stated": at(-3600).to_string(), "evidence": evidence}),
    ] {
        let id = world.granted(Caller::Operator, &body).await;
        let event = last_event(&world, &id);
        assert_eq!((event.evidence.kind, event.by.id.as_str()), (EvidenceKind::Clerk, ANNA), "never shown as signed by her");
        assert_eq!(event.evidence.recorder, Some(iri("urn:waybill:operator:olga")));
        assert_eq!(event.evidence.hash, Some("ab".repeat(32)));
        assert_eq!((event.time, event.received), (at(-3600), at(0)));
    }
    world.server.stop().await;
}

#[tokio::test]
async fn a_draft_is_taken_and_opens_nothing() {
    let world = world().await;
    let mut record = record(ANNA);
    record.as_object_mut().unwrap().remove("notice");
    let answer = world.post(Caller::Anna, "/consents", &json!({ "record": record })).await;
    assert_eq!(answer.status, 201);
    assert_eq!(state(&answer)["open"], false);
    assert_eq!(value(&answer)["state"]["missing"][0]["place"], "/notice");
    let listed = value(&world.get(Caller::Anna, "/consents").await);
    assert_eq!((&listed["items"][0]["draft"], &listed["items"][0]["open"]), (&json!(true), &json!(false)));
    world.server.stop().await;
}

#[tokio::test]
async fn nobody_gives_for_another() {
    let world = world().await;
    for body in [json!({ "record": record(ANNA) }), json!({ "document": document(ANNA) })] {
        assert_eq!(world.post(Caller::Berta, "/consents", &body).await.status, 403);
    }
    let hers = world.granted(Caller::Anna, &json!({ "record": record(ANNA) })).await;
    let mut taken = record(BERTA);
    taken["id"] = hers.clone().into();
    assert_eq!(world.post(Caller::Berta, "/consents", &json!({ "record": taken })).await.status, 404, "Anna's record under Berta's name");
    assert_eq!(world.post(Caller::Operator, "/consents", &json!({ "record": taken })).await.status, 403, "not even the operator moves it");
    let moved = json!({"document": document(BERTA), "consent": hers});
    assert_eq!(world.post(Caller::Berta, "/consents", &moved).await.status, 404);
    assert_eq!(world.hub.state.lock().unwrap().consents.len(), 1, "nothing half done");
    world.server.stop().await;
}

#[tokio::test]
async fn bad_bodies_are_refused_with_a_place() {
    let world = world().await;
    let mut unknown = record(ANNA);
    unknown["colour"] = "red".into();
    let mut nested = record(ANNA);
    nested["processes"][0]["colour"] = "red".into();
    let mut no_subject = record(ANNA);
    no_subject.as_object_mut().unwrap().remove("subject");
    let mut bad_time = record(ANNA);
    bad_time["created"] = "yesterday".into();
    let mut bad_document = document(ANNA);
    bad_document["colour"] = "red".into();
    let twice = json!({ "record": record(ANNA) }).to_string().replacen("\"jurisdiction\":\"AT\"", "\"jurisdiction\":\"AT\",\"jurisdiction\":\"DE\"", 1);
    let deep = format!("{{\"record\":{}{}}}", "[".repeat(1_000_000 / 2 - 100), "]".repeat(1_000_000 / 2 - 100));
    let cases = [
        ("{}".to_owned(), 400, "bad-request"),
        (json!({"record": record(ANNA), "document": document(ANNA)}).to_string(), 400, "bad-request"),
        (json!({"record": record(ANNA), "consent": "urn:c:1"}).to_string(), 400, "bad-request"),
        (json!({"record": record(ANNA), "colour": "red"}).to_string(), 400, "bad-json"),
        (json!({ "record": unknown }).to_string(), 400, "consent-schema"),
        (json!({ "record": nested }).to_string(), 400, "consent-schema"),
        (json!({ "record": no_subject }).to_string(), 400, "consent-schema"),
        (json!({ "record": bad_time }).to_string(), 400, "consent-schema"),
        (json!({"record": [1]}).to_string(), 400, "bad-request"),
        (json!({"record": {"id": "no iri"}}).to_string(), 400, "bad-request"),
        (json!({ "document": bad_document }).to_string(), 400, "consent-schema"),
        (json!({"record": record(ANNA), "stated": at(120).to_string()}).to_string(), 400, "bad-request"),
        (json!({"record": record(ANNA), "stated": "2026-01-01"}).to_string(), 400, "bad-json"),
        (json!({"record": record(ANNA), "evidence": {"hash": "xyz"}}).to_string(), 400, "bad-request"),
        (twice, 400, "duplicate-member"),
        (deep, 400, "bad-json"),
        (json!({"document": ["ConsentGrant"]}).to_string(), 400, "bad-json"),
        ("{\"record\": NaN}".to_owned(), 400, "bad-json"),
        ("{\"record\":".to_owned(), 400, "bad-json"),
        (String::new(), 400, "bad-json"),
        ("[]".to_owned(), 400, "bad-json"),
        (format!("{{\"record\": \"{}\"}}", "x".repeat(1024 * 1024)), 413, "body-too-large"),
    ];
    for (body, status, expected) in cases {
        let answer = world.post_text(Caller::Anna, "/consents", &body).await;
        let start: String = body.chars().take(80).collect();
        assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (status, expected), "{start} {}", value(&answer));
    }
    let form = world.send(Caller::Anna, Method::POST, &format!("{PORTAL}/consents"), &[("content-type", "text/plain")], None).await;
    assert_eq!(form.status, 415, "a page of another site cannot send JSON by a form");
    assert_eq!(world.get(Caller::Anna, "/consents?colour=red").await.status, 400);
    assert_eq!(world.get(Caller::Anna, "/consents?limit=0").await.status, 400);
    assert_eq!(world.get(Caller::Anna, "/consents?limit=1001").await.status, 400);
    assert_eq!(world.get(Caller::Anna, "/consents?after=%21").await.status, 400);
    assert_eq!(world.get(Caller::Operator, "/consents?subject=x").await.status, 400);
    assert!(world.hub.state.lock().unwrap().consents.is_empty(), "nothing half done");
    world.server.stop().await;
}

#[tokio::test]
async fn taking_back_needs_no_body_and_closes() {
    let world = world().await;
    let id = world.granted(Caller::Anna, &json!({ "record": record(ANNA) })).await;
    world.clock.advance_micros(1_000_000);
    let answer = world.send(Caller::Anna, Method::POST, &format!("{PORTAL}/consents/{}/withdraw", coded(&id)), &[], None).await;
    assert_eq!(answer.status, 200);
    assert_eq!((&state(&answer)["state"], &state(&answer)["open"]), (&json!("withdrawn"), &json!(false)));
    assert_eq!(value(&answer)["closed"].as_array().unwrap().len(), 1);
    let event = last_event(&world, &id);
    assert_eq!((event.by.role, event.evidence.kind), (ActorRole::Subject, EvidenceKind::SignedIn));
    // A new agreement a second later stands: she knew of the withdrawal, since this hub showed it.
    world.clock.advance_micros(1_000_000);
    let mut again = record(ANNA);
    again["id"] = id.clone().into();
    let answer = world.post(Caller::Anna, "/consents", &json!({ "record": again })).await;
    assert_eq!((answer.status.as_u16(), &state(&answer)["open"]), (200, &json!(true)), "{}", value(&answer));
    assert_eq!(value(&answer)["state"]["version"], 2);
    world.server.stop().await;
}

#[tokio::test]
async fn narrowing_by_a_document_replaces_what_was_given() {
    let world = world().await;
    let mut wide = document(ANNA);
    wide["data"].as_array_mut().unwrap().push(json!({"attribute": "https://example.org/address", "precision": {"district": 0.1}}));
    let id = world.granted(Caller::Anna, &json!({ "document": wide })).await;
    let again = world.post(Caller::Anna, "/consents", &json!({"document": wide, "consent": id})).await;
    assert_eq!((again.status.as_u16(), value(&again)["opened"].as_array().unwrap().len()), (200, 0), "saying the same again adds nothing");
    world.clock.advance_micros(1_000_000);
    let narrowed = world.post(Caller::Anna, "/consents", &json!({"document": document(ANNA), "consent": id})).await;
    assert_eq!(narrowed.status, 200, "{}", value(&narrowed));
    assert_eq!((&value(&narrowed)["state"]["version"], &state(&narrowed)["open"]), (&json!(2), &json!(true)));
    assert_eq!(last_event(&world, &id).evidence.kind, EvidenceKind::SignedIn);
    let mut gone = document(ANNA);
    gone["state"] = "withdrawn".into();
    world.clock.advance_micros(1_000_000);
    let ended = world.post(Caller::Anna, "/consents", &json!({"document": gone, "consent": id})).await;
    assert_eq!(state(&ended)["state"], "withdrawn");
    world.server.stop().await;
}

#[tokio::test]
async fn a_clerk_takes_back_in_her_name_or_says_in_whose() {
    let world = world().await;
    let id = world.granted(Caller::Operator, &json!({ "record": record(ANNA) })).await;
    let path = format!("/consents/{}", coded(&id));
    world.clock.advance_micros(1_000_000);
    let rests = world.post(Caller::Operator, &format!("{path}/suspend"), &json!({"reason": "under review"})).await;
    assert_eq!(state(&rests)["state"], "suspended");
    let event = last_event(&world, &id);
    assert_eq!((event.by.id.as_str(), event.by.role, event.evidence.kind), (ANNA, ActorRole::Subject, EvidenceKind::Clerk));
    assert_eq!(event.reason.as_deref(), Some("under review"));
    world.clock.advance_micros(1_000_000);
    assert_eq!(state(&world.post(Caller::Operator, &format!("{path}/resume"), &json!({})).await)["open"], true);
    world.clock.advance_micros(1_000_000);
    let by = json!({"id": CITY_A, "role": "controller"});
    let ended = world.post(Caller::Operator, &format!("{path}/withdraw"), &json!({"by": by, "processes": ["advice"]})).await;
    assert_eq!(state(&ended)["open"], false);
    let event = last_event(&world, &id);
    assert_eq!((event.by.role, event.pids.holds("advice"), event.pids.holds("other")), (ActorRole::Controller, true, false));
    for (body, expected) in [
        (json!({"processes": ["none"]}), 400),
        (json!({"reason": "x".repeat(501)}), 400),
        (json!({"by": {"id": "x", "role": "subject"}}), 400),
        (json!({"colour": "red"}), 400),
    ] {
        assert_eq!(world.post(Caller::Operator, &format!("{path}/withdraw"), &body).await.status, expected, "{body}");
    }
    let hers = world.granted(Caller::Anna, &json!({ "record": record(ANNA) })).await;
    let posing = world.post(Caller::Anna, &format!("/consents/{}/withdraw", coded(&hers)), &json!({"by": {"id": CITY_A, "role": "controller"}})).await;
    assert_eq!(posing.status, 403, "a person acts as herself");
    world.server.stop().await;
}

#[tokio::test]
async fn what_is_exported_can_be_imported() {
    let (from, to) = (world().await, world().await);
    let id = from.granted(Caller::Anna, &json!({ "record": record(ANNA) })).await;
    from.clock.advance_micros(1_000_000);
    let mut wider = record(ANNA);
    wider["id"] = id.clone().into();
    wider["processes"][0]["data"].as_array_mut().unwrap().push(json!({"attribute": "https://example.org/gas", "transform": {"kind": "share"}}));
    from.post(Caller::Anna, "/consents", &json!({ "record": wider })).await;
    let exported = from.get(Caller::Anna, &format!("/consents/{}/export", coded(&id))).await;
    assert!(exported.header("content-disposition").unwrap().starts_with("attachment"));
    let history = value(&exported);
    assert_eq!((history["records"].as_array().unwrap().len(), history["events"].as_array().unwrap().len()), (2, 2));
    to.clock.advance_micros(5_000_000);
    let taken = to.post(Caller::Operator, "/consents/import", &history).await;
    assert_eq!(taken.status, 200, "{}", value(&taken));
    let path = format!("/consents/{}", coded(&id));
    let (there, here) = (value(&from.get(Caller::Anna, &path).await), value(&to.get(Caller::Anna, &path).await));
    assert_eq!((&here["versions"], &here["state"]), (&there["versions"], &there["state"]));
    let event = last_event(&to, &id);
    assert_eq!((event.received, event.evidence.kind), (at(5), EvidenceKind::SignedIn), "received here and now; known as it was known there");
    assert_eq!(event.evidence.recorder, Some(iri("urn:waybill:operator:olga")), "and somebody vouches for that");
    let records = history["records"].clone();
    let mut strange = records[1].clone();
    strange["subject"]["id"] = BERTA.into();
    for body in [
        json!({"records": []}),
        json!({"records": [records[0], strange]}),
        json!({"records": records, "events": [{"eid": "x"}]}),
        json!({"records": [{"id": "urn:c:1"}]}),
        json!({"records": records, "colour": "red"}),
        json!({}),
    ] {
        assert_eq!(to.post(Caller::Operator, "/consents/import", &body).await.status, 400, "{body}");
    }
    from.server.stop().await;
    to.server.stop().await;
}

#[tokio::test]
async fn a_list_comes_in_pages() {
    let world = world().await;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(world.granted(Caller::Anna, &json!({ "record": record(ANNA) })).await);
    }
    all.sort();
    let (mut seen, mut next) = (Vec::new(), None::<String>);
    loop {
        let after = next.as_ref().map_or(String::new(), |n| format!("&after={n}"));
        let page = value(&world.get(Caller::Anna, &format!("/consents?limit=2{after}")).await);
        let items = page["items"].as_array().unwrap().clone();
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(|i| i["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(more) => next = Some(more.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen, all);
    world.server.stop().await;
}
