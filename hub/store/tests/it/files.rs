//! Files that are not as they should be, and what deletion leaves in them.

use crate::common::*;
use std::path::Path;
use waybill_store::{Batch, Filter, Options, SCHEMA_VERSION, Scrub, Store, StoreError};

fn filled(dir: &Path, n: usize) -> Store {
    let store = Store::open(dir, clock()).unwrap();
    for i in 0..n {
        let mut batch = Batch::new();
        let text = format!(r#""urn:name":[{{"type":"Property","value":"Secret-Name-{i:04} {}"}}]"#, "x".repeat(300));
        batch.put_entity(&tenant(), &entity(&format!("urn:person:secret-id-{i:04}"), "urn:Person", &text));
        batch.put_doc("people", &format!("secret-key-{i:04}"), format!("Secret-Doc-{i:04} {}", "y".repeat(200)), None);
        store.commit_blocking(batch).unwrap();
    }
    store
}

/// All files below `dir` that hold `needle`, in any case of letters.
fn holding(dir: &Path, needle: &str) -> Vec<String> {
    let needle = needle.to_lowercase().into_bytes();
    let mut found = Vec::new();
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap().to_ascii_lowercase();
        if bytes.windows(needle.len()).any(|w| w == needle) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_database_of_a_newer_version_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    run(filled(dir.path(), 1).close());
    let file = dir.path().join("waybill.db");
    let conn = rusqlite::Connection::open(&file).unwrap();
    conn.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    drop(conn);
    let error = Store::open(dir.path(), clock()).unwrap_err();
    assert_eq!(error, StoreError::TooNew { found: SCHEMA_VERSION + 1, known: SCHEMA_VERSION });
    let conn = rusqlite::Connection::open(&file).unwrap();
    let version: i64 = conn.pragma_query_value(None, "user_version", |r| r.get(0)).unwrap();
    assert_eq!(version, SCHEMA_VERSION + 1);
}

#[test]
fn what_is_no_database_of_ours_is_refused_by_name() {
    let refuse = |make: &dyn Fn(&Path)| {
        let dir = tempfile::tempdir().unwrap();
        make(&dir.path().join("waybill.db"));
        match Store::open(dir.path(), clock()) {
            Err(StoreError::Corrupt(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    refuse(&|file| std::fs::write(file, "this is a letter, not a database. ".repeat(100)).unwrap());
    let other = refuse(&|file| rusqlite::Connection::open(file).unwrap().execute_batch("CREATE TABLE t(x)").unwrap());
    assert!(other.contains("another program"), "{other}");
}

#[test]
fn damage_inside_is_found_and_said() {
    let dir = tempfile::tempdir().unwrap();
    run(filled(dir.path(), 200).close());
    let file = dir.path().join("waybill.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 4096 / 2 * 4096;
    bytes[middle..middle + 3 * 4096].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    let complaints = match Store::open(dir.path(), clock()) {
        Ok(store) => match run(store.check()) {
            Ok(health) => health.complaints,
            Err(StoreError::Corrupt(why)) => vec![why],
            Err(other) => panic!("{other:?}"),
        },
        Err(StoreError::Corrupt(why)) => vec![why],
        Err(other) => panic!("{other:?}"),
    };
    assert!(!complaints.is_empty());
}

#[test]
fn a_full_disk_leaves_the_old_state_and_the_store_usable() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_with(dir.path(), clock(), Options { max_bytes: Some(400_000), ..Options::default() }).unwrap();
    let put = |key: &str, size: usize| {
        let mut batch = Batch::new();
        batch.put_doc("d", key, vec![7u8; size], None).append("s", key).put_entity(&tenant(), &entity(&format!("urn:{key}"), "urn:T", ""));
        store.commit_blocking(batch)
    };
    put("small", 1000).unwrap();
    assert_eq!(put("large", 1_000_000), Err(StoreError::Full));
    let state = read(&store, |r| Ok((r.docs("d", "", 9, None)?.len(), r.stream_head("s")?, r.entity(&tenant(), "urn:large")?)));
    assert_eq!(state, (1, 1, None));
    put("next", 1000).unwrap();
    assert_eq!(read(&store, |r| r.stream_head("s")), 2);
    assert_eq!(run(store.check()).unwrap().complaints, [""; 0]);
}

#[test]
fn what_was_deleted_is_in_no_file_after_a_scrub() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 150);
    assert!(!holding(dir.path(), "secret-").is_empty());
    let mut batch = Batch::new();
    for i in 0..150 {
        if i != 7 {
            batch.delete_entity(&tenant(), &format!("urn:person:secret-id-{i:04}")).delete_doc("people", &format!("secret-key-{i:04}"));
        }
    }
    store.commit_blocking(batch).unwrap();
    let copies = tempfile::tempdir().unwrap();
    run(async {
        store.scrub(Scrub::Whole).await.unwrap();
        store.backup(copies.path().join("copy")).await.unwrap();
    });
    for place in [dir.path(), copies.path()] {
        for i in (0..150).filter(|i| *i != 7) {
            for what in ["name", "id", "key", "doc"] {
                assert_eq!(holding(place, &format!("secret-{what}-{i:04}")), [""; 0]);
            }
        }
        assert_eq!(holding(place, "secret-name-0007").len(), 1);
    }
    assert_eq!(read(&store, |r| r.count(&tenant(), &waybill_store::Filter::All)), 1);
}

#[cfg(unix)]
#[test]
fn nobody_else_may_look_into_the_directory() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let _store = Store::open(&data, clock()).unwrap();
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o077, 0);
}

#[test]
fn a_second_hub_on_the_directory_is_refused_and_a_command_beside_it_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let sole = Options { sole: true, ..Options::default() };
    let hub = Store::open_with(dir.path(), clock(), sole.clone()).unwrap();
    assert_eq!(Store::open_with(dir.path(), clock(), sole.clone()).unwrap_err(), StoreError::InUse);
    // The command withdraws beside the running hub, and the hub goes on.
    let command = Store::open(dir.path(), clock()).unwrap();
    for (store, note) in [(&command, "one"), (&hub, "two"), (&command, "three"), (&hub, "four")] {
        let mut batch = Batch::new();
        batch.append("s", note).raise_epoch(note).put_entity(&tenant(), &entity(&format!("urn:{note}"), "urn:T", ""));
        store.commit_blocking(batch).unwrap();
    }
    for store in [&hub, &command] {
        assert_eq!(read(store, |r| Ok((r.stream_head("s")?, r.epoch()?, r.restored_from()?))), (4, 4, None));
    }
    run(async {
        command.close().await;
        hub.close().await;
    });
    drop((hub, command));
    let ledger = std::fs::read_to_string(dir.path().join("epochs")).unwrap();
    let epochs: Vec<_> = ledger.lines().skip(1).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(epochs, ["1", "2", "3", "4"]);
    let again = Store::open_with(dir.path(), clock(), sole).unwrap();
    assert_eq!(read(&again, |r| Ok((r.epoch()?, r.restored_from()?))), (4, None));
}

