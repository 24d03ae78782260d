//! GeoJSON geometries (RFC 7946), all but collections.

use crate::json::{self, Look};
use crate::{MAX_POSITIONS, QueryError};
use geo::{BoundingRect, Coord, CoordsIter, LineString, MultiLineString, MultiPoint, MultiPolygon, Point, Polygon};
use serde::Deserialize;
use serde_json::Value;

/// A geometry in degrees, longitude before latitude.
#[derive(Debug, Clone, PartialEq)]
pub struct Geometry(pub(crate) geo::Geometry<f64>);

impl Geometry {
    /// Reads a geometry from its type's name and the JSON text of its coordinates, as they come in parameters.
    ///
    /// # Errors
    /// [`QueryError`] naming the parameter.
    pub fn parse(kind: &str, coordinates: &str) -> Result<Self, QueryError> {
        const HELP: &str = "Write coordinates as in GeoJSON, longitude first: [24.9,60.2] for a Point.";
        if coordinates.len() > 64 * MAX_POSITIONS {
            return Err(QueryError::too_complex("coordinates", 0, "the text is too long"));
        }
        let value: Value = serde_json::from_str(coordinates)
            .map_err(|e| QueryError::invalid("coordinates", e.column(), "the coordinates are no JSON", HELP))?;
        if !matches!(kind, "Point" | "MultiPoint" | "LineString" | "MultiLineString" | "Polygon" | "MultiPolygon") {
            let help = "Use Point, MultiPoint, LineString, MultiLineString, Polygon or MultiPolygon.";
            return Err(QueryError::invalid("geometry", 0, "this is no kind of geometry", help));
        }
        let read = build(kind, &value).map_err(|why| QueryError::invalid("coordinates", 0, why, HELP))?;
        if read.0.coords_count() > MAX_POSITIONS {
            return Err(QueryError::too_complex("coordinates", 0, format!("more than {MAX_POSITIONS} positions")));
        }
        Ok(read)
    }

    /// Reads a GeoJSON geometry object.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_geojson(value: &Value) -> Result<Self, &'static str> {
        let kind = value.get("type").and_then(Value::as_str).ok_or("a geometry has a `type`")?;
        build(kind, value.get("coordinates").ok_or("a geometry has `coordinates`")?)
    }

    /// Reads the value of a stored GeoProperty: an object, or a string that holds one. Its names may be expanded.
    pub(crate) fn parse_stored(value: &str) -> Option<Self> {
        match json::look(value) {
            Look::Text(inner) => Self::from_geojson(&serde_json::from_str(&inner).ok()?).ok(),
            Look::Object(object) => {
                let (mut kind, mut coordinates) = (None, None);
                json::members(object, |name, raw| match name {
                    "type" | "@type" => kind = json::string(raw),
                    "coordinates" | "https://purl.org/geojson/vocab#coordinates" => coordinates = Some(raw),
                    _ => {}
                });
                let kind = kind?;
                let name = kind.rsplit('#').next()?;
                if name == "Point" {
                    // The common case, without a tree.
                    let mut reader = serde_json::Deserializer::from_str(coordinates?);
                    let list = Vec::<f64>::deserialize(&mut reader).ok()?;
                    return position_of(&list).ok().map(|c| Self(Point(c).into()));
                }
                build(name, &serde_json::from_str(coordinates?).ok()?).ok()
            }
            _ => None,
        }
    }

    /// West, south, east, north; nothing when it is empty.
    pub(crate) fn bbox(&self) -> Option<[f64; 4]> {
        let rect = self.0.bounding_rect()?;
        Some([rect.min().x, rect.min().y, rect.max().x, rect.max().y])
    }
}

fn build(kind: &str, at: &Value) -> Result<Geometry, &'static str> {
    Ok(Geometry(match kind {
        "Point" => Point(position(at)?).into(),
        "MultiPoint" => MultiPoint(list(at, |p| position(p).map(Point))?).into(),
        "LineString" => line(at)?.into(),
        "MultiLineString" => MultiLineString(list(at, line)?).into(),
        "Polygon" => polygon(at)?.into(),
        "MultiPolygon" => MultiPolygon(list(at, polygon)?).into(),
        _ => return Err("this is no kind of geometry"),
    }))
}

fn list<T>(at: &Value, each: impl Fn(&Value) -> Result<T, &'static str>) -> Result<Vec<T>, &'static str> {
    let items = at.as_array().filter(|a| !a.is_empty()).ok_or("an array that is not empty was expected among the coordinates")?;
    items.iter().map(each).collect()
}

fn position(at: &Value) -> Result<Coord<f64>, &'static str> {
    const WRONG: &str = "a position is an array of two to four numbers";
    let numbers: Vec<f64> = at.as_array().ok_or(WRONG)?.iter().map(Value::as_f64).collect::<Option<_>>().ok_or(WRONG)?;
    position_of(&numbers)
}

fn position_of(numbers: &[f64]) -> Result<Coord<f64>, &'static str> {
    match numbers {
        [x, y] | [x, y, _] | [x, y, _, _] if x.is_finite() && y.is_finite() && x.abs() <= 1e6 && y.abs() <= 1e6 => Ok(Coord { x: *x, y: *y }),
        _ => Err("a position is an array of two to four numbers"),
    }
}

fn line(at: &Value) -> Result<LineString<f64>, &'static str> {
    let points = list(at, position)?;
    if points.len() < 2 { Err("a line has at least two positions") } else { Ok(LineString(points)) }
}

/// A ring must be closed; that it may cross itself is let pass, as brokers do.
fn polygon(at: &Value) -> Result<Polygon<f64>, &'static str> {
    let mut rings = list(at, |ring| {
        let points = list(ring, position)?;
        if points.len() < 4 || points.first() != points.last() {
            return Err("a ring has at least four positions, and the last is the first");
        }
        Ok(LineString(points))
    })?;
    let outer = rings.remove(0);
    Ok(Polygon::new(outer, rings))
}
