//! A real server, people on it, and a way to wait for what should happen.

use crate::css::{Css, Person, Rules, required};
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;
use url::Url;
use waybill_context::Contexts;
use waybill_http::{Allow, Client, ClientConfig, Guard, HeaderMap, HeaderValue, Method, header};
use waybill_model::{Attribute, AttributeValue, Clock, DateTime, Entity, EntityDoc, Iri, RawJson};
use waybill_solid::client::session::Answer;
use waybill_solid::{
    Body, Channel, If, Known, PodConfig, PodEvent, Secret, Session, SignIn, SolidConfig, SolidPod, WatchConfig, Webhooks,
};

/// How long anything may take before the test gives up on it.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A client that may call this machine.
pub fn client() -> Client {
    client_at(Clock::system())
}

/// The same with a clock of its own.
pub fn client_at(clock: Clock) -> Client {
    let loopback = ["127.0.0.0/8", "::1/128"].map(|range| range.parse::<Allow>().expect("a range"));
    Client::new(ClientConfig::new(clock).guard(Guard::allowing(loopback))).expect("a client")
}

pub fn url(text: &str) -> Url {
    Url::parse(text).expect("an address")
}

pub fn iri(text: &str) -> Iri {
    Iri::new(text).expect("an IRI")
}

/// The server with these rules, started when first asked for and shared by all tests; nothing when there is none.
pub fn server(rules: Rules, test: &str) -> Option<&'static Css> {
    static WAC: OnceLock<Css> = OnceLock::new();
    static ACP: OnceLock<Css> = OnceLock::new();
    let home: PathBuf = required(test)?;
    let preload = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/loopback.cjs");
    let cell = if rules == Rules::Wac { &WAC } else { &ACP };
    Some(cell.get_or_init(|| Css::start(&home, &preload, rules)))
}

/// Three accounts of their own on a shared server.
pub struct World {
    pub css: &'static Css,
    pub rules: Rules,
    pub citizen: Person,
    pub neighbour: Person,
    pub hub: Person,
    pub as_citizen: Arc<Session>,
    pub as_neighbour: Arc<Session>,
    pub as_hub: Arc<Session>,
}

impl World {
    /// A world, or nothing when there is no server.
    pub async fn new(rules: Rules, test: &str) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = test.to_owned();
        let made = tokio::task::spawn_blocking(move || {
            let css = server(rules, &name)?;
            let person = |who: &str| css.person(&format!("{who}{number}"));
            Some((css, person("citizen"), person("neighbour"), person("hub")))
        });
        let (css, citizen, neighbour, hub) = made.await.expect("accounts")?;
        let (as_citizen, as_neighbour, as_hub) = (session(css, &citizen).await, session(css, &neighbour).await, session(css, &hub).await);
        Some(Self { css, rules, citizen, neighbour, hub, as_citizen, as_neighbour, as_hub })
    }

    /// An address in the citizen's pod.
    pub fn at(&self, path: &str) -> Url {
        url(&self.citizen.pod).join(path).expect("an address")
    }

    pub fn pod_config(&self) -> PodConfig {
        PodConfig {
            web_id: iri(&self.citizen.web_id),
            issuer: Some(url(&self.css.base)),
            consents: Some(self.at("consents/")),
            acknowledgements: Some(self.at("acknowledgements/")),
            resources: Vec::new(),
        }
    }

    /// The citizen's pod as `session` reaches it.
    pub async fn pod(&self, session: &Arc<Session>, watch: WatchConfig, hooks: Option<Arc<Webhooks>>) -> SolidPod {
        self.pod_with(self.pod_config(), session, watch, hooks).await
    }

    pub async fn pod_with(&self, cfg: PodConfig, session: &Arc<Session>, watch: WatchConfig, hooks: Option<Arc<Webhooks>>) -> SolidPod {
        let hooks = hooks.unwrap_or_else(|| Arc::new(Webhooks::new(client(), Clock::system(), None)));
        SolidPod::connect(&cfg, session.clone(), Contexts::offline(Clock::system()), hooks, watch).await.expect("the pod is found")
    }

    /// Her containers, with what she gives the hub: Read on grants (and Control, when `control`), Append on acknowledgements.
    pub async fn prepare(&self, control: bool) -> SolidPod {
        use waybill_solid::Modes;
        for name in ["consents/", "acknowledgements/", "data/"] {
            self.put_as(&self.as_citizen, &self.at(name), "text/turtle", "", 201).await;
        }
        let hers = self.pod(&self.as_citizen, quiet(), None).await;
        let hub = iri(&self.hub.web_id);
        let grants = if control { Modes { control: true, ..Modes::READ } } else { Modes::READ };
        hers.give_access(&self.at("consents/"), &hub, grants).await.expect("Read on grants");
        hers.give_access(&self.at("acknowledgements/"), &hub, Modes::APPEND).await.expect("Append on acknowledgements");
        if control && self.rules == Rules::Acp {
            // Under ACP the rules of all containers up to the root count, and reading them takes Control there.
            hers.give_access(hers.storage(), &hub, Modes { control: true, ..Modes::default() }).await.expect("Control at the root");
        }
        hers
    }

    /// A plain PUT, as an application makes it that knows nothing of the hub.
    pub async fn put_as(&self, session: &Session, to: &Url, kind: &'static str, body: &str, wanted: u16) {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        let answer = session.send(Method::PUT, to, headers, Bytes::from(body.to_owned())).await.expect("an answer");
        assert_eq!(answer.status, wanted, "PUT {to}: {}", String::from_utf8_lossy(&answer.body));
    }

    pub async fn status_as(&self, session: &Session, method: Method, at: &Url) -> u16 {
        call(session, method, at).await.status
    }
}

