//! A real Community Solid Server for tests: found, started on loopback, with accounts made. Uses nothing but std and `serde_json`, so
//! that any test may take it in by `#[path]`.

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest a server may take to start.
const START: Duration = Duration::from_mins(2);

/// Which access rules the server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// Web Access Control, everything in memory.
    Wac,
    /// Access Control Policy, in files.
    Acp,
}

/// A running server. It ends when this is dropped, and also when the test process ends.
pub struct Css {
    /// Its base address, with the slash at the end.
    pub base: String,
    child: Child,
    folder: PathBuf,
}

/// Somebody with an account, a pod and client credentials.
#[derive(Debug, Clone)]
pub struct Person {
    /// The WebID.
    pub web_id: String,
    /// The root of the pod.
    pub pod: String,
    /// The id of the client credentials.
    pub id: String,
    /// Their secret.
    pub secret: String,
}

/// Where the server was set up by `cargo xtask peers`; nothing when it was not.
pub fn find() -> Option<PathBuf> {
    let named = std::env::var_os("WAYBILL_PEER_COMMUNITY_SOLID_SERVER").map(PathBuf::from);
    let below = std::env::var_os("WAYBILL_PEERS").map(|dir| PathBuf::from(dir).join("css"));
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|dir| dir.join("target/peers/css")).find(|dir| dir.is_dir());
    named.or(below).or(usual).filter(|dir| dir.join("node_modules/@solid/community-server/bin/server.js").is_file())
}

/// The server's folder, or nothing after it was said that the test is skipped. With `CI=true` a missing server fails.
pub fn required(test: &str) -> Option<PathBuf> {
    let found = find();
    if found.is_none() {
        assert!(!std::env::var("CI").is_ok_and(|v| v == "true" || v == "1"), "no Community Solid Server: run `cargo xtask peers`");
        eprintln!("skipped: {test}: no Community Solid Server (`cargo xtask peers` sets it up)");
    }
    found
}

impl Css {
    /// Starts a server and waits until it answers. `preload` is `fixtures/loopback.cjs` of the Solid adapter.
    pub fn start(home: &Path, preload: &Path, rules: Rules) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        Self::start_at(home, preload, rules, port)
    }

    /// Starts a server at a given port.
    pub fn start_at(home: &Path, preload: &Path, rules: Rules, port: u16) -> Self {
        // Its library believes a WebID over plain http only when its host is `localhost`.
        let base = format!("http://localhost:{port}/");
        forget_old_folders();
        let folder = std::env::temp_dir().join(format!("waybill-css-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the server");
        let log = std::fs::File::create(folder.join("server.log")).expect("a log");
        let package = home.join("node_modules/@solid/community-server");
        let mut command = Command::new("node");
        command.arg("-r").arg(preload).arg(package.join("bin/server.js")).current_dir(home);
        command.args(["-c", if rules == Rules::Wac { "@css:config/default.json" } else { "@css:config/file-acp.json" }]);
        if rules == Rules::Acp {
            command.arg("-f").arg(folder.join("data"));
        }
        command.args(["-p", &port.to_string(), "-b", &base, "-l", "warn"]);
        // The server takes every variable that begins with CSS_ as an option.
        std::env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("CSS_")).for_each(|name| {
            command.env_remove(name);
        });
        command.stdin(Stdio::piped()).stdout(log.try_clone().expect("a log")).stderr(log);
        let child = command.spawn().expect("node starts");
        let mut server = Self { base, child, folder };
        let begun = Instant::now();
        while !http("GET", &format!("{}.account/", server.base), None, None).is_ok_and(|(status, _)| status == 200) {
            let ended = server.child.try_wait().expect("the server's state");
            assert!(ended.is_none() && begun.elapsed() < START, "the server did not start: {}", server.log());
            std::thread::sleep(Duration::from_millis(200));
        }
        server
    }

    /// What the server wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }

    /// Makes an account with a pod and client credentials.
    pub fn person(&self, name: &str) -> Person {
        let start = format!("{}.account/", self.base);
        let controls = |token: Option<&str>| {
            let (status, body) = http("GET", &start, token, None).expect("the account page");
            assert_eq!(status, 200, "the account page");
            body["controls"].clone()
        };
        let post = |controls: &Value, part: &str, what: &str, token: Option<&str>, body: Value| {
            let url = controls[part][what].as_str().unwrap_or_else(|| panic!("no control {part}.{what}"));
            let (status, answer) = http("POST", url, token, Some(&body)).expect(what);
            assert!((200..300).contains(&status), "{part}.{what} answered {status}: {answer}");
            answer
        };
        let created = post(&controls(None), "account", "create", None, json!({}));
        let token = created["authorization"].as_str().expect("an authorization").to_owned();
        let own = controls(Some(&token));
        let login = json!({"email": format!("{name}@example.org"), "password": "not a secret"});
        post(&own, "password", "create", Some(&token), login);
        let pod = post(&own, "account", "pod", Some(&token), json!({"name": name}));
        let web_id = pod["webId"].as_str().expect("a WebID").to_owned();
        let credentials = post(&own, "account", "clientCredentials", Some(&token), json!({"name": "test", "webId": web_id}));
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        Person { pod: text(&pod["pod"]), id: text(&credentials["id"]), secret: text(&credentials["secret"]), web_id }
    }
}

impl Drop for Css {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A server that is shared by a whole test process leaves its folder behind when the process ends: the next one takes it away.
fn forget_old_folders() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("waybill-css-").and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// One call over a plain socket: status and JSON (null when the body is none).
fn http(method: &str, url: &str, token: Option<&str>, body: Option<&Value>) -> std::io::Result<(u16, Value)> {
    let rest = url.strip_prefix("http://").ok_or_else(|| std::io::Error::other("no http address"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    // HTTP/1.0: the answer then ends with the connection and comes in one piece.
    let mut head = format!("{method} /{path} HTTP/1.0\r\nHost: {host}\r\nAccept: application/json\r\nContent-Length: {}\r\n", body.len());
    if !body.is_empty() {
        head.push_str("Content-Type: application/json\r\n");
    }
    if let Some(token) = token {
        head.extend(["Authorization: CSS-Account-Token ", token, "\r\n"]);
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| std::io::Error::other("no answer"))?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| std::io::Error::other("no status"))?;
    Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}
