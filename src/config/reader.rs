//! Reads a tree into typed values, going on after each error, and knows which keys were asked for.

use super::finding::{Finding, Findings};
use super::node::{Node, Table, Value};
use super::secret::Secret;
use super::source::Place;
use std::cell::RefCell;
use std::str::FromStr;
use waybill_model::{DateTime, Iri};

const SHORTEST_TOKEN: usize = 16;

/// A table being read. Call [`Reader::finish`] when all keys were asked for.
pub struct Reader<'a> {
    table: &'a Table,
    /// Where the table stands.
    pub place: Place,
    what: String,
    asked: RefCell<Vec<&'static str>>,
    findings: &'a Findings,
}

static EMPTY: Table = Table::new();

/// What the outermost table is called in messages.
pub const ROOT: &str = "the configuration";

impl<'a> Reader<'a> {
    /// Reads `node`, which should be a table called `what`.
    pub fn new(node: &'a Node, what: impl Into<String>, findings: &'a Findings) -> Self {
        let what = what.into();
        let table = if let Value::Table(table) = &node.value {
            table
        } else {
            findings.add(Finding::error("wrong-kind", node.place, format!("{what} must be a table, not {}", node.value.kind())));
            &EMPTY
        };
        Self { table, place: node.place, what, asked: RefCell::default(), findings }
    }

