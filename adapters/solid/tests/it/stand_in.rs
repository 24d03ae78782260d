//! The same adapter against the project's own small pod server, which the demo uses: what works there must be what works elsewhere.

use super::receiver::Receiver;
use super::world::{Watching, by, client, grant, hooks, iri, meter, polling, url};
use std::sync::Arc;
use waybill_conformance::{Person, PodOptions, StandInPod};
use waybill_context::Contexts;
use waybill_model::Clock;
use waybill_solid::{
    Agent, Channel, Dialect, Evidence, Gone, KnownGrant, Modes, PodConfig, PodEvent, Secret, Session, SignIn, SolidConfig, SolidError, SolidPod, WatchConfig,
    Webhooks,
};

/// A server, a citizen, her neighbour and the hub.
struct Street {
    server: StandInPod,
    alice: Person,
    bob: Person,
    hub: Person,
    session: Arc<Session>,
}

impl Street {
    async fn new() -> Self {
        let people = ["alice", "bob", "hub"].map(str::to_owned).to_vec();
        let server = StandInPod::start(PodOptions { people, ..PodOptions::default() }).await.expect("starts");
        let person = |name: &str| server.person(name).expect("a person");
        let (alice, bob, hub) = (person("alice"), person("bob"), person("hub"));
        let credentials = hub.credentials();
        let cfg = SolidConfig {
            web_id: iri(&hub.webid()),
            issuer: url(&server.url()),
            sign_in: SignIn::ClientCredentials { id: credentials.id, secret: Secret::new(credentials.secret) },
            public_url: None,
            watch: WatchConfig::default(),
        };
        let session = Arc::new(Session::open(&cfg, client(), None).await.expect("opens"));
        let street = Self { server, alice, bob, hub, session };
        for path in ["consents/", "acknowledgements/"] {
            street.alice.put(path, "text/turtle", "");
        }
        street.rules("consents/.acl", "acl:Read, acl:Control", None);
        street.rules("acknowledgements/.acl", "acl:Append", None);
        street
    }

    /// Alice writes the rules of a container of hers: what the hub may do, and what Bob may do there (not with what lies in it).
    fn rules(&self, path: &str, for_hub: &str, for_bob: Option<&str>) {
        let bob = for_bob.map(|modes| format!("<#bob> a acl:Authorization ; acl:agent <{}> ; acl:accessTo <./> ; acl:mode {modes} .", self.bob.webid()));
        let text = format!(
            "@prefix acl: <http://www.w3.org/ns/auth/acl#> .
             <#owner> a acl:Authorization ; acl:agent <{}> ; acl:accessTo <./> ; acl:default <./> ; acl:mode acl:Read, acl:Write, acl:Control .
             <#hub> a acl:Authorization ; acl:agent <{}> ; acl:accessTo <./> ; acl:default <./> ; acl:mode {for_hub} .
             {}",
            self.alice.webid(),
            self.hub.webid(),
            bob.unwrap_or_default()
        );
        self.alice.put(path, "text/turtle", text);
    }

    fn config(&self) -> PodConfig {
        let at = |path: &str| Some(url(&self.alice.root()).join(path).expect("an address"));
        PodConfig {
            web_id: iri(&self.alice.webid()),
            issuer: Some(url(&self.server.url())),
            consents: at("consents/"),
            acknowledgements: at("acknowledgements/"),
            resources: Vec::new(),
        }
    }

    async fn pod(&self, cfg: &PodConfig, watch: WatchConfig, hooks: Arc<Webhooks>) -> Result<SolidPod, SolidError> {
        SolidPod::connect(cfg, self.session.clone(), Contexts::offline(Clock::system()), hooks, watch).await
    }
}

