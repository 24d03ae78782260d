//! From the tree to the typed configuration, section by section. Every section is read even when an earlier one failed.

use super::dataspace;
use super::finding::Findings;
use super::model::{
    ActsFor, Agreement, Auth, Basis, Client, Config, Connection, ConnectionKind, Credential, Data, HolderClass, Hub, Issuer, Peer, Pod, Role,
    SignIn,
};
use super::names::Names;
use super::node::Node;
use super::reader::{ROOT, Reader};
use super::routes;
use super::source::{Place, Sources};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use waybill_model::{Iri, TenantId};

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1026);
const POLL_SECONDS: u64 = 30;
const MAX_STALE_SECONDS: u64 = 60;

/// Reads all sections. What could not be read is left out, and findings say so.
pub fn config(node: &Node, sources: &Sources, findings: &Findings) -> Config {
    let root = Reader::new(node, ROOT, findings);
    let names = Names::read(root.table("names"), findings);
    let auth = auth(&root);
    let clients = named(&root, "client", client);
    let connections = named(&root, "connection", connection);
    let routes = named(&root, "route", |t, name| routes::route(t, name, &names));
    let agreements = named(&root, "agreement", |t, name| agreement(t, name, &names));
    let peers = named(&root, "peer", peer);
    let dataspace = dataspace::dataspace(&root, &names);
    let hub = match root.table("hub") {
        Some(table) => hub(table, sources),
        None => {
            root.fault("missing-key", "the configuration needs a [hub] table", "For example: [hub] with party and base_url");
            Config::bare(LISTEN, Data::Memory, None).hub
        }
    };
    root.finish();
    Config { hub, auth, clients, connections, routes, agreements, peers, dataspace }
}

