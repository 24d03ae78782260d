//! The reader threads: a bounded number, so that reading never takes the async workers.

use crate::{Reader, StoreError};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use waybill_model::Clock;

/// A caller's work. It is given an error when no state could be opened.
pub type Job = Box<dyn FnOnce(Result<&Reader<'_>, StoreError>) + Send>;

/// More than this waiting is refused: whoever asks is better told to come back.
const QUEUE: usize = 10_000;

pub struct Pool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Pool {
    pub fn spawn(conns: Vec<Connection>, turn: Option<Arc<RwLock<()>>>, clock: Clock) -> Result<Self, StoreError> {
        let pool = Self { shared: Arc::default(), threads: Mutex::default() };
        for (n, conn) in conns.into_iter().enumerate() {
            let (shared, turn, clock) = (pool.shared.clone(), turn.clone(), clock.clone());
            let thread = std::thread::Builder::new().name(format!("store-read-{n}")).spawn(move || work(&shared, &conn, turn.as_deref(), &clock))?;
            pool.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(pool)
    }

    pub fn run(&self, job: Job) -> Result<(), StoreError> {
        let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.closed {
            return Err(StoreError::Closed);
        }
        if queue.jobs.len() >= QUEUE {
            return Err(StoreError::Busy);
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Lets the threads end when they have done what waits, and returns them.
    pub fn close(&self) -> Vec<JoinHandle<()>> {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.shared.wake.notify_all();
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

fn work(shared: &Shared, conn: &Connection, turn: Option<&RwLock<()>>, clock: &Clock) {
    loop {
        let mut queue = shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let job = loop {
            if let Some(job) = queue.jobs.pop_front() {
                break job;
            }
            if queue.closed {
                return;
            }
            queue = shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        };
        drop(queue);
        let _turn = turn.map(|turn| turn.read().unwrap_or_else(PoisonError::into_inner));
        match conn.execute_batch("BEGIN") {
            Ok(()) => {
                // A panic of the caller's closure must not cost the pool a thread; the caller sees its reply dropped.
                let outcome = catch_unwind(AssertUnwindSafe(|| job(Ok(&Reader::new(conn, clock.now())))));
                if outcome.is_err() {
                    tracing::error!("a read of the store ended unexpectedly");
                }
                if let Err(e) = conn.execute_batch("COMMIT") {
                    tracing::warn!(error = %StoreError::from(e), "ending a read failed");
                    let _ = conn.execute_batch("ROLLBACK");
                }
            }
            Err(e) => job(Err(e.into())),
        }
    }
}
