//! `waybill explain`: what a code means, where a term leads, which purposes there are.

use super::{Exit, GOOD, NO, convert};
use crate::cli::{Explain, Format};
use crate::codes;
use waybill_model::Problem;
use waybill_policy::Purposes;

pub(super) fn run(args: &Explain, format: Format) -> Result<Exit, Problem> {
    match args.what.as_str() {
        "codes" => all_codes(format),
        "purposes" => all_purposes(format),
        what => {
            if let Some(code) = codes::find(what) {
                one_code(code, format);
                return Ok(GOOD);
            }
            return term(args, format);
        }
    }
    Ok(GOOD)
}

fn as_json(code: &codes::Code) -> serde_json::Value {
    serde_json::json!({"code": code.name, "title": code.title, "text": code.text})
}

fn one_code(code: &codes::Code, format: Format) {
    match format {
        Format::Json => println!("{}", as_json(code)),
        Format::Text => println!("{}\n{}\n\n{}", code.name, code.title, code.text),
    }
}

fn all_codes(format: Format) {
    match format {
        Format::Json => println!("{}", codes::all().map(as_json).collect::<serde_json::Value>()),
        Format::Text => codes::all().for_each(|c| println!("{:<30} {}", c.name, c.title)),
    }
}

fn all_purposes(format: Format) {
    let purposes = Purposes::bundled();
    let own = || purposes.iter().filter(|p| p.iri.starts_with(waybill_policy::WAYBILL_PURPOSE));
    match format {
        Format::Json => {
            let list: serde_json::Value = own()
                .map(|p| serde_json::json!({"iri": p.iri, "label": p.label, "text": p.text, "broader": p.broader, "tooBroadToUse": p.top}))
                .collect();
            println!("{list}");
        }
        Format::Text => {
            for p in own() {
                let name = p.iri.trim_start_matches(waybill_policy::WAYBILL_PURPOSE);
                let note = if p.top { " (too broad to be used: take one below it)" } else { "" };
                println!("{name:<26} {}{note}\n{:<26} {}", p.label, "", p.text);
            }
        }
    }
}

fn term(args: &Explain, format: Format) -> Result<Exit, Problem> {
    let contexts = convert::contexts(args.preload_contexts.as_deref())?;
    let context = convert::resolve(&contexts, args.context.as_deref(), None)?;
    let found = context.explain(&args.what);
    let guessed = found.how == "vocabulary";
    match format {
        Format::Json => println!("{}", serde_json::json!(found)),
        Format::Text => {
            println!("{} → {}", found.name, found.iri);
            match &found.source {
                Some(source) => println!("  by {} of {source}", found.how),
                None if guessed => println!("  no @context defines it: it falls into the default vocabulary (and it is no code: see `waybill explain codes`)"),
                None => println!("  by {}", found.how),
            }
            if let Some(coercion) = &found.coercion {
                println!("  its values are read as {coercion}");
            }
            if !found.containers.is_empty() {
                println!("  its containers: {}", found.containers.join(", "));
            }
            if found.protected {
                println!("  it may not be redefined");
            }
        }
    }
    Ok(if guessed { NO } else { GOOD })
}
