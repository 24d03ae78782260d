//! What a write makes of an Entity (clauses 5.5.8, 5.5.12, 5.6): pure functions from the present state and a fragment to the new state.
//!
//! Instances that a write does not touch keep their bytes, times and envelope. One that changes keeps its `createdAt`, is modified now, and
//! loses the envelope it came under: what was signed is no longer what is held. The engine lets that through for nobody (`guard.rs`).
//! Tags that a writer sends along, because she read them, are left out.

mod attribute;
mod draft;
mod merge;

pub use attribute::{Which, delete_attribute, partial_update, remove_attributes, replace_attribute};
pub use merge::MergeOptions;

use crate::problem;
use draft::Draft;
use waybill_context::{Change, Fragment};
use waybill_model::{DateTime, EntityDoc, Problem};

/// What happened to the Attributes that a fragment names (clause 5.2.18). Names are expanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateResult {
    /// Those that were taken, also when nothing changed thereby.
    pub updated: Vec<String>,
    /// Those that were not, and why.
    pub not_updated: Vec<(String, String)>,
}

/// The new state.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The Entity as it is now to be.
    pub doc: EntityDoc,
    /// What happened to each Attribute.
    pub result: UpdateResult,
    /// Whether anything differs from before.
    pub changed: bool,
}

/// An operation that takes a fragment of an Entity.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Append Attributes (5.6.3); with `no_overwrite` instances that exist stay.
    Append {
        /// Whether instances that exist stay.
        no_overwrite: bool,
    },
    /// Update Attributes (5.6.2): instances are replaced as wholes, missing ones added, Nulls delete.
    Update,
    /// Merge Entity (5.6.17): RFC 7396 to any depth.
    Merge(MergeOptions),
}

/// Applies `fragment` to `current`.
///
/// # Errors
/// 400 when the result would be no Entity, such as an instance without a value.
pub fn apply(op: &Op, current: &EntityDoc, fragment: &Fragment, now: DateTime) -> Result<Outcome, Problem> {
    if let Some(id) = &fragment.id
        && id.as_str() != current.id()
    {
        return Err(problem::bad_data("id-mismatch", "the `id` in the body is not the one in the path").at("/id").help("Leave `id` out, or make both the same."));
    }
    let mut draft = Draft::of(current);
    let mut result = UpdateResult::default();
    for name in &fragment.types {
        draft.add_type(name);
    }
    scope(op, &mut draft, fragment, &mut result);
    if let Some(at) = fragment.expires_at {
        draft.set_expiry(at);
    }
    for (name, change) in &fragment.attributes {
        match change {
            Change::Delete => {
                draft.remove(name.as_str(), None);
                result.updated.push(name.to_string());
            }
            Change::Instances(pieces) => {
                let mut kept = false;
                for piece in pieces {
                    let dataset = piece.dataset_id.as_deref();
                    if piece.deleted {
                        draft.remove(name.as_str(), dataset);
                    } else if matches!(op, Op::Append { no_overwrite: true }) && draft.has(name.as_str(), dataset) {
                        kept = true;
                    } else if let (Op::Merge(options), Some(held)) = (op, draft.text(name.as_str(), dataset)) {
                        let merged = merge::instance(held, &piece.text, options).map_err(|e| e.under(name.as_str()))?;
                        draft.put(name.as_str(), &merged, now).map_err(|e| problem::bad_instance(&e, name.as_str()))?;
                    } else {
                        let text = merge::without_nulls(&piece.text);
                        draft.put(name.as_str(), &text, now).map_err(|e| problem::bad_instance(&e, name.as_str()))?;
                    }
                }
                if kept {
                    result.not_updated.push((name.to_string(), "the Attribute exists and noOverwrite was asked".to_owned()));
                } else {
                    result.updated.push(name.to_string());
                }
            }
        }
    }
    Ok(draft.finish(current, result, now))
}

/// Scopes: appended when there were none, merged under noOverwrite; an update replaces only scopes that are there.
fn scope(op: &Op, draft: &mut Draft, fragment: &Fragment, result: &mut UpdateResult) {
    let Some(scopes) = &fragment.scopes else { return };
    match op {
        Op::Append { no_overwrite: true } => {
            for path in scopes {
                draft.add_scope(path);
            }
        }
        Op::Update if !draft.has_scopes() => {
            result.not_updated.push(("scope".to_owned(), "the Entity has no scope to update".to_owned()));
            return;
        }
        _ => draft.set_scopes(scopes),
    }
    result.updated.push("scope".to_owned());
}

/// The state after a replacement of the whole Entity by `new` (5.6.18, and upsert): what existed before keeps its `createdAt`.
pub fn replace_entity(current: &EntityDoc, new: &EntityDoc, now: DateTime) -> Outcome {
    let mut draft = Draft::of(current);
    draft.become_like(new, now);
    let updated = draft.names();
    draft.finish(current, UpdateResult { updated, not_updated: Vec::new() }, now)
}

/// A new Entity as it may be stored: without tags.
pub fn new_entity(new: &EntityDoc) -> EntityDoc {
    if !new.text().contains(waybill_model::TAG_NAME) {
        return new.clone();
    }
    let mut draft = Draft::of(new);
    draft.strip_tags();
    draft.finish(new, UpdateResult::default(), new.system.modified_at).doc
}
