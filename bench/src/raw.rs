//! The store's baseline: SQLite without a store around it, writing the very rows that the store writes.

use crate::cpu;
use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, params_from_iter};
use std::ops::Range;
use std::path::Path;

/// The name of its database.
pub const RAW: &str = "raw.db";
/// Tables whose rows come from an entity, each with the columns that a row is found by: its own key.
const TABLES: &[(&str, &[usize])] =
    &[("entity", &[0]), ("entity_type", &[0, 1, 2]), ("entity_scope", &[0, 1, 2]), ("entity_attr", &[0, 1, 2, 3]), ("place", &[0])];

/// For each table, the rows of each entity.
pub type Rows = Vec<Vec<Vec<Vec<Value>>>>;

/// Of one table, the rows that go and those that come.
type Steps<'r> = (Vec<&'r [Value]>, Vec<&'r [Value]>);

/// A database with the store's tables.
pub struct Raw(Connection);

fn fault(e: rusqlite::Error) -> String {
    e.to_string()
}

impl Raw {
    /// The statements that made the tables of the entities.
    pub fn schema(database: &Path) -> Result<Vec<String>, String> {
        let db = Connection::open(database).map_err(fault)?;
        let wanted: Vec<String> = TABLES.iter().map(|(name, _)| format!("'{name}'")).collect();
        let sql = format!("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND tbl_name IN ({}) ORDER BY rowid", wanted.join(","));
        let mut ask = db.prepare(&sql).map_err(fault)?;
        ask.query_map([], |r| r.get(0)).map_err(fault)?.collect::<Result<_, _>>().map_err(fault)
    }

    /// All rows of a database with these tables.
    pub fn rows(database: &Path) -> Result<Rows, String> {
        let db = Connection::open(database).map_err(fault)?;
        let mut ask = db.prepare("SELECT k FROM entity ORDER BY k").map_err(fault)?;
        let keys: Vec<i64> = ask.query_map([], |r| r.get(0)).map_err(fault)?.collect::<Result<_, _>>().map_err(fault)?;
        let mut tables = Vec::new();
        for (table, _) in TABLES {
            let mut by_key: Vec<Vec<Vec<Value>>> = vec![Vec::new(); keys.len()];
            let mut ask = db.prepare(&format!("SELECT k, * FROM {table} ORDER BY 1, 2, 3, 4")).map_err(fault)?;
            let width = ask.column_count();
            let mut found = ask.query([]).map_err(fault)?;
            while let Some(row) = found.next().map_err(fault)? {
                let at = keys.binary_search(&row.get(0).map_err(fault)?).map_err(|_| "an index row belongs to no entity")?;
                by_key[at].push((1..width).map(|c| row.get::<_, Value>(c)).collect::<Result<_, _>>().map_err(fault)?);
            }
            tables.push(by_key);
        }
        Ok(tables)
    }

    /// A new database, as durable as the store's and with as much memory.
    pub fn create(folder: &Path, schema: &[String]) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
        let db = Connection::open(folder.join(RAW)).map_err(fault)?;
        db.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-4096;").map_err(fault)?;
        for statement in schema {
            db.execute_batch(statement).map_err(fault)?;
        }
        Ok(Self(db))
    }

    /// Microseconds of CPU an entity that one durable transaction takes which writes `new`: where there was `old`, only rows that went
    /// or came, as whoever knew both would.
    pub fn write(&mut self, range: Range<usize>, old: Option<&Rows>, new: &Rows) -> Result<f64, String> {
        let steps: Vec<Steps<'_>> = (0..TABLES.len())
            .map(|table| {
                let (mut gone, mut come) = (Vec::new(), Vec::new());
                for entity in range.clone() {
                    let (before, after) = (old.map_or(&[][..], |old| &old[table][entity]), &new[table][entity]);
                    gone.extend(before.iter().filter(|row| !after.contains(row)).map(Vec::as_slice));
                    come.extend(after.iter().filter(|row| !before.contains(row)).map(Vec::as_slice));
                }
                (gone, come)
            })
            .collect();
        let count = range.len();
        let start = cpu::thread();
        let work = self.0.transaction().map_err(fault)?;
        for ((table, key), (gone, come)) in TABLES.iter().zip(&steps) {
            if old.is_some() && *table == "entity" {
                // A body is changed where it lies.
                update(&work, come)?;
                continue;
            }
            delete(&work, table, key, gone)?;
            insert(&work, table, come)?;
        }
        work.commit().map_err(fault)?;
        Ok(cpu::thread().saturating_sub(start).as_secs_f64() * 1e6 / count as f64)
    }
}

fn update(work: &Transaction<'_>, rows: &[&[Value]]) -> Result<(), String> {
    let sql = "UPDATE entity SET version=?4, created=?5, modified=?6, expires=?7, due=?8, envelope=?9, spans=?10, body=?11 WHERE k=?1 AND tenant=?2 AND id=?3";
    let mut statement = work.prepare_cached(sql).map_err(fault)?;
    rows.iter().try_for_each(|row| statement.execute(params_from_iter(*row)).map(drop)).map_err(fault)
}

fn insert(work: &Transaction<'_>, table: &str, rows: &[&[Value]]) -> Result<(), String> {
    let Some(width) = rows.first().map(|row| row.len()) else { return Ok(()) };
    let mut statement = work.prepare_cached(&format!("INSERT INTO {table} VALUES ({})", vec!["?"; width].join(","))).map_err(fault)?;
    rows.iter().try_for_each(|row| statement.execute(params_from_iter(*row)).map(drop)).map_err(fault)
}

fn delete(work: &Transaction<'_>, table: &str, key: &[usize], rows: &[&[Value]]) -> Result<(), String> {
    let columns: &[&str] = match table {
        "entity_type" => &["tenant", "type", "k"],
        "entity_scope" => &["tenant", "path", "k"],
        "entity_attr" => &["tenant", "attr", "val", "k"],
        _ => &["id"],
    };
    let condition: Vec<String> = columns.iter().map(|c| format!("{c}=?")).collect();
    let mut statement = work.prepare_cached(&format!("DELETE FROM {table} WHERE {}", condition.join(" AND "))).map_err(fault)?;
    rows.iter().try_for_each(|row| statement.execute(params_from_iter(key.iter().map(|at| &row[*at]))).map(drop)).map_err(fault)
}
