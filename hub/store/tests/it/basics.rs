//! Each kind of step once, in memory and on disk.

use crate::common::*;
use waybill_model::TenantId;
use waybill_store::{Batch, Filter, Store, StoreError};

/// Runs `work` on a store in memory and on one in a directory.
fn both(work: impl Fn(&Store)) {
    work(&Store::memory(clock()).unwrap());
    let dir = tempfile::tempdir().unwrap();
    work(&Store::open(dir.path(), clock()).unwrap());
}

#[test]
fn an_entity_comes_back_as_it_went_in() {
    both(|store| {
        let mut put = entity("urn:a", "urn:t:Meter", r#""scope":["/Madrid/North"],"urn:p:power":[{"type":"Property","value":1.50},{"type":"Property","value":2,"datasetId":"urn:d:1"}]"#);
        put.spans_mut()[1].leaf = Some([7; 32]);
        put.spans_mut()[0].modified_at = T0.plus_seconds(-9);
        put.system.envelope = Some(waybill_model::EnvelopeHash([3; 32]));
        let mut batch = Batch::new();
        batch.put_entity(&tenant(), &put).put_entity(&tenant(), &put);
        assert_eq!(store.commit_blocking(batch).unwrap().versions, [1, 2]);
        let got = read(store, |r| r.entity(&tenant(), "urn:a")).unwrap();
        put.system.version = 2;
        assert_eq!(got, put);
        assert_eq!(read(store, |r| r.entity(&TenantId::new("other").unwrap(), "urn:a")), None);
        assert_eq!(read(store, |r| r.types(&tenant())), [("urn:t:Meter".to_owned(), 1)]);
        assert_eq!(read(store, |r| r.attributes(&tenant())), [("urn:p:power".to_owned(), 1)]);
        let mut batch = Batch::new();
        batch.delete_entity(&tenant(), "urn:a").delete_entity(&tenant(), "urn:b");
        assert_eq!(store.commit_blocking(batch).unwrap().deleted, 1);
        assert_eq!(ids(store, &tenant(), Filter::All, None), [""; 0]);
        assert_eq!(read(store, |r| r.attributes(&tenant())), []);
    });
}

#[test]
fn a_precondition_that_fails_undoes_all_of_its_batch_and_nothing_else() {
    both(|store| {
        let e = entity("urn:a", "urn:t:T", "");
        let mut create = Batch::new();
        create.expect_version(&tenant(), "urn:a", None).put_entity(&tenant(), &e).append("s", "one").put_doc("d", "k", "v", None);
        let done = store.commit_blocking(create).unwrap();
        assert_eq!((done.versions.as_slice(), done.sequences.as_slice()), (&[1][..], &[1][..]));
        let refused = |batch: Batch| assert!(matches!(store.commit_blocking(batch), Err(StoreError::Conflict { .. })));
        let again = |f: &dyn Fn(&mut Batch)| {
            let mut batch = Batch::new();
            batch.put_entity(&tenant(), &e).append("s", "two").put_doc("d", "k", "w", None);
            f(&mut batch);
            batch
        };
        refused(again(&|b| { b.expect_version(&tenant(), "urn:a", None); }));
        refused(again(&|b| { b.expect_version(&tenant(), "urn:a", Some(2)); }));
        refused(again(&|b| { b.expect_doc("d", "k", None); }));
        refused(again(&|b| { b.expect_doc("d", "k", Some(done.revision + 1)); }));
        refused(again(&|b| { b.check(|_| Err(StoreError::conflict("balance"))); }));
        let state = read(store, |r| Ok((r.version(&tenant(), "urn:a")?, r.stream_head("s")?, r.doc("d", "k")?.unwrap().payload)));
        assert_eq!(state, (Some(1), 1, b"v".to_vec()));
        let mut good = again(&|b| { b.expect_version(&tenant(), "urn:a", Some(1)); });
        good.expect_doc("d", "k", Some(done.revision)).check(|r| {
            assert_eq!(r.stream_head("s")?, 1);
            Ok(())
        });
        assert_eq!(store.commit_blocking(good).unwrap().sequences, [2]);
    });
}

#[test]
fn a_record_can_be_made_from_the_one_before_it() {
    both(|store| {
        let mut batch = Batch::new();
        for _ in 0..3 {
            batch.append_with("chain", |seq, last| format!("{seq}<{}", last.map_or(0, <[u8]>::len)).into_bytes());
        }
        batch.append("other", "x");
        assert_eq!(store.commit_blocking(batch).unwrap().sequences, [1, 2, 3, 1]);
        let expect = [(1, b"1<0".to_vec()), (2, b"2<3".to_vec()), (3, b"3<3".to_vec())];
        assert_eq!(read(store, |r| r.stream("chain", 0, 10)), expect);
        assert_eq!(read(store, |r| r.stream("chain", 3, 10)), expect[2..]);
        assert_eq!(read(store, |r| r.stream("none", 0, 10)), []);
        let mut batch = Batch::new();
        batch.truncate_stream("chain", 99);
        store.commit_blocking(batch).unwrap();
        assert_eq!(read(store, |r| r.stream("chain", 0, 10)), expect[2..]);
        assert_eq!(read(store, |r| r.streams("ch", 9, None)), ["chain"]);
        assert_eq!(read(store, |r| r.streams("", 9, Some("chain"))), ["other"]);
    });
}
