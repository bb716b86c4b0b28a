//! Dates and times as SQLite's own functions write them, to and from the numbers of the vocabulary.
//!
//! Years 0 to 9999 only: that is what SQLite's date functions take, and what sorts as text.

use std::fmt::Write;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// 0000-01-01.
const FIRST_DAY: i32 = -719_528;
/// 9999-12-31.
const LAST_DAY: i32 = 2_932_896;

/// `YYYY-MM-DD`; `None` outside the years 0 to 9999.
pub(super) fn format_date(days: i32) -> Option<String> {
    let mut text = String::with_capacity(10);
    write_date(&mut text, days)?;
    Some(text)
}

/// `HH:MM:SS`, with six digits of a second where there are any; `None` beyond 24:00.
pub(super) fn format_time(micros: u64) -> Option<String> {
    let micros = i64::try_from(micros).ok().filter(|&micros| micros <= MICROS_PER_DAY)?;
    let mut text = String::with_capacity(15);
    write_time(&mut text, micros);
    Some(text)
}

/// `YYYY-MM-DD HH:MM:SS`, with six digits of a second where there are any; `None` outside the years 0 to 9999.
pub(super) fn format_timestamp(micros: i64) -> Option<String> {
    let mut text = String::with_capacity(32);
    write_date(&mut text, i32::try_from(micros.div_euclid(MICROS_PER_DAY)).ok()?)?;
    text.push(' ');
    write_time(&mut text, micros.rem_euclid(MICROS_PER_DAY));
    Some(text)
}

/// Days since 1970-01-01 of `YYYY-MM-DD`.
pub(super) fn parse_date(text: &str) -> Option<i32> {
    let mut scan = Scan(text.as_bytes());
    let days = scan.date()?;
    scan.ended().then_some(days)
}

/// Microseconds since midnight of `HH:MM`, `HH:MM:SS` or `HH:MM:SS.f`.
pub(super) fn parse_time(text: &str) -> Option<u64> {
    let mut scan = Scan(text.as_bytes());
    let micros = scan.time()?;
    (scan.ended() && micros <= MICROS_PER_DAY).then_some(micros.unsigned_abs())
}

/// Microseconds since 1970-01-01T00:00:00 of a date, or of a date and a time with a blank or `T` between them. An offset is taken
/// off, as SQLite's own functions do; what has none is taken as UTC.
pub(super) fn parse_timestamp(text: &str) -> Option<i64> {
    let mut scan = Scan(text.as_bytes());
    let date = i64::from(scan.date()?) * MICROS_PER_DAY;
    if scan.ended() {
        return Some(date);
    }
    scan.any(b"T t")?;
    let time = scan.time().filter(|&micros| micros < MICROS_PER_DAY)?;
    let offset = scan.offset()?;
    scan.ended().then_some(date + time - offset)
}

/// A text that is read from its beginning.
struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn ended(&self) -> bool {
        self.0.is_empty()
    }

    fn any(&mut self, wanted: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        wanted.contains(&first).then(|| {
            self.0 = rest;
            first
        })
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let number =
            digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))?;
        self.0 = rest;
        Some(number)
    }

    fn date(&mut self) -> Option<i32> {
        let year = self.digits(4)?;
        self.any(b"-")?;
        let month = self.digits(2)?;
        self.any(b"-")?;
        let day = self.digits(2)?;
        let valid = (1..=12).contains(&month) && (1..=days_of_month(year, month)).contains(&day);
        valid.then(|| days_of(year, month, day))
    }

    /// Up to 24:00:00, which the callers judge.
    fn time(&mut self) -> Option<i64> {
        let hours = self.digits(2)?;
        self.any(b":")?;
        let minutes = self.digits(2)?;
        let mut micros = 0;
        if self.any(b":").is_some() {
            let seconds = self.digits(2).filter(|&seconds| seconds < 60)?;
            micros = seconds * MICROS_PER_SECOND;
            if self.any(b".").is_some() {
                micros += self.fraction()?;
            }
        }
        (hours <= 24 && minutes < 60).then_some((hours * 60 + minutes) * 60 * MICROS_PER_SECOND + micros)
    }

    /// Digits below a microsecond must be zeros: nothing is cut off silently.
    fn fraction(&mut self) -> Option<i64> {
        let (mut micros, mut unit) = (self.digits(1)? * 100_000, 10_000);
        while let Some(digit) = self.digits(1) {
            if unit == 0 && digit != 0 {
                return None;
            }
            micros += digit * unit;
            unit /= 10;
        }
        Some(micros)
    }

    /// `Z`, `+HH`, `+HHMM`, `+HH:MM` or nothing, with a blank before it if one likes.
    fn offset(&mut self) -> Option<i64> {
        if self.ended() {
            return Some(0);
        }
        self.any(b" ");
        let sign = match self.any(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let hours = self.digits(2).filter(|&hours| hours < 24)?;
        let minutes = match self.any(b":").is_some() || !self.ended() {
            true => self.digits(2).filter(|&minutes| minutes < 60)?,
            false => 0,
        };
        Some(sign * (hours * 60 + minutes) * 60 * MICROS_PER_SECOND)
    }
}

