//! Entities over the wire: create, retrieve, query, merge, replace, delete.

use crate::wire::World;
use serde_json::{Value, json};

pub(crate) fn building(id: &str) -> Value {
    let mut body: Value = serde_json::from_str(include_str!("../../fixtures/building.json")).expect("a fixture");
    body["id"] = json!(format!("urn:ngsi-ld:Building:{id}"));
    body["name"]["value"] = json!(format!("Building {id}"));
    body["floors"]["value"] = json!(id.len());
    body
}

#[tokio::test]
async fn an_entity_comes_and_goes() {
    let w = World::new().await;
    let made = w.json("POST", "/entities/", &building("a")).await.expect(201);
    assert_eq!(made.header("location"), Some("/ngsi-ld/v1/entities/urn:ngsi-ld:Building:a"));
    assert!(made.body.is_empty());
    let got = w.get("/entities/urn:ngsi-ld:Building:a").await.expect(200);
    assert_eq!(got.json(), building("a"));
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert!(got.header("link").is_some_and(|l| l.contains("ngsi-ld-core-context") && l.contains("rel=\"http://www.w3.org/ns/json-ld#context\"")));
    assert_eq!(w.json("POST", "/entities", &building("a")).await.expect(409).json()["type"], "https://uri.etsi.org/ngsi-ld/errors/AlreadyExists");
    let gone = w.delete("/entities/urn:ngsi-ld:Building:a").await.expect(204);
    assert!(gone.header("content-length").is_none() && gone.header("link").is_none());
    for path in ["/entities/urn:ngsi-ld:Building:a", "/entities/urn:ngsi-ld:Building:a/"] {
        assert_eq!(w.get(path).await.expect(404).json()["code"], "entity-not-found");
    }
    assert_eq!(w.delete("/entities/urn:random:probe").await.expect(404).json()["type"], "https://uri.etsi.org/ngsi-ld/errors/ResourceNotFound");
}

#[tokio::test]
async fn representations_and_media_types() {
    let w = World::new().await;
    w.json("POST", "/entities", &building("a")).await.expect(201);
    let path = "/entities/urn:ngsi-ld:Building:a";
    let simple = w.get(&format!("{path}?options=keyValues")).await.expect(200).json();
    assert_eq!((&simple["name"], &simple["owner"]), (&json!("Building a"), &json!("urn:ngsi-ld:Person:1")));
    for query in ["format=simplified", "format=keyValues", "options=simplified", "options=concise&format=simplified"] {
        assert_eq!(w.get(&format!("{path}?{query}")).await.expect(200).json(), simple, "{query}");
    }
    assert_eq!(w.get(&format!("{path}?format=concise")).await.expect(200).json()["floors"], json!({"value": 1, "observedAt": "2026-01-01T00:00:00Z"}));
    let system = w.get(&format!("{path}?options=sysAttrs")).await.expect(200).json();
    assert_eq!((&system["createdAt"], &system["name"]["modifiedAt"]), (&json!(crate::wire::NOW), &json!(crate::wire::NOW)));
    let ld = w.get_as(path, "application/ld+json").await.expect(200);
    assert!(ld.json().get("@context").is_some() && ld.header("link").is_none());
    let geo = w.get_as(path, "application/geo+json").await.expect(200).json();
    assert_eq!((&geo["type"], &geo["geometry"]["type"], &geo["properties"]["type"]), (&json!("Feature"), &json!("Point"), &json!("Building")));
    let all = w.get_as("/entities?type=Building", "application/geo+json").await.expect(200);
    assert_eq!((&all.json()["type"], all.json()["features"].as_array().map(Vec::len), all.json().get("@context").is_some()), (&json!("FeatureCollection"), Some(1), true));
    let bare = w.send("GET", "/ngsi-ld/v1/entities?type=Building", &[("Accept", "application/geo+json"), ("Prefer", "body=json")], None).await.expect(200);
    assert!(bare.json().get("@context").is_none() && bare.header("link").is_some());
    for (accept, expected) in [
        ("*/*", "application/json"), ("application/*", "application/json"), ("application/ld+json, application/json", "application/json"), ("application/geo+json, application/json", "application/json"),
        ("application/json;q=0.1, application/ld+json;q=0.9", "application/ld+json"), ("application/json;q=0, */*", "application/ld+json"), ("*/*;q=0.9, application/ld+json;q=0.8", "application/json"),
        ("application/ld+json;q=notanumber", "application/ld+json"), ("text/html, application/ld+json", "application/ld+json"),
    ] {
        assert_eq!(w.get_as(path, accept).await.expect(200).header("content-type"), Some(expected), "{accept}");
    }
}

