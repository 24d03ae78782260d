//! One instance of an Attribute, in any representation, to its canonical form.

use super::value::{expanded, is_marker};
use super::members::{Parts, clause, comma, members, name_of, quoted, value};
use super::{Decoded, Form, Halt, Nulls, Options, bounded, fault, geo};
use crate::context::Context;
use crate::error::Fault;
use crate::names::{Distinct, Member};
use crate::tape::Item;
use crate::write;
use waybill_model::{AttributeKind, DateTime, Iri, NGSI_LD_NULL, Span};

/// What is known of an instance once it is written.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    pub kind: Option<AttributeKind>,
    pub dataset_id: Option<Span>,
    pub expires_at: Option<DateTime>,
    pub created_at: Option<DateTime>,
    pub modified_at: Option<DateTime>,
    pub valued: bool,
    /// The value is the NGSI-LD Null: the instance goes.
    pub deleted: bool,
}

/// The kind that a `type` member names, as a term of the core or of the user's @context.
fn kind_of(context: &Context, item: Item<'_, '_>) -> Option<AttributeKind> {
    let name = item.text()?;
    AttributeKind::parse(&name).or_else(|| AttributeKind::parse(context.expand(&name).strip_prefix(waybill_model::NGSI_LD)?))
}

/// Whether an object is an instance by its members: a known kind, a value member, or a member only instances have.
pub(super) fn is_instance(context: &Context, item: Item<'_, '_>) -> bool {
    if geo::is_geometry(item) {
        return false;
    }
    item.members().any(|(key, value)| {
        let Some(name) = key.text() else {
            return false;
        };
        match context.member(&name).0 {
            Some(Member::Type) => kind_of(context, value).is_some(),
            Some(
                Member::Value
                | Member::Object
                | Member::LanguageMap
                | Member::Vocab
                | Member::Json
                | Member::ValueList
                | Member::ObjectList
                | Member::ObservedAt
                | Member::DatasetId
                | Member::UnitCode
                | Member::ValueType
                | Member::ObjectType
                | Member::Proof,
            ) => true,
            _ => false,
        }
    })
}

/// Writes all instances of one Attribute, `[…]`, and notes where each stands.
pub(super) fn all(
    context: &Context,
    item: Item<'_, '_>,
    options: &Options,
    out: &mut String,
    mut note: impl FnMut(&str, Span, &Written) -> Decoded<()>,
) -> Decoded<()> {
    bounded(out)?;
    let mut one = |item: Item<'_, '_>, out: &mut String| -> Decoded<Option<Span>> {
        let start = out.len();
        let written = single(context, item, options, out)?;
        if written.deleted && options.nulls == Nulls::Refused {
            return fault(Fault::Null, "5.5.4", "the NGSI-LD Null deletes in an update or a merge only");
        }
        note(out, Span { start: start as u32, end: out.len() as u32 }, &written)?;
        Ok(written.dataset_id)
    };
    out.push('[');
    if options.form == Form::Simplified
        && let Some(dataset) = sole(item, "dataset").filter(|d| d.is_object())
    {
        for (i, (key, value)) in dataset.members().enumerate() {
            let id = key.text().unwrap_or_default();
            let step = |e: Halt| e.under(&id).under("dataset");
            if i > 0 {
                out.push(',');
            }
            let start = out.len();
            let mut written = single(context, value, options, out).map_err(step)?;
            if id != "@none" {
                if !Iri::is_valid(&id) {
                    return fault(Fault::Dataset, "4.5.5", "a datasetId is a URI or @none").map_err(step);
                }
                out.pop();
                out.push_str(",\"datasetId\":\"");
                let at = out.len() as u32;
                out.push_str(&id);
                written.dataset_id = Some(Span { start: at, end: out.len() as u32 });
                out.push_str("\"}");
            }
            note(out, Span { start: start as u32, end: out.len() as u32 }, &written).map_err(step)?;
        }
    } else if options.form == Form::Standard && item.is_array() && item.items().next().is_some_and(|first| is_instance(context, first)) {
        let mut seen = Distinct::default();
        for (i, part) in item.items().enumerate() {
            if i > 0 {
                out.push(',');
            }
            let step = |e: Halt| e.under(&i.to_string());
            if !is_instance(context, part) {
                return fault(Fault::Value, "4.5.5", "an array of instances holds instances only").map_err(step);
            }
            let dataset = one(part, out).map_err(step)?;
            let dataset = dataset.map_or("", |s| s.of(out)).to_owned();
            if !seen.insert(dataset.into()) {
                return fault(Fault::Dataset, "4.5.5", "two instances have the same datasetId, or none").map_err(step);
            }
        }
    } else {
        one(item, out)?;
    }
    out.push(']');
    Ok(())
}

