//! Catalogues from the management interface say in JSON-LD what they say under the protocol's own context, and need nothing loaded.

use super::dcat::{canonical, json_ld_with};
use super::messages::samples;
use super::schemas::official;
use super::stand::{Other, Stand, crawled};
use json_ld::syntax::{Parse, Value as Syntax};
use json_ld::{IriBuf, NoLoader, RemoteDocument};
use serde_json::{Value, json};
use std::collections::HashMap;
use waybill_http::{Method, Response};

const CONTEXTS: [(&str, &str); 2] = [
    ("https://w3id.org/dspace/2025/1/context.jsonld", "dspace.jsonld"),
    ("https://w3id.org/dspace/2025/1/odrl-profile.jsonld", "odrl.jsonld"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_means_the_same_without_the_network() {
    let Some(folder) = official() else { return };
    let loader: HashMap<IriBuf, RemoteDocument> = CONTEXTS
        .iter()
        .map(|(url, file)| {
            let url = IriBuf::new((*url).to_owned()).expect("an IRI");
            let (document, _) = Syntax::parse_str(&std::fs::read_to_string(folder.join("context").join(file)).expect("a context")).expect("JSON");
            (url.clone(), RemoteDocument::new(Some(url), None, document))
        })
        .collect();
    let mut catalog = samples().into_iter().find(|s| s.kind == "Catalog").expect("a catalogue").value;
    catalog["participantId"] = "urn:other".into();
    // The published context gives short names of operands, and of actions but one, no meaning, so they are whole here as they are in ours.
    let mut text = catalog.to_string();
    for name in ["distribute", "inform"] {
        text = text.replace(&format!("\"action\":\"{name}\""), &format!("\"action\":\"http://www.w3.org/ns/odrl/2/{name}\""));
    }
    let text = text.replace("\"leftOperand\":\"l\"", "\"leftOperand\":\"http://www.w3.org/ns/odrl/2/count\"").replace("xsd:dateTime", "http://www.w3.org/2001/XMLSchema#dateTime");
    let catalog: Value = serde_json::from_str(&text).expect("JSON");

    let answer = catalog.clone();
    let other = Other::new(move |_| Response::json(200, &answer)).await;
    let us = Stand::new("us", vec![crawled("urn:other", &other.url)], Vec::new()).await;
    let asked = us.operator(Method::POST, "/management/v3/catalog/request", &json!({"counterPartyId": "urn:other", "counterPartyAddress": other.url})).await;
    assert_eq!(asked.status, 200);
    let inlined = json_ld_with(std::str::from_utf8(&asked.body).expect("text"), &NoLoader).await;
    let published = json_ld_with(&catalog.to_string(), &loader).await;
    assert!(published.len() > 50, "{} triples", published.len());
    assert_eq!(canonical(inlined), canonical(published));

    us.row("urn:other", |r| r.fetched_at.is_some()).await;
    let kept = us.operator(Method::POST, "/management/v3/federatedcatalog/request", &json!({})).await;
    let kept: Vec<Value> = kept.json().expect("a list");
    let graph = json_ld_with(&kept[0].to_string(), &NoLoader).await;
    let originator = graph.iter().find(|t| t.predicate.as_str() == "https://w3id.org/edc/v0.0.1/ns/originator").expect("where it is from");
    assert_eq!(originator.object.to_string(), format!("\"{}\"", other.url));
    assert!(graph.len() > 50);
}
