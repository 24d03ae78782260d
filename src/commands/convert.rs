//! `waybill expand` and `waybill compact`: JSON-LD without a network, and where a term leads.

use super::{Exit, GOOD, block_on, read};
use crate::cli::Convert;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use waybill_context::{Context, ContextError, Contexts, DecodeError};
use waybill_model::{Clock, Problem, ProblemCode};

pub(super) fn expand(args: &Convert) -> Result<Exit, Problem> {
    let text = read(&args.file)?;
    let contexts = contexts(args.preload_contexts.as_deref())?;
    // The document's own @context stands unless another is named.
    let own = own_context(&text);
    let context = resolve(&contexts, args.context.as_deref(), own)?;
    println!("{}", waybill_context::expand_jsonld(&text, &context).map_err(|e| refused(&e))?);
    Ok(GOOD)
}

pub(super) fn compact(args: &Convert) -> Result<Exit, Problem> {
    let text = read(&args.file)?;
    let contexts = contexts(args.preload_contexts.as_deref())?;
    let context = resolve(&contexts, args.context.as_deref(), None)?;
    println!("{}", waybill_context::compact_jsonld(&text, &context).map_err(|e| refused(&e))?);
    Ok(GOOD)
}

/// The bundled @contexts and those in a folder; nothing is fetched.
pub(super) fn contexts(folder: Option<&Path>) -> Result<Contexts, Problem> {
    let contexts = Contexts::offline(Clock::system());
    if let Some(folder) = folder {
        contexts.preload(folder).map_err(|e| not_available(&e))?;
    }
    Ok(contexts)
}

/// The @context that is named (a URL, or a file), else the document's own, else the core one.
pub(super) fn resolve(contexts: &Contexts, named: Option<&str>, own: Option<Value>) -> Result<Arc<Context>, Problem> {
    let value = match named {
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => Value::from(url),
        Some(file) => {
            let document: Value = serde_json::from_str(&read(&PathBuf::from(file))?)
                .map_err(|e| Problem::new(ProblemCode("context-invalid"), 400, "The @context is not JSON", format!("{file}: {e}")))?;
            document.get("@context").cloned().unwrap_or(document)
        }
        None => own.unwrap_or(Value::Null),
    };
    if value.is_null() {
        return Ok(contexts.core());
    }
    block_on(contexts.resolve(&value))?.map_err(|e| not_available(&e))
}

fn own_context(text: &str) -> Option<Value> {
    serde_json::from_str::<Value>(text).ok()?.get("@context").cloned()
}

fn not_available(error: &ContextError) -> Problem {
    Problem::new(ProblemCode("context-not-available"), 400, "The @context cannot be used", error.to_string())
        .help("Nothing is fetched here: name a folder with --preload-contexts whose `index.json` maps URLs to files.")
}

fn refused(error: &DecodeError) -> Problem {
    Problem::new(ProblemCode("bad-json-ld"), 400, "The document cannot be converted", error.to_string())
}
