//! Attributes over the wire.

use crate::entities::building;
use crate::wire::World;
use serde_json::json;

const PATH: &str = "/entities/urn:ngsi-ld:Building:a/attrs";

#[tokio::test]
async fn attributes_are_appended_updated_patched_replaced_deleted() {
    let w = World::new().await;
    w.json("POST", "/entities", &building("a")).await.expect(201);
    let get = || async { w.get("/entities/urn:ngsi-ld:Building:a").await.json() };
    w.json("POST", &format!("{PATH}/"), &json!({"height": {"type": "Property", "value": 30}})).await.expect(204);
    let refused = w.json("POST", &format!("{PATH}?options=noOverwrite"), &json!({"height": {"type": "Property", "value": 31}, "width": {"type": "Property", "value": 1}})).await.expect(207).json();
    assert_eq!((&refused["updated"], &refused["notUpdated"][0]["attributeName"]), (&json!(["https://uri.etsi.org/ngsi-ld/default-context/width"]), &json!("https://uri.etsi.org/ngsi-ld/default-context/height")));
    w.json("PATCH", &format!("{PATH}/"), &json!({"height": {"type": "Property", "value": 32, "unitCode": "MTR"}, "width": "urn:ngsi-ld:null"})).await.expect(204);
    assert_eq!((&get().await["height"]["value"], get().await.get("width")), (&json!(32), None));
    w.json("PATCH", &format!("{PATH}/height"), &json!({"value": 33})).await.expect(204);
    assert_eq!(get().await["height"], json!({"type": "Property", "value": 33, "unitCode": "MTR"}));
    w.json("PUT", &format!("{PATH}/height"), &json!({"type": "Property", "value": 34})).await.expect(204);
    assert_eq!(get().await["height"], json!({"type": "Property", "value": 34}));
    w.delete(&format!("{PATH}/height")).await.expect(204);
    for method in ["PATCH", "PUT"] {
        assert_eq!(w.json(method, &format!("{PATH}/height"), &json!({"type": "Property", "value": 1})).await.expect(404).json()["code"], "attribute-not-found");
    }
    w.delete(&format!("{PATH}/height")).await.expect(404);
    let scope = w.json("PATCH", PATH, &json!({"scope": "/A"})).await.expect(207).json();
    assert_eq!(scope["notUpdated"][0]["attributeName"], "scope");
    w.json("POST", PATH, &json!({"scope": "/A"})).await.expect(204);
    w.json("PATCH", PATH, &json!({"scope": "/B"})).await.expect(204);
    assert_eq!(get().await["scope"], "/B");
    w.delete(&format!("{PATH}/scope")).await.expect(204);
    assert!(get().await.get("scope").is_none());
}

#[tokio::test]
async fn instances_are_told_apart() {
    let w = World::new().await;
    let speed = |value: i64, dataset: Option<&str>| {
        let mut v = json!({"type": "Property", "value": value});
        if let Some(d) = dataset {
            v["datasetId"] = json!(d);
        }
        v
    };
    w.json("POST", "/entities", &json!({"id": "urn:ngsi-ld:Building:a", "type": "Car", "speed": [speed(1, None), speed(2, Some("urn:gps")), speed(3, Some("urn:dial"))]})).await.expect(201);
    let get = |query: &'static str| {
        let w = &w;
        async move { w.get(&format!("/entities/urn:ngsi-ld:Building:a{query}")).await.json()["speed"].clone() }
    };
    assert_eq!(get("?datasetId=urn:gps").await, speed(2, Some("urn:gps")));
    assert_eq!(get("?datasetId=@none").await, speed(1, None));
    assert_eq!(get("?options=keyValues").await, json!({"dataset": {"@none": 1, "urn:gps": 2, "urn:dial": 3}}));
    w.json("PATCH", &format!("{PATH}/speed"), &json!({"value": 20, "datasetId": "urn:gps"})).await.expect(204);
    w.delete(&format!("{PATH}/speed?datasetId=urn:dial")).await.expect(204);
    assert_eq!(get("").await, json!([speed(1, None), speed(20, Some("urn:gps"))]));
    w.delete(&format!("{PATH}/speed")).await.expect(204);
    assert_eq!(get("").await, speed(20, Some("urn:gps")));
    w.delete(&format!("{PATH}/speed?deleteAll=True")).await.expect(204);
    assert_eq!(get("").await, json!(null));
}
