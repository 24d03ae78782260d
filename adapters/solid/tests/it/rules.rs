//! Access rules as documents: who is reached, and how the hub's own rules come and go.

use std::collections::BTreeSet;
use url::Url;
use waybill_model::Iri;
use waybill_solid::client::access::{Agent, Modes, Rule, acp, wac};
use waybill_solid::rules_graph;

const FOLDER: &str = "https://alice.example/consents/";
const WAC: &str = include_str!("../../fixtures/wac-shared.ttl");
const ACP: &str = include_str!("../../fixtures/acp-shared.ttl");

fn url(text: &str) -> Url {
    Url::parse(text).expect("an address")
}

fn one(name: &str) -> Agent {
    Agent::One(format!("https://{name}.example/profile#me"))
}

/// Who may change something, by these rules.
fn writers(rules: &[Rule]) -> BTreeSet<Agent> {
    rules.iter().filter(|r| r.modes.can_change()).flat_map(|r| r.agents.iter().cloned()).collect()
}

fn readers(rules: &[Rule]) -> BTreeSet<Agent> {
    rules.iter().filter(|r| r.modes.read).flat_map(|r| r.agents.iter().cloned()).collect()
}

#[test]
fn wac_rules_reach_whom_they_say() {
    let graph = rules_graph(WAC.as_bytes(), &format!("{FOLDER}.acl")).expect("Turtle");
    let own = wac::rules(&graph, FOLDER, false);
    assert_eq!(writers(&own), BTreeSet::from([one("alice"), Agent::Group("https://club.example/members#all".into())]));
    assert_eq!(readers(&own), BTreeSet::from([one("alice"), Agent::Public]));
    let below = wac::rules(&graph, FOLDER, true);
    assert_eq!(writers(&below), BTreeSet::from([one("alice")]));
    assert_eq!(readers(&below), BTreeSet::from([one("alice"), one("bob")]));
}

#[test]
fn acp_rules_reach_at_least_whom_they_say() {
    let graph = rules_graph(ACP.as_bytes(), &format!("{FOLDER}.acr")).expect("Turtle");
    let own = writers(&acp::rules(&graph, acp::Reach::Own));
    assert!(own.contains(&one("alice")));
    assert!(own.iter().any(|a| matches!(a, Agent::Unknown(_))), "who only comes from an issuer may be anybody: {own:?}");
    let below = writers(&acp::rules(&graph, acp::Reach::Members));
    assert_eq!(below, BTreeSet::from([one("alice"), one("bob")]));
}

#[test]
fn a_rule_of_the_hub_comes_and_goes_without_a_trace() {
    let agent = Iri::new("https://city-b.example/id#me").expect("an IRI");
    let resource = url("https://alice.example/consents/meter");
    let document = url("https://alice.example/consents/meter.acl");
    let above = url("https://alice.example/consents/.acl");
    let inherited = rules_graph(WAC.as_bytes(), above.as_str()).expect("Turtle");
    let copied = wac::copy_inherited(&inherited, &above, &url(FOLDER), &document, &resource).expect("copies");
    let open = wac::with_rule(copied, &document, &resource, &agent, Modes::READ).expect("a rule");
    let rules = wac::rules(&open, resource.as_str(), false);
    assert_eq!(writers(&rules), BTreeSet::from([one("alice")]), "what was inherited stays as it was");
    assert_eq!(readers(&rules), BTreeSet::from([one("alice"), one("bob"), Agent::One(agent.as_str().into())]));
    // Twice is once.
    let again = wac::with_rule(open.clone(), &document, &resource, &agent, Modes::READ).expect("a rule");
    assert_eq!(again.len(), open.len());
    assert_eq!(wac::without_rules(open.clone(), &document, &agent).1, 1);
    assert!(wac::without_rules(open.clone(), &document, &agent).0.is_none(), "only the copy is left: the resource inherits again");
    // She changed the rules meanwhile: hers stay.
    let mut edited = open;
    let hers = format!("<{document}#mine> a <http://www.w3.org/ns/auth/acl#Authorization> ; <http://www.w3.org/ns/auth/acl#agent> <https://carol.example/#me> .");
    for triple in &rules_graph(hers.as_bytes(), document.as_str()).expect("Turtle") {
        edited.insert(triple);
    }
    let (rest, gone) = wac::without_rules(edited, &document, &agent);
    assert_eq!(gone, 1);
    assert_eq!(readers(&wac::rules(&rest.expect("her rules stay"), resource.as_str(), false)), BTreeSet::from([one("alice"), one("bob")]));
}

#[test]
fn rules_without_an_owner_are_not_copied() {
    let text = WAC.replace(", acl:Control", "");
    let above = url("https://alice.example/consents/.acl");
    let graph = rules_graph(text.as_bytes(), above.as_str()).expect("Turtle");
    let copied = wac::copy_inherited(&graph, &above, &url(FOLDER), &url("https://alice.example/consents/m.acl"), &url("https://alice.example/consents/m"));
    assert!(copied.is_err(), "it would shut everybody out for good");
}

#[test]
fn acp_rules_of_the_hub_leave_the_others_alone() {
    let agent = Iri::new("https://city-b.example/id#me").expect("an IRI");
    let document = url("https://alice.example/consents/.acr");
    let graph = rules_graph(ACP.as_bytes(), document.as_str()).expect("Turtle");
    let before = graph.len();
    let open = acp::with_rule(graph, &document, &url(FOLDER), &agent, Modes::READ).expect("a rule");
    for reach in [acp::Reach::Own, acp::Reach::Members] {
        assert!(readers(&acp::rules(&open, reach)).contains(&Agent::One(agent.as_str().into())), "{reach:?}");
    }
    let (rest, gone) = acp::without_rules(open, &document, &agent);
    assert_eq!((rest.map(|g| g.len()), gone), (Some(before), 1));
    // A document that held nothing but the hub's rule goes as a whole.
    let alone = acp::with_rule(oxrdf::Graph::new(), &document, &url(FOLDER), &agent, Modes::APPEND).expect("a rule");
    assert!(acp::without_rules(alone, &document, &agent).0.is_none());
}
