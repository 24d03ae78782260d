//! How it stands with imports, for the operator and for whoever asks how the hub is.

use super::{Import, ImportState, Imported};
use crate::connector::Connector;
use crate::fault::Fault;
use crate::manage::{Answered, answer, refused};
use serde_json::{Value, json};
use waybill_http::{Method, Request, Router};
use waybill_port::{BoxFuture, Health, HealthState};

/// `GET /management/v3/imports`, for the operator: part of the management interface, in both versions.
pub fn routes(connector: &Connector) -> Router {
    let mut router = Router::new();
    for version in ["v3", "v4"] {
        let own = connector.clone();
        router = router.route(Method::GET, &format!("/management/{version}/imports"), move |request: Request| {
            let this = own.clone();
            async move { answer(if request.caller.is_operator() { this.import_list().await } else { Err(refused(&request)) }) }
        });
    }
    router
}

impl Connector {
    async fn import_list(&self) -> Answered {
        let mut out = Vec::new();
        for import in self.imports() {
            let row = self.imported(&import.name).await?.unwrap_or_default();
            let policy = match &row.agreement {
                Some(id) => self.agreement(id).await?.map(|a| a.policy),
                None => None,
            };
            out.push(shown(&import, &row, policy));
        }
        Ok(Value::Array(out))
    }
}

/// No token is shown.
fn shown(import: &Import, row: &Imported, policy: Option<Value>) -> Value {
    json!({
        "name": import.name, "participant": import.participant, "dataset": import.dataset, "purpose": import.purpose, "state": row.state,
        "agreement": row.agreement, "policy": policy, "envelope": row.envelope.map(|e| e.to_string()), "transfer": row.transfer,
        "negotiation": row.negotiation, "closed": row.closed, "entities": row.entities, "leftOut": row.left_out, "pulledAt": row.pulled_at,
        "heardAt": row.heard_at, "deletedUpTo": row.since, "acknowledged": row.acknowledged,
        "fault": row.fault.as_ref().map(|f| json!({"code": f.code, "reason": f.reason})),
    })
}

/// How an import is: whether it flows, and why not.
pub struct ImportHealth {
    connector: Connector,
    name: String,
}

impl ImportHealth {
    /// Watches the import `name`.
    pub fn new(connector: Connector, name: impl Into<String>) -> Self {
        Self { connector, name: name.into() }
    }
}

impl Health for ImportHealth {
    fn check(&self) -> BoxFuture<'_, HealthState> {
        Box::pin(async move {
            let row = match self.connector.imported(&self.name).await {
                Ok(row) => row.unwrap_or_default(),
                Err(Fault { code, detail, .. }) => return HealthState::Down { detail: format!("{code}: {detail}") },
            };
            match row.fault {
                Some(fault) => HealthState::Down { detail: format!("{}: {}: {}", row.state.as_str(), fault.code, fault.reason) },
                None if row.state == ImportState::Resting => HealthState::Down { detail: "the provider suspended the transfer; what came is closed".into() },
                None => HealthState::Up,
            }
        })
    }
}
