use super::common::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use waybill_consent::{
    Actor, ActorRole, Applied, Change, ConsentBook, ConsentError, ConsentEvent, ConsentRecord, Envelope, GrantSet, Guardianship, Input, Rule,
    State, Target, Validity,
};
use waybill_model::{Clock, DateTime, EnvelopeHash, Iri, TenantId};
use waybill_store::{Batch, Store, StoreError};

fn t(seconds: i64) -> DateTime {
    now().plus_seconds(seconds)
}

impl Hub {
    fn plan(&self, version: Option<&ConsentRecord>, events: &[ConsentEvent], second: i64) -> Result<Applied, ConsentError> {
        let (version, events) = (version.cloned(), events.to_vec());
        self.look(move |r, book, ring| {
            let input = Input { tenant: &tenant(), record: &record_id(), version: version.as_ref(), events: &events };
            book.change(r, input, ring, t(second))
        })
    }
    fn change(&self, version: Option<&ConsentRecord>, events: &[ConsentEvent], second: i64) -> Applied {
        let mut applied = self.plan(version, events, second).expect("a change");
        self.commit(std::mem::take(&mut applied.batch));
        applied
    }
    fn grants(&self, tenant: TenantId, subject: &str) -> GrantSet {
        let subject = iri(subject);
        self.look(move |r, book, _| book.view(r).and_then(|view| view.grants(&tenant, &subject))).expect("grants")
    }
    /// Recipients whose grant is open at that time.
    fn open(&self, second: i64) -> Vec<String> {
        let set = self.grants(tenant(), ANNA);
        set.grants.iter().filter(|grant| grant.is_open(t(second))).map(|grant| grant.recipient.to_string()).collect()
    }
    fn bits(&self, hash: &EnvelopeHash) -> (bool, bool) {
        let hash = *hash;
        self.look(move |r, _, _| {
            let stored = ConsentBook::envelope(r, &hash).expect("reads").expect("there");
            let bit = |name: &str, (number, index): (u32, u32)| {
                ConsentBook::status_list(r, &format!("{name}-{number}")).expect("reads").expect("there").is_set(index)
            };
            (bit("revocation", stored.status.revocation), bit("suspension", stored.status.suspension))
        })
    }
}
fn given() -> ConsentEvent {
    event("g1", 1, Change::Given, t(0))
}

#[test]
fn giving_opens_and_withdrawing_closes() {
    let hub = Hub::new();
    let applied = hub.change(Some(&record()), &[given()], 1);
    assert_eq!((applied.opened.len(), applied.closed.len(), applied.changes_visibility()), (1, 0, true));
    let envelope = &applied.opened[0];
    assert_eq!(&Envelope::verify(&envelope.compact, &*hub.ring, t(2)).expect("good"), envelope);
    assert_eq!((envelope.claims.aud.as_str(), envelope.claims.iss.as_str()), (CITY_B, DID_A));
    assert_eq!(envelope.claims.con.hash, record().hash_text());
    assert_eq!(hub.open(2), [CITY_B]);
    assert_eq!(hub.bits(&envelope.hash), (false, false));
    let applied = hub.change(None, &[event("w", 1, Change::Withdrawn, t(10))], 10);
    assert_eq!((applied.opened.len(), applied.closed.len()), (0, 1));
    let closed = &applied.closed[0];
    assert_eq!((closed.envelope, closed.recipient.as_str(), closed.state), (envelope.hash, CITY_B, Some(State::Withdrawn)));
    assert_eq!(closed.successor, None);
    assert_eq!(hub.open(11), [""; 0], "the next decision is closed");
    assert_eq!(hub.bits(&envelope.hash), (true, false));
    // What is closed stays as a row that says why.
    let rows = hub.grants(tenant(), ANNA);
    assert_eq!(rows.grants.iter().map(|grant| grant.state).collect::<Vec<_>>(), [State::Withdrawn]);
}

#[test]
fn telling_the_same_again_changes_nothing() {
    let hub = Hub::new();
    hub.change(Some(&record()), &[given()], 1);
    let again = hub.plan(Some(&record()), &[ConsentEvent { received: t(50), ..given() }], 50).expect("a change");
    assert_eq!((again.changes_visibility(), again.batch.len()), (false, 0));
    for eid in ["", "a b", "a\u{1f}b", &"x".repeat(129)] {
        assert!(matches!(hub.plan(None, &[event(eid, 1, Change::Renewed, t(0))], 50), Err(ConsentError::Schema { .. })), "{eid:?}");
    }
    let other = ConsentEvent { state: Change::Refused, ..given() };
    assert!(matches!(hub.plan(None, &[other], 50), Err(ConsentError::Schema { .. })), "another event under the same identifier");
}

