//! The embedded store: one `SQLite` database, one writer thread, a pool of reader threads.

pub mod apply;
mod backup;
mod epoch;
pub mod index;
pub mod plan;
mod pool;
mod schema;
pub mod spans;
mod writer;

use crate::{Batch, Committed, Reader, StoreError};
use epoch::{Found, Ledger};
use pool::Pool;
use rusqlite::{Connection, OpenFlags, params};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use tokio::sync::{mpsc, oneshot};
use waybill_model::Clock;
use writer::Message;

pub use schema::SCHEMA_VERSION;
pub use writer::Scrub;

/// How many batches may wait for the writer before [`Store::commit`] waits to hand over its own.
const WAITING: usize = 4096;

/// What a store may be told at its opening.
#[derive(Debug, Clone)]
pub struct Options {
    /// Reader threads, 1 or more.
    pub readers: usize,
    /// The largest size of the database in bytes; beyond it writing fails with [`StoreError::Full`].
    pub max_bytes: Option<u64>,
    /// Whether to be the only one that opens it so: for the hub itself, of which there must be one a directory. The command line's other
    /// commands open it beside a running hub.
    pub sole: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { readers: std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8)), max_bytes: None, sole: false }
    }
}

/// The result of [`Store::check`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The size of the database in bytes.
    pub bytes: u64,
    /// What is wrong with it; empty when all is well.
    pub complaints: Vec<String>,
}

/// A handle on the store. Cheap to clone; the database is closed with the last handle.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    /// Held while the store is open as the sole one.
    _sole: Option<File>,
    to_writer: mpsc::Sender<Message>,
    pool: Pool,
    place: Place,
    clock: Clock,
}

/// Where the database is.
#[derive(Clone)]
struct Place {
    /// A path, or the name of a shared database in memory.
    uri: PathBuf,
    /// The directory, when it is on disk.
    dir: Option<PathBuf>,
    /// In memory there is no log to read beside the writer, so readers and the writer take turns.
    turn: Option<Arc<RwLock<()>>>,
}

impl Place {
    fn connect(&self, create: bool) -> Result<Connection, StoreError> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
        flags.set(OpenFlags::SQLITE_OPEN_URI, self.dir.is_none());
        let conn = Connection::open_with_flags(&self.uri, flags)?;
        schema::prepare(&conn, self.dir.is_some())?;
        Ok(conn)
    }

    /// A connection for readers.
    fn reader(&self) -> Result<Connection, StoreError> {
        let conn = self.connect(false)?;
        conn.execute_batch("PRAGMA query_only=ON;")?;
        Ok(conn)
    }
}

