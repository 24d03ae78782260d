use serde_json::json;
use waybill_keys::{Algorithm, KeyLookup as _, KeyRing, KeySet, KeySetError, RingError, did_web, did_web_url};
use waybill_model::{Clock, DateTime};

fn now() -> DateTime {
    DateTime::parse("2026-11-24T08:00:00Z").expect("a time")
}
fn ring() -> KeyRing {
    KeyRing::generate(&Clock::fixed(now())).controlled_by("did:web:hub.example%3A8443")
}

#[test]
fn a_stored_ring_is_the_same_ring() {
    let mut ring = ring();
    let first = ring.active().kid().to_owned();
    ring.rotate(now().plus_seconds(60));
    ring.revoke(&first, now().plus_seconds(120)).expect("there");
    ring.rotate_of(Algorithm::Es256, now().plus_seconds(180));
    let back = KeyRing::from_secret_text(&ring.to_secret_text()).expect("a ring");
    assert!(back.public_keys().eq(ring.public_keys()));
    assert_eq!(back.active().sign(b"x"), ring.active().sign(b"x"));
    assert_eq!(back.active_of(Algorithm::Es256).sign(b"x"), ring.active_of(Algorithm::Es256).sign(b"x"));
}

#[test]
fn secrets_are_never_shown() {
    let ring = ring();
    let stored: serde_json::Value = serde_json::from_str(&ring.to_secret_text()).expect("JSON");
    let secrets: Vec<&str> = stored["keys"].as_array().expect("keys").iter().map(|k| k["secret"].as_str().expect("text")).collect();
    assert_eq!(secrets.len(), 2);
    let shown = format!("{ring:?} {} {}", ring.public_jwks(), ring.did_document("hub.example:8443"));
    for secret in secrets {
        assert!(!shown.contains(secret));
    }
    let broken = ring.to_secret_text().replace("EdDSA", "HS256");
    let error = KeyRing::from_secret_text(&broken).expect_err("no such algorithm");
    assert!(matches!(error, RingError::Unreadable(_)));
}

#[test]
fn a_ring_without_an_active_key_is_refused() {
    let ring = ring();
    let text = ring.to_secret_text().replace("\"created\"", "\"retired\":\"2026-11-24T08:00:00Z\",\"created\"");
    assert_eq!(KeyRing::from_secret_text(&text).expect_err("no key"), RingError::Unreadable("an algorithm has no active key"));
    let mut ring = ring;
    assert_eq!(ring.revoke("nobody", now()), Err(RingError::UnknownKey("nobody".into())));
    let active = ring.active().kid().to_owned();
    ring.revoke(&active, now()).expect("there");
    assert_ne!(ring.active().kid(), active, "an active key that is revoked is replaced");
}

#[test]
fn the_did_document_names_its_keys() {
    let mut ring = ring();
    let did = "did:web:hub.example%3A8443";
    let retired = ring.active().kid().to_owned();
    ring.rotate(now());
    let document = ring.did_document("hub.example:8443");
    assert_eq!(document["id"], did);
    assert_eq!(document["verificationMethod"].as_array().expect("methods").len(), 3);
    let active = document["assertionMethod"].as_array().expect("a list");
    assert_eq!(active.len(), 2);
    assert!(!active.contains(&json!(format!("{did}#{retired}"))));
    let keys = KeySet::from_did_document(&document, did).expect("keys");
    for kid in [retired.clone(), format!("{did}#{retired}"), format!("#{retired}")] {
        assert_eq!(keys.key(&kid).expect("known").controller.as_deref(), Some(did), "{kid}");
    }
    assert!(keys.key(&format!("did:web:other.example#{retired}")).is_none());
    assert!(matches!(KeySet::from_did_document(&document, "did:web:other.example"), Err(KeySetError::OtherSubject { .. })));
    let mut foreign = document.clone();
    for method in foreign["verificationMethod"].as_array_mut().expect("methods") {
        method["controller"] = json!("did:web:other.example");
    }
    assert_eq!(KeySet::from_did_document(&foreign, did), Err(KeySetError::NoKeys));
    assert_eq!(KeySet::from_jwks(&ring.public_jwks(), Some(did)).expect("keys").keys().len(), 3);
}

#[test]
fn did_web_and_its_address() {
    let cases = [
        ("hub.example", "did:web:hub.example", "https://hub.example/.well-known/did.json"),
        ("hub.example:8443", "did:web:hub.example%3A8443", "https://hub.example:8443/.well-known/did.json"),
        ("hub.example/a/b", "did:web:hub.example:a:b", "https://hub.example/a/b/did.json"),
    ];
    for (host, did, url) in cases {
        assert_eq!(did_web(host), did);
        assert_eq!(did_web_url(did).as_deref(), Some(url));
    }
    for bad in ["did:key:z6Mk", "did:web:", "did:web:a.example:..:b", "did:web:a.example:", "did:web:a@b", "did:web:a.example/x"] {
        assert_eq!(did_web_url(bad), None, "{bad}");
    }
}
