//! Names in a policy: prefixes, ODRL's own terms, and the @context shapes that we know without JSON-LD processing.

use crate::diagnostic::{Diagnostic, cut};
use crate::json::Json;
use crate::vocab::{CC, ODRL, TERMS};
use waybill_model::{Iri, WAYBILL};

/// Contexts that give ODRL's terms their usual meaning.
const KNOWN_CONTEXTS: &[&str] = &[
    "http://www.w3.org/ns/odrl.jsonld",
    "https://www.w3.org/ns/odrl.jsonld",
    "https://w3id.org/dspace/2024/1/context.json",
    "https://w3id.org/dspace/2025/1/context.jsonld",
    "https://w3id.org/dspace/2025/1/odrl-profile.jsonld",
    "https://w3id.org/waybill/context/policy.jsonld",
];

/// Prefixes that mean the same in every policy and may not be given another meaning.
const FIXED: &[(&str, &str)] = &[
    ("odrl", ODRL),
    ("waybill", WAYBILL),
    ("wbp", "https://w3id.org/waybill/purpose#"),
    ("dpv", "https://w3id.org/dpv#"),
    ("cc", CC),
    ("xsd", "http://www.w3.org/2001/XMLSchema#"),
    ("dct", "http://purl.org/dc/terms/"),
    ("dcterms", "http://purl.org/dc/terms/"),
    ("dc", "http://purl.org/dc/terms/"),
    ("rdfs", "http://www.w3.org/2000/01/rdf-schema#"),
    ("skos", "http://www.w3.org/2004/02/skos/core#"),
    ("schema", "http://schema.org/"),
];

/// The most prefixes that one policy may define.
const MAX_PREFIXES: usize = 100;

/// Namespaces whose members say something about a policy and never change what it permits.
const ANNOTATION: &[&str] = &[
    "http://purl.org/dc/terms/",
    "http://purl.org/dc/elements/1.1/",
    "http://www.w3.org/2000/01/rdf-schema#",
    "http://www.w3.org/2004/02/skos/core#",
    "http://schema.org/",
    "https://schema.org/",
];

/// What a member's name means.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Name {
    /// A term of ODRL, by its local name. `@id` and `uid` are `uid`.
    Odrl(String),
    /// A term of ours.
    Waybill(String),
    /// `@type`.
    Type,
    /// `@context`.
    Context,
    /// A remark.
    Annotation,
    /// Anything else.
    Foreign(String),
}

/// The prefixes of one policy.
#[derive(Debug, Default)]
pub(crate) struct Names {
    extra: Vec<(String, String)>,
}

impl Names {
    /// Takes over what `@context` says, or refuses what only a JSON-LD processor could read.
    pub(crate) fn read_context(&mut self, context: &Json, faults: &mut Vec<Diagnostic>) {
        match context {
            Json::List(items) => items.iter().take(MAX_PREFIXES).for_each(|c| self.one(c, faults)),
            other => self.one(other, faults),
        }
    }

    fn one(&mut self, context: &Json, faults: &mut Vec<Diagnostic>) {
        const HELP: &str = "Use http://www.w3.org/ns/odrl.jsonld and prefixes only, or expand the policy first.";
        match context {
            Json::Text(url) if KNOWN_CONTEXTS.contains(&url.as_str()) => {}
            Json::Text(url) => {
                faults.push(Diagnostic::new("policy-unknown-context", "/@context", format_args!("the context `{}` is not known", cut(url)), HELP));
            }
            Json::Object(members) if members.len() > MAX_PREFIXES || self.extra.len() > MAX_PREFIXES => {
                faults.push(Diagnostic::new("policy-unknown-context", "/@context", "the context defines too many terms", HELP));
            }
            Json::Object(members) => {
                for (key, value) in members {
                    let target = match value {
                        Json::Text(t) => Some(t.as_str()),
                        Json::Object(m) => m.iter().find(|(k, _)| k == "@id").and_then(|(_, v)| if let Json::Text(t) = v { Some(t.as_str()) } else { None }),
                        _ => None,
                    };
                    if let Some(fault) = self.entry(key, target, value) {
                        faults.push(Diagnostic::new("policy-unknown-context", "/@context", fault, HELP));
                    }
                }
            }
            _ => faults.push(Diagnostic::new("policy-unknown-context", "/@context", "the context is neither a known address nor an object of prefixes", HELP)),
        }
    }

