//! Peers that run on the Java machine: where `cargo xtask peers` put them, and one at a time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tokio::sync::{Mutex, MutexGuard};

/// One of them.
#[derive(Debug, Clone, Copy)]
pub struct JavaPeer {
    /// Its name, and that of its folder.
    pub name: &'static str,
    /// Whether its lack fails with `CI=true`. The same is said in `xtask/src/maven.rs`.
    pub required: bool,
}

impl JavaPeer {
    /// Its class path, or nothing after it was said that the test is skipped.
    pub fn required(self, test: &str) -> Option<String> {
        let found = self.find();
        if found.is_none() {
            let strict = self.required && std::env::var("CI").is_ok_and(|v| v == "true" || v == "1");
            assert!(!strict, "no {}: run `cargo xtask peers`", self.name);
            eprintln!("skipped: {test}: no {} (`cargo xtask peers` sets it up)", self.name);
        }
        found
    }

    fn find(self) -> Option<String> {
        let variable: String = self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
        let named = std::env::var_os(format!("WAYBILL_PEER_{variable}")).map(PathBuf::from);
        let below = std::env::var_os("WAYBILL_PEERS").map(|home| PathBuf::from(home).join(self.name));
        let folder = named.or(below).unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers").join(self.name));
        // The class path is written when all of it is there.
        Some(std::fs::read_to_string(folder.join("classpath")).ok()?.trim().to_owned())
    }
}

/// A Java machine that is small and starts fast, with `path` as its class path and nothing else decided.
pub fn java(path: &str) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx300m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", path]);
    // What a caller's shell gives to every Java machine is not for ours.
    command.env_remove("JAVA_TOOL_OPTIONS").env_remove("_JAVA_OPTIONS").stdin(Stdio::null());
    command
}

/// Whoever needs such peers waits for this: a machine bears a pair of them, and not the pairs of every test.
pub async fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}
