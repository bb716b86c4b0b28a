//! Reads `[databases.NAME]`.

use std::{path::PathBuf, time::Duration};

use super::{
    address::{self, Address},
    dialect::{DOCUMENTS, InUrl, Names, SQL},
    model::{Connect, Database},
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
    /// What its limits are called.
    pub(super) names: &'static Names,
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
    let is_missing = table.lacks(&["url", "url_file"]);
    let url = table.secret("url", "url_file");
    let names = names_of(url.as_ref(), &table);
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
    let required = table.boolean("required", true);

    let in_url = InUrl::new(context, url.as_ref(), address.as_ref(), at);
    let pooling = in_url.pooling;
    let max_connections =
        in_url.number(&mut table, (names.most, "maxPoolSize"), Settings::default().max_connections, 1, pooling.max_pool_size);
    let min_connections =
        in_url.number(&mut table, (names.least, "minPoolSize"), Settings::default().min_connections, 0, pooling.min_pool_size);
    if max_connections.sound && min_connections.sound && min_connections.value > max_connections.value {
        let (least, most) = (min_connections.value, max_connections.value);
        let at = if min_connections.given { min_connections.at } else { max_connections.at };
        context.error_with(
            at,
            format!("`{}` ({least}) is above `{}` ({most}) of database `{name}`", names.least, names.most),
            format!("raise `{}` or lower `{}`", names.most, names.least),
            |error| {
                if min_connections.given && max_connections.given && min_connections.at != max_connections.at {
                    error.also(max_connections.at, "the maximum");
                }
            },
        );
    }
    let (settings, settle) = read_settings(&mut table, names, &in_url, (max_connections.value, min_connections.value));
    let driver = read_driver(&mut table, names, &in_url, &settings, &settle);
    names.refuse_others(&mut table);
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
        required: required.value,
        settings,
        driver,
    });
    Draft { name, address, names, max_connections, min_connections, database }
}

/// What the limits are called: the scheme of the URL says it, or whatever keys are there if there is none to be read.
fn names_of(url: Option<&SecretText>, table: &Table<'_>) -> &'static Names {
    let is_documents = match url {
        Some(url) => address::is_mongodb(url),
        None => [DOCUMENTS.most, DOCUMENTS.least, DOCUMENTS.idle].iter().any(|key| table.has(key)),
    };
    if is_documents { &DOCUMENTS } else { &SQL }
}

fn read_settings(
    table: &mut Table<'_>,
    names: &'static Names,
    in_url: &InUrl<'_>,
    (max_connections, min_connections): (u32, u32),
) -> (Settings, Field<Duration>) {
    let default = Settings::default();
    let pooling = in_url.pooling;
    let (bounds, settle) = read_bounds(table);
    let settings = Settings {
        max_connections,
        min_connections,
        acquire_timeout: in_url.duration(
            table,
            ("acquire_timeout", "waitQueueTimeoutMS"),
            default.acquire_timeout,
            HOUR,
            pooling.acquire_timeout,
        ),
        max_waiters: table.number("max_waiters", default.max_waiters, 0, 1_000_000).value,
        idle_timeout: in_url.duration(table, (names.idle, "maxIdleTimeMS"), default.idle_timeout, DAY, pooling.max_idle_time),
        max_lifetime: table.duration("max_lifetime", default.max_lifetime, LEAST, DAY).value,
        connect_timeout: in_url.duration(
            table,
            ("connect_timeout", "connectTimeoutMS"),
            default.connect_timeout,
            HOUR,
            pooling.connect_timeout,
        ),
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
    let mut table = table.table("bounds");
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

fn read_driver(
    table: &mut Table<'_>,
    names: &Names,
    in_url: &InUrl<'_>,
    settings: &Settings,
    settle: &Field<Duration>,
) -> driver::settings::Settings {
    let default = driver::settings::Settings::default();
    let allow_superuser = table.boolean("allow_superuser", default.allow_superuser).value;
    let server_cancel = table.boolean("server_cancel", default.server_cancel).value;
    let common = driver::settings::Settings {
        allow_superuser,
        server_cancel,
        statement_timeout: settings.statement_timeout,
        idle_in_transaction_timeout: settings.idle_in_transaction_timeout,
        max_connections: settings.max_connections,
        ..default
    };
    if names.is_documents() {
        let server_selection_timeout = in_url.duration(
            table,
            ("server_selection_timeout", "serverSelectionTimeoutMS"),
            common.server_selection_timeout,
            HOUR,
            in_url.pooling.server_selection_timeout,
        );
        return driver::settings::Settings { server_selection_timeout, ..common };
    }
    let busy_timeout = read_busy_timeout(table, common.busy_timeout, settle);
    let statement_cache = read_statement_cache(table, common.statement_cache);
    driver::settings::Settings { busy_timeout, statement_cache, ..common }
}

fn read_busy_timeout(table: &mut Table<'_>, default: Duration, settle: &Field<Duration>) -> Duration {
    let busy_timeout = table.duration("busy_timeout", default, Duration::ZERO, MINUTE);
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
    busy_timeout.value
}

/// A capacity of 0 is refused because sqlx then leaves its statements behind on the server; no size to fit in has the same effect.
fn read_statement_cache(table: &mut Table<'_>, default: StatementCache) -> StatementCache {
    let mut table = table.table("statement_cache");
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
        (Address::Mongodb { location, .. }, Address::Mongodb { location: other, .. }) => {
            if location.database() != other.database() {
                let hint = "both must lead to the same database; where a user is kept is said by `authSource`";
                context.error(text.at, format!("`{}` names another database than the database's `url`", text.key), hint);
            }
            if !location.pooling().is_within(&other.pooling()) {
                let message = format!("`{}` says of the pool what the database's `url` does not", text.key);
                context.error(text.at, message, "the pool is the database's: say it in its `url`, or in its table");
            }
            // The `url` of a grant may: its sessions are guests'.
            if location.has_concerns() && !["url", "url_file"].contains(&text.key) {
                let message = format!("`{}` sets a read or write concern, which would be ignored", text.key);
                context.error(text.at, message, "remove `w`, `journal`, `wtimeoutMS` and `readConcernLevel` from it");
            }
        }
        _ => {
            let (this, other) = (address.engine().name(), database.engine().name());
            let message = format!("`{}` is of another engine ({this}) than the database's `url` ({other})", text.key);
            context.error(text.at, message, "both must lead to the same database");
        }
    }
}

/// A folder that has a folder for the engine in it.
fn engine_folder(table: &mut Table<'_>, key: &'static str, engine: Option<Engine>) -> Option<PathBuf> {
    let folder = table.folder(key)?;
    if let Some(engine) = engine.map(Engine::name)
        && !folder.value.join(engine).is_dir()
    {
        let message = format!("{} has no folder `{engine}`", folder.shown);
        table.context.error(
            folder.at,
            message,
            format!("`{key}` holds one folder an engine: `sqlite`, `postgres`, `mysql`, `mongodb`"),
        );
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
            format!("`{}` ({most}) of database `{name}` is above the host's ({})", draft.names.most, host.value),
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
