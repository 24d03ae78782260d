//! Subscriptions of one tenant and the notifications they cause.

use super::answers::{Refusal, Responder, json};
use super::entities::Change;
use super::names::{Names, simplify};
use crate::net::{Reply, Request, bare, put};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const ATTEMPTS: u32 = 3;

#[derive(Default)]
pub(super) struct Subscriptions {
    all: BTreeMap<String, Subscription>,
    next: u64,
}

struct Subscription {
    /// As it was posted, with its id.
    text: Value,
    names: Names,
    context: Option<Value>,
    /// Notifications leave one after the other.
    queue: tokio::sync::mpsc::UnboundedSender<Value>,
}

impl Subscriptions {
    pub fn answer(&mut self, rest: &[&str], request: &Request, responder: &Responder) -> Result<Reply, Refusal> {
        match (&request.method, rest) {
            (&Method::GET, []) => Ok(json(StatusCode::OK, &self.all.values().map(|s| s.text.clone()).collect::<Vec<_>>().into())),
            (&Method::POST, []) => self.create(request, responder),
            (&Method::GET, [id]) => self.all.get(*id).map(|s| json(StatusCode::OK, &s.text)).ok_or_else(|| Refusal::missing(id)),
            (&Method::DELETE, [id]) => self.all.remove(*id).map(|_| bare(StatusCode::NO_CONTENT)).ok_or_else(|| Refusal::missing(id)),
            _ => Ok(bare(StatusCode::METHOD_NOT_ALLOWED)),
        }
    }

    fn create(&mut self, request: &Request, responder: &Responder) -> Result<Reply, Refusal> {
        let mut text = responder.body()?.clone();
        for other in ["q", "geoQ", "scopeQ", "csf", "timeInterval", "throttling"] {
            if text.get(other).is_some() {
                return Err(Refusal::unsupported(other));
            }
        }
        if text.get("entities").is_none() && text.get("watchedAttributes").is_none() {
            return Err(Refusal::bad("a subscription names entities or watchedAttributes"));
        }
        let Some(uri) = text.pointer("/notification/endpoint/uri").and_then(Value::as_str).map(str::to_owned) else {
            return Err(Refusal::bad("a subscription names notification.endpoint.uri"));
        };
        let mut headers = HeaderMap::new();
        for pair in text.pointer("/notification/endpoint/receiverInfo").and_then(Value::as_array).into_iter().flatten() {
            let name = pair["key"].as_str().and_then(|k| HeaderName::try_from(k).ok());
            let value = pair["value"].as_str().and_then(|v| HeaderValue::try_from(v).ok());
            if let (Some(name), Some(value)) = (name, value) {
                headers.insert(name, value);
            }
        }
        let tenant = request.header("ngsild-tenant").and_then(|t| HeaderValue::try_from(t).ok());
        if let Some(tenant) = tenant {
            headers.insert("ngsild-tenant", tenant);
        }
        self.next += 1;
        let id = text.get("id").and_then(Value::as_str).map_or_else(|| format!("urn:ngsi-ld:Subscription:{}", self.next), str::to_owned);
        if self.all.contains_key(&id) {
            return Err(Refusal::new(StatusCode::CONFLICT, "AlreadyExists", format!("{id} exists already")));
        }
        text["id"] = id.clone().into();
        let (queue, waiting) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(send_all(uri, headers, waiting));
        let context = text.as_object_mut().and_then(|t| t.remove("@context"));
        self.all.insert(id.clone(), Subscription { text, names: responder.names.clone(), context, queue });
        let mut answer = bare(StatusCode::CREATED);
        put(&mut answer, "location", &format!("/ngsi-ld/v1/subscriptions/{id}"));
        Ok(answer)
    }

