//! What the portal asks of the hub.

use crate::view::{
    Bound, Changed, Check, Connection, ConsentDetail, ConsentSummary, DeadLetter, Erased, HeartbeatState, Holder, JournalLine, JournalVerdict,
    KeyState, Quarantined, WithdrawalReport,
};
use serde::Serialize;
use std::pin::Pin;
use waybill_consent::{Binding, ConsentEvent, ConsentRecord, Guardianship};
use waybill_journal::Page;
use waybill_model::{Iri, Problem, TenantId};

/// An answer that takes a while.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send + 'a>>;

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paging {
    /// At most so many, 1 to 1000.
    pub limit: usize,
    /// Those that follow this key, which an earlier [`Listing::next`] gave.
    pub after: Option<String>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listing<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where to go on; nothing at the end. The portal codes it before it leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Listing<T> {
    /// A list that is whole.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// The hub, as the portal uses it. The portal has judged the caller before: whoever implements this need not. Every method is of one
/// tenant where it names one, and answers `None` (or nothing) for what is not that tenant's.
///
/// A key of a row (of a binding, a quarantined thing, a dead letter) may be any text; callers see it coded.
pub trait Admin: Send + Sync {
    /// Whether the hub can do its work: the store answers, keys are there, the configuration holds.
    fn checks(&self) -> Answer<'_, Vec<Check>>;

    /// The consents of a tenant, of one person if given.
    fn consents<'a>(&'a self, tenant: &'a TenantId, subject: Option<&'a Iri>, paging: &'a Paging) -> Answer<'a, Listing<ConsentSummary>>;
    /// One consent with all its versions and events.
    fn consent<'a>(&'a self, tenant: &'a TenantId, id: &'a Iri) -> Answer<'a, Option<ConsentDetail>>;
    /// Takes a new version, events about it, or both, with all that follows, durably.
    fn change_consent<'a>(
        &'a self,
        tenant: &'a TenantId,
        id: &'a Iri,
        version: Option<ConsentRecord>,
        events: Vec<ConsentEvent>,
    ) -> Answer<'a, Changed>;

    /// The bindings of a tenant, of one person if given.
    fn bindings<'a>(&'a self, tenant: &'a TenantId, subject: Option<&'a Iri>, paging: &'a Paging) -> Answer<'a, Listing<Bound>>;
    /// Says that data is about somebody. Answers the binding's key.
    fn bind<'a>(&'a self, tenant: &'a TenantId, binding: Binding) -> Answer<'a, String>;
    /// Ends a binding. Answers whether there was one.
    fn unbind<'a>(&'a self, tenant: &'a TenantId, key: &'a str) -> Answer<'a, bool>;
    /// Says that somebody acts for somebody else, until a date.
    fn appoint<'a>(&'a self, tenant: &'a TenantId, guardianship: Guardianship) -> Answer<'a, ()>;
    /// Whether `guardian` acts for `ward` now.
    fn acts_for<'a>(&'a self, tenant: &'a TenantId, guardian: &'a Iri, ward: &'a Iri) -> Answer<'a, bool>;
    /// Withdraws everything of a person's, then erases what the hub holds of her: her data, her consents, her key in the journal.
    fn erase<'a>(&'a self, tenant: &'a TenantId, subject: &'a Iri) -> Answer<'a, Erased>;

    /// Who holds copies, of one person's data if given.
    fn holders<'a>(&'a self, tenant: &'a TenantId, subject: Option<&'a Iri>, paging: &'a Paging) -> Answer<'a, Listing<Holder>>;
    /// Withdrawals and how far they have come, newest first, of one person if given.
    fn withdrawals<'a>(&'a self, tenant: &'a TenantId, subject: Option<&'a Iri>, paging: &'a Paging) -> Answer<'a, Listing<WithdrawalReport>>;
    /// One withdrawal.
    fn withdrawal<'a>(&'a self, tenant: &'a TenantId, id: &'a Iri) -> Answer<'a, Option<WithdrawalReport>>;

    /// What came in and was refused.
    fn quarantine<'a>(&'a self, tenant: &'a TenantId, paging: &'a Paging) -> Answer<'a, Listing<Quarantined>>;
    /// One of them.
    fn quarantined<'a>(&'a self, tenant: &'a TenantId, key: &'a str) -> Answer<'a, Option<Quarantined>>;
    /// Admits it after all. Answers whether there was one.
    fn release<'a>(&'a self, tenant: &'a TenantId, key: &'a str) -> Answer<'a, bool>;
    /// Throws it away. Answers whether there was one.
    fn discard<'a>(&'a self, tenant: &'a TenantId, key: &'a str) -> Answer<'a, bool>;

    /// Deliveries that were given up, of all tenants.
    fn dead_letters<'a>(&'a self, paging: &'a Paging) -> Answer<'a, Listing<DeadLetter>>;
    /// One of them.
    fn dead_letter<'a>(&'a self, key: &'a str) -> Answer<'a, Option<DeadLetter>>;
    /// Tries it again; it is decided anew. Answers whether there was one.
    fn replay<'a>(&'a self, key: &'a str) -> Answer<'a, bool>;

    /// Heartbeats sent and received.
    fn heartbeats(&self) -> Answer<'_, Vec<HeartbeatState>>;
    /// The connections and how they are; asks them when that was not done lately.
    fn connections(&self) -> Answer<'_, Vec<Connection>>;

    /// The hub's keys, oldest first, never their secrets.
    fn keys(&self) -> Answer<'_, Vec<KeyState>>;
    /// Replaces the active key of `algorithm` (`EdDSA` or `ES256`). Answers the new one.
    fn rotate_key<'a>(&'a self, algorithm: &'a str) -> Answer<'a, KeyState>;
    /// Revokes a key. Answers the key, or nothing when there is none of that name.
    fn revoke_key<'a>(&'a self, kid: &'a str) -> Answer<'a, Option<KeyState>>;

    /// Whether the journal holds.
    fn verify_journal(&self) -> Answer<'_, JournalVerdict>;
    /// Up to `limit` records from number `from` on.
    fn export_journal(&self, from: u64, limit: usize) -> Answer<'_, Vec<JournalLine>>;
    /// What the journal knows of one person.
    fn journal_page<'a>(&'a self, tenant: &'a TenantId, subject: &'a Iri) -> Answer<'a, Page>;
}
