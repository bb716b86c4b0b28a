//! Reads `[databases.NAME]`.

use std::{path::PathBuf, time::Duration};

use super::{
    address::{self, Address},
    model::{Connect, Database, engine_name},
    reader::{Context, Field, Table},
    values::{DAY, GIB, HOUR, LEAST, MINUTE, SecretText},
};
use crate::{
    driver::{self, Engine, settings::StatementCache},
    pool::settings::{Bounds, Settings},
};

/// A database as far as it could be read: enough to check the grants that name it.
pub(super) struct Draft<'a> {
    pub(super) name: &'a str,
    pub(super) address: Option<Address>,
    pub(super) max_connections: Field<u32>,
    pub(super) min_connections: Field<u32>,
    /// `None` when its address could not be read, which was reported.
    pub(super) database: Option<Database>,
}

/// Reads all databases; `None` when there is no telling which there are.
pub(super) fn read<'a>(root: &mut Table<'a>, host_maximum: &Field<u32>) -> Option<Vec<Draft<'a>>> {
    let context = root.context;
    let tables = root.tables("databases", "database")?;
    let drafts: Vec<Draft<'a>> = tables.into_iter().map(|(name, table)| read_one(context, name, table)).collect();
    check_host_maximum(context, &drafts, host_maximum);
    Some(drafts)
}

fn read_one<'a>(context: &Context<'_>, name: &'a str, mut table: Table<'a>) -> Draft<'a> {
    let at = table.at;
    let is_missing = !table.has("url") && !table.has("url_file");
    let url = table.secret("url", "url_file");
    if is_missing {
        let hint = "add `url = \"sqlite://...\"`, or `url_file` with the path of a file that holds it";
        context.missing(at, format!("database `{name}` has no `url`"), hint);
    }
    let address = url.as_ref().and_then(|url| address::read(context, url));
    let control_url = second_address(&mut table, "control_url", "control_url_file", address.as_ref());
    let migrations_url = second_address(&mut table, "migrations_url", "migrations_url_file", address.as_ref());
    let engine = address.as_ref().map(Address::engine);
    let migrations = engine_folder(&mut table, "migrations", engine);
    let seed = engine_folder(&mut table, "seed", engine);
    let connect = table.choice("connect", Connect::Eager, &[("eager", Connect::Eager), ("lazy", Connect::Lazy)]);

    let max_connections = table.number("max_connections", Settings::default().max_connections, 1, 10_000);
    let min_connections = table.number("min_connections", Settings::default().min_connections, 0, 10_000);
    if max_connections.sound && min_connections.sound && min_connections.value > max_connections.value {
        let (least, most) = (min_connections.value, max_connections.value);
        let at = if min_connections.given { min_connections.at } else { max_connections.at };
        context.error_with(
            at,
            format!("`min_connections` ({least}) is above `max_connections` ({most}) of database `{name}`"),
            "raise `max_connections` or lower `min_connections`",
            |error| {
                if min_connections.given && max_connections.given {
                    error.also(max_connections.at, "the maximum");
                }
            },
        );
    }
    let (settings, settle) = read_settings(&mut table, max_connections.value, min_connections.value);
    let driver = read_driver(&mut table, &settings, &settle);
    table.finish();

    let database = url.zip(address.clone()).map(|(url, address)| Database {
        name: name.to_owned(),
        location: at,
        url_location: url.at,
        engine: address.engine(),
        file: address.file(),
        url: address.into_url(),
        control_url: control_url.map(Address::into_url),
        migrations,
        migrations_url: migrations_url.map(Address::into_url),
        seed,
        connect: connect.value,
        settings,
        driver,
    });
    Draft { name, address, max_connections, min_connections, database }
}

fn read_settings(table: &mut Table<'_>, max_connections: u32, min_connections: u32) -> (Settings, Field<Duration>) {
    let default = Settings::default();
    let (bounds, settle) = read_bounds(table);
    let settings = Settings {
        max_connections,
        min_connections,
        acquire_timeout: table.duration("acquire_timeout", default.acquire_timeout, LEAST, HOUR).value,
        max_waiters: table.number("max_waiters", default.max_waiters, 0, 1_000_000).value,
        idle_timeout: table.duration("idle_timeout", default.idle_timeout, LEAST, DAY).value,
        max_lifetime: table.duration("max_lifetime", default.max_lifetime, LEAST, DAY).value,
        connect_timeout: table.duration("connect_timeout", default.connect_timeout, LEAST, HOUR).value,
        statement_timeout: table.duration("statement_timeout", default.statement_timeout, LEAST, HOUR).value,
        idle_in_transaction_timeout: table
            .duration("idle_in_transaction_timeout", default.idle_in_transaction_timeout, LEAST, HOUR)
            .value,
        test_before_acquire: table.duration("test_before_acquire", default.test_before_acquire, Duration::ZERO, DAY).value,
        leak_warning: table.duration("leak_warning", default.leak_warning, LEAST, HOUR).value,
        bounds,
    };
    (settings, settle)
}

fn read_bounds(table: &mut Table<'_>) -> (Bounds, Field<Duration>) {
    let default = Bounds::default();
    let context = table.context;
    let mut table = table.table("bounds").unwrap_or_else(|| Table::empty(context));
    let settle = table.duration("settle", default.settle, LEAST, MINUTE);
    let mut bound = |key, default| table.duration(key, default, LEAST, MINUTE).value;
    let bounds = Bounds {
        cancel: bound("cancel", default.cancel),
        settle: settle.value,
        rollback: bound("rollback", default.rollback),
        reset: bound("reset", default.reset),
        close: bound("close", default.close),
        kill: bound("kill", default.kill),
        confirm: bound("confirm", default.confirm),
    };
    table.finish();
    (bounds, settle)
}

