//! Fetching over the hub's one outbound client, and keeping in the hub's store.

use crate::contexts::{BoxFuture, Fetch, Fetched, Keep, Kept};
use waybill_http::{CallErrorKind, Client, OutRequest, header};
use waybill_store::{Batch, Store};

/// Fetches with the outbound client, which guards the address, the redirects, the time and the size. Give it a client that follows a few
/// redirects (`ClientConfig::max_redirects`): many @contexts stand behind one.
#[derive(Debug, Clone)]
pub struct HttpFetch {
    client: Client,
    max_bytes: usize,
}

impl HttpFetch {
    /// Fetches documents of at most `max_bytes`.
    pub fn new(client: Client, max_bytes: usize) -> Self {
        Self { client, max_bytes }
    }
}

impl Fetch for HttpFetch {
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Fetched, String>> {
        Box::pin(async move {
            let request = OutRequest::get(url)
                .header(header::ACCEPT, "application/ld+json, application/json;q=0.9")
                .max_response(self.max_bytes)
                .template("context");
            let answer = self.client.send(request).await.and_then(waybill_http::InResponse::success).map_err(|e| match e.kind {
                CallErrorKind::Status(status) => format!("it answers {status}"),
                kind => kind.code().to_owned(),
            })?;
            let max_age = answer.header(header::CACHE_CONTROL).and_then(max_age);
            Ok(Fetched { body: answer.body.to_vec(), max_age })
        })
    }
}

/// The seconds a Cache-Control header allows; 0 when it forbids keeping.
fn max_age(cache_control: &str) -> Option<u64> {
    let mut directives = cache_control.split(',').map(|d| d.trim().to_ascii_lowercase());
    let forbids = |d: &String| d == "no-store" || d == "no-cache";
    if directives.clone().any(|d| forbids(&d)) {
        return Some(0);
    }
    directives.find_map(|d| d.strip_prefix("max-age=").and_then(|n| n.trim_matches('"').parse().ok()))
}

/// Where the store keeps fetched @contexts.
const SPACE: &str = "contexts";
/// How long a document that is not fetched again is kept, in seconds: 90 days.
const KEPT_SECONDS: i64 = 90 * 24 * 3600;
/// How many documents one save drops at most that are kept too long.
const SWEEP: usize = 32;

/// Keeps fetched @contexts in the store, each for 90 days after its last fetch.
#[derive(Clone)]
pub struct StoreKeep(Store);

impl std::fmt::Debug for StoreKeep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreKeep")
    }
}

impl StoreKeep {
    /// Keeps in `store`.
    pub fn new(store: Store) -> Self {
        Self(store)
    }
}

impl Keep for StoreKeep {
    fn load<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Option<Kept>> {
        let key = url.to_owned();
        Box::pin(async move {
            match self.0.read(move |reader| reader.doc(SPACE, &key)).await {
                Ok(found) => serde_json::from_slice(&found?.payload).ok(),
                Err(e) => {
                    tracing::warn!("a kept @context cannot be read: {e}");
                    None
                }
            }
        })
    }
    fn save<'a>(&'a self, url: &'a str, kept: &'a Kept) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let Ok(payload) = serde_json::to_vec(kept) else {
                return;
            };
            let now = kept.fetched_at;
            let old = self.0.read(move |reader| reader.due(SPACE, now, SWEEP)).await.unwrap_or_default();
            let mut batch = Batch::new();
            for doc in old {
                batch.delete_doc(SPACE, &doc.key);
            }
            batch.put_doc(SPACE, url, payload, Some(now.plus_seconds(KEPT_SECONDS)));
            if let Err(e) = self.0.commit(batch).await {
                tracing::warn!("an @context cannot be kept: {e}");
            }
        })
    }
    fn remove<'a>(&'a self, url: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut batch = Batch::new();
            batch.delete_doc(SPACE, url);
            if let Err(e) = self.0.commit(batch).await {
                tracing::warn!("a kept @context cannot be dropped: {e}");
            }
        })
    }
}
