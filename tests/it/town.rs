//! A city's hub as a real process, and calls to it whose every byte the test decides.

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub const OPERATOR: &str = "operator-0123456789abcdef";
pub const CITY_B: &str = "city-b-0123456789abcdef";
pub const JSON: &str = "application/json";
pub const LD: &str = "application/ld+json";
pub const HTTP: &[u8] = b"HTTP/1.1 ";
/// Nothing here may take so long unless it hangs.
const HANGS: Duration = Duration::from_mins(1);
/// The meter that every test may count on, and that no bad input may change.
pub const METER: &str = "urn:ngsi-ld:SmartMeter:anna";

pub fn free() -> SocketAddr {
    use std::sync::atomic::{AtomicU32, Ordering};
    // Below the ports that calls go out from: else one of those may take it before somebody listens there.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(101).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let port = u16::try_from(20_000 + number).expect("a port");
        if let Ok(at) = std::net::TcpListener::bind(("127.0.0.1", port)).and_then(|l| l.local_addr()) {
            return at;
        }
    }
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|l| l.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()))
    }
    /// The code of a refusal: a 4xx or 503/504 that is a whole problem (RFC 9457), with a code that `waybill explain` knows.
    pub fn refusal(&self, what: &str) -> String {
        assert!((400..500).contains(&self.status) || matches!(self.status, 503 | 504), "{what}: {} {}", self.status, self.text());
        let problem = self.json();
        problem_code(&problem, self.status, what)
    }
}

/// The code of `problem`, once it is sure that it is a whole one.
pub fn problem_code(problem: &Value, status: u16, what: &str) -> String {
    for member in ["type", "title", "detail", "code"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{what}: no {member} in {problem}");
    }
    assert_eq!(problem["status"], status, "{what}: {problem}");
    let code = problem["code"].as_str().unwrap_or_default().to_owned();
    assert!(codes().contains(&code), "{what}: `waybill explain {code}` knows nothing");
    code
}

/// Every code that `waybill explain` knows.
pub fn codes() -> &'static BTreeSet<String> {
    static CODES: OnceLock<BTreeSet<String>> = OnceLock::new();
    CODES.get_or_init(|| {
        let told = Command::new(env!("CARGO_BIN_EXE_waybill")).args(["explain", "codes", "--format", "json"]).output().expect("waybill explain");
        let list: Value = serde_json::from_slice(&told.stdout).expect("JSON");
        list.as_array().expect("a list").iter().filter_map(|c| c["code"].as_str().map(str::to_owned)).collect()
    })
}

/// A running hub. Dropping it kills it.
pub struct Town {
    pub addr: SocketAddr,
    child: Child,
    pub folder: tempfile::TempDir,
}

impl Town {
    /// A city with open air, people's meters, city B with an application, and what `more` says.
    pub fn start(more: &str) -> Self {
        let addr = free();
        Self::start_at(addr, &format!("http://{addr}"), more)
    }

    pub fn start_at(addr: SocketAddr, base_url: &str, more: &str) -> Self {
        Self::start_as("https://city-a.example/#city", addr, base_url, more)
    }

