//! What the tests share.

use serde_json::Value;
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context as Task, Poll, Waker};
use waybill_context::Contexts;
use waybill_model::{Clock, DateTime};

/// The folder of test data; nothing when it is absent, which fails in CI.
pub fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("WAYBILL_SPEC_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "the test data is absent: set WAYBILL_SPEC_DATA");
    println!("skipped: no test data, set WAYBILL_SPEC_DATA");
    None
}

pub fn now() -> DateTime {
    DateTime::parse("2026-11-24T07:00:00Z").unwrap()
}

pub fn offline() -> Contexts {
    Contexts::offline(Clock::fixed(now()))
}

/// Runs a future that is never left pending but by a timer; for those a runtime is used.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(future)
}

/// Polls a future that has nothing to wait for.
#[allow(dead_code)]
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(out) => out,
        Poll::Pending => panic!("it waits"),
    }
}

pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e} in {text}"))
}

/// Serves the @contexts of the data folder under the URLs their examples name, and an empty one for the two collections that are not there.
pub struct Models(pub PathBuf);
impl waybill_context::Fetch for Models {
    fn fetch<'a>(&'a self, url: &'a str) -> waybill_context::BoxFuture<'a, Result<waybill_context::Fetched, String>> {
        Box::pin(async move {
            let body = match url.split_once("dataModel.").and_then(|(_, rest)| rest.split_once('/')) {
                Some((subject, _)) => std::fs::read(self.0.join("smart-data-models").join(subject).join("context.jsonld")).map_err(|e| e.to_string())?,
                None if url.ends_with("/data-models/context.jsonld") => br#"{"@context": {}}"#.to_vec(),
                None => return Err("not in the data folder".into()),
            };
            Ok(waybill_context::Fetched { body, max_age: None })
        })
    }
}

pub fn models(data: PathBuf) -> Contexts {
    Contexts::new(Models(data), None, waybill_context::Limits::default(), Clock::fixed(now()))
}
