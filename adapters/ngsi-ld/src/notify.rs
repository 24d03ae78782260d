//! Notifications (clauses 5.3.1, 5.8.6): the body, and how it is posted.

use crate::encode::Shape;
use crate::negotiate::{self, Media};
use crate::subscription::Subscription;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use waybill_context::{Context, ContextPlace, Format, Languages, default_geometry};
use waybill_http::{HeaderName, OutRequest, encode_component, header};
use waybill_model::{DateTime, EntityDoc, Iri, NGSI_LD_NULL, Problem};

/// Something the receiver saw and now sees no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The Entity.
    pub id: Iri,
    /// Its types.
    pub types: Vec<Iri>,
    /// The Attributes that went; empty when the whole Entity went.
    pub attributes: Vec<Iri>,
}

/// What one notification carries.
#[derive(Debug, Clone, Copy)]
pub struct Notification<'a> {
    /// Equal for every attempt that carries the same.
    pub key: &'a str,
    /// The subscription's identifier.
    pub subscription: &'a Iri,
    /// When.
    pub at: DateTime,
    /// Entities that came or changed, as the receiver may see them.
    pub entities: &'a [EntityDoc],
    /// What went.
    pub gone: &'a [Gone],
    /// Where the signed manifest lies.
    pub manifest: Option<&'a str>,
    /// The tenant, when it is not the default one.
    pub tenant: Option<&'a str>,
}

/// Idempotency-Key: the same for every attempt at a delivery.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The request that delivers `notification`. Its names are compacted with `context`, which is known at `context_url`.
///
/// # Errors
/// When the subscription cannot be read any more.
pub fn request(subscription: &Subscription, notification: &Notification<'_>, context: &Arc<Context>, context_url: &str) -> Result<OutRequest, Problem> {
    let endpoint = subscription.endpoint()?;
    let query = subscription.query()?;
    let shape = Shape {
        format: subscription.format(),
        sys_attrs: subscription.sys_attrs(),
        // A receiver that stores what it gets must know when that ends.
        expires_at: true,
        media: endpoint.accept,
        languages: subscription.lang().map(Languages::parse),
        projection: query.projection,
        datasets: query.datasets,
        geometry: default_geometry(),
        bare_geo: false,
        context: context.clone(),
    };
    let mut out = OutRequest::post(endpoint.uri, endpoint.accept.as_str(), body(&shape, notification)).template("ngsi-ld.notify").header(IDEMPOTENCY_KEY, encode_component(notification.key));
    if endpoint.accept == Media::Json {
        out = out.header(header::LINK, negotiate::link_value(context_url));
    }
    if let Some(manifest) = notification.manifest {
        out = out.header(header::LINK, format!("<{manifest}>; rel=\"https://w3id.org/waybill/ns#manifest\""));
    }
    if let Some(tenant) = notification.tenant {
        out = out.header(crate::server::call::TENANT, tenant);
    }
    for (name, value) in endpoint.headers {
        // What frames the message is ours to say.
        let reserved = ["content-type", "content-length", "host", "link", "transfer-encoding", "idempotency-key"];
        if let Ok(name) = HeaderName::try_from(name)
            && !reserved.contains(&name.as_str())
        {
            out = out.header(name, value);
        }
    }
    Ok(match endpoint.timeout {
        Some(ms) => out.deadline(Duration::from_millis(ms.min(60_000))),
        None => out,
    })
}

/// The body of a notification.
pub fn body(shape: &Shape, notification: &Notification<'_>) -> Vec<u8> {
    let head = json!({
        "id": format!("urn:waybill:notification:{}", encode_component(notification.key)),
        "type": "Notification",
        "subscriptionId": notification.subscription,
        "notifiedAt": notification.at,
    });
    let mut out = head.to_string().into_bytes();
    out.pop();
    if shape.media == Media::JsonLd {
        out.extend_from_slice(b",\"@context\":");
        out.extend_from_slice(shape.context.user().to_string().as_bytes());
    }
    out.extend_from_slice(b",\"data\":");
    data(shape, notification, &mut out);
    out.push(b'}');
    out
}

/// The value of `data`. What went stands in it whatever the media type: a receiver that were not told would keep what was withdrawn.
fn data(shape: &Shape, notification: &Notification<'_>, out: &mut Vec<u8>) {
    let context = &shape.context;
    let geo = shape.media == Media::GeoJson;
    let marks = |gone: &Gone| -> Vec<(String, Value)> {
        let shown = gone.attributes.iter().filter(|name| shape.projection.keeps_attribute(name.as_str()));
        shown.map(|name| (context.compact(name.as_str()).into_owned(), deletion(shape, notification.at))).collect()
    };
    out.extend_from_slice(if geo { b"{\"type\":\"FeatureCollection\",\"features\":[" } else { b"[" });
    // In JSON-LD each Entity has the @context too, for receivers that take the data alone; Features share that of their collection.
    let place = if geo { ContextPlace::Outside } else { shape.place() };
    // What ends the object that Attributes stand in.
    let end = if geo { "}}" } else { "}" };
    let mut first = true;
    for doc in notification.entities {
        separate(out, &mut first);
        let mut text = shape.text(doc, place);
        // Attributes of a shown Entity that went stand in it as Nulls.
        for gone in notification.gone.iter().filter(|g| g.id.as_str() == doc.id() && !g.attributes.is_empty()) {
            for (name, mark) in marks(gone) {
                text.truncate(text.len() - end.len());
                if !text.ends_with('{') {
                    text.push(',');
                }
                // Writing to a text does not fail.
                let _ = write!(text, "{}:{mark}{end}", Value::String(name));
            }
        }
        out.extend_from_slice(text.as_bytes());
    }
    for gone in notification.gone {
        let shown = notification.entities.iter().any(|d| d.id() == gone.id.as_str());
        if shown {
            continue;
        }
        separate(out, &mut first);
        let types: Vec<_> = gone.types.iter().map(|t| context.compact(t.as_str())).collect();
        let mut object = serde_json::Map::new();
        object.insert("type".into(), if let [one] = types.as_slice() { json!(one) } else { json!(types) });
        if gone.attributes.is_empty() {
            object.insert("deletedAt".into(), json!(notification.at));
        } else {
            object.extend(marks(gone));
        }
        let item = if geo {
            json!({ "id": gone.id, "type": "Feature", "geometry": null, "properties": object })
        } else {
            object.insert("id".into(), json!(gone.id));
            if shape.media == Media::JsonLd {
                object.insert("@context".into(), context.user().clone());
            }
            Value::Object(object)
        };
        out.extend_from_slice(item.to_string().as_bytes());
    }
    out.push(b']');
    if geo {
        out.extend_from_slice(format!(",\"@context\":{}}}", context.user()).as_bytes());
    }
}

fn separate(out: &mut Vec<u8>, first: &mut bool) {
    if !std::mem::take(first) {
        out.push(b',');
    }
}

/// What stands for an Attribute that went: the Null, with its time when system attributes are shown.
fn deletion(shape: &Shape, at: DateTime) -> Value {
    match shape.format {
        Format::Normalized if shape.sys_attrs => json!({"type": "Property", "value": NGSI_LD_NULL, "deletedAt": at}),
        _ => json!(NGSI_LD_NULL),
    }
}