    pub fn notify(&self, changes: &[Change], now: i64) {
        for (id, subscription) in &self.all {
            for change in changes.iter().filter(|c| subscription.hears(c)) {
                let mut notification = json!({
                    "id": format!("urn:ngsi-ld:Notification:{}", crate::pod::random_name()),
                    "type": "Notification",
                    "subscriptionId": id,
                    "notifiedAt": stamp(now),
                    "data": [subscription.shown(change, now)],
                });
                if let Some(context) = &subscription.context {
                    notification["@context"] = context.clone();
                }
                // The receiver of the queue ends with its subscription only.
                let _ = subscription.queue.send(notification);
            }
        }
    }
}

impl Subscription {
    fn hears(&self, change: &Change) -> bool {
        let Some(entity) = change.after.as_ref().or(change.before.as_ref()) else { return false };
        let triggers: Vec<&str> =
            self.text.get("notificationTrigger").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let listens = |trigger: &str| {
            if triggers.is_empty() { matches!(trigger, "attributeCreated" | "attributeUpdated") } else { triggers.contains(&trigger) }
        };
        let triggered = match (&change.before, &change.after) {
            (_, None) => listens("entityDeleted"),
            (None, Some(_)) => listens("entityCreated") || listens("attributeCreated"),
            (Some(_), Some(_)) => ["entityUpdated", "attributeCreated", "attributeUpdated", "attributeDeleted"].iter().any(|t| listens(t)),
        };
        triggered && self.selects(entity) && self.watches(change)
    }

    fn selects(&self, entity: &Value) -> bool {
        let Some(selectors) = self.text.get("entities").and_then(Value::as_array) else { return true };
        let types: Vec<&str> = match entity.get("type") {
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(one)) => vec![one],
            _ => Vec::new(),
        };
        selectors.iter().any(|s| {
            let by_id = s.get("id").is_none_or(|id| id == &entity["id"] || id.as_array().is_some_and(|a| a.contains(&entity["id"])));
            let by_type = s.get("type").and_then(Value::as_str).is_none_or(|wanted| {
                wanted == "*" || wanted.split([',', '|']).any(|t| types.contains(&self.names.expand(t).as_str()))
            });
            by_id && by_type
        })
    }

    fn watches(&self, change: &Change) -> bool {
        let Some(watched) = self.text.get("watchedAttributes").and_then(Value::as_array) else { return change.before != change.after };
        watched.iter().filter_map(Value::as_str).map(|a| self.names.expand(a)).any(|name| {
            let at = |e: &Option<Value>| e.as_ref().and_then(|e| e.get(&name).cloned());
            at(&change.before) != at(&change.after)
        })
    }

    fn shown(&self, change: &Change, now: i64) -> Value {
        let whole = match (&change.after, &change.before) {
            (Some(after), _) => after.clone(),
            (None, Some(before)) => json!({"id": before["id"], "type": before["type"], "deletedAt": stamp(now)}),
            (None, None) => Value::Null,
        };
        let mut named = self.names.compact_entity(&whole);
        let format = self.text.pointer("/notification/format").and_then(Value::as_str).unwrap_or_default();
        if matches!(format, "keyValues" | "simplified") {
            named = simplify(&named);
        }
        named
    }
}

async fn send_all(uri: String, mut headers: HeaderMap, mut waiting: tokio::sync::mpsc::UnboundedReceiver<Value>) {
    while let Some(notification) = waiting.recv().await {
        let media = if notification.get("@context").is_some() { "application/ld+json" } else { "application/json" };
        headers.insert("content-type", HeaderValue::from_static(media));
        let body = Bytes::from(notification.to_string());
        for attempt in 1..=ATTEMPTS {
            match crate::out::send(Method::POST, &uri, headers.clone(), body.clone()).await {
                Ok(answer) if answer.status < 500 => break,
                _ => tokio::time::sleep(Duration::from_millis(200 * u64::from(attempt))).await,
            }
        }
    }
}

/// Seconds since 1970 as a DateTime.
pub(crate) fn stamp(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400);
    let rest = seconds.rem_euclid(86_400);
    // The civil calendar, counting years from March.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}
