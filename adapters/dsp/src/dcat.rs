//! The hub's own catalogue for data portals, as DCAT-AP 3 tells it: what is offered to everybody who may negotiate, open to whoever asks.
//!
//! Nobody is known here, so what is for named participants, or only for those that enforce consent, is not in it. Neither are the entities
//! that an offer names: they may be people's.

use crate::catalog::{Offered, all_offers};
use crate::config::{DspConfig, Offering};
use crate::connector::segment;
use crate::vocab::{Format, ODRL, WAYBILL};
use oxrdf::{BlankNode, Graph, Literal, NamedNode, NamedOrBlankNode, Term, Triple};
use serde_json::Value;
use std::sync::Arc;
use waybill_model::Iri;

/// Prefixes and what they stand for, in both forms.
pub(crate) const PREFIXES: &[(&str, &str)] = &[
    ("dcat", DCAT),
    ("dcatap", DCATAP),
    ("dct", DCT),
    ("foaf", FOAF),
    ("odrl", ODRL),
    ("rdf", "http://www.w3.org/1999/02/22-rdf-syntax-ns#"),
    ("vcard", VCARD),
    ("waybill", WAYBILL),
    ("xsd", "http://www.w3.org/2001/XMLSchema#"),
];

const DCAT: &str = "http://www.w3.org/ns/dcat#";
const DCATAP: &str = "http://data.europa.eu/r5r/";
const DCT: &str = "http://purl.org/dc/terms/";
const FOAF: &str = "http://xmlns.com/foaf/0.1/";
const VCARD: &str = "http://www.w3.org/2006/vcard/ns#";
pub(crate) const RDF_TYPE: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type";

/// Terms of the European vocabularies of file types and access rights, and of IANA's media types.
const JSON_LD: &str = "http://publications.europa.eu/resource/authority/file-type/JSON_LD";
const RESTRICTED: &str = "http://publications.europa.eu/resource/authority/access-right/RESTRICTED";
const MEDIA_TYPE: &str = "https://www.iana.org/assignments/media-types/application/ld+json";
/// What entities follow, and what the connector does.
const NGSI_LD: &str = "https://uri.etsi.org/ngsi-ld/";
const PROTOCOL: &str = "https://w3id.org/dspace/2025/1/";

/// Where the catalogue for data portals is, below the hub's base URL.
pub(crate) const PLACE: &str = "/dsp/dcat";

/// Whether `offering` is for anybody who may negotiate at all.
fn is_public(offering: &Offering) -> bool {
    offering.to.is_empty() && !offering.needs_enforcing
}

/// The address of the catalogue, which is also its name.
pub(crate) fn place(config: &DspConfig) -> String {
    format!("{}{PLACE}", config.base_url)
}

/// The catalogue.
pub(crate) fn graph(config: &DspConfig) -> Graph {
    let mut writer = Writer { config, graph: Graph::new(), blanks: 0 };
    writer.catalog();
    writer.graph
}

struct Writer<'a> {
    config: &'a DspConfig,
    graph: Graph,
    blanks: u32,
}

/// The last part of an IRI, for people.
fn short(iri: &str) -> &str {
    iri.rsplit(['/', '#', ':']).find(|part| !part.is_empty()).unwrap_or(iri)
}

fn text(value: &str) -> Term {
    Literal::new_simple_literal(value).into()
}

/// An IRI when it is one, else a text: so that nothing from a configuration makes the whole catalogue unreadable.
fn iri_or_text(value: &str) -> Term {
    NamedNode::new(value).map_or_else(|_| text(value), Term::from)
}

