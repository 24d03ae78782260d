//! The @contexts of the Dataspace Protocol 2025-1, of its profile of ODRL, and of the further names that the Eclipse EDC puts beside them, made
//! from one table of terms (`schemas/contexts/dspace.tsv`).

use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

const TABLE: &str = include_str!("../../../schemas/contexts/dspace.tsv");
/// The @context that every message of the Dataspace Protocol 2025-1 names.
pub const DSPACE: &str = "https://w3id.org/dspace/2025/1/context.jsonld";
/// The terms of ODRL in it, for contexts that import them.
pub const DSPACE_ODRL: &str = "https://w3id.org/dspace/2025/1/odrl-profile.jsonld";
/// The further names of the Eclipse EDC.
pub const DSPACE_EDC: &str = "https://w3id.org/edc/dspace/v0.0.1";

/// The types within whose nodes the terms of ODRL hold, down to the last.
const WITH_POLICY: [&str; 4] = ["ContractRequestMessage", "ContractOfferMessage", "ContractAgreementMessage", "Dataset"];
/// The type that is not the protocol's own, so that its terms are not protected.
const NOT_PROTECTED: &str = "CatalogService";

/// The documents by their URL.
pub(crate) fn documents() -> &'static HashMap<&'static str, Arc<Value>> {
    static MADE: OnceLock<HashMap<&'static str, Arc<Value>>> = OnceLock::new();
    MADE.get_or_init(|| {
        let whole = |context: Map<String, Value>| Arc::new(json!({ "@context": context }));
        [(DSPACE, whole(dspace())), (DSPACE_ODRL, whole(terms("policy"))), (DSPACE_EDC, whole(edc()))].into()
    })
}

/// The rows of the table: where a term holds, the term, its definition.
fn rows() -> impl Iterator<Item = (&'static str, &'static str, Value)> {
    TABLE.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or("-");
        let (place, term, iri, kind, container) = (next(), next(), next(), next(), next());
        let mut definition = Map::new();
        for (name, held) in [("@type", kind), ("@container", container)] {
            if held != "-" {
                definition.insert(name.into(), held.into());
            }
        }
        if definition.is_empty() {
            return (place, term, iri.into());
        }
        definition.insert("@id".into(), iri.into());
        (place, term, definition.into())
    })
}

fn terms(place: &str) -> Map<String, Value> {
    rows().filter(|(at, ..)| *at == place).map(|(_, term, definition)| (term.to_owned(), definition)).collect()
}

/// Gives a term a context of its own, when there is something in it.
fn scope(definition: &mut Value, inner: Map<String, Value>) {
    if !inner.is_empty() {
        *definition = json!({ "@id": definition, "@context": inner });
    }
}

fn dspace() -> Map<String, Value> {
    let rules = |context: &mut Map<String, Value>| {
        context.insert("@version".into(), json!(1.1));
        context.insert("@protected".into(), true.into());
    };
    let mut out = terms("-");
    for (name, definition) in &mut out {
        let policy = WITH_POLICY.contains(&name.as_str());
        let mut inner = if policy { terms("policy") } else { Map::new() };
        inner.extend(terms(name));
        if policy {
            inner.insert("@propagate".into(), true.into());
        }
        if !inner.is_empty() && name != NOT_PROTECTED {
            rules(&mut inner);
        }
        scope(definition, inner);
    }
    rules(&mut out);
    out
}

fn edc() -> Map<String, Value> {
    let mut out = terms("edc");
    for (name, definition) in &mut out {
        scope(definition, terms(&format!("edc {name}")));
    }
    out.insert("@version".into(), json!(1.1));
    out
}
