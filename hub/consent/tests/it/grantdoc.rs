use super::common::*;
use serde_json::{Value, json};
use waybill_consent::{
    Change, ConsentError, ConsentEvent, ConsentRecord, EvidenceKind, GrantDocument, Imported, Observed, State, Transform, fold, gone,
};
use waybill_model::DateTime;

fn t(seconds: i64) -> DateTime {
    now().plus_seconds(seconds)
}
fn edited(edit: impl FnOnce(&mut Value)) -> GrantDocument {
    let mut value: Value = serde_json::from_str(GRANT).expect("JSON");
    edit(&mut value);
    GrantDocument::parse(value.to_string().as_bytes()).expect("a grant document")
}

/// A hub that reads the document again and again.
#[derive(Default)]
struct Hub {
    versions: Vec<ConsentRecord>,
    events: Vec<ConsentEvent>,
}
impl Hub {
    fn read(&mut self, document: &GrantDocument, hash: &str, second: i64) -> Result<Imported, ConsentError> {
        let out = document.import(&record_id(), &seen(hash, t(second)), &self.versions, &self.events)?;
        self.versions.extend(out.record.clone());
        self.events.extend(out.events.clone());
        Ok(out)
    }
    fn state(&self, second: i64) -> (u32, State, bool) {
        let folded = fold(&self.versions, &self.events, check(), t(second));
        (folded.version, folded.processes["main"].state, folded.is_open())
    }
}

#[test]
fn the_first_reading_is_a_complete_record() {
    let mut hub = Hub::default();
    let read = hub.read(&document(), "one", 0).expect("imports");
    let record = read.record.expect("a record");
    assert_eq!((record.version, record.prev.clone()), (1, None));
    assert_eq!(record.processes[0].data[0].transform, Transform::Mean { window: 3600, zone: "Europe/Brussels".into(), min_samples: 2 });
    assert_eq!(record.processes[0].data[1].transform, Transform::District { grid: 0.05 });
    assert!(!record.id.as_str().contains("anna"), "the identifier does not tell whose it is");
    let event = &read.events[0];
    assert_eq!((event.state, event.time, event.received), (Change::Given, t(-60), t(0)));
    assert_eq!(event.evidence.kind, EvidenceKind::AccessRules);
    assert_eq!((event.evidence.hash.as_deref(), event.evidence.etag.as_deref()), (Some("one"), Some("\"one\"")));
    assert_eq!(hub.state(1), (1, State::Given, true));
    assert_eq!(hub.read(&document(), "one", 100).expect("imports"), Imported::default(), "nothing new the second time");
    assert_eq!(hub.read(&document(), "touched", 200).expect("imports"), Imported::default(), "other bytes, the same words");
}

#[test]
fn narrowing_widening_and_forgetting_to_count() {
    let mut hub = Hub::default();
    hub.read(&document(), "one", 0).expect("imports");
    let narrower = edited(|v| {
        v["version"] = json!(2);
        v["stated"] = json!(t(100));
        v["data"].as_array_mut().expect("data").remove(0);
    });
    let read = hub.read(&narrower, "two", 110).expect("imports");
    let record = read.record.expect("a new version");
    assert_eq!((record.version, record.prev), (2, Some(hub.versions[0].hash_text())));
    assert_eq!(record.processes[0].data.len(), 1);
    assert_eq!(hub.state(120), (2, State::Given, true));
    // The old words once more: a stale copy. She would have said when.
    assert_eq!(hub.read(&document(), "one-again", 130), Err(ConsentError::OldVersion { given: 1, newest: 2 }));
    // She widens, forgets the number, but says when: counted for her.
    let wider = edited(|v| v["stated"] = json!(t(200)));
    assert_eq!(hub.read(&wider, "three", 210).expect("imports").record.expect("a new version").version, 3);
    // She narrows and forgets both: less is always taken.
    let less = edited(|v| {
        v["stated"].take();
        v.as_object_mut().expect("object").remove("stated");
        v["data"].as_array_mut().expect("data").truncate(1);
    });
    assert_eq!(hub.read(&less, "four", 300).expect("imports").record.expect("a new version").version, 4);
    assert_eq!(hub.state(310), (4, State::Given, true));
}

#[test]
fn withdrawing_and_coming_back() {
    let mut hub = Hub::default();
    hub.read(&document(), "one", 0).expect("imports");
    let no = edited(|v| v["state"] = json!("withdrawn"));
    let read = hub.read(&no, "no", 100).expect("imports");
    assert_eq!((read.record, read.events[0].state, read.events[0].version), (None, Change::Withdrawn, 1));
    assert_eq!(hub.state(101), (1, State::Withdrawn, false));
    assert_eq!(hub.read(&no, "no", 110).expect("imports"), Imported::default());
    // Back to yes a second later, in the same place: she knew.
    let read = hub.read(&document(), "one-again", 102).expect("imports");
    assert_eq!(read.record.expect("a new version").version, 2);
    assert_eq!(hub.state(103), (2, State::Given, true));
}

