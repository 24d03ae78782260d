//! Purposes: our own scheme for cities, each with text for people and a link to a broader purpose of the Data Privacy Vocabulary.

use crate::diagnostic::Diagnostic;
use crate::dpv::{DPV, DPV_PURPOSES};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// The namespace of our own purposes.
pub const WAYBILL_PURPOSE: &str = "https://w3id.org/waybill/purpose#";

/// What a pair of the cover table holds when the one never lay below the other.
const NEVER: u16 = u16::MAX;
/// The most purposes in a taxonomy; the cover table has the square of it.
const MAX_PURPOSES: usize = 4_000;
/// Purposes of DPV that name no use at all, or only who profits.
const DPV_TOP: &[&str] = &["Purpose", "CommercialPurpose", "NonCommercialPurpose", "PublicBenefit"];

/// A purpose, as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose {
    /// Its IRI.
    pub iri: String,
    /// A few words in English.
    pub label: String,
    /// One sentence in English: what is done. Empty for purposes of DPV.
    pub text: String,
    /// The broader purposes' IRIs, those of DPV included.
    pub broader: Vec<String>,
    /// The version of the scheme that it came with.
    pub since: u32,
    /// Whether it is too broad to be agreed to or to be asked for.
    pub top: bool,
}

/// A taxonomy of purposes with the order "is covered by", by version of the scheme. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Purposes(Arc<Taxonomy>);

#[derive(Debug)]
struct Taxonomy {
    version: u32,
    all: Vec<Purpose>,
    index: HashMap<Box<str>, u16>,
    /// Row: the narrow one; column: the broad one; the first version in which the one lay below the other.
    cover: Vec<u16>,
}

#[derive(Deserialize)]
struct Scheme {
    version: u32,
    concepts: Vec<Concept>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Concept {
    id: String,
    since: u32,
    label: String,
    text: String,
    broader: Vec<String>,
    broad_match: String,
    #[serde(default)]
    top: bool,
    /// Versions in which a link to a broader concept came, where that was later than the concept itself.
    #[serde(default)]
    linked: HashMap<String, u32>,
}

impl Purposes {
    /// The scheme that comes with the program, and DPV 2.3. It is read once; every call gives the same.
    pub fn bundled() -> Self {
        static BUNDLED: LazyLock<Purposes> = LazyLock::new(|| {
            // INVARIANT: the text is part of the program and a test reads it; an empty taxonomy would cover nothing, so it is closed too.
            let none = || Purposes(Arc::new(Taxonomy { version: 1, all: Vec::new(), index: HashMap::new(), cover: Vec::new() }));
            Purposes::from_json(crate::PURPOSE_DOCUMENT).unwrap_or_else(|_| none())
        });
        BUNDLED.clone()
    }

    /// Reads a scheme in the form of `schemas/vocabulary/purpose.json`; DPV's purposes are added.
    ///
    /// # Errors
    /// A [`Diagnostic`] when the text has another form, names a broader purpose that is not there, or has a circle.
    pub fn from_json(text: &str) -> Result<Self, Diagnostic> {
        let fault = |message: String| Diagnostic::new("purpose-scheme-invalid", "/", message, "Compare with the scheme that comes with the program.");
        let scheme: Scheme = serde_json::from_str(text).map_err(|e| fault(format!("not a purpose scheme: line {}", e.line())))?;
        if scheme.concepts.len() + DPV_PURPOSES.len() > MAX_PURPOSES || scheme.version == 0 || scheme.version >= u32::from(NEVER) {
            return Err(fault("too many purposes, or no version from 1".to_owned()));
        }
        let mut all = Vec::new();
        let mut links: Vec<(String, String, u32)> = Vec::new();
        for &(term, broader) in DPV_PURPOSES {
            let iri = format!("{DPV}{term}");
            let broader: Vec<String> = broader.iter().map(|b| format!("{DPV}{b}")).collect();
            links.extend(broader.iter().map(|b| (iri.clone(), b.clone(), 1)));
            all.push(Purpose { iri, label: words(term), text: String::new(), broader, since: 1, top: DPV_TOP.contains(&term) });
        }
        for concept in scheme.concepts {
            let iri = format!("{WAYBILL_PURPOSE}{}", ours(&concept.id));
            if concept.since == 0 || concept.since > scheme.version {
                return Err(fault(format!("{iri} is of no version of the scheme")));
            }
            let mut broader = Vec::new();
            for b in concept.broader.iter().map(|b| (format!("{WAYBILL_PURPOSE}{}", ours(b)), b)).chain([(format!("{DPV}{}", concept.broad_match.trim_start_matches("dpv:")), &concept.broad_match)]) {
                let since = concept.linked.get(b.1).copied().unwrap_or(concept.since).max(concept.since);
                links.push((iri.clone(), b.0.clone(), since));
                broader.push(b.0);
            }
            all.push(Purpose { iri, label: concept.label, text: concept.text, broader, since: concept.since, top: concept.top });
        }
        let mut index = HashMap::new();
        for (i, p) in all.iter().enumerate() {
            let i = u16::try_from(i).map_err(|_| fault("too many purposes".to_owned()))?;
            if index.insert(p.iri.clone().into_boxed_str(), i).is_some() {
                return Err(fault(format!("{} is there twice", p.iri)));
            }
        }
        let mut up: Vec<Vec<(usize, u16)>> = vec![Vec::new(); all.len()];
        for (from, to, since) in links {
            let (Some(&a), Some(&b)) = (index.get(from.as_str()), index.get(to.as_str())) else {
                return Err(fault(format!("{from} names a broader purpose that is not there")));
            };
            up[usize::from(a)].push((usize::from(b), u16::try_from(since).unwrap_or(NEVER - 1)));
        }
        let cover = closure(&up).ok_or_else(|| fault("the broader purposes form a circle".to_owned()))?;
        Ok(Self(Arc::new(Taxonomy { version: scheme.version, all, index, cover })))
    }

