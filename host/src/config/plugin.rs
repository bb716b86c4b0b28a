//! Reads `[plugins.NAME]`.

use std::time::Duration;

use http::uri::PathAndQuery;

use super::{
    address::Address,
    database::{Draft, second_address},
    model::{Grant, Instances, Limits, Plugin},
    reader::{Context, Table, did_you_mean, list},
    recorder::Kind,
    routes,
    values::{GIB, HOUR, KIB, LEAST, MIB},
};
use crate::{driver::settings::Access, plugin::LogLevel};

/// A fresh instance for every call.
const FRESH: u32 = 1;
/// Calls that one instance may serve at most: what a handler's own memory gathers from call to call must end some time.
const MAX_REUSE: u32 = 10_000;

/// Reads all plugins. `databases` is `None` when there is no telling which there are.
pub(super) fn read(root: &mut Table<'_>, databases: Option<&[Draft<'_>]>) -> Vec<Plugin> {
    let context = root.context;
    let Some(tables) = root.tables("plugins", "plugin") else { return Vec::new() };
    if root.lacks(&["plugins"]) || tables.is_empty() {
        let hint = "add a table `[plugins.NAME]` with `component = \"NAME.wasm\"` and `routes = [\"/path\"]`";
        context.missing(None, "there is no plugin, so nothing to run", hint);
    }
    let plugins: Vec<Plugin> = tables.into_iter().map(|(name, table)| read_one(context, name, table, databases)).collect();
    routes::check_overlaps(context, &plugins);
    check_components(context, &plugins);
    for draft in databases.unwrap_or_default().iter().filter(|draft| draft.max_connections.sound) {
        check_reserves(context, &plugins, draft);
    }
    plugins
}

/// The reserves of a database must leave something for every grant of it.
fn check_reserves(context: &Context<'_>, plugins: &[Plugin], draft: &Draft<'_>) {
    let grants = || plugins.iter().flat_map(|plugin| &plugin.databases).filter(|grant| grant.database == draft.name);
    let reserved: u32 = grants().map(|grant| grant.reserved_connections).fold(0, u32::saturating_add);
    let needed = reserved.saturating_add(u32::from(grants().any(|grant| grant.reserved_connections == 0)));
    let most = &draft.max_connections;
    if let Some(last) = grants().rfind(|grant| grant.reserved_connections > 0)
        && needed > most.value
    {
        let message = format!(
            "{reserved} connections of database `{}` are reserved, which leaves too few of its {}",
            draft.name, most.value
        );
        let hint =
            format!("reserve less, or raise the database's `{}`: a grant without a reserve needs one as well", draft.names.most);
        context.error_with(last.location, message, hint, |error| {
            if most.given {
                error.also(most.at, "the database's maximum");
            }
        });
    }
}

/// `wharf build` must not write two crates into one file.
fn check_components(context: &Context<'_>, plugins: &[Plugin]) {
    for (index, plugin) in plugins.iter().enumerate() {
        let clash = |other: &&Plugin| other.component == plugin.component && other.source != plugin.source;
        let Some(other) = plugins[..index].iter().find(clash) else { continue };
        let message = format!("plugins `{}` and `{}` have one component but not one `source`", other.name, plugin.name);
        context.error_with(plugin.component_location, message, "give each a `component` of its own", |error| {
            error.also(other.component_location, "the same component");
        });
    }
}

