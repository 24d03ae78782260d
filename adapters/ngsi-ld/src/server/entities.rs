//! `/entities` and `/entities/{id}` (clauses 6.4 and 6.5).

use super::call::{COUNT, Call, keep};
use super::hub::{Action, Answer, ChangeFn, Report, Step};
use super::fragment_answer;
use super::join::{self, Join};
use crate::decode::{QueryTexts, SelectorTexts, paging, simplified_fragment};
use crate::encode::{Shape, representation};
use crate::negotiate::Media;
use crate::problem;
use crate::write::{self, MergeOptions, Op, UpdateResult};
use std::sync::Arc;
use waybill_context::{Context, Format, Languages, Nulls, default_geometry};
use waybill_http::{HeaderName, Response, encode_component, header};
use waybill_model::{DateTime, EntityDoc, Iri, Problem};
use waybill_query::{EntityQuery, TypeSelection};

const QUERY_PARAMS: &[&str] = &[
    "id", "type", "idPattern", "attrs", "pick", "omit", "q", "csf", "georel", "geometry", "coordinates", "geoproperty", "geometryProperty", "scopeQ", "lang", "datasetId", "join", "joinLevel",
    "containedBy", "expandValues", "jsonKeys", "orderBy", "collation", "orderFrom", "orderGeometry", "splitEntities", "limit", "offset", "count", "format", "options", "local",
];
const RETRIEVE_PARAMS: &[&str] =
    &["type", "attrs", "pick", "omit", "geometryProperty", "lang", "datasetId", "join", "joinLevel", "containedBy", "jsonKeys", "splitEntities", "format", "options", "local"];

/// `POST /entities`.
pub(super) async fn create(call: Call) -> Result<Response, Problem> {
    call.params(&["local", "options", "format"])?;
    let document = call.document()?;
    let (format, _) = representation(call.param("format")?, call.param("options")?, &[])?;
    let part = document.root();
    if !part.is_object() {
        return Err(problem::invalid_request("wrong-json-type", "an entity is an object").at("").help("Send one entity; entityOperations/create takes several."));
    }
    let context = call.body_context(part).await?;
    let options = if format == Some(Format::Simplified) { call.options().simplified() } else { call.options() };
    let entity = part.entity(&context, &options)?;
    let id = entity.id_iri().map_err(|e| problem::bad_data("not-a-uri", e.to_string()).at("/id"))?;
    call.hub.modify(&call.scope, &id, creation(entity)).await?;
    Ok(Response::empty(201).with(header::LOCATION, location("entities", &id)))
}

/// The change that makes an Entity, or refuses when there is one.
pub(super) fn creation(entity: EntityDoc) -> ChangeFn {
    Box::new(move |current| match current {
        Some(_) => Err(problem::already_exists()),
        None => Ok(made(&entity)),
    })
}

/// The step that makes a new Entity.
pub(super) fn made(entity: &EntityDoc) -> Step {
    Step { action: Action::Put(write::new_entity(entity)), report: Report::default() }
}

/// The address of a resource of ours, as Location names it.
pub(super) fn location(collection: &str, id: &Iri) -> String {
    // A colon may stand in a path as it is, and clients look for it.
    format!("/ngsi-ld/v1/{collection}/{}", encode_component(id.as_str()).replace("%3A", ":"))
}

/// How the parameters ask for Entities to be shown.
fn shape(call: &Call, media: Media, context: Arc<Context>, query: &EntityQuery) -> Result<Shape, Problem> {
    let (format, sys_attrs) = representation(call.param("format")?, call.param("options")?, &["splitEntities"])?;
    let geometry = call.param("geometryProperty")?;
    if geometry.is_some() && media != Media::GeoJson {
        return Err(problem::bad_data("geometry-property-without-geojson", "`geometryProperty` is for GeoJSON").at("geometryProperty").help("Accept application/geo+json, or leave it out."));
    }
    let prefers_json = call.request.header("prefer").is_some_and(|p| p.split([',', ';']).any(|t| t.trim() == "body=json"));
    Ok(Shape {
        format: format.unwrap_or_default(),
        sys_attrs,
        media,
        expires_at: sys_attrs,
        languages: call.param("lang")?.map(Languages::parse),
        projection: query.projection.clone(),
        datasets: query.datasets.clone(),
        geometry: geometry.map_or_else(default_geometry, |name| context.expand(name).into_owned()),
        bare_geo: prefers_json,
        context,
    })
}

