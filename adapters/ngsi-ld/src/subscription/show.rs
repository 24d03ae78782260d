//! A subscription as it is shown.

use super::{Noted, Subscription};
use crate::server::hub::StoredSubscription;
use serde_json::{Map, Value, json};
use waybill_context::Context;
use waybill_model::DateTime;
use waybill_query::{Expander, TypeSelection};

impl Subscription {
    /// The subscription as it is shown, its names compacted with `context`.
    pub fn show(&self, stored: &StoredSubscription, context: &Context, sys_attrs: bool, now: DateTime) -> Value {
        let mut out = Map::new();
        out.insert("id".into(), json!(stored.id));
        out.insert("type".into(), json!("Subscription"));
        for (name, value) in &self.members {
            let x = Noted(self.names.get(name));
            let short = |n: &str| context.compact(&x.expand(n)).into_owned();
            let mut value = value.clone();
            match name.as_str() {
                "entities" => {
                    for types in value.as_array_mut().into_iter().flatten().filter_map(|e| e.get_mut("type")) {
                        if let Some(text) = types.as_str()
                            && let Ok(selection) = TypeSelection::parse(text, &x)
                        {
                            *types = json!(selection.to_text(&|iri| context.compact(iri).into_owned()));
                        }
                    }
                }
                "watchedAttributes" => shorten(&mut value, &short),
                "geoQ" => {
                    if let Some(property) = value.get_mut("geoproperty") {
                        shorten(property, &short);
                    }
                }
                "notification" => {
                    for list in ["attributes", "pick", "omit"] {
                        if let Some(names) = value.get_mut(list) {
                            shorten(names, &short);
                        }
                    }
                }
                _ => {}
            }
            out.insert(name.clone(), value);
        }
        if let Some(notification) = out.get_mut("notification").and_then(Value::as_object_mut) {
            for name in ["status", "timesSent", "timesFailed", "lastNotification", "lastSuccess", "lastFailure"] {
                notification.remove(name);
            }
            if stored.times_sent > 0 {
                notification.insert("timesSent".into(), json!(stored.times_sent));
                notification.insert("status".into(), json!(if stored.last_failure > stored.last_success { "failed" } else { "ok" }));
            }
            if stored.times_failed > 0 {
                notification.insert("timesFailed".into(), json!(stored.times_failed));
            }
            for (name, at) in [("lastNotification", stored.last_notification), ("lastSuccess", stored.last_success), ("lastFailure", stored.last_failure)] {
                if let Some(at) = at {
                    notification.insert(name.into(), json!(at));
                }
            }
        }
        if !self.members.contains_key("notificationTrigger") && !self.members.contains_key("timeInterval") {
            out.insert("notificationTrigger".into(), json!(["attributeCreated", "attributeUpdated"]));
        }
        let expired = stored.expires_at.is_some_and(|at| at <= now);
        out.insert("status".into(), json!(if expired { "expired" } else if stored.active { "active" } else { "paused" }));
        if sys_attrs {
            out.insert("createdAt".into(), json!(stored.created_at));
            out.insert("modifiedAt".into(), json!(stored.modified_at));
        }
        Value::Object(out)
    }
}

/// Compacts a name, or the names of a list; keywords and nested items stay as they were written.
fn shorten(value: &mut Value, short: &dyn Fn(&str) -> String) {
    match value {
        Value::String(s) if !matches!(s.as_str(), "id" | "type" | "scope") && !s.contains(['{', ',']) => *s = short(s),
        Value::Array(list) => list.iter_mut().for_each(|v| shorten(v, short)),
        _ => {}
    }
}
