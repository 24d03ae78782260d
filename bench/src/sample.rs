//! The entity and the @context that conversions are measured with: our own, of the size of a usual one.

use serde_json::{Map, Value, json};

/// Terms of the user's @context; with those of the core one it makes the 431 of the target.
pub const USER_TERMS: usize = 431 - CORE_TERMS;
const CORE_TERMS: usize = 209;
const NAMES: &[&str] = &[
    "airQualityIndex", "airQualityLevel", "CO", "CO_Level", "NO", "NO2", "NOx", "SO2", "precipitation", "refPointOfInterest", "relativeHumidity",
    "reliability", "source", "temperature", "windDirection", "windSpeed", "areaServed", "address", "dateObserved", "typeofLocation",
];

/// The user's @context.
pub fn context() -> Value {
    let mut terms = Map::new();
    for name in NAMES {
        terms.insert((*name).to_owned(), format!("https://vocabulary.example/environment/{name}").into());
    }
    terms.insert("AirQualityObserved".to_owned(), "https://vocabulary.example/environment/AirQualityObserved".into());
    for n in terms.len()..USER_TERMS {
        let definition = match n % 5 {
            0 => json!({"@id": format!("https://vocabulary.example/environment/term{n}"), "@type": "@id"}),
            1 => json!({"@id": format!("https://vocabulary.example/environment/term{n}"), "@type": "http://www.w3.org/2001/XMLSchema#dateTime"}),
            _ => format!("https://vocabulary.example/environment/term{n}").into(),
        };
        terms.insert(format!("term{n}"), definition);
    }
    Value::Object(terms)
}

/// An entity in the normalized form, about 1.7 KB of compact text. `number` goes into its id and its values.
pub fn entity(number: usize) -> String {
    let mut e = Map::new();
    e.insert("id".into(), format!("urn:ngsi-ld:AirQualityObserved:Example-Avenue-{number:06}").into());
    e.insert("type".into(), "AirQualityObserved".into());
    let observed = "2026-11-24T07:00:00Z";
    for (at, name) in NAMES.iter().enumerate() {
        let value = match *name {
            "address" => json!({"addressCountry": "NL", "addressLocality": "Example Town", "streetAddress": "Example Avenue 12"}),
            "dateObserved" => json!({"@type": "DateTime", "@value": "2026-11-24T06:00:00.00Z"}),
            "airQualityLevel" | "CO_Level" => json!("moderate"),
            "source" => json!("https://data.city-a.example/stations"),
            "areaServed" => json!("Brooklyn Quarter, between the Old Harbour, the Linden Street and the gardens of the Water Works"),
            "typeofLocation" => json!("outdoor"),
            "refPointOfInterest" => json!("urn:ngsi-ld:PointOfInterest:28079004-Example"),
            _ => json!((number % 97 + at * 7) as f64 + 0.25),
        };
        let attribute = match *name {
            "refPointOfInterest" => json!({"type": "Relationship", "object": value}),
            "CO" | "NO" | "NO2" | "NOx" | "SO2" => json!({"type": "Property", "value": value, "unitCode": "GP", "observedAt": observed}),
            _ => json!({"type": "Property", "value": value}),
        };
        e.insert((*name).to_owned(), attribute);
    }
    e.insert("location".into(), json!({"type": "GeoProperty", "value": {"type": "Point", "coordinates": [4.35 + number as f64 * 1e-5, 52.01]}}));
    Value::Object(e).to_string()
}
