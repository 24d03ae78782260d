//! What other hubs tell: forged, misdirected, expired and replayed events at the inbox.

use crate::it::town::{Answer, METER, OPERATOR, Town, free};
use serde_json::{Value, json};
use waybill_conformance::{Fault, MisbehavingHost};
use waybill_consent::{EnvelopeEvent, EventKind, EventToken, Heartbeat, OnWithdrawal};
use waybill_keys::{KeyRing, b64url, jws, unb64url};
use waybill_model::{Clock, EnvelopeHash, Iri};

const SECEVENT: &str = "application/secevent+jwt";
const JOSE: &str = "application/jose";

/// City C's hub, of which only its keys are there.
struct Neighbour {
    ring: KeyRing,
    did: String,
    _host: MisbehavingHost,
}

/// A hub that publishes its keys, and a town that deals with it.
async fn neighbours() -> (Neighbour, Town, String) {
    let clock = Clock::system();
    // The name of the neighbour is its address, so the address is chosen first: its key document says it.
    let ring = KeyRing::generate(&clock);
    let host = MisbehavingHost::start_with(|addr| Fault::Body("application/did+json".into(), ring.did_document(&addr.to_string()).to_string().into_bytes()))
        .await
        .expect("a host");
    let url = host.url();
    let did = waybill_keys::did_web(&host.addr().to_string());
    let more = format!(
        r#"
[[agreement]]
name = "city-c"
recipient = "https://city-c.example/#city"
holder = "enforcing"
[[peer]]
name = "city-c"
party = "https://city-c.example/#city"
url = "{url}"
"#
    );
    let addr = free();
    let town = tokio::task::spawn_blocking(move || {
        let town = Town::start_at(addr, &format!("http://{addr}"), &more);
        let meter = crate::it::town::meter(METER).to_string();
        assert_eq!(town.call("POST", "/ngsi-ld/v1/entities", OPERATOR, &[("Content-Type", "application/json")], meter.as_bytes()).status, 201);
        town
    })
    .await
    .expect("a town");
    let own = waybill_keys::did_web(&town.addr.to_string());
    (Neighbour { ring, did, _host: host }, town, own)
}

impl Neighbour {
    /// An event that it withdraws an envelope; `aud` is the hub that is told.
    fn event(&self, aud: &str, number: u8) -> EventToken {
        let now = Clock::system().now();
        let event = EnvelopeEvent { envelopes: vec![EnvelopeHash([number; 32])], time: now, on_withdrawal: OnWithdrawal::default(), successors: Vec::new() };
        EventToken::new(&self.did, aud, 1, EventKind::Withdrawn(event), now)
    }
}

fn tell(town: &Town, token: &str) -> Answer {
    town.call("POST", "/waybill/events", "", &[("Content-Type", SECEVENT)], token.as_bytes())
}

