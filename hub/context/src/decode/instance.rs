//! One instance of an Attribute, in any representation, to its canonical form.

use super::value::{expanded, is_marker};
use super::{Decoded, Form, Nulls, Options, fault, geo};
use crate::context::Context;
use crate::error::Fault;
use crate::names::Member;
use crate::tape::Item;
use crate::write;
use std::borrow::Cow;
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

/// The parts of an instance as they are found.
#[derive(Default)]
struct Parts<'t, 'a> {
    kind: Option<AttributeKind>,
    value: Option<(AttributeKind, Cow<'a, str>, Item<'t, 'a>)>,
    dataset_id: Option<Item<'t, 'a>>,
    observed_at: Option<Item<'t, 'a>>,
    unit_code: Option<Item<'t, 'a>>,
    value_type: Option<Item<'t, 'a>>,
    object_type: Option<Item<'t, 'a>>,
    expires_at: Option<Item<'t, 'a>>,
    proof: Option<Item<'t, 'a>>,
    created_at: Option<Item<'t, 'a>>,
    modified_at: Option<Item<'t, 'a>>,
    subs: Vec<(Cow<'a, str>, Item<'t, 'a>)>,
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
            let step = |e: super::Halt| e.under(&id).under("dataset");
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
        let mut seen: Vec<Option<Span>> = Vec::new();
        for (i, part) in item.items().enumerate() {
            if i > 0 {
                out.push(',');
            }
            let step = |e: super::Halt| e.under(&i.to_string());
            if !is_instance(context, part) {
                return fault(Fault::Value, "4.5.5", "an array of instances holds instances only").map_err(step);
            }
            let dataset = one(part, out).map_err(step)?;
            let text = |span: Option<Span>| span.map(|s| s.of(out));
            if seen.iter().any(|s| text(*s) == text(dataset)) {
                return fault(Fault::Dataset, "4.5.5", "two instances have the same datasetId, or none").map_err(step);
            }
            seen.push(dataset);
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
    let mut seen: Vec<Span> = Vec::new();
    for (name, sub) in &parts.subs {
        let step = |e: super::Halt| e.under(name);
        let iri = name_of(context, name).map_err(step)?;
        if seen.iter().any(|s| s.of(out) == iri.as_ref()) {
            return fault(Fault::Json, "5.5.4", "two members mean the same name").map_err(step);
        }
        comma(out);
        seen.push(quoted(&iri, out));
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

/// The expanded name of an Attribute.
pub(super) fn name_of<'c>(context: &'c Context, name: &'c str) -> Decoded<Cow<'c, str>> {
    context.name(name).map_or_else(|| fault(Fault::Name, "4.6.2", "no Attribute can have this name"), Ok)
}

/// Writes an IRI as a string and says where it stands, without the quotes.
pub(super) fn quoted(iri: &str, out: &mut String) -> Span {
    out.push('"');
    let start = out.len() as u32;
    out.push_str(iri);
    let end = out.len() as u32;
    out.push('"');
    Span { start, end }
}

fn comma(out: &mut String) {
    if !out.ends_with('{') {
        out.push(',');
    }
}

fn clause(kind: AttributeKind) -> &'static str {
    match kind {
        AttributeKind::Property => "4.5.2",
        AttributeKind::Relationship => "4.5.3",
        AttributeKind::GeoProperty => "4.7",
        AttributeKind::LanguageProperty => "4.5.18",
        AttributeKind::VocabProperty => "4.5.20",
        AttributeKind::ListProperty => "4.5.21",
        AttributeKind::ListRelationship => "4.5.22",
        AttributeKind::JsonProperty => "4.5.24",
    }
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
            Some(Member::Keyword) if matches!(iri.as_ref(), "@nest" | "@reverse" | "@included" | "@graph" | "@index") => return Err(super::Halt::Odd),
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

/// Writes the value of `kind`; says whether it is the NGSI-LD Null in the form of that kind.
fn value(context: &Context, kind: AttributeKind, item: Item<'_, '_>, options: &Options, out: &mut String) -> Decoded<bool> {
    if item.is_null() {
        return fault(Fault::Null, "5.5.4", "a JSON null is no value");
    }
    let marker = match kind {
        AttributeKind::LanguageProperty => item.get("@none").is_some_and(is_marker),
        AttributeKind::ListProperty | AttributeKind::ListRelationship => {
            is_marker(item) || (item.items().count() == 1 && item.items().all(|i| is_marker(i) || i.get("object").is_some_and(is_marker)))
        }
        _ => is_marker(item),
    };
    if marker {
        if options.nulls == Nulls::Refused {
            return fault(Fault::Null, "5.5.4", "the NGSI-LD Null deletes in an update or a merge only");
        }
        write::string(out, NGSI_LD_NULL);
        return Ok(true);
    }
    match kind {
        AttributeKind::Property => expanded(context, item, options.nulls, out)?,
        AttributeKind::GeoProperty => geo::geometry(item, out)?,
        AttributeKind::JsonProperty => write::copy(out, item),
        AttributeKind::ListProperty if item.is_array() => expanded(context, item, options.nulls, out)?,
        AttributeKind::ListProperty => return fault(Fault::Shape, clause(kind), "a valueList is an array"),
        AttributeKind::Relationship => one_or_many(item, clause(kind), out, |text, out| {
            if !Iri::is_valid(&text) {
                return fault(Fault::Id, "4.5.3", "the object of a Relationship is a URI, or an array of them");
            }
            write::string(out, &text);
            Ok(())
        })?,
        AttributeKind::VocabProperty => one_or_many(item, clause(kind), out, |text, out| {
            let iri = name_of(context, &text)?;
            write::string(out, &iri);
            Ok(())
        })?,
        AttributeKind::LanguageProperty => language_map(item, options.nulls, out)?,
        AttributeKind::ListRelationship => object_list(item, out)?,
    }
    Ok(false)
}

/// Writes a string, or a non-empty array of strings, each by `each`.
pub(super) fn one_or_many(
    item: Item<'_, '_>,
    clause: &'static str,
    out: &mut String,
    each: impl Fn(Cow<'_, str>, &mut String) -> Decoded<()>,
) -> Decoded<()> {
    if let Some(text) = item.text() {
        return each(text, out);
    }
    if !item.is_array() || item.items().next().is_none() {
        return fault(Fault::Shape, clause, "it is a string, or an array of one or more strings");
    }
    out.push('[');
    for (i, part) in item.items().enumerate() {
        if i > 0 {
            out.push(',');
        }
        let step = |e: super::Halt| e.under(&i.to_string());
        match part.text() {
            Some(text) => each(text, out).map_err(step)?,
            None => return fault(Fault::Shape, clause, "a string is needed here").map_err(step),
        }
    }
    out.push(']');
    Ok(())
}

fn language_map(item: Item<'_, '_>, nulls: Nulls, out: &mut String) -> Decoded<()> {
    if !item.is_object() {
        return fault(Fault::Shape, "4.5.18", "a languageMap is an object");
    }
    for (key, value) in item.members() {
        let tag = key.text().unwrap_or_default();
        let step = |e: super::Halt| e.under(&tag);
        let good = tag == "@none"
            || tag.split('-').enumerate().all(|(i, part)| {
                let fits = (1..=8).contains(&part.len());
                fits && part.bytes().all(|b| if i == 0 { b.is_ascii_alphabetic() } else { b.is_ascii_alphanumeric() })
            });
        if !good {
            return fault(Fault::Value, "4.5.18", "the name is no language tag").map_err(step);
        }
        if is_marker(value) && nulls == Nulls::Refused {
            return fault(Fault::Null, "5.5.4", "the NGSI-LD Null deletes in an update or a merge only").map_err(step);
        }
        let texts = value.is_text() || (value.is_array() && value.items().all(Item::is_text));
        if !texts {
            let what = if value.is_null() { Fault::Null } else { Fault::Shape };
            return fault(what, "4.5.18", "a language has a string, or an array of strings").map_err(step);
        }
    }
    write::copy(out, item);
    Ok(())
}

fn object_list(item: Item<'_, '_>, out: &mut String) -> Decoded<()> {
    if !item.is_array() {
        return fault(Fault::Shape, "4.5.22", "an objectList is an array");
    }
    out.push('[');
    for (i, part) in item.items().enumerate() {
        if i > 0 {
            out.push(',');
        }
        let object = if part.is_object() { part.get("object") } else { Some(part) };
        let Some(iri) = object.and_then(Item::text).filter(|text| Iri::is_valid(text)) else {
            return fault(Fault::Id, "4.5.22", "an item of an objectList has an `object` that is a URI").map_err(|e| e.under(&i.to_string()));
        };
        out.push_str("{\"object\":\"");
        out.push_str(&iri);
        out.push_str("\"}");
    }
    out.push(']');
    Ok(())
}

/// Reads a DateTime and writes it; a comma before the fraction becomes a point.
pub(super) fn time(item: Item<'_, '_>, out: &mut String) -> Decoded<DateTime> {
    let refuse = || fault(Fault::Time, "4.6.3", "a DateTime is a string in UTC such as 2026-11-24T07:00:00Z");
    let Some(text) = item.text() else {
        return refuse();
    };
    let Ok(at) = DateTime::parse(&text) else {
        return refuse();
    };
    out.push('"');
    out.push_str(&text.replace(',', "."));
    out.push('"');
    Ok(at)
}

/// Writes the members beside the value.
fn members(
    context: &Context,
    kind: Option<AttributeKind>,
    parts: &Parts<'_, '_>,
    options: &Options,
    out: &mut String,
    written: &mut Written,
) -> Decoded<()> {
    use AttributeKind as K;
    let start = |out: &mut String, name: &str| {
        comma(out);
        out.push('"');
        out.push_str(name);
        out.push_str("\":");
    };
    // In a patch the NGSI-LD Null takes a member away.
    let gone = |item: Item<'_, '_>, out: &mut String| {
        let gone = options.nulls > Nulls::Refused && is_marker(item);
        if gone {
            write::string(out, NGSI_LD_NULL);
        }
        gone
    };
    if let Some(item) = parts.dataset_id {
        let Some(id) = item.text().filter(|id| id == "@none" || Iri::is_valid(id)) else {
            return fault(Fault::Dataset, "4.5.5", "a datasetId is a URI or @none").map_err(|e| e.under("datasetId"));
        };
        if id != "@none" {
            if is_marker(item) {
                return fault(Fault::Null, "5.5.4", "a datasetId is not the NGSI-LD Null").map_err(|e| e.under("datasetId"));
            }
            comma(out);
            out.push_str("\"datasetId\":");
            written.dataset_id = Some(quoted(&id, out));
        }
    }
    if let Some(item) = parts.observed_at {
        start(out, "observedAt");
        if !gone(item, out) {
            time(item, out).map_err(|e| e.under("observedAt"))?;
        }
    }
    if let Some(item) = parts.unit_code {
        let step = |e: super::Halt| e.under("unitCode");
        if !matches!(kind, None | Some(K::Property | K::GeoProperty | K::ListProperty)) {
            return fault(Fault::Member, "4.5.2", "only a Property has a unitCode").map_err(step);
        }
        if !item.is_text() {
            return fault(Fault::Shape, "4.5.2", "a unitCode is a string").map_err(step);
        }
        start(out, "unitCode");
        out.push_str(item.raw());
    }
    for (name, item, kinds) in
        [("valueType", parts.value_type, [K::Property, K::ListProperty]), ("objectType", parts.object_type, [K::Relationship, K::ListRelationship])]
    {
        let Some(item) = item else {
            continue;
        };
        let step = |e: super::Halt| e.under(name);
        if kind.is_some_and(|k| !kinds.contains(&k)) {
            return fault(Fault::Member, "4.5.1", format!("this kind of Attribute has no `{name}`")).map_err(step);
        }
        start(out, name);
        if !gone(item, out) {
            let each = |text: Cow<'_, str>, out: &mut String| {
                let iri = name_of(context, &text)?;
                write::string(out, &iri);
                Ok(())
            };
            one_or_many(item, "4.5.1", out, each).map_err(step)?;
        }
    }
    if let Some(item) = parts.expires_at {
        start(out, "expiresAt");
        if !gone(item, out) {
            written.expires_at = Some(time(item, out).map_err(|e| e.under("expiresAt"))?);
        }
    }
    if let Some(item) = parts.proof {
        start(out, "ngsildproof");
        if !gone(item, out) {
            if !item.is_object() && !item.is_array() {
                return fault(Fault::Shape, "4.5.1", "an ngsildproof is an object").map_err(|e| e.under("ngsildproof"));
            }
            write::copy(out, item);
        }
    }
    if options.keep_times {
        let read = |item: Option<Item<'_, '_>>| item.and_then(|i| i.text().and_then(|t| DateTime::parse(&t).ok()));
        written.created_at = read(parts.created_at);
        written.modified_at = read(parts.modified_at);
    }
    Ok(())
}
