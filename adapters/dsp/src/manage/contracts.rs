//! Contract definitions: which assets are offered, to whom, and on which terms.

use super::body::{Body, cut};
use super::define::{Definition, Definitions, Kept, Making};
use super::query::Criterion;
use crate::fault::Fault;
use crate::manage::typed;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What makes offers of assets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ContractDefinition {
    /// The policy that says who sees the offers.
    pub access: String,
    /// The policy that says on which terms they are made.
    pub contract: String,
    /// Which assets: all that every comparison fits, so all there are where there is none.
    pub selector: Vec<Criterion>,
    private: Map<String, Value>,
}

impl Definition for ContractDefinition {
    const LEDGER: &'static str = "dsp-contract";
    const WHAT: &'static str = "contract definition";

    fn read(body: &Body<'_>, making: &Making<'_>) -> Result<Self, Fault> {
        body.only(&["accessPolicyId", "contractPolicyId", "assetsSelector", "privateProperties", "createdAt"])?;
        let policy = |name: &str| -> Result<String, Fault> {
            let id = body.text(name)?;
            if !making.definitions.policies.contains_key(id) {
                return Err(Fault::new(400, "unknown-policy", &body.at(name), format!("there is no policy definition `{}` that was made here; make it first", cut(id))));
            }
            Ok(id.to_owned())
        };
        Ok(Self {
            access: policy("accessPolicyId")?,
            contract: policy("contractPolicyId")?,
            selector: body.get("assetsSelector").map_or(Ok(Vec::new()), |s| Criterion::all(s, "/assetsSelector"))?,
            private: body.properties("privateProperties")?,
        })
    }

    fn view(&self, id: &str) -> Value {
        typed(
            "ContractDefinition",
            &[
                ("@id", id.into()),
                ("accessPolicyId", self.access.as_str().into()),
                ("contractPolicyId", self.contract.as_str().into()),
                ("assetsSelector", self.selector.iter().map(Criterion::view).collect()),
                ("privateProperties", self.private.clone().into()),
            ],
        )
    }

    fn all(definitions: &Definitions) -> &BTreeMap<String, Arc<Kept<Self>>> {
        &definitions.contracts
    }
    fn all_mut(definitions: &mut Definitions) -> &mut BTreeMap<String, Arc<Kept<Self>>> {
        &mut definitions.contracts
    }
}
