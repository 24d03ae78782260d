//! From the head of a request to its answer: limits, caller, route, handler, and the finish every answer gets.

use crate::as_long_as::{PIECE, in_pieces};
use crate::auth::{Authenticator, CallFacts, Caller};
use crate::fault;
use crate::forwarded::{Forwarding, Origin};
use crate::metrics::{Counter, Metrics};
use crate::query::Query;
use crate::request::Request;
use crate::response::{Body, Response, SendBody};
use crate::router::{Endpoint, Found, Table};
use crate::server::Limits;
use crate::{compress, problems};
use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http::header::{self, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use waybill_model::{Clock, Problem};

/// What all connections share.
pub(crate) struct State {
    pub(crate) table: ArcSwap<Table>,
    pub(crate) authenticator: ArcSwap<Authenticator>,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) forwarding: Forwarding,
    /// Handlers that go on without a connection.
    pub(crate) detached: AtomicUsize,
    pub(crate) refused: Counter,
    pub(crate) metrics: Metrics,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State")
    }
}

/// What is known of a connection.
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) tls: bool,
}

/// What a caller wants of the form of its answer.
struct Wishes {
    head_only: bool,
    gzip: bool,
    if_none_match: Vec<HeaderValue>,
}

impl Wishes {
    fn of(head: &http::request::Parts) -> Self {
        let reading = head.method == Method::GET || head.method == Method::HEAD;
        Self {
            head_only: head.method == Method::HEAD,
            gzip: compress::accepts_gzip(&head.headers),
            if_none_match: if reading { head.headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect() } else { Vec::new() },
        }
    }
}

/// The answer to `request`, finished and counted.
pub(crate) async fn answer(state: Arc<State>, connection: Arc<Connection>, request: hyper::Request<Incoming>) -> hyper::Response<SendBody> {
    let begun = Instant::now();
    let table = state.table.load_full();
    let (head, body) = request.into_parts();
    let uri = head.uri.clone();
    let origin =
        state.forwarding.origin(connection.peer, connection.local, connection.tls, &head.headers, uri.authority().map(http::uri::Authority::as_str));
    let wishes = Wishes::of(&head);
    let found = if head.uri.path_and_query().map_or(0, |p| p.as_str().len()) > state.limits.uri {
        Err(problems::uri_too_long(state.limits.uri))
    } else {
        table.find(&head.method, head.uri.path())
    };
    let mut permit = None;
    let mut counted = &table.unrouted;
    let outcome = match found {
        Err(problem) => Err(problem),
        Ok(Found::Nothing) => Err(problems::not_found()),
        Ok(Found::WrongMethod(allow)) => {
            let problem = problems::method_not_allowed(allow);
            Ok(table.answer(uri.path(), &problem).with(header::ALLOW, allow))
        }
        Ok(Found::Options(allow)) => Ok(Response::empty(204).with(header::ALLOW, allow)),
        Ok(Found::Route(endpoint, template, params)) => {
            counted = &endpoint.metrics;
            run(&state, &connection, &origin, endpoint, template, params, head, body, &mut permit).await
        }
    };
    let mut response = outcome.unwrap_or_else(|problem| answer_problem(&table, uri.path(), &problem));
    if let Body::Full(bytes) = &response.body
        && !wishes.head_only
        && wishes.gzip
        && compress::is_candidate(&response.headers, bytes.len())
    {
        let packed = compress::gzip(&mut response.headers, bytes.clone()).await;
        response.body = Body::Full(packed);
    }
    not_modified(&wishes, &mut response);
    let response = finish(response, wishes.head_only, origin.secure, permit);
    counted.record(response.status().as_u16(), begun.elapsed());
    response
}

fn answer_problem(table: &Table, path: &str, problem: &Problem) -> Response {
    let mut response = table.answer(path, problem);
    let headers = &mut response.headers;
    if problem.status == 401 && !headers.contains_key(header::WWW_AUTHENTICATE) {
        let error = match problem.code.as_str() {
            "unauthenticated" => "",
            "invalid-dpop-proof" => ", error=\"invalid_dpop_proof\"",
            _ => ", error=\"invalid_token\"",
        };
        for scheme in ["Bearer", "DPoP"] {
            if let Ok(value) = HeaderValue::from_str(&format!("{scheme} realm=\"waybill\"{error}")) {
                headers.append(header::WWW_AUTHENTICATE, value);
            }
        }
    }
    if matches!(problem.status, 429 | 503) && !headers.contains_key(header::RETRY_AFTER) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    // What is left of a body is not read, so the connection cannot be used again.
    if matches!(problem.status, 408 | 413) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[allow(clippy::too_many_arguments, reason = "the parts of one request, taken apart where each is known")]
async fn run(
    state: &Arc<State>,
    connection: &Connection,
    origin: &Origin,
    endpoint: &Endpoint,
    template: Arc<str>,
    params: Vec<(String, String)>,
    head: http::request::Parts,
    body: Incoming,
    permit: &mut Option<OwnedSemaphorePermit>,
) -> Result<Response, Problem> {
    if !endpoint.options.always {
        let Ok(place) = state.places.clone().try_acquire_owned() else {
            state.refused.inc();
            return Err(problems::overloaded());
        };
        *permit = Some(place);
    }
    let query = Query::parse(head.uri.query().unwrap_or_default())?;
    let authenticator = state.authenticator.load_full();
    let facts = CallFacts { method: &head.method, target: &head.uri, headers: &head.headers, peer: connection.peer, base_url: &origin.base_url };
    // Such a route has callers of its own kind: whoever they say to be here, they are nobody until the handler has looked.
    let caller = if endpoint.options.own_auth { Caller::anonymous() } else { authenticator.authenticate(&facts, state.clock.now()).await? };
    let limit = endpoint.options.max_body.unwrap_or(state.limits.body);
    let body = match read(body, limit, state.limits.body_timeout).await {
        Ok(body) => body,
        Err((problem, rest)) => {
            if problem.status == 413 {
                linger(rest);
            }
            return Err(problem);
        }
    };
    let changing = !head.method.is_safe();
    let request = Request {
        method: if head.method == Method::HEAD { Method::GET } else { head.method },
        path: head.uri.path().to_owned(),
        route: template.clone(),
        params,
        query,
        headers: head.headers,
        body,
        caller,
        peer: connection.peer,
        client: origin.client,
        base_url: origin.base_url.clone(),
    };
    let work = AssertUnwindSafe((endpoint.handler)(request)).catch_unwind();
    let deadline = state.limits.deadline;
    let ended = if changing {
        // A caller who hangs up, or a deadline, must not leave a change half done: it goes on without them.
        state.detached.fetch_add(1, Ordering::AcqRel);
        let own = state.clone();
        let task = tokio::spawn(async move {
            let ended = work.await;
            own.detached.fetch_sub(1, Ordering::AcqRel);
            ended
        });
        match tokio::time::timeout(deadline, task).await {
            Ok(Ok(ended)) => Ok(ended),
            Ok(Err(error)) => Ok(Err(Box::new(error) as Box<dyn std::any::Any + Send>)),
            Err(elapsed) => Err(elapsed),
        }
    } else {
        tokio::time::timeout(deadline, work).await
    };
    match ended {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_panic)) => {
            // The payload may quote data, so only the place is logged; the panic hook has printed the source line.
            tracing::error!(route = %template, "a handler panicked");
            Err(problems::internal())
        }
        Err(_elapsed) => {
            tracing::warn!(route = %template, "an answer was not ready in time");
            Err(problems::deadline(changing))
        }
    }
}

