//! The inbox: where brokers and hubs that this hub subscribed at notify it.

use serde_json::Value;
use std::sync::Arc;
use waybill_context::{Contexts, Document, Options, decode_entity};
use waybill_exchange::{Hub, Incoming};
use waybill_http::{Method, Request, Response, Router, header};
use waybill_model::{Iri, NGSI_LD_NULL, Problem, ProblemCode};

/// The relation of the link to a manifest.
const MANIFEST: &str = "https://w3id.org/waybill/ns#manifest";

/// The route of the inboxes. What is taken in is durable before it is answered.
pub fn inbox_routes(hub: Hub, contexts: Contexts) -> Router {
    let state = Arc::new((hub, contexts));
    Router::new().route(Method::POST, "/waybill/inbox/{connection}", move |request| {
        let state = state.clone();
        async move { take(&state.0, &state.1, &request).await }
    })
}

async fn take(hub: &Hub, contexts: &Contexts, request: &Request) -> Result<Response, Problem> {
    let secret = request.header(crate::source::INBOX_SECRET).unwrap_or_default();
    // A stranger's text is not read, and no @context is fetched for it.
    hub.may_deliver(request.param("connection"), secret)?;
    let bad = |detail: String| Problem::new(ProblemCode("notification-malformed"), 400, "Not a notification", detail);
    // Duplicate members and depth are refused here, before anything else is made of the text.
    let document = Document::read(&request.body, waybill_context::DEPTH).map_err(|e| bad(e.to_string()))?;
    let root = document.root();
    let named = match root.context() {
        Some(value) => Some(value),
        None => crate::negotiate::context_link(&request.headers)?.map(Value::String),
    };
    let context = match named {
        Some(value) => contexts.resolve(&value).await.map_err(|e| bad(e.to_string()))?,
        None => contexts.core(),
    };
    let data = root.get("data").ok_or_else(|| bad("it has no `data`".into()))?;
    let mut items = Vec::new();
    let mut each = |text: &str| -> Result<(), Problem> {
        let mut entity: Value = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
        let object = entity.as_object_mut().ok_or_else(|| bad("`data` holds something else than entities".into()))?;
        let id = object.get("id").and_then(Value::as_str).and_then(|t| Iri::new(t).ok()).ok_or_else(|| bad("an entity in `data` has no id".into()))?;
        if object.contains_key("deletedAt") {
            items.push(Incoming::Gone { id, attributes: Vec::new() });
            return Ok(());
        }
        let gone: Vec<String> = object.iter().filter(|(_, v)| is_null(v)).map(|(k, _)| k.clone()).collect();
        let mut thinner = false;
        for list in object.values_mut().filter_map(Value::as_array_mut) {
            let before = list.len();
            // Of several instances those that went are left out: what a sender no longer sends of an Attribute goes.
            if list.iter().any(is_null_instance) && !list.iter().all(is_null_instance) {
                list.retain(|i| !is_null_instance(i));
            }
            thinner |= list.len() < before;
        }
        if !gone.is_empty() {
            object.retain(|name, _| !gone.contains(name));
            let attributes = gone.iter().filter_map(|name| Iri::new(context.expand(name)).ok()).collect();
            items.push(Incoming::Gone { id, attributes });
        }
        let left = object.keys().any(|k| !matches!(k.as_str(), "id" | "type" | "scope" | "@context"));
        if left || gone.is_empty() {
            let text = if gone.is_empty() && !thinner { text.to_owned() } else { entity.to_string() };
            let doc = decode_entity(&context, text.as_bytes(), &Options::new(hub.clock().now())).map_err(|e| bad(e.to_string()))?;
            items.push(Incoming::Changed(doc.text().to_owned()));
        }
        Ok(())
    };
    match data.items() {
        Some(list) => list.map(waybill_context::Part::raw).try_for_each(&mut each)?,
        None => each(data.raw())?,
    }
    hub.receive(request.param("connection"), secret, items, manifest_link(request)).await?;
    Ok(Response::empty(204))
}

/// Whether a member says that an Attribute is gone: the NGSI-LD Null, bare or as the value of an instance, or of each of them.
fn is_null(value: &Value) -> bool {
    match value {
        Value::String(text) => text == NGSI_LD_NULL,
        Value::Array(list) => !list.is_empty() && list.iter().all(is_null_instance),
        other => is_null_instance(other),
    }
}

/// Whether an instance is gone: its value is the NGSI-LD Null in the form of its kind (clause 5.5.4), or it says since when it is.
fn is_null_instance(value: &Value) -> bool {
    const VALUES: [&str; 7] = ["value", "object", "languageMap", "vocab", "json", "valueList", "objectList"];
    let mark = |v: &Value| v.as_str() == Some(NGSI_LD_NULL);
    let gone = |v: &Value| match v {
        Value::Object(map) => map.len() == 1 && map.get("@none").is_some_and(mark),
        Value::Array(list) => matches!(list.as_slice(), [one] if mark(one)),
        other => mark(other),
    };
    value.as_object().is_some_and(|map| map.contains_key("deletedAt") || VALUES.iter().any(|name| map.get(*name).is_some_and(gone)))
}

fn manifest_link(request: &Request) -> Option<String> {
    let links = request.headers.get_all(header::LINK).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    links.filter(|l| l.contains(MANIFEST)).find_map(|l| Some(l.trim().strip_prefix('<')?.split('>').next()?.to_owned()))
}
