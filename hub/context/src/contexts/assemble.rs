//! From local @contexts to a compiled one.

use crate::compile::{Active, Local, Mode};
use crate::context::{Context, Parts};
use crate::core::CoreVersion;
use crate::error::ContextError;
use serde_json::Value;
use std::sync::Arc;

/// The name of an @context value in the cache.
pub(super) fn key(value: &Value, plain: bool) -> String {
    let one = match value {
        Value::Array(items) if items.len() == 1 => &items[0],
        other => other,
    };
    // The two kinds of keys differ in their first character: JSON never starts with a tilde.
    if plain { format!("~{one}") } else { one.to_string() }
}

/// The user's part of an @context value.
pub(super) fn echo(value: &Value, core: Option<CoreVersion>) -> Value {
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

pub(super) fn compile(
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
