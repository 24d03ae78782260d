//! `/subscriptions` and `/subscriptions/{id}` (clauses 6.10 and 6.11).

use super::call::{COUNT, Call};
use super::entities::location;
use super::hub::NewSubscription;
use crate::subscription::Subscription;
use serde_json::Value;
use waybill_context::Part;
use waybill_http::{HeaderName, Response, header};
use waybill_model::Problem;

fn value_of(part: Part<'_, '_>) -> Value {
    // INVARIANT: the part was read as JSON; a number beyond f64 reads as null and is refused where a number must be.
    serde_json::from_str(part.raw()).unwrap_or(Value::Null)
}

/// `POST /subscriptions`.
pub(super) async fn create(call: Call) -> Result<Response, Problem> {
    call.params(&["local"])?;
    let document = call.document()?;
    let part = document.root();
    let context = call.body_context(part).await?;
    let body = value_of(part);
    let (id, subscription) = Subscription::create(&body, &context, call.now())?;
    if let Some(named) = body.get("jsonldContext") {
        call.hub.contexts().resolve(named).await?;
    }
    let warnings = warnings(&body, &subscription);
    let new = NewSubscription { id, spec: subscription.to_spec(), active: subscription.is_active(), expires_at: subscription.expiry()? };
    let id = call.hub.subscribe(&call.scope, new).await?;
    let response = Response::empty(201).with(header::LOCATION, location("subscriptions", &id));
    Ok(warnings.iter().fold(response, |r, w| r.with(WARNING, w)))
}

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const WARNING: HeaderName = HeaderName::from_static("ngsild-warning");

/// What is taken but not done as asked, for the header NGSILD-Warning (clause 6.3.17).
fn warnings(body: &Value, subscription: &Subscription) -> Vec<String> {
    let unknown = Subscription::unknown_members(body).into_iter().map(|n| {
        let name: String = n.chars().filter(char::is_ascii_graphic).take(60).collect();
        format!("199 waybill \"no such member: {}\"", name.replace(['"', '\\'], ""))
    });
    unknown.chain(subscription.shortfalls().into_iter().map(|s| format!("199 waybill \"{s}\""))).collect()
}

/// `GET /subscriptions`.
pub(super) async fn list(call: Call) -> Result<Response, Problem> {
    let media = call.accept(false)?;
    call.params(&["limit", "offset", "count", "options", "local"])?;
    let mut query = waybill_query::EntityQuery::new();
    crate::decode::paging(&mut query, |name| call.param(name).map(|v| v.map(str::to_owned)), call.flag("count")?)?;
    let (_, sys_attrs) = crate::encode::representation(None, call.param("options")?, &[])?;
    let context = call.link_context().await?;
    call.existing_tenant().await?;
    let all = call.hub.subscriptions(&call.scope).await?;
    let shown: Vec<Value> = all
        .iter()
        .skip(query.offset)
        .take(query.limit)
        .map(|s| Subscription::from_spec(&s.spec).map(|read| read.show(s, &context, sys_attrs, call.now())))
        .collect::<Result<_, _>>()?;
    let answer = super::hub::Answer { total: all.len() as u64, ..Default::default() };
    let mut response = call.json_ld(200, Value::Array(shown), media, &context);
    if query.count {
        response = response.with(COUNT, answer.total.to_string());
    }
    Ok(super::entities::page_links(&call, response, &query, answer.total, media))
}

/// `GET /subscriptions/{id}`.
pub(super) async fn retrieve(call: Call) -> Result<Response, Problem> {
    let media = call.accept(false)?;
    call.params(&["options", "local"])?;
    let (_, sys_attrs) = crate::encode::representation(None, call.param("options")?, &[])?;
    let id = call.id()?;
    let context = call.link_context().await?;
    call.existing_tenant().await?;
    let stored = call.hub.subscription(&call.scope, &id).await?;
    let body = Subscription::from_spec(&stored.spec)?.show(&stored, &context, sys_attrs, call.now());
    let response = call.json_ld(200, body, media, &context);
    // A subscription is the same in every version (clause 4.3.6.8).
    Ok(match call.preferred_version() {
        Some(version) => response.with(PREFERENCE_APPLIED, format!("ngsi-ld={version}")),
        None => response,
    })
}

/// `PATCH /subscriptions/{id}`.
pub(super) async fn update(call: Call) -> Result<Response, Problem> {
    call.params(&["local"])?;
    let id = call.id()?;
    let document = call.document()?;
    let part = document.root();
    let context = call.body_context(part).await?;
    let (body, now) = (value_of(part), call.now());
    Subscription::fragment(&body)?;
    call.existing_tenant().await?;
    let change = move |stored: &mut super::hub::StoredSubscription| {
        let mut new = Subscription::from_spec(&stored.spec)?;
        // One that has ended is revived only by a new end, or by taking the end away.
        let had_ended = stored.expires_at.is_some_and(|at| at <= now);
        if had_ended && body.get("expiresAt").is_none() {
            new.members.remove("expiresAt");
        }
        let ended_at = stored.expires_at;
        let new = new.patched(&body, &context, now)?;
        stored.active = new.is_active();
        stored.expires_at = if had_ended && body.get("expiresAt").is_none() { ended_at } else { new.expiry()? };
        stored.spec = new.to_spec();
        Ok(())
    };
    call.hub.change_subscription(&call.scope, &id, Box::new(change)).await?;
    Ok(Response::empty(204))
}

/// `DELETE /subscriptions/{id}`.
pub(super) async fn delete(call: Call) -> Result<Response, Problem> {
    call.params(&["local"])?;
    let id = call.id()?;
    call.existing_tenant().await?;
    call.hub.unsubscribe(&call.scope, &id).await?;
    Ok(Response::empty(204))
}
