//! The entities of one tenant and what may be done with them.

use super::answers::{Refusal, Responder, json};
use crate::net::{Reply, Request, bare, put};
use http::StatusCode;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const NULL: &str = "urn:ngsi-ld:null";

/// What happened to an entity, for the subscriptions.
pub(super) struct Change {
    pub before: Option<Value>,
    pub after: Option<Value>,
}

#[derive(Default)]
pub(super) struct Store {
    entities: BTreeMap<String, Value>,
    changes: Vec<Change>,
}

/// What a query asks for, wherever it stood.
#[derive(Default)]
struct Wanted {
    ids: Vec<String>,
    types: Vec<String>,
    attributes: Vec<String>,
}

impl Store {
    pub fn all(&self) -> impl Iterator<Item = &Value> {
        self.entities.values()
    }
    pub fn get(&self, id: &str) -> Option<&Value> {
        self.entities.get(id)
    }
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    fn put(&mut self, id: &str, entity: Value) {
        let before = self.entities.insert(id.to_owned(), entity.clone());
        self.changes.push(Change { before, after: Some(entity) });
    }
    pub fn put_from_outside(&mut self, entity: &Value) {
        if let Ok(entity) = super::names::Names::default().expand_entity(entity) {
            let id = entity["id"].as_str().unwrap_or_default().to_owned();
            self.put(&id, entity);
        }
    }
    fn remove(&mut self, id: &str) -> bool {
        let before = self.entities.remove(id);
        let was = before.is_some();
        if was {
            self.changes.push(Change { before, after: None });
        }
        was
    }
    fn held(&self, id: &str) -> Result<&Value, Refusal> {
        self.entities.get(id).ok_or_else(|| Refusal::missing(id))
    }

    /// Takes away what expired before `now` (seconds), as a broker of the expiring class does.
    pub fn forget_expired(&mut self, now: i64) {
        let over = |holder: &Value| holder.get("expiresAt").and_then(Value::as_str).and_then(seconds).is_some_and(|at| at <= now);
        self.entities.retain(|_, e| !over(e));
        for members in self.entities.values_mut().filter_map(Value::as_object_mut) {
            members.retain(|_, attribute| !over(attribute));
            for instances in members.values_mut().filter_map(Value::as_array_mut) {
                instances.retain(|i| !over(i));
            }
        }
    }

    pub fn create(&mut self, responder: &Responder) -> Result<Reply, Refusal> {
        let entity = responder.names.expand_entity(responder.body()?).map_err(Refusal::bad)?;
        let id = id_of(&entity)?;
        if entity.get("type").is_none() {
            return Err(Refusal::bad("an entity needs a type"));
        }
        if self.entities.contains_key(&id) {
            return Err(Refusal::new(StatusCode::CONFLICT, "AlreadyExists", format!("{id} is stored already")));
        }
        self.put(&id, entity);
        let mut answer = bare(StatusCode::CREATED);
        put(&mut answer, "location", &format!("/ngsi-ld/v1/entities/{id}"));
        Ok(answer)
    }

    pub fn retrieve(&self, id: &str, request: &Request, responder: &Responder) -> Result<Reply, Refusal> {
        let stored = self.held(id)?;
        let wanted = Wanted { attributes: names_in(request, responder), ..Wanted::default() };
        let shown = wanted.project(stored);
        if !wanted.attributes.is_empty() && !wanted.attributes.iter().any(|a| shown.get(a).is_some()) {
            return Err(Refusal::missing(id));
        }
        Ok(responder.ok(&responder.entity(&shown)))
    }

    pub fn replace(&mut self, id: &str, responder: &Responder) -> Result<Reply, Refusal> {
        self.held(id)?;
        let entity = responder.names.expand_entity(&with_id(responder.body()?, id)).map_err(Refusal::bad)?;
        self.put(id, entity);
        Ok(bare(StatusCode::NO_CONTENT))
    }

