use super::common::*;
use proptest::prelude::*;
use std::sync::OnceLock;
use waybill_consent::{
    Acknowledgement, Basis, Change, ConsentPointer, DeletionEvent, Envelope, EnvelopeClaims, EnvelopeEvent, EventKind, EventToken, Heartbeat,
    Heartbeats, LeafKey, LeafMatch, Manifest, ManifestBuilder, OnWithdrawal, Operation, Outcome, StatementError, StatusEntry, StatusPointer,
    StoreAnswer, Terms, Transform, compile, fold, leaf_hash, tag_hash, tag_uri,
};
use waybill_keys::{JwsError, KeyRing, jws};
use waybill_model::{DateTime, EnvelopeHash};

fn t(seconds: i64) -> DateTime {
    now().plus_seconds(seconds)
}
fn signer() -> &'static KeyRing {
    static RING: OnceLock<KeyRing> = OnceLock::new();
    RING.get_or_init(ring)
}
pub fn terms() -> Terms {
    let folded = fold(&[record()], &[event("g", 1, Change::Given, t(0))], check(), t(1));
    compile(&record(), &folded).remove(0).terms
}
pub fn claims(terms: Terms) -> EnvelopeClaims {
    let entry = |list: &str, idx| StatusEntry { list: iri(&format!("https://city-a.example/status/{list}")), idx };
    EnvelopeClaims {
        iss: DID_A.into(),
        jti: String::new(),
        iat: now().seconds(),
        nbf: now().seconds(),
        exp: Some(t(86_400).seconds()),
        aud: terms.recipient.clone(),
        con: ConsentPointer { id: record_id(), ver: 1, hash: record().hash_text() },
        terms,
        pol: serde_json::Value::Null,
        st: StatusPointer { rev: entry("revocation-1", 77), sus: entry("suspension-1", 4711), max_stale: 60 },
        onw: OnWithdrawal::Erase,
        inf: iri("https://city-a.example/events"),
        lbl: std::collections::BTreeMap::new(),
    }
    .completed()
}
fn envelope() -> &'static Envelope {
    static ENVELOPE: OnceLock<Envelope> = OnceLock::new();
    ENVELOPE.get_or_init(|| Envelope::issue(signer().active(), claims(terms())))
}
fn key() -> LeafKey<'static> {
    LeafKey { entity: "urn:meter:1", attribute: POWER, dataset: None }
}
fn manifest() -> &'static Manifest {
    static MANIFEST: OnceLock<Manifest> = OnceLock::new();
    MANIFEST.get_or_init(|| {
        let op = Operation { name: "deliver".into(), params: std::collections::BTreeMap::new() };
        let mut builder = ManifestBuilder::new(DID_A, iri(CITY_B), op);
        builder.leaf(envelope().hash, key(), "{\"type\":\"Property\",\"value\":21.5,\"unitCode\":\"KWT\"}").expect("a leaf");
        builder.leaf(envelope().hash, LeafKey { dataset: Some("urn:d:2"), ..key() }, "{\"type\":\"Property\",\"value\":3}").expect("a leaf");
        builder.leaf(envelope().hash, LeafKey { entity: "urn:meter:2", ..key() }, "{\"type\":\"Property\",\"value\":3}").expect("a leaf");
        builder.sign(signer().active(), 12, 3, now())
    })
}

#[test]
fn an_envelope_says_what_was_signed_and_keeps_its_name() {
    let own = envelope();
    let read = Envelope::verify(&own.compact, signer(), t(10)).expect("good");
    assert_eq!(&read, own);
    assert_eq!(Envelope::trusted(&own.compact).as_ref(), Some(own));
    assert!(own.compact.len() < 8192, "{} bytes", own.compact.len());
    // Nothing in it says whose consent it is.
    let payload = String::from_utf8(waybill_keys::unb64url(own.compact.split('.').nth(1).expect("a payload")).expect("base64")).expect("text");
    assert!(!payload.contains("anna"));
    let tag = tag_uri("https://city-a.example/", &own.hash).expect("a tag");
    assert_eq!(tag.as_str(), format!("https://city-a.example/env/{}", own.hash));
    assert_eq!(tag_hash(tag.as_str()), Some(own.hash));
    for other in ["urn:x", "ftp://a/env/", "https://city-a.example/env/abc", "https://city-a.example/other"] {
        assert_eq!(tag_hash(other), None, "{other}");
    }
    let mut later = signer().clone();
    later.rotate(t(100));
    assert!(Envelope::verify(&own.compact, &later, t(200)).is_ok(), "after a rotation of keys");
    later.revoke(signer().active().kid(), t(300)).expect("there");
    assert_eq!(Envelope::verify(&own.compact, &later, t(400)), Err(StatementError::Jws(JwsError::RevokedKey)));
}

