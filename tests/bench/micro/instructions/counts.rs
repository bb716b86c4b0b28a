//! Counts, with the tools they were taken with, and the file that keeps them.

use std::{collections::BTreeMap, fmt::Write, fs, io, path::Path, process::Command};

use anyhow::Context;
use serde::Deserialize;

/// The lock file, which knows the version of wasmtime.
const LOCK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../Cargo.lock");

/// Instructions of one repetition of each case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counts {
    /// What else the counts depend on, by name.
    pub(crate) versions: BTreeMap<String, String>,
    /// By the name of the case.
    pub(crate) instructions: BTreeMap<String, u64>,
}

impl Counts {
    /// None yet, with the tools of this machine.
    pub(crate) fn none() -> anyhow::Result<Self> {
        // The C library has the allocator, of which a call makes much use.
        let versions = [
            ("rustc", said("rustc", &["--version"])?),
            ("libc", said("getconf", &["GNU_LIBC_VERSION"])?),
            ("valgrind", said("valgrind", &["--version"])?),
            ("wasmtime", locked(&fs::read_to_string(LOCK)?, "wasmtime")?),
        ];
        let versions = versions.into_iter().map(|(name, version)| (name.to_owned(), version)).collect();
        Ok(Self { versions, instructions: BTreeMap::new() })
    }

    /// Reads a reference; one that does not exist has no counts.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).with_context(|| path.display().to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Writes a reference.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        fs::write(path, self.text()?).with_context(|| path.display().to_string())
    }

    fn text(&self) -> anyhow::Result<String> {
        let mut text =
            "# Instructions of one repetition, which `tests/bench/instructions` compares; with --renew it writes this file.\n"
                .to_owned();
        text.push_str("\n[versions]\n");
        for (name, version) in &self.versions {
            writeln!(text, "{name} = {version:?}")?;
        }
        text.push_str("\n[instructions]\n");
        for (name, count) in &self.instructions {
            writeln!(text, "{name} = {count}")?;
        }
        Ok(text)
    }
}

/// What a program says of itself in one line.
fn said(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("{program} cannot be run"))?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The version of a crate in a lock file.
fn locked(lock: &str, name: &str) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let Lock { package } = toml::from_str(lock)?;
    let found = package.into_iter().find(|package| package.name == name);
    found.map(|package| package.version).with_context(|| format!("no {name} in Cargo.lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_as_it_was_written() {
        let versions = [("rustc".to_owned(), "rustc 1.95.0 (\"stable\")".to_owned())];
        let instructions = [("call".to_owned(), 95_444), ("hand-over".to_owned(), 6_941)];
        let counts = Counts { versions: versions.into(), instructions: instructions.into() };
        assert_eq!(toml::from_str::<Counts>(&counts.text().unwrap()).unwrap(), counts);
    }

    #[test]
    fn a_reference_that_is_not_there_has_no_counts() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Counts::read(&folder.path().join("none.toml")).unwrap(), Counts::default());
        let broken = folder.path().join("broken.toml");
        fs::write(&broken, "instructions = 7").unwrap();
        assert!(Counts::read(&broken).is_err());
    }

    #[test]
    fn a_version_is_found_in_the_lock_file() {
        let lock = "version = 4\n[[package]]\nname = \"wasmtime-wasi\"\nversion = \"1.0.0\"\n[[package]]\nname = \"wasmtime\"\nversion = \"48.0.8\"\n";
        assert_eq!(locked(lock, "wasmtime").unwrap(), "48.0.8");
        assert!(locked(lock, "tokio").is_err());
    }
}
