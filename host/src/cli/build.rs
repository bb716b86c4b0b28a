//! `wharf build`: compiles the plugins that have a `source`.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, Result, bail};

use super::{Failure, Output, cargo::Cargo, leash::Leash, progress::Progress, start_logs};
use crate::config::{self, Config, Plugin};

/// A plugin that was compiled.
#[derive(Debug)]
pub(super) struct Built {
    /// The plugin's name.
    pub(super) plugin: String,
    /// Its `component`, which is now there.
    pub(super) component: PathBuf,
    /// What cargo has made, of which it is a copy.
    pub(super) artefact: PathBuf,
}

/// Reads the configuration and compiles.
///
/// # Errors
/// [`Failure::Input`] for the configuration, [`Failure::Running`] for a plugin.
pub(super) fn run(path: &Path, output: &Output) -> Result<(), Failure> {
    let config = config::load(path, &config::process_environment)?;
    let _logs = start_logs(output, &config.log)?;
    let built = build_plugins(&config, output)?;
    let mut lines: String = built.iter().map(|built| format!("{}: {}\n", built.plugin, built.component.display())).collect();
    if built.is_empty() {
        lines = format!("{}: nothing to build, no plugin has a `source`\n", config.path.display());
    }
    io::stdout().write_all(lines.as_bytes()).context("cannot write")?;
    Ok(())
}

/// Compiles every plugin that has a `source`, see [`build_each`].
///
/// Blocks until cargo is done, without a time limit: whoever waits sees what is going on, and Ctrl-C ends cargo too.
///
/// # Errors
/// Names the plugins that failed.
pub(super) fn build_plugins(config: &Config, output: &Output) -> Result<Vec<Built>> {
    let (built, failed) = build_each(&config.plugins, output.color_on(&io::stderr()), None);
    if !failed.is_empty() {
        bail!("{}", failed.join("\nerror: "));
    }
    Ok(built)
}

/// Compiles those of the plugins that have a `source` into their `component`, one after the other; cargo itself knows what has changed. Goes
/// on after one that fails, so that all messages are seen at once. On a leash it is more modest, see [`Cargo::find`].
///
/// Gives also which have failed, and why; what the compiler said about them was shown. Files of earlier builds are left as they were.
pub(super) fn build_each<'a>(
    plugins: impl IntoIterator<Item = &'a Plugin>,
    color: bool,
    leash: Option<&Leash>,
) -> (Vec<Built>, Vec<String>) {
    let (mut built, mut failed) = (Vec::new(), Vec::new());
    for plugin in plugins {
        let Some(source) = &plugin.source else { continue };
        let progress = Progress::start(&plugin.name, leash.is_none());
        match build_one(plugin, source, color, leash, &progress) {
            Ok(artefact) => {
                progress.built(&plugin.component);
                built.push(Built { plugin: plugin.name.clone(), component: plugin.component.clone(), artefact });
            }
            Err(error) => {
                progress.failed();
                failed.push(format!("plugin `{}`: {error:#}", plugin.name));
            }
        }
    }
    (built, failed)
}

fn build_one(plugin: &Plugin, source: &Path, color: bool, leash: Option<&Leash>, progress: &Progress) -> Result<PathBuf> {
    let cargo = Cargo::find(source, color, leash)?;
    cargo.ensure_target(progress)?;
    let artefact = cargo.build(progress)?;
    install(&artefact, &plugin.component)
        .with_context(|| format!("cannot copy `{}` to `{}`", artefact.display(), plugin.component.display()))?;
    Ok(artefact)
}

/// Copies under another name first: a host that loads the component at this moment must see the old or the new one.
fn install(artefact: &Path, component: &Path) -> io::Result<()> {
    if component.canonicalize().is_ok_and(|component| artefact.canonicalize().is_ok_and(|artefact| artefact == component)) {
        return Ok(());
    }
    if let Some(folder) = component.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut name = component.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", process::id()));
    let temporary = component.with_file_name(name);
    let copied = fs::copy(artefact, &temporary).and_then(|_| fs::rename(&temporary, component));
    if copied.is_err() {
        drop(fs::remove_file(&temporary));
    }
    copied
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice;

    use super::*;

    fn folder(code: &str) -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| fs::write(folder.path().join(path), text).unwrap();
        fs::create_dir_all(folder.path().join("p/src")).unwrap();
        write("p/Cargo.toml", "[package]\nname = \"p\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n");
        write("p/src/lib.rs", code);
        write("wharf.toml", "[plugins.p]\nsource = \"p\"\nroutes = [\"/p\"]\n");
        let config = config::load(folder.path(), &|_| None).unwrap();
        (folder, config)
    }

    fn output() -> Output {
        Output { log_format: None, log: None, color: ColorChoice::Never }
    }

    #[test]
    fn a_crate_without_the_profile_is_built_for_release() {
        let (folder, config) = folder("#[unsafe(no_mangle)] pub extern \"C\" fn answer() -> i32 { 42 }");
        let built = build_plugins(&config, &output()).unwrap();
        assert_eq!(built[0].component, folder.path().join(".wharf/build/p.wasm"));
        let wasm = fs::read(&built[0].component).unwrap();
        assert_eq!(wasm[..4], *b"\0asm");
        assert_eq!(fs::read_dir(folder.path().join(".wharf/build")).unwrap().count(), 1);
    }

    #[test]
    fn a_crate_that_does_not_compile_is_named() {
        let (folder, config) = folder("this is not Rust");
        let error = build_plugins(&config, &output()).unwrap_err().to_string();
        assert_eq!(error, format!("plugin `p`: cargo could not build `{}`", folder.path().join("p").display()));
        assert!(!config.plugins[0].component.exists());
    }
}
