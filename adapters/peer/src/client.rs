//! What this hub asks of other hubs and tells them.

use crate::config::PeerConfig;
use crate::encode;
use std::sync::Arc;
use waybill_http::{CallError, CallErrorKind, Client, OutRequest};
use waybill_port::{BoxFuture, DeliveryError, Notice, Notices};

/// The largest published document in bytes: a manifest of a full page.
const MAX_DOCUMENT: usize = 4 * 1024 * 1024;

/// Calls the configured hubs, and no others.
#[derive(Debug, Clone)]
pub struct PeerClient {
    client: Client,
    peers: Arc<[PeerConfig]>,
}

impl PeerClient {
    /// A client for these hubs.
    pub fn new(client: Client, peers: Vec<PeerConfig>) -> Self {
        Self { client, peers: peers.into() }
    }

    fn peer(&self, url: &str) -> Result<&PeerConfig, DeliveryError> {
        self.peers.iter().find(|p| p.owns(url)).ok_or_else(|| DeliveryError::fatal("the address is of no configured hub"))
    }
}

/// How a failed call is told to the engine: what the other side refused for good stays refused. A 424 is none: it could not ask somebody.
pub(crate) fn told(e: &CallError) -> DeliveryError {
    let refused = matches!(e.kind, CallErrorKind::Status(400..=407 | 409..=423 | 426..=428));
    DeliveryError { detail: format!("{} ({})", e.detail, e.kind.code()), retry: e.is_retryable() || !refused, after: e.retry_after }
}

impl Notices for PeerClient {
    fn send<'a>(&'a self, base_url: &'a str, notice: &'a Notice) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let peer = self.peer(base_url)?;
            let (path, kind, jws) = encode::notice(notice);
            let request = OutRequest::post(format!("{}{path}", peer.base_url), kind, jws.to_owned()).auth(peer.auth.clone()).template("peer notice");
            let answer = self.client.send(request).await.and_then(waybill_http::InResponse::success);
            answer.map(drop).map_err(|e| told(&e))
        })
    }

    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<String, DeliveryError>> {
        Box::pin(async move {
            let peer = self.peer(url)?;
            let request = OutRequest::get(url).auth(peer.auth.clone()).max_response(MAX_DOCUMENT).template("peer document");
            let answer = self.client.send(request).await.and_then(waybill_http::InResponse::success).map_err(|e| told(&e))?;
            String::from_utf8(answer.body.to_vec()).map_err(|_| DeliveryError::fatal("the document is not UTF-8"))
        })
    }
}
