//! `/entityOperations/…` (clauses 6.14 to 6.17, 6.23, 6.31): each item by itself, in order.

use super::call::{Call, keep};
use super::entities::{creation, deletion, location, made, page, step};
use super::hub::{ChangeFn, Report};
use super::join::Join;
use crate::decode::{paging, query_body};
use crate::encode::{Shape, representation};
use crate::problem;
use crate::write::{self, MergeOptions, Op};
use serde_json::{Value, json};
use std::sync::Arc;
use waybill_context::{Context, Languages, Nulls, Part, default_geometry};
use waybill_http::{Response, header};
use waybill_model::{EntityDoc, Iri, Problem};

/// The most items of one batch.
const MAX_ITEMS: usize = 10_000;

/// An item that was read, or why it could not be.
struct Item {
    id: Option<String>,
    read: Result<(Iri, ChangeFn), Problem>,
}

/// The items of a body, each read by `read` under the @context that counts for it.
async fn items(call: &Call, read: impl Fn(&Call, Part<'_, '_>, Arc<Context>) -> Result<(Iri, ChangeFn), Problem>) -> Result<Vec<Item>, Problem> {
    let document = call.document()?;
    let parts: Vec<Part<'_, '_>> = document.root().items().ok_or_else(|| not_a_batch("the body is no array"))?.collect();
    if parts.is_empty() {
        return Err(not_a_batch("the array is empty"));
    }
    if parts.len() > MAX_ITEMS {
        return Err(problem::bad_data("batch-too-large", format!("a batch has at most {MAX_ITEMS} items")).help("Send several batches."));
    }
    if let Some(i) = parts.iter().position(|p| !p.is_object()) {
        return Err(not_a_batch("an item is no object").at(format!("/{i}")));
    }
    // What the headers say wrong, they say for the whole; what an item lacks is the item's affair.
    if crate::negotiate::context_link(&call.request.headers)?.is_some() && call.is_ld() {
        return Err(crate::server::call::context_twice());
    }
    let mut out = Vec::with_capacity(parts.len());
    for part in parts {
        let id = part.get("id").or_else(|| part.get("@id")).and_then(Part::text).map(std::borrow::Cow::into_owned);
        let read = match call.body_context(part).await {
            Ok(context) => read(call, part, context),
            Err(problem) => Err(problem),
        };
        out.push(Item { id, read });
    }
    Ok(out)
}

fn not_a_batch(what: &str) -> Problem {
    problem::bad_data("not-a-batch", what).at("").help("Send an array with at least one item.")
}

/// What came of each item, in order.
async fn run(call: &Call, items: Vec<Item>) -> Vec<(Option<String>, Result<Report, Problem>)> {
    let (mut good, mut out) = (Vec::new(), Vec::with_capacity(items.len()));
    for item in items {
        match item.read {
            Ok(change) => {
                out.push((item.id, None));
                good.push(change);
            }
            Err(problem) => out.push((item.id, Some(Err(problem)))),
        }
    }
    let mut done = call.hub.modify_many(&call.scope, good).await.into_iter();
    let lost = || Err(Problem::new(waybill_model::ProblemCode("internal-error"), 500, "A fault in the hub", "an item of the batch has no outcome"));
    out.into_iter().map(|(id, bad)| (id, bad.unwrap_or_else(|| done.next().unwrap_or_else(lost)))).collect()
}

/// 207 when something failed, with what succeeded and what did not (clause 5.2.16).
fn result(outcomes: &[(Option<String>, Result<Report, Problem>)]) -> Option<Response> {
    let refused = |r: &Report| r.result.not_updated.first().map(|(name, why)| problem::bad_data("attribute-not-updated", format!("`{name}` was not updated: {why}")));
    let mut success: Vec<&str> = Vec::new();
    let mut errors: Vec<Value> = Vec::new();
    for (id, outcome) in outcomes {
        let failed = match outcome {
            Ok(report) => refused(report),
            Err(problem) => Some(problem.clone()),
        };
        match failed {
            None => success.extend(id.as_deref()),
            Some(p) => errors.push(json!({"entityId": id, "error": p})),
        }
    }
    (!errors.is_empty()).then(|| Response::json(207, &json!({"success": success, "errors": errors})))
}

