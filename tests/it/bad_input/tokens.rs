//! Forged, expired, misdirected and replayed tokens at the OpenID door.

use crate::it::town::{Answer, METER, Town};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use waybill_conformance::{Fault, MisbehavingHost};
use waybill_keys::{Algorithm, Key, b64url, jws, unb64url};
use waybill_model::DateTime;

const ISSUER: &str = "https://login.city-a.example";
const AUDIENCE: &str = "waybill-a";

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()).expect("a time")
}

/// The issuer's key, and a host that publishes it.
async fn issuer() -> (Key, MisbehavingHost) {
    let key = Key::generate(Algorithm::Es256, None, DateTime::from_seconds(now()));
    let set = json!({ "keys": [key.public().jwk()] }).to_string();
    let host = MisbehavingHost::start(Fault::Body("application/json".into(), set.into_bytes())).await.expect("a host");
    (key, host)
}

/// A town that believes the issuer about its own desk.
fn town(host: &MisbehavingHost) -> Town {
    let more = format!(
        r#"
[[client]]
name = "desk"
role = "operator"
issuer = "{ISSUER}"
client_id = "desk"
[auth]
operator_token = "operator-0123456789abcdef"
[[auth.issuer]]
url = "{ISSUER}"
audiences = ["{AUDIENCE}"]
jwks = "{}/jwks"
"#,
        host.url()
    );
    Town::with_meter(&more)
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "clerk", "azp": "desk", "iat": now() - 5, "nbf": now() - 5, "exp": now() + 300, "jti": "one" })
}

fn changed(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

/// What the token's bearer gets when she deletes the meter that everybody counts on, and reads it.
fn tries(town: &Town, token: &str) -> [Answer; 3] {
    let at = format!("/ngsi-ld/v1/entities/{METER}");
    [town.call("DELETE", &at, token, &[], b""), town.get(&at, token), town.get("/waybill/v1/consents", token)]
}

fn refused(town: &Town, token: &str, what: &str) {
    for answer in tries(town, token) {
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        assert_eq!(answer.refusal(what), "invalid-token", "{what}");
        assert!(answer.header("www-authenticate").is_some_and(|v| v.contains("invalid_token")), "{what}: {}", answer.head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_token_of_the_issuer_for_this_hub_and_now_opens_the_door() {
    let (key, host) = issuer().await;
    tokio::task::spawn_blocking(move || {
        let town = town(&host);
        let before = town.meter();
        let sign = |claims: &Value| jws::sign(&key, "at+jwt", claims);
        let good = sign(&claims());
        assert_eq!(town.get(&format!("/ngsi-ld/v1/entities/{METER}"), &good).status, 200, "the door opens at all");

        let stranger = Key::generate(Algorithm::Es256, None, DateTime::from_seconds(now()));
        let mut parts = good.split('.');
        let (head, body, signature) = (parts.next().expect("a head"), parts.next().expect("claims"), parts.next().expect("a signature"));
        let with_head = |head: Value| format!("{}.{body}.{signature}", b64url(head.to_string()));
        let named = |alg: &str| with_head(json!({ "alg": alg, "typ": "at+jwt", "kid": key.kid() }));
        let mut without_end = claims();
        without_end.as_object_mut().expect("claims").remove("exp");
        for (token, what) in [
            (jws::sign(&stranger, "at+jwt", &claims()), "signed by a stranger"),
            (with_head(json!({ "alg": "ES256", "typ": "at+jwt", "kid": stranger.kid() })), "the name of another key"),
            (sign(&changed("exp", json!(now() - 3600))), "expired"),
            (sign(&changed("nbf", json!(now() + 3600))), "not yet"),
            (sign(&changed("aud", json!("waybill-b"))), "for another hub"),
            (sign(&changed("aud", json!([]))), "for nobody"),
            (sign(&changed("iss", json!("https://login.evil.example"))), "of another issuer"),
            (sign(&changed("exp", json!("tomorrow"))), "an end that is no number"),
            (sign(&without_end), "without end"),
            (format!("{}.{body}.", b64url(json!({ "alg": "none" }).to_string())), "alg none without a signature"),
            (named("none"), "alg none"),
            (named("nOnE"), "alg nOnE"),
            (named("HS256"), "alg HS256"),
            (named("EdDSA"), "another algorithm than the key's"),
            (jws::sign(&key, "dpop+jwt", &claims()), "a proof in the place of a token"),
            (jws::sign(&key, "secevent+jwt", &claims()), "an event in the place of a token"),
            (format!("{head}.{}.{signature}", b64url(changed("azp", json!("root")).to_string())), "claims put under a signature"),
            (format!("{head}.{body}"), "no signature"),
            (format!("{good}.{signature}"), "four parts"),
            ("x".repeat(6000), "no token at all"),
        ] {
            refused(&town, &token, what);
        }
        // A good token of a client that nobody registered is nobody's.
        let unknown = sign(&changed("azp", json!("somebody-else")));
        let [gone, ..] = tries(&town, &unknown);
        assert!(matches!(gone.status, 401 | 403), "{}", gone.text());
        gone.refusal("an unknown client");
        assert_eq!(town.meter(), before, "nothing was done");
        assert_eq!(town.get(&format!("/ngsi-ld/v1/entities/{METER}"), &good).status, 200, "and the good one still opens");
    })
    .await
    .expect("checked");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_bit_of_a_token_counts() {
    let (key, host) = issuer().await;
    tokio::task::spawn_blocking(move || {
        let town = town(&host);
        let before = town.meter();
        let good = jws::sign(&key, "at+jwt", &claims());
        let parts: Vec<Vec<u8>> = good.split('.').map(|part| unb64url(part).expect("base64url")).collect();
        let mut tried = 0;
        for (number, part) in parts.iter().enumerate() {
            for at in 0..part.len() {
                let mut bent = parts.clone();
                bent[number][at] ^= 1 << (at % 8);
                let token = bent.iter().map(b64url).collect::<Vec<_>>().join(".");
                let answer = town.call("DELETE", &format!("/ngsi-ld/v1/entities/{METER}"), &token, &[], b"");
                assert_eq!((answer.status, answer.refusal("a bit").as_str()), (401, "invalid-token"), "byte {at} of part {number}");
                tried += 1;
            }
        }
        assert!(tried > 150, "{tried}");
        assert_eq!(town.meter(), before, "nothing was done");
    })
    .await
    .expect("checked");
}
