//! Reads `[metrics]`.

use super::{model::Metrics, reader::Table};

/// It may be absent.
pub(super) fn read(root: &mut Table<'_>) -> Metrics {
    let mut table = root.table("metrics");
    let metrics = Metrics {
        enabled: table.boolean("enabled", true).value,
        max_series: table.number("max_series", 4_000, 100, 100_000).value,
    };
    table.finish();
    metrics
}
