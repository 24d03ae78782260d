//! The members of an instance: its value, by kind, and what stands beside it.

use super::instance::Written;
use super::value::{expanded, is_marker};
use super::{Decoded, Halt, Nulls, Options, bounded, fault, geo};
use crate::context::Context;
use crate::error::Fault;
use crate::tape::Item;
use crate::write;
use std::borrow::Cow;
use waybill_model::{AttributeKind, DateTime, Iri, NGSI_LD_NULL, Span};

/// The parts of an instance as they are found.
#[derive(Default)]
pub(super) struct Parts<'t, 'a> {
    pub kind: Option<AttributeKind>,
    pub value: Option<(AttributeKind, Cow<'a, str>, Item<'t, 'a>)>,
    pub dataset_id: Option<Item<'t, 'a>>,
    pub observed_at: Option<Item<'t, 'a>>,
    pub unit_code: Option<Item<'t, 'a>>,
    pub value_type: Option<Item<'t, 'a>>,
    pub object_type: Option<Item<'t, 'a>>,
    pub expires_at: Option<Item<'t, 'a>>,
    pub proof: Option<Item<'t, 'a>>,
    pub created_at: Option<Item<'t, 'a>>,
    pub modified_at: Option<Item<'t, 'a>>,
    pub subs: Vec<(Cow<'a, str>, Item<'t, 'a>)>,
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

pub(super) fn comma(out: &mut String) {
    if !out.ends_with('{') {
        out.push(',');
    }
}

pub(super) fn clause(kind: AttributeKind) -> &'static str {
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

/// Writes the value of `kind`; says whether it is the NGSI-LD Null in the form of that kind.
pub(super) fn value(context: &Context, kind: AttributeKind, item: Item<'_, '_>, options: &Options, out: &mut String) -> Decoded<bool> {
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
        bounded(out)?;
        if i > 0 {
            out.push(',');
        }
        let step = |e: Halt| e.under(&i.to_string());
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
        let step = |e: Halt| e.under(&tag);
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
pub(super) fn members(
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
        let step = |e: Halt| e.under("unitCode");
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
        let step = |e: Halt| e.under(name);
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
