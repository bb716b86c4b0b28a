//! Wall-clock timestamps and instants.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use super::calendar::{MICROS_PER_DAY, Reader};
use super::{Date, ParseError, Time, serde_as_text, serde_name};

const WITHOUT_ZONE: &str = "a timestamp such as 2024-02-29T13:05:00";
const WITH_ZONE: &str = "a timestamp with zone such as 2024-02-29T13:05:00Z";

/// A date and a time of day without zone, as microseconds since 1970-01-01T00:00:00. Text form `2024-02-29T13:05:00.25`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// An instant, as microseconds since 1970-01-01T00:00:00 in UTC. Text form `2024-02-29T13:05:00.25Z`; any offset is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimestampTz(i64);

/// What both have in common.
macro_rules! timestamp {
    ($type:ident) => {
        impl $type {
            /// PostgreSQL's `-infinity`, before all others.
            pub const NEG_INFINITY: Self = Self(i64::MIN);
            /// PostgreSQL's `infinity`, after all others.
            pub const INFINITY: Self = Self(i64::MAX);

            /// From microseconds since 1970-01-01T00:00:00.
            #[must_use]
            pub const fn from_micros(micros: i64) -> Self {
                Self(micros)
            }

            /// From a date and a time of day; `None` beyond 290,000 years.
            #[must_use]
            pub fn new(date: Date, time: Time) -> Option<Self> {
                let midnight = i64::from(date.days()).checked_mul(MICROS_PER_DAY)?;
                midnight.checked_add_unsigned(time.micros()).map(Self)
            }

            /// Microseconds since 1970-01-01T00:00:00.
            #[must_use]
            pub const fn micros(self) -> i64 {
                self.0
            }

            /// The date part.
            #[must_use]
            pub fn date(self) -> Date {
                match self {
                    Self::INFINITY => Date::INFINITY,
                    Self::NEG_INFINITY => Date::NEG_INFINITY,
                    // An i64 of microseconds is less than 2^27 days.
                    _ => Date::from_days(i32::try_from(self.0.div_euclid(MICROS_PER_DAY)).unwrap_or_default()),
                }
            }

            /// The time of day.
            #[must_use]
            pub fn time(self) -> Time {
                Time::from_micros(self.0.rem_euclid(MICROS_PER_DAY).unsigned_abs()).unwrap_or(Time::MIDNIGHT)
            }
        }
    };
}

timestamp!(Timestamp);
timestamp!(TimestampTz);

impl TimestampTz {
    /// Now, by the host's clock.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// Reads date, separator and time. Gives microseconds.
fn read(reader: &mut Reader<'_>) -> Option<i64> {
    let days = reader.date()?;
    reader.take_any(b"Tt ")?;
    let time = reader.time()?;
    days.checked_mul(MICROS_PER_DAY)?.checked_add(time)
}

fn infinity(text: &str) -> Option<i64> {
    match text {
        "infinity" => Some(i64::MAX),
        "-infinity" => Some(i64::MIN),
        _ => None,
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::INFINITY | Self::NEG_INFINITY => write!(f, "{}", self.date()),
            _ => write!(f, "{}T{}", self.date(), self.time()),
        }
    }
}

impl fmt::Display for TimestampTz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::INFINITY | Self::NEG_INFINITY => write!(f, "{}", self.date()),
            _ => write!(f, "{}T{}Z", self.date(), self.time()),
        }
    }
}

impl FromStr for Timestamp {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if let Some(micros) = infinity(text) {
            return Ok(Self(micros));
        }
        let mut reader = Reader(text.as_bytes());
        read(&mut reader).filter(|_| reader.is_at_end()).map(Self).ok_or(ParseError::new(WITHOUT_ZONE))
    }
}

impl FromStr for TimestampTz {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if let Some(micros) = infinity(text) {
            return Ok(Self(micros));
        }
        let mut reader = Reader(text.as_bytes());
        let local = read(&mut reader);
        let instant = local.zip(reader.offset()).and_then(|(local, offset)| local.checked_sub(offset));
        instant.filter(|_| reader.is_at_end()).map(Self).ok_or(ParseError::new(WITH_ZONE))
    }
}

serde_as_text!(Timestamp, serde_name::TIMESTAMP, WITHOUT_ZONE);
serde_as_text!(TimestampTz, serde_name::TIMESTAMP_TZ, WITH_ZONE);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        for text in ["1970-01-01T00:00:00", "1969-12-31T23:59:59.999999", "2024-02-29T13:05:00.25", "infinity", "-infinity"] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        assert_eq!("1969-12-31T23:59:59.999999".parse::<Timestamp>().unwrap().micros(), -1);
        assert_eq!("2024-02-29T13:05:00Z".parse::<TimestampTz>().unwrap().to_string(), "2024-02-29T13:05:00Z");
    }

    #[test]
    fn separators_and_offsets_are_understood() {
        let instant: TimestampTz = "2024-02-29T13:05:00Z".parse().unwrap();
        for text in ["2024-02-29 13:05:00+00:00", "2024-02-29T14:05:00+01", "2024-02-29T08:35:00-0430", "2024-02-29 13:05z"] {
            assert_eq!(text.parse::<TimestampTz>().unwrap(), instant, "{text}");
        }
        assert_eq!("2024-02-29 13:05:00".parse::<Timestamp>().unwrap().time(), Time::new(13, 5, 0).unwrap());
        assert_eq!(instant.date(), Date::new(2024, 2, 29).unwrap());
        assert_eq!(TimestampTz::new(instant.date(), instant.time()), Some(instant));
    }

    #[test]
    fn zone_where_none_belongs_and_none_where_one_does_are_refused() {
        assert!("2024-02-29T13:05:00Z".parse::<Timestamp>().is_err());
        for text in
            ["2024-02-29T13:05:00", "2024-02-29T13:05:00+1", "2024-02-29T13:05:00+01:", "2024-02-29", "2024-02-29T13:05:00+24:00"]
        {
            assert!(text.parse::<TimestampTz>().is_err(), "{text}");
        }
    }
}
