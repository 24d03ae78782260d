//! Self-descriptions of IDS: a connector with its catalogues, resources, offers and representations.

use crate::dcat::Class;
use crate::loss::Effect;
use crate::model::{Body, Catalog, Dataset, Distribution, Endpoint, PolicyKind};
use crate::node::{Member, Node};
use crate::policy::Reading;

/// What a document of IDS says.
pub(crate) fn body<'a>(reading: &mut Reading<'_, 'a>, node: &Node<'a>, class: Class) -> Body {
    match class {
        Class::Connector => Body::Catalog(connector(reading, node)),
        Class::Catalog => Body::Catalog(catalog(reading, node)),
        Class::Dataset => Body::Dataset(dataset(reading, node)),
        Class::Policy => Body::Policy(Box::new(reading.policy(node, None))),
    }
}

fn class(reading: &Reading<'_, '_>, node: &Node<'_>) -> Option<String> {
    reading.reader.types(node).first().map(|t| reading.reader.class(t))
}

fn connector<'a>(reading: &mut Reading<'_, 'a>, node: &Node<'a>) -> Catalog {
    let mut out = Catalog { place: node.place.clone(), id: reading.name(node), class: class(reading, node), ..Catalog::default() };
    let mut maintainer = None;
    for member in reading.reader.members(node) {
        match member.name.as_str() {
            "resourceCatalog" => {
                for item in present(reading, &member) {
                    out.catalogs.push(catalog(reading, &item));
                }
                continue;
            }
            "curator" => out.participant = reading.text(&member.node),
            "maintainer" => maintainer = reading.text(&member.node),
            "hasDefaultEndpoint" | "hasEndpoint" => endpoints(reading, &member, &mut out.endpoints),
            _ => {}
        }
        reading.describe(&member, &mut out.texts);
    }
    out.participant = out.participant.or(maintainer);
    out
}

fn endpoints<'a>(reading: &mut Reading<'_, 'a>, member: &Member<'a>, found: &mut Vec<Endpoint>) {
    for item in reading.reader.items(&member.node) {
        let members = reading.reader.members(&item);
        let Some(url) = members.iter().find(|m| m.name == "accessURL").and_then(|m| reading.text(&m.node)) else { continue };
        reading.losses.kept(&item.place, "an endpoint that speaks IDS", "a DataService, at which DSP is not spoken", Effect::Description);
        found.push(Endpoint { place: item.place.clone(), id: reading.name(&item), url });
    }
}

fn catalog<'a>(reading: &mut Reading<'_, 'a>, node: &Node<'a>) -> Catalog {
    let mut out = Catalog { place: node.place.clone(), id: reading.name(node), class: class(reading, node), ..Catalog::default() };
    for member in reading.reader.members(node) {
        if member.name == "offeredResource" {
            for item in present(reading, &member) {
                out.datasets.push(dataset(reading, &item));
            }
        } else {
            reading.describe(&member, &mut out.texts);
        }
    }
    out
}

fn dataset<'a>(reading: &mut Reading<'_, 'a>, node: &Node<'a>) -> Dataset {
    let mut out = Dataset { place: node.place.clone(), id: reading.name(node), class: class(reading, node), ..Dataset::default() };
    for member in reading.reader.members(node) {
        match member.name.as_str() {
            "contractOffer" => {
                for item in present(reading, &member) {
                    let mut policy = reading.policy(&item, out.id.as_deref());
                    policy.kind = PolicyKind::Offer;
                    out.offers.push(policy);
                }
            }
            "representation" => {
                for item in present(reading, &member) {
                    out.distributions.push(distribution(reading, &item));
                }
            }
            _ => reading.describe(&member, &mut out.texts),
        }
    }
    out
}

fn distribution<'a>(reading: &mut Reading<'_, 'a>, node: &Node<'a>) -> Distribution {
    let mut out = Distribution { place: node.place.clone(), id: reading.name(node), class: class(reading, node), ..Distribution::default() };
    for member in reading.reader.members(node) {
        if member.name == "mediaType" {
            out.format = reading.text(&member.node);
        }
        reading.describe(&member, &mut out.texts);
    }
    out
}

/// The parts that stand in the document, and not only their names.
fn present<'a>(reading: &mut Reading<'_, 'a>, member: &Member<'a>) -> Vec<Node<'a>> {
    let mut found = reading.reader.items(&member.node);
    found.retain(|item| {
        let there = !reading.reader.members(item).is_empty() || item.value.get("@type").is_some();
        if !there {
            reading.losses.dropped(&item.place, format!("a `{}` that is only named here", member.name), Effect::Stricter);
        }
        there
    });
    found
}