#[tokio::test]
async fn a_grant_comes_and_goes() {
    let street = Street::new().await;
    let receiver = Receiver::start().await;
    let pod = street.pod(&street.config(), by(&[Channel::Webhook]), receiver.hooks.clone()).await.expect("found");
    let mut watching = Watching::begin(&pod, Vec::new());
    watching.subscribed((1, 0)).await;
    street.alice.put("consents/one", "application/json", grant("given"));
    let seen = watching.seen("her grant").await;
    assert!(seen.hers, "{:?}", seen.evidence);
    assert!(matches!(&seen.evidence, Evidence::AccessRules { snapshot, .. } if snapshot.dialect == Dialect::Wac));
    watching.subscribed((2, 0)).await;
    let (bob, at) = (iri(&street.bob.webid()), seen.url.clone());
    // Control is enough here to make the first rules beside her grant, and to take them away as if they had never been.
    assert_eq!(pod.give_access(&at, &bob, Modes::READ).await, Ok(()));
    assert_eq!(pod.take_access(&at, &bob).await.map(|r| (r.rules, r.still_reachable)), Ok((1, Some(false))));
    assert!(street.alice.get("consents/one.acl").is_none());
    street.alice.put("consents/one", "application/json", grant("withdrawn"));
    assert_eq!(watching.gone("her withdrawal").await.why, Gone::Withdrawn);
    pod.acknowledge("{\"stopped\":true}").await.expect("acknowledges");
    assert_eq!(street.alice.list("acknowledgements/").iter().filter(|p| !p.contains(".acl")).count(), 1);
    watching.end().await;
}

#[tokio::test]
async fn who_could_have_put_a_grant_there_counts_as_its_writer() {
    let street = Street::new().await;
    street.rules("consents/.acl", "acl:Read, acl:Control", Some("acl:Append"));
    street.alice.put("consents/one", "application/json", grant("given"));
    let pod = street.pod(&street.config(), polling(), hooks(None)).await.expect("found");
    let at = pod.consents().join("one").expect("an address");
    let found = pod.evidence(&at, grant("given").as_bytes()).await.expect("evidence");
    let Evidence::AccessRules { others, only_hers, .. } = &found else { panic!("{found:?}") };
    assert_eq!((others.as_slice(), *only_hers), ([Agent::One(street.bob.webid())].as_slice(), false));
}

#[tokio::test]
async fn tighter_rules_do_not_heal_what_others_could_have_written() {
    let street = Street::new().await;
    street.rules("consents/.acl", "acl:Read, acl:Control", Some("acl:Append"));
    street.alice.put("consents/one", "application/json", grant("given"));
    let pod = street.pod(&street.config(), polling(), hooks(None)).await.expect("found");
    let mut watching = Watching::begin(&pod, Vec::new());
    assert!(!watching.seen("the grant").await.hers);
    street.rules("consents/.acl", "acl:Read, acl:Control", None);
    let at = pod.consents().join("one").expect("an address");
    assert!(pod.evidence(&at, grant("given").as_bytes()).await.expect("evidence").shows_hers(), "the rules of now are good");
    for _ in 0..2 {
        watching
            .next("another look, and no grant in it", |event| match event {
                PodEvent::GrantSeen(seen) => panic!("it became hers: {seen:?}"),
                PodEvent::Settled { .. } => Some(()),
                _ => None,
            })
            .await;
    }
    street.alice.put("consents/one", "application/json", format!(" {}", grant("given")));
    assert!(watching.seen("the grant, written anew").await.hers);
    watching.end().await;
}

#[tokio::test]
async fn rules_that_cannot_be_seen_show_nothing() {
    let street = Street::new().await;
    street.rules("consents/.acl", "acl:Read", None);
    street.alice.put("consents/one", "application/json", grant("given"));
    let pod = street.pod(&street.config(), polling(), hooks(None)).await.expect("found");
    let mut watching = Watching::begin(&pod, Vec::new());
    let seen = watching.seen("the grant").await;
    assert!(!seen.hers, "{:?}", seen.evidence);
    // She lets the hub see the rules: the same bytes count now, since nobody else was ever seen to be able to write them.
    street.rules("consents/.acl", "acl:Read, acl:Control", None);
    assert!(watching.seen("the grant, with its evidence").await.hers);
    watching.end().await;
}

#[tokio::test]
async fn a_container_in_somebody_elses_storage_is_not_hers() {
    let street = Street::new().await;
    let theirs = url(&street.bob.root()).join("consents/").expect("an address");
    let cfg = PodConfig { consents: Some(theirs), ..street.config() };
    let found = street.pod(&cfg, polling(), hooks(None)).await;
    assert!(matches!(found.err(), Some(SolidError::Malformed { what: "container", .. })));
}

/// More than the hub's client takes in one answer.
fn large() -> Vec<u8> {
    vec![b' '; 11 << 20]
}

