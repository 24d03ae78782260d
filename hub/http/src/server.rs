//! The server: connections, their limits, and the graceful stop.

use crate::auth::Authenticator;
use crate::cidr::Cidr;
use crate::dispatch::{Connection, State, answer};
use crate::forwarded::Forwarding;
use crate::metrics::Metrics;
use crate::router::{RouteError, Router};
use crate::stall::Stalling;
use crate::tls::ServerTls;
use arc_swap::ArcSwap;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use waybill_model::Clock;

/// What a caller may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest body, in bytes.
    pub body: usize,
    /// The longest address (path and query), in bytes.
    pub uri: usize,
    /// The most headers.
    pub headers: usize,
    /// The largest head of a request, in bytes.
    pub head_bytes: usize,
    /// How long a head may take to arrive; an idle connection is closed after this time as well.
    pub head_timeout: Duration,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long a caller may take nothing of an answer before its connection is cut.
    pub write_timeout: Duration,
    /// How long an answer may take to be made.
    pub deadline: Duration,
    /// How many requests are answered at once.
    pub concurrency: usize,
    /// How many connections may be open.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 10 * 1024 * 1024,
            uri: 16 * 1024,
            headers: 100,
            head_bytes: 64 * 1024,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            deadline: Duration::from_mins(1),
            concurrency: 1024,
            connections: 4096,
        }
    }
}

/// How to serve.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Certificate and key; nothing serves without TLS.
    pub tls: Option<ServerTls>,
    /// The address under which callers know this hub, when it is not the one they write in `Host`.
    pub public_base: Option<String>,
    /// The proxies that are believed.
    pub trusted_proxies: Vec<Cidr>,
    /// The limits.
    pub limits: Limits,
    /// Where to count.
    pub metrics: Metrics,
    /// How long open requests may go on after a stop was asked.
    pub drain: Duration,
}

impl ServerConfig {
    /// Serves at `listen` without TLS, behind no proxy, with the usual limits.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: None,
            public_base: None,
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            metrics: Metrics::new(),
            drain: Duration::from_secs(10),
        }
    }
}

/// Why serving could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The routes conflict.
    #[error(transparent)]
    Routes(#[from] RouteError),
}

/// A running server. Dropping it without [`ServerHandle::stop`] closes the listener and lets open connections end by themselves.
#[derive(Debug)]
pub struct ServerHandle {
    /// Where it listens.
    pub addr: SocketAddr,
    state: Arc<State>,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl ServerHandle {
    /// Replaces the routes for all requests to come.
    ///
    /// # Errors
    /// [`RouteError`] when the routes conflict; the old ones stay.
    pub fn replace_routes(&self, router: Router) -> Result<(), RouteError> {
        self.state.table.store(Arc::new(router.build(&self.state.metrics)?));
        Ok(())
    }
    /// Replaces whom the server knows. Proofs that were used stay used.
    pub fn replace_authenticator(&self, authenticator: Authenticator) {
        let old = self.state.authenticator.load_full();
        self.state.authenticator.store(Arc::new(authenticator.remembering(&old)));
    }
    /// Takes no more connections, lets open requests end within the drain time, then closes what is left.
    pub async fn stop(self) {
        // The accept loop only ends by this signal; were it gone already, there would be nothing to stop.
        let _ = self.stop.send(true);
        let _ = self.accepting.await;
    }
}

/// Serves `router`, callers recognised by `authenticator`.
///
/// # Errors
/// [`ServeError`] when the routes conflict or the address cannot be listened on.
pub async fn serve(config: ServerConfig, router: Router, authenticator: Authenticator, clock: Clock) -> Result<ServerHandle, ServeError> {
    let table = router.build(&config.metrics)?;
    let listener = TcpListener::bind(config.listen).await.map_err(|e| ServeError::Listen(config.listen, e))?;
    let addr = listener.local_addr().map_err(|e| ServeError::Listen(config.listen, e))?;
    let state = Arc::new(State {
        table: ArcSwap::from_pointee(table),
        authenticator: ArcSwap::from_pointee(authenticator),
        clock,
        limits: config.limits,
        places: Arc::new(Semaphore::new(config.limits.concurrency)),
        forwarding: Forwarding {
            trusted: config.trusted_proxies,
            public_base: config.public_base.map(|base| Arc::from(base.trim_end_matches('/'))),
        },
        detached: AtomicUsize::new(0),
        refused: config.metrics.counter("waybill_http_overloaded_total", "Requests refused because too many were being answered", &[]),
        metrics: config.metrics,
    });
    let (stop, stopped) = watch::channel(false);
    let accepting = tokio::spawn(accept(listener, config.tls, state.clone(), stopped, config.drain));
    Ok(ServerHandle { addr, state, stop, accepting })
}

async fn accept(listener: TcpListener, tls: Option<ServerTls>, state: Arc<State>, mut stopped: watch::Receiver<bool>, drain: Duration) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(state.limits.connections));
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let next = async {
            // The semaphore is never closed; were it, no connection would be taken.
            let place = places.clone().acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        tokio::select! {
            // Also ends when the handle was dropped.
            _ = stopped.changed() => break,
            (place, accepted) = next => match accepted {
                Ok((stream, peer)) => {
                    let (state, tls, watcher) = (state.clone(), tls.clone(), graceful.watcher());
                    tasks.spawn(async move {
                        connection(stream, peer, tls, state, watcher).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of descriptors, most likely: waiting lets connections end.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    let draining = async {
        graceful.shutdown().await;
        while state.detached.load(std::sync::atomic::Ordering::Acquire) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(drain, draining).await.is_err() {
        tracing::warn!("open requests did not end in time and were cut off");
    }
    tasks.shutdown().await;
}

async fn connection(stream: TcpStream, peer: SocketAddr, tls: Option<ServerTls>, state: Arc<State>, watcher: Watcher) {
    let Ok(local) = stream.local_addr() else { return };
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let limits = state.limits;
    let stream = Stalling::new(stream, limits.write_timeout);
    let facts = Arc::new(Connection { peer, local, tls: tls.is_some() });
    let service = service_fn(move |request| {
        let (state, facts) = (state.clone(), facts.clone());
        async move { Ok::<_, std::convert::Infallible>(answer(state, facts, request).await) }
    });
    let ended = match tls {
        None => {
            let mut http = hyper::server::conn::http1::Builder::new();
            // Without `pipeline_flush`: it would keep back the answer to a head that could not be read.
            http.timer(TokioTimer::new())
                .max_headers(limits.headers)
                .max_header_size(limits.head_bytes)
                .header_read_timeout(limits.head_timeout);
            watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await.map_err(|e| e.to_string())
        }
        Some(tls) => {
            let handshake = tokio::time::timeout(limits.head_timeout, tls.acceptor().accept(stream)).await;
            let Ok(Ok(stream)) = handshake else {
                tracing::debug!("a TLS handshake failed or took too long");
                return;
            };
            let mut http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            http.http1()
                .timer(TokioTimer::new())
                .max_headers(limits.headers)
                .max_buf_size(limits.head_bytes.max(8192))
                .header_read_timeout(limits.head_timeout);
            http.http2()
                .timer(TokioTimer::new())
                .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
                .max_concurrent_streams(128)
                .keep_alive_interval(limits.head_timeout)
                .keep_alive_timeout(limits.head_timeout);
            let serving = http.serve_connection(TokioIo::new(stream), service).into_owned();
            watcher.watch(serving).await.map_err(|e| e.to_string())
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}
