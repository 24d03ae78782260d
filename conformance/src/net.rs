//! A small HTTP/1.1 server on loopback, and what the stand-ins share around it.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// Loopback on a port that the system chooses.
pub const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

const LARGEST_BODY: usize = 16 << 20;

/// A request that a stand-in saw, for tests that count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// The status it was answered with.
    pub status: u16,
}

/// A request, read completely.
pub(crate) struct Request {
    pub method: Method,
    /// The path as sent, still percent-encoded.
    pub path: String,
    /// The decoded query, in order.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }
    /// The media type of the body without its parameters, in lower case.
    pub fn content_type(&self) -> String {
        self.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
    /// Every `Link` header value that has this `rel`: the targets.
    pub fn links(&self, rel: &str) -> Vec<String> {
        let mut found = Vec::new();
        for value in self.headers.get_all(header::LINK).iter().filter_map(|v| v.to_str().ok()) {
            for one in value.split(",<").flat_map(|v| v.split(", <")) {
                let Some((target, rest)) = one.trim().trim_start_matches('<').split_once('>') else { continue };
                if rest.contains(&format!("rel=\"{rel}\"")) {
                    found.push(target.to_owned());
                }
            }
        }
        found
    }
}

pub(crate) type Reply = Response<Full<Bytes>>;
pub(crate) type Answering = Pin<Box<dyn Future<Output = Reply> + Send>>;
pub(crate) type Handler = Arc<dyn Fn(Request) -> Answering + Send + Sync>;

/// A reply with a body of that media type.
pub(crate) fn reply(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    if !content_type.is_empty() {
        put(&mut response, "content-type", content_type);
    }
    response
}

/// A reply without a body.
pub(crate) fn bare(status: StatusCode) -> Reply {
    reply(status, "", Bytes::new())
}

/// Adds a header; a value that cannot stand in a header is left out.
pub(crate) fn put(response: &mut Reply, name: &'static str, value: &str) {
    if let Ok(value) = http::HeaderValue::from_str(value) {
        response.headers_mut().append(name, value);
    }
}

/// A lock whose poison is of no interest: the stand-in's state is whole between statements.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running server; dropping it stops it at once, open connections included.
pub(crate) struct Server {
    pub addr: SocketAddr,
    task: JoinHandle<()>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Takes `listen` and answers with `handler`.
    pub fn start(listener: TcpListener, handler: Handler) -> std::io::Result<Self> {
        let addr = listener.local_addr()?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(accept(listener, handler, seen.clone()));
        Ok(Self { addr, task, seen })
    }
    /// What it was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        locked(&self.seen).clone()
    }
    /// Stops it: nothing is answered afterwards.
    pub fn stop(&self) {
        self.task.abort();
    }
}
impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, handler: Handler, seen: Arc<Mutex<Vec<Seen>>>) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (handler, seen) = (handler.clone(), seen.clone());
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let (handler, seen) = (handler.clone(), seen.clone());
            async move {
                let (method, target) = (request.method().to_string(), request.uri().to_string());
                let response = match read(request).await {
                    Ok(request) => handler(request).await,
                    Err(status) => bare(status),
                };
                locked(&seen).push(Seen { method, target, status: response.status().as_u16() });
                Ok::<_, Infallible>(response)
            }
        });
        connections.spawn(async move {
            let _ = stream.set_nodelay(true);
            // A client that goes away in the middle is its own affair.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn read(request: hyper::Request<hyper::body::Incoming>) -> Result<Request, StatusCode> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, LARGEST_BODY).collect().await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?.to_bytes();
    let query = parts.uri.query().unwrap_or_default();
    Ok(Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
        headers: parts.headers,
        body,
    })
}

/// A path segment with its percent-encoding taken off.
pub(crate) fn decoded(segment: &str) -> String {
    // In a path `+` is itself; the form decoder would make a space of it.
    let kept = format!("v={}", segment.replace('+', "%2B"));
    url::form_urlencoded::parse(kept.as_bytes()).next().map(|(_, v)| v.into_owned()).unwrap_or_default()
}
