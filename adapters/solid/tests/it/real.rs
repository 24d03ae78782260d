//! The whole sequence against a real Community Solid Server, under WAC and again under ACP.

use super::world::{Watching, World, by, call, client, grant, iri, polling, quiet, url, write_grant};
use crate::css::Rules;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;
use waybill_context::Contexts;
use waybill_http::{DpopKey, HeaderMap, Method};
use waybill_keys::{Algorithm, Key, jws};
use waybill_model::{Attribute, AttributeValue, Clock, DateTime, Entity, EntityDoc, RawJson};
use waybill_solid::client::evidence::GRANT_TYPE;
use waybill_solid::{Agent, Body, Channel, Evidence, Gone, If, KnownGrant, Modes, PodEvent, Profile, SolidError, SolidPod, Sticky, WebhookError, Webhooks};

macro_rules! under_both {
    ($($name:ident => $check:ident),* $(,)?) => {
        mod wac { $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$check(super::Rules::Wac, stringify!($name)).await; })* }
        mod acp { $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$check(super::Rules::Acp, stringify!($name)).await; })* }
    };
}

under_both! {
    a_pod_is_found_and_only_by_its_own_issuer => discovery,
    resources_are_written_read_changed_and_removed => resources,
    entities_lie_in_a_pod_in_both_profiles => entities,
    a_policy_stays_beside_a_resource => sticky_policy,
    a_grant_counts_only_when_it_is_hers => evidence,
    access_is_written_and_taken_back_at_once => access,
    grants_are_heard_of_by_webhook_and_forgers_are_refused => webhook,
    grants_are_heard_of_by_socket => socket,
    grants_are_heard_of_by_polling => poll,
    what_was_removed_while_the_hub_was_away_is_noticed => away,
    acknowledgements_can_only_be_added => acknowledgements,
    a_proof_is_good_once => replay,
    data_of_a_pod_comes_and_goes => data,
}

async fn discovery(rules: Rules, test: &str) {
    let Some(world) = World::new(rules, test).await else { return };
    world.prepare(false).await;
    let pod = world.pod(&world.as_hub, quiet(), None).await;
    assert_eq!(pod.storage().as_str(), world.citizen.pod);
    assert_eq!(pod.profile().issuers, [world.css.base.clone()]);
    let connect = |cfg| SolidPod::connect(cfg, world.as_hub.clone(), Contexts::offline(Clock::system()), hooks(None), quiet());
    let foreign = waybill_solid::PodConfig { issuer: Some(url("https://issuer.example/")), ..world.pod_config() };
    assert_eq!(connect(&foreign).await.err(), Some(SolidError::ForeignIssuer));
    let outside = waybill_solid::PodConfig { consents: Some(url(&world.neighbour.pod).join("consents/").expect("an address")), ..world.pod_config() };
    assert!(matches!(connect(&outside).await.err(), Some(SolidError::Malformed { .. })), "a container outside her storage is not hers");
    // Nothing configured and no type index: nothing is guessed.
    let bare = waybill_solid::PodConfig { consents: None, ..world.pod_config() };
    assert_eq!(connect(&bare).await.err(), Some(SolidError::NotFoundInProfile("the container of grants")));
    // With a type index that her profile names, the containers are found.
    let index = world.at("settings/index");
    let text = format!(
        "@prefix solid: <http://www.w3.org/ns/solid/terms#> . @prefix w: <https://w3id.org/waybill/ns#> .
         <#g> solid:forClass w:ConsentGrant ; solid:instanceContainer <{}> .
         <#a> solid:forClass w:Acknowledgement ; solid:instanceContainer <{}> .",
        world.at("consents/"),
        world.at("acknowledgements/")
    );
    world.put_as(&world.as_citizen, &index, "text/turtle", &text, 201).await;
    let hers = world.pod(&world.as_citizen, quiet(), None).await;
    hers.give_access(&index, &iri(&world.hub.web_id), Modes::READ).await.expect("Read on the index");
    let line = format!("<{}> <http://www.w3.org/ns/solid/terms#publicTypeIndex> <{index}> .", world.citizen.web_id);
    hers.patch(&world.at("profile/card"), &[], &[line], If::Always).await.expect("her profile names it");
    let named = waybill_solid::PodConfig { acknowledgements: None, ..bare.clone() };
    let found = connect(&named).await.expect("found by the type index");
    assert_eq!(found.consents(), &world.at("consents/"));
    assert_eq!(found.acknowledgements(), Some(&world.at("acknowledgements/")));
}

