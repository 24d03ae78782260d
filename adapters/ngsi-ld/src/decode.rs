//! From parameters and query bodies to an [`EntityQuery`]; from a simplified merge body to a fragment.

use crate::problem;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use waybill_context::{Context, Document, Fragment, Nulls, Options};
use waybill_model::{AttributeKind, EntityDoc, Iri, NGSI_LD_NULL, Problem};
use waybill_query::{DatasetIds, EntityQuery, EntitySelector, GeoQuery, Geometry, MAX_LIMIT, OrderBy, Pattern, Projection, Q, QOptions, ScopeQuery, TypeSelection};

/// One element of `entities` in a query or a subscription (clause 5.2.8, 5.2.33).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SelectorTexts {
    /// `id`.
    pub ids: Vec<String>,
    /// `idPattern`.
    pub id_pattern: Option<String>,
    /// `type`, a type selection.
    pub types: Option<String>,
}

impl SelectorTexts {
    /// Reads the element `value`, which stands at `place`.
    ///
    /// # Errors
    /// 400 with the place of what is wrong.
    pub fn read(value: &Value, place: &str) -> Result<Self, Problem> {
        let bad = |member: &str, what: &str| problem::bad_data("bad-selector", what).at(format!("{place}/{member}")).help("An element has `type`, and may have `id` (a URI or several) or `idPattern`.");
        let map = value.as_object().ok_or_else(|| problem::bad_data("bad-selector", "an element of `entities` is an object").at(place))?;
        let text = |name: &str| match map.get(name) {
            None => Ok(None),
            Some(Value::String(s)) => Ok(Some(s.clone())),
            Some(_) => Err(bad(name, "this is a string")),
        };
        let ids = match map.get("id") {
            None => Vec::new(),
            Some(Value::String(id)) => vec![id.clone()],
            Some(Value::Array(list)) if !list.is_empty() => {
                list.iter().map(|v| v.as_str().map(str::to_owned).ok_or_else(|| bad("id", "an id is a URI"))).collect::<Result<_, _>>()?
            }
            Some(_) => return Err(bad("id", "this is a URI or an array of URIs")),
        };
        if ids.iter().any(|id| !Iri::is_valid(id)) {
            return Err(bad("id", "an id is no URI"));
        }
        let types = match map.get("type") {
            // An array of names is an older form; one of them suffices.
            Some(Value::Array(list)) if !list.is_empty() && list.iter().all(Value::is_string) => {
                Some(list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","))
            }
            _ => text("type")?,
        };
        if let Some(name) = map.keys().find(|k| !matches!(k.as_str(), "id" | "idPattern" | "type")) {
            return Err(bad(name, "an element has no such member"));
        }
        Ok(Self { ids, id_pattern: text("idPattern")?, types })
    }

    /// The selector, its names expanded by `x`.
    ///
    /// # Errors
    /// 400 or 403, with the place.
    pub fn build(&self, x: &dyn Fn(&str) -> String) -> Result<EntitySelector, Problem> {
        Ok(EntitySelector {
            ids: self.ids.clone(),
            id_pattern: self.id_pattern.as_deref().map(|t| Pattern::parse("idPattern", t)).transpose()?,
            types: self.types.as_deref().map(|t| TypeSelection::parse(t, &x)).transpose()?,
        })
    }
}

/// The texts of a query, from wherever they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub struct QueryTexts {
    pub entities: Vec<SelectorTexts>,
    pub q: Option<String>,
    pub expand_values: Option<String>,
    pub georel: Option<String>,
    pub geometry: Option<String>,
    pub coordinates: Option<String>,
    pub geoproperty: Option<String>,
    pub scope_q: Option<String>,
    pub attrs: Option<String>,
    pub pick: Option<String>,
    pub omit: Option<String>,
    pub dataset_id: Option<String>,
    pub order_by: Option<String>,
    pub order_from: Option<String>,
    pub order_geometry: Option<String>,
    pub collation: Option<String>,
}

