//! Fetching over the outbound client and keeping in the store.

use super::support::now;
use serde_json::json;
use waybill_context::{Contexts, HttpFetch, Limits, StoreKeep};
use waybill_http::{Allow, Client, ClientConfig, Guard};
use waybill_model::Clock;
use waybill_store::Store;
use wiremock::matchers::{headers, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn client(clock: &Clock, allowed: &str) -> Client {
    let allow: Allow = allowed.parse().unwrap();
    Client::new(ClientConfig { max_redirects: 3, ..ClientConfig::new(clock.clone()).guard(Guard::allowing([allow])) }).unwrap()
}

#[test]
fn a_context_is_fetched_kept_and_served_stale_by_another_process() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = Clock::fixed(now());
        let store = Store::memory(clock.clone()).unwrap();
        let server = MockServer::start().await;
        let context = json!({"@context": {"x": "https://x.example/"}});
        Mock::given(path("/context.jsonld"))
            .and(headers("accept", vec!["application/ld+json", "application/json;q=0.9"]))
            .respond_with(ResponseTemplate::new(200).insert_header("Cache-Control", "public, max-age=7").set_body_json(&context))
            .up_to_n_times(1)
            .mount(&server)
            .await;
        Mock::given(path("/moved")).respond_with(ResponseTemplate::new(302).insert_header("Location", "/context.jsonld")).mount(&server).await;
        let registry = || {
            let fetch = HttpFetch::new(client(&clock, "127.0.0.0/8"), 1 << 20);
            Contexts::new(fetch, Some(Box::new(StoreKeep::new(store.clone()))), Limits::default(), clock.clone())
        };
        let url = json!(format!("{}/moved", server.uri()));
        let first = registry();
        assert_eq!(first.resolve(&url).await.unwrap().expand("x"), "https://x.example/");
        assert_eq!(first.list()[0].fresh_until, Some(now().plus_seconds(7)));
        clock.advance_micros(8_000_000);
        // The server has no answer any more, and the other registry never had one.
        assert_eq!(registry().resolve(&url).await.unwrap().expand("x"), "https://x.example/");
        assert!(first.forget(url.as_str().unwrap()).await);
        let e = registry().resolve(&url).await.expect_err("it is forgotten");
        assert_eq!(e.ngsi_ld(), "LdContextNotAvailable");
        assert!(e.to_string().contains("it answers 404"), "{e}");
    });
}

#[test]
fn an_address_that_is_not_public_is_not_fetched_from() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = MockServer::start().await;
        Mock::given(path("/context.jsonld")).respond_with(ResponseTemplate::new(200).set_body_json(json!({"@context": {}}))).expect(0).mount(&server).await;
        let clock = Clock::fixed(now());
        let contexts = Contexts::new(HttpFetch::new(client(&clock, "10.0.0.0/8"), 1 << 20), None, Limits::default(), clock.clone());
        let e = contexts.resolve(&json!(format!("{}/context.jsonld", server.uri()))).await.expect_err("it is fetched");
        assert_eq!(e.ngsi_ld(), "LdContextNotAvailable");
    });
}