fn hooks(base: Option<Url>) -> Arc<Webhooks> {
    Arc::new(Webhooks::new(client(), Clock::system(), base))
}

async fn resources(rules: Rules, test: &str) {
    let Some(world) = World::new(rules, test).await else { return };
    let hers = world.prepare(false).await;
    let at = world.at("data/note");
    hers.put(&at, Body::turtle("<#it> <https://example.org/p> 1 ."), If::Absent).await.expect("creates");
    assert_eq!(hers.put(&at, Body::turtle("<#it> <https://example.org/p> 2 ."), If::Absent).await, Err(SolidError::Conflict));
    let first = hers.read(&at, "text/turtle").await.expect("reads");
    assert!(hers.get(&at, "text/turtle", first.etag.as_deref()).await.expect("asks").is_none(), "unchanged");
    let subject = format!("<{at}#it> <https://example.org/p>");
    tokio::time::sleep(Duration::from_millis(5)).await;
    hers.patch(&at, &[format!("{subject} 1 .")], &[format!("{subject} 3 .")], If::from_etag(first.etag.as_deref())).await.expect("patches");
    assert_eq!(
        hers.patch(&at, &[], &[format!("{subject} 4 .")], If::from_etag(first.etag.as_deref())).await,
        Err(SolidError::Conflict),
        "the entity tag is old"
    );
    let body = hers.read(&at, "text/turtle").await.expect("reads").body;
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(text.contains('3') && !text.contains('1'), "{text}");
    let (listed, _) = hers.list(&world.at("data/")).await.expect("lists");
    assert_eq!(listed, [at.clone()]);
    hers.delete(&at, If::Always).await.expect("deletes");
    assert_eq!(hers.read(&at, "*/*").await.err(), Some(SolidError::NotFound));
    // The hub has nothing to do here.
    let hubs = world.pod(&world.as_hub, quiet(), None).await;
    assert_eq!(hubs.list(&world.at("data/")).await.err(), Some(SolidError::Forbidden));
}

fn meter(power: &str) -> EntityDoc {
    let mut entity = Entity::new(iri("urn:ngsi-ld:Meter:1"), vec![iri("https://example.org/Meter")]);
    let mut attribute = Attribute::new(AttributeValue::Property(RawJson::parse(power).expect("JSON")));
    attribute.unit_code = Some("WTT".into());
    entity.attributes.insert(iri("https://example.org/power"), vec![attribute]);
    EntityDoc::from_entity(&entity, DateTime::from_seconds(0))
}

async fn entities(rules: Rules, test: &str) {
    let Some(world) = World::new(rules, test).await else { return };
    let hers = world.prepare(false).await;
    let lossless = world.at("data/meter");
    hers.write_entity(&lossless, &meter("21.50"), Profile::Lossless, If::Absent).await.expect("writes");
    let (back, losses, _) = hers.read_entity(&lossless).await.expect("reads");
    assert_eq!((back.text(), losses.len()), (meter("21.50").text(), 0));
    let plain = world.at("data/meter-plain");
    let losses = hers.write_entity(&plain, &meter("21.50"), Profile::Plain, If::Absent).await.expect("writes");
    assert_eq!(losses.iter().map(|l| l.pointer.as_str()).collect::<Vec<_>>(), ["/https:~1~1example.org~1power/0/unitCode"]);
    let (back, _, _) = hers.read_entity(&plain).await.expect("reads");
    assert_eq!(back.id(), "urn:ngsi-ld:Meter:1");
    assert!(back.text().contains("21.50"), "the digits stay: {}", back.text());
}

