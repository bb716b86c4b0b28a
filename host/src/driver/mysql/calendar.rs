//! Dates of the Gregorian calendar, and times, between numbers and the binary forms of the protocol.

pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// The longest TIME, either way: 838:59:59.999999.
pub(super) const MAX_TIME: i64 = (839 * 3600) * MICROS_PER_SECOND - 1;

/// Days from 1970-01-01; `None` when there is no such date, as with the zero dates that some `sql_mode`s let in.
pub(super) fn days(year: i64, month: i64, day: i64) -> Option<i64> {
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
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year.rem_euclid(400) * 365 + year.rem_euclid(400) / 4 - year.rem_euclid(400) / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Year, month and day of so many days from 1970-01-01; `None` outside of the years 0 to 9999.
pub(super) fn date(days: i64) -> Option<(u16, u8, u8)> {
    let shifted = days.checked_add(719_468)?;
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + shifted.div_euclid(146_097) * 400 + i64::from(month <= 2);
    let year = u16::try_from(year).ok().filter(|year| *year <= 9999)?;
    Some((year, u8::try_from(month).ok()?, u8::try_from(day).ok()?))
}

/// Hours, minutes, seconds and microseconds of a day.
pub(super) fn clock(micros: i64) -> Option<(u8, u8, u8, u32)> {
    let seconds = micros / MICROS_PER_SECOND;
    let part = |value: i64| u8::try_from(value).ok();
    let fraction = u32::try_from(micros % MICROS_PER_SECOND).ok()?;
    Some((part(seconds / 3600)?, part(seconds / 60 % 60)?, part(seconds % 60)?, fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_eleven_centuries_comes_back() {
        for day in -200_000..200_000 {
            let (year, month, day_of_month) = date(day).expect("within range");
            assert_eq!(days(year.into(), month.into(), day_of_month.into()), Some(day));
        }
        assert_eq!((date(0), date(19_782)), (Some((1970, 1, 1)), Some((2024, 2, 29))));
        assert_eq!((date(2_932_896), date(2_932_897), date(i64::MAX)), (Some((9999, 12, 31)), None, None));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for (year, month, day) in [(0, 0, 0), (2024, 0, 1), (2024, 1, 0), (2023, 2, 29), (2024, 13, 1), (2024, 4, 31)] {
            assert_eq!(days(year, month, day), None, "{year}-{month}-{day}");
        }
        assert_eq!(clock(86_399_999_999), Some((23, 59, 59, 999_999)));
    }
}
