//! A calendar date.

use std::fmt;
use std::str::FromStr;

use super::calendar::{Reader, civil_from_days, days_from_civil, days_in_month};
use super::{ParseError, TimestampTz, serde_as_text, serde_name};

/// A calendar date, as days since 1970-01-01. Text form `2024-02-29`; years outside 0000 to 9999 carry a sign (`+12024-02-29`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

impl Date {
    /// PostgreSQL's `-infinity`, before every other date.
    pub const NEG_INFINITY: Self = Self(i32::MIN);
    /// PostgreSQL's `infinity`, after every other date.
    pub const INFINITY: Self = Self(i32::MAX);

    /// From days since 1970-01-01.
    #[must_use]
    pub const fn from_days(days: i32) -> Self {
        Self(days)
    }

    /// From the calendar; `None` if there is no such day.
    #[must_use]
    pub fn new(year: i32, month: u32, day: u32) -> Option<Self> {
        let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
        if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
            return None;
        }
        i32::try_from(days_from_civil(year, month, day)).ok().map(Self)
    }

    /// Today in UTC.
    #[must_use]
    pub fn today() -> Self {
        TimestampTz::now().date()
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub const fn days(self) -> i32 {
        self.0
    }

    /// Year, month and day. The infinities give the first and the last day that can be counted.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an i32 of days is less than 6 million years")]
    pub fn year_month_day(self) -> (i32, u32, u32) {
        let (year, month, day) = civil_from_days(i64::from(self.0));
        (year as i32, month as u32, day as u32)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::INFINITY => return f.write_str("infinity"),
            Self::NEG_INFINITY => return f.write_str("-infinity"),
            _ => {}
        }
        let (year, month, day) = self.year_month_day();
        match year {
            0..=9999 => write!(f, "{year:04}-{month:02}-{day:02}"),
            _ => write!(f, "{year:+05}-{month:02}-{day:02}"),
        }
    }
}

impl FromStr for Date {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const ERROR: ParseError = ParseError::new("a date such as 2024-02-29");
        match text {
            "infinity" => return Ok(Self::INFINITY),
            "-infinity" => return Ok(Self::NEG_INFINITY),
            _ => {}
        }
        let mut reader = Reader(text.as_bytes());
        let days = reader.date().filter(|_| reader.is_at_end()).ok_or(ERROR)?;
        i32::try_from(days).map(Self).map_err(|_| ERROR)
    }
}

serde_as_text!(Date, serde_name::DATE, "a date such as 2024-02-29");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        for text in ["1970-01-01", "2024-02-29", "0001-01-01", "-0044-03-15", "+12024-12-31", "infinity", "-infinity"] {
            assert_eq!(text.parse::<Date>().unwrap().to_string(), text);
        }
        assert_eq!("1969-12-31".parse::<Date>().unwrap().days(), -1);
        assert_eq!(Date::new(2000, 3, 1).unwrap().year_month_day(), (2000, 3, 1));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in
            ["", "2023-02-29", "2023-13-01", "2023-1-1", "2023-01-01 ", "20230101", "12024-12-31", "2023-00-10", "2023-04-31"]
        {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
        assert_eq!(Date::new(2023, 2, 29), None);
    }

    #[test]
    fn json_form_is_the_text() {
        let date = Date::new(1984, 6, 2).unwrap();
        assert_eq!(serde_json::to_string(&date).unwrap(), "\"1984-06-02\"");
        assert_eq!(serde_json::from_str::<Date>("\"1984-06-02\"").unwrap(), date);
        let error = serde_json::from_str::<Date>("\"soon\"").unwrap_err();
        assert!(error.to_string().contains("expected a date such as 2024-02-29"), "{error}");
    }
}
