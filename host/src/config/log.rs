//! Reads `[log]`: what is logged, and how.

use super::{model::Log, reader::Table, recorder::Kind};
use crate::telemetry::logs::{self, Format};

const LEVEL: &str = "info";

pub(super) fn read(root: &mut Table<'_>) -> Log {
    let mut table = root.table("log");
    let level = read_level(&mut table).unwrap_or_else(|| LEVEL.to_owned());
    let formats = [("auto", Format::Auto), ("human", Format::Human), ("json", Format::Json)];
    let format = table.choice("format", Format::Auto, &formats).value;
    table.finish();
    Log { level, format }
}

fn read_level(table: &mut Table<'_>) -> Option<String> {
    let form = "a level, or levels of parts: `\"info,wharf::pool=debug\"`";
    let entry = table.take("level", Kind::Text { form, default: Some(LEVEL.to_owned()) })?;
    let text = entry.text("a level, such as \"info\"")?;
    if logs::check(&text.value).is_err() {
        let message = format!("{} is no level of the log, nor levels of its parts", text.shown());
        let hint = "write \"error\", \"warn\", \"info\", \"debug\" or \"off\"; for parts of the host \"info,wharf::pool=debug\"";
        entry.context.error(entry.at, message, hint);
        return None;
    }
    Some(text.value)
}