fn write_date(text: &mut String, days: i32) -> Option<()> {
    if !(FIRST_DAY..=LAST_DAY).contains(&days) {
        return None;
    }
    let (year, month, day) = civil_of(i64::from(days));
    write!(text, "{year:04}-{month:02}-{day:02}").ok()
}

fn write_time(text: &mut String, micros: i64) {
    let (seconds, fraction) = (micros / MICROS_PER_SECOND, micros % MICROS_PER_SECOND);
    // Writing to a string does not fail.
    let _ = write!(text, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction != 0 {
        let _ = write!(text, ".{fraction:06}");
    }
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Years begin in March here, so that the odd day of a leap year is its last.
fn days_of(year: i64, month: i64, day: i64) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    i32::try_from(era * 146_097 + day_of_era - 719_468).unwrap_or(i32::MAX)
}

fn civil_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = (march_month + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * march_month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_ten_thousand_years_is_the_calendars() {
        let mut date = jiff::civil::date(0, 1, 1);
        for days in FIRST_DAY..=LAST_DAY {
            let text = format_date(days).unwrap();
            assert_eq!(text, date.strftime("%Y-%m-%d").to_string());
            assert_eq!(parse_date(&text), Some(days));
            if days < LAST_DAY {
                date = date.tomorrow().unwrap();
            }
        }
        assert_eq!(format_date(FIRST_DAY - 1), None);
        assert_eq!(format_date(LAST_DAY + 1), None);
        assert_eq!((format_date(i32::MIN), format_date(i32::MAX)), (None, None));
    }

    #[test]
    fn times_keep_microseconds_and_nothing_less() {
        for (text, micros) in [
            ("00:00", 0),
            ("00:00:00", 0),
            ("23:59:59.999999", 86_399_999_999),
            ("24:00:00", 86_400_000_000),
            ("01:02:03.5", 3_723_500_000),
            ("01:02:03.123456000", 3_723_123_456),
        ] {
            assert_eq!(parse_time(text), Some(micros), "{text}");
        }
        for text in ["", "1:2", "24:00:01", "25:00", "12:60", "12:00:60", "12:00:00.", "12:00:00.1234567", "12:00Z", "noon"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
        assert_eq!(format_time(3_723_000_001).as_deref(), Some("01:02:03.000001"));
        assert_eq!(format_time(86_400_000_000).as_deref(), Some("24:00:00"));
        assert_eq!(format_time(86_400_000_001), None);
    }

    #[test]
    fn timestamps_take_the_usual_forms() {
        for (text, micros) in [
            ("1970-01-01", 0),
            ("1970-01-01 00:00", 0),
            ("1970-01-01T00:00:01Z", 1_000_000),
            ("1970-01-01 01:00:00+01:00", 0),
            ("1970-01-01 01:00:00 +0100", 0),
            ("1969-12-31T19:00:00.25-05", 250_000),
            ("1969-12-31 23:59:59.999999", -1),
        ] {
            assert_eq!(parse_timestamp(text), Some(micros), "{text}");
        }
        for text in
            ["", "1970-02-30 00:00", "1970-01-01T", "1970-01-01 24:00", "1970-01-01 00:00:00+1", "now", "1970-01-01 00:00 CET"]
        {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
        for micros in [0, -1, 1, 253_402_300_799_999_999, -62_167_219_200_000_000] {
            assert_eq!(parse_timestamp(&format_timestamp(micros).unwrap()), Some(micros));
        }
        assert_eq!((format_timestamp(i64::MIN), format_timestamp(i64::MAX)), (None, None));
        assert_eq!((format_timestamp(253_402_300_800_000_000), format_timestamp(-62_167_219_200_000_001)), (None, None));
    }
}
