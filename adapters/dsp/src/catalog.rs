//! What the hub has as DCAT Datasets with ODRL Offers. Filtered by who asks; nothing in it moves with what a person decides.

use crate::config::{DspConfig, Offering, Participant};
use crate::vocab::{CONTEXT, ODRL, WAYBILL};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use waybill_keys::{b64url, jcs, sha256};
use waybill_model::Iri;

/// Within which time a consumer deletes what was taken back, and says so (ISO 8601).
pub(crate) const DELETE_WITHIN: &str = "PT24H";

/// An offer as it stands in the catalogue, and the purpose it is for.
#[derive(Debug, Clone)]
pub struct Offered {
    /// The offer, without a target.
    pub offer: Value,
    /// What for.
    pub purpose: Option<Iri>,
}

/// Whether `who` may see `offering` at all.
pub fn is_for(offering: &Offering, who: &Participant) -> bool {
    (offering.to.is_empty() || offering.to.contains(&who.id)) && (!offering.needs_enforcing || who.enforcing)
}

/// The offers of a dataset. The identifier is a digest of what is offered: terms that change are another offer.
pub fn offers(offering: &Offering) -> Vec<Offered> {
    let purposes: Vec<Option<&Iri>> = if offering.purposes.is_empty() { vec![None] } else { offering.purposes.iter().map(Some).collect() };
    purposes
        .into_iter()
        .map(|purpose| {
            let mut offer = terms(offering, purpose);
            let id = offering.offer_id.clone().unwrap_or_else(|| {
                let digest = sha256(format!("{}\u{1f}{}", offering.dataset, jcs(&Value::Object(offer.clone()))).as_bytes());
                format!("urn:waybill:offer:{}", b64url(&digest[..18]))
            });
            offer.insert("@id".into(), id.into());
            Offered { offer: Value::Object(offer), purpose: purpose.cloned() }
        })
        .collect()
}

/// The offer `id` of a dataset.
pub fn offer(offering: &Offering, id: &str) -> Option<Offered> {
    offers(offering).into_iter().find(|o| o.offer["@id"] == id)
}

fn operand(name: &str) -> String {
    format!("{ODRL}{name}")
}

/// Left operands and actions are whole IRIs: the protocol's context gives most short ones no meaning.
fn terms(offering: &Offering, purpose: Option<&Iri>) -> Map<String, Value> {
    let mut constraints = Vec::new();
    if let Some(purpose) = purpose {
        let operator = if offering.terms.exactly { "eq" } else { "isA" };
        constraints.push(json!({"leftOperand": operand("purpose"), "operator": operator, "rightOperand": purpose.as_str()}));
    }
    if offering.personal {
        // The agreement stands between organisations: whose data flows under it is decided by each person's tag, value by value.
        constraints.push(json!({"leftOperand": format!("{WAYBILL}consentTag"), "operator": "eq", "rightOperand": format!("{WAYBILL}valid")}));
    }
    if let Some(until) = offering.until {
        let value = json!({"@value": until.to_string(), "@type": "http://www.w3.org/2001/XMLSchema#dateTime"});
        constraints.push(json!({"leftOperand": operand("dateTime"), "operator": "lteq", "rightOperand": value}));
    }
    let mut permission = json!({"action": "use"});
    if !constraints.is_empty() {
        permission["constraint"] = constraints.into();
    }
    let own = |actions: &[&str]| if offering.personal { actions.iter().map(|a| json!({"action": operand(a)})).collect() } else { Vec::new() };
    let both = |mut own: Vec<Value>, said: &[Value]| {
        let more: Vec<Value> = said.iter().filter(|rule| !own.contains(rule)).cloned().collect();
        own.extend(more);
        own
    };
    let duties = both(own(&["delete", "inform"]), &offering.terms.duties);
    if !duties.is_empty() {
        permission["duty"] = duties.into();
    }
    let mut out = Map::new();
    out.insert("@type".into(), "Offer".into());
    out.insert("permission".into(), json!([permission]));
    // An empty list is not valid there.
    for (name, rules) in [("prohibition", both(own(&["distribute"]), &offering.terms.prohibitions)), ("obligation", offering.terms.obligations.clone())] {
        if !rules.is_empty() {
            out.insert(name.into(), rules.into());
        }
    }
    out
}

/// Who enforces consent: this hub at each request; the consumer too only where it is one that does.
pub fn enforcement(offering: &Offering) -> &'static str {
    if offering.needs_enforcing { "provider-and-consumer" } else { "provider-only" }
}

/// All offers of a dataset, each once: what the offerings `all` of it come to.
pub fn all_offers<'a>(all: impl IntoIterator<Item = &'a Arc<Offering>>) -> Vec<Offered> {
    let mut out: Vec<Offered> = Vec::new();
    for offered in all.into_iter().flat_map(|o| offers(o)) {
        if !out.iter().any(|known| known.offer["@id"] == offered.offer["@id"]) {
            out.push(offered);
        }
    }
    out
}

/// The dataset that `first` and `more` are offerings of.
pub fn dataset(config: &DspConfig, first: &Arc<Offering>, more: &[&Arc<Offering>]) -> Value {
    let offering = first;
    let service = format!("{}#service", config.address());
    let distributions: Vec<Value> = offering
        .formats
        .iter()
        .map(|format| json!({"@type": "Distribution", "format": format.as_str(), "accessService": {"@id": service, "@type": "DataService", "endpointURL": config.address()}}))
        .collect();
    let policies: Vec<Value> = all_offers(std::iter::once(first).chain(more.iter().copied())).into_iter().map(|o| o.offer).collect();
    let mut out = json!({"@id": offering.dataset, "@type": "Dataset", "hasPolicy": policies, "distribution": distributions});
    if let Some(title) = &offering.title {
        out["http://purl.org/dc/terms/title"] = title.as_str().into();
    }
    if offering.personal {
        out[format!("{WAYBILL}enforcement")] = enforcement(offering).into();
        out[format!("{WAYBILL}deleteWithin")] = DELETE_WITHIN.into();
    }
    let types: Vec<&str> = offering.types.iter().map(Iri::as_str).collect();
    if !types.is_empty() {
        out[format!("{WAYBILL}entityType")] = types.into();
    }
    out
}

/// A page of the catalogue of what `who` may see: from `offset` on, `limit` at most, and whether there is more.
pub fn page(config: &DspConfig, who: &Participant, offset: usize, limit: usize) -> (Value, bool) {
    let visible: Vec<&Arc<Offering>> = config.offers.iter().filter(|o| is_for(o, who)).collect();
    let mut seen = visible.chunk_by(|a, b| a.dataset == b.dataset).skip(offset);
    let datasets: Vec<Value> = seen.by_ref().take(limit).filter_map(|all| all.split_first()).map(|(first, more)| dataset(config, first, more)).collect();
    let more = seen.next().is_some();
    let service = format!("{}#service", config.address());
    let mut out = json!({
        "@context": [CONTEXT],
        "@id": format!("{}/catalog", config.address()),
        "@type": "Catalog",
        "participantId": config.participant,
        "service": [{"@id": service, "@type": "DataService", "endpointURL": config.address()}],
    });
    // An empty list is not valid there.
    if !datasets.is_empty() {
        out["dataset"] = datasets.into();
    }
    (out, more)
}
