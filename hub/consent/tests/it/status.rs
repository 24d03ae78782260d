use super::common::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write as _;
use std::sync::OnceLock;
use waybill_consent::{ENTRIES, Reading, StatementError, StatusList, StatusLists, StatusPurpose};
use waybill_keys::{KeyRing, b64url, jws};
use waybill_model::{DateTime, Iri};

fn t(seconds: i64) -> DateTime {
    now().plus_seconds(seconds)
}
fn signer() -> &'static KeyRing {
    static RING: OnceLock<KeyRing> = OnceLock::new();
    RING.get_or_init(ring)
}
fn url() -> Iri {
    iri("https://city-a.example/status/revocation-1")
}
fn signed(list: &StatusList, seconds: i64) -> String {
    list.sign(signer().active(), DID_A, &url(), 300, t(seconds))
}
fn claims(list: &StatusList) -> serde_json::Value {
    let payload = waybill_keys::unb64url(signed(list, 0).split('.').nth(1).expect("a payload")).expect("base64");
    serde_json::from_slice(&payload).expect("JSON")
}

#[test]
fn a_list_is_a_credential_as_the_recommendation_has_it() {
    let claims = claims(&StatusList::new(StatusPurpose::Suspension));
    assert_eq!(claims["@context"][0], "https://www.w3.org/ns/credentials/v2");
    assert_eq!(claims["type"], serde_json::json!(["VerifiableCredential", "BitstringStatusListCredential"]));
    assert_eq!(claims["credentialSubject"]["type"], "BitstringStatusList");
    assert_eq!(claims["credentialSubject"]["statusPurpose"], "suspension");
    assert_eq!(claims["credentialSubject"]["ttl"], 300_000);
    assert!(claims["credentialSubject"]["encodedList"].as_str().expect("text").starts_with('u'));
    assert_eq!(claims["validFrom"], "2026-11-24T08:00:00Z");
}

#[test]
fn the_first_bit_is_the_leftmost() {
    let mut list = StatusList::new(StatusPurpose::Revocation);
    list.set(0, true);
    let encoded = claims(&list)["credentialSubject"]["encodedList"].as_str().expect("text")[1..].to_owned();
    let packed = waybill_keys::unb64url(&encoded).expect("base64");
    let mut bits = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut bits).expect("gzip");
    assert_eq!((bits.len(), bits[0]), (ENTRIES as usize / 8, 0x80));
}

#[test]
fn an_old_list_after_a_newer_one_is_refused() {
    let mut list = StatusList::new(StatusPurpose::Revocation);
    let reading = |list: &StatusList, seconds| Reading::verify(&signed(list, seconds), signer(), t(seconds)).expect("good");
    let first = reading(&list, 0);
    list.set(7, true);
    let second = reading(&list, 100);
    let mut lists = StatusLists::default();
    lists.take(first.clone()).expect("the first");
    lists.take(second.clone()).expect("a newer one");
    assert_eq!(lists.take(first), Err(StatementError::Old));
    assert!(lists.get(url().as_str()).expect("there").is_set(7));
    lists.take(second).expect("the same again");
    // Signed later over an older state: an issuer that was put back.
    assert_eq!(lists.take(reading(&StatusList::new(StatusPurpose::Revocation), 200)), Err(StatementError::Old));
    let mut other = StatusList::new(StatusPurpose::Suspension);
    assert!((0..10).all(|index| other.set(index, true)));
    assert_eq!(lists.take(reading(&other, 300)), Err(StatementError::Inconsistent("the list has changed its issuer or purpose")));
}

#[test]
fn lists_that_are_not_what_they_say_are_refused() {
    let good = claims(&StatusList::new(StatusPurpose::Revocation));
    let verify = |claims: &serde_json::Value| Reading::verify(&jws::sign(signer().active(), "vc+jwt", claims), signer(), t(1));
    assert!(verify(&good).is_ok());
    let gzip = |bytes: &[u8]| {
        let mut out = GzEncoder::new(Vec::new(), Compression::default());
        out.write_all(bytes).expect("memory");
        format!("u{}", b64url(out.finish().expect("memory")))
    };
    let mut cases = Vec::new();
    for (name, encoded) in [
        ("too short", gzip(&[0; 100])),
        ("too long", gzip(&vec![0; ENTRIES as usize / 8 + 1])),
        ("swelling", gzip(&vec![0; 50_000_000])),
        ("not packed", format!("u{}", b64url([0; 100]))),
        ("another base", "zabc".to_owned()),
    ] {
        let mut bad = good.clone();
        bad["credentialSubject"]["encodedList"] = encoded.into();
        cases.push((name, bad));
    }
    let mut bad = good.clone();
    bad["type"] = serde_json::json!(["VerifiableCredential"]);
    cases.push(("another credential", bad));
    let mut bad = good.clone();
    bad["validFrom"] = serde_json::json!("2027-01-01T00:00:00Z");
    cases.push(("two times", bad));
    let mut bad = good;
    bad["issuer"] = serde_json::json!("did:web:city-b.example");
    cases.push(("another issuer", bad));
    for (name, claims) in cases {
        assert!(verify(&claims).is_err(), "{name}");
    }
}

