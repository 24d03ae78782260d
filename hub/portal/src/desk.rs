//! The operator's desk: holders, withdrawals, quarantine, dead letters, heartbeats, connections.

use crate::Portal;
use crate::caller::{Who, coded, iri_param, iri_query, key_param, listed, nothing, paging, tenant};
use crate::admin::Listing;
use std::sync::Arc;
use waybill_http::{Request, Response};
use waybill_model::Problem;

pub(crate) async fn holders(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&["subject", "limit", "after"])?;
    let (who, tenant, paging) = (Who::of(&request)?, tenant(&request)?, paging(&request)?);
    let subject = who.narrow(iri_query(&request, "subject")?)?;
    let mut listing = portal.admin.holders(&tenant, subject.as_ref(), &paging).await?;
    for holder in &mut listing.items {
        holder.id = coded(&holder.id);
    }
    Ok(listed(listing))
}

pub(crate) async fn withdrawals(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&["subject", "limit", "after"])?;
    let (who, tenant, paging) = (Who::of(&request)?, tenant(&request)?, paging(&request)?);
    let subject = who.narrow(iri_query(&request, "subject")?)?;
    Ok(listed(portal.admin.withdrawals(&tenant, subject.as_ref(), &paging).await?))
}

pub(crate) async fn withdrawal(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    let (who, tenant, id) = (Who::of(&request)?, tenant(&request)?, iri_param(&request, "id")?);
    let found = portal.admin.withdrawal(&tenant, &id).await?;
    // One that names nobody came from another hub: it is the operator's affair.
    let hers = found.filter(|w| match &w.subject {
        Some(subject) => who.may_see(subject),
        None => matches!(who, Who::Operator(_)),
    });
    Ok(Response::json(200, &hers.ok_or_else(nothing)?).personal())
}

pub(crate) async fn quarantine(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&["limit", "after"])?;
    Who::operator(&request)?;
    let mut listing = portal.admin.quarantine(&tenant(&request)?, &paging(&request)?).await?;
    for item in &mut listing.items {
        item.id = coded(&item.id);
    }
    Ok(listed(listing))
}

pub(crate) async fn quarantined(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    Who::operator(&request)?;
    let mut item = portal.admin.quarantined(&tenant(&request)?, &key_param(&request)?).await?.ok_or_else(nothing)?;
    item.id = coded(&item.id);
    Ok(Response::json(200, &item).personal())
}

pub(crate) async fn release(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    Who::operator(&request)?;
    done(portal.admin.release(&tenant(&request)?, &key_param(&request)?).await?)
}

pub(crate) async fn discard(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    Who::operator(&request)?;
    done(portal.admin.discard(&tenant(&request)?, &key_param(&request)?).await?)
}

pub(crate) async fn dead_letters(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&["limit", "after"])?;
    Who::whole_hub(&request)?;
    let mut listing = portal.admin.dead_letters(&paging(&request)?).await?;
    for item in &mut listing.items {
        item.id = coded(&item.id);
    }
    Ok(listed(listing))
}

pub(crate) async fn dead_letter(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    Who::whole_hub(&request)?;
    let mut item = portal.admin.dead_letter(&key_param(&request)?).await?.ok_or_else(nothing)?;
    item.id = coded(&item.id);
    Ok(Response::json(200, &item).personal())
}

pub(crate) async fn replay(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    Who::whole_hub(&request)?;
    done(portal.admin.replay(&key_param(&request)?).await?)
}

pub(crate) async fn heartbeats(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    Who::whole_hub(&request)?;
    Ok(listed(Listing::whole(portal.admin.heartbeats().await?)))
}

pub(crate) async fn connections(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    Who::whole_hub(&request)?;
    Ok(listed(Listing::whole(portal.admin.connections().await?)))
}

fn done(there: bool) -> Result<Response, Problem> {
    if there { Ok(Response::empty(204)) } else { Err(nothing()) }
}
