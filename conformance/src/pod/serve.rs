//! Requests on resources: reading, writing, patching, deleting, each after the access rules.

use super::access::{self, Mode};
use super::storage::{Change, Storage, parent};
use super::{Inner, State, rdf};
use crate::net::{Reply, Request, bare, locked, put, reply};
use http::{Method, StatusCode};
use oxrdf::{Graph, Literal, Triple};
use std::collections::BTreeSet;

const LDP: &str = "http://www.w3.org/ns/ldp#";
const RDF_TYPE: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type";
const MODIFIED: &str = "http://purl.org/dc/terms/modified";
const DATE_TIME: &str = "http://www.w3.org/2001/XMLSchema#dateTime";
const RESET: StatusCode = StatusCode::RESET_CONTENT;

/// What a handler did: its answer, and the changes to tell.
type Done = (Reply, Vec<Change>);

impl State {
    pub(super) async fn answer(&self, request: Request) -> Reply {
        match (&request.method, request.path.as_str()) {
            (&Method::GET, "/.well-known/openid-configuration") => return self.discovery(),
            (&Method::GET, "/.oidc/jwks") => return self.jwks(),
            (&Method::POST, "/.oidc/token") => return self.token(&request),
            (&Method::GET, "/.well-known/solid") => return self.description(&request),
            _ => {}
        }
        let agent = match self.agent(&request).await {
            Ok(agent) => agent,
            Err(why) => return refused(StatusCode::UNAUTHORIZED, why),
        };
        if request.path.starts_with("/.notifications/") {
            return self.channel(&request, agent.as_deref());
        }
        let (answer, changes) = {
            let mut inner = locked(&self.inner);
            self.resource(&mut inner, &request, agent.as_deref())
        };
        self.notify(&changes);
        answer
    }

