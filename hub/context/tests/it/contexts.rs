//! The registry: fetching, keeping, bounds, errors.

use super::support::{now, run};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use waybill_context::{BoxFuture, ContextError, Contexts, Fetch, Fetched, Keep, Kept, Kind, Limits};
use waybill_model::{Clock, Problem};

/// A small web: URL to document or failure, and how often each was asked for.
#[derive(Clone, Default)]
struct Web(Arc<Mutex<HashMap<String, Site>>>);
type Site = (Option<Value>, usize);

impl Web {
    fn serve(&self, url: &str, document: Option<Value>) {
        self.0.lock().unwrap().entry(url.to_owned()).or_default().0 = document;
    }
    fn asked(&self, url: &str) -> usize {
        self.0.lock().unwrap().get(url).map_or(0, |(_, count)| *count)
    }
}
impl Fetch for Web {
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Fetched, String>> {
        Box::pin(async move {
            let mut held = self.0.lock().unwrap();
            let (document, count) = held.entry(url.to_owned()).or_default();
            *count += 1;
            let body = document.as_ref().ok_or("no such host")?.to_string().into_bytes();
            Ok(Fetched { body, max_age: Some(60) })
        })
    }
}

#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<HashMap<String, Kept>>>);
impl Keep for Shelf {
    fn load<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Option<Kept>> {
        Box::pin(async move { self.0.lock().unwrap().get(url).cloned() })
    }
    fn save<'a>(&'a self, url: &'a str, kept: &'a Kept) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.0.lock().unwrap().insert(url.to_owned(), kept.clone());
        })
    }
    fn remove<'a>(&'a self, url: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.0.lock().unwrap().remove(url);
        })
    }
}

const A: &str = "https://a.example/context.jsonld";
const B: &str = "https://a.example/more/b.jsonld";

fn registry(web: &Web, shelf: &Shelf, clock: &Clock) -> Contexts {
    Contexts::new(web.clone(), Some(Box::new(shelf.clone())), Limits::default(), clock.clone())
}

fn error(contexts: &Contexts, value: &Value) -> ContextError {
    run(contexts.resolve(value)).map(|c| c.user().clone()).expect_err("it resolves")
}

#[test]
fn a_remote_context_is_fetched_once_with_what_it_refers_to() {
    let (web, shelf, clock) = (Web::default(), Shelf::default(), Clock::fixed(now()));
    web.serve(A, Some(json!({"@context": ["more/b.jsonld", {"x": "b:x"}]})));
    web.serve(B, Some(json!({"@context": {"b": "https://b.example/"}})));
    let contexts = registry(&web, &shelf, &clock);
    for _ in 0..3 {
        let context = run(contexts.resolve(&json!([A]))).unwrap();
        assert_eq!(context.expand("x"), "https://b.example/x");
        assert_eq!(context.user(), &json!(A));
        assert_eq!(context.explain("x").source.as_deref(), Some(A));
    }
    assert_eq!((web.asked(A), web.asked(B)), (1, 1));
    assert!(contexts.cached(&json!(A)).is_some(), "one in an array is the same as one");
    assert_eq!(contexts.list().iter().map(|h| (h.url.as_str(), h.kind)).collect::<Vec<_>>(), [(A, Kind::Cached), (B, Kind::Cached)]);
}

#[test]
fn stale_is_better_than_nothing_also_after_a_restart() {
    let (web, shelf, clock) = (Web::default(), Shelf::default(), Clock::fixed(now()));
    web.serve(A, Some(json!({"@context": {"x": "https://one.example/x"}})));
    let contexts = registry(&web, &shelf, &clock);
    run(contexts.resolve(&json!(A))).unwrap();
    clock.advance_micros(61_000_000);
    web.serve(A, None);
    assert_eq!(run(contexts.resolve(&json!(A))).unwrap().expand("x"), "https://one.example/x");
    assert_eq!(web.asked(A), 2);
    let restarted = registry(&web, &shelf, &clock);
    assert_eq!(run(restarted.resolve(&json!(A))).unwrap().expand("x"), "https://one.example/x");
    clock.advance_micros(11_000_000);
    web.serve(A, Some(json!({"@context": {"x": "https://two.example/x"}})));
    assert_eq!(run(contexts.resolve(&json!(A))).unwrap().expand("x"), "https://two.example/x");
    assert!(run(contexts.forget(A)));
    assert!(shelf.0.lock().unwrap().is_empty());
}

#[test]
fn what_is_not_there_is_not_asked_for_again_at_once() {
    let (web, clock) = (Web::default(), Clock::fixed(now()));
    let contexts = registry(&web, &Shelf::default(), &clock);
    for _ in 0..3 {
        let e = error(&contexts, &json!("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-non-existing.jsonld"));
        assert_eq!(e.ngsi_ld(), "LdContextNotAvailable");
        assert_eq!(Problem::from(&e).status, 504);
    }
    assert_eq!(web.asked("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-non-existing.jsonld"), 1);
    assert_eq!(error(&contexts, &json!("file:///etc/passwd")).ngsi_ld(), "LdContextNotAvailable");
}

