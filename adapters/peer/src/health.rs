//! How another hub is.

use crate::client::PeerClient;
use waybill_port::{BoxFuture, Health, HealthState, Notices};

/// Asks one hub for its key document, which every hub publishes.
#[derive(Debug, Clone)]
pub struct PeerHealth {
    client: PeerClient,
    base_url: String,
}

impl PeerHealth {
    /// Watches the hub at `base_url`.
    pub fn new(client: PeerClient, base_url: impl Into<String>) -> Self {
        Self { client, base_url: base_url.into() }
    }
}

impl Health for PeerHealth {
    fn check(&self) -> BoxFuture<'_, HealthState> {
        Box::pin(async move {
            match self.client.fetch(&format!("{}/.well-known/did.json", self.base_url)).await {
                Ok(_) => HealthState::Up,
                Err(e) => HealthState::Down { detail: e.detail },
            }
        })
    }
}
