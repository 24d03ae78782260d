//! A configured city as the HTTP figures ask it: open air data, meters of people, and another city that some of them agreed to show
//! theirs to.

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
    Hub::configured(&configuration(folder, addr)?, addr)
}

fn configuration(folder: &Path, addr: SocketAddr) -> Result<PathBuf, String> {
    let text = format!(
        r#"[hub]
party = "https://city-a.example/#city"
name = "City A"
contact = "mailto:data@city-a.example"
base_url = "http://{addr}"
listen = "{addr}"
data = "data"
zone = "UTC"
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
        for number in 0..HITS {
            operator.want(201, "POST", "/waybill/v1/consents", Bytes::from(json!({ "document": grant(number) }).to_string())).await?;
        }
        Ok::<_, String>(())
    })?;
    hub.settle()
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