#[test]
fn narrowing_replaces_and_tells_what_took_its_place() {
    let hub = Hub::new();
    let one = record();
    let first = hub.change(Some(&one), &[given()], 1).opened.remove(0);
    let two = next(&one, |r| r.processes[0].data.truncate(1));
    let applied = hub.change(Some(&two), &[event("g2", 2, Change::Given, t(100))], 100);
    let second = &applied.opened[0];
    assert_eq!((applied.closed[0].envelope, applied.closed[0].state, applied.closed[0].successor), (first.hash, None, Some(second.hash)));
    assert_eq!((hub.bits(&first.hash), hub.bits(&second.hash)), ((true, false), (false, false)));
    assert_ne!(first.claims.st, second.claims.st, "new indexes, so that the two cannot be linked");
    assert_eq!(second.claims.terms.assets.len(), 1);
    assert_eq!(hub.open(101), [CITY_B]);
}

#[test]
fn suspension_has_its_own_list_and_ends() {
    let hub = Hub::new();
    let envelope = hub.change(Some(&record()), &[given()], 1).opened.remove(0);
    let applied = hub.change(None, &[event("s", 1, Change::Suspended, t(10))], 10);
    assert_eq!((applied.suspended.len(), applied.closed.len()), (1, 0));
    assert_eq!((hub.bits(&envelope.hash), hub.open(11).len()), ((false, true), 0));
    let applied = hub.change(None, &[event("r", 1, Change::Resumed, t(20))], 20);
    assert_eq!((applied.resumed.len(), applied.opened.len()), (1, 0), "the same envelope goes on");
    assert_eq!((hub.bits(&envelope.hash), hub.open(21)), ((false, false), vec![CITY_B.to_owned()]));
    hub.change(None, &[event("s2", 1, Change::Suspended, t(30))], 30);
    let applied = hub.change(None, &[event("w", 1, Change::Withdrawn, t(40))], 40);
    assert_eq!((applied.closed.len(), hub.bits(&envelope.hash)), (1, (true, true)), "withdrawn while it rested");
}

#[test]
fn the_clock_closes() {
    let hub = Hub::new();
    let mut short = record();
    short.processes[0].validity.until = Some(t(1000));
    let envelope = hub.change(Some(&short), &[given()], 1).opened.remove(0);
    assert_eq!((hub.open(999).len(), hub.open(1000).len()), (1, 0), "even before anything is written");
    let ended = |second| hub.look(move |r, _, _| ConsentBook::ended(r, t(second), 10)).expect("rows");
    assert_eq!((ended(999), ended(1000)), (vec![], vec![(tenant(), record_id())]));
    let applied = hub.change(None, &[], 1000);
    assert_eq!((applied.closed[0].state, hub.bits(&envelope.hash).0), (Some(State::Expired), true));
    assert_eq!(ended(2000), vec![], "once");
    let renewed = ConsentEvent { validity: Some(Validity { from: None, until: Some(t(9000)) }), ..event("r", 1, Change::Renewed, t(2000)) };
    let applied = hub.change(None, &[renewed], 2000);
    assert_ne!(applied.opened[0].hash, envelope.hash, "a new envelope");
    assert_eq!((hub.open(2001).len(), hub.open(9000).len()), (1, 0));
}

#[test]
fn renewing_before_the_end_replaces_the_envelope() {
    let hub = Hub::new();
    let first = hub.change(Some(&record()), &[given()], 1).opened.remove(0);
    let renewed = ConsentEvent { validity: Some(Validity { from: None, until: Some(at("2028-01-01T00:00:00Z")) }), ..event("r", 1, Change::Renewed, t(50)) };
    let applied = hub.change(None, &[renewed], 50);
    assert_eq!((applied.closed[0].envelope, applied.closed[0].successor), (first.hash, Some(applied.opened[0].hash)));
    assert_eq!(hub.open(60), [CITY_B], "one grant, not two");
    let applied = hub.change(None, &[event("w", 1, Change::Withdrawn, t(70))], 70);
    assert_eq!((applied.closed.len(), hub.open(71).len()), (1, 0));
}

