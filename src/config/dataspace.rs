//! `[dataspace]`, `[[participant]]`, `[[offer]]`, `[[import]]`: the hub as connector of a dataspace.

use super::model::SignIn;
use super::names::Names;
use super::read::{named, sign_in};
use super::reader::Reader;
use super::secret::Secret;
use super::source::Place;
use waybill_model::{DateTime, Iri};

/// The hub as a connector.
#[derive(Debug, Clone)]
pub struct Dataspace {
    /// Where the table stands.
    pub place: Place,
    /// This hub's participant identifier.
    pub participant: String,
    /// How participants show who they are.
    pub identity: IdentityKind,
    /// For how many seconds a token of the data plane is good.
    pub token: u64,
    /// After how many seconds without an answer a process is given up.
    pub give_up: u64,
    /// How many seconds lie between two looks at a participant's catalogue.
    pub crawl: u64,
    /// A title of what it offers.
    pub title: Option<String>,
    /// What it offers, in words.
    pub description: Option<String>,
    /// The acts of law under which its catalogue is kept.
    pub legislation: Vec<Iri>,
    /// Whether everybody is told what is on offer to all participants.
    pub open_data: bool,
    /// The connectors it deals with.
    pub participants: Vec<Participant>,
    /// What it offers.
    pub offers: Vec<Offer>,
    /// What it pulls from others.
    pub imports: Vec<Import>,
    /// The control plane of another make whose data plane this hub is.
    pub control_plane: Option<ControlPlane>,
    /// What a conformance run needs.
    pub conformance: Option<Conformance>,
}

/// A control plane of another make.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    /// Where it is called.
    pub url: String,
    /// What it shows here.
    pub token: Secret,
    /// What this hub shows there.
    pub sign_in: SignIn,
    /// Whether this hub registers itself there.
    pub register: bool,
}

/// How participants show who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityKind {
    /// By tokens that operators gave each other.
    Static,
    /// By tokens of the issuers in `[auth]`.
    OAuth2,
    /// By a header that anybody can write. Loopback only.
    Mock,
}

/// Another connector.
#[derive(Debug, Clone)]
pub struct Participant {
    /// Where the table stands.
    pub place: Place,
    /// The name that offers use.
    pub name: String,
    /// Its participant identifier.
    pub id: String,
    /// The party that consents name.
    pub party: Iri,
    /// Where its connector is.
    pub url: Option<String>,
    /// What it shows here.
    pub token: Option<Secret>,
    /// The issuer and client of its tokens.
    pub client: Option<(String, String)>,
    /// What this hub shows there.
    pub sign_in: SignIn,
    /// Whether it enforces consent itself.
    pub enforcing: bool,
    /// The base URL of its hub, when it is one like this.
    pub hub: Option<String>,
    /// Whether its catalogue is fetched and kept.
    pub crawl: bool,
}

/// A route on offer.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Where the table stands.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// The dataset's identifier.
    pub dataset: String,
    /// A title for people.
    pub title: Option<String>,
    /// What it is, for people.
    pub description: Option<String>,
    /// The acts of law under which it is made available.
    pub legislation: Vec<Iri>,
    /// The route.
    pub route: Option<(Place, String)>,
    /// For what.
    pub purposes: Vec<(Place, Iri)>,
    /// The participants that see it, by name; empty for all.
    pub participants: Vec<(Place, String)>,
    /// In which forms.
    pub formats: Vec<waybill_dsp::Format>,
    /// Until when agreements last.
    pub until: Option<DateTime>,
    /// Whether a consumer must enforce consent itself.
    pub needs_enforcing: bool,
    /// Whether a person decides on each negotiation.
    pub manual: bool,
    /// What it does in a conformance run.
    pub script: Option<Vec<String>>,
    /// The offer's identifier, where it must be a certain one.
    pub offer_id: Option<String>,
}

/// A dataset of another connector that is pulled into a route.
#[derive(Debug, Clone)]
pub struct Import {
    /// Where the table stands.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// The participant that provides it, by name.
    pub participant: (Place, String),
    /// The dataset's identifier there.
    pub dataset: String,
    /// For what.
    pub purpose: Option<(Place, Iri)>,
    /// The route.
    pub route: (Place, String),
    /// How many seconds lie between two pulls.
    pub every: u64,
    /// Where data may lie beside the participant's connector and hub.
    pub origin: Option<String>,
    /// Whether a person decides on the negotiation.
    pub manual: bool,
}