/// Refuses what the specification has and this hub does not offer, rather than ignore it.
fn offered(call: &Call) -> Result<(), Problem> {
    if let Some(text) = call.param("csf")? {
        waybill_query::Q::parse(text, &waybill_query::NoContext).map_err(|e| Problem::from(e).at("csf"))?;
    }
    if let Some(tag) = call.param("collation")? {
        collation(tag, "collation")?;
    }
    if call.param("csf")?.is_some() {
        return Err(problem::not_supported("not-offered", "this hub does not offer `csf`").at("csf").help("Leave the parameter out."));
    }
    if call.flag("splitEntities")? {
        return Err(problem::not_supported("not-offered", "this hub does not split entities").at("splitEntities"));
    }
    Ok(())
}

fn joined(call: &Call) -> Result<Join, Problem> {
    Join::read(call.param("join")?, call.param("joinLevel")?, call.param("containedBy")?)
}

/// A collation is a language tag (BCP 47). Results are ordered in the manner of the root collation, whatever the language.
pub(crate) fn collation(tag: &str, place: &str) -> Result<(), Problem> {
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or_default();
    let good = (2..=8).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_alphabetic());
    if good && parts.all(|p| (1..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric())) {
        return Ok(());
    }
    Err(problem::bad_data("bad-collation", "the collation is no language tag").at(place).help("Write a tag such as und or de."))
}

/// The texts of a query by parameters.
pub(super) fn query_texts(call: &Call) -> Result<QueryTexts, Problem> {
    let own = |name: &str| call.param(name).map(|v| v.map(str::to_owned));
    let ids: Vec<String> = call.param("id")?.into_iter().flat_map(|t| t.split(',')).map(str::to_owned).collect();
    if ids.iter().any(|id| !Iri::is_valid(id)) {
        return Err(problem::bad_data("not-a-uri", "an id is no URI").at("id").help("Give one URI, or several separated by commas."));
    }
    let selector = SelectorTexts { ids, id_pattern: own("idPattern")?, types: own("type")? };
    Ok(QueryTexts {
        entities: if selector == SelectorTexts::default() { Vec::new() } else { vec![selector] },
        q: own("q")?,
        expand_values: own("expandValues")?,
        georel: own("georel")?,
        geometry: own("geometry")?,
        coordinates: own("coordinates")?,
        geoproperty: own("geoproperty")?,
        scope_q: own("scopeQ")?,
        attrs: own("attrs")?,
        pick: own("pick")?,
        omit: own("omit")?,
        dataset_id: own("datasetId")?,
        order_by: own("orderBy")?,
        order_from: own("orderFrom")?,
        order_geometry: own("orderGeometry")?,
        collation: own("collation")?,
    })
}

/// `GET /entities`.
pub(super) async fn query(call: Call) -> Result<Response, Problem> {
    let media = call.accept(true)?;
    call.params(QUERY_PARAMS)?;
    offered(&call)?;
    let own = |name: &str| call.param(name).map(|v| v.map(str::to_owned));
    let texts = query_texts(&call)?;
    let context = call.link_context().await?;
    let mut query = texts.build(&|t| context.expand(t).into_owned())?;
    let join = joined(&call)?;
    join.check(&query)?;
    paging(&mut query, own, call.flag("count")?)?;
    let any_type = texts.entities.iter().any(|s| s.types.as_deref() == Some("*"));
    if any_type && call.param("local")?.is_some() && !call.flag("local")? {
        return Err(problem::bad_data("wildcard-not-local", "type=* asks for what this hub holds, and local=false for more").at("local").help("Leave local out, or name types."));
    }
    let local = call.flag("local")? || any_type;
    if query.order.is_some() && !call.hub.orders() {
        return Err(problem::not_supported("not-offered", "this hub does not order results").at("orderBy").help("Order them yourself."));
    }
    if query.is_too_wide() && !local {
        return Err(problem::bad_data("query-too-wide", "the query names no type, no attribute and no area").at("query").help("Add type=, attrs=, q= or georel=; or local=true for all that this hub holds."));
    }
    let shape = shape(&call, media, context, &query)?;
    call.existing_tenant().await?;
    let asked = query.clone();
    let answer = call.hub.query(&call.scope, query, keep(&asked.projection)).await?;
    page(&call, &shape, &asked, &answer, &join, true).await
}

