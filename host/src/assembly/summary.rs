//! What a start came to, for people: plugins with routes and limits, databases with their pools.

use std::{fmt::Write, sync::Arc};

use bytesize::ByteSize;
use humantime::format_duration;

use crate::{config::Config, driver::settings::Access, engine::Engines, plugin::Plugin, pool::Database};

/// The table that `wharf up` prints.
pub(super) fn table(config: &Config, databases: &[Database], plugins: &[Arc<Plugin>], engines: &Engines) -> String {
    let mut rows = vec![["plugin", "routes", "limits", "databases"].map(str::to_owned)];
    for (described, plugin) in config.plugins.iter().zip(plugins) {
        let limits = &described.limits;
        let mut left: Vec<String> = described.routes.iter().map(ToString::to_string).collect();
        let mut middle = vec![
            format!("{} fuel, {}", limits.fuel, format_duration(limits.deadline)),
            format!("{}, {} calls", ByteSize(limits.memory as u64), limits.max_concurrency),
            format!("digest {}", &plugin.digest().to_string()[..12]),
        ];
        let mut right: Vec<String> = described
            .databases
            .iter()
            .map(|grant| {
                let access = match grant.access {
                    Access::ReadOnly => "read-only",
                    Access::ReadWrite => "read-write",
                };
                format!("{} ({access}, {} connections)", grant.database, grant.max_connections)
            })
            .collect();
        let height = left.len().max(middle.len()).max(right.len());
        for column in [&mut left, &mut middle, &mut right] {
            column.resize(height, String::new());
        }
        for (line, ((route, limit), grant)) in left.into_iter().zip(middle).zip(right).enumerate() {
            let name = if line == 0 { described.name.clone() } else { String::new() };
            rows.push([name, route, limit, grant]);
        }
    }
    let mut text = columns(&rows);
    let mut rows = vec![["database", "engine", "pool", "now"].map(str::to_owned)];
    for (described, database) in config.databases.iter().zip(databases) {
        let settings = database.settings();
        rows.push([
            described.name.clone(),
            described.engine.name().to_owned(),
            format!("{} to {} connections", settings.min_connections, settings.max_connections),
            format!("{} open", database.counts().total()),
        ]);
    }
    text.push('\n');
    text.push_str(&columns(&rows));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\ninstances: {}, {} at once", engines.allocation(), config.server.max_concurrency);
    text
}

/// Left-aligned columns, two spaces apart.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "long"], ["bcd", "x"]].map(|row| row.map(str::to_owned));
        assert_eq!(columns(&rows), "a    long\nbcd  x\n");
    }
}
