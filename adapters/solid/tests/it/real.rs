//! A pod on a real Community Solid Server, under WAC and again under ACP: found, read, written, its access rules.

use super::world::{World, call, client, hooks, iri, meter, polling, quiet, under_both, url, write_grant};
use crate::css::Rules;
use std::sync::Arc;
use std::time::Duration;
use url::Url;
use waybill_context::Contexts;
use waybill_http::{DpopKey, HeaderMap, Method};
use waybill_keys::{Algorithm, Key, jws};
use waybill_model::Clock;
use waybill_port::{AccessChange, Grants, Health, HealthState};
use waybill_solid::client::evidence::GRANT_TYPE;
use waybill_solid::{
    Account, Agent, Body, Evidence, If, Known, Modes, PodConnection, PodEvent, Profile, Secret, SignIn, SolidConfig, SolidError, SolidPod,
};

under_both! {
    a_pod_is_found_and_only_by_its_own_issuer => discovery,
    resources_are_written_read_changed_and_removed => resources,
    entities_lie_in_a_pod_in_both_profiles => entities,
    a_grant_counts_only_when_it_is_hers => evidence,
    access_is_written_and_taken_back_at_once => access,
    the_engine_reaches_a_pod_through_its_port => port,
    acknowledgements_can_only_be_added => acknowledgements,
    a_proof_is_good_once => replay,
}

async fn discovery(rules: Rules, test: &str) {
    let Some(world) = World::new(rules, test).await else { return };
    world.prepare(false).await;
    let pod = world.pod(&world.as_hub, quiet(), None).await;
    assert_eq!(pod.storage().as_str(), world.citizen.pod);
    assert_eq!(pod.profile().issuers, std::slice::from_ref(&world.css.base));
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
    assert_eq!(listed, std::slice::from_ref(&at));
    hers.delete(&at, If::Always).await.expect("deletes");
    assert_eq!(hers.read(&at, "*/*").await.err(), Some(SolidError::NotFound));
    // The hub has nothing to do here.
    let hubs = world.pod(&world.as_hub, quiet(), None).await;
    assert_eq!(hubs.list(&world.at("data/")).await.err(), Some(SolidError::Forbidden));
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
    let forged = signed.replacen('.', ".e", 1);
    assert!(!hubs.evidence(&at, forged.as_bytes()).await.expect("evidence").shows_hers());
    // Her profile names another issuer now: what comes from her pod counts no more.
    let issuer = |name: &str| format!("<{}> <http://www.w3.org/ns/solid/terms#oidcIssuer> <{name}> .", world.citizen.web_id);
    let (own, other) = (issuer(&world.css.base), issuer("https://issuer.example/"));
    hers.patch(&card, &[], &[other], If::Always).await.expect("her profile names another one beside it");
    assert!(hubs.evidence(&at, signed.as_bytes()).await.expect("evidence").shows_hers());
    hers.patch(&card, &[own], &[], If::Always).await.expect("and then that one only");
    assert!(!hubs.evidence(&at, signed.as_bytes()).await.expect("evidence").shows_hers());
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

async fn port(rules: Rules, test: &str) {
    let Some(world) = World::new(rules, test).await else { return };
    let hers = world.prepare(true).await;
    let at = world.at("consents/shared");
    write_grant(&hers, &at, "given").await;
    let cfg = SolidConfig {
        web_id: iri(&world.hub.web_id),
        issuer: url(&world.css.base),
        sign_in: SignIn::ClientCredentials { id: world.hub.id.clone(), secret: Secret::new(&world.hub.secret) },
        public_url: None,
        watch: polling(),
    };
    let account = Arc::new(Account::new(cfg, client(), Contexts::offline(Clock::system()), None));
    let connection = Arc::new(PodConnection::new("pods", world.pod_config(), account.clone()));
    let (her, neighbour) = (iri(&world.citizen.web_id), iri(&world.neighbour.web_id));
    assert!(connection.serves(&her) && !connection.serves(&neighbour));
    assert_eq!(connection.check().await, HealthState::Up);
    let acknowledge = AccessChange::Acknowledge { document: "{\"stopped\":true}".into() };
    connection.apply(&her, &acknowledge).await.expect("acknowledges");
    assert_eq!(hers.list(&world.at("acknowledgements/")).await.expect("lists").0.len(), 1);
    assert!(!connection.apply(&neighbour, &acknowledge).await.expect_err("another person").retry);
    let hubs = connection.pod().await.expect("found");
    // With rules of its own beside the resource, Control is enough; to make the first ones the server wants Append on the container.
    assert_eq!(hubs.give_access(&at, &neighbour, Modes::READ).await, Err(SolidError::Forbidden));
    hers.give_access(&at, &iri(&world.hub.web_id), Modes { control: true, ..Modes::READ }).await.expect("gives");
    hubs.give_access(&at, &neighbour, Modes::READ).await.expect("gives");
    assert_eq!(world.status_as(&world.as_neighbour, Method::GET, &at).await, 200);
    let remove = |resource: &Url| AccessChange::Remove { recipient: neighbour.clone(), resource: resource.to_string() };
    connection.apply(&her, &remove(&at)).await.expect("removes");
    assert_eq!(world.status_as(&world.as_neighbour, Method::GET, &at).await, 403);
    connection.apply(&her, &remove(&at)).await.expect("twice is once");
    let elsewhere = url(&world.neighbour.pod).join("x").expect("an address");
    assert!(!connection.apply(&her, &remove(&elsewhere)).await.expect_err("not in her storage").retry);
    // A pod that cannot be found is no fault that ends anything: it is looked for again.
    let lost = PodConnection::new("pods", waybill_solid::PodConfig { issuer: Some(url("https://issuer.example/")), ..world.pod_config() }, account);
    assert!(matches!(lost.check().await, HealthState::Down { .. }));
    let (tx, mut events) = tokio::sync::mpsc::channel(4);
    let looking = tokio::spawn(async move { lost.run(Known::default(), tx).await });
    for _ in 0..2 {
        assert!(matches!(events.recv().await, Some(PodEvent::Unreachable { .. })));
    }
    drop(events);
    looking.await.expect("it ends when nobody listens");
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
