//! Linked Entity retrieval (clause 4.5.23): the Entities that Relationships point to, put in their place or behind the others. Each is
//! asked of the hub by itself, so that the caller gets what she may see of it and no more.

use super::call::{Call, keep};
use super::hub::BoxFuture;
use crate::encode::Shape;
use crate::negotiate::Media;
use crate::problem;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use waybill_context::{ContextPlace, Format};
use waybill_http::AsLongAs;
use waybill_model::{AttributeKind, EntityDoc, Iri, Problem, ProblemCode, with_member};
use waybill_query::{EntityQuery, Projection, Q};

/// The most linked Entities of one answer.
const MOST: usize = 1000;
/// The deepest level.
const DEEPEST: usize = 8;

/// How linked Entities are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Join {
    inline: bool,
    /// 0 when none are wanted.
    levels: usize,
    /// Entities that are not shown again.
    contained_by: BTreeSet<String>,
}

impl Join {
    /// Reads join, joinLevel and containedBy.
    ///
    /// # Errors
    /// 400 for values that are none.
    pub(super) fn read(join: Option<&str>, level: Option<&str>, contained_by: Option<&str>) -> Result<Self, Problem> {
        let bad = |name: &str, what: &str| problem::bad_data("bad-join", what).at(name).help("Write join=inline or join=flat, and joinLevel=1 or more.");
        let asked = match join {
            None | Some("@none") => None,
            Some("inline") => Some(true),
            Some("flat") => Some(false),
            Some(_) => return Err(bad("join", "this is inline, flat or @none")),
        };
        let levels = match level {
            None => 1,
            Some(text) => text.parse::<usize>().ok().filter(|n| *n > 0).ok_or_else(|| bad("joinLevel", "this is a whole number, greater than 0"))?,
        };
        if levels > DEEPEST {
            return Err(bad("joinLevel", &format!("at most {DEEPEST} levels are followed")));
        }
        let contained_by = contained_by.into_iter().flat_map(|t| t.split(',')).map(str::to_owned).collect();
        Ok(Self { inline: asked == Some(true), levels: if asked.is_some() { levels } else { 0 }, contained_by })
    }

    /// Refuses what goes deeper into linked Entities than they are joined.
    ///
    /// # Errors
    /// 400; 422 for a filter on linked Entities.
    pub(super) fn check(&self, query: &EntityQuery) -> Result<(), Problem> {
        let linked = query.q.as_ref().is_some_and(Q::follows_links);
        if query.projection.depth() > self.levels || (linked && query.q.as_ref().is_some_and(|q| q.link_depth() > self.levels)) {
            return Err(problem::bad_data("linked-without-join", "the query goes deeper into linked entities than `join` and `joinLevel` do").at("join").help("Raise joinLevel, or query the linked entities by themselves."));
        }
        if linked {
            return Err(problem::not_supported("not-offered", "this hub does not filter by linked entities").at("q").help("Query the linked entities by themselves."));
        }
        Ok(())
    }

    pub(super) fn is_none(&self) -> bool {
        self.levels == 0
    }
}

fn too_much(what: &str) -> Problem {
    Problem::new(ProblemCode("query-too-complex"), 403, "The query is too complex", what).of_type(format!("{}TooComplexQuery", problem::ERRORS)).help("Ask for fewer levels or entities.")
}

/// One answer in the making.
struct Work<'a> {
    call: &'a Call,
    shape: &'a Shape,
    asked: AtomicUsize,
    /// Under which conditions what was joined may be sent on.
    as_long_as: Mutex<Vec<AsLongAs>>,
}

