//! What can be asked of the store. A reader sees one consistent state, at one time of the clock.

use crate::StoreError;
use crate::filter::Filter;
use crate::sqlite::apply::{SEQ_BITS, stream_head};
use crate::sqlite::plan::{Plan, plan};
use crate::sqlite::spans;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use std::ops::ControlFlow;
use waybill_model::{DateTime, EntityDoc, EnvelopeHash, SystemColumns, TenantId};

/// A keyed document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doc {
    /// Its key in its space.
    pub key: String,
    /// The revision of the batch that put it; see [`crate::Batch::expect_doc`].
    pub revision: u64,
    /// When it is due.
    pub due: Option<DateTime>,
    /// Its content.
    pub payload: Vec<u8>,
}

/// An entity of which something has expired; see [`Reader::expired`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub id: String,
    /// Whether all of it expired, and not only Attributes.
    pub whole: bool,
}

/// One consistent state of the store. What has expired at [`Reader::now`] is not there.
pub struct Reader<'c> {
    conn: &'c Connection,
    now: DateTime,
}

macro_rules! columns {
    () => {
        "SELECT e.version, e.created, e.modified, e.expires, e.due, e.envelope, e.spans, e.body FROM entity e WHERE "
    };
}
const COLUMNS: &str = columns!();
const BY_KEY: &str = concat!(columns!(), "e.k=?");
const BY_ID: &str =
    concat!(columns!(), "e.tenant=(SELECT id FROM name WHERE text=?1) AND e.id=?2 AND (e.expires IS NULL OR e.expires > ?3)");
const LIVE: &str = "(e.expires IS NULL OR e.expires > ?)";

impl<'c> Reader<'c> {
    pub(crate) fn new(conn: &'c Connection, now: DateTime) -> Self {
        Self { conn, now }
    }

    /// The time at which this reader looks.
    pub fn now(&self) -> DateTime {
        self.now
    }

