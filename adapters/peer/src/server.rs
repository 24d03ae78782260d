//! What this hub answers other hubs.

use crate::decode::{MAX_NOTICE, compact_jws};
use crate::encode::{JOSE, SECEVENT, immutable, renewed};
use waybill_exchange::Hub;
use waybill_http::{Method, Response, RouteOptions, Router};
use waybill_model::{EnvelopeHash, Iri, Problem, ProblemCode, TenantId};

/// The routes of the hub-to-hub interface.
///
/// The key document, envelopes and status lists are public: they hold no data, and a person only under a pseudonym. Manifests are
/// for their recipient. Notices show by their signature who sent them, so they need no other sign-in.
pub fn routes(hub: Hub) -> Router {
    let notices = RouteOptions { max_body: Some(MAX_NOTICE), own_auth: true, always: false };
    let (did, env, status, manifest) = (hub.clone(), hub.clone(), hub.clone(), hub.clone());
    let (events, acks, beats, bundles) = (hub.clone(), hub.clone(), hub.clone(), hub);
    Router::new()
        .route(Method::GET, "/.well-known/did.json", move |_| {
            let document = did.key_document();
            async move { Ok(Response::bytes(200, "application/did+json", document.to_string()).with(waybill_http::header::CACHE_CONTROL, "public, max-age=60")) }
        })
        .route(Method::GET, "/env/{hash}", move |request| {
            let hub = env.clone();
            async move {
                let hash = EnvelopeHash::parse(request.param("hash")).ok_or_else(|| missing("envelope"))?;
                hub.published_envelope(hash).await?.map(immutable).ok_or_else(|| missing("envelope"))
            }
        })
        .route(Method::GET, "/status/{list}", move |request| {
            let hub = status.clone();
            async move { hub.published_status(request.param("list")).await?.map(|jws| renewed(jws, 30)).ok_or_else(|| missing("status list")) }
        })
        .route(Method::GET, "/waybill/manifests/{hash}", move |request| {
            let hub = manifest.clone();
            async move {
                let hash = EnvelopeHash::parse(request.param("hash")).ok_or_else(|| missing("manifest"))?;
                let found = hub.published_manifest(request.caller.party.as_ref(), hash).await?;
                found.map(|jws| Response::bytes(200, JOSE, jws).personal()).ok_or_else(|| missing("manifest"))
            }
        })
        .route(Method::GET, "/waybill/bundles/{id}", move |request| {
            let hub = bundles.clone();
            async move {
                let id = Iri::new(request.param("id")).map_err(|_| missing("entity"))?;
                let scope = request.caller.scope(TenantId::main()).ok_or_else(|| missing("entity"))?;
                Ok(Response::bytes(200, "application/json", hub.bundle(&scope, &id).await?).personal())
            }
        })
        .route_with(Method::POST, "/waybill/events", notices, move |request| {
            let hub = events.clone();
            async move {
                let jws = compact_jws(&request, &[SECEVENT])?;
                hub.take_event(&jws).await?;
                Ok(Response::empty(202))
            }
        })
        .route_with(Method::POST, "/waybill/acknowledgements", notices, move |request| {
            let hub = acks.clone();
            async move {
                hub.take_acknowledgement(&compact_jws(&request, &[JOSE])?).await?;
                Ok(Response::empty(202))
            }
        })
        .route_with(Method::POST, "/waybill/heartbeats", notices, move |request| {
            let hub = beats.clone();
            async move {
                hub.take_heartbeat(&compact_jws(&request, &[JOSE])?).await?;
                Ok(Response::empty(204))
            }
        })
}

/// The same answer for what does not exist and what is another's.
fn missing(what: &str) -> Problem {
    Problem::new(ProblemCode("not-published"), 404, "Not found", format!("there is no such {what}, or not for this caller"))
}
