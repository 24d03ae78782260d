//! Webhook notifications (Solid Notifications Protocol), signed and bound to the issuer's key.

use super::access::{self, Mode};
use super::storage::{Change, parent};
use super::tokens::hash;
use super::{State, random_name};
use crate::net::{Reply, Request, bare, locked, reply};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const NOTIFY: &str = "http://www.w3.org/ns/solid/notifications#";
const CONTEXT: &str = "https://www.w3.org/ns/solid/notification/v1";
const CHANNELS: &str = "/.notifications/WebhookChannel2023/";
const ATTEMPTS: u32 = 3;

/// The open channels, by their path.
#[derive(Default)]
pub(super) struct Channels(BTreeMap<String, Channel>);

struct Channel {
    /// The path it hears of.
    topic: String,
    owner: Option<String>,
    send_to: String,
    /// Notifications leave one after the other; each is a full message.
    queue: tokio::sync::mpsc::UnboundedSender<Outgoing>,
}

/// A message with what it takes to send it.
struct Outgoing {
    to: String,
    token: String,
    proof: String,
    body: Bytes,
}

impl State {
    /// What kinds of notification there are and where to ask for them.
    pub(super) fn description(&self, request: &Request) -> Reply {
        let (base, service) = (&self.base, access::url(&self.base, CHANNELS));
        if request.header("accept").is_some_and(|a| a.contains("json")) {
            let document = json!([
                {"@id": base, "@type": ["http://www.w3.org/ns/pim/space#Storage"], (format!("{NOTIFY}subscription")): [{"@id": service}]},
                {"@id": service, (format!("{NOTIFY}channelType")): [{"@id": format!("{NOTIFY}WebhookChannel2023")}],
                 (format!("{NOTIFY}feature")): [{"@id": format!("{NOTIFY}state")}]}
            ]);
            return reply(StatusCode::OK, "application/ld+json", document.to_string());
        }
        let turtle = format!(
            "@prefix notify: <{NOTIFY}> .\n<{base}> a <http://www.w3.org/ns/pim/space#Storage> ; notify:subscription <{service}> .\n\
             <{service}> notify:channelType notify:WebhookChannel2023 ; notify:feature notify:state .\n"
        );
        reply(StatusCode::OK, "text/turtle", turtle)
    }

    /// Requests below `/.notifications/`.
    pub(super) fn channel(&self, request: &Request, agent: Option<&str>) -> Reply {
        let sender = self.sender();
        match (&request.method, request.path.as_str()) {
            (&Method::GET, path) if path == format!("{CHANNELS}webId") => {
                let issuer = &self.base;
                reply(StatusCode::OK, "text/turtle", format!("<{sender}> <http://www.w3.org/ns/solid/terms#oidcIssuer> <{issuer}> .\n"))
            }
            (&Method::POST, CHANNELS) => self.open(request, agent),
            (&Method::DELETE, path) => {
                let mut inner = locked(&self.inner);
                if inner.channels.0.get(path).is_none_or(|c| c.owner.as_deref() != agent) {
                    return bare(StatusCode::NOT_FOUND);
                }
                inner.channels.0.remove(path);
                bare(StatusCode::RESET_CONTENT)
            }
            _ => bare(StatusCode::NOT_FOUND),
        }
    }

    fn sender(&self) -> String {
        access::url(&self.base, &format!("{CHANNELS}webId"))
    }

