//! `wharf up --watch`: builds the plugins whose sources change, and has the host read its configuration again.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use futures::FutureExt;
use tokio::{runtime::Handle, task::spawn_blocking, time::timeout};

use super::{
    build::{self, Built},
    cargo,
    files::{MOST, Seen, look_at, look_below},
    leash::Leash,
    up,
    voice::Voice,
};
use crate::{
    assembly::{Progress, Reloader, Stop},
    config::{self, Config, Diagnostics, Plugin},
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);
/// What changes is taken as it is when two looks have found the same, and after so many looks in any case.
const MOST_LOOKS: u32 = 20;
/// After a reload that was refused for a reason that may pass, how long until the next; doubled each time.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// After so many it takes another change.
const MOST_RETRIES: u32 = 20;

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    /// The file.
    Configuration,
    /// The sources of a plugin, or its component where it has none.
    Plugin { name: String, source: Option<PathBuf>, component: PathBuf },
}

impl Subject {
    fn of(plugin: &Plugin) -> Self {
        Self::Plugin { name: plugin.name.clone(), source: plugin.source.clone(), component: plugin.component.clone() }
    }
}

/// How what is watched was when it was looked at.
type Looks = BTreeMap<Subject, Seen>;

/// Watches a configuration, and the plugins that it names.
#[derive(Debug)]
pub(super) struct Watch {
    /// As it was when it could be read last.
    config: Config,
    seen: Looks,
    /// Files that have gone into the components of crates, wherever they lie, by the folder of the crate.
    used: BTreeMap<PathBuf, Vec<PathBuf>>,
    color: bool,
    leash: Leash,
}

/// What is to be done about a change.
#[derive(Debug)]
struct Due {
    changed: BTreeSet<Subject>,
    /// What is wrong with the configuration.
    wrong: Option<Diagnostics>,
}

/// A reload that was refused for a reason that may pass, and is tried again.
#[derive(Clone, Copy, Debug)]
struct Retry {
    at: Instant,
    /// Before it.
    pause: Duration,
    /// After it.
    left: u32,
}

impl Retry {
    fn first() -> Self {
        Self { at: Instant::now() + FIRST_RETRY, pause: FIRST_RETRY, left: MOST_RETRIES - 1 }
    }

    /// The one after this one, which came to nothing.
    fn next(self) -> Option<Self> {
        let pause = (self.pause * 2).min(LAST_RETRY);
        Some(Self { at: Instant::now() + pause, pause, left: self.left.checked_sub(1)? })
    }
}

impl Watch {
    /// Looks at everything for the first time: what changes from here on is a change.
    pub(super) fn new(config: &Config, color: bool) -> Self {
        let (config, leash) = (config.clone(), Leash::default());
        let mut watch = Self { config, seen: Looks::new(), used: BTreeMap::new(), color, leash };
        watch.seen = watch.look();
        watch
    }

    /// From here on the files that have gone into these components are watched as well.
    pub(super) fn built(&mut self, built: &[Built]) {
        for Built { plugin, artefact, .. } in built {
            let Some(described) = self.config.plugins.iter().find(|described| described.name == *plugin) else { continue };
            let Some(source) = &described.source else { continue };
            self.used.insert(source.clone(), cargo::sources(artefact));
            let now = self.look_at_plugin(described);
            if let Some(seen) = self.seen.get_mut(&Subject::of(described)) {
                // What was changed while it was built shall show.
                *seen = earlier(now, std::mem::take(seen));
            }
        }
    }

    /// Watches until `stop` asks for the end. What is being built then is ended.
    pub(super) async fn run(self, reloader: Reloader, stop: Stop, voice: Voice) {
        let (leash, asked, runtime) = (self.leash.clone(), stop.clone(), Handle::current());
        spawn_blocking(move || self.follow(&runtime, &reloader, &asked, &voice));
        stop.requested().await;
        leash.end();
    }