#[tokio::test]
async fn members_are_picked_and_omitted() {
    let w = World::new().await;
    w.json("POST", "/entities", &building("a")).await.expect(201);
    let keys = |v: &Value| v.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    for (query, expected) in [
        ("pick=id,name", vec!["id", "name"]), ("omit=type,name,location", vec!["floors", "id", "owner"]), ("attrs=name", vec!["id", "name", "type"]), ("attrs=name,nothing", vec!["id", "name", "type"]), ("pick=type", vec!["type"]),
    ] {
        assert_eq!(keys(&w.get(&format!("/entities/urn:ngsi-ld:Building:a?{query}")).await.expect(200).json()), expected, "{query}");
        assert_eq!(keys(&w.get(&format!("/entities?type=Building&{query}")).await.expect(200).json()[0]), expected, "{query}");
    }
    w.get("/entities/urn:ngsi-ld:Building:a?attrs=nothing").await.expect(404);
    w.get("/entities/urn:ngsi-ld:Building:a?type=Vehicle").await.expect(404);
    assert_eq!(w.get("/entities?type=Building&attrs=nothing").await.expect(200).json(), json!([]));
}

#[tokio::test]
async fn queries_select_count_and_page() {
    let w = World::new().await;
    for id in ["a", "bb", "ccc", "dddd", "eeeee"] {
        w.json("POST", "/entities", &building(id)).await.expect(201);
    }
    let ids = |v: &Value| v.as_array().expect("an array").iter().map(|e| e["id"].as_str().and_then(|i| i.rsplit(':').next()).expect("an id").to_owned()).collect::<Vec<_>>();
    for (query, expected) in [
        ("type=Building", vec!["a", "bb", "ccc", "dddd", "eeeee"]), ("type=Vehicle", vec![]), ("q=floors%3E3", vec!["dddd", "eeeee"]), ("q=floors==1..2|name==%22Building%20ccc%22", vec!["a", "bb", "ccc"]),
        ("type=Building&id=urn:ngsi-ld:Building:a,urn:ngsi-ld:Building:ccc", vec!["a", "ccc"]), ("type=Building&idPattern=b%2B%24", vec!["bb"]), ("attrs=floors&q=floors<2", vec!["a"]),
        ("georel=near;maxDistance==1000&geometry=Point&coordinates=%5B24.9,60.2%5D&type=Building&limit=1", vec!["a"]), ("georel=within&geometry=Polygon&coordinates=[[[0,0],[1,0],[1,1],[0,0]]]", vec![]),
        ("type=Building&orderBy=floors;desc&limit=2", vec!["eeeee", "dddd"]), ("type=*&limit=1", vec!["a"]), ("q=floors.observedAt%3E2025-01-01T00:00:00Z;owner==urn:ngsi-ld:Person:1&limit=1", vec!["a"]),
    ] {
        assert_eq!(ids(&w.get(&format!("/entities?{query}")).await.expect(200).json()), expected, "{query}");
    }
    let counted = w.get("/entities?type=Building&limit=0&count=true").await.expect(200);
    assert_eq!((counted.header("ngsild-results-count"), counted.json()), (Some("5"), json!([])));
    let page = w.get("/entities?type=Building&limit=2&offset=2&count=true").await.expect(200);
    assert_eq!((ids(&page.json()), page.header("ngsild-results-count")), (vec!["ccc".into(), "dddd".into()], Some("5")));
    let links = page.all("link");
    let link = |rel: &str| links.iter().find(|l| l.contains(&format!("rel=\"{rel}\""))).and_then(|l| l.split_once('>')).map(|(url, _)| url.trim_start_matches('<').to_owned());
    let (next, prev) = (link("next").expect("a next"), link("prev").expect("a prev"));
    assert_eq!(next, "/ngsi-ld/v1/entities?count=true&limit=2&offset=4&type=Building");
    let path = |url: &str| url.split_once("/ngsi-ld/v1").expect("our path").1.to_owned();
    assert_eq!(ids(&w.get(&path(&next)).await.expect(200).json()), ["eeeee"]);
    assert_eq!(ids(&w.get(&path(&prev)).await.expect(200).json()), ["a", "bb"]);
    let last = w.get(&path(&next)).await;
    assert!(!last.all("link").iter().any(|l| l.contains("rel=\"next\"")));
    assert_eq!(w.get("/entities?type=Building&offset=50").await.expect(200).json(), json!([]));
}

