//! Discovery of types and Attributes (clauses 5.7.5 to 5.7.10).

use super::call::Call;
use crate::problem;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use waybill_context::Context;
use waybill_http::Response;
use waybill_model::{EntityDoc, Problem, TAG_NAME};

/// What is known of one type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeInfo {
    /// How many Entities have it.
    pub entities: u64,
    /// The Attributes of those Entities, each with its kinds.
    pub attributes: BTreeMap<String, BTreeSet<&'static str>>,
}

/// What is known of one Attribute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttributeInfo {
    /// How many instances there are.
    pub instances: u64,
    /// Its kinds.
    pub kinds: BTreeSet<&'static str>,
    /// The types of the Entities that have it.
    pub types: BTreeSet<String>,
}

/// The types and Attributes that a caller sees, by expanded name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// The types.
    pub types: BTreeMap<String, TypeInfo>,
    /// The Attributes.
    pub attributes: BTreeMap<String, AttributeInfo>,
}

impl Catalog {
    /// Takes in one Entity.
    pub fn add(&mut self, doc: &EntityDoc) {
        for name in doc.types() {
            let info = self.types.entry(name.to_owned()).or_default();
            info.entities += 1;
            for span in doc.spans().iter().filter(|s| doc.name(s) != TAG_NAME) {
                info.attributes.entry(doc.name(span).to_owned()).or_default().insert(span.kind.as_str());
            }
        }
        for span in doc.spans().iter().filter(|s| doc.name(s) != TAG_NAME) {
            let info = self.attributes.entry(doc.name(span).to_owned()).or_default();
            info.instances += 1;
            info.kinds.insert(span.kind.as_str());
            info.types.extend(doc.types().map(str::to_owned));
        }
    }
}

fn list_id(kind: &str) -> String {
    format!("urn:ngsi-ld:{kind}:all")
}

fn short<'a>(context: &Context, names: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    names.into_iter().map(|n| context.compact(n).into_owned()).collect()
}

fn attribute_details(context: &Context, attributes: &BTreeMap<String, BTreeSet<&'static str>>) -> Vec<Value> {
    attributes
        .iter()
        .map(|(name, kinds)| json!({"id": name, "type": "Attribute", "attributeName": context.compact(name), "attributeTypes": kinds}))
        .collect()
}

pub(super) async fn types(call: Call) -> Result<Response, Problem> {
    call.params(&["details", "local", "options"])?;
    let media = call.accept(false)?;
    let details = call.flag("details")?;
    let context = call.link_context().await?;
    call.existing_tenant().await?;
    let catalog = call.hub.catalog(&call.scope).await?;
    let body = if details {
        let all = catalog.types.iter().map(|(name, info)| {
            json!({"id": name, "type": "EntityType", "typeName": context.compact(name), "attributeNames": short(&context, info.attributes.keys())})
        });
        Value::Array(all.collect())
    } else {
        json!({"id": list_id("EntityTypeList"), "type": "EntityTypeList", "typeList": short(&context, catalog.types.keys())})
    };
    Ok(call.json_ld(200, body, media, &context))
}

pub(super) async fn type_info(call: Call) -> Result<Response, Problem> {
    call.params(&["local", "options"])?;
    let media = call.accept(false)?;
    let context = call.link_context().await?;
    let name = call.name("type", &context)?;
    call.existing_tenant().await?;
    let catalog = call.hub.catalog(&call.scope).await?;
    let info = catalog.types.get(&name).ok_or_else(|| problem::not_found("type-not-found", "no entity that this caller sees has this type"))?;
    let body = json!({
        "id": name, "type": "EntityTypeInfo", "typeName": context.compact(&name), "entityCount": info.entities,
        "attributeDetails": attribute_details(&context, &info.attributes),
    });
    Ok(call.json_ld(200, body, media, &context))
}

pub(super) async fn attributes(call: Call) -> Result<Response, Problem> {
    call.params(&["details", "local", "options"])?;
    let media = call.accept(false)?;
    let details = call.flag("details")?;
    let context = call.link_context().await?;
    call.existing_tenant().await?;
    let catalog = call.hub.catalog(&call.scope).await?;
    let body = if details {
        let all = catalog.attributes.iter().map(|(name, info)| {
            json!({"id": name, "type": "Attribute", "attributeName": context.compact(name), "typeNames": short(&context, &info.types)})
        });
        Value::Array(all.collect())
    } else {
        json!({"id": list_id("AttributeList"), "type": "AttributeList", "attributeList": short(&context, catalog.attributes.keys())})
    };
    Ok(call.json_ld(200, body, media, &context))
}

pub(super) async fn attribute_info(call: Call) -> Result<Response, Problem> {
    call.params(&["local", "options"])?;
    let media = call.accept(false)?;
    let context = call.link_context().await?;
    let name = call.name("attr", &context)?;
    call.existing_tenant().await?;
    let catalog = call.hub.catalog(&call.scope).await?;
    let info = catalog.attributes.get(&name).ok_or_else(|| problem::not_found("attribute-not-found", "no entity that this caller sees has this attribute"))?;
    let body = json!({
        "id": name, "type": "Attribute", "attributeName": context.compact(&name), "attributeCount": info.instances,
        "attributeTypes": info.kinds, "typeNames": short(&context, &info.types),
    });
    Ok(call.json_ld(200, body, media, &context))
}
