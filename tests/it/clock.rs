//! The time of the program is the system's. Only a test build can be told to be ahead of it.

use crate::it::town::{METER, JSON, OPERATOR, Town, meter};
use waybill_model::{Clock, DateTime};

const TEN_DAYS: i64 = 10 * 86_400;

#[test]
fn only_a_test_build_can_be_ahead_of_the_system() {
    let told = format!("WAYBILL_CLOCK_AHEAD={TEN_DAYS}");
    let town = Town::again(Town::start("").stop(), &["env", &told]);
    let began = Clock::system().now();
    let made = town.call("POST", "/ngsi-ld/v1/entities", OPERATOR, &[("Content-Type", JSON)], meter(METER).to_string().as_bytes());
    assert_eq!(made.status, 201, "{}", made.text());
    let created = town.meter()["createdAt"].as_str().and_then(|at| DateTime::parse(at).ok()).expect("when it was created");
    let ahead = if cfg!(feature = "moved-clock") { TEN_DAYS } else { 0 };
    let (first, last) = (began.plus_seconds(ahead), Clock::system().now().plus_seconds(ahead));
    assert!(first <= created && created <= last, "{created} lies between {first} and {last}");
}