/// A page of Entities with its headers; `links` when the request can be repeated by its address.
pub(super) async fn page(call: &Call, shape: &Shape, query: &EntityQuery, answer: &Answer, join: &Join, links: bool) -> Result<Response, Problem> {
    let (body, joined) = if join.is_none() { (shape.many(&answer.docs), Vec::new()) } else { join::body(call, shape, join, &answer.docs, false).await? };
    let mut response = entity_headers(call, shape, answer, join, Response::bytes(200, shape.media.as_str(), body)).as_long_as(joined);
    if query.count {
        response = response.with(COUNT, answer.total.to_string());
    }
    Ok(if links { page_links(call, response, query, answer.total, shape.media) } else { response })
}

/// The same with Link headers to the pages before and after.
pub(super) fn page_links(call: &Call, mut response: Response, query: &EntityQuery, total: u64, media: Media) -> Response {
    if query.limit == 0 {
        return response;
    }
    // Relative, so that it holds behind any proxy; the parameters in order, so that a page has one address.
    let address = |offset: usize| {
        let mut pairs: Vec<(&str, String)> = call.request.query.iter().filter(|(n, _)| !matches!(*n, "offset" | "limit")).map(|(n, v)| (n, readable(v))).collect();
        pairs.extend([("limit", query.limit.to_string()), ("offset", offset.to_string())]);
        pairs.sort();
        let parts: Vec<String> = pairs.iter().map(|(n, v)| format!("{}={v}", encode_component(n))).collect();
        format!("{}?{}", call.request.path.trim_end_matches('/'), parts.join("&"))
    };
    let link = |rel: &str, offset: usize| format!("<{}>; rel=\"{rel}\"; type=\"{}\"", address(offset), media.as_str());
    if query.offset > 0 {
        response = response.with(header::LINK, link("prev", query.offset.saturating_sub(query.limit)));
    }
    if total > (query.offset + query.limit) as u64 {
        response = response.with(header::LINK, link("next", query.offset + query.limit));
    }
    response
}

/// A value as it may stand in a query: what RFC 3986 allows there stays as it is, but for what means something in a form.
fn readable(value: &str) -> String {
    let plain = [("%3A", ":"), ("%2F", "/"), ("%2A", "*"), ("%40", "@"), ("%2C", ","), ("%24", "$"), ("%28", "("), ("%29", ")"), ("%21", "!")];
    plain.iter().fold(encode_component(value), |text, (escape, c)| text.replace(escape, c))
}

fn entity_headers(call: &Call, shape: &Shape, answer: &Answer, join: &Join, mut response: Response) -> Response {
    if shape.wants_link() {
        response = call.with_link(response, &shape.context);
    }
    if call.preferred_version() == Some("1.9") {
        response = response.with(HeaderName::from_static("preference-applied"), "ngsi-ld=1.9");
    }
    if let Some(manifest) = &answer.manifest {
        response = response.with(header::LINK, format!("<{manifest}>; rel=\"https://w3id.org/waybill/ns#manifest\""));
    }
    response = response.as_long_as(answer.as_long_as.clone());
    // What is joined may be personal where the linking entity is not.
    if answer.personal || !join.is_none() { response.personal() } else { response }
}

/// `GET /entities/{id}`.
pub(super) async fn retrieve(call: Call) -> Result<Response, Problem> {
    let media = call.accept(true)?;
    call.params(RETRIEVE_PARAMS)?;
    let id = call.id()?;
    let own = |name: &str| call.param(name).map(|v| v.map(str::to_owned));
    let texts = QueryTexts { attrs: own("attrs")?, pick: own("pick")?, omit: own("omit")?, dataset_id: own("datasetId")?, ..QueryTexts::default() };
    let context = call.link_context().await?;
    let query = texts.build(&|t| context.expand(t).into_owned())?;
    let join = joined(&call)?;
    join.check(&query)?;
    let types = call.types(&context)?;
    let shape = shape(&call, media, context, &query)?;
    call.existing_tenant().await?;
    let answer = call.hub.retrieve(&call.scope, &id, keep(&query.projection)).await?;
    let found = answer.docs.first().filter(|doc| types.as_ref().is_none_or(|t| t.matches(doc)) && query.projection.wants(doc));
    let doc = found.ok_or_else(problem::no_entity)?;
    let (body, joined) = if join.is_none() { (shape.one(doc), Vec::new()) } else { join::body(&call, &shape, &join, std::slice::from_ref(doc), true).await? };
    let response = Response::bytes(200, media.as_str(), body).as_long_as(joined);
    Ok(entity_headers(&call, &shape, &answer, &join, response))
}

