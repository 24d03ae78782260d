//! Licences: what was negotiated with an organisation for one dataset. A licence opens nothing by itself: it bounds what consents (or another
//! lawful basis) may open to that organisation, and only open data is its own to give.

use crate::fault;
use crate::pairwise::{Pair, PairKeys};
use serde::{Deserialize, Serialize};
use waybill_model::{DateTime, EntityDoc, Iri, PartyId, Scope, TenantId};
use waybill_store::{Reader, StoreError};

/// Documents of licences. Key: the agreement's id.
pub const LICENCE: &str = "licence";

/// An agreement that was negotiated with an organisation: the licence under which it asks for data. Nobody in it is a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Licence {
    /// The agreement's id.
    pub id: Iri,
    /// In whose store the dataset is.
    pub tenant: TenantId,
    /// What the organisation is called in its dataspace.
    pub participant: String,
    /// The organisation, as grants name it.
    pub party: PartyId,
    /// For what it may ask.
    pub purposes: Vec<Iri>,
    /// The dataset that was offered.
    pub dataset: String,
    /// The expanded types of its entities. Nothing else is covered; without any, nothing is.
    pub types: Vec<Iri>,
    /// Its entities; empty means all of these types.
    #[serde(default)]
    pub ids: Vec<Iri>,
    /// Its Attributes by expanded name; empty means all.
    #[serde(default)]
    pub attributes: Vec<Iri>,
    /// Whether open data is covered.
    pub open: bool,
    /// Whether what is about persons leaves under identifiers that are the organisation's own.
    pub pairwise: bool,
    /// From when it counts.
    #[serde(default)]
    pub from: Option<DateTime>,
    /// Until when.
    #[serde(default)]
    pub until: Option<DateTime>,
    /// Why it ended; nothing while it has not.
    #[serde(default)]
    pub ended: Option<String>,
}

/// A licence, the revision of its row, and what it is carried out with.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub licence: Licence,
    pub revision: u64,
    /// Where it asks for identifiers of the organisation's own.
    pub pair: Option<Pair>,
}

impl std::ops::Deref for Held {
    type Target = Licence;
    fn deref(&self) -> &Licence {
        &self.licence
    }
}

impl Licence {
    /// The licence with this id.
    ///
    /// # Errors
    /// The store's. A row that cannot be read counts as none.
    pub fn read(reader: &Reader<'_>, id: &Iri) -> Result<Option<Self>, StoreError> {
        Ok(Self::row(reader, id)?.map(|(licence, _)| licence))
    }

    fn row(reader: &Reader<'_>, id: &Iri) -> Result<Option<(Self, u64)>, StoreError> {
        let row = reader.doc(LICENCE, id.as_str())?;
        Ok(row.and_then(|row| Some((serde_json::from_slice(&row.payload).ok()?, row.revision))))
    }

    pub(crate) fn held(reader: &Reader<'_>, id: &Iri, pairs: &PairKeys) -> Result<Option<Held>, StoreError> {
        Ok(Self::row(reader, id)?.map(|(licence, revision)| Held { pair: licence.pairwise.then(|| pairs.pair(&licence)), licence, revision }))
    }

    /// Whether it has not ended and `now` lies in its time.
    pub fn is_in_force(&self, now: DateTime) -> bool {
        fault::off("gate-licence-force") || self.ended.is_none() && self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }

    /// Whether `scope` is a call of the organisation, in the store that the licence is about. The operator is no organisation's.
    pub fn is_for(&self, scope: &Scope) -> bool {
        fault::off("gate-licence-party") || !scope.is_operator() && scope.agreement.as_ref() == Some(&self.id) && scope.recipient.as_ref() == Some(&self.party) && scope.tenant == self.tenant
    }

    /// Whether `doc` belongs to the dataset.
    pub fn covers(&self, doc: &EntityDoc) -> bool {
        fault::off("gate-licence-dataset")
            || doc.types().any(|ty| self.types.iter().any(|own| own.as_str() == ty)) && (self.ids.is_empty() || self.ids.iter().any(|id| id.as_str() == doc.id()))
    }

    /// Whether the Attribute `name` belongs to it.
    pub fn names(&self, name: &str) -> bool {
        fault::off("gate-licence-attributes") || self.attributes.is_empty() || self.attributes.iter().any(|own| own.as_str() == name)
    }
}