    /// An error about this table as a whole.
    pub fn fault(&self, code: &'static str, message: impl Into<String>, help: impl Into<String>) {
        self.findings.add(Finding::error(code, self.place, message).help(help));
    }
    /// An error about one key's value.
    pub fn fault_at(&self, key: &'static str, code: &'static str, message: impl Into<String>) {
        let place = self.table.get(key).map_or(self.place, |(_, n)| n.place);
        self.findings.add(Finding::error(code, place, message));
    }
    /// An error somewhere else, that shows while this table is read.
    pub fn fault_in(&self, code: &'static str, place: Place, message: impl Into<String>) {
        self.findings.add(Finding::error(code, place, message));
    }
    /// Where a key's value stands; the table's place when it is not there.
    pub fn place_of(&self, key: &str) -> Place {
        self.table.get(key).map_or(self.place, |(_, n)| n.place)
    }
    /// Whether a key is there.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }
    /// All keys, for tables whose keys are names.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Place, &'a Node)> {
        self.table.iter().map(|(k, (p, n))| (k.as_str(), *p, n))
    }

    fn get(&self, key: &'static str) -> Option<&'a Node> {
        self.asked.borrow_mut().push(key);
        self.table.get(key).map(|(_, n)| n)
    }
    fn missing(&self, key: &'static str, example: &str) {
        self.findings.add(Finding::error("missing-key", self.place, format!("{} needs `{key}`", self.what)).help(format!("For example: {example}")));
    }
    fn wrong(&self, node: &Node, wanted: &str) {
        self.findings.add(Finding::error("wrong-kind", node.place, format!("this must be {wanted}, not {}", node.value.kind())));
    }

    /// A text.
    pub fn text(&self, key: &'static str) -> Option<String> {
        let node = self.get(key)?;
        let Value::Text { text, .. } = &node.value else {
            self.wrong(node, "a text");
            return None;
        };
        Some(text.clone())
    }
    /// A text that must be there.
    pub fn needed_text(&self, key: &'static str, example: &str) -> Option<String> {
        if !self.has(key) {
            self.missing(key, example);
        }
        self.text(key)
    }
    /// A secret of at least 16 characters, or of any length when `theirs` says that another platform made it.
    pub fn secret(&self, key: &'static str, theirs: bool) -> Option<Secret> {
        let text = self.text(key)?;
        if !theirs && text.len() < SHORTEST_TOKEN && !self.is_unfilled(key) {
            self.fault_at(key, "weak-token", format!("a token of fewer than {SHORTEST_TOKEN} characters can be guessed"));
        }
        Some(Secret::new(text))
    }
    fn is_unfilled(&self, key: &str) -> bool {
        matches!(self.table.get(key), Some((_, Node { value: Value::Text { text, filled }, .. })) if unfilled(text, *filled))
    }
    /// A text that `FromStr` reads; `wanted` says what it should be.
    pub fn parsed<T: FromStr>(&self, key: &'static str, wanted: &str) -> Option<T> {
        let node = self.get(key)?;
        self.parse_node(node, wanted, |text| text.parse().ok())
    }
    /// The same for one node.
    pub fn parse_node<T>(&self, node: &Node, wanted: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let Value::Text { text, filled } = &node.value else {
            self.wrong(node, wanted);
            return None;
        };
        if unfilled(text, *filled) {
            return None;
        }
        let value = parse(text);
        if value.is_none() {
            let shown = if *filled { "what the variable holds".to_owned() } else { format!("`{text}`") };
            self.findings.add(Finding::error("bad-value", node.place, format!("{shown} is not {wanted}")));
        }
        value
    }
    /// An absolute IRI.
    pub fn iri(&self, key: &'static str) -> Option<Iri> {
        self.parsed(key, "an absolute IRI")
    }
    /// An `http://` or `https://` address, without a slash at its end.
    pub fn address(&self, key: &'static str) -> Option<String> {
        let node = self.get(key)?;
        self.parse_node(node, "an http:// or https:// address", |text| {
            let url = url::Url::parse(text).ok()?;
            (matches!(url.scheme(), "http" | "https") && url.host().is_some()).then(|| text.trim_end_matches('/').to_owned())
        })
    }
    /// A time.
    pub fn time(&self, key: &'static str) -> Option<DateTime> {
        let node = self.get(key)?;
        match &node.value {
            Value::DateTime(text) => {
                let time = DateTime::parse(text).ok();
                if time.is_none() {
                    self.findings.add(Finding::error("bad-value", node.place, format!("`{text}` is not a time in UTC such as 2027-06-30T00:00:00Z")));
                }
                time
            }
            _ => self.parse_node(node, "a time in UTC such as 2027-06-30T00:00:00Z", |t| DateTime::parse(t).ok()),
        }
    }
    /// A length of time in seconds: `90 s`, `15 min`, `2 h`, `30 d`.
    pub fn seconds(&self, key: &'static str) -> Option<u64> {
        let node = self.get(key)?;
        self.parse_node(node, "a length of time such as 90 s, 15 min, 2 h or 30 d", seconds)
    }
    /// Yes or no.
    pub fn flag(&self, key: &'static str) -> Option<bool> {
        let node = self.get(key)?;
        match &node.value {
            Value::Boolean(yes) => Some(*yes),
            Value::Text { filled: true, .. } => self.parse_node(node, "true or false", |t| t.parse().ok()),
            _ => {
                self.wrong(node, "true or false");
                None
            }
        }
    }
    /// A whole number from `least` to `most`.
    pub fn integer(&self, key: &'static str, least: i64, most: i64) -> Option<i64> {
        let node = self.get(key)?;
        let number = match &node.value {
            Value::Integer(number) => Some(*number),
            Value::Text { filled: true, .. } => self.parse_node(node, "a whole number", |t| t.parse().ok()),
            _ => {
                self.wrong(node, "a whole number");
                None
            }
        }?;
        if (least..=most).contains(&number) {
            return Some(number);
        }
        self.findings.add(Finding::error("bad-value", node.place, format!("this must lie between {least} and {most}")));
        None
    }
    /// A number.
    pub fn number(&self, key: &'static str) -> Option<f64> {
        let node = self.get(key)?;
        self.number_of(node)
    }
    fn number_of(&self, node: &Node) -> Option<f64> {
        match &node.value {
            Value::Integer(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => {
                self.wrong(node, "a number");
                None
            }
        }
    }
    /// A list of numbers.
    pub fn numbers(&self, key: &'static str) -> Option<Vec<f64>> {
        let node = self.get(key)?;
        let Value::List(items) = &node.value else {
            self.wrong(node, "a list of numbers");
            return None;
        };
        Some(items.iter().filter_map(|n| self.number_of(n)).collect())
    }
    /// One of some words.
    pub fn choice<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let node = self.get(key)?;
        let list: Vec<&str> = words.iter().map(|(w, _)| *w).collect();
        self.parse_node(node, &format!("one of {}", list.join(", ")), |text| words.iter().find(|(w, _)| *w == text).map(|(_, t)| *t))
    }
    /// The items of a list; a single text is a list of one.
    pub fn items(&self, key: &'static str) -> Vec<&'a Node> {
        match self.get(key) {
            None => Vec::new(),
            Some(node) => match &node.value {
                Value::List(items) => items.iter().collect(),
                Value::Text { .. } => vec![node],
                _ => {
                    self.wrong(node, "a list");
                    Vec::new()
                }
            },
        }
    }
    /// A list of texts, each with its place.
    pub fn texts(&self, key: &'static str) -> Vec<(Place, String)> {
        self.items(key).into_iter().filter_map(|n| self.parse_node(n, "a text", |t| Some(t.to_owned())).map(|t| (n.place, t))).collect()
    }
    /// A table within.
    pub fn table(&self, key: &'static str) -> Option<Reader<'a>> {
        let node = self.get(key)?;
        let what = if self.what == ROOT { format!("[{key}]") } else { format!("`{key}` of {}", self.what) };
        Some(Reader::new(node, what, self.findings))
    }
    /// Tables within, `[[key]]`.
    pub fn tables(&self, key: &'static str) -> Vec<Reader<'a>> {
        let Some(node) = self.get(key) else { return Vec::new() };
        let Value::List(items) = &node.value else {
            self.findings.add(Finding::error("wrong-kind", node.place, format!("write `[[{key}]]`, with two brackets: there may be several")));
            return Vec::new();
        };
        items
            .iter()
            .map(|n| {
                let named = match &n.value {
                    Value::Table(t) => t.get("name").and_then(|(_, n)| if let Value::Text { text, .. } = &n.value { Some(text.as_str()) } else { None }),
                    _ => None,
                };
                Reader::new(n, named.map_or_else(|| format!("[[{key}]]"), |name| format!("{key} `{name}`")), self.findings)
            })
            .collect()
    }

    /// Says which keys are not known here, with the nearest that are.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        for (key, (place, _)) in self.table {
            if asked.contains(&key.as_str()) {
                continue;
            }
            let near = asked.iter().map(|a| (distance(a, key), *a)).filter(|(d, _)| *d <= 2.max(key.len() / 4)).min();
            let help = match near {
                Some((_, near)) => format!("Did you mean `{near}`?"),
                None => {
                    let mut known: Vec<&str> = asked.to_vec();
                    known.sort_unstable();
                    known.dedup();
                    format!("Known here: {}.", known.join(", "))
                }
            };
            self.findings.add(Finding::error("unknown-key", *place, format!("{} has no `{key}`", self.what)).help(help));
        }
    }
}

/// Whether a text still waits for a variable, which was said already.
fn unfilled(text: &str, filled: bool) -> bool {
    filled && text.contains("${")
}

/// Seconds of `90 s`, `15 min`, `2 h`, `30 d`.
fn seconds(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// How many letters differ between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let next = (diagonal + usize::from(ca != *cb)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}
