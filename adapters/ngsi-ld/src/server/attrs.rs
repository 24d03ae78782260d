//! `/entities/{id}/attrs` and `/entities/{id}/attrs/{attr}` (clauses 6.6 and 6.7).

use super::call::Call;
use super::entities::{of_types, step};
use super::fragment_answer;
use super::hub::ChangeFn;
use crate::encode::representation;
use crate::problem;
use crate::write::{self, Op, Which};
use waybill_context::Nulls;
use waybill_http::Response;
use waybill_model::{Iri, Problem};

/// `POST /entities/{id}/attrs`.
pub(super) async fn append(call: Call) -> Result<Response, Problem> {
    let options = call.param("options")?.unwrap_or_default();
    let no_overwrite = options.split(',').any(|o| o == "noOverwrite");
    change_many(&call, &["options", "type", "local", "format"], Op::Append { no_overwrite }, Nulls::Refused).await
}

/// `PATCH /entities/{id}/attrs`.
pub(super) async fn update(call: Call) -> Result<Response, Problem> {
    change_many(&call, &["options", "type", "local", "format"], Op::Update, Nulls::Members).await
}

async fn change_many(call: &Call, params: &[&str], op: Op, nulls: Nulls) -> Result<Response, Problem> {
    call.params(params)?;
    let id = call.id()?;
    let document = call.document()?;
    representation(call.param("format")?, call.param("options")?, &["noOverwrite"])?;
    let part = document.root();
    let context = call.body_context(part).await?;
    let types = call.types(&context)?;
    let fragment = part.fragment(&context, &call.options().nulls(nulls))?;
    let now = call.now();
    call.existing_tenant().await?;
    let change: ChangeFn = Box::new(move |current| Ok(step(write::apply(&op, of_types(current, types.as_ref())?, &fragment, now)?)));
    let report = call.hub.modify(&call.scope, &id, change).await?;
    Ok(fragment_answer(&report.result))
}

/// `PATCH /entities/{id}/attrs/{attr}`.
pub(super) async fn partial(call: Call) -> Result<Response, Problem> {
    change_one(&call, Nulls::Members, write::partial_update).await
}

/// `PUT /entities/{id}/attrs/{attr}`.
pub(super) async fn replace(call: Call) -> Result<Response, Problem> {
    change_one(&call, Nulls::Refused, write::replace_attribute).await
}

type One = fn(&waybill_model::EntityDoc, &str, &waybill_context::Change, waybill_model::DateTime) -> Result<write::Outcome, Problem>;

async fn change_one(call: &Call, nulls: Nulls, one: One) -> Result<Response, Problem> {
    call.params(&["type", "local", "options"])?;
    let id = call.id()?;
    let document = call.document()?;
    let part = document.root();
    let context = call.body_context(part).await?;
    let types = call.types(&context)?;
    let name = call.name("attr", &context)?;
    if call.request.param("attr") == "scope" || Iri::new(&name).is_err() {
        return Err(problem::bad_data("not-an-attribute", "the name in the path is no attribute's").at("path").help("Change scopes and types through /attrs."));
    }
    if !part.is_object() && part.items().is_none() {
        return Err(problem::bad_data("wrong-json-type", "an attribute is an object").at("").help("Send the members that change, such as {\"value\": 1}."));
    }
    let change = part.attribute(&context, &call.options().nulls(nulls))?;
    let now = call.now();
    call.existing_tenant().await?;
    let run: ChangeFn = Box::new(move |current| Ok(step(one(of_types(current, types.as_ref())?, &name, &change, now)?)));
    call.hub.modify(&call.scope, &id, run).await?;
    Ok(Response::empty(204))
}

/// `DELETE /entities/{id}/attrs/{attr}`.
pub(super) async fn delete(call: Call) -> Result<Response, Problem> {
    call.params(&["type", "local", "deleteAll", "datasetId"])?;
    let id = call.id()?;
    let all = call.flag("deleteAll")?;
    let dataset = call.param("datasetId")?.filter(|d| *d != "@none").map(str::to_owned);
    if dataset.as_deref().is_some_and(|d| !Iri::is_valid(d)) {
        return Err(problem::bad_data("not-a-uri", "the datasetId is no URI").at("datasetId").help("Give a URI, or @none for the default instance."));
    }
    let which = match (all, dataset) {
        (true, Some(_)) => return Err(problem::invalid_request("bad-parameters", "deleteAll and datasetId do not go together").at("deleteAll").help("Use one of them.")),
        (true, None) => Which::All,
        (false, Some(id)) => Which::Dataset(id),
        (false, None) => Which::Default,
    };
    let context = call.link_context().await?;
    let types = call.types(&context)?;
    let name = if call.request.param("attr") == "scope" { "scope".to_owned() } else { call.name("attr", &context)? };
    let now = call.now();
    call.existing_tenant().await?;
    let run: ChangeFn = Box::new(move |current| Ok(step(write::delete_attribute(of_types(current, types.as_ref())?, &name, &which, now)?)));
    call.hub.modify(&call.scope, &id, run).await?;
    Ok(Response::empty(204))
}
