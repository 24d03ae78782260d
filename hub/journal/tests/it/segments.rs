//! Segments, their signatures, and what is dropped.

use crate::common::*;
use waybill_journal::{Journal, checked_by, signed_by};
use waybill_keys::KeyRing;
use waybill_store::Batch;

/// Three segments of four records, a day apart, and two records more.
async fn filled(keys: &mut KeyRing) -> Journal {
    let journal = journal().await;
    for day in 0..3u32 {
        for n in 0..4 {
            journal.record_release(disclosure(i64::from(day * 86_400 + n))).await.unwrap();
        }
        let segment = journal.seal(T0, &signed_by(keys.active())).await.unwrap().expect("something came");
        assert_eq!((segment.segment, segment.first, segment.last), (u64::from(day + 1), u64::from(day * 4 + 1), u64::from(day * 4 + 4)));
        keys.rotate(T0);
    }
    assert_eq!(journal.seal(T0, &|_| panic!("nothing is to be signed")).await.unwrap(), None);
    for n in 0..2 {
        journal.record_release(disclosure(3 * 86_400 + n)).await.unwrap();
    }
    journal
}

#[test]
fn segments_verify_after_their_keys_were_replaced() {
    run(async {
        let mut keys = KeyRing::generate(&clock());
        let journal = filled(&mut keys).await;
        let report = journal.verify(Some(&checked_by(&keys, T0))).await.unwrap().unwrap();
        assert_eq!((report.first, report.last.number, report.segments), (1, 14, 3));
        let other = KeyRing::generate(&clock());
        let broken = journal.verify(Some(&checked_by(&other, T0))).await.unwrap().unwrap_err();
        assert_eq!(broken.record, 1);
    });
}

#[test]
fn a_segment_whose_statement_was_changed_is_found() {
    run(async {
        let mut keys = KeyRing::generate(&clock());
        for (from, to) in [("\"last\":8", "\"last\":7"), ("\"segment\":2", "\"segment\":3"), ("\"sealed\":\"2026", "\"sealed\":\"2025")] {
            let journal = filled(&mut keys).await;
            let doc = journal.store().read(|r| r.docs("journal.segment", "", 9, None)).await.unwrap().remove(1);
            let text = String::from_utf8(doc.payload).unwrap();
            assert!(text.contains(from));
            let mut batch = Batch::new();
            batch.put_doc("journal.segment", &doc.key, text.replace(from, to), None);
            journal.store().commit(batch).await.unwrap();
            assert!(journal.verify(Some(&checked_by(&keys, T0))).await.unwrap().is_err(), "{to}");
        }
    });
}

#[test]
fn old_segments_are_dropped_and_the_rest_verifies() {
    run(async {
        let mut keys = KeyRing::generate(&clock());
        let journal = filled(&mut keys).await;
        let day = |n: i64| T0.plus_seconds(n * 86_400);
        for (before, first) in [(day(0), 1), (day(1), 5), (day(1), 5), (day(9), 13)] {
            assert_eq!(journal.retain(before).await.unwrap(), first);
            let report = journal.verify(Some(&checked_by(&keys, T0))).await.unwrap().unwrap();
            assert_eq!((report.first, report.last.number, report.segments), (first, 14, 3));
            let page = journal.page_of(&iri(MARTA)).await.unwrap();
            assert!(page.entries.iter().map(|e| e.record).eq(first..=14));
        }
        // Everything sealed and old: the last record stays, and the next one is tied to it.
        journal.seal(T0, &signed_by(keys.active())).await.unwrap();
        assert_eq!(journal.retain(day(9)).await.unwrap(), 14);
        assert_eq!(journal.verify(Some(&checked_by(&keys, T0))).await.unwrap().unwrap().first, 14);
        journal.record_release(disclosure(9)).await.unwrap();
        assert_eq!(journal.verify(Some(&checked_by(&keys, T0))).await.unwrap().unwrap().last.number, 15);
        // Dropping more than whole segments is not retention but tampering.
        let mut batch = Batch::new();
        batch.truncate_stream("journal", 15);
        journal.store().commit(batch).await.unwrap();
        assert!(journal.verify(None).await.unwrap().is_ok(), "15 follows the sealed 14");
        let fresh = filled(&mut keys).await;
        let mut batch = Batch::new();
        batch.truncate_stream("journal", 7);
        fresh.store().commit(batch).await.unwrap();
        assert_eq!(fresh.verify(None).await.unwrap().unwrap_err().record, 6);
    });
}
