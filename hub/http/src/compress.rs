//! gzip for answers that are worth it, when the caller accepts it.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::HeaderMap;
use std::io::Write as _;

/// Smaller answers are sent as they are, in bytes.
const WORTH: usize = 1024;
/// Larger ones are compressed off the async workers, in bytes.
const LARGE: usize = 128 * 1024;

/// Whether `Accept-Encoding` takes gzip: named with a quality above zero, or `*` so and gzip not refused by name (RFC 9110 12.5.3).
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut star = false;
    for line in headers.get_all(header::ACCEPT_ENCODING) {
        for entry in line.to_str().unwrap_or_default().split(',') {
            let mut parts = entry.split(';').map(str::trim);
            let coding = parts.next().unwrap_or_default();
            let refused = parts.any(|p| {
                let quality = p.strip_prefix("q=").or_else(|| p.strip_prefix("Q="));
                quality.is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0))
            });
            if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
                return !refused;
            }
            star |= coding == "*" && !refused;
        }
    }
    star
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.starts_with("text/")
        || kind.ends_with("json")
        || kind.ends_with("xml")
        || kind.ends_with("yaml")
        || matches!(kind, "application/n-triples" | "application/trig" | "application/javascript")
}

/// Whether a body of these headers and length may be compressed.
pub(crate) fn is_candidate(headers: &HeaderMap, length: usize) -> bool {
    length > WORTH && !headers.contains_key(header::CONTENT_ENCODING) && is_text(headers)
}

/// Compresses `body`, and says so in `headers`. An entity tag becomes a weak one, since the bytes are others now.
pub(crate) async fn gzip(headers: &mut HeaderMap, body: Bytes) -> Bytes {
    let packed = if body.len() > LARGE {
        let copy = body.clone();
        tokio::task::spawn_blocking(move || pack(&copy)).await.ok().flatten()
    } else {
        pack(&body)
    };
    let Some(packed) = packed.filter(|p| p.len() < body.len()) else { return body };
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    let tag = headers.get(header::ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")).cloned();
    if let Some(tag) = tag
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/".as_slice(), tag.as_bytes()].concat())
    {
        headers.insert(header::ETAG, weak);
    }
    Bytes::from(packed)
}

fn pack(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(body.len() / 3), flate2::Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}
