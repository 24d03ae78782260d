//! What the hub says of itself (clause 6.33), and what brokers' clients probe.

use super::call::Call;
use crate::problem;
use serde_json::json;
use waybill_http::Response;
use waybill_model::Problem;

/// `GET /info/sourceIdentity`.
pub(super) async fn identity(call: Call) -> Result<Response, Problem> {
    call.params(&["options"])?;
    let media = call.accept(false)?;
    let context = call.link_context().await?;
    let now = call.now();
    // Each tenant is a context source of its own.
    let tenant = call.scope.tenant.as_str();
    let alias = if tenant.is_empty() { call.hub.alias().to_owned() } else { format!("{}.{tenant}", call.hub.alias()) };
    let up = (now.micros() - call.hub.started_at().micros()).max(0) / 1_000_000;
    let body = json!({
        "id": format!("urn:ngsi-ld:ContextSourceIdentity:{alias}"), "type": "ContextSourceIdentity", "contextSourceAlias": alias,
        "contextSourceUptime": format!("PT{up}S"), "contextSourceTimeAt": now,
    });
    Ok(call.json_ld(200, body, media, &context))
}

/// `GET /version`: not of NGSI-LD, but the probe of the clients of brokers.
pub(super) async fn version(call: Call) -> Result<Response, Problem> {
    Ok(Response::json(200, &json!({"name": "waybill", "version": env!("CARGO_PKG_VERSION"), "alias": call.hub.alias()})))
}

/// `GET /jsonldContexts/{id}`: an @context that an answer's Link header points to.
pub(super) async fn context(call: Call) -> Result<Response, Problem> {
    let url = format!("{}/ngsi-ld/v1/jsonldContexts/{}", call.request.base_url, call.request.param("id"));
    match call.hub.contexts().body(&url) {
        Some(body) => Ok(Response::bytes(200, "application/ld+json", body.to_string())),
        None => Err(problem::not_found("context-not-found", "there is no such @context here")),
    }
}
