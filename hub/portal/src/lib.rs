//! Administration and consent API, health and metrics.
//!
//! The routes are here; what they ask of the hub is the trait [`Admin`]. A signed-in person sees and withdraws what is hers; everything
//! else is for the operator. A party's client has no business here: it uses the interfaces for data.
#![forbid(unsafe_code)]
#![allow(clippy::result_large_err, reason = "a Problem is made once for a request that fails; boxing it would burden every signature")]

mod admin;
mod caller;
mod consents;
mod desk;
mod fault;
mod grant;
mod health;
mod journal;
mod keys;
mod on_hub;
mod subjects;
mod view;

pub use admin::{Admin, Answer, Listing, Paging};
pub use on_hub::{HubAdmin, Probe};
pub use view::{
    Bound, Changed, Check, Connection, ConsentDetail, ConsentSummary, DeadLetter, Erased, HeartbeatState, Holder, HolderReport, JournalLine,
    JournalVerdict, KeyState, Quarantined, WithdrawalReport,
};

use std::sync::Arc;
use waybill_http::{Method, Metrics, Request, RouteOptions, Router};
use waybill_model::Clock;

/// The description of this interface (OpenAPI 3.1, YAML), also answered at `/waybill/v1/openapi.yaml`.
pub const OPENAPI: &str = include_str!("../../../schemas/openapi/portal.yaml");

/// The largest body of this interface, in bytes. A record with a large notice and many processes stays far below.
const LARGEST: usize = 1024 * 1024;
/// The largest import, in bytes: all versions and events of one record.
const LARGEST_IMPORT: usize = 8 * 1024 * 1024;

/// How the portal is set up.
#[derive(Debug, Clone)]
pub struct PortalConfig {
    /// The hub's clock.
    pub clock: Clock,
    /// What `/metrics` renders.
    pub metrics: Metrics,
    /// Whether `/metrics` and the details of `/readyz` are answered to everybody, not only to the operator and to this machine.
    pub open_metrics: bool,
}

pub(crate) struct Portal {
    pub(crate) admin: Arc<dyn Admin>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) open_metrics: bool,
}

impl Portal {
    fn on<R>(self: &Arc<Self>, handler: fn(Arc<Self>, Request) -> R) -> impl Fn(Request) -> R + Send + Sync + use<R> {
        let portal = self.clone();
        move |request| handler(portal.clone(), request)
    }
}

/// The routes of the portal over `admin`.
pub fn routes(admin: Arc<dyn Admin>, config: PortalConfig) -> Router {
    let portal = Arc::new(Portal { admin, clock: config.clock, metrics: config.metrics, open_metrics: config.open_metrics });
    let p = &portal;
    let always = RouteOptions { always: true, max_body: Some(0), ..RouteOptions::default() };
    let health = Router::new()
        .route_with(Method::GET, "/livez", always, p.on(health::livez))
        .route_with(Method::GET, "/readyz", always, p.on(health::readyz))
        .route_with(Method::GET, "/metrics", always, p.on(health::metrics))
        .route(Method::GET, "/waybill/v1/openapi.yaml", p.on(health::openapi));
    let body = RouteOptions { max_body: Some(LARGEST), ..RouteOptions::default() };
    let import = RouteOptions { max_body: Some(LARGEST_IMPORT), ..RouteOptions::default() };
    let consents = Router::new()
        .route(Method::GET, "/waybill/v1/consents", p.on(consents::list))
        .route_with(Method::POST, "/waybill/v1/consents", body, p.on(consents::grant))
        .route_with(Method::POST, "/waybill/v1/consents/import", import, p.on(consents::import))
        .route(Method::GET, "/waybill/v1/consents/{id}", p.on(consents::show))
        .route(Method::GET, "/waybill/v1/consents/{id}/export", p.on(consents::export))
        .route_with(Method::POST, "/waybill/v1/consents/{id}/withdraw", body, p.on(consents::withdraw))
        .route_with(Method::POST, "/waybill/v1/consents/{id}/suspend", body, p.on(consents::suspend))
        .route_with(Method::POST, "/waybill/v1/consents/{id}/resume", body, p.on(consents::resume));
    let subjects = Router::new()
        .route(Method::GET, "/waybill/v1/bindings", p.on(subjects::list))
        .route_with(Method::POST, "/waybill/v1/bindings", body, p.on(subjects::bind))
        .route(Method::DELETE, "/waybill/v1/bindings/{id}", p.on(subjects::unbind))
        .route_with(Method::POST, "/waybill/v1/guardianships", body, p.on(subjects::appoint))
        .route(Method::GET, "/waybill/v1/subjects/{subject}/journal", p.on(journal::page))
        .route(Method::DELETE, "/waybill/v1/subjects/{subject}", p.on(subjects::erase));
    let desk = Router::new()
        .route(Method::GET, "/waybill/v1/holders", p.on(desk::holders))
        .route(Method::GET, "/waybill/v1/withdrawals", p.on(desk::withdrawals))
        .route(Method::GET, "/waybill/v1/withdrawals/{id}", p.on(desk::withdrawal))
        .route(Method::GET, "/waybill/v1/quarantine", p.on(desk::quarantine))
        .route(Method::GET, "/waybill/v1/quarantine/{id}", p.on(desk::quarantined))
        .route(Method::POST, "/waybill/v1/quarantine/{id}/release", p.on(desk::release))
        .route(Method::DELETE, "/waybill/v1/quarantine/{id}", p.on(desk::discard))
        .route(Method::GET, "/waybill/v1/dead-letters", p.on(desk::dead_letters))
        .route(Method::GET, "/waybill/v1/dead-letters/{id}", p.on(desk::dead_letter))
        .route(Method::POST, "/waybill/v1/dead-letters/{id}/replay", p.on(desk::replay))
        .route(Method::GET, "/waybill/v1/heartbeats", p.on(desk::heartbeats))
        .route(Method::GET, "/waybill/v1/connections", p.on(desk::connections));
    let keys = Router::new()
        .route(Method::GET, "/waybill/v1/keys", p.on(keys::list))
        .route_with(Method::POST, "/waybill/v1/keys/rotate", body, p.on(keys::rotate))
        .route(Method::POST, "/waybill/v1/keys/{kid}/revoke", p.on(keys::revoke));
    let journal = Router::new()
        .route(Method::GET, "/waybill/v1/journal/verify", p.on(journal::verify))
        .route(Method::GET, "/waybill/v1/journal/export", p.on(journal::export));
    health.merge(consents).merge(subjects).merge(desk).merge(keys).merge(journal)
}