async fn sticky_policy(rules: Rules, test: &str) {
    let Some(world) = World::new(rules, test).await else { return };
    let hers = world.prepare(false).await;
    let at = world.at("data/meter");
    let policy = "https://hub.example/env/1";
    hers.write_entity(&at, &meter("1"), Profile::Lossless, If::Absent).await.expect("writes");
    hers.give_access(&at, &iri(&world.hub.web_id), Modes { write: true, ..Modes::READ }).await.expect("the hub may write it");
    let hubs = world.pod(&world.as_hub, by(&[Channel::WebSocket]), None).await;
    assert_eq!(hubs.stick_policy(&at, policy, &[]).await, Ok(Sticky::Reattached));
    assert_eq!(hubs.stick_policy(&at, policy, &[]).await, Ok(Sticky::Kept));
    hubs.write_entity(&at, &meter("2"), Profile::Lossless, If::Always).await.expect("writes");
    assert_eq!(hubs.policy_of(&at).await, Ok(vec![policy.to_owned()]), "the hub's own write keeps it");
    // A newer envelope takes the place of an older one.
    let newer = "https://hub.example/env/2";
    hubs.stick_policy(&at, newer, &[policy.to_owned()]).await.expect("sticks");
    assert_eq!(hubs.policy_of(&at).await, Ok(vec![newer.to_owned()]));
    hubs.keep_policy(&at, Some(newer));
    let mut watching = Watching::begin(&hubs, Vec::new());
    watching.subscribed((0, 2)).await;
    // Another application writes the resource as it always did, and strips the policy.
    world.put_as(&world.as_citizen, &at, "application/ld+json", "{\"@id\":\"urn:x:1\"}", 205).await;
    let found = watching.next("the policy is put there again", |e| if let PodEvent::PolicyReattached { url } = e { Some(url) } else { None }).await;
    assert_eq!(found, at);
    assert_eq!(hubs.policy_of(&at).await, Ok(vec![newer.to_owned()]));
    watching.end().await;
}

async fn evidence(rules: Rules, test: &str) {
    let Some(world) = World::new(rules, test).await else { return };
    let hers = world.prepare(true).await;
    let (at, hub) = (world.at("consents/one"), iri(&world.hub.web_id));
    write_grant(&hers, &at, "given").await;
    let hubs = world.pod(&world.as_hub, quiet(), None).await;
    let document = hubs.read(&at, "*/*").await.expect("reads").body;
    let found = hubs.evidence(&at, &document).await.expect("evidence");
    assert!(found.shows_hers(), "{found:?}");
    let Evidence::AccessRules { snapshot, .. } = &found else { panic!("{found:?}") };
    assert!(snapshot.documents.iter().any(|d| d.etag.is_some() && d.text.is_some()), "the rules are kept as they were");
    // The neighbour may write it: nobody knows whose it is.
    let neighbour = iri(&world.neighbour.web_id);
    hers.give_access(&at, &neighbour, Modes { write: true, ..Modes::READ }).await.expect("gives");
    let found = hubs.evidence(&at, &document).await.expect("evidence");
    assert!(!found.shows_hers() && found.shows_others(), "{found:?}");
    let Evidence::AccessRules { others, .. } = &found else { panic!("{found:?}") };
    assert_eq!(others, &[Agent::One(world.neighbour.web_id.clone())]);
    hers.take_access(&at, &neighbour).await.expect("takes");
    assert!(hubs.evidence(&at, &document).await.expect("evidence").shows_hers());
    // Who may add to the container could have put a document there.
    hers.give_access(&world.at("consents/"), &neighbour, Modes::APPEND).await.expect("gives");
    assert!(!hubs.evidence(&at, &document).await.expect("evidence").shows_hers());
    hers.take_access(&world.at("consents/"), &neighbour).await.expect("takes");
    assert!(hubs.evidence(&at, &document).await.expect("evidence").shows_hers());
    // Without Control the hub sees no rules, and an unsigned grant shows nothing.
    hers.give_access(&world.at("consents/"), &hub, Modes::READ).await.expect("narrows");
    if world.rules == Rules::Acp {
        hers.take_access(hers.storage(), &hub).await.expect("narrows");
    }
    let found = hubs.evidence(&at, &document).await.expect("evidence");
    assert!(!found.shows_hers(), "{found:?}");
    // A signed one shows itself, whatever the rules.
    let key = Key::generate(Algorithm::EdDsa, None, Clock::system().now().plus_seconds(-5));
    let signed = jws::sign(&key, GRANT_TYPE, &serde_json::json!({"id": "urn:grant:1", "state": "given"}));
    let stranger = hubs.evidence(&at, signed.as_bytes()).await.expect("evidence");
    assert!(!stranger.shows_hers(), "her profile does not name this key: {stranger:?}");
    let card = world.at("profile/card");
    let lines = [
        format!("<{}> <https://w3id.org/security#assertionMethod> <{card}#key> .", world.citizen.web_id),
        format!("<{card}#key> <https://w3id.org/security#publicKeyJwk> {} .", oxrdf::Literal::new_simple_literal(key.public().bare_jwk().to_string())),
    ];
    hers.patch(&card, &[], &lines, If::Always).await.expect("her profile names her key");
    let found = hubs.evidence(&at, signed.as_bytes()).await.expect("evidence");
    assert!(matches!(&found, Evidence::Signed { payload, .. } if payload.contains("urn:grant:1")), "{found:?}");
    let forged = format!("{}A", &signed[..signed.len() - 1]);
    assert!(forged == signed || !hubs.evidence(&at, forged.as_bytes()).await.expect("evidence").shows_hers());
}

