//! What a configuration says, key by key, with defaults for what it leaves out: for who compares two.

use std::{collections::BTreeMap, fmt, path::Path, time::Duration};

use http::HeaderMap;

use super::{
    dialect,
    model::{
        Admin, Audit, Config, Connect, Database, Engine, Grant, Instances, Limits, Log, Metrics, Plugin, Server, Tls, Traces,
    },
    recorder::written,
    secret::Secret,
    values::{OFF, format_size},
};
use crate::{
    driver::{
        self,
        settings::{Access, StatementCache},
    },
    plugin::LogLevel,
    pool::settings::{Bounds, Settings},
    server::ForwardedHeader,
    telemetry::logs::Format,
};

/// What a key says.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// This.
    Shown(String),
    /// What nobody may see; shown as a word.
    Hidden(Secret),
    /// It is left out, and has no default.
    Nothing,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shown(text) => f.write_str(text),
            Self::Hidden(_) => f.write_str("a secret"),
            Self::Nothing => f.write_str("nothing"),
        }
    }
}

/// Facts under their keys from the top of the file.
#[derive(Default)]
struct Facts(BTreeMap<String, Fact>);

impl Facts {
    fn add(&mut self, key: impl Into<String>, fact: Fact) {
        self.0.insert(key.into(), fact);
    }

    /// Those of one table.
    fn table<const N: usize>(&mut self, table: &str, facts: [(&str, Fact); N]) {
        for (key, fact) in facts {
            self.add(format!("{table}.{key}"), fact);
        }
    }
}

fn shown(text: impl ToString) -> Fact {
    Fact::Shown(text.to_string())
}

fn time(duration: Duration) -> Fact {
    Fact::Shown(written(duration))
}

fn size(bytes: usize) -> Fact {
    Fact::Shown(format_size(bytes))
}

fn path(path: &Path) -> Fact {
    shown(path.display())
}

fn hidden(secret: Option<&Secret>) -> Fact {
    secret.map_or(Fact::Nothing, |secret| Fact::Hidden(secret.clone()))
}

fn folder(folder: Option<&Path>) -> Fact {
    folder.map_or(Fact::Nothing, path)
}

