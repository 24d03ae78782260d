//! One call: who, whose data, which @context, which media type.

use super::hub::{Keep, NgsiHub};
use crate::negotiate::{self, Media};
use crate::problem;
use serde_json::Value;
use std::sync::Arc;
use waybill_context::{Context, DEPTH, Document, Options, Part};
use waybill_http::{HeaderName, Request, Response, header};
use waybill_model::{DateTime, Iri, Problem, Scope, TAG_NAME, TenantId};
use waybill_query::{Projection, TypeSelection};

pub(crate) const TENANT: HeaderName = HeaderName::from_static("ngsild-tenant");
pub(super) const COUNT: HeaderName = HeaderName::from_static("ngsild-results-count");

pub(super) struct Call {
    pub hub: Arc<dyn NgsiHub>,
    pub request: Request,
    pub scope: Scope,
}

impl Call {
    pub(super) fn new(hub: Arc<dyn NgsiHub>, request: Request) -> Result<Self, Problem> {
        let tenant = match tenant_of(&request)? {
            None => TenantId::main(),
            Some(name) => TenantId::new(name).ok_or_else(|| {
                problem::bad_data("bad-tenant", "a tenant's name has at most 64 letters, digits, `_`, `-` or `.`").at("NGSILD-Tenant").help("Use a shorter, plainer name.")
            })?,
        };
        let scope = request.caller.scope(tenant).ok_or_else(no_tenant)?;
        Ok(Self { hub, request, scope })
    }

    pub(super) fn now(&self) -> DateTime {
        self.hub.clock().now()
    }
    pub(super) fn options(&self) -> Options {
        Options::new(self.now())
    }

