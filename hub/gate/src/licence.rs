//! A negotiated agreement between organisations, as the gate reads it: which dataset somebody may ask for, for which purposes, until when.
//!
//! It opens nothing about a person by itself: each request under it is decided anew, by the licence and by what each person agreed to.

use crate::governance::Governance;
use serde::{Deserialize, Serialize};
use waybill_model::{DateTime, EntityDoc, Iri, PartyId, Scope};
use waybill_store::{Reader, StoreError};

/// Documents of licences. Key: the agreement's identifier.
pub const LICENCE: &str = "licence";

/// What an agreement lets one organisation ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// The agreement.
    pub id: Iri,
    /// The participant of the dataspace.
    pub participant: String,
    /// The party that it is, as consents name it.
    pub party: PartyId,
    /// For what.
    pub purposes: Vec<Iri>,
    /// The dataset, as the dataspace names it.
    pub dataset: String,
    /// Entities of one of these expanded types, and of no other.
    pub types: Vec<Iri>,
    /// These entities; empty for all of the types.
    pub ids: Vec<Iri>,
    /// These Attributes; empty for all.
    pub attributes: Vec<Iri>,
    /// Whether open data is covered.
    pub open: bool,
    /// From when.
    pub from: Option<DateTime>,
    /// Until when, not included.
    pub until: Option<DateTime>,
    /// Why it is over, when it is.
    pub ended: Option<String>,
}

impl Licence {
    /// The licence of the agreement `id`.
    ///
    /// # Errors
    /// The store's; [`StoreError::Corrupt`] when the row cannot be read: then nothing is open under it.
    pub fn read(reader: &Reader<'_>, id: &str) -> Result<Option<Self>, StoreError> {
        let Some(row) = reader.doc(LICENCE, id)? else { return Ok(None) };
        serde_json::from_slice(&row.payload).map(Some).map_err(|e| StoreError::Corrupt(format!("the licence {id} cannot be read: {e}")))
    }

    /// Whether `scope` may ask under it at `now`.
    pub fn is_for(&self, scope: &Scope, now: DateTime) -> bool {
        let time = self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until);
        let purpose = match &scope.purpose {
            Some(purpose) => self.purposes.contains(purpose),
            // Without one nothing about a person is open, whatever else holds.
            None => self.purposes.is_empty(),
        };
        self.ended.is_none() && time && purpose && scope.recipient.as_ref() == Some(&self.party)
    }

    /// Whether `doc` is in the dataset.
    pub fn covers(&self, doc: &EntityDoc) -> bool {
        doc.types().any(|t| self.types.iter().any(|own| own.as_str() == t)) && (self.ids.is_empty() || self.ids.iter().any(|id| id.as_str() == doc.id()))
    }

    /// Whether the Attribute `name` is in the dataset.
    pub fn shows(&self, name: &str) -> bool {
        self.attributes.is_empty() || self.attributes.iter().any(|own| own.as_str() == name)
    }
}

impl Governance {
    /// Whether `scope` asks under an agreement that was negotiated, and not under one of the configuration.
    pub fn is_licensed(&self, scope: &Scope) -> bool {
        scope.agreement.as_ref().is_some_and(|id| !self.agreements.iter().any(|own| own.id == *id))
    }
}
