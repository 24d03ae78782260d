//! Which handler answers which method and path.

use crate::metrics::{Counter, Histogram, Metrics};
use crate::problems;
use crate::query::decode_component;
use crate::request::Request;
use crate::response::Response;
use http::Method;
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use waybill_model::Problem;

/// What a handler returns.
pub type HandlerFuture = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;
/// A handler.
pub type Handler = Arc<dyn Fn(Request) -> HandlerFuture + Send + Sync>;
/// Makes the answer for a problem under a part of the paths.
pub type ErrorFormat = Arc<dyn Fn(&Problem) -> Response + Send + Sync>;

/// What is particular to one route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteOptions {
    /// The largest body in bytes; nothing for the server's own limit.
    pub max_body: Option<usize>,
    /// Answered even when as many requests as allowed are being answered: health, metrics.
    pub always: bool,
    /// The handler verifies its caller itself: a pod server's webhook. `Authorization` is left to it, and the caller is anonymous.
    pub own_auth: bool,
}

/// Why a set of routes cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The same method and path twice.
    #[error("{0} {1} is routed twice")]
    Twice(Method, String),
    /// A path that is no pattern or clashes with another.
    #[error("the path `{0}` cannot be routed: {1}")]
    Path(String, String),
}

struct Declared {
    method: Method,
    path: String,
    options: RouteOptions,
    handler: Handler,
}

/// A set of routes. Conflicts show when it is served, so that declaring routes needs no error handling.
#[derive(Default)]
pub struct Router {
    routes: Vec<Declared>,
    formats: Vec<(String, ErrorFormat)>,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.routes.iter().map(|r| format!("{} {}", r.method, r.path))).finish()
    }
}

impl Router {
    /// No routes.
    pub fn new() -> Self {
        Self::default()
    }
    /// The same with a route. `path` is as `/entities/{id}` (one segment) or `/files/{*rest}` (all that follows); a slash at the end
    /// of a request's path is tolerated.
    #[must_use]
    pub fn route<F, R>(self, method: Method, path: &str, handler: F) -> Self
    where
        F: Fn(Request) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        self.route_with(method, path, RouteOptions::default(), handler)
    }
    /// The same with options.
    #[must_use]
    pub fn route_with<F, R>(mut self, method: Method, path: &str, options: RouteOptions, handler: F) -> Self
    where
        F: Fn(Request) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        self.routes.push(Declared { method, path: path.to_owned(), options, handler });
        self
    }
    /// The routes of both.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.routes.extend(other.routes);
        self.formats.extend(other.formats);
        self
    }
    /// The same, with the problems under `prefix` (also those of the server itself) given the form `format`. The longest prefix wins.
    #[must_use]
    pub fn errors(mut self, prefix: &str, format: impl Fn(&Problem) -> Response + Send + Sync + 'static) -> Self {
        self.formats.push((prefix.trim_end_matches('/').to_owned(), Arc::new(format)));
        self
    }
    /// Every method and path, for a test against a description of the interface.
    pub fn listing(&self) -> Vec<(Method, String)> {
        self.routes.iter().map(|r| (r.method.clone(), r.path.clone())).collect()
    }

    pub(crate) fn build(self, metrics: &Metrics) -> Result<Table, RouteError> {
        let mut by_path: BTreeMap<String, Resource> = BTreeMap::new();
        for Declared { method, path, options, handler } in self.routes {
            let trimmed = if path.len() > 1 { path.trim_end_matches('/') } else { &path };
            let resource = by_path.entry(trimmed.to_owned()).or_insert_with(|| Resource {
                template: Arc::from(trimmed),
                endpoints: Vec::new(),
                allow: String::new(),
            });
            if resource.endpoints.iter().any(|e| e.method == method) {
                return Err(RouteError::Twice(method, path));
            }
            let endpoint = Endpoint { metrics: RouteMetrics::new(metrics, &method, trimmed), method, options, handler };
            resource.endpoints.push(endpoint);
        }
        let mut tree = matchit::Router::new();
        for (path, mut resource) in by_path {
            resource.allow = allow_of(&resource.endpoints);
            tree.insert(path.clone(), resource).map_err(|e| RouteError::Path(path, e.to_string()))?;
        }
        let mut formats = self.formats;
        formats.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(Table { tree, formats, unrouted: RouteMetrics::new(metrics, &Method::GET, "(none)") })
    }
}

