//! Dates and times between numbers and text: days and microseconds from 1970-01-01 on one side, ISO 8601 on the other.

use std::io::Write;

use crate::driver::types::Interval;

pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// Days from 1970-01-01 of a date in the Gregorian calendar; `None` when there is no such date.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years that start in March put the leap day last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Digits only, at least and at most so many.
fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<i64> {
    (digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// `YYYY-MM-DD`, as days.
pub(super) fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let year = number(parts.next()?, 4..=6)?;
    days(year, number(parts.next()?, 2..=2)?, number(parts.next()?, 2..=2)?)
}

/// `HH:MM`, `HH:MM:SS` or `HH:MM:SS.ffffff`, as microseconds; up to `24:00:00`.
pub(super) fn parse_time(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let hour = number(parts.next()?, 2..=2)?;
    let minute = number(parts.next()?, 2..=2)?;
    let (second, fraction) = match parts.next() {
        Some(seconds) => {
            let (second, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
            let digits = number(fraction, 1..=6)?;
            let missing = u32::try_from(6 - fraction.len()).ok()?;
            (number(second, 2..=2)?, digits * 10_i64.pow(missing))
        }
        None => (0, 0),
    };
    if minute > 59 || second > 59 {
        return None;
    }
    let micros = ((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + fraction;
    (micros <= MICROS_PER_DAY).then_some(micros)
}

/// Splits what [`parse_offset`] reads off the end of a time.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    let at = text.find(['Z', 'z', '+', '-'])?;
    Some((&text[..at], parse_offset(&text[at..])?))
}

/// `Z`, `+HH`, `+HHMM`, `+HH:MM` or `+HH:MM:SS`, as seconds east of Greenwich.
fn parse_offset(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits = rest.replace(':', "");
    if !matches!(digits.len(), 2 | 4 | 6) {
        return None;
    }
    let part = |at: usize| digits.get(at..at + 2).map_or(Some(0), |pair| number(pair, 2..=2));
    let (hours, minutes, seconds) = (part(0)?, part(2)?, part(4)?);
    (hours <= 15 && minutes <= 59 && seconds <= 59).then_some(sign * (hours * 3600 + minutes * 60 + seconds))
}

/// A date, `T` or a space, a time; or a date alone. As microseconds.
pub(super) fn parse_timestamp(text: &str) -> Option<i64> {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, parse_time(time)?),
        None => (text, 0),
    };
    parse_date(date)?.checked_mul(MICROS_PER_DAY)?.checked_add(time)
}

/// A timestamp with an offset, as microseconds in UTC.
pub(super) fn parse_timestamp_tz(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let (time, offset) = split_offset(rest)?;
    let wall = parse_date(date)?.checked_mul(MICROS_PER_DAY)?.checked_add(parse_time(time.trim_end())?)?;
    wall.checked_sub(offset * MICROS_PER_SECOND)
}

/// A time with an offset: microseconds, and seconds west of Greenwich as PostgreSQL counts them.
pub(super) fn parse_time_tz(text: &str) -> Option<(i64, i32)> {
    let (time, offset) = split_offset(text)?;
    Some((parse_time(time)?, i32::try_from(-offset).ok()?))
}

/// `HH:MM:SS±HH[:MM[:SS]]`, from microseconds and seconds west of Greenwich.
pub(super) fn write_time_tz(micros: i64, west: i32, out: &mut Vec<u8>) -> std::io::Result<()> {
    let seconds = micros / MICROS_PER_SECOND;
    write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
    let fraction = micros % MICROS_PER_SECOND;
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        write!(out, ".{}", digits.trim_end_matches('0'))?;
    }
    let (sign, offset) = if west > 0 { ('-', west) } else { ('+', -west) };
    write!(out, "{sign}{:02}", offset / 3600)?;
    if offset % 3600 != 0 {
        write!(out, ":{:02}", offset / 60 % 60)?;
    }
    if offset % 60 != 0 {
        write!(out, ":{:02}", offset % 60)?;
    }
    Ok(())
}