#[test]
fn versions_follow_each_other() {
    let hub = Hub::new();
    let one = record();
    hub.change(Some(&one), &[], 1);
    let two = next(&one, |r| r.laws.push("GDPR".into()));
    let other = ConsentRecord { jurisdiction: Some("NL".into()), ..one.clone() };
    let error = |record: &ConsentRecord| hub.plan(Some(record), &[], 2).expect_err("refused");
    assert_eq!(error(&other), ConsentError::VersionTaken(1));
    assert_eq!(error(&ConsentRecord { prev: Some(other.hash_text()), ..two.clone() }), ConsentError::BrokenChain(2));
    assert_eq!(error(&ConsentRecord { prev: None, ..two.clone() }), ConsentError::BrokenChain(2));
    let stolen = ConsentRecord { subject: waybill_consent::Subject { id: iri(BEN), ..two.subject.clone() }, ..two.clone() };
    assert!(matches!(error(&stolen), ConsentError::Actor(_)));
    let three = ConsentRecord { version: 3, ..two };
    hub.change(Some(&three), &[], 3);
    assert_eq!(error(&next(&one, |_| {})), ConsentError::OldVersion { given: 2, newest: 3 });
    assert_eq!(hub.plan(None, &[event("g", 9, Change::Given, t(0))], 3).expect_err("refused"), ConsentError::UnknownRecord);
    assert_eq!(Hub::new().plan(None, &[given()], 3).expect_err("refused"), ConsentError::UnknownRecord);
}

#[test]
fn only_she_and_her_recorded_guardian_act_for_her() {
    let hub = Hub::new();
    hub.change(Some(&record()), &[], 1);
    let by = |id: &str, role| ConsentEvent { by: Actor { id: iri(id), role }, received: t(50), ..given() };
    for (who, role) in [(BEN, ActorRole::Subject), (CITY_A, ActorRole::Controller), (CITY_A, ActorRole::Hub), (BEN, ActorRole::Guardian)] {
        assert!(matches!(hub.plan(None, &[by(who, role)], 50), Err(ConsentError::Actor(_))), "{who} {role:?}");
    }
    let mut batch = Batch::new();
    let row = Guardianship { ward: iri(ANNA), guardian: iri(BEN), from: t(0), until: t(100), asserted_by: iri(CITY_A), evidence: String::new() };
    ConsentBook::appoint(&mut batch, &tenant(), &row, t(2));
    hub.commit(batch);
    let late = by(BEN, ActorRole::Guardian);
    assert!(matches!(hub.plan(None, &[late], 100), Err(ConsentError::Actor(_))), "after the guardianship");
    hub.change(None, &[by(BEN, ActorRole::Guardian)], 50);
    assert_eq!(hub.open(51), [CITY_B]);
}

#[test]
fn two_changes_at_once_cannot_both_be_right() {
    let hub = Hub::new();
    hub.change(Some(&record()), &[given()], 1);
    let mut withdraw = hub.plan(None, &[event("w", 1, Change::Withdrawn, t(10))], 10).expect("a change");
    let renewed = ConsentEvent { validity: Some(Validity { from: None, until: Some(t(9000)) }), ..event("r", 1, Change::Renewed, t(10)) };
    let mut renew = hub.plan(None, &[renewed], 10).expect("a change");
    hub.store.commit_blocking(std::mem::take(&mut withdraw.batch)).expect("the first");
    let second = hub.store.commit_blocking(std::mem::take(&mut renew.batch));
    assert!(matches!(second, Err(StoreError::Conflict { .. })), "worked out on a state that is gone");
    assert!(hub.open(11).is_empty());
}

/// What is in memory never outlives the state it was read from, whichever reader comes first.
#[test]
fn memory_follows_the_store() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Arc::new(Hub::over(Store::open(dir.path(), Clock::fixed(now())).expect("a store"), ring()));
    hub.change(Some(&record()), &[given()], 1);
    assert_eq!((hub.open(2).len(), hub.open(2).len()), (1, 1));
    let outside = Arc::clone(&hub);
    let stale = hub.look(move |old, book, _| {
        let before = book.view(old).expect("a view");
        // Committed while the old reader is open, read by a new one, then asked again through the old one.
        let done = std::thread::spawn(move || {
            outside.change(None, &[event("w", 1, Change::Withdrawn, t(10))], 10);
            outside.open(11)
        });
        assert!(done.join().expect("no panic").is_empty());
        before.grants(&tenant(), &iri(ANNA)).expect("grants").grants.iter().filter(|grant| grant.is_open(t(11))).count()
    });
    assert_eq!(stale, 1, "the old reader still sees its own moment, so that the next step has something to prove");
    assert!(hub.open(11).is_empty(), "an older reader does not bring back what was withdrawn");
    assert!(hub.open(11).is_empty());
}

