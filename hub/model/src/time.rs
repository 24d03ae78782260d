//! Points in time, in UTC with microseconds, as NGSI-LD writes them (clause 4.6.3).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A point in time: microseconds since 1970-01-01T00:00:00Z. Written `YYYY-MM-DDThh:mm:ss[.ffffff]Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DateTime(i64);

/// Why a text is not an NGSI-LD DateTime.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a DateTime: it must be UTC as in 2026-11-24T07:00:00Z, with at most six fraction digits")]
pub struct DateTimeError(pub String);

impl DateTime {
    /// Reads `YYYY-MM-DDThh:mm:ss[.|,f{1,6}]Z`; a comma before the fraction is accepted on input.
    ///
    /// # Errors
    /// [`DateTimeError`] when the text has another shape, another zone than `Z`, or names no real date.
    pub fn parse(text: &str) -> Result<Self, DateTimeError> {
        let refuse = || DateTimeError(text.chars().take(60).collect());
        let b = text.as_bytes();
        let shape = b.len() >= 20
            && b[b.len() - 1] == b'Z'
            && b[..19].iter().enumerate().all(|(i, c)| match i {
                4 | 7 => *c == b'-',
                10 => *c == b'T',
                13 | 16 => *c == b':',
                _ => c.is_ascii_digit(),
            });
        let fraction = if shape { &b[19..b.len() - 1] } else { return Err(refuse()) };
        let good = fraction.is_empty()
            || (matches!(fraction[0], b'.' | b',')
                && (2..=7).contains(&fraction.len())
                && fraction[1..].iter().all(u8::is_ascii_digit));
        if !good {
            return Err(refuse());
        }
        let plain = text.replace(',', ".");
        let at: jiff::Timestamp = plain.parse().map_err(|_| refuse())?;
        Ok(Self(at.as_microsecond()))
    }

    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From whole seconds since the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This time moved by `micros` (may be negative), saturating.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// This time moved by `seconds` (may be negative), saturating.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        self.plus_micros(seconds.saturating_mul(1_000_000))
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(at) => write!(f, "{at}"),
            Err(_) => f.write_str("9999-12-30T22:00:00Z"),
        }
    }
}
impl std::str::FromStr for DateTime {
    type Err = DateTimeError;
    fn from_str(s: &str) -> Result<Self, DateTimeError> {
        Self::parse(s)
    }
}
impl Serialize for DateTime {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for DateTime {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
