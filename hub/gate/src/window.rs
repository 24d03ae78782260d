//! Averages over tumbling windows, aligned to the clock of a named zone (consent-design §6).
//!
//! A window is released once, when it is over and has enough samples. Late values never re-release. The accumulator is kept in the
//! store, in the same Batch as the value that it takes in.

use serde::{Deserialize, Serialize};
use waybill_model::DateTime;

/// How a window lies: its length and the zone whose midnight it is counted from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WindowShape {
    /// Length in whole seconds; must divide a day.
    pub seconds: i64,
    /// An IANA zone, e.g. `Europe/Brussels`.
    pub zone: String,
}

impl WindowShape {
    /// The window that holds `at`: its start and its end, in UTC. Nothing when the zone is unknown or the length does not divide a day.
    ///
    /// Windows restart at each local midnight, so the one before a change of the clock may be shorter or longer than `seconds`.
    pub fn around(&self, at: DateTime) -> Option<(DateTime, DateTime)> {
        if self.seconds <= 0 || 86_400 % self.seconds != 0 {
            return None;
        }
        let zone = jiff::tz::TimeZone::get(&self.zone).ok()?;
        let instant = jiff::Timestamp::from_microsecond(at.micros()).ok()?;
        let local = instant.to_zoned_datetime(zone);
        let midnight = local.start_of_day().ok()?;
        let next = local.tomorrow().ok()?.start_of_day().ok()?;
        let day = midnight.timestamp().as_second();
        let since = at.seconds() - day;
        let start = day + since - since % self.seconds;
        let end = (start + self.seconds).min(next.timestamp().as_second());
        Some((DateTime::from_seconds(start), DateTime::from_seconds(end)))
    }

    /// The length as an ISO 8601 duration, e.g. `PT1H`.
    pub fn iso(&self) -> String {
        match self.seconds {
            86_400 => "P1D".into(),
            s if s % 3600 == 0 => format!("PT{}H", s / 3600),
            s if s % 60 == 0 => format!("PT{}M", s / 60),
            s => format!("PT{s}S"),
        }
    }
}

/// A window that is over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Closed {
    /// Its start.
    pub start: DateTime,
    /// Its end; the `observedAt` of the mean.
    pub end: DateTime,
    /// The mean of the samples.
    pub mean: f64,
    /// How many samples.
    pub samples: u32,
}

/// What is known of one Attribute under one shape: the window in progress and the last few that are over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Accumulator {
    current: Option<Running>,
    closed: Vec<Closed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Running {
    start: DateTime,
    end: DateTime,
    sum: f64,
    samples: u32,
    last: DateTime,
}

/// How many windows that are over an accumulator remembers: grants with different minimum samples may look at different ones.
const KEPT: usize = 4;

impl Accumulator {
    /// Takes in a sample observed `at`. One that belongs to a window before the present one is late and changes nothing; so is
    /// one with the same or an earlier time than the last in its window. Returns whether it counted.
    pub fn add(&mut self, shape: &WindowShape, at: DateTime, value: f64) -> bool {
        if !value.is_finite() || self.closed.last().is_some_and(|c| at < c.end) {
            return false;
        }
        let Some((start, end)) = shape.around(at) else { return false };
        match &mut self.current {
            Some(run) if run.start == start => {
                if at <= run.last {
                    return false;
                }
                run.sum += value;
                run.samples += 1;
                run.last = at;
            }
            Some(run) if start < run.start => return false,
            _ => {
                self.close_current();
                self.current = Some(Running { start, end, sum: value, samples: 1, last: at });
            }
        }
        true
    }

    /// Ends the window in progress when it is over at `now`. Returns whether one ended.
    pub fn close(&mut self, now: DateTime) -> bool {
        let over = self.current.is_some_and(|run| run.end <= now);
        if over {
            self.close_current();
        }
        over
    }

    fn close_current(&mut self) {
        if let Some(run) = self.current.take() {
            self.closed.push(Closed { start: run.start, end: run.end, mean: run.sum / f64::from(run.samples), samples: run.samples });
            let extra = self.closed.len().saturating_sub(KEPT);
            self.closed.drain(..extra);
        }
    }

    /// When the window in progress ends.
    pub fn due(&self) -> Option<DateTime> {
        self.current.map(|run| run.end)
    }

    /// The newest window that is over, has at least `min_samples`, and lies wholly within what the grant covers: from `from` on.
    pub fn latest(&self, from: DateTime, min_samples: u32) -> Option<Closed> {
        self.closed.iter().rev().find(|c| c.start >= from && c.samples >= min_samples.max(1)).copied()
    }
}

/// The documents that hold accumulators.
pub const WINDOW: &str = "window";

/// The key of an accumulator.
pub fn key(tenant: &str, entity: &str, attribute: &str, seconds: i64, zone: &str) -> String {
    [tenant, entity, attribute, &seconds.to_string(), zone].join("\u{1f}")
}
