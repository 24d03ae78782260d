//! What a notification is taken for.

use serde_json::{Value, json};
use waybill_context::Contexts;
use waybill_exchange::{Hub, Incoming, Intake, Parcelled};
use waybill_gate::Governance;
use waybill_http::{Authenticator, Client, ClientConfig, Guard, HeaderName, OutRequest, ServerConfig, serve};
use waybill_model::{Clock, DEFAULT_VOCAB, DateTime, TenantId};

const NULL: &str = "urn:ngsi-ld:null";

/// What lies in the inbox after a notification with one entity that has these Attributes: those that are gone, and those that changed, each
/// with the number of its instances.
async fn taken(attributes: &Value) -> (Vec<String>, Vec<(String, usize)>) {
    let clock = Clock::fixed(DateTime::parse(crate::wire::NOW).expect("a time"));
    let hub = Hub::open(waybill_store::Store::memory(clock.clone()).expect("a store"), Governance::bare("https://b.example").expect("governance"), clock.clone()).await.expect("a hub");
    hub.set_intake("a", Intake { tenant: TenantId::main(), hub: None, fed_by: Vec::new(), secret: waybill_keys::sha256(b"the secret") });
    let router = waybill_ngsi_ld::inbox_routes(hub.clone(), Contexts::offline(clock.clone()));
    let server = serve(ServerConfig::new(([127, 0, 0, 1], 0).into()), router, Authenticator::closed(), clock.clone()).await.expect("a server");
    let allow: waybill_http::Cidr = "127.0.0.0/8".parse().expect("a range");
    let client = Client::new(ClientConfig::new(clock).guard(Guard::allowing([waybill_http::Allow::Range(allow)]))).expect("a client");
    let mut entity = json!({ "id": "urn:e", "type": "T" });
    entity.as_object_mut().expect("an object").extend(attributes.as_object().expect("an object").clone());
    let body = json!({ "id": "urn:n", "type": "Notification", "subscriptionId": "urn:s", "data": [entity] });
    let request = OutRequest::post(format!("http://{}/waybill/inbox/a", server.addr), "application/json", body.to_string());
    let answer = client.send(request.header(HeaderName::from_static("waybill-inbox"), "the secret")).await.expect("an answer");
    assert_eq!(answer.status.as_u16(), 204, "{attributes}: {}", String::from_utf8_lossy(&answer.body));
    let row = hub.store().read(|r| r.docs("inbox", "", 2, None)).await.expect("read").remove(0);
    let parcel: Parcelled = serde_json::from_slice(&row.payload).expect("a parcel");
    let short = |name: &str| name.strip_prefix(DEFAULT_VOCAB).unwrap_or(name).to_owned();
    let (mut gone, mut changed) = (Vec::new(), Vec::new());
    for item in parcel.items {
        match item {
            Incoming::Gone { attributes, .. } => gone.extend(attributes.iter().map(|a| short(a.as_str()))),
            Incoming::Changed(text) => {
                let doc: Value = serde_json::from_str(&text).expect("JSON");
                let members = doc.as_object().expect("an object").iter().filter(|(n, _)| n.contains(':'));
                changed.extend(members.map(|(name, list)| (short(name), list.as_array().expect("instances").len())));
            }
        }
    }
    (gone, changed)
}

#[tokio::test]
async fn the_null_is_known_in_the_form_of_every_kind() {
    for mark in [
        json!(NULL), json!({ "type": "Property", "value": NULL }), json!({ "value": NULL }), json!({ "type": "Relationship", "object": NULL }), json!({ "type": "LanguageProperty", "languageMap": { "@none": NULL } }),
        json!({ "languageMap": { "@none": NULL } }), json!({ "type": "LanguageProperty", "languageMap": NULL }), json!({ "type": "VocabProperty", "vocab": NULL }), json!({ "type": "JsonProperty", "json": NULL }),
        json!({ "type": "ListProperty", "valueList": [NULL] }), json!({ "type": "ListRelationship", "objectList": [NULL] }), json!({ "type": "ListRelationship", "objectList": NULL }), json!({ "type": "GeoProperty", "value": NULL }),
        json!([{ "type": "Property", "value": NULL }, { "type": "Property", "value": NULL, "datasetId": "urn:d" }]), json!([{ "type": "Property", "value": 1, "deletedAt": crate::wire::NOW }]),
    ] {
        assert_eq!(taken(&json!({ "a": mark, "b": { "type": "Property", "value": 1 } })).await, (vec!["a".to_owned()], vec![("b".to_owned(), 1)]), "{mark}");
        assert_eq!(taken(&json!({ "a": mark })).await, (vec!["a".to_owned()], vec![]), "{mark}");
    }
}

#[tokio::test]
async fn one_of_several_instances_that_is_gone_leaves_the_others() {
    let some = json!([{ "type": "Property", "value": NULL }, { "type": "Property", "value": 1, "datasetId": "urn:d" }, { "type": "Property", "value": 2, "datasetId": "urn:e" }]);
    assert_eq!(taken(&json!({ "a": some })).await, (vec![], vec![("a".to_owned(), 2)]));
    // Words that only look like it stay.
    let text = json!({ "type": "LanguageProperty", "languageMap": { "@none": "none", "en": "x" } });
    assert_eq!(taken(&json!({ "a": text })).await, (vec![], vec![("a".to_owned(), 1)]));
}
