//! From what another hub sent to what the engine takes.

use waybill_http::Request;
use waybill_model::{Problem, ProblemCode};

/// The largest notice in bytes. A security event names no data, so it is short.
pub(crate) const MAX_NOTICE: usize = 512 * 1024;

/// The compact JWS that is the body of a notice.
///
/// # Errors
/// 415 and 400 when the body is declared or shaped otherwise.
pub(crate) fn compact_jws(request: &Request, kinds: &[&str]) -> Result<String, Problem> {
    let kind = request.content_type();
    if !kinds.contains(&kind.as_str()) {
        return Err(Problem::new(ProblemCode("notice-media-type"), 415, "Not a notice", "the body's media type is not one of a signed notice")
            .at("Content-Type")
            .help(format!("Send {}.", kinds.join(" or "))));
    }
    let text = std::str::from_utf8(&request.body).unwrap_or_default().trim();
    let part = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() == 3 && parts.iter().all(|p| part(p)) {
        return Ok(text.to_owned());
    }
    Err(Problem::new(ProblemCode("notice-not-jws"), 400, "Not a notice", "the body is not a compact JWS: three base64url parts with dots between")
        .help("Sign the notice and send the compact serialisation (RFC 7515 §7.1)."))
}
