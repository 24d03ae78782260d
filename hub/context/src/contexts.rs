//! The registry: from an @context value to a compiled [`Context`], with what it refers to fetched, kept and bounded.

use crate::compile::{Active, Local, Mode, resolve};
use crate::context::{Context, Parts};
use crate::core::{CoreVersion, bundled};
use crate::error::ContextError;
use serde_json::Value;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
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

struct Compiled {
    context: Arc<Context>,
    fresh_until: Option<DateTime>,
    used: u64,
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
    uses: std::sync::atomic::AtomicU64,
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

/// What loading found: the local @contexts in order, and what goes with them.
struct Loading {
    locals: Vec<Local>,
    core: Option<CoreVersion>,
    warnings: Vec<String>,
    fresh_until: Option<DateTime>,
    documents: usize,
    plain: bool,
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
            uses: std::sync::atomic::AtomicU64::new(0),
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
        let mut held = self.0.compiled.write().unwrap_or_else(PoisonError::into_inner);
        let found = held.get_mut(key)?;
        if found.fresh_until.is_some_and(|until| until < self.0.clock.now()) {
            return None;
        }
        found.used = self.0.uses.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
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
        let mut held = self.0.compiled.write().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= self.0.limits.held
            && let Some(oldest) = held.iter().min_by_key(|(_, c)| c.used).map(|(k, _)| k.clone())
        {
            held.remove(&oldest);
        }
        let used = self.0.uses.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        held.insert(key, Compiled { context: context.clone(), fresh_until, used });
        Ok(context)
    }

