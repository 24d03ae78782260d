//! The stage of the story: three cities as processes of the built program, a plain broker, and how the story asks and waits.

use crate::it::program::{PATIENCE, Program, call, client, free};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use waybill_conformance::{BrokerOptions, Relay, StandInBroker};
use waybill_http::{Auth, Client, HeaderName, InResponse, Method, OutRequest, header};

/// Tokens of the callers, as in the fixtures.
pub const OPERATOR: &str = "story-operator-0123456789";
pub const B_AT_A: &str = "story-city-b-at-a-0123456789";
pub const GRID_AT_A: &str = "story-grid-at-a-0123456789";
pub const ADVICE_AT_B: &str = "story-advice-at-b-0123456789";
pub const C_AT_B: &str = "story-city-c-at-b-0123456789";
pub const APP_AT_C: &str = "story-app-at-c-0123456789";
/// The same parties for billing, which nobody consented to, and a city that nobody named.
pub const BILLING_AT_A: &str = "story-billing-b-at-a-0123456789";
pub const BILLING_AT_B: &str = "story-billing-at-b-0123456789";
pub const BILLING_AT_C: &str = "story-billing-at-c-0123456789";
pub const D_AT_A: &str = "story-city-d-at-a-0123456789";
pub const D_AT_B: &str = "story-city-d-at-b-0123456789";

/// One of the three cities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum City {
    A,
    B,
    C,
}

pub const CITIES: [City; 3] = [City::A, City::B, City::C];

impl City {
    fn name(self) -> &'static str {
        ["city-a", "city-b", "city-c"][self as usize]
    }
}

pub struct Stage {
    /// City B's own plain broker.
    pub plain: StandInBroker,
    client: Client,
    folder: tempfile::TempDir,
    addresses: [SocketAddr; 3],
    hubs: [Program; 3],
    /// How the others reach city A and city B.
    lines: [Relay; 2],
    /// Without a heartbeat for so long, a gate closes.
    max_stale: &'static str,
}

impl Stage {
    /// Starts the broker and the three hubs. `pods` is the pod server, `account` how hub A signs in there.
    pub async fn set(pods: &str, account: (&str, &str)) -> Self {
        let plain = StandInBroker::start(BrokerOptions::default()).await.expect("a broker");
        let addresses = free::<3>();
        let lines = [Relay::start(addresses[0]).await.expect("a line"), Relay::start(addresses[1]).await.expect("a line")];
        let variables = [
            ("STORY_A", lines[0].addr().to_string()),
            ("STORY_A_AT", addresses[0].to_string()),
            ("STORY_B", lines[1].addr().to_string()),
            ("STORY_B_AT", addresses[1].to_string()),
            ("STORY_C", addresses[2].to_string()),
            ("STORY_PLAIN", plain.url()),
            ("STORY_PODS", pods.to_owned()),
            ("STORY_ACCOUNT", account.0.to_owned()),
            ("STORY_SECRET", account.1.to_owned()),
        ];
        let folder = tempfile::tempdir().expect("a folder");
        let hubs = CITIES.map(|city| Program::new(city.name(), &format!("story/{}.toml", city.name()), folder.path(), &variables));
        let mut stage = Self { plain, client: client(), folder, addresses, hubs, lines, max_stale: "60 s" };
        for city in CITIES {
            stage.start(city).await;
        }
        stage
    }

    /// Starts a city's hub, as its operator would, on the files it had before.
    pub async fn start(&mut self, city: City) {
        self.hubs[city as usize].start(&[("STORY_STALE", self.max_stale.to_owned())]);
        let ready = async || {
            let answer = self.call(Method::GET, &format!("{}/readyz", self.url(city)), "", None).await?;
            (answer.status == 200).then_some(())
        };
        self.until(&format!("{} is ready", city.name()), ready).await;
    }
    /// Switches a city off as a power cut would.
    pub fn kill(&mut self, city: City) {
        self.hubs[city as usize].kill();
    }
    /// Stops a city as its operator would, and expects a good end.
    pub fn stop(&mut self, city: City) {
        self.hubs[city as usize].stop();
    }

    /// Starts cities A and B anew with another patience for each other's silence.
    pub async fn with_patience(&mut self, max_stale: &'static str) {
        self.max_stale = max_stale;
        for city in [City::A, City::B] {
            self.stop(city);
            self.start(city).await;
        }
    }
    /// Cuts city A and city B off from each other; what is asked of each of them here does not go over those lines.
    pub fn cut(&self) {
        self.lines.iter().for_each(Relay::cut);
    }
    /// Mends that.
    pub fn mend(&self) {
        self.lines.iter().for_each(Relay::mend);
    }