fn read_driver(table: &mut Table<'_>, settings: &Settings, settle: &Field<Duration>) -> driver::settings::Settings {
    let default = driver::settings::Settings::default();
    let allow_superuser = table.boolean("allow_superuser", default.allow_superuser).value;
    let server_cancel = table.boolean("server_cancel", default.server_cancel).value;
    let busy_timeout = table.duration("busy_timeout", default.busy_timeout, Duration::ZERO, MINUTE);
    // SQLite cannot be interrupted while it waits for another writer: a cancelled statement that had less time to end would be killed.
    if busy_timeout.sound && settle.sound && busy_timeout.value >= settle.value {
        let (busy, bound) = (humantime::format_duration(busy_timeout.value), humantime::format_duration(settle.value));
        let message = format!("`busy_timeout` ({busy}) must be below `bounds.settle` ({bound})");
        let hint =
            "a statement that waits for another writer cannot be cancelled sooner; lower `busy_timeout` or raise the bound";
        let (at, other) = if busy_timeout.given { (&busy_timeout, settle) } else { (settle, &busy_timeout) };
        table.context.error_with(at.at, message, hint, |error| {
            if other.given {
                error.also(other.at, "the other one");
            }
        });
    }
    driver::settings::Settings {
        access: default.access,
        allow_superuser,
        server_cancel,
        statement_timeout: settings.statement_timeout,
        idle_in_transaction_timeout: settings.idle_in_transaction_timeout,
        server_selection_timeout: default.server_selection_timeout,
        busy_timeout: busy_timeout.value,
        statement_cache: read_statement_cache(table, default.statement_cache),
    }
}

/// A capacity of 0 is refused because sqlx then leaves its statements behind on the server; no size to fit in has the same effect.
fn read_statement_cache(table: &mut Table<'_>, default: StatementCache) -> StatementCache {
    let Some(mut table) = table.table("statement_cache") else { return default };
    let cache = StatementCache {
        count: table.number("count", default.count, 1, 10_000).value,
        text_bytes: table.size("text_size", default.text_bytes, 0, GIB).value,
        max_age: table.duration("max_age", default.max_age, LEAST, DAY).value,
    };
    table.finish();
    cache
}

/// A further URL of the same database, for other work under another role.
pub(super) fn second_address(
    table: &mut Table<'_>,
    key: &'static str,
    key_file: &'static str,
    database: Option<&Address>,
) -> Option<Address> {
    let text = table.secret(key, key_file)?;
    let address = address::read(table.context, &text)?;
    if let Some(database) = database {
        check_same_database(table.context, &text, &address, database);
    }
    Some(address)
}

fn check_same_database(context: &Context<'_>, text: &SecretText, address: &Address, database: &Address) {
    match (address, database) {
        (Address::Postgres { .. }, Address::Postgres { .. }) | (Address::Mysql { .. }, Address::Mysql { .. }) => {}
        (Address::Sqlite { file, .. }, Address::Sqlite { file: other, .. }) => {
            if !address::same_file(file, other) {
                let hint = "SQLite has no roles: name the same file, or leave this out";
                context.error(text.at, format!("`{}` names another file than the database's `url`", text.key), hint);
            }
        }
        _ => {
            let (this, other) = (engine_name(address.engine()), engine_name(database.engine()));
            let message = format!("`{}` is of another engine ({this}) than the database's `url` ({other})", text.key);
            context.error(text.at, message, "both must lead to the same database");
        }
    }
}

/// A folder that has a folder for the engine in it.
fn engine_folder(table: &mut Table<'_>, key: &'static str, engine: Option<Engine>) -> Option<PathBuf> {
    let folder = table.folder(key)?;
    if let Some(engine) = engine.map(engine_name)
        && !folder.value.join(engine).is_dir()
    {
        let message = format!("{} has no folder `{engine}`", folder.shown);
        table.context.error(folder.at, message, format!("`{key}` holds one folder an engine: `sqlite`, `postgres`, `mysql`"));
    }
    Some(folder.value)
}

/// No database may ask for more than the whole host may have.
fn check_host_maximum(context: &Context<'_>, drafts: &[Draft<'_>], host: &Field<u32>) {
    if !host.sound {
        return;
    }
    for draft in drafts.iter().filter(|draft| draft.max_connections.sound && draft.max_connections.value > host.value) {
        let (most, name) = (draft.max_connections.value, draft.name);
        context.error_with(
            draft.max_connections.at,
            format!("`max_connections` ({most}) of database `{name}` is above the host's ({})", host.value),
            "the top-level `max_connections` bounds all databases together",
            |error| {
                if host.given {
                    error.also(host.at, "the host's maximum");
                }
            },
        );
    }
    let kept_open: u64 =
        drafts.iter().filter(|draft| draft.min_connections.sound).map(|draft| u64::from(draft.min_connections.value)).sum();
    if kept_open > u64::from(host.value) {
        context.error(
            host.given.then_some(host.at),
            format!(
                "the databases' `min_connections` ({kept_open} in all) are above the host's `max_connections` ({})",
                host.value
            ),
            "raise the top-level `max_connections` or lower `min_connections`",
        );
    }
}
