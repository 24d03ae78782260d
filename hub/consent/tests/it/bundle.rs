use super::common::*;
use super::signed::{claims, terms};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use waybill_consent::{
    Bundle, Envelope, LeafKey, ManifestBuilder, Operation, Report, StatusList, StatusPurpose, Transform, Verdict, tag_uri, verify_bundle,
    verify_bundle_with,
};
use waybill_keys::{KeyRing, KeySet};
use waybill_model::{DateTime, EntityDoc, EnvelopeHash, TAG_NAME};

fn t(seconds: i64) -> DateTime {
    now().plus_seconds(seconds)
}
fn signer() -> &'static KeyRing {
    static RING: OnceLock<KeyRing> = OnceLock::new();
    RING.get_or_init(ring)
}

/// What a hub would put together, with ways to do it wrong.
struct Parts {
    envelope: Envelope,
    bundle: Bundle,
}
const VALUE: &str = "21.50";

fn entity(value: &str, tag: Option<&EnvelopeHash>) -> EntityDoc {
    let beside = tag.map_or_else(String::new, |hash| {
        format!(",\"{TAG_NAME}\":[{{\"type\":\"Relationship\",\"object\":\"{}\"}}]", tag_uri("https://city-a.example", hash).expect("a tag"))
    });
    let text = format!(
        "{{\"id\":\"urn:meter:1\",\"type\":[\"{METER}\"],\"{POWER}\":[{{\"type\":\"Property\",\"value\":{value},\"unitCode\":\"KWT\"{beside}}}],\"https://example.org/open\":[{{\"type\":\"Property\",\"value\":1}}]}}"
    );
    EntityDoc::parse(text, now()).expect("canonical")
}
fn list(purpose: StatusPurpose, set: Option<u32>, seconds: i64) -> String {
    let mut list = StatusList::new(purpose);
    if let Some(index) = set {
        list.set(index, true);
    }
    let name = if purpose == StatusPurpose::Revocation { "revocation-1" } else { "suspension-1" };
    list.sign(signer().active(), DID_A, &iri(&format!("https://city-a.example/status/{name}")), 300, t(seconds))
}
fn parts() -> Parts {
    let envelope = Envelope::issue(signer().active(), claims(terms()));
    let doc = entity(VALUE, Some(&envelope.hash));
    let mut builder = ManifestBuilder::new(DID_A, iri(CITY_B), Operation { name: "retrieve".into(), params: BTreeMap::new() });
    let key = LeafKey { entity: "urn:meter:1", attribute: POWER, dataset: None };
    builder.leaf(envelope.hash, key, doc.instance(&doc.spans()[0])).expect("a leaf");
    let manifest = builder.sign(signer().active(), 1, 1, now());
    let bundle = Bundle {
        entity: doc,
        envelopes: vec![envelope.compact.to_string()],
        manifest: Some(manifest.compact.to_string()),
        issuers: BTreeMap::from([(DID_A.to_owned(), signer().did_document("city-a.example"))]),
        status: vec![list(StatusPurpose::Revocation, None, 0), list(StatusPurpose::Suspension, None, 10)],
    };
    Parts { envelope, bundle }
}
fn file(bundle: &Bundle) -> String {
    bundle.write(signer().active(), DID_A, t(20)).expect("writes")
}
fn verdict(bundle: &Bundle, second: i64) -> Report {
    verify_bundle(file(bundle).as_bytes(), t(second))
}

#[test]
fn a_good_bundle_is_valid_as_of_its_oldest_list() {
    let Parts { bundle, .. } = parts();
    let report = verdict(&bundle, 30);
    assert_eq!((report.verdict, report.as_of, report.verdict.exit_code()), (Verdict::Valid, Some(t(0)), 0), "{report:?}");
    assert_eq!((report.issuers, report.keys_enclosed), (vec![DID_A.to_owned()], true));
    let known = |did: &str| (did == DID_A).then(|| signer().key_set());
    assert!(!verify_bundle_with(file(&bundle).as_bytes(), &known, t(30)).keys_enclosed);
    // The bundle's own document does not count where the issuer is known otherwise.
    let other = |_: &str| Some(ring().key_set());
    assert_eq!(verify_bundle_with(file(&bundle).as_bytes(), &other, t(30)).verdict, Verdict::NotValid);
    let nobody = |_: &str| Some(KeySet::default());
    assert_eq!(verify_bundle_with(file(&bundle).as_bytes(), &nobody, t(30)).verdict, Verdict::NotValid);
    let _: serde_json::Value = serde_json::from_str(&file(&bundle)).expect("the file is JSON");
}

#[test]
fn an_old_or_missing_list_leaves_the_status_unknown() {
    let Parts { mut bundle, .. } = parts();
    let report = verdict(&bundle, 301);
    assert_eq!((report.verdict, report.as_of, report.verdict.exit_code()), (Verdict::StatusUnknown, Some(t(0)), 2), "{report:?}");
    bundle.status.truncate(1);
    let report = verdict(&bundle, 30);
    assert_eq!((report.verdict, report.as_of), (Verdict::StatusUnknown, Some(t(0))), "since the envelope was signed");
}

