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
