//! The program as it is shipped: how soon it is ready, what it weighs in memory and on disk; beside it another connector of dataspaces.

use crate::deal::Pair;
use crate::edc::{self, Edc};
use crate::figure::{Figure, Target, unmeasured};
use crate::{city, cpu, limit, world};
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
    ("start.rss.all", "MiB", Target::Most(40.0)),
    ("edc.start", "ms", Target::Told),
    ("edc.rss", "MiB", Target::Told),
    ("size.binary", "MiB", Target::Most(40.0)),
];

/// After how long the memory of an idle hub is looked at.
const SETTLED: Duration = Duration::from_secs(30);
/// A hub that uses less than a fiftieth of a core for so long has nothing left to do.
const LOOK: Duration = Duration::from_millis(500);
const MIB: f64 = 1_048_576.0;
const STARTS: usize = 7;
const GIVE_UP: Duration = Duration::from_secs(20);

/// Measures it.
pub fn run(wanted: &crate::Wanted<'_>) -> Result<Vec<Figure>, String> {
    let mut figures = vec![size()?];
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    if wanted("start.ready") {
        let empty = ready(&|| Hub::start(folder.path()))?;
        figures.push(Figure::of(FIGURES, "start.ready", empty, format!("median of {STARTS}, empty store, wall clock from exec")));
    }
    figures.extend(memory(folder.path(), wanted)?);
    if wanted("start.ready.100k") {
        let note = format!("median of {STARTS}, {} open entities, as many of people, and their bindings", city::ENTITIES);
        let full = city::filled().and_then(|full| ready(&|| city::start(full)));
        // By itself, so that a city that cannot be filled in time does not take the others along.
        figures.push(full.map_or_else(|why| unmeasured(FIGURES, "start.ready.100k", &why), |ms| Figure::of(FIGURES, "start.ready.100k", ms, note)));
    }
    Ok(figures)
}

/// What idle programs have in memory, each looked at when it has been ready for as long: the hub without a file, the hub with everything
/// that a file can turn on, and another connector.
fn memory(folder: &Path, wanted: &crate::Wanted<'_>) -> Result<Vec<Figure>, String> {
    let bare = if wanted("start.rss") { Some(Hub::start(folder)?) } else { None };
    let own = tempfile::tempdir().map_err(|e| e.to_string())?;
    let all = if wanted("start.rss.all") { Some(everything(own.path())) } else { None };
    let other = if wanted("edc.start") || wanted("edc.rss") { Some(edc_started()) } else { None };
    if bare.is_none() && all.is_none() && other.is_none() {
        return Ok(Vec::new());
    }
    std::thread::sleep(SETTLED);
    let of = |pid| cpu::resident(pid).map(|bytes| bytes as f64 / MIB).ok_or_else(|| "the system does not tell how much memory a process has".to_owned());
    let figure = |name, value: Result<f64, String>, note: &str| value.map_or_else(|why| unmeasured(FIGURES, name, &why), |v| Figure::of(FIGURES, name, v, note));
    let mut figures = Vec::new();
    if let Some(hub) = bare {
        figures.push(figure("start.rss", of(hub.pid()), "30 s after ready, empty store"));
    }
    if let Some(pair) = all {
        let note = "30 s after its first deal: routes, agreement, dataspace, peer, a broker that is fed, a pod server that is not there";
        figures.push(figure("start.rss.all", pair.and_then(|pair| of(pair.city.pid())), note));
    }
    if let Some(other) = other {
        let (time, memory) = match other {
            Ok((edc, time)) => (Ok(time), of(edc.pid())),
            Err(why) => (Err(why.clone()), Err(why)),
        };
        let java = format!("{}, in memory, java {}", edc::NAME, edc::JAVA.join(" "));
        figures.push(figure("edc.start", time, &format!("{java}; median of {}, from exec until its data plane is there", edc::STARTS)));
        figures.push(figure("edc.rss", memory, &format!("{java}; 30 s after ready")));
    }
    Ok(figures)
}

