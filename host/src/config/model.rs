//! The validated configuration. Its existence proves the rules: only [`super::load`] makes one.
//!
//! Fields are named as the keys of `wharf.toml` (for MongoDB see `dialect`), and every limit is finite. The first paragraph above each is what
//! the reference of settings says of its key; it ends with what is enforced, which a test compares.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, Method, uri::PathAndQuery};
use ipnet::IpNet;

use super::{
    diagnostics::{Location, Source},
    secret::Secret,
};
use crate::{
    driver::{self, settings::Access},
    plugin::LogLevel,
    pool,
    server::ForwardedHeader,
    telemetry::{
        audit::{Durability, WhenUnavailable},
        logs::Format,
        trace::Endpoint,
    },
};

/// A whole `wharf.toml`.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file itself.
    pub path: PathBuf,
    /// The file as diagnostics of later stages show it: `Diagnostics::new(config.source.clone())`.
    pub source: Arc<Source>,
    /// `[server]`.
    pub server: Server,
    /// `[admin]`.
    pub admin: Admin,
    /// `[log]`.
    pub log: Log,
    /// `[audit]`; no log is kept when the file has none.
    pub audit: Option<Audit>,
    /// `[traces]`; none without an `endpoint`.
    pub traces: Option<Traces>,
    /// Sessions of all databases together, at most. 1 to 100,000; default 50.
    pub max_connections: u32,
    /// `[databases.NAME]`, in the order of the file.
    pub databases: Vec<Database>,
    /// `[plugins.NAME]`, in the order of the file; at least one.
    pub plugins: Vec<Plugin>,
    /// `[engine]`.
    pub engine: Engine,
    /// `[metrics]`.
    pub metrics: Metrics,
}

/// How the host listens, and how much it takes on.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where clients are served; port 0 takes a free one. Default `127.0.0.1:3000`.
    pub listen: SocketAddr,
    /// Where the host is asked how it is, apart from traffic; port 0 takes a free one. Default `127.0.0.1:3001`.
    ///
    /// `None` stands for `"off"`.
    pub admin: Option<SocketAddr>,
    /// Listens with TLS when it is given.
    pub tls: Option<Tls>,
    /// The networks of proxies that are believed who asked them; none of them may be everybody. At most 64.
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which `trusted_proxies` say who asked them. Default `x-forwarded-for`.
    pub forwarded_header: ForwardedHeader,
    /// Client connections at once. 1 to 100,000; default 1,024.
    pub max_connections: u32,
    /// Bytes of a request's head. 8 KiB to 16 MiB; default 64 KiB.
    ///
    /// Less than 8 KiB is less than hyper takes.
    pub max_header_bytes: usize,
    /// Header fields of a request. 1 to 10,000; default 100.
    pub max_headers: usize,
    /// Bytes of a request's body. 1 B to 4 GiB; default 10 MiB.
    pub max_body: usize,
    /// From a connection's or request's first byte to the end of the head. 1 ms to 1 h; default 10 s.
    pub header_timeout: Duration,
    /// A connection without a request. 1 ms to 24 h; default 1 min.
    pub idle_timeout: Duration,
    /// A body, in or out, that does not move. 1 ms to 1 h; default 10 s.
    pub body_stall_timeout: Duration,
    /// From the end of a request's head to the end of its body; `limits.deadline` ends the call sooner. 1 ms to 1 h; default 1 h.
    pub request_timeout: Duration,
    /// Whether answers say in `Server-Timing`, to every client, what their time went into. Default false.
    pub server_timing: bool,
    /// Calls that run at once, of all plugins, each an instance. 1 to 2,000; default 256.
    pub max_concurrency: u32,
    /// Calls that wait for their turn. 0 to 1,000,000; default 1,024.
    pub max_queue: u32,
    /// How long a call waits for its turn. 1 ms to 1 h; default 1 s.
    pub queue_timeout: Duration,
    /// How long calls may go on once the host stops. 0 s to 1 h; default 10 s.
    pub drain_timeout: Duration,
    /// How long taking back and closing all connections may last after that. 1 ms to 1 h; default 10 s.
    pub reclaim_timeout: Duration,
}

/// The certificate by which the host listens with TLS.
///
/// It could be shown when the configuration was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file with the certificate, and behind it those that vouch for it.
    pub certificate: PathBuf,
    /// A PEM file with its key, without a passphrase.
    pub key: PathBuf,
    /// How often both are looked at for something new. 1 ms to 1 h; default 10 s.
    pub check_interval: Duration,
}

/// Who may ask what of the running host.
#[derive(Clone, Debug)]
pub struct Admin {
    /// What `Authorization: Bearer` must say: 16 to 512 bytes that a header can carry. Needed when `server.admin` is no loopback address.
    pub token: Option<Secret>,
    /// The Unix socket whose clients need no token; its path has 107 bytes at most. Default `.wharf/run/admin.sock` beside wharf.toml.
    ///
    /// `None` stands for `"off"`.
    pub socket: Option<PathBuf>,
    /// By which names it may be asked, besides addresses and `localhost`. At most 16.
    ///
    /// In lower case.
    pub hosts: Vec<String>,
    /// Whether whoever reaches a loopback address may look without a token. Default true.
    pub open_views: bool,
    /// How many may watch the page at once. 1 to 32; default 16.
    pub max_viewers: u32,
    /// How long a required database may be down before the host is not ready. 0 s to 1 h; default 2 s.
    pub unready_after: Duration,
}