fn entity(call: &Call, part: Part<'_, '_>, context: &Context) -> Result<(Iri, EntityDoc), Problem> {
    let doc = part.entity(context, &call.options())?;
    let id = doc.id_iri().map_err(|e| problem::bad_data("not-a-uri", e.to_string()).at("/id"))?;
    Ok((id, doc))
}

/// `POST /entityOperations/create`.
pub(super) async fn create(call: Call) -> Result<Response, Problem> {
    call.params(&["local", "options"])?;
    let items = items(&call, |call, part, context| entity(call, part, &context).map(|(id, doc)| (id, creation(doc)))).await?;
    let outcomes = run(&call, items).await;
    Ok(result(&outcomes).unwrap_or_else(|| created(&outcomes)))
}

fn created(outcomes: &[(Option<String>, Result<Report, Problem>)]) -> Response {
    let ids: Vec<&str> = outcomes.iter().filter(|(_, r)| r.as_ref().is_ok_and(|r| !r.existed)).filter_map(|(id, _)| id.as_deref()).collect();
    let response = Response::json(201, &ids);
    match ids.as_slice() {
        [one] => match Iri::new(one) {
            Ok(id) => response.with(header::LOCATION, location("entities", &id)),
            Err(_) => response,
        },
        _ => response,
    }
}

/// `POST /entityOperations/upsert`.
pub(super) async fn upsert(call: Call) -> Result<Response, Problem> {
    call.params(&["local", "options"])?;
    let update = match call.param("options")? {
        None | Some("" | "replace") => false,
        Some("update") => true,
        Some(_) => return Err(problem::invalid_request("bad-parameter", "options is `replace` or `update`").at("options").help("Leave it out to replace.")),
    };
    let now = call.now();
    let items = items(&call, move |call, part, context| {
        let (id, doc) = entity(call, part, &context)?;
        let fragment = if update { Some(part.fragment(&context, &call.options())?) } else { None };
        let change: ChangeFn = Box::new(move |current| match (current, &fragment) {
            (None, _) => Ok(made(&doc)),
            (Some(current), None) => Ok(step(write::replace_entity(current, &doc, now))),
            (Some(current), Some(fragment)) => Ok(step(write::apply(&Op::Append { no_overwrite: false }, current, fragment, now)?)),
        });
        Ok((id, change))
    })
    .await?;
    let outcomes = run(&call, items).await;
    let any_new = outcomes.iter().any(|(_, r)| r.as_ref().is_ok_and(|r| !r.existed));
    Ok(result(&outcomes).unwrap_or_else(|| if any_new { created(&outcomes) } else { Response::empty(204) }))
}

/// Items that are fragments of Entities that exist.
async fn fragments(call: &Call, op: Op, nulls: Nulls) -> Result<Response, Problem> {
    let now = call.now();
    let items = items(call, move |call, part, context| {
        let fragment = part.fragment(&context, &call.options().nulls(nulls))?;
        let id = fragment.id.clone().ok_or_else(|| problem::bad_data("not-a-uri", "an item has no `id`").at("/id").help("Give each item the id of its entity."))?;
        let op = op.clone();
        let change: ChangeFn = Box::new(move |current| Ok(step(write::apply(&op, current.ok_or_else(problem::no_entity)?, &fragment, now)?)));
        Ok((id, change))
    })
    .await?;
    let outcomes = run(call, items).await;
    Ok(result(&outcomes).unwrap_or_else(|| Response::empty(204)))
}

