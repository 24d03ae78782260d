//! The precision a person grants: what becomes of a value before a recipient sees it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::Write as _;
use waybill_keys::es_number;

/// What becomes of a value on its way to a recipient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Transform {
    /// As it is.
    Share,
    /// The mean over tumbling windows aligned to the clock of `zone` (consent-design §6).
    Mean {
        /// Length in seconds; divides a day. Written as an ISO 8601 duration.
        #[serde(serialize_with = "write_duration", deserialize_with = "read_duration")]
        window: u32,
        /// IANA zone name.
        zone: String,
        /// How many samples make a window complete.
        min_samples: u32,
    },
    /// Rounded to a multiple of `step`.
    Round {
        /// In the value's own unit; above zero.
        step: f64,
    },
    /// Only which interval it lies in.
    Bin {
        /// The bounds, ascending, in the value's own unit.
        edges: Vec<f64>,
    },
    /// A place made coarse: the centre of a grid cell, or of an address only the district and what is wider.
    District {
        /// Width of a cell in degrees; above zero.
        grid: f64,
    },
    /// Not at all.
    Drop,
}

impl Transform {
    /// What satisfies both: the same, or the other where one shares the whole value. Two different transformations have no common result
    /// that surely reveals no more than each, so nothing is shown.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Share, other) | (other, Self::Share) => other,
            (one, two) if one == two => one,
            _ => Self::Drop,
        }
    }

    /// One text for each transform, as policies name the precision of an asset.
    pub fn canonical(&self) -> String {
        let number = |n: f64| es_number(n).unwrap_or_else(|| "invalid".to_owned());
        match self {
            Self::Share => "share".to_owned(),
            Self::Drop => "drop".to_owned(),
            Self::Mean { window, zone, min_samples } => format!("mean;{};{zone};{min_samples}", duration(*window)),
            Self::Round { step } => format!("round;{}", number(*step)),
            Self::District { grid } => format!("district;{}", number(*grid)),
            Self::Bin { edges } => edges.iter().fold("bin".to_owned(), |mut out, edge| {
                let _ = write!(out, ";{}", number(*edge));
                out
            }),
        }
    }

    /// What is wrong with the parameters.
    pub fn fault(&self) -> Option<&'static str> {
        let positive = |n: f64| n.is_finite() && n > 0.0;
        match self {
            Self::Share | Self::Drop => None,
            Self::Mean { window, zone, min_samples } => {
                if *window == 0 || 86_400 % window != 0 {
                    Some("the window must divide a day")
                } else if jiff::tz::TimeZone::get(zone).is_err() {
                    Some("the zone is not an IANA time zone")
                } else {
                    (*min_samples == 0).then_some("at least one sample must make a window complete")
                }
            }
            Self::Round { step } => (!positive(*step)).then_some("the step must be above zero"),
            Self::District { grid } => (!positive(*grid)).then_some("the grid must be above zero"),
            Self::Bin { edges } => {
                let ascending = edges.windows(2).all(|pair| pair[0] < pair[1]) && edges.iter().all(|edge| edge.is_finite());
                (edges.is_empty() || !ascending).then_some("the edges must be finite and ascending")
            }
        }
    }

    /// Whether whoever may see a value under `self` learns nothing more by seeing it under `other`.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Share, _) | (_, Self::Drop) => true,
            (Self::Mean { window: wide, zone, min_samples }, Self::Mean { window, zone: other_zone, min_samples: other_min }) => {
                zone == other_zone && *wide > 0 && window % wide == 0 && other_min >= min_samples
            }
            _ => self == other,
        }
    }
}

/// `seconds` as an ISO 8601 duration.
pub(crate) fn duration(seconds: u32) -> String {
    match seconds {
        86_400 => "P1D".to_owned(),
        s if s > 0 && s % 3600 == 0 => format!("PT{}H", s / 3600),
        s if s > 0 && s % 60 == 0 => format!("PT{}M", s / 60),
        s => format!("PT{s}S"),
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
fn write_duration<S: Serializer>(seconds: &u32, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&duration(*seconds))
}

fn read_duration<'de, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
    parse_duration(&text).ok_or_else(|| serde::de::Error::custom("not an ISO 8601 duration of hours, minutes and seconds, or P1D"))
}

/// The seconds of an ISO 8601 duration of at most a day.
fn parse_duration(text: &str) -> Option<u32> {
    let span: jiff::Span = text.parse().ok()?;
    let larger = span.get_years() != 0 || span.get_months() != 0 || span.get_weeks() != 0 || !text.starts_with('P');
    let smaller = span.get_milliseconds() != 0 || span.get_microseconds() != 0 || span.get_nanoseconds() != 0;
    let seconds = i64::from(span.get_days()) * 86_400 + i64::from(span.get_hours()) * 3600 + span.get_minutes() * 60 + span.get_seconds();
    (!larger && !smaller && (1..=86_400).contains(&seconds)).then(|| u32::try_from(seconds).ok())?
}
