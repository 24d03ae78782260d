//! A whole Entity.

use super::instance;
use super::members::{name_of, one_or_many, quoted, time};
use super::value::is_marker;
use super::{Decoded, Form, Halt, Nulls, Options, fault};
use crate::context::Context;
use crate::error::Fault;
use crate::names::{Distinct, Member};
use crate::tape::Item;
use std::borrow::Cow;
use waybill_model::{AttributeKind, AttributeSpan, DateTime, EntityDoc, Iri, ScopePath, Span, SystemColumns};

/// The members of an Entity, sorted.
#[derive(Default)]
pub(super) struct Head<'t, 'a> {
    pub id: Option<Item<'t, 'a>>,
    pub types: Option<Item<'t, 'a>>,
    pub scope: Option<Item<'t, 'a>>,
    pub expires_at: Option<Item<'t, 'a>>,
    pub created_at: Option<Item<'t, 'a>>,
    pub modified_at: Option<Item<'t, 'a>>,
    pub attributes: Vec<(Cow<'a, str>, Item<'t, 'a>)>,
}

/// Sorts the members of an Entity or a fragment.
pub(super) fn head<'t, 'a>(context: &Context, item: Item<'t, 'a>) -> Decoded<Head<'t, 'a>> {
    if !item.is_object() {
        return fault(Fault::Shape, "4.5.1", "an Entity is a JSON object");
    }
    let mut out = Head::default();
    for (key, value) in item.members() {
        // INVARIANT: a key is a string.
        let name = key.text().unwrap_or_default();
        let (member, iri) = context.member(&name);
        let slot = match member {
            Some(Member::Id) => &mut out.id,
            Some(Member::Type) => &mut out.types,
            Some(Member::Scope) => &mut out.scope,
            Some(Member::ExpiresAt) => &mut out.expires_at,
            Some(Member::CreatedAt) => &mut out.created_at,
            Some(Member::ModifiedAt) => &mut out.modified_at,
            Some(Member::Context | Member::DeletedAt) => continue,
            Some(Member::Keyword) if matches!(iri.as_ref(), "@graph" | "@nest" | "@reverse" | "@included" | "@index") => return Err(Halt::Odd),
            Some(reserved) if reserved.reserved_at_top() => {
                return fault(Fault::Name, "4.5.1", "no Attribute of an Entity can have this name").map_err(|e| e.under(&name));
            }
            _ => {
                if context.term(&name).is_some_and(|t| t.reverse || t.nest.is_some() || t.iri.as_deref() == Some("@nest")) {
                    return Err(Halt::Odd);
                }
                out.attributes.push((name, value));
                continue;
            }
        };
        if slot.replace(value).is_some() {
            return fault(Fault::Json, "5.5.4", "two members mean the same name").map_err(|e| e.under(&name));
        }
    }
    Ok(out)
}

/// Writes the types as an array and notes their spans.
pub(super) fn types(context: &Context, item: Item<'_, '_>, out: &mut String) -> Decoded<Vec<Span>> {
    let spans = std::cell::RefCell::new(Vec::new());
    let array = item.is_array();
    if !array {
        out.push('[');
    }
    one_or_many(item, "4.5.1", out, |text, out| {
        let Some(iri) = context.name(&text).filter(|iri| !iri.starts_with('@')) else {
            return fault(Fault::Type, "4.6.2", "no type can have this name");
        };
        spans.borrow_mut().push(quoted(&iri, out));
        Ok(())
    })
    .map_err(|halt| match halt {
        Halt::Fault(mut e) => {
            e.fault = Fault::Type;
            Halt::Fault(e)
        }
        Halt::Odd => Halt::Odd,
    })?;
    if !array {
        out.push(']');
    }
    let spans = spans.into_inner();
    let mut names = Distinct::default();
    if !spans.iter().all(|s| names.insert(s.of(out).into())) {
        return fault(Fault::Type, "4.5.1", "a type stands twice");
    }
    Ok(spans)
}

/// Writes the scopes as an array and notes their spans.
pub(super) fn scopes(item: Item<'_, '_>, out: &mut String) -> Decoded<Vec<Span>> {
    if is_marker(item) {
        return fault(Fault::Null, "5.5.4", "the NGSI-LD Null deletes in an update or a merge only");
    }
    let spans = std::cell::RefCell::new(Vec::new());
    let array = item.is_array();
    if !array {
        out.push('[');
    }
    one_or_many(item, "4.18", out, |text, out| {
        let Some(scope) = ScopePath::parse(&text) else {
            return fault(Fault::Value, "4.18", "a scope is a path such as /Madrid/Gardens");
        };
        spans.borrow_mut().push(quoted(scope.as_str(), out));
        Ok(())
    })?;
    if !array {
        out.push(']');
    }
    Ok(spans.into_inner())
}

/// Refuses an expanded name that came before.
pub(super) fn distinct<'c>(names: &mut Distinct<'c>, iri: Cow<'c, str>) -> Decoded<()> {
    if names.insert(iri) { Ok(()) } else { fault(Fault::Json, "5.5.4", "two members mean the same name") }
}

