//! `[metrics]`.

use super::{PLUGIN, accepted, refused};
use crate::config::Metrics;

#[test]
fn what_is_left_out_has_the_documented_default_and_everything_can_be_said() {
    let (_folder, config) = accepted(PLUGIN);
    assert_eq!(config.metrics, Metrics { enabled: true, max_series: 4_000 });
    let (_folder, config) = accepted(&format!("[metrics]\nenabled = false\nmax_series = 100\n{PLUGIN}"));
    assert_eq!(config.metrics, Metrics { enabled: false, max_series: 100 });
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    for (key, value) in [("max_series", "99"), ("max_series", "100001"), ("enabled", "1"), ("path", "1")] {
        let said = refused(&format!("[metrics]\n{key} = {value}\n{PLUGIN}"));
        assert!(said.contains(key), "{said}");
    }
}
