//! A span of calendar and clock time.

use std::fmt;
use std::str::FromStr;

use super::calendar::{MICROS_PER_SECOND, Reader, write_fraction};
use super::{ParseError, serde_as_text, serde_name};
use crate::wire;

/// A span of calendar and clock time whose three parts are independent. Text form is that of ISO 8601: `P1Y2M3DT4H5M6.5S`, where each
/// number may have its own sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interval {
    /// Whole months; a year is twelve.
    pub months: i32,
    /// Days, however long each may be.
    pub days: i32,
    /// Clock time.
    pub microseconds: i64,
}

impl From<wire::Interval> for Interval {
    fn from(interval: wire::Interval) -> Self {
        Self { months: interval.months, days: interval.days, microseconds: interval.microseconds }
    }
}

impl From<Interval> for wire::Interval {
    fn from(interval: Interval) -> Self {
        Self { months: interval.months, days: interval.days, microseconds: interval.microseconds }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("PT0S");
        }
        f.write_str("P")?;
        for (number, unit) in [(self.months / 12, 'Y'), (self.months % 12, 'M'), (self.days, 'D')] {
            if number != 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        if self.microseconds == 0 {
            return Ok(());
        }
        f.write_str("T")?;
        let seconds = self.microseconds / MICROS_PER_SECOND;
        let micros = self.microseconds % MICROS_PER_SECOND;
        for (number, unit) in [(seconds / 3_600, 'H'), (seconds / 60 % 60, 'M')] {
            if number != 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        if seconds % 60 != 0 || micros != 0 {
            let sign = if self.microseconds < 0 { "-" } else { "" };
            write!(f, "{sign}{}", (seconds % 60).abs())?;
            write_fraction(f, micros.abs())?;
            f.write_str("S")?;
        }
        Ok(())
    }
}

/// Reads one `[-]N[.f]UNIT`. Gives the whole part, the millionths (both signed) and the unit.
fn part(reader: &mut Reader<'_>) -> Option<(i64, i64, u8)> {
    let sign = if reader.take_any(b"+-") == Some(b'-') { -1 } else { 1 };
    let whole = reader.digits(1, 12)?;
    let micros = if reader.take_any(b".,").is_some() { reader.fraction()? } else { 0 };
    let unit = reader.take_any(b"YMWDHS")?;
    (micros == 0 || unit == b'S').then_some((sign * whole, sign * micros, unit))
}

fn read(reader: &mut Reader<'_>) -> Option<Interval> {
    let (mut months, mut days, mut microseconds) = (0_i64, 0_i64, 0_i64);
    let mut clock = false;
    reader.take(b'P')?;
    if reader.is_at_end() {
        return None;
    }
    while !reader.is_at_end() {
        if !clock && reader.take(b'T').is_some() {
            clock = true;
        }
        let (whole, micros, unit) = part(reader)?;
        let seconds = match (clock, unit) {
            (false, b'Y') => {
                months = months.saturating_add(whole * 12);
                continue;
            }
            (false, b'M') => {
                months = months.saturating_add(whole);
                continue;
            }
            (false, b'W' | b'D') => {
                days = days.saturating_add(if unit == b'W' { whole * 7 } else { whole });
                continue;
            }
            (true, b'H') => whole.checked_mul(3_600)?,
            (true, b'M') => whole.checked_mul(60)?,
            (true, b'S') => whole,
            _ => return None,
        };
        microseconds = microseconds.checked_add(seconds.checked_mul(MICROS_PER_SECOND)?.checked_add(micros)?)?;
    }
    Some(Interval { months: i32::try_from(months).ok()?, days: i32::try_from(days).ok()?, microseconds })
}

impl FromStr for Interval {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        read(&mut Reader(text.as_bytes())).ok_or(ParseError::new("an interval such as P1Y2M3DT4H5M6S"))
    }
}

serde_as_text!(Interval, serde_name::INTERVAL, "an interval such as P1Y2M3DT4H5M6S");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        for text in ["PT0S", "P1Y2M3DT4H5M6.5S", "P-1Y-2M", "P3D", "PT-0.5S", "PT-1H-1S", "P1MT1M", "PT36H"] {
            assert_eq!(text.parse::<Interval>().unwrap().to_string(), text);
        }
        assert_eq!("P2W".parse(), Ok(Interval { months: 0, days: 14, microseconds: 0 }));
    }

    #[test]
    fn what_is_no_interval_is_refused() {
        for text in ["", "P", "1D", "P1", "PT1D", "P1H", "P1.5D", "P1DT", "PT99999999999999H", "P999999999Y"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }
}
