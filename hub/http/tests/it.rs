//! Tests of the server and the client on real sockets.

#[path = "it/auth.rs"]
mod auth;
#[path = "it/client.rs"]
mod client;
#[path = "it/guard.rs"]
mod guard;
#[path = "it/laws.rs"]
mod laws;
#[path = "it/limits.rs"]
mod limits;
#[path = "it/own_auth.rs"]
mod own_auth;
#[path = "it/server.rs"]
mod server;
#[path = "it/support.rs"]
mod support;
#[path = "it/tls.rs"]
mod tls;
