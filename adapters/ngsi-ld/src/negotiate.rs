//! Media types and @contexts in headers (clauses 6.3.4 to 6.3.6).

use crate::problem;
use serde_json::{Value, json};
use waybill_context::{Context, Contexts, Kind};
use waybill_http::{HeaderMap, Method, etag_of, header};
use waybill_model::{Problem, ProblemCode};

/// The relation of a Link header that names an @context.
pub(crate) const CONTEXT_REL: &str = "http://www.w3.org/ns/json-ld#context";

/// A media type of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// `application/json`.
    Json,
    /// `application/ld+json`.
    JsonLd,
    /// `application/geo+json`.
    GeoJson,
}

impl Media {
    /// The name of the type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::JsonLd => "application/ld+json",
            Self::GeoJson => "application/geo+json",
        }
    }
    /// The type of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Json, Self::JsonLd, Self::GeoJson].into_iter().find(|m| m.as_str().eq_ignore_ascii_case(name))
    }
}

/// The media type to answer with. Among equal weights JSON comes before JSON-LD before GeoJSON, which only some operations have.
///
/// # Errors
/// 406 when the caller accepts none of them.
pub(crate) fn accept(headers: &HeaderMap, geo: bool) -> Result<Media, Problem> {
    let offered: &[Media] = if geo { &[Media::Json, Media::JsonLd, Media::GeoJson] } else { &[Media::Json, Media::JsonLd] };
    let text: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
    let ranges: Vec<(String, f32)> = text.iter().flat_map(|t| t.split(',')).filter(|r| !r.trim().is_empty()).map(range).collect();
    if ranges.is_empty() {
        return Ok(Media::Json);
    }
    let mut best: Option<(Media, f32)> = None;
    for media in offered {
        // The most specific range that covers a type decides about it (RFC 9110 section 12.5.1).
        let weight = [media.as_str(), "application/*", "*/*"].into_iter().find_map(|name| ranges.iter().find(|(r, _)| r == name)).map_or(0.0, |(_, q)| *q);
        if weight > 0.0 && best.is_none_or(|(_, b)| weight > b) {
            best = Some((*media, weight));
        }
    }
    best.map(|(media, _)| media).ok_or_else(|| {
        let names: Vec<&str> = offered.iter().map(|m| m.as_str()).collect();
        Problem::new(ProblemCode("not-acceptable"), 406, "No acceptable media type", "this operation does not answer with any media type the caller accepts")
            .of_type(format!("{}InvalidRequest", problem::ERRORS))
            .at("Accept")
            .help(format!("Accept one of {}.", names.join(", ")))
    })
}

fn range(text: &str) -> (String, f32) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let weight = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q="))).and_then(|q| q.parse::<f32>().ok());
    (name, weight.filter(|q| (0.0..=1.0).contains(q)).unwrap_or(1.0))
}

/// Checks that a body may be read: it has a length, and a media type that this interface reads.
///
/// # Errors
/// 411 without Content-Length, 415 for another media type; both are answered without a body.
pub(crate) fn content(headers: &HeaderMap, method: &Method) -> Result<(), Problem> {
    if !headers.contains_key(header::CONTENT_LENGTH) {
        return Err(Problem::new(ProblemCode("length-required"), 411, "Content-Length is missing", "a body needs a Content-Length"));
    }
    let text = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let good = matches!(kind.as_str(), "application/json" | "application/ld+json") || (kind == "application/merge-patch+json" && *method == Method::PATCH);
    if good {
        return Ok(());
    }
    Err(Problem::new(ProblemCode("media-type-not-read"), 415, "This media type is not read", "send application/json or application/ld+json"))
}

/// The @context that Link headers name.
///
/// # Errors
/// 400 when there are several.
pub(crate) fn context_link(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut found = None;
    for value in headers.get_all(header::LINK).iter().filter_map(|v| v.to_str().ok()) {
        for (target, params) in links(value) {
            let is_context = params.iter().any(|(name, v)| name.eq_ignore_ascii_case("rel") && v.split_whitespace().any(|r| r == CONTEXT_REL));
            if is_context && found.replace(target).is_some() {
                return Err(problem::bad_data("context-twice", "several Link headers name an @context").at("Link").help("Name one; it may be an array of @contexts."));
            }
        }
    }
    Ok(found)
}

/// The links of a header field: target and parameters (RFC 8288).
fn links(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((target, after)) = rest.find('<').and_then(|i| rest[i + 1..].split_once('>')) {
        let (mut params, mut quoted, mut end) = (Vec::new(), false, after.len());
        for (i, c) in after.char_indices() {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => {
                    end = i;
                    break;
                }
                _ => {}
            }
        }
        for part in after[..end].split(';') {
            if let Some((name, value)) = part.split_once('=') {
                params.push((name.trim().to_owned(), value.trim().trim_matches('"').to_owned()));
            }
        }
        out.push((target.trim().to_owned(), params));
        rest = &after[end..];
    }
    out
}

/// The value of a Link header for an @context.
pub(crate) fn link_value(url: &str) -> String {
    format!("<{url}>; rel=\"{CONTEXT_REL}\"; type=\"application/ld+json\"")
}

/// An address for the user's @context. One that is no single address is kept here and served under an address of ours.
pub(crate) fn context_url(contexts: &Contexts, context: &Context, base_url: &str) -> String {
    match context.user() {
        Value::String(url) => url.clone(),
        Value::Array(list) if list.len() == 1 && list[0].is_string() => list[0].as_str().unwrap_or_default().to_owned(),
        other => {
            let url = format!("{base_url}/ngsi-ld/v1/jsonldContexts/{}", etag_of(other.to_string().as_bytes()).trim_matches('"'));
            if contexts.body(&url).is_none() {
                // What was compiled once is valid, so keeping it cannot fail but for limits; then the address answers 404.
                let _ = contexts.put(&url, json!({ "@context": other }), Kind::ImplicitlyCreated);
            }
            url
        }
    }
}
