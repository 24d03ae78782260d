//! Hearing of changes: subscriptions at the server, kept alive; polling beside them.

pub mod socket;
pub mod webhook;

use crate::client::discovery::{Subscription, subscriptions};
use crate::client::link::address;
use crate::client::pod::SolidPod;
use crate::client::resource::If;
use crate::client::session::Session;
use crate::config::Channel;
use crate::error::SolidError;
use crate::vocab::{NOTIFICATION_CONTEXT, WEBHOOK_CHANNEL, WEBSOCKET_CHANNEL};
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::JoinHandle;
use url::Url;
use waybill_http::{HeaderMap, HeaderValue, Method, header};
use waybill_model::{DateTime, Iri};

/// A subscription as the server granted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The channel's own address; deleting it ends the subscription.
    pub id: Option<Url>,
    /// When it ends by itself.
    pub ends: Option<DateTime>,
    /// Where to connect, for a WebSocket.
    pub receive_from: Option<Url>,
    /// Who will call, for a webhook.
    pub sender: Option<Iri>,
}

/// Asks `service` for notifications of `topic`.
pub async fn subscribe(
    session: &Session,
    service: &Url,
    channel: Channel,
    topic: &Url,
    send_to: Option<&Url>,
    ends: DateTime,
) -> Result<Ticket, SolidError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        #[serde(default)]
        id: Option<String>,
        #[serde(default)]
        end_at: Option<String>,
        #[serde(default)]
        receive_from: Option<String>,
        #[serde(default)]
        sender: Option<String>,
    }
    let kind = if channel == Channel::Webhook { WEBHOOK_CHANNEL } else { WEBSOCKET_CHANNEL };
    let mut wish = json!({"@context": [NOTIFICATION_CONTEXT], "type": kind, "topic": topic.as_str(), "endAt": ends});
    if let Some(url) = send_to {
        wish["sendTo"] = url.as_str().into();
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/ld+json"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/ld+json"));
    let answer = session.send(Method::POST, service, headers, wish.to_string().into()).await?;
    answer.success()?;
    let said: Answer = serde_json::from_slice(&answer.body).map_err(|_| SolidError::malformed("subscription", "not the JSON that was expected"))?;
    let receive_from = said.receive_from.as_deref().map(|text| {
        let url = Url::parse(text).map_err(|_| SolidError::malformed("subscription", "`receiveFrom` is no address"))?;
        // A pod's server does not get to point the hub's sockets elsewhere.
        if url.host() != service.host() || url.port_or_known_default() != service.port_or_known_default() {
            return Err(SolidError::malformed("subscription", "`receiveFrom` is at another server"));
        }
        Ok(url)
    });
    Ok(Ticket {
        id: said.id.as_deref().and_then(|text| address(text, "subscription").ok()).filter(|id| id.origin() == service.origin()),
        ends: said.end_at.as_deref().and_then(|text| DateTime::parse(text).ok()),
        receive_from: receive_from.transpose()?,
        sender: said.sender.and_then(|text| Iri::new(text).ok()),
    })
}

struct Held {
    channel: Channel,
    ticket: Ticket,
    renew_at: DateTime,
    webhook: Option<String>,
    socket: Option<JoinHandle<()>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(task) = &self.socket {
            task.abort();
        }
    }
}

/// The subscriptions of one pod. What cannot be subscribed is heard by polling.
pub(crate) struct Channels {
    pod: SolidPod,
    offered: Option<Vec<Subscription>>,
    held: BTreeMap<Url, Held>,
    /// Topics that the server refused are not tried again before this time.
    refused: BTreeMap<Url, DateTime>,
    /// After a failure of the server itself nothing is tried again before this time.
    pause_until: Option<DateTime>,
}

/// More topics than this are not subscribed one by one.
const MOST_TOPICS: usize = 256;
/// Seconds of rest after a server refused a subscription.
const PAUSE_SECONDS: i64 = 20;

impl Channels {
    pub(crate) fn new(pod: SolidPod) -> Self {
        Self { pod, offered: None, held: BTreeMap::new(), refused: BTreeMap::new(), pause_until: None }
    }

