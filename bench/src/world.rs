//! What several groups need: the compiled @context, and documents for the store.

use crate::sample;
use std::sync::Arc;
use waybill_context::{Context, Contexts, Options, decode_entity};
use waybill_model::{Clock, DateTime, EntityDoc};

/// The moment at which all is measured: 2026-11-24T08:00:00Z.
pub fn now() -> DateTime {
    DateTime::from_seconds(1_795_507_200)
}

/// The sample @context over the core one, compiled.
pub fn context() -> Result<Arc<Context>, String> {
    let contexts = Contexts::offline(Clock::fixed(now()));
    runtime()?.block_on(contexts.resolve(&sample::context())).map_err(|e| e.to_string())
}

/// Sample entities in the canonical form.
pub fn documents(context: &Context, range: std::ops::Range<usize>) -> Result<Vec<EntityDoc>, String> {
    range.map(|n| decode_entity(context, sample::entity(n).as_bytes(), &Options::new(now())).map_err(|e| e.to_string())).collect()
}

/// A runtime of one thread, so that its CPU time is the thread's.
pub fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())
}
