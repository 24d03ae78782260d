//! The stage: hubs, stand-ins, the clock they share, and how the story looks at them.

use super::cities::{self, Places};
use crate::wire::assemble::{Running, assemble, open_store};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use waybill_conformance::{BrokerOptions, Person, PodOptions, Relay, StandInBroker, StandInPod, StandInReceiver};
use waybill_http::{Auth, Client, ClientConfig, Guard, InResponse, Method, OutRequest};
use waybill_model::{Clock, Problem, ProblemCode};

/// Whose hub: one of the three cities', or the company's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum City {
    A,
    B,
    C,
    Company,
}

/// All of them, in the order in which they start.
pub const ALL: [City; 4] = [City::A, City::B, City::C, City::Company];

impl City {
    /// The name of its files.
    fn name(self) -> &'static str {
        match self {
            Self::A => "city-a",
            Self::B => "city-b",
            Self::C => "city-c",
            Self::Company => "company",
        }
    }
}

/// Everything that plays.
pub struct Stage {
    /// The clock of all hubs and stand-ins; the story moves it.
    pub clock: Clock,
    /// Where everything is.
    pub places: Places,
    /// City B's plain broker.
    pub plain: StandInBroker,
    /// The line to city B's hub.
    pub line: Relay,
    /// Where the company wants to be told of changes.
    pub feed: StandInReceiver,
    /// More to look at when the story is told: what it is, and where.
    pub shown: Vec<(&'static str, String)>,
    pods: StandInPod,
    folder: PathBuf,
    hubs: [Option<Running>; 4],
    client: Client,
}

fn failed(what: impl std::fmt::Display) -> Problem {
    Problem::new(ProblemCode("demo-stage"), 500, "The stage cannot be set", what.to_string())
}

/// A free port: taken and given back, so that its address can be named before its hub starts.
async fn free() -> Result<SocketAddr, Problem> {
    let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
    listener.local_addr().map_err(failed)
}

impl Stage {
    /// Starts the stand-ins and the hubs.
    pub async fn set() -> Result<Self, Problem> {
        let clock = Clock::system();
        let seconds = clock.clone();
        let now: waybill_conformance::Now = Arc::new(move || seconds.now().seconds());
        let people = ["anna", "carla", "hub-a"].map(str::to_owned).to_vec();
        let pods = StandInPod::start(PodOptions { people, now: now.clone(), ..PodOptions::default() }).await.map_err(failed)?;
        let plain = StandInBroker::start(BrokerOptions { now, ..BrokerOptions::default() }).await.map_err(failed)?;
        let (a, b, c, company) = (free().await?, free().await?, free().await?, free().await?);
        let line = Relay::start(b).await.map_err(failed)?;
        let feed = StandInReceiver::start().await.map_err(failed)?;
        let account = pods.person("hub-a").ok_or_else(|| failed("the pod server has no pod for the hub"))?.credentials();
        let places = Places { a, b, b_line: line.addr(), c, company, plain: plain.url(), pods: pods.url(), hub_account: (account.id, account.secret) };
        let folder = std::env::temp_dir().join(format!("waybill-demo-{}", waybill_keys::hex(&waybill_keys::random::<6>())));
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let client = Client::new(ClientConfig::new(clock.clone()).guard(Guard::allowing("127.0.0.0/8".parse().map(waybill_http::Allow::Range)))).map_err(failed)?;
        for (city, text) in ALL.into_iter().zip([places.city_a(), places.city_b(), places.city_c(), places.company()]) {
            std::fs::write(folder.join(format!("{}.toml", city.name())), text).map_err(failed)?;
        }
        let mut stage = Self { clock, places, plain, line, feed, shown: Vec::new(), pods, folder, hubs: Default::default(), client };
        stage.open_pods();
        for city in ALL {
            stage.start(city).await?;
        }
        Ok(stage)
    }

    /// Gives the hub what it needs in each pod: to read the consents and their rules (which takes Control), to append to the acknowledgements.
    fn open_pods(&self) {
        let hub = format!("{}hub-a/profile/card#me", self.pods.url());
        for name in ["anna", "carla"] {
            let Some(person) = self.pods.person(name) else { continue };
            let (me, root) = (person.webid(), person.root());
            for (folder, modes) in [("consents/", "acl:Read, acl:Control"), ("acknowledgements/", "acl:Append")] {
                let rule = format!(
                    "@prefix acl: <http://www.w3.org/ns/auth/acl#> .\n\
                     <#owner> a acl:Authorization; acl:agent <{me}>; acl:accessTo <{root}{folder}>; acl:default <{root}{folder}>; acl:mode acl:Read, acl:Write, acl:Control .\n\
                     <#hub> a acl:Authorization; acl:agent <{hub}>; acl:accessTo <{root}{folder}>; acl:default <{root}{folder}>; acl:mode {modes} .\n"
                );
                person.put(&format!("{folder}.acl"), "text/turtle", rule);
            }
        }
    }

