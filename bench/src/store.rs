//! The store beside raw SQLite that writes the same rows into the same tables.

use crate::figure::{Figure, Target};
use crate::raw::{RAW, Raw};
use crate::{cpu, limit, world};
use std::path::{Path, PathBuf};
use std::time::Duration;
use waybill_model::{Clock, EntityDoc, TenantId};
use waybill_store::{Batch, Store};

/// What this group measures.
pub const FIGURES: &[(&str, &str, Target)] =
    &[("store.insert", "x_raw_sqlite", Target::Least(0.5)), ("store.update", "x_raw_sqlite", Target::Least(0.5))];

const BATCH: usize = 100;
const BATCHES: usize = 60;

/// Measures it: each batch is written by the store and then, as the same rows, by raw SQLite, so that a slow moment hits both.
pub fn run(_: &crate::Wanted<'_>) -> Result<Vec<Figure>, String> {
    let context = world::context()?;
    let first = world::documents(&context, 0..BATCH * BATCHES)?;
    // The same entities with other values: every Attribute's index row changes that hangs on its value.
    let second: Vec<EntityDoc> = world::documents(&context, 1_000_000..1_000_000 + BATCH * BATCHES)?
        .into_iter()
        .zip(&first)
        .map(|(new, old)| EntityDoc::parse(new.text().replacen(new.id(), old.id(), 1), world::now()).map_err(|e| e.to_string()))
        .collect::<Result<_, _>>()?;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    // A store that goes before, to know the rows.
    let (scout, ours, theirs) = (folder.path().join("scout"), folder.path().join("ours"), folder.path().join("raw"));
    let open = |at: &Path| Store::open(at, Clock::fixed(world::now())).map_err(|e| e.to_string());
    let store = open(&scout)?;
    for chunk in first.chunks(BATCH) {
        write(&store, chunk)?;
    }
    let before = Raw::rows(&database(&scout)?)?;
    for chunk in second.chunks(BATCH) {
        write(&store, chunk)?;
    }
    let after = Raw::rows(&database(&scout)?)?;

    let store = open(&ours)?;
    let mut raw = Raw::create(&theirs, &Raw::schema(&database(&scout)?)?)?;
    let mut figures = Vec::new();
    for (name, docs, old, new) in [("store.insert", &first, None, &before), ("store.update", &second, Some(&before), &after)] {
        let (mut our_times, mut raw_times) = (Vec::new(), Vec::new());
        for (at, chunk) in docs.chunks(BATCH).enumerate() {
            limit::check()?;
            our_times.push(write(&store, chunk)?);
            raw_times.push(raw.write(at * BATCH..at * BATCH + chunk.len(), old, new)?);
        }
        let (us, them) = (cpu::median(our_times), cpu::median(raw_times));
        let note = format!("batches of {BATCH}, durable; CPU {us:.1} us an entity, raw {them:.1} us");
        figures.push(Figure::of(FIGURES, name, them / us, note));
    }
    if Raw::rows(&database(&ours)?)? != after || Raw::rows(&theirs.join(RAW))? != after {
        return Err("the store and raw SQLite did not write the same rows".to_owned());
    }
    Ok(figures)
}

/// Microseconds of CPU an entity that one durable batch takes: of the whole process, since the store writes on a thread of its own.
fn write(store: &Store, docs: &[EntityDoc]) -> Result<f64, String> {
    let tenant = TenantId::main();
    let start = cpu::process();
    let mut batch = Batch::new();
    for doc in docs {
        batch.put_entity(&tenant, doc);
    }
    store.commit_blocking(batch).map_err(|e| e.to_string())?;
    Ok(each(cpu::process().saturating_sub(start), docs.len()))
}

fn each(spent: Duration, count: usize) -> f64 {
    spent.as_secs_f64() * 1e6 / count as f64
}

fn database(folder: &Path) -> Result<PathBuf, String> {
    let files = std::fs::read_dir(folder).map_err(|e| e.to_string())?.filter_map(Result::ok).map(|e| e.path());
    files.into_iter().find(|p| p.extension().is_some_and(|e| e == "db" || e == "sqlite")).ok_or_else(|| "the store has no database file".to_owned())
}
