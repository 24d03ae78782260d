//! The API server: the hub as an NGSI-LD broker and context source (clause 6).

pub(crate) mod attrs;
pub(crate) mod batch;
pub(crate) mod call;
pub mod catalog;
pub(crate) mod entities;
pub mod hub;
pub mod inbox;
pub(crate) mod info;
pub(crate) mod join;
pub(crate) mod purge;
pub(crate) mod subscriptions;

use crate::problem;
use crate::write::UpdateResult;
use call::{Call, TENANT, tenant_of};
use hub::NgsiHub;
use serde_json::json;
use std::sync::Arc;
use waybill_http::{Method, Request, Response, Router};
use waybill_model::Problem;

/// The routes of the interface.
pub fn routes(hub: Arc<dyn NgsiHub>) -> Router {
    /// A handler gets the call; the tenant is named in every answer, of an error too (clause 6.3.14).
    fn on<F, R>(hub: &Arc<dyn NgsiHub>, handle: F) -> impl Fn(Request) -> std::pin::Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>> + Send + Sync + 'static
    where
        F: Fn(Call) -> R + Send + Sync + Clone + 'static,
        R: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        let hub = hub.clone();
        move |request: Request| {
            let (hub, handle) = (hub.clone(), handle.clone());
            Box::pin(async move {
                let tenant = tenant_of(&request).ok().flatten().map(str::to_owned);
                // What a request lacks of a body's headers is told before anything else is looked at (clause 6.3.4).
                let checked = match request.method {
                    Method::POST | Method::PUT | Method::PATCH => crate::negotiate::content(&request.headers, &request.method),
                    _ => Ok(()),
                };
                let answered = match checked.and_then(|()| Call::new(hub, request)) {
                    Ok(call) => handle(call).await,
                    Err(problem) => Err(problem),
                };
                let response = answered.unwrap_or_else(|p| problem::answer(&p));
                Ok(match tenant {
                    Some(name) => response.with(TENANT, name),
                    None => response,
                })
            })
        }
    }
    let h = &hub;
    let v1 = |path: &str| format!("/ngsi-ld/v1{path}");
    Router::new()
        .route(Method::POST, &v1("/entities"), on(h, entities::create))
        .route(Method::GET, &v1("/entities"), on(h, entities::query))
        .route(Method::DELETE, &v1("/entities"), on(h, purge::purge))
        .route(Method::PUT, &v1("/entities"), on(h, entities::without_id))
        .route(Method::PATCH, &v1("/entities"), on(h, entities::without_id))
        .route(Method::GET, &v1("/entities/{id}"), on(h, entities::retrieve))
        .route(Method::PUT, &v1("/entities/{id}"), on(h, entities::replace))
        .route(Method::PATCH, &v1("/entities/{id}"), on(h, entities::merge))
        .route(Method::DELETE, &v1("/entities/{id}"), on(h, entities::delete))
        .route(Method::POST, &v1("/entities/{id}/attrs"), on(h, attrs::append))
        .route(Method::PATCH, &v1("/entities/{id}/attrs"), on(h, attrs::update))
        .route(Method::PATCH, &v1("/entities/{id}/attrs/{attr}"), on(h, attrs::partial))
        .route(Method::PUT, &v1("/entities/{id}/attrs/{attr}"), on(h, attrs::replace))
        .route(Method::DELETE, &v1("/entities/{id}/attrs/{attr}"), on(h, attrs::delete))
        // A client that fills an empty id into these gets told so, not that there is no such resource.
        .route(Method::POST, &v1("/entities//attrs"), on(h, attrs::append))
        .route(Method::PATCH, &v1("/entities//attrs"), on(h, attrs::update))
        .route(Method::PATCH, &v1("/entities//attrs/{attr}"), on(h, attrs::partial))
        .route(Method::PUT, &v1("/entities//attrs/{attr}"), on(h, attrs::replace))
        .route(Method::DELETE, &v1("/entities//attrs/{attr}"), on(h, attrs::delete))
        .route(Method::POST, &v1("/entityOperations/create"), on(h, batch::create))
        .route(Method::POST, &v1("/entityOperations/upsert"), on(h, batch::upsert))
        .route(Method::POST, &v1("/entityOperations/update"), on(h, batch::update))
        .route(Method::POST, &v1("/entityOperations/merge"), on(h, batch::merge))
        .route(Method::POST, &v1("/entityOperations/delete"), on(h, batch::delete))
        .route(Method::POST, &v1("/entityOperations/query"), on(h, batch::query))
        .route(Method::POST, &v1("/subscriptions"), on(h, subscriptions::create))
        .route(Method::GET, &v1("/subscriptions"), on(h, subscriptions::list))
        .route(Method::GET, &v1("/subscriptions/{id}"), on(h, subscriptions::retrieve))
        .route(Method::PATCH, &v1("/subscriptions/{id}"), on(h, subscriptions::update))
        .route(Method::DELETE, &v1("/subscriptions/{id}"), on(h, subscriptions::delete))
        .route(Method::GET, &v1("/types"), on(h, catalog::types))
        .route(Method::GET, &v1("/types/{type}"), on(h, catalog::type_info))
        .route(Method::GET, &v1("/attributes"), on(h, catalog::attributes))
        .route(Method::GET, &v1("/attributes/{attr}"), on(h, catalog::attribute_info))
        .route(Method::GET, &v1("/info/sourceIdentity"), on(h, info::identity))
        .route(Method::GET, &v1("/jsonldContexts/{id}"), on(h, info::context))
        .route(Method::GET, "/version", on(h, info::version))
        .errors("/ngsi-ld/v1", problem::answer)
}

/// 204, or 207 with what was not updated (clause 5.2.18).
pub(crate) fn fragment_answer(result: &UpdateResult) -> Response {
    if result.not_updated.is_empty() {
        return Response::empty(204);
    }
    let not_updated: Vec<_> = result.not_updated.iter().map(|(name, why)| json!({"attributeName": name, "reason": why})).collect();
    Response::json(207, &json!({"updated": result.updated, "notUpdated": not_updated}))
}
