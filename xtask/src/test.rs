//! `cargo xtask test`: peers, house rules, every test, the crash walks, every fault switch, one summary.

use crate::report::{Counts, minutes, verdict};
use crate::{faults, peer, tidy, walks};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs everything. Whether all of it held.
pub fn run(arguments: &[String]) -> Result<bool, String> {
    let (mine, theirs) = match arguments.iter().position(|a| a == "--") {
        Some(at) => (&arguments[..at], &arguments[at + 1..]),
        None => (arguments, &[][..]),
    };
    let mut with_faults = true;
    for argument in mine {
        match argument.as_str() {
            "--no-faults" => with_faults = false,
            other => return Err(format!("`{other}` is not an option of test")),
        }
    }

    println!("== peers");
    let (peers, peer_time) = timed(peer::setup);
    let environment: Vec<(String, String)> = peers
        .iter()
        .filter_map(|p| p.ready.as_ref().ok().map(|path| (p.variable(), path.display().to_string())))
        .collect();
    for p in &peers {
        match &p.ready {
            Ok(path) => println!("{} is ready at {}", p.name, path.display()),
            Err(why) => println!("{} is missing: {why}", p.name),
        }
    }

    println!("== tidy");
    let (tidy_held, tidy_time) = timed(tidy::run);
    let tidy_held = tidy_held?;

    println!("== compile");
    let (compiled, compile_time) = timed(|| compile(&environment));
    if !compiled? {
        summary(&[("compile", compile_time), ("peers", peer_time), ("tidy", tidy_time)], &peers);
        println!("the tests do not compile: none was run");
        return Ok(false);
    }

    println!("== tests");
    let mut verdicts = Vec::new();
    let (outcome, test_time) = timed(|| tests(&environment, theirs, &mut verdicts));
    let (mut counts, tests_held) = outcome?;

    println!("== crash walks");
    let (outcome, walk_time) = timed(|| counted(walks::command(), &mut Vec::new()));
    let (walked, walks_held) = outcome?;
    let walks_held = walks_held && walked.passed >= walks::LEAST;
    counts.add(walked);

    let list = faults::load()?;
    let mut not_noticed = Vec::new();
    let mut fault_time = Duration::ZERO;
    if with_faults && !list.is_empty() {
        println!("== fault switches");
        let (outcome, time) = timed(|| faults::run(&list, &environment));
        fault_time = time;
        not_noticed = outcome.unwrap_or_else(|why| vec![why]);
    }

    summary(
        &[("compile", compile_time), ("tests", test_time), ("walks", walk_time), ("peers", peer_time), ("tidy", tidy_time), ("faults", fault_time)],
        &peers,
    );
    for verdict in &verdicts {
        println!("{verdict}");
    }
    if !tidy_held {
        println!("tidy: the house rules are not kept (see above)");
    }
    if !walks_held {
        println!("crash walks: {} held, of {} (see above)", walked.passed, walks::LEAST);
    }
    if with_faults {
        println!("fault switches: {}, of which {} went wrong", list.len(), not_noticed.len());
    } else {
        println!("fault switches: left out (--no-faults)");
    }
    for what in &not_noticed {
        println!("  {what}");
    }
    let missing = peers.iter().filter(|p| p.fails()).count();
    let peers_held = missing == 0;
    if !peers_held {
        println!("CI=true: {missing} missing peer(s) are a failure");
    }
    println!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped);
    Ok(tidy_held && tests_held && walks_held && counts.failed == 0 && counts.passed > 0 && not_noticed.is_empty() && peers_held)
}

/// Builds every test binary, so that the time of compiling is known apart from the time of running.
fn compile(environment: &[(String, String)]) -> Result<bool, String> {
    crate::cargo()
        .args(["test", "--workspace", "--no-run"])
        .envs(environment.iter().map(|(k, v)| (k, v)))
        .status()
        .map(|s| s.success())
        .map_err(|e| format!("cargo test could not start: {e}"))
}

/// Runs every test binary. What test kits of others came to is added to `verdicts`.
fn tests(environment: &[(String, String)], arguments: &[String], verdicts: &mut Vec<String>) -> Result<(Counts, bool), String> {
    let mut command = crate::cargo();
    command.args(["test", "--workspace", "--no-fail-fast", "--"]).args(arguments).envs(environment.iter().map(|(k, v)| (k, v)));
    counted(command, verdicts)
}

/// Runs tests, passing their output on line by line while counting.
fn counted(mut command: Command, verdicts: &mut Vec<String>) -> Result<(Counts, bool), String> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|e| format!("cargo test could not start: {e}"))?;
    let mut counts = Counts::default();
    if let Some(stdout) = child.stdout.take() {
        let mut out = std::io::stdout();
        let mut lines = BufReader::new(stdout);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(|e| e.to_string())? > 0 {
            out.write_all(&line).and_then(|()| out.flush()).map_err(|e| e.to_string())?;
            let text = String::from_utf8_lossy(&line);
            counts.add_line(&text);
            verdicts.extend(verdict(&text).map(str::to_owned));
            line.clear();
        }
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    Ok((counts, status.success()))
}

fn summary(times: &[(&str, Duration)], peers: &[peer::PeerStatus]) {
    println!("\n== summary");
    for (what, time) in times {
        println!("{what:<8} {}", minutes(*time));
    }
    for p in peers {
        if let Err(why) = &p.ready {
            println!("skipped: everything that needs {} ({why})", p.name);
        }
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}
