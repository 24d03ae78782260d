//! A hub as a process of the built program, and a client to ask it.

use serde_json::Value;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use waybill_http::{Allow, Auth, BreakerConfig, Client, ClientConfig, Guard, InResponse, Method, OutRequest, header};
use waybill_model::Clock;

/// How long anything may take before a test gives up on it. Generous: nothing is asserted about time.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A client that may call this machine, and never gives a hub a rest: hubs are switched off and on here.
pub fn client() -> Client {
    let loopback = ["127.0.0.0/8", "::1/128"].map(|range| range.parse::<Allow>().expect("a range"));
    let settings = ClientConfig { breaker: BreakerConfig { failures: 0, ..BreakerConfig::default() }, ..ClientConfig::new(Clock::system()) };
    Client::new(settings.guard(Guard::allowing(loopback))).expect("a client")
}

/// Calls; nothing when nobody answers.
pub async fn call(client: &Client, method: Method, url: &str, token: &str, body: Option<&Value>) -> Option<InResponse> {
    let mut request = OutRequest::new(method, url);
    if !token.is_empty() {
        request = request.auth(Auth::Bearer(Arc::from(token)));
    }
    if let Some(body) = body {
        request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string());
    }
    client.send(request).await.ok()
}

/// Free addresses on loopback, for programs that are told where to listen, and that are switched off and on. Not from the range of which
/// the system gives ports to callers: one of those would be taken while its hub is off.
pub fn free<const N: usize>() -> [SocketAddr; N] {
    const RANGE: std::ops::Range<u32> = 20_000..32_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Two test processes at a time begin at different places.
    let start = std::process::id().wrapping_mul(97);
    let mut tried = 0;
    [(); N].map(|()| {
        loop {
            let n = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % (RANGE.end - RANGE.start);
            let port = u16::try_from(RANGE.start + n).expect("a port");
            if let Ok(taken) = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port)) {
                return taken.local_addr().expect("its address");
            }
            tried += 1;
            assert!(tried < 1000, "no port is free");
        }
    })
}

/// A city's hub: its file, what the file's variables stand for, and its process while it is on. It ends when this is dropped.
pub struct Program {
    name: &'static str,
    file: PathBuf,
    log: PathBuf,
    variables: Vec<(&'static str, String)>,
    process: Option<Child>,
}

impl Program {
    /// The hub `name` on a copy of the file `fixture` in `folder`, where its data then lies too. It is off.
    pub fn new(name: &'static str, fixture: &str, folder: &Path, variables: &[(&'static str, String)]) -> Self {
        let file = folder.join(format!("{name}.toml"));
        std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture), &file).expect("the city's file");
        Self { name, file, log: folder.join(format!("{name}.log")), variables: variables.to_vec(), process: None }
    }

    /// Its file.
    pub fn file(&self) -> &Path {
        &self.file
    }
    /// What it wrote to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Switches it on, as its operator would, with further variables of the environment.
    pub fn start(&mut self, more: &[(&str, String)]) {
        let log = File::options().create(true).append(true).open(&self.log).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
        command.arg("run").arg(&self.file).env_remove("RUST_LOG");
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).envs(more.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        self.process = Some(command.spawn().expect("the program starts"));
    }

    /// Whether it has ended by itself.
    #[cfg(feature = "crash-points")]
    pub fn ended(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.try_wait().expect("its state").is_some())
    }

    /// Switches it off as a power cut would.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it was on");
        process.kill().expect("killed");
        process.wait().expect("ended");
    }

    /// Stops it as its operator would, and expects a good end.
    pub fn stop(&mut self) {
        let mut process = self.process.take().expect("it was on");
        let told = Command::new("kill").args(["-TERM", &process.id().to_string()]).status().expect("kill");
        assert!(told.success(), "{} can be told to stop", self.name);
        let began = Instant::now();
        let end = loop {
            if let Some(end) = process.try_wait().expect("its state") {
                break end;
            }
            if began.elapsed() > PATIENCE {
                let _ = process.kill();
                panic!("{} does not stop when told to\n{}", self.name, self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(end.success(), "{} ends well: {end}\n{}", self.name, self.log());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
