//! Who is recognised and who is not: static tokens, tokens of issuers, proofs, the loopback operator.

use crate::support::*;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use waybill_http::{
    Authenticator, Client, DpopError, DpopKey, IssuerConfig, ProofExpectation, Registration, ReplayCache, ReplayError, Role, ServerHandle, StaticToken,
    Tenants, TokenError, TokenVerifier, VerifierConfig, WebIds, verify_proof,
};
use waybill_model::{DateTime, Problem, TenantId};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

const ADVICE: &str = "https://w3id.org/waybill/purpose#EnergyAdvice";
const PLANNING: &str = "https://w3id.org/waybill/purpose#GridPlanning";
const CITY_B: &str = "https://city-b.example/";
const RSA: &str = include_str!("fixtures/rsa-2048.pem");
const WEAK_RSA: &str = include_str!("fixtures/rsa-1024.pem");

/// An issuer that publishes `keys`.
async fn issuer(keys: &[&Signer]) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(path("/.well-known/openid-configuration"))
        .respond_with(ResponseTemplate::new(200).set_body_json(discovery(&server.uri(), &server.uri())))
        .mount(&server)
        .await;
    publish(&server, keys).await;
    server
}

fn discovery(issuer: &str, base: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{base}/auth"),
        "token_endpoint": format!("{base}/token"),
        "jwks_uri": format!("{base}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}

async fn publish(server: &MockServer, keys: &[&Signer]) {
    let odd = json!({"kty": "made-up", "kid": "odd"});
    let keys: Vec<&Value> = keys.iter().map(|k| &k.jwk).chain([&odd]).collect();
    Mock::given(path("/jwks")).respond_with(ResponseTemplate::new(200).set_body_json(json!({"keys": keys}))).mount(server).await;
}

fn verifier(issuer: &str) -> Arc<TokenVerifier> {
    verifier_with(issuer, local_client())
}
fn verifier_with(issuer: &str, client: Client) -> Arc<TokenVerifier> {
    let config = IssuerConfig { issuer: issuer.to_owned(), audiences: vec!["https://hub.city-a.example".to_owned()], jwks_uri: None };
    Arc::new(TokenVerifier::new(client, VerifierConfig { issuers: vec![config], refetch: Duration::from_hours(1) }))
}

/// Claims that are all good.
fn claims(issuer: &str) -> Value {
    json!({
        "iss": issuer, "aud": "https://hub.city-a.example", "exp": NOW + 300, "iat": NOW, "nbf": NOW,
        "sub": "someone", "azp": "city-b-app", "jti": "1", "purpose": ADVICE,
    })
}
fn changed(issuer: &str, changes: Value) -> Value {
    let mut claims = claims(issuer);
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn now() -> DateTime {
    DateTime::from_seconds(NOW)
}

async fn check(verifier: &TokenVerifier, token: &str) -> Result<(), TokenError> {
    verifier.verify(token, now()).await.map(|_| ())
}

#[tokio::test]
async fn each_allowed_algorithm_is_verified() {
    let signers = [
        Signer::es256("es"),
        Signer::ed25519("ed"),
        Signer::rsa("rs", RSA, Algorithm::RS256),
        Signer::rsa("ps", RSA, Algorithm::PS256),
    ];
    let server = issuer(&signers.iter().collect::<Vec<_>>()).await;
    let verifier = verifier(&server.uri());
    for signer in &signers {
        let token = signer.token(&claims(&server.uri()));
        assert_eq!(check(&verifier, &token).await, Ok(()), "{:?}", signer.alg);
        let (body, signature) = token.rsplit_once('.').unwrap();
        let mut turned: Vec<char> = signature.chars().collect();
        turned[10] = if turned[10] == 'A' { 'B' } else { 'A' };
        let forged = format!("{body}.{}", turned.into_iter().collect::<String>());
        assert_eq!(check(&verifier, &forged).await, Err(TokenError::Signature), "{:?}", signer.alg);
    }
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let (good, stranger) = (Signer::es256("k1"), Signer::es256("k1"));
    let rsa = Signer::rsa("rs", RSA, Algorithm::RS256);
    let weak = Signer::rsa("weak", WEAK_RSA, Algorithm::RS256);
    let server = issuer(&[&good, &rsa, &weak]).await;
    let uri = server.uri();
    let verifier = verifier(&uri);
    let claims = claims(&uri);
    let token = good.token(&claims);
    assert_eq!(check(&verifier, &token).await, Ok(()));
    let body = b64(claims.to_string().as_bytes());
    let unsigned = |head: Value| format!("{}.{body}.", b64(head.to_string().as_bytes()));
    let signed_with = |head: Value| format!("{}.{body}.c2lnbmF0dXJl", b64(head.to_string().as_bytes()));
    // The classic confusion: an HMAC keyed with the public key's text.
    let hmac = {
        let mut header = jsonwebtoken::Header::new(Algorithm::HS256);
        header.kid = Some("rs".to_owned());
        jsonwebtoken::encode(&header, &claims, &jsonwebtoken::EncodingKey::from_secret(rsa.jwk.to_string().as_bytes())).unwrap()
    };
    let mut parts = token.split('.');
    let (head, _, signature) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let other_body = b64(changed(&uri, json!({"azp": "operator-app"})).to_string().as_bytes());
    let cases = [
        (stranger.token(&claims), TokenError::Signature, "signed by a stranger under a known name"),
        (Signer::es256("k9").token(&claims), TokenError::Key, "an unknown key"),
        (good.token_with(|h| h.kid = None, &claims), TokenError::Key, "no key name among several"),
        (format!("{head}.{other_body}.{signature}"), TokenError::Signature, "claims changed under a signature"),
        (unsigned(json!({"alg": "none"})), TokenError::Form, "alg none"),
        (signed_with(json!({"alg": "none", "kid": "k1"})), TokenError::Algorithm, "alg none with something for a signature"),
        (signed_with(json!({"alg": "NONE", "kid": "k1"})), TokenError::Algorithm, "alg NONE"),
        (signed_with(json!({"alg": "nOnE", "kid": "k1"})), TokenError::Algorithm, "alg nOnE"),
        (hmac, TokenError::Algorithm, "HS256 with the public key"),
        (signed_with(json!({"alg": "RS256", "kid": "k1"})), TokenError::Signature, "RS256 with an EC key"),
        (signed_with(json!({"alg": "ES256", "kid": "rs"})), TokenError::Signature, "ES256 with an RSA key"),
        (weak.token(&claims), TokenError::Key, "a key that is too short is no key"),
        (signed_with(json!({"alg": "ES256", "kid": "k1", "crit": ["exp"]})), TokenError::Form, "an extension that must be understood"),
        (signed_with(json!({"alg": "ES256"})), TokenError::Key, "no key name"),
        (good.token_with(|h| h.typ = Some("dpop+jwt".into()), &claims), TokenError::Form, "a proof as a token"),
        (good.token_with(|h| h.typ = Some("secevent+jwt".into()), &claims), TokenError::Form, "an event as a token"),
        ("a.b.c".to_owned(), TokenError::Form, "no token"),
        (format!("{token}.x"), TokenError::Form, "four parts"),
        (format!("{token}="), TokenError::Signature, "padding"),
        ("x".repeat(20_000), TokenError::Form, "far too long"),
    ];
    for (token, expected, what) in cases {
        assert_eq!(check(&verifier, &token).await, Err(expected), "{what}");
    }
}

#[tokio::test]
async fn claims_must_be_good() {
    let signer = Signer::es256("k1");
    let server = issuer(&[&signer]).await;
    let uri = server.uri();
    let verifier = verifier(&uri);
    let cases = [
        (json!({"exp": NOW - 59}), Ok(()), "expired within the minute clocks may differ"),
        (json!({"exp": NOW - 60}), Err(TokenError::Expired), "expired"),
        (json!({"exp": 0}), Err(TokenError::Expired), "expired long ago"),
        (json!({"exp": null}), Err(TokenError::Form), "no end"),
        (json!({"exp": "tomorrow"}), Err(TokenError::Form), "no number"),
        (json!({"nbf": NOW + 60}), Ok(()), "valid within the minute"),
        (json!({"nbf": NOW + 61}), Err(TokenError::NotYet), "not yet"),
        (json!({"iat": NOW + 3600}), Err(TokenError::NotYet), "made in the future"),
        (json!({"aud": "https://other.example"}), Err(TokenError::Audience), "for somebody else"),
        (json!({"aud": ["https://other.example", "https://hub.city-a.example"]}), Ok(()), "for us too"),
        (json!({"aud": []}), Err(TokenError::Audience), "for nobody"),
        (json!({"aud": null}), Err(TokenError::Audience), "audience missing"),
        (json!({"aud": "https://hub.city-a.example.evil.example"}), Err(TokenError::Audience), "an audience that begins like ours"),
        (json!({"iss": "https://evil.example"}), Err(TokenError::Issuer), "a foreign issuer"),
        (json!({"iss": format!("{uri}/")}), Ok(()), "the issuer with a slash"),
        (json!({"iss": format!("{uri}/realm")}), Err(TokenError::Issuer), "another issuer at the same host"),
        (json!({"iss": null}), Err(TokenError::Form), "issuer missing"),
    ];
    for (changes, expected, what) in cases {
        assert_eq!(check(&verifier, &signer.token(&changed(&uri, changes))).await, expected, "{what}");
    }
    let duplicate = claims(&uri).to_string().replacen('{', &format!("{{\"exp\":{},", NOW + 9_000_000), 1);
    let head = b64(br#"{"alg":"ES256","kid":"k1"}"#);
    let signed = format!("{head}.{}", b64(duplicate.as_bytes()));
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &signer.key, Algorithm::ES256).unwrap();
    assert_eq!(check(&verifier, &format!("{signed}.{signature}")).await, Err(TokenError::Form), "a claim given twice");
}

#[tokio::test]
async fn a_good_token_is_remembered_and_still_expires() {
    let signer = Signer::es256("k1");
    let server = issuer(&[&signer]).await;
    let uri = server.uri();
    let verifier = verifier(&uri);
    let token = signer.token(&claims(&uri));
    let late = |seconds: i64| DateTime::from_seconds(NOW + seconds);
    let first = verifier.verify(&token, now()).await.unwrap();
    let again = verifier.verify(&token, late(59)).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again), "not checked twice within a minute");
    let anew = verifier.verify(&token, late(61)).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &anew), "but after it");
    assert_eq!(verifier.verify(&token, late(-61)).await.map(|_| ()), Err(TokenError::NotYet), "a clock that was set back is no excuse");
    let short = signer.token(&changed(&uri, json!({"exp": NOW - 30})));
    assert!(verifier.verify(&short, now()).await.is_ok());
    assert_eq!(verifier.verify(&short, late(30)).await.map(|_| ()), Err(TokenError::Expired), "remembered, and expired all the same");
    let (body, signature) = token.rsplit_once('.').unwrap();
    let forged = format!("{body}.{}", signature.chars().rev().collect::<String>());
    assert!(verifier.verify(&forged, now()).await.is_err(), "what is remembered is the whole token");
    server.reset().await;
    assert_eq!(verifier.verify(&anew_token(&signer, &uri), late(61)).await.map(|_| ()), Ok(()), "known keys go on");
}