fn allow_of(endpoints: &[Endpoint]) -> String {
    let mut methods: Vec<&str> = endpoints.iter().map(|e| e.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    methods.sort_unstable();
    methods.dedup();
    methods.join(", ")
}

/// The routes as they are looked up.
pub(crate) struct Table {
    tree: matchit::Router<Resource>,
    formats: Vec<(String, ErrorFormat)>,
    pub(crate) unrouted: RouteMetrics,
}

pub(crate) struct Resource {
    template: Arc<str>,
    endpoints: Vec<Endpoint>,
    allow: String,
}

pub(crate) struct Endpoint {
    method: Method,
    pub(crate) options: RouteOptions,
    pub(crate) handler: Handler,
    pub(crate) metrics: RouteMetrics,
}

/// What a look-up finds.
pub(crate) enum Found<'t> {
    /// A route, its pattern and parameters.
    Route(&'t Endpoint, Arc<str>, Vec<(String, String)>),
    /// The path is there and OPTIONS was asked.
    Options(&'t str),
    /// The path is there, the method is not.
    WrongMethod(&'t str),
    /// Nothing.
    Nothing,
}

impl Table {
    pub(crate) fn find(&self, method: &Method, path: &str) -> Result<Found<'_>, Problem> {
        let trimmed = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
        let Ok(found) = self.tree.at(trimmed) else { return Ok(Found::Nothing) };
        let resource = found.value;
        let wanted = resource.endpoints.iter().find(|e| e.method == *method);
        let wanted = match wanted {
            None if *method == Method::HEAD => resource.endpoints.iter().find(|e| e.method == Method::GET),
            other => other,
        };
        let Some(endpoint) = wanted else {
            return Ok(if *method == Method::OPTIONS { Found::Options(&resource.allow) } else { Found::WrongMethod(&resource.allow) });
        };
        let mut params = Vec::with_capacity(found.params.len());
        for (name, value) in found.params.iter() {
            let value = decode_component(value)
                .ok_or_else(|| problems::bad_request("an escape must be `%` and two hexadecimal digits, and the whole must be UTF-8").at(name))?;
            params.push((name.to_owned(), value));
        }
        Ok(Found::Route(endpoint, resource.template.clone(), params))
    }

    /// The answer for `problem` at `path`.
    pub(crate) fn answer(&self, path: &str, problem: &Problem) -> Response {
        let under = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match self.formats.iter().find(|(prefix, _)| under(prefix)) {
            Some((_, format)) => format(problem),
            None => Response::problem(problem),
        }
    }
}

/// What is counted of one route: how often it was answered with which class of status, and how long it took.
pub(crate) struct RouteMetrics {
    classes: [Counter; 5],
    seconds: Histogram,
}

impl RouteMetrics {
    fn new(metrics: &Metrics, method: &Method, template: &str) -> Self {
        let class = |class: &str| {
            metrics.counter(
                "waybill_http_requests_total",
                "Requests answered, by route pattern and class of status",
                &[("method", method.as_str()), ("route", template), ("status", class)],
            )
        };
        Self {
            classes: [class("1xx"), class("2xx"), class("3xx"), class("4xx"), class("5xx")],
            seconds: metrics.histogram(
                "waybill_http_request_seconds",
                "Time from the head of a request to its answer, by route pattern",
                &[("method", method.as_str()), ("route", template)],
            ),
        }
    }
    pub(crate) fn record(&self, status: u16, elapsed: std::time::Duration) {
        let class = usize::from(status / 100).saturating_sub(1).min(4);
        self.classes[class].inc();
        self.seconds.observe(elapsed);
    }
}
