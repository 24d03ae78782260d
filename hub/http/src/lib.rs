//! Serve and call: the HTTP server, routing, limits, authentication, and the one outbound client.
//!
//! A [`Router`] of handlers is served by [`serve`]; every request passes the limits, is given a [`Caller`] by the [`Authenticator`],
//! and is answered by a [`Response`] or a `Problem` (RFC 9457). Everything that calls out goes through one [`Client`], which
//! resolves names itself and refuses addresses that are not public unless the configuration allows them.
#![forbid(unsafe_code)]
#![allow(clippy::result_large_err, reason = "a Problem is made once for a request that fails; boxing it would burden every signature")]

mod as_long_as;
mod auth;
mod cidr;
mod client;
mod compress;
mod dispatch;
mod fault;
mod forwarded;
mod jose;
mod metrics;
pub mod problems;
mod query;
mod request;
mod response;
mod router;
mod server;
mod stall;
pub mod strict;
mod tls;

pub use as_long_as::AsLongAs;
pub use auth::{
    Authenticator, Caller, Claims, Credential, DpopError, IssuerConfig, Proof, ProofExpectation, Registration, ReplayCache, ReplayError, ResolveToken,
    Resolved, Role, StaticToken, Tenants, TokenError, TokenVerifier, VerifiedToken, VerifierConfig, WebIds, verify_proof,
};
pub use cidr::{Cidr, CidrError};
pub use client::{
    AccessToken, Allow, Auth, BreakerConfig, CallError, CallErrorKind, Client, ClientConfig, ClientCredentials, DpopKey, Guard, InResponse,
    InStream, Lookup, OutRequest, RefusedAddress, TokenProvider, is_public,
};
pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
pub use metrics::{Counter, Gauge, Histogram, Metrics};
pub use query::{Query, decode_component, encode_component};
pub use request::Request;
pub use response::{Body, Response, etag_of};
pub use router::{ErrorFormat, Handler, HandlerFuture, RouteError, RouteOptions, Router};
pub use server::{Limits, ServeError, ServerConfig, ServerHandle, serve};
pub use tls::{ServerTls, TlsError};
