//! The reader threads: a bounded number, so that reading never takes the async workers.

use crate::{Reader, StoreError};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use waybill_model::Clock;

/// A caller's work. It is given an error when no state could be opened.
pub type Job = Box<dyn FnOnce(Result<&Reader<'_>, StoreError>) + Send>;

/// More than this waiting is refused: whoever asks is better told to come back.
const QUEUE: usize = 10_000;
/// So long one state serves those who wait for it, so that it does not hold up the log's being written back.
const SHARED: Duration = Duration::from_millis(5);

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
    /// Each with its number in the order of handing over.
    jobs: VecDeque<(u64, Job)>,
    /// How many were ever handed over.
    taken: u64,
    /// How many threads sleep.
    idle: usize,
    closed: bool,
}

impl Shared {
    /// The next job, and the number of the last one that is handed over by now; waits for one. Nothing when the pool is closed and empty.
    fn next(&self) -> Option<(Job, u64)> {
        let mut queue = self.lock();
        // Under load more comes in a moment: going to sleep and being woken costs more than letting others work once.
        let mut rested = false;
        loop {
            if let Some((_, job)) = queue.jobs.pop_front() {
                return Some((job, queue.taken));
            }
            if queue.closed {
                return None;
            }
            if rested {
                queue.idle += 1;
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                queue.idle -= 1;
            } else {
                rested = true;
                drop(queue);
                std::thread::yield_now();
                queue = self.lock();
            }
        }
    }

    /// The next job, when it was handed over as number `last` or before.
    fn next_until(&self, last: u64) -> Option<Job> {
        let mut queue = self.lock();
        let fits = queue.jobs.front().is_some_and(|(number, _)| *number <= last);
        if fits { queue.jobs.pop_front().map(|(_, job)| job) } else { None }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        let mut queue = self.shared.lock();
        if queue.closed {
            return Err(StoreError::Closed);
        }
        if queue.jobs.len() >= QUEUE {
            return Err(StoreError::Busy);
        }
        queue.taken += 1;
        let number = queue.taken;
        queue.jobs.push_back((number, job));
        let sleeps = queue.idle > 0;
        drop(queue);
        // Who is awake looks at the queue before it sleeps.
        if sleeps {
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    /// Lets the threads end when they have done what waits, and returns them.
    pub fn close(&self) -> Vec<JoinHandle<()>> {
        self.shared.lock().closed = true;
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
    while let Some((job, last)) = shared.next() {
        let _turn = turn.map(|turn| turn.read().unwrap_or_else(PoisonError::into_inner));
        if let Err(e) = say(conn, "BEGIN") {
            job(Err(e.into()));
            continue;
        }
        let begun = Instant::now();
        let mut next = Some(job);
        while let Some(job) = next.take() {
            // A panic of the caller's closure must not cost the pool a thread; the caller sees its reply dropped.
            let outcome = catch_unwind(AssertUnwindSafe(|| job(Ok(&Reader::new(conn, clock.now())))));
            if outcome.is_err() {
                tracing::error!("a read of the store ended unexpectedly");
            } else if begun.elapsed() < SHARED {
                // What was handed over before this state was opened is promised no more than it holds.
                next = shared.next_until(last);
            }
        }
        if let Err(e) = say(conn, "COMMIT") {
            tracing::warn!(error = %StoreError::from(e), "ending a read failed");
            let _ = conn.execute_batch("ROLLBACK");
        }
    }
}

/// Runs a statement that is parsed once for each connection.
pub fn say(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}
