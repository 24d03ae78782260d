//! Eclipse EDC, another connector of dataspaces, for what it takes beside ours: started as our tests start it, and only to stand there.

use crate::program::free_ports;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What it is.
pub const NAME: &str = "Eclipse EDC 0.14.1";
/// How its Java machine is told to be small, and to start fast.
pub const JAVA: [&str; 3] = ["-Xmx300m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
/// How often it is started.
pub const STARTS: usize = 3;

/// Its folder among the peers, and the file there that holds its class path.
const PEER: &str = "edc-0.14.1";
const CLASS_PATH: &str = "classpath";
const LOOK: Duration = Duration::from_millis(20);
const GIVE_UP: Duration = Duration::from_mins(1);

/// Its class path, or why there is none. `cargo xtask peers` makes it.
pub fn class_path() -> Result<String, String> {
    let named = std::env::var_os("WAYBILL_PEER_EDC_0_14_1").map(PathBuf::from);
    let below = std::env::var_os("WAYBILL_PEERS").map(|home| PathBuf::from(home).join(PEER));
    let folder = named.or(below).unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers").join(PEER));
    let text = std::fs::read_to_string(folder.join(CLASS_PATH)).map_err(|_| format!("no {PEER} among the peers: `cargo xtask peers` sets it up"))?;
    Ok(text.trim().to_owned())
}

/// A running connector; dropping it kills it.
pub struct Edc {
    child: Child,
    _folder: TempDir,
}

impl Edc {
    /// Starts it and waits until it answers others and has its data plane; also the milliseconds that this took.
    pub fn start(path: &str) -> Result<(Self, f64), String> {
        let [protocol, web, management, control, version, public] = free_ports()?;
        let mut text = format!(
            "edc.participant.id=urn:connector:other
edc.hostname=127.0.0.1
edc.dsp.callback.address=http://{protocol}/protocol
edc.dataplane.api.public.baseurl=http://{public}/public
edc.transfer.proxy.token.signer.privatekey.alias=private-key
edc.transfer.proxy.token.verifier.publickey.alias=public-key
"
        );
        let contexts = [("", web, "/api"), (".protocol", protocol, "/protocol"), (".management", management, "/management")];
        let inner = [(".control", control, "/control"), (".version", version, "/version"), (".public", public, "/public")];
        for (name, at, below) in contexts.into_iter().chain(inner) {
            let _ = writeln!(text, "web.http{name}.port={}\nweb.http{name}.path={below}", at.port());
        }
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let file = folder.path().join("edc.properties");
        std::fs::write(&file, text).map_err(|e| e.to_string())?;
        let mut command = Command::new("java");
        command.args(JAVA).args(["-cp", path, "org.eclipse.edc.boot.system.runtime.BaseRuntime"]).env("EDC_FS_CONFIG", &file).current_dir(folder.path());
        command.env_remove("JAVA_TOOL_OPTIONS").env_remove("_JAVA_OPTIONS");
        // Its companion ends it when the other end of its input is gone.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let child = command.spawn().map_err(|e| format!("java does not start: {e}"))?;
        let mut edc = Self { child, _folder: folder };
        while !(asked(management, "/management/v3/dataplanes").contains("AVAILABLE") && asked(protocol, "/protocol/.well-known/dspace-version").contains(" 200")) {
            if let Ok(Some(status)) = edc.child.try_wait() {
                return Err(format!("{NAME} does not start: {status}"));
            }
            if began.elapsed() > GIVE_UP {
                return Err(format!("{NAME} is not ready after a minute"));
            }
            std::thread::sleep(LOOK);
        }
        Ok((edc, began.elapsed().as_secs_f64() * 1e3))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Edc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole answer to a `GET`, head and all; empty when there is none.
fn asked(addr: SocketAddr, path: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(addr) else { return String::new() };
    let mut answer = Vec::new();
    let patient = stream.set_read_timeout(Some(Duration::from_secs(5))).is_ok();
    let sent = patient && write!(stream, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n").is_ok();
    if sent && stream.read_to_end(&mut answer).is_ok() { String::from_utf8_lossy(&answer).into_owned() } else { String::new() }
}
