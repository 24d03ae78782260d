//! The precision that a grant allows, applied to one instance (architecture decision 6).
//!
//! A transformed value is a new Property of its own: unit and the time that belongs to it stay, sub-attributes go.

use crate::window::{Accumulator, WindowShape};
use serde_json::{Value, json};
use waybill_consent::Transform;
use waybill_model::{Attribute, AttributeValue, DateTime, RawJson, WAYBILL};

/// What an instance becomes under `transform`; nothing when the recipient gets none of it (yet).
///
/// `accumulator` is the window's state when `transform` is a mean; `from` is when the grant began.
pub fn apply(transform: &Transform, instance: &str, accumulator: Option<&Accumulator>, from: DateTime) -> Option<String> {
    let attribute = Attribute::from_canonical(instance).ok()?;
    let changed = match transform {
        Transform::Drop => return None,
        // Nothing of it would be left out.
        Transform::Share if attribute.attributes.is_empty() && attribute.proof.is_none() => return Some(instance.to_owned()),
        Transform::Share => Attribute { attributes: std::collections::BTreeMap::default(), proof: None, ..attribute },
        Transform::Round { step } => numeric(&attribute, |v| (v / step).round() * step)?,
        Transform::Bin { edges } => {
            let value = number(&attribute)?;
            let i = edges.partition_point(|edge| *edge <= value);
            let bound = |k: Option<usize>| k.and_then(|k| edges.get(k)).map_or(Value::Null, |e| json!(e));
            let bin = json!({ format!("{WAYBILL}from"): bound(i.checked_sub(1)), format!("{WAYBILL}until"): bound(Some(i)) });
            plain(&attribute, AttributeValue::Property(RawJson::from(&drop_nulls(bin))))
        }
        Transform::Mean { window, zone, min_samples } => {
            let shape = WindowShape { seconds: i64::from(*window), zone: zone.clone() };
            let closed = accumulator?.latest(from, *min_samples)?;
            let mut out = plain(&attribute, AttributeValue::Property(RawJson::from(&json!(closed.mean))));
            out.observed_at = Some(closed.end);
            let length = Attribute::new(AttributeValue::Property(RawJson::from(&json!(shape.iso()))));
            out.attributes.insert(waybill_model::Iri::new(format!("{WAYBILL}window")).ok()?, vec![length]);
            out
        }
        Transform::District { grid } => district(&attribute, *grid)?,
    };
    serde_json::to_string(&changed).ok()
}

fn drop_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(map.into_iter().filter(|(_, v)| !v.is_null()).collect()),
        other => other,
    }
}

fn number(attribute: &Attribute) -> Option<f64> {
    match &attribute.value {
        AttributeValue::Property(raw) => raw.value().as_f64().filter(|v| v.is_finite()),
        _ => None,
    }
}

/// An instance with the same unit, dataset and time, and another value.
fn plain(attribute: &Attribute, value: AttributeValue) -> Attribute {
    Attribute {
        unit_code: attribute.unit_code.clone(),
        dataset_id: attribute.dataset_id.clone(),
        observed_at: attribute.observed_at,
        expires_at: attribute.expires_at,
        ..Attribute::new(value)
    }
}

fn numeric(attribute: &Attribute, change: impl Fn(f64) -> f64) -> Option<Attribute> {
    let value = change(number(attribute)?);
    value.is_finite().then(|| plain(attribute, AttributeValue::Property(RawJson::from(&json!(value)))))
}

/// A place made coarse: the centre of the grid cell that holds the first position, `grid` degrees wide. An address keeps its
/// district, locality, region and country only.
fn district(attribute: &Attribute, grid: f64) -> Option<Attribute> {
    match &attribute.value {
        AttributeValue::GeoProperty(raw) => {
            let [lon, lat] = first_position(&raw.value()["coordinates"])?;
            let cell = |v: f64| ((v / grid).floor() + 0.5) * grid;
            let tidy = |v: f64| (v * 1e6).round() / 1e6;
            let point = json!({ "type": "Point", "coordinates": [tidy(cell(lon)), tidy(cell(lat))] });
            Some(plain(attribute, AttributeValue::GeoProperty(RawJson::from(&point))))
        }
        AttributeValue::Property(raw) => {
            const KEPT: [&str; 4] = ["district", "addressLocality", "addressRegion", "addressCountry"];
            let Value::Object(map) = raw.value() else { return None };
            let local = |name: &str| name.rsplit(['/', '#']).next().unwrap_or(name).to_owned();
            let kept: serde_json::Map<String, Value> = map.into_iter().filter(|(k, _)| KEPT.contains(&local(k).as_str())).collect();
            (!kept.is_empty()).then(|| plain(attribute, AttributeValue::Property(RawJson::from(&Value::Object(kept)))))
        }
        _ => None,
    }
}

fn first_position(coordinates: &Value) -> Option<[f64; 2]> {
    let list = coordinates.as_array()?;
    match (list.first()?.as_f64(), list.get(1).and_then(Value::as_f64)) {
        (Some(lon), Some(lat)) => Some([lon, lat]),
        _ => first_position(list.first()?),
    }
}