impl QueryTexts {
    /// The query, its names expanded by `x`.
    ///
    /// # Errors
    /// 400 for what is wrong, 403 for what is too complex, with the parameter.
    pub fn build(&self, x: &dyn Fn(&str) -> String) -> Result<EntityQuery, Problem> {
        let mut query = EntityQuery::new();
        query.selectors = self.entities.iter().map(|s| s.build(x)).collect::<Result<_, _>>()?;
        let expand_values = self.expand_values.iter().flat_map(|t| t.split(',')).map(x).collect();
        query.q = self.q.as_deref().map(|t| Q::parse_with(t, &x, &QOptions { expand_values })).transpose()?;
        query.geo = self.geo(x)?;
        query.scope = self.scope_q.as_deref().map(ScopeQuery::parse).transpose()?;
        query.projection = Projection::parse(self.pick.as_deref(), self.omit.as_deref(), self.attrs.as_deref(), &x)?;
        query.datasets = self.dataset_id.as_deref().map(DatasetIds::parse).transpose()?.unwrap_or_default();
        if let Some(text) = &self.order_by {
            let from = self.order_from.as_deref().map(|c| Geometry::parse(self.order_geometry.as_deref().unwrap_or("Point"), c)).transpose()?;
            let mut order = OrderBy::parse(text, from, &x)?;
            order.collated = self.collation.is_some();
            query.order = Some(order);
        }
        Ok(query)
    }

    fn geo(&self, x: &dyn Fn(&str) -> String) -> Result<Option<GeoQuery>, Problem> {
        let missing = |name: &str| problem::bad_data("incomplete-geo-query", format!("a geo-query needs `{name}`")).at(name).help("Give georel, geometry and coordinates together.");
        match (&self.georel, &self.geometry, &self.coordinates) {
            (None, None, None) if self.geoproperty.is_none() => Ok(None),
            (None, ..) => Err(missing("georel")),
            (_, None, _) => Err(missing("geometry")),
            (.., None) => Err(missing("coordinates")),
            (Some(rel), Some(kind), Some(at)) => Ok(Some(GeoQuery::parse(rel, kind, at, self.geoproperty.as_deref(), &x)?)),
        }
    }
}

/// Reads limit, offset and count into `query`.
///
/// # Errors
/// 400 for what is no number or a limit of 0 without count; 403 for a limit beyond what the hub gives.
pub(crate) fn paging(query: &mut EntityQuery, get: impl Fn(&str) -> Result<Option<String>, Problem>, count: bool) -> Result<(), Problem> {
    let number = |name: &str| -> Result<Option<usize>, Problem> {
        get(name)?
            .map(|text| {
                text.parse::<u32>().map(|n| n as usize).map_err(|_| problem::bad_data("bad-paging", "this parameter is a whole number, not negative").at(name).help("Write limit=20&offset=0."))
            })
            .transpose()
    };
    query.count = count;
    if let Some(limit) = number("limit")? {
        if limit == 0 && !count {
            return Err(problem::bad_data("bad-paging", "a limit of 0 makes sense only with count=true").at("limit").help("Add count=true, or ask for at least one."));
        }
        if limit > MAX_LIMIT {
            return Err(Problem::new(waybill_model::ProblemCode("page-too-large"), 403, "Too many results", format!("a page has at most {MAX_LIMIT} entities"))
                .of_type(format!("{}TooManyResults", problem::ERRORS))
                .at("limit")
                .help(format!("Ask for at most {MAX_LIMIT} and follow the Link to the next page.")));
        }
        query.limit = limit;
    }
    query.offset = number("offset")?.unwrap_or(0);
    Ok(())
}

