//! The hub's keys: list, rotate, revoke.

use crate::Portal;
use crate::admin::Listing;
use crate::caller::{Who, listed, nothing};
use waybill_http::strict;
use serde::Deserialize;
use std::sync::Arc;
use waybill_http::{Request, Response};
use waybill_model::Problem;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateBody {
    #[serde(default)]
    algorithm: Algorithm,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
enum Algorithm {
    #[default]
    EdDSA,
    ES256,
}

pub(crate) async fn list(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    Who::whole_hub(&request)?;
    Ok(listed(Listing::whole(portal.admin.keys().await?)))
}

pub(crate) async fn rotate(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    Who::whole_hub(&request)?;
    let body: RotateBody = strict::read_or_default(&request)?;
    let algorithm = match body.algorithm {
        Algorithm::EdDSA => "EdDSA",
        Algorithm::ES256 => "ES256",
    };
    Ok(Response::json(201, &portal.admin.rotate_key(algorithm).await?).personal())
}

pub(crate) async fn revoke(portal: Arc<Portal>, request: Request) -> Result<Response, Problem> {
    request.query.only(&[])?;
    Who::whole_hub(&request)?;
    Ok(Response::json(200, &portal.admin.revoke_key(request.param("kid")).await?.ok_or_else(nothing)?).personal())
}
