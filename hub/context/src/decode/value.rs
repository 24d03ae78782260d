//! Values: copied as they are, with the names inside expanded.

use super::{Decoded, Nulls, bounded, fault};
use crate::context::Context;
use crate::error::Fault;
use crate::names::Distinct;
use crate::tape::{Item, Kind};
use crate::write;
use std::borrow::Cow;
use waybill_model::NGSI_LD_NULL;

/// Whether this is the NGSI-LD Null.
pub(super) fn is_marker(item: Item<'_, '_>) -> bool {
    match item.kind() {
        Kind::Text => {
            let raw = item.raw();
            raw.len() == NGSI_LD_NULL.len() + 2 && &raw[1..raw.len() - 1] == NGSI_LD_NULL
        }
        Kind::Escaped => item.text().as_deref() == Some(NGSI_LD_NULL),
        _ => false,
    }
}

/// Writes a value of a Property with expanded names.
pub(super) fn expanded(context: &Context, item: Item<'_, '_>, nulls: Nulls, out: &mut String) -> Decoded<()> {
    match item.kind() {
        Kind::Null => fault(Fault::Null, "4.5.2.2", "a JSON null is no value"),
        Kind::Array => {
            out.push('[');
            for (i, part) in item.items().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                expanded(context, part, nulls, out).map_err(|e| e.under(&i.to_string()))?;
            }
            out.push(']');
            Ok(())
        }
        Kind::Object => object(context, item, nulls, out),
        _ => {
            out.push_str(item.raw());
            Ok(())
        }
    }
}

fn object(context: &Context, item: Item<'_, '_>, nulls: Nulls, out: &mut String) -> Decoded<()> {
    let literal = item.members().any(|(key, _)| key.raw() == "\"@value\"");
    let mut names = Distinct::default();
    out.push('{');
    for (i, (key, value)) in item.members().enumerate() {
        if i > 0 {
            out.push(',');
        }
        // INVARIANT: a key is a string.
        let name = key.text().unwrap_or_default();
        if is_marker(value) && nulls < Nulls::Deep {
            return fault(Fault::Null, "5.5.4", "the NGSI-LD Null stands inside a value").map_err(|e| e.under(&name));
        }
        match name.as_ref() {
            "@context" => return fault(Fault::Context, "5.5.7", "an @context stands inside a value").map_err(|e| e.under("@context")),
            "type" | "@type" => {
                out.push_str(key.raw());
                out.push(':');
                types(context, value, nulls, out).map_err(|e| e.under(&name))?;
            }
            keyword if literal || keyword.starts_with('@') || keyword == "id" => {
                out.push_str(key.raw());
                out.push(':');
                if literal || value.kind() != Kind::Null {
                    write::copy(out, value);
                } else {
                    return fault(Fault::Null, "4.5.2.2", "a JSON null is no value").map_err(|e| e.under(&name));
                }
            }
            _ => {
                bounded(out)?;
                let iri = expand_key(context, key, name.clone());
                out.push('"');
                write::content(out, &iri);
                out.push_str("\":");
                if !names.insert(iri) {
                    return fault(Fault::Json, "5.5.4", "two members mean the same name").map_err(|e| e.under(&name));
                }
                expanded(context, value, nulls, out).map_err(|e| e.under(&name))?;
            }
        }
    }
    out.push('}');
    Ok(())
}

fn expand_key<'c>(context: &'c Context, key: Item<'_, 'c>, name: Cow<'c, str>) -> Cow<'c, str> {
    match name {
        Cow::Borrowed(name) if key.kind() == Kind::Text => context.expand(name),
        other => Cow::Owned(context.expand(&other).into_owned()),
    }
}

/// Writes the type, or types, of an object in a value; what is no text is kept.
fn types(context: &Context, item: Item<'_, '_>, nulls: Nulls, out: &mut String) -> Decoded<()> {
    match item.text() {
        Some(name) => write::string(out, &context.expand(&name)),
        None if item.is_array() && item.items().all(Item::is_text) => {
            out.push('[');
            for (i, part) in item.items().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write::string(out, &context.expand(&part.text().unwrap_or_default()));
            }
            out.push(']');
        }
        None => expanded(context, item, nulls, out)?,
    }
    Ok(())
}