/// `POST /entityOperations/update`.
pub(super) async fn update(call: Call) -> Result<Response, Problem> {
    call.params(&["local", "options"])?;
    let no_overwrite = match call.param("options")? {
        None | Some("" | "replace" | "update") => false,
        Some("noOverwrite") => true,
        Some(_) => return Err(problem::invalid_request("bad-parameter", "options is `noOverwrite`").at("options").help("Leave it out to overwrite.")),
    };
    fragments(&call, Op::Append { no_overwrite }, Nulls::Members).await
}

/// `POST /entityOperations/merge`.
pub(super) async fn merge(call: Call) -> Result<Response, Problem> {
    call.params(&["local", "options"])?;
    fragments(&call, Op::Merge(MergeOptions::default()), Nulls::Deep).await
}

/// `POST /entityOperations/delete`.
pub(super) async fn delete(call: Call) -> Result<Response, Problem> {
    call.params(&["local"])?;
    let document = call.document()?;
    let parts: Vec<Part<'_, '_>> = document.root().items().ok_or_else(|| not_a_batch("the body is no array"))?.collect();
    if parts.is_empty() {
        return Err(not_a_batch("the array is empty"));
    }
    let mut items = Vec::with_capacity(parts.len());
    for (i, part) in parts.into_iter().enumerate() {
        let text = part.text().ok_or_else(|| not_a_batch("an item is no identifier").at(format!("/{i}")))?.into_owned();
        let read = Iri::new(&text).map(|id| (id, deletion(None))).map_err(|_| problem::bad_data("not-a-uri", "an item is no URI").at(format!("/{i}")).help("Use absolute URIs."));
        items.push(Item { id: Some(text), read });
    }
    let outcomes = run(&call, items).await;
    Ok(result(&outcomes).unwrap_or_else(|| Response::empty(204)))
}

/// `POST /entityOperations/query`.
pub(super) async fn query(call: Call) -> Result<Response, Problem> {
    let media = call.accept(true)?;
    call.params(&["limit", "offset", "count", "options", "format", "local"])?;
    let document = call.document()?;
    let part = document.root();
    let context = call.body_context(part).await?;
    // INVARIANT: the document was read as JSON; a number beyond f64 reads as null and is then refused where a number must be.
    let body: Value = serde_json::from_str(part.raw()).unwrap_or(Value::Null);
    let texts = query_body(&body)?;
    let mut query = texts.build(&|t| context.expand(t).into_owned())?;
    let text = |name: &str| body.get(name).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
    let join = Join::read(text("join").as_deref(), text("joinLevel").as_deref(), text("containedBy").as_deref())?;
    join.check(&query)?;
    paging(&mut query, |name| call.param(name).map(|v| v.map(str::to_owned)), call.flag("count")?)?;
    let local = call.flag("local")? || texts.entities.iter().any(|s| s.types.as_deref() == Some("*"));
    if query.order.is_some() && !call.hub.orders() {
        return Err(problem::not_supported("not-offered", "this hub does not order results").at("/ordering").help("Order them yourself."));
    }
    if query.is_too_wide() && !local {
        return Err(problem::bad_data("query-too-wide", "the query names no type, no attribute and no area").at("/entities").help("Add a type, attrs, q or geoQ."));
    }
    let (format, sys_attrs) = representation(call.param("format")?, call.param("options")?, &[])?;
    let shape = Shape {
        format: format.unwrap_or_default(),
        sys_attrs,
        media,
        expires_at: sys_attrs,
        languages: body.get("lang").and_then(Value::as_str).map(Languages::parse),
        projection: query.projection.clone(),
        datasets: query.datasets.clone(),
        geometry: default_geometry(),
        bare_geo: false,
        context,
    };
    call.existing_tenant().await?;
    let asked = query.clone();
    let answer = call.hub.query(&call.scope, query, keep(&asked.projection)).await?;
    page(&call, &shape, &asked, &answer, &join, false).await
}
