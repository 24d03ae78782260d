//! This data plane made known to its control plane (DPS, "Registration").

use super::messages::{HTTP_PULL, HTTP_PUSH};
use crate::client::rest;
use crate::config::{ControlPlane, DspConfig};
use crate::connector::Connector;
use serde_json::{Value, json};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use waybill_http::{Method, OutRequest, header};
use waybill_port::{BoxFuture, Health, HealthState};

/// Between two looks at the configuration.
const LOOK: Duration = Duration::from_secs(1);
/// The rest after a refusal: what the operators of both sides have to put right takes them longer than a moment.
const LONG_REST: Duration = Duration::from_secs(30);

impl Connector {
    /// Tells the control plane of this data plane until it knows, where the configuration says so: at every start, and when the configuration was
    /// read anew. For ever.
    pub async fn register(self) {
        let mut known: Option<Arc<ControlPlane>> = None;
        let mut attempt = 0u32;
        loop {
            let config = self.config();
            let wanted = config.control_plane.clone().filter(|plane| plane.register);
            let Some(plane) = wanted.filter(|plane| !known.as_ref().is_some_and(|k| Arc::ptr_eq(k, plane))) else {
                tokio::time::sleep(LOOK).await;
                continue;
            };
            let request = OutRequest::new(Method::PUT, format!("{}/dataplanes", plane.url)).body(registration(&config).to_string());
            let told = self.ask_plane(&plane, request.header(header::CONTENT_TYPE, "application/json")).await;
            self.note_registration(told.clone().map_err(|(why, _)| why));
            let pause = match told {
                Ok(()) => {
                    (known, attempt) = (Some(plane), 0);
                    continue;
                }
                Err((why, true)) => {
                    tracing::warn!("this data plane is not registered yet: {why}");
                    attempt = attempt.saturating_add(1);
                    Duration::from_micros(rest(attempt).unsigned_abs())
                }
                Err((why, false)) => {
                    tracing::error!("the control plane refuses to register this data plane ({why}): see `url` and `auth` in [dataspace.control_plane], and what the control plane asks of data planes");
                    LONG_REST
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn note_registration(&self, told: Result<(), String>) {
        *self.0.registered.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }
}

/// Up once this data plane is registered, where it is to be.
impl Health for Connector {
    fn check(&self) -> BoxFuture<'_, HealthState> {
        let told = self.0.registered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            match told {
                Some(Ok(())) => HealthState::Up,
                Some(Err(why)) => HealthState::Down { detail: format!("the control plane does not register this data plane: {why}") },
                None => HealthState::Down { detail: "the control plane was not asked yet to register this data plane".to_owned() },
            }
        })
    }
}

/// The DataPlaneRegistrationMessage. What the control plane is to show here is not in it: operators gave it to each other.
fn registration(config: &DspConfig) -> Value {
    json!({
        "dataplaneId": config.participant,
        "endpoint": format!("{}{}", config.base_url, super::server::PATH),
        "profiles": [HTTP_PULL, HTTP_PUSH],
        "authorization": {"type": "bearer"},
    })
}
