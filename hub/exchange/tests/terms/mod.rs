//! What an adapter to dataspaces learns of an offer.

use serde_json::{Value, json};
use waybill_exchange::{OfferComparison, check_offer, compare_offers};

fn offer(constraint: &Value) -> Value {
    json!({"@type": "Offer", "@id": "urn:offer:1", "target": "urn:data", "permission": [{"action": "use", "constraint": [constraint]}]})
}

fn until(year: u32) -> Value {
    json!({"leftOperand": "http://www.w3.org/ns/odrl/2/dateTime", "operator": "lteq", "rightOperand": format!("{year}-01-01T00:00:00Z")})
}

#[test]
fn an_offer_that_came_back_is_equal_narrower_or_weakened_by_name() {
    let change = |from: u32, to: u32| vec![format!("permission use: dateTime lteq {from}-01-01T00:00:00Z became lteq {to}-01-01T00:00:00Z")];
    for (theirs, expected) in [
        (2027, OfferComparison::Equal),
        (2026, OfferComparison::Narrower(change(2027, 2026))),
        (2030, OfferComparison::Weakened(change(2027, 2030))),
    ] {
        assert_eq!(compare_offers(&offer(&until(2027)), &offer(&until(theirs))), Ok(expected));
    }
    // An agreement adds who the parties are.
    let mut agreed = offer(&until(2027));
    for (member, value) in [("@type", "Agreement"), ("@id", "urn:agreement:1"), ("assigner", "provider"), ("assignee", "consumer"), ("timestamp", "2026-11-24T12:00:00Z")] {
        agreed[member] = json!(value);
    }
    assert_eq!(compare_offers(&offer(&until(2027)), &agreed), Ok(OfferComparison::Equal));
}

#[test]
fn what_is_not_understood_is_a_problem_with_its_name() {
    let count = json!({"leftOperand": "odrl:count", "operator": "lteq", "rightOperand": "3"});
    let top = json!({"leftOperand": "odrl:purpose", "operator": "isA", "rightOperand": "dpv:Purpose"});
    let mut remedy = offer(&until(2027));
    remedy["permission"][0]["odrl:remedy"] = json!([]);
    let mut fly = offer(&until(2027));
    fly["permission"][0]["action"] = json!("odrl:fly");
    for (theirs, named) in [(offer(&count), "count"), (offer(&top), "dpv#Purpose"), (remedy, "odrl:remedy"), (fly, "fly"), (json!("an offer"), "object")] {
        for problem in [compare_offers(&offer(&until(2027)), &theirs).unwrap_err(), check_offer(&theirs).unwrap_err()] {
            assert_eq!((problem.code.as_str(), problem.status), ("policy-not-understood", 400));
            assert!(problem.detail.starts_with("the offer: ") && problem.detail.contains(named), "{named}: {problem:?}");
            assert!(problem.place.is_some() && problem.help.is_some());
        }
    }
    let own = compare_offers(&offer(&count), &offer(&until(2027))).unwrap_err();
    assert!(own.detail.starts_with("the hub's own offer: "), "{own:?}");
}

#[test]
fn an_offer_may_leave_out_what_an_agreement_has_to_name() {
    let mut offered = offer(&until(2027));
    offered["permission"][0]["duty"] = json!([{"action": "odrl:delete"}]);
    assert_eq!(check_offer(&offered), Ok(()));
    offered["@type"] = json!("Agreement");
    assert_eq!(check_offer(&offered), Ok(()));
    offered.as_object_mut().expect("an object").remove("target");
    let problem = check_offer(&offered).unwrap_err();
    assert!(problem.detail.contains("with what"), "{problem:?}");
    offered["@type"] = json!("Offer");
    assert_eq!(check_offer(&offered), Ok(()), "as in a catalogue");
}
