//! The portal over the engine: administration and consent API, health and metrics.

use std::sync::Arc;
use waybill_exchange::Hub;
use waybill_http::{Metrics, Router};
use waybill_portal::{HubAdmin, PortalConfig, Probe};

/// The portal's routes over `hub`; `probes` are the connections that it asks how they are.
pub fn routes(hub: &Hub, metrics: &Metrics, probes: Vec<Probe>) -> Router {
    let config = PortalConfig { clock: hub.clock().clone(), metrics: metrics.clone(), open_metrics: false };
    waybill_portal::routes(Arc::new(HubAdmin::new(hub.clone(), probes)), config)
}
