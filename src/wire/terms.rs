//! From the configuration to what the gate and the engine know.

use crate::config::Config;
use crate::config::model::{Basis, HolderClass, Route, SubjectBy, Transform};
use std::collections::BTreeMap;
use std::sync::Arc;
use waybill_consent::{Asset, Terms, Validity};
use waybill_exchange::BasisRoute;
use waybill_gate::{Agreement, BindBy, BindRule, Class, ClassRule, Governance};
use waybill_model::{Iri, Problem, ProblemCode};
use waybill_policy::Purposes;

/// What the gate is to know.
pub fn governance(config: &Config, base_url: &str) -> Result<Governance, Problem> {
    let mut out = Governance::bare(base_url)?;
    if let Some(party) = &config.hub.party {
        out.party = party.clone();
    }
    out.contact.clone_from(&config.hub.contact);
    out.max_stale_seconds = i64::try_from(config.hub.max_stale).unwrap_or(i64::MAX);
    out.purposes = Arc::new(Purposes::bundled());
    for route in config.routes.iter().filter(|r| !r.personal) {
        let attributes = route.attributes.iter().map(|a| a.name.clone()).collect();
        out.classes.push(ClassRule { types: route.select.types.clone(), attributes, class: Class::Open });
    }
    for agreement in &config.agreements {
        let hub = agreement.recipient.as_ref().and_then(|r| config.peers.iter().find(|p| p.party == *r)).map(|p| p.url.trim_end_matches('/').to_owned());
        let purposes = agreement.clients.values().flat_map(|(_, list)| list.iter().map(|(_, p)| p.clone())).collect();
        out.agreements.push(Agreement {
            id: agreement.id.clone(),
            recipient: agreement.recipient.clone(),
            purposes,
            open: agreement.open,
            holder: match agreement.holder {
                HolderClass::Enforcing => waybill_gate::HolderClass::Enforcing,
                HolderClass::Expiring => waybill_gate::HolderClass::Expiring,
                HolderClass::Plain => waybill_gate::HolderClass::Plain,
            },
            hub,
            write: agreement.write,
        });
    }
    for route in &config.routes {
        let Some(subject) = &route.subject else { continue };
        let by = match &subject.by {
            SubjectBy::Attribute(name) => BindBy::Attribute(name.clone()),
            SubjectBy::Relationship(path) => BindBy::Path(path.clone()),
            SubjectBy::IdPattern { pattern, template } => {
                let Some((before, after)) = pattern.split_once('*') else { continue };
                BindBy::Id { before: before.to_owned(), after: after.to_owned(), template: template.clone() }
            }
            SubjectBy::Pod | SubjectBy::Registry => continue,
        };
        out.bindings.push(BindRule { types: route.select.types.clone(), by, all: subject.all, evidence: format!("route {}", route.name) });
    }
    Ok(out)
}

/// The lawful bases other than consent.
pub fn bases(config: &Config, governance: &Governance) -> Result<Vec<BasisRoute>, Problem> {
    let mut out = Vec::new();
    for route in config.routes.iter().filter(|r| r.personal) {
        let Some(basis) = route.basis.as_ref().and_then(|(_, b)| lawful(*b)) else { continue };
        for (_, recipient) in &route.recipients {
            out.push(BasisRoute {
                source: source(&governance.base_url, route)?,
                terms: Terms {
                    process: route.name.clone(),
                    basis,
                    controller: governance.party.clone(),
                    recipient: recipient.clone(),
                    purposes: route.purposes.iter().map(|(_, p)| p.clone()).collect(),
                    purpose_version: governance.purposes.version(),
                    assets: assets(route, &config.hub.zone),
                    distribute_to: route.distribute_to.iter().map(|(_, p)| p.clone()).collect(),
                },
                validity: Validity { from: route.from_time, until: route.until },
                label: route.law.iter().map(|law| ("en".to_owned(), law.clone())).collect::<BTreeMap<_, _>>(),
            });
        }
    }
    Ok(out)
}

fn source(base_url: &str, route: &Route) -> Result<Iri, Problem> {
    let name = waybill_http::encode_component(&route.name);
    Iri::new(format!("{base_url}/waybill/routes/{name}")).map_err(|e| Problem::new(ProblemCode("bad-base-url"), 422, "The base URL is no URL", e.to_string()))
}

fn lawful(basis: Basis) -> Option<waybill_consent::Basis> {
    use waybill_consent::Basis as B;
    Some(match basis {
        Basis::Consent => return None,
        Basis::Contract => B::Contract,
        Basis::LegalObligation => B::LegalObligation,
        Basis::VitalInterest => B::VitalInterest,
        Basis::PublicTask => B::PublicTask,
        Basis::LegitimateInterest => B::LegitimateInterest,
    })
}

fn assets(route: &Route, zone: &str) -> Vec<Asset> {
    use waybill_consent::Transform as T;
    let transform = |t: &Transform| match t {
        Transform::Share => T::Share,
        Transform::Mean { window, min_samples } => T::Mean { window: *window, zone: zone.to_owned(), min_samples: *min_samples },
        Transform::Round(step) => T::Round { step: *step },
        Transform::Bin(edges) => T::Bin { edges: edges.clone() },
        Transform::District(grid) => T::District { grid: *grid },
        Transform::Drop => T::Drop,
    };
    route.attributes.iter().map(|a| Asset { types: route.select.types.clone(), attribute: a.name.clone(), transform: transform(&a.transform) }).collect()
}