    /// The same state seen at another time.
    #[must_use]
    pub fn at(&self, now: DateTime) -> Reader<'c> {
        Reader { conn: self.conn, now }
    }

    fn name(&self, text: &str) -> Result<Option<i64>, StoreError> {
        Ok(self.conn.prepare_cached("SELECT id FROM name WHERE text=?1")?.query_row([text], |row| row.get(0)).optional()?)
    }

    /// The entity, or nothing.
    pub fn entity(&self, tenant: &TenantId, id: &str) -> Result<Option<EntityDoc>, StoreError> {
        let mut find = self.conn.prepare_cached(BY_ID)?;
        let mut rows = find.query(params![tenant.as_str(), id, self.now.micros()])?;
        rows.next()?.map(|row| self.document(row)).transpose()
    }

    /// The entity's version, or nothing when there is no such entity.
    pub fn version(&self, tenant: &TenantId, id: &str) -> Result<Option<u64>, StoreError> {
        live_version(self.conn, tenant, id, self.now)
    }

    /// Gives each entity that `filter` lets through to `each`, in the order of identifiers (by code point), from the first one behind `after`
    /// on, until `each` breaks. Bodies are read one at a time.
    pub fn candidates(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        after: Option<&str>,
        mut each: impl FnMut(EntityDoc) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let Some(tenant) = self.name(tenant.as_str())? else { return Ok(()) };
        let Plan { start, condition } = plan(self.conn, tenant, filter)?;
        let now = self.now.micros();
        let Some(start) = start else {
            let sql = format!("{COLUMNS}e.tenant=? AND e.id>? AND {LIVE} AND {} ORDER BY e.id", condition.text);
            let mut params = vec![Value::Integer(tenant), Value::Text(after.unwrap_or_default().to_owned()), Value::Integer(now)];
            params.extend(condition.params);
            let mut walk = self.conn.prepare_cached(&sql)?;
            let mut rows = walk.query(params_from_iter(params))?;
            while let Some(row) = rows.next()? {
                if each(self.document(row)?).is_break() {
                    break;
                }
            }
            return Ok(());
        };
        // The unary plus keeps the planner from walking by identifier.
        let sql = format!(
            "SELECT e.id, e.k FROM entity e WHERE e.k IN ({}) AND +e.tenant=? AND +e.id>? AND {LIVE} AND {}",
            start.text, condition.text
        );
        let mut params = start.params;
        params.extend([Value::Integer(tenant), Value::Text(after.unwrap_or_default().to_owned()), Value::Integer(now)]);
        params.extend(condition.params);
        let mut found: Vec<(Box<str>, i64)> = self
            .conn
            .prepare_cached(&sql)?
            .query_map(params_from_iter(params), |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        found.sort_unstable();
        let mut fetch = self.conn.prepare_cached(BY_KEY)?;
        for (_, k) in found {
            let mut rows = fetch.query([k])?;
            if let Some(row) = rows.next()?
                && each(self.document(row)?).is_break()
            {
                break;
            }
        }
        Ok(())
    }

    /// How many entities [`Self::candidates`] would give.
    pub fn count(&self, tenant: &TenantId, filter: &Filter) -> Result<u64, StoreError> {
        let Some(tenant) = self.name(tenant.as_str())? else { return Ok(0) };
        let Plan { start, condition } = plan(self.conn, tenant, filter)?;
        let (head, mut params) = match start {
            Some(start) => (format!("e.k IN ({}) AND +e.tenant=?", start.text), start.params),
            None => ("e.tenant=?".to_owned(), Vec::new()),
        };
        params.extend([Value::Integer(tenant), Value::Integer(self.now.micros())]);
        params.extend(condition.params);
        let sql = format!("SELECT count(*) FROM entity e WHERE {head} AND {LIVE} AND {}", condition.text);
        Ok(self.conn.prepare_cached(&sql)?.query_row(params_from_iter(params), |row| row.get(0))?)
    }

    /// Whether more than `limit` entities may pass `filter`. Looks at an index only; without one for it, the answer is yes.
    pub fn holds_more(&self, tenant: &TenantId, filter: &Filter, limit: usize) -> Result<bool, StoreError> {
        let Some(tenant) = self.name(tenant.as_str())? else { return Ok(false) };
        crate::sqlite::plan::holds_more(self.conn, tenant, filter, limit)
    }

    /// The expanded types of the tenant's entities with the number of entities, sorted.
    pub fn types(&self, tenant: &TenantId) -> Result<Vec<(String, u64)>, StoreError> {
        self.tally(tenant, "n.text, count(*) FROM entity_type t JOIN name n ON n.id=t.type AND n.text<>''")
    }

    /// The expanded names of the Attributes of the tenant's entities with the number of entities, sorted.
    pub fn attributes(&self, tenant: &TenantId) -> Result<Vec<(String, u64)>, StoreError> {
        self.tally(tenant, "n.text, count(DISTINCT t.k) FROM entity_attr t JOIN name n ON n.id=t.attr")
    }

    fn tally(&self, tenant: &TenantId, what: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let Some(tenant) = self.name(tenant.as_str())? else { return Ok(Vec::new()) };
        let now = self.now.micros();
        // Looking at each entity is only needed while some have ended and were not cleared away.
        let ended: bool = self
            .conn
            .prepare_cached("SELECT EXISTS(SELECT 1 FROM entity WHERE due IS NOT NULL AND due<=?1)")?
            .query_row([now], |row| row.get(0))?;
        let only = if ended { "AND EXISTS(SELECT 1 FROM entity e WHERE e.k=t.k AND (e.expires IS NULL OR e.expires > ?2))" } else { "AND ?2=?2" };
        let mut ask = self.conn.prepare_cached(&format!("SELECT {what} WHERE t.tenant=?1 {only} GROUP BY n.id ORDER BY n.text"))?;
        let rows = ask.query_map([tenant, now], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Entities of any tenant of which something has expired, the longest expired first; for whoever clears them away.
    pub fn expired(&self, limit: usize) -> Result<Vec<Expired>, StoreError> {
        let mut ask = self.conn.prepare_cached(
            "SELECT n.text, e.id, e.expires FROM entity e JOIN name n ON n.id=e.tenant WHERE e.due IS NOT NULL AND e.due<=?1 ORDER BY e.due LIMIT ?2",
        )?;
        let rows = ask.query_map([self.now.micros(), most(limit)], |row| {
            let tenant: String = row.get(0)?;
            Ok((tenant, row.get(1)?, row.get::<_, Option<i64>>(2)?))
        })?;
        rows.map(|row| {
            let (tenant, id, expires) = row?;
            let tenant = TenantId::new(&tenant).ok_or_else(|| StoreError::Corrupt("a tenant has an impossible name".into()))?;
            Ok(Expired { tenant, id, whole: expires.is_some_and(|at| at <= self.now.micros()) })
        })
        .collect()
    }

    /// The document, or nothing.
    pub fn doc(&self, space: &str, key: &str) -> Result<Option<Doc>, StoreError> {
        let mut find = self.conn.prepare_cached("SELECT key, revision, due, payload FROM document WHERE space=?1 AND key=?2")?;
        Ok(find.query_row([space, key], doc_row).optional()?)
    }

    /// Documents of the space whose key starts with `prefix`, in the order of keys, from the first one behind `after` on.
    pub fn docs(&self, space: &str, prefix: &str, limit: usize, after: Option<&str>) -> Result<Vec<Doc>, StoreError> {
        let behind = if after.is_some() { "AND key>?4" } else { "AND ?4 IS NULL" };
        let sql = format!("SELECT key, revision, due, payload FROM document WHERE space=?1 AND key>=?2 {behind} ORDER BY key LIMIT ?3");
        let mut find = self.conn.prepare_cached(&sql)?;
        let mut rows = find.query(params![space, prefix, most(limit), after])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            let doc = doc_row(row)?;
            if !doc.key.starts_with(prefix) {
                break;
            }
            out.push(doc);
        }
        Ok(out)
    }

    /// The document with the last key of the space, or nothing.
    pub fn last_doc(&self, space: &str) -> Result<Option<Doc>, StoreError> {
        let mut find = self.conn.prepare_cached("SELECT key, revision, due, payload FROM document WHERE space=?1 ORDER BY key DESC LIMIT 1")?;
        Ok(find.query_row([space], doc_row).optional()?)
    }

    /// Documents of the space that are due at `now`, the longest due first.
    pub fn due(&self, space: &str, now: DateTime, limit: usize) -> Result<Vec<Doc>, StoreError> {
        let mut find = self
            .conn
            .prepare_cached("SELECT key, revision, due, payload FROM document WHERE space=?1 AND due<=?2 ORDER BY due, key LIMIT ?3")?;
        let rows = find.query_map(params![space, now.micros(), most(limit)], doc_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the next document of the space is due.
    pub fn next_due(&self, space: &str) -> Result<Option<DateTime>, StoreError> {
        let mut find = self.conn.prepare_cached("SELECT min(due) FROM document WHERE space=?1 AND due IS NOT NULL")?;
        Ok(find.query_row([space], |row| row.get::<_, Option<i64>>(0))?.map(DateTime::from_micros))
    }

    /// Records of the stream with their sequence numbers, from `from` (the first is 1) on.
    pub fn stream(&self, stream: &str, from: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let (id, head) = stream_head(self.conn, stream)?;
        let base = id << SEQ_BITS;
        if id == 0 || from > head {
            return Ok(Vec::new());
        }
        let mut find = self.conn.prepare_cached("SELECT k, payload FROM stream WHERE k>=?1 AND k<=?2 ORDER BY k LIMIT ?3")?;
        let rows = find.query_map(params![base | from.cast_signed(), base | head.cast_signed(), most(limit)], |row| {
            Ok(((row.get::<_, i64>(0)? - base) as u64, row.get(1)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The sequence number of the stream's last record; 0 when there was never one.
    pub fn stream_head(&self, stream: &str) -> Result<u64, StoreError> {
        Ok(stream_head(self.conn, stream)?.1)
    }

    /// Names of streams that start with `prefix`, in order, from the first one behind `after` on.
    pub fn streams(&self, prefix: &str, limit: usize, after: Option<&str>) -> Result<Vec<String>, StoreError> {
        let mut find = self.conn.prepare_cached("SELECT name FROM stream_name WHERE name>=?1 AND name>?2 ORDER BY name LIMIT ?3")?;
        let rows = find.query_map(params![prefix, after.unwrap_or_default(), most(limit)], |row| row.get(0))?;
        let names = rows.collect::<Result<Vec<String>, _>>()?;
        Ok(names.into_iter().take_while(|name| name.starts_with(prefix)).collect())
    }

    /// The store's epoch: how often [`crate::Batch::raise_epoch`] was done in its whole life.
    pub fn epoch(&self) -> Result<u64, StoreError> {
        Ok(meta(self.conn, "epoch")?.unwrap_or_default())
    }

    /// When the database was put back from a backup and that has not been settled: the epoch it was at. Whatever was withdrawn later is in
    /// [`Self::withdrawn`], unless [`Self::ledger_lost`]. Until it is settled, nothing that was granted may be opened on the word of this database.
    pub fn restored_from(&self) -> Result<Option<u64>, StoreError> {
        meta(self.conn, "restored")
    }

    /// Whether the database was put back in a place where the ledger was not: what was withdrawn since cannot be known.
    pub fn ledger_lost(&self) -> Result<bool, StoreError> {
        Ok(self.restored_from()?.is_some() && meta(self.conn, "ledger_lost")? == Some(1))
    }

    /// The notes of all raisings of the epoch behind `epoch`, in order.
    pub fn withdrawn(&self, epoch: u64) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let mut find = self.conn.prepare_cached("SELECT epoch, note FROM withdrawn WHERE epoch>?1 ORDER BY epoch")?;
        let rows = find.query_map([epoch], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn document(&self, row: &Row<'_>) -> Result<EntityDoc, StoreError> {
        let broken = |what: &str| StoreError::Corrupt(format!("an entity's {what} cannot be read"));
        let envelope = match row.get_ref(5)?.as_blob_or_null().map_err(|_| broken("envelope"))? {
            Some(bytes) => Some(EnvelopeHash(bytes.try_into().map_err(|_| broken("envelope"))?)),
            None => None,
        };
        let system = SystemColumns {
            version: row.get(0)?,
            created_at: DateTime::from_micros(row.get(1)?),
            modified_at: DateTime::from_micros(row.get(2)?),
            expires_at: row.get::<_, Option<i64>>(3)?.map(DateTime::from_micros),
            envelope,
        };
        let due: Option<i64> = row.get(4)?;
        let table = row.get_ref(6)?.as_blob().map_err(|_| broken("span table"))?;
        let text = row.get_ref(7)?.as_str().map_err(|_| broken("body"))?;
        let doc = spans::decode(table, text, system).ok_or_else(|| broken("span table"))?;
        if due.is_some_and(|due| due <= self.now.micros()) {
            return without_expired(&doc, self.now);
        }
        Ok(doc)
    }
}

/// The document without the instances that have ended at `now`. Rare, so it goes through the tree.
fn without_expired(doc: &EntityDoc, now: DateTime) -> Result<EntityDoc, StoreError> {
    let ended = |at: Option<DateTime>| at.is_some_and(|at| at <= now);
    let mut entity = doc.to_entity().map_err(|_| StoreError::Corrupt("an entity's body is not canonical".into()))?;
    for instances in entity.attributes.values_mut() {
        instances.retain(|i| !ended(i.expires_at));
    }
    entity.attributes.retain(|_, instances| !instances.is_empty());
    let mut out = EntityDoc::from_entity(&entity, now);
    out.system = doc.system.clone();
    // Both tables are in the order of names, and of instances below a name.
    let text = out.clone();
    for span in out.spans_mut() {
        let same = doc.spans().iter().find(|old| {
            doc.name(old) == text.name(span) && doc.dataset_id(old) == text.dataset_id(span) && !ended(old.expires_at)
        });
        if let Some(old) = same {
            (span.created_at, span.modified_at, span.envelope, span.leaf) = (old.created_at, old.modified_at, old.envelope, old.leaf);
        }
    }
    Ok(out)
}

/// Reads the whole database and says what is wrong with it.
pub(crate) fn check(reader: &Reader<'_>) -> Result<crate::Health, StoreError> {
    let number = |pragma: &str| reader.conn.pragma_query_value(None, pragma, |row| row.get::<_, u64>(0));
    let bytes = number("page_count")? * number("page_size")?;
    let mut ask = reader.conn.prepare("PRAGMA integrity_check(20)")?;
    let lines = ask.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    Ok(crate::Health { bytes, complaints: lines.into_iter().filter(|line| line != "ok").collect() })
}

/// A limit as the database takes it.
fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(crate) fn live_version(conn: &Connection, tenant: &TenantId, id: &str, now: DateTime) -> Result<Option<u64>, StoreError> {
    let mut find = conn.prepare_cached(
        "SELECT version FROM entity WHERE tenant=(SELECT id FROM name WHERE text=?1) AND id=?2 AND (expires IS NULL OR expires > ?3)",
    )?;
    Ok(find.query_row(params![tenant.as_str(), id, now.micros()], |row| row.get(0)).optional()?)
}

pub(crate) fn meta(conn: &Connection, key: &str) -> Result<Option<u64>, StoreError> {
    Ok(conn.prepare_cached("SELECT value FROM meta WHERE key=?1")?.query_row([key], |row| row.get(0)).optional()?)
}

fn doc_row(row: &Row<'_>) -> rusqlite::Result<Doc> {
    Ok(Doc {
        key: row.get(0)?,
        revision: row.get(1)?,
        due: row.get::<_, Option<i64>>(2)?.map(DateTime::from_micros),
        payload: row.get(3)?,
    })
}
