//! A pod on a real Community Solid Server, watched: by webhook, by WebSocket, by polling; under WAC and again under ACP.

use super::receiver::Receiver;
use super::world::{Watching, World, by, grant, iri, meter, polling, quiet, under_both, write_grant};
use crate::css::Rules;
use url::Url;
use waybill_http::DpopKey;
use waybill_model::Clock;
use waybill_solid::{Body, Channel, Gone, If, KnownGrant, Modes, PodEvent, Profile, Sticky, WebhookError};

under_both! {
    grants_are_heard_of_by_webhook_and_forgers_are_refused => webhook,
    grants_are_heard_of_by_socket => socket,
    grants_are_heard_of_by_polling => poll,
    what_was_removed_while_the_hub_was_away_is_noticed => away,
    what_takes_the_place_of_a_grant_closes_it => replaced,
    data_of_a_pod_comes_and_goes => data,
    a_policy_stays_beside_a_resource => sticky_policy,
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
    assert!(gone.document.is_some_and(|d| d.hers && d.content() == grant("withdrawn").as_bytes()), "her own words, with their evidence");
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

async fn replaced(rules: Rules, test: &str) {
    let Some(world) = World::new(rules, test).await else { return };
    let hers = world.prepare(true).await;
    let at = world.at("consents/one");
    write_grant(&hers, &at, "given").await;
    let hubs = world.pod(&world.as_hub, polling(), None).await;
    let mut watching = Watching::begin(&hubs, Vec::new());
    assert!(watching.seen("her grant").await.hers);
    let neighbour = iri(&world.neighbour.web_id);
    hers.give_access(&at, &neighbour, Modes { write: true, ..Modes::READ }).await.expect("gives");
    world.put_as(&world.as_neighbour, &at, "application/json", "{\"state\":\"given\",\"to\":\"everybody\"}", 205).await;
    let gone = watching.gone("her grant is no more").await;
    assert_eq!((&gone.url, gone.why), (&at, Gone::Replaced));
    let seen = watching.seen("what stands there now").await;
    assert!(!seen.hers, "{:?}", seen.evidence);
    watching.end().await;
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