#[test]
fn an_envelope_that_contradicts_itself_is_refused() {
    type Spoil = fn(&mut EnvelopeClaims);
    let cases: [(&str, Spoil); 6] = [
        ("another recipient", |c| c.aud = iri(CITY_C)),
        ("a wider policy", |c| c.pol["permission"][0]["target"] = serde_json::json!([])),
        ("wider terms", |c| c.terms.assets[0].transform = Transform::Share),
        ("longer", |c| c.exp = c.exp.map(|end| end + 1)),
        ("ends before it begins", |c| c.exp = Some(c.nbf)),
        ("no purpose", |c| c.terms.purposes.clear()),
    ];
    for (name, spoil) in cases {
        let mut spoilt = claims(terms());
        spoil(&mut spoilt);
        let compact = Envelope::issue(signer().active(), spoilt).compact;
        assert!(matches!(Envelope::verify(&compact, signer(), t(10)), Err(StatementError::Inconsistent(_))), "{name}");
    }
    let mut foreign = claims(terms());
    foreign.iss = "did:web:city-b.example".into();
    let compact = Envelope::issue(signer().active(), foreign).compact;
    assert_eq!(Envelope::verify(&compact, signer(), t(10)), Err(StatementError::Issuer));
    let unknown = jws::sign(signer().active(), waybill_consent::envelope::TYP, &serde_json::json!({ "iss": DID_A }));
    assert!(matches!(Envelope::verify(&unknown, signer(), t(10)), Err(StatementError::Jws(JwsError::Payload(_)))));
    let mut basis = terms();
    basis.basis = Basis::PublicTask;
    assert!(Envelope::verify(&Envelope::issue(signer().active(), claims(basis)).compact, signer(), t(10)).is_ok());
}

#[test]
fn a_leaf_is_about_the_value_and_not_its_text() {
    let salt = [1; 16];
    let tag = envelope().hash;
    let hash = |instance: &str| leaf_hash(&salt, &tag, key(), instance).expect("a leaf");
    let same = [
        ("{\"type\":\"Property\",\"value\":1}", "{\"value\":1.0,\"type\":\"Property\"}"),
        ("{\"type\":\"Property\",\"value\":1e2}", "{\"type\":\"Property\",\"value\":100}"),
        ("{\"type\":\"Property\",\"value\":{\"https://x/a\":1,\"https://x/b\":[2.50]}}", "{\"type\":\"Property\",\"value\":{ \"https://x/b\":[2.5],\"https://x/a\":1 }}"),
        ("{\"type\":\"Property\",\"value\":\"\\u00e9\"}", "{\"type\":\"Property\",\"value\":\"é\"}"),
        ("{\"type\":\"Relationship\",\"object\":\"urn:a\"}", "{\"type\":\"Relationship\",\"object\":[\"urn:a\"]}"),
        ("{\"type\":\"Property\",\"value\":1}", "{\"type\":\"Property\",\"value\":1,\"https://w3id.org/waybill/ns#usagePolicy\":[{\"type\":\"Relationship\",\"object\":\"urn:t\"}]}"),
        (
            "{\"type\":\"Property\",\"value\":1,\"observedAt\":\"2026-11-24T08:00:00Z\"}",
            "{\"type\":\"Property\",\"value\":1,\"observedAt\":\"2026-11-24T08:00:00.000000Z\"}",
        ),
    ];
    for (a, b) in same {
        assert_eq!(hash(a), hash(b), "{a} and {b}");
    }
    let base = "{\"type\":\"Property\",\"value\":1,\"unitCode\":\"KWT\",\"observedAt\":\"2026-11-24T08:00:00Z\"}";
    let others = [
        base.replace("1,", "2,"),
        base.replace("1,", "\"1\","),
        base.replace("1,", "[1],"),
        base.replace("KWT", "WTT"),
        base.replace("08:00:00", "08:00:01"),
        base.replace("\"unitCode\":\"KWT\",", ""),
        base.replace("\"value\"", "\"json\"").replace("Property", "JsonProperty"),
    ];
    for other in others {
        assert_ne!(hash(base), hash(&other), "{other}");
    }
    let elsewhere = [LeafKey { entity: "urn:meter:2", ..key() }, LeafKey { attribute: METER, ..key() }, LeafKey { dataset: Some("urn:d"), ..key() }];
    for place in elsewhere {
        assert_ne!(hash(base), leaf_hash(&salt, &tag, place, base).expect("a leaf"), "{place:?}");
    }
    assert_ne!(hash(base), leaf_hash(&[2; 16], &tag, key(), base).expect("a leaf"), "the salt");
    assert_ne!(hash(base), leaf_hash(&salt, &EnvelopeHash([0; 32]), key(), base).expect("a leaf"), "the tag");
}

