//! What somebody with access to the database changes is found, and where.

use crate::common::*;
use waybill_journal::{Anchor, Journal};
use waybill_store::Batch;

/// Writes the journal's records anew with `change` done to them, as somebody with access to the database could.
async fn change(journal: &Journal, change: impl Fn(&mut Vec<(u64, Vec<u8>)>)) {
    let mut records = stored(journal).await;
    change(&mut records);
    let mut batch = Batch::new();
    batch.delete_stream("journal");
    for (_, payload) in records {
        batch.append("journal", payload);
    }
    journal.store().commit(batch).await.unwrap();
}

type Change<'a> = &'a dyn Fn(&mut Vec<(u64, Vec<u8>)>);

async fn five() -> Journal {
    let journal = journal().await;
    for second in 0..5 {
        journal.record_release(disclosure(second)).await.unwrap();
    }
    journal
}

async fn bad(journal: &Journal, anchors: &[Anchor]) -> u64 {
    journal.verify_with(None, anchors).await.unwrap().expect_err("it was changed").record
}

/// A record's bytes with a part replaced and its hash made anew, as an insider would.
fn forged(payload: &[u8], from: &str, to: &str) -> Vec<u8> {
    let body = &payload[..payload.len() - 32];
    let at = body.windows(from.len()).position(|w| w == from.as_bytes()).expect("the part is there");
    let mut out = [&body[..at], to.as_bytes(), &body[at + from.len()..]].concat();
    out.extend(waybill_keys::sha256(&out));
    out
}

#[test]
fn a_changed_byte_is_found_in_its_own_record_wherever_it_is() {
    run(async {
        let whole = five().await;
        let records = stored(&whole).await;
        for (number, payload) in &records {
            // Each byte of the frame, and every seventh of the text.
            let length = payload.len();
            for at in (0..length).filter(|at| *at < 40 || *at > length - 40 || at % 7 == 0) {
                let mut copy = records.clone();
                copy[*number as usize - 1].1[at] ^= 0x20;
                let store = waybill_store::Store::memory_with(clock(), waybill_store::Options { readers: 1, ..Default::default() }).unwrap();
                let mut batch = Batch::new();
                for (_, payload) in copy {
                    batch.append("journal", payload);
                }
                store.commit(batch).await.unwrap();
                let journal = Journal::open(&store).await.unwrap();
                assert_eq!(bad(&journal, &[]).await, *number, "byte {at}");
            }
        }
    });
}

#[test]
fn a_record_that_is_taken_away_moved_or_written_anew_is_found() {
    run(async {
        let cases: [(Change, u64); 5] = [
            (&|r| drop(r.remove(2)), 3),
            (&|r| drop(r.remove(0)), 1),
            (&|r| r.swap(1, 2), 2),
            (&|r| r.insert(3, r[2].clone()), 4),
            // The record itself is sound then; the next one gives it away.
            (&|r| r[1].1 = forged(&r[1].1, "\"count\":1", "\"count\":0"), 3),
        ];
        for (how, expected) in cases {
            let journal = five().await;
            change(&journal, how).await;
            assert_eq!(bad(&journal, &[]).await, expected);
        }
    });
}

#[test]
fn an_insider_who_writes_the_end_anew_is_found_by_who_keeps_an_anchor() {
    run(async {
        let journal = five().await;
        let anchor = journal.head().await.unwrap();
        journal.record_release(disclosure(9)).await.unwrap();
        assert!(journal.verify_with(None, &[anchor]).await.unwrap().is_ok());
        let forge = |r: &mut Vec<(u64, Vec<u8>)>| {
            r.truncate(5);
            r[4].1 = forged(&r[4].1, "\"count\":1", "\"count\":0");
        };
        change(&journal, forge).await;
        assert!(journal.verify(None).await.unwrap().is_ok(), "the chain alone cannot tell");
        assert_eq!(bad(&journal, &[anchor]).await, 5);
        change(&journal, |r| r.truncate(3)).await;
        assert_eq!(bad(&journal, &[anchor]).await, 4);
    });
}

#[test]
fn damage_to_the_file_itself_is_named_by_record() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let journal = journal_in(dir.path()).await;
        // Long records, so that they lie on many pages.
        for second in 0..30 {
            journal.record_release(disclosure(second).detail(serde_json::json!("-".repeat(3000)))).await.unwrap();
        }
        journal.store().close().await;
        drop(journal);
        let file = dir.path().join("waybill.db");
        let whole = std::fs::read(&file).unwrap();
        let find = |needle: &str| whole.windows(needle.len()).position(|w| w == needle.as_bytes()).expect("it is there");
        let verdict = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = whole.clone();
            change(&mut bytes);
            std::fs::write(&file, bytes).unwrap();
            async { bad(&journal_in(dir.path()).await, &[]).await }
        };
        let at = find("\"n\":17,\"kind\"");
        assert_eq!(verdict(&|b| b[at + 12] ^= 1).await, 17);
        // The whole page, so that the database itself cannot make sense of it.
        assert!(verdict(&|b| b[at / 4096 * 4096..][..4096].fill(0xa5)).await <= 17);
    });
}
