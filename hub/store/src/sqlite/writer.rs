//! The one writer thread. What waits is committed together, so that one sync serves many batches; each batch has its own savepoint.

use crate::crash::crash_point;
use crate::sqlite::apply::{Applied, Names, apply};
use crate::reader::meta;
use crate::sqlite::epoch::Ledger;
use crate::sqlite::pool::say;
use crate::{Batch, Committed, StoreError};
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use waybill_model::Clock;

/// The steps and the time after which a group is committed even though more waits.
const GROUP_STEPS: usize = 1000;
const GROUP_TIME: Duration = Duration::from_millis(5);

/// How much of what deletion leaves behind is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scrub {
    /// Moves the log into the database and empties it: old versions of rows are then in no file.
    Log,
    /// Writes the database anew as well: also gaps inside its pages are then free of remnants. Takes time with its size.
    Whole,
}

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

pub enum Message {
    Commit(Batch, Reply<Committed>),
    Scrub(Scrub, Reply<()>),
    Stop(oneshot::Sender<()>),
}

struct Writer {
    conn: Connection,
    names: Names,
    ledger: Option<Ledger>,
    turn: Option<Arc<RwLock<()>>>,
    clock: Clock,
    /// What the database said last of changes by others.
    seen: Option<i64>,
}

pub fn spawn(
    conn: Connection,
    ledger: Option<Ledger>,
    turn: Option<Arc<RwLock<()>>>,
    clock: Clock,
    mut inbox: mpsc::Receiver<Message>,
) -> Result<(), StoreError> {
    let mut writer = Writer { conn, names: Names::default(), ledger, turn, clock, seen: None };
    std::thread::Builder::new().name("store-write".into()).spawn(move || {
        let mut next = inbox.blocking_recv();
        while let Some(message) = next.take() {
            match message {
                Message::Commit(batch, reply) => next = writer.group(batch, reply, &mut inbox),
                Message::Scrub(how, reply) => {
                    let _ = reply.send(writer.scrub(how));
                }
                Message::Stop(reply) => {
                    inbox.close();
                    while let Some(message) = inbox.blocking_recv() {
                        refuse(message);
                    }
                    drop(writer);
                    let _ = reply.send(());
                    return;
                }
            }
            if next.is_none() {
                next = inbox.blocking_recv();
            }
        }
    })?;
    Ok(())
}

/// What waits. When nothing does, others may work once first: what they hand over meanwhile shares the sync.
fn more(inbox: &mut mpsc::Receiver<Message>) -> Option<Message> {
    inbox.try_recv().ok().or_else(|| {
        std::thread::yield_now();
        inbox.try_recv().ok()
    })
}

fn refuse(message: Message) {
    match message {
        Message::Commit(_, reply) => drop(reply.send(Err(StoreError::Closed))),
        Message::Scrub(_, reply) => drop(reply.send(Err(StoreError::Closed))),
        Message::Stop(reply) => drop(reply.send(())),
    }
}

impl Writer {
    /// Does the batch and those that wait behind it as one transaction. Returns a message that was taken but belongs to none.
    fn group(&mut self, batch: Batch, reply: Reply<Committed>, inbox: &mut mpsc::Receiver<Message>) -> Option<Message> {
        let turn = self.turn.clone();
        let _turn = turn.as_deref().map(|turn| turn.write().unwrap_or_else(PoisonError::into_inner));
        if let Err(e) = say(&self.conn, "BEGIN IMMEDIATE") {
            let _ = reply.send(Err(e.into()));
            return None;
        }
        let mut revision = match self.begun() {
            Ok(found) => found,
            Err(e) => {
                let _ = self.conn.execute_batch("ROLLBACK");
                let _ = reply.send(Err(e));
                return None;
            }
        };
        let started = Instant::now();
        let mut steps = 0;
        let mut done: Vec<(Reply<Committed>, Result<Applied, StoreError>)> = Vec::new();
        let mut next = Some((batch, reply));
        let mut over = None;
        while let Some((batch, reply)) = next.take() {
            steps += batch.len().max(1);
            let result = self.one(batch, &mut revision);
            done.push((reply, result));
            if self.conn.is_autocommit() {
                // The database undid the whole transaction (no room, input or output error): nothing of this group was done.
                self.names.forget();
                let error = done.last().and_then(|(_, r)| r.as_ref().err().cloned()).unwrap_or(StoreError::Full);
                for (reply, result) in done {
                    let _ = reply.send(Err(result.err().unwrap_or_else(|| error.clone())));
                }
                return None;
            }
            if steps < GROUP_STEPS && started.elapsed() < GROUP_TIME {
                match more(inbox) {
                    Some(Message::Commit(batch, reply)) => next = Some((batch, reply)),
                    other => over = other,
                }
            }
        }
        self.finish(done, revision);
        over
    }