fn read_one(context: &Context<'_>, name: &str, mut table: Table<'_>, databases: Option<&[Draft<'_>]>) -> Plugin {
    let location = table.at;
    if table.lacks(&["component", "source"]) {
        let hint = "add `component = \"NAME.wasm\"`, or `source` with the folder of a crate for `wharf build`";
        context.missing(location, format!("plugin `{name}` has neither `component` nor `source`"), hint);
    }
    let component = table.path("component");
    let source = table.folder("source");
    if let Some(source) = &source
        && !source.value.join("Cargo.toml").is_file()
    {
        let message = format!("{} has no Cargo.toml", source.shown);
        context.error(source.at, message, "`source` is the folder of a Rust crate");
    }
    let routes = routes::read(&mut table, name);
    let limits = read_limits(table.table("limits"));
    let instances = read_instances(table.table("instances"));
    let levels = [("info", LogLevel::Info), ("warn", LogLevel::Warn), ("off", LogLevel::Off)];
    let log = table.choice("log", LogLevel::Info, &levels).value;
    let probe = read_probe(&mut table);
    let databases = read_grants(&mut table, name, databases);
    table.finish();
    Plugin {
        name: name.to_owned(),
        location,
        component_location: component.as_ref().map_or(location, |component| component.at),
        component: component
            .map_or_else(|| context.base.join(".wharf").join("build").join(format!("{name}.wasm")), |component| component.value),
        source: source.map(|source| source.value),
        routes,
        limits,
        instances,
        log,
        probe,
        databases,
    }
}

fn read_probe(table: &mut Table<'_>) -> Option<PathAndQuery> {
    let entry = table.take("probe", Kind::Text { form: "a path, with a query or without", default: None })?;
    let text = entry.text("a path, such as \"/health\"")?;
    let path = text.value.parse::<PathAndQuery>().ok();
    let path = path.filter(|_| text.value.starts_with('/') && !text.value.contains('#'));
    if path.is_none() {
        entry.context.error(entry.at, format!("{} is no path to ask for", text.shown()), "write `/path` or `/path?query`");
    }
    path
}

fn read_instances(mut table: Table<'_>) -> Instances {
    let reuse = table.number("reuse", FRESH, 1, MAX_REUSE).value;
    table.finish();
    Instances { reuse }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 10_000_000_000,
            deadline: Duration::from_secs(15),
            memory: 64 * MIB,
            max_concurrency: 64,
            log_line_bytes: 4 * KIB,
            log_lines_per_second: 100,
        }
    }
}

fn read_limits(mut table: Table<'_>) -> Limits {
    let default = Limits::default();
    let limits = Limits {
        fuel: table.number("fuel", default.fuel, 1, u64::MAX).value,
        deadline: table.duration("deadline", default.deadline, LEAST, HOUR).value,
        memory: table.size("memory", default.memory, 64 * KIB, 4 * GIB).value,
        max_concurrency: table.number("max_concurrency", default.max_concurrency, 1, 100_000).value,
        log_line_bytes: table.size("log_line_bytes", default.log_line_bytes, 64, MIB).value,
        log_lines_per_second: table.number("log_lines_per_second", default.log_lines_per_second, 1, 100_000).value,
    };
    table.finish();
    limits
}

fn read_grants(table: &mut Table<'_>, plugin: &str, databases: Option<&[Draft<'_>]>) -> Vec<Grant> {
    let context = table.context;
    let Some(tables) = table.tables("databases", "database") else { return Vec::new() };
    tables
        .into_iter()
        .map(|(name, table)| {
            let draft = databases.and_then(|drafts| drafts.iter().find(|draft| draft.name == name));
            if let (Some(drafts), None) = (databases, draft) {
                let names: Vec<&str> = drafts.iter().map(|draft| draft.name).collect();
                let hint = did_you_mean(name, &names).unwrap_or_else(|| match names.is_empty() {
                    true => format!("add a table `[databases.{name}]` with its `url`"),
                    false => format!("known databases: {}", list(&names)),
                });
                context.missing(table.at, format!("plugin `{plugin}` is granted `{name}`, but there is no such database"), hint);
            }
            read_grant(context, name, table, draft)
        })
        .collect()
}

