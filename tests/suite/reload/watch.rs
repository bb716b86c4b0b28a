//! `wharf up --watch`: what is edited is built and swapped, what is broken is told and changes nothing, and nothing is left of a build when
//! the host stops.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use support::{
    guests,
    host::{self, Host, Setup},
    wait::until,
};
use tokio::task::spawn_blocking;

use super::{PATIENCE, edit, plugins};

/// The first build compiles what a handler needs as well.
const BUILD: Duration = Duration::from_secs(900);

/// Puts a file in place as a whole, as `wharf build` does.
fn put(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, bytes).unwrap();
    fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn a_file_or_component_that_changes_is_put_in_force_and_a_broken_one_is_told() {
    let setup = Setup::new().argument("--watch");
    let component = setup.folder().join("handler.wasm");
    let bytes = |guest: &str| fs::read(guests::component(guest)).unwrap();
    put(&component, &bytes("probe"));
    let plugin =
        "[plugins.handler]\ncomponent = \"handler.wasm\"\nroutes = [\"/handler/{*rest}\"]\nlimits.fuel = 1_000_000_000\n";
    let host = setup.toml(plugin).start().await;
    let is_served = async || host.client().get("/handler/hello").await.text() == "hello";
    host.logged("watching ", PATIENCE).await;
    edit(host.folder(), &[("1_000_000_000", "2_000_000_000")]);
    host.logged("watch: generation 2 is in force, 1 changed", PATIENCE).await;
    edit(host.folder(), &[("fuel = ", "feul = ")]);
    host.logged("watch: the configuration is refused, and what was in force stays:", PATIENCE).await;
    host.logged("unknown key `feul`", PATIENCE).await;
    assert!(is_served().await);
    edit(host.folder(), &[("feul = 2", "fuel = 3")]);
    host.logged("watch: generation 3 is in force, 1 changed", PATIENCE).await;

    let before = plugins(&host).await["plugins"][0]["digest"].clone();
    put(&component, &bytes("probe_async"));
    host.logged("watch: generation 4 is in force, 1 changed", PATIENCE).await;
    let after = plugins(&host).await["plugins"][0]["digest"].clone();
    assert_ne!(before, after);
    put(&component, b"no component");
    host.logged("not WebAssembly", PATIENCE).await;
    assert!(is_served().await);
    put(&component, &bytes("probe_async"));
    host.logged("watch: nothing has changed, generation 4 is in force", PATIENCE).await;
    assert_eq!(plugins(&host).await["plugins"][0]["digest"], after);
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn what_is_refused_for_a_reason_that_passes_is_put_in_force_then_without_an_edit() {
    let component = guests::component("probe");
    let plugin = format!("[plugins.handler]\ncomponent = {component:?}\nroutes = [\"/handler/{{*rest}}\"]\n");
    let host = Setup::new().argument("--watch").toml(&plugin).start().await;
    host.logged("watching ", PATIENCE).await;
    edit(host.folder(), &[("[plugins.handler]", "[databases.later]\nurl = \"sqlite://later.db\"\n\n[plugins.handler]")]);
    host.logged("watch: this may pass, and is tried again now and then", PATIENCE).await;
    fs::write(host.folder().join("later.db"), "").unwrap();
    host.logged("watch: generation 2 is in force, 1 changed", PATIENCE).await;
    // By the watch and in the log, whatever was tried meanwhile.
    assert_eq!(host.log().matches("what was in force stays").count(), 2, "{}", host.log());
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// A crate that depends on the SDK of this repository, at the versions of its lock file.
struct Source(PathBuf);

impl Source {
    fn create(folder: &Path) -> Self {
        let (root, source) = (Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap(), folder.join("handler"));
        fs::create_dir_all(source.join("src")).unwrap();
        let manifest = format!(
            "[package]\nname = \"watched\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n\
             [dependencies]\nwharf-sdk = {{ path = {:?}, default-features = false }}\n\
             [profile.plugin]\ninherits = \"release\"\nlto = true\ncodegen-units = 1\nstrip = \"debuginfo\"\n",
            root.join("plugins/sdk")
        );
        fs::write(source.join("Cargo.toml"), manifest).unwrap();
        fs::copy(root.join("Cargo.lock"), source.join("Cargo.lock")).unwrap();
        Self(source)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.0.join(path), text).unwrap();
    }

    /// Has it answer this to `GET /handler/hello`.
    fn answer(&self, text: &str) {
        let code = format!(
            "use wharf_sdk::prelude::*;\nwharf_sdk::handler!(Router::new().get(\"/handler/hello\", hello));\n\
             fn hello(_: &Request) -> Result<Response> {{\n    Ok(Response::text({text:?}))\n}}\n"
        );
        self.write("src/lib.rs", &code);
    }
}

/// The processes of a group, a line each.
async fn group(number: u32) -> Vec<String> {
    let in_group = move |stat: &String| {
        // `PID (NAME) STATE PARENT GROUP …`; a name may have anything in it.
        let (_, rest) = stat.rsplit_once(") ").unwrap_or_default();
        let mut fields = rest.split(' ');
        let (state, group) = (fields.next(), fields.nth(1));
        state != Some("Z") && group == Some(number.to_string().as_str())
    };
    let look = move || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok()).filter(in_group).collect()
    };
    spawn_blocking(look).await.unwrap()
}