    fn load<'a>(
        &'a self,
        value: &'a Value,
        base: Option<&'a str>,
        chain: &'a mut Vec<String>,
        out: &'a mut Loading,
    ) -> BoxFuture<'a, Result<(), ContextError>> {
        Box::pin(async move {
            let place = base.unwrap_or("@context");
            match value {
                Value::Null => {
                    out.locals.push(Local { from: place.into(), body: None });
                    Ok(())
                }
                Value::Array(items) => {
                    for item in items {
                        if item.is_array() {
                            return Err(ContextError::invalid(place, "an array of @contexts holds no arrays"));
                        }
                        self.load(item, base, chain, out).await?;
                    }
                    Ok(())
                }
                Value::String(reference) => {
                    let url = resolve(base, reference);
                    if let Some((version, lower)) = CoreVersion::of_url(&url) {
                        if lower {
                            out.warnings.push(format!("{url} was never published; {} acts in its place", version.url()));
                        }
                        if out.plain {
                            let body = version.document()["@context"].clone();
                            out.locals.push(Local { from: url.as_str().into(), body: Some(Arc::new(body)) });
                        }
                        out.core = Some(version);
                        return Ok(());
                    }
                    if chain.contains(&url) {
                        return Err(ContextError::invalid(url, "the @context refers to itself"));
                    }
                    if chain.len() >= self.0.limits.depth {
                        return Err(ContextError::invalid(url, "too many @contexts refer to one another"));
                    }
                    out.documents += 1;
                    if out.documents > self.0.limits.documents {
                        return Err(ContextError::invalid(url, "too many @contexts in one"));
                    }
                    let document = self.document(&url, out).await?;
                    let Some(inner) = document.as_object().and_then(|d| d.get("@context")) else {
                        return Err(ContextError::invalid(url, "the document has no @context"));
                    };
                    chain.push(url.clone());
                    self.load(inner, Some(&url), chain, out).await?;
                    chain.pop();
                    Ok(())
                }
                Value::Object(map) => {
                    let body = match map.get("@import") {
                        None => value.clone(),
                        Some(Value::String(reference)) => {
                            let url = resolve(base, reference);
                            let imported = self.document(&url, out).await?;
                            let Some(Value::Object(inner)) = imported.get("@context") else {
                                return Err(ContextError::invalid(url, "an imported document has one object as its @context"));
                            };
                            if inner.contains_key("@import") {
                                return Err(ContextError::invalid(url, "an imported @context imports no other"));
                            }
                            let mut merged = inner.clone();
                            merged.extend(map.iter().filter(|(k, _)| *k != "@import").map(|(k, v)| (k.clone(), v.clone())));
                            Value::Object(merged)
                        }
                        Some(_) => return Err(ContextError::invalid(place, "@import must be a URL")),
                    };
                    out.locals.push(Local { from: place.into(), body: Some(Arc::new(body)) });
                    Ok(())
                }
                _ => Err(ContextError::invalid(place, "an @context is an object, a URL, null or an array of them")),
            }
        })
    }

    async fn document(&self, url: &str, out: &mut Loading) -> Result<Arc<Value>, ContextError> {
        if let Some(body) = bundled(url) {
            return Ok(body);
        }
        if !url.starts_with("https://") && !url.starts_with("http://") {
            if let Some((body, _)) = self.held(url, false) {
                return Ok(body);
            }
            return Err(ContextError::NotAvailable { url: url.to_owned(), reason: "only http and https URLs can be fetched".into() });
        }
        let (body, fresh_until) = match self.held(url, false) {
            Some(found) => found,
            None => self.fetched(url).await?,
        };
        out.fresh_until = [out.fresh_until, fresh_until].into_iter().flatten().min();
        Ok(body)
    }

    /// A held document, with when it gets stale; one that is stale already only when `stale` allows it.
    fn held(&self, url: &str, stale: bool) -> Option<(Arc<Value>, Option<DateTime>)> {
        let now = self.0.clock.now();
        let mut state = self.state();
        let document = state.documents.get_mut(url)?;
        if !stale && document.fresh_until.is_some_and(|until| until < now) {
            return None;
        }
        document.hits += 1;
        document.last_usage = now;
        Some((document.body.clone(), document.fresh_until))
    }

    async fn fetched(&self, url: &str) -> Result<(Arc<Value>, Option<DateTime>), ContextError> {
        let lock = self.state().fetching.entry(url.to_owned()).or_default().clone();
        let guard = lock.lock().await;
        let result = match self.held(url, false) {
            Some(found) => Ok(found),
            None => self.fetch_or_stale(url).await,
        };
        drop(guard);
        self.state().fetching.remove(url);
        result
    }

    async fn fetch_or_stale(&self, url: &str) -> Result<(Arc<Value>, Option<DateTime>), ContextError> {
        let now = self.0.clock.now();
        let mut kept = None;
        if self.held(url, true).is_none()
            && let Some(keep) = &self.0.keep
        {
            kept = keep.load(url).await;
            if let Some(found) = kept.as_ref().filter(|k| k.fresh_until >= now)
                && let Ok(body) = serde_json::from_str::<Value>(&found.text)
            {
                return Ok(self.hold(url, Arc::new(body), Kind::Cached, Some(found.fresh_until)));
            }
        }
        let recently = self.state().failed.get(url).filter(|(until, _)| *until > now).map(|(_, why)| why.clone());
        let outcome = match recently {
            Some(why) => Err(ContextError::NotAvailable { url: url.to_owned(), reason: why }),
            None => self.fetch_now(url, now).await,
        };
        let failure = match outcome {
            Ok(found) => return Ok(found),
            Err(e) => e,
        };
        let retry = now.plus_seconds(i64::try_from(self.0.limits.retry_seconds).unwrap_or(i64::MAX));
        if let Some((body, _)) = self.held(url, true) {
            tracing::warn!(url, "serving a stale @context: {failure}");
            return Ok((body, Some(retry)));
        }
        if let Some(body) = kept.and_then(|k| serde_json::from_str::<Value>(&k.text).ok()) {
            tracing::warn!(url, "serving a stale @context: {failure}");
            return Ok(self.hold(url, Arc::new(body), Kind::Cached, Some(retry)));
        }
        Err(failure)
    }

    async fn fetch_now(&self, url: &str, now: DateTime) -> Result<(Arc<Value>, Option<DateTime>), ContextError> {
        let limits = &self.0.limits;
        let time = std::time::Duration::from_secs(limits.fetch_seconds);
        let answer = match tokio::time::timeout(time, self.0.fetch.fetch(url)).await {
            Ok(answer) => answer.and_then(|f| if f.body.len() > limits.bytes { Err("the document is too large".to_owned()) } else { Ok(f) }),
            Err(_) => Err("no answer in time".to_owned()),
        };
        let fetched = match answer {
            Ok(fetched) => fetched,
            Err(reason) => {
                let retry = now.plus_seconds(i64::try_from(limits.retry_seconds).unwrap_or(i64::MAX));
                let mut state = self.state();
                if state.failed.len() >= limits.held {
                    state.failed.retain(|_, (until, _)| *until > now);
                }
                if state.failed.len() < limits.held {
                    state.failed.insert(url.to_owned(), (retry, reason.clone()));
                }
                return Err(ContextError::NotAvailable { url: url.to_owned(), reason });
            }
        };
        let text = String::from_utf8(fetched.body).map_err(|_| ContextError::invalid(url, "the document is not UTF-8"))?;
        let body: Value = serde_json::from_str(&text).map_err(|e| ContextError::invalid(url, format!("the document is not JSON: {e}")))?;
        if body.get("@context").is_none() {
            return Err(ContextError::invalid(url, "the document has no @context"));
        }
        let age = fetched.max_age.unwrap_or(limits.fresh_seconds);
        let fresh_until = now.plus_seconds(i64::try_from(age).unwrap_or(i64::MAX));
        if let Some(keep) = &self.0.keep {
            keep.save(url, &Kept { text, fetched_at: now, fresh_until }).await;
        }
        self.state().failed.remove(url);
        Ok(self.hold(url, Arc::new(body), Kind::Cached, Some(fresh_until)))
    }

    fn hold(&self, url: &str, body: Arc<Value>, kind: Kind, fresh_until: Option<DateTime>) -> (Arc<Value>, Option<DateTime>) {
        let now = self.0.clock.now();
        let mut state = self.state();
        if state.documents.len() >= self.0.limits.held && !state.documents.contains_key(url) {
            let oldest = state.documents.iter().filter(|(_, d)| d.kind == Kind::Cached).min_by_key(|(_, d)| d.last_usage).map(|(u, _)| u.clone());
            if let Some(oldest) = oldest {
                state.documents.remove(&oldest);
            }
        }
        let hits = state.documents.get(url).map_or(1, |d| d.hits + 1);
        state.documents.insert(url.to_owned(), Document { body: body.clone(), kind, created_at: now, fresh_until, last_usage: now, hits });
        (body, fresh_until)
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

fn key(value: &Value, plain: bool) -> String {
    let one = match value {
        Value::Array(items) if items.len() == 1 => &items[0],
        other => other,
    };
    // The two kinds of keys differ in their first character: JSON never starts with a tilde.
    if plain { format!("~{one}") } else { one.to_string() }
}

/// The user's part of an @context value.
fn echo(value: &Value, core: Option<CoreVersion>) -> Value {
    let is_core = |v: &Value| v.as_str().is_some_and(|url| CoreVersion::of_url(url).is_some());
    let fallback = || Value::String(core.unwrap_or(CoreVersion::LATEST).url());
    match value {
        Value::Array(items) => {
            let mut rest: Vec<Value> = items.iter().filter(|item| !is_core(item) && !item.is_null()).cloned().collect();
            match rest.len() {
                0 => fallback(),
                1 => rest.remove(0),
                _ => Value::Array(rest),
            }
        }
        Value::Null => fallback(),
        one if is_core(one) => fallback(),
        Value::Object(map) if map.is_empty() => fallback(),
        other => other.clone(),
    }
}

fn compile(
    locals: &[Local],
    core: Option<CoreVersion>,
    user: Value,
    warnings: Vec<String>,
    plain: bool,
    terms: usize,
) -> Result<Context, ContextError> {
    let core_local = core.map(|version| Local { from: version.url().into(), body: Some(Arc::new(version.document()["@context"].clone())) });
    let scoped = Mode { scoped: true, overriding: true };
    let mut base = Active::default();
    if let Some(core) = &core_local {
        base.apply(core, locals.len() as u32, scoped)?;
        // As a base the core yields, so that its prefixes can be used; it comes again as last.
        base.terms.values_mut().for_each(|t| t.protected = false);
    }
    let mut active = base.clone();
    for (at, local) in locals.iter().enumerate() {
        if local.body.is_none() {
            if plain && active.terms.values().any(|t| t.protected) {
                return Err(ContextError::invalid(local.from.as_ref(), "null would drop protected terms"));
            }
            active = base.clone();
        }
        active.apply(local, at as u32, Mode { scoped: plain, overriding: false })?;
        if active.terms.len() > terms {
            return Err(ContextError::invalid(local.from.as_ref(), "the @context has too many terms"));
        }
    }
    if let Some(core) = &core_local {
        active.apply(core, locals.len() as u32, scoped)?;
        active.language = None;
        active.direction = None;
        active.base = None;
    }
    let mut sources: Vec<Arc<str>> = locals.iter().map(|l| l.from.clone()).collect();
    sources.extend(core_local.iter().map(|l| l.from.clone()));
    Ok(Context::build(Parts { user, active, core, sources, locals: locals.to_vec(), warnings }))
}
