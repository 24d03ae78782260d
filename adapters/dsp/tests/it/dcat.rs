//! The catalogue for data portals: what DCAT-AP 3 asks for is there, the same in both forms, and what is not for everybody is in neither.

use super::stand::{Stand, iri, offering, settings};
use json_ld::rdf_types::{RdfDisplay, generator};
use json_ld::syntax::{Parse, Value as Syntax};
use json_ld::{JsonLdProcessor, Loader, NoLoader, RemoteDocument};
use oxrdf::dataset::CanonicalizationAlgorithm;
use oxrdf::{Graph, NamedNodeRef, NamedOrBlankNode, TermRef};
use oxttl::{NTriplesParser, TurtleParser};
use serde_json::Value;
use std::fmt::Write;
use std::sync::Arc;
use waybill_dsp::{About, Format, MockIdentity, Offering};

const PREFIXES: &[(&str, &str)] = &[
    ("dcat", "http://www.w3.org/ns/dcat#"),
    ("dcatap", "http://data.europa.eu/r5r/"),
    ("dct", "http://purl.org/dc/terms/"),
    ("foaf", "http://xmlns.com/foaf/0.1/"),
    ("odrl", "http://www.w3.org/ns/odrl/2/"),
    ("rdf", "http://www.w3.org/1999/02/22-rdf-syntax-ns#"),
    ("vcard", "http://www.w3.org/2006/vcard/ns#"),
];
const LAW: &str = "http://data.europa.eu/eli/reg_impl/2023/138/oj";
const SECRET: &[&str] = &["urn:dataset:named", "urn:dataset:enforcing", "urn:ngsi-ld:Meter:anna", "did:web:friend.example"];

/// What stands in the profile for a property of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Mandatory,
    Recommended,
}
use Level::{Mandatory, Recommended};

/// What values a property takes, and how many of them at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Node,
    /// A node that is of this class.
    Of(&'static str),
}