async fn access(rules: Rules, test: &str) {
    let Some(world) = World::new(rules, test).await else { return };
    let hers = world.prepare(false).await;
    let at = world.at("data/meter");
    hers.write_entity(&at, &meter("1"), Profile::Plain, If::Absent).await.expect("writes");
    let neighbour = iri(&world.neighbour.web_id);
    let hubs = world.pod(&world.as_hub, quiet(), None).await;
    assert_eq!(hubs.give_access(&at, &neighbour, Modes::READ).await, Err(SolidError::Forbidden), "she gave the hub no Control");
    hers.give_access(&at, &iri(&world.hub.web_id), Modes { control: true, ..Modes::READ }).await.expect("Control");
    assert_eq!(world.status_as(&world.as_neighbour, Method::GET, &at).await, 403);
    hubs.give_access(&at, &neighbour, Modes::READ).await.expect("the hub gives");
    hubs.give_access(&at, &neighbour, Modes::READ).await.expect("twice is once");
    assert_eq!(world.status_as(&world.as_neighbour, Method::GET, &at).await, 200);
    assert_eq!(world.status_as(&world.as_neighbour, Method::DELETE, &at).await, 403);
    let removed = hubs.take_access(&at, &neighbour).await.expect("the hub takes");
    assert_eq!(removed.rules, 1);
    assert_ne!(removed.still_reachable, Some(true));
    assert_eq!(world.status_as(&world.as_neighbour, Method::GET, &at).await, 403, "with the same token, at once");
    assert_eq!(hubs.take_access(&at, &neighbour).await.map(|r| r.rules), Ok(0), "twice is once");
    assert_eq!(world.status_as(&world.as_citizen, Method::GET, &at).await, 200, "her own access is as before");
    // What she gave herself is not the hub's to take, and is told.
    let by_her = world.pod(&world.as_citizen, quiet(), None).await;
    let folder = world.at("data/");
    by_her.give_access(&folder, &neighbour, Modes::READ).await.expect("she gives");
    let answer = call(&world.as_neighbour, Method::GET, &folder).await;
    assert_eq!(answer.status, 200);
}

/// A little server that hands notifications to `hooks` and keeps them.
struct Receiver {
    base: Url,
    calls: Arc<Mutex<Vec<(String, Option<String>, Option<String>, Vec<u8>)>>>,
    hooks: Arc<Webhooks>,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = url(&format!("http://{}/solid/", listener.local_addr().expect("an address")));
        let (hooks, calls) = (hooks(Some(base.clone())), Arc::new(Mutex::new(Vec::new())));
        let (for_task, kept) = (hooks.clone(), calls.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (hooks, kept) = (for_task.clone(), kept.clone());
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    let (head, body) = loop {
                        let mut part = [0; 4096];
                        let read = stream.read(&mut part).await.unwrap_or(0);
                        bytes.extend_from_slice(&part[..read]);
                        let text = String::from_utf8_lossy(&bytes).into_owned();
                        let Some((head, body)) = text.split_once("\r\n\r\n") else {
                            assert_ne!(read, 0, "a request that ends early");
                            continue;
                        };
                        let wanted: usize = header_of(head, "content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
                        if body.len() >= wanted || read == 0 {
                            break (head.to_owned(), body.as_bytes().to_vec());
                        }
                    };
                    let name = head.split(' ').nth(1).and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
                    let (authorization, proof) = (header_of(&head, "authorization"), header_of(&head, "dpop"));
                    let outcome = hooks.receive(&name, authorization.as_deref(), proof.as_deref(), &body).await;
                    if outcome.is_ok() {
                        kept.lock().expect("calls").push((name, authorization, proof, body));
                    }
                    let status = if outcome.is_ok() { "204 No Content" } else { "401 Unauthorized" };
                    let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes()).await;
                });
            }
        });
        Self { base, calls, hooks }
    }
}