/// The member `name` when it is the only one.
fn sole<'t, 'a>(item: Item<'t, 'a>, name: &str) -> Option<Item<'t, 'a>> {
    let mut members = item.members();
    let (key, value) = members.next()?;
    (members.next().is_none() && key.text().as_deref() == Some(name)).then_some(value)
}

/// Writes one instance in whatever representation it is.
fn single(context: &Context, item: Item<'_, '_>, options: &Options, out: &mut String) -> Decoded<Written> {
    if item.is_null() {
        return fault(Fault::Null, "5.5.4", "a JSON null is no Attribute");
    }
    if options.form == Form::Simplified {
        let wrapped = ["languageMap", "vocab", "json"].iter().any(|name| sole(item, name).is_some());
        if wrapped {
            return instance(context, item, options, out, Stand::Inside);
        }
        return bare(context, item, options, out);
    }
    if item.is_object() && is_instance(context, item) {
        return instance(context, item, options, out, Stand::Inside);
    }
    bare(context, item, options, out)
}

/// A value without an instance around it: a geometry or a Property's value.
fn bare(context: &Context, item: Item<'_, '_>, options: &Options, out: &mut String) -> Decoded<Written> {
    let kind = if geo::is_geometry(item) { AttributeKind::GeoProperty } else { AttributeKind::Property };
    let mut written = Written { kind: Some(kind), valued: true, ..Written::default() };
    if is_marker(item) {
        written.deleted = true;
    }
    out.push_str("{\"type\":\"");
    out.push_str(kind.as_str());
    out.push_str("\",\"value\":");
    if kind == AttributeKind::GeoProperty {
        geo::geometry(item, out)?;
    } else {
        expanded(context, item, options.nulls, out)?;
    }
    out.push('}');
    Ok(written)
}

/// Where an instance stands: in an Entity or an Attribute, or as a document of its own, which may have an @context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    Inside,
    Document,
}

/// Writes an instance given as an object. It must have a value, unless a patch is read.
pub(super) fn instance(context: &Context, item: Item<'_, '_>, options: &Options, out: &mut String, stand: Stand) -> Decoded<Written> {
    let parts = parts(context, item, stand)?;
    let mut written = Written::default();
    let implied = parts.value.as_ref().map(|(kind, name, value)| match (kind, name.as_ref()) {
        (AttributeKind::Property, "value") if geo::is_geometry(*value) => AttributeKind::GeoProperty,
        (kind, _) => *kind,
    });
    let kind = parts.kind.or(implied);
    if let (Some(kind), Some((of, name, _))) = (kind, &parts.value)
        && kind.value_member() != of.value_member()
    {
        let detail = format!("a {} has `{}`, not this", kind.as_str(), kind.value_member());
        return fault(Fault::Value, clause(kind), detail).map_err(|e| e.under(name));
    }
    if parts.value.is_none() && options.nulls == Nulls::Refused {
        return match kind {
            Some(kind) => fault(Fault::Value, clause(kind), format!("a {} has no `{}`", kind.as_str(), kind.value_member())),
            None => fault(Fault::Value, "4.5.2", "the Attribute has no value"),
        };
    }
    out.push('{');
    if let Some(kind) = kind {
        out.push_str("\"type\":\"");
        out.push_str(kind.as_str());
        out.push('"');
    }
    written.kind = kind;
    written.valued = parts.value.is_some();
    if let (Some(kind), Some((_, name, held))) = (kind, &parts.value) {
        comma(out);
        out.push('"');
        out.push_str(kind.value_member());
        out.push_str("\":");
        written.deleted = value(context, kind, *held, options, out).map_err(|e| e.under(name))?;
    }
    members(context, kind, &parts, options, out, &mut written)?;
    let mut seen = Distinct::default();
    for (name, sub) in &parts.subs {
        let step = |e: Halt| e.under(name);
        let iri = name_of(context, name).map_err(step)?;
        comma(out);
        quoted(&iri, out);
        if !seen.insert(iri) {
            return fault(Fault::Json, "5.5.4", "two members mean the same name").map_err(step);
        }
        out.push(':');
        if options.nulls > Nulls::Refused && is_marker(*sub) {
            write::string(out, NGSI_LD_NULL);
        } else {
            all(context, *sub, &Options { form: Form::Standard, ..*options }, out, |_, _, _| Ok(())).map_err(step)?;
        }
    }
    out.push('}');
    Ok(written)
}

