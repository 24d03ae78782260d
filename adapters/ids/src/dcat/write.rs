//! DCAT catalogues and datasets in the shape of the Dataspace Protocol 2025-1 (`catalog-schema.json`, `dataset-schema.json`): lists that would
//! be empty are left out.

use crate::loss::{Effect, Losses};
use crate::model::{Body, Catalog, Dataset, Distribution, Endpoint, Texts};
use crate::policy::{add, odrl_tree, write_odrl};
use crate::vocab::{DSP_PREFIXES, DSPACE, IDS, compact};
use serde_json::{Map, Value, json};

/// A document with its @context.
pub(crate) fn write(body: &Body, losses: &mut Losses) -> Value {
    let mut context = vec![format!("{DSPACE}context.jsonld")];
    let mut out = match body {
        Body::Policy(policy) => {
            // Messages bring it with their own types; a policy alone has none.
            context.push(format!("{DSPACE}odrl-profile.jsonld"));
            write_odrl(policy, None, losses)
        }
        Body::Dataset(d) => dataset(d, None, losses),
        Body::Catalog(c) => {
            if c.participant.is_none() {
                losses.kept(&c.place, "DSP asks whose catalogue it is, which IDS does not say here", "a catalogue of nobody", Effect::Description);
            }
            catalog(c, None, losses)
        }
    };
    out.insert("@context".to_owned(), context.into());
    Value::Object(out)
}

fn start(kind: &str, id: Option<&String>, class: Option<&String>, usual: &str, texts: &Texts) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("@type".to_owned(), kind.into());
    if let Some(id) = id {
        out.insert("@id".to_owned(), id.as_str().into());
    }
    if let Some(class) = class.filter(|c| **c != format!("{IDS}{usual}")) {
        out.insert("dct:type".to_owned(), json!({ "@id": class }));
    }
    for (iri, value) in texts {
        add(&mut out, compact(iri, DSP_PREFIXES), odrl_tree(value));
    }
    out
}

fn catalog(from: &Catalog, service: Option<&str>, losses: &mut Losses) -> Map<String, Value> {
    let mut out = start("Catalog", from.id.as_ref(), from.class.as_ref(), "", &from.texts);
    if let Some(participant) = &from.participant {
        out.insert("participantId".to_owned(), participant.as_str().into());
    }
    let name = |e: &Endpoint| e.id.clone().unwrap_or_else(|| e.url.clone());
    let services: Vec<Value> =
        from.endpoints.iter().map(|e| json!({ "@type": "DataService", "@id": name(e), "endpointURL": e.url })).collect();
    let first = from.endpoints.first().map(name);
    let service = first.as_deref().or(service);
    let catalogs: Vec<Value> = from.catalogs.iter().map(|c| catalog(c, service, losses).into()).collect();
    let datasets: Vec<Value> = from.datasets.iter().map(|d| dataset(d, service, losses).into()).collect();
    for (name, list) in [("service", services), ("catalog", catalogs), ("dataset", datasets)] {
        if !list.is_empty() {
            out.insert(name.to_owned(), list.into());
        }
    }
    out
}

fn dataset(from: &Dataset, service: Option<&str>, losses: &mut Losses) -> Map<String, Value> {
    let mut out = start("Dataset", from.id.as_ref(), from.class.as_ref(), "Resource", &from.texts);
    let offers = from.offers.iter().filter(|o| !o.rules.is_empty());
    let offers: Vec<Value> = offers.map(|o| write_odrl(o, Some(from.id.as_deref().unwrap_or_default()), losses).into()).collect();
    let distributions: Vec<Value> = from.distributions.iter().map(|d| distribution(d, service, losses).into()).collect();
    for (name, list, what) in [("hasPolicy", offers, "an offer"), ("distribution", distributions, "a distribution")] {
        if list.is_empty() {
            losses.kept(&from.place, format!("DSP asks for {what}, which is not there"), "a dataset that DSP does not show", Effect::Description);
        } else {
            out.insert(name.to_owned(), list.into());
        }
    }
    out
}

fn distribution(from: &Distribution, service: Option<&str>, losses: &mut Losses) -> Map<String, Value> {
    let mut out = start("Distribution", from.id.as_ref(), from.class.as_ref(), "Representation", &from.texts);
    for (name, value) in [("format", from.format.as_deref()), ("accessService", service)] {
        match value {
            Some(value) => {
                out.insert(name.to_owned(), value.into());
            }
            None => losses.kept(&from.place, format!("DSP asks for `{name}`, which IDS does not say here"), "a distribution without it", Effect::Description),
        }
    }
    out
}
