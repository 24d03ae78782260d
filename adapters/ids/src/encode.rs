//! Self-descriptions, offers and agreements of IDS, written.

use crate::loss::{Effect, Losses};
use crate::model::{Body, Catalog, Dataset, Distribution};
use crate::policy::{describe, write_ids};
use crate::vocab::{IDS, IDS_PREFIXES, compact};
use serde_json::{Map, Value, json};
use waybill_model::Iri;

/// A document with its @context.
pub(crate) fn body(body: &Body, losses: &mut Losses) -> Value {
    let mut out = match body {
        Body::Policy(policy) => write_ids(policy),
        Body::Dataset(d) => dataset(d),
        Body::Catalog(c) if is_connector(c) => connector(c, losses),
        Body::Catalog(c) => catalog(c, losses),
    };
    out.insert("@context".to_owned(), IDS_PREFIXES.iter().map(|(p, n)| ((*p).to_owned(), Value::from(*n))).collect::<Map<_, _>>().into());
    Value::Object(out)
}

/// Whether a catalogue is that of a participant.
fn is_connector(catalog: &Catalog) -> bool {
    match &catalog.class {
        Some(class) => class.ends_with("Connector"),
        None => catalog.participant.is_some(),
    }
}

fn start(class: Option<&String>, usual: &str, id: Option<&String>) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("@type".to_owned(), class.map_or_else(|| usual.to_owned(), |c| compact(c, IDS_PREFIXES)).into());
    if let Some(id) = id {
        out.insert("@id".to_owned(), id.as_str().into());
    }
    out
}

fn connector(from: &Catalog, losses: &mut Losses) -> Map<String, Value> {
    let mut out = start(from.class.as_ref(), "ids:BaseConnector", from.id.as_ref());
    describe(&mut out, &from.texts);
    if let Some(participant) = from.participant.as_ref().filter(|_| !out.contains_key("ids:curator") && !out.contains_key("ids:maintainer")) {
        out.insert("ids:curator".to_owned(), json!({ "@id": participant }));
    }
    if let Some(endpoint) = from.endpoints.first().filter(|_| !out.contains_key("ids:hasDefaultEndpoint")) {
        losses.kept(&endpoint.place, "a DataService", "the connector's endpoint, at which IDS is not spoken", Effect::Description);
        let mut written = start(None, "ids:ConnectorEndpoint", endpoint.id.as_ref());
        written.insert("ids:accessURL".to_owned(), json!({ "@id": endpoint.url }));
        out.insert("ids:hasDefaultEndpoint".to_owned(), written.into());
        for more in &from.endpoints[1..] {
            losses.dropped(&more.place, "another DataService", Effect::Description);
        }
    }
    let mut catalogs: Vec<Value> = from.catalogs.iter().map(|c| catalog(c, losses).into()).collect();
    if !from.datasets.is_empty() {
        let mut own = start(None, "ids:ResourceCatalog", None);
        own.insert("ids:offeredResource".to_owned(), from.datasets.iter().map(|d| Value::from(dataset(d))).collect());
        catalogs.push(own.into());
    }
    if !catalogs.is_empty() {
        out.insert("ids:resourceCatalog".to_owned(), catalogs.into());
    }
    out
}

fn catalog(from: &Catalog, losses: &mut Losses) -> Map<String, Value> {
    let mut out = start(from.class.as_ref(), "ids:ResourceCatalog", from.id.as_ref());
    describe(&mut out, &from.texts);
    let mut datasets = Vec::new();
    gather(from, &mut datasets);
    for inner in &from.catalogs {
        losses.kept(&inner.place, "a catalogue in a catalogue", "its resources in the outer one", Effect::Description);
    }
    for endpoint in &from.endpoints {
        losses.dropped(&endpoint.place, "the service of a catalogue that is no connector", Effect::Description);
    }
    if !datasets.is_empty() {
        out.insert("ids:offeredResource".to_owned(), datasets.into());
    }
    out
}

fn gather(from: &Catalog, found: &mut Vec<Value>) {
    found.extend(from.datasets.iter().map(|d| Value::from(dataset(d))));
    from.catalogs.iter().for_each(|c| gather(c, found));
}

fn dataset(from: &Dataset) -> Map<String, Value> {
    let mut out = start(from.class.as_ref(), "ids:Resource", from.id.as_ref());
    describe(&mut out, &from.texts);
    let offers: Vec<Value> = from.offers.iter().filter(|o| !o.rules.is_empty()).map(|o| write_ids(o).into()).collect();
    if !offers.is_empty() {
        out.insert("ids:contractOffer".to_owned(), offers.into());
    }
    if !from.distributions.is_empty() {
        out.insert("ids:representation".to_owned(), from.distributions.iter().map(|d| Value::from(distribution(d))).collect());
    }
    out
}

fn distribution(from: &Distribution) -> Map<String, Value> {
    let mut out = start(from.class.as_ref(), "ids:Representation", from.id.as_ref());
    describe(&mut out, &from.texts);
    if let Some(format) = from.format.as_ref().filter(|_| !from.texts.iter().any(|(iri, _)| *iri == format!("{IDS}mediaType"))) {
        let value = if Iri::is_valid(format) { json!({ "@id": format }) } else { format.as_str().into() };
        out.insert("ids:mediaType".to_owned(), value);
    }
    out
}
