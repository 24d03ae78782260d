//! A configured city as the HTTP figures ask it: open air data, meters of people, and another city that some of them agreed to show
//! theirs to. As a connector of a dataspace it offers that city the meters too, for a negotiated agreement.

use crate::program::{Hub, free_port};
use crate::wire::Connection;
use crate::{sample, world};
use bytes::Bytes;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

/// Entities of each of the two types.
pub const ENTITIES: usize = 100_000;
/// So many of the open ones have one value of `NO2`, and so many of the people agreed.
pub const HITS: usize = 200;
/// What the operator shows.
pub const OPERATOR: &str = "Bearer operator-0123456789abcdef";
/// What the other city's application shows.
pub const APPLICATION: &str = "Bearer city-b-0123456789abcdef";
/// The city in the dataspace, and the hub that is its consumer there.
pub const CITY: &str = "urn:connector:city-a";
pub const CONSUMER: &str = "urn:connector:city-b";
/// What lets a hub call others on this machine.
pub const MAY_CALL: &str = r#"may_call = ["127.0.0.0/8"]"#;
const BATCH: usize = 500;

/// The folder of the city's store with all entities and consents, made once.
pub fn filled() -> Result<&'static Path, String> {
    static FILLED: OnceLock<Result<TempDir, String>> = OnceLock::new();
    let made = FILLED.get_or_init(|| {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        fill(folder.path())?;
        Ok(folder)
    });
    made.as_ref().map(TempDir::path).map_err(Clone::clone)
}

/// Starts the city on `folder`.
pub fn start(folder: &Path) -> Result<Hub, String> {
    let addr = free_port()?;
    Hub::configured(&configuration(folder, addr, "", "")?, addr)
}

/// Starts the city on `folder` at `addr`, with what `hub` says more in its `[hub]`, and the tables of `more`.
pub fn start_at(folder: &Path, addr: SocketAddr, hub: &str, more: &str) -> Result<Hub, String> {
    Hub::configured(&configuration(folder, addr, hub, more)?, addr)
}

fn configuration(folder: &Path, addr: SocketAddr, hub: &str, more: &str) -> Result<PathBuf, String> {
    let text = format!(
        r#"[hub]
party = "https://city-a.example/#city"
name = "City A"
contact = "mailto:data@city-a.example"
base_url = "http://{addr}"
listen = "{addr}"
data = "data"
zone = "UTC"
{hub}
[names]
default = "https://uri.etsi.org/ngsi-ld/default-context/"
[auth]
operator_token = "operator-0123456789abcdef"
[[client]]
name = "advice-app"
party = "https://city-b.example/#city"
token = "city-b-0123456789abcdef"
[[route]]
name = "air"
select = {{ types = ["AirQualityObserved"] }}
classification = "open"
[[route]]
name = "meters"
select = {{ types = ["SmartMeter"] }}
basis = "consent"
subject = {{ attribute = "ownedBy" }}
[[agreement]]
name = "city-b"
recipient = "https://city-b.example/#city"
open = true
clients = {{ advice-app = ["EnergyAdvice"] }}
{more}
"#
    );
    let file = folder.join("city.toml");
    std::fs::write(&file, text).map_err(|e| e.to_string())?;
    Ok(file)
}

fn fill(folder: &Path) -> Result<(), String> {
    let hub = start(folder)?;
    world::runtime()?.block_on(async {
        let mut operator = Connection::open(hub.addr, Some(OPERATOR)).await?;
        for one in [air as fn(usize) -> String, meter] {
            for start in (0..ENTITIES).step_by(BATCH) {
                let batch: Vec<String> = (start..(start + BATCH).min(ENTITIES)).map(one).collect();
                let body = Bytes::from(format!("[{}]", batch.join(",")));
                operator.want(201, "POST", "/ngsi-ld/v1/entityOperations/create", body).await?;
            }
        }
        consents(&mut operator).await
    })?;
    hub.settle()
}

/// Fills an empty city with the meters of the people who agreed, and nothing else.
pub fn fill_agreed(folder: &Path) -> Result<(), String> {
    let hub = start(folder)?;
    world::runtime()?.block_on(async {
        let mut operator = Connection::open(hub.addr, Some(OPERATOR)).await?;
        let meters: Vec<String> = (0..HITS).map(|number| meter(agreed(number))).collect();
        operator.want(201, "POST", "/ngsi-ld/v1/entityOperations/create", Bytes::from(format!("[{}]", meters.join(",")))).await?;
        consents(&mut operator).await
    })?;
    hub.settle()
}

async fn consents(operator: &mut Connection) -> Result<(), String> {
    for number in 0..HITS {
        operator.want(201, "POST", "/waybill/v1/consents", Bytes::from(json!({ "document": grant(number) }).to_string())).await?;
    }
    Ok(())
}

/// The identifier of an open entity.
pub fn air_id(number: usize) -> String {
    format!("urn:ngsi-ld:AirQualityObserved:{number:06}")
}

/// The identifier of a meter. Those of the people who agreed are spread over all.
pub fn meter_id(number: usize) -> String {
    format!("urn:ngsi-ld:SmartMeter:{number:06}")
}

