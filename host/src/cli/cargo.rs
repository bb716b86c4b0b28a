//! Runs cargo for one crate and finds the component that it made.

use std::{
    collections::VecDeque,
    env,
    ffi::OsStr,
    fs,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::{leash::Leash, progress::Progress};

/// What handlers are compiled for.
pub(super) const TARGET: &str = "wasm32-wasip2";

/// Lines of cargo's own output that are kept for the case that it fails.
const MAX_LINES: usize = 500;

/// The tools of one crate, with its toolchain.
pub(super) struct Cargo<'a> {
    cargo: PathBuf,
    source: &'a Path,
    color: bool,
    leash: Option<&'a Leash>,
}

impl<'a> Cargo<'a> {
    /// Finds cargo. With a leash it runs on that, and leaves the processors to others.
    ///
    /// # Errors
    /// Says what to install.
    pub(super) fn find(source: &'a Path, color: bool, leash: Option<&'a Leash>) -> Result<Self> {
        let cargo = tool("cargo")
            .ok_or_else(|| anyhow!("cargo is not installed; plugins with a `source` need it: see https://rustup.rs"))?;
        Ok(Self { cargo, source, color, leash })
    }

    /// Adds the target when it is missing.
    ///
    /// # Errors
    /// Says what to install, when that cannot be done here.
    pub(super) fn ensure_target(&self, progress: &Progress) -> Result<()> {
        if self.has_target() {
            return Ok(());
        }
        let Some(rustup) = tool("rustup") else {
            bail!(
                "the target {TARGET} is not installed, and rustup is not there to add it; install your distribution's package of \
                 Rust's standard library for {TARGET}, or rustup (https://rustup.rs)"
            );
        };
        progress.print(&format!("the target {TARGET} is missing: running `rustup target add {TARGET}`"));
        let mut command = self.held(&rustup);
        command.args(["target", "add", TARGET]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = self.spawn(&mut command).context("cannot run rustup")?;
        let mut said = Vec::new();
        if let Some(mut stderr) = child.stderr.take() {
            // What cannot be read is not shown.
            drop(stderr.read_to_end(&mut said));
        }
        if !self.wait(child).context("cannot wait for rustup")?.success() {
            progress.print(&String::from_utf8_lossy(&said));
            bail!("`rustup target add {TARGET}` failed");
        }
        Ok(())
    }

    /// Compiles the crate, with the profile `plugin` if its workspace has one, else for release. Shows the compiler's messages as
    /// cargo would.
    ///
    /// # Errors
    /// When the crate does not compile, which was shown, or when it makes no component.
    pub(super) fn build(&self, progress: &Progress) -> Result<PathBuf> {
        let mut run = self.run(&["--profile", "plugin"], progress)?;
        if !run.succeeded && run.lines.iter().any(|line| line.contains("profile `plugin` is not defined")) {
            run = self.run(&["--release"], progress)?;
        }
        if !run.succeeded {
            progress.print(&run.lines.into_iter().collect::<Vec<_>>().join("\n"));
            bail!("cargo could not build `{}`", self.source.display());
        }
        choose(&run.artefacts).with_context(|| format!("cannot tell which component `{}` makes", self.source.display()))
    }

    fn has_target(&self) -> bool {
        let rustc = env::var_os("RUSTC").map(PathBuf::from).or_else(|| tool("rustc")).unwrap_or_else(|| PathBuf::from("rustc"));
        let output = self.command(&rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
        // The folder is named whether it is there or not.
        output.is_ok_and(|output| output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
    }

    fn run(&self, profile: &[&str], progress: &Progress) -> Result<Run> {
        let format = if self.color { "--message-format=json-diagnostic-rendered-ansi" } else { "--message-format=json" };
        let manifest = self.source.join("Cargo.toml").canonicalize().context("the crate has no Cargo.toml")?;
        let mut command = self.modest();
        command
            .args(["build", "--target", TARGET, format, "--color", if self.color { "always" } else { "never" }])
            .args(profile)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.spawn(&mut command).context("cannot run cargo")?;
        let (stdout, stderr) = child.stdout.take().zip(child.stderr.take()).context("cargo has no output")?;
        let (lines, artefacts) = thread::scope(|scope| {
            let lines = scope.spawn(|| follow_status(stderr, progress));
            let artefacts = follow_messages(stdout, &manifest, progress);
            (lines.join().unwrap_or_default(), artefacts)
        });
        let succeeded = self.wait(child).context("cannot wait for cargo")?.success();
        Ok(Run { succeeded, lines, artefacts })
    }

    /// Cargo, behind everything else on the machine where it runs on a leash.
    fn modest(&self) -> Command {
        let Some(nice) = self.leash.and_then(|_| tool("nice")) else { return self.held(&self.cargo) };
        let mut command = self.held(&nice);
        command.args(["-n", "10"]).arg(&self.cargo);
        command
    }

    fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        match self.leash {
            Some(leash) => leash.spawn(command),
            None => command.spawn(),
        }
    }

    /// Waits for a child whose output has come to its end.
    fn wait(&self, mut child: Child) -> io::Result<ExitStatus> {
        if let Some(leash) = self.leash {
            leash.let_go();
        }
        child.wait()
    }

    /// A command that takes long, for [`Self::spawn`].
    fn held(&self, program: &Path) -> Command {
        self.as_if_alone(if self.leash.is_some() { Leash::command(program) } else { Command::new(program) })
    }

    fn command(&self, program: &Path) -> Command {
        self.as_if_alone(Command::new(program))
    }

    /// A command in the crate's folder, as if Wharf had not been started by cargo.
    fn as_if_alone(&self, mut command: Command) -> Command {
        command.current_dir(self.source);
        let under_cargo = env::var_os("CARGO").is_some();
        for (name, _) in env::vars_os() {
            if is_cargos(&name) || (under_cargo && is_rustups(&name)) {
                command.env_remove(name);
            }
        }
        command
    }
}

/// The files that went into a component, as cargo has written them down beside it; but for what it has made itself.
pub(super) fn sources(artefact: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(artefact.with_extension("d")).unwrap_or_default();
    // TARGET/wasm32-wasip2/PROFILE/NAME.wasm.
    let target = artefact.ancestors().nth(3).unwrap_or(artefact);
    let (_, files) = text.trim_end().split_once(".wasm: ").unwrap_or_default();
    // A space in a name has a backslash before it.
    let files = files.replace("\\ ", "\0");
    let files = files.split(' ').map(|file| PathBuf::from(file.replace('\0', " ")));
    files.filter(|file| file.is_absolute() && !file.starts_with(target)).collect()
}

/// What cargo did.
struct Run {
    succeeded: bool,
    lines: VecDeque<String>,
    artefacts: Vec<Artefact>,
}

/// A file of the crate itself.
#[derive(Debug, PartialEq)]
struct Artefact {
    is_library: bool,
    path: PathBuf,
}

/// Whether `cargo run` sets this variable for what it runs. Left in place they would describe Wharf's own package to the compiler and
/// to build scripts of the plugin, and make cargo compile it anew.
fn is_cargos(name: &OsStr) -> bool {
    const NAMES: [&str; 8] = [
        "CARGO",
        "CARGO_CRATE_NAME",
        "CARGO_BIN_NAME",
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
        "CARGO_MANIFEST_LINKS",
        "CARGO_PRIMARY_PACKAGE",
        "OUT_DIR",
    ];
    const PREFIXES: [&str; 4] = ["CARGO_PKG_", "CARGO_BIN_EXE_", "CARGO_CFG_", "CARGO_FEATURE_"];
    name.to_str().is_some_and(|name| NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

/// Whether rustup sets this variable for what it runs: the toolchain of Wharf, which need not be that of the plugin.
fn is_rustups(name: &OsStr) -> bool {
    name == "RUSTUP_TOOLCHAIN" || name == "RUST_RECURSION_COUNT" || name == "RUSTUP_TOOLCHAIN_SOURCE"
}

/// A tool from the search path, or from where rustup puts it.
fn tool(name: &str) -> Option<PathBuf> {
    let file = format!("{name}{}", env::consts::EXE_SUFFIX);
    let path = env::var_os("PATH").unwrap_or_default();
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    env::split_paths(&path)
        .chain(cargo_home.map(|home| home.join("bin")))
        .map(|folder| folder.join(&file))
        .find(|file| file.is_file())
}

/// Reads cargo's own output, which tells what it is compiling; returns the last lines of it.
fn follow_status(stderr: impl Read, progress: &Progress) -> VecDeque<String> {
    let mut lines = VecDeque::new();
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        progress.status(&line);
        if lines.len() == MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
    lines
}

/// Reads cargo's messages: shows those of the compiler, returns the components of the crate with this manifest.
fn follow_messages(stdout: impl Read, manifest: &Path, progress: &Progress) -> Vec<Artefact> {
    let mut artefacts = Vec::new();
    for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
        let Ok(message) = serde_json::from_slice::<Value>(&line) else { continue };
        if let Some(rendered) = message["message"]["rendered"].as_str() {
            progress.print(rendered);
        }
        artefacts.extend(artefact(&message, manifest));
    }
    artefacts
}

fn artefact(message: &Value, manifest: &Path) -> Option<Artefact> {
    if message["reason"] != "compiler-artifact" || Path::new(message["manifest_path"].as_str()?) != manifest {
        return None;
    }
    let path = message["filenames"].as_array()?.iter().filter_map(Value::as_str).find(|name| name.ends_with(".wasm"))?;
    let is_library = message["target"]["crate_types"].as_array()?.iter().any(|kind| kind == "cdylib");
    Some(Artefact { is_library, path: path.into() })
}

/// The library, or the only program.
fn choose(artefacts: &[Artefact]) -> Result<PathBuf> {
    if let Some(library) = artefacts.iter().find(|artefact| artefact.is_library) {
        return Ok(library.path.clone());
    }
    match artefacts {
        [only] => Ok(only.path.clone()),
        [] => bail!(
            "it makes none; add `[lib]` with `crate-type = [\"cdylib\"]` to its Cargo.toml, and let `source` be its own folder"
        ),
        several => bail!("it makes {}, none of them a library of type cdylib", several.len()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_cargo_and_rustup_set_is_removed() {
        for name in ["CARGO", "CARGO_PKG_VERSION", "CARGO_MANIFEST_DIR", "CARGO_PRIMARY_PACKAGE"] {
            assert!(is_cargos(name.as_ref()), "{name}");
        }
        for name in
            ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_NET_OFFLINE", "RUSTUP_HOME", "RUSTFLAGS", "PATH", "CARGO_BUILD_JOBS"]
        {
            assert!(!is_cargos(name.as_ref()) && !is_rustups(name.as_ref()), "{name}");
        }
    }

    #[test]
    fn what_went_into_a_component_is_known_but_for_what_cargo_has_made() {
        let folder = tempfile::tempdir().unwrap();
        let profile = folder.path().join("target/wasm32-wasip2/plugin");
        fs::create_dir_all(&profile).unwrap();
        let (artefact, path) = (profile.join("p.wasm"), |path: &str| folder.path().join(path).display().to_string());
        assert!(sources(&artefact).is_empty());
        let files = [path("p/src/lib.rs"), path("p/my\\ page.html"), path("target/wasm32-wasip2/plugin/build/p/out/made.rs")];
        fs::write(profile.join("p.d"), format!("{}: {} relative.rs\n", artefact.display(), files.join(" "))).unwrap();
        assert_eq!(sources(&artefact), ["p/src/lib.rs", "p/my page.html"].map(|file| folder.path().join(file)));
    }

    #[test]
    fn the_component_is_the_crates_own_library() {
        let message = |manifest: &str, kind: &str, file: &str| json!({ "reason": "compiler-artifact", "manifest_path": manifest, "target": { "crate_types": [kind] }, "filenames": [file] });
        let manifest = Path::new("/p/Cargo.toml");
        let library = artefact(&message("/p/Cargo.toml", "cdylib", "/t/p.wasm"), manifest);
        assert_eq!(library, Some(Artefact { is_library: true, path: "/t/p.wasm".into() }));
        assert_eq!(artefact(&message("/dependency/Cargo.toml", "cdylib", "/t/d.wasm"), manifest), None);
        assert_eq!(artefact(&message("/p/Cargo.toml", "lib", "/t/p.rlib"), manifest), None);
        let program = |path: &str| Artefact { is_library: false, path: path.into() };
        assert_eq!(choose(&[program("/t/a.wasm"), library.unwrap()]).unwrap(), Path::new("/t/p.wasm"));
        assert_eq!(choose(&[program("/t/a.wasm")]).unwrap(), Path::new("/t/a.wasm"));
        assert!(choose(&[]).is_err());
        assert!(choose(&[program("/t/a.wasm"), program("/t/b.wasm")]).is_err());
    }
}
