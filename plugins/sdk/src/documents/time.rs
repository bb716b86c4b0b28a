//! Between MongoDB's dates and the instants of this crate.

use bson::DateTime;

use crate::types::TimestampTz;

impl From<DateTime> for TimestampTz {
    /// What is beyond 290,000 years becomes infinite.
    fn from(date: DateTime) -> Self {
        Self::from_micros(date.timestamp_millis().saturating_mul(1000))
    }
}

impl From<TimestampTz> for DateTime {
    /// MongoDB keeps milliseconds; what is finer is cut off.
    fn from(instant: TimestampTz) -> Self {
        Self::from_millis(instant.micros().div_euclid(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_lose_what_is_finer_than_a_millisecond() {
        for (instant, date) in [
            ("2024-02-29T13:05:00.25Z", "2024-02-29T13:05:00.25Z"),
            ("2024-02-29T13:05:00.250999Z", "2024-02-29T13:05:00.25Z"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999Z"),
        ] {
            let instant: TimestampTz = instant.parse().unwrap();
            assert_eq!(TimestampTz::from(DateTime::from(instant)).to_string(), date);
        }
        assert_eq!(TimestampTz::from(DateTime::MAX), TimestampTz::INFINITY);
        assert_eq!(TimestampTz::from(DateTime::MIN), TimestampTz::NEG_INFINITY);
    }
}
