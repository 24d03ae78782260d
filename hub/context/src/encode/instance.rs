//! Instances of Attributes in each representation.

use super::{EncodeOptions, Format, Object};
use crate::context::Context;
use crate::names::Member;
use crate::tape::{Item, Kind, Node, Tape};
use crate::write;
use waybill_model::{AttributeKind, AttributeSpan, EntityDoc, NGSI_LD};

/// Canonical text nests deeper than what came in: every Attribute is an array.
const DEPTH: usize = 4 * crate::decode::DEPTH;

pub(super) struct Writer<'c, 'o> {
    pub context: &'c Context,
    pub options: &'c EncodeOptions<'o>,
    pub room: Vec<Node>,
}

/// The value of a canonical instance, as its slice.
pub(super) fn value_slice(instance: &str) -> Option<&str> {
    let tape = Tape::read(instance, DEPTH).ok()?;
    tape.root().get("value").map(Item::raw)
}

impl Writer<'_, '_> {
    /// Writes the instances of one Attribute of an Entity.
    pub fn group(&mut self, doc: &EntityDoc, group: &[&AttributeSpan], out: &mut String) {
        if let [only] = group {
            self.stored(doc, only, true, out);
        } else if self.options.format == Format::Simplified {
            out.push_str("{\"dataset\":{");
            let mut object = Object::begin();
            for span in group {
                object.name(out, doc.dataset_id(span).unwrap_or("@none"));
                self.stored(doc, span, true, out);
            }
            out.push_str("}}");
        } else {
            out.push('[');
            for (i, span) in group.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                self.stored(doc, span, false, out);
            }
            out.push(']');
        }
    }

    fn stored(&mut self, doc: &EntityDoc, span: &AttributeSpan, sole: bool, out: &mut String) {
        if self.options.format == Format::Normalized && !self.options.sys_attrs && stands(doc.instance(span), span.kind, self.options.expires_at) {
            out.push_str(doc.instance(span));
            return;
        }
        let Ok(tape) = Tape::reusing(doc.instance(span), DEPTH, std::mem::take(&mut self.room)) else {
            // A document put together by hand with wrong spans: nothing of it is shown.
            out.push_str("null");
            return;
        };
        let item = tape.root();
        if self.options.format == Format::Simplified {
            self.simplified(item, span.kind, out);
        } else {
            self.full(item, span.kind, Some(span), sole, out);
        }
        self.room = tape.nodes;
    }

    /// The language that is shown of a languageMap, when one is asked for.
    fn chosen<'t, 'a>(&self, kind: AttributeKind, item: Item<'t, 'a>) -> Option<(String, Item<'t, 'a>)> {
        let languages = self.options.languages.filter(|_| kind == AttributeKind::LanguageProperty)?;
        let map = item.get("languageMap")?;
        let tags: Vec<_> = map.members().filter_map(|(key, _)| key.text()).collect();
        let names: Vec<&str> = tags.iter().map(AsRef::as_ref).collect();
        let tag = languages.choose(&names)?;
        Some((tag.to_owned(), map.get(tag)?))
    }

    fn simplified(&self, item: Item<'_, '_>, kind: AttributeKind, out: &mut String) {
        if let Some((_, text)) = self.chosen(kind, item) {
            out.push_str(text.raw());
            return;
        }
        let Some(value) = item.get(kind.value_member()) else {
            out.push_str("null");
            return;
        };
        let wrapped = matches!(kind, AttributeKind::LanguageProperty | AttributeKind::VocabProperty | AttributeKind::JsonProperty);
        if wrapped {
            out.push('{');
            write::string(out, kind.value_member());
            out.push(':');
        }
        if kind == AttributeKind::ListRelationship {
            out.push('[');
            for (i, part) in value.items().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(part.get("object").map_or("null", Item::raw));
            }
            out.push(']');
        } else {
            self.value(kind, value, out);
        }
        if wrapped {
            out.push('}');
        }
    }

    fn value(&self, kind: AttributeKind, value: Item<'_, '_>, out: &mut String) {
        match kind {
            AttributeKind::Property | AttributeKind::ListProperty => compacted(self.context, value, out),
            AttributeKind::VocabProperty => names(self.context, value, out),
            _ => out.push_str(value.raw()),
        }
    }

    /// Normalized or concise. Only the sole instance of an Attribute can stand as its bare value: an array would not be read as instances.
    fn full(&self, item: Item<'_, '_>, kind: AttributeKind, span: Option<&AttributeSpan>, sole: bool, out: &mut String) {
        let concise = self.options.format == Format::Concise;
        let chosen = self.chosen(kind, item);
        let value = item.get(kind.value_member());
        let sys = span.filter(|_| self.options.sys_attrs);
        if concise && sole && chosen.is_none() && sys.is_none() && self.alone(item, kind) {
            let bare = matches!(kind, AttributeKind::Property | AttributeKind::GeoProperty);
            if let Some(value) = value.filter(|v| bare && (kind == AttributeKind::GeoProperty || !mistakable(*v))) {
                self.value(kind, value, out);
                return;
            }
        }
        let mut object = Object::begin();
        out.push('{');
        if !concise || value.is_some_and(|v| kind == AttributeKind::Property && looks_like_geometry(v)) {
            object.name(out, "type");
            let shown = if chosen.is_some() { AttributeKind::Property } else { kind };
            write::string(out, shown.as_str());
        }
        if let Some((tag, text)) = &chosen {
            object.name(out, "value");
            out.push_str(text.raw());
            object.name(out, "lang");
            write::string(out, tag);
        }
        for (key, held) in item.members() {
            // INVARIANT: a key is a string.
            let name = key.text().unwrap_or_default();
            match name.as_ref() {
                "type" => {}
                "expiresAt" if !self.options.expires_at => {}
                member if member == kind.value_member() => {
                    if chosen.is_none() {
                        object.name(out, member);
                        self.value(kind, held, out);
                    }
                }
                member @ ("valueType" | "objectType") => {
                    object.name(out, member);
                    names(self.context, held, out);
                }
                iri if iri.contains(':') => {
                    object.name(out, &self.context.compact(iri));
                    self.subs(held, out);
                }
                member => {
                    object.name(out, member);
                    out.push_str(held.raw());
                }
            }
        }
        if let Some(span) = sys {
            object.name(out, "createdAt");
            write::string(out, &span.created_at.to_string());
            object.name(out, "modifiedAt");
            write::string(out, &span.modified_at.to_string());
        }
        out.push('}');
    }

    fn subs(&self, item: Item<'_, '_>, out: &mut String) {
        let one = |sub: Item<'_, '_>, sole: bool, out: &mut String| {
            let kind = sub.get("type").and_then(Item::text).and_then(|t| AttributeKind::parse(&t)).unwrap_or(AttributeKind::Property);
            self.full(sub, kind, None, sole, out);
        };
        let mut items = item.items();
        if let (Some(only), None) = (items.next(), items.next()) {
            one(only, true, out);
            return;
        }
        out.push('[');
        for (i, sub) in item.items().enumerate() {
            if i > 0 {
                out.push(',');
            }
            one(sub, false, out);
        }
        out.push(']');
    }

    /// Whether the instance has only a value.
    fn alone(&self, item: Item<'_, '_>, kind: AttributeKind) -> bool {
        item.members().all(|(key, _)| {
            let name = key.text().unwrap_or_default();
            name == "type" || name == kind.value_member() || (name == "expiresAt" && !self.options.expires_at)
        })
    }
}

