//! The same adapter against the project's own small pod server, which the demo uses: what works there must be what works elsewhere.

use super::receiver::Receiver;
use super::world::{Watching, by, client, grant, iri, url};
use std::sync::Arc;
use waybill_conformance::{PodOptions, StandInPod};
use waybill_context::Contexts;
use waybill_model::Clock;
use waybill_solid::{
    Channel, Dialect, Evidence, Gone, Modes, PodConfig, Secret, Session, SignIn, SolidConfig, SolidPod, WatchConfig,
};

#[tokio::test]
async fn a_grant_comes_and_goes_at_the_stand_in() {
    let people = ["alice", "bob", "hub"].map(str::to_owned).to_vec();
    let server = StandInPod::start(PodOptions { people, ..PodOptions::default() }).await.expect("starts");
    let person = |name: &str| server.person(name).expect("a person");
    let (alice, hub) = (person("alice"), person("hub"));
    let rules = |modes: &str, path: &str| {
        format!(
            "@prefix acl: <http://www.w3.org/ns/auth/acl#> .
             <#owner> a acl:Authorization ; acl:agent <{}> ; acl:accessTo <./> ; acl:default <./> ; acl:mode acl:Read, acl:Write, acl:Control .
             <#hub> a acl:Authorization ; acl:agent <{}> ; acl:accessTo <./> ; acl:default <./> ; acl:mode {modes} . # {path}",
            alice.webid(),
            hub.webid()
        )
    };
    for (path, modes) in [("consents/", "acl:Read, acl:Control"), ("acknowledgements/", "acl:Append")] {
        alice.put(path, "text/turtle", "");
        alice.put(&format!("{path}.acl"), "text/turtle", rules(modes, path));
    }
    let credentials = hub.credentials();
    let cfg = SolidConfig {
        web_id: iri(&hub.webid()),
        issuer: url(&server.url()),
        sign_in: SignIn::ClientCredentials { id: credentials.id, secret: Secret::new(credentials.secret) },
        public_url: None,
        watch: WatchConfig::default(),
    };
    let session = Arc::new(Session::open(&cfg, client(), None).await.expect("opens"));
    let receiver = Receiver::start().await;
    let pod_cfg = PodConfig {
        web_id: iri(&alice.webid()),
        issuer: Some(url(&server.url())),
        consents: Some(url(&alice.root()).join("consents/").expect("an address")),
        acknowledgements: Some(url(&alice.root()).join("acknowledgements/").expect("an address")),
        resources: Vec::new(),
    };
    let contexts = Contexts::offline(Clock::system());
    let pod = SolidPod::connect(&pod_cfg, session, contexts, receiver.hooks.clone(), by(&[Channel::Webhook])).await.expect("found");
    let mut watching = Watching::begin(&pod, Vec::new());
    watching.subscribed((1, 0)).await;
    alice.put("consents/one", "application/json", grant("given"));
    let seen = watching.seen("her grant").await;
    assert!(seen.hers, "{:?}", seen.evidence);
    assert!(matches!(&seen.evidence, Evidence::AccessRules { snapshot, .. } if snapshot.dialect == Dialect::Wac));
    watching.subscribed((2, 0)).await;
    let (bob, at) = (iri(&person("bob").webid()), seen.url.clone());
    // Control is enough here to make the first rules beside her grant, and to take them away as if they had never been.
    assert_eq!(pod.give_access(&at, &bob, Modes::READ).await, Ok(()));
    assert_eq!(pod.take_access(&at, &bob).await.map(|r| (r.rules, r.still_reachable)), Ok((1, Some(false))));
    assert!(alice.get("consents/one.acl").is_none());
    alice.put("consents/one", "application/json", grant("withdrawn"));
    assert_eq!(watching.gone("her withdrawal").await.why, Gone::Withdrawn);
    pod.acknowledge("{\"stopped\":true}").await.expect("acknowledges");
    assert_eq!(alice.list("acknowledgements/").iter().filter(|p| !p.ends_with(".acl")).count(), 1);
    watching.end().await;
}