/// What a conformance run needs beside.
#[derive(Debug, Clone, Default)]
pub struct Conformance {
    /// Scripts by dataset, as consumer.
    pub negotiations: Vec<(String, Vec<String>)>,
    /// Scripts by agreement.
    pub transfers: Vec<(String, Vec<String>)>,
    /// Scripts of data flows by dataset.
    pub flows: Vec<(String, Vec<String>)>,
    /// Agreements that are there from the start: identifier, dataset, participant's identifier, whether this hub is the consumer.
    pub agreements: Vec<(String, String, String, bool)>,
    /// Milliseconds before each scripted message.
    pub delay_ms: u64,
}

const TOKEN_SECONDS: u64 = 300;
const GIVE_UP_SECONDS: u64 = 3600;
const CRAWL_SECONDS: u64 = 600;
const IMPORT_SECONDS: u64 = 60;
/// More often, all of a dataset is not pulled.
const SHORTEST_IMPORT: u64 = 5;
/// Whoever is asked more often than this is not looked at but pressed.
const SHORTEST_CRAWL: u64 = 10;

pub(super) fn dataspace(root: &Reader<'_>, names: &Names<'_>) -> Option<Dataspace> {
    let participants: Vec<Participant> = named(root, "participant", participant);
    let offers: Vec<Offer> = named(root, "offer", |t, name| offer(t, name, names));
    let imports: Vec<Import> = named(root, "import", |t, name| import(t, name, names));
    let Some(t) = root.table("dataspace") else {
        for place in participants.iter().map(|p| p.place).chain(offers.iter().map(|o| o.place)).chain(imports.iter().map(|i| i.place)) {
            root.fault_in("dataspace-missing", place, "there is no [dataspace] table, so nobody would be offered anything");
        }
        return None;
    };
    t.needed_text("participant", "participant = \"did:web:hub.city-a.example\"");
    let crawl = t.seconds("crawl").unwrap_or(CRAWL_SECONDS);
    if crawl < SHORTEST_CRAWL {
        t.fault_at("crawl", "bad-value", format!("catalogues are fetched every {SHORTEST_CRAWL} s at most"));
    }
    let out = Dataspace {
        place: t.place,
        participant: t.text("participant").unwrap_or_default(),
        identity: t.choice("identity", &[("static", IdentityKind::Static), ("oauth2", IdentityKind::OAuth2), ("mock", IdentityKind::Mock)]).unwrap_or(IdentityKind::Static),
        token: t.seconds("token").unwrap_or(TOKEN_SECONDS),
        give_up: t.seconds("give_up").unwrap_or(GIVE_UP_SECONDS),
        crawl: crawl.max(SHORTEST_CRAWL),
        title: t.text("title"),
        description: t.text("description"),
        legislation: legislation(&t),
        open_data: t.flag("open_data").unwrap_or(false),
        participants,
        offers,
        imports,
        control_plane: t.table("control_plane").and_then(control_plane),
        conformance: t.table("conformance").map(conformance),
    };
    t.finish();
    Some(out)
}

fn control_plane(t: Reader<'_>) -> Option<ControlPlane> {
    t.needed_text("url", "url = \"https://control-plane.city-a.example/signaling\"");
    t.needed_text("token", "token = \"${file:control-plane.token}\"");
    let (url, token, sign_in) = (t.address("url"), t.secret("token", false), sign_in(&t));
    let register = t.flag("register").unwrap_or(false);
    t.finish();
    // Without a token nobody may signal here.
    Some(ControlPlane { url: url?, token: token?, sign_in, register })
}

/// Acts of law by their IRIs, e.g. `http://data.europa.eu/eli/reg_impl/2023/138/oj`.
fn legislation(t: &Reader<'_>) -> Vec<Iri> {
    t.items("legislation").into_iter().filter_map(|n| t.parse_node(n, "an absolute IRI of an act of law", |text| Iri::new(text).ok())).collect()
}

fn participant(t: Reader<'_>, name: String) -> Option<Participant> {
    t.needed_text("id", "id = \"did:web:connector.company.example\"");
    t.needed_text("party", "party = \"https://company.example/#us\"");
    let (issuer, client_id) = (t.address("issuer"), t.text("client_id"));
    let out = Participant {
        place: t.place,
        name,
        id: t.text("id").unwrap_or_default(),
        party: t.iri("party")?,
        url: t.address("url"),
        token: t.secret("token", false),
        client: issuer.zip(client_id),
        sign_in: sign_in(&t),
        enforcing: t.flag("enforcing").unwrap_or(false),
        hub: t.address("hub"),
        crawl: t.flag("crawl").unwrap_or(false),
    };
    t.finish();
    Some(out)
}

