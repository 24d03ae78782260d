//! The compatibility kits of the Dataspace Protocol (Eclipse DSP TCK) and of Data Plane Signaling (Eclipse DPS TCK), run against whatever
//! their properties name.

use super::java::{JavaPeer, java, turn};
use super::program::free;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A kit.
#[derive(Debug, Clone, Copy)]
pub struct Kit {
    /// Where it is.
    peer: JavaPeer,
    /// Its main class.
    main: &'static str,
    /// Fewer tests than that are not the whole kit, or not all of it that is meant.
    least: usize,
}

/// The Dataspace Protocol's.
pub const DSP_TCK: Kit = Kit { peer: JavaPeer { name: "dsp-tck", required: false }, main: "org.eclipse.dataspacetck.dsp.suite.DspTckSuite", least: 65 };
/// Data Plane Signaling's, as far as it is about data planes.
pub const DPS_TCK: Kit = Kit { peer: JavaPeer { name: "dps-tck", required: false }, main: "org.eclipse.dataspacetck.dps.DpsTckSuite", least: 28 };

impl Kit {
    /// Its class path, or nothing after it was said that the test is skipped.
    pub fn required(self, test: &str) -> Option<String> {
        self.peer.required(test)
    }
}

/// A run takes half a minute when all goes well, and each test that fails waits for its time to be over.
const LONGEST: Duration = Duration::from_mins(20);

/// What a run said.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TckResult {
    /// How many tests held, and how many did not, as the kit counts them.
    pub passed: usize,
    pub failed: usize,
    /// The tests that were told of one by one: the name, as in `CN:01-01`, and whether it held.
    pub tests: Vec<(String, bool)>,
    /// What failed: the test's name with its description, and why.
    pub failures: Vec<(String, String)>,
    /// Whether the kit came to its end.
    pub complete: bool,
    /// How many tests must have held.
    pub least: usize,
    /// Every line of its output, without colours.
    pub lines: Vec<String>,
}

impl TckResult {
    /// Reads what the kit printed. Its exit code says nothing.
    pub fn parse(kit: Kit, output: &str) -> Self {
        let mut result = Self { lines: output.lines().map(plain).collect(), least: kit.least, ..Self::default() };
        let (mut failing, mut counted) = (false, false);
        for line in &result.lines {
            let said = without_time(line).trim();
            let count = |label: &str| said.strip_prefix(label).and_then(|rest| rest.trim().parse().ok());
            if let Some(name) = said.strip_prefix("SUCCESSFUL: ") {
                result.tests.push((short(name), true));
            } else if let Some(name) = said.strip_prefix("FAILED: ").or(said.strip_prefix("ABORTED: ")) {
                result.tests.push((short(name), false));
            } else if let Some(n) = count("Passed tests:") {
                (result.passed, counted) = (n, true);
            } else if let Some(n) = count("Failed tests:") {
                result.failed = n;
            } else if said == "Failures:" || said == "There were failing tests:" {
                failing = true;
            } else if said == "Test run complete" {
                (failing, result.complete) = (false, true);
            } else if let Some(said) = said.strip_prefix("- ").filter(|_| failing && !counted) {
                result.failures.push((short(said), said.to_owned()));
            } else if failing && !said.is_empty() && !said.starts_with('■') {
                match (said.strip_prefix('[').and_then(|s| s.strip_suffix(']')), result.failures.last_mut()) {
                    (Some(name), _) => result.failures.push((name.to_owned(), String::new())),
                    (None, Some((_, why))) => {
                        why.push_str(if why.is_empty() { "" } else { "\n" });
                        why.push_str(said);
                    }
                    (None, None) => {}
                }
            }
        }
        // One of the kits counts by itself.
        if !counted {
            result.passed = result.tests.iter().filter(|(_, held)| *held).count();
            result.failed = result.tests.len() - result.passed;
        }
        result
    }