#[test]
fn indexes_are_random_never_given_twice_and_end_at_half() {
    let mut list = StatusList::new(StatusPurpose::Revocation);
    let mut seen = std::collections::BTreeSet::new();
    let mut order = Vec::new();
    while let Ok(index) = list.take() {
        assert!(index < ENTRIES && seen.insert(index));
        order.push(index);
    }
    assert_eq!(order.len(), ENTRIES as usize / 2);
    // Whoever knows when a consent was given must not know its index: the share of rises in a random order is about one half.
    let rises = order.windows(2).filter(|pair| pair[0] < pair[1]).count();
    let half = order.len() / 2;
    assert!(rises.abs_diff(half) < half / 20, "{rises} of {}", order.len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]
    #[test]
    fn bits_are_read_as_they_were_set(set in proptest::collection::btree_set(0..ENTRIES, 0..50), probe in proptest::collection::vec(any::<u32>(), 20)) {
        let mut list = StatusList::new(StatusPurpose::Revocation);
        for index in &set {
            prop_assert!(list.set(*index, true));
            prop_assert!(!list.set(*index, true), "set already");
        }
        let kept = StatusList::from_bytes(&list.to_bytes()).expect("reads");
        prop_assert_eq!(&kept, &list);
        let reading = Reading::verify(&signed(&kept, 0), signer(), t(1)).expect("good");
        for index in set.iter().copied().chain(probe) {
            prop_assert_eq!(reading.is_set(index), set.contains(&index) || index >= ENTRIES);
        }
        for index in &set {
            list.set(*index, false);
        }
        prop_assert_eq!(list.sequence, 2 * set.len() as u64);
        prop_assert!(!set.iter().any(|index| list.is_set(*index)));
    }
}

#[test]
fn marks_in_one_batch_add_up() {
    use waybill_consent::{Change, ConsentBook, ConsentPointer, Issue, OnWithdrawal, Validity, compile, fold};
    let hub = Hub::new();
    let terms = compile(&record(), &fold(&[record()], &[event("g", 1, Change::Given, t(0))], check(), t(1))).remove(0).terms;
    let consent = ConsentPointer { id: iri("urn:waybill:consent:1"), ver: 1, hash: "00".into() };
    let issue = Issue { terms, consent, validity: Validity::default(), on_withdrawal: OnWithdrawal::Erase, label: std::collections::BTreeMap::new() };
    let (issued, batch) = hub.look(move |r, book, ring| book.issue(r, &tenant(), vec![issue; 3], ring, t(0)).expect("issued"));
    hub.commit(batch);
    let hashes: Vec<_> = issued.iter().map(|e| e.hash).collect();
    let marked = |hashes: &[waybill_model::EnvelopeHash]| {
        let hashes = hashes.to_vec();
        hub.look(move |r, _, _| hashes.iter().map(|h| ConsentBook::is_marked(r, &mut waybill_store::Batch::new(), h).expect("reads")).collect::<Vec<_>>())
    };
    assert_eq!(marked(&hashes), [false, false, false]);
    let mut batch = waybill_store::Batch::new();
    ConsentBook::mark_envelopes(&mut batch, &hashes[..1], StatusPurpose::Revocation, true);
    ConsentBook::mark_envelopes(&mut batch, &hashes[1..2], StatusPurpose::Revocation, true);
    hub.commit(batch);
    assert_eq!(marked(&hashes), [true, true, false]);
    assert_eq!(marked(&[waybill_model::EnvelopeHash([9; 32])]), [true], "what is not known does not hold");
}

#[test]
fn a_list_from_a_backup_gives_none_of_its_places_again() {
    for purpose in [StatusPurpose::Revocation, StatusPurpose::Suspension] {
        let mut list = StatusList::new(purpose);
        let (mine, sequence) = (list.take().expect("a place"), list.sequence);
        list.give_up_rest();
        assert!(!list.is_set(mine), "what is known stays as it is");
        let lost = (0..ENTRIES).filter(|index| *index != mine && list.is_set(*index)).count();
        assert_eq!(lost, if purpose == StatusPurpose::Revocation { ENTRIES as usize - 1 } else { 0 });
        assert!(list.take().is_err() && list.sequence > sequence + 1_000_000);
        assert_eq!(StatusList::from_bytes(&list.to_bytes()).expect("readable").taken(), ENTRIES);
    }
}
