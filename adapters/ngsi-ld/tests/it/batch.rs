//! Batches over the wire.

use crate::entities::building;
use crate::wire::World;
use serde_json::json;

const A: &str = "urn:ngsi-ld:Building:a";
const B: &str = "urn:ngsi-ld:Building:b";

#[tokio::test]
async fn batches_take_each_item_by_itself() {
    let w = World::new().await;
    let op = |name: &str| format!("/entityOperations/{name}");
    assert_eq!(w.json("POST", &op("create"), &json!([building("a"), building("b")])).await.expect(201).json(), json!([A, B]));
    let mixed = w.json("POST", &op("create"), &json!([building("a"), building("c"), {"id": "urn:x", "type": "T", "v": {"type": "Property"}}])).await.expect(207).json();
    assert_eq!((&mixed["success"], &mixed["errors"][0]["entityId"], &mixed["errors"][0]["error"]["status"]), (&json!(["urn:ngsi-ld:Building:c"]), &json!(A), &json!(409)));
    assert_eq!((&mixed["errors"][1]["entityId"], &mixed["errors"][1]["error"]["type"]), (&json!("urn:x"), &json!("https://uri.etsi.org/ngsi-ld/errors/BadRequestData")));
    // The second of two in one batch meets the first.
    let twice = w.json("POST", &op("create"), &json!([building("d"), building("d")])).await.expect(207).json();
    assert_eq!((twice["success"].as_array().map(Vec::len), twice["errors"].as_array().map(Vec::len)), (Some(1), Some(1)));

    assert_eq!(w.json("POST", &op("upsert"), &json!([building("a"), building("e")])).await.expect(201).json(), json!(["urn:ngsi-ld:Building:e"]));
    let small = json!([{"id": A, "type": "Building", "floors": {"type": "Property", "value": 9}}]);
    assert!(w.json("POST", &format!("{}?options=update", op("upsert")), &small).await.expect(204).body.is_empty());
    let now = w.get(&format!("/entities/{A}")).await.json();
    assert_eq!((&now["floors"], &now["name"]["value"]), (&json!({"type": "Property", "value": 9}), &json!("Building a")));
    w.json("POST", &op("upsert"), &small).await.expect(204);
    assert_eq!(w.get(&format!("/entities/{A}")).await.json(), small[0]);

    w.json("POST", &op("update"), &json!([{"id": A, "type": "Building", "name": {"type": "Property", "value": "new"}}])).await.expect(204);
    let missing = w.json("POST", &op("update"), &json!([{"id": "urn:none", "type": "T", "a": 1}, {"id": A, "a": 1}])).await.expect(207).json();
    assert_eq!((&missing["success"], &missing["errors"][0]["error"]["status"]), (&json!([A]), &json!(404)));
    w.json("POST", &format!("{}?options=noOverwrite", op("update")), &json!([{"id": A, "type": "Building", "name": {"type": "Property", "value": "newer"}}])).await.expect(207);
    assert_eq!(w.get(&format!("/entities/{A}")).await.json()["name"]["value"], "new");
    w.json("POST", &op("merge"), &json!([{"id": A, "name": "urn:ngsi-ld:null", "floors": {"unitCode": "X"}}])).await.expect(204);
    assert_eq!(w.get(&format!("/entities/{A}?pick=name,floors")).await.json(), json!({"floors": {"type": "Property", "value": 9, "unitCode": "X"}}));

    let all = w.json("POST", &format!("{}?limit=2&count=true", op("query")), &json!({"type": "Query", "entities": [{"type": "Building"}], "q": "name"})).await.expect(200);
    assert_eq!((all.json().as_array().map(Vec::len), all.header("ngsild-results-count")), (Some(2), Some("4")));
    let geo = json!({"type": "Query", "entities": [{"type": "Building", "idPattern": ":b$"}], "geoQ": {"georel": "near;maxDistance==10", "geometry": "Point", "coordinates": [24.9, 60.2]}, "pick": ["id"]});
    assert_eq!(w.json("POST", &op("query"), &geo).await.expect(200).json(), json!([{"id": B}]));

    assert!(w.json("POST", &op("delete"), &json!([A, B])).await.expect(204).body.is_empty());
    let gone = w.json("POST", &op("delete"), &json!([A, "urn:ngsi-ld:Building:c"])).await.expect(207).json();
    assert_eq!((&gone["success"], &gone["errors"][0]["entityId"]), (&json!(["urn:ngsi-ld:Building:c"]), &json!(A)));
}

#[tokio::test]
async fn each_item_of_json_ld_has_its_own_context() {
    let w = World::new().await;
    let item = |id: &str, iri: &str| json!({"id": id, "type": "T", "@context": {"n": iri}, "n": 1});
    w.ld("POST", "/entityOperations/create", &json!([item("urn:1", "https://x.org/1"), item("urn:2", "https://x.org/2")])).await.expect(201);
    for (id, iri) in [("urn:1", "https://x.org/1"), ("urn:2", "https://x.org/2")] {
        assert!(w.hub.held(id).expect("held").text().contains(&format!("\"{iri}\"")));
    }
    let missing = w.ld("POST", "/entityOperations/create", &json!([{"id": "urn:3", "type": "T"}])).await.expect(207);
    assert_eq!(missing.json()["errors"][0]["error"]["code"], "context-missing");
}