    /// Whether the whole kit ran and all of it held.
    pub fn held(&self) -> bool {
        self.complete && self.failed == 0 && self.passed >= self.least
    }

    /// Says the result where `cargo xtask test` looks for it, so that it stands in the summary, and demands that all held.
    pub fn demand(&self, what: &str) {
        // Not by `println!`, which the test harness keeps to itself.
        let told = format!("\n{what}: passed {}, failed {}\n", self.passed, self.failed);
        std::io::stdout().write_all(told.as_bytes()).expect("standard output");
        if self.held() {
            return;
        }
        let mut all = String::new();
        for (name, why) in &self.failures {
            let _ = writeln!(all, "- {name}\n  {why}");
        }
        if !self.complete || self.failures.len() != self.failed {
            all.push_str(&self.lines.join("\n"));
        }
        panic!("{what}: {} passed, of at least {}; {} failed\n{all}", self.passed, self.least, self.failed);
    }
}

/// The name alone: the kit takes the description away only as far as its last colon.
fn short(name: &str) -> String {
    name.split_whitespace().next().unwrap_or_default().trim_end_matches(':').to_owned()
}

/// A line without what makes it coloured.
fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        out.push_str(before);
        rest = after.split_once('m').map_or("", |(_, tail)| tail);
    }
    out + rest
}

/// The kit begins a message with `[2026-11-24T15:14:18.576954783] `.
fn without_time(line: &str) -> &str {
    match line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((time, rest)) if time.starts_with(|c: char| c.is_ascii_digit()) && time.contains('T') => rest,
        _ => line,
    }
}

/// Runs the kit with these properties, on a port of its own on loopback. `path` is its class path.
pub fn run_tck(kit: Kit, path: &str, properties: &[(&str, &str)]) -> TckResult {
    let [own] = free::<1>();
    run_tck_at(own, kit, path, properties)
}

/// The same at an address that others were told of.
pub fn run_tck_at(own: SocketAddr, kit: Kit, path: &str, properties: &[(&str, &str)]) -> TckResult {
    let folder = tempfile::tempdir().expect("a folder");
    let mut text = String::new();
    let address = format!("http://{own}");
    let (host, port) = (own.ip().to_string(), own.port().to_string());
    let ours = [("dataspacetck.host", host.as_str()), ("dataspacetck.port", &port), ("dataspacetck.callback.address", &address)];
    for (key, value) in ours.iter().chain(properties) {
        // A colon or a blank would end the key, a backslash begin an escape.
        assert!(!key.contains([':', ' ', '=', '\\']) && !value.contains(['\\', '\n']), "{key}={value} can be a property");
        let _ = writeln!(text, "{key}={value}");
    }
    let file = folder.path().join("tck.properties");
    std::fs::write(&file, text).expect("the properties");
    TckResult::parse(kit, &output(kit, path, &file, &folder.path().join("output")))
}

/// What the kit prints with the properties in `file`. It goes through `kept`: a pipe that nobody reads would stop it.
fn output(kit: Kit, path: &str, file: &Path, kept: &Path) -> String {
    let mut command = java(path);
    command.args([kit.main, "-config"]).arg(file);
    let out = std::fs::File::create(kept).expect("a file for its output");
    command.stdout(out.try_clone().expect("the same file")).stderr(out).stdin(Stdio::null());
    let mut run = Run(command.spawn().expect("java starts"));
    let began = Instant::now();
    while run.0.try_wait().expect("its state").is_none() {
        assert!(began.elapsed() < LONGEST, "the kit comes to no end\n{}", std::fs::read_to_string(kept).unwrap_or_default());
        std::thread::sleep(Duration::from_millis(100));
    }
    String::from_utf8_lossy(&std::fs::read(kept).expect("its output")).into_owned()
}

