//! The journal: whether it holds, a person's page, the whole of it line by line.

use crate::Portal;
use crate::caller::{Who, iri_param, nothing, tenant};
use bytes::Bytes;
use futures_util::stream;
use std::sync::Arc;
use waybill_http::{Request, Response};
use waybill_model::Problem;

/// Records fetched at once.
const PAGE: usize = 500;

pub(crate) async fn verify(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    Who::whole_hub(&request)?;
    Ok(Response::json(200, &portal.admin.verify_journal().await?).personal())
}

pub(crate) async fn page(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    let (who, tenant, subject) = (Who::of(&request)?, tenant(&request)?, iri_param(&request, "subject")?);
    if !who.may_see(&subject) {
        return Err(nothing());
    }
    // There is one journal: her page tells of every tenant.
    if matches!(who, Who::Operator(_)) {
        Who::whole_hub(&request)?;
    }
    Ok(Response::json(200, &portal.admin.journal_page(&tenant, &subject).await?).personal())
}

pub(crate) async fn export(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&["from", "limit"])?;
    Who::whole_hub(&request)?;
    let from = request.query.number("from")?.unwrap_or(1);
    let left = request.query.number("limit")?.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    // The first page is fetched before the answer begins, so that a journal that cannot be read is an error and not half an answer.
    let first = portal.admin.export_journal(from, PAGE.min(left)).await?;
    let begun = Some((portal, first, left));
    let pieces = stream::try_unfold(begun, |state| async move {
        let Some((portal, lines, left)) = state else { return Ok::<_, std::io::Error>(None) };
        let Some(last) = lines.last().map(|l| l.number) else { return Ok(None) };
        let mut text = String::with_capacity(lines.iter().map(|l| l.text.len() + 1).sum());
        for line in &lines {
            text.push_str(&line.text);
            text.push('\n');
        }
        let left = left.saturating_sub(lines.len());
        let next = if left == 0 {
            None
        } else {
            let more = portal.admin.export_journal(last + 1, PAGE.min(left)).await.map_err(|p| std::io::Error::other(p.code))?;
            Some((portal, more, left))
        };
        Ok(Some((Bytes::from(text), next)))
    });
    Ok(Response::stream(200, "application/x-ndjson", pieces).personal())
}
