//! For `bench/` alone, in builds with the feature `bench`: the steps of a release on one thread, without the record that must go before it.

use crate::tagging::Tagger;
use crate::{Eyes, Tally};
use std::sync::RwLock;
use waybill_keys::KeyRing;
use waybill_model::EntityDoc;
use waybill_store::StoreError;

/// Decides about `doc`, leaves out what stays closed, tags the rest and signs for it: what a release does between store and record.
///
/// # Errors
/// The store's.
pub fn unrecorded(eyes: &Eyes<'_>, doc: &EntityDoc, keys: &RwLock<KeyRing>) -> Result<Vec<EntityDoc>, StoreError> {
    let visible = eyes.mask(doc, &mut Tally::default())?;
    Ok(Tagger::new(eyes, keys).tag(visible.into_iter().collect(), &crate::onward::Found::default(), "disclosure").entities)
}