/// Whether a canonical instance reads the same in the normalized representation: it has no name in it that would be compacted, and
/// nothing that is left out. True of most; looking costs less than taking it apart. When in doubt, no.
fn stands(instance: &str, kind: AttributeKind, expires_at: bool) -> bool {
    if !matches!(kind, AttributeKind::Property | AttributeKind::GeoProperty | AttributeKind::Relationship) {
        return false;
    }
    let head = instance.strip_prefix("{\"type\":\"").and_then(|rest| rest.strip_prefix(kind.as_str()));
    let Some(mut rest) = head.and_then(|rest| rest.strip_prefix('"')).map(str::as_bytes) else { return false };
    while rest != b"}" {
        let Some(name) = rest.strip_prefix(b",\"") else { return false };
        // A colon is in every IRI, and in no member of NGSI-LD's own.
        let Some(end) = name.iter().position(|b| matches!(b, b'"' | b'\\' | b':' | 0..0x20)) else { return false };
        let (name, behind) = name.split_at(end);
        let Some(value) = behind.strip_prefix(b"\":") else { return false };
        if matches!(name, b"type" | b"valueType" | b"objectType") || (name == b"expiresAt" && !expires_at) {
            return false;
        }
        let objects = !(kind == AttributeKind::Property && name == b"value");
        match behind_value(value, objects) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    true
}

/// What follows a JSON value; nothing when there are spaces, escapes or, unless `objects` are expected, an object in it.
fn behind_value(text: &[u8], objects: bool) -> Option<&[u8]> {
    let (mut at, mut depth) = (0usize, 0usize);
    loop {
        match *text.get(at)? {
            b'"' => {
                let length = text[at + 1..].iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20))?;
                at += length + 1;
                if text[at] != b'"' {
                    return None;
                }
            }
            b'{' if objects => depth += 1,
            b'[' => depth += 1,
            b'}' | b']' if depth > 0 => depth -= 1,
            b',' | b':' if depth > 0 => {}
            b'-' | b'0'..=b'9' | b'a'..=b'z' => {
                let more = text[at + 1..].iter().position(|b| !matches!(b, b'-' | b'+' | b'.' | b'E' | b'0'..=b'9' | b'a'..=b'z'))?;
                at += more;
            }
            _ => return None,
        }
        at += 1;
        if depth == 0 {
            return text.get(at..);
        }
    }
}