    /// Refuses parameters that this operation does not have.
    pub(super) fn params(&self, known: &[&str]) -> Result<(), Problem> {
        match self.request.query.iter().find(|(name, _)| !known.contains(name)) {
            None => Ok(()),
            Some((name, _)) => {
                let name: String = name.chars().take(60).collect();
                Err(problem::invalid_request("unknown-parameter", "this operation has no such parameter").at(name).help(format!("Known here: {}.", known.join(", "))))
            }
        }
    }
    /// The one value of a parameter.
    pub(super) fn param(&self, name: &str) -> Result<Option<&str>, Problem> {
        self.request.query.one(name)
    }
    /// A truth value; false when it is not given.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.param(name)? {
            None => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(problem::invalid_request("bad-parameter", "this parameter is true or false").at(name).help("Write true or false.")),
        }
    }
    /// The version of NGSI-LD that the caller prefers (`Prefer: ngsi-ld=1.6`, clause 6.3.18).
    pub(super) fn preferred_version(&self) -> Option<&str> {
        let values = self.request.headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok());
        values.flat_map(|v| v.split(',')).find_map(|preference| {
            let (name, value) = preference.split(';').next()?.split_once('=')?;
            let version = value.trim().trim_matches('"');
            let plain = !version.is_empty() && version.len() < 12 && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            (name.trim().eq_ignore_ascii_case("ngsi-ld") && plain).then_some(version)
        })
    }
    /// The media type of the answer.
    pub(super) fn accept(&self, geo: bool) -> Result<Media, Problem> {
        negotiate::accept(&self.request.headers, geo)
    }
    /// The identifier in the path.
    pub(super) fn id(&self) -> Result<Iri, Problem> {
        Iri::new(self.request.param("id")).map_err(|_| {
            problem::bad_data("not-a-uri", "the id in the path is no URI").at("path").help("Use an absolute URI such as urn:ngsi-ld:Building:1, percent-encoded.")
        })
    }
    /// A type's or Attribute's name in the path, expanded.
    pub(super) fn name(&self, param: &str, context: &Context) -> Result<String, Problem> {
        let name = self.request.param(param);
        let plain = !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || "<>\"'=;(){}|\\^`,".contains(c));
        let iri = context.expand(name).into_owned();
        if plain && (Iri::is_valid(&iri) || iri.starts_with('@')) {
            return Ok(iri);
        }
        Err(problem::bad_data("bad-name", "the name in the path is no name").at("path").help("Use a term of the @context or a full IRI, percent-encoded."))
    }
    /// The parameter `type`.
    pub(super) fn types(&self, context: &Context) -> Result<Option<TypeSelection>, Problem> {
        let x = |t: &str| context.expand(t).into_owned();
        Ok(self.param("type")?.map(|t| TypeSelection::parse(t, &x)).transpose()?)
    }

    /// The @context of a request without a body: from its Link header, else the core's.
    pub(super) async fn link_context(&self) -> Result<Arc<Context>, Problem> {
        match negotiate::context_link(&self.request.headers)? {
            Some(url) => Ok(self.hub.contexts().resolve(&Value::String(url)).await?),
            None => Ok(self.hub.contexts().core()),
        }
    }
    /// Reads the body, after its length and media type.
    pub(super) fn document(&self) -> Result<Document<'_>, Problem> {
        negotiate::content(&self.request.headers, &self.request.method)?;
        Ok(Document::read(&self.request.body, DEPTH)?)
    }
    /// The @context of a body, by the rules of clause 6.3.5: JSON takes it from the Link header, JSON-LD from the body.
    pub(super) async fn body_context(&self, part: Part<'_, '_>) -> Result<Arc<Context>, Problem> {
        let inside = part.context();
        if !self.is_ld() {
            if inside.is_some() {
                return Err(problem::bad_data("context-in-json", "an @context stands in a body of application/json").at("/@context").help("Send application/ld+json, or name the @context in a Link header."));
            }
            return self.link_context().await;
        }
        if negotiate::context_link(&self.request.headers)?.is_some() {
            return Err(context_twice());
        }
        match inside {
            Some(value) => Ok(self.hub.contexts().resolve(&value).await?),
            None => Err(problem::bad_data("context-missing", "a body of application/ld+json has no @context").at("/@context").help("Add an @context, or send application/json.")),
        }
    }
    /// Whether the body is JSON-LD.
    pub(super) fn is_ld(&self) -> bool {
        self.request.content_type() == "application/ld+json"
    }
    /// Refuses a tenant that was never written to (clause 5.5.10).
    pub(super) async fn existing_tenant(&self) -> Result<(), Problem> {
        if self.scope.tenant == TenantId::main() || self.hub.knows_tenant(&self.scope).await? { Ok(()) } else { Err(no_tenant()) }
    }

    /// An answer of JSON made here, its names already compacted with `context`.
    pub(super) fn json_ld(&self, status: u16, mut body: Value, media: Media, context: &Context) -> Response {
        if media == Media::JsonLd {
            match &mut body {
                Value::Object(map) => {
                    map.insert("@context".to_owned(), context.user().clone());
                }
                Value::Array(list) => {
                    for item in list.iter_mut().filter_map(Value::as_object_mut) {
                        item.insert("@context".to_owned(), context.user().clone());
                    }
                }
                _ => {}
            }
        }
        // INVARIANT: a Value prints as JSON.
        let text = serde_json::to_vec(&body).unwrap_or_default();
        let response = Response::bytes(status, media.as_str(), text);
        if media == Media::JsonLd { response } else { self.with_link(response, context) }
    }
    /// The same with the Link header that names the @context.
    pub(super) fn with_link(&self, response: Response, context: &Context) -> Response {
        let url = negotiate::context_url(self.hub.contexts(), context, &self.request.base_url);
        response.with(header::LINK, negotiate::link_value(&url))
    }
}

pub(super) fn context_twice() -> Problem {
    problem::bad_data("context-twice", "a Link header names an @context beside a body of application/ld+json").at("Link").help("Put the @context in the body only.")
}

/// The tenant that a request names; brokers' clients know two headers for it.
pub(super) fn tenant_of(request: &Request) -> Result<Option<&str>, Problem> {
    let one = |name: &HeaderName| request.headers.get(name).map(|v| v.to_str().unwrap_or("\u{0}"));
    match (one(&TENANT), one(&HeaderName::from_static("fiware-service"))) {
        (Some(a), Some(b)) if a != b => {
            Err(problem::invalid_request("two-tenants", "NGSILD-Tenant and fiware-service name different tenants").at("NGSILD-Tenant").help("Send one of them."))
        }
        (a, b) => Ok(a.or(b).filter(|t| !t.is_empty())),
    }
}

/// The Attributes that a projection keeps, and the tag of the Entity, which is never left out.
pub(super) fn keep(projection: &Projection) -> Keep {
    let projection = projection.clone();
    Arc::new(move |name| name == TAG_NAME || projection.keeps_attribute(name))
}

fn no_tenant() -> Problem {
    let detail = "there is no such tenant, or not for this caller";
    Problem::new(waybill_model::ProblemCode("tenant-not-found"), 404, "No such tenant", detail)
        .of_type(format!("{}NonexistentTenant", problem::ERRORS))
        .at("NGSILD-Tenant")
}