#[tokio::test]
async fn merge_and_replace() {
    let w = World::new().await;
    w.json("POST", "/entities", &building("a")).await.expect(201);
    let path = "/entities/urn:ngsi-ld:Building:a";
    w.clock.advance_micros(1_000_000);
    w.json("PATCH", path, &json!({"floors": {"value": 7}, "name": "urn:ngsi-ld:null", "extra": 1})).await.expect(204);
    let now = w.get(path).await.json();
    assert_eq!((&now["floors"], now.get("name"), &now["extra"]["value"]), (&json!({"type": "Property", "value": 7, "observedAt": "2026-01-01T00:00:00Z"}), None, &json!(1)));
    // Simplified values keep the kinds that their Attributes have.
    w.json("PATCH", &format!("{path}?options=keyValues"), &json!({"owner": "urn:ngsi-ld:Person:2", "floors": 8, "location": {"type": "Point", "coordinates": [1, 2]}, "more": {"a": 1}})).await.expect(204);
    let now = w.get(path).await.json();
    assert_eq!(now["owner"], json!({"type": "Relationship", "object": "urn:ngsi-ld:Person:2"}));
    assert_eq!((&now["floors"]["value"], &now["location"]["type"], &now["more"]), (&json!(8), &json!("GeoProperty"), &json!({"type": "Property", "value": {"a": 1}})));
    w.json("PATCH", &format!("{path}?observedAt=2026-02-02T00:00:00Z"), &json!({"floors": {"type": "Property", "value": 9}})).await.expect(204);
    assert_eq!(w.get(path).await.json()["floors"], json!({"type": "Property", "value": 9, "observedAt": "2026-02-02T00:00:00Z"}));
    let merge_patch = w.send("PATCH", &format!("/ngsi-ld/v1{path}"), &[("Content-Type", "application/merge-patch+json")], Some(b"{\"floors\":{\"value\":10}}")).await;
    merge_patch.expect(204);
    let new = json!({"id": "urn:ngsi-ld:Building:a", "type": "Tower", "height": {"type": "Property", "value": 3}});
    w.json("PUT", &format!("{path}?type=Vehicle"), &new).await.expect(404);
    w.json("PUT", path, &new).await.expect(204);
    assert_eq!(w.get(path).await.json(), new);
    let held = w.hub.held("urn:ngsi-ld:Building:a").expect("held");
    assert!(held.system.created_at < held.system.modified_at);
    w.json("PUT", "/entities/urn:ngsi-ld:Building:b", &building("b")).await.expect(404);
    w.json("PATCH", "/entities/urn:ngsi-ld:Building:b", &json!({"a": 1})).await.expect(404);
}

