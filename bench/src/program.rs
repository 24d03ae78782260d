//! The program as it is shipped: how soon it is ready, what it weighs in memory and on disk.

use crate::cpu;
use crate::figure::{Figure, Target};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What this group measures.
pub const FIGURES: &[(&str, &str, Target)] = &[
    ("start.ready", "ms", Target::Most(100.0)),
    ("start.ready.100k", "ms", Target::Most(100.0)),
    ("start.rss", "MiB", Target::Most(30.0)),
    ("size.binary", "MiB", Target::Most(40.0)),
];

/// After how long the memory of an idle hub is looked at.
const SETTLED: Duration = Duration::from_secs(30);
const STARTS: usize = 7;
const GIVE_UP: Duration = Duration::from_secs(20);

/// Measures it.
pub fn run() -> Result<Vec<Figure>, String> {
    let mut figures = Vec::new();
    figures.extend(size());
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let ready = ready(folder.path())?;
    figures.push(Figure::of(FIGURES, "start.ready", ready, format!("median of {STARTS}, empty store, wall clock from exec")));
    let hub = Hub::start(folder.path())?;
    std::thread::sleep(SETTLED);
    if let Some(bytes) = cpu::resident(hub.pid()) {
        figures.push(Figure::of(FIGURES, "start.rss", bytes as f64 / f64::from(1 << 20), "30 s after ready, empty store"));
    }
    drop(hub);
    let full = tempfile::tempdir().map_err(|e| e.to_string())?;
    crate::traffic::fill(full.path(), 100_000)?;
    figures.push(Figure::of(FIGURES, "start.ready.100k", self::ready(full.path())?, format!("median of {STARTS}, 100,000 entities")));
    Ok(figures)
}

fn ready(folder: &Path) -> Result<f64, String> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let start = Instant::now();
        let hub = Hub::start(folder)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        drop(hub);
    }
    Ok(cpu::median(times))
}

/// The stripped, fully optimised program if it was built, else nothing.
fn size() -> Option<Figure> {
    let file = beside("dist")?;
    let bytes = std::fs::metadata(file).ok()?.len();
    Some(Figure::of(FIGURES, "size.binary", bytes as f64 / f64::from(1 << 20), "profile dist"))
}

/// The program in a profile's folder beside this one's.
fn beside(profile: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let file = own.parent()?.parent()?.join(profile).join("waybill");
    file.is_file().then_some(file)
}

/// A running hub without a file; dropping it kills it.
pub struct Hub {
    child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
}

impl Hub {
    /// Starts it on `folder` and waits for its first 200 of `/readyz`.
    pub fn start(folder: &Path) -> Result<Self, String> {
        let program = beside("release").ok_or("the program is not built in release")?;
        let addr = free_port()?;
        let mut command = Command::new(program);
        command.args(["run", "--listen", &addr.to_string(), "--data"]).arg(folder);
        Self::launch(command, addr)
    }

    /// Runs `command`, which listens at `addr`, and waits until it is ready.
    pub fn launch(mut command: Command, addr: SocketAddr) -> Result<Self, String> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|e| e.to_string())?;
        let mut hub = Self { child, addr };
        let deadline = Instant::now() + GIVE_UP;
        while !asks_ready(addr) {
            if let Ok(Some(status)) = hub.child.try_wait() {
                return Err(format!("the hub does not start: {status}"));
            }
            if Instant::now() > deadline {
                return Err("the hub is not ready after 20 s".to_owned());
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        Ok(hub)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}
impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port on loopback that was free a moment ago.
pub fn free_port() -> Result<SocketAddr, String> {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).map_err(|e| e.to_string())
}

fn asks_ready(addr: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(addr) else { return false };
    let asked = stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut head = [0; 12];
    asked.is_ok() && stream.read_exact(&mut head).is_ok() && head.ends_with(b" 200")
}
