use super::common::*;
use proptest::prelude::*;
use waybill_consent::{Actor, ActorRole, Change, ConsentEvent, ConsentRecord, Folded, Pids, State, Transform, fold};
use waybill_model::DateTime;

fn state(records: &[ConsentRecord], events: &[ConsentEvent], now: DateTime) -> (State, bool) {
    let folded = fold(records, events, check(), now);
    let main = &folded.processes["main"];
    (main.state, main.open)
}
fn t(seconds: i64) -> DateTime {
    now().plus_seconds(seconds)
}

/// The table of states: what leads from where to where, and what does not.
#[test]
fn the_table_of_states() {
    use Change as C;
    use State as S;
    let cases: &[(&str, &[Change], State, bool)] = &[
        ("nothing", &[], S::Unknown, false),
        ("asked", &[C::Requested], S::Requested, false),
        ("put off", &[C::Requested, C::Deferred], S::Deferred, false),
        ("put off, asked again, given", &[C::Requested, C::Deferred, C::Requested, C::Given], S::Given, true),
        ("refused", &[C::Requested, C::Refused], S::Refused, false),
        ("refused, then given without a new request", &[C::Requested, C::Refused, C::Given], S::Refused, false),
        ("refused, asked again, given", &[C::Requested, C::Refused, C::Requested, C::Given], S::Given, true),
        ("given unasked", &[C::Given], S::Given, true),
        ("renewed before it was given", &[C::Renewed], S::Unknown, false),
        ("renewed", &[C::Given, C::Renewed], S::RenewedGiven, true),
        ("given twice", &[C::Given, C::Given], S::RenewedGiven, true),
        ("withdrawn", &[C::Given, C::Withdrawn], S::Withdrawn, false),
        ("withdrawn, given again in the same version", &[C::Given, C::Withdrawn, C::Given], S::Withdrawn, false),
        ("withdrawn, renewed", &[C::Given, C::Withdrawn, C::Renewed], S::Withdrawn, false),
        ("withdrawn before it was given", &[C::Withdrawn, C::Given], S::Withdrawn, false),
        ("revoked", &[C::Given, C::Revoked, C::Given], S::Revoked, false),
        ("invalid, whatever came later", &[C::Given, C::Invalidated, C::Renewed], S::Invalidated, false),
        ("invalid goes before withdrawn", &[C::Given, C::Withdrawn, C::Invalidated], S::Invalidated, false),
        ("suspended", &[C::Given, C::Suspended], S::Suspended, false),
        ("suspended and renewed", &[C::Given, C::Suspended, C::Renewed], S::Suspended, false),
        ("suspended and resumed", &[C::Given, C::Suspended, C::Resumed], S::Given, true),
        ("renewed, suspended and resumed", &[C::Given, C::Renewed, C::Suspended, C::Resumed], S::RenewedGiven, true),
        ("resumed without suspension", &[C::Requested, C::Resumed], S::Requested, false),
        ("request ran out", &[C::Requested, C::Expired], S::Expired, false),
        ("ran out", &[C::Given, C::Expired], S::Expired, false),
        ("ran out, given", &[C::Given, C::Expired, C::Given], S::Expired, false),
        ("ran out, renewed", &[C::Given, C::Expired, C::Renewed], S::RenewedGiven, true),
    ];
    for (name, changes, expected, open) in cases {
        let step = |(i, change): (i64, &Change)| event(&format!("e{i}"), 1, *change, t(i * 1000));
        let events: Vec<ConsentEvent> = (0..).zip(*changes).map(step).collect();
        assert_eq!(state(&[record()], &events, t(100_000)), (*expected, *open), "{name}");
    }
}