/// Whether a Property's value, standing alone, would be read as an instance, as instances or as a geometry.
fn mistakable(value: Item<'_, '_>) -> bool {
    let value = if value.is_array() { value.items().next() } else { Some(value) };
    let Some(value) = value.filter(|v| v.is_object()) else {
        return false;
    };
    looks_like_geometry(value)
        || value.members().any(|(key, held)| {
            let name = key.text().unwrap_or_default();
            match Member::by_iri(&name).or_else(|| Member::by_name(&name)) {
                Some(Member::Type) => {
                    held.text().is_some_and(|t| t.strip_prefix(NGSI_LD).is_some_and(|local| AttributeKind::parse(local).is_some()))
                }
                Some(Member::Id | Member::Keyword) | None => false,
                Some(_) => true,
            }
        })
}

/// Whether a Property's value is GeoJSON: its names are expanded there.
fn looks_like_geometry(value: Item<'_, '_>) -> bool {
    value.members().any(|(key, _)| key.text().is_some_and(|name| name.ends_with("coordinates")))
}

/// Writes names, one or an array, compacted.
fn names(context: &Context, item: Item<'_, '_>, out: &mut String) {
    match item.text() {
        Some(iri) => write::string(out, &context.compact(&iri)),
        None if item.is_array() => {
            out.push('[');
            for (i, part) in item.items().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                names(context, part, out);
            }
            out.push(']');
        }
        None => compacted(context, item, out),
    }
}

/// Writes a value with the names inside compacted; what has no names is copied as it stands.
fn compacted(context: &Context, item: Item<'_, '_>, out: &mut String) {
    if item.is_plain() {
        out.push_str(item.raw());
        return;
    }
    match item.kind() {
        Kind::Array => {
            out.push('[');
            for (i, part) in item.items().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                compacted(context, part, out);
            }
            out.push(']');
        }
        Kind::Object => {
            let literal = item.members().any(|(key, _)| key.raw() == "\"@value\"");
            let mut object = Object::begin();
            out.push('{');
            for (key, value) in item.members() {
                // INVARIANT: a key is a string.
                let name = key.text().unwrap_or_default();
                match name.as_ref() {
                    "type" | "@type" => {
                        object.name(out, &name);
                        names(context, value, out);
                    }
                    _ if literal || name.starts_with('@') || !name.contains(':') => {
                        object.name(out, &name);
                        out.push_str(value.raw());
                    }
                    _ => {
                        object.name(out, &context.compact(&name));
                        compacted(context, value, out);
                    }
                }
            }
            out.push('}');
        }
        _ => out.push_str(item.raw()),
    }
}
