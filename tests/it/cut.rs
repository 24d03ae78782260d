//! An answer that is read slowly: what she withdraws meanwhile is not sent any more.

use crate::it::town::{CITY_B, JSON, OPERATOR, Town, grant, meter};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const MODEL: &str = "https://uri.etsi.org/ngsi-ld/default-context/model";
/// More than any socket takes in while nobody reads.
const SIZE: usize = 900_000;
const METERS: usize = 30;
const HANGS: Duration = Duration::from_mins(1);

/// A request whose answer is not read yet.
fn asked(town: &Town, path: &str, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(town.addr).expect("connected");
    stream.set_read_timeout(Some(HANGS)).expect("set");
    let head = town.head("GET", path, token, &[]) + "\r\n";
    stream.write_all(head.as_bytes()).expect("sent");
    // The first bytes are there: the answer was decided and is under way.
    let mut first = [0; 16];
    stream.read_exact(&mut first).expect("begun");
    assert!(first.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&first));
    stream
}

/// How many bytes still come.
fn rest(mut stream: TcpStream) -> usize {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    all.len()
}

#[test]
fn a_withdrawal_cuts_off_what_is_under_way() {
    let town = Town::start("");
    let mut document = grant();
    document["document"]["data"] = json!([{ "attribute": MODEL, "precision": "exact" }]);
    for n in 0..METERS {
        let mut entity = meter(&format!("urn:ngsi-ld:SmartMeter:{n}"));
        entity["model"] = json!({ "type": "Property", "value": "x".repeat(SIZE) });
        let made = town.call("POST", "/ngsi-ld/v1/entities", OPERATOR, &[("Content-Type", JSON)], entity.to_string().as_bytes());
        assert_eq!(made.status, 201, "{}", made.text());
    }
    let granted = town.call("POST", "/waybill/v1/consents", OPERATOR, &[("Content-Type", JSON)], document.to_string().as_bytes());
    let consent = granted.json()["id"].as_str().expect("its id").to_owned();
    let path = "/ngsi-ld/v1/entities?type=SmartMeter&limit=100";
    let whole = town.get(path, CITY_B).body.len();
    assert!(whole > METERS * SIZE, "all of hers: {whole}");
    // Read to the end although it takes a while, it is whole: somebody else's change of mind is nothing to it.
    let (slow, cut) = (asked(&town, path, CITY_B), asked(&town, path, CITY_B));
    let other = town.call("POST", "/ngsi-ld/v1/entities", OPERATOR, &[("Content-Type", JSON)], meter("urn:ngsi-ld:SmartMeter:other").to_string().as_bytes());
    assert_eq!(other.status, 201, "{}", other.text());
    assert!(rest(slow) >= whole, "nothing was withdrawn");
    let over = town.call("POST", &format!("/waybill/v1/consents/{consent}/withdraw"), OPERATOR, &[], b"");
    assert_eq!(over.status, 200, "{}", over.text());
    let came = rest(cut);
    assert!(came < whole, "{came} of {whole} bytes: what was not on its way when she withdrew does not leave");
}