#[test]
fn time_opens_and_closes() {
    let mut late = record();
    late.processes[0].validity.from = Some(t(5000));
    let given = [event("g", 1, Change::Given, t(0))];
    assert_eq!(state(&[late.clone()], &given, t(4999)), (State::Given, false));
    assert_eq!(state(&[late.clone()], &given, t(5000)), (State::Given, true));
    let end = late.processes[0].validity.until.expect("an end");
    assert_eq!(state(&[late.clone()], &given, end.plus_micros(-1)), (State::Given, true));
    assert_eq!(state(&[late.clone()], &given, end), (State::Expired, false));
    let folded = fold(&[late.clone()], &given, check(), t(100));
    assert_eq!(folded.next_change(t(100)), Some(t(5000)));
    assert_eq!(folded.next_change(t(5000)), Some(end));
    // What she gave ends with the record even if the event says later; what she renewed does not.
    let longer = ConsentEvent { validity: Some(until("2028-01-01T00:00:00Z")), ..event("g", 1, Change::Given, t(0)) };
    assert_eq!(state(&[late.clone()], &[longer], end), (State::Expired, false));
    let renewed = ConsentEvent { validity: Some(until("2028-01-01T00:00:00Z")), ..event("r", 1, Change::Renewed, end.plus_seconds(10)) };
    assert_eq!(state(&[late], &[given[0].clone(), renewed], end.plus_seconds(20)), (State::RenewedGiven, true));
}

#[test]
fn a_grant_from_the_future_waits_and_a_withdrawal_does_not() {
    assert_eq!(state(&[record()], &[event("g", 1, Change::Given, t(61))], t(0)), (State::Unknown, false));
    let events = [event("g", 1, Change::Given, t(0)), event("w", 1, Change::Withdrawn, t(90_000))];
    assert_eq!(state(&[record()], &events, t(10)), (State::Withdrawn, false));
}

#[test]
fn nobody_opens_but_she() {
    for role in [ActorRole::Controller, ActorRole::Authority, ActorRole::Hub] {
        let by = Actor { id: iri(CITY_A), role };
        let given = ConsentEvent { by: by.clone(), ..event("g", 1, Change::Given, t(0)) };
        let folded = fold(&[record()], std::slice::from_ref(&given), check(), t(10));
        assert_eq!((folded.processes["main"].state, folded.is_open()), (State::Unknown, false), "{role:?}");
        assert!(folded.ignored.contains_key("g"), "{role:?}");
        // Who is not she can end it, but that is then not called her withdrawal.
        let ended = ConsentEvent { by, ..event("w", 1, Change::Withdrawn, t(5)) };
        assert_eq!(state(&[record()], &[event("g", 1, Change::Given, t(0)), ended], t(10)), (State::Revoked, false), "{role:?}");
    }
}

type Spoil = Box<dyn Fn(&mut ConsentRecord)>;

