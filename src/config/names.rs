//! Short names in a configuration: `[names]` maps them to IRIs, as a JSON-LD context would.

use super::finding::{Finding, Findings};
use super::node::Node;
use super::reader::Reader;
use super::source::Place;
use std::collections::BTreeMap;
use waybill_model::{Iri, NGSI_LD};
use waybill_policy::{Purposes, WAYBILL_PURPOSE};

/// Names that NGSI-LD itself defines.
const CORE: &[&str] = &["location", "observationSpace", "operationSpace"];

/// The short names of one configuration.
pub struct Names<'a> {
    terms: BTreeMap<String, String>,
    default: Option<String>,
    purposes: Purposes,
    findings: &'a Findings,
}

impl<'a> Names<'a> {
    /// Reads `[names]`.
    pub fn read(table: Option<Reader<'_>>, findings: &'a Findings) -> Self {
        let mut names = Self { terms: BTreeMap::new(), default: None, purposes: Purposes::bundled(), findings };
        let Some(table) = table else { return names };
        for (term, _, node) in table.entries() {
            let Some(iri) = table.parse_node(node, "an absolute IRI", |t| Iri::is_valid(t).then(|| t.to_owned())) else { continue };
            if term == "default" {
                names.default = Some(iri);
            } else {
                names.terms.insert(term.to_owned(), iri);
            }
        }
        names
    }

    /// The IRI of a type or Attribute.
    pub fn name(&self, reader: &Reader<'_>, node: &Node) -> Option<Iri> {
        let text = reader.parse_node(node, "a name", |t| (!t.is_empty()).then(|| t.to_owned()))?;
        self.expand(&text, node.place)
    }

    /// The IRIs of a list of types or Attributes.
    pub fn names(&self, reader: &Reader<'_>, key: &'static str) -> Vec<Iri> {
        reader.items(key).into_iter().filter_map(|n| self.name(reader, n)).collect()
    }

    fn expand(&self, text: &str, place: Place) -> Option<Iri> {
        if let Some(iri) = self.terms.get(text) {
            return Iri::new(iri).ok();
        }
        if let Some((prefix, rest)) = text.split_once(':') {
            let whole = self.terms.get(prefix).map(|base| format!("{base}{rest}"));
            return Iri::new(whole.as_deref().unwrap_or(text)).ok();
        }
        if CORE.contains(&text) {
            return Iri::new(format!("{NGSI_LD}{text}")).ok();
        }
        match &self.default {
            Some(base) => Iri::new(format!("{base}{text}")).ok(),
            None => {
                self.findings.add(
                    Finding::error("unknown-name", place, format!("`{text}` is neither an IRI nor in [names]"))
                        .help("Add it to [names], write its full IRI, or set `default` in [names] to the IRI that such names begin with."),
                );
                None
            }
        }
    }

    /// The purposes of a list: IRIs, or words of our own scheme.
    pub fn purpose_list(&self, reader: &Reader<'_>, key: &'static str) -> Vec<(Place, Iri)> {
        reader.items(key).into_iter().filter_map(|n| self.purpose(reader, n).map(|iri| (n.place, iri))).collect()
    }

    /// One purpose. Whether it may be used is for the lint to say; here it must only be known.
    pub fn purpose(&self, reader: &Reader<'_>, node: &Node) -> Option<Iri> {
        let text = reader.parse_node(node, "a purpose", |t| (!t.is_empty()).then(|| t.to_owned()))?;
        let full = if text.contains(':') { text.clone() } else { format!("{WAYBILL_PURPOSE}{text}") };
        if self.purposes.get(&full).is_none() {
            let near: Vec<&str> = self
                .purposes
                .iter()
                .filter(|p| !p.top && p.iri.to_lowercase().contains(&text.to_lowercase()))
                .filter_map(|p| p.iri.strip_prefix(WAYBILL_PURPOSE))
                .take(5)
                .collect();
            let help = if near.is_empty() {
                "`waybill explain purposes` lists those the hub knows.".to_owned()
            } else {
                format!("Did you mean {}?", near.join(" or "))
            };
            self.findings.add(Finding::error("unknown-purpose", node.place, format!("the hub knows no purpose `{text}`")).help(help));
            return None;
        }
        Iri::new(full).ok()
    }
}
