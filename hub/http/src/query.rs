//! The query part of a request's address, decoded, in the order it was written; and percent-coding of one component.

use crate::problems;
use waybill_model::Problem;

/// The decoded parameters of a query, in order, names repeated as they were. Coding: `application/x-www-form-urlencoded`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    raw: String,
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Decodes `raw` (the part behind `?`).
    ///
    /// # Errors
    /// 400 when an escape is no two hexadecimal digits or the decoded text is not UTF-8.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        let mut pairs = Vec::new();
        for part in raw.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = decode(name, true).ok_or_else(|| bad_escape("query"))?;
            let value = decode(value, true).ok_or_else(|| bad_escape(&name))?;
            pairs.push((name, value));
        }
        Ok(Self { raw: raw.to_owned(), pairs })
    }
    /// The query as it was written.
    pub fn raw(&self) -> &str {
        &self.raw
    }
    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    /// Every value of `name`, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    /// Whether `name` was given, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(n, _)| n == name)
    }
    /// Every pair, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
    /// The one value of `name`.
    ///
    /// # Errors
    /// 400 when it was given more than once.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut found = self.pairs.iter().filter(|(n, _)| n == name);
        let first = found.next().map(|(_, v)| v.as_str());
        match found.next() {
            None => Ok(first),
            Some(_) => Err(problems::bad_request("this parameter may be given once").at(name)),
        }
    }
    /// The one value of `name` as a whole number.
    ///
    /// # Errors
    /// 400 when it was given more than once or is no whole number.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        self.one(name)?
            .map(|text| {
                let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                digits.then(|| text.parse().ok()).flatten().ok_or_else(|| problems::bad_request("this parameter is a whole number").at(name))
            })
            .transpose()
    }
    /// Refuses every parameter that is not among `known`.
    ///
    /// # Errors
    /// 400 naming the parameter that is not known.
    pub fn only(&self, known: &[&str]) -> Result<(), Problem> {
        match self.pairs.iter().find(|(n, _)| !known.contains(&n.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                let name: String = name.chars().take(60).collect();
                Err(problems::bad_request(format!("there is no such parameter; known are: {}", known.join(", "))).at(name))
            }
        }
    }
}

fn bad_escape(place: &str) -> Problem {
    let place: String = place.chars().take(60).collect();
    problems::bad_request("an escape must be `%` and two hexadecimal digits, and the whole must be UTF-8").at(place)
}

/// Decodes the percent escapes of a path segment; nothing when an escape is broken or the result is not UTF-8.
pub fn decode_component(text: &str) -> Option<String> {
    decode(text, false)
}

/// Escapes everything but RFC 3986's unreserved characters, so that the result is one path segment or query value.
pub fn encode_component(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len() + 8);
    for &b in text.as_bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(b));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(b >> 4)]));
            out.push(char::from(HEX[usize::from(b & 15)]));
        }
    }
    out
}

fn decode(text: &str, plus: bool) -> Option<String> {
    if !text.bytes().any(|b| b == b'%' || (plus && b == b'+')) {
        return Some(text.to_owned());
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'%' => {
                let high = hex(*bytes.get(i + 1)?)?;
                let low = hex(*bytes.get(i + 2)?)?;
                out.push(high << 4 | low);
                i += 3;
                continue;
            }
            b'+' if plus => out.push(b' '),
            b => out.push(b),
        }
        i += 1;
    }
    String::from_utf8(out).ok()
}

fn hex(b: u8) -> Option<u8> {
    char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok())
}
