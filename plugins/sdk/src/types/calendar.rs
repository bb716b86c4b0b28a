//! Days to calendar dates and back, and the fixed-width fields of ISO 8601.

pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// Days since 1970-01-01 in the proleptic Gregorian calendar; the caller has checked month and day.
///
/// Counts in eras of 400 years that begin in March, so that the leap day is the last of its year.
pub(super) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a count of days since 1970-01-01.
pub(super) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

pub(super) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Reads a text from left to right.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes one of these characters, if it is next.
    pub(super) fn take_any(&mut self, wanted: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        wanted.contains(&first).then(|| {
            self.0 = rest;
            first
        })
    }

    pub(super) fn take(&mut self, wanted: u8) -> Option<()> {
        self.take_any(&[wanted]).map(drop)
    }

    /// Takes `min` to `max` digits, as many as there are.
    pub(super) fn digits(&mut self, min: usize, max: usize) -> Option<i64> {
        let count = self.0.iter().take(max).take_while(|byte| byte.is_ascii_digit()).count();
        if count < min {
            return None;
        }
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        Some(digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    }

    /// Takes `[+-]YYYY-MM-DD`; years beyond four digits need the sign. Gives days since 1970-01-01.
    pub(super) fn date(&mut self) -> Option<i64> {
        let sign = self.take_any(b"+-");
        let year = self.digits(4, if sign.is_some() { 7 } else { 4 })?;
        let year = if sign == Some(b'-') { -year } else { year };
        self.take(b'-')?;
        let month = self.digits(2, 2)?;
        self.take(b'-')?;
        let day = self.digits(2, 2)?;
        ((1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day)).then(|| days_from_civil(year, month, day))
    }

    /// Takes `HH:MM[:SS[.f…]]`, up to 24:00:00. Gives microseconds; digits beyond the sixth are dropped.
    pub(super) fn time(&mut self) -> Option<i64> {
        let hour = self.digits(2, 2)?;
        self.take(b':')?;
        let minute = self.digits(2, 2)?;
        let mut micros = 0;
        let mut second = 0;
        if self.take(b':').is_some() {
            second = self.digits(2, 2)?;
            if self.take(b'.').is_some() {
                micros = self.fraction()?;
            }
        }
        let total = ((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + micros;
        (hour <= 24 && minute < 60 && second < 60 && total <= MICROS_PER_DAY).then_some(total)
    }

    /// Takes the digits after a decimal point, as millionths.
    pub(super) fn fraction(&mut self) -> Option<i64> {
        let before = self.0.len();
        let mut micros = self.digits(1, 6)?;
        for _ in before - self.0.len()..6 {
            micros *= 10;
        }
        let excess = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.0 = &self.0[excess..];
        Some(micros)
    }

    /// Takes `Z` or `±HH[[:]MM]`. Gives the offset in microseconds.
    pub(super) fn offset(&mut self) -> Option<i64> {
        let sign = match self.take_any(b"Zz+-")? {
            b'-' => -1,
            b'+' => 1,
            _ => return Some(0),
        };
        let hours = self.digits(2, 2)?;
        let colon = self.take(b':').is_some();
        let minutes = if colon || !self.is_at_end() { self.digits(2, 2)? } else { 0 };
        (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60 * MICROS_PER_SECOND)
    }
}

/// Writes `.f…` without trailing zeros, or nothing.
pub(super) fn write_fraction(f: &mut std::fmt::Formatter<'_>, micros: i64) -> std::fmt::Result {
    if micros == 0 {
        return Ok(());
    }
    let digits = format!("{micros:06}");
    write!(f, ".{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_thousand_years_comes_back() {
        let (mut year, mut month, mut day) = (-1_000, 1, 1);
        let first = days_from_civil(year, month, day);
        for days in first..first + 4_000 * 366 {
            assert_eq!(civil_from_days(days), (year, month, day));
            assert_eq!(days_from_civil(year, month, day), days);
            day += 1;
            if day > days_in_month(year, month) {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(days_from_civil(2000, 3, 1), 11_017);
    }
}