    /// How many topics are subscribed by each channel, for the health page: webhooks, sockets.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let webhooks = self.held.values().filter(|h| h.channel == Channel::Webhook).count();
        (webhooks, self.held.len() - webhooks)
    }

    /// Makes the subscriptions those of `topics`: new ones are asked for, old ones ended, those that end soon renewed.
    /// Whether a subscription is new, so that what happened before it must be looked for.
    pub(crate) async fn keep(&mut self, topics: &BTreeSet<Url>) -> bool {
        let now = self.pod.clock().now();
        if self.pod.watch_config().channels.is_empty() {
            return false;
        }
        let gone: Vec<Url> = self.held.keys().filter(|topic| !topics.contains(*topic)).cloned().collect();
        for topic in gone {
            self.end(&topic).await;
        }
        self.refused.retain(|topic, until| topics.contains(topic) && now < *until);
        let due: Vec<Url> = topics
            .iter()
            .filter(|topic| !self.refused.contains_key(*topic))
            .filter(|topic| {
                self.held.get(*topic).is_none_or(|h| h.renew_at <= now || h.socket.as_ref().is_some_and(JoinHandle::is_finished))
            })
            .take(MOST_TOPICS)
            .cloned()
            .collect();
        if due.is_empty() || self.pause_until.is_some_and(|until| now < until) {
            return false;
        }
        let mut fresh = false;
        for topic in due {
            match self.begin(&topic, now).await {
                Ok(held) => {
                    self.end(&topic).await;
                    self.held.insert(topic, held);
                    fresh = true;
                }
                Err(error) if !error.is_transient() => {
                    // Something that is not there (any more) cannot be subscribed; the rest can.
                    self.refused.insert(topic, now.plus_seconds(PAUSE_SECONDS));
                }
                Err(error) => {
                    tracing::warn!(%error, "a pod's server cannot be subscribed to now; its changes are polled");
                    self.pause_until = Some(now.plus_seconds(PAUSE_SECONDS));
                    self.offered = None;
                    break;
                }
            }
        }
        fresh
    }

    async fn begin(&mut self, topic: &Url, now: DateTime) -> Result<Held, SolidError> {
        if self.offered.is_none() {
            self.offered = Some(subscriptions(self.pod.session(), self.pod.consents()).await?);
        }
        let offered = self.offered.as_deref().unwrap_or_default();
        let service = |kind: &str| offered.iter().find(|s| s.channel == kind).map(|s| s.url.clone());
        let seconds = i64::try_from(self.pod.watch_config().channel_seconds).unwrap_or(i64::MAX).clamp(60, 14 * 86_400);
        let mut last = SolidError::Unsupported("notifications");
        for channel in self.pod.watch_config().channels.clone() {
            let begun = match channel {
                Channel::Webhook => match service(WEBHOOK_CHANNEL) {
                    Some(url) => self.pod.webhooks().clone().begin(&self.pod, &url, topic, now.plus_seconds(seconds)).await,
                    None => continue,
                },
                Channel::WebSocket => match service(WEBSOCKET_CHANNEL) {
                    Some(url) => socket::begin(&self.pod, &url, topic, now.plus_seconds(seconds)).await,
                    None => continue,
                },
            };
            match begun {
                Ok((ticket, webhook, socket)) => {
                    let ends = ticket.ends.unwrap_or(now.plus_seconds(seconds));
                    // Three quarters of the time it has: early enough for several attempts.
                    let renew_at = now.plus_micros((ends.micros() - now.micros()) / 4 * 3);
                    return Ok(Held { channel, ticket, renew_at, webhook, socket });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn end(&mut self, topic: &Url) {
        let Some(held) = self.held.remove(topic) else { return };
        if let Some(id) = &held.webhook {
            self.pod.webhooks().forget(id);
        }
        if let Some(id) = &held.ticket.id {
            // It ends by itself in any case.
            let _ = self.pod.delete(id, If::Always).await;
        }
    }

    /// Ends all subscriptions.
    pub(crate) async fn end_all(&mut self) {
        let topics: Vec<Url> = self.held.keys().cloned().collect();
        for topic in topics {
            self.end(&topic).await;
        }
    }
}

/// A watch that is cut off ends its subscriptions all the same: one that is begun anew again and again must not heap them up at the server.
impl Drop for Channels {
    fn drop(&mut self) {
        let mut ids = Vec::new();
        for held in self.held.values() {
            if let Some(name) = &held.webhook {
                self.pod.webhooks().forget(name);
            }
            ids.extend(held.ticket.id.clone());
        }
        if let (Ok(runtime), false) = (tokio::runtime::Handle::try_current(), ids.is_empty()) {
            let pod = self.pod.clone();
            runtime.spawn(async move {
                for id in ids {
                    let _ = pod.delete(&id, If::Always).await;
                }
            });
        }
    }
}
