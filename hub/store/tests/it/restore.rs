//! Backups, and that they revive nothing.

use crate::common::*;
use std::path::{Path, PathBuf};
use waybill_store::{Batch, Store, StoreError};

struct Set {
    _root: tempfile::TempDir,
    data: PathBuf,
    copy: PathBuf,
}

/// A store with a grant, a backup of it, and a withdrawal after the backup.
fn set() -> Set {
    let root = tempfile::tempdir().unwrap();
    let (data, copy) = (root.path().join("data"), root.path().join("copy"));
    let store = Store::open(&data, clock()).unwrap();
    commit(&store, |b| {
        b.put_doc("grant", "g1", "open", None).raise_epoch("first");
    });
    run(store.backup(copy.clone())).unwrap();
    commit(&store, |b| {
        b.delete_doc("grant", "g1").raise_epoch("withdrawn g1");
    });
    commit(&store, |b| {
        b.put_doc("grant", "g2", "open", None);
    });
    run(store.close());
    Set { _root: root, data, copy }
}

fn commit(store: &Store, fill: impl Fn(&mut Batch)) {
    let mut batch = Batch::new();
    fill(&mut batch);
    store.commit_blocking(batch).unwrap();
}

/// Grants, epoch, restored from, ledger lost.
fn state(store: &Store) -> (Vec<String>, u64, Option<u64>, bool) {
    read(store, |r| {
        let grants = r.docs("grant", "", 9, None)?.into_iter().map(|d| d.key).collect();
        Ok((grants, r.epoch()?, r.restored_from()?, r.ledger_lost()?))
    })
}

fn keys(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|k| (*k).to_owned()).collect()
}

#[test]
fn a_restore_says_what_was_withdrawn_since_the_backup() {
    let Set { data, copy, .. } = &set();
    assert_eq!(state(&Store::open(data, clock()).unwrap()), (keys(&["g2"]), 2, None, false));
    Store::restore(copy, data).unwrap();
    let store = Store::open(data, clock()).unwrap();
    assert_eq!(state(&store), (keys(&["g1"]), 2, Some(1), false));
    assert_eq!(read(&store, |r| r.withdrawn(1)), [(2, b"withdrawn g1".to_vec())]);
    // It is said until it is settled, also over another opening.
    drop(store);
    let store = Store::open(data, clock()).unwrap();
    assert_eq!(read(&store, |r| Ok((r.epoch()?, r.restored_from()?))), (2, Some(1)));
    commit(&store, |b| {
        b.delete_doc("grant", "g1").settle_restore();
    });
    assert_eq!(state(&store), (keys(&[]), 2, None, false));
    commit(&store, |b| {
        b.raise_epoch("third");
    });
    assert_eq!(read(&store, |r| r.withdrawn(2)), [(3, b"third".to_vec())]);
}

#[test]
fn a_database_that_somebody_put_back_by_hand_is_found_out() {
    let Set { data, copy, .. } = &set();
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(data.join(format!("waybill.db{ending}")));
    }
    std::fs::copy(copy, data.join("waybill.db")).unwrap();
    assert_eq!(state(&Store::open(data, clock()).unwrap()), (keys(&["g1"]), 2, Some(1), false));
}

#[test]
fn without_the_ledger_a_restore_says_that_it_cannot_know() {
    let Set { data, copy, .. } = &set();
    let fresh = data.with_file_name("fresh");
    Store::restore(copy, &fresh).unwrap();
    let store = Store::open(&fresh, clock()).unwrap();
    assert_eq!(state(&store), (keys(&["g1"]), 1, Some(1), true));
    commit(&store, |b| {
        b.settle_restore();
    });
    assert_eq!(state(&store), (keys(&["g1"]), 1, None, false));
    // The same by hand.
    std::fs::remove_file(data.join("epochs")).unwrap();
    assert_eq!(state(&Store::open(data, clock()).unwrap()), (keys(&["g2"]), 2, Some(2), true));
}

#[test]
fn a_bad_backup_or_an_open_database_changes_nothing() {
    let Set { data, copy, .. } = &set();
    let junk = data.with_file_name("junk");
    std::fs::write(&junk, "no database").unwrap();
    let mut cut = std::fs::read(copy).unwrap();
    cut.truncate(cut.len() / 2);
    let half = data.with_file_name("half");
    std::fs::write(&half, cut).unwrap();
    for bad in [&junk, &half] {
        assert!(matches!(Store::restore(bad, data), Err(StoreError::Corrupt(_))), "{}", bad.display());
    }
    assert!(matches!(Store::restore(Path::new("/nowhere/copy"), data), Err(StoreError::Io(_))));
    let store = Store::open(data, clock()).unwrap();
    assert_eq!(Store::restore(copy, data), Err(StoreError::Busy));
    assert_eq!(state(&store), (keys(&["g2"]), 2, None, false));
    assert!(matches!(run(store.backup(copy.clone())), Err(StoreError::Io(_))));
}