/// The meter of the person who agreed as number so and so.
pub fn agreed(number: usize) -> usize {
    (number % HITS) * (ENTITIES / HITS)
}

/// The value of `NO2` of an open entity.
pub fn no2(number: usize) -> usize {
    number % (ENTITIES / HITS)
}

fn air(number: usize) -> String {
    let mut value: Value = serde_json::from_str(&sample::entity(number)).unwrap_or_default();
    value["id"] = air_id(number).into();
    value["NO2"]["value"] = no2(number).into();
    value.to_string()
}

fn person(number: usize) -> String {
    format!("https://people.example/{number}#me")
}

fn meter(number: usize) -> String {
    json!({
        "id": meter_id(number), "type": "SmartMeter",
        "ownedBy": { "type": "Relationship", "object": person(number) },
        "activePower": { "type": "Property", "value": 100.0 + (number % 900) as f64, "unitCode": "WTT", "observedAt": "2026-11-24T07:00:00Z" },
        "location": { "type": "GeoProperty", "value": { "type": "Point", "coordinates": [4.35 + number as f64 * 1e-6, 50.84] } },
    })
    .to_string()
}

fn grant(number: usize) -> Value {
    json!({
        "type": "ConsentGrant", "subject": person(agreed(number)),
        "notice": { "uri": "https://city-a.example/notices/energy-advice", "language": "en",
                    "textHash": "5f2d8a0a1b0e9c7f6a3b4c5d6e7f80910a1b2c3d4e5f60718293a4b5c6d7e8f9" },
        "controller": { "id": "https://city-a.example/#city", "name": "City A", "address": "1 Main Street", "contact": "privacy@city-a.example", "country": "BE" },
        "recipients": [{ "id": "https://city-b.example/#city", "name": "City B", "address": "2 Main Street", "contact": "privacy@city-b.example", "country": "BE" }],
        "purposes": ["https://w3id.org/waybill/purpose#EnergyAdvice"], "label": { "en": "Advice on saving energy at home" },
        "data": [
            { "attribute": "https://uri.etsi.org/ngsi-ld/default-context/activePower", "precision": { "round": 100 } },
            { "attribute": "https://uri.etsi.org/ngsi-ld/location", "precision": { "district": 0.05 } },
        ],
        "until": "2099-12-31T00:00:00Z", "storage": { "locations": ["EU"], "retention": "P1Y" }, "jurisdiction": "BE",
        "withdrawal": { "uri": "https://city-a.example/my-data", "method": "Ask a clerk, or change it yourself." },
    })
}

/// The tables by which the city at `own` is a connector that deals with one at `other`.
pub fn dataspace(_: SocketAddr, other: SocketAddr) -> String {
    format!(
        r#"[dataspace]
participant = "{CITY}"
[[participant]]
name = "city-b"
id = "{CONSUMER}"
party = "https://city-b.example/#city"
url = "http://{other}/dsp/2025-1"
token = "consumer-at-city-0123456789"
auth = {{ kind = "bearer", token = "city-at-consumer-0123456789" }}
[[offer]]
name = "meters"
route = "meters"
title = "Household meters"
purposes = ["EnergyAdvice"]
participants = ["city-b"]
[[offer]]
name = "air"
route = "air"
"#
    )
}

/// The same, and all else that a file can turn on: a hub that is told of withdrawals, a broker that is fed, a pod server. The hub at `other`
/// is both the first and the second; nobody is the third.
pub fn everything(own: SocketAddr, other: SocketAddr) -> String {
    let space = dataspace(own, other);
    format!(
        r#"{space}
[[peer]]
name = "hub-b"
party = "https://city-b.example/#city"
url = "http://{other}"
[[connection]]
name = "broker-b"
kind = "ngsi-ld"
url = "http://{other}"
auth = {{ kind = "bearer", token = "operator-0123456789abcdef" }}
[[route]]
name = "air-for-b"
to = "broker-b"
select = {{ types = ["AirQualityObserved"] }}
classification = "open"
[[connection]]
name = "pods"
kind = "solid"
web_id = "http://{other}/hub#me"
issuer = "http://{other}/"
client_id = "city"
client_secret = "secret-0123456789abcdef"
[[connection.pod]]
web_id = "http://{other}/anna#me"
"#
    )
}

/// The configuration of the hub at `own` that is the consumer of the city at `city`.
pub fn consumer(own: SocketAddr, city: SocketAddr) -> String {
    format!(
        r#"[hub]
party = "https://city-b.example/#city"
base_url = "http://{own}"
listen = "{own}"
data = "data"
{MAY_CALL}
[auth]
operator_token = "operator-0123456789abcdef"
[dataspace]
participant = "{CONSUMER}"
[[participant]]
name = "city"
id = "{CITY}"
party = "https://city-a.example/#city"
url = "http://{city}/dsp/2025-1"
token = "city-at-consumer-0123456789"
auth = {{ kind = "bearer", token = "consumer-at-city-0123456789" }}
"#
    )
}
