//! Two processes of the program, of which one may die at a point and is then switched on again, once.

use crate::it::program::{PATIENCE, Program};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub const OPERATOR: &str = "walk-operator-0123456789";

pub struct Pair {
    /// Which of the two is to die.
    who: usize,
    /// At which point; empty for never.
    at: String,
    /// Whether it has.
    pub died: bool,
    programs: [Program; 2],
    folder: tempfile::TempDir,
}

impl Pair {
    /// Both are off.
    pub fn new(who: usize, at: &str, folder: tempfile::TempDir, programs: [Program; 2]) -> Self {
        Self { who, at: at.to_owned(), died: false, programs, folder }
    }

    /// Switches one on, for its first life.
    pub fn start(&mut self, one: usize) {
        let dies = [("WAYBILL_CRASH_AT", self.at.clone()), ("WAYBILL_CRASH_TRACE", self.trace().display().to_string())];
        self.programs[one].start(if one == self.who { &dies } else { &[] });
    }

    /// Both, to be stopped and started by hand.
    pub fn programs(&mut self) -> &mut [Program; 2] {
        &mut self.programs
    }

    fn trace(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    /// The points that the one which is to die passed in its first life.
    pub fn passed(&self) -> Vec<String> {
        std::fs::read_to_string(self.trace()).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// When the one dies that is to, it is switched on again; a second time it must not, and the other never.
    fn look_after(&mut self) {
        let [ended, other_ended] = [self.who, 1 - self.who].map(|one| self.programs[one].ended());
        assert!(!other_ended, "{}", self.said("the other one died"));
        if ended {
            assert!(!self.died && !self.at.is_empty(), "{}", self.said("it died by itself"));
            self.died = true;
            self.programs[self.who].start(&[]);
        }
    }

    /// `what`, and all that may explain it.
    pub fn said(&self, what: &str) -> String {
        let (passed, [first, second]) = (self.passed().len(), &self.programs);
        format!("number {} of the two, point `{}`, {passed} passed: {what}\n-- the first\n{}\n-- the second\n{}", self.who, self.at, first.log(), second.log())
    }
}

/// What is played with a pair of programs.
pub trait Stage: Sized {
    fn pair(&mut self) -> &mut Pair;

    /// Finds something when both answer.
    async fn alive(&self) -> Option<()>;

    /// More that may explain why something never came.
    async fn shows(&self) -> String;

    /// Waits until `look` finds what is waited for, and looks after the two meanwhile.
    async fn until<T>(&mut self, what: &str, look: impl AsyncFn(&Self) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look(self).await {
                return found;
            }
            self.pair().look_after();
            if began.elapsed() > PATIENCE {
                let shows = self.shows().await;
                panic!("{}", self.pair().said(&format!("after {PATIENCE:?} still not: {what}; {shows}")));
            }
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }

    /// What is left to do after everybody has been told, such as noting that somebody took something, can be died at too: the one that is to
    /// die is waited for until it passes no more points.
    async fn rest(&mut self) {
        while !self.pair().died {
            let before = self.pair().passed().len();
            tokio::time::sleep(Duration::from_millis(400)).await;
            self.until("both answer", Self::alive).await;
            if self.pair().passed().len() == before {
                return;
            }
        }
    }
}