#[tokio::test]
async fn contexts_come_from_where_they_should() {
    let w = World::new().await;
    let url = "https://city.example/context.jsonld";
    w.hub.contexts().put(url, json!({"@context": {"name": "https://city.example/name", "Building": "https://city.example/Building"}}), waybill_context::Kind::Hosted).expect("kept");
    let link = format!("<{url}>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\"");
    let body = building("a").to_string();
    w.send("POST", "/ngsi-ld/v1/entities", &[("Content-Type", "application/json"), ("Link", &link)], Some(body.as_bytes())).await.expect(201);
    let path = "/ngsi-ld/v1/entities/urn:ngsi-ld:Building:a";
    let plain = w.send("GET", path, &[], None).await.expect(200).json();
    assert_eq!((&plain["type"], plain["https://city.example/name"]["value"].as_str()), (&json!("https://city.example/Building"), Some("Building a")));
    let linked = w.send("GET", path, &[("Link", &link)], None).await.expect(200);
    assert_eq!(linked.json()["name"]["value"], "Building a");
    assert!(linked.header("link").is_some_and(|l| l.starts_with(&format!("<{url}>"))));
    let in_body = w.send("GET", path, &[("Link", &link), ("Accept", "application/ld+json")], None).await.expect(200).json();
    assert_eq!(in_body["@context"], json!(url));
    // In every shape that clients send one; an inline one gets an address of ours.
    for context in [json!(url), json!([url]), json!([url, "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld"]), json!({"name": "https://city.example/name"})] {
        let mut entity = building("b");
        entity["@context"] = context.clone();
        w.ld("POST", "/entities", &entity).await.expect(201);
        assert!(w.hub.held("urn:ngsi-ld:Building:b").expect("held").text().contains("https://city.example/name"), "{context}");
        w.delete("/entities/urn:ngsi-ld:Building:b").await.expect(204);
    }
    let query = json!({"type": "Query", "entities": [{"type": "https://city.example/Building"}], "@context": {"label": "https://city.example/name"}});
    let answer = w.ld("POST", "/entityOperations/query", &query).await.expect(200);
    assert_eq!(answer.json()[0]["label"]["value"], "Building a");
    let address = answer.header("link").and_then(|l| l.split_once('>')).map(|(u, _)| u.trim_start_matches('<').to_owned()).expect("a link");
    let kept = w.get(address.split_once("/ngsi-ld/v1").expect("ours").1).await.expect(200);
    assert_eq!((kept.header("content-type"), &kept.json()["@context"]["label"]), (Some("application/ld+json"), &json!("https://city.example/name")));
}

#[tokio::test]
async fn tenants_are_apart() {
    let w = World::new().await;
    let send = |method: &'static str, path: &'static str, header: &'static str, tenant: &'static str, body: Option<Value>| {
        let w = &w;
        async move {
            let text = body.map(|b| b.to_string());
            w.send(method, &format!("/ngsi-ld/v1{path}"), &[(header, tenant), ("Content-Type", "application/json")], text.as_deref().map(str::as_bytes)).await
        }
    };
    let unknown = send("GET", "/entities?type=Building", "NGSILD-Tenant", "north", None).await.expect(404);
    assert_eq!((unknown.json()["type"].as_str(), unknown.header("ngsild-tenant")), (Some("https://uri.etsi.org/ngsi-ld/errors/NonexistentTenant"), Some("north")));
    let made = send("POST", "/entities", "fiware-service", "north", Some(building("a"))).await.expect(201);
    assert_eq!(made.header("ngsild-tenant"), Some("north"));
    for header in ["NGSILD-Tenant", "fiware-service"] {
        assert_eq!(send("GET", "/entities?type=Building", header, "north", None).await.expect(200).json().as_array().map(Vec::len), Some(1));
    }
    assert_eq!(w.get("/entities?type=Building").await.expect(200).json(), json!([]));
    w.get("/entities/urn:ngsi-ld:Building:a").await.expect(404);
    send("DELETE", "/entities/urn:ngsi-ld:Building:a", "NGSILD-Tenant", "south", None).await.expect(404);
    let two = w.send("GET", "/ngsi-ld/v1/types", &[("NGSILD-Tenant", "a"), ("fiware-service", "b")], None).await.expect(400);
    assert_eq!(two.json()["code"], "two-tenants");
}