#[test]
fn a_clerk_s_withdrawal_is_not_undone_by_an_old_yes() {
    let mut hub = Hub::default();
    hub.read(&document(), "one", 0).expect("imports");
    hub.events.push(event("clerk", 1, Change::Withdrawn, t(100)));
    assert_eq!(hub.read(&document(), "touched", 200).expect("imports"), Imported::default());
    assert_eq!(hub.state(201), (1, State::Withdrawn, false));
    // A yes that she states after it is a new agreement.
    let again = edited(|v| v["stated"] = json!(t(101)));
    assert_eq!(hub.read(&again, "again", 202).expect("imports").record.expect("a new version").version, 2);
    assert_eq!(hub.state(203), (2, State::Given, true));
}

#[test]
fn resting_and_going_on() {
    let mut hub = Hub::default();
    hub.read(&document(), "one", 0).expect("imports");
    hub.read(&edited(|v| v["state"] = json!("suspended")), "rest", 100).expect("imports");
    assert_eq!(hub.state(101), (1, State::Suspended, false));
    let read = hub.read(&document(), "go-on", 200).expect("imports");
    assert_eq!((read.record, read.events[0].state), (None, Change::Resumed));
    assert_eq!(hub.state(201), (1, State::Given, true));
    // The same two documents once more, byte for byte.
    hub.read(&edited(|v| v["state"] = json!("suspended")), "rest", 300).expect("imports");
    assert_eq!(hub.state(301), (1, State::Suspended, false));
    hub.read(&document(), "go-on", 400).expect("imports");
    assert_eq!(hub.state(401), (1, State::Given, true));
}

#[test]
fn a_document_that_is_gone_is_a_no() {
    let mut hub = Hub::default();
    hub.read(&document(), "one", 0).expect("imports");
    hub.events.push(gone(&hub.versions[0], &source(), t(50)));
    assert_eq!(hub.state(51), (1, State::Withdrawn, false));
    assert_eq!(hub.events[1].evidence.kind, EvidenceKind::Observed, "not shown as signed by her");
    assert_ne!(gone(&hub.versions[0], &source(), t(55)).eid, hub.events[1].eid, "gone again is another event");
    assert_eq!(hub.read(&document(), "put-back", 60).expect("imports").record.expect("a new version").version, 2);
}

#[test]
fn who_wrote_it_must_be_whom_it_speaks_for() {
    let import = |seen: Observed| document().import(&record_id(), &seen, &[], &[]);
    assert!(import(seen("one", now())).is_ok());
    assert!(matches!(import(Observed { author: iri(BEN), ..seen("one", now()) }), Err(ConsentError::Evidence(_))));
    for kind in [EvidenceKind::Signed, EvidenceKind::SignedIn] {
        assert!(import(Observed { kind, ..seen("one", now()) }).is_ok(), "{kind:?}");
        assert!(matches!(import(Observed { kind, author: iri(BEN), ..seen("one", now()) }), Err(ConsentError::Evidence(_))), "{kind:?}");
    }
    assert!(matches!(import(Observed { kind: EvidenceKind::Observed, ..seen("one", now()) }), Err(ConsentError::Evidence(_))));
    // A clerk writes for her, and the evidence says that it was the clerk.
    let clerk = Observed { kind: EvidenceKind::Clerk, author: iri("urn:clerk:7"), ..seen("one", now()) };
    let event = import(clerk).expect("imports").events.remove(0);
    assert_eq!((event.by.id.as_str(), event.evidence.kind), (ANNA, EvidenceKind::Clerk));
    assert_eq!(event.evidence.recorder, Some(iri("urn:clerk:7")));
}

#[test]
fn a_time_that_is_still_to_come_is_not_believed() {
    let early = edited(|v| v["stated"] = json!(t(7200)));
    let read = early.import(&record_id(), &seen("one", t(0)), &[], &[]).expect("imports");
    assert_eq!(read.events[0].time, t(0));
}

#[test]
fn what_is_not_understood_is_refused_and_what_is_missing_makes_a_draft() {
    let with = |name: &str, value: Value| {
        let mut document: Value = serde_json::from_str(GRANT).expect("JSON");
        document[name] = value;
        document.to_string()
    };
    for text in [
        with("onlyOnSundays", json!(true)),
        with("type", json!("ConsentRequest")),
        with("state", json!("perhaps")),
        with("subject", json!("Anna")),
        with("until", json!("next year")),
        GRANT.replacen("\"state\": \"given\"", "\"state\": \"given\", \"state\": \"withdrawn\"", 1),
        GRANT.replace("\"every\"", "\"each\""),
        GRANT[..300].to_owned(),
    ] {
        let error = GrantDocument::parse(text.as_bytes()).expect_err("refused");
        assert!(matches!(error, ConsentError::Schema { .. }));
        assert!(!error.to_string().contains("Anna"), "{error}");
    }
    for member in ["notice", "recipients", "purposes", "data", "until", "storage", "jurisdiction", "withdrawal"] {
        let mut hub = Hub::default();
        let draft = edited(|v| {
            v.as_object_mut().expect("object").remove(member);
        });
        hub.read(&draft, "draft", 0).expect("imports");
        assert!(!hub.state(1).2, "{member}");
    }
}