#[test]
fn a_database_of_the_first_version_learns_which_entities_have_several_types() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), clock()).unwrap();
    let mut batch = Batch::new();
    batch.put_entity(&tenant(), &doc(r#"{"id":"urn:a","type":["https://x/A"]}"#));
    batch.put_entity(&tenant(), &doc(r#"{"id":"urn:b","type":["https://x/A","https://x/B"]}"#));
    store.commit_blocking(batch).unwrap();
    assert_eq!(ids(&store, &tenant(), Filter::SeveralTypes, None), ["urn:b"]);
    run(store.close());
    let conn = rusqlite::Connection::open(dir.path().join("waybill.db")).unwrap();
    conn.execute("DELETE FROM entity_type WHERE type=(SELECT id FROM name WHERE text='')", []).unwrap();
    conn.pragma_update(None, "user_version", 1).unwrap();
    drop(conn);
    let store = Store::open(dir.path(), clock()).unwrap();
    assert_eq!(ids(&store, &tenant(), Filter::SeveralTypes, None), ["urn:b"]);
    let types = read(&store, |r| r.types(&tenant()));
    assert_eq!(types, [("https://x/A".to_owned(), 2), ("https://x/B".to_owned(), 1)], "it is no type");
    let mut batch = Batch::new();
    batch.put_entity(&tenant(), &doc(r#"{"id":"urn:b","type":["https://x/B"]}"#));
    store.commit_blocking(batch).unwrap();
    assert!(ids(&store, &tenant(), Filter::SeveralTypes, None).is_empty());
}