#[test]
fn tenants_and_subjects_are_apart() {
    let hub = Hub::new();
    hub.change(Some(&record()), &[given()], 1);
    let count = |tenant: TenantId, subject: &str| hub.grants(tenant, subject).grants.len();
    assert_eq!(count(tenant(), ANNA), 1);
    assert_eq!(count(TenantId::new("other").expect("a tenant"), ANNA), 0);
    assert_eq!(count(tenant(), BEN), 0);
    assert_eq!(count(tenant(), &ANNA[..ANNA.len() - 1]), 0);
}

#[test]
fn a_ledger_note_closes_again_after_a_restore() {
    let dir = tempfile::tempdir().expect("a folder");
    let (live, copy) = (dir.path().join("live"), dir.path().join("copy"));
    let open = |path: &std::path::Path| Store::open(path, Clock::fixed(now())).expect("a store");
    let hub = Hub::over(open(&live), ring());
    hub.change(Some(&record()), &[given()], 1);
    // The state before the withdrawal, brought back.
    let old = Hub::over(open(&copy), (*hub.ring).clone());
    old.change(Some(&record()), &[given()], 1);
    hub.change(None, &[event("w", 1, Change::Withdrawn, t(10))], 10);
    let notes = hub.store.read_blocking(|r| r.withdrawn(0)).expect("reads");
    assert_eq!(notes.len(), 1);
    let note = String::from_utf8(notes[0].1.clone()).expect("text");
    assert!(!note.contains("anna") && !note.contains(record_id().as_str()), "{note}");
    assert_eq!(old.open(20), [CITY_B]);
    let reapply = || {
        let note = note.clone();
        old.look(move |r, book, ring| book.reapply(r, note.as_bytes(), ring, t(20))).expect("a change")
    };
    let mut applied = reapply().expect("something to close");
    old.store.commit_blocking(std::mem::take(&mut applied.applied.batch)).expect("commits");
    assert_eq!((applied.applied.closed[0].state, old.open(21).len()), (Some(State::Withdrawn), 0));
    assert!(reapply().is_none(), "once");
    let foreign = old.look(|r, book, ring| book.reapply(r, b"{\"erased\":1}", ring, t(20)));
    assert!(foreign.expect("not ours").is_none());
}

/// A wider version that was replaced does not come back from a backup that knows nothing of the narrower one.
#[test]
fn a_ledger_note_keeps_a_replaced_version_closed() {
    let (hub, old) = (Hub::new(), Hub::new());
    let one = record();
    for hub in [&hub, &old] {
        hub.change(Some(&one), &[given()], 1);
    }
    let two = next(&one, |r| r.processes[0].data.truncate(1));
    hub.change(Some(&two), &[event("g2", 2, Change::Given, t(100))], 100);
    let notes = hub.store.read_blocking(|r| r.withdrawn(0)).expect("reads");
    assert_eq!(notes.len(), 1);
    let note = notes[0].1.clone();
    let mut applied = old.look(move |r, book, ring| book.reapply(r, &note, ring, t(200))).expect("a change").expect("something to close");
    old.commit(std::mem::take(&mut applied.applied.batch));
    assert_eq!((applied.applied.closed[0].state, old.open(201).len()), (Some(State::Revoked), 0));
    // She still says so in her pod: read again, the narrower version opens.
    old.change(Some(&two), &[event("g2", 2, Change::Given, t(300))], 300);
    assert_eq!(old.open(301), [CITY_B]);
}