fn offer(t: Reader<'_>, name: String, names: &Names<'_>) -> Option<Offer> {
    t.needed_text("route", "route = \"meters\"");
    let words: Vec<(&str, waybill_dsp::Format)> = waybill_dsp::Format::ALL.iter().map(|f| (f.as_str(), *f)).collect();
    let mut formats: Vec<waybill_dsp::Format> = t
        .items("formats")
        .into_iter()
        .filter_map(|n| t.parse_node(n, "one of HttpData-PULL, HttpData-PUSH, NgsiLd-QUERY, NgsiLd-FEED", |text| words.iter().find(|(w, _)| *w == text).map(|(_, f)| *f)))
        .collect();
    if formats.is_empty() {
        formats = waybill_dsp::Format::ALL.to_vec();
    }
    let script: Vec<String> = t.texts("script").into_iter().map(|(_, s)| s).collect();
    let out = Offer {
        place: t.place,
        dataset: t.text("dataset").unwrap_or_else(|| format!("urn:waybill:dataset:{name}")),
        name,
        title: t.text("title"),
        description: t.text("description"),
        legislation: legislation(&t),
        route: t.text("route").map(|r| (t.place_of("route"), r)),
        purposes: names.purpose_list(&t, "purposes"),
        participants: t.texts("participants"),
        formats,
        until: t.time("valid_until"),
        needs_enforcing: t.flag("needs_enforcing").unwrap_or(false),
        manual: t.choice("strategy", &[("automatic", false), ("manual", true)]).unwrap_or(false),
        script: t.has("script").then_some(script),
        offer_id: t.text("offer_id"),
    };
    t.finish();
    Some(out)
}

fn import(t: Reader<'_>, name: String, names: &Names<'_>) -> Option<Import> {
    let needed = |key: &'static str, example: &str| t.needed_text(key, example).map(|text| (t.place_of(key), text));
    let participant = needed("participant", "participant = \"city\"");
    let dataset = needed("dataset", "dataset = \"urn:dataset:meters\"");
    needed("purpose", "purpose = \"EnergyAdvice\"");
    let route = needed("route", "route = \"meters\"");
    let every = t.seconds("every").unwrap_or(IMPORT_SECONDS);
    if every < SHORTEST_IMPORT {
        t.fault_at("every", "bad-value", format!("a dataset is pulled every {SHORTEST_IMPORT} s at most"));
    }
    let out = (
        names.purpose_list(&t, "purpose").into_iter().next(),
        t.address("origin"),
        t.choice("strategy", &[("automatic", false), ("manual", true)]).unwrap_or(false),
    );
    let place = t.place;
    t.finish();
    let (purpose, origin, manual) = out;
    Some(Import { place, name, participant: participant?, dataset: dataset?.1, purpose, route: route?, every: every.max(SHORTEST_IMPORT), origin, manual })
}

fn conformance(t: Reader<'_>) -> Conformance {
    let scripts = |key: &'static str, of: &'static str| -> Vec<(String, Vec<String>)> {
        t.tables(key)
            .into_iter()
            .filter_map(|s| {
                let id = s.text(of);
                let steps = s.texts("script").into_iter().map(|(_, step)| step).collect();
                s.finish();
                id.map(|id| (id, steps))
            })
            .collect()
    };
    let agreements = t
        .tables("agreement")
        .into_iter()
        .filter_map(|a| {
            let found = (a.text("id"), a.text("dataset"), a.text("participant"), a.choice("role", &[("provider", false), ("consumer", true)]));
            a.finish();
            Some((found.0?, found.1?, found.2?, found.3.unwrap_or(false)))
        })
        .collect();
    let out = Conformance {
        negotiations: scripts("negotiation", "dataset"),
        transfers: scripts("transfer", "agreement"),
        flows: scripts("flow", "dataset"),
        agreements,
        delay_ms: t.integer("delay_ms", 0, 60_000).and_then(|n| u64::try_from(n).ok()).unwrap_or(500),
    };
    t.finish();
    out
}
