//! A catalogue for clients that read JSON-LD: they need not load the protocol's context, which many do over the network and some not at all.

use crate::vocab::{CONTEXT, ODRL};
use serde_json::{Map, Value, json};

const DCAT: &str = "http://www.w3.org/ns/dcat#";

/// What the protocol's context makes of the names that stand in catalogues, by vocabulary.
const TERMS: &[(&str, &[&str])] = &[
    (DCAT, &["Catalog", "Dataset", "Distribution", "DataService", "catalog", "dataset", "distribution", "service", "accessService", "endpointURL", "endpointDescription"]),
    (ODRL, &["Offer", "hasPolicy", "permission", "prohibition", "obligation", "duty", "constraint", "rightOperand", "and", "or", "xone", "andSequence"]),
];
/// The same of names whose values are names too.
const REFERENCES: &[(&str, &str, &str)] = &[("participantId", "https://w3id.org/dspace/2025/1/", "@id"), ("format", "http://purl.org/dc/terms/", "@vocab"), ("profile", ODRL, "@id")];
/// The same where a short name is one of ODRL: more of them than the protocol's context knows, and none of them otherwise.
const OF_ODRL: &[&str] = &["action", "leftOperand", "operator"];

/// `value` with the protocol's context written out in place of its address.
pub(crate) fn inline(mut value: Value) -> Value {
    let Some(contexts) = value.get_mut("@context") else { return value };
    let list = match contexts.take() {
        Value::Array(list) => list,
        one => vec![one],
    };
    *contexts = list.into_iter().map(|c| if c == CONTEXT { written_out() } else { c }).collect();
    value
}

/// A policy with what its names mean written beside it, for where another vocabulary holds around it.
pub(crate) fn policy(mut policy: Value) -> Value {
    let mut context = written_out();
    for name in ["Set", "Agreement"] {
        context[name] = format!("{ODRL}{name}").into();
    }
    for name in ["target", "assigner", "assignee"] {
        context[name] = json!({"@id": format!("{ODRL}{name}"), "@type": "@id"});
    }
    policy["@context"] = context;
    policy
}

fn written_out() -> Value {
    let mut out = Map::new();
    for (namespace, names) in TERMS {
        out.extend(names.iter().map(|name| ((*name).to_owned(), format!("{namespace}{name}").into())));
    }
    for (name, namespace, kind) in REFERENCES {
        out.insert((*name).to_owned(), json!({"@id": format!("{namespace}{name}"), "@type": kind}));
    }
    for name in OF_ODRL {
        out.insert((*name).to_owned(), json!({"@id": format!("{ODRL}{name}"), "@type": "@vocab", "@context": {"@vocab": ODRL}}));
    }
    out.into()
}
