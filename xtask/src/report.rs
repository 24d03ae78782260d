//! What a task has to say at its end: times, counts, and what was left out.

use std::time::Duration;

/// Minutes and seconds as `2.4 min`.
pub fn minutes(time: Duration) -> String {
    format!("{:.1} min", time.as_secs_f64() / 60.0)
}

/// Counts summed over test binaries.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Tests that held.
    pub passed: u64,
    /// Tests that did not.
    pub failed: u64,
    /// Tests that were not run.
    pub skipped: u64,
    /// Binaries that reported.
    pub binaries: u64,
}

impl Counts {
    /// Adds the counts of other tests.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.binaries += other.binaries;
    }

    /// Adds the closing line of one test binary, `test result: ok. 3 passed; 0 failed; 1 ignored; …`. Other lines say nothing.
    pub fn add_line(&mut self, line: &str) {
        let Some(rest) = line.trim_start().strip_prefix("test result: ") else { return };
        self.binaries += 1;
        for part in rest.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(word)) = (words.next().and_then(|n| n.parse::<u64>().ok()), words.next()) else { continue };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }
}

/// What a foreign test kit came to, when `line` says so: `DSP TCK: passed 65, failed 0`. The test harness may have begun the line.
pub fn verdict(line: &str) -> Option<&str> {
    let (before, after) = line.trim_end().split_once(": passed ")?;
    let (passed, failed) = after.split_once(", failed ")?;
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let told = before.rsplit(" ... ").next().is_some_and(|name| name.contains("TCK")) && number(passed) && number(failed);
    let start = before.rfind(" ... ").map_or(0, |at| at + " ... ".len());
    told.then(|| &line.trim_end()[start..])
}

#[cfg(test)]
mod tests {
    use super::{Counts, verdict};

    #[test]
    fn a_kit_has_a_verdict_and_nothing_else_has() {
        for line in ["DSP TCK (self-test): passed 65, failed 0\n", "test it::tck::a_test ... DSP TCK (self-test): passed 65, failed 0"] {
            assert_eq!(verdict(line), Some("DSP TCK (self-test): passed 65, failed 0"));
        }
        for line in ["test result: ok. 3 passed; 0 failed", "DSP TCK: passed all, failed 0", "a city: passed 1, failed 0", "DSP TCK: passed 6"] {
            assert_eq!(verdict(line), None, "{line}");
        }
    }

    #[test]
    fn counts_are_summed_from_the_closing_lines_only() {
        let mut counts = Counts::default();
        for line in [
            "running 4 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out; finished in 0.00s",
            "a test printed: 5 passed; 5 failed",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
        ] {
            counts.add_line(line);
        }
        assert_eq!(counts, Counts { passed: 5, failed: 1, skipped: 1, binaries: 2 });
    }
}
