//! Medians and other places in a list of figures.

/// The middle one, or the mean of both in the middle; `None` of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len().is_multiple_of(2) { f64::midpoint(*sorted.get(middle - 1)?, upper) } else { upper })
}

/// The smallest value that at least `percent` of all do not exceed (nearest rank); `None` of nothing.
pub(crate) fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let sorted = sorted(values);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// The least; `None` of nothing.
pub(crate) fn least(values: &[f64]) -> Option<f64> {
    sorted(values).first().copied()
}

/// The most; `None` of nothing.
pub(crate) fn most(values: &[f64]) -> Option<f64> {
    sorted(values).last().copied()
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]), Some(3.0));
    }

    #[test]
    fn percentiles_are_values_that_there_were() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 99)), (Some(100.0), Some(198.0)));
        assert_eq!((percentile(&values, 0), percentile(&values, 100)), (Some(1.0), Some(200.0)));
        assert_eq!((percentile(&[7.0], 99), percentile(&[], 99)), (Some(7.0), None));
    }

    #[test]
    fn extremes_are_found_in_any_order() {
        assert_eq!((least(&[2.0, 1.0, 3.0]), most(&[2.0, 3.0, 1.0])), (Some(1.0), Some(3.0)));
        assert_eq!((least(&[]), most(&[])), (None, None));
    }
}
