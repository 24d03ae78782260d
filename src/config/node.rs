//! A configuration as a tree that remembers where everything stood; overlays laid over it; variables put in.

use super::finding::{Finding, Findings};
use super::source::{Place, Sources};
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where.
    pub place: Place,
    /// What.
    pub value: Value,
}

/// The values of TOML, as far as a configuration needs to tell them apart.
#[derive(Debug, Clone)]
pub enum Value {
    /// A text; `filled` when a variable or file went into it, so that it must not be printed.
    Text {
        /// The text.
        text: String,
        /// Whether it must not be printed.
        filled: bool,
    },
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// Yes or no.
    Boolean(bool),
    /// A date or time, as written.
    DateTime(String),
    /// A list.
    List(Vec<Node>),
    /// A table.
    Table(Table),
}

/// A table: each key with its own place.
pub type Table = BTreeMap<String, (Place, Node)>;

impl Value {
    /// What kind of value it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text { .. } => "a text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Boolean(_) => "true or false",
            Self::DateTime(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Parses one file. Every syntax error becomes a finding; what could be read is given back all the same.
pub fn parse(sources: &Sources, file: usize, findings: &Findings) -> Node {
    let text = sources.text(file);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let place = Place { file, start: span.start.min(text.len()), end: span.end.min(text.len()) };
        findings.add(Finding::error("toml-syntax", place, error.message().to_owned()));
    }
    let span = table.span();
    Node { place: Place { file, start: span.start, end: span.end.min(span.start + 1) }, value: table_of(file, table.into_inner()) }
}

fn table_of(file: usize, table: DeTable<'_>) -> Value {
    let entries = table.into_iter().map(|(key, value)| {
        let place = Place { file, start: key.span().start, end: key.span().end };
        let span = value.span();
        let node = Node { place: Place { file, start: span.start, end: span.end }, value: value_of(file, value.into_inner()) };
        (key.into_inner().into_owned(), (place, node))
    });
    Value::Table(entries.collect())
}

fn value_of(file: usize, value: DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text { text: text.into_owned(), filled: false },
        DeValue::Integer(number) => {
            let digits = number.as_str();
            i64::from_str_radix(digits, number.radix()).map_or_else(|_| Value::Text { text: digits.to_owned(), filled: false }, Value::Integer)
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(yes) => Value::Boolean(yes),
        DeValue::Datetime(at) => Value::DateTime(at.to_string()),
        DeValue::Array(items) => Value::List(
            items
                .into_iter()
                .map(|item| {
                    let span = item.span();
                    Node { place: Place { file, start: span.start, end: span.end }, value: value_of(file, item.into_inner()) }
                })
                .collect(),
        ),
        DeValue::Table(table) => table_of(file, table),
    }
}

/// Lays `over` on `base`: tables key by key, lists of tables by their `name`, everything else replaced.
pub fn merge(base: &mut Node, over: Node) {
    match (&mut base.value, over.value) {
        (Value::Table(below), Value::Table(above)) => {
            for (key, (place, node)) in above {
                match below.get_mut(&key) {
                    Some((_, existing)) => merge(existing, node),
                    None => {
                        below.insert(key, (place, node));
                    }
                }
            }
        }
        (Value::List(below), Value::List(above)) if above.iter().all(|n| name_of(n).is_some()) && below.iter().all(|n| name_of(n).is_some()) => {
            for node in above {
                match below.iter_mut().find(|b| name_of(b) == name_of(&node)) {
                    Some(existing) => merge(existing, node),
                    None => below.push(node),
                }
            }
        }
        (_, value) => *base = Node { place: over.place, value },
    }
}

fn name_of(node: &Node) -> Option<&str> {
    let Value::Table(table) = &node.value else { return None };
    match &table.get("name")?.1.value {
        Value::Text { text, .. } => Some(text),
        _ => None,
    }
}

/// Puts in `${VAR}`, `${VAR:-default}` and `${file:path}` wherever a text stands. `$${` is a plain `${`. Only parsed values are filled,
/// so that nothing in a variable can become a key or a table.
pub fn fill(node: &mut Node, sources: &Sources, variable: &dyn Fn(&str) -> Option<String>, findings: &Findings) {
    match &mut node.value {
        Value::Text { text, filled } if text.contains("${") => match filled_text(text, node.place, sources, variable, findings) {
            Ok((new, used)) => {
                *text = new;
                *filled = used;
            }
            Err(finding) => {
                findings.add(finding);
                // Something must stand here, so that the rest can be checked.
                *filled = true;
            }
        },
        Value::List(items) => items.iter_mut().for_each(|n| fill(n, sources, variable, findings)),
        Value::Table(table) => table.values_mut().for_each(|(_, n)| fill(n, sources, variable, findings)),
        _ => {}
    }
}

fn filled_text(
    text: &str,
    place: Place,
    sources: &Sources,
    variable: &dyn Fn(&str) -> Option<String>,
    findings: &Findings,
) -> Result<(String, bool), Finding> {
    let mut out = String::new();
    let mut rest = text;
    let mut used = false;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at - 1]);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else {
            return Err(Finding::error("variable-syntax", place, "a `${` is not closed").help("Write `$${` for a plain `${`."));
        };
        let name = &rest[at + 2..at + end];
        rest = &rest[at + end + 1..];
        used = true;
        if let Some(path) = name.strip_prefix("file:") {
            let full = sources.folder(place.file).join(path);
            match std::fs::read_to_string(&full) {
                Ok(content) => {
                    let content = content.trim_end_matches(['\r', '\n']);
                    findings.hide(content);
                    out.push_str(content);
                }
                Err(e) => {
                    return Err(Finding::error("variable-file", place, format!("the file {} cannot be read: {}", full.display(), e.kind()))
                        .help("A path is taken from the folder of this configuration file."));
                }
            }
            continue;
        }
        let (name, default) = name.split_once(":-").map_or((name, None), |(n, d)| (n, Some(d)));
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(Finding::error("variable-syntax", place, format!("`{name}` is not the name of a variable")));
        }
        // As in a shell, an empty variable takes the default too.
        match (variable(name).filter(|v| default.is_none() || !v.is_empty()), default) {
            (Some(value), _) => {
                findings.hide(&value);
                out.push_str(&value);
            }
            (None, Some(default)) => out.push_str(default),
            (None, None) => {
                return Err(Finding::error("variable-missing", place, format!("the variable {name} is not set"))
                    .help(format!("Set it, or write `${{{name}:-default}}`.")));
            }
        }
    }
    out.push_str(rest);
    Ok((out, used))
}
