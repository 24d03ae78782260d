//! The chain, the page, and what erasure leaves.

use crate::common::*;
use proptest::prelude::*;
use waybill_journal::{JournalError, Kind, Record};
use waybill_model::TenantId;
use waybill_store::{Batch, StoreError};

#[test]
fn her_page_says_who_what_why_when_and_whether_it_was_stopped() {
    run(async {
        let journal = journal().await;
        for second in [1, 2] {
            journal.record_release(disclosure(second)).await.unwrap();
        }
        let after = |kind, second, recipient: Option<&str>| {
            Record::new(kind, TenantId::main(), T0.plus_seconds(second)).recipient(recipient.map(iri)).about(iri(MARTA), Some(consent(2)), serde_json::Value::Null)
        };
        journal.record_release(after(Kind::Withdrawal, 10, None)).await.unwrap();
        journal.record_release(after(Kind::Acknowledgement, 11, Some("https://c.example/#city"))).await.unwrap();
        journal.record_release(after(Kind::Acknowledgement, 12, Some(CITY_B))).await.unwrap();
        let page = journal.page_of(&iri(MARTA)).await.unwrap();
        assert_eq!(page.entries.len(), 5);
        let first = &page.entries[0];
        assert_eq!((first.record, first.kind, first.at), (1, Kind::Disclosure, T0.plus_seconds(1)));
        assert_eq!(first.recipient, Some(iri(CITY_B)));
        assert_eq!(first.detail["entity"], format!("urn:meter:of:{MARTA}"));
        assert_eq!((first.stopped, first.confirmed), (Some(T0.plus_seconds(10)), Some(T0.plus_seconds(12))));
        assert_eq!(journal.page_of(&iri("urn:somebody:else")).await.unwrap().entries, []);
        let report = journal.verify(None).await.unwrap().unwrap();
        assert_eq!((report.first, report.last.number), (1, 5));
    });
}

#[test]
fn a_record_stands_or_falls_with_the_change_it_speaks_of() {
    run(async {
        let journal = journal().await;
        let store = journal.store();
        let mut batch = Batch::new();
        batch.put_doc("grant", "g", "open", None).expect_doc("grant", "other", Some(1));
        journal.append(&mut batch, disclosure(1));
        assert!(matches!(store.commit(batch).await, Err(StoreError::Conflict { .. })));
        assert_eq!(journal.head().await.unwrap().number, 0);
        let mut batch = Batch::new();
        batch.put_doc("grant", "g", "open", None);
        journal.append(&mut batch, disclosure(1));
        journal.append(&mut batch, disclosure(2));
        store.commit(batch).await.unwrap();
        assert_eq!(journal.head().await.unwrap().number, 2);
        assert!(journal.verify(None).await.unwrap().is_ok());
    });
}

#[test]
fn records_of_many_at_once_make_one_chain_and_each_is_found() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal_in(dir.path()).await;
        let jobs: Vec<_> = (0..256i64)
            .map(|n| {
                let journal = journal.clone();
                tokio::spawn(async move {
                    let who = if n % 2 == 0 { MARTA } else { JONAS };
                    let done = journal.record_release(disclosure_of(who, n)).await.unwrap();
                    assert!(journal.head().await.unwrap().number >= *done.sequences.last().unwrap());
                })
            })
            .collect();
        for job in jobs {
            job.await.unwrap();
        }
        assert_eq!(journal.verify(None).await.unwrap().unwrap().last.number, 256);
        for (who, rest) in [(MARTA, 0), (JONAS, 1)] {
            let page = journal.page_of(&iri(who)).await.unwrap();
            let mut seconds: Vec<_> = page.entries.iter().map(|e| e.at.seconds() - T0.seconds()).collect();
            seconds.sort_unstable();
            assert!(seconds.into_iter().eq((0..256).filter(|n| n % 2 == rest)));
        }
    });
}

