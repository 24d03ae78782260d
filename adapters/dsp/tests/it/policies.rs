//! The shape of policies in messages, as data: each is taken, or the first fault is named by its place.

use serde_json::Value;
use waybill_dsp::check_policy;

const CASES: &str = include_str!("../../fixtures/policies.json");

#[test]
fn a_policy_is_taken_or_its_first_fault_is_named() {
    let cases: Vec<Value> = serde_json::from_str(CASES).expect("the cases");
    for case in &cases {
        let said = check_policy(&case["policy"], case["kind"].as_str().expect("a kind"), "/offer").err().map(|fault| (fault.status, fault.place));
        let wanted = case["wrong"].as_str().map(|place| (400, place.to_owned()));
        assert_eq!(said, wanted, "{}", case["what"]);
    }
}
