//! A time of day.

use std::fmt;
use std::str::FromStr;

use super::calendar::{MICROS_PER_DAY, MICROS_PER_SECOND, Reader, write_fraction};
use super::{ParseError, serde_as_text, serde_name};

/// A time of day without zone, as microseconds since midnight, up to 24:00. Text form `13:05:00.25`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// 00:00.
    pub const MIDNIGHT: Self = Self(0);

    /// From microseconds since midnight; `None` beyond 86,400,000,000, which is 24:00.
    #[must_use]
    pub fn from_micros(micros: u64) -> Option<Self> {
        (micros <= MICROS_PER_DAY.unsigned_abs()).then_some(Self(micros))
    }

    /// From the clock; `None` if there is no such time.
    #[must_use]
    pub fn new(hour: u32, minute: u32, second: u32) -> Option<Self> {
        let valid = hour < 24 && minute < 60 && second < 60;
        valid.then(|| Self((u64::from(hour) * 3_600 + u64::from(minute) * 60 + u64::from(second)) * 1_000_000))
    }

    /// Microseconds since midnight.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.cast_signed();
        let seconds = micros / MICROS_PER_SECOND;
        write!(f, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)?;
        write_fraction(f, micros % MICROS_PER_SECOND)
    }
}

impl FromStr for Time {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut reader = Reader(text.as_bytes());
        let micros = reader.time().filter(|_| reader.is_at_end()).ok_or(ParseError::new("a time such as 13:05:00"))?;
        Ok(Self(micros.unsigned_abs()))
    }
}

serde_as_text!(Time, serde_name::TIME, "a time such as 13:05:00");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        for text in ["00:00:00", "13:05:00.25", "23:59:59.999999", "24:00:00", "00:00:00.000001"] {
            assert_eq!(text.parse::<Time>().unwrap().to_string(), text);
        }
        assert_eq!("09:30".parse::<Time>().unwrap(), Time::new(9, 30, 0).unwrap());
        assert_eq!("09:30:00.1234567".parse::<Time>().unwrap().micros(), 34_200_123_456);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "24:00:01", "12:60", "12:00:60", "1:00", "12:00:00.", "12:00Z"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
        assert_eq!(Time::from_micros(86_400_000_001), None);
    }
}