#[tokio::test]
async fn a_document_that_cannot_be_read_hides_no_other() {
    let street = Street::new().await;
    street.alice.put("data/", "text/turtle", "");
    street.rules("data/.acl", "acl:Read", None);
    for at in ["consents/a-large", "data/a-large"] {
        street.alice.put(at, "application/json", large());
    }
    for at in ["consents/one", "consents/two"] {
        street.alice.put(at, "application/json", grant("given"));
    }
    street.alice.put("data/meter", "application/ld+json", waybill_solid::encode::lossless(&meter("1")));
    let data = url(&street.alice.root()).join("data/").expect("an address");
    let cfg = PodConfig { resources: vec![data.clone()], ..street.config() };
    let pod = street.pod(&cfg, polling(), hooks(None)).await.expect("found");
    let mut watching = Watching::begin(&pod, Vec::new());
    let [one, two] = ["one", "two"].map(|name| pod.consents().join(name).expect("an address"));
    for at in [&one, &two] {
        let seen = watching.seen("her grant").await;
        assert_eq!((&seen.url, seen.hers), (at, true));
    }
    let entity = |e: PodEvent| if let PodEvent::EntitySeen { url, .. } = e { Some(url) } else { None };
    assert_eq!(watching.next("her meter", entity).await, data.join("meter").expect("an address"));
    let said = |e: PodEvent| match e {
        PodEvent::Unreachable { reason, .. } => Some(reason),
        PodEvent::Settled { .. } => panic!("not everything was looked at"),
        _ => None,
    };
    let reason = watching.next("that something cannot be read", said).await;
    assert!(!reason.contains("alice"), "{reason}");
    street.alice.put("consents/one", "application/json", grant("withdrawn"));
    let gone = watching.gone("her withdrawal").await;
    assert_eq!((&gone.url, gone.why), (&one, Gone::Withdrawn));
    // What nobody can read takes the place of a grant as anything else does.
    street.alice.put("consents/two", "application/json", large());
    let gone = watching.gone("what was her grant").await;
    assert_eq!((&gone.url, gone.why), (&two, Gone::Replaced));
    watching.end().await;
}

#[tokio::test]
async fn a_withdrawal_is_seen_among_more_documents_than_are_looked_at() {
    let street = Street::new().await;
    for n in 0..1001 {
        street.alice.put(&format!("consents/n{n}"), "text/plain", "");
    }
    street.alice.put("consents/zz", "application/json", grant("withdrawn"));
    let pod = street.pod(&street.config(), polling(), hooks(None)).await.expect("found");
    let at = pod.consents().join("zz").expect("an address");
    let known = KnownGrant { url: at.clone(), sha256: waybill_keys::sha256(grant("given").as_bytes()), hers: true };
    let mut watching = Watching::begin(&pod, vec![known]);
    let gone = watching.gone("her withdrawal").await;
    assert_eq!((&gone.url, gone.why), (&at, Gone::Withdrawn));
    watching.end().await;
}

#[tokio::test]
async fn a_withdrawal_needs_no_profile_and_hides_behind_nothing_that_does() {
    let street = Street::new().await;
    for at in ["consents/one", "consents/two"] {
        street.alice.put(at, "application/json", grant("given"));
    }
    let pod = street.pod(&street.config(), polling(), hooks(None)).await.expect("found");
    let mut watching = Watching::begin(&pod, Vec::new());
    for _ in 0..2 {
        assert!(watching.seen("her grant").await.hers);
    }
    assert!(street.alice.delete("profile/card"));
    street.alice.put("consents/a-new-one", "application/json", grant("given"));
    street.alice.put("consents/one", "application/json", grant("withdrawn"));
    let gone = watching.gone("her withdrawal").await;
    assert_eq!((gone.url.path().rsplit('/').next(), gone.why), (Some("one"), Gone::Withdrawn));
    assert!(gone.document.is_some_and(|d| !d.hers), "nothing shows that it is hers; it closes all the same");
    // Signed, by whomever: she would be asked to prove a yes, not a no.
    let signed = format!("e30.{}.c2ln", waybill_keys::b64url(grant("withdrawn").as_bytes()));
    street.alice.put("consents/two", "application/jose", signed);
    let gone = watching.gone("her signed withdrawal").await;
    assert_eq!((gone.url.path().rsplit('/').next(), gone.why), (Some("two"), Gone::Withdrawn));
    watching.end().await;
}
