//! Bad input, each with its status, code and place, and nothing half done.

use crate::entities::building;
use crate::wire::World;
use serde_json::{Value, json};

const A: &str = "/entities/urn:ngsi-ld:Building:a";

/// Every request with a body, as (method, path, a good body).
fn with_bodies() -> Vec<(&'static str, String, Value)> {
    let item = json!([{"id": "urn:ngsi-ld:Building:a", "type": "Building"}]);
    let fragment = json!({"x": {"type": "Property", "value": 1}});
    vec![
        ("POST", "/entities".into(), building("z")),
        ("PUT", A.into(), building("a")),
        ("PATCH", A.into(), fragment.clone()),
        ("POST", format!("{A}/attrs"), fragment.clone()),
        ("PATCH", format!("{A}/attrs"), fragment),
        ("PATCH", format!("{A}/attrs/name"), json!({"value": 1})),
        ("PUT", format!("{A}/attrs/name"), json!({"type": "Property", "value": 1})),
        ("POST", "/entityOperations/create".into(), item.clone()),
        ("POST", "/entityOperations/upsert".into(), item.clone()),
        ("POST", "/entityOperations/update".into(), item.clone()),
        ("POST", "/entityOperations/merge".into(), item),
        ("POST", "/entityOperations/delete".into(), json!(["urn:ngsi-ld:Building:a"])),
        ("POST", "/entityOperations/query".into(), json!({"type": "Query", "entities": [{"type": "Building"}]})),
        ("POST", "/subscriptions".into(), crate::subscriptions::subscription()),
        ("PATCH", "/subscriptions/urn:s".into(), json!({"isActive": true})),
    ]
}

async fn world() -> World {
    let w = World::new().await;
    w.json("POST", "/entities", &building("a")).await.expect(201);
    w
}

