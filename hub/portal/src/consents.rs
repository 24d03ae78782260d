//! Consents: list, show, grant, withdraw, suspend, resume, import, export.

use crate::Portal;
use crate::caller::{Who, iri_param, iri_query, listed, nothing, paging, tenant};
use crate::grant::{ImportBody, read_end, read_grant};
use waybill_http::strict;
use crate::view::{Changed, ConsentDetail};
use serde_json::json;
use std::sync::Arc;
use waybill_consent::Change;
use waybill_http::{Request, Response, encode_component, header, problems};
use waybill_model::{Iri, Problem, TenantId};

pub(crate) async fn list(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&["subject", "limit", "after"])?;
    let (who, tenant, paging) = (Who::of(&request)?, tenant(&request)?, paging(&request)?);
    let subject = who.narrow(iri_query(&request, "subject")?)?;
    Ok(listed(portal.admin.consents(&tenant, subject.as_ref(), &paging).await?))
}

/// The consent `id` when it is there and `who` may see it; else the one answer for all that is not.
async fn seen(portal: &Portal, who: &Who, tenant: &TenantId, id: &Iri) -> Result<ConsentDetail, Problem> {
    let consent = portal.admin.consent(tenant, id).await?;
    // What is missing is judged like what is another's, so that the work does not tell them apart either.
    let subject = consent.as_ref().map_or(id, |c| &c.subject);
    let may = may_act(portal, who, tenant, subject).await?;
    consent.filter(|_| may).ok_or_else(nothing)
}

/// Whether `who` is the operator, the person herself, or somebody who acts for her now.
async fn may_act(portal: &Portal, who: &Who, tenant: &TenantId, subject: &Iri) -> Result<bool, Problem> {
    match who {
        Who::Person(person) if !who.may_see(subject) => portal.admin.acts_for(tenant, person, subject).await,
        _ => Ok(true),
    }
}

pub(crate) async fn show(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    let (who, tenant, id) = (Who::of(&request)?, tenant(&request)?, iri_param(&request, "id")?);
    Ok(Response::json(200, &seen(&portal, &who, &tenant, &id).await?).personal())
}

pub(crate) async fn export(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    let (who, tenant, id) = (Who::of(&request)?, tenant(&request)?, iri_param(&request, "id")?);
    let consent = seen(&portal, &who, &tenant, &id).await?;
    let body = json!({ "records": consent.versions, "events": consent.events });
    Ok(Response::json(200, &body).with(header::CONTENT_DISPOSITION, "attachment; filename=\"consent.json\"").personal())
}

pub(crate) async fn grant(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    let (who, tenant) = (Who::of(&request)?, tenant(&request)?);
    let body = read_grant(&request)?;
    let id = body.id()?;
    let known = portal.admin.consent(&tenant, &id).await?;
    // Another's record is as good as none for a person; and none of hers can have its name.
    if let Some(known) = &known
        && !may_act(&portal, &who, &tenant, &known.subject).await?
    {
        return Err(nothing());
    }
    let grant = body.grant(&who, id, known.as_ref(), &request.base_url, portal.clock.now())?;
    let moved = known.as_ref().is_some_and(|k| k.subject != grant.subject);
    if moved || !may_act(&portal, &who, &tenant, &grant.subject).await? {
        return Err(problems::forbidden("a consent is given by the person it is about, or by who acts for her"));
    }
    let changed = if grant.record.is_none() && grant.events.is_empty() {
        // She said the same again.
        Changed { id: grant.id.clone(), state: known.map(|k| k.state), opened: Vec::new(), closed: Vec::new() }
    } else {
        let status = if known.is_some() { 200 } else { 201 };
        let changed = portal.admin.change_consent(&tenant, &grant.id, grant.record, grant.events).await?;
        let place = format!("{}/waybill/v1/consents/{}", request.base_url, encode_component(changed.id.as_str()));
        return Ok(Response::json(status, &changed).with(header::LOCATION, place).personal());
    };
    Ok(Response::json(200, &changed).personal())
}

pub(crate) async fn withdraw(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    end(&portal, &request, Change::Withdrawn).await
}
pub(crate) async fn suspend(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    end(&portal, &request, Change::Suspended).await
}
pub(crate) async fn resume(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    end(&portal, &request, Change::Resumed).await
}

async fn end(portal: &Portal, request: &Request, state: Change) -> Result<Response, Problem> {
    request.query.only(&[])?;
    let (who, tenant, id) = (Who::of(request)?, tenant(request)?, iri_param(request, "id")?);
    let body = read_end(request)?;
    let consent = seen(portal, &who, &tenant, &id).await?;
    let event = body.event(state, &who, &consent, &request.body, portal.clock.now())?;
    let changed = portal.admin.change_consent(&tenant, &id, None, vec![event]).await?;
    Ok(Response::json(200, &changed).personal())
}

/// One version after the other, each with its events: what was taken stays when a later one is refused, and taking it again adds nothing.
pub(crate) async fn import(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    let (operator, tenant) = (Who::operator(&request)?, tenant(&request)?);
    let body: ImportBody = strict::read(&request)?;
    let (records, mut events) = body.history(&operator, portal.clock.now())?;
    let mut changed = None;
    let (mut opened, mut closed) = (Vec::new(), Vec::new());
    let last = records.last().map(|r| r.version);
    for record in records {
        let id = record.id.clone();
        // What is said of versions that are not part of the import goes with the last.
        let own = if Some(record.version) == last {
            std::mem::take(&mut events)
        } else {
            let (own, rest) = events.into_iter().partition(|e| e.version == record.version);
            events = rest;
            own
        };
        let one = portal.admin.change_consent(&tenant, &id, Some(record), own).await?;
        opened.extend(one.opened.iter().cloned());
        closed.extend(one.closed.iter().cloned());
        changed = Some(one);
    }
    let changed = changed.ok_or_else(|| problems::bad_request("an import has at least one version").at("/records"))?;
    closed.retain(|hash| !opened.contains(hash) || changed.closed.contains(hash));
    Ok(Response::json(200, &Changed { opened, closed, ..changed }).personal())
}