#[test]
fn wrong_contexts_are_bad_request_data() {
    let (web, clock) = (Web::default(), Clock::fixed(now()));
    web.serve(A, Some(json!({"@context": [B]})));
    web.serve(B, Some(json!({"@context": A})));
    web.serve("https://c.example/", Some(json!({"no": "context"})));
    web.serve("https://d.example/", Some(json!(["@context"])));
    let contexts = registry(&web, &Shelf::default(), &clock);
    let deep = |n: usize| format!("https://deep.example/{n}");
    for n in 0..9 {
        web.serve(&deep(n), Some(json!({"@context": deep(n + 1)})));
    }
    for value in [
        json!(A),
        json!(deep(0)),
        json!("https://c.example/"),
        json!("https://d.example/"),
        json!(5),
        json!([[{}]]),
        json!({"x": {"@id": "https://x.example/", "@context": {}}}),
        json!({"x": {"@id": 5}}),
        json!({"x": "y", "y": "x"}),
        json!({"x": {"@id": "https://x.example/", "@unknown": 1}}),
        json!({"@type": "https://x.example/"}),
        json!({"x": {"@id": "https://x.example/", "@type": "@set"}}),
        json!({"x": {"@id": "https://x.example/", "@container": "@bag"}}),
        json!({"@version": 1.0}),
        json!({"x": format!("https://x.example/{}", "x".repeat(3000))}),
        json!([{"x": {"@id": "https://x.example/", "@protected": true}}, {"x": "https://y.example/"}]),
    ] {
        let e = error(&contexts, &value);
        assert_eq!(e.ngsi_ld(), "BadRequestData", "{value}");
        assert_eq!(Problem::from(e).status, 400);
    }
}

#[test]
fn bounds_hold() {
    let web = Web::default();
    web.serve(A, Some(json!({"@context": {"x": "https://x.example/"}})));
    let limits = |limits: Limits| Contexts::new(web.clone(), None, limits, Clock::fixed(now()));
    let small = limits(Limits { bytes: 10, ..Limits::default() });
    assert_eq!(error(&small, &json!(A)).ngsi_ld(), "LdContextNotAvailable");
    let few = limits(Limits { terms: 300, ..Limits::default() });
    let many: serde_json::Map<_, _> = (0..200).map(|n| (format!("t{n}"), json!(format!("https://x.example/{n}")))).collect();
    assert_eq!(error(&few, &Value::Object(many)).ngsi_ld(), "BadRequestData");
    let one = limits(Limits { held: 1, ..Limits::default() });
    web.serve(B, Some(json!({"@context": {}})));
    run(one.resolve(&json!(A))).unwrap();
    run(one.resolve(&json!(B))).unwrap();
    assert_eq!(one.list().len(), 1);
    assert!(one.cached(&json!(A)).is_none());
    one.put(A, json!({"@context": {}}), Kind::Hosted).unwrap();
    assert!(one.put("https://e.example/", json!({"@context": {}}), Kind::Hosted).is_err());
    let chain: serde_json::Map<_, _> = (0..20_000).map(|n| (format!("t{n}"), json!(format!("t{}:x/", n + 1)))).collect();
    assert_eq!(error(&one, &Value::Object(chain)).ngsi_ld(), "BadRequestData");
    let documents = limits(Limits { documents: 1, ..Limits::default() });
    assert_eq!(error(&documents, &json!([A, B])).ngsi_ld(), "BadRequestData");
}

#[test]
fn a_fetch_that_never_ends_is_cut_off() {
    struct Never;
    impl Fetch for Never {
        fn fetch<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Fetched, String>> {
            Box::pin(std::future::pending())
        }
    }
    let contexts = Contexts::new(Never, None, Limits { fetch_seconds: 0, ..Limits::default() }, Clock::fixed(now()));
    assert_eq!(error(&contexts, &json!(A)).ngsi_ld(), "LdContextNotAvailable");
}

#[test]
fn documents_are_put_and_preloaded() {
    let web = Web::default();
    let contexts = registry(&web, &Shelf::default(), &Clock::fixed(now()));
    let folder = tempfile::tempdir().unwrap();
    let core = waybill_context::CoreVersion::LATEST.url();
    std::fs::write(folder.path().join("index.json"), json!({A: "a.jsonld", core: "core.jsonld"}).to_string()).unwrap();
    std::fs::write(folder.path().join("a.jsonld"), r#"{"@context": {"x": "https://x.example/"}}"#).unwrap();
    assert_eq!(contexts.preload(folder.path()).unwrap(), 1);
    assert_eq!(run(contexts.resolve(&json!(A))).unwrap().expand("x"), "https://x.example/");
    contexts.put(A, json!({"@context": {"x": "https://y.example/"}}), Kind::Hosted).unwrap();
    assert_eq!(run(contexts.resolve(&json!(A))).unwrap().expand("x"), "https://y.example/");
    assert_eq!(web.asked(A), 0);
    assert!(contexts.put(&waybill_context::CoreVersion::LATEST.url(), json!({"@context": {}}), Kind::Hosted).is_err());
    std::fs::write(folder.path().join("index.json"), json!({A: "missing.jsonld"}).to_string()).unwrap();
    assert!(contexts.preload(folder.path()).is_err());
}

#[test]
fn an_unpublished_minor_version_takes_the_next_lower_one_and_says_so() {
    let contexts = registry(&Web::default(), &Shelf::default(), &Clock::fixed(now()));
    let context = run(contexts.resolve(&json!("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.5.jsonld"))).unwrap();
    assert_eq!(context.core_version().unwrap().minor(), 4);
    assert_eq!(context.warnings().len(), 1);
    assert_eq!(context.user(), &json!("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.4.jsonld"));
}

#[test]
fn an_imported_context_is_merged() {
    let web = Web::default();
    web.serve(A, Some(json!({"@context": {"x": "https://x.example/", "y": "https://y.example/"}})));
    let contexts = registry(&web, &Shelf::default(), &Clock::fixed(now()));
    let context = run(contexts.resolve(&json!({"@import": A, "y": "https://z.example/"}))).unwrap();
    assert_eq!((context.expand("x"), context.expand("y")), ("https://x.example/".into(), "https://z.example/".into()));
}
