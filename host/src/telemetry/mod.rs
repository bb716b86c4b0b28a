//! What the host tells about itself: log lines, metrics that are cheap enough for every call, traces of those that are sampled, what the
//! time of a call went into, signs of life, and the audit log.

pub mod audit;
pub mod beat;
mod json;
pub mod lanes;
pub mod logs;
pub mod metrics;
pub mod process;
pub mod requests;
pub mod timing;
pub mod trace;

use std::time::Duration;

/// Milliseconds, as the log tells them: to the microsecond.
#[must_use]
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_have_no_more_digits_than_there_are_microseconds() {
        for (nanos, told) in
            [(83_270_423, "83.27"), (1_098_686, "1.099"), (0, "0"), (499, "0"), (12_000_000_001_000, "12000000.001")]
        {
            assert_eq!(millis(Duration::from_nanos(nanos)).to_string(), told);
        }
    }
}
