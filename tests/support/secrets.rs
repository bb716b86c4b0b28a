//! What no host may tell: all secrets of the tests look alike, so that none is forgotten when a host's output is searched for them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::random::token;

/// What secrets look like: passwords of databases, tokens, parameters and literals of statements.
const MARKS: [&str; 2] = ["secret-", "hunter2"];

/// A secret that nobody else has.
#[must_use]
pub fn plant() -> String {
    format!("{}{}", MARKS[0], token())
}

/// Whether a line holds a secret.
#[must_use]
pub fn is_told(line: &str) -> bool {
    MARKS.iter().any(|mark| line.contains(mark))
}

/// Fails when a text holds a secret, with the lines that do.
///
/// # Panics
/// Then.
pub fn assert_kept(whose: &str, text: &str) {
    let told: Vec<&str> = text.lines().filter(|line| is_told(line)).collect();
    assert!(told.is_empty(), "{whose} tells secrets:\n{}", told.join("\n"));
}

/// Fails when a file below the folder holds a secret, but for those named and databases.
///
/// # Panics
/// Then.
pub fn assert_kept_in_files(folder: &Path, besides: &BTreeSet<PathBuf>) {
    for path in files(folder).difference(besides) {
        let is_database = path.file_name().is_some_and(|name| name.to_string_lossy().contains(".db"));
        // It may be gone by now.
        if let (false, Ok(bytes)) = (is_database, fs::read(path)) {
            assert_kept(&path.display().to_string(), &String::from_utf8_lossy(&bytes));
        }
    }
}

/// All files below a folder.
#[must_use]
pub fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                // No sockets, nor what leads elsewhere.
                found.insert(entry.path());
            }
        }
    }
    found
}
