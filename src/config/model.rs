//! The configuration of one city, as the rest of the program sees it: names expanded, secrets wrapped, everything checked by itself.

use super::dataspace::Dataspace;
use super::secret::Secret;
use super::source::Place;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use waybill_http::{Allow, Cidr};
use waybill_model::{DateTime, Iri, TenantId};

/// Everything a configuration says.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[hub]`
    pub hub: Hub,
    /// `[auth]`
    pub auth: Auth,
    /// `[[client]]`
    pub clients: Vec<Client>,
    /// `[[connection]]`
    pub connections: Vec<Connection>,
    /// `[[route]]`
    pub routes: Vec<Route>,
    /// `[[agreement]]`
    pub agreements: Vec<Agreement>,
    /// `[[peer]]`
    pub peers: Vec<Peer>,
    /// `[dataspace]`, with `[[participant]]` and `[[offer]]`
    pub dataspace: Option<Dataspace>,
}

/// This hub and who operates it.
#[derive(Debug, Clone)]
pub struct Hub {
    /// Where the table stands.
    pub place: Place,
    /// The operator's IRI; nothing without a file.
    pub party: Option<Iri>,
    /// The operator's name for people.
    pub name: Option<String>,
    /// How a person reaches the operator about her data.
    pub contact: Option<String>,
    /// In what role the operator acts unless a route says otherwise.
    pub role: Role,
    /// The address that others know the hub by, without a slash at its end.
    pub base_url: Option<String>,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it keeps its data.
    pub data: Data,
    /// The IANA zone of clock-aligned windows.
    pub zone: String,
    /// Seconds without a heartbeat after which what a sender sent is closed.
    pub max_stale: u64,
    /// A folder of @context documents to load at start.
    pub preload_contexts: Option<PathBuf>,
    /// Networks whose forwarded headers are believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Hosts and networks that are not public and may be called all the same.
    pub may_call: Vec<Allow>,
    /// Certificate chain and key, both PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// Where data is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// In a folder.
    Folder(PathBuf),
    /// Nowhere: gone when the hub stops.
    Memory,
}

/// In what role the operator deals with personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Decides why and how (GDPR Art. 4(7)).
    Controller,
    /// Decides together with others (Art. 26).
    JointController,
    /// Acts on somebody's behalf (Art. 28).
    Processor,
    /// Brings holders and users together and uses nothing itself (Data Governance Act Art. 12).
    DataIntermediary,
    /// Collects for the common good (Data Governance Act Art. 16 and following).
    AltruismOrganisation,
}

impl Role {
    /// The words of the configuration.
    pub const WORDS: &[(&str, Self)] = &[
        ("controller", Self::Controller),
        ("joint-controller", Self::JointController),
        ("processor", Self::Processor),
        ("data-intermediary", Self::DataIntermediary),
        ("altruism-organisation", Self::AltruismOrganisation),
    ];
}

/// Who is believed.
#[derive(Debug, Clone, Default)]
pub struct Auth {
    /// The operator's own static token.
    pub operator_token: Option<Secret>,
    /// OpenID issuers.
    pub issuers: Vec<Issuer>,
}

/// An OpenID issuer.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Where the table stands.
    pub place: Place,
    /// Its identifier.
    pub url: String,
    /// Of which a token must name one.
    pub audiences: Vec<String>,
    /// Where its keys are, when not found by discovery.
    pub jwks: Option<String>,
}

/// A registered client.
#[derive(Debug, Clone)]
pub struct Client {
    /// Where the table stands.
    pub place: Place,
    /// The name that agreements use.
    pub name: String,
    /// For whom it acts.
    pub acts_for: ActsFor,
    /// How it shows who it is.
    pub credential: Option<Credential>,
    /// The tenants it may name; empty for the default one only.
    pub tenants: Vec<TenantId>,
}

/// For whom a client acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActsFor {
    /// A party.
    Party(Iri),
    /// The operator.
    Operator,
    /// Whoever signs in; her WebID must begin with one of these, or be made of issuer and subject when there is none.
    Persons(Vec<String>),
}

/// How a client shows who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A static token.
    Token(Secret),
    /// Tokens of an issuer that name it.
    Issuer {
        /// The issuer.
        issuer: String,
        /// Its identifier there.
        client_id: String,
    },
}