/// A property of a class: how much it is wanted, its values, how many at most, and whether we give it, or why not.
type Property = (&'static str, &'static str, Level, Kind, Option<u32>, Result<(), &'static str>);

/// The mandatory and recommended properties of DCAT-AP 3.0.
const PROFILE: &[Property] = &[
    ("dcat:Catalog", "dct:title", Mandatory, Kind::Text, None, Ok(())),
    ("dcat:Catalog", "dct:description", Mandatory, Kind::Text, None, Ok(())),
    ("dcat:Catalog", "dct:publisher", Mandatory, Kind::Of("foaf:Agent"), Some(1), Ok(())),
    ("dcat:Catalog", "dcat:dataset", Recommended, Kind::Of("dcat:Dataset"), None, Ok(())),
    ("dcat:Catalog", "dcat:service", Recommended, Kind::Of("dcat:DataService"), None, Ok(())),
    ("dcat:Catalog", "dct:issued", Recommended, Kind::Text, Some(1), Err("the hub does not know since when it is published")),
    ("dcat:Catalog", "dct:modified", Recommended, Kind::Text, Some(1), Err("a configuration has no date")),
    ("dcat:Catalog", "dct:language", Recommended, Kind::Node, None, Err("nobody says in which language the titles are")),
    ("dcat:Catalog", "dct:license", Recommended, Kind::Node, Some(1), Err("nobody says under which licence the catalogue is")),
    ("dcat:Catalog", "dct:spatial", Recommended, Kind::Node, None, Err("nobody says which place it is about")),
    ("dcat:Catalog", "dcat:themeTaxonomy", Recommended, Kind::Node, None, Err("no theme is claimed")),
    ("dcat:Catalog", "foaf:homepage", Recommended, Kind::Node, Some(1), Err("a hub has no page for people")),
    ("dcat:Dataset", "dct:title", Mandatory, Kind::Text, None, Ok(())),
    ("dcat:Dataset", "dct:description", Mandatory, Kind::Text, None, Ok(())),
    ("dcat:Dataset", "dcat:contactPoint", Recommended, Kind::Of("vcard:Kind"), None, Ok(())),
    ("dcat:Dataset", "dcat:distribution", Recommended, Kind::Of("dcat:Distribution"), None, Ok(())),
    ("dcat:Dataset", "dcat:keyword", Recommended, Kind::Text, None, Ok(())),
    ("dcat:Dataset", "dct:publisher", Recommended, Kind::Of("foaf:Agent"), Some(1), Ok(())),
    ("dcat:Dataset", "dct:spatial", Recommended, Kind::Node, None, Err("nobody says which place it is about")),
    ("dcat:Dataset", "dct:temporal", Recommended, Kind::Node, None, Err("entities are of now")),
    ("dcat:Dataset", "dcat:theme", Recommended, Kind::Node, None, Err("a type is a subject; which of the European themes it falls under nobody says")),
    ("dcat:Distribution", "dcat:accessURL", Mandatory, Kind::Node, None, Ok(())),
    ("dcat:Distribution", "dct:description", Recommended, Kind::Text, None, Ok(())),
    ("dcat:Distribution", "dct:format", Recommended, Kind::Node, Some(1), Ok(())),
    ("dcat:Distribution", "dct:license", Recommended, Kind::Node, Some(1), Err("the terms are the offer")),
    ("dcat:Distribution", "dcatap:availability", Recommended, Kind::Node, Some(1), Err("nobody says for how long")),
    ("dcat:DataService", "dct:title", Mandatory, Kind::Text, None, Ok(())),
    ("dcat:DataService", "dcat:endpointURL", Mandatory, Kind::Node, None, Ok(())),
    ("dcat:DataService", "dcat:endpointDescription", Recommended, Kind::Node, None, Ok(())),
    ("dcat:DataService", "dcat:servesDataset", Recommended, Kind::Of("dcat:Dataset"), None, Ok(())),
    ("foaf:Agent", "foaf:name", Mandatory, Kind::Text, None, Ok(())),
    ("foaf:Agent", "dct:type", Recommended, Kind::Node, Some(1), Err("nobody says what kind of body it is")),
];

fn whole(name: &str) -> String {
    let (prefix, rest) = name.split_once(':').expect("a prefix");
    let (_, namespace) = PREFIXES.iter().find(|(p, _)| *p == prefix).expect("a known prefix");
    format!("{namespace}{rest}")
}

fn of_class(graph: &Graph, class: &str) -> Vec<NamedOrBlankNode> {
    let (kind, class) = (whole("rdf:type"), whole(class));
    let class = NamedNodeRef::new(&class).expect("an IRI");
    graph.subjects_for_predicate_object(NamedNodeRef::new(&kind).expect("an IRI"), class).map(oxrdf::NamedOrBlankNodeRef::into_owned).collect()
}

fn values<'a>(graph: &'a Graph, node: &'a NamedOrBlankNode, property: &str) -> Vec<TermRef<'a>> {
    let property = whole(property);
    let found: Vec<_> = graph.triples_for_subject(node.as_ref()).filter(|t| t.predicate.as_str() == property).map(|t| t.object).collect();
    found
}

fn texts(graph: &Graph, node: &NamedOrBlankNode, property: &str) -> Vec<String> {
    let mut out: Vec<String> = values(graph, node, property)
        .into_iter()
        .map(|term| match term {
            TermRef::Literal(l) => l.value().to_owned(),
            TermRef::NamedNode(n) => n.as_str().to_owned(),
            TermRef::BlankNode(_) => "[]".to_owned(),
        })
        .collect();
    out.sort();
    out
}

fn turtle(bytes: &[u8]) -> Graph {
    TurtleParser::new().for_slice(bytes).collect::<Result<_, _>>().expect("Turtle")
}

/// The graph of a JSON-LD document, as the general processor tells it; it may load nothing.
async fn json_ld(text: &str) -> Graph {
    json_ld_with(text, &NoLoader).await
}

/// The same, with contexts from `loader`.
pub async fn json_ld_with(text: &str, loader: &impl Loader) -> Graph {
    let (document, _) = Syntax::parse_str(text).expect("JSON");
    let document: RemoteDocument = RemoteDocument::new(None, None, document);
    let mut blanks = generator::Blank::new();
    let mut rdf = document.to_rdf(&mut blanks, loader).await.expect("JSON-LD");
    let mut lines = String::new();
    for quad in rdf.cloned_quads() {
        let _ = writeln!(lines, "{} {} {} .", quad.0.rdf_display(), quad.1.rdf_display(), quad.2.rdf_display());
    }
    NTriplesParser::new().for_slice(lines.as_bytes()).collect::<Result<_, _>>().expect("triples")
}

pub fn canonical(mut graph: Graph) -> Vec<String> {
    graph.canonicalize(CanonicalizationAlgorithm::Unstable);
    let mut out: Vec<String> = graph.iter().map(|t| t.to_string()).collect();
    out.sort();
    out
}

fn town() -> About {
    About {
        party: Some(iri("https://city-a.example/#city")),
        name: Some("City \"A\"".to_owned()),
        contact: Some("data@city-a.example".to_owned()),
        title: None,
        description: None,
        legislation: Vec::new(),
        open_data: true,
    }
}

/// A personal dataset for two purposes, one of few words, one with a name that is no IRI, and two that are not for everybody.
fn offers() -> Vec<Offering> {
    let purpose = |name: &str| iri(&format!("https://w3id.org/waybill/purpose#{name}"));
    vec![
        Offering {
            personal: true,
            purposes: vec![purpose("EnergyAdvice"), purpose("GridOperation")],
            description: Some("What households use.\nBy the hour.".to_owned()),
            legislation: vec![iri(LAW)],
            formats: Format::ALL.to_vec(),
            until: Some(waybill_model::DateTime::parse("2027-12-31T00:00:00Z").expect("a time")),
            ids: vec![iri("urn:ngsi-ld:Meter:anna")],
            ..offering("urn:dataset:meters", Some("Meters \\ <b>\u{fc}ber</b> \"all\""), "https://w3id.org/example/EnergyMeter")
        },
        offering("urn:dataset:air", None, "https://w3id.org/example/AirQuality"),
        offering("air of \"today\" <x>", None, "urn:types:Air"),
        Offering { to: vec!["did:web:friend.example".to_owned()], ..offering("urn:dataset:named", None, "urn:types:Named") },
        Offering { needs_enforcing: true, ..offering("urn:dataset:enforcing", None, "urn:types:Enforcing") },
    ]
}

async fn stand(about: About, offers: Vec<Offering>) -> Stand {
    let us = Stand::new("did:web:hub.city-a.example", Vec::new(), Vec::new()).await;
    let mut config = settings("did:web:hub.city-a.example", &us.url, Vec::new(), offers);
    config.about = about;
    us.connector.replace(config, Arc::new(MockIdentity));
    us
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_profile_asks_for_is_there() {
    let us = stand(town(), offers()).await;
    let graph = turtle(&us.get("/dsp/dcat", Some("text/turtle")).await.body);
    for (class, property, level, kind, most, ours) in PROFILE {
        let nodes = of_class(&graph, class);
        assert!(!nodes.is_empty(), "{class}");
        assert!(*level == Recommended || ours.is_ok(), "{class} {property} must be given");
        for node in &nodes {
            let found = values(&graph, node, property);
            if let Err(why) = ours {
                assert!(found.is_empty() && !why.is_empty(), "{class} {property} is given after all");
                continue;
            }
            assert!(!found.is_empty(), "{node} of {class} lacks {property}");
            assert!(most.is_none_or(|most| found.len() <= most as usize), "{node} has {property} {} times", found.len());
            for value in found {
                let good = match (kind, value) {
                    (Kind::Text, TermRef::Literal(text)) => !text.value().trim().is_empty(),
                    (Kind::Node, TermRef::NamedNode(_) | TermRef::BlankNode(_)) => true,
                    (Kind::Of(class), TermRef::NamedNode(node)) => of_class(&graph, class).contains(&node.into_owned().into()),
                    _ => false,
                };
                assert!(good, "{node} {property} {value}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_say_the_same_and_what_was_configured() {
    let us = stand(About { title: Some("Data of A".to_owned()), legislation: vec![iri(LAW)], ..town() }, offers()).await;
    let text = us.get("/dsp/dcat", Some("text/turtle")).await;
    let tree = us.get("/dsp/dcat", None).await;
    assert_eq!((text.header("content-type"), tree.header("content-type")), (Some("text/turtle"), Some("application/ld+json")));
    let graph = turtle(&text.body);
    let of_tree = json_ld(std::str::from_utf8(&tree.body).expect("text")).await;
    assert!(graph.len() > 100, "{} triples", graph.len());
    assert_eq!(canonical(graph.clone()), canonical(of_tree));
    for whole in [&text.body, &tree.body] {
        let whole = String::from_utf8_lossy(whole);
        for secret in SECRET {
            assert!(!whole.contains(secret), "{secret} is not for everybody");
        }
    }

    let document: Value = tree.json().expect("JSON");
    assert_eq!(document["@type"], "dcat:Catalog", "{document}");
    let datasets = document["dcat:dataset"].as_array().expect("datasets");
    assert_eq!(datasets.len(), 3);
    assert!(datasets.iter().all(|d| d["dct:title"].is_string()), "each stands whole below the catalogue: {document}");

    let meters: NamedOrBlankNode = oxrdf::NamedNode::new("urn:dataset:meters").expect("an IRI").into();
    assert_eq!(texts(&graph, &meters, "dct:title"), ["Meters \\ <b>\u{fc}ber</b> \"all\""]);
    assert_eq!(texts(&graph, &meters, "dct:description"), ["What households use.\nBy the hour."]);
    assert_eq!(texts(&graph, &meters, "dct:identifier"), ["urn:dataset:meters"]);
    assert_eq!(texts(&graph, &meters, "dct:subject"), ["https://w3id.org/example/EnergyMeter"]);
    assert_eq!(texts(&graph, &meters, "dcatap:applicableLegislation"), [LAW]);
    assert_eq!(texts(&graph, &meters, "dcat:distribution").len(), 4);
    assert_eq!(texts(&graph, &meters, "odrl:hasPolicy").len(), 2, "an offer for each purpose");
    let kinds = |subject: &NamedOrBlankNode| texts(&graph, subject, "dcat:keyword");
    assert_eq!(kinds(&meters), ["EnergyMeter"]);
    // The terms: for a purpose, under a valid tag, until a time, and not to be passed on.
    let (mut operands, mut rights, mut actions) = (Vec::new(), Vec::new(), Vec::new());
    for triple in &graph {
        match triple.predicate.as_str().strip_prefix("http://www.w3.org/ns/odrl/2/") {
            Some("leftOperand") => operands.push(triple.object.to_string()),
            Some("rightOperand") => rights.push(triple.object.to_string()),
            Some("action") => actions.push(triple.object.to_string()),
            _ => {}
        }
    }
    for list in [&mut operands, &mut rights, &mut actions] {
        list.sort();
        list.dedup();
    }
    let odrl = |name: &str| format!("<http://www.w3.org/ns/odrl/2/{name}>");
    assert_eq!(operands, [odrl("dateTime"), odrl("purpose"), "<https://w3id.org/waybill/ns#consentTag>".to_owned()]);
    assert_eq!(actions, [odrl("delete"), odrl("distribute"), odrl("inform"), odrl("use")]);
    assert!(rights.contains(&"\"2027-12-31T00:00:00Z\"^^<http://www.w3.org/2001/XMLSchema#dateTime>".to_owned()), "{rights:?}");
    assert!(rights.contains(&"<https://w3id.org/waybill/purpose#EnergyAdvice>".to_owned()), "{rights:?}");

    let catalog = &of_class(&graph, "dcat:Catalog")[0];
    assert_eq!(texts(&graph, catalog, "dct:title"), ["Data of A"]);
    assert_eq!(texts(&graph, catalog, "dcatap:applicableLegislation"), [LAW]);
    assert_eq!(texts(&graph, &of_class(&graph, "foaf:Agent")[0], "foaf:name"), ["City \"A\""]);
    assert_eq!(texts(&graph, &of_class(&graph, "vcard:Kind")[0], "vcard:hasEmail"), ["mailto:data@city-a.example"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_chooses_the_form() {
    let us = stand(town(), offers()).await;
    let table = [
        ("*/*", Some("application/ld+json")),
        ("application/*", Some("application/ld+json")),
        ("text/*", Some("text/turtle")),
        ("text/turtle;q=0.4, application/ld+json;q=0.3", Some("text/turtle")),
        ("*/*;q=0.1, application/json", Some("application/json")),
        ("TEXT/TURTLE", Some("text/turtle")),
        ("application/ld+json;q=0, */*", Some("text/turtle")),
        ("application/rdf+xml", None),
        ("text/turtle;q=0", None),
    ];
    for (accept, wanted) in table {
        let answer = us.get("/dsp/dcat", Some(accept)).await;
        match wanted {
            Some(kind) => assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some(kind)), "{accept}"),
            None => assert_eq!((answer.status.as_u16(), answer.json::<Value>().expect("JSON")["code"].clone()), (406, "not-acceptable".into()), "{accept}"),
        }
    }
    let (one, two) = (us.get("/dsp/dcat", None).await, us.get("/dsp/dcat", None).await);
    assert_eq!(one.header("etag"), two.header("etag"), "the same catalogue is the same text");
    assert!(one.header("etag").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_of_few_words_is_told_too() {
    let us = stand(About { open_data: true, ..About::default() }, Vec::new()).await;
    let (text, tree) = (us.get("/dsp/dcat", Some("text/turtle")).await, us.get("/dsp/dcat", None).await);
    let graph = turtle(&text.body);
    assert_eq!(canonical(graph.clone()), canonical(json_ld(std::str::from_utf8(&tree.body).expect("text")).await));
    assert_eq!(of_class(&graph, "dcat:Dataset"), []);
    assert_eq!(of_class(&graph, "vcard:Kind"), [], "no contact is made up");
    assert_eq!(texts(&graph, &of_class(&graph, "foaf:Agent")[0], "foaf:name"), ["did:web:hub.city-a.example"]);
    for (contact, property, value) in [
        ("mailto:a@b.example", "vcard:hasEmail", "mailto:a@b.example"),
        ("https://b.example/us", "vcard:hasURL", "https://b.example/us"),
        ("tel:+3212345", "vcard:hasTelephone", "tel:+3212345"),
        ("Town hall, first floor: ask there", "vcard:note", "Town hall, first floor: ask there"),
    ] {
        let us = stand(About { contact: Some(contact.to_owned()), open_data: true, ..About::default() }, Vec::new()).await;
        let graph = turtle(&us.get("/dsp/dcat", Some("text/turtle")).await.body);
        assert_eq!(texts(&graph, &of_class(&graph, "vcard:Kind")[0], property), [value]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_closed_unless_the_operator_opens_it() {
    let us = stand(About { open_data: false, ..town() }, offers()).await;
    let answer = us.get("/dsp/dcat", None).await;
    assert_eq!(answer.status, 404);
    assert!(!String::from_utf8_lossy(&answer.body).contains("urn:dataset"), "nothing of what is on offer");
    let mut config = (*us.connector.config()).clone();
    config.about.open_data = true;
    us.connector.replace(config, Arc::new(MockIdentity));
    assert_eq!(us.get("/dsp/dcat", None).await.status, 200, "from the next reading of the configuration on");
}