struct Run(Child);

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The kit has a connector of its own to try itself on. It knows no dataset: no property may name one.
#[tokio::test(flavor = "multi_thread")]
async fn the_tck_proves_its_own_classpath() {
    let Some(path) = DSP_TCK.required("the compatibility kit on itself") else { return };
    let _turn = turn().await;
    let run = move || run_tck(DSP_TCK, &path, &[("dataspacetck.dsp.local.connector", "true"), ("dataspacetck.dsp.default.wait", "60")]);
    let result = tokio::task::spawn_blocking(run).await.expect("it ran");
    result.demand("DSP TCK (self-test)");
    let told = result.tests.iter().filter(|(_, held)| *held).count();
    assert_eq!((told, result.tests.len()), (result.passed, result.passed), "each test is told of once\n{}", result.lines.join("\n"));
}

#[test]
fn a_run_is_read_with_its_failures() {
    let result = TckResult::parse(
        DSP_TCK,
        "\u{1b}[1m\n[2026-01-02T03:04:05.6] \u{1b}[1mRunning DSP TCK v2025.1\u{1b}[0m\n\
         [2026-01-02T03:04:05.7] Started: CAT:01-01: Asks for the catalog\n[2026-01-02T03:04:05.8] SUCCESSFUL: CAT:01-01\n\n\
         [2026-01-02T03:04:06] Started: CN:02-01: Verify: ends\n[2026-01-02T03:04:06.1] FAILED: CN:02-01: Verify\n\
         [2026-01-02T03:04:07] Passed tests: 1\n[2026-01-02T03:04:07.1] Failed tests: 1\n\u{1b}[31m\n\
         [2026-01-02T03:04:07.2] Failures:\n[2026-01-02T03:04:07.3] \n   ■ a.b.Test.cn_02_01\n\n\
         [2026-01-02T03:04:07.4]      [CN:02-01: Verify: ends]\n[2026-01-02T03:04:07.5]      Expected: 201\nbut was: 500\n\n\u{1b}[0m\n\
         [2026-01-02T03:04:07.6] Test run complete\n",
    );
    assert_eq!((result.passed, result.failed, result.complete), (1, 1, true));
    assert_eq!(result.tests, [("CAT:01-01".to_owned(), true), ("CN:02-01".to_owned(), false)]);
    assert_eq!(result.failures, [("CN:02-01: Verify: ends".to_owned(), "Expected: 201\nbut was: 500".to_owned())]);
    assert!(!result.held());
}

/// One that held so far and was cut short, or ran a part only, has not held.
#[test]
fn less_than_a_whole_run_does_not_hold() {
    let (all, few) = (format!("Passed tests: {}\nFailed tests: 0\n", DSP_TCK.least), "Passed tests: 64\nFailed tests: 0\nTest run complete\n");
    assert!(TckResult::parse(DSP_TCK, &format!("{all}Test run complete\n")).held());
    for short in [all.as_str(), few, "", "java.lang.NoClassDefFoundError: a/B\n"] {
        assert!(!TckResult::parse(DSP_TCK, short).held(), "{short}");
    }
}

/// The kit of data planes does not count by itself.
#[test]
fn a_run_without_sums_is_counted() {
    let result = TckResult::parse(
        DPS_TCK,
        "[2026-01-02T03:04:05.7] Started: DP_C_PULL:01-01: Prepares\n[2026-01-02T03:04:05.8] SUCCESSFUL: DP_C_PULL:01-01\n\
         [2026-01-02T03:04:06.1] FAILED: DP_P_PULL:01-01: Starts\nThere were failing tests:\n\
         - DP_P_PULL:01-01: Starts (java.lang.RuntimeException: HTTP 500)\n\tat a.b.C.d\nTest run complete\n",
    );
    assert_eq!((result.passed, result.failed, result.complete, result.failures.len()), (1, 1, true, 1));
    assert!(result.failures[0].1.contains("HTTP 500"), "{:?}", result.failures);
    assert!(!result.held());
}
