//! The registry: from an @context value to a compiled [`Context`], with what it refers to fetched, kept and bounded.

mod assemble;
mod load;

use crate::context::Context;
use crate::core::{CoreVersion, bundled};
use crate::error::ContextError;
use assemble::{compile, echo, key};
use load::Loading;
use serde_json::Value;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use waybill_model::{Clock, DateTime};

/// A boxed future, as the injected traits return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A document as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The body.
    pub body: Vec<u8>,
    /// How long it may be used without asking again, in seconds, from Cache-Control or Expires.
    pub max_age: Option<u64>,
}

/// Fetches a remote @context. Addresses, redirects and time are the implementation's to guard; size is checked here too.
pub trait Fetch: Send + Sync {
    /// Gets the document at `url`, or says in a few words why not.
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Fetched, String>>;
}

/// Keeps fetched @contexts beyond this process.
pub trait Keep: Send + Sync {
    /// The document kept for `url`.
    fn load<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Option<Kept>>;
    /// Keeps a document; failure is the implementation's to log.
    fn save<'a>(&'a self, url: &'a str, kept: &'a Kept) -> BoxFuture<'a, ()>;
    /// Drops a document.
    fn remove<'a>(&'a self, url: &'a str) -> BoxFuture<'a, ()>;
}

/// A remote @context as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Kept {
    /// The document's text.
    pub text: String,
    /// When it was fetched.
    pub fetched_at: DateTime,
    /// Until when it need not be fetched again.
    pub fresh_until: DateTime,
}

/// Fetches nothing: every remote @context is not available.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFetch;
impl Fetch for NoFetch {
    fn fetch<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Fetched, String>> {
        Box::pin(async { Err("fetching is off".to_owned()) })
    }
}

/// What a hub allows of @contexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one document.
    pub bytes: usize,
    /// How deep documents refer to others.
    pub depth: usize,
    /// Documents behind one @context.
    pub documents: usize,
    /// Terms of one @context.
    pub terms: usize,
    /// Documents and compiled @contexts held in memory, each.
    pub held: usize,
    /// Seconds for one fetch.
    pub fetch_seconds: u64,
    /// Seconds a document is fresh when its server does not say.
    pub fresh_seconds: u64,
    /// Seconds after a failed fetch before the next try.
    pub retry_seconds: u64,
}
impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 1 << 20, depth: 8, documents: 32, terms: 20_000, held: 1024, fetch_seconds: 5, fresh_seconds: 3600, retry_seconds: 10 }
    }
}

/// Why a document is held (NGSI-LD clause 5.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    /// Put here by a user; never fetched.
    Hosted,
    /// Fetched from its URL.
    Cached,
    /// Made by the hub for a subscription or an array.
    ImplicitlyCreated,
}

/// What is known about a held document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its URL.
    pub url: String,
    /// Why it is held.
    pub kind: Kind,
    /// When it came.
    pub created_at: DateTime,
    /// Until when it is fresh; nothing for one that is not fetched.
    pub fresh_until: Option<DateTime>,
    /// When it was last used.
    pub last_usage: DateTime,
    /// How often it was used.
    pub hits: u64,
}

#[derive(Clone)]
struct Document {
    body: Arc<Value>,
    kind: Kind,
    created_at: DateTime,
    fresh_until: Option<DateTime>,
    last_usage: DateTime,
    hits: u64,
}

/// Larger inline @contexts are compiled for each request and not held.
const HELD_KEY: usize = 64 * 1024;

struct Compiled {
    context: Arc<Context>,
    fresh_until: Option<DateTime>,
    used: AtomicU64,
}

#[derive(Default)]
struct State {
    documents: HashMap<String, Document>,
    failed: HashMap<String, (DateTime, String)>,
    fetching: HashMap<String, Arc<tokio::sync::Mutex<()>>>,
}

