//! How a connection to a broker is.

use crate::client::Broker;
use waybill_http::CallError;

/// Asks the broker whether it answers, without changing anything there.
///
/// # Errors
/// What the call met; its text holds no secret.
pub async fn check(broker: &Broker) -> Result<(), CallError> {
    broker.probe().await
}

/// Watches a broker.
pub struct BrokerHealth(pub Broker);

impl waybill_port::Health for BrokerHealth {
    fn check(&self) -> waybill_port::BoxFuture<'_, waybill_port::HealthState> {
        Box::pin(async move {
            match check(&self.0).await {
                Ok(()) => waybill_port::HealthState::Up,
                Err(e) => waybill_port::HealthState::Down { detail: e.detail },
            }
        })
    }
}