/// A platform the hub talks to.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Where the table stands.
    pub place: Place,
    /// The name that routes use.
    pub name: String,
    /// What it is.
    pub kind: ConnectionKind,
}

/// The kinds of connection, each with what only it needs.
#[derive(Debug, Clone)]
pub enum ConnectionKind {
    /// Any NGSI-LD broker.
    NgsiLd {
        /// Its base address, before `/ngsi-ld/v1`.
        url: String,
        /// The tenant there.
        tenant: Option<String>,
        /// The @context its names are under.
        context: Option<String>,
        /// How the hub signs in.
        sign_in: SignIn,
        /// How well it enforces a withdrawal.
        holder: HolderClass,
    },
    /// A Solid server with pods.
    Solid {
        /// The hub's WebID.
        web_id: Iri,
        /// The issuer that vouches for it.
        issuer: String,
        /// Id and secret of the hub's account, where a server offers only those; else the hub signs in by its Client ID Document.
        credentials: Option<(String, Secret)>,
        /// Seconds between two polls.
        poll: u64,
        /// Whose pods.
        pods: Vec<Pod>,
    },
}

/// One person's pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Her WebID.
    pub web_id: Iri,
    /// The issuer that must vouch for her.
    pub issuer: Option<String>,
    /// The container of her grants.
    pub consents: Option<String>,
    /// The container for acknowledgements.
    pub acknowledgements: Option<String>,
    /// Resources and containers with her Entities.
    pub resources: Vec<String>,
}

/// How the hub signs in somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignIn {
    /// Not at all.
    None,
    /// `Authorization: Bearer …`
    Bearer(Secret),
    /// `X-Auth-Token: …`
    XAuthToken(Secret),
    /// OAuth 2 client credentials.
    ClientCredentials {
        /// Where tokens are given.
        token_url: String,
        /// The client's identifier.
        client_id: String,
        /// Its secret.
        client_secret: Secret,
        /// The scope asked for.
        scope: Option<String>,
    },
}

/// How a holder enforces a withdrawal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolderClass {
    /// Another hub: its gate closes when heartbeats stop.
    Enforcing,
    /// A broker proven to hide what has expired.
    Expiring,
    /// Any other store.
    Plain,
}

impl HolderClass {
    /// The words of the configuration.
    pub const WORDS: &[(&str, Self)] = &[("enforcing", Self::Enforcing), ("expiring", Self::Expiring), ("plain", Self::Plain)];
}

/// Which data goes where, on what basis.
#[derive(Debug, Clone)]
pub struct Route {
    /// Where the table stands.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// The connection it comes from; nothing for the hub's own interface.
    pub from: Option<(Place, String)>,
    /// The connection it is delivered to; nothing for whoever asks or subscribes.
    pub to: Option<(Place, String)>,
    /// Which entities.
    pub select: Select,
    /// About a person or not.
    pub personal: bool,
    /// The lawful basis.
    pub basis: Option<(Place, Basis)>,
    /// The law behind a basis other than consent, for people.
    pub law: Option<String>,
    /// The operator's role here.
    pub role: Option<(Place, Role)>,
    /// Who the data is about.
    pub subject: Option<Subject>,
    /// For what; needed on a basis other than consent.
    pub purposes: Vec<(Place, Iri)>,
    /// To whom; needed on a basis other than consent.
    pub recipients: Vec<(Place, Iri)>,
    /// To whom the recipients may pass it on.
    pub distribute_to: Vec<(Place, Iri)>,
    /// What of it, and how exact; empty for all as it is (open data only).
    pub attributes: Vec<AttributeRule>,
    /// From when.
    pub from_time: Option<DateTime>,
    /// Until when.
    pub until: Option<DateTime>,
}

/// Which entities a route takes. What is not named does not restrict.
#[derive(Debug, Clone, Default)]
pub struct Select {
    /// One of these types.
    pub types: Vec<Iri>,
    /// One of these entities.
    pub ids: Vec<Iri>,
    /// An id that this regular expression matches.
    pub id_pattern: Option<String>,
}