    pub fn merge(&mut self, id: &str, responder: &Responder) -> Result<Reply, Refusal> {
        let mut entity = self.held(id)?.clone();
        let fragment = responder.names.expand_entity(&with_id(responder.body()?, id)).map_err(Refusal::bad)?;
        merge(&mut entity, &fragment);
        self.put(id, entity);
        Ok(bare(StatusCode::NO_CONTENT))
    }

    pub fn delete(&mut self, id: &str) -> Result<Reply, Refusal> {
        if self.remove(id) { Ok(bare(StatusCode::NO_CONTENT)) } else { Err(Refusal::missing(id)) }
    }

    pub fn set_attributes(&mut self, id: &str, request: &Request, responder: &Responder) -> Result<Reply, Refusal> {
        let mut entity = self.held(id)?.clone();
        let fragment = responder.names.expand_entity(&with_id(responder.body()?, id)).map_err(Refusal::bad)?;
        let overwrite = request.parameter("options") != Some("noOverwrite");
        append(&mut entity, &fragment, overwrite);
        self.put(id, entity);
        Ok(bare(StatusCode::NO_CONTENT))
    }

    pub fn set_attribute(&mut self, id: &str, name: &str, request: &Request, responder: &Responder) -> Result<Reply, Refusal> {
        let mut entity = self.held(id)?.clone();
        let name = responder.names.expand(name);
        if entity.get(&name).is_none() {
            return Err(Refusal::missing(&name));
        }
        let new = responder.names.expand_attribute(responder.body()?);
        if let Some(members) = entity.as_object_mut() {
            match members.get_mut(&name) {
                Some(old) if request.method == http::Method::PATCH => merge(old, &new),
                _ => {
                    members.insert(name, new);
                }
            }
        }
        self.put(id, entity);
        Ok(bare(StatusCode::NO_CONTENT))
    }

    pub fn delete_attribute(&mut self, id: &str, name: &str, responder: &Responder) -> Result<Reply, Refusal> {
        let mut entity = self.held(id)?.clone();
        let name = responder.names.expand(name);
        if entity.as_object_mut().and_then(|m| m.remove(&name)).is_none() {
            return Err(Refusal::missing(&name));
        }
        self.put(id, entity);
        Ok(bare(StatusCode::NO_CONTENT))
    }