fn list(items: &[impl ToString]) -> Fact {
    Fact::Shown(items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

impl Config {
    /// What it says under every key; a secret that is in a file stands under the key without `_file`.
    ///
    /// Every structure is taken apart in full here, so that a setting without a fact does not compile.
    #[must_use]
    pub fn facts(&self) -> BTreeMap<String, Fact> {
        let Self {
            path: _,
            source: _,
            server,
            admin,
            log,
            audit,
            metrics: Metrics { enabled, max_series },
            traces,
            max_connections,
            databases,
            plugins,
            engine,
        } = self;
        let mut facts = Facts::default();
        facts.add("max_connections", shown(max_connections));
        of_server(&mut facts, server);
        of_admin(&mut facts, admin);
        let Log { level, format } = log;
        let format = match format {
            Format::Auto => "auto",
            Format::Human => "human",
            Format::Json => "json",
        };
        facts.table("log", [("level", shown(level)), ("format", shown(format))]);
        if let Some(audit) = audit {
            of_audit(&mut facts, audit);
        }
        facts.table("metrics", [("enabled", shown(enabled)), ("max_series", shown(max_series))]);
        if let Some(traces) = traces {
            of_traces(&mut facts, traces);
        }
        let Engine { cache } = engine;
        facts.add("engine.cache", path(cache));
        for database in databases {
            of_database(&mut facts, database);
        }
        for plugin in plugins {
            of_plugin(&mut facts, plugin);
        }
        facts.0
    }
}

fn of_server(facts: &mut Facts, server: &Server) {
    let Server {
        listen,
        admin,
        tls,
        trusted_proxies,
        forwarded_header,
        max_connections,
        max_header_bytes,
        max_headers,
        max_body,
        header_timeout,
        idle_timeout,
        body_stall_timeout,
        request_timeout,
        server_timing,
        max_concurrency,
        max_queue,
        queue_timeout,
        drain_timeout,
        reclaim_timeout,
    } = server;
    let forwarded_header = match forwarded_header {
        ForwardedHeader::XForwardedFor => "x-forwarded-for",
        ForwardedHeader::Forwarded => "forwarded",
    };
    let all = [
        ("listen", shown(listen)),
        ("admin", admin.map_or_else(|| shown(OFF), shown)),
        ("trusted_proxies", list(trusted_proxies)),
        ("forwarded_header", shown(forwarded_header)),
        ("max_connections", shown(max_connections)),
        ("max_header_bytes", size(*max_header_bytes)),
        ("max_headers", shown(max_headers)),
        ("max_body", size(*max_body)),
        ("header_timeout", time(*header_timeout)),
        ("idle_timeout", time(*idle_timeout)),
        ("body_stall_timeout", time(*body_stall_timeout)),
        ("request_timeout", time(*request_timeout)),
        ("server_timing", shown(server_timing)),
        ("max_concurrency", shown(max_concurrency)),
        ("max_queue", shown(max_queue)),
        ("queue_timeout", time(*queue_timeout)),
        ("drain_timeout", time(*drain_timeout)),
        ("reclaim_timeout", time(*reclaim_timeout)),
    ];
    facts.table("server", all);
    if let Some(Tls { certificate, key, check_interval }) = tls {
        let all = [("certificate", path(certificate)), ("key", path(key)), ("check_interval", time(*check_interval))];
        facts.table("server.tls", all);
    }
}

fn of_audit(facts: &mut Facts, audit: &Audit) {
    let Audit {
        file,
        key,
        durability,
        sync_interval,
        when_unavailable,
        max_file_size,
        max_files,
        statement_bytes,
        head_interval,
        who_header,
    } = audit;
    let all = [
        ("file", path(file)),
        ("key", hidden(Some(key))),
        ("durability", shown(durability.name())),
        ("sync_interval", time(*sync_interval)),
        ("when_unavailable", shown(when_unavailable.name())),
        ("max_file_size", size(*max_file_size)),
        ("max_files", shown(max_files)),
        ("statement_bytes", size(*statement_bytes)),
        ("head_interval", time(*head_interval)),
        ("who_header", who_header.as_ref().map_or(Fact::Nothing, shown)),
    ];
    facts.table("audit", all);
}

fn of_traces(facts: &mut Facts, traces: &Traces) {
    let Traces { endpoint, sample, max_spans_per_second, headers, timeout } = traces;
    let all = [
        // Its path may be what lets the host in.
        ("endpoint", Fact::Hidden(Secret::new(format!("{endpoint:?}")))),
        ("sample", shown(sample)),
        ("max_spans_per_second", shown(max_spans_per_second)),
        ("headers", credentials(headers)),
        ("timeout", time(*timeout)),
    ];
    facts.table("traces", all);
}

fn credentials(headers: &HeaderMap) -> Fact {
    if headers.is_empty() {
        return Fact::Nothing;
    }
    let lines = headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    Fact::Hidden(Secret::new(lines.collect::<Vec<_>>().join("\n")))
}

fn of_admin(facts: &mut Facts, admin: &Admin) {
    let Admin { token, socket, hosts, open_views, max_viewers, unready_after } = admin;
    let all = [
        ("token", hidden(token.as_ref())),
        ("socket", socket.as_deref().map_or_else(|| shown(OFF), path)),
        ("hosts", list(hosts)),
        ("open_views", shown(open_views)),
        ("max_viewers", shown(max_viewers)),
        ("unready_after", time(*unready_after)),
    ];
    facts.table("admin", all);
}

fn of_database(facts: &mut Facts, database: &Database) {
    let Database {
        name,
        location: _,
        url_location: _,
        url,
        // Read off the URL.
        engine,
        file: _,
        control_url,
        migrations,
        migrations_url,
        seed,
        connect,
        required,
        settings,
        driver,
    } = database;
    let table = format!("databases.{name}");
    let connect = match connect {
        Connect::Eager => "eager",
        Connect::Lazy => "lazy",
    };
    let all = [
        ("url", hidden(Some(url))),
        ("control_url", hidden(control_url.as_ref())),
        ("migrations", folder(migrations.as_deref())),
        ("migrations_url", hidden(migrations_url.as_ref())),
        ("seed", folder(seed.as_deref())),
        ("connect", shown(connect)),
        ("required", shown(required)),
    ];
    facts.table(&table, all);
    of_pool(facts, &table, settings, *engine == driver::Engine::Mongodb);
    of_driver(facts, &table, driver, *engine == driver::Engine::Mongodb);
}

fn of_pool(facts: &mut Facts, table: &str, settings: &Settings, is_documents: bool) {
    let Settings {
        max_connections,
        min_connections,
        acquire_timeout,
        max_waiters,
        idle_timeout,
        max_lifetime,
        connect_timeout,
        statement_timeout,
        idle_in_transaction_timeout,
        test_before_acquire,
        leak_warning,
        bounds: Bounds { cancel, settle, rollback, reset, close, kill, confirm },
    } = settings;
    let names = if is_documents { &dialect::DOCUMENTS } else { &dialect::SQL };
    let all = [
        (names.most, shown(max_connections)),
        (names.least, shown(min_connections)),
        ("acquire_timeout", time(*acquire_timeout)),
        ("max_waiters", shown(max_waiters)),
        (names.idle, time(*idle_timeout)),
        ("max_lifetime", time(*max_lifetime)),
        ("connect_timeout", time(*connect_timeout)),
        ("statement_timeout", time(*statement_timeout)),
        ("idle_in_transaction_timeout", time(*idle_in_transaction_timeout)),
        ("test_before_acquire", time(*test_before_acquire)),
        ("leak_warning", time(*leak_warning)),
        ("bounds.cancel", time(*cancel)),
        ("bounds.settle", time(*settle)),
        ("bounds.rollback", time(*rollback)),
        ("bounds.reset", time(*reset)),
        ("bounds.close", time(*close)),
        ("bounds.kill", time(*kill)),
        ("bounds.confirm", time(*confirm)),
    ];
    facts.table(table, all);
}

fn of_driver(facts: &mut Facts, table: &str, settings: &driver::settings::Settings, is_documents: bool) {
    let driver::settings::Settings {
        // A grant says it.
        access: _,
        allow_superuser,
        server_cancel,
        // What the pool is told as well.
        statement_timeout: _,
        idle_in_transaction_timeout: _,
        max_connections: _,
        server_selection_timeout,
        busy_timeout,
        statement_cache: StatementCache { count, text_bytes, max_age },
    } = settings;
    facts.table(table, [("allow_superuser", shown(allow_superuser)), ("server_cancel", shown(server_cancel))]);
    if is_documents {
        facts.table(table, [("server_selection_timeout", time(*server_selection_timeout))]);
        return;
    }
    let all = [
        ("busy_timeout", time(*busy_timeout)),
        ("statement_cache.count", shown(count)),
        ("statement_cache.text_size", size(*text_bytes)),
        ("statement_cache.max_age", time(*max_age)),
    ];
    facts.table(table, all);
}

fn of_plugin(facts: &mut Facts, plugin: &Plugin) {
    let Plugin {
        name,
        location: _,
        component,
        component_location: _,
        source,
        routes,
        limits: Limits { fuel, deadline, memory, max_concurrency, log_line_bytes, log_lines_per_second },
        instances: Instances { reuse },
        log,
        probe,
        databases,
    } = plugin;
    let table = format!("plugins.{name}");
    let log = match log {
        LogLevel::Off => "off",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
    };
    let all = [
        ("component", path(component)),
        ("source", folder(source.as_deref())),
        ("routes", list(routes)),
        ("limits.fuel", shown(fuel)),
        ("limits.deadline", time(*deadline)),
        ("limits.memory", size(*memory)),
        ("limits.max_concurrency", shown(max_concurrency)),
        ("limits.log_line_bytes", size(*log_line_bytes)),
        ("limits.log_lines_per_second", shown(log_lines_per_second)),
        ("instances.reuse", shown(reuse)),
        ("log", shown(log)),
        ("probe", probe.as_ref().map_or(Fact::Nothing, shown)),
    ];
    facts.table(&table, all);
    for grant in databases {
        of_grant(facts, &table, grant);
    }
}

fn of_grant(facts: &mut Facts, plugin: &str, grant: &Grant) {
    let Grant {
        database,
        location: _,
        access,
        url,
        max_connections,
        reserved_connections,
        max_rows,
        max_result_bytes,
        max_statements,
        max_transaction_time,
    } = grant;
    let access = match access {
        Access::ReadOnly => "read-only",
        Access::ReadWrite => "read-write",
    };
    let all = [
        ("access", shown(access)),
        ("url", hidden(url.as_ref())),
        ("max_connections", shown(max_connections)),
        ("reserved_connections", shown(reserved_connections)),
        ("max_rows", shown(max_rows)),
        ("max_result_bytes", size(*max_result_bytes)),
        ("max_statements", shown(max_statements)),
        ("max_transaction_time", time(*max_transaction_time)),
    ];
    facts.table(&format!("{plugin}.databases.{database}"), all);
}