    /// The same run by another party.
    pub fn start_as(party: &str, addr: SocketAddr, base_url: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!(
            r#"
[hub]
party = "{party}"
name = "City A"
contact = "mailto:data@city-a.example"
base_url = "{base_url}"
listen = "{addr}"
data = "data"
zone = "Europe/Brussels"
may_call = ["127.0.0.0/8"]
[names]
default = "https://uri.etsi.org/ngsi-ld/default-context/"
[[client]]
name = "advice-app"
party = "https://city-b.example/#city"
token = "{CITY_B}"
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
        let auth = if more.contains("[auth]") { String::new() } else { format!("[auth]\noperator_token = \"{OPERATOR}\"\n") };
        std::fs::write(folder.path().join("city.toml"), text + &auth).expect("written");
        Self::launch(folder, addr, &[])
    }

    /// Starts a hub on the folder of one that was stopped, under the command `around` when there is one.
    pub fn again(folder: tempfile::TempDir, around: &[&str]) -> Self {
        let text = std::fs::read_to_string(folder.path().join("city.toml")).expect("the configuration");
        let listen = text.lines().find_map(|l| l.strip_prefix("listen = \"")).and_then(|l| l.strip_suffix('"')).expect("its address");
        let addr = listen.parse().expect("an address");
        Self::launch(folder, addr, around)
    }

    fn launch(folder: tempfile::TempDir, addr: SocketAddr, around: &[&str]) -> Self {
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let words: Vec<&str> = around.iter().copied().chain([env!("CARGO_BIN_EXE_waybill"), "run", "city.toml"]).collect();
        let child = Command::new(words[0])
            .args(&words[1..])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("waybill run");
        let mut town = Self { addr, child, folder };
        let end = Instant::now() + HANGS;
        while !town.is_ready() {
            let ended = town.child.try_wait().expect("a child");
            let log = || std::fs::read_to_string(town.folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < end, "the hub does not start: {ended:?}\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        town
    }

    /// Starts it and puts Anna's meter in.
    pub fn with_meter(more: &str) -> Self {
        let town = Self::start(more);
        let meter = meter(METER).to_string();
        let made = town.call("POST", "/ngsi-ld/v1/entities", OPERATOR, &[("Content-Type", JSON)], meter.as_bytes());
        assert_eq!(made.status, 201, "{}", made.text());
        town
    }

    fn is_ready(&self) -> bool {
        TcpStream::connect(self.addr).is_ok_and(|stream| exchange(stream, b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").is_ok_and(|a| a.status == 200))
    }

    /// One call on a connection of its own; without a token when that is empty.
    pub fn call(&self, method: &str, path: &str, token: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let head = self.head(method, path, token, headers);
        let mut bytes = format!("{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        self.raw(&bytes)
    }

    /// The head of a request, still without a length and its end.
    pub fn head(&self, method: &str, path: &str, token: &str, headers: &[(&str, &str)]) -> String {
        let caller = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{caller}", self.addr);
        headers.iter().fold(request, |all, (name, value)| format!("{all}{name}: {value}\r\n"))
    }

    pub fn raw(&self, bytes: &[u8]) -> Answer {
        let stream = TcpStream::connect(self.addr).expect("connected");
        exchange(stream, bytes).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(300)])))
    }

    pub fn get(&self, path: &str, token: &str) -> Answer {
        self.call("GET", path, token, &[], b"")
    }

    /// Anna's meter as the operator sees it, with the times of the last change.
    pub fn meter(&self) -> Value {
        let answer = self.get(&format!("/ngsi-ld/v1/entities/{METER}?options=sysAttrs"), OPERATOR);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// All entities that are stored, as the operator sees them.
    pub fn everything(&self) -> Value {
        self.get("/ngsi-ld/v1/entities?local=true&options=sysAttrs&limit=1000", OPERATOR).json()
    }

    /// Whether the process still runs.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Ends it like an operator does, and gives its folder back.
    pub fn stop(mut self) -> tempfile::TempDir {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill");
        assert!(told.success());
        self.child.wait().expect("ended");
        std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder"))
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends `bytes` and reads one answer. A server that refuses early may stop reading: then what it said still counts.
fn exchange(mut stream: TcpStream, bytes: &[u8]) -> std::io::Result<Answer> {
    stream.set_read_timeout(Some(HANGS))?;
    stream.set_write_timeout(Some(HANGS))?;
    let sent = stream.write_all(bytes);
    let mut all = Vec::new();
    let read = stream.read_to_end(&mut all);
    if all.is_empty() {
        sent?;
        read?;
    }
    let split = all.windows(4).position(|w| w == b"\r\n\r\n").ok_or_else(|| std::io::Error::other("no answer"))?;
    let head = String::from_utf8_lossy(&all[..split]).into_owned();
    let status = head.get(HTTP.len()..HTTP.len() + 3).and_then(|s| s.parse().ok()).ok_or_else(|| std::io::Error::other("no status"))?;
    Ok(Answer { status, head, body: all[split + 4..].to_vec() })
}

/// A household's meter.
pub fn meter(id: &str) -> Value {
    serde_json::json!({
        "id": id, "type": "SmartMeter",
        "ownedBy": { "type": "Relationship", "object": "https://anna.example/#me" },
        "activePower": { "type": "Property", "value": 412.5, "unitCode": "WTT" },
    })
}

/// What Anna grants city B, as a clerk records it.
pub fn grant() -> Value {
    serde_json::json!({ "document": {
        "type": "ConsentGrant", "subject": "https://anna.example/#me",
        "notice": { "uri": "https://city-a.example/notices/energy-advice", "language": "en", "textHash": "5f2d8a0a1b0e9c7f6a3b4c5d6e7f80910a1b2c3d4e5f60718293a4b5c6d7e8f9" },
        "controller": { "id": "https://city-a.example/#city", "name": "City A", "address": "1 Main Street", "contact": "privacy@city-a.example", "country": "BE" },
        "recipients": [{ "id": "https://city-b.example/#city", "name": "City B", "address": "2 Main Street", "contact": "privacy@city-b.example", "country": "BE" }],
        "purposes": ["https://w3id.org/waybill/purpose#EnergyAdvice"], "label": { "en": "Advice on saving energy at home" },
        "data": [{ "attribute": "https://uri.etsi.org/ngsi-ld/default-context/activePower", "precision": { "round": 100 } }],
        "until": "2099-12-31T00:00:00Z", "storage": { "locations": ["EU"], "retention": "P1Y" }, "jurisdiction": "BE",
        "withdrawal": { "uri": "https://city-a.example/my-data", "method": "Ask a clerk, or change it yourself." },
    } })
}