    /// Does one batch, which gets the number behind `revision`.
    fn one(&mut self, batch: Batch, revision: &mut u64) -> Result<Applied, StoreError> {
        say(&self.conn, "SAVEPOINT batch")?;
        let now = self.clock.now();
        let (conn, names) = (&self.conn, &mut self.names);
        let next = *revision + 1;
        let result = catch_unwind(AssertUnwindSafe(|| apply(conn, names, batch, now, next))).unwrap_or(Err(StoreError::Panicked));
        if result.is_err() {
            self.names.forget();
            if !self.conn.is_autocommit() && self.conn.execute_batch("ROLLBACK TO batch; RELEASE batch").is_err() {
                // Half of it must not be committed with its neighbours.
                self.conn.execute_batch("ROLLBACK")?;
            }
        } else {
            say(&self.conn, "RELEASE batch")?;
            *revision = next;
        }
        result
    }

    fn finish(&mut self, done: Vec<(Reply<Committed>, Result<Applied, StoreError>)>, revision: u64) {
        let any = done.iter().any(|(_, result)| result.is_ok());
        crash_point("store.commit.before");
        let end = if any { self.commit(revision) } else { say(&self.conn, "ROLLBACK") }.map_err(StoreError::from);
        if end.is_err() {
            self.names.forget();
            if !self.conn.is_autocommit() {
                let _ = self.conn.execute_batch("ROLLBACK");
            }
        } else if any {
            crash_point("store.commit.after");
        }
        let raised: Vec<_> = done.iter().filter_map(|(_, r)| r.as_ref().ok()).flat_map(|a| a.raised.iter().cloned()).collect();
        let mut noted = Ok(());
        if let (Some(ledger), false, Ok(())) = (&mut self.ledger, raised.is_empty(), &end) {
            noted = ledger.append(&raised);
            crash_point("store.epoch.after");
        }
        for (reply, result) in done {
            let answer = match (result, &end) {
                (Ok(_), Err(e)) => Err(e.clone()),
                // In the database, but not yet in the ledger: the next opening adds it. Not acknowledged until then.
                (Ok(applied), Ok(())) if !applied.raised.is_empty() => noted.clone().map(|()| applied.committed),
                (Ok(applied), Ok(())) => Ok(applied.committed),
                (Err(e), _) => Err(e),
            };
            let _ = reply.send(answer);
        }
    }

    /// The number of the last batch, also of one that a command beside the hub did: then what is known of streams' ends is old.
    fn begun(&mut self) -> Result<u64, StoreError> {
        let seen: i64 = self.conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if self.seen.replace(seen) != Some(seen) {
            self.names.forget();
        }
        Ok(meta(&self.conn, "commits")?.unwrap_or_default())
    }

    /// Notes the number of the last batch and makes all of it durable.
    fn commit(&self, revision: u64) -> rusqlite::Result<()> {
        self.conn.prepare_cached("UPDATE meta SET value=?1 WHERE key='commits'")?.execute([revision])?;
        say(&self.conn, "COMMIT")
    }

    fn scrub(&mut self, how: Scrub) -> Result<(), StoreError> {
        let turn = self.turn.clone();
        let _turn = turn.as_deref().map(|turn| turn.write().unwrap_or_else(PoisonError::into_inner));
        if how == Scrub::Whole {
            // The copy may be larger than memory.
            self.conn.execute_batch("PRAGMA temp_store=FILE; VACUUM; PRAGMA temp_store=MEMORY;")?;
        }
        if self.ledger.is_some() {
            let busy: i64 = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            if busy != 0 {
                return Err(StoreError::Busy);
            }
        }
        Ok(())
    }
}