pub async fn call(session: &Session, method: Method, at: &Url) -> Answer {
    session.send(method, at, HeaderMap::new(), Bytes::new()).await.expect("an answer")
}

/// The account of `person` as a session.
pub async fn session(css: &Css, person: &Person) -> Arc<Session> {
    let cfg = SolidConfig {
        web_id: iri(&person.web_id),
        issuer: url(&css.base),
        sign_in: SignIn::ClientCredentials { id: person.id.clone(), secret: Secret::new(&person.secret) },
        public_url: None,
        watch: WatchConfig::default(),
    };
    Arc::new(Session::open(&cfg, client(), None).await.expect("signs in"))
}

/// A watch that hears by `channels` only: it polls once an hour.
pub fn by(channels: &[Channel]) -> WatchConfig {
    WatchConfig { channels: channels.to_vec(), poll_seconds: 3600, channel_seconds: 3600 }
}

/// A watch that polls only, ten times a second.
pub fn polling() -> WatchConfig {
    WatchConfig { channels: Vec::new(), poll_seconds: 0, channel_seconds: 3600 }
}

/// No watch at all.
pub fn quiet() -> WatchConfig {
    by(&[])
}

/// A watch under way.
pub struct Watching {
    events: mpsc::Receiver<PodEvent>,
    task: tokio::task::JoinHandle<()>,
}

impl Watching {
    pub fn begin(pod: &SolidPod, known: impl Into<Known>) -> Self {
        let (tx, events) = mpsc::channel(64);
        let (pod, known) = (pod.clone(), known.into());
        Self { events, task: tokio::spawn(async move { pod.watch(known, tx).await }) }
    }

    /// The next event for which `pick` gives something.
    pub async fn next<T>(&mut self, what: &str, mut pick: impl FnMut(PodEvent) -> Option<T>) -> T {
        let found = tokio::time::timeout(PATIENCE, async {
            while let Some(event) = self.events.recv().await {
                if let Some(found) = pick(event) {
                    return found;
                }
            }
            panic!("the watch ended before {what}");
        });
        found.await.unwrap_or_else(|_| panic!("{what} did not come"))
    }

    pub async fn seen(&mut self, what: &str) -> waybill_solid::GrantSeen {
        self.next(what, |event| if let PodEvent::GrantSeen(seen) = event { Some(*seen) } else { None }).await
    }

    pub async fn gone(&mut self, what: &str) -> waybill_solid::GrantGone {
        self.next(what, |event| if let PodEvent::GrantGone(gone) = event { Some(gone) } else { None }).await
    }

    /// Waits until so many topics are subscribed, as (webhooks, sockets).
    pub async fn subscribed(&mut self, wanted: (usize, usize)) {
        self.next(&format!("{wanted:?} subscriptions"), |event| match event {
            PodEvent::Settled { webhooks, sockets, .. } if (webhooks, sockets) == wanted => Some(()),
            _ => None,
        })
        .await;
    }

    /// Ends the watch and waits for it.
    pub async fn end(self) {
        drop(self.events);
        tokio::time::timeout(PATIENCE, self.task).await.expect("the watch ends").expect("without a panic");
    }
}

/// A grant as she would write it.
pub fn grant(state: &str) -> String {
    serde_json::json!({"@context": "https://w3id.org/waybill/grant/v1", "id": "urn:grant:1", "state": state}).to_string()
}

/// Writes a grant as the citizen.
pub async fn write_grant(hers: &SolidPod, at: &Url, state: &str) {
    hers.put(at, Body::json(grant(state)), If::Always).await.expect("she writes her grant");
}

/// Webhooks below `base`.
pub fn hooks(base: Option<Url>) -> Arc<Webhooks> {
    Arc::new(Webhooks::new(client(), Clock::system(), base))
}

/// A meter that shows `power`.
pub fn meter(power: &str) -> EntityDoc {
    let mut entity = Entity::new(iri("urn:ngsi-ld:Meter:1"), vec![iri("https://example.org/Meter")]);
    let mut attribute = Attribute::new(AttributeValue::Property(RawJson::parse(power).expect("JSON")));
    attribute.unit_code = Some("WTT".into());
    entity.attributes.insert(iri("https://example.org/power"), vec![attribute]);
    EntityDoc::from_entity(&entity, DateTime::from_seconds(0))
}

/// Makes a test under WAC and one under ACP of each check.
macro_rules! under_both {
    ($($name:ident => $check:ident),* $(,)?) => {
        mod wac { $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$check(crate::css::Rules::Wac, stringify!($name)).await; })* }
        mod acp { $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$check(crate::css::Rules::Acp, stringify!($name)).await; })* }
    };
}
pub(crate) use under_both;
