//! Who data is about: list, bind, unbind; and erasing a person.

use crate::Portal;
use crate::caller::{Who, coded, iri_param, iri_query, key_param, listed, nothing, paging, tenant};
use waybill_http::strict;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use waybill_consent::{Binding, Guardianship, Rule, Target, Validity};
use waybill_http::{Request, Response, header, problems};
use waybill_model::{DateTime, Iri, Problem};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BindBody {
    target: Target,
    subject: Iri,
    #[serde(default)]
    validity: Validity,
    #[serde(default)]
    evidence: String,
    #[serde(default)]
    rule: Option<Rule>,
}

pub(crate) async fn list(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&["subject", "limit", "after"])?;
    let (who, tenant, paging) = (Who::of(&request)?, tenant(&request)?, paging(&request)?);
    let subject = who.narrow(iri_query(&request, "subject")?)?;
    let mut listing = portal.admin.bindings(&tenant, subject.as_ref(), &paging).await?;
    for bound in &mut listing.items {
        bound.id = coded(&bound.id);
    }
    Ok(listed(listing))
}

pub(crate) async fn bind(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    let (operator, tenant) = (Who::operator(&request)?, tenant(&request)?);
    let body: BindBody = strict::read(&request)?;
    if let Target::Pattern(pattern) = &body.target {
        // A pattern of stars alone would make everything hers.
        if pattern.trim_matches('*').is_empty() {
            return Err(problems::bad_request("a pattern needs something beside `*`").at("/target/pattern"));
        }
    }
    if body.validity.from.zip(body.validity.until).is_some_and(|(from, until)| from >= until) {
        return Err(problems::bad_request("the end must come after the beginning").at("/validity"));
    }
    let binding = Binding {
        target: body.target,
        subject: body.subject,
        validity: body.validity,
        asserted_by: operator,
        evidence: body.evidence,
        rule: body.rule.unwrap_or(Rule::All),
    };
    let id = coded(&portal.admin.bind(&tenant, binding).await?);
    let place = format!("{}/waybill/v1/bindings/{id}", request.base_url);
    Ok(Response::json(201, &json!({ "id": id })).with(header::LOCATION, place).personal())
}

pub(crate) async fn unbind(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    Who::operator(&request)?;
    let (tenant, key) = (tenant(&request)?, key_param(&request)?);
    if portal.admin.unbind(&tenant, &key).await? { Ok(Response::empty(204)) } else { Err(nothing()) }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AppointBody {
    ward: Iri,
    guardian: Iri,
    #[serde(default)]
    from: Option<DateTime>,
    until: DateTime,
    #[serde(default)]
    evidence: String,
}

pub(crate) async fn appoint(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    let (operator, tenant) = (Who::operator(&request)?, tenant(&request)?);
    let body: AppointBody = strict::read(&request)?;
    let from = body.from.unwrap_or_else(|| portal.clock.now());
    if from >= body.until {
        return Err(problems::bad_request("the end must come after the beginning").at("/until"));
    }
    if body.ward == body.guardian {
        return Err(problems::bad_request("nobody is a guardian of oneself").at("/guardian"));
    }
    let guardianship =
        Guardianship { ward: body.ward, guardian: body.guardian, from, until: body.until, asserted_by: operator, evidence: body.evidence };
    portal.admin.appoint(&tenant, guardianship).await?;
    Ok(Response::empty(204))
}

pub(crate) async fn erase(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    // Her key in the journal is destroyed, whatever tenant a record is of.
    Who::whole_hub(&request)?;
    let (tenant, subject) = (tenant(&request)?, iri_param(&request, "subject")?);
    Ok(Response::json(200, &portal.admin.erase(&tenant, &subject).await?).personal())
}
