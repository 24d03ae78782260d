//! Does the steps of a batch on the writer's connection.

use crate::batch::{Check, Op, Put};
use crate::reader::live_version;
use crate::sqlite::index::{Keys, PLACES, WORLD};
use crate::sqlite::spans;
use crate::{Batch, Committed, Reader, StoreError};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;
use waybill_model::{DateTime, SystemColumns, TenantId};

/// The key of a stream's record: the stream's number, then the sequence number.
pub const SEQ_BITS: u32 = 40;

/// How many names, and how many streams, are kept in mind: they come from outside, and must not grow without end.
const KEPT: usize = 50_000;

/// Numbers of names, and numbers and ends of streams, that are known to be committed or written in this transaction. Emptied whenever
/// something was undone.
#[derive(Default)]
pub struct Names {
    names: HashMap<String, i64>,
    streams: HashMap<String, (i64, u64)>,
}

impl Names {
    pub fn forget(&mut self) {
        self.names.clear();
        self.streams.clear();
    }

    /// The numbers of a stream and its last record; `(0, 0)` when there is no such stream.
    fn stream(&mut self, conn: &Connection, stream: &str) -> Result<(i64, u64), StoreError> {
        match self.streams.get(stream) {
            Some(found) => Ok(*found),
            None => stream_head(conn, stream),
        }
    }

    fn keep_stream(&mut self, stream: String, id: i64, head: u64) {
        if self.streams.len() > KEPT {
            self.streams.clear();
        }
        self.streams.insert(stream, (id, head));
    }

    fn number(&mut self, conn: &Connection, text: &str) -> Result<i64, StoreError> {
        if let Some(id) = self.names.get(text) {
            return Ok(*id);
        }
        let known = conn.prepare_cached("SELECT id FROM name WHERE text=?1")?.query_row([text], |row| row.get(0)).optional()?;
        let id = match known {
            Some(id) => id,
            None => conn.prepare_cached("INSERT INTO name(text) VALUES (?1)")?.insert([text])?,
        };
        if self.names.len() > KEPT {
            self.names.clear();
        }
        self.names.insert(text.to_owned(), id);
        Ok(id)
    }
}

/// What a batch left to do outside of the transaction.
pub struct Applied {
    pub committed: Committed,
    /// Epochs that were raised, with their notes.
    pub raised: Vec<(u64, Vec<u8>)>,
}

/// Does the batch, which is number `revision` of the store.
pub fn apply(conn: &Connection, names: &mut Names, batch: Batch, now: DateTime, revision: u64) -> Result<Applied, StoreError> {
    let mut done = Applied { committed: Committed::default(), raised: Vec::new() };
    check(conn, batch.checks, now)?;
    done.committed.revision = revision;
    steps(conn, names, batch.ops, now, &mut done)?;
    Ok(done)
}

fn check(conn: &Connection, checks: Vec<Check>, now: DateTime) -> Result<(), StoreError> {
    for check in checks {
        match check {
            Check::Version { tenant, id, expected } => {
                if live_version(conn, &tenant, &id, now)? != expected {
                    return Err(StoreError::conflict("entity"));
                }
            }
            Check::Doc { space, key, expected } => {
                let found: Option<u64> = conn
                    .prepare_cached("SELECT revision FROM document WHERE space=?1 AND key=?2")?
                    .query_row([&space, &key], |row| row.get(0))
                    .optional()?;
                if found != expected {
                    return Err(StoreError::conflict("document"));
                }
            }
            Check::With(check) => check(&Reader::new(conn, now))?,
        }
    }
    Ok(())
}

fn steps(conn: &Connection, names: &mut Names, ops: Vec<Op>, now: DateTime, done: &mut Applied) -> Result<(), StoreError> {
    let revision = done.committed.revision;
    for op in ops {
        match op {
            Op::PutEntity(put) => done.committed.versions.push(put_entity(conn, names, &put)?),
            Op::DeleteEntity { tenant, id } => done.committed.deleted += u64::from(delete_entity(conn, names, &tenant, &id)?),
            Op::Append { stream, payload } => done.committed.sequences.push(append(conn, names, stream, |_, _| payload, false)?),
            Op::AppendWith { stream, make } => done.committed.sequences.push(append(conn, names, stream, make, true)?),
            Op::Truncate { stream, before } => truncate(conn, &stream, before)?,
            Op::PutDoc { space, key, payload, due } => {
                conn.prepare_cached(
                    "INSERT INTO document(space, key, revision, due, payload) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT(space, key) \
                     DO UPDATE SET revision=excluded.revision, due=excluded.due, payload=excluded.payload",
                )?
                .execute(params![space, key, revision, due.map(DateTime::micros), payload])?;
            }
            Op::DeleteDoc { space, key } => {
                let n = conn.prepare_cached("DELETE FROM document WHERE space=?1 AND key=?2")?.execute([&space, &key])?;
                done.committed.deleted += n as u64;
            }
            Op::DeleteDocAt { space, key, revision } => {
                let n = conn
                    .prepare_cached("DELETE FROM document WHERE space=?1 AND key=?2 AND revision=?3")?
                    .execute(params![&space, &key, revision])?;
                done.committed.deleted += n as u64;
            }
            Op::RaiseEpoch { note } => {
                let epoch = conn
                    .prepare_cached("UPDATE meta SET value=value+1 WHERE key='epoch' RETURNING value")?
                    .query_row([], |row| row.get::<_, u64>(0))?;
                conn.prepare_cached("INSERT INTO withdrawn(epoch, note) VALUES (?1, ?2)")?.execute(params![epoch, note])?;
                done.raised.push((epoch, note));
            }
            Op::Settle => {
                conn.execute("DELETE FROM meta WHERE key IN ('restored', 'ledger_lost')", [])?;
            }
            Op::DeleteStream { stream } => {
                let (id, _) = stream_head(conn, &stream)?;
                let base = id << SEQ_BITS;
                conn.prepare_cached("DELETE FROM stream WHERE k>=?1 AND k<?2")?.execute([base, base + (1 << SEQ_BITS)])?;
                conn.prepare_cached("DELETE FROM stream_name WHERE id=?1")?.execute([id])?;
                names.streams.remove(&stream);
            }
            Op::Then(make) => {
                let more = make(&Reader::new(conn, now))?;
                check(conn, more.checks, now)?;
                steps(conn, names, more.ops, now, done)?;
            }
        }
    }
    Ok(())
}