#[tokio::test]
async fn types_and_attributes_are_listed() {
    let w = World::new().await;
    w.json("POST", "/entities", &building("a")).await.expect(201);
    w.json("POST", "/entities", &json!({"id": "urn:v", "type": ["Vehicle", "Device"], "name": {"type": "LanguageProperty", "languageMap": {"en": "x"}}})).await.expect(201);
    assert_eq!(w.get("/types/").await.expect(200).json()["typeList"], json!(["Building", "Device", "Vehicle"]));
    let details = w.get("/types?details=true").await.expect(200).json();
    assert_eq!((&details[0]["typeName"], &details[0]["attributeNames"]), (&json!("Building"), &json!(["floors", "name", "owner", "location"])));
    let info = w.get("/types/Vehicle").await.expect(200).json();
    assert_eq!((&info["entityCount"], &info["attributeDetails"][0]["attributeTypes"]), (&json!(1), &json!(["LanguageProperty"])));
    assert_eq!(w.get("/attributes").await.expect(200).json()["attributeList"], json!(["floors", "name", "owner", "location"]));
    let name = w.get("/attributes/name").await.expect(200).json();
    assert_eq!((&name["attributeCount"], &name["attributeTypes"], &name["typeNames"]), (&json!(2), &json!(["LanguageProperty", "Property"]), &json!(["Building", "Device", "Vehicle"])));
    w.get("/types/Nothing").await.expect(404);
    w.get("/attributes/nothing").await.expect(404);
    assert_eq!(w.get("/attributes?details=true").await.expect(200).json()[1]["typeNames"], json!(["Building", "Device", "Vehicle"]));
}