/// A lawful basis (GDPR Art. 6(1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// (a)
    Consent,
    /// (b)
    Contract,
    /// (c)
    LegalObligation,
    /// (d)
    VitalInterest,
    /// (e)
    PublicTask,
    /// (f)
    LegitimateInterest,
}

impl Basis {
    /// The words of the configuration.
    pub const WORDS: &[(&str, Self)] = &[
        ("consent", Self::Consent),
        ("contract", Self::Contract),
        ("legal-obligation", Self::LegalObligation),
        ("vital-interest", Self::VitalInterest),
        ("public-task", Self::PublicTask),
        ("legitimate-interest", Self::LegitimateInterest),
    ];
}

/// How the subject of an entity is found.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Where the table stands.
    pub place: Place,
    /// The way.
    pub by: SubjectBy,
    /// Whether all subjects must agree, or any one may for herself.
    pub all: bool,
}

/// The ways to find a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectBy {
    /// An Attribute holds her IRI.
    Attribute(Iri),
    /// A Relationship leads to an entity that a person is bound to, over one or more steps.
    Relationship(Vec<Iri>),
    /// The first group of this regular expression on the entity's id is put into the template in the place of `{1}`.
    IdPattern {
        /// The expression.
        pattern: String,
        /// The template of the subject's IRI.
        template: String,
    },
    /// The pod it came from belongs to her.
    Pod,
    /// Only what `waybill subject bind` recorded.
    Registry,
}

/// What becomes of one Attribute on a route.
#[derive(Debug, Clone)]
pub struct AttributeRule {
    /// Where the table stands.
    pub place: Place,
    /// The Attribute.
    pub name: Iri,
    /// What becomes of its value.
    pub transform: Transform,
}

/// The precision in which a value leaves.
#[derive(Debug, Clone, PartialEq)]
pub enum Transform {
    /// As it is.
    Share,
    /// The mean over tumbling windows aligned to the clock.
    Mean {
        /// Seconds; divides a day.
        window: u32,
        /// How many samples make a window complete.
        min_samples: u32,
    },
    /// Rounded to a multiple.
    Round(f64),
    /// Only which interval it lies in.
    Bin(Vec<f64>),
    /// The centre of a grid cell of this width in degrees; of an address only the district.
    District(f64),
    /// Not at all.
    Drop,
}

/// The terms under which one party is a recipient.
#[derive(Debug, Clone)]
pub struct Agreement {
    /// Where the table stands.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// Its identifier; `urn:waybill:agreement:` and the name unless given.
    pub id: Iri,
    /// The recipient; nothing means anybody, and then only open data.
    pub recipient: Option<Iri>,
    /// The purposes of each client.
    pub clients: BTreeMap<String, (Place, Vec<(Place, Iri)>)>,
    /// Whether open data is covered.
    pub open: bool,
    /// Whether the recipient may also write entities here.
    pub write: bool,
    /// How well it enforces a withdrawal.
    pub holder: HolderClass,
    /// Whether it takes tags in a `Link` header where a form has no room for them.
    pub tags_in_link: bool,
}

/// Another hub.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where the table stands.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// Who operates it.
    pub party: Iri,
    /// Its base address, without a slash at its end.
    pub url: String,
    /// How this hub signs in there.
    pub sign_in: SignIn,
}

impl Config {
    /// A hub without a file: one city, on loopback, where the caller is the operator.
    pub fn bare(listen: SocketAddr, data: Data, preload_contexts: Option<PathBuf>) -> Self {
        let hub = Hub {
            place: Place::default(),
            party: None,
            name: None,
            contact: None,
            role: Role::Controller,
            base_url: None,
            listen,
            data,
            zone: "UTC".to_owned(),
            max_stale: 60,
            preload_contexts,
            trusted_proxies: Vec::new(),
            may_call: ["127.0.0.0/8", "::1/128"].iter().filter_map(|c| c.parse().ok().map(Allow::Range)).collect(),
            tls: None,
        };
        Self {
            hub,
            auth: Auth::default(),
            clients: Vec::new(),
            connections: Vec::new(),
            routes: Vec::new(),
            agreements: Vec::new(),
            peers: Vec::new(),
            dataspace: None,
        }
    }
}