fn header_of(head: &str, name: &str) -> Option<String> {
    head.lines().filter_map(|l| l.split_once(':')).find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim().to_owned())
}

async fn webhook(rules: Rules, test: &str) {
    let Some(world) = World::new(rules, test).await else { return };
    let hers = world.prepare(true).await;
    let receiver = Receiver::start().await;
    let hubs = world.pod(&world.as_hub, by(&[Channel::Webhook]), Some(receiver.hooks.clone())).await;
    let mut watching = Watching::begin(&hubs, Vec::new());
    watching.subscribed((1, 0)).await;
    let at = world.at("consents/one");
    write_grant(&hers, &at, "given").await;
    let seen = watching.seen("her grant").await;
    assert_eq!((&seen.url, seen.hers, seen.content()), (&at, true, grant("given").as_bytes()));
    assert_eq!(seen.subject.as_str(), world.citizen.web_id);
    watching.subscribed((2, 0)).await;
    // Genuine calls came. Each of them again, and changed in one place, is refused.
    let (name, authorization, proof, body) = receiver.calls.lock().expect("calls").first().cloned().expect("a call");
    let (authorization, proof) = (authorization.expect("a token"), proof.expect("a proof"));
    let hooks = &receiver.hooks;
    let again = hooks.receive(&name, Some(&authorization), Some(&proof), &body).await;
    assert!(matches!(again, Err(WebhookError::Caller(_))), "a replay: {again:?}");
    let own = DpopKey::generate().expect("a key");
    let place = receiver.base.join(&format!("webhook/{name}")).expect("an address");
    let other_key = own.proof("POST", &place, None, None, Clock::system().now()).expect("a proof");
    let bearer = authorization.replacen("DPoP", "Bearer", 1);
    let truncated = &authorization[..authorization.len() - 4];
    let forged = [
        (name.as_str(), None, None),
        (name.as_str(), Some(authorization.as_str()), None),
        (name.as_str(), Some(bearer.as_str()), Some(proof.as_str())),
        (name.as_str(), Some(truncated), Some(proof.as_str())),
        (name.as_str(), Some(authorization.as_str()), Some(other_key.as_str())),
    ];
    for (name, authorization, proof) in forged {
        let refused = hooks.receive(name, authorization, proof, &body).await;
        assert!(matches!(refused, Err(WebhookError::Caller(_))), "{refused:?}");
    }
    assert_eq!(hooks.receive("guessed", Some(&authorization), Some(&proof), &body).await, Err(WebhookError::Unknown));
    assert!(receiver.base.as_str().starts_with("http://127.0.0.1:"));
    // She withdraws by saying so; then she removes another one.
    write_grant(&hers, &at, "withdrawn").await;
    let gone = watching.gone("her withdrawal").await;
    assert_eq!((&gone.url, gone.why), (&at, Gone::Withdrawn));
    let second = world.at("consents/two");
    write_grant(&hers, &second, "given").await;
    assert_eq!(watching.seen("her second grant").await.url, second);
    hers.delete(&second, If::Always).await.expect("removes");
    let gone = watching.gone("its removal").await;
    assert_eq!((&gone.url, gone.why), (&second, Gone::Removed));
    watching.end().await;
    assert!(receiver.hooks.addresses().is_empty(), "a watch that ends takes its webhooks with it");
}

async fn socket(rules: Rules, test: &str) {
    let Some(world) = World::new(rules, test).await else { return };
    let hers = world.prepare(true).await;
    // No public address: the webhook cannot be had, and the next way is taken.
    let hubs = world.pod(&world.as_hub, by(&[Channel::Webhook, Channel::WebSocket]), None).await;
    let mut watching = Watching::begin(&hubs, Vec::new());
    watching.subscribed((0, 1)).await;
    let at = world.at("consents/one");
    write_grant(&hers, &at, "given").await;
    assert_eq!(watching.seen("her grant").await.url, at);
    watching.subscribed((0, 2)).await;
    write_grant(&hers, &at, "withdrawn").await;
    assert_eq!(watching.gone("her withdrawal").await.why, Gone::Withdrawn);
    watching.end().await;
}