#[test]
fn a_manifest_tells_covered_from_changed_swapped_and_unknown() {
    let manifest = Manifest::verify(&manifest().compact, signer(), t(10)).expect("good");
    assert_eq!((manifest.claims.seq, manifest.claims.epoch, manifest.claims.leaves.len()), (12, 3, 3));
    let tag = envelope().hash;
    let value = "{\"type\":\"Property\",\"value\":21.50,\"unitCode\":\"KWT\"}";
    assert!(matches!(manifest.check(&tag, key(), value), LeafMatch::Covered(_)));
    assert_eq!(manifest.check(&tag, key(), &value.replace("21.50", "21.6")), LeafMatch::Changed);
    assert_eq!(manifest.check(&tag, key(), &value.replace("KWT", "MAW")), LeafMatch::Changed);
    let laxer = EnvelopeHash([9; 32]);
    assert_eq!(manifest.check(&laxer, key(), value), LeafMatch::OtherTag(tag), "a tag swapped for a laxer one");
    assert_eq!(manifest.check(&tag, LeafKey { entity: "urn:meter:9", ..key() }, value), LeafMatch::Absent);
    assert_eq!(manifest.check(&tag, LeafKey { dataset: Some("urn:d:2"), ..key() }, value), LeafMatch::Changed, "the value of another instance");
    assert_eq!(manifest.tag_of(key(), value), Some(tag), "a stripped tag is found again");
    assert_eq!(manifest.tag_of(key(), "{\"type\":\"Property\",\"value\":0}"), None);
}

/// Many entities and names, some of them far apart: each value is found under its own name.
#[test]
fn a_large_manifest_finds_every_value() {
    let op = Operation { name: "deliver".into(), params: std::collections::BTreeMap::new() };
    let mut builder = ManifestBuilder::new(DID_A, iri(CITY_B), op);
    let value = |entity: usize, name: usize| format!("{{\"type\":\"Property\",\"value\":{}}}", entity * 1000 + name);
    let ids: Vec<String> = (0..100).map(|n| format!("urn:meter:{n}")).collect();
    let names: Vec<String> = (0..50).map(|n| format!("https://example.org/{n}")).collect();
    for round in [0, 1] {
        for (i, entity) in ids.iter().enumerate() {
            for (j, attribute) in names.iter().enumerate().filter(|(j, _)| j % 2 == round) {
                builder.leaf(envelope().hash, LeafKey { entity, attribute, dataset: None }, &value(i, j)).expect("a leaf");
            }
        }
    }
    let manifest = Manifest::verify(&builder.sign(signer().active(), 1, 1, now()).compact, signer(), t(1)).expect("good");
    for (i, entity) in ids.iter().enumerate() {
        for (j, attribute) in names.iter().enumerate() {
            let key = LeafKey { entity, attribute, dataset: None };
            assert!(matches!(manifest.check(&envelope().hash, key, &value(i, j)), LeafMatch::Covered(_)), "{key:?}");
            assert_eq!(manifest.check(&envelope().hash, key, &value(i, j + 1)), LeafMatch::Changed, "{key:?}");
        }
    }
}

