//! From what the engine publishes to what other hubs read.

use waybill_http::{HeaderName, Response, header};
use waybill_port::Notice;

/// Media types of signed statements.
pub(crate) const JOSE: &str = "application/jose";
pub(crate) const SECEVENT: &str = "application/secevent+jwt";

/// A signed statement that never changes under its address.
pub(crate) fn immutable(jws: String) -> Response {
    Response::bytes(200, JOSE, jws).with(header::CACHE_CONTROL, "public, max-age=31536000, immutable").with(HeaderName::from_static("x-content-type-options"), "nosniff")
}

/// A signed statement that is renewed under its address.
pub(crate) fn renewed(jws: String, seconds: u32) -> Response {
    Response::bytes(200, JOSE, jws).with(header::CACHE_CONTROL, format!("public, max-age={seconds}"))
}

/// Where a notice goes at the other hub, as which media type, and its body.
pub(crate) fn notice(notice: &Notice) -> (&'static str, &'static str, &str) {
    match notice {
        Notice::Event(jws) => ("/waybill/events", SECEVENT, jws),
        Notice::Acknowledgement(jws) => ("/waybill/acknowledgements", JOSE, jws),
        Notice::Heartbeat(jws) => ("/waybill/heartbeats", JOSE, jws),
    }
}
