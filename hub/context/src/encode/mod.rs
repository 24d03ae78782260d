//! From the canonical form to NGSI-LD text.

mod instance;
mod language;

pub use language::Languages;

use crate::context::Context;
use crate::tape::Node;
use crate::write;
use instance::Writer;
use waybill_model::{AttributeKind, AttributeSpan, EntityDoc, NGSI_LD, TAG_NAME};

/// Which representation to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Every part of every Attribute (clause 4.5.1).
    #[default]
    Normalized,
    /// Without what follows from the rest; lossless (clause 4.5.20).
    Concise,
    /// Values only (clause 4.5.4), but for Entity-level tags, which are Relationships and stay.
    Simplified,
}

/// Where the @context of an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContextPlace {
    /// In a Link header, or with the array that the Entity is part of: nothing is written.
    #[default]
    Outside,
    /// In the body.
    Body,
}

/// How to encode.
#[derive(Clone, Copy)]
pub struct EncodeOptions<'o> {
    /// The representation.
    pub format: Format,
    /// Whether `createdAt` and `modifiedAt` are written.
    pub sys_attrs: bool,
    /// Whether `expiresAt` is written.
    pub expires_at: bool,
    /// Where the @context goes.
    pub context: ContextPlace,
    /// Which language a LanguageProperty is turned to; all when nothing.
    pub languages: Option<&'o Languages>,
    /// Which members are written: asked with `id`, `type`, `scope` or an expanded name. The tag of an Entity is always written.
    pub pick: Option<&'o dyn Fn(&str) -> bool>,
    /// Which instances are written.
    pub instances: Option<&'o dyn Fn(&AttributeSpan) -> bool>,
}

impl Default for EncodeOptions<'_> {
    fn default() -> Self {
        Self {
            format: Format::Normalized,
            sys_attrs: false,
            expires_at: true,
            context: ContextPlace::Outside,
            languages: None,
            pick: None,
            instances: None,
        }
    }
}

impl std::fmt::Debug for EncodeOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EncodeOptions").field("format", &self.format).field("sys_attrs", &self.sys_attrs).finish_non_exhaustive()
    }
}

impl EncodeOptions<'_> {
    /// The default with another format.
    pub fn format(format: Format) -> Self {
        Self { format, ..Self::default() }
    }
    fn picks(&self, name: &str) -> bool {
        self.pick.is_none_or(|pick| pick(name))
    }
}

/// Writes an Entity as one JSON object behind what `out` holds.
pub fn encode_entity(context: &Context, doc: &EntityDoc, options: &EncodeOptions<'_>, out: &mut Vec<u8>) {
    with_text(out, doc.text().len(), |text| {
        text.push('{');
        let mut object = Object::begin();
        if options.picks("id") {
            object.name(text, "id");
            write::string(text, doc.id());
        }
        members(context, doc, options, text, &mut object);
        place_context(context, options, text, &mut object);
        text.push('}');
    });
}

/// Writes an Entity as a GeoJSON Feature (clause 4.5.16), the format normalized or concise in full or simplified (clause 4.5.17). `geometry`
/// is the expanded name of the GeoProperty to show, normally `location`; with none of that name the geometry is null.
pub fn encode_geojson(context: &Context, doc: &EntityDoc, geometry: &str, options: &EncodeOptions<'_>, out: &mut Vec<u8>) {
    with_text(out, doc.text().len(), |text| {
        text.push('{');
        let mut object = Object::begin();
        object.name(text, "id");
        write::string(text, doc.id());
        object.name(text, "type");
        text.push_str("\"Feature\"");
        object.name(text, "geometry");
        let mut candidates: Vec<&AttributeSpan> = doc
            .instances_of(geometry)
            .filter(|s| s.kind == AttributeKind::GeoProperty && options.instances.is_none_or(|keep| keep(s)))
            .collect();
        candidates.sort_by_key(|s| s.dataset_id.is_some());
        let shown = candidates.first().filter(|_| options.picks(geometry)).and_then(|span| instance::value_slice(doc.instance(span)));
        text.push_str(shown.unwrap_or("null"));
        object.name(text, "properties");
        text.push('{');
        members(context, doc, options, text, &mut Object::begin());
        text.push('}');
        place_context(context, options, text, &mut object);
        text.push('}');
    });
}

/// The expanded name of the GeoProperty that a Feature shows when nobody says otherwise.
pub fn default_geometry() -> String {
    format!("{NGSI_LD}location")
}

/// Appends to `out` through a text; what is written is UTF-8, so no check is needed on the way back.
fn with_text(out: &mut Vec<u8>, about: usize, write: impl FnOnce(&mut String)) {
    let mut text = String::with_capacity(about);
    write(&mut text);
    out.extend_from_slice(text.as_bytes());
}

/// Commas between the members of one object.
pub(crate) struct Object(bool);
impl Object {
    pub fn begin() -> Self {
        Self(false)
    }
    pub fn name(&mut self, out: &mut String, name: &str) {
        if std::mem::replace(&mut self.0, true) {
            out.push(',');
        }
        write::string(out, name);
        out.push(':');
    }
}

fn place_context(context: &Context, options: &EncodeOptions<'_>, out: &mut String, object: &mut Object) {
    if options.context == ContextPlace::Body {
        object.name(out, "@context");
        out.push_str(&context.user().to_string());
    }
}

/// Writes a list as a single value when it has one item.
fn one_or_many<'s>(out: &mut String, mut list: impl ExactSizeIterator<Item = &'s str>) {
    if list.len() == 1 {
        write::string(out, list.next().unwrap_or_default());
        return;
    }
    out.push('[');
    for (i, item) in list.enumerate() {
        if i > 0 {
            out.push(',');
        }
        write::string(out, item);
    }
    out.push(']');
}

/// Writes everything but the `id`.
fn members(context: &Context, doc: &EntityDoc, options: &EncodeOptions<'_>, out: &mut String, object: &mut Object) {
    if options.picks("type") {
        object.name(out, "type");
        let names: Vec<_> = doc.types().map(|iri| context.compact(iri)).collect();
        one_or_many(out, names.iter().map(AsRef::as_ref));
    }
    if options.picks("scope") && doc.scopes().next().is_some() {
        object.name(out, "scope");
        let scopes: Vec<_> = doc.scopes().collect();
        one_or_many(out, scopes.into_iter());
    }
    let time = |out: &mut String, object: &mut Object, name: &str, at: waybill_model::DateTime| {
        if options.picks(name) {
            object.name(out, name);
            write::string(out, &at.to_string());
        }
    };
    if let Some(at) = doc.system.expires_at.filter(|_| options.expires_at) {
        time(out, object, "expiresAt", at);
    }
    if options.sys_attrs {
        time(out, object, "createdAt", doc.system.created_at);
        time(out, object, "modifiedAt", doc.system.modified_at);
    }
    let mut room: Vec<Node> = Vec::new();
    let mut kept: Vec<&AttributeSpan> = Vec::new();
    let mut spans = doc.spans();
    while let Some(first) = spans.first() {
        let count = spans.iter().take_while(|s| s.name == first.name).count();
        let (group, rest) = spans.split_at(count);
        spans = rest;
        let name = doc.name(first);
        if name != TAG_NAME && !options.picks(name) {
            continue;
        }
        kept.clear();
        kept.extend(group.iter().filter(|s| options.instances.is_none_or(|keep| keep(s))));
        if kept.is_empty() {
            continue;
        }
        object.name(out, &context.compact(name));
        let mut writer = Writer { context, options, room };
        writer.group(doc, &kept, out);
        room = writer.room;
    }
}
