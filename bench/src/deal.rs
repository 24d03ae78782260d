//! Two of our hubs that deal with each other as connectors, and the operator of the one that asks.

use crate::city;
use crate::program::{Hub, free_ports};
use crate::wire::Connection;
use bytes::Bytes;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// How long between two looks at a process that is not where it should be yet.
const LOOK: Duration = Duration::from_millis(25);
const NEGOTIATIONS: &str = "contractnegotiations";
const TRANSFERS: &str = "transferprocesses";

/// A city that offers and a hub that asks, both durable.
pub struct Pair {
    /// The provider.
    pub city: Hub,
    /// The consumer.
    pub consumer: Hub,
    _folder: TempDir,
}

/// What a started transfer lets its consumer ask for.
pub struct Pull {
    /// Path and query.
    pub path: String,
    /// The value of `Authorization`.
    pub token: String,
}

impl Pair {
    /// Starts the city on `folder` with the tables of `more`, and an empty hub that deals with it.
    pub fn start(folder: &Path, more: fn(SocketAddr, SocketAddr) -> String) -> Result<Self, String> {
        let [own, other] = free_ports()?;
        let beside = tempfile::tempdir().map_err(|e| e.to_string())?;
        let file = beside.path().join("consumer.toml");
        std::fs::write(&file, city::consumer(other, own)).map_err(|e| e.to_string())?;
        let consumer = Hub::configured(&file, other)?;
        let city = city::start_at(folder, own, city::MAY_CALL, &more(own, other))?;
        Ok(Self { city, consumer, _folder: beside })
    }

    /// Waits until neither has anything left to do.
    pub fn settle(&self) -> Result<(), String> {
        self.city.settle()?;
        self.consumer.settle()
    }

    /// The consumer's operator, over a connection of her own.
    pub async fn operator(&self) -> Result<Operator, String> {
        let connection = Connection::open(self.consumer.addr, Some(city::OPERATOR)).await?;
        Ok(Operator { connection, base: format!("http://{}", self.city.addr) })
    }

    /// How many negotiations have come to their end at the city.
    pub async fn finalized(&self) -> Result<usize, String> {
        let connection = Connection::open(self.city.addr, Some(city::OPERATOR)).await?;
        let mut operator = Operator { connection, base: String::new() };
        let mut found = 0;
        loop {
            let state = json!([{"operandLeft": "state", "operator": "=", "operandRight": "FINALIZED"}]);
            let page = operator.post(&format!("{NEGOTIATIONS}/request"), json!({"offset": found, "limit": 1000, "filterExpression": state})).await?;
            match page.as_array().map(Vec::len) {
                Some(0) | None => return Ok(found),
                Some(more) => found += more,
            }
        }
    }
}

/// Who drives the consumer by its management interface.
pub struct Operator {
    connection: Connection,
    base: String,
}

impl Operator {
    async fn post(&mut self, path: &str, mut body: Value) -> Result<Value, String> {
        if !self.base.is_empty() {
            body["counterPartyAddress"] = format!("{}{}", self.base, waybill_dsp::PATH).into();
            body["counterPartyId"] = city::CITY.into();
        }
        let answer = self.connection.want(200, "POST", &format!("/management/v3/{path}"), Bytes::from(body.to_string())).await?;
        serde_json::from_slice(&answer).map_err(|e| e.to_string())
    }

    async fn begun(&mut self, path: &str, body: Value) -> Result<String, String> {
        let answer = self.post(path, body).await?;
        answer["@id"].as_str().map(str::to_owned).ok_or_else(|| format!("{path} is answered without an identifier"))
    }

    /// Looks until a process is in `state`.
    async fn until(&mut self, path: &str, id: &str, state: &str) -> Result<Value, String> {
        loop {
            let answer = self.connection.want(200, "GET", &format!("/management/v3/{path}/{id}"), Bytes::new()).await?;
            let about: Value = serde_json::from_slice(&answer).map_err(|e| e.to_string())?;
            match about["state"].as_str() {
                Some(now) if now == state => return Ok(about),
                Some("TERMINATED") => return Err(format!("{path} came to nothing: {}", about["errorDetail"])),
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// The city's offer of its meters, as its catalogue has it.
    pub async fn offer(&mut self) -> Result<Value, String> {
        let catalog = self.post("catalog/request", json!({})).await?;
        let datasets = catalog["dataset"].as_array().into_iter().flatten();
        let meters = datasets.filter(|d| d["@id"].as_str().is_some_and(|id| id.ends_with("meters"))).find(|d| d["hasPolicy"][0].is_object());
        let dataset = meters.ok_or("the catalogue offers no meters")?;
        let mut offer = dataset["hasPolicy"][0].clone();
        offer["target"] = dataset["@id"].clone();
        offer["assigner"] = city::CITY.into();
        Ok(offer)
    }

    /// Negotiates about `offer` to the end. The agreement.
    pub async fn negotiate(&mut self, offer: &Value) -> Result<String, String> {
        let id = self.begun(NEGOTIATIONS, json!({"policy": offer})).await?;
        let about = self.until(NEGOTIATIONS, &id, "FINALIZED").await?;
        about["contractAgreementId"].as_str().map(str::to_owned).ok_or_else(|| "a negotiation ended without an agreement".to_owned())
    }

    /// Comes to an agreement about the meters and to a started transfer under it.
    pub async fn deal(&mut self) -> Result<Pull, String> {
        let offer = self.offer().await?;
        let agreement = self.negotiate(&offer).await?;
        let id = self.begun(TRANSFERS, json!({"contractId": agreement, "transferType": "HttpData-PULL"})).await?;
        self.until(TRANSFERS, &id, "STARTED").await?;
        let answer = self.connection.want(200, "GET", &format!("/management/v3/edrs/{id}/dataaddress"), Bytes::new()).await?;
        let address: Value = serde_json::from_slice(&answer).map_err(|e| e.to_string())?;
        let text = |name: &str| address[name].as_str().ok_or_else(|| format!("the data address has no {name}"));
        let path = text("endpoint")?.strip_prefix(&self.base).ok_or("the data are somewhere else")?.to_owned();
        Ok(Pull { path, token: format!("Bearer {}", text("authorization")?) })
    }
}
