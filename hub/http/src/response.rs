//! An answer: status, headers, body, and whether it holds personal data.

use crate::as_long_as::AsLongAs;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::OwnedSemaphorePermit;
use waybill_model::Problem;

/// What an answer carries.
#[derive(Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// All of it, at hand.
    Full(Bytes),
    /// Piece by piece. An error ends the connection, so that the receiver sees that the answer is not whole.
    Stream(BoxStream<'static, Result<Bytes, std::io::Error>>),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// An answer.
#[derive(Debug, Default)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// Whether the body holds personal data: it is then sent with `Cache-Control: no-store`.
    pub personal: bool,
    /// Under which conditions the rest of it may still be sent, once it has begun.
    pub as_long_as: Vec<AsLongAs>,
}

impl Response {
    /// An answer of `status` without a body. A status that does not exist becomes 500.
    pub fn empty(status: u16) -> Self {
        Self { status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), ..Self::default() }
    }
    /// An answer of `status` with `body` of the media type `kind`.
    pub fn bytes(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Self {
        let mut response = Self::empty(status);
        response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        response.body = Body::Full(body.into());
        response
    }
    /// An answer of `status` with `value` as `application/json`. A value that cannot be written as JSON becomes 500.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::bytes(status, "application/json", body),
            Err(_) => Self::problem(&crate::problems::internal()),
        }
    }
    /// A text.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::bytes(status, "text/plain; charset=utf-8", text.into())
    }
    /// A streamed answer.
    pub fn stream(status: u16, kind: &'static str, body: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static) -> Self {
        let mut response = Self::empty(status);
        response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        response.body = Body::Stream(Box::pin(body));
        response
    }
    /// The answer for `problem`: `application/problem+json` (RFC 9457).
    pub fn problem(problem: &Problem) -> Self {
        Self::problem_as(problem, "application/problem+json")
    }
    /// The answer for `problem` under another media type, for interfaces that ask for one.
    pub fn problem_as(problem: &Problem, kind: &'static str) -> Self {
        let body = serde_json::to_vec(problem).unwrap_or_default();
        let mut response = Self::bytes(problem.status, kind, body);
        response.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
    /// The same with a header; a value that cannot stand in a header is left out.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: impl AsRef<[u8]>) -> Self {
        if let Ok(value) = HeaderValue::from_bytes(value.as_ref()) {
            self.headers.append(name, value);
        }
        self
    }
    /// The same, marked as holding personal data.
    #[must_use]
    pub fn personal(mut self) -> Self {
        self.personal = true;
        self
    }
    /// The same, sent on only as long as `conditions` hold. They are asked for a body at hand that is longer than one piece.
    #[must_use]
    pub fn as_long_as(mut self, conditions: impl IntoIterator<Item = AsLongAs>) -> Self {
        self.as_long_as.extend(conditions);
        self
    }
    /// The same with an entity tag (with its quotes); `If-None-Match` is then honoured for `GET` and `HEAD`.
    #[must_use]
    pub fn etag(self, tag: &str) -> Self {
        self.with(header::ETAG, tag)
    }
    /// The whole body when it is at hand, for tests.
    pub fn full_body(&self) -> &[u8] {
        match &self.body {
            Body::Full(bytes) => bytes,
            Body::Empty | Body::Stream(_) => &[],
        }
    }
}

/// A strong entity tag of `bytes`, with its quotes.
pub fn etag_of(bytes: &[u8]) -> String {
    use base64::Engine;
    let digest = Sha256::digest(bytes);
    format!("\"{}\"", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&digest[..16]))
}

/// The body as hyper sends it. A stream keeps its place among the concurrent requests until it ends.
pub(crate) enum SendBody {
    Full(Bytes),
    Stream { pieces: BoxStream<'static, Result<Bytes, std::io::Error>>, _place: Option<OwnedSemaphorePermit> },
}

impl SendBody {
    pub(crate) fn new(body: Body, permit: Option<OwnedSemaphorePermit>) -> Self {
        match body {
            Body::Empty => Self::Full(Bytes::new()),
            Body::Full(bytes) => Self::Full(bytes),
            Body::Stream(pieces) => Self::Stream { pieces, _place: permit },
        }
    }
}

impl hyper::body::Body for SendBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        match &mut *self {
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(hyper::body::Frame::data(std::mem::take(bytes))))),
            Self::Stream { pieces, .. } => pieces.as_mut().poll_next(cx).map_ok(hyper::body::Frame::data),
        }
    }
    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(bytes) if bytes.is_empty())
    }
    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Full(bytes) => hyper::body::SizeHint::with_exact(bytes.len() as u64),
            Self::Stream { .. } => hyper::body::SizeHint::default(),
        }
    }
}