#[test]
fn a_draft_never_opens() {
    let purpose = |text: &str| vec![iri(text)];
    let spoil: Vec<(&str, Spoil)> = vec![
        ("/schema", Box::new(|r| r.schema.clear())),
        ("/notice", Box::new(|r| r.notice = None)),
        ("/notice/language", Box::new(|r| r.notice.as_mut().expect("there").language.clear())),
        ("/parties", Box::new(|r| r.parties.retain(|p| p.id.as_str() != CITY_A))),
        ("/parties/0/name", Box::new(|r| r.parties[0].name.clear())),
        ("/parties/0/contact", Box::new(|r| r.parties[0].contact.clear())),
        ("/parties/0/address", Box::new(|r| r.parties[0].address.clear())),
        ("/jurisdiction", Box::new(|r| r.jurisdiction = None)),
        ("/withdrawal", Box::new(|r| r.withdrawal = None)),
        ("/processes/0/pid", Box::new(|r| r.processes[0].pid = "a\u{1f}b".into())),
        ("/processes/1/pid", Box::new(|r| r.processes.push(r.processes[0].clone()))),
        ("/processes/0/purposes", Box::new(|r| r.processes[0].purposes.clear())),
        ("/processes/0/purposes/0", Box::new(move |r| r.processes[0].purposes = purpose("https://w3id.org/waybill/purpose#Energy"))),
        ("/processes/0/purposes/0", Box::new(move |r| r.processes[0].purposes = purpose("https://example.org/whatever"))),
        ("/processes/0/data", Box::new(|r| r.processes[0].data.clear())),
        ("/processes/0/data/0/transform", Box::new(|r| r.processes[0].data[0].transform = Transform::Round { step: 0.0 })),
        ("/processes/0/recipients", Box::new(|r| r.processes[0].recipients.clear())),
        ("/processes/0/recipients/0", Box::new(|r| r.processes[0].recipients[0] = iri(CITY_C))),
        ("/processes/0/storage", Box::new(|r| r.processes[0].storage = None)),
        ("/processes/0/storage/locations", Box::new(|r| r.processes[0].storage.as_mut().expect("there").locations.clear())),
        ("/processes/0/storage/retention", Box::new(|r| r.processes[0].storage.as_mut().expect("there").retention = "long".into())),
        ("/processes/0/validity/until", Box::new(|r| r.processes[0].validity.until = None)),
        ("/processes/0/explicit", Box::new(|r| {
            r.processes[0].explicit = false;
            r.processes[0].data[0].special = true;
        })),
    ];
    let given = [event("g", 1, Change::Given, t(0))];
    assert!(state(&[record()], &given, t(10)).1, "complete, it opens");
    for (place, spoil) in spoil {
        let mut draft = record();
        spoil(&mut draft);
        let folded = fold(&[draft], &given, check(), t(10));
        assert!(!folded.is_open(), "{place}");
        assert!(folded.missing.iter().any(|missing| missing.place == place), "{place}: {:?}", folded.missing);
    }
}

#[test]
fn versions() {
    let one = record();
    let two = next(&one, |r| r.processes[0].purposes.push(iri("https://w3id.org/waybill/purpose#EnergyBilling")));
    let given = |version, seconds| event(&format!("g{version}"), version, Change::Given, t(seconds));
    let both = [one.clone(), two.clone()];
    // A wider version that is only asked for changes nothing.
    let asked = [given(1, 0), event("q", 2, Change::Requested, t(1000))];
    assert_eq!(fold(&both, &asked, check(), t(5000)).version, 1);
    assert!(state(&both, &asked, t(5000)).1);
    // A withdrawal of the newer version ends the older one too; one of the older leaves the newer.
    assert_eq!(state(&both, &[given(1, 0), event("w", 2, Change::Withdrawn, t(1000))], t(5000)), (State::Withdrawn, false));
    assert!(state(&both, &[given(1, 0), given(2, 1000), event("w", 1, Change::Withdrawn, t(2000))], t(5000)).1);
    // Given anew after a withdrawal, in a new version.
    let again = [given(1, 0), event("w", 1, Change::Withdrawn, t(1000)), given(2, 2000)];
    assert_eq!(state(&both, &again, t(5000)), (State::Given, true));
    // The older version told after the newer one does not come back.
    let folded = fold(&both, &[given(2, 0), given(1, 1000)], check(), t(5000));
    assert_eq!(folded.version, 2);
    assert!(folded.ignored.contains_key("g1"));
    // Two texts under one number: neither counts, and what they replaced stays replaced.
    let other = ConsentRecord { jurisdiction: Some("NL".into()), ..one.clone() };
    assert!(!fold(&[one.clone(), other], &[given(1, 0)], check(), t(5000)).is_open());
    let third = next(&one, |r| r.laws.push("GDPR".into()));
    let three = [one, both[1].clone(), third];
    assert!(!fold(&three, &[given(1, 0), given(2, 1000)], check(), t(5000)).is_open());
    assert!(fold(&three, &[given(1, 0)], check(), t(5000)).is_open(), "nobody agreed to the doubtful one");
}

