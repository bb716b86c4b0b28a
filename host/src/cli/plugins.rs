//! `wharf plugins`: what is loaded, how busy it is, and what it may use.

use serde::Deserialize;

use super::{
    Failure, View,
    table::{Table, duration},
    view,
};

/// Hexadecimal digits of a digest that are shown.
const DIGEST: usize = 12;

/// Shows them.
///
/// # Errors
/// [`Failure`].
pub(super) fn run(shown: &View) -> Result<(), Failure> {
    view::show(shown, "/plugins", render)
}

/// What is read of `/plugins`.
#[derive(Deserialize)]
struct Plugins {
    generation: u64,
    ending: Vec<u64>,
    plugins: Vec<Plugin>,
}

#[derive(Deserialize)]
struct Plugin {
    name: String,
    digest: String,
    compile_ms: u64,
    routes: Vec<String>,
    running: u64,
    waiting: u64,
    max: u64,
    databases: Vec<Grant>,
}

#[derive(Deserialize)]
struct Grant {
    database: String,
    access: String,
    max: u64,
    leased: u64,
}

fn render(Plugins { generation, ending, plugins }: &Plugins, width: Option<usize>) -> String {
    let mut table = Table::new(["PLUGIN", "DIGEST", "CALLS", "WAITING", "DATABASES", "COMPILED", "ROUTES"]);
    for Plugin { name, digest, compile_ms, routes, running, waiting, max, databases } in plugins {
        let of = |Grant { database, access, max, leased }: &Grant| format!("{database} {leased}/{max} {access}");
        let databases: Vec<String> = databases.iter().map(of).collect();
        table.row([
            name.clone(),
            digest.chars().take(DIGEST).collect(),
            format!("{running}/{max}"),
            waiting.to_string(),
            databases.join(", "),
            duration(*compile_ms),
            routes.join(", "),
        ]);
    }
    if table.is_empty() {
        return "no plugin is loaded yet\n".to_owned();
    }
    let ending: String = ending.iter().map(|number| format!(", calls of {number} run still")).collect();
    format!("generation {generation} is in force{ending}\n\n{}", table.render(width))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_a_plugin() {
        let grant = json!({ "database": "clinic", "access": "read-only", "max": 4, "reserved": 0, "leased": 1, "waiting": 0 });
        let plugin = json!({
            "name": "patients", "digest": "3f".repeat(32), "compile_ms": 1_950, "routes": ["GET /patients", "/reports"],
            "running": 2, "waiting": 7, "max": 100, "databases": [grant],
        });
        let plugins: Plugins = serde_json::from_value(json!({ "generation": 3, "ending": [1, 2], "plugins": [plugin] })).unwrap();
        insta::assert_snapshot!(render(&plugins, None), @r"
        generation 3 is in force, calls of 1 run still, calls of 2 run still

        PLUGIN    DIGEST        CALLS  WAITING  DATABASES             COMPILED  ROUTES
        patients  3f3f3f3f3f3f  2/100  7        clinic 1/4 read-only  1.9s      GET /patients, /reports
        ");
        assert_eq!(
            render(&Plugins { generation: 0, ending: Vec::new(), plugins: Vec::new() }, None),
            "no plugin is loaded yet\n"
        );
    }
}
