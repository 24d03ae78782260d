//! Configuration of the hub's account and of the pods it reads.

use serde::Deserialize;
use std::fmt;
use std::time::Duration;
use url::Url;
use waybill_model::Iri;

/// A secret that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The secret itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// How the hub signs in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SignIn {
    /// As itself: its Client ID Document, proven by a key that the document names (`private_key_jwt`).
    ClientIdDocument,
    /// With id and secret of the hub's account, where a server offers only those.
    ClientCredentials {
        /// The id.
        id: String,
        /// The secret.
        secret: Secret,
    },
}

/// The hub's own account at a Solid server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SolidConfig {
    /// The hub's WebID.
    pub web_id: Iri,
    /// The issuer that vouches for it. Must be one that the hub's profile names.
    pub issuer: Url,
    /// How the hub signs in there.
    pub sign_in: SignIn,
    /// The public address of the hub's Solid routes, e.g. `https://hub.example/solid/`: its Client ID Document and its webhooks are
    /// below it. Without it there are no webhooks.
    #[serde(default)]
    pub public_url: Option<Url>,
    /// How changes are noticed.
    #[serde(default)]
    pub watch: WatchConfig,
}

/// One way to hear of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// The server calls the hub.
    Webhook,
    /// The hub holds a WebSocket open.
    WebSocket,
}

/// How changes are noticed. Polling always runs beside the rest: a call that was lost is then made good.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WatchConfig {
    /// Which ways to try, in order; the first that the server offers is taken.
    pub channels: Vec<Channel>,
    /// Seconds between two polls.
    pub poll_seconds: u64,
    /// Seconds that a channel is asked for; it is renewed before.
    pub channel_seconds: u64,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self { channels: vec![Channel::Webhook, Channel::WebSocket], poll_seconds: 30, channel_seconds: 6 * 3600 }
    }
}

impl WatchConfig {
    /// The time between two polls, at least 100 ms.
    pub fn poll(&self) -> Duration {
        Duration::from_secs(self.poll_seconds).max(Duration::from_millis(100))
    }
}

/// One person's pod.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PodConfig {
    /// Her WebID.
    pub web_id: Iri,
    /// The issuer that must vouch for her; nothing: any that her profile names.
    #[serde(default)]
    pub issuer: Option<Url>,
    /// The container with her grants; nothing: as her type index says.
    #[serde(default)]
    pub consents: Option<Url>,
    /// The container that takes acknowledgements; nothing: as her type index says.
    #[serde(default)]
    pub acknowledgements: Option<Url>,
    /// Resources or containers whose Entities the hub takes from the pod.
    #[serde(default)]
    pub resources: Vec<Url>,
}