fn anew_token(signer: &Signer, uri: &str) -> String {
    signer.token(&changed(uri, json!({"jti": "another"})))
}

#[tokio::test]
async fn a_discovery_document_of_another_issuer_is_not_believed() {
    let signer = Signer::es256("k1");
    let server = MockServer::start().await;
    let lying = discovery("https://victim.example", &server.uri());
    Mock::given(path("/.well-known/openid-configuration")).respond_with(ResponseTemplate::new(200).set_body_json(lying)).mount(&server).await;
    publish(&server, &[&signer]).await;
    let outcome = check(&verifier(&server.uri()), &signer.token(&claims(&server.uri()))).await;
    assert!(matches!(outcome, Err(TokenError::Unreachable(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_new_key_is_found_and_unknown_names_do_not_hammer_the_issuer() {
    let (old, new) = (Signer::es256("k1"), Signer::es256("k2"));
    let server = issuer(&[&old]).await;
    let uri = server.uri();
    let asked = || async { server.received_requests().await.unwrap().iter().filter(|r| r.url.path() == "/jwks").count() };
    let quick = {
        let config = IssuerConfig { issuer: uri.clone(), audiences: vec!["https://hub.city-a.example".to_owned()], jwks_uri: Some(format!("{uri}/jwks")) };
        TokenVerifier::new(local_client(), VerifierConfig { issuers: vec![config], refetch: Duration::ZERO })
    };
    let slow = verifier(&uri);
    assert_eq!(check(&quick, &old.token(&claims(&uri))).await, Ok(()));
    assert_eq!(check(&slow, &old.token(&claims(&uri))).await, Ok(()));
    assert_eq!(asked().await, 2);
    server.reset().await;
    publish(&server, &[&old, &new]).await;
    assert_eq!(check(&quick, &new.token(&claims(&uri))).await, Ok(()), "the new key is looked for");
    assert_eq!(check(&quick, &old.token(&claims(&uri))).await, Ok(()));
    assert_eq!(asked().await, 1);
    for _ in 0..10 {
        assert_eq!(check(&slow, &Signer::es256("made-up").token(&claims(&uri))).await, Err(TokenError::Key));
    }
    assert_eq!(asked().await, 1, "within the hour it is not asked again");
}

#[tokio::test]
async fn an_issuer_that_is_away_is_said_so_and_known_keys_go_on() {
    let signer = Signer::es256("k1");
    let server = issuer(&[&signer]).await;
    let uri = server.uri();
    let known = verifier(&uri);
    let token = signer.token(&claims(&uri));
    assert_eq!(check(&known, &token).await, Ok(()));
    server.reset().await;
    assert_eq!(check(&known, &token).await, Ok(()));
    let never_asked = check(&verifier(&uri), &token).await.unwrap_err();
    assert!(matches!(never_asked, TokenError::Unreachable(_)));
    assert_eq!(never_asked.to_problem().status, 503);
}

/// A hub that knows the clients of one issuer.
async fn hub(issuer: &str, registrations: Vec<Registration>) -> ServerHandle {
    let mut config = config();
    config.public_base = Some("https://hub.city-a.example".to_owned());
    started(config, echo_router(), Authenticator::closed().with_issuers(verifier(issuer), registrations)).await
}

fn registrations(issuer: &str) -> Vec<Registration> {
    let party = |client: &str, purposes: &[&str]| {
        Registration::new(issuer, client, Role::Party(iri(CITY_B))).purposes(purposes.iter().map(|p| iri(p)))
    };
    vec![
        party("city-b-app", &[ADVICE, PLANNING]),
        party("city-b-one", &[ADVICE]),
        party("city-b-none", &[]),
        Registration::new(issuer, "desk", Role::Operator),
        Registration::new(issuer, "pod-app", Role::Person(WebIds::Under(vec!["https://pods.example/".to_owned()]))),
        Registration::new(issuer, "portal", Role::Person(WebIds::BySubject)),
    ]
}

#[tokio::test]
async fn the_registration_decides_party_and_purpose() {
    let signer = Signer::es256("k1");
    let server = issuer(&[&signer]).await;
    let uri = server.uri();
    let hub = hub(&uri, registrations(&uri)).await;
    let party = format!("party: <{CITY_B}>");
    let cases = [
        (json!({}), 200, party.as_str(), Some(ADVICE), "the purpose the token asks for"),
        (json!({"purpose": [PLANNING]}), 200, &party, Some(PLANNING), "another registered one"),
        (json!({"purpose": null, "scope": format!("openid purpose:{PLANNING}")}), 200, &party, Some(PLANNING), "by scope"),
        (json!({"scope": format!("purpose:{ADVICE}")}), 200, &party, Some(ADVICE), "the same twice"),
        (json!({"purpose": null}), 200, &party, None, "none asked, several registered: none"),
        (json!({"azp": "city-b-one", "purpose": null}), 200, &party, Some(ADVICE), "none asked, one registered: that"),
        (json!({"azp": null, "client_id": "city-b-app"}), 200, &party, Some(ADVICE), "client_id"),
        (json!({"purpose": "https://w3id.org/waybill/purpose#Marketing"}), 403, "purpose-not-registered", None, "not registered"),
        (json!({"purpose": [ADVICE, PLANNING]}), 403, "purpose-not-registered", None, "two at once"),
        (json!({"azp": "city-b-none"}), 403, "purpose-not-registered", None, "registered for none"),
        (json!({"azp": "stranger"}), 403, "client-not-registered", None, "an unknown client"),
        (json!({"azp": null, "sub": "city-b-app"}), 403, "client-not-registered", None, "a subject is no client"),
        (json!({"azp": "desk", "purpose": null}), 200, "Operator(\"desk\")", None, "the operator"),
        (json!({"azp": "pod-app", "purpose": null, "webid": "https://pods.example/anna/profile#me"}), 200, "DataSubject(<https://pods.example/anna/profile#me>)", None, "a person"),
        (json!({"azp": "pod-app", "purpose": null, "webid": "https://evil.example/anna#me"}), 401, "invalid-token", None, "a WebID of a foreign issuer"),
        (json!({"azp": "pod-app", "purpose": null, "webid": "https://pods.example/../anna#me"}), 401, "invalid-token", None, "climbing out"),
        (json!({"azp": "pod-app", "purpose": null}), 401, "invalid-token", None, "no WebID"),
        (json!({"azp": "portal", "purpose": null}), 200, "#someone>)", None, "a person by subject"),
        (json!({"azp": "city-b-app", "webid": "https://pods.example/anna#me"}), 200, &party, Some(ADVICE), "a party stays a party"),
    ];
    for (changes, status, expected, purpose, what) in cases {
        let token = signer.token(&changed(&uri, changes));
        let answer = get(hub.addr, "/echo/1", &[&format!("Authorization: Bearer {token}")]).await;
        assert_eq!(answer.status, status, "{what}: {}", String::from_utf8_lossy(&answer.body));
        if status == 200 {
            let seen = answer.json();
            assert!(seen["caller"].as_str().unwrap().contains(expected), "{what}: {seen}");
            assert_eq!((seen["purpose"].as_str(), seen["credential"].as_str()), (purpose, Some("Oidc")), "{what}");
        } else {
            assert_eq!(answer.code(), expected, "{what}");
        }
    }
    let by_other_header = get(hub.addr, "/echo/1", &[&format!("X-Auth-Token: {}", signer.token(&claims(&uri)))]).await;
    assert_eq!(by_other_header.json()["purpose"], ADVICE);
    hub.stop().await;
}

#[tokio::test]
async fn a_good_token_of_a_client_registered_at_another_issuer_is_nobody() {
    let signer = Signer::es256("k1");
    let server = issuer(&[&signer]).await;
    let hub = hub(&server.uri(), registrations("https://other.example")).await;
    let answer = get(hub.addr, "/echo/1", &[&format!("Authorization: Bearer {}", signer.token(&claims(&server.uri())))]).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "client-not-registered"));
    hub.stop().await;
}

/// Sends a DPoP-bound token with `proof`.
async fn by_proof(hub: &ServerHandle, token: &str, proof: &str) -> (u16, String) {
    let answer = get(hub.addr, "/echo/1?x=1", &[&format!("Authorization: DPoP {token}"), &format!("DPoP: {proof}")]).await;
    let word = if answer.status == 200 { answer.json()["credential"].as_str().unwrap().to_owned() } else { answer.code() };
    (answer.status, word)
}

#[tokio::test]
async fn a_bound_token_needs_a_fresh_proof_of_its_own_key() {
    let signer = Signer::es256("k1");
    let server = issuer(&[&signer]).await;
    let uri = server.uri();
    let hub = hub(&uri, registrations(&uri)).await;
    let (key, thief) = (DpopKey::generate().unwrap(), DpopKey::generate().unwrap());
    let bound = signer.token(&changed(&uri, json!({"cnf": {"jkt": key.thumbprint()}})));
    let loose = signer.token(&claims(&uri));
    let here = url::Url::parse("https://hub.city-a.example/echo/1").unwrap();
    let there = url::Url::parse("https://other.example/echo/1").unwrap();
    let proof = |key: &DpopKey, method: &str, url: &url::Url, token: Option<&str>, at: i64| {
        key.proof(method, url, token, None, DateTime::from_seconds(NOW + at)).unwrap()
    };
    let good = proof(&key, "GET", &here, Some(&bound), 0);
    assert_eq!(by_proof(&hub, &bound, &good).await, (200, "Dpop".to_owned()));
    let refused = (401, "invalid-dpop-proof".to_owned());
    for (sent, what) in [
        (good.clone(), "the same again"),
        (proof(&thief, "GET", &here, Some(&bound), 0), "another key"),
        (proof(&key, "POST", &here, Some(&bound), 0), "another method"),
        (proof(&key, "GET", &there, Some(&bound), 0), "another address"),
        (proof(&key, "GET", &here, Some(&loose), 0), "another token"),
        (proof(&key, "GET", &here, None, 0), "no token"),
        (proof(&key, "GET", &here, Some(&bound), -61), "old"),
        (proof(&key, "GET", &here, Some(&bound), 61), "from the future"),
        (format!("{good}x"), "broken"),
        (bound.clone(), "a token for a proof"),
    ] {
        assert_eq!(by_proof(&hub, &bound, &sent).await, refused, "{what}");
    }
    assert_eq!(by_proof(&hub, &bound, &proof(&key, "GET", &here, Some(&bound), 59)).await.0, 200);
    let unbound = by_proof(&hub, &loose, &proof(&key, "GET", &here, Some(&loose), 0)).await;
    assert_eq!(unbound, (401, "invalid-token".to_owned()), "a token that is bound to no key");
    let stolen = get(hub.addr, "/echo/1", &[&format!("Authorization: Bearer {bound}")]).await;
    assert_eq!((stolen.status, stolen.code().as_str()), (401, "invalid-token"), "a bound token as a bearer token");
    hub.replace_authenticator(Authenticator::closed().with_issuers(verifier(&uri), registrations(&uri)));
    assert_eq!(by_proof(&hub, &bound, &good).await, refused, "a new configuration does not forget what was used");
    let twice = get(hub.addr, "/echo/1", &[&format!("Authorization: DPoP {bound}"), "DPoP: a.b.c", "DPoP: a.b.c"]).await;
    assert_eq!(twice.code(), "invalid-dpop-proof");
    let none = get(hub.addr, "/echo/1", &[&format!("Authorization: DPoP {bound}")]).await;
    assert_eq!(none.code(), "invalid-dpop-proof");
    hub.stop().await;
}

/// Knows `transfer` and `operator`; `over` was one of its tokens.
struct Transfers;
impl waybill_http::ResolveToken for Transfers {
    fn resolve<'a>(&'a self, token: &'a str) -> waybill_http::Resolved<'a> {
        Box::pin(async move {
            let party = iri(CITY_B);
            let principal = waybill_model::Principal::Client { client: "transfer".into(), party: party.clone() };
            match token {
                "transfer" | "static" => {
                    Some(Ok(waybill_http::Caller { principal, party: Some(party), purpose: Some(iri(ADVICE)), agreement: Some(iri("urn:agreement:1")), ..waybill_http::Caller::anonymous() }))
                }
                "operator" => Some(Ok(waybill_http::Caller::loopback_operator())),
                "nobody" => Some(Ok(waybill_http::Caller::anonymous())),
                "over" => Some(Err(Problem::new(waybill_http::problems::INVALID_TOKEN, 401, "Not taken", "the transfer is over"))),
                _ => None,
            }
        })
    }
}

#[tokio::test]
async fn a_resolver_is_asked_for_what_no_static_token_is_and_before_the_issuers() {
    let key = Signer::ed25519("1");
    let server = issuer(&[&key]).await;
    let uri = server.uri();
    let configured = || {
        Authenticator::closed().with_tokens([StaticToken::operator("static", "anna")]).with_issuers(verifier(&uri), registrations(&uri))
    };
    let hub = started(config(), echo_router(), configured().with_resolver(Arc::new(Transfers))).await;
    let issued = key.token(&claims(&uri));
    let cases = [
        ("transfer", 200, "transfer"),
        ("static", 200, "anna"),
        (issued.as_str(), 200, "city-b-app"),
        ("over", 401, "invalid-token"),
        // Whoever says so: no operator is known in this way, nor is nobody.
        ("operator", 401, "invalid-token"),
        ("nobody", 401, "invalid-token"),
        ("unknown", 401, "invalid-token"),
    ];
    for reloaded in [false, true] {
        if reloaded {
            hub.replace_authenticator(configured());
        }
        for (token, status, says) in cases {
            let answer = get(hub.addr, "/echo/1", &[&format!("Authorization: Bearer {token}")]).await;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(answer.status == status && text.contains(says), "{token}, reloaded {reloaded}: {} {text}", answer.status);
        }
        let by_proof = get(hub.addr, "/echo/1", &["Authorization: DPoP transfer", "DPoP: a.b.c"]).await;
        assert_eq!(by_proof.status, 401, "it is a bearer token");
    }
    hub.stop().await;
}

#[test]
fn a_proof_with_a_private_or_symmetric_key_or_a_wrong_algorithm_is_none() {
    let key = DpopKey::from_secret(&[7; 32]).unwrap();
    let url = url::Url::parse("https://hub.example/a").unwrap();
    let good = key.proof("GET", &url, None, None, now()).unwrap();
    let replay = ReplayCache::default();
    let expected = ProofExpectation { method: "GET", url: "https://HUB.example:443/a?x#y", access_token: None, key_thumbprint: None };
    let (_, rest) = good.split_once('.').unwrap();
    let with_head = |head: Value| format!("{}.{rest}", b64(head.to_string().as_bytes()));
    let mut private = key.public_jwk().clone();
    private["d"] = "x".into();
    for (head, error) in [
        (json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": private}), DpopError::Form),
        (json!({"typ": "dpop+jwt", "alg": "HS256", "jwk": {"kty": "oct", "k": "AA"}}), DpopError::Form),
        (json!({"typ": "dpop+jwt", "alg": "none", "jwk": key.public_jwk()}), DpopError::Signature),
        (json!({"typ": "JWT", "alg": "ES256", "jwk": key.public_jwk()}), DpopError::Form),
        (json!({"typ": "dpop+jwt", "alg": "ES256"}), DpopError::Form),
    ] {
        assert_eq!(verify_proof(&with_head(head.clone()), &expected, now(), &replay), Err(error), "{head}");
    }
    assert!(verify_proof(&good, &expected, now(), &replay).is_ok(), "the address is compared as one, not as a text");
    assert_eq!(verify_proof(&good, &expected, now(), &replay), Err(DpopError::Replay(ReplayError::Seen)));
}

#[test]
fn what_was_used_is_remembered_until_it_expires_and_no_flood_makes_it_forgotten() {
    let cache = ReplayCache::new(3);
    let at = |seconds: i64| DateTime::from_seconds(NOW + seconds);
    assert_eq!(cache.take("a", "1", at(10), at(0)), Ok(()));
    assert_eq!(cache.take("a", "1", at(10), at(9)), Err(ReplayError::Seen));
    assert_eq!(cache.take("b", "1", at(10), at(0)), Ok(()), "another issuer's");
    assert_eq!(cache.take("a1", "", at(10), at(0)), Ok(()), "issuer and identifier do not run together");
    assert_eq!(cache.take("c", "1", at(10), at(0)), Err(ReplayError::Full));
    assert_eq!(cache.take("a", "1", at(10), at(0)), Err(ReplayError::Seen), "the flood did not push it out");
    assert_eq!(cache.take("c", "1", at(20), at(10)), Ok(()), "what expired made room");
}

#[tokio::test]
async fn static_tokens_by_either_header() {
    let city = Registration::new("", "city-b-app", Role::Party(iri(CITY_B))).purposes([iri(ADVICE)]);
    let authenticator = Authenticator::closed().with_tokens([
        StaticToken::new("secret-b", city),
        StaticToken::operator("secret-op", "anna"),
        StaticToken::person("secret-p", iri("https://pods.example/anna#me")),
    ]);
    let server = started(config(), echo_router(), authenticator).await;
    let party = format!("party: <{CITY_B}>");
    let cases: [(&[&str], u16, &str); 15] = [
        (&[], 200, "Anonymous"),
        (&["Authorization: Bearer secret-b"], 200, &party),
        (&["authorization: bearer   secret-b"], 200, &party),
        (&["X-Auth-Token: secret-b"], 200, &party),
        (&["X-Auth-Token: secret-op"], 200, "Operator(\"anna\")"),
        (&["X-Auth-Token: secret-p"], 200, "DataSubject(<https://pods.example/anna#me>)"),
        (&["Authorization: Bearer secret-c"], 401, "invalid-token"),
        (&["Authorization: Bearer secret-bb"], 401, "invalid-token"),
        (&["Authorization: Bearer secret-"], 401, "invalid-token"),
        (&["Authorization: Bearer"], 401, "invalid-token"),
        (&["Authorization: Basic c2VjcmV0LWI="], 401, "invalid-token"),
        (&["Authorization: secret-b"], 401, "invalid-token"),
        (&["X-Auth-Token:"], 401, "invalid-token"),
        (&["Authorization: Bearer secret-b", "X-Auth-Token: secret-b"], 401, "invalid-token"),
        (&["Authorization: Bearer secret-b", "Authorization: Bearer secret-op"], 401, "invalid-token"),
    ];
    for (lines, status, expected) in cases {
        let answer = get(server.addr, "/echo/1", lines).await;
        assert_eq!(answer.status, status, "{lines:?}");
        if status == 200 {
            assert!(answer.json()["caller"].as_str().unwrap().contains(expected), "{lines:?}");
        } else {
            assert_eq!(answer.code(), expected, "{lines:?}");
            assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer realm="));
            assert!(!String::from_utf8_lossy(&answer.body).contains("secret"), "a token is never said back");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_caller_is_judged_before_its_body_is_read() {
    let server = started(config(), echo_router(), Authenticator::closed()).await;
    let answer = raw(server.addr, "POST /echo HTTP/1.1\r\nHost: x\r\nX-Auth-Token: t\r\nContent-Length: 5000000\r\nConnection: close\r\n\r\n").await;
    assert_eq!(answer.status, 401);
    server.stop().await;
}

#[tokio::test]
async fn only_a_program_on_this_machine_is_the_loopback_operator() {
    let server = started(config(), echo_router(), Authenticator::closed().with_loopback_operator()).await;
    let port = server.addr.port();
    let localhost = format!("Host: localhost:{port}");
    let cases: [(&[&str], bool); 12] = [
        (&[], true),
        (&[&localhost], true),
        (&[&localhost, "Origin: http://localhost:3000"], true),
        (&[&localhost, "Sec-Fetch-Site: same-origin"], true),
        (&["X-Forwarded-For: 203.0.113.1"], false),
        (&["Forwarded: for=203.0.113.1"], false),
        (&["Via: 1.1 proxy"], false),
        (&["Host: rebound.example"], false),
        (&["Host: localhost.evil.example"], false),
        (&["Origin: https://evil.example"], false),
        (&["Origin: null"], false),
        (&["Sec-Fetch-Site: cross-site"], false),
    ];
    for (lines, operator) in cases {
        let answer = get(server.addr, "/echo/1", lines).await;
        assert_eq!(answer.status, 200);
        let caller = answer.json()["caller"].as_str().unwrap().to_owned();
        assert_eq!(caller == "Operator(\"loopback\")", operator, "{lines:?}");
        assert_eq!(caller == "Anonymous", !operator, "{lines:?}");
    }
    assert_eq!(get(server.addr, "/echo/1", &["X-Auth-Token: wrong"]).await.status, 401, "wrong credentials are not forgiven");
    server.stop().await;
    let ordinary = started(config(), echo_router(), Authenticator::closed()).await;
    assert_eq!(get(ordinary.addr, "/echo/1", &[]).await.json()["caller"], "Anonymous");
    ordinary.stop().await;
}

#[test]
fn a_caller_may_name_only_its_tenants() {
    let tenant = |name: &str| TenantId::new(name).unwrap();
    let only = Tenants::Only(Arc::from([tenant("north"), tenant("south")]));
    for (tenants, name, expected) in [
        (Tenants::All, "any", true),
        (Tenants::main_only(), "", true),
        (Tenants::main_only(), "north", false),
        (only.clone(), "north", true),
        (only.clone(), "North", false),
        (only, "", false),
    ] {
        let caller = waybill_http::Caller { tenants: tenants.clone(), ..waybill_http::Caller::anonymous() };
        assert_eq!(caller.scope(tenant(name)).is_some(), expected, "{tenants:?} {name}");
    }
}