#[tokio::test]
async fn every_body_is_checked_alike() {
    let w = world().await;
    let before = w.hub.held("urn:ngsi-ld:Building:a").expect("held");
    let (json_type, ld) = (("Content-Type", "application/json"), ("Content-Type", "application/ld+json"));
    let link = ("Link", "<https://x.org/c>; rel=\"http://www.w3.org/ns/json-ld#context\"");
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for (method, path, good) in with_bodies() {
        let full = format!("/ngsi-ld/v1{path}");
        let good = good.to_string();
        // What is no entity at all is no request to create one.
        let shapeless = if path == "/entities" { "InvalidRequest" } else { "BadRequestData" };
        // In a batch the @context is the affair of each item.
        let batch = path.starts_with("/entityOperations/") && !path.ends_with("query");
        type Case<'a> = (Vec<(&'a str, &'a str)>, Vec<u8>, u16, &'a str, &'a str);
        let mut cases: Vec<Case<'_>> = vec![
            (vec![json_type], b"{\"a\":".to_vec(), 400, "InvalidRequest", "invalid-json"),
            (vec![json_type], Vec::new(), 400, "InvalidRequest", "invalid-json"),
            (vec![json_type], good.as_bytes()[..good.len() - 1].to_vec(), 400, "InvalidRequest", "invalid-json"),
            (vec![json_type], b"{\"a\":1,\"a\":2}".to_vec(), 400, "InvalidRequest", "invalid-json"),
            (vec![json_type], b"{\"a\":NaN}".to_vec(), 400, "InvalidRequest", "invalid-json"),
            (vec![json_type], b"{\"a\":\"\xff\"}".to_vec(), 400, "InvalidRequest", "invalid-json"),
            (vec![json_type], deep.clone().into_bytes(), 400, "InvalidRequest", "invalid-json"),
            (vec![("Content-Type", "text/plain")], good.clone().into_bytes(), 415, "", ""),
            (vec![], good.clone().into_bytes(), 415, "", ""),
            (vec![json_type], b"5".to_vec(), 400, shapeless, ""),
            (vec![json_type], b"null".to_vec(), 400, shapeless, ""),
        ];
        if path != "/entityOperations/delete" {
            let mut inside: Value = serde_json::from_str(&good).expect("JSON");
            let place = if inside.is_array() { &mut inside[0] } else { &mut inside };
            place["@context"] = json!({"x": "https://x.org/x"});
            let inside = inside.to_string().into_bytes();
            cases.push((vec![json_type], inside.clone(), 400, "BadRequestData", "context-in-json"));
            cases.push((vec![ld, link], inside, 400, "BadRequestData", "context-twice"));
            cases.push((vec![ld], good.clone().into_bytes(), 400, "BadRequestData", "context-missing"));
            cases.push((vec![json_type, link, link], good.clone().into_bytes(), 400, "BadRequestData", "context-twice"));
            cases.push((vec![json_type, link], good.clone().into_bytes(), 504, "LdContextNotAvailable", "context-not-available"));
        }
        if method != "PATCH" {
            cases.push((vec![("Content-Type", "application/merge-patch+json")], good.clone().into_bytes(), 415, "", ""));
        }
        for (headers, body, status, kind, code) in cases {
            let what = || format!("{method} {path} {headers:?} {}", String::from_utf8_lossy(&body[..body.len().min(80)]));
            let reply = w.send(method, &full, &headers, Some(&body)).await;
            let by_item = batch && matches!(code, "context-in-json" | "context-missing" | "context-not-available");
            assert_eq!(reply.status, if by_item { 207 } else { status }, "{}: {}", what(), String::from_utf8_lossy(&reply.body));
            if kind.is_empty() {
                assert!(reply.body.is_empty(), "{}", what());
                continue;
            }
            let problem = if by_item { reply.json()["errors"][0]["error"].clone() } else { reply.json() };
            assert_eq!(problem["type"], format!("https://uri.etsi.org/ngsi-ld/errors/{kind}"), "{}: {problem}", what());
            assert!(code.is_empty() || problem["code"] == code, "{}: {problem}", what());
            assert!(["title", "detail", "status"].iter().all(|m| !problem[m].is_null()) && reply.header("content-type") == Some("application/json"), "{}", what());
        }
        // No length: refused before anything else, without a body. An unknown parameter and an unknown tenant's name are refused too.
        let chunked = format!("{method} {full} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nNGSILD-Tenant: nobody\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n", w.server.addr);
        let reply = w.raw(chunked.as_bytes()).await.expect(411);
        assert!(reply.body.is_empty());
        let unknown = w.send(method, &format!("{full}?mystery=1"), &[json_type], Some(good.as_bytes())).await.expect(400).json();
        assert_eq!((unknown["code"].as_str(), unknown["where"].as_str(), unknown["type"].as_str()), (Some("unknown-parameter"), Some("mystery"), Some("https://uri.etsi.org/ngsi-ld/errors/InvalidRequest")), "{method} {path}");
        assert_eq!(w.send(method, &full, &[json_type, ("NGSILD-Tenant", "no tenant!")], Some(good.as_bytes())).await.expect(400).json()["code"], "bad-tenant");
    }
    assert_eq!(w.hub.held("urn:ngsi-ld:Building:a"), Some(before));
    assert_eq!(w.get("/entities?local=true").await.json().as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn parameters_are_checked() {
    let w = world().await;
    for (path, status, kind, code, place) in [
        ("/entities", 400, "BadRequestData", "query-too-wide", "query"), ("/entities?id=urn:a", 400, "BadRequestData", "query-too-wide", "query"), ("/entities?q=createdAt%3E2020-01-01T00:00:00Z", 400, "BadRequestData", "query-too-wide", "query"),
        ("/entities?type=Building&id=no", 400, "BadRequestData", "not-a-uri", "id"), ("/entities?type=(Building", 400, "BadRequestData", "query-syntax", "type"), ("/entities?type=Building&q=a==", 400, "BadRequestData", "query-syntax", "q"),
        ("/entities?type=Building&idPattern=%5B", 400, "BadRequestData", "query-syntax", "idPattern"), ("/entities?type=Building&scopeQ=//", 400, "BadRequestData", "query-syntax", "scopeQ"), ("/entities?georel=near;maxDistance==5", 400, "BadRequestData", "incomplete-geo-query", "geometry"),
        ("/entities?georel=near&geometry=Point&coordinates=[1,2]", 400, "BadRequestData", "query-syntax", "georel"), ("/entities?georel=within&geometry=Point&coordinates=[1", 400, "BadRequestData", "query-syntax", "coordinates"), ("/entities?geometry=Point&coordinates=[1,2]", 400, "BadRequestData", "incomplete-geo-query", "georel"),
        ("/entities?type=Building&limit=0", 400, "BadRequestData", "bad-paging", "limit"), ("/entities?type=Building&limit=-1", 400, "BadRequestData", "bad-paging", "limit"), ("/entities?type=Building&limit=x", 400, "BadRequestData", "bad-paging", "limit"), ("/entities?type=Building&offset=-1", 400, "BadRequestData", "bad-paging", "offset"),
        ("/entities?type=Building&limit=1001", 403, "TooManyResults", "page-too-large", "limit"), ("/entities?type=Building&count=maybe", 400, "InvalidRequest", "bad-parameter", "count"), ("/entities?type=Building&format=xml", 400, "InvalidRequest", "bad-parameter", "format"), ("/entities?type=Building&options=keyValue", 400, "InvalidRequest", "bad-parameter", "options"),
        ("/entities?type=Building&pick=a&attrs=b", 400, "BadRequestData", "query-syntax", "attrs"), ("/entities?type=Building&pick=a&omit=a", 400, "BadRequestData", "query-syntax", "omit"), ("/entities?type=Building&pick=owner%7Bname%7D", 400, "BadRequestData", "linked-without-join", "join"), ("/entities?q=owner%7Bname%7D", 400, "BadRequestData", "linked-without-join", "join"),
        ("/entities?type=Building&collation=!!nope", 400, "BadRequestData", "bad-collation", "collation"), ("/entities?type=*&local=false", 400, "BadRequestData", "wildcard-not-local", "local"), ("/entities?attrs=id,type", 400, "BadRequestData", "query-syntax", "attrs"), ("/entities?attrs=createdAt", 400, "BadRequestData", "query-too-wide", "query"), ("/entities?type=Building&csf=((", 400, "BadRequestData", "query-syntax", "csf"), ("/entities?type=Building&idPattern=a**", 400, "BadRequestData", "query-syntax", "idPattern"),
        ("/entities?local=true&orderBy=location;dist-asc", 400, "BadRequestData", "query-syntax", "orderBy"), ("/entities?type=Building&geometryProperty=location", 400, "BadRequestData", "geometry-property-without-geojson", "geometryProperty"),
        ("/entities?type=Building&join=sideways", 400, "BadRequestData", "bad-join", "join"), ("/entities?type=Building&join=inline&joinLevel=0", 400, "BadRequestData", "bad-join", "joinLevel"), ("/entities?type=Building&join=inline&joinLevel=9", 400, "BadRequestData", "bad-join", "joinLevel"), ("/entities?q=owner%7Bname%7D&join=inline", 422, "OperationNotSupported", "not-offered", "q"), ("/entities?q=owner%7Bworks%7Bname%7D%7D&join=inline", 400, "BadRequestData", "linked-without-join", "join"), ("/entities?type=Building&csf=a", 422, "OperationNotSupported", "not-offered", "csf"), ("/entities?type=Building&datasetId=x", 400, "BadRequestData", "query-syntax", "datasetId"), ("/entities?type=A&type=B", 400, "InvalidRequest", "bad-request", "type"),
        ("/entities?mystery=1", 400, "InvalidRequest", "unknown-parameter", "mystery"), ("/entities/no-uri", 400, "BadRequestData", "not-a-uri", "path"), ("/entities/urn:ngsi-ld:Building:a?geometryProperty=location", 400, "BadRequestData", "geometry-property-without-geojson", "geometryProperty"),
        ("/entities/urn:ngsi-ld:Building:a?q=a", 400, "InvalidRequest", "unknown-parameter", "q"), ("/types?mystery=1", 400, "InvalidRequest", "unknown-parameter", "mystery"), ("/types?details=x", 400, "InvalidRequest", "bad-parameter", "details"), ("/types/a%20b", 400, "BadRequestData", "bad-name", "path"),
        ("/attributes/a%20b", 400, "BadRequestData", "bad-name", "path"), ("/subscriptions?limit=0", 400, "BadRequestData", "bad-paging", "limit"), ("/subscriptions/no-uri", 400, "BadRequestData", "not-a-uri", "path"), ("/nothing", 404, "ResourceNotFound", "not-found", ""),
    ] {
        let problem = w.get(path).await.expect(status).json();
        assert_eq!((problem["code"].as_str(), problem["where"].as_str().unwrap_or_default()), (Some(code), place), "{path}: {problem}");
        assert_eq!(problem["type"], format!("https://uri.etsi.org/ngsi-ld/errors/{kind}"), "{path}");
    }
    let complex = w.get(&format!("/entities?type=Building&q={}", vec!["a"; 600].join(";"))).await.expect(403).json();
    assert_eq!((complex["code"].as_str(), complex["type"].as_str()), (Some("query-too-complex"), Some("https://uri.etsi.org/ngsi-ld/errors/TooComplexQuery")));
    for path in [A, "/entities?type=Building", "/types", "/attributes", "/subscriptions"] {
        assert_eq!(w.get_as(path, "text/html").await.expect(406).json()["code"], "not-acceptable", "{path}");
    }
    w.get_as("/subscriptions", "application/geo+json").await.expect(406);
}

#[tokio::test]
async fn methods_that_a_resource_has_not_are_named() {
    let w = world().await;
    // Behind the slash an id is missing.
    w.json("PATCH", "/entities/", &json!({})).await.expect(400);
    for (path, method, allowed) in [
        ("/entities", "PATCH", vec!["DELETE", "GET", "POST"]), ("/entities", "PUT", vec!["DELETE", "GET", "POST"]), (A, "POST", vec!["DELETE", "GET", "PATCH", "PUT"]), ("/entityOperations/create", "GET", vec!["POST"]), ("/types", "DELETE", vec!["GET"]), ("/subscriptions/", "PATCH", vec!["GET", "POST"]),
    ] {
        let reply = w.json(method, path, &json!({})).await.expect(405);
        let allow = reply.header("allow").expect("Allow").split(", ").filter(|m| !matches!(*m, "HEAD" | "OPTIONS")).collect::<Vec<_>>();
        assert_eq!(allow, allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn entities_are_checked_member_by_member() {
    let w = world().await;
    let with = |name: &str, value: Value| {
        let mut b = building("z");
        b[name] = value;
        b
    };
    let without = |name: &str| {
        let mut b = building("z");
        b.as_object_mut().expect("an object").remove(name);
        b
    };
    for (body, place) in [
        (without("id"), "/id"), (without("type"), "/type"), (with("id", json!("x")), "/id"), (with("id", json!(1)), "/id"), (with("id", json!("")), "/id"), (with("type", json!([])), "/type"), (with("type", json!("")), "/type"), (with("type", json!(1)), "/type"),
        (with("name", json!({"type": "Property"})), "/name"), (with("name", json!({"type": "Property", "value": null})), "/name/value"), (with("name", Value::Null), "/name"), (with("name", json!("urn:ngsi-ld:null")), "/name"), (with("owner", json!({"type": "Relationship", "object": "x"})), "/owner/object"),
        (with("owner", json!({"type": "Relationship", "value": "urn:x"})), "/owner/value"), (with("floors", json!({"type": "Property", "value": 1, "observedAt": "yesterday"})), "/floors/observedAt"), (with("location", json!({"type": "GeoProperty", "value": {"type": "Point"}})), "/location/value"),
        (with("scope", json!("//")), "/scope"), (with("expiresAt", json!("x")), "/expiresAt"), (with("a b", json!(1)), "/a b"), (with("name", json!([{"type": "Property", "value": 1}, {"type": "Property", "value": 2}])), "/name/1"), (with("name", json!({"type": "Property", "value": 1, "datasetId": "x"})), "/name/datasetId"),
    ] {
        let problem = w.json("POST", "/entities", &body).await.expect(400).json();
        assert_eq!(problem["type"], "https://uri.etsi.org/ngsi-ld/errors/BadRequestData", "{body}");
        assert!(problem["where"].as_str().is_some_and(|p| p.starts_with(place)), "{body}: {problem}");
        assert!(!problem.to_string().contains("Building z"), "a value stands in {problem}");
    }
    assert_eq!(w.hub.held("urn:ngsi-ld:Building:z"), None);
    for (method, path, body, status, code) in [
        ("PUT", A, building("b"), 400, "id-mismatch"), ("PATCH", A, json!({"id": "urn:other", "x": 1}), 400, "id-mismatch"), ("POST", "/entities//attrs", json!({"x": 1}), 400, "not-a-uri"), ("PATCH", "/entities//attrs/x", json!({"value": 1}), 400, "not-a-uri"),
        ("PATCH", "/entities/urn:ngsi-ld:Building:a/attrs/scope", json!({"value": 1}), 400, "not-an-attribute"), ("PATCH", "/entities/urn:ngsi-ld:Building:a/attrs/a%20b", json!({"value": 1}), 400, "bad-name"), ("PATCH", "/entities/urn:ngsi-ld:Building:a/attrs/name", json!({"type": "Relationship", "object": "urn:x"}), 400, "attribute-does-not-merge"),
        ("PATCH", "/entities/urn:ngsi-ld:Building:a?observedAt=x", json!({"x": 1}), 400, "bad-datetime"), ("POST", "/entityOperations/create", json!([]), 400, "not-a-batch"), ("POST", "/entityOperations/create", json!([null]), 400, "not-a-batch"), ("POST", "/entityOperations/delete", json!([]), 400, "not-a-batch"),
        ("POST", "/entityOperations/delete", json!([1]), 400, "not-a-batch"), ("POST", "/entityOperations/upsert?options=maybe", json!([building("a")]), 400, "bad-parameter"), ("POST", "/entityOperations/query", json!({"type": "Q"}), 400, "bad-query"), ("POST", "/entityOperations/query", json!({"type": "Query"}), 400, "query-too-wide"),
        ("POST", "/entityOperations/query", json!({"type": "Query", "entities": [{"type": 1}]}), 400, "bad-selector"), ("POST", "/entityOperations/query", json!({"type": "Query", "entities": [{"type": "A"}], "mystery": 1}), 400, "bad-query"), ("POST", "/entityOperations/query", json!({"type": "Query", "entities": [{"type": "A"}], "temporalQ": {}}), 400, "bad-query"),
        ("POST", "/entityOperations/query", json!({"type": "Query", "entities": [{"type": "A"}], "join": "flat", "joinLevel": 0}), 400, "bad-join"), ("POST", "/entityOperations/query", json!({"type": "Query", "entities": [{"type": "A"}], "join": "up"}), 400, "bad-join"),
        ("POST", "/entityOperations/query", json!({"type": "Query", "entities": [{"type": "A"}], "ordering": {"orderBy": ["location;dist-asc"]}}), 400, "query-syntax"), ("POST", "/entityOperations/query", json!({"type": "Query", "entities": [{"type": "A"}], "ordering": {"orderBy": ["id"], "collation": "no tag!"}}), 400, "bad-collation"),
        ("POST", "/entityOperations/query", json!({"type": "Query", "entities": [{"type": "A"}], "geoQ": {"georel": 1}}), 400, "bad-geo-query"),
    ] {
        let problem = w.json(method, path, &body).await.expect(status).json();
        assert_eq!(problem["code"], code, "{method} {path} {body}: {problem}");
    }
    let both = w.delete("/entities/urn:ngsi-ld:Building:a/attrs/name?deleteAll=true&datasetId=urn:d").await.expect(400).json();
    assert_eq!(both["code"], "bad-parameters");
}
