//! A rest for origins that do not answer: after some failures in a row nothing is sent for a while, then one call tries.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The most origins remembered; beyond it the quiet ones are forgotten.
const MOST: usize = 4096;

/// When to give a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Failures in a row that open the breaker; 0 never opens it.
    pub failures: u32,
    /// How long it stays open.
    pub rest: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures: 5, rest: Duration::from_secs(10) }
    }
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    /// One call tries; until it ends (or this time has passed, should it never) no other is let through.
    Trying { until: Instant },
}

/// The breakers of all origins.
#[derive(Debug)]
pub(crate) struct Breakers {
    config: BreakerConfig,
    origins: Mutex<HashMap<String, State>>,
}

impl Breakers {
    pub(crate) fn new(config: BreakerConfig) -> Self {
        Self { config, origins: Mutex::default() }
    }

    /// Whether a call may go out now; else how long to wait.
    pub(crate) fn admit(&self, origin: &str, now: Instant) -> Result<(), Duration> {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = origins.get_mut(origin) else { return Ok(()) };
        match *state {
            State::Closed { .. } => Ok(()),
            State::Open { until } | State::Trying { until } if now < until => Err(until - now),
            State::Open { .. } | State::Trying { .. } => {
                *state = State::Trying { until: now + self.config.rest.max(Duration::from_secs(1)) };
                Ok(())
            }
        }
    }

    /// What became of a call.
    pub(crate) fn record(&self, origin: &str, good: bool, now: Instant) {
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        if good {
            origins.remove(origin);
            return;
        }
        if origins.len() >= MOST && !origins.contains_key(origin) {
            origins.retain(|_, state| !matches!(state, State::Closed { .. }));
            if origins.len() >= MOST {
                return;
            }
        }
        let state = origins.entry(origin.to_owned()).or_insert(State::Closed { failures: 0 });
        let opened = State::Open { until: now + self.config.rest };
        *state = match *state {
            State::Closed { failures } if self.config.failures == 0 || failures + 1 < self.config.failures => {
                State::Closed { failures: failures.saturating_add(1) }
            }
            State::Closed { .. } | State::Trying { .. } => opened,
            open @ State::Open { .. } => open,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_failures_in_a_row_and_tries_one_call_after_the_rest() {
        let breakers = Breakers::new(BreakerConfig { failures: 3, rest: Duration::from_secs(10) });
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        for _ in 0..2 {
            breakers.record("a", false, at(0));
        }
        breakers.record("a", true, at(0));
        for _ in 0..2 {
            breakers.record("a", false, at(0));
        }
        assert_eq!(breakers.admit("a", at(0)), Ok(()), "a success in between starts the count anew");
        breakers.record("a", false, at(0));
        assert_eq!(breakers.admit("a", at(4)), Err(Duration::from_secs(6)));
        assert_eq!(breakers.admit("b", at(4)), Ok(()), "another origin is not concerned");
        assert_eq!(breakers.admit("a", at(10)), Ok(()), "one call tries");
        assert!(breakers.admit("a", at(10)).is_err(), "and no second one beside it");
        breakers.record("a", false, at(11));
        assert!(breakers.admit("a", at(20)).is_err(), "it failed, so the rest begins anew");
        assert_eq!(breakers.admit("a", at(21)), Ok(()));
        breakers.record("a", true, at(21));
        assert_eq!(breakers.admit("a", at(21)), Ok(()));
        assert_eq!(breakers.admit("a", at(21)), Ok(()), "closed again");
    }

    #[test]
    fn a_try_that_never_ends_does_not_block_for_ever() {
        let breakers = Breakers::new(BreakerConfig { failures: 1, rest: Duration::from_secs(10) });
        let start = Instant::now();
        breakers.record("a", false, start);
        assert_eq!(breakers.admit("a", start + Duration::from_secs(10)), Ok(()));
        assert!(breakers.admit("a", start + Duration::from_secs(19)).is_err());
        assert_eq!(breakers.admit("a", start + Duration::from_secs(20)), Ok(()));
    }
}