pub(super) fn decode(context: &Context, item: Item<'_, '_>, options: &Options) -> Decoded<EntityDoc> {
    // An Entity never has a Null, whatever the options say.
    let options = &Options { nulls: Nulls::Refused, ..*options };
    let head = head(context, item)?;
    let mut out = String::with_capacity(item.raw().len() * 2);
    let id = head.id.and_then(Item::text).filter(|id| Iri::is_valid(id) && id != waybill_model::NGSI_LD_NULL);
    let Some(id) = id else {
        let what = if head.id.is_some() { "the `id` is no URI" } else { "the Entity has no `id`" };
        return fault(Fault::Id, "4.5.1", what).map_err(|e| e.under("id"));
    };
    out.push_str("{\"id\":");
    let id = quoted(&id, &mut out);
    out.push_str(",\"type\":");
    let Some(types_item) = head.types else {
        return fault(Fault::Type, "4.5.1", "the Entity has no `type`").map_err(|e| e.under("type"));
    };
    let types = types(context, types_item, &mut out).map_err(|e| e.under("type"))?;
    let mut scope_spans = Vec::new();
    if let Some(scope) = head.scope {
        out.push_str(",\"scope\":");
        scope_spans = scopes(scope, &mut out).map_err(|e| e.under("scope"))?;
    }
    let mut expires_at = None;
    if let Some(item) = head.expires_at {
        out.push_str(",\"expiresAt\":");
        expires_at = Some(time(item, &mut out).map_err(|e| e.under("expiresAt"))?);
    }
    let mut spans = Vec::with_capacity(head.attributes.len());
    let mut names = Distinct::default();
    for (name, value) in &head.attributes {
        let step = |e: Halt| e.under(name);
        if is_marker(*value) && options.form == Form::Standard {
            return fault(Fault::Null, "5.5.4", "the NGSI-LD Null deletes in an update or a merge only").map_err(step);
        }
        let iri = name_of(context, name).map_err(step)?;
        out.push(',');
        let at = quoted(&iri, &mut out);
        out.push(':');
        let core_geo = matches!(iri.strip_prefix(waybill_model::NGSI_LD), Some("location" | "observationSpace" | "operationSpace"));
        distinct(&mut names, iri).map_err(step)?;
        instance::all(context, *value, options, &mut out, |_, span, written| {
            // INVARIANT: a whole instance has a kind.
            let kind = written.kind.unwrap_or(AttributeKind::Property);
            if core_geo && kind != AttributeKind::GeoProperty {
                return fault(Fault::Geometry, "4.7.1", "this Attribute of the core is a GeoProperty");
            }
            spans.push(AttributeSpan {
                name: at,
                instance: span,
                dataset_id: written.dataset_id,
                kind,
                created_at: written.created_at.unwrap_or(options.now),
                modified_at: written.modified_at.unwrap_or(options.now),
                expires_at: written.expires_at,
                envelope: None,
                leaf: None,
            });
            Ok(())
        })
        .map_err(step)?;
    }
    out.push('}');
    if u32::try_from(out.len()).is_err() {
        return fault(Fault::Json, "5.5.4", "the expanded document is too large");
    }
    let known = |item: Option<Item<'_, '_>>| {
        let text = item.filter(|_| options.keep_times).and_then(Item::text);
        text.and_then(|t| DateTime::parse(&t).ok()).unwrap_or(options.now)
    };
    let system = SystemColumns {
        created_at: known(head.created_at),
        modified_at: known(head.modified_at),
        expires_at,
        version: 0,
        envelope: None,
    };
    Ok(EntityDoc::from_parts(out.into(), id, types, scope_spans, spans, system))
}
