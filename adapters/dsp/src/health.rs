//! How another connector is.

use crate::config::Participant;
use std::sync::Arc;
use std::time::Duration;
use waybill_http::{Client, InResponse, OutRequest};
use waybill_port::{BoxFuture, Health, HealthState};

/// Asks one participant's connector for the versions it speaks, which every connector tells.
#[derive(Debug, Clone)]
pub struct DspHealth {
    client: Client,
    participant: Arc<Participant>,
}

impl DspHealth {
    /// Watches the connector of `participant`.
    pub fn new(client: Client, participant: Arc<Participant>) -> Self {
        Self { client, participant }
    }
}

/// Where the version document may be: at the root of the connector's address, or one segment above it.
fn places(address: &str) -> Vec<String> {
    let base = address.trim_end_matches('/');
    let above = base.rsplit_once('/').map_or(base, |(above, _)| above);
    [above, base].iter().map(|at| format!("{at}/.well-known/dspace-version")).collect()
}

impl Health for DspHealth {
    fn check(&self) -> BoxFuture<'_, HealthState> {
        Box::pin(async move {
            let Some(address) = &self.participant.address else {
                return HealthState::Down { detail: "no address is configured".into() };
            };
            let mut detail = String::new();
            for url in places(address) {
                let request = OutRequest::get(url).deadline(Duration::from_secs(5)).template("dsp health");
                match self.client.send(request).await.and_then(InResponse::success) {
                    Ok(_) => return HealthState::Up,
                    Err(e) => detail = e.to_string(),
                }
            }
            HealthState::Down { detail }
        })
    }
}