/// Tables with a `name` each, which must differ.
pub(super) fn named<T>(root: &Reader<'_>, key: &'static str, read: impl Fn(Reader<'_>, String) -> Option<T>) -> Vec<T> {
    let mut seen: Vec<String> = Vec::new();
    let mut all = Vec::new();
    for table in root.tables(key) {
        let name = table.needed_text("name", &format!("name = \"my-{key}\"")).unwrap_or_default();
        let plain = !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !plain && table.has("name") {
            table.fault_at("name", "bad-value", "a name holds letters, digits, `-`, `_` and `.`, at most 64");
        }
        if plain && seen.contains(&name) {
            table.fault_at("name", "duplicate-name", format!("there are two {key}s called `{name}`"));
        }
        seen.push(name.clone());
        all.extend(read(table, name));
    }
    all
}

fn hub(t: Reader<'_>, sources: &Sources) -> Hub {
    let place = t.place;
    let folder = |key: &str| sources.folder(t.place_of(key).file).to_owned();
    t.needed_text("party", "party = \"did:web:hub.city-a.example\"");
    let party = t.iri("party");
    let memory = t.flag("memory").unwrap_or(false);
    let data = t.text("data").map(|d| folder("data").join(d));
    if memory && data.is_some() {
        t.fault_at("memory", "bad-value", "`data` names a folder and `memory` says that nothing is kept: one of them");
    }
    let zone = t.text("zone").unwrap_or_else(|| "UTC".to_owned());
    if jiff::tz::TimeZone::get(&zone).is_err() {
        t.fault_at("zone", "bad-value", "this is not an IANA time zone such as Europe/Amsterdam");
    }
    let tls = t.table("tls").and_then(|tls| {
        let file = |key: &'static str, example: &str| tls.needed_text(key, example).map(|f| sources.folder(tls.place_of(key).file).join(f));
        let pair = (file("certificate", "certificate = \"chain.pem\""), file("key", "key = \"key.pem\""));
        for key in ["certificate", "key"] {
            if tls.has(key) && !sources.folder(tls.place_of(key).file).join(tls.text(key).unwrap_or_default()).is_file() {
                tls.fault_at(key, "file-missing", "there is no such file");
            }
        }
        tls.finish();
        pair.0.zip(pair.1)
    });
    let hub = Hub {
        place,
        party,
        name: t.text("name"),
        contact: t.text("contact"),
        role: t.choice("role", Role::WORDS).unwrap_or(Role::Controller),
        base_url: t.address("base_url"),
        listen: t.parsed("listen", "an address with a port such as 127.0.0.1:1026").unwrap_or(LISTEN),
        data: if memory { Data::Memory } else { Data::Folder(data.unwrap_or_else(|| PathBuf::from("data"))) },
        zone,
        max_stale: t.seconds("max_stale").unwrap_or(MAX_STALE_SECONDS),
        preload_contexts: t.text("preload_contexts").map(|d| folder("preload_contexts").join(d)),
        trusted_proxies: t.items("trusted_proxies").into_iter().filter_map(|n| t.parse_node(n, "a network such as 10.0.0.0/8", |c| c.parse().ok())).collect(),
        may_call: t.items("may_call").into_iter().filter_map(|n| t.parse_node(n, "a network, or a host with or without its port", |c| c.parse().ok())).collect(),
        tls,
    };
    t.finish();
    hub
}

fn auth(root: &Reader<'_>) -> Auth {
    let Some(t) = root.table("auth") else { return Auth::default() };
    let issuers = t
        .tables("issuer")
        .into_iter()
        .filter_map(|i| {
            i.needed_text("url", "url = \"https://login.city-a.example\"");
            let issuer = Issuer {
                place: i.place,
                url: i.address("url").unwrap_or_default(),
                audiences: i.texts("audiences").into_iter().map(|(_, a)| a).collect(),
                jwks: i.address("jwks"),
            };
            if issuer.audiences.is_empty() {
                i.fault("missing-key", "an issuer needs `audiences`: with none, no token is taken", "For example: audiences = [\"waybill\"]");
            }
            i.finish();
            (!issuer.url.is_empty()).then_some(issuer)
        })
        .collect();
    let auth = Auth { operator_token: t.secret("operator_token", false), issuers };
    t.finish();
    auth
}

fn client(t: Reader<'_>, name: String) -> Option<Client> {
    let role = t.choice("role", &[("party", 0), ("operator", 1), ("person", 2)]).unwrap_or(0);
    let webids: Vec<String> = t.texts("web_ids").into_iter().map(|(_, w)| w).collect();
    let acts_for = match role {
        0 => {
            t.needed_text("party", "party = \"did:web:hub.city-b.example\"");
            t.iri("party").map(ActsFor::Party)
        }
        1 => Some(ActsFor::Operator),
        _ => Some(ActsFor::Persons(webids)),
    };
    let token = t.secret("token", false);
    let (issuer, client_id) = (t.address("issuer"), t.text("client_id"));
    let credential = match (token, issuer, client_id) {
        (Some(token), None, None) => Some(Credential::Token(token)),
        (None, Some(issuer), Some(client_id)) => Some(Credential::Issuer { issuer, client_id }),
        (None, None, None) => {
            t.fault("client-without-credential", "this client cannot show who it is", "Give it `token`, or `issuer` and `client_id`.");
            None
        }
        _ => {
            t.fault("client-without-credential", "either `token`, or `issuer` with `client_id`", "Leave out the other way.");
            None
        }
    };
    let tenants = t.items("tenants").into_iter().filter_map(|n| t.parse_node(n, "the name of a tenant", TenantId::new)).collect();
    let place = t.place;
    t.finish();
    Some(Client { place, name, acts_for: acts_for?, credential, tenants })
}

fn connection(t: Reader<'_>, name: String) -> Option<Connection> {
    t.needed_text("kind", "kind = \"ngsi-ld\"");
    let place = t.place;
    let kind = match t.choice("kind", &[("ngsi-ld", 0), ("solid", 1)])? {
        0 => ngsi_ld(&t),
        _ => solid(&t),
    };
    t.finish();
    Some(Connection { place, name, kind: kind? })
}

fn ngsi_ld(t: &Reader<'_>) -> Option<ConnectionKind> {
    t.needed_text("url", "url = \"https://broker.city-a.example\"");
    let (tenant, context) = (t.text("tenant"), t.address("context"));
    let holder = t.choice("holder", HolderClass::WORDS).unwrap_or(HolderClass::Plain);
    if holder == HolderClass::Enforcing {
        t.fault_at("holder", "holder-class", "only another hub enforces: a broker is `plain`");
    }
    let sign_in = sign_in(t);
    Some(ConnectionKind::NgsiLd { url: t.address("url")?, tenant, context, sign_in, holder })
}

fn solid(t: &Reader<'_>) -> Option<ConnectionKind> {
    t.needed_text("web_id", "web_id = \"https://hub.city-a.example/solid/card#me\"");
    t.needed_text("issuer", "issuer = \"https://pods.example\"");
    let (web_id, issuer) = (t.iri("web_id"), t.address("issuer"));
    let credentials = match (t.text("client_id"), t.secret("client_secret", true)) {
        (Some(id), Some(secret)) => Some((id, secret)),
        (None, None) => None,
        _ => {
            t.fault("missing-key", "`client_id` and `client_secret` go together", "Without both the hub signs in by its Client ID Document.");
            None
        }
    };
    let poll = t.seconds("poll").unwrap_or(POLL_SECONDS);
    let pods = t
        .tables("pod")
        .into_iter()
        .filter_map(|p| {
            p.needed_text("web_id", "web_id = \"https://pods.example/ada/profile/card#me\"");
            let pod = p.iri("web_id").map(|web_id| Pod {
                web_id,
                issuer: p.address("issuer"),
                consents: p.parsed::<url::Url>("consents", "an address").map(String::from),
                acknowledgements: p.parsed::<url::Url>("acknowledgements", "an address").map(String::from),
                resources: p.items("resources").into_iter().filter_map(|n| p.parse_node(n, "an address", |u| url::Url::parse(u).ok().map(String::from))).collect(),
            });
            p.finish();
            pod
        })
        .collect();
    Some(ConnectionKind::Solid { web_id: web_id?, issuer: issuer?, credentials, poll, pods })
}

pub(super) fn sign_in(t: &Reader<'_>) -> SignIn {
    let Some(a) = t.table("auth") else { return SignIn::None };
    a.needed_text("kind", "kind = \"bearer\"");
    let kind = a.choice("kind", &[("none", 0), ("bearer", 1), ("x-auth-token", 2), ("client-credentials", 3)]).unwrap_or(0);
    let sign_in = match kind {
        1 | 2 => match (a.needed_text("token", "token = \"${file:broker.token}\"").and_then(|_| a.secret("token", true)), kind) {
            (Some(token), 1) => SignIn::Bearer(token),
            (Some(token), _) => SignIn::XAuthToken(token),
            (None, _) => SignIn::None,
        },
        3 => {
            a.needed_text("token_url", "token_url = \"https://login.example/token\"");
            a.needed_text("client_id", "client_id = \"waybill\"");
            a.needed_text("client_secret", "client_secret = \"${BROKER_SECRET}\"");
            match (a.address("token_url"), a.text("client_id"), a.secret("client_secret", true)) {
                (Some(token_url), Some(client_id), Some(client_secret)) => {
                    SignIn::ClientCredentials { token_url, client_id, client_secret, scope: a.text("scope") }
                }
                _ => SignIn::None,
            }
        }
        _ => SignIn::None,
    };
    a.finish();
    sign_in
}

fn agreement(t: Reader<'_>, name: String, names: &Names<'_>) -> Option<Agreement> {
    t.needed_text("recipient", "recipient = \"did:web:hub.city-b.example\", or \"anybody\" for open data");
    let anybody = t.text("recipient").as_deref() == Some("anybody");
    let recipient = if anybody { None } else { t.iri("recipient") };
    let mut clients: BTreeMap<String, (Place, Vec<(Place, Iri)>)> = BTreeMap::new();
    if let Some(table) = t.table("clients") {
        for (client, place, node) in table.entries() {
            let nodes: Vec<&Node> = match &node.value {
                super::node::Value::List(items) => items.iter().collect(),
                _ => vec![node],
            };
            let purposes = nodes.into_iter().filter_map(|n| names.purpose(&table, n).map(|iri| (n.place, iri))).collect();
            clients.insert(client.to_owned(), (place, purposes));
        }
    }
    let id = t.iri("id").or_else(|| Iri::new(format!("urn:waybill:agreement:{name}")).ok());
    let agreement = Agreement {
        place: t.place,
        name,
        id: id?,
        recipient,
        clients,
        open: t.flag("open").unwrap_or(true),
        write: t.flag("write").unwrap_or(false),
        holder: t.choice("holder", HolderClass::WORDS).unwrap_or(HolderClass::Plain),
        tags_in_link: t.flag("tags_in_link").unwrap_or(false),
    };
    t.finish();
    (anybody || agreement.recipient.is_some()).then_some(agreement)
}

fn peer(t: Reader<'_>, name: String) -> Option<Peer> {
    t.needed_text("party", "party = \"did:web:hub.city-b.example\"");
    t.needed_text("url", "url = \"https://hub.city-b.example\"");
    let (party, url, place) = (t.iri("party"), t.address("url"), t.place);
    let sign_in = sign_in(&t);
    t.finish();
    Some(Peer { place, name, party: party?, url: url?, sign_in })
}

/// The lawful bases, for the routes.
pub(super) fn basis(t: &Reader<'_>) -> Option<(Place, Basis)> {
    t.choice("basis", Basis::WORDS).map(|b| (t.place_of("basis"), b))
}
