//! Pieces of `wharf.toml` for the cases that measure Wharf alone.

use std::{fmt::Write, path::Path};

use http::Uri;
use support::{guests::component, postgres::PostgresDatabase};

/// What a plugin is granted.
pub(crate) const GRANT: &str = "databases.main = { access = \"read-write\" }";

/// The database `main` with settings of its own.
pub(crate) fn main(database: &PostgresDatabase, settings: &str) -> String {
    format!("[databases.main]\nurl = {:?}\n{settings}\n\n", database.url(&database.owner))
}

/// A plugin that answers these paths.
pub(crate) fn plugin(name: &str, component: &Path, routes: &[&str], settings: &str) -> String {
    format!("[plugins.{name}]\ncomponent = {component:?}\nroutes = {routes:?}\n{settings}\n\n")
}

/// A guest as the plugin of its name.
///
/// # Panics
/// When it is not built.
pub(crate) fn guest(name: &str, routes: &[&str], settings: &str) -> String {
    plugin(name, &component(name), routes, settings)
}

/// A plugin a component with these settings, each at a path of its own, and these paths: numbers from 1 behind `prefix`.
pub(crate) fn spread<'a>(components: impl Iterator<Item = &'a Path>, prefix: &str, settings: &str) -> (String, Vec<Uri>) {
    let (mut toml, mut paths) = (String::new(), Vec::new());
    for (number, component) in (1..).zip(components) {
        let route = format!("{prefix}{number}");
        // Writing to a String cannot fail.
        let _ = write!(toml, "{}", plugin(&format!("p{number}"), component, &[&route], settings));
        paths.push(path(&route));
    }
    (toml, paths)
}

/// A path as a request has it.
///
/// # Panics
/// When it is none.
pub(crate) fn path(path: &str) -> Uri {
    path.parse().expect("a path")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_component_gets_a_path_of_its_own() {
        let components = ["/a.wasm", "/b.wasm"].map(Path::new);
        let (toml, paths) = spread(components.into_iter().cycle().take(3), "/row/", "");
        assert_eq!(paths, ["/row/1", "/row/2", "/row/3"]);
        assert_eq!(toml.matches("/a.wasm").count(), 2, "{toml}");
        assert!(toml.contains("[plugins.p2]\ncomponent = \"/b.wasm\"\nroutes = [\"/row/2\"]\n"), "{toml}");
    }
}