struct Old {
    k: i64,
    version: u64,
    keys: Keys,
}

fn old_row(conn: &Connection, tenant: i64, id: &str) -> Result<Option<Old>, StoreError> {
    let mut find = conn.prepare_cached("SELECT k, version, spans, body FROM entity WHERE tenant=?1 AND id=?2")?;
    let mut rows = find.query(params![tenant, id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let none = DateTime::from_micros(0);
    let system = SystemColumns { created_at: none, modified_at: none, expires_at: None, version: 0, envelope: None };
    let text = row.get_ref(3)?.as_str().map_err(|_| StoreError::Corrupt("an entity's body is no text".into()))?;
    let table = row.get_ref(2)?.as_blob().map_err(|_| StoreError::Corrupt("an entity's span table is no blob".into()))?;
    let doc = spans::decode(table, text, system).ok_or_else(|| StoreError::Corrupt("an entity's span table cannot be read".into()))?;
    Ok(Some(Old { k: row.get(0)?, version: row.get(1)?, keys: Keys::of(&doc) }))
}

fn put_entity(conn: &Connection, names: &mut Names, put: &Put) -> Result<u64, StoreError> {
    let Put { tenant, doc, spans, keys } = put;
    let tenant = names.number(conn, tenant.as_str())?;
    let system = &doc.system;
    let expires = system.expires_at.map(DateTime::micros);
    // The first time at which something of it ends.
    let due = doc.spans().iter().filter_map(|s| s.expires_at).map(DateTime::micros).chain(expires).min();
    let envelope = system.envelope.as_ref().map(|e| &e.0[..]);
    let (created, modified) = (system.created_at.micros(), system.modified_at.micros());
    let old = old_row(conn, tenant, doc.id())?;
    let none = Keys::default();
    let (k, version, old_keys) = if let Some(old) = &old {
        let version = old.version + 1;
        conn.prepare_cached(
            "UPDATE entity SET version=?2, created=?3, modified=?4, expires=?5, due=?6, envelope=?7, spans=?8, body=?9 WHERE k=?1",
        )?
        .execute(params![old.k, version, created, modified, expires, due, envelope, spans, doc.text()])?;
        (old.k, version, &old.keys)
    } else {
        let k = conn
            .prepare_cached(
                "INSERT INTO entity(tenant, id, version, created, modified, expires, due, envelope, spans, body) \
                 VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .insert(params![tenant, doc.id(), created, modified, expires, due, envelope, spans, doc.text()])?;
        (k, 1, &none)
    };
    reindex(conn, names, tenant, k, old_keys, keys)?;
    Ok(version)
}

fn delete_entity(conn: &Connection, names: &mut Names, tenant: &TenantId, id: &str) -> Result<bool, StoreError> {
    let tenant = names.number(conn, tenant.as_str())?;
    let Some(old) = old_row(conn, tenant, id)? else { return Ok(false) };
    reindex(conn, names, tenant, old.k, &old.keys, &Keys::default())?;
    conn.prepare_cached("DELETE FROM entity WHERE k=?1")?.execute([old.k])?;
    Ok(true)
}

/// What only one of two sorted lists has: `true` what only `new` has, `false` what only `old` has.
fn changes<'a, T: Ord>(old: &'a [T], new: &'a [T]) -> Vec<(&'a T, bool)> {
    let mut found = Vec::new();
    let (mut i, mut j) = (0, 0);
    loop {
        match (old.get(i), new.get(j)) {
            (None, None) => return found,
            (Some(a), Some(b)) if a == b => (i, j) = (i + 1, j + 1),
            (Some(a), Some(b)) if a > b => {
                found.push((b, true));
                j += 1;
            }
            (None, Some(b)) => {
                found.push((b, true));
                j += 1;
            }
            (Some(a), _) => {
                found.push((a, false));
                i += 1;
            }
        }
    }
}

fn reindex(conn: &Connection, names: &mut Names, tenant: i64, k: i64, old: &Keys, new: &Keys) -> Result<(), StoreError> {
    for (text, come) in changes(&old.types, &new.types) {
        let ty = names.number(conn, text)?;
        let sql = if come {
            "INSERT OR IGNORE INTO entity_type(tenant, type, k) VALUES (?1, ?2, ?3)"
        } else {
            "DELETE FROM entity_type WHERE tenant=?1 AND type=?2 AND k=?3"
        };
        conn.prepare_cached(sql)?.execute([tenant, ty, k])?;
    }
    for (path, come) in changes(&old.scopes, &new.scopes) {
        let sql = if come {
            "INSERT OR IGNORE INTO entity_scope(tenant, path, k) VALUES (?1, ?2, ?3)"
        } else {
            "DELETE FROM entity_scope WHERE tenant=?1 AND path=?2 AND k=?3"
        };
        conn.prepare_cached(sql)?.execute(params![tenant, path, k])?;
    }
    let changed = changes(&old.attrs, &new.attrs);
    if !changed.is_empty() {
        let mut insert = conn.prepare_cached("INSERT OR IGNORE INTO entity_attr(tenant, attr, val, k) VALUES (?1, ?2, ?3, ?4)")?;
        let mut delete = conn.prepare_cached("DELETE FROM entity_attr WHERE tenant=?1 AND attr=?2 AND val=?3 AND k=?4")?;
        for ((attr, value), come) in changed {
            let attr = names.number(conn, attr)?;
            let statement = if come { &mut insert } else { &mut delete };
            statement.execute(params![tenant, attr, value, k])?;
        }
    }
    if old.places != new.places {
        replace_places(conn, names, tenant, k, old.places.len(), new)?;
    }
    Ok(())
}

fn replace_places(conn: &Connection, names: &mut Names, tenant: i64, k: i64, old: usize, new: &Keys) -> Result<(), StoreError> {
    for n in (0..PLACES).take(old) {
        conn.prepare_cached("DELETE FROM place WHERE id=?1")?.execute([k * PLACES + n])?;
    }
    for (n, (attr, bounds)) in (0..PLACES).zip(&new.places) {
        // The last number stands for all the rest: anywhere, under any Attribute (0).
        let rest = n == PLACES - 1;
        let attr = if rest { 0 } else { names.number(conn, attr)? };
        let [west, south, east, north] = if rest { WORLD } else { *bounds };
        conn.prepare_cached("INSERT INTO place(id, west, east, south, north, k, attr, tenant) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
            .execute(params![k * PLACES + n, west, east, south, north, k, attr, tenant])?;
    }
    Ok(())
}

/// The numbers of a stream and its last record; `(0, 0)` when there is no such stream.
pub fn stream_head(conn: &Connection, stream: &str) -> Result<(i64, u64), StoreError> {
    let mut find = conn.prepare_cached("SELECT id, head FROM stream_name WHERE name=?1")?;
    Ok(find.query_row([stream], |row| Ok((row.get(0)?, row.get(1)?))).optional()?.unwrap_or((0, 0)))
}

fn append(
    conn: &Connection,
    names: &mut Names,
    stream: String,
    make: impl FnOnce(u64, Option<&[u8]>) -> Vec<u8>,
    chained: bool,
) -> Result<u64, StoreError> {
    let (mut id, head) = names.stream(conn, &stream)?;
    if id == 0 {
        id = conn.prepare_cached("INSERT INTO stream_name(name, head) VALUES (?1, 0)")?.insert([&stream])?;
    }
    let base = id << SEQ_BITS;
    let seq = head + 1;
    let payload = if chained && head > 0 {
        let mut last = conn.prepare_cached("SELECT payload FROM stream WHERE k=?1")?;
        let mut rows = last.query([base | head.cast_signed()])?;
        let row = rows.next()?.ok_or_else(|| StoreError::Corrupt("a stream's last record is missing".into()))?;
        make(seq, Some(row.get_ref(0)?.as_blob().map_err(|_| StoreError::Corrupt("a record is no blob".into()))?))
    } else {
        make(seq, None)
    };
    conn.prepare_cached("INSERT INTO stream(k, payload) VALUES (?1, ?2)")?.execute(params![base | seq.cast_signed(), payload])?;
    conn.prepare_cached("UPDATE stream_name SET head=?2 WHERE id=?1")?.execute(params![id, seq])?;
    names.keep_stream(stream, id, seq);
    Ok(seq)
}

fn truncate(conn: &Connection, stream: &str, before: u64) -> Result<(), StoreError> {
    let (id, head) = stream_head(conn, stream)?;
    let base = id << SEQ_BITS;
    conn.prepare_cached("DELETE FROM stream WHERE k>=?1 AND k<?2")?.execute([base, base | before.min(head).cast_signed()])?;
    Ok(())
}
