//! The NGSI-LD core @contexts, made from one table of terms (`schemas/contexts/core.tsv`).

use crate::dspace;
use serde_json::{Map, Value, json};
use std::sync::{Arc, OnceLock};
use waybill_model::DEFAULT_VOCAB;

const TABLE: &str = include_str!("../../../schemas/contexts/core.tsv");
const PROOF: &str = include_str!("../../../schemas/contexts/proof.json");
const STEM: &str = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context";
/// The @context that the scoped part of `ngsildproof` names.
pub(crate) const DATA_INTEGRITY: &str = "https://w3id.org/security/data-integrity/v2";

/// A version of the core @context that was published: 1.0, 1.3, 1.4, 1.6, 1.7, 1.8 or 1.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CoreVersion(u8);

impl CoreVersion {
    /// All versions, oldest first.
    pub const ALL: [Self; 7] = [Self(0), Self(3), Self(4), Self(6), Self(7), Self(8), Self(9)];
    /// The newest one: what the unversioned URL means, and what acts when a document names none.
    pub const LATEST: Self = Self(9);

    /// The version that `url` names, and whether it had to take the next lower one. Nothing when `url` is no core @context: it must be
    /// exactly `…/ngsi-ld-core-context.jsonld` or `…-v1.N.jsonld` with N up to 9.
    pub fn of_url(url: &str) -> Option<(Self, bool)> {
        let rest = url.strip_prefix(STEM).or_else(|| url.strip_prefix("http://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context"))?;
        let name = rest.strip_suffix(".jsonld")?;
        if name.is_empty() {
            return Some((Self::LATEST, false));
        }
        let minor = name.strip_prefix("-v1.")?;
        let &[digit @ b'0'..=b'9'] = minor.as_bytes() else {
            return None;
        };
        let asked = Self(digit - b'0');
        let taken = Self::ALL.into_iter().rev().find(|v| *v <= asked)?;
        Some((taken, taken != asked))
    }

    /// The URL of this version.
    pub fn url(self) -> String {
        format!("{STEM}-v1.{}.jsonld", self.0)
    }

    /// The minor number.
    pub const fn minor(self) -> u8 {
        self.0
    }

    /// The document: `{"@context": {…}}`.
    pub fn document(self) -> Arc<Value> {
        static MADE: OnceLock<Vec<Arc<Value>>> = OnceLock::new();
        let made = MADE.get_or_init(|| Self::ALL.into_iter().map(|v| Arc::new(v.make())).collect());
        // INVARIANT: a CoreVersion is only made from ALL.
        Self::ALL.iter().position(|v| *v == self).map_or_else(|| Arc::new(self.make()), |at| made[at].clone())
    }

    fn make(self) -> Value {
        let mut context = Map::new();
        if self.0 >= 8 {
            context.insert("@version".into(), json!(1.1));
            context.insert("@protected".into(), json!(true));
        }
        context.insert("@vocab".into(), json!(DEFAULT_VOCAB));
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let mut columns = line.split('\t');
            let mut next = || columns.next().unwrap_or("-");
            let (term, from, to, iri, kind, container) = (next(), next(), next(), next(), next(), next());
            if self.0 < minor(from) || (to != "-" && self.0 > minor(to)) {
                continue;
            }
            let mut definition = Map::new();
            for (name, held) in [("@type", kind), ("@container", container)] {
                if held != "-" {
                    definition.insert(name.into(), json!(held));
                }
            }
            if term == "ngsildproof" {
                definition.insert("@context".into(), proof()["ngsildproof"].clone());
            }
            let definition = if definition.is_empty() {
                json!(iri)
            } else {
                definition.insert("@id".into(), json!(iri));
                Value::Object(definition)
            };
            context.insert(term.into(), definition);
        }
        json!({ "@context": context })
    }
}

fn minor(version: &str) -> u8 {
    version.rsplit_once('.').and_then(|(_, n)| n.parse().ok()).unwrap_or(u8::MAX)
}

fn proof() -> &'static Value {
    static READ: OnceLock<Value> = OnceLock::new();
    // INVARIANT: the file is bundled, and a test reads it.
    READ.get_or_init(|| serde_json::from_str(PROOF).unwrap_or(Value::Null))
}

/// A document that is bundled beside the core: the data-integrity vocabulary of W3C, and what messages of a dataspace name.
pub(crate) fn bundled(url: &str) -> Option<Arc<Value>> {
    static MADE: OnceLock<Arc<Value>> = OnceLock::new();
    if url == DATA_INTEGRITY {
        return Some(MADE.get_or_init(|| Arc::new(json!({ "@context": proof()[DATA_INTEGRITY] }))).clone());
    }
    dspace::documents().get(url).cloned()
}

/// The URLs of all that is bundled beside the core.
pub(crate) fn bundled_urls() -> impl Iterator<Item = &'static str> {
    std::iter::once(DATA_INTEGRITY).chain(dspace::documents().keys().copied())
}