async fn poll(rules: Rules, test: &str) {
    let Some(world) = World::new(rules, test).await else { return };
    let hers = world.prepare(true).await;
    let hubs = world.pod(&world.as_hub, polling(), None).await;
    let mut watching = Watching::begin(&hubs, Vec::new());
    let at = world.at("consents/one");
    // Bytes that somebody else could have written do not become hers when the rules are made tighter afterwards.
    let (neighbour, hub) = (iri(&world.neighbour.web_id), iri(&world.hub.web_id));
    hers.give_access(&world.at("consents/"), &neighbour, Modes::APPEND).await.expect("gives");
    write_grant(&hers, &at, "given").await;
    let seen = watching.seen("the grant").await;
    assert!(!seen.hers, "{:?}", seen.evidence);
    hers.take_access(&world.at("consents/"), &neighbour).await.expect("takes");
    watching.next("another look", |e| matches!(e, PodEvent::Settled { .. }).then_some(())).await;
    watching
        .next("another look, and no grant in it", |e| match e {
            PodEvent::GrantSeen(seen) => panic!("it became hers: {seen:?}"),
            PodEvent::Settled { .. } => Some(()),
            _ => None,
        })
        .await;
    // Written anew, under rules that only she can write by, it is.
    let text = grant("given").replace("urn:grant:1", "urn:grant:2");
    hers.put(&at, Body::json(text), If::Always).await.expect("writes");
    let seen = watching.seen("the grant, written anew").await;
    assert!(seen.hers, "{:?}", seen.evidence);
    // She takes the hub's access back: as good as a withdrawal.
    hers.take_access(&world.at("consents/"), &hub).await.expect("takes");
    if world.rules == Rules::Acp {
        hers.take_access(hers.storage(), &hub).await.expect("takes");
    }
    let gone = watching.gone("access lost").await;
    assert_eq!((&gone.url, gone.why), (&at, Gone::AccessLost));
    watching.end().await;
}

async fn away(rules: Rules, test: &str) {
    let Some(world) = World::new(rules, test).await else { return };
    let hers = world.prepare(true).await;
    let (kept, changed) = (world.at("consents/kept"), world.at("consents/changed"));
    write_grant(&hers, &kept, "given").await;
    write_grant(&hers, &changed, "given").await;
    let known = |at: &Url, text: &str| KnownGrant { url: at.clone(), sha256: waybill_keys::sha256(text.as_bytes()), hers: true };
    let gone_one = world.at("consents/gone");
    let before = vec![known(&kept, &grant("given")), known(&changed, "what it said then"), known(&gone_one, &grant("given"))];
    let hubs = world.pod(&world.as_hub, quiet(), None).await;
    let mut watching = Watching::begin(&hubs, before);
    assert_eq!(watching.gone("the removal").await.url, gone_one);
    assert_eq!(watching.seen("the change").await.url, changed, "and not the one that is as it was");
    watching
        .next("nothing more", |e| match e {
            PodEvent::Settled { .. } => Some(()),
            other => panic!("{other:?}"),
        })
        .await;
    watching.end().await;
}

async fn acknowledgements(rules: Rules, test: &str) {
    let Some(world) = World::new(rules, test).await else { return };
    let hers = world.prepare(false).await;
    let hubs = world.pod(&world.as_hub, quiet(), None).await;
    let text = "{\"stopped\":true}";
    let first = hubs.acknowledge(text).await.expect("adds");
    let second = hubs.acknowledge(text).await.expect("adds");
    assert_ne!(first, second, "nothing is overwritten");
    let folder = world.at("acknowledgements/");
    assert_eq!(hubs.list(&folder).await.err(), Some(SolidError::Forbidden), "the hub may add and nothing else");
    assert_eq!(hers.list(&folder).await.expect("lists").0.len(), 2);
    assert_eq!(hers.read(&first, "*/*").await.expect("reads").body, text);
}