    pub fn batch(&mut self, operation: &str, request: &Request, responder: &Responder) -> Result<Reply, Refusal> {
        let items = responder.body()?.as_array().filter(|a| !a.is_empty()).ok_or_else(|| Refusal::bad("a batch is an array that is not empty"))?;
        let update = request.parameter("options") == Some("update");
        let (mut created, mut done, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for item in items {
            let outcome = match operation {
                "delete" => self.batch_delete(item),
                _ => self.batch_put(operation, update, item, responder),
            };
            match outcome {
                Ok((id, new)) => {
                    if new {
                        created.push(Value::from(id.clone()));
                    }
                    done.push(Value::from(id));
                }
                Err((id, status, kind)) => errors.push(json!({"entityId": id, "error": {
                    "type": format!("https://uri.etsi.org/ngsi-ld/errors/{kind}"), "title": kind, "status": status
                }})),
            }
        }
        if !errors.is_empty() {
            return Ok(json(StatusCode::MULTI_STATUS, &json!({"success": done, "errors": errors})));
        }
        Ok(match operation {
            "create" | "upsert" if !created.is_empty() => json(StatusCode::CREATED, &Value::Array(created)),
            _ => bare(StatusCode::NO_CONTENT),
        })
    }

    fn batch_delete(&mut self, item: &Value) -> Result<(String, bool), (String, u16, &'static str)> {
        let id = item.as_str().unwrap_or_default().to_owned();
        if self.remove(&id) { Ok((id, false)) } else { Err((id, 404, "ResourceNotFound")) }
    }

    fn batch_put(
        &mut self,
        operation: &str,
        update: bool,
        item: &Value,
        responder: &Responder,
    ) -> Result<(String, bool), (String, u16, &'static str)> {
        let Ok(entity) = responder.names.expand_entity(item) else {
            return Err((item.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(), 400, "BadRequestData"));
        };
        let id = entity["id"].as_str().unwrap_or_default().to_owned();
        let before = self.entities.get(&id).cloned();
        let is_new = before.is_none();
        let after = match (operation, before) {
            ("create", Some(_)) => return Err((id, 409, "AlreadyExists")),
            ("update" | "merge", None) => return Err((id, 404, "ResourceNotFound")),
            ("merge", Some(mut old)) => {
                merge(&mut old, &entity);
                old
            }
            ("update", Some(mut old)) => {
                append(&mut old, &entity, true);
                old
            }
            ("upsert", Some(mut old)) if update => {
                append(&mut old, &entity, true);
                old
            }
            ("create" | "upsert", _) => entity,
            _ => return Err((id, 422, "OperationNotSupported")),
        };
        self.put(&id, after);
        Ok((id, is_new))
    }

    /// The names of the types that are there (clause 5.7.5).
    pub fn types(&self, responder: &Responder) -> Reply {
        let names: std::collections::BTreeSet<String> =
            self.entities.values().flat_map(|e| strings(e.get("type"))).map(|t| responder.names.compact(&t)).collect();
        responder.ok(&json!({"id": "urn:ngsi-ld:EntityTypeList:1", "type": "EntityTypeList", "typeList": names}))
    }

    pub fn query(&self, request: &Request, responder: &Responder) -> Result<Reply, Refusal> {
        for other in ["q", "georel", "scopeQ", "idPattern", "csf", "pick", "omit", "orderBy"] {
            if request.parameter(other).is_some() {
                return Err(Refusal::unsupported(other));
            }
        }
        let list = |name: &str| -> Vec<String> {
            request.parameter(name).map(|v| v.split([',', '|']).map(str::to_owned).collect()).unwrap_or_default()
        };
        let wanted = Wanted {
            ids: list("id"),
            types: list("type").iter().map(|t| responder.names.expand(t)).collect(),
            attributes: names_in(request, responder),
        };
        if wanted.types.is_empty() && wanted.attributes.is_empty() && request.parameter("local") != Some("true") {
            return Err(Refusal::bad("too wide: name a type or an attribute"));
        }
        self.page(&[wanted], request, responder)
    }

    pub fn query_by_body(&self, request: &Request, responder: &Responder) -> Result<Reply, Refusal> {
        let body = responder.body()?;
        for other in ["q", "geoQ", "scopeQ", "pick", "omit"] {
            if body.get(other).is_some() {
                return Err(Refusal::unsupported(other));
            }
        }
        let attributes: Vec<String> = strings(body.get("attrs")).iter().map(|a| responder.names.expand(a)).collect();
        let mut wanted = Vec::new();
        for selector in body.get("entities").and_then(Value::as_array).into_iter().flatten() {
            wanted.push(Wanted {
                ids: strings(selector.get("id")),
                types: strings(selector.get("type")).iter().flat_map(|t| t.split([',', '|'])).map(|t| responder.names.expand(t)).collect(),
                attributes: attributes.clone(),
            });
        }
        if wanted.is_empty() {
            wanted.push(Wanted { attributes, ..Wanted::default() });
        }
        self.page(&wanted, request, responder)
    }

    fn page(&self, wanted: &[Wanted], request: &Request, responder: &Responder) -> Result<Reply, Refusal> {
        let number = |name: &str, otherwise: usize| match request.parameter(name) {
            None => Ok(otherwise),
            Some(text) => text.parse().map_err(|_| Refusal::bad(format!("{name} is not a number"))),
        };
        let (limit, offset) = (number("limit", 20)?, number("offset", 0)?);
        let hits: Vec<Value> =
            self.entities.values().filter_map(|e| wanted.iter().find(|w| w.matches(e)).map(|w| responder.entity(&w.project(e)))).collect();
        let page: Vec<Value> = hits.iter().skip(offset).take(limit).cloned().collect();
        let mut answer = responder.ok(&Value::Array(page));
        if request.parameter("count") == Some("true") {
            put(&mut answer, "ngsild-results-count", &hits.len().to_string());
        }
        Ok(answer)
    }
}

impl Wanted {
    fn matches(&self, entity: &Value) -> bool {
        let id = entity.get("id").and_then(Value::as_str).unwrap_or_default();
        let types = strings(entity.get("type"));
        (self.ids.is_empty() || self.ids.iter().any(|i| i == id))
            && (self.types.is_empty() || self.types.iter().any(|t| t == "*" || types.contains(t)))
            && (self.attributes.is_empty() || self.attributes.iter().any(|a| entity.get(a).is_some()))
    }
    fn project(&self, entity: &Value) -> Value {
        if self.attributes.is_empty() {
            return entity.clone();
        }
        let keep = |name: &str| matches!(name, "id" | "type" | "scope") || self.attributes.iter().any(|a| a == name);
        let members: Map<String, Value> =
            entity.as_object().into_iter().flatten().filter(|(n, _)| keep(n)).map(|(n, v)| (n.clone(), v.clone())).collect();
        Value::Object(members)
    }
}

fn names_in(request: &Request, responder: &Responder) -> Vec<String> {
    request.parameter("attrs").map(|v| v.split(',').map(|a| responder.names.expand(a)).collect()).unwrap_or_default()
}

fn strings(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    }
}