fn withdrawals(town: &Town) -> usize {
    let list = town.get("/waybill/v1/withdrawals", OPERATOR).json();
    list["items"].as_array().map_or_else(|| panic!("{list}"), Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_counts_once_and_only_from_its_hub_to_this_one() {
    let (city_c, town, own) = neighbours().await;
    tokio::task::spawn_blocking(move || {
        let before = town.everything();
        let key = city_c.ring.active();
        let stranger = KeyRing::generate(&Clock::system());
        let good = city_c.event(&own, 1);
        let claims: Value = serde_json::from_slice(&unb64url(good.sign(key).split('.').nth(1).expect("claims")).expect("base64url")).expect("JSON");
        let changed = |name: &str, value: Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            jws::sign(key, "secevent+jwt", &claims)
        };
        let text = good.sign(key);
        let mut parts = text.split('.');
        let (head, body, signature) = (parts.next().expect("a head"), parts.next().expect("claims"), parts.next().expect("a signature"));
        let year = 365 * 86_400;
        let iat = claims["iat"].as_i64().expect("a time");
        for (token, what) in [
            (good.sign(stranger.active()), "signed by a stranger"),
            (city_c.event("did:web:other.example", 1).sign(key), "for another hub"),
            (changed("aud", json!("")), "for nobody"),
            (changed("iss", json!("did:web:evil.example")), "of a hub that nobody knows"),
            (changed("iss", json!(own)), "as if it were the town's own"),
            (changed("iat", json!(iat + year)), "from the future"),
            (changed("events", json!({})), "that tells nothing"),
            (changed("events", json!({ "https://w3id.org/waybill/event#all-is-granted": {} })), "of an unknown kind"),
            (changed("jti", json!(5)), "a number for an identifier"),
            (changed("more", json!(true)), "with a claim that nobody knows"),
            (jws::sign(key, "at+jwt", &claims), "a token in the place of an event"),
            (format!("{}.{body}.", b64url(json!({ "alg": "none", "typ": "secevent+jwt" }).to_string())), "alg none, nothing for a signature"),
            (format!("{}.{body}.{signature}", b64url(json!({ "alg": "none", "typ": "secevent+jwt", "kid": key.kid() }).to_string())), "alg none"),
            (format!("{}.{body}.{signature}", b64url(json!({ "alg": "HS256", "typ": "secevent+jwt", "kid": key.kid() }).to_string())), "alg HS256"),
            (format!("{head}.{body}"), "no signature"),
            (format!("{text}.{signature}"), "four parts"),
            ("hello".to_owned(), "no statement at all"),
        ] {
            let answer = tell(&town, &token);
            assert!(matches!(answer.status, 400 | 403), "{what}: {} {}", answer.status, answer.text());
            answer.refusal(what);
            assert_eq!(withdrawals(&town), 0, "{what} has taken effect");
        }
        assert_eq!(tell(&town, &text).status, 202, "the good one is taken");
        assert_eq!(withdrawals(&town), 1);
        for _ in 0..3 {
            assert_eq!(tell(&town, &text).status, 202, "told again it is answered alike");
        }
        // The same identifier over another event: whoever could sign it could sign anything, but it must not undo what was told.
        let again = EventToken { jti: good.jti.clone(), ..city_c.event(&own, 1) };
        assert_eq!(tell(&town, &again.sign(key)).status, 202);
        assert_eq!(withdrawals(&town), 1, "it takes effect once");
        assert_eq!(town.everything(), before, "what it did not send is untouched");
    })
    .await
    .expect("checked");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_bit_of_an_event_counts() {
    let (city_c, town, own) = neighbours().await;
    tokio::task::spawn_blocking(move || {
        let good = city_c.event(&own, 2).sign(city_c.ring.active());
        let parts: Vec<Vec<u8>> = good.split('.').map(|part| unb64url(part).expect("base64url")).collect();
        let mut tried = 0;
        for (number, part) in parts.iter().enumerate() {
            for at in 0..part.len() {
                let mut bent = parts.clone();
                bent[number][at] ^= 1 << (at % 8);
                let answer = tell(&town, &bent.iter().map(b64url).collect::<Vec<_>>().join("."));
                assert!(matches!(answer.status, 400 | 403), "byte {at} of part {number}: {} {}", answer.status, answer.text());
                answer.refusal("a bit");
                tried += 1;
            }
        }
        assert!(tried > 300, "{tried}");
        assert_eq!(withdrawals(&town), 0, "none of them took effect");
        assert_eq!(tell(&town, &good).status, 202, "unbent it does");
        assert_eq!(withdrawals(&town), 1);
    })
    .await
    .expect("checked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_of_another_key_or_time_does_not_keep_anything_open() {
    let (city_c, town, _) = neighbours().await;
    tokio::task::spawn_blocking(move || {
        let now = Clock::system().now();
        let party = Iri::new("https://city-a.example/#city").expect("an IRI");
        let elsewhere = Iri::new("https://city-d.example/#city").expect("an IRI");
        let stranger = KeyRing::generate(&Clock::system());
        let key = city_c.ring.active();
        let beat = |text: &str| town.call("POST", "/waybill/heartbeats", "", &[("Content-Type", JOSE)], text.as_bytes());
        let known = || town.get("/waybill/v1/heartbeats", OPERATOR).text();
        let before = known();
        for (text, what) in [
            (Heartbeat::new(&city_c.did, party.clone(), 1, now).sign(stranger.active()), "signed by a stranger"),
            (Heartbeat::new(&city_c.did, elsewhere, 1, now).sign(key), "for another city"),
            (Heartbeat::new("did:web:evil.example", party.clone(), 1, now).sign(key), "of a hub that nobody knows"),
            (Heartbeat::new(&city_c.did, party.clone(), 1, now.plus_seconds(86_400)).sign(key), "from tomorrow"),
        ] {
            let answer = beat(&text);
            assert!(matches!(answer.status, 400 | 403), "{what}: {} {}", answer.status, answer.text());
            answer.refusal(what);
            assert_eq!(known(), before, "{what} counts");
        }
        assert_eq!(beat(&Heartbeat::new(&city_c.did, party, 1, now).sign(key)).status, 204);
        assert_ne!(known(), before, "a good one counts");
    })
    .await
    .expect("checked");
}
