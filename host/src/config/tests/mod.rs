//! Configurations that are wrong with all that is said about them, and some that are right.

mod accepted;
mod address;
mod admin;
mod database;
mod log;
mod mongodb;
mod plugin;
mod reference;
mod secrets;
mod server;
mod syntax;
mod tls;

use std::fs;

use tempfile::TempDir;

use super::{Config, Diagnostics, parse};

/// What a section on its own lacks to be a whole configuration.
const PLUGIN: &str = "\n[plugins.p]\ncomponent = \"p.wasm\"\nroutes = [\"/p\"]\n";

/// A folder with everything that a configuration may point to.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for path in ["migrations/sqlite", "migrations/postgres", "migrations/mongodb", "only-sqlite/sqlite", "crate", "empty"] {
        fs::create_dir_all(folder.path().join(path)).unwrap();
    }
    fs::write(folder.path().join("crate/Cargo.toml"), "").unwrap();
    fs::write(folder.path().join("url.txt"), "postgres://app:hunter2@db/clinic\n").unwrap();
    fs::write(folder.path().join("empty.txt"), "\n").unwrap();
    for (name, holds) in [
        ("ca.pem", "CERTIFICATE"),
        ("client.pem", "CERTIFICATE"),
        ("client.key", "PRIVATE KEY"),
        ("locked.key", "ENCRYPTED PRIVATE KEY"),
        ("both.pem", "CERTIFICATE-----\n-----BEGIN PRIVATE KEY"),
    ] {
        fs::write(folder.path().join(name), format!("-----BEGIN {holds}-----\n")).unwrap();
    }
    folder
}

fn environment(name: &str) -> Option<String> {
    let value = match name {
        "PG_URL" => "postgres://app:hunter2@db.example/clinic",
        "READER_URL" => "postgres://reader:hunter2@db.example/clinic",
        "MONGODB_URL" => "mongodb://app:hunter2@db.example/accounts",
        "SECRET" => "hunter2",
        "EMPTY" => "",
        _ => return None,
    };
    Some(value.to_owned())
}

fn read(text: &str) -> (TempDir, Result<Config, Diagnostics>) {
    let folder = folder();
    let config = parse(&folder.path().join("wharf.toml"), "wharf.toml", text, &environment);
    let config = config.and_then(|(config, wrong)| if wrong.is_empty() { Ok(config) } else { Err(wrong) });
    (folder, config)
}

/// All that is said about a wrong configuration. The secrets of the test environment must never be among it.
fn refused(text: &str) -> String {
    let (folder, config) = read(text);
    let diagnostics = config.expect_err("the configuration is wrong");
    let rendered = diagnostics.render(false).replace(&format!("{}/", folder.path().display()), "");
    assert!(!rendered.contains("hunter2") && !format!("{diagnostics:?}").contains("hunter2"), "{rendered}");
    rendered
}

/// A right configuration, which the schema must take as well.
fn accepted(text: &str) -> (TempDir, Config) {
    let (folder, config) = read(text);
    assert_eq!(reference::violations(text), [""; 0], "{text}");
    (folder, config.unwrap_or_else(|diagnostics| panic!("{diagnostics}")))
}
