//! Notifications over a WebSocket that the hub holds open.

use super::webhook::Begun;
use super::subscribe;
use crate::client::pod::SolidPod;
use crate::config::Channel;
use crate::error::SolidError;
use futures_util::StreamExt as _;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use url::Url;
use waybill_model::DateTime;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// A notification is small.
const LARGEST_MESSAGE: usize = 64 * 1024;

/// Subscribes to `topic` and connects. The socket's task ends when the socket does; it is then begun anew.
pub(super) async fn begin(pod: &SolidPod, service: &Url, topic: &Url, ends: DateTime) -> Result<Begun, SolidError> {
    let ticket = subscribe(pod.session(), service, Channel::WebSocket, topic, None, ends).await?;
    let from = ticket.receive_from.clone().ok_or(SolidError::malformed("subscription", "it says not where to connect"))?;
    let stream = tokio::time::timeout(CONNECT, connect(pod, &from)).await.map_err(|_| SolidError::Unreachable("timeout".into()))??;
    let config = WebSocketConfig::default().max_message_size(Some(LARGEST_MESSAGE)).max_frame_size(Some(LARGEST_MESSAGE));
    let opening = tokio_tungstenite::client_async_with_config(from.as_str(), stream, Some(config));
    let (mut socket, _) = tokio::time::timeout(CONNECT, opening)
        .await
        .map_err(|_| SolidError::Unreachable("timeout".into()))?
        .map_err(|_| SolidError::Unreachable("the WebSocket could not be opened".into()))?;
    let wake = pod.wake();
    let task = tokio::spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            match message {
                // What it says is not looked at: the pod is.
                Message::Text(_) | Message::Binary(_) => wake.notify_one(),
                Message::Close(_) => break,
                _ => {}
            }
        }
        // What was told meanwhile is lost: look, and connect again.
        wake.notify_one();
    });
    Ok((ticket, None, Some(task)))
}

/// Connects to an address that the guard permits. Only plain sockets: a `wss` address is left to the other ways.
async fn connect(pod: &SolidPod, url: &Url) -> Result<TcpStream, SolidError> {
    if url.scheme() != "ws" {
        return Err(SolidError::Unsupported("WebSockets that the hub can open"));
    }
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(SolidError::malformed("subscription", "`receiveFrom` has no host"));
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await.map_err(|_| SolidError::Unreachable("name-not-found".into()))?.collect();
    let guard = pod.session().client().guard();
    if found.is_empty() || found.iter().any(|a| !guard.permits(a.ip())) {
        return Err(SolidError::Unreachable("refused-address: the address is not public and the configuration does not allow it".into()));
    }
    TcpStream::connect(found.as_slice()).await.map_err(|_| SolidError::Unreachable("no-connection".into()))
}
