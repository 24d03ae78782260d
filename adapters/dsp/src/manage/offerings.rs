//! From definitions to what is on offer: each contract definition makes offers of the assets that it selects.

use super::contracts::ContractDefinition;
use super::define::{Definition, Definitions};
use super::policies::Permit;
use crate::config::{DataRoute, DspConfig, Offering, Strategy, Terms};
use crate::fault::Fault;
use crate::manage::assets::Asset;
use crate::vocab::Format;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// An offer that a definition says and that is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    code: &'static str,
    asset: String,
    contract: String,
    why: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.asset.as_str(), self.contract.as_str()) {
            (asset, "") => write!(f, "the asset `{asset}`: {}", self.why),
            ("", contract) => write!(f, "the contract definition `{contract}`: {}", self.why),
            (asset, contract) => write!(f, "the asset `{asset}` under the contract definition `{contract}`: {}", self.why),
        }
    }
}

impl LeftOut {
    pub fn code(&self) -> &'static str {
        self.code
    }
    /// As the answer to the change that would bring it about.
    pub fn fault(&self) -> Fault {
        Fault::new(400, self.code, "", self.to_string())
    }
}

/// The permits of each policy, or why it has none.
type Permits<'a> = HashMap<&'a str, Result<Vec<Permit>, Fault>>;

impl Definitions {
    /// What is on offer by these definitions beside `config`, and what is not though it is defined. Entries of one asset stand side by side.
    pub fn offerings(&self, config: &DspConfig) -> (Vec<Arc<Offering>>, Vec<LeftOut>) {
        let permits: Permits<'_> = self.policies.iter().map(|(id, p)| (id.as_str(), p.value.permits())).collect();
        let (mut made, mut left_out, mut contracts) = (Vec::new(), Vec::new(), Vec::new());
        for (id, contract) in &self.contracts {
            match terms(&contract.value, &permits) {
                Ok(permits) => contracts.push((id, &contract.value, permits)),
                Err((code, why)) => left_out.push(LeftOut { code, asset: String::new(), contract: id.clone(), why }),
            }
        }
        for (id, asset) in &self.assets {
            let mut leave = |code: &'static str, contract: &str, why: String| left_out.push(LeftOut { code, asset: id.clone(), contract: contract.to_owned(), why });
            if config.offering(id).is_some() {
                leave("duplicate-dataset", "", "an [[offer]] of the configuration has this identifier".into());
                continue;
            }
            let route = match config.route(&asset.value.route) {
                None => {
                    leave("unknown-route", "", format!("there is no [[route]] named `{}` any more", asset.value.route));
                    continue;
                }
                Some(route) if route.types.is_empty() => {
                    leave("offer-without-types", "", format!("the route `{}` selects no types any more", route.name));
                    continue;
                }
                Some(route) => route,
            };
            let view = asset.value.view(id);
            for (name, contract, permits) in contracts.iter().filter(|(_, c, _)| c.selector.iter().all(|s| s.fits(&view))) {
                if route.personal && permits.iter().any(|p| p.purposes.is_empty()) {
                    let why = format!("the route `{}` is about persons, and people agree to purposes: the policy `{}` must name one in each permission", route.name, contract.contract);
                    leave("offer-without-purpose", name, why);
                } else {
                    made.extend(permits.iter().map(|permit| Arc::new(offering(id, &asset.value, route, permit.clone(), config))));
                }
            }
        }
        (made, left_out)
    }
}

