//! A request as a handler sees it: read whole, within the limits, its caller known.

use crate::auth::Caller;
use crate::problems;
use crate::query::Query;
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use serde::de::DeserializeOwned;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use waybill_model::Problem;

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method; `GET` also when a `HEAD` is answered by the `GET` handler.
    pub method: Method,
    /// The path as it was written, percent escapes and all.
    pub path: String,
    /// The pattern of the route that matched.
    pub route: Arc<str>,
    pub(crate) params: Vec<(String, String)>,
    /// The query.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
    /// Who calls.
    pub caller: Caller,
    /// The other end of the socket.
    pub peer: SocketAddr,
    /// The address of the client, behind trusted proxies if there are any.
    pub client: IpAddr,
    /// The public address of this hub as this caller sees it, without a slash at its end.
    pub base_url: Arc<str>,
}

impl Request {
    /// The decoded value of the path parameter `name`; empty when the route has no such parameter.
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }
    /// The text of the header `name`; nothing when it is missing or not ASCII text.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }
    /// The media type of the body in lower case, without parameters; empty when none was named.
    pub fn content_type(&self) -> String {
        let text = self.header(header::CONTENT_TYPE).unwrap_or_default();
        text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
    /// The body as JSON of the shape `T`. Whether unknown members are refused is `T`'s affair.
    ///
    /// # Errors
    /// 415 when the body is declared as something else than JSON, 400 with line and column when it is not this shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let kind = self.content_type();
        if !(kind.is_empty() || kind == "application/json" || kind.ends_with("+json")) {
            return Err(Problem::new(problems::BAD_JSON, 415, "The body is not JSON", "this resource reads application/json"));
        }
        serde_json::from_slice(&self.body).map_err(|e| bad_json(&e))
    }
    /// Whether one of `tags` (each with its quotes) is named by `If-Match`, or nothing was asked; `*` matches any.
    pub fn if_match(&self, tag: Option<&str>) -> bool {
        let mut lines = self.headers.get_all(header::IF_MATCH).iter().peekable();
        if lines.peek().is_none() {
            return true;
        }
        let Some(tag) = tag else { return false };
        // RFC 9110 13.1.1: strong comparison, so a weak tag never matches.
        lines.filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim).any(|t| t == "*" || (t == tag && !t.starts_with("W/")))
    }
    /// A request for tests of handlers, without a server.
    pub fn for_tests(method: Method, path: &str, body: impl Into<Bytes>, caller: Caller) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Self {
            method,
            path: path.to_owned(),
            route: Arc::from(path),
            params: Vec::new(),
            query: Query::parse(query).unwrap_or_default(),
            headers: HeaderMap::new(),
            body: body.into(),
            caller,
            peer: SocketAddr::from(([127, 0, 0, 1], 0)),
            client: IpAddr::from([127, 0, 0, 1]),
            base_url: Arc::from("http://127.0.0.1"),
        }
    }
}

/// What a JSON error says, without the text it was found in: that text may be personal.
pub(crate) fn bad_json(e: &serde_json::Error) -> Problem {
    let what = match e.classify() {
        serde_json::error::Category::Eof => "the body ends too early".to_owned(),
        serde_json::error::Category::Syntax => "the body is not well-formed JSON".to_owned(),
        serde_json::error::Category::Io => "the body could not be read".to_owned(),
        serde_json::error::Category::Data => shape_only(&e.to_string()),
    };
    Problem::new(problems::BAD_JSON, 400, "The body is not what is expected here", what).at(format!("line {}, column {}", e.line(), e.column()))
}

/// Serde quotes the offending value in `invalid type: string "…"`; only what was expected is kept of such a message.
fn shape_only(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or_default();
    let named = ["missing field", "duplicate field"].iter().any(|p| message.starts_with(p));
    if named {
        return message.to_owned();
    }
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let (name, known) = rest.split_once('`').unwrap_or((rest, ""));
        let name: String = name.chars().take(60).collect();
        return format!("there is no member `{name}`{known}");
    }
    match message.rsplit_once("expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => "a value has the wrong form".to_owned(),
    }
}
