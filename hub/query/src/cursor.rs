//! A reading position in a query text, shared by the parsers.

use crate::{MAX_DEPTH, MAX_TERMS, MAX_TEXT, QueryError};

pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    parameter: &'static str,
    depth: usize,
    terms: usize,
}

impl<'a> Cursor<'a> {
    /// Starts to read `text`, which came in `parameter`; refuses an empty and an overlong one.
    pub(crate) fn new(parameter: &'static str, text: &'a str) -> Result<Self, QueryError> {
        if text.len() > MAX_TEXT {
            return Err(QueryError::too_complex(parameter, 0, format!("the text has {} bytes, at most {MAX_TEXT} are read", text.len())));
        }
        if text.trim().is_empty() {
            return Err(QueryError::invalid(parameter, 0, "the text is empty", "Leave the parameter out when nothing is asked."));
        }
        Ok(Self { text, at: 0, parameter, depth: 0, terms: 0 })
    }
    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }
    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }
    pub(crate) fn at_end(&self) -> bool {
        self.rest().is_empty()
    }
    pub(crate) fn eat(&mut self, token: &str) -> bool {
        let hit = self.rest().starts_with(token);
        if hit {
            self.at += token.len();
        }
        hit
    }
    /// Takes `bytes` bytes, which must end at a character's border.
    pub(crate) fn take(&mut self, bytes: usize) -> &'a str {
        let taken = &self.rest()[..bytes];
        self.at += bytes;
        taken
    }
    /// Takes all up to the first character for which `stop` holds.
    pub(crate) fn take_until(&mut self, stop: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest().find(stop).unwrap_or(self.rest().len());
        self.take(end)
    }
    pub(crate) fn expect(&mut self, token: &str, help: &str) -> Result<(), QueryError> {
        if self.eat(token) { Ok(()) } else { Err(self.unexpected(&format!("`{token}`"), help)) }
    }
    pub(crate) fn end(&self, help: &str) -> Result<(), QueryError> {
        if self.at_end() { Ok(()) } else { Err(self.unexpected("the end", help)) }
    }
    pub(crate) fn unexpected(&self, wanted: &str, help: &str) -> QueryError {
        let found = self.peek().map_or("the text ends".to_owned(), |c| format!("there is `{c}`"));
        self.invalid(format!("{wanted} was expected, but {found}"), help)
    }
    pub(crate) fn invalid(&self, message: impl Into<String>, help: &str) -> QueryError {
        QueryError::invalid(self.parameter, self.text[..self.at].chars().count() + 1, message, help)
    }
    /// Goes one level deeper.
    pub(crate) fn enter(&mut self) -> Result<(), QueryError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(QueryError::too_complex(self.parameter, self.at + 1, format!("more than {MAX_DEPTH} levels are nested")));
        }
        Ok(())
    }
    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }
    /// Counts a term or an item of a list.
    pub(crate) fn count(&mut self) -> Result<(), QueryError> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(QueryError::too_complex(self.parameter, self.at + 1, format!("more than {MAX_TERMS} terms")));
        }
        Ok(())
    }
}
