//! Answers with Entities: representations, media types, paging.

use crate::negotiate::Media;
use crate::problem;
use std::sync::Arc;
use waybill_context::{Context, ContextPlace, EncodeOptions, Format, Languages, encode_entity, encode_geojson};
use waybill_model::{AttributeSpan, EntityDoc, Problem};
use waybill_query::{DatasetIds, Member, Projection};

/// How Entities are shown.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The representation.
    pub format: Format,
    /// Whether system attributes are shown.
    pub sys_attrs: bool,
    /// Whether `expiresAt` is shown (clause 6.3.11: with the system attributes).
    pub expires_at: bool,
    /// The media type.
    pub media: Media,
    /// The languages asked for.
    pub languages: Option<Languages>,
    /// What of each Entity is shown.
    pub projection: Projection,
    /// Which instances are shown.
    pub datasets: DatasetIds,
    /// The GeoProperty of a Feature, expanded.
    pub geometry: String,
    /// Whether GeoJSON leaves its @context to a Link header (`Prefer: body=json`).
    pub bare_geo: bool,
    /// The @context whose terms are used.
    pub context: Arc<Context>,
}

impl Shape {
    /// Whether the @context goes into a Link header.
    pub fn wants_link(&self) -> bool {
        self.media == Media::Json || (self.media == Media::GeoJson && self.bare_geo)
    }

    fn write(&self, doc: &EntityDoc, place: ContextPlace, out: &mut Vec<u8>) {
        let pick = |name: &str| match name {
            "id" => self.projection.keeps(&Member::Id),
            "type" => self.projection.keeps(&Member::Type),
            "scope" => self.projection.keeps(&Member::Scope),
            _ => name == waybill_model::TAG_NAME || self.projection.keeps_attribute(name),
        };
        let instances = |span: &AttributeSpan| self.datasets.admits(doc.dataset_id(span));
        let options = EncodeOptions {
            format: self.format,
            sys_attrs: self.sys_attrs,
            expires_at: self.expires_at,
            context: place,
            languages: self.languages.as_ref(),
            pick: (!self.projection.is_all()).then_some(&pick as &dyn Fn(&str) -> bool),
            instances: (!self.datasets.0.is_empty()).then_some(&instances as &dyn Fn(&AttributeSpan) -> bool),
        };
        match self.media {
            Media::GeoJson => encode_geojson(&self.context, doc, &self.geometry, &options, out),
            Media::Json | Media::JsonLd => encode_entity(&self.context, doc, &options, out),
        }
    }

    /// One Entity as JSON text, its @context where `place` says.
    pub(crate) fn text(&self, doc: &EntityDoc, place: ContextPlace) -> String {
        let mut out = Vec::with_capacity(doc.text().len());
        self.write(doc, place, &mut out);
        // INVARIANT: the encoder writes UTF-8.
        String::from_utf8(out).unwrap_or_default()
    }

    pub(crate) fn place(&self) -> ContextPlace {
        if self.wants_link() { ContextPlace::Outside } else { ContextPlace::Body }
    }

    /// One Entity.
    pub fn one(&self, doc: &EntityDoc) -> Vec<u8> {
        let mut out = Vec::with_capacity(doc.text().len());
        self.write(doc, self.place(), &mut out);
        out
    }

    /// An array of Entities, or a FeatureCollection.
    pub fn many(&self, docs: &[EntityDoc]) -> Vec<u8> {
        let mut out = Vec::with_capacity(docs.iter().map(|d| d.text().len()).sum::<usize>() + 64);
        let geo = self.media == Media::GeoJson;
        out.extend_from_slice(if geo { b"{\"type\":\"FeatureCollection\",\"features\":[" } else { b"[" });
        // The Features of a collection share the @context of the collection (clause 4.5.16).
        let place = if geo { ContextPlace::Outside } else { self.place() };
        for (i, doc) in docs.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            self.write(doc, place, &mut out);
        }
        out.push(b']');
        if geo {
            if !self.bare_geo {
                out.extend_from_slice(b",\"@context\":");
                out.extend_from_slice(self.context.user().to_string().as_bytes());
            }
            out.push(b'}');
        }
        out
    }
}

/// Which representation the parameters `format` and `options` ask for, and whether system attributes.
///
/// # Errors
/// 400 for a word that is none.
pub fn representation(format: Option<&str>, options: Option<&str>, known: &[&str]) -> Result<(Option<Format>, bool), Problem> {
    let named = |word: &str| match word {
        "normalized" => Some(Format::Normalized),
        "concise" => Some(Format::Concise),
        "simplified" | "keyValues" => Some(Format::Simplified),
        _ => None,
    };
    let bad = |place: &str, word: &str| {
        problem::invalid_request("bad-parameter", format!("`{}` is no value of this parameter", word.chars().take(60).collect::<String>()))
            .at(place)
            .help("Use normalized, concise, simplified or keyValues; sysAttrs goes into `options`.")
    };
    let (mut found, mut sys_attrs) = (None, false);
    for word in options.into_iter().flat_map(|o| o.split(',')).filter(|w| !w.is_empty()) {
        match word {
            "sysAttrs" => sys_attrs = true,
            _ if known.contains(&word) => {}
            _ => found = Some(named(word).ok_or_else(|| bad("options", word))?),
        }
    }
    if let Some(word) = format {
        found = Some(named(word).ok_or_else(|| bad("format", word))?);
    }
    Ok((found, sys_attrs))
}