fn read_grant(context: &Context<'_>, name: &str, mut table: Table<'_>, draft: Option<&Draft<'_>>) -> Grant {
    let location = table.at;
    if table.lacks(&["access"]) {
        let hint = "add `access = \"read-only\"` or `access = \"read-write\"`";
        context.missing(location, format!("the grant of `{name}` does not say what it allows"), hint);
    }
    let access = table.choice("access", Access::ReadWrite, &[("read-only", Access::ReadOnly), ("read-write", Access::ReadWrite)]);
    let has_url = table.has("url") || table.has("url_file");
    let database = draft.and_then(|draft| draft.address.as_ref());
    let url = second_address(&mut table, "url", "url_file", database);
    if access.sound && access.given && access.value == Access::ReadOnly {
        check_read_only_role(context, name, &access.at, has_url, url.as_ref(), database);
    }
    let most = draft.map(|draft| &draft.max_connections).filter(|most| most.sound);
    let default = draft.map_or(1, |draft| draft.max_connections.value);
    let max_connections = table.number_or("max_connections", default, 1, 10_000);
    if let Some(most) = most
        && max_connections.sound
        && max_connections.value > most.value
    {
        context.error_with(
            max_connections.at,
            format!(
                "a grant of {} connections is above the `{}` ({}) of database `{name}`",
                max_connections.value,
                draft.map_or("max_connections", |draft| draft.names.most),
                most.value
            ),
            "lower it, or raise the database's",
            |error| {
                if most.given {
                    error.also(most.at, "the database's maximum");
                }
            },
        );
    }
    let reserved = table.number("reserved_connections", 0, 0, 10_000);
    if reserved.sound && max_connections.sound && reserved.value > max_connections.value {
        let message = format!(
            "`reserved_connections` ({}) is above the grant's `max_connections` ({})",
            reserved.value, max_connections.value
        );
        context.error(reserved.at, message, "a grant cannot use more than its maximum");
    }
    let grant = Grant {
        database: name.to_owned(),
        location,
        access: access.value,
        url: url.map(Address::into_url),
        max_connections: max_connections.value,
        reserved_connections: reserved.value,
        max_rows: table.number("max_rows", 100_000, 1, 100_000_000).value,
        max_result_bytes: table.size("max_result_bytes", 16 * MIB, KIB, GIB).value,
        max_statements: table.number("max_statements", 1000, 1, 1_000_000).value,
        max_transaction_time: table.duration("max_transaction_time", Duration::from_secs(10), LEAST, HOUR).value,
    };
    table.finish();
    grant
}

/// On PostgreSQL only a role keeps a session from writing: a read-only transaction can be left by the guest. MongoDB has nothing else.
fn check_read_only_role(
    context: &Context<'_>,
    name: &str,
    at: &super::Location,
    has_url: bool,
    url: Option<&Address>,
    database: Option<&Address>,
) {
    let (engine, role, hint) = match database {
        Some(Address::Postgres { .. }) => (
            "PostgreSQL",
            "role",
            "give it a `url` with a role that may only read; a read-only transaction is no guard, since a handler can leave it",
        ),
        Some(Address::Mongodb { .. }) => ("MongoDB", "user", "give it a `url` with a user that has only the role `read`"),
        _ => return,
    };
    let is_shared = match (url, database) {
        (Some(Address::Postgres { user, .. }), Some(Address::Postgres { user: owner, .. })) => user == owner,
        // Whom a certificate names, only the server tells.
        (Some(Address::Mongodb { location, .. }), Some(Address::Mongodb { location: owner, .. })) => {
            location.user().is_some() && location.is_same_user(owner)
        }
        _ => false,
    };
    let message = match (url, database) {
        _ if is_shared => format!("the read-only grant of `{name}` uses the same {role} as the database's `url`"),
        (Some(Address::Mongodb { location, .. }), Some(Address::Mongodb { .. })) if location.is_anonymous() => {
            format!("the `url` of the read-only grant of `{name}` names no user")
        }
        // Given, but it could not be read or is of another engine: that was reported.
        _ if has_url => return,
        _ => format!("the read-only grant of `{name}` needs a credential of its own on {engine}"),
    };
    context.error(*at, message, hint);
}
