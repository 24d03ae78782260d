//! What is counted and written once a minute.

use crate::common::*;
use waybill_journal::{Kind, Tally};
use waybill_model::TenantId;

fn tally(kind: Kind, subject: Option<&str>) -> Tally {
    Tally {
        kind,
        tenant: TenantId::main(),
        recipient: Some(iri(CITY_B)),
        purpose: None,
        subject: subject.map(iri),
        reason: "not-bound".into(),
    }
}

#[test]
fn a_minute_is_one_record_and_is_written_when_it_is_over() {
    run(async {
        let journal = journal().await;
        for second in [0, 30, 59, 60] {
            journal.coalesce(tally(Kind::OpenRead, None), T0.plus_seconds(second), 2);
            journal.coalesce(tally(Kind::Refusal, Some(MARTA)), T0.plus_seconds(second), 1);
        }
        assert_eq!(journal.flush(T0.plus_seconds(59)).await.unwrap(), 0);
        assert_eq!(journal.flush(T0.plus_seconds(60)).await.unwrap(), 2);
        assert_eq!(journal.flush(T0.plus_seconds(61)).await.unwrap(), 0);
        assert_eq!(journal.flush_all().await.unwrap(), 2);
        let lines = journal.export(1, 9).await.unwrap();
        let records: Vec<serde_json::Value> = lines.iter().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["record"].take()).collect();
        let open: Vec<_> = records.iter().filter(|r| r["kind"] == "open-read").map(|r| (r["count"].as_u64().unwrap(), r["at"].as_str().unwrap())).collect();
        assert_eq!(open, [(6, "2026-11-24T00:00:00Z"), (2, "2026-11-24T00:01:00Z")]);
        let page = journal.page_of(&iri(MARTA)).await.unwrap();
        let hers: Vec<_> = page.entries.iter().map(|e| (e.kind, e.count, e.note["reason"].as_str().unwrap())).collect();
        assert_eq!(hers, [(Kind::Refusal, 3, "not-bound"), (Kind::Refusal, 1, "not-bound")]);
        assert!(journal.verify(None).await.unwrap().is_ok());
    });
}

#[test]
fn ever_new_callers_do_not_fill_the_memory_and_are_still_counted() {
    run(async {
        let journal = journal().await;
        for n in 0..10_500 {
            let mut one = tally(Kind::Refusal, None);
            one.recipient = Some(iri(&format!("urn:caller:{n}")));
            journal.coalesce(one, T0, 1);
        }
        assert_eq!(journal.flush_all().await.unwrap(), 10_001);
        let rest = journal.export(10_001, 1).await.unwrap();
        let all: u64 = journal.export(1, 99_999).await.unwrap().iter().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["record"]["count"].as_u64().unwrap()).sum();
        assert_eq!((rest.len(), all), (1, 10_500));
    });
}

#[test]
fn what_could_not_be_written_is_still_counted() {
    run(async {
        let journal = journal().await;
        journal.coalesce(tally(Kind::OpenRead, None), T0, 3);
        journal.store().close().await;
        assert!(journal.flush_all().await.is_err());
        assert!(journal.flush_all().await.is_err(), "it is tried again");
    });
}
