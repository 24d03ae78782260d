//! Many at once.

use crate::common::*;
use std::ops::ControlFlow;
use waybill_store::{Batch, Filter, Options, Store, StoreError};

fn stores() -> Vec<(Store, Option<tempfile::TempDir>)> {
    let dir = tempfile::tempdir().unwrap();
    vec![(Store::memory(clock()).unwrap(), None), (Store::open(dir.path(), clock()).unwrap(), Some(dir))]
}

#[test]
fn a_batch_that_fails_does_not_fail_those_committed_with_it() {
    for (store, _dir) in stores() {
        run(async {
            let jobs: Vec<_> = (0..300)
                .map(|n| {
                    let store = store.clone();
                    tokio::spawn(async move {
                        let mut batch = Batch::new();
                        batch.put_doc("d", &format!("{n:03}"), "v", None).append("s", format!("{n}"));
                        match n % 3 {
                            0 => drop(batch.expect_doc("d", "none", Some(1))),
                            1 => drop(batch.then(|_| panic!("a closure of the caller"))),
                            _ => {}
                        }
                        store.commit(batch).await
                    })
                })
                .collect();
            for (n, job) in jobs.into_iter().enumerate() {
                match (n % 3, job.await.unwrap()) {
                    (0, Err(StoreError::Conflict { .. })) | (1, Err(StoreError::Panicked)) | (2, Ok(_)) => {}
                    (_, other) => panic!("batch {n}: {other:?}"),
                }
            }
            let (docs, records) = store.read(|r| Ok((r.docs("d", "", 999, None)?, r.stream("s", 1, 999)?))).await.unwrap();
            assert!(docs.iter().map(|d| d.key.parse::<u32>().unwrap()).eq((0..300).filter(|n| n % 3 == 2)));
            assert!(records.iter().map(|(seq, _)| *seq).eq(1..=100));
        });
    }
}

#[test]
fn chained_records_of_many_writers_make_one_chain() {
    for (store, _dir) in stores() {
        run(async {
            let jobs: Vec<_> = (0..200)
                .map(|_| {
                    let store = store.clone();
                    tokio::spawn(async move {
                        let mut batch = Batch::new();
                        batch.append_with("chain", |seq, last| {
                            let before = last.map_or(0, |l| u64::from_be_bytes(l[8..].try_into().unwrap()));
                            [seq.to_be_bytes(), (before + seq).to_be_bytes()].concat()
                        });
                        store.commit(batch).await.unwrap();
                    })
                })
                .collect();
            for job in jobs {
                job.await.unwrap();
            }
            let records = store.read(|r| r.stream("chain", 1, 999)).await.unwrap();
            let mut sum = 0;
            for (seq, payload) in &records {
                sum += seq;
                assert_eq!(payload[..], [seq.to_be_bytes(), sum.to_be_bytes()].concat());
            }
            assert_eq!(records.len(), 200);
        });
    }
}

#[test]
fn a_reader_sees_one_state_while_writers_go_on() {
    for (store, _dir) in stores() {
        run(async {
            let put = |n: u64| {
                let mut batch = Batch::new();
                for id in ["urn:a", "urn:b"] {
                    batch.put_entity(&tenant(), &entity(id, "urn:T", &format!(r#""urn:n":[{{"type":"Property","value":{n}}}]"#)));
                }
                batch
            };
            store.commit(put(0)).await.unwrap();
            let writer = {
                let store = store.clone();
                tokio::spawn(async move {
                    for n in 1..100 {
                        store.commit(put(n)).await.unwrap();
                    }
                })
            };
            for _ in 0..200 {
                let seen = store
                    .read(|r| {
                        let mut seen = Vec::new();
                        r.candidates(&tenant(), &Filter::All, None, |e| {
                            seen.push(e.system.version);
                            ControlFlow::Continue(())
                        })?;
                        Ok(seen)
                    })
                    .await
                    .unwrap();
                assert!(seen.len() == 2 && seen[0] == seen[1], "{seen:?}");
            }
            writer.await.unwrap();
        });
    }
}

#[test]
fn a_read_that_panics_costs_no_thread_and_a_closed_store_says_so() {
    let store = Store::memory_with(clock(), Options { readers: 1, ..Options::default() }).unwrap();
    assert_eq!(store.read_blocking(|_| -> Result<(), _> { panic!("a closure of the caller") }), Err(StoreError::Panicked));
    assert_eq!(read(&store, |r| r.stream_head("s")), 0);
    run(store.close());
    let mut batch = Batch::new();
    batch.append("s", "x");
    assert_eq!(store.commit_blocking(batch), Err(StoreError::Closed));
    assert_eq!(store.read_blocking(|r| r.stream_head("s")), Err(StoreError::Closed));
}

#[test]
fn whoever_has_committed_reads_it_however_many_share_a_state() {
    for (store, _dir) in stores() {
        run(async {
            let jobs: Vec<_> = (0..200)
                .map(|n| {
                    let store = store.clone();
                    tokio::spawn(async move {
                        for round in 0..5 {
                            let mut batch = Batch::new();
                            batch.put_doc("d", &format!("{n:03}"), format!("{round}"), None);
                            store.commit(batch).await.unwrap();
                            let seen = store.read(move |r| r.doc("d", &format!("{n:03}"))).await.unwrap().map(|doc| doc.payload);
                            assert_eq!(seen, Some(format!("{round}").into_bytes()));
                        }
                    })
                })
                .collect();
            for job in jobs {
                job.await.unwrap();
            }
        });
    }
}

#[test]
fn a_stream_that_was_deleted_begins_anew() {
    for (store, _dir) in stores() {
        let mut batches = [Batch::new(), Batch::new(), Batch::new()];
        batches[0].append("s", "one").append("s", "two");
        batches[1].append("s", "three").delete_stream("s").append("s", "one");
        batches[2].append("s", "two");
        let sequences = batches.map(|batch| store.commit_blocking(batch).unwrap().sequences);
        assert_eq!(sequences, [vec![1, 2], vec![3, 1], vec![2]]);
    }
}
