//! The stage of the story: three cities as processes of the built program, a plain broker, and how the story asks and waits.

use serde_json::Value;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use waybill_conformance::{BrokerOptions, StandInBroker};
use waybill_http::{Allow, Auth, BreakerConfig, Client, ClientConfig, Guard, InResponse, Method, OutRequest, header};
use waybill_model::Clock;

/// How long anything may take before the story gives up on it. Generous: nothing is asserted about time.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Tokens of the callers, as in the fixtures.
pub const OPERATOR: &str = "story-operator-0123456789";
pub const B_AT_A: &str = "story-city-b-at-a-0123456789";
pub const GRID_AT_A: &str = "story-grid-at-a-0123456789";
pub const ADVICE_AT_B: &str = "story-advice-at-b-0123456789";
pub const C_AT_B: &str = "story-city-c-at-b-0123456789";
pub const APP_AT_C: &str = "story-app-at-c-0123456789";

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

/// A client that may call this machine, and never gives a hub a rest: hubs are switched off and on here.
pub fn client() -> Client {
    let loopback = ["127.0.0.0/8", "::1/128"].map(|range| range.parse::<Allow>().expect("a range"));
    let settings = ClientConfig { breaker: BreakerConfig { failures: 0, ..BreakerConfig::default() }, ..ClientConfig::new(Clock::system()) };
    Client::new(settings.guard(Guard::allowing(loopback))).expect("a client")
}

pub struct Stage {
    /// City B's own plain broker.
    pub plain: StandInBroker,
    client: Client,
    folder: tempfile::TempDir,
    addresses: [SocketAddr; 3],
    variables: Vec<(&'static str, String)>,
    hubs: [Option<Child>; 3],
}

impl Stage {
    /// Starts the broker and the three hubs. `pods` is the pod server, `account` how hub A signs in there.
    pub async fn set(pods: &str, account: (&str, &str)) -> Self {
        let plain = StandInBroker::start(BrokerOptions::default()).await.expect("a broker");
        // Taken all at once and given back together, so that they differ.
        let taken: Vec<TcpListener> = CITIES.iter().map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        let addresses = [0, 1, 2].map(|n: usize| taken[n].local_addr().expect("its address"));
        drop(taken);
        let variables = vec![
            ("STORY_A", addresses[0].to_string()),
            ("STORY_B", addresses[1].to_string()),
            ("STORY_C", addresses[2].to_string()),
            ("STORY_PLAIN", plain.url()),
            ("STORY_PODS", pods.to_owned()),
            ("STORY_ACCOUNT", account.0.to_owned()),
            ("STORY_SECRET", account.1.to_owned()),
        ];
        let folder = tempfile::tempdir().expect("a folder");
        // `data` in a city's file is read from where the file lies, so the file lies where the data shall be.
        for city in CITIES {
            let name = format!("{}.toml", city.name());
            let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/story").join(&name);
            std::fs::copy(fixture, folder.path().join(name)).expect("the city's file");
        }
        let mut stage = Self { plain, client: client(), folder, addresses, variables, hubs: [None, None, None] };
        for city in CITIES {
            stage.start(city).await;
        }
        stage
    }

    /// Starts a city's hub, as its operator would, on the files it had before.
    pub async fn start(&mut self, city: City) {
        let here = self.city_file(city);
        let log = File::options().create(true).append(true).open(self.log_file(city)).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
        command.arg("run").arg(&here).current_dir(self.folder.path()).env_remove("RUST_LOG");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        self.hubs[city as usize] = Some(command.spawn().expect("the program starts"));
        let ready = async || {
            let answer = self.call(Method::GET, &format!("{}/readyz", self.url(city)), "", None).await?;
            (answer.status == 200).then_some(())
        };
        self.until(&format!("{} is ready", city.name()), ready).await;
    }

    fn city_file(&self, city: City) -> PathBuf {
        self.folder.path().join(format!("{}.toml", city.name()))
    }

    /// Takes a person's pod out of city A's file; a pod is the last thing in its table.
    pub fn without_pod(&self, name: &str) {
        let file = self.city_file(City::A);
        let text = std::fs::read_to_string(&file).expect("the city's file");
        let pods: Vec<&str> = text.split("[[connection.pod]]").collect();
        let kept: Vec<&str> = pods.iter().filter(|pod| !pod.contains(&format!("}}{name}/"))).copied().collect();
        assert_eq!(kept.len() + 1, pods.len(), "{name} has one pod in the file");
        std::fs::write(&file, kept.join("[[connection.pod]]")).expect("the city's file");
    }

    /// Switches a city off as a power cut would.
    pub fn kill(&mut self, city: City) {
        let mut hub = self.hubs[city as usize].take().expect("it was on");
        hub.kill().expect("killed");
        hub.wait().expect("ended");
    }

    /// Stops a city as its operator would, and expects a good end.
    pub fn stop(&mut self, city: City) {
        let mut hub = self.hubs[city as usize].take().expect("it was on");
        let told = Command::new("kill").args(["-TERM", &hub.id().to_string()]).status().expect("kill");
        assert!(told.success(), "{} can be told to stop", city.name());
        let began = Instant::now();
        let end = loop {
            if let Some(end) = hub.try_wait().expect("its state") {
                break end;
            }
            if began.elapsed() > PATIENCE {
                let _ = hub.kill();
                panic!("{} does not stop when told to\n{}", city.name(), self.log(city));
            }
            std::thread::sleep(Duration::from_millis(25));
        };
        assert!(end.success(), "{} ends well: {end}\n{}", city.name(), self.log(city));
    }

    pub fn url(&self, city: City) -> String {
        format!("http://{}", self.addresses[city as usize])
    }
    fn log_file(&self, city: City) -> PathBuf {
        self.folder.path().join(format!("{}.log", city.name()))
    }
    /// What a city's hub wrote to its log.
    pub fn log(&self, city: City) -> String {
        std::fs::read_to_string(self.log_file(city)).unwrap_or_default()
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
        let mut request = OutRequest::new(method, url);
        if !token.is_empty() {
            request = request.auth(Auth::Bearer(Arc::from(token)));
        }
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        self.client.send(request).await.ok()
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

impl Drop for Stage {
    fn drop(&mut self) {
        for hub in self.hubs.iter_mut().flatten() {
            let _ = hub.kill();
            let _ = hub.wait();
        }
    }
}
