//! CPU time, of this thread and of other processes, and medians.

use rustix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::time::Duration;

/// CPU time this thread has used.
pub fn thread() -> Duration {
    let at = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(at.tv_sec).unwrap_or_default(), u32::try_from(at.tv_nsec).unwrap_or_default())
}

/// CPU time this process has used, all threads.
pub fn process() -> Duration {
    let at = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(at.tv_sec).unwrap_or_default(), u32::try_from(at.tv_nsec).unwrap_or_default())
}

/// CPU time another process has used, summed over its living threads, in nanoseconds' resolution. Nothing when the system does not tell.
pub fn of(pid: u32) -> Option<Duration> {
    let mut sum = 0u64;
    for entry in std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task")).ok()? {
        // A thread that ends in between takes its time with it; the servers measured here keep their threads.
        let Ok(text) = std::fs::read_to_string(entry.ok()?.path().join("schedstat")) else { continue };
        sum += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(sum))
}

/// Resident memory of a process in bytes.
pub fn resident(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|l| l.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|k| k * 1024)
}

/// The middle one of some values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Microseconds of this thread's CPU time that one call of each of `works` takes: for each the median of `rounds`, taken in turn, so
/// that a slow moment of the machine hits all of them.
pub fn each(rounds: usize, calls: u32, works: &mut [&mut dyn FnMut()]) -> Vec<f64> {
    let mut samples = vec![Vec::new(); works.len()];
    for round in 0..=rounds {
        for (work, times) in works.iter_mut().zip(&mut samples) {
            let start = thread();
            for _ in 0..calls {
                work();
            }
            let spent = thread().saturating_sub(start);
            // The first round warms caches up.
            if round > 0 {
                times.push(spent.as_secs_f64() * 1e6 / f64::from(calls));
            }
        }
    }
    samples.into_iter().map(median).collect()
}
