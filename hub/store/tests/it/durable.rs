//! What was acknowledged is there after a kill.

use crate::common::*;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use waybill_store::{Batch, Store};

const DIR: &str = "WAYBILL_STORE_TEST_DIR";

/// A step that touches all three kinds, so that half of it would show. It is numbered where it is committed.
fn step() -> Batch {
    let mut batch = Batch::new();
    batch.then(|r| {
        let n = r.stream_head("n")? + 1;
        let mut batch = Batch::new();
        batch
            .put_entity(&tenant(), &entity(&format!("urn:e:{:02}", n % 50), "urn:T", &format!(r#""urn:n":[{{"type":"Property","value":{n}}}]"#)))
            .put_doc("n", "last", n.to_string(), None)
            .append("n", n.to_string());
        Ok(batch)
    });
    batch
}

#[test]
#[ignore = "the process that another test kills"]
fn child() {
    let dir = std::env::var_os(DIR).expect("started by the other test");
    let store = Store::open(dir, clock()).unwrap();
    run(async {
        // Several at once, so that groups form.
        let writers: Vec<_> = (0..8)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    while let Ok(done) = store.commit(step()).await {
                        let mut out = std::io::stdout().lock();
                        writeln!(out, "ack {}", done.sequences[0]).and_then(|()| out.flush()).unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

#[test]
fn every_acknowledged_batch_is_whole_after_kill_nine() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0u64;
    for round in 0..12u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["durable::child", "--exact", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        let mut killed = false;
        // After the kill, read on: what the child said before it died counts too.
        for line in lines {
            let Some(n) = line.unwrap().rsplit_once("ack ").and_then(|(_, n)| n.parse::<u64>().ok()) else { continue };
            acknowledged = acknowledged.max(n);
            seen += 1;
            if seen > round * 13 && !killed {
                child.kill().unwrap();
                killed = true;
            }
        }
        child.wait().unwrap();
        assert!(killed, "the child ended by itself");
        let store = Store::open(dir.path(), clock()).unwrap();
        let head = read(&store, |r| r.stream_head("n"));
        assert!(head >= acknowledged, "{acknowledged} was acknowledged, {head} is there");
        let (records, last) = read(&store, |r| Ok((r.stream("n", 1, usize::MAX)?, r.doc("n", "last")?)));
        assert!(records.iter().all(|(seq, payload)| payload == seq.to_string().as_bytes()) && records.len() as u64 == head);
        assert_eq!(last.unwrap().payload, head.to_string().into_bytes());
        let newest = read(&store, move |r| r.entity(&tenant(), &format!("urn:e:{:02}", head % 50))).unwrap();
        assert!(newest.text().contains(&format!(r#""value":{head}}}"#)));
        let health = run(store.check()).unwrap();
        assert_eq!(health.complaints, [""; 0]);
        run(store.close());
    }
    assert!(acknowledged > 12);
}

#[cfg(feature = "crash-points")]
mod walk {
    use super::*;

    fn script() -> Vec<Batch> {
        let mut withdraw = step();
        withdraw.raise_epoch("gone");
        vec![step(), withdraw, step()]
    }

    #[test]
    #[ignore = "the process that another test crashes"]
    fn child() {
        let dir = std::env::var_os(DIR).expect("started by the other test");
        let store = Store::open(dir, clock()).unwrap();
        for batch in script() {
            store.commit_blocking(batch).unwrap();
            println!("ack");
        }
    }

    #[test]
    fn a_crash_at_any_point_leaves_a_state_between_two_batches() {
        let start = |dir: &std::path::Path, at: usize| {
            let trace = dir.join("trace");
            let out = Command::new(std::env::current_exe().unwrap())
                .args(["durable::walk::child", "--exact", "--ignored", "--nocapture"])
                .env(DIR, dir.join("data"))
                .env("WAYBILL_CRASH_AT", at.to_string())
                .env("WAYBILL_CRASH_TRACE", &trace)
                .output()
                .unwrap();
            let acks = String::from_utf8(out.stdout).unwrap().matches("ack").count() as u64;
            (out.status.success(), acks, std::fs::read_to_string(trace).unwrap())
        };
        let whole = tempfile::tempdir().unwrap();
        let (good, _, trace) = start(whole.path(), 0);
        let (commit, after) = ("store.commit.before\n", "store.commit.after\n");
        assert!(good);
        assert_eq!(trace, [commit, after, commit, after, "store.epoch.after\n", commit, after].concat());
        for at in 1..=trace.lines().count() {
            let dir = tempfile::tempdir().unwrap();
            let (good, acks, trace) = start(dir.path(), at);
            assert!(!good && trace.lines().count() == at);
            let store = Store::open(dir.path().join("data"), clock()).unwrap();
            let (head, epoch, restored) = read(&store, |r| Ok((r.stream_head("n")?, r.epoch()?, r.restored_from()?)));
            assert!(head == acks || head == acks + 1);
            assert_eq!((epoch, restored), (u64::from(head >= 2), None), "point {at}");
            // What the crash cut off from the ledger was made good: a second opening finds both alike.
            run(store.close());
            drop(store);
            let store = Store::open(dir.path().join("data"), clock()).unwrap();
            assert_eq!(read(&store, |r| Ok((r.epoch()?, r.restored_from()?))), (epoch, None));
        }
    }
}