    fn open(&self, request: &Request, agent: Option<&str>) -> Reply {
        let refuse = |why: &str| super::serve::refused(StatusCode::UNPROCESSABLE_ENTITY, why);
        let Ok(wish) = serde_json::from_slice::<Value>(&request.body) else { return refuse("the body is not JSON") };
        let kind = wish["type"].as_str().unwrap_or_default();
        if !kind.ends_with("WebhookChannel2023") {
            return refuse("this stand-in offers WebhookChannel2023 only");
        }
        let (Some(topic), Some(to)) = (wish["topic"].as_str(), wish["sendTo"].as_str()) else {
            return refuse("topic and sendTo are needed");
        };
        let Some(path) = topic.strip_prefix(self.base.trim_end_matches('/')).filter(|p| p.starts_with('/')) else {
            return refuse("the topic is not on this server");
        };
        let mut inner = locked(&self.inner);
        if !access::modes(&inner.storage, &self.base, path, agent).contains(&Mode::Read) {
            let status = if agent.is_some() { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
            return super::serve::refused(status, "the access rules do not allow it");
        }
        let at = format!("{CHANNELS}{}", random_name());
        let (queue, waiting) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(send_all(waiting));
        let channel = Channel { topic: path.to_owned(), owner: agent.map(str::to_owned), send_to: to.to_owned(), queue };
        let current = inner.storage.get(path).map(super::storage::Resource::etag);
        if wish["state"].as_str().is_some_and(|known| Some(known) != current.as_deref()) {
            let message = self.message("Update", topic, None, current.as_deref());
            let _ = channel.queue.send(self.outgoing(to, &message));
        }
        inner.channels.0.insert(at.clone(), channel);
        let answer = json!({
            "@context": [CONTEXT], "id": access::url(&self.base, &at), "type": format!("{NOTIFY}WebhookChannel2023"),
            "topic": topic, "sendTo": to, "sender": self.sender(),
        });
        reply(StatusCode::OK, "application/ld+json", answer.to_string())
    }

    fn message(&self, kind: &str, object: &str, target: Option<&str>, state: Option<&str>) -> Value {
        let mut message = json!({
            "@context": ["https://www.w3.org/ns/activitystreams", CONTEXT],
            "id": format!("urn:waybill:stand-in:{}", random_name()),
            "type": kind,
            "object": object,
            "published": crate::broker::stamp((self.now)()),
        });
        if let Some(target) = target {
            message["target"] = target.into();
        }
        if let Some(state) = state {
            message["state"] = state.into();
        }
        message
    }

    fn outgoing(&self, to: &str, message: &Value) -> Outgoing {
        let now = (self.now)();
        let sender = self.sender();
        let token = self.key.sign(
            json!({"typ": "at+jwt", "kid": self.key.thumbprint}),
            &json!({
                "webid": sender, "azp": sender, "sub": sender, "iss": self.base.trim_end_matches('/'), "aud": [sender, "solid"],
                "cnf": {"jkt": self.key.thumbprint}, "iat": now, "exp": now + 1200, "jti": random_name(),
            }),
        );
        let proof = self.key.sign(
            json!({"typ": "dpop+jwt", "jwk": {"kty": "EC", "crv": "P-256", "x": self.key.public["x"], "y": self.key.public["y"]}}),
            &json!({"htu": to, "htm": "POST", "iat": now, "jti": random_name(), "ath": hash(token.as_bytes())}),
        );
        Outgoing { to: to.to_owned(), token, proof, body: message.to_string().into() }
    }

    /// Tells whoever listens what changed.
    pub(super) fn notify(&self, changes: &[Change]) {
        let inner = locked(&self.inner);
        for change in changes {
            let (kind, path) = match change {
                Change::Created(path) => ("Create", path),
                Change::Updated(path) => ("Update", path),
                Change::Deleted(path) => ("Delete", path),
            };
            let url = access::url(&self.base, path);
            let etag = inner.storage.get(path).map(super::storage::Resource::etag);
            let above = parent(path);
            let membership = match change {
                Change::Created(_) => Some("Add"),
                Change::Deleted(_) => Some("Remove"),
                Change::Updated(_) => None,
            };
            for channel in inner.channels.0.values() {
                let message = if channel.topic == *path {
                    self.message(kind, &url, None, etag.as_deref())
                } else if let (Some(kind), true) = (membership, above == Some(channel.topic.as_str())) {
                    let state = inner.storage.get(&channel.topic).map(super::storage::Resource::etag);
                    self.message(kind, &url, Some(&access::url(&self.base, &channel.topic)), state.as_deref())
                } else {
                    continue;
                };
                // The receiver of the queue ends with its channel only.
                let _ = channel.queue.send(self.outgoing(&channel.send_to, &message));
            }
        }
    }
}

async fn send_all(mut waiting: tokio::sync::mpsc::UnboundedReceiver<Outgoing>) {
    while let Some(one) = waiting.recv().await {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/ld+json"));
        for (name, value) in [("authorization", format!("DPoP {}", one.token)), ("dpop", one.proof.clone())] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        for attempt in 1..=ATTEMPTS {
            match crate::out::send(Method::POST, &one.to, headers.clone(), one.body.clone()).await {
                Ok(answer) if answer.status < 500 => break,
                _ => tokio::time::sleep(Duration::from_millis(200 * u64::from(attempt))).await,
            }
        }
    }
}
