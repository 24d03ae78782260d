//! What the tests share.

use std::future::Future;
use std::path::Path;
use waybill_journal::{ConsentRef, Journal, Kind, Record};
use waybill_model::{Clock, DateTime, Iri, TenantId};
use waybill_store::Store;

/// 2026-11-24T00:00:00Z.
pub const T0: DateTime = DateTime::from_seconds(1_795_478_400);
pub const MARTA: &str = "https://pod.example/marta/card#me";
pub const JONAS: &str = "https://pod.example/jonas/card#me";
pub const CITY_B: &str = "https://b.example/#city";

pub fn iri(text: &str) -> Iri {
    Iri::new(text).unwrap()
}

pub fn clock() -> Clock {
    Clock::fixed(T0)
}

pub fn consent(version: u64) -> ConsentRef {
    ConsentRef { id: iri("urn:consent:marta-7"), version, epoch: version }
}

/// A disclosure of Marta's reading to City B, at a second of the day.
pub fn disclosure(second: i64) -> Record {
    disclosure_of(MARTA, second)
}

pub fn disclosure_of(who: &str, second: i64) -> Record {
    Record::new(Kind::Disclosure, TenantId::main(), T0.plus_seconds(second))
        .recipient(Some(iri(CITY_B)))
        .purpose(Some(iri("https://w3id.org/waybill/purpose#EnergyAdvice")))
        .query([9; 32])
        .left(1, Some([4; 32]))
        .about(iri(who), Some(consent(1)), serde_json::json!({ "entity": format!("urn:meter:of:{who}"), "attributes": ["power"] }))
}

pub fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime").block_on(work)
}

pub async fn journal() -> Journal {
    Journal::open(&Store::memory(clock()).unwrap()).await.unwrap()
}

pub async fn journal_in(dir: &Path) -> Journal {
    Journal::open(&Store::open(dir, clock()).unwrap()).await.unwrap()
}

/// The records' bytes.
pub async fn stored(journal: &Journal) -> Vec<(u64, Vec<u8>)> {
    journal.store().read(|r| r.stream("journal", 1, usize::MAX)).await.unwrap()
}

/// All files below `dir` that hold `needle`.
pub fn holding(dir: &Path, needle: &[u8]) -> Vec<String> {
    let files = std::fs::read_dir(dir).unwrap().map(|f| f.unwrap().path());
    files.filter(|f| std::fs::read(f).unwrap().windows(needle.len()).any(|w| w == needle)).map(|f| f.display().to_string()).collect()
}
