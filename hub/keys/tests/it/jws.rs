use proptest::prelude::*;
use serde_json::{Value, json};
use waybill_keys::jws::{self, JwsError};
use waybill_keys::{Algorithm, Key, KeyRing, KeySet, PublicKey, b64url, sha256, unb64url};
use waybill_model::{Clock, DateTime};

const TYP: &str = "waybill-test+jwt";

fn at(text: &str) -> DateTime {
    DateTime::parse(text).expect("a time")
}
fn now() -> DateTime {
    at("2026-11-24T08:00:00Z")
}
fn key(algorithm: Algorithm) -> Key {
    Key::generate(algorithm, None, now())
}
fn forged(header: &Value, payload: &Value, signature: &[u8]) -> String {
    format!("{}.{}.{}", b64url(header.to_string()), b64url(payload.to_string()), b64url(signature))
}

/// RFC 8037 appendix A.4 and A.5: the key, the signing input and the signature that Ed25519 must give.
#[test]
fn the_ed25519_example_of_the_specification() {
    let secret: [u8; 32] = unb64url("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").expect("base64").try_into().expect("32");
    let key = Key::from_secret(Algorithm::EdDsa, &secret, None, now()).expect("a key");
    assert_eq!(key.public().bare_jwk()["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let signature = key.sign(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
    assert_eq!(b64url(signature), "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
}

/// RFC 7515 appendix A.3: a P-256 signature made elsewhere verifies, one bit off it does not.
#[test]
fn the_es256_example_of_the_specification() {
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" });
    let key = PublicKey::from_jwk(&jwk, None).expect("a key");
    let signed = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let mut signature = unb64url("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q").expect("base64");
    assert!(key.verify(signed.as_bytes(), &signature));
    signature[40] ^= 1;
    assert!(!key.verify(signed.as_bytes(), &signature));
}

#[test]
fn what_is_signed_verifies() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Es256] {
        let key = key(algorithm);
        let compact = jws::sign(&key, TYP, &json!({ "a": 1, "iat": now().seconds() }));
        let verified = jws::verify(&compact, TYP, key.public(), now()).expect("good");
        assert_eq!(verified.claims::<Value>().expect("JSON")["a"], 1);
        assert_eq!(verified.kid, key.kid());
        assert_eq!(verified.header.alg, algorithm.as_str());
    }
}

/// Every way to talk the verifier into another key, algorithm or kind.
#[test]
fn confusions_are_refused() {
    let key = key(Algorithm::EdDsa);
    let other = Key::generate(Algorithm::Es256, None, now());
    let kid = key.kid();
    let good = json!({ "alg": "EdDSA", "typ": TYP, "kid": kid });
    let payload = json!({ "a": 1 });
    let hmac_like = sha256(key.public().bare_jwk().to_string().as_bytes());
    let cases = [
        ("alg none", json!({ "alg": "none", "typ": TYP, "kid": kid }), vec![], JwsError::Algorithm),
        ("alg None", json!({ "alg": "None", "typ": TYP, "kid": kid }), vec![], JwsError::Algorithm),
        ("HS256 with the public key", json!({ "alg": "HS256", "typ": TYP, "kid": kid }), hmac_like.to_vec(), JwsError::Algorithm),
        ("RS256", json!({ "alg": "RS256", "typ": TYP, "kid": kid }), vec![0; 64], JwsError::Algorithm),
        ("the other algorithm under this kid", json!({ "alg": "ES256", "typ": TYP, "kid": kid }), vec![1; 64], JwsError::Algorithm),
        ("no kid", json!({ "alg": "EdDSA", "typ": TYP }), vec![0; 64], JwsError::UnknownKey),
        ("unknown kid", json!({ "alg": "EdDSA", "typ": TYP, "kid": other.kid() }), vec![0; 64], JwsError::UnknownKey),
        ("another kind", json!({ "alg": "EdDSA", "typ": "JWT", "kid": kid }), vec![0; 64], JwsError::Type { wanted: TYP.into(), found: "JWT".into() }),
        ("no signature", good.clone(), vec![], JwsError::Signature),
        ("zeroes", good.clone(), vec![0; 64], JwsError::Signature),
    ];
    for (name, header, signature, expected) in cases {
        assert_eq!(jws::verify(&forged(&header, &payload, &signature), TYP, key.public(), now()), Err(expected), "{name}");
    }
    for extra in ["crit", "jku", "x5u", "x5c", "b64"] {
        let mut header = good.clone();
        header[extra] = json!([extra]);
        let error = jws::verify(&forged(&header, &payload, &[0; 64]), TYP, key.public(), now());
        assert!(matches!(error, Err(JwsError::Malformed(_))), "{extra}: {error:?}");
    }
    let own = jws::sign_possession(&other, TYP, &payload);
    assert!(matches!(jws::verify(&own, TYP, key.public(), now()), Err(JwsError::Malformed(_))));
    assert_eq!(jws::verify_possession(&own, TYP).expect("good").kid, other.kid());
    assert_eq!(jws::verify_possession(&jws::sign(&other, TYP, &payload), TYP), Err(JwsError::UnknownKey));
    for text in ["", ".", "..", "a.b", "....", "e30.e30.e30"] {
        assert!(jws::verify(text, TYP, key.public(), now()).is_err(), "{text}");
    }
}

/// A repeated member would let two readers see two different headers.
#[test]
fn a_header_with_a_member_twice_is_refused() {
    let key = key(Algorithm::EdDsa);
    let header = format!("{{\"alg\":\"none\",\"alg\":\"EdDSA\",\"typ\":\"{TYP}\",\"kid\":\"{}\"}}", key.kid());
    let signed = format!("{}.{}", b64url(header), b64url("{}"));
    let compact = format!("{signed}.{}", b64url(key.sign(signed.as_bytes())));
    assert!(matches!(jws::verify(&compact, TYP, key.public(), now()), Err(JwsError::Malformed(_))));
}

#[test]
fn a_private_or_foreign_jwk_is_no_key() {
    let good = key(Algorithm::EdDsa).public().bare_jwk();
    assert!(PublicKey::from_jwk(&good, None).is_some());
    let cases = [("d", json!("AAAA")), ("kty", json!("oct")), ("crv", json!("P-384")), ("use", json!("enc")), ("alg", json!("ES256")), ("x", json!("AA"))];
    for (name, value) in cases {
        let mut jwk = good.clone();
        jwk[name] = value;
        assert!(PublicKey::from_jwk(&jwk, None).is_none(), "{name}");
    }
    let mut identity = good;
    identity["x"] = json!(b64url([vec![1], vec![0; 31]].concat()));
    assert!(PublicKey::from_jwk(&identity, None).is_none(), "the neutral point verifies anything");
}

#[test]
fn a_replaced_key_verifies_what_it_signed_and_a_revoked_one_nothing() {
    let clock = Clock::fixed(now());
    let mut ring = KeyRing::generate(&clock).controlled_by("did:web:a.example");
    let first = ring.active().kid().to_owned();
    let early = jws::sign(ring.active(), TYP, &json!({ "iat": now().seconds() + 10 }));
    let late = jws::sign(ring.active(), TYP, &json!({ "iat": now().seconds() + 4000 }));
    ring.rotate(now().plus_seconds(3600));
    assert_ne!(ring.active().kid(), first);
    let (then, check) = (now().plus_seconds(5000), |ring: &KeyRing, text: &str| jws::verify(text, TYP, ring, now().plus_seconds(5000)).map(|v| v.kid));
    assert_eq!(check(&ring, &early), Ok(first.clone()));
    assert_eq!(check(&ring, &late), Err(JwsError::Time), "signed after the key was replaced");
    let published = KeySet::from_did_document(&ring.did_document("a.example"), "did:web:a.example").expect("keys");
    assert!(jws::verify(&early, TYP, &published, then).expect("good").is_from("did:web:a.example"));
    ring.revoke(&first, then).expect("there");
    assert_eq!(check(&ring, &early), Err(JwsError::RevokedKey));
    let published = KeySet::from_did_document(&ring.did_document("a.example"), "did:web:a.example").expect("keys");
    assert_eq!(jws::verify(&early, TYP, &published, then).map(|v| v.kid), Err(JwsError::RevokedKey));
}

#[test]
fn times_outside_the_skew_are_refused() {
    let key = key(Algorithm::EdDsa);
    for (offset, good) in [(0, true), (60, true), (61, false), (-60, true), (-61, false)] {
        let compact = jws::sign(&key, TYP, &json!({ "iat": now().seconds() + offset }));
        assert_eq!(jws::verify(&compact, TYP, key.public(), now()).is_ok(), good, "{offset}");
    }
    let compact = jws::sign(&key, TYP, &json!({ "iat": "soon" }));
    assert_eq!(jws::verify(&compact, TYP, key.public(), now()), Err(JwsError::Time));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
    #[test]
    fn any_changed_byte_is_refused(place in any::<prop::sample::Index>(), byte in any::<u8>(), ed in any::<bool>()) {
        let key = key(if ed { Algorithm::EdDsa } else { Algorithm::Es256 });
        let compact = jws::sign(&key, TYP, &json!({ "iat": now().seconds(), "who": "did:web:a.example" }));
        let mut bytes = compact.clone().into_bytes();
        let place = place.index(bytes.len());
        prop_assume!(bytes[place] != byte);
        bytes[place] = byte;
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert!(jws::verify(&text, TYP, key.public(), now()).is_err());
        }
    }
}