    fn entry(&mut self, key: &str, target: Option<&str>, value: &Json) -> Option<String> {
        match key {
            "@version" | "@language" => return None,
            "@vocab" if target == Some(ODRL) => return None,
            _ if key.starts_with('@') => return Some(format!("`{}` in a context needs a JSON-LD processor", cut(key))),
            _ => {}
        }
        let Some(target) = target else { return Some(format!("the definition of `{}` is not a prefix", cut(key))) };
        if let Some((_, fixed)) = FIXED.iter().find(|(p, _)| *p == key) {
            // schema.org is written with either scheme.
            let same = target == *fixed || target.replacen("https://", "http://", 1) == *fixed || (key == "dc" && target.starts_with("http://purl.org/dc/"));
            return (!same).then(|| format!("the prefix `{key}` would get another meaning"));
        }
        if TERMS.contains(&key) || matches!(key, "id" | "type" | "purposeVersion") {
            let expanded = self.expand(target);
            let meant = if key == "id" || key == "type" { format!("@{key}") } else { format!("{ODRL}{key}") };
            let usual = expanded == meant || (key == "uid" && target == "@id");
            return (!usual).then(|| format!("the term `{key}` would get another meaning"));
        }
        if !matches!(value, Json::Text(_)) || !target.ends_with(['#', '/', ':', '?', '=']) {
            return Some(format!("the definition of `{}` is not a prefix", cut(key)));
        }
        self.extra.push((key.to_owned(), target.to_owned()));
        None
    }

    /// Expands a compact IRI; anything else comes back as it is.
    pub(crate) fn expand(&self, text: &str) -> String {
        if let Some((prefix, rest)) = text.split_once(':')
            && !rest.starts_with("//")
        {
            let mut all = FIXED.iter().copied().chain(self.extra.iter().map(|(p, n)| (p.as_str(), n.as_str())));
            if let Some((_, namespace)) = all.find(|(p, _)| *p == prefix) {
                return format!("{namespace}{rest}");
            }
        }
        text.to_owned()
    }

    /// What a member's name means.
    pub(crate) fn member(&self, key: &str) -> Name {
        match key {
            "@context" => return Name::Context,
            "@type" | "type" => return Name::Type,
            "@id" | "id" | "uid" => return Name::Odrl("uid".to_owned()),
            "description" | "title" | "comment" | "label" | "timestamp" => return Name::Annotation,
            "purposeVersion" => return Name::Waybill(key.to_owned()),
            _ => {}
        }
        if TERMS.contains(&key) {
            return Name::Odrl(key.to_owned());
        }
        let iri = self.expand(key);
        if let Some(local) = iri.strip_prefix(ODRL) {
            return Name::Odrl(local.to_owned());
        }
        if let Some(local) = iri.strip_prefix(WAYBILL) {
            return Name::Waybill(local.to_owned());
        }
        if iri == "http://www.w3.org/1999/02/22-rdf-syntax-ns#type" {
            return Name::Type;
        }
        if ANNOTATION.iter().any(|n| iri.starts_with(n)) {
            return Name::Annotation;
        }
        Name::Foreign(iri)
    }

    /// A value that must be an absolute IRI; `vocab` lets a bare word mean a term of ODRL.
    pub(crate) fn iri(&self, text: &str, vocab: bool) -> Option<String> {
        if vocab && !text.contains(':') && !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Some(format!("{ODRL}{text}"));
        }
        let iri = self.expand(text);
        Iri::is_valid(&iri).then_some(iri)
    }
}
