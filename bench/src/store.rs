//! The store beside raw SQLite that writes the same rows into the same tables.

use crate::figure::{Figure, Target};
use crate::{cpu, world};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use std::path::Path;
use std::time::Duration;
use waybill_model::{Clock, EntityDoc, TenantId};
use waybill_store::{Batch, Store};

/// What this group measures.
pub const FIGURES: &[(&str, &str, Target)] =
    &[("store.insert", "x_raw_sqlite", Target::Least(0.5)), ("store.update", "x_raw_sqlite", Target::Least(0.5))];

const BATCH: usize = 100;
const BATCHES: usize = 60;
/// Tables whose rows come from an entity.
const TABLES: &[&str] = &["entity", "entity_type", "entity_scope", "entity_attr"];

/// Measures it.
pub fn run() -> Result<Vec<Figure>, String> {
    let context = world::context()?;
    let first = world::documents(&context, 0..BATCH * BATCHES)?;
    // The same entities with other values: every Attribute's index row changes.
    let second: Vec<EntityDoc> = world::documents(&context, 1_000_000..1_000_000 + BATCH * BATCHES)?
        .into_iter()
        .zip(&first)
        .map(|(new, old)| EntityDoc::parse(new.text().replacen(new.id(), old.id(), 1), world::now()).map_err(|e| e.to_string()))
        .collect::<Result<_, _>>()?;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let ours = folder.path().join("ours");
    let store = Store::open(&ours, Clock::fixed(world::now())).map_err(|e| e.to_string())?;
    let insert = write(&store, &first)?;
    let rows = rows(&ours)?;
    let update = write(&store, &second)?;
    let raw = raw(&folder.path().join("raw"), &rows)?;
    let ratio = |ours: f64, theirs: f64| theirs / ours;
    let note = |ours: f64, theirs: f64| format!("batches of {BATCH}, durable; CPU {ours:.1} us an entity, raw {theirs:.1} us");
    Ok(vec![
        Figure::of(FIGURES, "store.insert", ratio(insert, raw.0), note(insert, raw.0)),
        Figure::of(FIGURES, "store.update", ratio(update, raw.1), note(update, raw.1)),
    ])
}

/// Microseconds of CPU an entity, in durable batches. The median over batches, of the whole process: the store writes on a thread of its own.
fn write(store: &Store, docs: &[EntityDoc]) -> Result<f64, String> {
    let tenant = TenantId::main();
    let mut samples = Vec::new();
    for chunk in docs.chunks(BATCH) {
        let mut batch = Batch::new();
        for doc in chunk {
            batch.put_entity(&tenant, doc);
        }
        let start = cpu::process();
        store.commit_blocking(batch).map_err(|e| e.to_string())?;
        samples.push(each(cpu::process().saturating_sub(start), chunk.len()));
    }
    Ok(cpu::median(samples))
}

fn each(spent: Duration, count: usize) -> f64 {
    spent.as_secs_f64() * 1e6 / count as f64
}

/// The tables as the store made them, with their rows by entity.
struct Rows {
    schema: Vec<String>,
    tables: Vec<Table>,
}

/// A table's name, its width, and its rows for each entity.
type Table = (String, usize, Vec<Vec<Vec<Value>>>);

fn rows(folder: &Path) -> Result<Rows, String> {
    let fault = |e: rusqlite::Error| e.to_string();
    let file = std::fs::read_dir(folder)
        .map_err(|e| e.to_string())?
        .filter_map(Result::ok)
        .map(|e| e.path())
        .find(|p| p.extension().is_some_and(|e| e == "db" || e == "sqlite"))
        .ok_or("the store has no database file")?;
    let db = Connection::open(file).map_err(fault)?;
    let schema: Vec<String> = db
        .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND (tbl_name IN ('entity','entity_type','entity_scope','entity_attr') OR name = 'place') ORDER BY rowid")
        .map_err(fault)?
        .query_map([], |r| r.get(0))
        .map_err(fault)?
        .collect::<Result<_, _>>()
        .map_err(fault)?;
    let keys: Vec<i64> = db
        .prepare("SELECT k FROM entity ORDER BY k")
        .map_err(fault)?
        .query_map([], |r| r.get(0))
        .map_err(fault)?
        .collect::<Result<_, _>>()
        .map_err(fault)?;
    let mut tables = Vec::new();
    for table in TABLES.iter().copied().chain(["place"]) {
        let mut statement = db.prepare(&format!("SELECT * FROM {table} WHERE k = ?1")).map_err(fault)?;
        let width = statement.column_count();
        let mut all = Vec::with_capacity(keys.len());
        for key in &keys {
            let mut found = statement.query([key]).map_err(fault)?;
            let mut of_one = Vec::new();
            while let Some(row) = found.next().map_err(fault)? {
                of_one.push((0..width).map(|c| row.get::<_, Value>(c)).collect::<Result<Vec<_>, _>>().map_err(fault)?);
            }
            all.push(of_one);
        }
        tables.push((table.to_owned(), width, all));
    }
    Ok(Rows { schema, tables })
}

/// What the same rows cost without a store around them: inserted, then each one's index rows deleted and written again.
fn raw(folder: &Path, rows: &Rows) -> Result<(f64, f64), String> {
    let fault = |e: rusqlite::Error| e.to_string();
    std::fs::create_dir_all(folder).map_err(|e| e.to_string())?;
    let mut db = Connection::open(folder.join("raw.db")).map_err(fault)?;
    db.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;").map_err(fault)?;
    for statement in &rows.schema {
        db.execute_batch(statement).map_err(fault)?;
    }
    let count = rows.tables.first().map_or(0, |(_, _, all)| all.len());
    let mut pass = |replace: bool| -> Result<f64, String> {
        let mut samples = Vec::new();
        for start_at in (0..count).step_by(BATCH) {
            let range = start_at..(start_at + BATCH).min(count);
            let start = cpu::thread();
            let work = db.transaction().map_err(fault)?;
            for (table, width, all) in &rows.tables {
                let marks = vec!["?"; *width].join(",");
                let verb = if replace && table == "entity" { "REPLACE" } else { "INSERT" };
                let mut insert = work.prepare_cached(&format!("{verb} INTO {table} VALUES ({marks})")).map_err(fault)?;
                for row in all[range.clone()].iter().flatten() {
                    if replace && table != "entity" {
                        delete(&work, table, row).map_err(fault)?;
                    }
                    insert.execute(params_from_iter(row)).map_err(fault)?;
                }
            }
            work.commit().map_err(fault)?;
            samples.push(each(cpu::thread().saturating_sub(start), range.len()));
        }
        Ok(cpu::median(samples))
    };
    Ok((pass(false)?, pass(true)?))
}

fn delete(work: &rusqlite::Transaction<'_>, table: &str, row: &[Value]) -> rusqlite::Result<usize> {
    let columns: &[&str] = match table {
        "entity_type" => &["tenant", "type", "k"],
        "entity_scope" => &["tenant", "path", "k"],
        "entity_attr" => &["tenant", "attr", "val", "k"],
        _ => &["id"],
    };
    let condition: Vec<String> = columns.iter().enumerate().map(|(n, c)| format!("{c} = ?{}", n + 1)).collect();
    let mut statement = work.prepare_cached(&format!("DELETE FROM {table} WHERE {}", condition.join(" AND ")))?;
    statement.execute(params_from_iter(&row[..columns.len()]))
}