#[test]
fn forgetting_leaves_no_row_that_names_her() {
    let hub = Hub::new();
    hub.change(Some(&record()), &[given()], 1);
    let mut batch = Batch::new();
    let binding = waybill_consent::Binding {
        target: Target::Entity(iri("urn:meter:1")),
        subject: iri(ANNA),
        validity: Validity::default(),
        asserted_by: iri(CITY_A),
        evidence: String::new(),
        rule: Rule::All,
    };
    ConsentBook::bind(&mut batch, &tenant(), &binding, t(2));
    hub.commit(batch);
    hub.change(None, &[event("w", 1, Change::Withdrawn, t(10))], 10);
    let spaces = ["consent-record", "consent-event", "consent-of", "consent-grant", "consent-binding", "consent-bound", "consent-mark", "consent-envelope", "consent-terms"];
    let naming = || {
        hub.look(move |r, _, _| {
            let mut out = Vec::new();
            for space in spaces {
                let docs = r.docs(space, "", 1000, None).expect("reads");
                let names_her = |doc: &waybill_store::Doc| doc.key.contains("anna") || String::from_utf8_lossy(&doc.payload).contains("anna");
                if docs.iter().any(names_her) {
                    out.push(space);
                }
            }
            out
        })
    };
    assert!(naming().contains(&"consent-record") && naming().contains(&"consent-bound"));
    let batch = hub.look(|r, _, _| ConsentBook::forget(r, &tenant(), &iri(ANNA), t(20))).expect("a batch");
    hub.commit(batch);
    hub.book.purge(&tenant(), &iri(ANNA));
    assert_eq!(naming(), [""; 0]);
    assert!(hub.open(21).is_empty());
    let list = hub.look(|r, _, _| ConsentBook::list(r, &tenant(), 10, None)).expect("records");
    assert_eq!(list, Vec::<Iri>::new());
    // She may come back.
    hub.change(Some(&record()), &[event("back", 1, Change::Given, t(30))], 30);
    assert_eq!(hub.open(31), [CITY_B]);
}

#[test]
fn records_are_listed_once_however_many_versions() {
    let hub = Hub::new();
    let one = record();
    hub.change(Some(&one), &[], 1);
    hub.change(Some(&next(&one, |_| {})), &[], 2);
    let list = |after: Option<Iri>| hub.look(move |r, _, _| ConsentBook::list(r, &tenant(), 10, after.as_ref().map(Iri::as_str))).expect("records");
    assert_eq!(list(None), [record_id()]);
    assert_eq!(list(Some(record_id())), Vec::<Iri>::new());
    let of = hub.look(|r, _, _| ConsentBook::records_of(r, &tenant(), ANNA)).expect("records");
    assert_eq!(of, [record_id()]);
}

