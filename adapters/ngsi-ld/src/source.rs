//! A broker (or another hub) whose entities come in: the hub subscribes there, and is notified at its inbox.

use crate::client::{Broker, is_retryable};
use waybill_model::Iri;
use waybill_port::{BoxFuture, DeliveryError, Source};

/// The header in which what is sent to an inbox shows the inbox's secret. Not `Authorization`: the sender is no client of the hub.
pub(crate) const INBOX_SECRET: &str = "waybill-inbox";

/// Subscribes at a broker.
pub struct BrokerSource {
    connection: String,
    broker: Broker,
    types: Vec<Iri>,
    inbox: String,
    secret: String,
    label: String,
}

impl BrokerSource {
    /// Follows entities of `types` (expanded) at `broker`; notifications go to `inbox` and show `secret`.
    pub fn new(connection: impl Into<String>, broker: Broker, types: Vec<Iri>, inbox: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { connection: connection.into(), broker, types, inbox: inbox.into(), secret: secret.into(), label: String::new() }
    }

    /// The same, with a subscription identifier that is made from `label`: two hubs that follow one broker must not share one.
    #[must_use]
    pub fn labelled(mut self, label: &str) -> Self {
        label.clone_into(&mut self.label);
        self
    }
}

impl Source for BrokerSource {
    fn connection(&self) -> &str {
        &self.connection
    }

    fn follow(&self) -> BoxFuture<'_, Result<(), DeliveryError>> {
        Box::pin(async move {
            let name = waybill_http::encode_component(if self.label.is_empty() { &self.connection } else { &self.label });
            let id = Iri::new(format!("urn:waybill:subscription:{name}")).map_err(|e| DeliveryError::fatal(e.to_string()))?;
            let headers = [(INBOX_SECRET.to_owned(), self.secret.clone())];
            self.broker
                .subscribe(&id, &self.types, &self.inbox, &headers)
                .await
                .map_err(|e| DeliveryError { detail: format!("{} ({})", e.detail, e.kind.code()), retry: is_retryable(&e), after: e.retry_after })
        })
    }
}