async fn replay(rules: Rules, test: &str) {
    let Some(world) = World::new(rules, test).await else { return };
    world.prepare(false).await;
    // By hand, since the session never sends a proof twice.
    let key = DpopKey::generate().expect("a key");
    let http = client();
    let endpoint = url(&format!("{}.oidc/token", world.css.base));
    let proof = |method: &str, at: &Url, token: Option<&str>| key.proof(method, at, token, None, Clock::system().now()).expect("a proof");
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = format!("Basic {}", base64(&format!("{}:{}", encoded(&world.hub.id), encoded(&world.hub.secret))));
    let asked = waybill_http::OutRequest::post(endpoint.as_str(), "application/x-www-form-urlencoded", "grant_type=client_credentials&scope=webid")
        .header(waybill_http::header::AUTHORIZATION, basic)
        .header(waybill_http::HeaderName::from_static("dpop"), proof("POST", &endpoint, None));
    let answer = http.send(asked).await.expect("a token");
    let said: serde_json::Value = answer.json().expect("JSON");
    let token = said["access_token"].as_str().expect("a token").to_owned();
    let at = world.at("consents/");
    let get = |scheme: &str, proof: &str| {
        let request = waybill_http::OutRequest::get(at.as_str())
            .header(waybill_http::header::AUTHORIZATION, format!("{scheme} {token}"))
            .header(waybill_http::HeaderName::from_static("dpop"), proof);
        let http = http.clone();
        async move { http.send(request).await.expect("an answer").status.as_u16() }
    };
    let once = proof("GET", &at, Some(&token));
    assert_eq!(get("DPoP", &once).await, 200);
    assert_eq!(get("DPoP", &once).await, 401, "the same proof again");
    assert_eq!(get("DPoP", &proof("GET", &world.at("data/"), Some(&token))).await, 401, "a proof for another address");
    assert_eq!(get("Bearer", &proof("GET", &at, Some(&token))).await, 401, "without possession");
    let mut headers = HeaderMap::new();
    headers.insert(waybill_http::header::ACCEPT, waybill_http::HeaderValue::from_static("text/turtle"));
    for _ in 0..2 {
        let answer = world.as_hub.send(Method::GET, &at, headers.clone(), bytes::Bytes::new()).await.expect("an answer");
        assert_eq!(answer.status, 200, "the session makes a fresh proof each time");
    }
}

fn base64(text: &str) -> String {
    // RFC 4648 §4: the alphabet of the URL form differs in two characters, and Basic has padding.
    let plain = waybill_keys::b64url(text).replace('-', "+").replace('_', "/");
    format!("{plain}{}", "=".repeat((4 - plain.len() % 4) % 4))
}

async fn data(rules: Rules, test: &str) {
    let Some(world) = World::new(rules, test).await else { return };
    let hers = world.prepare(false).await;
    let (folder, at) = (world.at("data/"), world.at("data/meter"));
    hers.give_access(&folder, &iri(&world.hub.web_id), Modes::READ).await.expect("Read on data");
    world.put_as(&world.as_citizen, &world.at("data/picture"), "image/png", "no entity", 201).await;
    let cfg = waybill_solid::PodConfig { resources: vec![folder], ..world.pod_config() };
    let hubs = world.pod_with(cfg, &world.as_hub, by(&[Channel::WebSocket]), None).await;
    let mut watching = Watching::begin(&hubs, Vec::new());
    watching.subscribed((0, 3)).await;
    hers.write_entity(&at, &meter("1"), Profile::Lossless, If::Absent).await.expect("writes");
    let entity = |e: PodEvent| if let PodEvent::EntitySeen { entity, .. } = e { Some(entity) } else { None };
    assert_eq!(watching.next("her meter", entity).await.text(), meter("1").text());
    watching.subscribed((0, 4)).await;
    hers.write_entity(&at, &meter("2"), Profile::Lossless, If::Always).await.expect("writes");
    assert_eq!(watching.next("its change", entity).await.text(), meter("2").text());
    hers.delete(&at, If::Always).await.expect("removes");
    let gone = watching.next("its removal", |e| if let PodEvent::EntityGone { url } = e { Some(url) } else { None }).await;
    assert_eq!(gone, at);
    watching.end().await;
}