/// Quantities with units and at most one time, as PostgreSQL writes intervals: `1 year -2 mons 3 days 04:05:06.5`.
pub(super) fn parse_interval(text: &str) -> Option<Interval> {
    let mut interval = Interval { months: 0, days: 0, microseconds: 0 };
    let mut words = text.split_ascii_whitespace().peekable();
    words.peek()?;
    while let Some(word) = words.next() {
        if word.contains(':') {
            let (sign, time) = match word.split_at_checked(1)? {
                ("-", time) => (-1, time),
                ("+", time) => (1, time),
                _ => (1, word),
            };
            // Hours may be more than a day's.
            let (hours, rest) = time.split_once(':')?;
            let within = parse_time(&format!("00:{rest}"))?;
            let micros = number(hours, 1..=9)?.checked_mul(3600 * MICROS_PER_SECOND)?.checked_add(within)?;
            interval.microseconds = interval.microseconds.checked_add(sign * micros)?;
            continue;
        }
        let quantity: i32 = word.parse().ok()?;
        let clock = |seconds: i64| i64::from(quantity).checked_mul(seconds * MICROS_PER_SECOND);
        match words.next()? {
            "year" | "years" => interval.months = interval.months.checked_add(quantity.checked_mul(12)?)?,
            "mon" | "mons" | "month" | "months" => interval.months = interval.months.checked_add(quantity)?,
            "week" | "weeks" => interval.days = interval.days.checked_add(quantity.checked_mul(7)?)?,
            "day" | "days" => interval.days = interval.days.checked_add(quantity)?,
            "hour" | "hours" => interval.microseconds = interval.microseconds.checked_add(clock(3600)?)?,
            "minute" | "minutes" | "min" | "mins" => interval.microseconds = interval.microseconds.checked_add(clock(60)?)?,
            "second" | "seconds" | "sec" | "secs" => interval.microseconds = interval.microseconds.checked_add(clock(1)?)?,
            _ => return None,
        }
    }
    Some(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_read_exactly() {
        assert_eq!(parse_date("1970-01-01"), Some(0));
        assert_eq!(parse_date("2000-01-01"), Some(10_957));
        assert_eq!(parse_date("1969-12-31"), Some(-1));
        assert_eq!(parse_date("2024-02-29"), Some(19_782));
        assert_eq!(parse_time("23:59:59.5"), Some(86_399_500_000));
        assert_eq!(parse_time("24:00"), Some(MICROS_PER_DAY));
        assert_eq!(parse_timestamp("1970-01-02 00:00:01"), Some(MICROS_PER_DAY + MICROS_PER_SECOND));
        assert_eq!(parse_timestamp_tz("1970-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(parse_timestamp_tz("1970-01-01 00:00:00Z"), Some(0));
        assert_eq!(parse_time_tz("01:02:03+05:30"), Some((3_723_000_000, -19_800)));
    }

    #[test]
    fn what_would_be_guessed_is_refused() {
        for text in ["2023-02-29", "2023-13-01", "2023-1-1", "23-01-01", "2023-01-00", "+2023-01-01", ""] {
            assert_eq!(parse_date(text), None, "{text}");
        }
        for text in ["24:00:00.1", "12:60", "12:00:60", "12", "12:00:00.1234567", "-1:00"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
        assert_eq!(parse_timestamp_tz("1970-01-01 00:00:00"), None);
    }

    #[test]
    fn intervals_as_the_server_writes_them() {
        let interval = |months, days, microseconds| Some(Interval { months, days, microseconds });
        assert_eq!(parse_interval("1 year -2 mons 3 days 04:05:06.5"), interval(10, 3, 14_706_500_000));
        assert_eq!(parse_interval("-100:00:00"), interval(0, 0, -360_000_000_000));
        assert_eq!(parse_interval("90 minutes"), interval(0, 0, 5_400_000_000));
        assert_eq!(parse_interval("soon"), None);
        assert_eq!(parse_interval(""), None);
    }
}
