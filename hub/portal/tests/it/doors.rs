//! Who gets in: every route, every kind of caller, every tenant.

use crate::support::*;
use serde_json::json;
use waybill_http::{Method, Router};
use waybill_portal::{PortalConfig, routes};

/// Every route under the interface's prefix, with something for its parameters.
fn guarded(world: &World) -> Vec<(Method, String)> {
    let config = PortalConfig { clock: world.clock.clone(), metrics: world.metrics.clone(), open_metrics: false };
    let all: Router = routes(world.hub.clone(), config);
    let fill = |path: &str| {
        let id = if path.contains("/quarantine/") || path.contains("/dead-letters/") || path.contains("/bindings/") { "eA" } else { "urn%3Ax%3A1" };
        path.replace("{id}", id).replace("{kid}", "k1").replace("{subject}", &coded(ANNA))
    };
    let own = all.listing().into_iter().filter(|(_, p)| p.starts_with(PORTAL) && !p.ends_with("openapi.yaml"));
    own.map(|(m, p)| (m, fill(&p))).collect()
}

/// Routes a signed-in person may use, as far as things are hers.
fn is_for_persons(method: &Method, path: &str) -> bool {
    let path = path.strip_prefix(PORTAL).unwrap();
    let consents = path.starts_with("/consents") && !path.ends_with("/import");
    let reads = ["/bindings", "/holders", "/withdrawals"].iter().any(|p| path.starts_with(p)) || path.ends_with("/journal");
    consents || (*method == Method::GET && reads)
}

#[tokio::test]
async fn nobody_and_no_party_gets_in_and_persons_only_where_things_are_theirs() {
    let world = world().await;
    let routes = guarded(&world);
    assert!(routes.len() > 25, "the routes are there");
    for (method, path) in routes {
        let status = |caller| {
            let (world, method, path) = (&world, method.clone(), path.clone());
            async move { world.send(caller, method, &path, &[], None).await.status.as_u16() }
        };
        assert_eq!(status(Caller::Nobody).await, 401, "{method} {path}");
        assert_eq!(status(Caller::CityB).await, 403, "{method} {path}");
        let person = status(Caller::Anna).await;
        assert_eq!(person == 403, !is_for_persons(&method, &path), "{method} {path} for a person: {person}");
        assert!(!matches!(status(Caller::Operator).await, 401 | 403), "{method} {path} for the operator");
    }
    world.server.stop().await;
}

#[tokio::test]
async fn a_tenant_is_named_only_by_whom_it_is_open_to() {
    let world = world().await;
    let without_tenant = ["/heartbeats", "/connections", "/keys", "/journal", "/dead-letters", "/subjects"];
    for (method, path) in guarded(&world) {
        if without_tenant.iter().any(|p| path.starts_with(&format!("{PORTAL}{p}"))) {
            let answer = world.send(Caller::NorthOperator, method.clone(), &path, &[("ngsild-tenant", "north")], None).await;
            assert_eq!(answer.status, 403, "{method} {path} is of the whole hub");
            continue;
        }
        for (tenant, expected) in [("south", true), ("", true), ("north", false)] {
            let answer = world.send(Caller::NorthOperator, method.clone(), &path, &[("ngsild-tenant", tenant)], None).await;
            assert_eq!(answer.status == 403, expected, "{method} {path} in `{tenant}`: {}", answer.status);
        }
        let bad = world.send(Caller::Operator, method.clone(), &path, &[("ngsild-tenant", "no such/name")], None).await;
        assert_eq!(bad.status, 400, "{method} {path}");
    }
    world.server.stop().await;
}

#[tokio::test]
async fn what_is_in_one_tenant_is_not_in_another() {
    let world = world().await;
    let body = json!({ "record": record(ANNA) }).to_string();
    let path = format!("{PORTAL}/consents");
    let given = world.send(Caller::Operator, Method::POST, &path, &[("ngsild-tenant", "north")], Some(&body)).await;
    let id = value(&given)["id"].as_str().unwrap().to_owned();
    let own = format!("{path}/{}", coded(&id));
    assert_eq!(world.send(Caller::Operator, Method::GET, &own, &[("ngsild-tenant", "north")], None).await.status, 200);
    for (method, path) in [
        (Method::GET, own.clone()),
        (Method::GET, format!("{own}/export")),
        (Method::POST, format!("{own}/withdraw")),
        (Method::POST, format!("{own}/suspend")),
        (Method::POST, format!("{own}/resume")),
    ] {
        let answer = world.send(Caller::Operator, method.clone(), &path, &[("ngsild-tenant", "south")], None).await;
        assert_eq!((answer.status.as_u16(), code(&answer).as_str()), (404, "no-such-thing"), "{method} {path}");
    }
    let listed = world.send(Caller::Operator, Method::GET, &path, &[("ngsild-tenant", "south")], None).await;
    assert_eq!(value(&listed)["items"], json!([]));
    world.server.stop().await;
}