/// Sorts the members of an instance.
fn parts<'t, 'a>(context: &Context, item: Item<'t, 'a>, stand: Stand) -> Decoded<Parts<'t, 'a>> {
    let mut out = Parts::default();
    for (key, value) in item.members() {
        // INVARIANT: a key is a string.
        let name = key.text().unwrap_or_default();
        let (member, iri) = context.member(&name);
        let held = |kind: AttributeKind| Some((kind, name.clone(), value));
        let taken = match member {
            None | Some(Member::Scope) => {
                out.subs.push((name, value));
                continue;
            }
            Some(Member::Type) => {
                let Some(kind) = kind_of(context, value) else {
                    let what = if value.is_text() { "it names no kind of Attribute" } else { "it is a string that names a kind of Attribute" };
                    return fault(Fault::Type, "4.5.1", what).map_err(|e| e.under(&name));
                };
                if out.kind.replace(kind).is_some() {
                    return fault(Fault::Json, "5.5.4", "two members mean the same name").map_err(|e| e.under(&name));
                }
                continue;
            }
            Some(Member::Value) => out.value.slot(held(AttributeKind::Property)),
            Some(Member::Object) => out.value.slot(held(AttributeKind::Relationship)),
            Some(Member::LanguageMap) => out.value.slot(held(AttributeKind::LanguageProperty)),
            Some(Member::Vocab) => out.value.slot(held(AttributeKind::VocabProperty)),
            Some(Member::Json) => out.value.slot(held(AttributeKind::JsonProperty)),
            Some(Member::ValueList) => out.value.slot(held(AttributeKind::ListProperty)),
            Some(Member::ObjectList) => out.value.slot(held(AttributeKind::ListRelationship)),
            Some(Member::DatasetId) => out.dataset_id.slot(Some(value)),
            Some(Member::ObservedAt) => out.observed_at.slot(Some(value)),
            Some(Member::UnitCode) => out.unit_code.slot(Some(value)),
            Some(Member::ValueType) => out.value_type.slot(Some(value)),
            Some(Member::ObjectType) => out.object_type.slot(Some(value)),
            Some(Member::ExpiresAt) => out.expires_at.slot(Some(value)),
            Some(Member::Proof) => out.proof.slot(Some(value)),
            Some(Member::CreatedAt) => out.created_at.slot(Some(value)),
            Some(Member::ModifiedAt) => out.modified_at.slot(Some(value)),
            Some(Member::DeletedAt | Member::Output) => continue,
            Some(Member::Context) if stand == Stand::Document => continue,
            Some(Member::Context) => return fault(Fault::Context, "5.5.7", "an @context stands in an Attribute").map_err(|e| e.under(&name)),
            Some(Member::Keyword) if matches!(iri.as_ref(), "@nest" | "@reverse" | "@included" | "@graph" | "@index") => return Err(Halt::Odd),
            Some(Member::Id | Member::Keyword) => {
                return fault(Fault::Member, "4.5.1", "an Attribute has no such member").map_err(|e| e.under(&name));
            }
        };
        if taken {
            return fault(Fault::Value, "4.5.1", "two members give the same part of the Attribute").map_err(|e| e.under(&name));
        }
    }
    Ok(out)
}

trait Slot<T> {
    /// Puts `value` in and says whether there was one before.
    fn slot(&mut self, value: Option<T>) -> bool;
}
impl<T> Slot<T> for Option<T> {
    fn slot(&mut self, value: Option<T>) -> bool {
        std::mem::replace(self, value).is_some()
    }
}