/// What is logged, and how; `--log` and `--log-format` come before it.
#[derive(Clone, Debug)]
pub struct Log {
    /// The least level that is logged, with other levels for parts of the host if need be. Default `info`.
    ///
    /// On top of [`DEFAULT_FILTER`](crate::telemetry::logs::DEFAULT_FILTER), and in its syntax.
    pub level: String,
    /// How lines look: `auto` is for eyes on a terminal, and JSON elsewhere. Default `auto`.
    pub format: Format,
}

/// The log of what is asked of databases, which nobody can change unseen. Kept where the table is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Where it is written; files that are full stay beside it, with a number after its name. Must be given.
    pub file: PathBuf,
    /// What its lines are sealed with, of 32 bytes at least. Must be given, here or in a file.
    pub key: Secret,
    /// What an operation waits for before it begins: nothing (`queued`), its line being with the system (`written`), or on the disk
    /// (`synced`). Default `written`.
    pub durability: Durability,
    /// How long a line that is written may wait to be on the disk. 1 ms to 1 min; default 1 s.
    pub sync_interval: Duration,
    /// What is done while it cannot be written: operations are refused (`refuse`), or go on with an alarm (`continue`). Default `refuse`.
    pub when_unavailable: WhenUnavailable,
    /// Bytes of a file before the next one is begun. 8 MiB to 64 GiB; default 256 MiB.
    pub max_file_size: usize,
    /// Full files that are kept, or all of them: 0. 0 to 100,000; default 0.
    pub max_files: usize,
    /// Bytes of a statement in a line; the rest is cut off. 0 B to 2 KiB; default 2 KiB.
    pub statement_bytes: usize,
    /// How often its head is in the ordinary log, when it has moved. 1 ms to 1 h; default 1 min.
    pub head_interval: Duration,
    /// The header in which a trusted proxy says who asks. Default none.
    pub who_header: Option<HeaderName>,
}

/// Which calls are traced, and who takes their spans.
#[derive(Clone, Debug)]
pub struct Traces {
    /// The URL that spans are posted to, by OTLP over HTTP in JSON. Without a path `/v1/traces` is meant; without it nothing is traced.
    pub endpoint: Endpoint,
    /// The share of calls that are traced, from 0 to 1. A proxy that is trusted decides for itself. Default `0.1`.
    pub sample: f64,
    /// Spans at most, however many calls there are. 1 to 100,000; default 2,000.
    pub max_spans_per_second: u32,
    /// What whoever takes the spans wants to be told, such as a credential: a line each, `name: value`, at most 16.
    pub headers: HeaderMap,
    /// How long one try to hand spans over may take. 1 ms to 1 min; default 5 s.
    pub timeout: Duration,
}

/// One database with its pools' shared limits.
#[derive(Clone, Debug)]
pub struct Database {
    /// The NAME of `[databases.NAME]`.
    pub name: String,
    /// Where it is named in the file.
    pub location: Location,
    /// Where its `url` (or `url_file`) stands in the file.
    pub url_location: Location,
    /// Address and credential: `sqlite://`, `postgres://`, `mysql://` or `mongodb://`.
    ///
    /// For SQLite always `sqlite://` and [`Database::file`].
    pub url: Secret,
    /// Read off the scheme of `url`.
    pub engine: driver::Engine,
    /// The file of an SQLite database, made relative to the folder of the configuration; need not exist yet, its folder does.
    pub file: Option<PathBuf>,
    /// A credential of its own for cancelling and ending sessions; the role of `url` by default.
    pub control_url: Option<Secret>,
    /// The folder with a folder of migrations an engine: `sqlite`, `postgres`, `mysql`, `mongodb`.
    ///
    /// See [`Database::migrations_folder`].
    pub migrations: Option<PathBuf>,
    /// A credential of its own for migrations and seed; that of `url` by default.
    pub migrations_url: Option<Secret>,
    /// Like `migrations`; applied once, after them.
    ///
    /// See [`Database::seed_folder`].
    pub seed: Option<PathBuf>,
    /// Whether the database must answer before the host listens (`eager`), or is connected to at the first use. Default `eager`.
    pub connect: Connect,
    /// Whether the host is not ready while it is down. Default true.
    pub required: bool,
    /// Limits of all its pools together.
    pub settings: pool::settings::Settings,
    /// What its drivers are told; `access` is the most, a [`Grant`] says what holds for a plugin.
    pub driver: driver::settings::Settings,
}

