//! Definitions that are refused, each by its name and its place; none leaves anything behind.

use crate::manage::{AIR, about, anyone, asset, contract, found, make_air, only, policy, provider};
use crate::support::free;
use serde_json::{Value, json};
use waybill_http::Method;
use waybill_model::Clock;

const KINDS: [&str; 4] = ["/assets", "/policydefinitions", "/contractdefinitions", "/secrets"];

/// A body in which one member is another.
fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    body.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object").insert(name.to_owned(), value);
    body
}
fn without(mut body: Value, pointer: &str) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    body.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object").remove(name).expect("it was there");
    body
}

fn permission(rule: Value) -> Value {
    policy("x", json!({"permission": [rule]}))
}

#[tokio::test]
async fn each_fault_is_named_with_its_place_and_nothing_is_kept() {
    let p = provider(free(), free(), &Clock::system()).start().await;
    let wire = p.managed();
    make_air(&wire).await;
    let mut before = Vec::new();
    for kind in KINDS {
        before.push(found(&wire, &format!("{kind}/request"), &json!({})).await);
    }
    let long = "x".repeat(2049);
    let huge = "x".repeat(70_000);
    let (good, terms) = (asset("x", "stations"), contract("x", "anyone", "anyone", about(AIR)));
    let criterion = |c: Value| with(terms.clone(), "/assetsSelector", json!([c]));
    let secret = json!({"@id": "x", "value": "v"});
    // (path, body, status, code, where)
    let cases: Vec<(&str, Value, u16, &str, &str)> = vec![
        // Any of them
        ("/assets", json!([good.clone(), good.clone()]), 400, "bad-message", ""),
        ("/assets", json!("x"), 400, "bad-message", ""),
        ("/assets", with(good.clone(), "/@id", json!("")), 400, "bad-message", "/@id"),
        ("/assets", with(good.clone(), "/@id", json!(7)), 400, "bad-message", "/@id"),
        ("/assets", with(good.clone(), "/@id", json!(long)), 400, "bad-message", "/@id"),
        ("/assets", with(good.clone(), "/more", json!(1)), 400, "bad-message", "/more"),
        ("/assets", with(good.clone(), "/edc:dataAddress", json!({})), 400, "member-twice", "/dataAddress"),
        // Assets
        ("/assets", without(good.clone(), "/dataAddress"), 400, "bad-message", "/dataAddress"),
        ("/assets", with(good.clone(), "/dataAddress", json!("x")), 400, "bad-message", "/dataAddress"),
        ("/assets", without(good.clone(), "/dataAddress/type"), 400, "bad-message", "/dataAddress/type"),
        ("/assets", without(good.clone(), "/dataAddress/route"), 400, "bad-message", "/dataAddress/route"),
        ("/assets", with(good.clone(), "/dataAddress/type", json!("HttpData")), 400, "data-address-not-supported", "/dataAddress/type"),
        ("/assets", with(good.clone(), "/dataAddress/baseUrl", json!("https://x.example")), 400, "bad-message", "/dataAddress/baseUrl"),
        ("/assets", with(good.clone(), "/dataAddress/route", json!("nowhere")), 400, "unknown-route", "/dataAddress/route"),
        ("/assets", with(good.clone(), "/properties", json!([1])), 400, "bad-message", "/properties"),
        ("/assets", with(good.clone(), "/properties/big", json!(huge)), 400, "bad-message", "/properties"),
        ("/assets", with(good.clone(), "/properties/edc:name", json!("again")), 400, "member-twice", "/properties"),
        ("/assets", asset(AIR, "stations"), 409, "definition-exists", "/@id"),
        ("/assets", asset("urn:dataset:configured", "stations"), 409, "offered-by-configuration", "/@id"),
        // Policies: what is not kept is not promised
        ("/policydefinitions", json!({"@id": "x"}), 400, "bad-message", "/policy"),
        ("/policydefinitions", json!({"@id": "x", "policy": 7}), 400, "bad-message", "/policy"),
        ("/policydefinitions", policy("x", json!({})), 400, "policy-not-kept", "/policy/permission"),
        ("/policydefinitions", policy("x", json!({"permission": []})), 400, "policy-not-kept", "/policy/permission"),
        ("/policydefinitions", policy("x", json!({"permission": [7]})), 400, "bad-message", "/policy/permission/0"),
        ("/policydefinitions", permission(json!({})), 400, "bad-message", "/policy/permission/0/action"),
        ("/policydefinitions", permission(json!({"action": "odrl:distribute"})), 400, "policy-not-kept", "/policy/permission/0/action"),
        ("/policydefinitions", policy("x", only("odrl:count", "lteq", "5")), 400, "*", "count"),
        ("/policydefinitions", policy("x", only("https://w3id.org/catenax/policy/Membership", "eq", "active")), 400, "*", "https://w3id.org/catenax/policy/Membership"),
        ("/policydefinitions", policy("x", only("odrl:purpose", "neq", "https://w3id.org/waybill/purpose#EnergyBalance")), 400, "*", "purpose neq"),
        ("/policydefinitions", policy("x", only("odrl:purpose", "eq", "no iri")), 400, "*", "no iri"),
        ("/policydefinitions", policy("x", only("odrl:purpose", "like", "x")), 400, "bad-message", "/policy/permission/0/constraint/0/operator"),
        ("/policydefinitions", policy("x", only("odrl:dateTime", "gt", "2030-01-01T00:00:00Z")), 400, "policy-not-kept", "/policy/permission/0/constraint/0"),
        ("/policydefinitions", policy("x", only("odrl:recipient", "neq", "c")), 400, "*", "recipient neq"),
        ("/policydefinitions", permission(json!({"action": "use", "target": "urn:x"})), 400, "policy-not-kept", "/policy/permission/0/target"),
        ("/policydefinitions", policy("x", with(anyone(), "/target", json!("urn:x"))), 400, "policy-not-kept", "/policy/target"),
        ("/policydefinitions", policy("x", with(anyone(), "/prohibition", json!([{"action": "distribute", "constraint": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "c"}]}]))), 400, "policy-not-kept", "/policy/prohibition/0/constraint"),
        ("/policydefinitions", policy("x", json!({"permission": [{"action": "use", "constraint": [{"or": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "c"}]}]}]})), 400, "policy-not-kept", "/policy/permission/0/constraint/0/or"),
        ("/policydefinitions", with(policy("x", anyone()), "/policy/big", json!(huge)), 400, "bad-message", "/policy"),
        ("/policydefinitions", policy("anyone", anyone()), 409, "definition-exists", "/@id"),
        // Contract definitions
        ("/contractdefinitions", without(terms.clone(), "/accessPolicyId"), 400, "bad-message", "/accessPolicyId"),
        ("/contractdefinitions", without(terms.clone(), "/contractPolicyId"), 400, "bad-message", "/contractPolicyId"),
        ("/contractdefinitions", with(terms.clone(), "/accessPolicyId", json!("nowhere")), 400, "unknown-policy", "/accessPolicyId"),
        ("/contractdefinitions", with(terms.clone(), "/contractPolicyId", json!("nowhere")), 400, "unknown-policy", "/contractPolicyId"),
        ("/contractdefinitions", with(terms.clone(), "/assetsSelector", json!("x")), 400, "bad-message", "/assetsSelector/0"),
        ("/contractdefinitions", criterion(json!({"operator": "=", "operandRight": "x"})), 400, "bad-message", "/assetsSelector/0/operandLeft"),
        ("/contractdefinitions", criterion(json!({"operandLeft": "id", "operandRight": "x"})), 400, "bad-message", "/assetsSelector/0/operator"),
        ("/contractdefinitions", criterion(json!({"operandLeft": "id", "operator": "="})), 400, "bad-message", "/assetsSelector/0/operandRight"),
        ("/contractdefinitions", criterion(json!({"operandLeft": "id", "operator": "~", "operandRight": "x"})), 400, "bad-message", "/assetsSelector/0/operator"),
        ("/contractdefinitions", criterion(json!({"operandLeft": "id", "operator": "like", "operandRight": 7})), 400, "bad-message", "/assetsSelector/0/operandRight"),
        ("/contractdefinitions", with(terms.clone(), "/assetsSelector", (0..101).map(|_| about(AIR)[0].clone()).collect()), 400, "bad-message", "/assetsSelector"),
        ("/contractdefinitions", contract("air", "anyone", "anyone", about(AIR)), 409, "definition-exists", "/@id"),
        // Secrets
        ("/secrets", without(secret.clone(), "/value"), 400, "bad-message", "/value"),
        ("/secrets", with(secret.clone(), "/value", json!("")), 400, "bad-message", "/value"),
        ("/secrets", with(secret.clone(), "/value", json!(7)), 400, "bad-message", "/value"),
        ("/secrets", with(secret.clone(), "/value", json!(huge)), 400, "bad-message", "/value"),
        // Queries
        ("/assets/request", json!({"limit": "x"}), 400, "bad-message", "/limit"),
        ("/assets/request", json!({"offset": -1}), 400, "bad-message", "/offset"),
        ("/assets/request", json!({"sortOrder": "UP"}), 400, "bad-message", "/sortOrder"),
        ("/assets/request", json!({"where": "x"}), 400, "bad-message", "/where"),
        ("/assets/request", json!({"filterExpression": [7]}), 400, "bad-message", "/filterExpression/0"),
        ("/contractagreements/request", json!({"filterExpression": [{"operandLeft": "id", "operator": ">", "operandRight": "x"}]}), 400, "bad-message", "/filterExpression/0/operator"),
    ];
    for (path, body, status, code, place) in cases {
        let shown: String = body.to_string().chars().take(300).collect();
        let (found, said) = wire.post(path, &body).await;
        assert_eq!(found, status, "{path} {shown}: {said}");
        let (kind, at, told) = (&said[0]["type"], &said[0]["path"], said[0]["message"].as_str().unwrap_or_default());
        if code == "*" {
            // Refused where policies are understood, or where they are kept: by its name in either case.
            assert!(told.contains(place) && (kind == "policy-not-understood" || kind == "policy-not-kept"), "{path} {shown}: {said}");
        } else {
            assert_eq!((kind, at), (&json!(code), &json!(place)), "{path} {shown}: {said}");
        }
        assert!(!told.is_empty() && told.len() < 1000, "{path} {shown}: {said}");
    }
    // Members that stand twice, and what is no JSON.
    for text in [r#"{"@id":"x","value":"v","value":"w"}"#, r#"{"@id":"x","#, "", "null"] {
        let (status, said) = wire.send(Method::POST, "/secrets", "application/json", text).await;
        assert_eq!(status, 400, "{text}: {said}");
        assert!(said[0]["type"].is_string(), "{said}");
    }
    let mut after = Vec::new();
    for kind in KINDS {
        after.push(found(&wire, &format!("{kind}/request"), &json!({})).await);
    }
    assert_eq!(after, before);
}