#[test]
fn a_manifest_whose_leaves_do_not_give_its_root_is_refused() {
    type Spoil = fn(&mut waybill_consent::ManifestClaims);
    let cases: [(&str, Spoil); 5] = [
        ("a leaf less", |c| {
            c.leaves.pop();
        }),
        ("leaves turned round", |c| c.leaves.swap(0, 1)),
        ("an index outside", |c| c.leaves[0].e = 9),
        ("a short salt", |c| c.leaves[0].s = "AA".into()),
        ("another root", |c| c.root = "00".repeat(32)),
    ];
    for (name, spoil) in cases {
        let mut claims = (*manifest().claims).clone();
        spoil(&mut claims);
        let compact = jws::sign(signer().active(), "waybill-manifest+jwt", &claims);
        assert!(matches!(Manifest::verify(&compact, signer(), t(10)), Err(StatementError::Inconsistent(_))), "{name}");
    }
}

#[test]
fn one_kind_of_statement_is_not_another() {
    let compact = &envelope().compact;
    assert!(matches!(Manifest::verify(compact, signer(), t(1)), Err(StatementError::Jws(JwsError::Type { .. }))));
    assert!(matches!(Heartbeat::verify(compact, &iri(CITY_B), signer(), t(1)), Err(StatementError::Jws(JwsError::Type { .. }))));
    assert!(matches!(EventToken::verify(compact, "x", signer(), t(1)), Err(StatementError::Jws(JwsError::Type { .. }))));
    assert!(matches!(Envelope::verify(&manifest().compact, signer(), t(1)), Err(StatementError::Jws(JwsError::Type { .. }))));
}

#[test]
fn heartbeats_stop_being_good() {
    let beat = |seconds, epoch| Heartbeat::new(DID_A, iri(CITY_B), epoch, t(seconds));
    let signed = beat(0, 1).sign(signer().active());
    assert_eq!(Heartbeat::verify(&signed, &iri(CITY_B), signer(), t(1)), Ok(beat(0, 1)));
    assert_eq!(Heartbeat::verify(&signed, &iri(CITY_C), signer(), t(1)), Err(StatementError::Audience));
    assert!(Heartbeat::verify(&signed, &iri(CITY_B), signer(), t(-61)).is_err(), "from the future");
    let mut last = Heartbeats::default();
    assert!(last.is_stale(DID_A, 60, t(0)), "never heard of");
    last.take(beat(0, 5)).expect("the first");
    for (second, stale) in [(0, false), (60, false), (61, true), (-60, false), (-61, true)] {
        assert_eq!(last.is_stale(DID_A, 60, t(second)), stale, "{second}");
    }
    assert!(last.is_stale("did:web:other.example", 60, t(0)));
    assert_eq!(last.stale_at(DID_A, 60), Some(t(60).plus_micros(1)));
    assert_eq!(last.take(beat(0, 5)), Err(StatementError::Old), "played again");
    assert_eq!(last.take(beat(-1, 5)), Err(StatementError::Old), "an older one");
    assert_eq!(last.take(beat(1, 4)), Err(StatementError::Old), "a lower epoch");
    last.take(beat(30, 5)).expect("a newer one");
    assert!(!last.is_stale(DID_A, 60, t(90)));
}

