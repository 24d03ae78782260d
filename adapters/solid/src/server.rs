//! What the hub serves to Solid servers: its Client ID Document and its webhooks.

use crate::client::notify::webhook::Webhooks;
use crate::client::session::client_id_document;
use std::sync::Arc;
use url::Url;
use waybill_http::{Method, Request, Response, RouteOptions, Router, header};
use waybill_keys::PublicKey;
use waybill_model::Problem;

/// A notification is small; what is larger is none.
const LARGEST_NOTIFICATION: usize = 64 * 1024;

/// The routes below `prefix` (e.g. `/solid`): `client-id` and `webhook/{name}`. `public_url` is the address of `prefix` as the world
/// sees it, with a slash at the end; `keys` are those that sign client assertions, retired ones left out by the caller.
pub fn routes(prefix: &str, public_url: &Url, keys: &[PublicKey], webhooks: Arc<Webhooks>) -> Router {
    let prefix = prefix.trim_end_matches('/');
    let document = client_id_document(public_url, keys);
    Router::new()
        .route(Method::GET, &format!("{prefix}/client-id"), move |_request| {
            let document = document.clone();
            async move { Ok(client_id(&document)) }
        })
        .route_with(
            Method::POST,
            &format!("{prefix}/webhook/{{name}}"),
            RouteOptions { max_body: Some(LARGEST_NOTIFICATION), own_auth: true, ..RouteOptions::default() },
            move |request| {
                let webhooks = webhooks.clone();
                async move { webhook(&webhooks, &request).await }
            },
        )
}

/// Answers with the Client ID Document.
pub fn client_id(document: &serde_json::Value) -> Response {
    let mut response = Response::bytes(200, "application/ld+json", document.to_string());
    response = response.with(header::CACHE_CONTROL, "max-age=300");
    response
}

/// Takes a notification.
///
/// # Errors
/// The [`Problem`] of a call that is refused; the answer says no more than the status does to a stranger.
pub async fn webhook(webhooks: &Webhooks, request: &Request) -> Result<Response, Problem> {
    webhooks.receive(request.param("name"), request.header(header::AUTHORIZATION), request.header("dpop"), &request.body).await?;
    Ok(Response::empty(204))
}