#[tokio::test]
async fn what_is_configured_in_use_or_not_there_is_not_changed() {
    let p = provider(free(), free(), &Clock::system()).start().await;
    let wire = p.managed();
    make_air(&wire).await;
    let configured = "urn:dataset:configured";
    let (_, offers) = wire.post("/policydefinitions/request", &json!({})).await;
    let offer = offers[0]["@id"].as_str().expect("an id").to_owned();
    let definition = format!("{configured}:{offer}");
    // (method, path, body, status, code)
    let cases = [
        (Method::PUT, "/assets".to_owned(), asset(configured, "stations"), 409, "offered-by-configuration"),
        (Method::DELETE, format!("/assets/{configured}"), Value::Null, 409, "offered-by-configuration"),
        (Method::PUT, format!("/policydefinitions/{offer}"), policy(&offer, anyone()), 409, "offered-by-configuration"),
        (Method::DELETE, format!("/policydefinitions/{offer}"), Value::Null, 409, "offered-by-configuration"),
        (Method::PUT, "/contractdefinitions".to_owned(), contract(&definition, "anyone", "anyone", about(AIR)), 409, "offered-by-configuration"),
        (Method::DELETE, format!("/contractdefinitions/{definition}"), Value::Null, 409, "offered-by-configuration"),
        (Method::DELETE, "/policydefinitions/anyone".to_owned(), Value::Null, 409, "definition-in-use"),
        (Method::PUT, "/assets".to_owned(), asset("nowhere", "stations"), 404, "not-found"),
        (Method::PUT, "/policydefinitions/nowhere".to_owned(), policy("nowhere", anyone()), 404, "not-found"),
        (Method::PUT, "/policydefinitions/anyone".to_owned(), policy("another", anyone()), 400, "bad-message"),
        (Method::PUT, "/contractdefinitions".to_owned(), contract("nowhere", "anyone", "anyone", about(AIR)), 404, "not-found"),
        (Method::PUT, "/secrets".to_owned(), json!({"@id": "nowhere", "value": "v"}), 404, "not-found"),
        (Method::PUT, "/assets".to_owned(), without(asset("nowhere", "stations"), "/@id"), 400, "bad-message"),
        (Method::DELETE, "/assets/nowhere".to_owned(), Value::Null, 404, "not-found"),
        (Method::DELETE, "/secrets/nowhere".to_owned(), Value::Null, 404, "not-found"),
        (Method::GET, "/contractdefinitions/nowhere".to_owned(), Value::Null, 404, "not-found"),
    ];
    for (method, path, body, status, code) in cases {
        let bytes = if body.is_null() { String::new() } else { body.to_string() };
        let (found, said) = wire.send(method.clone(), &path, "application/json", bytes).await;
        assert_eq!((found, &said[0]["type"]), (status, &json!(code)), "{method} {path}: {said}");
    }
    // What is no route of the interface has a body too.
    for (method, path, status) in [(Method::PATCH, "/assets", 405), (Method::GET, "/assets", 405), (Method::GET, "/nothing", 404), (Method::POST, "/dataplanes", 404)] {
        let (found, said) = wire.send(method.clone(), path, "", Vec::new()).await;
        assert_eq!(found, status, "{method} {path}: {said}");
        assert!(said.is_object() || said.is_array(), "{method} {path}: {said}");
    }
    // Several at once under one name: one is made.
    let body = asset("raced", "stations");
    let all = tokio::join!(wire.post("/assets", &body), wire.post("/assets", &body), wire.post("/assets", &body));
    let mut statuses = [all.0.0, all.1.0, all.2.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409]);
}