#[test]
fn acknowledgements_through_a_chain() {
    let city_b = KeyRing::generate(&waybill_model::Clock::fixed(t(-100))).controlled_by("did:web:city-b.example");
    let city_c = KeyRing::generate(&waybill_model::Clock::fixed(t(-100))).controlled_by("did:web:city-c.example");
    let keys = waybill_keys::KeySet::new(city_b.public_keys().chain(city_c.public_keys()).cloned().collect());
    let answer = |store: &str, outcome| StoreAnswer { store: store.into(), outcome, how: "DELETE, then 404 read back".into(), at: t(0), attested: false };
    let mut c = Acknowledgement::new("did:web:city-c.example", "did:web:city-b.example", "event-2", iri(CITY_C), t(0));
    c.stores = vec![answer("hub", Outcome::Erased), answer("history", Outcome::BackupUntil { until: t(1000) })];
    assert!(c.is_complete());
    let mut b = Acknowledgement::new("did:web:city-b.example", DID_A, "event-1", iri(CITY_B), t(1));
    b.stores = vec![answer("hub", Outcome::Stopped), answer("broker", Outcome::Failed { reason: "not reached".into() })];
    b.through = vec![c.sign(city_c.active()), c.sign(city_b.active()), "rubbish".into()];
    assert!(!b.is_complete());
    let signed = b.sign(city_b.active());
    let read = Acknowledgement::verify(&signed, DID_A, &keys, t(2)).expect("good");
    assert_eq!(read, b);
    assert_eq!(Acknowledgement::verify(&signed, "did:web:city-c.example", &keys, t(2)), Err(StatementError::Audience));
    assert_eq!(read.further(&keys, t(2)), (vec![c], 2), "one signed by its issuer, one by another, one by nobody");
    assert!(!Acknowledgement::new("a", "b", "c", iri(CITY_B), t(0)).is_complete(), "no store is no answer");
    let kept = Outcome::Kept { basis: Basis::LegalObligation, until: None };
    assert!(kept.is_final() && !Outcome::Failed { reason: String::new() }.is_final());
}

#[test]
fn event_tokens_tell_one_event_of_ours() {
    let about = EnvelopeEvent { envelopes: vec![envelope().hash], time: t(0), on_withdrawal: OnWithdrawal::Erase, successors: vec![] };
    let kinds = [
        EventKind::Withdrawn(about.clone()),
        EventKind::Suspended(about.clone()),
        EventKind::Resumed(about),
        EventKind::Deleted(DeletionEvent { entities: vec!["urn:meter:1".into()], time: t(0) }),
    ];
    for kind in kinds {
        let token = EventToken::new(DID_A, "did:web:city-b.example", 9, kind, t(0));
        let signed = token.sign(signer().active());
        assert_eq!(EventToken::verify(&signed, "did:web:city-b.example", signer(), t(1)), Ok(token));
        assert_eq!(EventToken::verify(&signed, "did:web:city-c.example", signer(), t(1)), Err(StatementError::Audience));
    }
    let with = |events: serde_json::Value| {
        let claims = serde_json::json!({ "iss": DID_A, "aud": "b", "iat": now().seconds(), "jti": "1", "epoch": 1, "events": events });
        EventToken::verify(&jws::sign(signer().active(), "secevent+jwt", &claims), "b", signer(), t(1))
    };
    let good = serde_json::json!({ "entities": [], "time": t(0) });
    let name = |local: &str| format!("https://w3id.org/waybill/event#{local}");
    assert!(with(serde_json::json!({ name("entity-deleted"): good })).is_ok());
    for bad in [
        serde_json::json!({}),
        serde_json::json!({ name("entity-deleted"): good, name("consent-withdrawn"): good }),
        serde_json::json!({ "https://schemas.openid.net/secevent/risc/event-type/account-purged": good }),
        serde_json::json!({ name("consent-withdrawn"): good }),
        serde_json::json!({ name("entity-deleted"): { "entities": [], "time": t(0), "unless": "it rains" } }),
    ] {
        assert!(matches!(with(bad.clone()), Err(StatementError::Inconsistent(_))), "{bad}");
    }
}

fn changed(compact: &str, place: prop::sample::Index, byte: u8) -> Option<String> {
    let mut bytes = compact.as_bytes().to_vec();
    let place = place.index(bytes.len());
    if bytes[place] == byte {
        return None;
    }
    bytes[place] = byte;
    String::from_utf8(bytes).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]
    #[test]
    fn an_envelope_or_manifest_with_any_byte_changed_is_refused(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        if let Some(text) = changed(&envelope().compact, place, byte) {
            prop_assert!(Envelope::verify(&text, signer(), t(10)).is_err());
        }
        if let Some(text) = changed(&manifest().compact, place, byte) {
            prop_assert!(Manifest::verify(&text, signer(), t(10)).is_err());
        }
    }
}
