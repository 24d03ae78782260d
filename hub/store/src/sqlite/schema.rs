//! The tables, their versions, and how a connection is set up.

use crate::StoreError;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::time::Duration;

/// The schema that this program writes.
pub const SCHEMA_VERSION: i64 = 2;
/// Marks a file as ours (`WAYB`).
const APPLICATION: i64 = 0x5741_5942;

/// Step n brings a database from version n to n + 1.
const MIGRATIONS: [&str; SCHEMA_VERSION as usize] = [V1, V2];

// Short rows first and bodies last, so that a look at the columns does not walk overflow pages. Index tables are clustered by what is
// looked for. Tenants, types and Attribute names are numbers from `name`.
const V1: &str = "
CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE name(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE entity(
  k INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
  created INTEGER NOT NULL, modified INTEGER NOT NULL, expires INTEGER, due INTEGER, envelope BLOB,
  spans BLOB NOT NULL, body TEXT NOT NULL, UNIQUE(tenant, id)) STRICT;
CREATE INDEX entity_due ON entity(due) WHERE due IS NOT NULL;
CREATE TABLE entity_type(tenant INTEGER NOT NULL, type INTEGER NOT NULL, k INTEGER NOT NULL,
  PRIMARY KEY(tenant, type, k)) STRICT, WITHOUT ROWID;
CREATE TABLE entity_scope(tenant INTEGER NOT NULL, path TEXT NOT NULL, k INTEGER NOT NULL,
  PRIMARY KEY(tenant, path, k)) STRICT, WITHOUT ROWID;
CREATE TABLE entity_attr(tenant INTEGER NOT NULL, attr INTEGER NOT NULL, val ANY NOT NULL, k INTEGER NOT NULL,
  PRIMARY KEY(tenant, attr, val, k)) STRICT, WITHOUT ROWID;
CREATE VIRTUAL TABLE place USING rtree(id, west, east, south, north, +k INTEGER, +attr INTEGER, +tenant INTEGER);
CREATE TABLE stream_name(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, head INTEGER NOT NULL) STRICT;
CREATE TABLE stream(k INTEGER PRIMARY KEY, payload BLOB NOT NULL) STRICT;
CREATE TABLE document(k INTEGER PRIMARY KEY, space TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL,
  due INTEGER, payload BLOB NOT NULL, UNIQUE(space, key)) STRICT;
CREATE INDEX document_due ON document(space, due) WHERE due IS NOT NULL;
CREATE TABLE withdrawn(epoch INTEGER PRIMARY KEY, note BLOB NOT NULL) STRICT;
INSERT INTO meta VALUES ('commits', 0), ('epoch', 0), ('store', lower(hex(randomblob(16))));
";

// An entity of more than one type stands under the empty name too.
const V2: &str = "
INSERT OR IGNORE INTO name(text) VALUES ('');
INSERT OR IGNORE INTO entity_type(tenant, type, k)
  SELECT tenant, (SELECT id FROM name WHERE text=''), k FROM entity_type GROUP BY tenant, k HAVING count(*) > 1;
";

/// Sets up a connection. `synchronous=FULL` in WAL mode syncs the log at every commit; `secure_delete` overwrites what is deleted.
pub fn prepare(conn: &Connection, in_file: bool) -> Result<(), StoreError> {
    conn.busy_timeout(Duration::from_secs(10))?;
    conn.set_prepared_statement_cache_capacity(96);
    // Otherwise each statement with a bound limit is parsed and planned anew at every use.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.execute_batch("PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=OFF; PRAGMA trusted_schema=OFF;")?;
    if in_file {
        conn.execute_batch("PRAGMA synchronous=FULL; PRAGMA cache_size=-4096; PRAGMA journal_size_limit=67108864;")?;
    } else {
        conn.execute_batch("PRAGMA synchronous=OFF;")?;
    }
    Ok(())
}

/// What only the writer's connection needs: room for the pages it changes again and again, and a log that may grow for longer, since a page
/// that was changed many times is then written back once.
pub fn for_writing(conn: &Connection) -> Result<(), StoreError> {
    Ok(conn.execute_batch("PRAGMA cache_size=-16384; PRAGMA wal_autocheckpoint=4000;")?)
}

/// Creates the tables or brings them to [`SCHEMA_VERSION`]. Returns whether the database was new.
pub fn migrate(conn: &mut Connection) -> Result<bool, StoreError> {
    let number = |conn: &Connection, pragma: &str| conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let application = number(conn, "application_id")?;
    let found = number(conn, "user_version")?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let new = tables == 0 && found == 0;
    if !new && application != APPLICATION {
        return Err(StoreError::Corrupt("it was made by another program".into()));
    }
    if found > SCHEMA_VERSION {
        return Err(StoreError::TooNew { found, known: SCHEMA_VERSION });
    }
    let from = usize::try_from(found).map_err(|_| StoreError::Corrupt("its schema version is negative".into()))?;
    if from == MIGRATIONS.len() {
        return Ok(false);
    }
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for step in &MIGRATIONS[from..] {
        tx.execute_batch(step)?;
    }
    tx.execute_batch(&format!("PRAGMA application_id={APPLICATION}; PRAGMA user_version={SCHEMA_VERSION};"))?;
    tx.commit()?;
    Ok(new)
}