impl Store {
    /// Opens the store in `dir`, or starts one there.
    ///
    /// # Errors
    /// [`StoreError::TooNew`], [`StoreError::Corrupt`], [`StoreError::Io`]; nothing was changed then.
    pub fn open(dir: impl AsRef<Path>, clock: Clock) -> Result<Self, StoreError> {
        Self::open_with(dir, clock, Options::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(dir: impl AsRef<Path>, clock: Clock, options: Options) -> Result<Self, StoreError> {
        let dir = dir.as_ref();
        make_private_dir(dir)?;
        let place = Place { uri: database(dir), dir: Some(dir.to_owned()), turn: None };
        Self::start(place, clock, &options)
    }

    /// A store in memory, which is gone with its last handle.
    ///
    /// # Errors
    /// When there is no memory or no thread to be had.
    pub fn memory(clock: Clock) -> Result<Self, StoreError> {
        Self::memory_with(clock, Options::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`Self::memory`].
    pub fn memory_with(clock: Clock, options: Options) -> Result<Self, StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let uri = format!("file:/waybill-{}?vfs=memdb", NEXT.fetch_add(1, Ordering::Relaxed)).into();
        Self::start(Place { uri, dir: None, turn: Some(Arc::default()) }, clock, &options)
    }

    fn start(place: Place, clock: Clock, options: &Options) -> Result<Self, StoreError> {
        let sole = match &place.dir {
            Some(dir) if options.sole => Some(take_alone(dir)?),
            _ => None,
        };
        let mut conn = place.connect(true)?;
        schema::migrate(&mut conn)?;
        schema::for_writing(&conn)?;
        let ledger = match &place.dir {
            None => None,
            Some(dir) => {
                let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
                if mode != "wal" {
                    return Err(StoreError::Io(format!("the file system of {} allows no write-ahead log", dir.display())));
                }
                Some(open_ledger(&mut conn, dir)?)
            }
        };
        if let Some(max) = options.max_bytes {
            let page: u64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
            conn.pragma_update_and_check(None, "max_page_count", (max / page).max(1).cast_signed(), |_| Ok(()))?;
        }
        let (to_writer, from_handles) = mpsc::channel(WAITING);
        let readers = (0..options.readers.max(1)).map(|_| place.reader()).collect::<Result<Vec<_>, _>>()?;
        writer::spawn(conn, ledger, place.turn.clone(), clock.clone(), from_handles)?;
        let pool = Pool::spawn(readers, place.turn.clone(), clock.clone())?;
        Ok(Self(Arc::new(Inner { _sole: sole, to_writer, pool, place, clock })))
    }

    /// Does the batch. Returns when it is durable; on an error nothing of it was done. A caller that stops waiting does not undo it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a precondition does not hold, [`StoreError::Full`], [`StoreError::Closed`] and others.
    pub async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        if batch.is_empty() {
            return Ok(Committed::default());
        }
        let (reply, answer) = oneshot::channel();
        self.0.to_writer.send(Message::Commit(batch, reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// The same for threads outside of the async runtime.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn commit_blocking(&self, batch: Batch) -> Result<Committed, StoreError> {
        if batch.is_empty() {
            return Ok(Committed::default());
        }
        let (reply, answer) = oneshot::channel();
        self.0.to_writer.blocking_send(Message::Commit(batch, reply)).map_err(|_| StoreError::Closed)?;
        answer.blocking_recv().map_err(|_| StoreError::Closed)?
    }

    /// Runs `read` on a reader thread, on one consistent state that holds everything committed before the call.
    ///
    /// # Errors
    /// What `read` returns; [`StoreError::Busy`] when too many wait.
    pub async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Reader<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.0.pool.run(Box::new(move |reader| {
            // The caller may have gone; then nobody wants to know.
            let _ = reply.send(reader.and_then(read));
        }))?;
        answer.await.map_err(|_| StoreError::Panicked)?
    }

    /// The same for threads outside of the async runtime.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_blocking<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Reader<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.0.pool.run(Box::new(move |reader| {
            let _ = reply.send(reader.and_then(read));
        }))?;
        answer.blocking_recv().map_err(|_| StoreError::Panicked)?
    }

    /// Removes what deletion left behind; see [`Scrub`]. For an erasure: after the batch that deletes.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when a reader keeps an old state for more than 10 s.
    pub async fn scrub(&self, how: Scrub) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.0.to_writer.send(Message::Scrub(how, reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Reads the whole database and reports its size and what is wrong with it. Slow on a large one.
    ///
    /// # Errors
    /// When it cannot even be read.
    pub async fn check(&self) -> Result<Health, StoreError> {
        self.read(crate::reader::check).await
    }

    /// Writes a copy of the present state to the file `to`, which must not exist. Writers go on meanwhile. What was deleted is not in it, nor is
    /// the ledger of epochs.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the file exists or cannot be written; it is not there then.
    pub async fn backup(&self, to: impl Into<PathBuf>) -> Result<(), StoreError> {
        let (place, to) = (self.0.place.clone(), to.into());
        tokio::task::spawn_blocking(move || backup::write(&place, &to)).await.map_err(|_| StoreError::Panicked)?
    }

    /// Puts the copy `backup` in the place of the database in `dir`, which must be closed. The ledger in `dir` stays, and on the next opening
    /// [`Reader::restored_from`] says so.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when the database is open, [`StoreError::Corrupt`] or [`StoreError::TooNew`] when the copy is not good; the
    /// old state is then untouched.
    pub fn restore(backup: impl AsRef<Path>, dir: impl AsRef<Path>) -> Result<(), StoreError> {
        make_private_dir(dir.as_ref())?;
        backup::restore(backup.as_ref(), dir.as_ref())
    }

    /// Finishes what was handed over, then closes the database. Other handles get [`StoreError::Closed`].
    pub async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        let readers = self.0.pool.close();
        // Whatever comes of it: the threads have ended then.
        let _ = tokio::task::spawn_blocking(move || readers.into_iter().for_each(|thread| drop(thread.join()))).await;
        if self.0.to_writer.send(Message::Stop(reply)).await.is_ok() {
            let _ = answer.await;
        }
    }

    /// The clock that the store reads.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The directory of the store; nothing in memory.
    pub fn dir(&self) -> Option<&Path> {
        self.0.place.dir.as_deref()
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.0.place.uri.display())
    }
}

/// A lock that one process, and one store in it, can hold.
fn take_alone(dir: &Path) -> Result<File, StoreError> {
    let file = File::options().create(true).truncate(false).write(true).open(dir.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse),
        Err(std::fs::TryLockError::Error(e)) => Err(e.into()),
    }
}

/// The database of the store in `dir`.
fn database(dir: &Path) -> PathBuf {
    dir.join("waybill.db")
}

/// Nobody but the owner may look into it.
fn make_private_dir(dir: &Path) -> Result<(), StoreError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    Ok(builder.create(dir)?)
}

/// Brings ledger and database together: what only the ledger has was lost with a restore; what only the database has was cut off by a crash
/// before it was acknowledged.
fn open_ledger(conn: &mut Connection, dir: &Path) -> Result<Ledger, StoreError> {
    let id: String = conn.query_row("SELECT value FROM meta WHERE key='store'", [], |row| row.get(0))?;
    let (mut ledger, Found { mut notes, more, existed }) = Ledger::open(dir, &id)?;
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let reader = Reader::new(&tx, waybill_model::DateTime::from_micros(0));
    let (own, before) = (reader.epoch()?, reader.restored_from()?);
    let used = crate::reader::meta(&tx, "commits")?.unwrap_or_default() > 0;
    let mark = |key: &str, value: u64| tx.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", params![key, value]);
    let last = notes.last_key_value().map_or(0, |(epoch, _)| *epoch);
    // What lies before the part that was read: both have it, or it is read now.
    let known = notes.first_key_value().filter(|_| more).map_or(0, |(epoch, _)| *epoch);
    if last > own {
        if more {
            notes = ledger.all()?;
        }
        for (epoch, note) in notes.range(own + 1..) {
            tx.execute("INSERT OR IGNORE INTO withdrawn(epoch, note) VALUES (?1, ?2)", params![epoch, note])?;
        }
        mark("epoch", last)?;
        mark("restored", before.map_or(own, |b| b.min(own)))?;
    }
    if !existed && used {
        mark("restored", before.map_or(own, |b| b.min(own)))?;
        mark("ledger_lost", 1)?;
    }
    let mut missing = reader.withdrawn(known)?;
    missing.retain(|(epoch, _)| !notes.contains_key(epoch));
    tx.commit()?;
    if !missing.is_empty() {
        ledger.append(&missing)?;
    }
    Ok(ledger)
}
