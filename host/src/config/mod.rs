//! From `wharf.toml` to a configuration that is known to be right.
//!
//! In the order in which data flows: `redact` masks credentials in what may be shown, `reader` walks the parsed TOML, `interpolate`
//! puts the environment in, `values` reads single values, `server` (with `networks` and `server_tls`), `admin`, `log`, `audit`,
//! `metrics`, `traces`, `database` (with `address`, `dialect` and `tls`), `plugin` and `routes` read the sections, `model` is the result,
//! `checks` looks at what later commands need, and `diagnostics` tells all that is wrong at once. `recorder` keeps what was asked for, and
//! `reference` makes of it the reference of all settings and a JSON Schema. `facts` says again what was read, key by key.
//!
//! Nothing is corrected silently, and no secret gets into a message.

mod address;
mod admin;
mod audit;
mod checks;
mod database;
mod diagnostics;
mod dialect;
mod facts;
mod interpolate;
mod log;
mod metrics;
mod model;
mod networks;
mod plugin;
mod reader;
mod recorder;
mod redact;
mod reference;
mod routes;
mod secret;
mod server;
mod server_tls;
#[cfg(test)]
mod tests;
mod tls;
mod traces;
mod values;

use std::{cell::RefCell, fs, io::Read, path::Path, sync::Arc};

use toml::de::DeTable;

pub use self::{
    checks::{check_components, notes},
    diagnostics::{Diagnostic, Diagnostics, Location, Severity, Source},
    facts::Fact,
    interpolate::Environment,
    model::{
        Admin, Audit, Config, Connect, Database, Engine, Grant, Instances, Limits, Log, Metrics, Plugin, Route, Server, Tls,
        Traces,
    },
    recorder::{Bounded, Kind},
    reference::{Setting, schema, settings, settings_page},
    secret::Secret,
};
use self::{
    reader::{Context, Table},
    values::reason,
};

/// The name of the file in a folder.
pub const FILE_NAME: &str = "wharf.toml";

/// A configuration is no longer than this.
const MAX_FILE: u64 = 1024 * 1024;

/// The environment of this process, for [`load`].
#[must_use]
pub fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Reads a configuration: the file, or `wharf.toml` in the folder. Relative paths in it are relative to its folder.
///
/// Components need not exist ([`check_components`]); folders, migrations and files with secrets do. Databases are not talked to.
///
/// # Bounds
/// A file of at most 1 MiB. Blocks on the file system.
/// # Errors
/// Everything that is wrong, at once.
pub fn load(path: &Path, environment: &Environment<'_>) -> Result<Config, Diagnostics> {
    let (config, diagnostics) = read(path, environment)?;
    if diagnostics.is_empty() { Ok(config) } else { Err(diagnostics) }
}

/// As [`load`], for who looks further although something is wrong: what could be read, with defaults for what could not, and everything
/// that is wrong with it.
///
/// # Errors
/// When the file cannot be read, or is not TOML.
pub fn read(path: &Path, environment: &Environment<'_>) -> Result<(Config, Diagnostics), Diagnostics> {
    let file = if path.is_dir() { path.join(FILE_NAME) } else { path.to_owned() };
    let label = file.display().to_string();
    let text = read_file(&file).map_err(|(message, hint)| {
        let mut diagnostics = Diagnostics::new(Arc::new(Source::new(label.as_str(), "")));
        diagnostics.error(None, message, hint);
        diagnostics
    })?;
    parse(&file, &label, &text, environment)
}

fn read_file(file: &Path) -> Result<String, (String, &'static str)> {
    let cannot =
        |why: &str| (format!("cannot read `{}`: {why}", file.display()), "give the path of a wharf.toml, or of its folder");
    let mut bytes = Vec::new();
    fs::File::open(file)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| cannot(&reason(&error)))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(cannot("it is longer than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| cannot("it is not UTF-8"))
}

/// Reads the text of `file`, which messages call `label`.
fn parse(file: &Path, label: &str, text: &str, environment: &Environment<'_>) -> Result<(Config, Diagnostics), Diagnostics> {
    let (table, syntax_errors) = DeTable::parse_recoverable(text);
    let source = Arc::new(Source::new(label, redact::redact(text, table.get_ref())));
    let base = file.parent().unwrap_or(Path::new(""));
    let diagnostics = RefCell::new(Diagnostics::new(source.clone()));
    let context = Context { text, base, environment, diagnostics, recorder: None };
    let config = sections(&context, table.get_ref(), file, &source);

    let mut diagnostics = context.diagnostics.into_inner();
    if !syntax_errors.is_empty() {
        let mut syntax = Diagnostics::new(source.clone());
        for error in &syntax_errors {
            syntax.error(
                error.span().map(Location::from),
                error.message(),
                "strings are in quotes, a key is given once; see https://toml.io for the syntax",
            );
        }
        diagnostics.forgive_after_syntax_errors(syntax);
        return Err(diagnostics);
    }
    Ok((config, diagnostics))
}

/// Asks for every key, from the top of the file to its end.
fn sections<'a>(context: &'a Context<'a>, table: &'a DeTable<'a>, file: &Path, source: &Arc<Source>) -> Config {
    let mut root = Table::root(context, table);
    let max_connections = root.number("max_connections", 50, 1, 100_000);
    let (server, admin, engine) = server::read(&mut root);
    let log = log::read(&mut root);
    let audit = audit::read(&mut root, &server);
    let metrics = metrics::read(&mut root);
    let traces = traces::read(&mut root);
    let drafts = database::read(&mut root, &max_connections);
    let plugins = plugin::read(&mut root, drafts.as_deref());
    root.finish();
    Config {
        path: file.to_owned(),
        source: source.clone(),
        server,
        admin,
        log,
        audit,
        metrics,
        traces,
        max_connections: max_connections.value,
        databases: drafts.into_iter().flatten().filter_map(|draft| draft.database).collect(),
        plugins,
        engine,
    }
}