struct Inner {
    fetch: Box<dyn Fetch>,
    keep: Option<Box<dyn Keep>>,
    limits: Limits,
    clock: Clock,
    state: Mutex<State>,
    compiled: RwLock<HashMap<String, Compiled>>,
    uses: AtomicU64,
    core: Arc<Context>,
}

/// The registry and cache of @contexts; a handle, cheap to clone.
#[derive(Clone)]
pub struct Contexts(Arc<Inner>);

impl std::fmt::Debug for Contexts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contexts").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl Contexts {
    /// A registry that fetches with `fetch` and keeps with `keep`.
    pub fn new(fetch: impl Fetch + 'static, keep: Option<Box<dyn Keep>>, limits: Limits, clock: Clock) -> Self {
        let core = compile(&[], Some(CoreVersion::LATEST), Value::String(CoreVersion::LATEST.url()), Vec::new(), false, usize::MAX);
        // INVARIANT: the core compiles; a test compiles every version.
        let core = Arc::new(core.unwrap_or_else(|e| unreachable!("{e}")));
        Self(Arc::new(Inner {
            fetch: Box::new(fetch),
            keep,
            limits,
            clock,
            state: Mutex::default(),
            compiled: RwLock::default(),
            uses: AtomicU64::new(0),
            core,
        }))
    }

    /// A registry that never fetches, for tests and tools.
    pub fn offline(clock: Clock) -> Self {
        Self::new(NoFetch, None, Limits::default(), clock)
    }

    /// The newest core @context alone: what acts when a request gives none (clause 5.5.5).
    pub fn core(&self) -> Arc<Context> {
        self.0.core.clone()
    }

    /// The compiled @context for the value of `@context` (or the URL of a Link header, as a string), under the rules of NGSI-LD: the core
    /// acts last wherever it stands, no scoped @contexts.
    ///
    /// # Errors
    /// [`ContextError`]: a remote document is not available, or something is not valid.
    pub async fn resolve(&self, value: &Value) -> Result<Arc<Context>, ContextError> {
        self.resolve_as(value, false).await
    }

    /// The compiled @context under the rules of JSON-LD alone: no core is added, scoped @contexts are allowed.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub async fn resolve_plain(&self, value: &Value) -> Result<Arc<Context>, ContextError> {
        self.resolve_as(value, true).await
    }

    /// What [`Self::resolve`] gives when it is at hand and fresh, without waiting.
    pub fn cached(&self, value: &Value) -> Option<Arc<Context>> {
        self.lookup(&key(value, false))
    }

    fn lookup(&self, key: &str) -> Option<Arc<Context>> {
        let held = self.0.compiled.read().unwrap_or_else(PoisonError::into_inner);
        let found = held.get(key)?;
        if found.fresh_until.is_some_and(|until| until < self.0.clock.now()) {
            return None;
        }
        found.used.store(self.0.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(found.context.clone())
    }

    async fn resolve_as(&self, value: &Value, plain: bool) -> Result<Arc<Context>, ContextError> {
        let key = key(value, plain);
        if let Some(found) = self.lookup(&key) {
            return Ok(found);
        }
        let mut loading = Loading { locals: Vec::new(), core: None, warnings: Vec::new(), fresh_until: None, documents: 0, plain };
        self.load(value, None, &mut Vec::new(), &mut loading).await?;
        let Loading { locals, core, warnings, fresh_until, .. } = loading;
        let core = if plain { None } else { Some(core.unwrap_or(CoreVersion::LATEST)) };
        let echoed = if plain { value.clone() } else { echo(value, core) };
        let context = Arc::new(compile(&locals, core, echoed, warnings, plain, self.0.limits.terms)?);
        if key.len() > HELD_KEY {
            return Ok(context);
        }
        let mut held = self.0.compiled.write().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= self.0.limits.held
            && !held.contains_key(&key)
            && let Some(oldest) = held.iter().min_by_key(|(_, c)| c.used.load(Ordering::Relaxed)).map(|(k, _)| k.clone())
        {
            held.remove(&oldest);
        }
        let used = AtomicU64::new(self.0.uses.fetch_add(1, Ordering::Relaxed));
        held.insert(key, Compiled { context: context.clone(), fresh_until, used });
        Ok(context)
    }

    /// Puts a document (`{"@context": …}`) here under `url`; it is used instead of fetching. Compiled @contexts that may have used the URL are
    /// dropped.
    ///
    /// # Errors
    /// [`ContextError::Invalid`] when the document has no @context or `url` is a core @context's.
    pub fn put(&self, url: &str, document: Value, kind: Kind) -> Result<(), ContextError> {
        if CoreVersion::of_url(url).is_some() {
            return Err(ContextError::invalid(url, "the core @context is built in"));
        }
        if document.get("@context").is_none() {
            return Err(ContextError::invalid(url, "the document has no @context"));
        }
        {
            let state = self.state();
            let full = state.documents.len() >= self.0.limits.held && state.documents.values().all(|d| d.kind != Kind::Cached);
            if full && !state.documents.contains_key(url) {
                return Err(ContextError::invalid(url, "too many @contexts are held already"));
            }
        }
        self.hold(url, Arc::new(document), kind, None);
        self.drop_compiled();
        Ok(())
    }

    /// Puts the documents of a folder here: its `index.json` maps each URL to a file beside it. A core URL in it is passed over, since the core
    /// is built in. Says how many were put.
    ///
    /// # Errors
    /// [`ContextError::Invalid`] naming the file or the URL.
    pub fn preload(&self, folder: &std::path::Path) -> Result<usize, ContextError> {
        let read = |name: &str| -> Result<Value, ContextError> {
            let path = folder.join(name);
            let place = path.display().to_string();
            let bytes = std::fs::read(&path).map_err(|e| ContextError::invalid(&place, e.to_string()))?;
            if bytes.len() > self.0.limits.bytes {
                return Err(ContextError::invalid(place, "the document is too large"));
            }
            serde_json::from_slice(&bytes).map_err(|e| ContextError::invalid(place, format!("the document is not JSON: {e}")))
        };
        let Value::Object(index) = read("index.json")? else {
            return Err(ContextError::invalid("index.json", "it is an object that maps URLs to files"));
        };
        let mut count = 0;
        for (url, file) in &index {
            let Some(file) = file.as_str() else {
                return Err(ContextError::invalid(url, "the file is named by a string"));
            };
            if CoreVersion::of_url(url).is_none() {
                self.put(url, read(file)?, Kind::Hosted)?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Forgets a document, in memory and where it is kept. Says whether there was one.
    pub async fn forget(&self, url: &str) -> bool {
        let known = self.state().documents.remove(url).is_some();
        self.state().failed.remove(url);
        self.drop_compiled();
        if let Some(keep) = &self.0.keep {
            keep.remove(url).await;
        }
        known
    }

    /// Fetches a cached document again now; on failure the old one stays.
    ///
    /// # Errors
    /// [`ContextError`] of the fetch.
    pub async fn reload(&self, url: &str) -> Result<(), ContextError> {
        self.state().failed.remove(url);
        self.fetch_now(url, self.0.clock.now()).await?;
        self.drop_compiled();
        Ok(())
    }

    /// The documents held, by URL.
    pub fn list(&self) -> Vec<Held> {
        let state = self.state();
        let mut all: Vec<Held> = state
            .documents
            .iter()
            .map(|(url, d)| Held {
                url: url.clone(),
                kind: d.kind,
                created_at: d.created_at,
                fresh_until: d.fresh_until,
                last_usage: d.last_usage,
                hits: d.hits,
            })
            .collect();
        all.sort_by(|a, b| a.url.cmp(&b.url));
        all
    }

    /// A held document's body.
    pub fn body(&self, url: &str) -> Option<Arc<Value>> {
        if let Some((version, _)) = CoreVersion::of_url(url) {
            return Some(version.document());
        }
        bundled(url).or_else(|| self.state().documents.get(url).map(|d| d.body.clone()))
    }

    fn drop_compiled(&self) {
        self.0.compiled.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