#[test]
fn what_is_wrong_is_not_valid() {
    let Parts { envelope, bundle } = parts();
    let tag = envelope.hash;
    let wrong = |name: &str, bundle: &Bundle, second: i64, word: &str| {
        let report = verdict(bundle, second);
        assert_eq!((report.verdict, report.verdict.exit_code()), (Verdict::NotValid, 1), "{name}: {report:?}");
        assert!(report.reasons.iter().any(|reason| reason.contains(word)), "{name}: {:?}", report.reasons);
        assert!(!report.reasons.iter().any(|reason| reason.contains("21.5")), "{name}: no value in a reason");
    };
    let with = |entity: EntityDoc| Bundle { entity, ..bundle.clone() };
    wrong("a changed value", &with(entity("21.6", Some(&tag))), 30, "not the one that was delivered");
    wrong("a stripped tag", &with(entity(VALUE, None)), 30, "stripped");
    wrong("a tag of nothing in the bundle", &with(entity(VALUE, Some(&EnvelopeHash([3; 32])))), 30, "not in the bundle");
    let revoked = Bundle { status: vec![list(StatusPurpose::Revocation, Some(77), 0), bundle.status[1].clone()], ..bundle.clone() };
    wrong("withdrawn", &revoked, 30, "over");
    let resting = Bundle { status: vec![bundle.status[0].clone(), list(StatusPurpose::Suspension, Some(4711), 0)], ..bundle.clone() };
    wrong("suspended", &resting, 30, "rests");
    let both = Bundle { status: [bundle.status.clone(), vec![list(StatusPurpose::Revocation, Some(77), 15)]].concat(), ..bundle.clone() };
    wrong("withdrawn in the newer of two lists", &both, 30, "over");
    wrong("after its time", &bundle, 86_400, "over");
    wrong("without its manifest", &Bundle { manifest: None, ..bundle.clone() }, 30, "no manifest");
    wrong("without its issuer", &Bundle { issuers: BTreeMap::new(), ..bundle.clone() }, 30, "signature");
    let swapped = BTreeMap::from([(DID_A.to_owned(), ring().did_document("city-a.example"))]);
    wrong("with another's keys under the issuer's name", &Bundle { issuers: swapped, ..bundle.clone() }, 30, "signature");

    // A laxer envelope of the same issuer in place of the one it was delivered under.
    let mut lax = terms();
    lax.assets[0].transform = Transform::Share;
    let lax = Envelope::issue(signer().active(), claims(lax));
    let laxer = Bundle { entity: entity(VALUE, Some(&lax.hash)), envelopes: vec![lax.compact.to_string()], ..bundle.clone() };
    wrong("a tag swapped for a laxer one", &laxer, 30, "another tag");

    // An envelope for somebody else, or about something else, over a good value.
    let issue = |change: fn(&mut waybill_consent::Terms)| {
        let mut changed = terms();
        change(&mut changed);
        let envelope = Envelope::issue(signer().active(), claims(changed));
        let doc = entity(VALUE, Some(&envelope.hash));
        let mut builder = ManifestBuilder::new(DID_A, iri(CITY_B), Operation { name: "retrieve".into(), params: BTreeMap::new() });
        let key = LeafKey { entity: "urn:meter:1", attribute: POWER, dataset: None };
        builder.leaf(envelope.hash, key, doc.instance(&doc.spans()[0])).expect("a leaf");
        let manifest = Some(builder.sign(signer().active(), 1, 1, now()).compact.to_string());
        Bundle { entity: doc, envelopes: vec![envelope.compact.to_string()], manifest, ..bundle.clone() }
    };
    wrong("an envelope for another", &issue(|t| t.recipient = iri(CITY_C)), 30, "another recipient");
    wrong("an envelope about another Attribute", &issue(|t| drop(t.assets.remove(0))), 30, "do not cover");
    assert_eq!(
        verdict(
            &issue(|t| {
                t.recipient = iri(CITY_C);
                t.distribute_to = vec![iri(CITY_B)];
            }),
            30
        )
        .verdict,
        Verdict::Valid,
        "passed on as the terms allow"
    );
}

#[test]
fn an_entity_alone_proves_nothing() {
    let Parts { envelope, bundle } = parts();
    for text in [entity(VALUE, Some(&envelope.hash)).text(), "{\"id\":\"urn:a\",\"type\":\"T\"}", "{\"@id\":\"urn:a\",\"@type\":\"T\"}"] {
        let report = verify_bundle(text.as_bytes(), now());
        assert_eq!((report.verdict, report.verdict.exit_code()), (Verdict::Unverified, 3), "{text}");
    }
    for text in ["", "{}", "[]", "not JSON", "{\"waybillBundle\":1,\"id\":\"urn:a\",\"type\":\"T\"}", "{\"id\":\"urn:a\""] {
        assert_eq!(verify_bundle(text.as_bytes(), now()).verdict, Verdict::NotValid, "{text}");
    }
    assert_eq!(verify_bundle(&[0xff, 0xfe], now()).verdict, Verdict::NotValid);
    assert_eq!(verdict(&Bundle { entity: entity("1", None), manifest: None, ..bundle }, 30).verdict, Verdict::Unverified, "nothing tagged");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]
    #[test]
    fn a_bundle_with_any_byte_changed_added_or_missing_is_not_valid(place in any::<prop::sample::Index>(), byte in any::<u8>(), how in 0..3u8) {
        static FILE: OnceLock<String> = OnceLock::new();
        let good = FILE.get_or_init(|| file(&parts().bundle));
        let mut bytes = good.clone().into_bytes();
        let place = place.index(bytes.len());
        match how {
            0 => bytes[place] = byte,
            1 => bytes.insert(place, byte),
            _ => drop(bytes.remove(place)),
        }
        prop_assume!(bytes != good.as_bytes());
        prop_assert_eq!(verify_bundle(&bytes, t(30)).verdict, Verdict::NotValid);
    }
}
