//! What a right configuration still lacks before it can run, and what its operator should know.

use std::collections::HashMap;

use sqlx::postgres::PgConnectOptions;

use super::{Config, Diagnostics};
use crate::driver::{Engine, mongodb, mysql};

/// Reports every component whose file is missing. `wharf build` makes those with a `source`, so ask after it.
///
/// Blocks on the file system.
pub fn check_components(config: &Config, diagnostics: &mut Diagnostics) {
    for plugin in config.plugins.iter().filter(|plugin| !plugin.component.is_file()) {
        // A plugin with neither has been told so already.
        if plugin.source.is_none() && plugin.component_location == plugin.location {
            continue;
        }
        let hint = match plugin.source {
            Some(_) => "run `wharf build` first",
            None => "compile it, or give the plugin a `source` for `wharf build`; paths begin at the folder of wharf.toml",
        };
        let what = if plugin.component.exists() { "is not a file" } else { "does not exist" };
        let message = format!("component `{}` of plugin `{}` {what}", plugin.component.display(), plugin.name);
        diagnostics.error(plugin.component_location, message, hint);
    }
}

/// Warnings about what is allowed but may surprise: roles that plugins share, databases that nobody may use.
pub fn notes(config: &Config, notes: &mut Diagnostics) {
    for database in &config.databases {
        let grants = || {
            config
                .plugins
                .iter()
                .flat_map(|plugin| plugin.databases.iter().map(move |grant| (plugin, grant)))
                .filter(|(_, grant)| grant.database == database.name)
        };
        if grants().next().is_none() {
            let message = format!("no plugin is granted database `{}`", database.name);
            notes.warning(database.location, message, "its connections are kept open for nobody");
        }
        if database.engine == Engine::Sqlite {
            continue;
        }
        let mut users: HashMap<String, &str> = HashMap::new();
        for (plugin, grant) in grants() {
            let url = grant.url.as_ref().unwrap_or(&database.url);
            let user = match database.engine {
                Engine::Mongodb => mongodb::url::parse(url.expose()).ok().and_then(|location| location.user().map(str::to_owned)),
                Engine::Mysql => mysql::url::parse(url.expose()).ok().map(|options| options.get_username().to_owned()),
                _ => url.expose().parse::<PgConnectOptions>().ok().map(|options| options.get_username().to_owned()),
            };
            let Some(other) = user.and_then(|user| users.insert(user, &plugin.name)) else { continue };
            notes.warning(
                grant.location,
                format!("plugins `{other}` and `{}` use database `{}` under the same role", plugin.name, database.name),
                "through the database each can see and end the other's sessions; give one a `url` of its own unless they trust each other",
            );
        }
    }
}
