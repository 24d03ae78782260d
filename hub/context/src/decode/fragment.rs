//! Fragments: what a patch, an append or a merge brings (clause 5.4).

use super::instance::{self, all};
use super::members::{self, name_of};
use super::value::is_marker;
use super::{Decoded, Form, Halt, Nulls, Options, entity, fault, geo};
use crate::context::Context;
use crate::error::Fault;
use crate::names::Distinct;
use crate::tape::Item;
use waybill_model::{AttributeKind, DateTime, Iri, Span};

/// One instance of an Attribute in a fragment.
#[derive(Debug, Clone, PartialEq)]
pub struct FragmentInstance {
    /// Its kind; nothing when a patch of an instance does not say.
    pub kind: Option<AttributeKind>,
    /// Which instance it is; nothing for the default one.
    pub dataset_id: Option<String>,
    /// The instance as canonical JSON; it may lack `type` and the value member, and a member that goes is the string `urn:ngsi-ld:null`.
    pub text: String,
    /// It has a value; without one it only changes other members.
    pub valued: bool,
    /// The value is the NGSI-LD Null: the whole instance goes.
    pub deleted: bool,
    /// When it ends to exist.
    pub expires_at: Option<DateTime>,
}

/// What a fragment does to one Attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The NGSI-LD Null in its place: the Attribute goes (its default instance, clause 5.5.8).
    Delete,
    /// Instances that come or change; one or more, with distinct datasetIds.
    Instances(Vec<FragmentInstance>),
}

/// A fragment of an Entity, expanded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fragment {
    /// The `id`, when there was one: it must equal the target's.
    pub id: Option<Iri>,
    /// Types to add; empty when there were none.
    pub types: Vec<Iri>,
    /// The scopes, when the fragment has the member: an empty list takes them all away.
    pub scopes: Option<Vec<String>>,
    /// When the Entity ends to exist; `Some(None)` when the fragment takes that away.
    pub expires_at: Option<Option<DateTime>>,
    /// What happens to each Attribute, by expanded name, in the order of the document.
    pub attributes: Vec<(Iri, Change)>,
}

pub(super) fn decode(context: &Context, item: Item<'_, '_>, options: &Options) -> Decoded<Fragment> {
    let head = entity::head(context, item)?;
    let mut out = Fragment::default();
    let mut scratch = String::new();
    let nulls = options.nulls > Nulls::Refused;
    if let Some(id) = head.id {
        let read = id.text().filter(|_| !is_marker(id)).and_then(|id| Iri::new(id.as_ref()).ok());
        let Some(read) = read else {
            return fault(Fault::Id, "4.5.1", "the `id` is no URI").map_err(|e| e.under("id"));
        };
        out.id = Some(read);
    }
    if let Some(types) = head.types {
        if is_marker(types) {
            return fault(Fault::Null, "5.5.4", "the type of an Entity is not taken away").map_err(|e| e.under("type"));
        }
        let spans = entity::types(context, types, &mut scratch).map_err(|e| e.under("type"))?;
        // INVARIANT: a name the context gives is an IRI.
        out.types = spans.iter().filter_map(|s| Iri::new(s.of(&scratch)).ok()).collect();
    }
    if let Some(scope) = head.scope {
        if nulls && is_marker(scope) {
            out.scopes = Some(Vec::new());
        } else {
            scratch.clear();
            let spans = entity::scopes(scope, &mut scratch).map_err(|e| e.under("scope"))?;
            out.scopes = Some(spans.iter().map(|s| s.of(&scratch).to_owned()).collect());
        }
    }
    if let Some(item) = head.expires_at {
        out.expires_at = if nulls && is_marker(item) {
            Some(None)
        } else {
            scratch.clear();
            Some(Some(members::time(item, &mut scratch).map_err(|e| e.under("expiresAt"))?))
        };
    }
    let mut names = Distinct::default();
    for (name, value) in &head.attributes {
        let step = |e: Halt| e.under(name);
        let iri = name_of(context, name).map_err(step)?;
        let Ok(known) = Iri::new(iri.as_ref()) else {
            return fault(Fault::Name, "4.6.2", "no Attribute can have this name").map_err(step);
        };
        entity::distinct(&mut names, iri).map_err(step)?;
        out.attributes.push((known, change(context, *value, options, false).map_err(step)?));
    }
    Ok(out)
}

/// The body of an operation on one Attribute: always an instance, or an array of them, even without type and value.
pub(super) fn decode_attribute(context: &Context, item: Item<'_, '_>, options: &Options) -> Decoded<Change> {
    change(context, item, options, true)
}

fn change(context: &Context, item: Item<'_, '_>, options: &Options, patch: bool) -> Decoded<Change> {
    if is_marker(item) {
        if options.nulls == Nulls::Refused {
            return fault(Fault::Null, "5.5.4", "the NGSI-LD Null deletes in an update or a merge only");
        }
        return Ok(Change::Delete);
    }
    let mut scratch = String::with_capacity(item.raw().len() * 2);
    let mut out = Vec::new();
    let take = |text: &str, span: Span, written: &instance::Written| FragmentInstance {
        kind: written.kind,
        dataset_id: written.dataset_id.map(|s| s.of(text).to_owned()),
        text: span.of(text).to_owned(),
        valued: written.valued,
        deleted: written.deleted,
        expires_at: written.expires_at,
    };
    if patch && options.form == Form::Standard && item.is_object() && !geo::is_geometry(item) {
        // The document is the instance: it may have its @context beside it, and in a patch only sub-attributes.
        let written = patch_instance(context, item, options, &mut scratch)?;
        out.push(take(&scratch, Span { start: 0, end: scratch.len() as u32 }, &written));
    } else {
        all(context, item, options, &mut scratch, |text, span, written| {
            out.push(take(text, span, written));
            Ok(())
        })?;
    }
    if out.is_empty() {
        return fault(Fault::Value, "4.5.5", "an Attribute has at least one instance");
    }
    Ok(Change::Instances(out))
}

fn patch_instance(context: &Context, item: Item<'_, '_>, options: &Options, out: &mut String) -> Decoded<instance::Written> {
    instance::instance(context, item, options, out, instance::Stand::Document)
}