/// The Entity, when it has the types that the caller named.
pub(super) fn of_types<'a>(current: Option<&'a EntityDoc>, types: Option<&TypeSelection>) -> Result<&'a EntityDoc, Problem> {
    current.filter(|doc| types.is_none_or(|t| t.matches(doc))).ok_or_else(problem::no_entity)
}

/// `DELETE /entities/{id}`.
pub(super) async fn delete(call: Call) -> Result<Response, Problem> {
    call.params(&["type", "local"])?;
    let id = call.id()?;
    let context = call.link_context().await?;
    let types = call.types(&context)?;
    call.existing_tenant().await?;
    call.hub.modify(&call.scope, &id, deletion(types)).await?;
    Ok(Response::empty(204))
}

/// The change that takes an Entity away.
pub(super) fn deletion(types: Option<TypeSelection>) -> ChangeFn {
    Box::new(move |current| {
        of_types(current, types.as_ref())?;
        Ok(Step { action: Action::Delete, report: Report { existed: true, result: UpdateResult::default() } })
    })
}

/// PUT and PATCH of `/entities`: behind the slash an id is missing; without it the resource has no such method.
pub(super) async fn without_id(call: Call) -> Result<Response, Problem> {
    if call.request.path.ends_with('/') {
        return Err(problem::bad_data("not-a-uri", "the path has no id").at("path").help("Name the entity: /ngsi-ld/v1/entities/{id}."));
    }
    let problem = Problem::new(waybill_model::ProblemCode("method-not-allowed"), 405, "This method is not offered here", "this resource answers DELETE, GET and POST");
    Ok(problem::answer(&problem).with(header::ALLOW, "DELETE, GET, HEAD, OPTIONS, POST"))
}

/// `PUT /entities/{id}`.
pub(super) async fn replace(call: Call) -> Result<Response, Problem> {
    call.params(&["type", "local", "options", "format"])?;
    let id = call.id()?;
    let document = call.document()?;
    let (format, _) = representation(call.param("format")?, call.param("options")?, &[])?;
    let part = document.root();
    let context = call.body_context(part).await?;
    let types = call.types(&context)?;
    let options = if format == Some(Format::Simplified) { call.options().simplified() } else { call.options() };
    let entity = part.entity(&context, &options)?;
    if entity.id() != id.as_str() {
        return Err(problem::bad_data("id-mismatch", "the `id` in the body is not the one in the path").at("/id").help("Make both the same."));
    }
    call.existing_tenant().await?;
    let now = call.now();
    let change: ChangeFn = Box::new(move |current| {
        let current = of_types(current, types.as_ref())?;
        Ok(step(write::replace_entity(current, &entity, now)))
    });
    call.hub.modify(&call.scope, &id, change).await?;
    Ok(Response::empty(204))
}

/// What an outcome asks of the engine: an Entity that did not change is not written.
pub(super) fn step(outcome: write::Outcome) -> Step {
    let action = if outcome.changed { Action::Put(outcome.doc) } else { Action::Keep };
    Step { action, report: Report { existed: true, result: outcome.result } }
}

/// `PATCH /entities/{id}`.
pub(super) async fn merge(call: Call) -> Result<Response, Problem> {
    call.params(&["type", "local", "options", "format", "observedAt", "lang"])?;
    let id = call.id()?;
    let document = call.document()?;
    let (format, _) = representation(call.param("format")?, call.param("options")?, &[])?;
    let observed_at = call.param("observedAt")?.map(DateTime::parse).transpose().map_err(|e| problem::bad_data("bad-datetime", e.to_string()).at("observedAt").help("Write UTC as in 2026-11-24T07:00:00Z."))?;
    let part = document.root();
    let context = call.body_context(part).await?;
    let types = call.types(&context)?;
    let (options, now) = (call.options().nulls(Nulls::Deep), call.now());
    let op = Op::Merge(MergeOptions { observed_at });
    let change: ChangeFn = if format == Some(Format::Simplified) {
        let (body, lang) = (call.request.body.clone(), call.param("lang")?.map(str::to_owned));
        Box::new(move |current| {
            let current = of_types(current, types.as_ref())?;
            let fragment = simplified_fragment(&body, &context, current, lang.as_deref(), &options)?;
            Ok(step(write::apply(&op, current, &fragment, now)?))
        })
    } else {
        let fragment = part.fragment(&context, &options)?;
        Box::new(move |current| Ok(step(write::apply(&op, of_types(current, types.as_ref())?, &fragment, now)?)))
    };
    call.existing_tenant().await?;
    let report = call.hub.modify(&call.scope, &id, change).await?;
    Ok(fragment_answer(&report.result))
}
