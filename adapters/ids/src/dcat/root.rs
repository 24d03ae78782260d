//! What a document is: on which side, and what it is about.

use crate::node::{Node, Reader};
use crate::policy::Dialect;
use crate::vocab::{DCAT, IDS, ODRL, local};
use crate::{ConvertError, Target};
use serde_json::Value;

/// What a document is about, the greatest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Connector,
    Catalog,
    Dataset,
    Policy,
}

/// The node that a document is about.
pub(crate) struct Root<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) class: Class,
    pub(crate) value: &'a Value,
    pub(crate) place: String,
}

/// Finds it.
pub(crate) fn root<'a>(document: &'a Value, place: &str, target: Option<Target>) -> Result<Root<'a>, ConvertError> {
    let wanted = target.map(|t| if t == Target::Dcat { Dialect::Ids } else { Dialect::Odrl });
    let reader = Reader::new(document, place, IDS);
    let mut nodes = Vec::new();
    match document.get("@graph") {
        Some(Value::Array(graph)) => nodes.extend(graph.iter().enumerate().map(|(at, value)| (value, format!("{place}/@graph/{at}")))),
        _ => nodes.push((document, place.to_owned())),
    }
    let judged = nodes.into_iter().filter_map(|(value, place)| {
        let (dialect, class) = judge(&reader, &Node::new(value, &place), wanted)?;
        Some(Root { dialect, class, value, place })
    });
    let mut found: Vec<Root<'a>> = judged.collect();
    found.sort_by_key(|r| r.class);
    let misfit = |place: &str, reason: String| Err(ConvertError::NotUnderstood { place: place.to_owned(), reason });
    let mut found = found.into_iter();
    let Some(first) = found.next() else {
        let reason = "neither a connector, catalogue, resource, offer, request or agreement of IDS nor a catalogue, dataset or policy of DCAT and ODRL";
        return misfit(place, reason.to_owned());
    };
    if let Some(second) = found.next().filter(|s| s.class == first.class) {
        return misfit(&second.place, format!("a second one beside {}: convert one at a time", first.place));
    }
    match wanted {
        Some(wanted) if wanted != first.dialect => {
            let side = if first.dialect == Dialect::Ids { "IDS" } else { "DCAT and ODRL" };
            misfit(&first.place, format!("it already is {side}"))
        }
        _ => Ok(first),
    }
}

fn judge(reader: &Reader<'_>, node: &Node<'_>, wanted: Option<Dialect>) -> Option<(Dialect, Class)> {
    let types = reader.types(node);
    if let Some(found) = types.iter().find_map(|t| by_type(t)) {
        return Some(found);
    }
    if types.iter().any(|t| t.contains(':')) {
        return None;
    }
    // Without a type, rules make a policy, and their namespace says whose.
    let rules = |m: &&crate::node::Member<'_>| matches!(m.name.as_str(), "permission" | "prohibition" | "obligation");
    let members = reader.members(node);
    let rule = members.iter().find(rules)?;
    let dialect = match () {
        () if !rule.qualified => wanted?,
        () if local(&rule.iri, IDS).is_some() => Dialect::Ids,
        () => Dialect::Odrl,
    };
    Some((dialect, Class::Policy))
}

fn by_type(name: &str) -> Option<(Dialect, Class)> {
    let bare = !name.contains(':');
    let ends = |part: &str, ends: &[&str]| ends.iter().any(|e| part.ends_with(e));
    if local(name, ODRL).is_some() || bare {
        match local(name, ODRL).unwrap_or(name) {
            "Offer" | "Agreement" | "Set" | "Policy" | "Request" => return Some((Dialect::Odrl, Class::Policy)),
            _ => {}
        }
    }
    if local(name, DCAT).is_some() || bare {
        match local(name, DCAT).unwrap_or(name) {
            "Catalog" => return Some((Dialect::Odrl, Class::Catalog)),
            "Dataset" => return Some((Dialect::Odrl, Class::Dataset)),
            _ => {}
        }
    }
    let part = local(name, IDS).or_else(|| bare.then_some(name))?;
    let class = match () {
        () if ends(part, &["Connector"]) => Class::Connector,
        () if ends(part, &["Catalog"]) => Class::Catalog,
        () if ends(part, &["Resource"]) => Class::Dataset,
        () if ends(part, &["Offer", "Request", "Agreement", "Contract"]) => Class::Policy,
        () => return None,
    };
    Some((Dialect::Ids, class))
}
