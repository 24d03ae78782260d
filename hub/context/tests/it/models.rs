//! The examples of the Smart Data Models.

use super::support::{data, json, models, now, run};
use serde_json::Value;
use std::path::{Path, PathBuf};
use waybill_context::{Context, ContextError, ContextPlace, DEPTH, DecodeError, Document, EncodeOptions, Format, Options, decode_entity, encode_entity};
use waybill_model::EntityDoc;

/// The examples, `<subject>/<model>/<file>`, in order.
fn examples(data: &Path, end: &str) -> Vec<PathBuf> {
    let folders = |path: &Path| {
        let mut all: Vec<_> = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
        all.sort();
        all
    };
    let models = folders(&data.join("smart-data-models")).into_iter().flat_map(|subject| folders(&subject));
    models.map(|model| model.join(end)).filter(|path| path.is_file()).collect()
}

fn name(data: &Path, path: &Path) -> String {
    path.strip_prefix(data.join("smart-data-models")).unwrap().display().to_string()
}

enum Verdict {
    Accepted(std::sync::Arc<Context>, Box<EntityDoc>),
    BadContext(ContextError),
    Refused(DecodeError),
}

fn judge(contexts: &waybill_context::Contexts, bytes: &[u8], options: &Options) -> Verdict {
    let document = match Document::read(bytes, DEPTH) {
        Ok(document) => document,
        Err(e) => return Verdict::Refused(e),
    };
    let context = match document.root().context().map(|value| run(contexts.resolve(&value))) {
        Some(Err(e)) => return Verdict::BadContext(e),
        Some(Ok(context)) => context,
        None => contexts.core(),
    };
    match document.root().entity(&context, options) {
        Ok(doc) => Verdict::Accepted(context, Box::new(doc)),
        Err(e) => Verdict::Refused(e),
    }
}


fn options(path: &Path) -> Options {
    if path.ends_with("example.jsonld") { Options::new(now()).simplified() } else { Options::new(now()) }
}

#[test]
fn every_example_has_the_verdict_of_the_table() {
    let Some(data) = data() else { return };
    let contexts = models(data.clone());
    let mut found = Vec::new();
    let mut files = examples(&data, "example-normalized.jsonld");
    files.extend(examples(&data, "example.jsonld"));
    files.sort();
    for path in &files {
        let verdict = match judge(&contexts, &std::fs::read(path).unwrap(), &options(path)) {
            Verdict::Accepted(..) => "accepted\t-\t-".to_owned(),
            Verdict::BadContext(ContextError::NotAvailable { .. }) => "refused\tcontext-not-available\t5.5.4".to_owned(),
            Verdict::BadContext(ContextError::Invalid { .. }) => "refused\tcontext-invalid\t5.5.7".to_owned(),
            Verdict::Refused(e) => format!("refused\t{}\t{}", e.fault.code(), e.clause),
        };
        found.push(format!("{}\t{verdict}", name(&data, path)));
    }
    let table = include_str!("../verdicts.tsv");
    let expected: Vec<String> =
        table.lines().filter(|l| !l.starts_with('#')).map(|l| l.rsplit_once('\t').unwrap().0.to_owned()).collect();
    assert!(expected.len() > 70);
    assert_eq!(found, expected);
}

/// What an example looks like when it comes back: system times are not kept, a list of one type or scope is a single name, and the core
/// is not echoed.
fn as_echoed(mut document: Value, context: &Context) -> Value {
    let object = document.as_object_mut().unwrap();
    for name in ["createdAt", "modifiedAt"] {
        object.remove(name);
    }
    for value in object.values_mut() {
        if let Some(members) = value.as_object_mut().filter(|m| m.contains_key("type")) {
            members.remove("createdAt");
            members.remove("modifiedAt");
        }
    }
    for name in ["type", "scope"] {
        if let Some([one]) = object.get(name).and_then(Value::as_array).map(Vec::as_slice) {
            object[name] = one.clone();
        }
    }
    object.insert("@context".into(), context.user().clone());
    document
}

#[test]
fn what_is_accepted_comes_back_equal_and_is_canonical() {
    let Some(data) = data() else { return };
    let contexts = models(data.clone());
    let mut count = 0;
    for (end, format) in [("example-normalized.jsonld", Format::Normalized), ("example.jsonld", Format::Simplified)] {
        for path in examples(&data, end) {
            let bytes = std::fs::read(&path).unwrap();
            let Verdict::Accepted(context, doc) = judge(&contexts, &bytes, &options(&path)) else { continue };
            count += 1;
            let place = name(&data, &path);
            assert_eq!(*doc, EntityDoc::parse(doc.text(), now()).unwrap(), "{place}");
            doc.to_entity().unwrap_or_else(|e| panic!("{place}: {e}"));
            let mut out = Vec::new();
            let body = EncodeOptions { context: ContextPlace::Body, ..EncodeOptions::format(format) };
            encode_entity(&context, &doc, &body, &mut out);
            let expected = as_echoed(json(std::str::from_utf8(&bytes).unwrap()), &context);
            assert_eq!(json(std::str::from_utf8(&out).unwrap()), expected, "{place}");
            out.clear();
            encode_entity(&context, &doc, &EncodeOptions::format(Format::Concise), &mut out);
            let again = decode_entity(&context, &out, &Options::new(now())).unwrap_or_else(|e| panic!("{place} concise: {e}"));
            assert_eq!(again.text(), doc.text(), "{place} concise");
        }
    }
    assert!(count > 60, "{count} examples");
}