/// What a contract definition lets whom have.
fn terms(contract: &ContractDefinition, permits: &Permits<'_>) -> Result<Vec<Permit>, (&'static str, String)> {
    let of = |id: &str| match permits.get(id) {
        Some(Ok(permits)) => Ok(permits.clone()),
        Some(Err(fault)) => Err(("policy-not-kept", format!("the policy `{id}`: {fault}"))),
        None => Err(("unknown-policy", format!("there is no policy definition `{id}`"))),
    };
    let said = of(&contract.contract)?;
    let out = if contract.access == contract.contract {
        said
    } else {
        let access = of(&contract.access)?;
        if access.iter().any(|a| !a.purposes.is_empty() || a.terms != Terms::default()) {
            let why = format!("the access policy `{}` says more than who sees the offer and until when; purposes, duties and prohibitions belong into the contract policy", contract.access);
            return Err(("policy-not-kept", why));
        }
        access.iter().flat_map(|a| said.iter().map(move |t| both(a, t))).collect()
    };
    // What is for nobody is not offered; without this nobody would mean everybody.
    Ok(out.into_iter().filter(|p| p.to.as_ref().is_none_or(|to| !to.is_empty())).collect())
}

/// The terms of `contract` for those only whom `access` admits, while it does.
fn both(access: &Permit, contract: &Permit) -> Permit {
    let mut out = contract.clone();
    if let Some(to) = &access.to {
        out.narrow(to.clone());
    }
    out.until = [access.until, contract.until].into_iter().flatten().min();
    out
}

fn offering(id: &str, asset: &Asset, route: &DataRoute, permit: Permit, config: &DspConfig) -> Offering {
    // A name that nobody has stays in the list: an empty one would be for everybody.
    let named = |name: &String| {
        let known: Vec<String> = config.participants.iter().filter(|p| p.id == *name || p.party.as_str() == name).map(|p| p.id.clone()).collect();
        if known.is_empty() { vec![name.clone()] } else { known }
    };
    Offering {
        dataset: id.to_owned(),
        title: asset.text("name").or_else(|| asset.text("http://purl.org/dc/terms/title")),
        description: asset.text("description").or_else(|| asset.text("http://purl.org/dc/terms/description")),
        legislation: Vec::new(),
        types: route.types.clone(),
        ids: route.ids.clone(),
        attributes: route.attributes.clone(),
        personal: route.personal,
        purposes: permit.purposes,
        to: permit.to.iter().flatten().flat_map(named).collect(),
        formats: Format::ALL.to_vec(),
        until: permit.until,
        needs_enforcing: false,
        strategy: Strategy::Automatic,
        offer_id: None,
        route: Some(route.name.clone()),
        terms: permit.terms,
    }
}

/// What the configuration offers, in the words of the EDC: what the ledger `kind` is to definitions.
pub(super) fn configured(config: &DspConfig, kind: &str) -> Vec<Value> {
    use super::{assets::ROUTE, policies::PolicyDefinition, typed};
    use crate::catalog;
    use crate::vocab::EDC;
    use serde_json::json;
    let mut out = Vec::new();
    for offering in &config.offers {
        if kind == Asset::LEDGER {
            let mut address = json!({"@type": "DataAddress", "type": ROUTE});
            if let Some(route) = &offering.route {
                address["route"] = route.as_str().into();
            }
            let properties = json!({"id": offering.dataset, "name": offering.title, "contenttype": "application/json"});
            out.push(typed("Asset", &[("@id", offering.dataset.as_str().into()), ("properties", properties), ("dataAddress", address)]));
        } else if kind == PolicyDefinition::LEDGER {
            out.extend(catalog::offers(offering).into_iter().map(|o| typed("PolicyDefinition", &[("@id", o.offer["@id"].clone()), ("policy", crate::inline::policy(o.offer))])));
        } else if kind == ContractDefinition::LEDGER {
            for offered in catalog::offers(offering) {
                let selector = json!([{"@type": "Criterion", "operandLeft": format!("{EDC}id"), "operator": "=", "operandRight": offering.dataset}]);
                let (id, policy) = (format!("{}:{}", offering.dataset, offered.offer["@id"].as_str().unwrap_or_default()), &offered.offer["@id"]);
                out.push(typed("ContractDefinition", &[("@id", id.into()), ("accessPolicyId", policy.clone()), ("contractPolicyId", policy.clone()), ("assetsSelector", selector)]));
            }
        }
    }
    out
}