/// One thing that can happen to a record with two processes and two recipients.
#[derive(Debug, Clone, Copy)]
enum Step {
    Version { narrow: bool, give: bool },
    Tell { state: Change, old: bool, pid: Option<&'static str> },
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let states = vec![
        Change::Given,
        Change::Given,
        Change::Renewed,
        Change::Withdrawn,
        Change::Revoked,
        Change::Suspended,
        Change::Suspended,
        Change::Resumed,
        Change::Resumed,
        Change::Expired,
    ];
    let pid = prop_oneof![Just(None), Just(Some("main")), Just(Some("second"))];
    let step = prop_oneof![
        2 => (any::<bool>(), any::<bool>()).prop_map(|(narrow, give)| Step::Version { narrow, give }),
        6 => (prop::sample::select(states), any::<bool>(), pid).prop_map(|(state, old, pid)| Step::Tell { state, old, pid }),
        1 => (10..4000i64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// Whatever happens in whatever order: the rows that open are those of the fold, each under an envelope of its own whose bits are
    /// clear; every other envelope that was ever issued is marked as over or resting; and whoever must be told of an end is told once.
    #[test]
    fn rows_bits_and_news_follow_the_fold(steps in steps()) {
        let hub = Hub::new();
        let mut one = record();
        one.processes[0].recipients.push(iri(CITY_A));
        one.processes[0].validity.until = Some(t(6000));
        let mut second = one.processes[0].clone();
        second.pid = "second".into();
        one.processes.push(second);
        hub.change(Some(&one), &[], 0);
        let (mut versions, mut events, mut clock) = (vec![one], Vec::new(), 0);
        let mut issued: BTreeMap<EnvelopeHash, (String, String)> = BTreeMap::new();
        let mut told: BTreeSet<EnvelopeHash> = BTreeSet::new();
        for (n, step) in steps.into_iter().enumerate() {
            clock += 100;
            let newest = versions.last().expect("a version").clone();
            let mut more = Vec::new();
            let mut version = None;
            match step {
                Step::Version { narrow, give } => {
                    let new = next(&newest, |r| if narrow { r.processes[1].data.truncate(1) } else { r.laws.push(n.to_string()) });
                    if give {
                        more.push(event(&format!("e{n}"), new.version, Change::Given, t(clock)));
                    }
                    version = Some(new);
                }
                Step::Tell { state, old, pid } => {
                    let number = if old { 1 } else { newest.version };
                    let pids = pid.map_or(waybill_consent::Pids::ALL, |pid| waybill_consent::Pids::Some(vec![pid.to_owned()]));
                    more.push(ConsentEvent { pids, ..event(&format!("e{n}"), number, state, t(clock)) });
                }
                Step::Wait(seconds) => clock += seconds,
            }
            let applied = hub.change(version.as_ref(), &more, clock);
            versions.extend(version);
            events.extend(more);
            for envelope in &applied.opened {
                let about = (envelope.claims.terms.process.clone(), envelope.claims.aud.to_string());
                prop_assert!(issued.insert(envelope.hash, about).is_none());
            }
            for closed in &applied.closed {
                prop_assert!(told.insert(closed.envelope), "told twice");
            }
            let folded = waybill_consent::fold(&versions, &events, check(), t(clock));
            let expected: BTreeSet<(String, String)> = folded
                .processes
                .iter()
                .filter(|(_, process)| process.open)
                .flat_map(|(pid, _)| [CITY_A, CITY_B].map(|city| (pid.clone(), city.to_owned())))
                .collect();
            let rows = hub.grants(tenant(), ANNA);
            let open: Vec<_> = rows.grants.iter().filter(|grant| grant.is_open(t(clock))).collect();
            let live: BTreeSet<EnvelopeHash> = open.iter().filter_map(|grant| grant.envelope).collect();
            let found: BTreeSet<(String, String)> = open.iter().map(|grant| (grant.process.clone(), grant.recipient.to_string())).collect();
            prop_assert_eq!((open.len(), &found), (expected.len(), &expected));
            prop_assert_eq!(live.len(), open.len(), "each under its own envelope");
            for (hash, about) in &issued {
                let (over, rests) = hub.bits(hash);
                prop_assert_eq!(over, told.contains(hash), "{:?}", about);
                prop_assert_eq!(!over && !rests, live.contains(hash), "{:?}", about);
            }
        }
    }
}

#[test]
fn grants_are_found_by_whom_they_are_for_also_in_a_store_from_before() {
    let hub = Hub::new();
    let binding = waybill_consent::Binding {
        target: Target::Entity(iri("urn:meter:1")),
        subject: iri(ANNA),
        validity: Validity::default(),
        asserted_by: iri(CITY_A),
        evidence: String::new(),
        rule: Rule::All,
    };
    let mut batch = Batch::new();
    ConsentBook::bind(&mut batch, &tenant(), &binding, t(0));
    hub.commit(batch);
    let reach = |hub: &Hub| hub.look(|r, book, _| book.view(r).and_then(|view| view.reach(&tenant(), &iri(CITY_B)))).expect("reads").expect("few").entities.clone();
    assert!(reach(&hub).is_empty());
    hub.change(Some(&record()), &[given()], 1);
    assert_eq!(reach(&hub), ["urn:meter:1"]);
    // As a store was before there were such rows.
    let rows = hub.look(|r, _, _| r.docs("consent-grant-to", "", 10, None).expect("reads"));
    let mut batch = Batch::new();
    for row in &rows {
        batch.delete_doc("consent-grant-to", &row.key);
    }
    batch.delete_doc("consent-mark", "grant-to");
    hub.commit(batch);
    let batch = hub.look(|r, _, _| ConsentBook::complete(r, t(2)).expect("reads")).expect("something to do");
    hub.commit(batch);
    assert_eq!(hub.look(|r, _, _| r.docs("consent-grant-to", "", 10, None).expect("reads").into_iter().map(|d| d.key).collect::<Vec<_>>()), rows.iter().map(|d| d.key.clone()).collect::<Vec<_>>());
    assert!(hub.look(|r, _, _| ConsentBook::complete(r, t(3)).expect("reads")).is_none());
    hub.change(None, &[event("w1", 1, Change::Withdrawn, t(4))], 5);
    assert!(reach(&hub).is_empty());
}
