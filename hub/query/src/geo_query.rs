//! The geo-query language (clause 4.10).

use crate::geometry::Geometry;
use crate::{Candidates, DatasetIds, Expander, QueryError};
use geo::{Distance, Euclidean, Haversine, MapCoords, Relate};
use waybill_model::{AttributeKind, EntityDoc};

/// How an Entity's geometry must stand to the one of the query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GeoRel {
    /// At a distance, in metres. The texts of the interface give one of the two.
    Near {
        /// At least so far.
        min: Option<f64>,
        /// At most so far.
        max: Option<f64>,
    },
    /// It lies within.
    Within,
    /// It contains.
    Contains,
    /// They share a point.
    Intersects,
    /// They are the same set of points.
    Equals,
    /// They share no point.
    Disjoint,
    /// They overlap, neither holding the other.
    Overlaps,
}

/// A parsed geo-query.
#[derive(Debug, Clone, PartialEq)]
pub struct GeoQuery {
    /// The relation.
    pub rel: GeoRel,
    /// The geometry to relate to.
    pub geometry: Geometry,
    /// The expanded name of the GeoProperty that is looked at.
    pub property: String,
}

const HELP: &str = "Use near;maxDistance==METRES, near;minDistance==METRES, within, contains, intersects, equals, disjoint or overlaps.";
/// The mean radius of the Earth in metres, as the haversine formula of `geo` has it.
const RADIUS: f64 = 6_371_008.8;

impl GeoQuery {
    /// Reads the parameters georel, geometry, coordinates and geoproperty (default `location`).
    ///
    /// # Errors
    /// [`QueryError`] naming the parameter that is wrong or missing.
    pub fn parse(georel: &str, geometry: &str, coordinates: &str, geoproperty: Option<&str>, expander: &dyn Expander) -> Result<Self, QueryError> {
        let rel = georel_of(georel)?;
        let geometry = Geometry::parse(geometry, coordinates)?;
        let property = expander.expand(geoproperty.unwrap_or("location"));
        Ok(Self { rel, geometry, property })
    }

    /// Whether an instance of the GeoProperty stands so. Without one nothing matches.
    pub fn matches(&self, doc: &EntityDoc) -> bool {
        self.matches_with(doc, &DatasetIds::default())
    }

    /// The same, looking only at the instances with `datasets`.
    pub fn matches_with(&self, doc: &EntityDoc, datasets: &DatasetIds) -> bool {
        doc.spans()
            .iter()
            .filter(|s| s.kind == AttributeKind::GeoProperty && doc.name(s) == self.property && datasets.admits(doc.dataset_id(s)))
            .filter_map(|s| crate::json::member(doc.instance(s), "value").and_then(Geometry::parse_stored))
            .any(|g| self.relates(&g))
    }

    /// Whether `target` stands so to the geometry of the query.
    pub fn relates(&self, target: &Geometry) -> bool {
        let (a, b) = (&target.0, &self.geometry.0);
        match self.rel {
            GeoRel::Near { min, max } => {
                let d = distance(&self.geometry, target);
                d.is_finite() && min.is_none_or(|m| d >= m) && max.is_none_or(|m| d <= m)
            }
            GeoRel::Within => a.relate(b).is_within(),
            GeoRel::Contains => a.relate(b).is_contains(),
            GeoRel::Intersects => a.relate(b).is_intersects(),
            // The same coordinates are equal even where a ring crosses itself and has no topology.
            GeoRel::Equals => a == b || a.relate(b).is_equal_topo(),
            GeoRel::Disjoint => a.relate(b).is_disjoint(),
            GeoRel::Overlaps => a.relate(b).is_overlaps(),
        }
    }

    pub(crate) fn candidates(&self) -> Candidates {
        let attr = self.property.clone();
        let grow = match self.rel {
            GeoRel::Disjoint | GeoRel::Near { max: None, .. } => return Candidates::HasAttr(attr),
            GeoRel::Near { max: Some(m), .. } => (m / RADIUS).to_degrees() * 1.01,
            _ => 0.0,
        };
        let Some([w, s, e, n]) = self.geometry.bbox() else { return Candidates::HasAttr(attr) };
        let slack = 1e-9;
        let (south, north) = (s - grow - slack, n + grow + slack);
        // A degree of longitude shrinks towards the poles; near them, and across the date line, the index does not help.
        let steepest = south.abs().max(north.abs());
        if grow > 0.0 && steepest > 89.0 {
            return Candidates::HasAttr(attr);
        }
        let wide = if grow > 0.0 { grow / steepest.to_radians().cos() * 1.01 } else { 0.0 } + slack;
        let (west, east) = (w - wide, e + wide);
        if grow > 0.0 && (west < -180.0 || east > 180.0) {
            return Candidates::HasAttr(attr);
        }
        Candidates::BBox { attr, bounds: [west, south, east, north] }
    }
}

/// Metres between two geometries: on the sphere between points, else on a plane that touches it at the first one's middle, which is
/// exact enough up to some hundred kilometres.
pub(crate) fn distance(from: &Geometry, to: &Geometry) -> f64 {
    if let (geo::Geometry::Point(a), geo::Geometry::Point(b)) = (&from.0, &to.0) {
        return Haversine.distance(*a, *b);
    }
    let Some([w, s, e, n]) = from.bbox() else { return f64::NAN };
    let (lon, lat) = (f64::midpoint(w, e), f64::midpoint(s, n));
    let (metres, shrink) = (RADIUS.to_radians(), lat.to_radians().cos());
    let plane = |g: &geo::Geometry<f64>| g.map_coords(|c| geo::Coord { x: (c.x - lon) * metres * shrink, y: (c.y - lat) * metres });
    Euclidean.distance(&plane(&from.0), &plane(&to.0))
}

fn georel_of(text: &str) -> Result<GeoRel, QueryError> {
    let bad = |why: &str| QueryError::invalid("georel", 0, why, HELP);
    let mut parts = text.split(';');
    let rel = match parts.next().unwrap_or_default() {
        "near" => {
            let (mut min, mut max, mut count) = (None, None, 0);
            for part in parts.by_ref() {
                let (name, metres) = part.split_once("==").ok_or_else(|| bad("`near` takes maxDistance==METRES or minDistance==METRES"))?;
                let metres: f64 = metres.parse().ok().filter(|m: &f64| m.is_finite() && *m > 0.0).ok_or_else(|| bad("a distance is a number of metres, greater than 0"))?;
                let slot = match name {
                    "maxDistance" => &mut max,
                    "minDistance" => &mut min,
                    _ => return Err(bad("`near` knows only maxDistance and minDistance")),
                };
                *slot = Some(metres);
                count += 1;
            }
            if count != 1 {
                return Err(bad("`near` takes one distance"));
            }
            GeoRel::Near { min, max }
        }
        "within" => GeoRel::Within,
        "contains" => GeoRel::Contains,
        "intersects" => GeoRel::Intersects,
        "equals" => GeoRel::Equals,
        "disjoint" => GeoRel::Disjoint,
        "overlaps" => GeoRel::Overlaps,
        _ => return Err(bad("this is no geo relation")),
    };
    if parts.next().is_some() { Err(bad("only `near` takes a modifier")) } else { Ok(rel) }
}