/// A grant of a later version within the skew of a withdrawal of an earlier one: who knows which came first?
#[test]
fn within_the_skew_the_withdrawal_wins() {
    let one = record();
    let both = [one.clone(), next(&one, |_| {})];
    for (offset, open) in [(-61, true), (-60, false), (0, false), (60, false), (61, true)] {
        let events = [event("g1", 1, Change::Given, t(0)), event("w", 1, Change::Withdrawn, t(1000)), event("g2", 2, Change::Given, t(1000 + offset))];
        assert_eq!(state(&both, &events, t(5000)).1, open, "{offset}");
    }
    let knowing = ConsentEvent { after: vec!["w".into()], ..event("g2", 2, Change::Given, t(1001)) };
    let events = [event("g1", 1, Change::Given, t(0)), event("w", 1, Change::Withdrawn, t(1000)), knowing];
    assert!(state(&both, &events, t(5000)).1, "she knew of the withdrawal when she agreed anew");
}

#[test]
fn what_only_gets_narrower_is_carried_on() {
    let mut one = record();
    let mut second = one.processes[0].clone();
    second.pid = "second".into();
    one.processes.push(second);
    let open = |two: ConsentRecord, events: &[ConsentEvent]| {
        let folded = fold(&[one.clone(), two], events, check(), t(5000));
        ["main", "second"].map(|pid| folded.processes.get(pid).is_some_and(|process| process.open))
    };
    let only = |pid: &str, e: ConsentEvent| ConsentEvent { pids: Pids::Some(vec![pid.into()]), ..e };
    let given = [event("g1", 1, Change::Given, t(0)), only("main", event("g2", 2, Change::Given, t(1000)))];
    assert_eq!(open(next(&one, |_| {}), &given), [true, true], "the same");
    assert_eq!(open(next(&one, |r| r.processes[1].data.truncate(1)), &given), [true, true], "less data");
    assert_eq!(open(next(&one, |r| r.processes[1].data[0].transform = Transform::Share), &given), [true, false], "more precise");
    assert_eq!(open(next(&one, |r| r.processes[1].recipients.push(iri(CITY_A))), &given), [true, false], "another recipient");
    assert_eq!(open(next(&one, |r| r.processes[1].validity.until = Some(at("2030-01-01T00:00:00Z"))), &given), [true, false], "longer");
    assert_eq!(open(next(&one, |r| r.processes.truncate(1)), &given), [true, false], "gone");
    let mut ended = given.to_vec();
    ended.push(only("second", event("w", 1, Change::Withdrawn, t(500))));
    assert_eq!(open(next(&one, |_| {}), &ended), [true, false], "withdrawn before");
    assert_eq!(open(next(&one, |_| {}), &given[..1]), [true, true], "the new version was not given: the old one counts");
}

fn any_event() -> impl Strategy<Value = ConsentEvent> {
    let changes = vec![
        Change::Requested,
        Change::Deferred,
        Change::Refused,
        Change::Given,
        Change::Renewed,
        Change::Withdrawn,
        Change::Revoked,
        Change::Invalidated,
        Change::Suspended,
        Change::Resumed,
        Change::Expired,
    ];
    let roles = vec![ActorRole::Subject, ActorRole::Subject, ActorRole::Guardian, ActorRole::Controller, ActorRole::Authority, ActorRole::Hub];
    let pids = prop_oneof![3 => Just(Pids::ALL), 1 => Just(Pids::Some(vec!["main".into()])), 1 => Just(Pids::Some(vec!["second".into()]))];
    // Few times, and close to each other, so that ties and the skew matter.
    (0..3u32, prop::sample::select(changes), -2..6i64, prop::sample::select(roles), pids, 0..12u8, any::<bool>()).prop_map(
        |(version, state, time, role, pids, name, knows)| ConsentEvent {
            by: Actor { id: iri(ANNA), role },
            pids,
            after: if knows { vec!["e3".into()] } else { Vec::new() },
            ..event(&format!("e{name}"), version + 1, state, t(time * 30))
        },
    )
}