    fn follow(mut self, runtime: &Handle, reloader: &Reloader, stop: &Stop, voice: &Voice) {
        let goes_on = || runtime.block_on(async { timeout(PAUSE, stop.requested()).await }).is_err();
        voice.say(&format!("watching {} and the sources of its plugins", self.config.path.display()));
        for source in self.config.plugins.iter().filter_map(|plugin| plugin.source.as_ref()) {
            if !look_below(source, &mut Seen::new()) {
                voice.say(&format!("watch: `{}` has more than {MOST} files, and not all are looked at", source.display()));
            }
        }
        let reload = |again: bool| {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = stop.requested() => None,
                    done = async { if again { reloader.again().await } else { reloader.reload(false).await } } => Some(done),
                }
            })
        };
        let mut retry: Option<Retry> = None;
        while goes_on() {
            let mut now = self.look();
            if self.changed(&now).is_empty() {
                if let Some(due) = retry.take_if(|retry| retry.at <= Instant::now()) {
                    let Some(done) = reload(true) else { return };
                    let may_pass = done.as_ref().is_err_and(|refused| refused.may_pass);
                    retry = due.next().filter(|_| may_pass);
                    // Why it is refused has been told.
                    if may_pass && retry.is_none() {
                        voice.say("watch: it is not tried again until something changes");
                    } else if !may_pass {
                        voice.say(&up::reloaded("watch", done));
                    }
                }
                continue;
            }
            for _ in 0..MOST_LOOKS {
                if !goes_on() {
                    return;
                }
                let before = std::mem::replace(&mut now, self.look());
                if now == before {
                    break;
                }
            }
            let due = self.due(now);
            let reads_again = self.build(&due, stop, voice);
            if let Some(wrong) = &due.wrong {
                retry = None;
                voice.say(&up::refused("watch", &wrong.render(self.color).trim_end()));
            } else if reads_again {
                let Some(done) = reload(false) else { return };
                retry = done.as_ref().is_err_and(|refused| refused.may_pass).then(Retry::first);
                voice.say(&up::reloaded("watch", done));
                if retry.is_some() {
                    voice.say("watch: this may pass, and is tried again now and then");
                }
            }
        }
    }

    /// Builds what is due; whether there is anything for the host to read again.
    fn build(&mut self, due: &Due, stop: &Stop, voice: &Voice) -> bool {
        let plugins = self.config.plugins.iter().filter(|plugin| due.changed.contains(&Subject::of(plugin)));
        let (built, failed) = build::build_each(plugins, self.color, Some(&self.leash));
        // Cargo has failed because it was ended.
        if stop.requested().now_or_never().is_some() {
            return false;
        }
        for failed in failed {
            voice.say(&format!("watch: {failed}; what was in force stays"));
        }
        self.built(&built);
        let is_source = |subject: &Subject| matches!(subject, Subject::Plugin { source: Some(_), .. });
        !built.is_empty() || due.changed.iter().any(|subject| !is_source(subject))
    }

    /// Takes in what has changed, the configuration first: what it names from now on is watched.
    fn due(&mut self, mut now: Looks) -> Due {
        let mut wrong = None;
        if self.changed(&now).contains(&Subject::Configuration) {
            match config::load(&self.config.path, &config::process_environment) {
                Ok(config) => {
                    self.config = config;
                    now = earlier(self.look(), now);
                }
                Err(diagnostics) => wrong = Some(diagnostics),
            }
        }
        let changed = self.changed(&now);
        self.seen = now;
        Due { changed, wrong }
    }

    /// What is new, or otherwise than it was.
    fn changed(&self, now: &Looks) -> BTreeSet<Subject> {
        let changed = now.iter().filter(|(subject, seen)| self.seen.get(*subject) != Some(*seen));
        changed.map(|(subject, _)| subject.clone()).collect()
    }

    fn look(&self) -> Looks {
        let mut file = Seen::new();
        look_at(&self.config.path, &mut file);
        let plugins = self.config.plugins.iter().map(|plugin| (Subject::of(plugin), self.look_at_plugin(plugin)));
        plugins.chain([(Subject::Configuration, file)]).collect()
    }

    fn look_at_plugin(&self, plugin: &Plugin) -> Seen {
        let mut seen = Seen::new();
        if let Some(source) = &plugin.source {
            look_below(source, &mut seen);
            self.used.get(source).into_iter().flatten().for_each(|file| look_at(file, &mut seen));
        } else {
            look_at(&plugin.component, &mut seen);
        }
        seen
    }
}

