//! From an @context value to local @contexts: what it refers to is fetched, kept, or served stale.

use super::{BoxFuture, Contexts, Document, Kept, Kind};
use crate::compile::{Local, resolve};
use crate::core::{CoreVersion, bundled};
use crate::error::ContextError;
use serde_json::Value;
use std::sync::Arc;
use waybill_model::DateTime;

/// What loading found: the local @contexts in order, and what goes with them.
pub(super) struct Loading {
    pub locals: Vec<Local>,
    pub core: Option<CoreVersion>,
    pub warnings: Vec<String>,
    pub fresh_until: Option<DateTime>,
    pub documents: usize,
    pub plain: bool,
}

impl Contexts {
    pub(super) fn load<'a>(
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

    pub(super) async fn fetch_now(&self, url: &str, now: DateTime) -> Result<(Arc<Value>, Option<DateTime>), ContextError> {
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

    pub(super) fn hold(&self, url: &str, body: Arc<Value>, kind: Kind, fresh_until: Option<DateTime>) -> (Arc<Value>, Option<DateTime>) {
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
}