    /// Takes a person's pod out of city A's file; a pod is the last thing in its table.
    pub fn without_pod(&self, name: &str) {
        let file = self.hubs[City::A as usize].file();
        let text = std::fs::read_to_string(file).expect("the city's file");
        let pods: Vec<&str> = text.split("[[connection.pod]]").collect();
        let kept: Vec<&str> = pods.iter().filter(|pod| !pod.contains(&format!("}}{name}/"))).copied().collect();
        assert_eq!(kept.len() + 1, pods.len(), "{name} has one pod in the file");
        std::fs::write(file, kept.join("[[connection.pod]]")).expect("the city's file");
    }

    pub fn url(&self, city: City) -> String {
        format!("http://{}", self.addresses[city as usize])
    }
    /// What a city's hub wrote to its log.
    pub fn log(&self, city: City) -> String {
        self.hubs[city as usize].log()
    }
    /// A file of the stage.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Every file in which a city keeps data, and its log: name and bytes.
    pub fn files(&self, city: City) -> Vec<(String, Vec<u8>)> {
        let mut out = vec![("log".to_owned(), self.log(city).into_bytes())];
        let mut folders = vec![self.folder.path().join(city.name())];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("the data folder").flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    _ => out.push((entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).unwrap_or_default())),
                }
            }
        }
        out
    }

    /// Calls; nothing when nobody answers.
    pub async fn call(&self, method: Method, url: &str, token: &str, body: Option<&Value>) -> Option<InResponse> {
        call(&self.client, method, url, token, body).await
    }

    /// Calls with further headers. A city that does not answer is a fault.
    pub async fn asked(&self, city: City, token: &str, method: Method, path: &str, headers: &[(HeaderName, &str)], body: Option<&Value>) -> InResponse {
        let mut request = OutRequest::new(method, format!("{}{path}", self.url(city)));
        if !token.is_empty() {
            request = request.auth(Auth::Bearer(Arc::from(token)));
        }
        for (name, value) in headers {
            request = request.header(name.clone(), *value);
        }
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        self.client.send(request).await.unwrap_or_else(|e| panic!("{} does not answer {path}: {e}\n{}", city.name(), self.log(city)))
    }

    /// Asks a city and expects `status`.
    pub async fn ask(&self, city: City, token: &str, method: Method, path: &str, body: Option<&Value>, status: u16) -> Value {
        let answer = self.call(method, &format!("{}{path}", self.url(city)), token, body).await;
        let answer = answer.unwrap_or_else(|| panic!("{} does not answer {path}\n{}", city.name(), self.log(city)));
        assert_eq!(answer.status.as_u16(), status, "{} at {path}: {}", city.name(), String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
    }

    /// An entity at a city as the holder of `token` sees it. Any answer but 200 and 404 is a fault.
    pub async fn entity(&self, city: City, token: &str, id: &str) -> Option<Value> {
        let answer = self.call(Method::GET, &format!("{}/ngsi-ld/v1/entities/{id}", self.url(city)), token, None).await;
        let answer = answer.unwrap_or_else(|| panic!("{} does not answer\n{}", city.name(), self.log(city)));
        match answer.status.as_u16() {
            200 => Some(answer.json().expect("an entity")),
            404 => None,
            other => panic!("{} answers {other}: {}", city.name(), String::from_utf8_lossy(&answer.body)),
        }
    }

    /// Runs a command of the program against a city, as its operator.
    pub fn command(&self, city: City, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
        command.args(arguments).args(["--hub", &self.url(city), "--token", OPERATOR]);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).output().expect("the program runs")
    }

    /// The same, and it must end well. What it printed.
    pub fn good_command(&self, city: City, arguments: &[&str]) -> String {
        let output = self.command(city, arguments);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "`waybill {}` ends well\n{out}\n{err}", arguments.join(" "));
        out.into_owned()
    }

    /// Waits until `look` finds what is waited for.
    pub async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            if began.elapsed() > PATIENCE {
                let logs = CITIES.map(|city| format!("-- {}\n{}", city.name(), self.log(city)));
                panic!("after {PATIENCE:?} still not: {what}\n{}", logs.join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