fn id_of(entity: &Value) -> Result<String, Refusal> {
    let id = entity.get("id").and_then(Value::as_str).unwrap_or_default();
    if id.contains(':') { Ok(id.to_owned()) } else { Err(Refusal::bad("an id is an absolute IRI")) }
}

fn with_id(body: &Value, id: &str) -> Value {
    let mut whole = body.clone();
    if let Some(members) = whole.as_object_mut() {
        members.insert("id".to_owned(), id.into());
    }
    whole
}

/// RFC 7396, with the NGSI-LD Null in the place of null.
fn merge(target: &mut Value, fragment: &Value) {
    match (target.as_object_mut(), fragment.as_object()) {
        (Some(members), Some(changes)) => {
            for (name, change) in changes {
                if change == NULL {
                    members.remove(name);
                } else {
                    merge(members.entry(name.clone()).or_insert(Value::Null), change);
                }
            }
        }
        _ => *target = fragment.clone(),
    }
}

/// Sets whole Attribute instances, per datasetId.
fn append(entity: &mut Value, fragment: &Value, overwrite: bool) {
    let Some(members) = entity.as_object_mut() else { return };
    for (name, new) in fragment.as_object().into_iter().flatten() {
        match name.as_str() {
            "id" => {}
            "type" => {
                let mut types = strings(members.get("type"));
                types.extend(strings(Some(new)));
                types.sort();
                types.dedup();
                members.insert("type".to_owned(), if types.len() == 1 { types[0].clone().into() } else { types.into() });
            }
            _ if new == NULL => {
                members.remove(name);
            }
            _ => {
                let mut instances = listed(members.get(name));
                for instance in listed(Some(new)) {
                    let dataset = instance.get("datasetId").cloned();
                    match instances.iter_mut().find(|i| i.get("datasetId") == dataset.as_ref()) {
                        Some(old) if overwrite => *old = instance,
                        Some(_) => {}
                        None => instances.push(instance),
                    }
                }
                let whole = if instances.len() == 1 { instances.remove(0) } else { Value::Array(instances) };
                members.insert(name.clone(), whole);
            }
        }
    }
}

fn listed(value: Option<&Value>) -> Vec<Value> {
    match value {
        None => Vec::new(),
        Some(Value::Array(all)) => all.clone(),
        Some(one) => vec![one.clone()],
    }
}

/// Seconds since 1970 of `YYYY-MM-DDThh:mm:ss…Z`.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|t| t.parse::<i64>().ok());
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // Days since 1970 by the civil calendar, counting years from March so that the leap day is the last.
    let shifted = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}