#[tokio::test]
async fn what_is_anothers_and_what_is_missing_are_answered_alike() {
    let world = world().await;
    let hers = world.granted(Caller::Anna, &json!({ "record": record(ANNA) })).await;
    for tail in ["", "/export", "/withdraw", "/suspend", "/resume"] {
        let method = if tail.is_empty() || tail == "/export" { Method::GET } else { Method::POST };
        let ask = |id: String| {
            let (world, method) = (&world, method.clone());
            async move { world.send(Caller::Berta, method, &format!("{PORTAL}/consents/{}{tail}", coded(&id)), &[], None).await }
        };
        let (foreign, missing) = (ask(hers.clone()).await, ask("urn:waybill:consent:none".to_owned()).await);
        assert_eq!(foreign.status, 404, "{tail}");
        assert_eq!((foreign.status, &foreign.body), (missing.status, &missing.body), "{tail}");
    }
    let (foreign, missing) = (
        world.get(Caller::Berta, &format!("/subjects/{}/journal", coded(ANNA))).await,
        world.get(Caller::Berta, &format!("/subjects/{}/journal", coded("urn:nobody"))).await,
    );
    assert_eq!((foreign.status.as_u16(), &foreign.body), (404, &missing.body));
    assert_eq!(world.get(Caller::Anna, &format!("/consents/{}", coded(&hers))).await.status, 200, "nothing happened to it");
    world.server.stop().await;
}

#[tokio::test]
async fn a_person_lists_what_is_hers_whatever_she_asks() {
    let world = world().await;
    let anna = world.granted(Caller::Anna, &json!({ "record": record(ANNA) })).await;
    let berta = world.granted(Caller::Berta, &json!({ "record": record(BERTA) })).await;
    let ids = |answer: &waybill_http::InResponse| -> Vec<String> {
        value(answer)["items"].as_array().unwrap().iter().map(|i| i["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&world.get(Caller::Anna, "/consents").await), std::slice::from_ref(&anna));
    assert_eq!(ids(&world.get(Caller::Anna, &format!("/consents?subject={}", coded(ANNA))).await), std::slice::from_ref(&anna));
    for path in ["/consents", "/bindings", "/holders", "/withdrawals"] {
        let answer = world.get(Caller::Anna, &format!("{path}?subject={}", coded(BERTA))).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    let mut both = [anna, berta.clone()];
    both.sort();
    assert_eq!(ids(&world.get(Caller::Operator, "/consents").await), both);
    assert_eq!(ids(&world.get(Caller::Operator, &format!("/consents?subject={}", coded(BERTA))).await), [berta]);
    world.server.stop().await;
}

#[tokio::test]
async fn no_answer_with_somebody_in_it_is_kept() {
    let world = world().await;
    let id = world.granted(Caller::Anna, &json!({ "record": record(ANNA) })).await;
    for path in [
        "/consents".to_owned(),
        format!("/consents/{}", coded(&id)),
        format!("/consents/{}/export", coded(&id)),
        "/bindings".to_owned(),
        "/holders".to_owned(),
        "/withdrawals".to_owned(),
        format!("/subjects/{}/journal", coded(ANNA)),
    ] {
        let answer = world.get(Caller::Anna, &path).await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, Some("no-store")), "{path}");
    }
    world.server.stop().await;
}

#[tokio::test]
async fn health_is_for_everybody_and_its_details_for_the_operator_and_this_machine() {
    let world = world().await;
    let far: &[(&'static str, &str)] = &[("x-forwarded-for", "203.0.113.7")];
    let get = |caller, path: &'static str, lines: &'static [(&'static str, &'static str)]| world.send(caller, Method::GET, path, lines, None);
    assert_eq!(get(Caller::Nobody, "/livez", &[]).await.status, 200);
    assert_eq!(value(&get(Caller::Nobody, "/readyz", &[]).await), json!({"ready": true, "checks": [{"name": "store", "ok": true}]}));
    assert_eq!(value(&world.send(Caller::Nobody, Method::GET, "/readyz", far, None).await), json!({"ready": true}));
    world.hub.state.lock().unwrap().unwell = true;
    let unwell = world.send(Caller::Nobody, Method::GET, "/readyz", far, None).await;
    assert_eq!((unwell.status.as_u16(), value(&unwell), unwell.header("retry-after")), (503, json!({"ready": false}), Some("1")));
    assert_eq!(get(Caller::Nobody, "/livez", &[]).await.status, 200, "alive, if not ready");
    assert_eq!(world.send(Caller::Nobody, Method::GET, "/metrics", far, None).await.status, 401);
    assert_eq!(world.send(Caller::CityB, Method::GET, "/metrics", far, None).await.status, 403);
    assert_eq!(world.send(Caller::Operator, Method::GET, "/metrics", far, None).await.status, 200);
    let text = get(Caller::Nobody, "/metrics", &[]).await;
    assert!(String::from_utf8_lossy(&text.body).contains("waybill_http_requests_total{method=\"GET\",route=\"/livez\""));
    assert!(get(Caller::Nobody, "/waybill/v1/openapi.yaml", &[]).await.body.starts_with(b"openapi: 3.1"));
    world.server.stop().await;
    let open = world_with(true).await;
    assert_eq!(open.send(Caller::Nobody, Method::GET, "/metrics", far, None).await.status, 200);
    open.server.stop().await;
}
