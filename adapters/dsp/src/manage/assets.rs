//! Assets: what a dataset is of. This hub has its routes, and releases data through the gate only; so an asset names a route.

use super::body::{Body, cut};
use super::define::{Definition, Definitions, Kept, Making};
use crate::config::DspConfig;
use crate::fault::Fault;
use crate::manage::typed;
use crate::ns::local;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The type of the data addresses that there are here.
pub(crate) const ROUTE: &str = "WaybillRoute";

/// What the operator made a dataset of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Asset {
    /// The name of the route.
    pub route: String,
    properties: Map<String, Value>,
    private: Map<String, Value>,
}

impl Asset {
    /// A property that is a text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.properties.get(name).and_then(Value::as_str).map(str::to_owned)
    }
}

impl Definition for Asset {
    const LEDGER: &'static str = "dsp-asset";
    const WHAT: &'static str = "asset";
    const MOST: usize = 10_000;

    fn read(body: &Body<'_>, making: &Making<'_>) -> Result<Self, Fault> {
        body.only(&["properties", "privateProperties", "dataAddress", "createdAt"])?;
        Ok(Self { route: route(&Body::new(body.object("dataAddress")?, "/dataAddress")?, making.config)?, properties: body.properties("properties")?, private: body.properties("privateProperties")? })
    }

    fn view(&self, id: &str) -> Value {
        let mut properties = self.properties.clone();
        properties.insert("id".into(), id.into());
        typed(
            "Asset",
            &[
                ("@id", id.into()),
                ("properties", properties.into()),
                ("privateProperties", self.private.clone().into()),
                ("dataAddress", json!({"@type": "DataAddress", "type": ROUTE, "route": self.route})),
            ],
        )
    }

    fn all(definitions: &Definitions) -> &BTreeMap<String, Arc<Kept<Self>>> {
        &definitions.assets
    }
    fn all_mut(definitions: &mut Definitions) -> &mut BTreeMap<String, Arc<Kept<Self>>> {
        &mut definitions.assets
    }

    fn bound(id: &str, before: Option<&Self>, next: Option<&Self>) -> Option<String> {
        // Another title is no other dataset; another route is.
        let same = next.is_some_and(|n| before.is_some_and(|b| b.route == n.route));
        (!same).then(|| id.to_owned())
    }
}

/// The route that a data address names.
fn route(address: &Body<'_>, config: &DspConfig) -> Result<String, Fault> {
    let kind = local(address.text("type")?);
    if kind != ROUTE {
        let names: Vec<&str> = config.routes.iter().map(|r| r.name.as_str()).collect();
        return Err(Fault::new(
            400,
            "data-address-not-supported",
            &address.at("type"),
            format!(
                "`{}` is not served here: this hub releases data only through its gate, so an asset is one of its routes: {{\"type\": \"{ROUTE}\", \"route\": …}} with one of {}; \
                 for data of elsewhere add a [[connection]] and a [[route]] to the configuration",
                cut(kind),
                names.join(", ")
            ),
        ));
    }
    address.only(&["type", "route"])?;
    let name = address.text("route")?;
    let route = config.route(name).ok_or_else(|| Fault::new(400, "unknown-route", &address.at("route"), format!("there is no [[route]] named `{}`", cut(name))))?;
    if route.types.is_empty() {
        return Err(Fault::new(400, "offer-without-types", &address.at("route"), "this route selects no types, so nobody could tell what an agreement covers"));
    }
    Ok(name.to_owned())
}
