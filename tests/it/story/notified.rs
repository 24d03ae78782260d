//! Step 6, by notification: who subscribes to meters hears of hers what the consent allows, when what it may see changes, and of her
//! nothing else; who may see nothing of hers never hears of her.

use super::beside::{BERT, nothing_more};
use super::citizen::Citizen;
use super::stage::{ADVICE_AT_B, APP_AT_C, B_AT_A, BILLING_AT_A, BILLING_AT_B, City, D_AT_A, D_AT_B, OPERATOR, Stage};
use super::steps::{AIR, ANNA};
use serde_json::{Value, json};
use waybill_http::Method;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// Subscribers: their place at the endpoint, where they subscribe, as whom, and the form they ask for.
const ALLOWED: [(&str, City, &str, &str, &str); 4] = [
    ("/b-at-a", City::A, B_AT_A, "normalized", "application/json"),
    ("/b-at-a-short", City::A, B_AT_A, "keyValues", "application/json"),
    ("/b-at-a-geo", City::A, B_AT_A, "concise", "application/geo+json"),
    ("/advice-at-b", City::B, ADVICE_AT_B, "normalized", "application/json"),
];
const REFUSED: [(&str, City, &str, &str, &str); 4] = [
    ("/billing-at-a", City::A, BILLING_AT_A, "normalized", "application/json"),
    ("/d-at-a", City::A, D_AT_A, "keyValues", "application/json"),
    ("/billing-at-b", City::B, BILLING_AT_B, "normalized", "application/json"),
    ("/d-at-b", City::B, D_AT_B, "concise", "application/geo+json"),
];

/// The subscribers' endpoint, and what it was sent.
pub struct Ears {
    server: MockServer,
}

impl Ears {
    /// Everybody subscribes to meters and to the air, which is open to all of them.
    pub async fn open(stage: &Stage) -> Self {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
        for (place, city, token, format, accept) in ALLOWED.into_iter().chain(REFUSED) {
            let subscription = json!({
                "type": "Subscription", "entities": [{ "type": "SmartMeter" }, { "type": "AirQualityObserved" }],
                "notification": { "format": format, "endpoint": { "uri": format!("{}{place}", server.uri()), "accept": accept } },
            });
            stage.ask(city, token, Method::POST, "/ngsi-ld/v1/subscriptions", Some(&subscription), 201).await;
        }
        Self { server }
    }

    /// What came for one subscriber, in order.
    async fn heard(&self, place: &str) -> Vec<String> {
        let all = self.server.received_requests().await.expect("requests are kept");
        all.into_iter().filter(|r| r.url.path() == place).map(|r| String::from_utf8_lossy(&r.body).into_owned()).collect()
    }

    /// Waits until a subscriber was told of `entity` with `word`; what came up to then.
    async fn until(&self, stage: &Stage, place: &str, entity: &str, word: &str) -> Vec<String> {
        stage.until(&format!("{place} is told of {entity} with {word}"), async || Some(self.heard(place).await).filter(|all| all.iter().any(|n| n.contains(entity) && n.contains(word)))).await
    }

    /// 6. Her meter and the air change, seen and unseen.
    pub async fn hear_what_is_allowed(&self, stage: &Stage, anna: &Citizen) {
        let power = async |watts: f64| {
            let body = json!({ "activePower": { "type": "Property", "value": watts, "unitCode": "WTT" } });
            stage.ask(City::A, OPERATOR, Method::PATCH, &format!("/ngsi-ld/v1/entities/{ANNA}/attrs"), Some(&body), 204).await;
        };
        let air = async |value: f64| {
            let body = json!({ "NO2": { "type": "Property", "value": value, "unitCode": "GQ" } });
            stage.ask(City::A, OPERATOR, Method::PATCH, &format!("/ngsi-ld/v1/entities/{AIR}/attrs"), Some(&body), 204).await;
        };
        let everybody = || ALLOWED.iter().chain(&REFUSED).map(|(place, ..)| *place);
        for (place, ..) in ALLOWED {
            self.until(stage, place, ANNA, "400").await;
        }
        // Neither another value that rounds to the same, nor another owner's meter, is a change of what anybody here may see. That the
        // air, which changes after them, is heard of shows that there was time to hear of them.
        let before: Vec<usize> = self.of_meters().await;
        power(437.25).await;
        let bert = json!({ "activePower": { "type": "Property", "value": 888.5, "unitCode": "WTT" } });
        stage.ask(City::A, OPERATOR, Method::PATCH, &format!("/ngsi-ld/v1/entities/{BERT}/attrs"), Some(&bert), 204).await;
        air(33.25).await;
        for place in everybody() {
            self.until(stage, place, AIR, "33.25").await;
        }
        assert_eq!(self.of_meters().await, before, "nobody heard of what changed unseen");
        power(512.5).await;
        air(44.25).await;
        for (place, ..) in ALLOWED {
            self.until(stage, place, ANNA, "500").await;
        }
        for place in everybody() {
            self.until(stage, place, AIR, "44.25").await;
        }
        power(412.5).await;
        for (city, token) in [(City::B, ADVICE_AT_B), (City::C, APP_AT_C)] {
            let back = async || stage.entity(city, token, ANNA).await.filter(|seen| seen["activePower"]["value"].as_f64() == Some(400.0));
            stage.until("the meter is as it was", back).await;
        }
        let at_plain = async || stage.plain.entity("", ANNA).filter(|held| power_of(held) == Some(400.0));
        stage.until("in city B's broker too", at_plain).await;
        self.nobody_heard_more(anna).await;
    }

    /// How often each subscriber was told of a meter.
    async fn of_meters(&self) -> Vec<usize> {
        let mut out = Vec::new();
        for (place, ..) in ALLOWED.iter().chain(&REFUSED) {
            out.push(self.heard(place).await.iter().filter(|n| n.contains("SmartMeter")).count());
        }
        out
    }

    /// Whatever came up to now: no word of what was not granted, and for those who may see nothing of hers, no word of her.
    pub async fn nobody_heard_more(&self, anna: &Citizen) {
        for (place, ..) in ALLOWED {
            for told in self.heard(place).await {
                nothing_more(&told, anna, place);
                for word in ["437.25", "512.5", "888.5"] {
                    assert!(!told.contains(word), "{place}: `{word}` in {told}");
                }
            }
        }
        for (place, ..) in REFUSED {
            let heard = self.heard(place).await;
            assert!(heard.iter().any(|n| n.contains(AIR)), "{place} hears what is open");
            let hers: Vec<&String> = heard.iter().filter(|n| n.contains("SmartMeter") || n.contains(&anna.web_id)).collect();
            assert!(hers.is_empty(), "{place}: {hers:?}");
        }
    }

    /// 7. Who heard of her is told that it is over; who did not is not told that either.
    pub async fn hear_that_it_is_over(&self, stage: &Stage, anna: &Citizen) {
        for (place, ..) in ALLOWED {
            let over = async || self.heard(place).await.last().filter(|n| n.contains(ANNA) && n.contains("deletedAt")).cloned();
            stage.until(&format!("{place} is told that her meter is gone"), over).await;
        }
        self.nobody_heard_more(anna).await;
    }
}

/// The power in an entity as the plain broker holds it, under its full or its short name.
fn power_of(held: &Value) -> Option<f64> {
    let (_, attribute) = held.as_object()?.iter().find(|(name, _)| name.rsplit('/').next() == Some("activePower"))?;
    attribute.get("value").or_else(|| attribute[0].get("value"))?.as_f64()
}