/// The body with linked Entities, and under which conditions those may be sent on; `one` for a single Entity, which stays one unless the others
/// stand behind it.
pub(super) async fn body(call: &Call, shape: &Shape, join: &Join, docs: &[EntityDoc], one: bool) -> Result<(Vec<u8>, Vec<AsLongAs>), Problem> {
    if shape.media == Media::GeoJson {
        return Err(problem::not_supported("not-offered", "GeoJSON has no place for linked entities").at("join").help("Accept application/json."));
    }
    let work = Work { call, shape, asked: AtomicUsize::new(0), as_long_as: Mutex::default() };
    let parts = if join.inline {
        let mut parts = Vec::new();
        for doc in docs {
            let mut above = join.contained_by.clone();
            above.insert(doc.id().to_owned());
            parts.push(work.inline(doc, &shape.projection, join.levels, above, shape.place()).await?);
        }
        parts
    } else {
        work.flat(docs, join).await?
    };
    let body = match (parts.as_slice(), one) {
        ([part], true) => part.clone(),
        _ => format!("[{}]", parts.join(",")),
    };
    Ok((body.into_bytes(), work.as_long_as.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// The targets of an instance, in order.
fn targets(instance: &str) -> Vec<String> {
    let Ok(Value::Object(members)) = serde_json::from_str(instance) else { return Vec::new() };
    let text = |v: &Value| v.as_str().or_else(|| v.get("object").and_then(Value::as_str)).map(str::to_owned);
    match members.get("object").or_else(|| members.get("objectList")) {
        Some(Value::Array(list)) => list.iter().filter_map(text).collect(),
        Some(other) => text(other).into_iter().collect(),
        None => Vec::new(),
    }
}

impl Work<'_> {
    /// A linked Entity as the caller may see it, or nothing.
    async fn linked(&self, id: &str, projection: &Projection) -> Result<Option<EntityDoc>, Problem> {
        if self.asked.fetch_add(1, Ordering::Relaxed) >= MOST {
            return Err(too_much(&format!("more than {MOST} linked entities")).at("join"));
        }
        let Ok(id) = Iri::new(id) else { return Ok(None) };
        match self.call.hub.retrieve(&self.call.scope, &id, keep(projection)).await {
            Ok(answer) => {
                self.as_long_as.lock().unwrap_or_else(PoisonError::into_inner).extend(answer.as_long_as);
                Ok(answer.docs.into_iter().next().filter(|doc| projection.wants(doc)))
            }
            Err(problem) if problem.status == 404 => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// The Relationships of `doc` that are shown.
    fn relationships<'d>(doc: &'d EntityDoc, projection: &Projection) -> Vec<&'d str> {
        let kind = |k| matches!(k, AttributeKind::Relationship | AttributeKind::ListRelationship);
        let mut names: Vec<&str> = doc.spans().iter().filter(|s| kind(s.kind)).map(|s| doc.name(s)).filter(|n| projection.keeps_attribute(n) && *n != waybill_model::TAG_NAME).collect();
        names.dedup();
        names
    }

    fn inline<'w>(&'w self, doc: &'w EntityDoc, projection: &'w Projection, levels: usize, above: BTreeSet<String>, place: ContextPlace) -> BoxFuture<'w, Result<String, Problem>> {
        Box::pin(async move {
            let shape = Shape { projection: projection.clone(), ..self.shape.clone() };
            let text = shape.text(doc, place);
            if levels == 0 {
                return Ok(text);
            }
            let mut terms = std::collections::BTreeMap::new();
            for name in Self::relationships(doc, projection) {
                terms.insert(shape.context.compact(name).into_owned(), projection.nested(name));
            }
            let mut out = String::from("{");
            for (i, (name, raw)) in ordered(&text).into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                let value = match terms.get(&name) {
                    Some(inner) => self.attribute(raw, inner, levels, &above).await?,
                    None => raw.to_owned(),
                };
                let _ = write!(out, "{}:{value}", Value::String(name));
            }
            out.push('}');
            Ok(out)
        })
    }

    /// The text of a Relationship with its linked Entities.
    async fn attribute(&self, raw: &str, projection: &Projection, levels: usize, above: &BTreeSet<String>) -> Result<String, Problem> {
        if self.shape.format == Format::Simplified {
            let Ok(value) = serde_json::from_str::<Value>(raw) else { return Ok(raw.to_owned()) };
            return match value {
                Value::String(id) => Ok(self.nested(&id, projection, levels, above).await?.unwrap_or_else(|| raw.to_owned())),
                Value::Array(list) => {
                    let mut parts = Vec::new();
                    for item in list {
                        let nested = match item.as_str() {
                            Some(id) => self.nested(id, projection, levels, above).await?,
                            None => None,
                        };
                        parts.push(nested.unwrap_or_else(|| item.to_string()));
                    }
                    Ok(format!("[{}]", parts.join(",")))
                }
                _ => Ok(raw.to_owned()),
            };
        }
        if raw.starts_with('[') {
            let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(raw) else { return Ok(raw.to_owned()) };
            let mut parts = Vec::new();
            for item in list {
                parts.push(self.instance(item.get(), projection, levels, above).await?);
            }
            return Ok(format!("[{}]", parts.join(",")));
        }
        self.instance(raw, projection, levels, above).await
    }

    async fn instance(&self, raw: &str, projection: &Projection, levels: usize, above: &BTreeSet<String>) -> Result<String, Problem> {
        let mut found = Vec::new();
        for id in targets(raw) {
            found.extend(self.nested(&id, projection, levels, above).await?);
        }
        let list = raw.contains("\"objectList\"");
        Ok(match found.as_slice() {
            [] => raw.to_owned(),
            many if list => with_member(raw, &format!("\"entityList\":[{}]", many.join(","))),
            [one] => with_member(raw, &format!("\"entity\":{one}")),
            many => with_member(raw, &format!("\"entity\":[{}]", many.join(","))),
        })
    }

    async fn nested(&self, id: &str, projection: &Projection, levels: usize, above: &BTreeSet<String>) -> Result<Option<String>, Problem> {
        if above.contains(id) {
            return Ok(None);
        }
        let Some(doc) = self.linked(id, projection).await? else { return Ok(None) };
        let mut above = above.clone();
        above.insert(id.to_owned());
        self.inline(&doc, projection, levels - 1, above, ContextPlace::Outside).await.map(Some)
    }

    async fn flat(&self, docs: &[EntityDoc], join: &Join) -> Result<Vec<String>, Problem> {
        let mut seen: BTreeSet<String> = docs.iter().map(|d| d.id().to_owned()).chain(join.contained_by.iter().cloned()).collect();
        let mut level: Vec<(EntityDoc, Projection)> = docs.iter().map(|d| (d.clone(), self.shape.projection.clone())).collect();
        let mut parts = Vec::new();
        for depth in 0..=join.levels {
            let mut next = Vec::new();
            for (doc, projection) in &level {
                let shape = Shape { projection: projection.clone(), ..self.shape.clone() };
                parts.push(shape.text(doc, self.shape.place()));
                if depth == join.levels {
                    continue;
                }
                for name in Self::relationships(doc, projection) {
                    let inner = projection.nested(name);
                    let ids: Vec<String> = doc.instances_of(name).flat_map(|s| targets(doc.instance(s))).collect();
                    for id in ids {
                        if seen.insert(id.clone())
                            && let Some(found) = self.linked(&id, &inner).await?
                        {
                            next.push((found, inner.clone()));
                        }
                    }
                }
            }
            level = next;
        }
        Ok(parts)
    }
}

/// The members of an object in their order.
fn ordered(text: &str) -> Vec<(String, &str)> {
    struct V;
    impl<'de> serde::de::Visitor<'de> for V {
        type Value = Vec<(String, &'de str)>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut out = Vec::new();
            while let Some((name, raw)) = map.next_entry::<String, &'de RawValue>()? {
                out.push((name, raw.get()));
            }
            Ok(out)
        }
    }
    serde::Deserializer::deserialize_map(&mut serde_json::Deserializer::from_str(text), V).unwrap_or_default()
}