fn histories() -> impl Strategy<Value = (Vec<ConsentRecord>, Vec<ConsentEvent>)> {
    (proptest::collection::vec(any_event(), 0..10), any::<bool>(), any::<bool>()).prop_map(|(events, narrow, draft)| {
        let mut one = record();
        let mut second = one.processes[0].clone();
        second.pid = "second".into();
        one.processes.push(second);
        let two = next(&one, |r| if narrow { r.processes[1].data.truncate(1) } else { r.processes[0].recipients.push(iri(CITY_A)) });
        let three = next(&two, |r| if draft { r.notice = None } else { r.processes[1].validity.until = r.processes[1].validity.until.map(|at| at.plus_seconds(-5)) });
        (vec![one, two, three], events)
    })
}

fn open_pids(folded: &Folded) -> Vec<String> {
    folded.processes.iter().filter(|(_, process)| process.open).map(|(pid, _)| pid.clone()).collect()
}

#[test]
fn what_is_said_again_a_little_ahead_of_the_clock_goes_on_and_no_withdrawal_opens_it() {
    let records = [record()];
    let yes = [event("first", 1, Change::Given, t(0)), event("again", 1, Change::Given, t(120))];
    let before = fold(&records, &yes, check(), t(100));
    assert!(before.is_open(), "given at 0, and said again by a clock that is 20 s ahead");
    // An end of an older version that stands, by nearness, against the later word only.
    let mut more = yes.to_vec();
    more.push(event("end", 0, Change::Withdrawn, t(90)));
    let after = open_pids(&fold(&records, &more, check(), t(100)));
    assert!(after.iter().all(|pid| open_pids(&before).contains(pid)), "{after:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn the_order_and_repetition_of_what_is_told_do_not_matter(
        (records, events, shuffled, again) in histories().prop_flat_map(|(records, events)| {
            (Just(records), Just(events.clone()), Just(events.clone()).prop_shuffle(), prop::sample::subsequence(events.clone(), 0..=events.len()))
        }),
        turn in 0..3usize,
    ) {
        let told: Vec<ConsentEvent> = shuffled.into_iter().chain(again).collect();
        let mut versions = records.clone();
        versions.rotate_left(turn);
        prop_assert_eq!(fold(&records, &events, check(), t(100)), fold(&versions, &told, check(), t(100)));
    }

    #[test]
    fn what_closes_never_opens((records, events) in histories(), (version, time, state) in (1..4u32, -2..6i64, prop::sample::select(&[Change::Withdrawn, Change::Revoked, Change::Invalidated][..]))) {
        let before = open_pids(&fold(&records, &events, check(), t(100)));
        let mut more = events.clone();
        more.push(event("end", version, state, t(time * 30)));
        let folded = fold(&records, &more, check(), t(100));
        let after = open_pids(&folded);
        prop_assert!(after.iter().all(|pid| before.contains(pid)), "{:?} then {:?}", before, after);
        // And what was open in that version or before is closed.
        prop_assert!(version < folded.version || after.is_empty(), "{:?} is open", after);
    }

    #[test]
    fn a_withdrawal_of_all_there_is_closes_all_whatever_else_is_told_later((records, events) in histories(), more in proptest::collection::vec(any_event(), 0..4)) {
        let all: Vec<ConsentEvent> = events.into_iter().chain([event("end", 3, Change::Withdrawn, t(0))]).chain(more).collect();
        prop_assert!(!fold(&records, &all, check(), t(100)).is_open());
    }

    #[test]
    fn nothing_opens_without_her_yes((records, events) in histories()) {
        let hers = |e: &ConsentEvent| matches!(e.by.role, ActorRole::Subject | ActorRole::Guardian);
        let yes = events.iter().any(|e| matches!(e.state, Change::Given | Change::Renewed) && hers(e));
        prop_assert!(yes || !fold(&records, &events, check(), t(100)).is_open());
    }
}