/// What is there now, each as it was found before if it was.
fn earlier<K: Ord, V>(now: BTreeMap<K, V>, mut before: BTreeMap<K, V>) -> BTreeMap<K, V> {
    let one = |(key, value): (K, V)| {
        let value = before.remove(&key).unwrap_or(value);
        (key, value)
    };
    now.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use tempfile::TempDir;

    use super::*;

    const PLUGIN: &str = "[plugins.p]\nsource = \"p\"\nroutes = [\"/p\"]\n";

    fn write(folder: &TempDir, path: &str, text: &str) {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn start() -> (TempDir, Watch) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [("p/Cargo.toml", ""), ("p/src/lib.rs", "1"), ("wharf.toml", PLUGIN)] {
            write(&folder, path, text);
        }
        let config = config::load(folder.path(), &|_| None).unwrap();
        (folder, Watch::new(&config, false))
    }

    /// What a look finds, by the names of plugins.
    fn found(watch: &mut Watch) -> (Vec<String>, bool) {
        let now = watch.look();
        let due = watch.due(now);
        let name = |subject: Subject| match subject {
            Subject::Configuration => config::FILE_NAME.to_owned(),
            Subject::Plugin { name, .. } => name,
        };
        (due.changed.into_iter().map(name).collect(), due.wrong.is_some())
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_may_pass_is_tried_again_ever_less_often_and_not_for_ever() {
        let all: Vec<Retry> = std::iter::successors(Some(Retry::first()), |retry| retry.next()).collect();
        let pauses: Vec<u64> = all.iter().map(|retry| retry.pause.as_secs()).collect();
        assert_eq!((pauses.len(), &pauses[..6]), (MOST_RETRIES as usize, &[2, 4, 8, 16, 32, 60][..]));
        assert!(pauses.is_sorted() && pauses.last() == Some(&60), "{pauses:?}");
    }

    #[test]
    fn a_change_is_found_once() {
        let (folder, mut watch) = start();
        assert_eq!(found(&mut watch), (names(&[]), false));
        write(&folder, "p/src/lib.rs", "22");
        assert_eq!(found(&mut watch), (names(&["p"]), false));
        assert_eq!(found(&mut watch), (names(&[]), false));
        write(&folder, "p/src/more.rs", "");
        assert_eq!(found(&mut watch), (names(&["p"]), false));
    }

    #[test]
    fn a_broken_configuration_is_none_and_what_was_named_before_is_watched() {
        let (folder, mut watch) = start();
        write(&folder, "wharf.toml", "[plugins.q");
        assert_eq!(found(&mut watch), (names(&["wharf.toml"]), true));
        write(&folder, "p/src/lib.rs", "22");
        assert_eq!(found(&mut watch), (names(&["p"]), false));
        let more = "[plugins.q]\ncomponent = \"q.wasm\"\nroutes = [\"/q\"]\n";
        write(&folder, "wharf.toml", &format!("{PLUGIN}{more}"));
        assert_eq!(found(&mut watch), (names(&["wharf.toml", "q"]), false));
        write(&folder, "q.wasm", "");
        assert_eq!(found(&mut watch), (names(&["q"]), false));
        // Another place for its component takes a build.
        write(&folder, "wharf.toml", &PLUGIN.replace("routes", "component = \"other.wasm\"\nroutes"));
        assert_eq!(found(&mut watch), (names(&["wharf.toml", "p"]), false));
    }

    #[test]
    fn what_cargo_has_read_elsewhere_is_watched_and_what_changes_during_a_build_shows() {
        let (folder, mut watch) = start();
        write(&folder, "common/page.html", "1");
        let artefact = folder.path().join("target/wasm32-wasip2/plugin/p.wasm");
        let read = ["p/src/lib.rs", "common/page.html"].map(|file| folder.path().join(file).display().to_string());
        write(&folder, "target/wasm32-wasip2/plugin/p.d", &format!("{}: {}\n", artefact.display(), read.join(" ")));
        let built = [Built { plugin: "p".to_owned(), component: Path::new("p.wasm").to_owned(), artefact }];
        watch.built(&built);
        assert_eq!(found(&mut watch), (names(&[]), false));
        write(&folder, "common/page.html", "22");
        assert_eq!(found(&mut watch), (names(&["p"]), false));
        write(&folder, "p/src/lib.rs", "22");
        watch.built(&built);
        assert_eq!(found(&mut watch), (names(&["p"]), false));
    }
}
