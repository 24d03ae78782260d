//! Whether a new version of a process asks for less than the one before. Then she need not be asked again.

use crate::{Datum, Process};

/// Whether `new` allows nothing that `old` did not allow.
pub fn is_narrower(new: &Process, old: &Process) -> bool {
    new.legal_basis == old.legal_basis
        && within(&new.purposes, &old.purposes)
        && new.purpose_version <= old.purpose_version
        && within(&new.recipients, &old.recipients)
        && within(&new.distribute_to, &old.distribute_to)
        && within(&new.operations, &old.operations)
        && within(&new.transfers, &old.transfers)
        && within(&new.processing_locations, &old.processing_locations)
        && within(&new.collection, &old.collection)
        && new.storage == old.storage
        && new.on_withdrawal == old.on_withdrawal
        && new.explicit == old.explicit
        && (!new.automated || old.automated)
        && old.validity.until.is_none_or(|end| new.validity.until.is_some_and(|own| own <= end))
        && old.validity.from.is_none_or(|start| new.validity.from.is_some_and(|own| own >= start))
        && new.data.iter().all(|datum| old.data.iter().any(|wide| datum_within(datum, wide)))
}

fn within<T: PartialEq>(part: &[T], whole: &[T]) -> bool {
    part.iter().all(|item| whole.contains(item))
}

fn datum_within(new: &Datum, old: &Datum) -> bool {
    let types = old.types.is_empty() || (!new.types.is_empty() && within(&new.types, &old.types));
    new.attribute == old.attribute && types && new.special == old.special && old.transform.covers(&new.transform)
}
