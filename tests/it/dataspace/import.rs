//! The company's own hub pulls what the city offers into a route of its own: with the people's envelopes where the city's hub tags it, and under
//! the agreement's where somebody without a hub provides it.

use super::story::{COMPANY, HANGS, ask, household, space};
use crate::it::town::{CITY_B, OPERATOR, Town, free};
use serde_json::{Value, json};
use std::time::Instant;

const STAFF: &str = "company-staff-0123456789";
const OTHER: &str = "company-other-0123456789";
/// Members of the company, for the purpose that was agreed and for another one.
const CALLERS: &str = "[[client]]\nname = \"staff\"\nparty = \"https://company.example/#us\"\ntoken = \"company-staff-0123456789\"\n\
    [[client]]\nname = \"other\"\nparty = \"https://company.example/#us\"\ntoken = \"company-other-0123456789\"\n\
    [[agreement]]\nname = \"own\"\nrecipient = \"https://company.example/#us\"\nclients = { staff = [\"EnergyAdvice\"], other = [\"ParkingGuidance\"] }\n";

fn import(route: &str) -> String {
    format!("[[import]]\nname = \"from-city\"\nparticipant = \"city\"\ndataset = \"urn:dataset:meters\"\npurpose = \"EnergyAdvice\"\nroute = \"{route}\"\nevery = \"5 s\"\n")
}

fn listed(town: &Town, token: &str, kind: &str) -> Vec<Value> {
    let answer = town.get(&format!("/ngsi-ld/v1/entities?local=true&type={kind}"), token);
    if answer.status == 200 { answer.json().as_array().expect("a list").clone() } else { Vec::new() }
}

/// What `found` gives once it gives something.
fn once<T>(what: &str, town: &Town, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < HANGS, "{what}: {}", ask(town, "GET", "/management/v3/imports", &Value::Null));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_companys_hub_holds_what_people_agreed_to_and_gives_it_up_with_them() {
    let (a, b) = (free(), free());
    let (at_a, at_b) = (format!("http://{a}"), format!("http://{b}"));
    let offer = "[[offer]]\nname = \"meters\"\ndataset = \"urn:dataset:meters\"\nroute = \"meters\"\npurposes = [\"EnergyAdvice\"]\n";
    let (there, here) = ("company-at-city-0123456789", "city-at-company-0123456789");
    let hub = |at: &str| format!("hub = \"{at}\"\n");
    let city = Town::start_at(a, &at_a, &(space("city", "company", COMPANY, &at_b, there, here) + &hub(&at_b) + offer));
    let ours = space("company", "city", "https://city-a.example/#city", &at_a, here, there) + &hub(&at_a);
    let company = Town::start_as(COMPANY, b, &at_b, &(ours + &import("meters") + CALLERS));
    let (anna, ben) = (household(&city, "anna"), household(&city, "ben"));

    let both = once("two meters came", &company, || Some(listed(&company, OPERATOR, "SmartMeter")).filter(|all| all.len() == 2));
    for meter in &both {
        // The precision is what each agreed to, and the identifier the company's own.
        assert_eq!(meter["activePower"]["value"], 400.0, "{meter}");
        assert!(!meter.to_string().contains("anna") && !meter.to_string().contains("ben"), "{meter}");
    }
    assert_eq!(listed(&company, STAFF, "SmartMeter").len(), 2, "the company itself, for the purpose");
    for (who, token) in [("for another purpose", OTHER), ("another party", CITY_B)] {
        assert_eq!(listed(&company, token, "SmartMeter"), Vec::<Value>::new(), "{who}");
    }
    let state = |wanted: &'static str| move |town: &Town| ask(town, "GET", "/management/v3/imports", &Value::Null)[0].clone()["state"] == wanted;
    let flowing = state("flowing");
    assert!(flowing(&company));

    // Over a restart it goes on under the same agreement.
    let agreement = ask(&company, "GET", "/management/v3/imports", &Value::Null)[0]["agreement"].clone();
    let company = Town::again(company.stop(), &[]);
    ask(&city, "POST", &format!("/waybill/v1/consents/{anna}/withdraw"), &Value::Null);
    once("one meter is left", &company, || Some(listed(&company, OPERATOR, "SmartMeter")).filter(|all| all.len() == 1));
    assert_eq!(ask(&company, "GET", "/management/v3/imports", &Value::Null)[0]["agreement"], agreement);
    // It says so to the city, signed, and the withdrawal is done.
    let done = |town: &Town| ask(town, "GET", "/waybill/v1/withdrawals", &Value::Null).to_string().contains("\"progress\":\"done\"");
    once("the city knows that it is done", &company, || done(&city).then_some(()));
    let negotiations = ask(&company, "POST", "/management/v3/contractnegotiations/request", &json!({}));
    assert_eq!(negotiations.as_array().map(Vec::len), Some(1), "{negotiations}");

    ask(&city, "POST", &format!("/waybill/v1/consents/{ben}/withdraw"), &Value::Null);
    once("nobody is left", &company, || Some(listed(&company, OPERATOR, "SmartMeter")).filter(Vec::is_empty));
    let resting = state("resting");
    once("the provider suspended it", &company, || resting(&company).then_some(()));
    let journal = company.get("/waybill/v1/journal/export", OPERATOR).text();
    for said in ["\"state\":\"flowing\"", "\"state\":\"resting\"", "\"removed\":1"] {
        assert!(journal.contains(said), "{said} is not in {journal}");
    }

    // She agrees again: it comes again.
    household(&city, "carla");
    once("another came", &company, || Some(listed(&company, STAFF, "SmartMeter")).filter(|all| all.len() == 1));
}
