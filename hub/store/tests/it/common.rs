//! What the tests share.

use std::future::Future;
use waybill_model::{Clock, DateTime, EntityDoc, TenantId};
use waybill_store::{Reader, Store, StoreError};

/// 2026-11-24T00:00:00Z.
pub const T0: DateTime = DateTime::from_seconds(1_795_478_400);

pub fn clock() -> Clock {
    Clock::fixed(T0)
}

pub fn tenant() -> TenantId {
    TenantId::main()
}

pub fn doc(text: &str) -> EntityDoc {
    EntityDoc::parse(text, T0).expect("a canonical document")
}

/// An entity with these members behind `id` and `type`.
pub fn entity(id: &str, ty: &str, rest: &str) -> EntityDoc {
    let comma = if rest.is_empty() { "" } else { "," };
    doc(&format!(r#"{{"id":"{id}","type":["{ty}"]{comma}{rest}}}"#))
}

pub fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime").block_on(work)
}

pub fn read<T: Send + 'static>(store: &Store, f: impl FnOnce(&Reader<'_>) -> Result<T, StoreError> + Send + 'static) -> T {
    store.read_blocking(f).expect("a read that works")
}

/// The identifiers that a filter lets through.
pub fn ids(store: &Store, tenant: &TenantId, filter: waybill_store::Filter, after: Option<&str>) -> Vec<String> {
    let (tenant, after) = (tenant.clone(), after.map(str::to_owned));
    read(store, move |r| {
        let mut out = Vec::new();
        r.candidates(&tenant, &filter, after.as_deref(), |e| {
            out.push(e.id().to_owned());
            std::ops::ControlFlow::Continue(())
        })?;
        Ok(out)
    })
}