/// The group of a build script that has written its number into a file.
async fn group_of(host: &Host, file: &Path) -> u32 {
    until("a build script to run", BUILD, || async {
        plugins(host).await;
        let number = fs::read_to_string(file).map_err(|error| error.to_string())?;
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).map_err(|error| error.to_string())?;
        let (_, rest) = stat.rsplit_once(") ").ok_or("no name")?;
        rest.split(' ').nth(2).and_then(|group| group.parse().ok()).ok_or_else(|| stat.clone())
    })
    .await
}

#[tokio::test]
async fn a_source_that_is_edited_is_swapped_and_a_broken_one_is_not() {
    let target = guests::target_folder();
    let setup = Setup::new()
        .argument("--watch")
        .environment("CARGO_TARGET_DIR", target.to_str().unwrap())
        .environment("CARGO_NET_OFFLINE", "true");
    let source = Source::create(setup.folder());
    source.answer("first");
    let plugin = "[plugins.handler]\nsource = \"handler\"\nroutes = [\"/handler/{*rest}\"]\n";
    // So that the start takes no longer than that of other hosts.
    fs::write(setup.folder().join("wharf.toml"), plugin).unwrap();
    let mut build = host::command();
    build.arg("build").arg(setup.folder()).env("CARGO_TARGET_DIR", &target).env("CARGO_NET_OFFLINE", "true");
    let built = host::end(build, BUILD).await;
    assert_eq!(built.code, Some(0), "{}", built.stderr);

    let host = setup.toml(plugin).start().await;
    let hello = async || host.client().get("/handler/hello").await.text().to_owned();
    assert_eq!(hello().await, "first");
    host.logged("watching ", PATIENCE).await;
    source.answer("second");
    host.logged("watch: generation 2 is in force, 1 changed", BUILD).await;
    assert_eq!(hello().await, "second");
    source.write("src/lib.rs", "this is not Rust");
    host.logged("watch: plugin `handler`: cargo could not build ", BUILD).await;
    host.logged("this is not Rust", PATIENCE).await;
    assert_eq!(hello().await, "second");
    source.answer("third");
    host.logged("watch: generation 3 is in force, 1 changed", BUILD).await;
    assert_eq!(hello().await, "third");

    // A build that does not end for long is ended with the host.
    let number = host.folder().join("number");
    source.write(
        "build.rs",
        &format!(
            "fn main() {{ std::fs::write({number:?}, std::process::id().to_string()).unwrap(); \
             std::thread::park_timeout(std::time::Duration::from_secs(300)); }}"
        ),
    );
    let building = group_of(&host, &number).await;
    let running = group(building).await;
    assert!(running.len() >= 2 && building != host.pid(), "{running:#?}");
    assert_eq!(hello().await, "third");
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    until("the build to be gone", PATIENCE, || async {
        let left = group(building).await;
        if left.is_empty() { Ok(()) } else { Err(left.concat()) }
    })
    .await;
}
