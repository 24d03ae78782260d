//! Regular expressions of idPattern and q, bounded in size and time.

use crate::{MAX_PATTERN, QueryError};
use regex::{Regex, RegexBuilder};

/// A regular expression that matches anywhere in a text unless it is anchored. It is linear in time; back references are refused.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles `text`, which came in `parameter`.
    ///
    /// # Errors
    /// When it is longer than [`MAX_PATTERN`], no regular expression, or compiles to too large a program.
    pub fn parse(parameter: &'static str, text: &str) -> Result<Self, QueryError> {
        const HELP: &str = "Write a POSIX extended regular expression; back references and look-around are not supported.";
        if text.len() > MAX_PATTERN {
            return Err(QueryError::too_complex(parameter, 0, format!("the regular expression is longer than {MAX_PATTERN} bytes")));
        }
        if doubled(text) {
            return Err(QueryError::invalid(parameter, 0, "two repetitions stand one behind the other", HELP));
        }
        match RegexBuilder::new(text).size_limit(256 * 1024).dfa_size_limit(512 * 1024).nest_limit(32).build() {
            Ok(regex) => Ok(Self(regex)),
            Err(regex::Error::CompiledTooBig(_)) => Err(QueryError::too_complex(parameter, 0, "the regular expression compiles to too large a program")),
            Err(e) => {
                let line = e.to_string().lines().last().unwrap_or_default().trim().to_owned();
                Err(QueryError::invalid(parameter, 0, format!("it is no regular expression ({line})"), HELP))
            }
        }
    }
    /// Whether it matches somewhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
    /// The text that everything it matches begins with, when it is anchored and begins with plain characters.
    pub(crate) fn prefix(&self) -> Option<String> {
        let text = self.as_str().strip_prefix('^').filter(|t| !t.contains('|'))?;
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, ':' | '/' | '-' | '_' | '#' | '@');
        let mut prefix: String = text.chars().take_while(plain).collect();
        if text[prefix.len()..].starts_with(['*', '?', '{', '+']) {
            prefix.pop();
        }
        (!prefix.is_empty()).then_some(prefix)
    }
    /// Its text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}
/// Whether `*` or `+` stands directly behind another repetition, which POSIX leaves undefined and nobody means.
fn doubled(text: &str) -> bool {
    let (mut escaped, mut class, mut repeated) = (false, false, false);
    for c in text.chars() {
        let repeats = !escaped && !class && matches!(c, '*' | '+' | '?');
        if repeated && !escaped && !class && matches!(c, '*' | '+') {
            return true;
        }
        match c {
            _ if escaped => {}
            '[' => class = true,
            ']' => class = false,
            _ => {}
        }
        escaped = !escaped && c == '\\';
        repeated = repeats;
    }
    false
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}