#[test]
fn a_ledger_that_was_cut_short_is_mended_and_a_damaged_or_foreign_one_is_refused() {
    let Set { data, .. } = &set();
    let ledger = data.join("epochs");
    let whole = std::fs::read(&ledger).unwrap();
    // The last line was torn: the database knows it, and it is written again.
    std::fs::write(&ledger, &whole[..whole.len() - 4]).unwrap();
    assert_eq!(state(&Store::open(data, clock()).unwrap()), (keys(&["g2"]), 2, None, false));
    assert_eq!(std::fs::read(&ledger).unwrap(), whole);
    for at in [3, whole.len() - 12] {
        let mut bad = whole.clone();
        bad[at] ^= 1;
        std::fs::write(&ledger, bad).unwrap();
        assert!(matches!(Store::open(data, clock()), Err(StoreError::Corrupt(_))), "byte {at}");
    }
    let other = data.with_file_name("other");
    run(Store::open(&other, clock()).unwrap().close());
    std::fs::copy(other.join("epochs"), &ledger).unwrap();
    match Store::open(data, clock()) {
        Err(StoreError::Corrupt(why)) => assert!(why.contains("another store")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_store_in_memory_can_be_kept_as_a_backup() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::memory(clock()).unwrap();
    commit(&store, |b| {
        b.put_doc("grant", "g", "open", None);
    });
    let (copy, data) = (root.path().join("copy"), root.path().join("data"));
    run(store.backup(copy.clone())).unwrap();
    Store::restore(copy, &data).unwrap();
    assert_eq!(state(&Store::open(&data, clock()).unwrap()).0, ["g"]);
}

#[test]
fn a_ledger_longer_than_what_is_read_at_an_opening_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (copy, data) = (root.path().join("copy"), root.path().join("data"));
    let store = Store::open(&data, clock()).unwrap();
    run(store.backup(copy.clone())).unwrap();
    for n in 0..40 {
        commit(&store, |b| {
            for i in 0..10 {
                b.raise_epoch(format!("{n}-{i} {}", "x".repeat(150)));
            }
        });
    }
    run(store.close());
    let ledger = data.join("epochs");
    let whole = std::fs::read(&ledger).unwrap();
    assert!(whole.len() > 100_000, "longer than the part that is read");
    // The last two lines are cut off: the database knows them.
    let cut = whole.iter().enumerate().rev().filter(|(_, b)| **b == b'\n').nth(2).unwrap().0 + 9;
    std::fs::write(&ledger, &whole[..cut]).unwrap();
    let store = Store::open(&data, clock()).unwrap();
    assert_eq!(read(&store, |r| Ok((r.epoch()?, r.restored_from()?))), (400, None));
    run(store.close());
    assert_eq!(std::fs::read(&ledger).unwrap(), whole);
    Store::restore(&copy, &data).unwrap();
    let store = Store::open(&data, clock()).unwrap();
    assert_eq!(read(&store, |r| Ok((r.epoch()?, r.restored_from()?, r.withdrawn(0)?.len()))), (400, Some(0), 400));
}

#[test]
fn a_long_note_at_the_end_of_the_ledger_is_not_overlooked() {
    let root = tempfile::tempdir().unwrap();
    let (data, copy) = (root.path().join("data"), root.path().join("copy"));
    let store = Store::open(&data, clock()).unwrap();
    commit(&store, |b| {
        b.put_doc("grant", "g1", "open", None).raise_epoch("first");
    });
    run(store.backup(copy.clone())).unwrap();
    commit(&store, |b| {
        b.raise_epoch("second").raise_epoch("x".repeat(200_000));
    });
    run(store.close());
    Store::restore(&copy, &data).unwrap();
    let store = Store::open(&data, clock()).unwrap();
    let notes = read(&store, |r| r.withdrawn(1));
    assert_eq!(notes.iter().map(|(epoch, note)| (*epoch, note.len())).collect::<Vec<_>>(), [(2, 6), (3, 200_000)]);
}
