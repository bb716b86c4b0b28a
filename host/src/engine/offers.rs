//! Names what the linkers offer, so that a component's imports can be judged before linking and refused by name.

/// A package of interfaces in the versions that the host serves.
#[derive(Clone, Copy, Debug)]
struct Package {
    name: &'static str,
    /// The first two numbers: WASI and Wharf keep their promise within a minor version below 1.0.
    line: &'static str,
    interfaces: &'static [&'static str],
}

const PACKAGES: &[Package] = &[
    Package { name: "wasi:io", line: "0.2", interfaces: &["error", "poll", "streams"] },
    Package { name: "wasi:clocks", line: "0.2", interfaces: &["monotonic-clock", "wall-clock"] },
    Package { name: "wasi:random", line: "0.2", interfaces: &["random", "insecure", "insecure-seed"] },
    Package { name: "wasi:cli", line: "0.2", interfaces: CLI },
    Package { name: "wasi:filesystem", line: "0.2", interfaces: &["types", "preopens"] },
    Package { name: "wasi:http", line: "0.2", interfaces: &["types"] },
    Package { name: "wasi:clocks", line: "0.3", interfaces: &["types", "monotonic-clock", "system-clock"] },
    Package { name: "wasi:random", line: "0.3", interfaces: &["random", "insecure", "insecure-seed"] },
    Package { name: "wasi:cli", line: "0.3", interfaces: CLI_03 },
    Package { name: "wasi:filesystem", line: "0.3", interfaces: &["types", "preopens"] },
    Package { name: "wasi:http", line: "0.3", interfaces: &["types"] },
    Package { name: "wharf:sql", line: "0.1", interfaces: &["types", "database"] },
    Package { name: "wharf:sql-async", line: "0.1", interfaces: &["database"] },
    Package { name: "wharf:documents", line: "0.1", interfaces: &["types", "database"] },
    Package { name: "wharf:documents-async", line: "0.1", interfaces: &["database"] },
];

const CLI: &[&str] = &[
    "environment",
    "exit",
    "stdin",
    "stdout",
    "stderr",
    "terminal-input",
    "terminal-output",
    "terminal-stdin",
    "terminal-stdout",
    "terminal-stderr",
];

const CLI_03: &[&str] = &[
    "types",
    "environment",
    "exit",
    "stdin",
    "stdout",
    "stderr",
    "terminal-input",
    "terminal-output",
    "terminal-stdin",
    "terminal-stdout",
    "terminal-stderr",
];

/// What the host says to one imported name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is linked.
    Yes,
    /// The interface is served, but not in that version.
    OtherVersions(Vec<&'static str>),
    /// Nothing of that name is served.
    No,
}

/// Judges an import such as `wasi:http/types@0.2.3`.
#[must_use]
pub fn judge(import: &str) -> Offer {
    let (path, version) = import.split_once('@').unwrap_or((import, ""));
    let Some((package, interface)) = path.split_once('/') else { return Offer::No };
    let served: Vec<&Package> =
        PACKAGES.iter().filter(|served| served.name == package && served.interfaces.contains(&interface)).collect();
    if served.iter().any(|served| in_line(version, served.line)) {
        Offer::Yes
    } else if served.is_empty() {
        Offer::No
    } else {
        Offer::OtherVersions(served.iter().map(|served| served.line).collect())
    }
}

fn in_line(version: &str, line: &str) -> bool {
    // Pre-releases such as 0.3.0-rc-2026-02-01 have types of their own.
    !version.contains('-') && version.strip_prefix(line).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_served_line_takes_every_patch_release() {
        assert_eq!(judge("wasi:http/types@0.2.0"), Offer::Yes);
        assert_eq!(judge("wasi:http/types@0.2.99"), Offer::Yes);
        assert_eq!(judge("wharf:sql/database@0.1.0"), Offer::Yes);
        assert_eq!(judge("wharf:documents/types@0.1.7"), Offer::Yes);
        assert_eq!(judge("wharf:documents-async/database@0.1.0"), Offer::Yes);
    }

    #[test]
    fn what_is_offered_is_linked() {
        let engines = crate::engine::Engines::new(&crate::engine::EngineSettings::default()).unwrap();
        for package in PACKAGES {
            let concurrent = package.line == "0.3" || package.name.ends_with("-async");
            let linker = if concurrent { engines.concurrent() } else { engines.plain() };
            for interface in package.interfaces {
                let name = format!("{}/{interface}@{}.0", package.name, package.line);
                let component = wat::parse_str(format!(r#"(component (import "{name}" (instance)))"#)).unwrap();
                let component = wasmtime::component::Component::from_binary(linker.engine(), &component).unwrap();
                linker.instantiate_pre(&component).map_err(|error| format!("{name}: {error:#}")).unwrap();
            }
        }
    }

    #[test]
    fn other_versions_are_named() {
        assert_eq!(judge("wharf:sql/database@0.2.0"), Offer::OtherVersions(vec!["0.1"]));
        assert_eq!(judge("wharf:documents-async/database@0.2.0"), Offer::OtherVersions(vec!["0.1"]));
        assert_eq!(judge("wasi:http/types@0.3.0-rc-2026-02-01"), Offer::OtherVersions(vec!["0.2", "0.3"]));
        assert_eq!(judge("wasi:http/types@0.20.0"), Offer::OtherVersions(vec!["0.2", "0.3"]));
    }

    #[test]
    fn what_is_not_served_is_refused() {
        assert_eq!(judge("wasi:sockets/tcp@0.2.0"), Offer::No);
        assert_eq!(judge("wasi:http/outgoing-handler@0.2.0"), Offer::No);
        assert_eq!(judge("wharf:documents-async/types@0.1.0"), Offer::No);
        assert_eq!(judge("a-function"), Offer::No);
    }
}