impl Writer<'_> {
    fn say(&mut self, subject: &NamedOrBlankNode, namespace: &str, name: &str, object: impl Into<Term>) {
        // INVARIANT: namespaces and names are the constants of this file.
        self.graph.insert(&Triple::new(subject.clone(), NamedNode::new_unchecked(format!("{namespace}{name}")), object));
    }

    fn is_a(&mut self, subject: &NamedOrBlankNode, namespace: &str, class: &str) {
        self.say(subject, "", RDF_TYPE, NamedNode::new_unchecked(format!("{namespace}{class}")));
    }

    fn blank(&mut self) -> NamedOrBlankNode {
        self.blanks += 1;
        BlankNode::new_unchecked(format!("n{}", self.blanks)).into()
    }

    /// What a configuration names as an IRI; a name below the catalogue's own where RDF does not take it.
    fn node(&self, iri: &str) -> NamedNode {
        NamedNode::new(iri).unwrap_or_else(|_| self.below(&segment(iri)))
    }

    fn below(&self, name: &str) -> NamedNode {
        let whole = format!("{}#{name}", place(self.config));
        NamedNode::new(&whole).unwrap_or_else(|_| NamedNode::new_unchecked(format!("urn:waybill:{}", segment(name))))
    }

    fn publisher_name(&self) -> &str {
        self.config.about.name.as_deref().unwrap_or(&self.config.participant)
    }

    fn legislation(&mut self, subject: &NamedOrBlankNode, list: &[Iri]) {
        for law in list {
            let law = self.node(law.as_str());
            self.say(subject, DCATAP, "applicableLegislation", law);
        }
    }

    fn catalog(&mut self) {
        let about = &self.config.about;
        let own: NamedOrBlankNode = self.node(&place(self.config)).into();
        let publisher = self.publisher();
        let contact = self.contact();
        let service: NamedOrBlankNode = self.node(&format!("{}#service", self.config.address())).into();
        let title = about.title.clone().unwrap_or_else(|| format!("Datasets of {}", self.publisher_name()));
        let description = about.description.clone().unwrap_or_else(|| format!("What {} offers to participants of its dataspace, under agreements that they negotiate.", self.publisher_name()));
        self.is_a(&own, DCAT, "Catalog");
        self.say(&own, DCT, "title", text(&title));
        self.say(&own, DCT, "description", text(&description));
        self.say(&own, DCT, "publisher", publisher.clone());
        self.say(&own, DCAT, "service", service.clone());
        self.legislation(&own, &about.legislation);

        self.is_a(&service, DCAT, "DataService");
        self.say(&service, DCT, "title", text(&format!("Connector of {}", self.publisher_name())));
        self.say(&service, DCT, "conformsTo", NamedNode::new_unchecked(PROTOCOL));
        self.say(&service, DCT, "publisher", publisher.clone());
        let (endpoint, versions) = (self.node(&self.config.address()), self.node(&format!("{}/.well-known/dspace-version", self.config.base_url)));
        self.say(&service, DCAT, "endpointURL", endpoint);
        self.say(&service, DCAT, "endpointDescription", versions);
        if let Some(contact) = &contact {
            self.say(&own, DCAT, "contactPoint", contact.clone());
            self.say(&service, DCAT, "contactPoint", contact.clone());
        }

        let config = self.config;
        let public: Vec<&Arc<Offering>> = config.offers.iter().filter(|o| is_public(o)).collect();
        for all in public.chunk_by(|a, b| a.dataset == b.dataset) {
            let Some(dataset) = self.dataset(all, &service) else { continue };
            self.say(&own, DCAT, "dataset", dataset.clone());
            self.say(&service, DCAT, "servesDataset", dataset.clone());
            self.say(&dataset, DCT, "publisher", publisher.clone());
            if let Some(contact) = &contact {
                self.say(&dataset, DCAT, "contactPoint", contact.clone());
            }
        }
    }

    fn publisher(&mut self) -> NamedOrBlankNode {
        let about = &self.config.about;
        let id = about.party.as_ref().map_or(self.config.participant.as_str(), Iri::as_str);
        let node: NamedOrBlankNode = self.node(id).into();
        self.is_a(&node, FOAF, "Agent");
        self.say(&node, FOAF, "name", text(self.publisher_name()));
        node
    }

    /// How the operator is reached, where that is said.
    fn contact(&mut self) -> Option<NamedOrBlankNode> {
        let contact = self.config.about.contact.clone()?;
        let node: NamedOrBlankNode = self.below("contact").into();
        self.is_a(&node, VCARD, "Kind");
        self.say(&node, VCARD, "fn", text(self.publisher_name()));
        let scheme = contact.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("mailto") => self.say(&node, VCARD, "hasEmail", iri_or_text(&contact)),
            Some("tel") => self.say(&node, VCARD, "hasTelephone", iri_or_text(&contact)),
            Some("http" | "https") => self.say(&node, VCARD, "hasURL", iri_or_text(&contact)),
            _ if contact.contains('@') && !contact.contains(char::is_whitespace) => self.say(&node, VCARD, "hasEmail", iri_or_text(&format!("mailto:{contact}"))),
            _ => self.say(&node, VCARD, "note", text(&contact)),
        }
        Some(node)
    }

    /// The dataset that `all` are offerings of.
    fn dataset(&mut self, all: &[&Arc<Offering>], service: &NamedOrBlankNode) -> Option<NamedOrBlankNode> {
        let offering = all.first()?;
        let node: NamedOrBlankNode = self.node(&offering.dataset).into();
        let kinds: Vec<&str> = offering.types.iter().map(|t| short(t.as_str())).collect();
        let title = offering.title.clone().unwrap_or_else(|| offering.dataset.clone());
        let description = offering.description.clone().unwrap_or_else(|| match kinds.as_slice() {
            [] => format!("Entities of the dataset {}.", offering.dataset),
            kinds => format!("Entities of the type {}.", kinds.join(", ")),
        });
        self.is_a(&node, DCAT, "Dataset");
        self.say(&node, DCT, "title", text(&title));
        self.say(&node, DCT, "description", text(&description));
        self.say(&node, DCT, "identifier", text(&offering.dataset));
        // Nothing is had without an agreement.
        self.say(&node, DCT, "accessRights", NamedNode::new_unchecked(RESTRICTED));
        self.say(&node, DCT, "conformsTo", NamedNode::new_unchecked(NGSI_LD));
        for kind in &offering.types {
            let subject = self.node(kind.as_str());
            self.say(&node, DCT, "subject", subject);
            self.say(&node, DCAT, "keyword", text(short(kind.as_str())));
        }
        self.legislation(&node, &offering.legislation);
        for Offered { offer, .. } in all_offers(all.iter().copied()) {
            let policy = self.offer(&offer);
            self.say(&node, ODRL, "hasPolicy", policy);
        }
        let address = format!("{}/catalog/datasets/{}", self.config.address(), segment(&offering.dataset));
        for format in &offering.formats {
            let way: NamedOrBlankNode = self.node(&format!("{address}#{}", format.as_str())).into();
            let access = self.node(&address);
            self.is_a(&way, DCAT, "Distribution");
            self.say(&way, DCT, "title", text(&format!("{title} ({})", format.as_str())));
            self.say(&way, DCT, "description", text(how(*format)));
            self.say(&way, DCAT, "accessURL", access);
            self.say(&way, DCAT, "accessService", service.clone());
            self.say(&way, DCT, "format", NamedNode::new_unchecked(JSON_LD));
            self.say(&way, DCAT, "mediaType", NamedNode::new_unchecked(MEDIA_TYPE));
            // The word with which a transfer is asked for.
            self.say(&way, WAYBILL, "transferFormat", text(format.as_str()));
            self.legislation(&way, &offering.legislation);
            self.say(&node, DCAT, "distribution", way);
        }
        Some(node)
    }

    fn offer(&mut self, offer: &Value) -> NamedOrBlankNode {
        let node: NamedOrBlankNode = self.node(offer["@id"].as_str().unwrap_or_default()).into();
        self.is_a(&node, ODRL, "Offer");
        for name in ["permission", "prohibition", "obligation"] {
            for rule in offer[name].as_array().into_iter().flatten() {
                let rule = self.rule(rule);
                self.say(&node, ODRL, name, rule);
            }
        }
        node
    }

    fn rule(&mut self, rule: &Value) -> NamedOrBlankNode {
        let node = self.blank();
        self.say(&node, ODRL, "action", odrl(&rule["action"]));
        for constraint in rule["constraint"].as_array().into_iter().flatten() {
            let inner = self.blank();
            self.say(&inner, ODRL, "leftOperand", odrl(&constraint["leftOperand"]));
            self.say(&inner, ODRL, "operator", odrl(&constraint["operator"]));
            self.say(&inner, ODRL, "rightOperand", operand(&constraint["rightOperand"]));
            self.say(&node, ODRL, "constraint", inner);
        }
        for duty in rule["duty"].as_array().into_iter().flatten() {
            let duty = self.rule(duty);
            self.say(&node, ODRL, "duty", duty);
        }
        node
    }
}

/// A term of ODRL: a short name is one of its namespace.
fn odrl(value: &Value) -> Term {
    let name = value.as_str().unwrap_or_default();
    if name.contains(':') { iri_or_text(name) } else { iri_or_text(&format!("{ODRL}{name}")) }
}

fn operand(value: &Value) -> Term {
    match value {
        Value::String(name) if name.contains(':') => iri_or_text(name),
        Value::String(name) => text(name),
        Value::Object(map) => {
            let (value, kind) = (map.get("@value").and_then(Value::as_str).unwrap_or_default(), map.get("@type").and_then(Value::as_str));
            match kind.and_then(|k| NamedNode::new(k).ok()) {
                Some(kind) => Literal::new_typed_literal(value, kind).into(),
                None => text(value),
            }
        }
        other => text(&other.to_string()),
    }
}

/// How data is had in a format, in words.
const fn how(format: Format) -> &'static str {
    match format {
        Format::Pull => "The consumer fetches pages of entities.",
        Format::Push => "Everything is sent once to an address of the consumer's.",
        Format::Query => "The consumer asks the NGSI-LD interface.",
        Format::Feed => "Every change is sent to an address of the consumer's, deletions included.",
    }
}
