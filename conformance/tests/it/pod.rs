//! The Solid-like server.

use super::calls::{Client, call, receiver};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::{Value, json};
use waybill_conformance::{Person, PodOptions, StandInPod};

const TURTLE: (&str, &str) = ("content-type", "text/turtle");

struct Stage {
    pod: StandInPod,
    ada: Person,
    hub: Client,
    /// Signed in as the second person.
    token: String,
}

async fn stage() -> Stage {
    let pod = StandInPod::start(PodOptions { people: vec!["ada".into(), "hub".into()], ..PodOptions::default() }).await.unwrap();
    let ada = pod.person("ada").unwrap();
    let credentials = pod.person("hub").unwrap().credentials();
    let hub = Client::new(7);
    let answer = hub.token(&pod.url(), &credentials.id, &credentials.secret).await;
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    Stage { pod, ada, hub, token }
}

fn rules(agent: &str, file: &str, modes: &str) -> String {
    format!(
        "@prefix acl: <http://www.w3.org/ns/auth/acl#> .\n<#g> a acl:Authorization ; acl:agent <{agent}> ; acl:accessTo <{file}> ; \
         acl:default <{file}> ; acl:mode {modes} ."
    )
}

#[tokio::test]
async fn a_stranger_reads_the_profile_and_nothing_else() {
    let Stage { ada, pod: _pod, .. } = stage().await;
    ada.put("energy/meter.ttl", "text/turtle", "<> <urn:p> 1 .");
    let profile = call("GET", &ada.webid(), &[], "").await;
    assert_eq!(profile.status, 200);
    assert!(profile.text().contains("solid:oidcIssuer"), "{}", profile.text());
    for path in ["", "energy/", "energy/meter.ttl", "energy/none", "profile/card.acl"] {
        assert_eq!(call("GET", &format!("{}{path}", ada.root()), &[], "").await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_token_is_bound_to_its_key_its_call_and_its_client() {
    let Stage { pod, ada, hub, token } = stage().await;
    let card = format!("{}profile/card", ada.root());
    assert_eq!(hub.call(&token, "GET", &card, &[], "").await.status, 200);
    // A proof works once.
    let (proof, bound) = (hub.proof("GET", &card, Some(&token)), format!("DPoP {token}"));
    let headers = [("authorization", bound.as_str()), ("dpop", proof.as_str())];
    assert_eq!(call("GET", &card, &headers, "").await.status, 200);
    assert_eq!(call("GET", &card, &headers, "").await.status, 401);
    // Not for another address, method or token, not from another key, not without a proof, not as a bearer token.
    let other = format!("{}profile/", ada.root());
    for proof in [hub.proof("GET", &other, Some(&token)), hub.proof("PUT", &card, Some(&token)), hub.proof("GET", &card, Some("x"))] {
        assert_eq!(call("GET", &card, &[("authorization", bound.as_str()), ("dpop", &proof)], "").await.status, 401);
    }
    assert_eq!(Client::new(8).call(&token, "GET", &card, &[], "").await.status, 401);
    assert_eq!(call("GET", &card, &[("authorization", bound.as_str())], "").await.status, 401);
    assert_eq!(call("GET", &card, &[("authorization", &format!("Bearer {token}"))], "").await.status, 401);
    // One changed character in what is signed.
    let (head, rest) = token.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let mut claims: Value = serde_json::from_slice(&B64.decode(claims).unwrap()).unwrap();
    claims["webid"] = ada.webid().into();
    let forged = format!("{head}.{}.{signature}", B64.encode(claims.to_string()));
    assert_eq!(hub.call(&forged, "GET", &card, &[], "").await.status, 401);
    assert_eq!(hub.token(&pod.url(), "nobody", "x").await.status, 401);
}

#[tokio::test]
async fn what_the_owner_allows_works_at_once_and_stops_at_once() {
    let Stage { pod, ada, hub, token } = stage().await;
    let agent = pod.person("hub").unwrap().webid();
    ada.put("energy/meter.ttl", "text/turtle", "<> <urn:p> 1 .");
    let meter = format!("{}energy/meter.ttl", ada.root());
    assert_eq!(hub.call(&token, "GET", &meter, &[], "").await.status, 403);
    ada.put("energy/.acl", "text/turtle", rules(&agent, "./", "acl:Read"));
    let read = hub.call(&token, "GET", &meter, &[], "").await;
    assert_eq!((read.status, read.text().as_str()), (200, "<> <urn:p> 1 ."));
    assert_eq!(read.header("wac-allow"), Some("user=\"read\""));
    assert_eq!(hub.call(&token, "PUT", &meter, &[TURTLE], "<> <urn:p> 2 .").await.status, 403);
    // Append makes new resources and changes none.
    ada.put("acks/.acl", "text/turtle", rules(&agent, "./", "acl:Append"));
    let acks = format!("{}acks/", ada.root());
    let made = hub.call(&token, "POST", &acks, &[("content-type", "application/json"), ("slug", "one")], "{}").await;
    assert_eq!((made.status, made.header("location")), (201, Some(format!("{acks}one").as_str())));
    assert_eq!(hub.call(&token, "PUT", &format!("{acks}one"), &[("content-type", "application/json")], "[]").await.status, 403);
    assert_eq!(ada.list("acks/"), ["acks/one"]);
    assert!(ada.delete("energy/.acl"));
    assert_eq!(hub.call(&token, "GET", &meter, &[], "").await.status, 403);
}

/// The second person's own pod, where she may do everything.
#[tokio::test]
async fn writing_follows_entity_tags_and_keeps_the_description_only_when_asked() {
    let Stage { hub, token, pod, .. } = stage().await;
    let file = format!("{}data/a.json", pod.person("hub").unwrap().root());
    let json = ("content-type", "application/json");
    assert_eq!(hub.call(&token, "PUT", &file, &[json, ("if-none-match", "*")], "{}").await.status, 201);
    assert_eq!(hub.call(&token, "PUT", &file, &[json, ("if-none-match", "*")], "{}").await.status, 412);
    let read = hub.call(&token, "GET", &file, &[], "").await;
    let etag = read.header("etag").unwrap();
    assert_eq!(hub.call(&token, "GET", &file, &[("if-none-match", etag)], "").await.status, 304);
    let meta = format!("{file}.meta");
    let patch = format!(
        "@prefix solid: <http://www.w3.org/ns/solid/terms#> .\n_:p a solid:InsertDeletePatch ; solid:inserts {{ <{file}> <urn:has> <urn:policy> . }} ."
    );
    assert_eq!(hub.call(&token, "PATCH", &meta, &[("content-type", "text/n3")], &patch).await.status, 201);
    assert!(read.head.contains(&format!("<{meta}>; rel=\"describedby\"")), "{}", read.head);
    let link = format!("<{meta}>; rel=\"preserve\"");
    assert_eq!(hub.call(&token, "PUT", &file, &[json, ("if-match", etag), ("link", &link)], "[1]").await.status, 205);
    assert_eq!(hub.call(&token, "GET", &meta, &[], "").await.status, 200);
    assert_eq!(hub.call(&token, "PUT", &file, &[json, ("if-match", etag)], "[2]").await.status, 412);
    assert_eq!(hub.call(&token, "PUT", &file, &[json], "[3]").await.status, 205);
    assert_eq!(hub.call(&token, "GET", &meta, &[], "").await.status, 404);
    let listing = hub.call(&token, "GET", &file.replace("a.json", ""), &[], "").await.text();
    assert!(listing.contains("http://www.w3.org/ns/ldp#contains") && listing.contains(&file), "{listing}");
    assert_eq!(hub.call(&token, "DELETE", &file.replace("a.json", ""), &[], "").await.status, 409);
    assert_eq!(hub.call(&token, "DELETE", &file, &[], "").await.status, 205);
    assert_eq!(hub.call(&token, "GET", &file, &[], "").await.status, 404);
}

#[tokio::test]
async fn a_patch_applies_when_its_condition_holds_in_exactly_one_way() {
    let Stage { hub, token, pod, .. } = stage().await;
    let own = pod.person("hub").unwrap();
    let file = format!("{}list.ttl", own.root());
    own.put("list.ttl", "text/turtle", "<#a> <urn:name> \"x\" . <#b> <urn:name> \"y\" .");
    let patch = |r#where: &str| {
        format!(
            "@prefix solid: <http://www.w3.org/ns/solid/terms#> .\n_:p a solid:InsertDeletePatch ; solid:where {{ {where} }} ; \
             solid:deletes {{ ?s <urn:name> \"x\" . }} ; solid:inserts {{ ?s <urn:name> \"z\" . }} .",
            r#where = r#where
        )
    };
    let n3 = ("content-type", "text/n3");
    assert_eq!(hub.call(&token, "PATCH", &file, &[n3], &patch("?s <urn:name> ?o .")).await.status, 409);
    assert_eq!(hub.call(&token, "PATCH", &file, &[n3], &patch("?s <urn:name> \"none\" .")).await.status, 409);
    assert_eq!(hub.call(&token, "PATCH", &file, &[n3], &patch("?s <urn:name> \"x\" .")).await.status, 205);
    let text = hub.call(&token, "GET", &file, &[], "").await.text();
    assert!(text.contains("\"z\"") && text.contains("\"y\"") && !text.contains("\"x\""), "{text}");
}

#[tokio::test]
async fn webhooks_tell_of_changes_under_the_servers_signature() {
    let Stage { pod, ada, hub, token } = stage().await;
    let (inbox, mut received) = receiver().await;
    let agent = pod.person("hub").unwrap().webid();
    ada.put("consents/.acl", "text/turtle", rules(&agent, "./", "acl:Read"));
    let topic = format!("{}consents/", ada.root());
    let description = call("GET", &format!("{}.well-known/solid", pod.url()), &[("accept", "application/ld+json")], "").await.text();
    assert!(description.contains("WebhookChannel2023"), "{description}");
    let service = format!("{}.notifications/WebhookChannel2023/", pod.url());
    let wish = json!({"@context": ["https://www.w3.org/ns/solid/notification/v1"], "topic": topic, "sendTo": inbox,
        "type": "http://www.w3.org/ns/solid/notifications#WebhookChannel2023"});
    let refused = json!({"type": "WebhookChannel2023", "topic": ada.root(), "sendTo": inbox});
    let ld = ("content-type", "application/ld+json");
    assert_eq!(hub.call(&token, "POST", &service, &[ld], &refused.to_string()).await.status, 403);
    let channel = hub.call(&token, "POST", &service, &[ld], &wish.to_string()).await.json();

    ada.put("consents/c1.jsonld", "application/ld+json", "{}");
    let (head, message) = received.recv().await.unwrap();
    assert_eq!((message["type"].as_str(), message["object"].as_str()), (Some("Add"), Some(format!("{topic}c1.jsonld").as_str())));
    assert_eq!(message["target"], topic.as_str());
    let header = |name: &str| head.lines().filter_map(|l| l.split_once(": ")).find(|(n, _)| *n == name).unwrap().1.to_owned();
    let bound = header("authorization");
    let token_text = bound.strip_prefix("DPoP ").unwrap();
    let claims: Value = serde_json::from_slice(&B64.decode(token_text.split('.').nth(1).unwrap()).unwrap()).unwrap();
    assert_eq!(claims["webid"], channel["sender"]);
    let proof: Value = serde_json::from_slice(&B64.decode(header("dpop").split('.').nth(1).unwrap()).unwrap()).unwrap();
    assert_eq!((&proof["htu"], &proof["htm"]), (&json!(inbox), &json!("POST")));

    assert_eq!(call("DELETE", channel["id"].as_str().unwrap(), &[], "").await.status, 404);
    assert_eq!(hub.call(&token, "DELETE", channel["id"].as_str().unwrap(), &[], "").await.status, 205);
    ada.put("consents/c2.jsonld", "application/ld+json", "{}");
    assert!(received.try_recv().is_err());
}
