//! What a conversion could not carry over, one by one and with its place in the input.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::collections::HashMap;
use std::fmt;

/// One thing that is not in the output as it was in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Where it stands in the input: a JSON pointer (RFC 6901).
    pub place: String,
    /// What it is.
    pub what: String,
    /// What it became; `None` when it was dropped.
    pub kept: Option<String>,
    /// What this does to what is allowed.
    pub effect: Effect,
}

/// What a loss does to what is allowed. There is no effect by which more is allowed than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Less is allowed, or by fewer readers.
    Stricter,
    /// The same is allowed.
    Same,
    /// Rules are not touched; the description says less.
    Description,
}

impl Effect {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stricter => "stricter",
            Self::Same => "same",
            Self::Description => "description",
        }
    }
}

impl Serialize for Loss {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("where", &self.place)?;
        map.serialize_entry("what", &self.what)?;
        match &self.kept {
            Some(kept) => map.serialize_entry("keptAs", kept)?,
            None => map.serialize_entry("dropped", &true)?,
        }
        map.serialize_entry("effect", self.effect.name())?;
        map.end()
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.place.is_empty() { "the document" } else { &self.place };
        match &self.kept {
            Some(kept) => write!(f, "{place}: {}; kept as {kept} ({})", self.what, self.effect.name()),
            None => write!(f, "{place}: {}; dropped ({})", self.what, self.effect.name()),
        }
    }
}

/// The list as it grows.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    list: Vec<Loss>,
    /// What has been said of each place.
    said: HashMap<String, Vec<usize>>,
}

impl Losses {
    pub(crate) fn dropped(&mut self, place: &str, what: impl Into<String>, effect: Effect) {
        self.add(Loss { place: place.to_owned(), what: what.into(), kept: None, effect });
    }
    pub(crate) fn kept(&mut self, place: &str, what: impl Into<String>, kept: impl Into<String>, effect: Effect) {
        self.add(Loss { place: place.to_owned(), what: what.into(), kept: Some(kept.into()), effect });
    }
    fn add(&mut self, loss: Loss) {
        let said = self.said.entry(loss.place.clone()).or_default();
        // A node of a @graph that is used in two places is read twice.
        if !said.iter().any(|at| self.list[*at] == loss) {
            said.push(self.list.len());
            self.list.push(loss);
        }
    }
    /// Whether the report names this very place.
    pub(crate) fn names(&self, place: &str) -> bool {
        self.said.contains_key(place)
    }
    pub(crate) fn into_list(self) -> Vec<Loss> {
        self.list
    }
}
