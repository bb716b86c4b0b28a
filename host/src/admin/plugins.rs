//! The plugins: what they are, where they answer, how busy they are, and what they may use.

use serde::Serialize;

use super::{
    millis,
    pools::Share,
    subjects::{Served, Subjects},
};

/// All plugins.
#[derive(Serialize)]
pub(super) struct Plugins {
    generation: u64,
    ending: Vec<u64>,
    plugins: Vec<Loaded>,
}

#[derive(Serialize)]
struct Loaded {
    name: String,
    digest: String,
    compile_ms: u64,
    routes: Vec<String>,
    running: usize,
    waiting: usize,
    max: usize,
    databases: Vec<Granted>,
}

#[derive(Serialize)]
struct Granted {
    database: String,
    #[serde(flatten)]
    share: Share,
}

impl Plugins {
    pub(super) fn of(subjects: &Subjects) -> Self {
        let Subjects { plugins, generation, ending, .. } = subjects;
        Self { generation: *generation, ending: ending.clone(), plugins: plugins.iter().map(Loaded::of).collect() }
    }
}

impl Loaded {
    fn of(Served { plugin, routes }: &Served) -> Self {
        let grants = plugin.grants().iter();
        let databases = grants.map(|(_, grant)| Granted { database: grant.database.name().to_string(), share: Share::of(grant) });
        Self {
            name: plugin.name().to_string(),
            digest: plugin.digest().to_string(),
            compile_ms: millis(plugin.compile_time()),
            routes: routes.clone(),
            running: plugin.gate().running(),
            waiting: plugin.gate().waiting(),
            max: plugin.gate().capacity(),
            databases: databases.collect(),
        }
    }
}