/// A city with everything on that has dealt once with a hub, by which all of it is fed.
fn everything(folder: &Path) -> Result<Pair, String> {
    let pair = Pair::start(folder, city::everything)?;
    world::runtime()?.block_on(async {
        let pull = pair.operator().await?.deal().await?;
        let mut connection = crate::wire::Connection::open(pair.city.addr, Some(&pull.token)).await?;
        connection.want(200, "GET", &pull.path, bytes::Bytes::new()).await
    })?;
    Ok(pair)
}

/// The other connector, and the middle one of some starts in milliseconds.
fn edc_started() -> Result<(Edc, f64), String> {
    let path = edc::class_path()?;
    let mut times = Vec::new();
    loop {
        limit::check()?;
        let (edc, time) = Edc::start(&path)?;
        times.push(time);
        if times.len() == edc::STARTS {
            return Ok((edc, cpu::median(times)));
        }
    }
}

fn ready(start: &dyn Fn() -> Result<Hub, String>) -> Result<f64, String> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        limit::check()?;
        let began = Instant::now();
        let hub = start()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        drop(hub);
    }
    Ok(cpu::median(times))
}

/// What `cargo build --release` makes; beside it the stripped, wholly optimised build, when that is there and not older.
fn size() -> Result<Figure, String> {
    let file = |path: &Path| std::fs::metadata(path).ok();
    let made = program()?;
    let release = file(&made).ok_or("the program's size is not told")?;
    let dist = profile("dist").and_then(|p| file(&p)).filter(|d| d.modified().ok() >= release.modified().ok());
    let beside = dist.map_or_else(String::new, |d| format!("; profile dist {:.1} MiB", d.len() as f64 / MIB));
    Ok(Figure::of(FIGURES, "size.binary", release.len() as f64 / MIB, format!("profile release, with symbols{beside}")))
}

/// The program in a profile's folder.
fn profile(name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    Some(own.parent()?.parent()?.join(name).join("waybill"))
}

fn program() -> Result<PathBuf, String> {
    profile("release").filter(|p| p.is_file()).ok_or_else(|| "the program is not built in release".to_owned())
}

/// A running hub; dropping it kills it.
pub struct Hub {
    child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
}

impl Hub {
    /// Starts it without a file on `folder` and waits for its first 200 of `/readyz`.
    pub fn start(folder: &Path) -> Result<Self, String> {
        let addr = free_port()?;
        let mut command = Command::new(program()?);
        command.args(["run", "--listen", &addr.to_string(), "--data"]).arg(folder);
        Self::launch(command, addr)
    }

    /// Starts the city of `file`, which listens at `addr`.
    pub fn configured(file: &Path, addr: SocketAddr) -> Result<Self, String> {
        let mut command = Command::new(program()?);
        command.arg("run").arg(file);
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

    /// Waits until it has done the work that what was written before left to do: that is no part of what a request costs.
    pub fn settle(&self) -> Result<(), String> {
        let spent = || cpu::of(self.pid()).ok_or("the system does not tell CPU times");
        loop {
            limit::check()?;
            let before = spent()?;
            std::thread::sleep(LOOK);
            if spent()?.saturating_sub(before) < LOOK / 50 {
                return Ok(());
            }
        }
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
    free_ports::<1>().map(|[one]| one)
}

/// As many of them, no two the same.
pub fn free_ports<const N: usize>() -> Result<[SocketAddr; N], String> {
    let listeners: Vec<TcpListener> = (0..N).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    let mut out = [SocketAddr::from(([127, 0, 0, 1], 0)); N];
    for (addr, listener) in out.iter_mut().zip(&listeners) {
        *addr = listener.local_addr().map_err(|e| e.to_string())?;
    }
    Ok(out)
}

fn asks_ready(addr: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(addr) else { return false };
    let asked = stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let mut head = [0; 12];
    asked.is_ok() && stream.read_exact(&mut head).is_ok() && head.ends_with(b" 200")
}
