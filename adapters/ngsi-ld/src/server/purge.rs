//! `DELETE /entities`: purge (clause 5.6.21): every Entity that a query finds, or some of its Attributes.

use super::call::Call;
use super::entities::{query_texts, step};
use super::hub::{Action, ChangeFn, Report, Step};
use crate::problem;
use crate::write::{self, UpdateResult};
use serde_json::json;
use std::sync::Arc;
use waybill_http::Response;
use waybill_model::{Iri, Problem};
use waybill_query::{EntityQuery, MAX_LIMIT, Projection};

const PARAMS: &[&str] = &[
    "id", "type", "idPattern", "attrs", "q", "csf", "georel", "geometry", "coordinates", "geoproperty", "scopeQ", "datasetId", "expandValues", "jsonKeys", "keep", "drop", "local", "options",
];

/// `DELETE /entities`.
pub(super) async fn purge(call: Call) -> Result<Response, Problem> {
    call.params(PARAMS)?;
    let context = call.link_context().await?;
    let x = |t: &str| context.expand(t).into_owned();
    let query = query_texts(&call)?.build(&x)?;
    if query.q.as_ref().is_some_and(waybill_query::Q::follows_links) {
        return Err(problem::bad_data("linked-without-join", "a purge does not follow Relationships").at("q").help("Purge by the entities' own attributes."));
    }
    if query.is_too_wide() && !call.flag("local")? {
        return Err(problem::bad_data("query-too-wide", "the purge names no type, no attribute and no area").at("query").help("Add type=, attrs=, q= or georel=; or local=true for all that this hub holds."));
    }
    let names = |name: &str| -> Result<Option<Vec<String>>, Problem> {
        let list = call.param(name)?.map(|text| Projection::parse(None, None, Some(text), &x)).transpose();
        Ok(list.map_err(|e| Problem::from(e).at(name))?.and_then(|p| p.attrs))
    };
    let (keep, drop) = (names("keep")?, names("drop")?);
    if keep.is_some() && drop.is_some() {
        return Err(problem::bad_data("keep-and-drop", "`keep` and `drop` do not go together").at("keep").help("Use one of them."));
    }
    call.existing_tenant().await?;
    let ids = found(&call, query).await?;
    let now = call.now();
    let change = |id: Iri| -> (Iri, ChangeFn) {
        let (keep, drop) = (keep.clone(), drop.clone());
        let change: ChangeFn = Box::new(move |current| {
            let report = Report { existed: current.is_some(), result: UpdateResult::default() };
            let Some(current) = current else { return Ok(Step { action: Action::Keep, report }) };
            match (&keep, &drop) {
                (None, None) => Ok(Step { action: Action::Delete, report }),
                (Some(keep), _) => Ok(step(write::remove_attributes(current, |name| !keep.iter().any(|k| k == name), now))),
                (_, Some(drop)) => Ok(step(write::remove_attributes(current, |name| drop.iter().any(|d| d == name), now))),
            }
        });
        (id, change)
    };
    let mut errors = Vec::new();
    let mut success = Vec::new();
    for part in ids.chunks(MAX_LIMIT) {
        let outcomes = call.hub.modify_many(&call.scope, part.iter().cloned().map(change).collect()).await;
        for (id, outcome) in part.iter().zip(outcomes) {
            match outcome {
                Ok(_) => success.push(id.clone()),
                Err(problem) => errors.push(json!({"entityId": id, "error": problem})),
            }
        }
    }
    Ok(if errors.is_empty() { Response::empty(204) } else { Response::json(207, &json!({"success": success, "errors": errors})) })
}

/// The identifiers of all that the caller sees and `query` finds.
async fn found(call: &Call, mut query: EntityQuery) -> Result<Vec<Iri>, Problem> {
    query.limit = MAX_LIMIT;
    let mut ids = Vec::new();
    loop {
        let answer = call.hub.query(&call.scope, query.clone(), Arc::new(|_| false)).await?;
        ids.extend(answer.docs.iter().filter_map(|doc| doc.id_iri().ok()));
        if answer.docs.len() < MAX_LIMIT {
            return Ok(ids);
        }
        query.offset += MAX_LIMIT;
    }
}