    /// Starts a city's hub on its own files.
    pub async fn start(&mut self, city: City) -> Result<(), Problem> {
        let name = city.name();
        let loaded = crate::config::load(&[self.folder.join(format!("{name}.toml"))]);
        let wrong: Vec<String> = loaded.findings.iter().filter(|f| f.level == crate::config::finding::Level::Error).map(|f| format!("{f:?}")).collect();
        let Some(mut config) = loaded.config.filter(|_| wrong.is_empty()) else { return Err(failed(wrong.join("; "))) };
        config.hub.data = crate::config::model::Data::Folder(self.folder.join(name));
        let store = open_store(&config.hub.data, &self.clock)?;
        self.hubs[city as usize] = Some(assemble(&config, store, self.clock.clone()).await?);
        Ok(())
    }

    /// Switches a city's hub off.
    pub async fn stop(&mut self, city: City) {
        if let Some(running) = self.hubs[city as usize].take() {
            running.stop().await;
        }
    }

    /// A person with a pod.
    pub fn person(&self, name: &str) -> Option<Person> {
        self.pods.person(name)
    }

    /// The engine of a city that is on.
    pub fn hub(&self, city: City) -> Option<&waybill_exchange::Hub> {
        self.hubs[city as usize].as_ref().map(|r| &r.hub)
    }

    /// The address of a city's hub, past any line.
    pub fn url(&self, city: City) -> String {
        let addr = match city {
            City::A => self.places.a,
            City::B => self.places.b,
            City::C => self.places.c,
            City::Company => self.places.company,
        };
        format!("http://{addr}")
    }

    /// Asks a city.
    pub async fn ask(&self, city: City, token: &str, method: Method, path: &str, body: Option<Value>) -> Result<InResponse, String> {
        self.call(&format!("{}{path}", self.url(city)), token, method, body).await
    }

    /// Calls any address of the stage.
    pub async fn call(&self, url: &str, token: &str, method: Method, body: Option<Value>) -> Result<InResponse, String> {
        let mut request = OutRequest::new(method, url).template("demo");
        if !token.is_empty() {
            request = request.auth(Auth::Bearer(Arc::from(token)));
        }
        if let Some(body) = body {
            request = request.header(waybill_http::header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        self.client.send(request).await.map_err(|e| e.to_string())
    }

    /// One entity at a city as the holder of `token` sees it.
    pub async fn entity(&self, city: City, token: &str, id: &str) -> Option<Value> {
        let answer = self.ask(city, token, Method::GET, &format!("/ngsi-ld/v1/entities/{id}"), None).await.ok()?;
        (answer.status.as_u16() == 200).then(|| answer.json().ok()).flatten()
    }

    /// Waits until `fits`, at most `limit`; says how long it took.
    pub async fn until<T>(&self, what: &str, limit: Duration, fits: impl AsyncFn() -> Option<T>) -> Result<(T, Duration), String> {
        let began = Instant::now();
        loop {
            if let Some(found) = fits().await {
                return Ok((found, began.elapsed()));
            }
            if began.elapsed() > limit {
                return Err(format!("after {:.0} s still not: {what}", limit.as_secs_f64()));
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Addresses to look at.
    pub fn say_where(&self) {
        println!("\nTo look at, with the token of the demo's operator ({}):", cities::OPERATOR);
        for (name, city) in [("City A", City::A), ("City B", City::B), ("City C", City::C)] {
            println!("  {name}: {}/ngsi-ld/v1/entities?type=SmartMeter  {}/waybill/v1/withdrawals", self.url(city), self.url(city));
        }
        println!("  City B's own plain broker (a stand-in): {}/ngsi-ld/v1/entities?type=SmartMeter", self.places.plain);
        println!("  The pods (a stand-in for a Solid server): {}", self.places.pods);
        for (what, url) in &self.shown {
            println!("  {what}: {url}");
        }
        println!("  What the company's feed was told (a stand-in): {}", self.feed.url());
    }

    /// Stops everything and removes its files.
    pub async fn strike(mut self) {
        for city in ALL {
            self.stop(city).await;
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