impl Database {
    /// The migrations for this engine: `migrations/sqlite`, `…/postgres`, `…/mysql` or `…/mongodb`; existed when the
    /// configuration was read.
    #[must_use]
    pub fn migrations_folder(&self) -> Option<PathBuf> {
        Some(self.migrations.as_ref()?.join(self.engine.name()))
    }

    /// The seed for this engine; existed when the configuration was read.
    #[must_use]
    pub fn seed_folder(&self) -> Option<PathBuf> {
        Some(self.seed.as_ref()?.join(self.engine.name()))
    }
}

/// When a database is connected to for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connect {
    /// At start; a database that is down stops the host from starting.
    Eager,
    /// At the first use; until then nobody knows whether the database is up.
    Lazy,
}

/// One handler with its routes, limits and grants.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// The NAME of `[plugins.NAME]`.
    pub name: String,
    /// Where it is named in the file.
    pub location: Location,
    /// The component. With a `source` its default is `.wharf/build/NAME.wasm` beside wharf.toml.
    ///
    /// Need not exist yet; [`super::check_components`] asks when it must.
    pub component: PathBuf,
    /// Where `component` stands in the file; the plugin's name when it is a default.
    pub component_location: Location,
    /// The folder of the crate that `wharf build` compiles into `component`.
    pub source: Option<PathBuf>,
    /// Which requests it answers, such as `GET /patients/{id}`; no two of the whole file overlap. 1 to 256.
    pub routes: Vec<Route>,
    /// What one call, and all calls together, may use.
    pub limits: Limits,
    /// `[plugins.NAME.instances]`.
    pub instances: Instances,
    /// What is logged of it: what it prints and how its calls fail (`info`), only how they fail (`warn`), or neither. Default `info`.
    pub log: LogLevel,
    /// A path, such as `/health`, that is asked for by GET before a reload puts this plugin in force, where anything of it or of its databases has
    /// changed. With a status of 500 or more, or no answer within the deadline, all stays as it was.
    pub probe: Option<PathAndQuery>,
    /// The databases it may use; none other exists for it.
    pub databases: Vec<Grant>,
}

/// How instances of a plugin are used.
#[derive(Clone, Debug, PartialEq)]
pub struct Instances {
    /// Calls that one instance serves, one after the other; 1 is a fresh instance for every call. 1 to 10,000; default 1.
    pub reuse: u32,
}

/// Which requests a plugin answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Every method when `None`.
    pub method: Option<Method>,
    /// In the syntax of `matchit`: `/patients/{id}`, `/files/{*rest}`.
    pub path: String,
    /// Where it stands in the file.
    pub location: Location,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.method {
            Some(method) => write!(f, "{method} {}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

/// What a plugin may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Units of computation a call. 1 to 18,446,744,073,709,551,615; default 10,000,000,000.
    pub fuel: u64,
    /// Wall clock of a call, to the last byte of its answer. 1 ms to 1 h; default 15 s.
    pub deadline: Duration,
    /// Bytes of linear memory a call. 64 KiB to 4 GiB; default 64 MiB.
    pub memory: usize,
    /// Calls at once. 1 to 100,000; default 64.
    pub max_concurrency: u32,
    /// A longer line of output is cut. 64 B to 1 MiB; default 4 KiB.
    pub log_line_bytes: usize,
    /// Further lines of output in the same second are counted, not kept. 1 to 100,000; default 100.
    pub log_lines_per_second: u32,
}

/// A plugin's right to a database.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The name of a [`Database`] of the same configuration.
    pub database: String,
    /// Where it is named in the file.
    pub location: Location,
    /// What the plugin may do; `read-only` is guarded by the database itself.
    pub access: Access,
    /// A credential of its own. Needed for read-only access to servers, and then another user than the database's.
    pub url: Option<Secret>,
    /// Sessions at once, of all calls of the plugin; no more than the database's, which is the default. 1 to 10,000.
    pub max_connections: u32,
    /// Connections that no other grant of the database is lent; no more than `max_connections`. 0 to 10,000; default 0.
    pub reserved_connections: u32,
    /// Rows that one statement may return. 1 to 100,000,000; default 100,000.
    pub max_rows: u32,
    /// Bytes that one statement may return. 1 KiB to 1 GiB; default 16 MiB.
    pub max_result_bytes: usize,
    /// Statements a call. 1 to 1,000,000; default 1,000.
    pub max_statements: u32,
    /// From a transaction's begin to its end. 1 ms to 1 h; default 10 s.
    pub max_transaction_time: Duration,
}

/// How components are compiled and instantiated.
#[derive(Clone, Debug)]
pub struct Engine {
    /// The folder for compiled code; made when it is missing. Default `.wharf/cache` beside wharf.toml.
    pub cache: PathBuf,
}

/// What Prometheus is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Whether durations are measured, and `/metrics` of the admin listener tells them with all that is counted. Default true.
    pub enabled: bool,
    /// Combinations of route, method, status and error by which requests are told apart; the rest counts together. 100 to 100,000;
    /// default 4,000.
    pub max_series: usize,
}
