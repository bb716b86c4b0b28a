//! A hang-up before a host serves.

use std::{env, fs, io::Write, os::unix::fs::PermissionsExt, path::Path, process::Command};

use serde_json::json;
use support::{
    guests,
    host::{Setup, Signal},
};

use super::PATIENCE;

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_hang_up_during_the_first_build_is_a_reload_as_well() {
    let (setup, tools) = (Setup::new(), tempfile::tempdir().unwrap());
    let source = setup.folder().join("handler");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("Cargo.toml"), "").unwrap();
    // A cargo that says when it builds, and goes on when it is told to.
    let go = tools.path().join("go");
    assert!(Command::new("mkfifo").arg(&go).status().unwrap().success());
    let manifest = source.canonicalize().unwrap().join("Cargo.toml");
    let building = json!({ "message": { "rendered": "it is being built" } });
    let built = json!({
        "reason": "compiler-artifact",
        "manifest_path": manifest,
        "target": { "crate_types": ["cdylib"] },
        "filenames": [guests::component("probe")],
    });
    let rustc = tools.path().join("rustc");
    script(&tools.path().join("cargo"), &format!("echo '{building}'\nread -r line < '{}'\necho '{built}'", go.display()));
    script(&rustc, "echo /");
    let path = format!("{}:{}", tools.path().display(), env::var("PATH").unwrap());
    let setup = setup.environment("PATH", &path).environment("RUSTC", rustc.to_str().unwrap());
    let host = setup.toml("[plugins.handler]\nsource = \"handler\"\nroutes = [\"/handler/{*rest}\"]\n").begin();
    // Open for both, so that it does not matter which of the two ends is there first.
    let mut go = fs::OpenOptions::new().read(true).write(true).open(&go).unwrap();

    host.logged("it is being built", PATIENCE).await;
    host.signal(Signal::Hangup);
    go.write_all(b"\n").unwrap();
    host.logged("hung up: nothing has changed, generation 1 is in force", PATIENCE * 4).await;
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