/// A body of `POST /entityOperations/query` (clause 5.2.23), but for its paging and representation.
///
/// # Errors
/// 400 with a JSON Pointer to what is wrong.
pub(crate) fn query_body(body: &Value) -> Result<QueryTexts, Problem> {
    let wrong = |place: &str, what: &str| problem::bad_data("bad-query", what).at(place).help("See the data type Query, clause 5.2.23.");
    let map = body.as_object().ok_or_else(|| wrong("", "a query is an object"))?;
    if map.get("type").and_then(Value::as_str) != Some("Query") {
        return Err(wrong("/type", "the type of a query is `Query`"));
    }
    let text = |name: &str| match map.get(name) {
        None => Ok(None),
        Some(Value::String(s)) => Ok(Some(s.clone())),
        Some(_) => Err(wrong(&format!("/{name}"), "this is a string")),
    };
    let list = |name: &str| match map.get(name) {
        None => Ok(None),
        Some(Value::String(s)) => Ok(Some(s.clone())),
        Some(Value::Array(items)) if !items.is_empty() && items.iter().all(Value::is_string) => {
            Ok(Some(items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")))
        }
        Some(_) => Err(wrong(&format!("/{name}"), "this is an array of names, not empty")),
    };
    let known = [
        "type", "id", "@context", "entities", "q", "geoQ", "scopeQ", "attrs", "pick", "omit", "datasetId", "lang", "expandValues", "jsonKeys", "join", "joinLevel", "containedBy", "ordering",
        "splitEntities", "csf", "temporalQ", "aggrParams",
    ];
    if let Some(name) = map.keys().find(|k| !known.contains(&k.as_str())) {
        return Err(wrong(&format!("/{}", problem::escape(name)), "a query has no such member"));
    }
    if map.contains_key("temporalQ") || map.contains_key("aggrParams") {
        return Err(wrong("/temporalQ", "a temporal query is for the temporal interface"));
    }
    if let Some(csf) = text("csf")? {
        Q::parse(&csf, &waybill_query::NoContext).map_err(|e| Problem::from(e).at("/csf"))?;
    }
    if map.contains_key("csf") {
        return Err(problem::not_supported("not-offered", "this hub does not offer `csf` in a query").at("/csf"));
    }
    let mut out = QueryTexts { q: text("q")?, scope_q: text("scopeQ")?, attrs: list("attrs")?, pick: list("pick")?, omit: list("omit")?, ..QueryTexts::default() };
    out.dataset_id = list("datasetId")?;
    out.expand_values = list("expandValues")?;
    match map.get("entities") {
        None => {}
        Some(Value::Array(items)) if !items.is_empty() => {
            out.entities = items.iter().enumerate().map(|(i, v)| SelectorTexts::read(v, &format!("/entities/{i}"))).collect::<Result<_, _>>()?;
        }
        Some(_) => return Err(wrong("/entities", "`entities` is an array, not empty")),
    }
    if let Some(geo) = map.get("geoQ") {
        geo_query(geo, "/geoQ", &mut out)?;
    }
    if let Some(order) = map.get("ordering") {
        let order_text = |name: &str| match order.get(name) {
            None => Ok(None),
            Some(Value::String(s)) => Ok(Some(s.clone())),
            Some(_) => Err(wrong(&format!("/ordering/{name}"), "this is a string")),
        };
        if let Some(tag) = order_text("collation")? {
            crate::server::entities::collation(&tag, "/ordering/collation")?;
            out.collation = Some(tag);
        }
        out.order_by = match order.get("orderBy") {
            Some(Value::Array(items)) => Some(items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")),
            other => other.and_then(Value::as_str).map(str::to_owned),
        };
        out.order_from = match order.get("coordinates") {
            None => None,
            Some(at @ Value::Array(_)) => Some(at.to_string()),
            Some(_) => return Err(wrong("/ordering/coordinates", "this is an array")),
        };
        out.order_geometry = order_text("geometry")?;
    }
    Ok(out)
}

/// A GeoQuery object (clause 5.2.13).
pub(crate) fn geo_query(geo: &Value, place: &str, out: &mut QueryTexts) -> Result<(), Problem> {
    let wrong = |name: &str, what: &str| problem::bad_data("bad-geo-query", what).at(format!("{place}/{name}")).help("Give geometry, coordinates and georel.");
    let map = geo.as_object().ok_or_else(|| problem::bad_data("bad-geo-query", "a geo-query is an object").at(place))?;
    let text = |name: &str| match map.get(name) {
        None => Ok(None),
        Some(Value::String(s)) => Ok(Some(s.clone())),
        Some(_) => Err(wrong(name, "this is a string")),
    };
    out.georel = text("georel")?;
    out.geometry = text("geometry")?;
    out.geoproperty = text("geoproperty")?;
    out.coordinates = match map.get("coordinates") {
        // Older clients send the array as a string.
        Some(Value::String(s)) => Some(s.clone()),
        Some(v @ Value::Array(_)) => Some(v.to_string()),
        Some(_) => return Err(wrong("coordinates", "this is an array")),
        None => None,
    };
    Ok(())
}

/// Decodes the simplified body of a merge: each value becomes one of the kind its Attribute has now (clause 5.6.17).
///
/// # Errors
/// 400 with the place.
pub(crate) fn simplified_fragment(body: &[u8], context: &Context, current: &EntityDoc, lang: Option<&str>, options: &Options) -> Result<Fragment, Problem> {
    // What the document is was checked when the @context was read from it.
    let members: BTreeMap<&str, &RawValue> = Deserialize::deserialize(&mut serde_json::Deserializer::from_slice(body))
        .map_err(|_| problem::bad_data("wrong-json-type", "a fragment is an object, and its names have no escapes"))?;
    let mut parts: Vec<String> = Vec::with_capacity(members.len());
    for (name, raw) in members {
        let iri = context.expand(name);
        let kind = current.instances_of(&iri).next().map(|s| s.kind);
        let reserved = iri.starts_with('@') || matches!(name, "id" | "type" | "scope" | "expiresAt");
        let value = if reserved { raw.get().to_owned() } else { wrapped(kind, raw.get(), lang) };
        parts.push(format!("{}:{value}", Value::String(name.to_owned())));
    }
    let text = format!("{{{}}}", parts.join(","));
    let document = Document::read(text.as_bytes(), waybill_context::DEPTH)?;
    Ok(document.root().fragment(context, &options.nulls(Nulls::Deep))?)
}

fn wrapped(kind: Option<AttributeKind>, raw: &str, lang: Option<&str>) -> String {
    let marker = raw.trim_matches('"') == NGSI_LD_NULL;
    let map = raw.starts_with('{');
    match kind {
        _ if marker => raw.to_owned(),
        Some(AttributeKind::LanguageProperty) if !map => format!("{{\"languageMap\":{{{}:{raw}}}}}", Value::String(lang.unwrap_or("@none").to_owned())),
        Some(AttributeKind::LanguageProperty | AttributeKind::VocabProperty | AttributeKind::JsonProperty) if map && sole_value_member(raw) => raw.to_owned(),
        Some(AttributeKind::ListRelationship) => {
            let items: Vec<Value> = serde_json::from_str(raw).unwrap_or_default();
            let items: Vec<Value> = items.into_iter().map(|v| if v.is_string() { serde_json::json!({ "object": v }) } else { v }).collect();
            format!("{{\"objectList\":{}}}", Value::Array(items))
        }
        Some(AttributeKind::GeoProperty) => format!("{{\"type\":\"GeoProperty\",\"value\":{raw}}}"),
        Some(kind) => format!("{{\"type\":\"{}\",\"{}\":{raw}}}", kind.as_str(), kind.value_member()),
        None => format!("{{\"value\":{raw}}}"),
    }
}

fn sole_value_member(raw: &str) -> bool {
    let read: Result<BTreeMap<String, &RawValue>, _> = serde_json::from_str(raw);
    read.is_ok_and(|m| m.len() == 1 && m.keys().all(|k| matches!(k.as_str(), "languageMap" | "vocab" | "json")))
}
