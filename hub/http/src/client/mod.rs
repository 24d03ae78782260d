//! The one way out to other machines: pooled, bounded in time and size, guarded in address, broken off where nobody answers.

mod auth;
mod breaker;
mod call;
mod dpop;
mod error;
mod guard;
mod oauth;

pub use auth::{AccessToken, Auth, TokenProvider};
pub use breaker::BreakerConfig;
pub use call::{InResponse, InStream, OutRequest};
pub use dpop::DpopKey;
pub use error::{CallError, CallErrorKind};
pub use guard::{Allow, Guard, Lookup, RefusedAddress, is_public};
pub use oauth::ClientCredentials;

use crate::metrics::Metrics;
use breaker::Breakers;
use dpop::Nonces;
use guard::{Reach, Resolver};
use std::sync::{Arc, Once};
use std::time::Duration;
use waybill_model::Clock;

/// How to call.
#[derive(Clone)]
pub struct ClientConfig {
    /// Which addresses may be called.
    pub guard: Guard,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a call may take altogether, unless the call says otherwise.
    pub deadline: Duration,
    /// The largest answer in bytes, unpacked, unless the call says otherwise.
    pub max_response: usize,
    /// How many redirects of a GET or HEAD are followed, each guarded like the first call.
    pub max_redirects: usize,
    /// Idle connections kept for each origin.
    pub pool_idle_per_host: usize,
    /// When an origin is given a rest.
    pub breaker: BreakerConfig,
    /// Certificates (PEM) trusted beside the system's.
    pub extra_roots: Vec<Vec<u8>>,
    /// Where names are resolved; nothing for the system.
    pub lookup: Option<Arc<dyn Lookup>>,
    /// Where to count.
    pub metrics: Metrics,
    /// The clock of proofs and tokens.
    pub clock: Clock,
}

impl std::fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientConfig").field("guard", &self.guard).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl ClientConfig {
    /// Public addresses only, 30 s a call, 10 MiB an answer, no redirects.
    pub fn new(clock: Clock) -> Self {
        Self {
            guard: Guard::public_only(),
            connect_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(30),
            max_response: 10 * 1024 * 1024,
            max_redirects: 0,
            pool_idle_per_host: 32,
            breaker: BreakerConfig::default(),
            extra_roots: Vec::new(),
            lookup: None,
            metrics: Metrics::new(),
            clock,
        }
    }
    /// The same, with `guard`.
    #[must_use]
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }
}

/// The outbound client; clones share connections, breakers and nonces.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    config: ClientConfig,
    /// Connects to addresses the guard permits only.
    guarded: reqwest::Client,
    /// Connects to whatever an allowed name resolves to; used for hosts and ports the configuration names, and for no other.
    named: reqwest::Client,
    breakers: Breakers,
    nonces: Nonces,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// A client.
    ///
    /// # Errors
    /// [`CallErrorKind::Setup`] when an extra root is no certificate.
    pub fn new(config: ClientConfig) -> Result<Self, CallError> {
        static PROVIDER: Once = Once::new();
        // A provider that something else in the process chose before is as good.
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let guarded = build(&config, Reach::Guarded)?;
        let named = build(&config, Reach::Anywhere)?;
        let breakers = Breakers::new(config.breaker);
        Ok(Self(Arc::new(Inner { config, guarded, named, breakers, nonces: Nonces::default() })))
    }
    /// The clock this client was given.
    pub fn clock(&self) -> &Clock {
        &self.0.config.clock
    }
    /// The guard this client was given.
    pub fn guard(&self) -> &Guard {
        &self.0.config.guard
    }
}

fn build(config: &ClientConfig, reach: Reach) -> Result<reqwest::Client, CallError> {
    let mut roots = Vec::new();
    for pem in &config.extra_roots {
        let read = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| CallError::setup("an extra root is no PEM certificate"))?;
        roots.extend(read);
    }
    let resolver = Resolver::new(config.guard.clone(), reach, config.lookup.clone());
    let builder = || {
        reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // Names do not mind their case (RFC 9110 5.1), but some receivers do.
            .http1_title_case_headers()
            .connect_timeout(config.connect_timeout)
            .pool_max_idle_per_host(config.pool_idle_per_host)
            .pool_idle_timeout(Duration::from_mins(1))
            .tcp_nodelay(true)
            .user_agent(concat!("waybill/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(resolver.clone())
    };
    // A machine without certificates of its own can still call plain addresses and those of the extra roots.
    builder()
        .tls_certs_merge(roots.iter().cloned())
        .build()
        .or_else(|_| builder().tls_certs_only(roots).build())
        .map_err(|_| CallError::setup("TLS cannot be set up"))
}
