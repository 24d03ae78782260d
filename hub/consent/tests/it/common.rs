//! What the tests share: a clock, a city, a citizen.

use std::sync::{Arc, OnceLock};
use waybill_consent::{
    Actor, ActorRole, Change, ConsentBook, ConsentEvent, ConsentRecord, Evidence, EvidenceKind, GrantDocument, Issuer, Observed, Pids,
    PurposeCheck, Validity, record_id_of,
};
use waybill_keys::KeyRing;
use waybill_model::{Clock, DateTime, Iri, TenantId};
use waybill_policy::{Profile, Purposes};
use waybill_store::{Batch, Reader, Store};

pub const GRANT: &str = include_str!("../fixtures/grant.json");
pub const ANNA: &str = "https://anna.pod.example/profile/card#me";
pub const BEN: &str = "https://ben.pod.example/profile/card#me";
pub const CITY_A: &str = "https://city-a.example/party";
pub const CITY_B: &str = "https://city-b.example/party";
pub const CITY_C: &str = "https://city-c.example/party";
pub const DID_A: &str = "did:web:city-a.example";
pub const POWER: &str = "https://uri.etsi.org/ngsi-ld/default-context/power";
pub const METER: &str = "https://uri.etsi.org/ngsi-ld/default-context/SmartMeter";

pub fn iri(text: &str) -> Iri {
    Iri::new(text).expect("an IRI")
}
pub fn at(text: &str) -> DateTime {
    DateTime::parse(text).expect("a time")
}
pub fn now() -> DateTime {
    at("2026-11-24T08:00:00Z")
}
pub fn tenant() -> TenantId {
    TenantId::main()
}
pub fn ring() -> KeyRing {
    KeyRing::generate(&Clock::fixed(at("2026-11-01T00:00:00Z"))).controlled_by(DID_A)
}
pub fn purposes() -> &'static Purposes {
    static BUNDLED: OnceLock<Purposes> = OnceLock::new();
    BUNDLED.get_or_init(Purposes::bundled)
}
pub fn check() -> &'static dyn PurposeCheck {
    purposes()
}
pub fn book() -> ConsentBook {
    let issuer = Issuer { did: DID_A.into(), base_url: "https://city-a.example".into(), inbox: iri("https://city-a.example/events"), max_stale: 60 };
    ConsentBook::new(issuer, Profile::waybill())
}
pub fn source() -> Iri {
    iri("https://anna.pod.example/consents/energy")
}
pub fn record_id() -> Iri {
    record_id_of(&source(), &[7; 32])
}
pub fn document() -> GrantDocument {
    GrantDocument::parse(GRANT.as_bytes()).expect("a grant document")
}
pub fn seen(hash: &str, received: DateTime) -> Observed {
    Observed {
        source: source(),
        etag: Some(format!("\"{hash}\"")),
        hash: hash.to_owned(),
        author: iri(ANNA),
        kind: EvidenceKind::AccessRules,
        access_rules: Some("ab".repeat(32)),
        received,
    }
}
/// The first version of what Anna wrote.
pub fn record() -> ConsentRecord {
    document().import(&record_id(), &seen("one", now()), &[], &[]).expect("imports").record.expect("a record")
}
/// The next version, changed by `change`.
pub fn next(last: &ConsentRecord, change: impl FnOnce(&mut ConsentRecord)) -> ConsentRecord {
    let mut out = ConsentRecord { version: last.version + 1, prev: Some(last.hash_text()), ..last.clone() };
    change(&mut out);
    out
}
pub fn event(eid: &str, version: u32, state: Change, time: DateTime) -> ConsentEvent {
    let role = if state == Change::Requested { ActorRole::Controller } else { ActorRole::Subject };
    let who = if role == ActorRole::Subject { ANNA } else { CITY_A };
    ConsentEvent {
        time,
        eid: eid.to_owned(),
        record: record_id(),
        version,
        received: time,
        pids: Pids::ALL,
        state,
        by: Actor { id: iri(who), role },
        evidence: Evidence::of(EvidenceKind::SignedIn),
        after: Vec::new(),
        validity: None,
        reason: None,
    }
}
pub fn until(text: &str) -> Validity {
    Validity { from: None, until: Some(at(text)) }
}

/// A hub's store with its book and keys.
pub struct Hub {
    pub store: Store,
    pub book: Arc<ConsentBook>,
    pub ring: Arc<KeyRing>,
}
impl Hub {
    pub fn new() -> Self {
        Self::over(Store::memory(Clock::fixed(now())).expect("a store"), ring())
    }
    pub fn over(store: Store, ring: KeyRing) -> Self {
        Self { store, book: Arc::new(book()), ring: Arc::new(ring) }
    }
    pub fn look<T: Send + 'static>(&self, look: impl FnOnce(&Reader<'_>, &ConsentBook, &KeyRing) -> T + Send + 'static) -> T {
        let (book, ring) = (Arc::clone(&self.book), Arc::clone(&self.ring));
        self.store.read_blocking(move |r| Ok(look(r, &book, &ring))).expect("reads")
    }
    pub fn commit(&self, batch: Batch) {
        self.store.commit_blocking(batch).expect("commits");
    }
}