    fn resource(&self, inner: &mut Inner, request: &Request, agent: Option<&str>) -> Done {
        let path = request.path.as_str();
        let held = held(&inner.storage, &self.base, path, agent);
        let wanted = match needs(&inner.storage, &self.base, request, agent, &held) {
            Ok(wanted) => wanted,
            Err(why) => return (refused(StatusCode::BAD_REQUEST, &why), Vec::new()),
        };
        if !wanted {
            let status = if agent.is_some() { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
            return (refused(status, "the access rules do not allow it"), Vec::new());
        }
        if let Some(status) = precondition(&inner.storage, request) {
            return (bare(status), Vec::new());
        }
        let now = (self.now)();
        match request.method {
            Method::GET | Method::HEAD => (self.read(&inner.storage, request, &held), Vec::new()),
            Method::PUT => put_resource(&mut inner.storage, request, &self.base, now),
            Method::POST => post(&mut inner.storage, request, &self.base, now),
            Method::PATCH => patch(&mut inner.storage, request, &self.base, now),
            Method::DELETE => {
                if path.ends_with('/') && inner.storage.children(path).next().is_some() {
                    return (refused(StatusCode::CONFLICT, "the container is not empty"), Vec::new());
                }
                if inner.storage.get(path).is_none() {
                    return (bare(StatusCode::NOT_FOUND), Vec::new());
                }
                (bare(RESET), inner.storage.delete(path, now))
            }
            _ => (bare(StatusCode::METHOD_NOT_ALLOWED), Vec::new()),
        }
    }

    fn read(&self, storage: &Storage, request: &Request, held: &BTreeSet<Mode>) -> Reply {
        let path = request.path.as_str();
        let Some(resource) = storage.get(path) else { return bare(StatusCode::NOT_FOUND) };
        let etag = resource.etag();
        if request.header("if-none-match").is_some_and(|v| v.split(',').any(|t| t.trim() == etag)) {
            return bare(StatusCode::NOT_MODIFIED);
        }
        let body = if path.ends_with('/') { self.listing(storage, path) } else { resource.body.to_vec() };
        let body = if request.method == Method::HEAD { Vec::new() } else { body };
        let mut answer = reply(StatusCode::OK, &resource.content_type, body);
        put(&mut answer, "etag", &etag);
        put(&mut answer, "allow", "OPTIONS, HEAD, GET, PATCH, POST, PUT, DELETE");
        put(&mut answer, "accept-patch", "text/n3");
        let url = access::url(&self.base, path);
        if super::storage::auxiliary(path).is_none() {
            put(&mut answer, "link", &format!("<{url}.acl>; rel=\"acl\""));
            put(&mut answer, "link", &format!("<{url}.meta>; rel=\"describedby\""));
        }
        put(
            &mut answer,
            "link",
            &format!("<{}.well-known/solid>; rel=\"http://www.w3.org/ns/solid/terms#storageDescription\"", self.base),
        );
        put(&mut answer, "link", &format!("<{LDP}Resource>; rel=\"type\""));
        if path.ends_with('/') {
            put(&mut answer, "link", &format!("<{LDP}BasicContainer>; rel=\"type\""));
            if path.matches('/').count() == 2 {
                put(&mut answer, "link", "<http://www.w3.org/ns/pim/space#Storage>; rel=\"type\"");
            }
        }
        let names: Vec<&str> = held
            .iter()
            .map(|m| match m {
                Mode::Read => "read",
                Mode::Append => "append",
                Mode::Write => "write",
                Mode::Control => "control",
            })
            .collect();
        put(&mut answer, "wac-allow", &format!("user=\"{}\"", names.join(" ")));
        answer
    }

    fn listing(&self, storage: &Storage, path: &str) -> Vec<u8> {
        let mut graph = Graph::new();
        let own = rdf::node(&access::url(&self.base, path));
        let describe = |graph: &mut Graph, subject: &oxrdf::NamedNode, container: bool, modified: i64| {
            let kinds: &[&str] = if container { &["Resource", "Container", "BasicContainer"] } else { &["Resource"] };
            for kind in kinds {
                graph.insert(&Triple::new(subject.clone(), rdf::node(RDF_TYPE), rdf::node(&format!("{LDP}{kind}"))));
            }
            let stamp = Literal::new_typed_literal(crate::broker::stamp(modified), rdf::node(DATE_TIME));
            graph.insert(&Triple::new(subject.clone(), rdf::node(MODIFIED), stamp));
        };
        if let Some(resource) = storage.get(path) {
            describe(&mut graph, &own, true, resource.modified);
        }
        for (child, resource) in storage.children(path) {
            let node = rdf::node(&access::url(&self.base, child));
            describe(&mut graph, &node, child.ends_with('/'), resource.modified);
            graph.insert(&Triple::new(own.clone(), rdf::node(&format!("{LDP}contains")), node));
        }
        rdf::write(&graph)
    }
}

/// The resource whose rules decide: itself, or the one it stands beside.
fn subject(path: &str) -> &str {
    super::storage::auxiliary(path).unwrap_or(path)
}

fn held(storage: &Storage, base: &str, path: &str, agent: Option<&str>) -> BTreeSet<Mode> {
    access::modes(storage, base, subject(path), agent)
}

/// Whether the agent holds what the request needs.
fn needs(storage: &Storage, base: &str, request: &Request, agent: Option<&str>, held: &BTreeSet<Mode>) -> Result<bool, String> {
    let path = request.path.as_str();
    if path.strip_suffix(".acl").is_some() {
        return Ok(held.contains(&Mode::Control));
    }
    Ok(match request.method {
        Method::GET | Method::HEAD => held.contains(&Mode::Read),
        Method::PUT if storage.get(path).is_some() => held.contains(&Mode::Write),
        Method::PUT | Method::POST => held.contains(&Mode::Append),
        Method::PATCH => {
            let patch = rdf::Patch::parse(&request.body, &access::url(base, path))?;
            held.contains(if patch.only_inserts() { &Mode::Append } else { &Mode::Write })
        }
        Method::DELETE => {
            let above = parent(path).is_none_or(|p| access::modes(storage, base, p, agent).contains(&Mode::Write));
            held.contains(&Mode::Write) && above
        }
        _ => true,
    })
}

fn precondition(storage: &Storage, request: &Request) -> Option<StatusCode> {
    if matches!(request.method, Method::GET | Method::HEAD) {
        return None;
    }
    let current = storage.get(&request.path).map(super::storage::Resource::etag);
    let names = |header: &str| request.header(header).map(|v| v.split(',').map(|t| t.trim().to_owned()).collect::<Vec<_>>());
    let matches = |tags: &[String]| current.as_ref().is_some_and(|c| tags.iter().any(|t| t == "*" || t == c));
    let failed = names("if-match").is_some_and(|t| !matches(&t)) || names("if-none-match").is_some_and(|t| matches(&t));
    failed.then_some(StatusCode::PRECONDITION_FAILED)
}

fn put_resource(storage: &mut Storage, request: &Request, base: &str, now: i64) -> Done {
    let path = request.path.as_str();
    if path.strip_suffix(".meta").is_some() {
        return (bare(StatusCode::METHOD_NOT_ALLOWED), Vec::new());
    }
    let Some(media) = request.header("content-type") else {
        return (refused(StatusCode::BAD_REQUEST, "the media type is missing"), Vec::new());
    };
    let is_turtle = request.content_type() == "text/turtle";
    if let (true, Err(why)) = (is_turtle, rdf::parse(&request.body, &access::url(base, path))) {
        return (refused(StatusCode::BAD_REQUEST, &why), Vec::new());
    }
    let meta = access::url(base, &format!("{path}.meta"));
    let keep = request.links("preserve").iter().any(|l| *l == meta || meta.ends_with(l.as_str()));
    let existed = storage.get(path).is_some();
    let changes = storage.put(path, media, request.body.clone(), keep, now);
    (created_or(existed, base, path), changes)
}

fn created_or(existed: bool, base: &str, path: &str) -> Reply {
    if existed {
        return bare(RESET);
    }
    let mut answer = bare(StatusCode::CREATED);
    put(&mut answer, "location", &access::url(base, path));
    answer
}

fn post(storage: &mut Storage, request: &Request, base: &str, now: i64) -> Done {
    let container = request.path.as_str();
    if !container.ends_with('/') || storage.get(container).is_none() {
        return (bare(StatusCode::NOT_FOUND), Vec::new());
    }
    let is_container = request.links("type").iter().any(|t| t.ends_with("#BasicContainer") || t.ends_with("#Container"));
    let slug: String = request
        .header("slug")
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .collect();
    let end = if is_container { "/" } else { "" };
    let mut path = format!("{container}{slug}{end}");
    if slug.is_empty() || storage.get(&path).is_some() || super::storage::auxiliary(&path).is_some() {
        path = format!("{container}{}{end}", super::random_name());
    }
    let media = if is_container { "text/turtle" } else { request.header("content-type").unwrap_or("application/octet-stream") };
    let body = if is_container { bytes::Bytes::new() } else { request.body.clone() };
    let changes = storage.put(&path, media, body, true, now);
    (created_or(false, base, &path), changes)
}

fn patch(storage: &mut Storage, request: &Request, base: &str, now: i64) -> Done {
    let path = request.path.as_str();
    if request.content_type() != "text/n3" {
        return (refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "this stand-in knows text/n3 only"), Vec::new());
    }
    let url = access::url(base, path);
    let existing = storage.get(path).cloned();
    if existing.is_none() && super::storage::auxiliary(path).is_some() && storage.get(subject(path)).is_none() {
        return (bare(StatusCode::NOT_FOUND), Vec::new());
    }
    if existing.as_ref().is_some_and(|r| !r.content_type.starts_with("text/turtle")) {
        return (refused(StatusCode::CONFLICT, "only RDF can be patched"), Vec::new());
    }
    let applied = rdf::Patch::parse(&request.body, &url).and_then(|patch| {
        let mut graph = match &existing {
            Some(resource) => rdf::parse(&resource.body, &url)?,
            None => Graph::new(),
        };
        patch.apply(&mut graph).map(|()| graph)
    });
    match applied {
        Err(why) => (refused(StatusCode::CONFLICT, &why), Vec::new()),
        Ok(graph) => {
            let changes = storage.put(path, "text/turtle", rdf::write(&graph).into(), true, now);
            (created_or(existing.is_some(), base, path), changes)
        }
    }
}

pub(super) fn refused(status: StatusCode, why: &str) -> Reply {
    let mut answer = reply(status, "text/plain", why.to_owned());
    if status == StatusCode::UNAUTHORIZED {
        put(&mut answer, "www-authenticate", "DPoP algs=\"ES256 EdDSA\", Bearer scope=\"openid webid\"");
    }
    answer
}
