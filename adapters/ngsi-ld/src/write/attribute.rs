//! Operations on one Attribute (clauses 5.6.4, 5.6.5, 5.6.19).

use super::draft::Draft;
use super::{Outcome, UpdateResult, merge};
use crate::problem;
use waybill_context::{Change, FragmentInstance};
use waybill_model::{DateTime, EntityDoc, Problem};

/// Which instances of an Attribute are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The one without datasetId.
    Default,
    /// The one with this datasetId.
    Dataset(String),
    /// All.
    All,
}

/// Deletes instances of the Attribute `name`, or the scopes when `name` is `scope`.
///
/// # Errors
/// 404 when there is nothing to delete.
pub fn delete_attribute(current: &EntityDoc, name: &str, which: &Which, now: DateTime) -> Result<Outcome, Problem> {
    let mut draft = Draft::of(current);
    let gone = match which {
        _ if name == "scope" => {
            let had = draft.has_scopes();
            draft.set_scopes(&[]);
            had
        }
        Which::Default => draft.remove(name, None),
        Which::Dataset(id) => draft.remove(name, Some(id)),
        Which::All => draft.remove_all(name),
    };
    if !gone {
        return Err(problem::no_attribute());
    }
    Ok(draft.finish(current, done(name), now))
}

/// Takes away all Attributes for which `gone` holds.
pub fn remove_attributes(current: &EntityDoc, gone: impl Fn(&str) -> bool, now: DateTime) -> Outcome {
    let mut draft = Draft::of(current);
    let names: Vec<String> = draft.names().into_iter().filter(|name| gone(name)).collect();
    for name in &names {
        draft.remove_all(name);
    }
    draft.finish(current, UpdateResult { updated: names, not_updated: Vec::new() }, now)
}

/// Overwrites the first-level members of one instance.
///
/// # Errors
/// 404 when the instance is not there; 400 when its kind would change or it would lose its value.
pub fn partial_update(current: &EntityDoc, name: &str, change: &Change, now: DateTime) -> Result<Outcome, Problem> {
    let mut draft = Draft::of(current);
    for piece in pieces(change, &draft, name)? {
        let dataset = piece.dataset_id.as_deref();
        let Some(held) = draft.text(name, dataset) else { return Err(problem::no_attribute()) };
        if piece.deleted {
            draft.remove(name, dataset);
        } else {
            let text = merge::overwrite(held, &piece.text)?;
            draft.put(name, &text, now).map_err(|e| problem::bad_instance(&e, ""))?;
        }
    }
    if matches!(change, Change::Delete) && !draft.remove(name, None) {
        return Err(problem::no_attribute());
    }
    Ok(draft.finish(current, done(name), now))
}

/// Replaces instances of the Attribute `name` as wholes.
///
/// # Errors
/// 404 when an instance is not there; 400 when the new one is none.
pub fn replace_attribute(current: &EntityDoc, name: &str, change: &Change, now: DateTime) -> Result<Outcome, Problem> {
    let mut draft = Draft::of(current);
    if matches!(change, Change::Delete) {
        return Err(problem::bad_data("null-not-allowed", "a replacement cannot be the NGSI-LD Null").help("Delete the Attribute instead."));
    }
    for piece in pieces(change, &draft, name)? {
        if !draft.has(name, piece.dataset_id.as_deref()) {
            return Err(problem::no_attribute());
        }
        draft.put(name, &piece.text, now).map_err(|e| problem::bad_instance(&e, ""))?;
    }
    Ok(draft.finish(current, done(name), now))
}

fn pieces<'a>(change: &'a Change, draft: &Draft, name: &str) -> Result<&'a [FragmentInstance], Problem> {
    if !draft.has_attribute(name) {
        return Err(problem::no_attribute());
    }
    match change {
        Change::Instances(list) => Ok(list),
        Change::Delete => Ok(&[]),
    }
}

fn done(name: &str) -> UpdateResult {
    UpdateResult { updated: vec![name.to_owned()], not_updated: Vec::new() }
}
