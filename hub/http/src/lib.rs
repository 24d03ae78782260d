//! Serve and call: the HTTP server, routing, limits, authentication, and the one outbound client.
#![forbid(unsafe_code)]
