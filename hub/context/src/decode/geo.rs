//! GeoJSON geometries (RFC 7946 section 3.1; NGSI-LD clause 4.7).

use super::{Decoded, fault};
use crate::error::Fault;
use crate::tape::{Item, Kind, Tape};
use crate::write;

/// How deep the coordinates of each geometry nest, and how many positions a line of it needs.
fn shape(kind: &str) -> Option<(usize, usize)> {
    Some(match kind {
        "Point" => (0, 1),
        "MultiPoint" => (1, 1),
        "LineString" => (1, 2),
        "MultiLineString" => (2, 2),
        "Polygon" => (2, 4),
        "MultiPolygon" => (3, 4),
        _ => return None,
    })
}

/// Whether this object says it is a geometry that an Attribute can have.
pub(super) fn is_geometry(item: Item<'_, '_>) -> bool {
    item.is_object()
        && item.get("coordinates").is_some_and(Item::is_array)
        && item.get("type").or_else(|| item.get("@type")).and_then(Item::text).is_some_and(|kind| shape(&kind).is_some())
}

/// Checks a geometry, which may stand in a string, and writes it.
pub(super) fn geometry(item: Item<'_, '_>, out: &mut String) -> Decoded<()> {
    if let Some(text) = item.text() {
        let Ok(tape) = Tape::read(&text, super::DEPTH) else {
            return fault(Fault::Geometry, "4.7.1", "the string holds no JSON");
        };
        if !tape.root().is_object() {
            return fault(Fault::Geometry, "4.7.1", "the string holds no GeoJSON geometry");
        }
        return geometry(tape.root(), out);
    }
    if !item.is_object() {
        return fault(Fault::Geometry, "4.7.1", "a geometry is a GeoJSON object, or a string that holds one");
    }
    let kind = item.get("type").or_else(|| item.get("@type")).and_then(Item::text);
    let Some(kind) = kind else {
        return fault(Fault::Geometry, "4.7.1", "the geometry has no `type`");
    };
    let Some((depth, least)) = shape(&kind) else {
        return fault(Fault::Geometry, "4.7.1", "the `type` is none of Point, MultiPoint, LineString, MultiLineString, Polygon, MultiPolygon");
    };
    let Some(coordinates) = item.get("coordinates") else {
        return fault(Fault::Geometry, "4.7.1", "the geometry has no `coordinates`");
    };
    check(coordinates, depth, least).map_err(|e| e.under("coordinates"))?;
    if item.get("@context").is_some() {
        return fault(Fault::Context, "5.5.7", "an @context stands in a geometry");
    }
    out.push_str("{\"type\":\"");
    out.push_str(&kind);
    out.push_str("\",\"coordinates\":");
    write::copy(out, coordinates);
    for (key, value) in item.members() {
        if !matches!(key.text().as_deref(), Some("type" | "@type" | "coordinates")) {
            out.push(',');
            out.push_str(key.raw());
            out.push(':');
            write::copy(out, value);
        }
    }
    out.push('}');
    Ok(())
}

fn check(item: Item<'_, '_>, depth: usize, least: usize) -> Decoded<()> {
    if !item.is_array() {
        return fault(Fault::Geometry, "4.7.1", "an array is missing here");
    }
    if depth == 0 {
        let count = item.items().count();
        if !(2..=4).contains(&count) || item.items().any(|n| n.kind() != Kind::Number) {
            return fault(Fault::Geometry, "4.7.1", "a position is an array of two to four numbers, longitude first");
        }
        return Ok(());
    }
    let count = item.items().count();
    if count == 0 || (depth == 1 && count < least) {
        return fault(Fault::Geometry, "4.7.1", format!("{} positions are needed here", least.max(1)));
    }
    for (i, part) in item.items().enumerate() {
        check(part, depth - 1, least).map_err(|e| e.under(&i.to_string()))?;
    }
    if depth == 1 && least == 4 && !closed(item) {
        return fault(Fault::Geometry, "4.7.1", "a ring ends where it begins");
    }
    Ok(())
}

/// Whether the first and the last position are equal as numbers.
fn closed(ring: Item<'_, '_>) -> bool {
    let mut positions = ring.items();
    let (Some(first), Some(last)) = (positions.next(), positions.last()) else {
        return false;
    };
    let numbers = |position: Item<'_, '_>| position.items().map(|n| n.raw().parse::<f64>().unwrap_or(f64::NAN)).collect::<Vec<_>>();
    numbers(first) == numbers(last)
}
