//! Copies of the database, and putting one back.

use super::{Place, database, epoch, schema};
use crate::StoreError;
use rusqlite::{Connection, OpenFlags, params};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
        _ => Ok(()),
    }
}

/// Writes the present state to `to`. `VACUUM INTO` reads one state beside the writer, as the backup interface does, but copies rows
/// and not pages: what was deleted cannot be in the copy.
pub fn write(place: &Place, to: &Path) -> Result<(), StoreError> {
    if to.exists() {
        return Err(StoreError::Io(format!("{} is there already", to.display())));
    }
    let part = beside(to, ".part");
    remove(&part)?;
    let result = copy(place, &part).and_then(|()| {
        File::open(&part)?.sync_all()?;
        std::fs::rename(&part, to)?;
        epoch::sync_dir(parent(to))
    });
    if result.is_err() {
        remove(&part)?;
    }
    result
}

fn copy(place: &Place, part: &Path) -> Result<(), StoreError> {
    let text = part.to_str().ok_or_else(|| StoreError::Io("the path of the backup is not UTF-8".into()))?;
    let _turn = place.turn.as_deref().map(|turn| turn.read().unwrap_or_else(PoisonError::into_inner));
    let conn = place.connect(false)?;
    if place.dir.is_some() {
        conn.execute("VACUUM INTO ?1", [text])?;
        return Ok(());
    }
    // A database in memory would make the copy in memory too.
    let mut to = Connection::open(part)?;
    rusqlite::backup::Backup::new(&conn, &mut to)?.run_to_completion(1000, std::time::Duration::ZERO, None)?;
    to.close().map_err(|(_, e)| e.into())
}

pub fn restore(backup: &Path, dir: &Path) -> Result<(), StoreError> {
    let target = database(dir);
    let part = beside(&target, ".restoring");
    if !backup.is_file() {
        return Err(StoreError::Io(format!("{} is no file", backup.display())));
    }
    for ending in ["", "-wal", "-shm", "-journal"] {
        remove(&beside(&part, ending))?;
    }
    std::fs::copy(backup, &part)?;
    let result = mark(&part).and_then(|()| {
        make_sure_closed(&target)?;
        File::open(&part)?.sync_all()?;
        for ending in ["-wal", "-shm"] {
            remove(&beside(&target, ending))?;
        }
        std::fs::rename(&part, &target)?;
        epoch::sync_dir(dir)
    });
    if result.is_err() {
        remove(&part)?;
    }
    result
}

/// Checks the copy and notes in it that it was put back, and from which epoch.
fn mark(part: &Path) -> Result<(), StoreError> {
    let mut conn = Connection::open_with_flags(part, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        return Err(StoreError::Corrupt("the backup is empty".into()));
    }
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(StoreError::Corrupt("the backup is damaged".into()));
    }
    schema::migrate(&mut conn)?;
    let from = crate::reader::meta(&conn, "epoch")?.unwrap_or_default();
    conn.execute("INSERT OR IGNORE INTO meta VALUES ('restored', ?1)", params![from])?;
    conn.close().map_err(|(_, e)| e.into())
}

/// Another process, or a handle of this one, must not have the database open. A database too damaged to say so is taken as closed.
fn make_sure_closed(target: &Path) -> Result<(), StoreError> {
    if !target.exists() {
        return Ok(());
    }
    let exclusive = || -> Result<(), StoreError> {
        let conn = Connection::open_with_flags(target, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        conn.busy_timeout(std::time::Duration::from_millis(200))?;
        conn.execute_batch("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT;")?;
        Ok(())
    };
    match exclusive() {
        Err(StoreError::Busy) => Err(StoreError::Busy),
        _ => Ok(()),
    }
}
