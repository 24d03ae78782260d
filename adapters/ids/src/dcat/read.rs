//! DCAT catalogues and datasets, from messages of the Dataspace Protocol or with full names.

use super::Class;
use crate::loss::Effect;
use crate::model::{Body, Catalog, Dataset, Distribution, Endpoint, Texts};
use crate::node::{Member, Node};
use crate::policy::Reading;
use crate::vocab::{IDS, local};

/// What a document of DCAT and ODRL says.
pub(crate) fn read<'a>(reading: &mut Reading<'_, 'a>, node: &Node<'a>, class: Class) -> Body {
    match class {
        Class::Connector | Class::Catalog => Body::Catalog(catalog(reading, node, &[])),
        Class::Dataset => Body::Dataset(dataset(reading, node, &[])),
        Class::Policy => Body::Policy(Box::new(reading.policy(node, None))),
    }
}

/// The member's name without the prefixes that these documents use or leave out.
fn plain<'m>(member: &'m Member<'_>) -> &'m str {
    ["dcat:", "dspace:"].iter().find_map(|p| member.name.strip_prefix(p)).unwrap_or(&member.name)
}

/// A class of IDS that a conversion noted.
fn noted(reading: &Reading<'_, '_>, member: &Member<'_>) -> Option<String> {
    let class = if member.name == "dct:type" { reading.text(&member.node) } else { None };
    class.filter(|c| local(c, IDS).is_some())
}

/// Something that describes: kept when its name is a full one.
fn describe<'a>(reading: &mut Reading<'_, 'a>, member: &Member<'a>, texts: &mut Texts) {
    if member.qualified {
        reading.describe(member, texts);
    } else {
        reading.losses.dropped(&member.node.place, format!("`{}`, which no @context here makes a name", member.name), Effect::Description);
    }
}

fn catalog<'a>(reading: &mut Reading<'_, 'a>, node: &Node<'a>, outer: &[Endpoint]) -> Catalog {
    let mut out = Catalog { place: node.place.clone(), id: reading.name(node), ..Catalog::default() };
    let members = reading.reader.members(node);
    for member in members.iter().filter(|m| plain(m) == "service") {
        for item in reading.reader.items(&member.node) {
            let inner = reading.reader.members(&item);
            match inner.iter().find(|m| plain(m) == "endpointURL").and_then(|m| reading.text(&m.node)) {
                Some(url) => out.endpoints.push(Endpoint { place: item.place.clone(), id: reading.name(&item), url }),
                None => reading.losses.dropped(&item.place, "a service without an endpointURL", Effect::Description),
            }
        }
    }
    let services: Vec<Endpoint> = outer.iter().chain(&out.endpoints).cloned().collect();
    for member in members {
        match plain(&member) {
            "service" => {}
            "dataset" => {
                for item in reading.reader.items(&member.node) {
                    out.datasets.push(dataset(reading, &item, &services));
                }
            }
            "catalog" => {
                for item in reading.reader.items(&member.node) {
                    out.catalogs.push(catalog(reading, &item, &services));
                }
            }
            "participantId" => out.participant = reading.text(&member.node),
            _ => match noted(reading, &member) {
                Some(class) => out.class = Some(class),
                None => describe(reading, &member, &mut out.texts),
            },
        }
    }
    out
}

fn dataset<'a>(reading: &mut Reading<'_, 'a>, node: &Node<'a>, services: &[Endpoint]) -> Dataset {
    let mut out = Dataset { place: node.place.clone(), id: reading.name(node), ..Dataset::default() };
    for member in reading.reader.members(node) {
        match plain(&member) {
            "hasPolicy" => {
                for item in reading.reader.items(&member.node) {
                    out.offers.push(reading.policy(&item, out.id.as_deref()));
                }
            }
            "distribution" => {
                for item in reading.reader.items(&member.node) {
                    out.distributions.push(distribution(reading, &item, services));
                }
            }
            _ => match noted(reading, &member) {
                Some(class) => out.class = Some(class),
                None => describe(reading, &member, &mut out.texts),
            },
        }
    }
    out
}

fn distribution<'a>(reading: &mut Reading<'_, 'a>, node: &Node<'a>, services: &[Endpoint]) -> Distribution {
    let mut out = Distribution { place: node.place.clone(), id: reading.name(node), ..Distribution::default() };
    for member in reading.reader.members(node) {
        match plain(&member) {
            "format" | "dct:format" => out.format = reading.text(&member.node),
            "accessService" => {
                let id = reading.text(&member.node);
                if !services.iter().any(|s| s.id == id || id.as_ref() == Some(&s.url)) {
                    reading.losses.dropped(&member.node.place, "a service that the catalogue does not list", Effect::Description);
                }
            }
            "hasPolicy" => reading.losses.dropped(&member.node.place, "an offer of one distribution, which IDS does not have", Effect::Stricter),
            _ => match noted(reading, &member) {
                Some(class) => out.class = Some(class),
                None => describe(reading, &member, &mut out.texts),
            },
        }
    }
    out
}