#[test]
fn the_readable_part_names_no_person() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal_in(dir.path()).await;
        journal.record_release(disclosure(1).about(iri(JONAS), None, serde_json::Value::Null)).await.unwrap();
        // Marta reads her own data: then she is the recipient.
        journal.record_release(disclosure(2).recipient(Some(iri(MARTA)))).await.unwrap();
        // A question that could be guessed is not found by its hash.
        assert_eq!(holding(dir.path(), waybill_keys::b64url([9; 32]).as_bytes()), [""; 0]);
        for secret in ["marta", "jonas", "meter", "power"] {
            assert_eq!(holding(dir.path(), secret.as_bytes()), [""; 0], "{secret}");
        }
        let page = journal.page_of(&iri(MARTA)).await.unwrap();
        assert_eq!(page.entries[1].recipient, Some(iri(MARTA)));
        let line = journal.export(1, 1).await.unwrap().remove(0);
        assert!(line.contains(CITY_B) && line.contains("EnergyAdvice"), "who and why stay readable");
    });
}

#[test]
fn a_record_that_names_its_subject_openly_is_refused() {
    run(async {
        let journal = journal().await;
        for open in [serde_json::json!({ "who": MARTA }), serde_json::json!([[MARTA]]), serde_json::json!({ MARTA: 1 })] {
            let refused = journal.record_release(disclosure(1).detail(open)).await;
            assert!(matches!(refused, Err(JournalError::Store(StoreError::Invalid(_)))));
        }
        // Another party's longer name is not hers.
        journal.record_release(disclosure(1).detail(serde_json::json!({ "party": format!("{MARTA}x") }))).await.unwrap();
        assert_eq!(journal.head().await.unwrap().number, 1);
    });
}

#[derive(serde::Deserialize)]
struct Line<'a> {
    before: String,
    hash: String,
    #[serde(borrow)]
    record: &'a serde_json::value::RawValue,
}

#[test]
fn an_export_can_be_checked_without_the_hub() {
    run(async {
        let journal = journal().await;
        for second in 0..5 {
            journal.record_release(disclosure(second)).await.unwrap();
        }
        let mut last = waybill_keys::b64url([0; 32]);
        let lines = journal.export(1, 99).await.unwrap();
        assert_eq!(lines.len(), 5);
        for line in &lines {
            let line: Line<'_> = serde_json::from_str(line).unwrap();
            assert_eq!(line.before, last);
            let bytes = [&[1], &waybill_keys::unb64url(&line.before).unwrap()[..], line.record.get().as_bytes()].concat();
            assert_eq!(line.hash, waybill_keys::b64url(waybill_keys::sha256(&bytes)));
            last = line.hash;
        }
        assert_eq!(last, waybill_keys::b64url(journal.head().await.unwrap().hash));
        assert_eq!(journal.export(4, 1).await.unwrap(), lines[3..4]);
    });
}

fn any_record() -> impl Strategy<Value = (usize, Vec<(bool, u8)>, u64)> {
    (0usize..5, prop::collection::vec((any::<bool>(), any::<u8>()), 0..4), 0u64..9)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn each_page_is_what_was_recorded_about_her(records in prop::collection::vec(any_record(), 0..12)) {
        run(async {
            let journal = journal().await;
            let kinds = [Kind::Refusal, Kind::Delivery, Kind::Admission, Kind::Notice, Kind::Binding];
            let mut expected = [Vec::new(), Vec::new()];
            for (n, (kind, about, count)) in records.iter().enumerate() {
                let mut record = Record::new(kinds[*kind], TenantId::main(), T0).left(*count, None);
                for (marta, detail) in about {
                    record = record.about(iri(if *marta { MARTA } else { JONAS }), None, serde_json::json!(detail));
                    expected[usize::from(*marta)].push((n as u64 + 1, kinds[*kind], *count, serde_json::json!(detail)));
                }
                journal.record_release(record).await.unwrap();
            }
            for (who, expected) in [JONAS, MARTA].iter().zip(expected) {
                let page = journal.page_of(&iri(who)).await.unwrap();
                let got: Vec<_> = page.entries.into_iter().map(|e| (e.record, e.kind, e.count, e.detail)).collect();
                assert_eq!(got, expected);
            }
            assert_eq!(journal.verify(None).await.unwrap().unwrap().last.number, records.len() as u64);
        });
    }
}
