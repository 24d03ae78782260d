//! After an erasure: nothing of hers in any file, and the chain holds.

use crate::common::*;
use waybill_journal::{Journal, Kind, Tally};
use waybill_model::TenantId;
use waybill_store::{Scrub, Store};

/// Her key and the name it is kept under, as texts that must be gone.
async fn secrets(journal: &Journal) -> Vec<String> {
    let docs = journal.store().read(|r| r.docs("journal.subject", "", 99, None)).await.unwrap();
    docs.into_iter()
        .flat_map(|doc| {
            let stored: serde_json::Value = serde_json::from_slice(&doc.payload).unwrap();
            [doc.key, stored["key"].as_str().unwrap().to_owned()]
        })
        .collect()
}

#[test]
fn her_part_is_gone_from_database_log_and_backup_and_the_chain_verifies() {
    run(async {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        let journal = journal_in(&data).await;
        for second in 0..40 {
            journal.record_release(disclosure(second)).await.unwrap();
        }
        let hers = secrets(&journal).await;
        assert_eq!(hers.len(), 2);
        for secret in &hers {
            assert!(!holding(&data, secret.as_bytes()).is_empty());
        }
        for second in 40..60 {
            journal.record_release(disclosure_of(JONAS, second)).await.unwrap();
        }
        let before = stored(&journal).await;

        journal.store().commit(journal.erase(&iri(MARTA))).await.unwrap();
        journal.store().scrub(Scrub::Whole).await.unwrap();
        let copies = root.path().join("copies");
        std::fs::create_dir(&copies).unwrap();
        journal.store().backup(copies.join("copy")).await.unwrap();
        for place in [&data, &copies] {
            for secret in hers.iter().map(String::as_str).chain(["marta", "power", "meter"]) {
                assert_eq!(holding(place, secret.as_bytes()), [""; 0], "{secret}");
            }
        }
        // Not a byte of what was recorded has changed; one record says that somebody was erased.
        let after = stored(&journal).await;
        assert_eq!(after[..60], before[..]);
        assert_eq!(journal.verify(None).await.unwrap().unwrap().last.number, 61);
        assert!(String::from_utf8_lossy(&after[60].1).contains(r#""kind":"erasure""#));
        assert_eq!(journal.page_of(&iri(MARTA)).await.unwrap().entries, []);
        assert_eq!(journal.page_of(&iri(JONAS)).await.unwrap().entries.len(), 20);
        // Should she come back, she starts anew.
        journal.record_release(disclosure(99)).await.unwrap();
        assert_eq!(journal.page_of(&iri(MARTA)).await.unwrap().entries.len(), 1);
    });
}

#[test]
fn erasing_somebody_unknown_does_nothing() {
    run(async {
        let journal = journal().await;
        journal.record_release(disclosure(1)).await.unwrap();
        journal.store().commit(journal.erase(&iri(JONAS))).await.unwrap();
        assert_eq!(journal.head().await.unwrap().number, 1);
        assert_eq!(journal.store().read(|r| Ok(r.epoch()? + r.stream_head("journal")?)).await.unwrap(), 1);
    });
}

#[test]
fn what_is_being_counted_forgets_her_too() {
    run(async {
        let journal = journal().await;
        let tally = Tally {
            kind: Kind::Refusal,
            tenant: TenantId::main(),
            recipient: Some(iri(MARTA)),
            purpose: None,
            subject: Some(iri(MARTA)),
            reason: "not-bound".into(),
        };
        journal.coalesce(tally, T0, 4);
        journal.store().commit(journal.erase(&iri(MARTA))).await.unwrap();
        assert_eq!(journal.flush_all().await.unwrap(), 1);
        assert_eq!(journal.page_of(&iri(MARTA)).await.unwrap().entries, []);
        let lines = journal.export(1, 9).await.unwrap();
        assert!(lines[0].contains(r#""count":4"#) && !lines[0].contains("marta"));
    });
}

#[test]
fn an_older_backup_does_not_bring_her_back() {
    run(async {
        let root = tempfile::tempdir().unwrap();
        let (data, copy) = (root.path().join("data"), root.path().join("copy"));
        let journal = journal_in(&data).await;
        journal.record_release(disclosure(1)).await.unwrap();
        journal.record_release(disclosure_of(JONAS, 2)).await.unwrap();
        let hers = secrets(&journal).await;
        journal.store().backup(copy.clone()).await.unwrap();
        journal.store().commit(journal.erase(&iri(MARTA))).await.unwrap();
        assert_eq!(journal.recover().await.unwrap(), 0, "nothing was restored");
        journal.store().close().await;
        // The ledger outlives everything; it must not tell who she was.
        assert_eq!(holding(&data, hers[0].as_bytes()).iter().filter(|f| f.ends_with("epochs")).count(), 0);

        Store::restore(&copy, &data).unwrap();
        let journal = journal_in(&data).await;
        assert_eq!(journal.page_of(&iri(MARTA)).await.unwrap().entries.len(), 1, "the old state is back");
        assert_eq!(journal.recover().await.unwrap(), 1);
        assert_eq!(journal.page_of(&iri(MARTA)).await.unwrap().entries, []);
        assert_eq!(journal.page_of(&iri(JONAS)).await.unwrap().entries.len(), 1);
        assert!(journal.verify(None).await.unwrap().is_ok());
    });
}
