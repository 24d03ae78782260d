//! The configuration of a connection to another broker.

use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use waybill_http::{Auth, ClientCredentials};
use waybill_model::TenantId;

/// How to reach a broker.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BrokerConfig {
    /// Its address, with or without `/ngsi-ld/v1`.
    pub url: String,
    /// The tenant there; nothing for the default one.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// How the hub shows who it is.
    #[serde(default)]
    pub auth: AuthConfig,
    /// The @context that entities are sent under. Nothing sends full IRIs, which need none.
    #[serde(default)]
    pub context: Option<String>,
    /// Seconds that a call may take.
    #[serde(default = "seconds")]
    pub timeout: u64,
    /// The most entities in one batch.
    #[serde(default = "batch")]
    pub batch: usize,
}

fn seconds() -> u64 {
    10
}
fn batch() -> usize {
    500
}

/// How the hub shows a broker who it is. Secrets come from the configuration's `${VAR}` or `${file:…}` and are never printed.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "kebab-case")]
pub enum AuthConfig {
    /// Not at all.
    #[default]
    None,
    /// A fixed bearer token.
    Bearer {
        /// The token.
        token: String,
    },
    /// A fixed token in `X-Auth-Token`.
    XAuthToken {
        /// The token.
        token: String,
    },
    /// OAuth 2.0 client credentials.
    #[serde(rename = "client-credentials", rename_all = "kebab-case")]
    ClientCredentials {
        /// The token endpoint.
        token_url: String,
        /// The client.
        client_id: String,
        /// Its secret.
        client_secret: String,
        /// The scopes asked for.
        #[serde(default)]
        scopes: Vec<String>,
        /// The audience asked for.
        #[serde(default)]
        audience: Option<String>,
    },
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Bearer { .. } => "Bearer(…)",
            Self::XAuthToken { .. } => "XAuthToken(…)",
            Self::ClientCredentials { .. } => "ClientCredentials(…)",
        })
    }
}

impl AuthConfig {
    /// What the outbound client is given.
    pub fn to_auth(&self) -> Auth {
        match self {
            Self::None => Auth::None,
            Self::Bearer { token } => Auth::Bearer(Arc::from(token.as_str())),
            Self::XAuthToken { token } => Auth::XAuthToken(Arc::from(token.as_str())),
            Self::ClientCredentials { token_url, client_id, client_secret, scopes, audience } => {
                let mut credentials = ClientCredentials::new(token_url, client_id, client_secret);
                for scope in scopes {
                    credentials = credentials.scope(scope);
                }
                if let Some(audience) = audience {
                    credentials = credentials.audience(audience);
                }
                Auth::OAuth2ClientCredentials(Arc::new(credentials))
            }
        }
    }
}

impl BrokerConfig {
    /// A broker at `url` without credentials.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), tenant: None, auth: AuthConfig::None, context: None, timeout: seconds(), batch: batch() }
    }
    /// The address of its interface, without a slash at the end.
    pub fn base(&self) -> String {
        let url = self.url.trim_end_matches('/');
        if url.ends_with("/ngsi-ld/v1") { url.to_owned() } else { format!("{url}/ngsi-ld/v1") }
    }
    /// The time a call may take.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.timeout.max(1))
    }
}