    /// The newest version of the scheme.
    pub fn version(&self) -> u32 {
        self.0.version
    }

    /// All purposes, DPV's included.
    pub fn iter(&self) -> impl Iterator<Item = &Purpose> {
        self.0.all.iter()
    }

    /// The purpose of this name.
    pub fn get(&self, iri: &str) -> Option<&Purpose> {
        self.0.index.get(iri).map(|i| &self.0.all[usize::from(*i)])
    }

    /// Whether this purpose is too broad to be agreed to. A name that is not known is no top concept, and covers nothing either.
    pub fn is_top(&self, iri: &str) -> bool {
        self.get(iri).is_some_and(|p| p.top)
    }

    /// Whether whoever agreed to `broad`, when version `as_of_version` of the scheme was shown, agreed to `narrow`: they are the same, or
    /// `narrow` lay below `broad` in that version. Names that are not known are covered by nothing, themselves included.
    pub fn covers(&self, broad: &str, narrow: &str, as_of_version: u32) -> bool {
        match (self.find(broad), self.find(narrow)) {
            (Some(b), Some(n)) => u32::from(self.since(b, n)) <= as_of_version,
            _ => false,
        }
    }

    pub(crate) fn find(&self, iri: &str) -> Option<u16> {
        self.0.index.get(iri).copied()
    }

    pub(crate) fn at(&self, index: u16) -> Option<&Purpose> {
        self.0.all.get(usize::from(index))
    }

    /// The first version in which `narrow` lay below `broad`; [`u16::MAX`] for never.
    pub(crate) fn since(&self, broad: u16, narrow: u16) -> u16 {
        self.0.cover.get(usize::from(narrow) * self.0.all.len() + usize::from(broad)).copied().unwrap_or(NEVER)
    }

    /// Whether `narrow` lies below `broad` in any version.
    pub(crate) fn ever(&self, broad: u16, narrow: u16) -> bool {
        self.since(broad, narrow) != NEVER
    }
}

/// The local name of one of our purposes.
fn ours(compact: &str) -> &str {
    compact.strip_prefix("wbp:").unwrap_or(compact)
}

/// For every pair the smallest version in which a chain of links joins them; a chain is as old as its newest link.
fn closure(up: &[Vec<(usize, u16)>]) -> Option<Vec<u16>> {
    let n = up.len();
    let mut cover = vec![NEVER; n * n];
    for start in 0..n {
        // Each purpose has few ancestors, so a list that is relaxed until nothing changes is enough.
        let mut todo = vec![(start, 0u16)];
        while let Some((at, since)) = todo.pop() {
            let cell = &mut cover[start * n + at];
            if since < *cell {
                *cell = since;
                todo.extend(up[at].iter().map(|(to, s)| (*to, since.max(*s))));
            }
        }
    }
    let circle = (0..n).any(|a| (a + 1..n).any(|b| cover[a * n + b] != NEVER && cover[b * n + a] != NEVER));
    (!circle).then_some(cover)
}

/// `CombatClimateChange` → `Combat climate change`.
fn words(term: &str) -> String {
    let mut out = String::new();
    let chars: Vec<char> = term.chars().collect();
    for (i, c) in chars.iter().enumerate() {
        let next_lower = chars.get(i + 1).is_some_and(|n| n.is_lowercase());
        if i > 0 && c.is_uppercase() && (next_lower || chars[i - 1].is_lowercase()) {
            out.push(' ');
            if next_lower { out.extend(c.to_lowercase()) } else { out.push(*c) }
        } else {
            out.push(*c);
        }
    }
    out
}
