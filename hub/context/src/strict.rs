//! JSON-LD expansion where nothing may be lost: for texts of which a part that is dropped makes the rest say more than was meant.

use crate::compile::{is_keyword, keyword_like};
use crate::context::Context;
use crate::core::bundled;
use crate::error::DecodeError;
use crate::expand::{read, refuse};
use crate::oracle;
use crate::tape::{Item, Kind};
use serde_json::Value;
use std::collections::HashSet;

/// As [`crate::expand_jsonld_generally`], but what others drop is refused: by name a member that means nothing under its @context or that any
/// @context in force cuts off (maps to null), and null. A reference within the document to an @context that is not bundled is refused by name too.
///
/// # Errors
/// As [`crate::expand_jsonld`], and for what would be lost.
pub fn expand_jsonld_strictly(text: &str, context: &Context) -> Result<String, DecodeError> {
    let tape = read(text)?;
    let mut survey = Survey::default();
    for local in context.locals.iter().filter_map(|l| l.body.as_deref()) {
        survey.context(local);
    }
    let document: Value = serde_json::from_str(text).map_err(|_| refuse("it is no JSON".to_owned()))?;
    survey.embedded(&document, true);
    if let Some(url) = survey.missing {
        let url: String = url.chars().take(200).collect();
        return Err(refuse(format!("the @context {url}, named within it, is not at hand; name it at the top or write its terms out")));
    }
    kept(tape.root(), &survey.cut).map_err(refuse)?;
    oracle::expand(text, context, true).map_err(refuse)
}

/// What @contexts do beside giving terms a meaning.
#[derive(Default)]
struct Survey {
    /// The terms that are cut off.
    cut: HashSet<String>,
    /// A reference that leads nowhere.
    missing: Option<String>,
}

impl Survey {
    fn context(&mut self, context: &Value) {
        match context {
            Value::String(url) if bundled(url).is_none() => self.missing = Some(url.clone()),
            Value::Array(all) => all.iter().for_each(|one| self.context(one)),
            Value::Object(map) => {
                map.get("@import").into_iter().for_each(|import| self.context(import));
                for (name, definition) in map.iter().filter(|(name, _)| !name.starts_with('@')) {
                    if definition.is_null() || definition.get("@id").is_some_and(Value::is_null) {
                        self.cut.insert(name.clone());
                    }
                    definition.get("@context").into_iter().for_each(|scoped| self.context(scoped));
                }
            }
            _ => {}
        }
    }

    /// The @contexts within a document; the one at its top acts through what it was resolved to.
    fn embedded(&mut self, value: &Value, top: bool) {
        match value {
            Value::Array(all) => all.iter().for_each(|one| self.embedded(one, top)),
            Value::Object(map) => map.iter().for_each(|(name, inner)| match name.as_str() {
                "@context" if top => {}
                "@context" => self.context(inner),
                _ => self.embedded(inner, false),
            }),
            _ => {}
        }
    }
}

/// Refuses what every processor drops without a word.
fn kept(item: Item<'_, '_>, cut: &HashSet<String>) -> Result<(), String> {
    match item.kind() {
        Kind::Null => Err("null says nothing and would be lost".to_owned()),
        Kind::Array => item.items().try_for_each(|one| kept(one, cut)),
        Kind::Object => item.members().try_for_each(|(name, value)| {
            let name = name.text().unwrap_or_default();
            if name == "@context" {
                return Ok(());
            }
            let lost = (keyword_like(&name) && !is_keyword(&name)) || cut.contains(name.as_ref());
            if lost { Err(oracle::meaningless(&name)) } else { kept(value, cut) }
        }),
        _ => Ok(()),
    }
}
