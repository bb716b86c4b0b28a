//! The file of all figures.

use std::{fs, io::ErrorKind, path::PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;
use support::guests::target_folder;

use crate::row::Row;

/// `target/bench/latest.json`, or `quick.json` beside it for what is only tried out.
#[derive(Debug)]
pub(crate) struct Results {
    path: PathBuf,
    /// Rows of earlier runs.
    kept: Vec<Value>,
}

impl Results {
    /// What a run that does not measure everything leaves out stays in the file.
    ///
    /// # Errors
    /// When the file is none of ours.
    pub(crate) fn open(quick: bool, everything: bool) -> Result<Self> {
        let folder = target_folder().join("bench");
        fs::create_dir_all(&folder)?;
        let path = folder.join(if quick { "quick.json" } else { "latest.json" });
        let kept = match fs::read(&path) {
            Ok(text) if !everything => serde_json::from_slice(&text).with_context(|| path.display().to_string())?,
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(|| path.display().to_string()),
            _ => Vec::new(),
        };
        Ok(Self { path, kept })
    }

    /// Writes what there is so far: a run that is interrupted is not for nothing.
    ///
    /// # Errors
    /// When there is no room.
    pub(crate) fn write(&self, rows: &[Row]) -> Result<()> {
        let rows = rows.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
        let text = serde_json::to_string_pretty(&merged(&self.kept, rows))? + "\n";
        fs::write(&self.path, text).with_context(|| self.path.display().to_string())
    }
}

/// Rows by their names: a new one takes the place of the old one.
fn merged(kept: &[Value], rows: Vec<Value>) -> Vec<Value> {
    let mut merged = kept.to_vec();
    for row in rows {
        match merged.iter_mut().find(|old| old["case"] == row["case"]) {
            Some(old) => *old = row,
            None => merged.push(row),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_new_row_takes_the_place_of_the_old_one() {
        let row = |case: &str, wharf: f64| json!({ "case": case, "wharf": wharf });
        let kept = [row("row/1", 1.0), row("row/32", 2.0)];
        assert_eq!(
            merged(&kept, vec![row("row/32", 3.0), row("hello", 4.0)]),
            [row("row/1", 1.0), row("row/32", 3.0), row("hello", 4.0)]
        );
    }
}