#[tokio::test]
async fn the_hub_says_who_it_is() {
    let w = World::new().await;
    w.clock.advance_micros(90_000_000);
    let identity = w.get("/info/sourceIdentity").await.expect(200).json();
    assert_eq!((&identity["type"], &identity["contextSourceAlias"], &identity["contextSourceUptime"]), (&json!("ContextSourceIdentity"), &json!("memory"), &json!("PT90S")));
    let version = w.send("GET", "/version", &[], None).await.expect(200).json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn what_has_ended_is_not_there() {
    let w = World::new().await;
    let mut body = building("a");
    body["expiresAt"] = json!("2026-11-24T08:00:00Z");
    w.json("POST", "/entities", &body).await.expect(201);
    w.get("/entities/urn:ngsi-ld:Building:a").await.expect(200);
    w.clock.advance_micros(3_600_000_000);
    w.get("/entities/urn:ngsi-ld:Building:a").await.expect(404);
    // Its id is free again.
    body["expiresAt"] = json!("2026-11-24T09:00:00Z");
    w.json("POST", "/entities", &body).await.expect(201);
    assert!(w.get("/entities/urn:ngsi-ld:Building:a").await.expect(200).json().get("expiresAt").is_none());
    assert_eq!(w.get("/entities/urn:ngsi-ld:Building:a?options=sysAttrs").await.expect(200).json()["expiresAt"], body["expiresAt"]);
}

#[tokio::test]
async fn linked_entities_are_joined() {
    let w = World::new().await;
    let rel = |to: Value| json!({"type": "Relationship", "object": to});
    let b = json!({"id": "urn:b", "type": "Building", "in": rel(json!("urn:c")), "by": rel(json!(["urn:p", "urn:gone", "urn:q"])), "n": {"type": "Property", "value": 1.5}});
    let b = b.to_string().replace("1.5", "1.50");
    w.send("POST", "/ngsi-ld/v1/entities", &[("Content-Type", "application/json")], Some(b.as_bytes())).await.expect(201);
    w.json("POST", "/entities", &json!({"id": "urn:c", "type": "City", "name": {"type": "Property", "value": "C"}, "in": rel(json!("urn:land")), "has": rel(json!("urn:b"))})).await.expect(201);
    for id in ["urn:land", "urn:p", "urn:q"] {
        w.json("POST", "/entities", &json!({"id": id, "type": "T"})).await.expect(201);
    }
    let one = w.get("/entities/urn:b?join=inline").await.expect(200);
    assert!(String::from_utf8_lossy(&one.body).contains("1.50"));
    let one = one.json();
    assert_eq!((&one["in"]["entity"]["name"]["value"], one["in"]["entity"]["in"].get("entity")), (&json!("C"), None));
    assert_eq!(one["by"]["entity"], json!([{"id": "urn:p", "type": "T"}, {"id": "urn:q", "type": "T"}]));
    let two = w.get("/entities/urn:b?join=inline&joinLevel=2").await.expect(200).json();
    // What is above is not shown again.
    assert_eq!((&two["in"]["entity"]["in"]["entity"]["id"], two["in"]["entity"]["has"].get("entity")), (&json!("urn:land"), None));
    let simple = w.get("/entities/urn:b?join=inline&options=keyValues").await.expect(200).json();
    assert_eq!((&simple["in"]["name"], &simple["by"]), (&json!("C"), &json!([{"id": "urn:p", "type": "T"}, "urn:gone", {"id": "urn:q", "type": "T"}])));
    let flat = w.get("/entities?type=Building&join=flat&joinLevel=2").await.expect(200).json();
    assert_eq!(flat.as_array().expect("an array").iter().map(|e| e["id"].as_str().expect("an id")).collect::<Vec<_>>(), ["urn:b", "urn:p", "urn:q", "urn:c", "urn:land"]);
    let picked = w.get("/entities/urn:b?join=inline&pick=id,in{name}").await.expect(200).json();
    assert_eq!(picked, json!({"id": "urn:b", "in": {"type": "Relationship", "object": "urn:c", "entity": {"name": {"type": "Property", "value": "C"}}}}));
    let omitted = w.get("/entities/urn:b?join=inline&omit=n,by,in{name,has,type}").await.expect(200).json();
    assert_eq!(omitted["in"]["entity"], json!({"id": "urn:c", "in": rel(json!("urn:land"))}));
    let contained = w.get("/entities/urn:b?join=inline&containedBy=urn:c").await.expect(200).json();
    assert_eq!(contained["in"].get("entity"), None);
    w.get_as("/entities/urn:b?join=inline", "application/geo+json").await.expect(422);
    let posted = json!({"type": "Query", "entities": [{"type": "Building"}], "join": "inline", "joinLevel": 1});
    let answer = w.json("POST", "/entityOperations/query", &posted).await.expect(200);
    assert_eq!((&answer.json()[0]["in"]["entity"]["id"], answer.header("cache-control")), (&json!("urn:c"), Some("no-store")));
    // What is joined may be personal where what links to it is open.
    for path in ["/entities/urn:b?join=inline", "/entities?type=Building&join=inline", "/entities?type=Building&join=flat"] {
        assert_eq!(w.get(path).await.expect(200).header("cache-control"), Some("no-store"), "{path}");
    }
    assert_eq!(w.get("/entities?type=Building").await.expect(200).header("cache-control"), None);
}

#[tokio::test]
async fn purges_delete_what_they_find() {
    let w = World::new().await;
    for id in ["a", "bb", "ccc"] {
        w.json("POST", "/entities", &building(id)).await.expect(201);
    }
    for (query, code) in [
        ("", "query-too-wide"), ("?id=urn:ngsi-ld:Building:a", "query-too-wide"), ("?idPattern=.*", "query-too-wide"), ("?attrs=createdAt", "query-too-wide"), ("?type=Building&keep=name&drop=floors", "keep-and-drop"),
        ("?type=Building&q=owner%7Bname%7D", "linked-without-join"), ("?type=Building&attrs=owner%7Bname%7D", "query-syntax"), ("?type=Building&limit=1", "unknown-parameter"),
    ] {
        assert_eq!(w.delete(&format!("/entities{query}")).await.expect(400).json()["code"], code, "{query}");
    }
    let left = || async { w.get("/entities?type=Building").await.json().as_array().expect("an array").iter().map(|e| e.as_object().expect("an entity").keys().cloned().collect::<Vec<_>>().join(",")).collect::<Vec<_>>() };
    assert_eq!(left().await.len(), 3);
    w.delete("/entities?type=Building&drop=name,location").await.expect(204);
    assert_eq!(left().await, ["floors,id,owner,type"; 3]);
    w.delete("/entities?type=Building&id=urn:ngsi-ld:Building:a&keep=owner").await.expect(204);
    assert_eq!(left().await[0], "id,owner,type");
    w.delete("/entities?q=floors%3E2").await.expect(204);
    assert_eq!(left().await.len(), 2);
    w.delete("/entities?local=true").await.expect(204);
    assert_eq!(left().await.len(), 0);
}
