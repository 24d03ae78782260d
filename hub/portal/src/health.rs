//! Is it alive, is it ready, how is it doing.

use crate::{OPENAPI, Portal};
use serde_json::json;
use std::sync::Arc;
use waybill_http::{Request, Response, header, problems};
use waybill_model::Problem;

/// The process answers.
pub(crate) async fn livez(_: Arc<Portal>, _: Request) -> Result<Response, Problem> {
    Ok(Response::text(200, "ok\n").with(header::CACHE_CONTROL, "no-store"))
}

/// The hub can do its work. Everybody learns whether; why not is for those who may see the metrics.
pub(crate) async fn readyz(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    let checks = portal.admin.checks().await.unwrap_or_else(|problem| {
        vec![crate::Check { name: "hub".to_owned(), ok: false, detail: Some(problem.title) }]
    });
    let ready = checks.iter().all(|c| c.ok);
    let body = if may_measure(&portal, &request) { json!({ "ready": ready, "checks": checks }) } else { json!({ "ready": ready }) };
    let response = Response::json(if ready { 200 } else { 503 }, &body).with(header::CACHE_CONTROL, "no-store");
    Ok(if ready { response } else { response.with(header::RETRY_AFTER, "1") })
}

/// Counts and times, in Prometheus' text format.
pub(crate) async fn metrics(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    if !may_measure(&portal, &request) {
        return Err(if request.caller.is_known() { problems::forbidden("only the operator may see this") } else { problems::unauthenticated() });
    }
    let text = portal.metrics.render();
    Ok(Response::bytes(200, "text/plain; version=0.0.4; charset=utf-8", text).with(header::CACHE_CONTROL, "no-store"))
}

fn may_measure(portal: &Portal, request: &Request) -> bool {
    // `client`, not `peer`: behind a trusted proxy on this machine everybody's socket is a local one.
    portal.open_metrics || request.caller.is_operator() || (request.client.is_loopback() && !is_forwarded(request))
}

/// A proxy that is not declared as trusted makes every caller look local.
fn is_forwarded(request: &Request) -> bool {
    ["x-forwarded-for", "forwarded", "via"].iter().any(|name| request.headers.contains_key(*name))
}

/// The description of this interface.
pub(crate) async fn openapi(_: Arc<Portal>, _: Request) -> Result<Response, Problem> {
    Ok(Response::bytes(200, "application/yaml", OPENAPI))
}
