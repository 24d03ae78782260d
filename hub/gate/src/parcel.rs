//! What the gate puts together for a delivery.

use serde::{Deserialize, Serialize};
use waybill_model::{DateTime, EntityDoc, Iri, TenantId};

/// One delivery: entities as the recipient may see them, tags inside, and those that she no longer sees.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The follower it is for.
    pub follower: Iri,
    /// Whose data it is.
    pub tenant: TenantId,
    /// The idempotency key: equal for every attempt that carries the same content.
    pub key: String,
    /// The time of the delivery.
    pub at: DateTime,
    /// Entities that are new to the recipient or have changed. Their tags stand in the documents.
    pub entities: Vec<EntityDoc>,
    /// Which Attributes of an entity changed, by index into `entities`; nothing means all.
    pub changed: Vec<Option<Vec<String>>>,
    /// What the recipient no longer sees.
    pub deleted: Vec<Deleted>,
    /// Where the signed manifest of this delivery lies, when there is personal data in it.
    pub manifest: Option<String>,
}

/// Something the recipient saw and now sees no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// The Entity.
    pub id: Iri,
    /// Its types.
    pub types: Vec<Iri>,
    /// The Attributes that went; empty when the whole Entity went.
    pub attributes: Vec<Iri>,
}

/// Something that an organisation asked for under its licence, got, and may see no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gone {
    /// The Entity, as it was released.
    pub id: String,
    /// When that was first noticed.
    pub gone_at: DateTime,
    /// Where to go on behind it.
    pub cursor: String,
}