/// Reads a body whole; else says why, and gives back what is left. What declares itself too large is refused before a byte is read.
async fn read(mut body: Incoming, limit: usize, within: Duration) -> Result<Bytes, (Problem, Incoming)> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let declared = body.size_hint();
    if declared.lower() > limit as u64 {
        return Err((problems::body_too_large(limit), body));
    }
    let reading = async {
        let mut first: Option<Bytes> = None;
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| problems::bad_request("the body ended before it was complete"))?;
            let Ok(data) = frame.into_data() else { continue };
            if first.as_ref().map_or(0, Bytes::len) + whole.len() + data.len() > limit && !fault::off("http-body-limit") {
                return Err(problems::body_too_large(limit));
            }
            // Most bodies arrive in one piece, which then needs no copy.
            match (first.take(), whole.is_empty()) {
                (None, true) => first = Some(data),
                (Some(begun), _) => {
                    whole.reserve(usize::try_from(declared.exact().unwrap_or(0)).unwrap_or(0).max(begun.len() + data.len()));
                    whole.extend_from_slice(&begun);
                    whole.extend_from_slice(&data);
                }
                (None, false) => whole.extend_from_slice(&data),
            }
        }
        Ok(first.unwrap_or_else(|| whole.freeze()))
    };
    let outcome = tokio::time::timeout(within, reading).await.unwrap_or_else(|_| Err(problems::read_timeout()));
    outcome.map_err(|problem| (problem, body))
}

/// Throws away a little more of a refused body. Callers that read the answer only after they have sent everything would otherwise
/// find their connection reset, and not the answer.
fn linger(mut body: Incoming) {
    const MOST: usize = 4 * 1024 * 1024;
    tokio::spawn(tokio::time::timeout(Duration::from_secs(2), async move {
        let mut left = MOST;
        while let Some(Ok(frame)) = body.frame().await {
            let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { break };
            left = rest;
        }
    }));
}

/// Turns an answer that the caller has already into 304 (RFC 9110 13.1.2, weak comparison).
fn not_modified(wishes: &Wishes, response: &mut Response) {
    if wishes.if_none_match.is_empty() || response.status != StatusCode::OK {
        return;
    }
    let Some(tag) = response.headers.get(header::ETAG).and_then(|v| v.to_str().ok()) else { return };
    let plain = tag.strip_prefix("W/").unwrap_or(tag);
    let mut asked = wishes.if_none_match.iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim);
    if asked.any(|t| t == "*" || t.strip_prefix("W/").unwrap_or(t) == plain) {
        response.status = StatusCode::NOT_MODIFIED;
        response.body = Body::Empty;
        response.headers.remove(header::CONTENT_TYPE);
        response.headers.remove(header::CONTENT_ENCODING);
    }
}

fn finish(response: Response, head_only: bool, secure: bool, permit: Option<OwnedSemaphorePermit>) -> hyper::Response<SendBody> {
    let Response { status, mut headers, mut body, personal, as_long_as } = response;
    if personal {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    let depends_on_coding = match &body {
        Body::Full(bytes) => compress::is_candidate(&headers, bytes.len()) || headers.contains_key(header::CONTENT_ENCODING),
        Body::Empty | Body::Stream(_) => false,
    };
    if depends_on_coding {
        headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    }
    if secure {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    if head_only {
        if let Body::Full(bytes) = &body {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        }
        body = Body::Empty;
    }
    if let Body::Full(bytes) = &body
        && bytes.len() > PIECE
        && !as_long_as.is_empty()
        && !fault::off("http-as-long-as")
    {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        body = in_pieces(bytes.clone(), as_long_as);
    }
    let mut sent = hyper::Response::new(SendBody::new(body, permit));
    *sent.status_mut() = status;
    *sent.headers_mut() = headers;
    sent
}
