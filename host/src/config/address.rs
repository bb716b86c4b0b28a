//! Reads the URL of a database: which engine, which file, which role. Nothing of a URL but its scheme appears in a message.

use std::path::{Component, Path, PathBuf};

use sqlx::postgres::PgConnectOptions;

use super::{
    reader::{Context, did_you_mean, list},
    secret::Secret,
    tls,
    values::SecretText,
};
use crate::driver::{Engine, mongodb, mysql};

/// Parameters of a PostgreSQL URL that an operator may set.
const PARAMETERS: [&str; 14] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
];

/// A URL that has been understood.
#[derive(Clone, Debug)]
pub(super) enum Address {
    /// A file; the URL is made anew from its path.
    Sqlite { file: PathBuf, url: Secret },
    /// A server; the URL is as it was given.
    Postgres { user: String, url: Secret },
    /// MariaDB or MySQL; the URL is as it was given.
    Mysql { url: Secret },
    /// The URL is as it was given, but for the paths in it.
    Mongodb { location: Box<mongodb::url::Location>, url: Secret },
}

impl Address {
    pub(super) fn engine(&self) -> Engine {
        match self {
            Self::Sqlite { .. } => Engine::Sqlite,
            Self::Postgres { .. } => Engine::Postgres,
            Self::Mysql { .. } => Engine::Mysql,
            Self::Mongodb { .. } => Engine::Mongodb,
        }
    }

    pub(super) fn file(&self) -> Option<PathBuf> {
        match self {
            Self::Sqlite { file, .. } => Some(file.clone()),
            Self::Postgres { .. } | Self::Mysql { .. } | Self::Mongodb { .. } => None,
        }
    }

    pub(super) fn into_url(self) -> Secret {
        match self {
            Self::Sqlite { url, .. } | Self::Postgres { url, .. } | Self::Mysql { url } | Self::Mongodb { url, .. } => url,
        }
    }

    /// What it says of the pool, where URLs do.
    pub(super) fn pooling(&self) -> mongodb::url::Pooling {
        match self {
            Self::Mongodb { location, .. } => location.pooling(),
            Self::Sqlite { .. } | Self::Postgres { .. } | Self::Mysql { .. } => mongodb::url::Pooling::default(),
        }
    }
}

/// Whether a URL means MongoDB, even one that cannot be understood.
pub(super) fn is_mongodb(text: &SecretText) -> bool {
    matches!(text.text.expose().split_once(':'), Some(("mongodb" | "mongodb+srv", _)))
}

/// Understands a URL, or reports why not.
pub(super) fn read(context: &Context<'_>, text: &SecretText) -> Option<Address> {
    let parsed = parse(context.base, text.text.expose());
    if let Err(refusal) = &parsed {
        context.error(text.at, format!("`{}` {}", text.key, refusal.message), refusal.hint.clone());
    }
    parsed.ok()
}

/// What is wrong with a URL, and what to do.
pub(super) struct Refusal {
    message: String,
    hint: String,
}

impl From<mongodb::url::Refusal> for Refusal {
    fn from(refusal: mongodb::url::Refusal) -> Self {
        Self { message: refusal.message, hint: refusal.hint }
    }
}

pub(super) fn refuse<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { message: message.into(), hint: hint.into() })
}

fn parse(base: &Path, url: &str) -> Result<Address, Refusal> {
    const SCHEMES: &str = "begin with `sqlite://`, `postgres://`, `mysql://` or `mongodb://`";
    let Some((scheme, rest)) = url.split_once(':') else {
        return refuse("is not the URL of a database", SCHEMES);
    };
    let rest_after_slashes = rest.strip_prefix("//");
    match (scheme, rest_after_slashes) {
        ("sqlite", rest_after_slashes) => sqlite(base, rest_after_slashes.unwrap_or(rest)),
        ("postgres" | "postgresql", Some(rest)) => postgres(base, url, rest),
        ("mysql" | "mariadb", Some(_)) => mysql(base, url),
        ("mongodb" | "mongodb+srv", Some(_)) => mongodb(base, url),
        _ => refuse("is not the URL of a database", SCHEMES),
    }
}

fn sqlite(base: &Path, rest: &str) -> Result<Address, Refusal> {
    let (path, parameters) = rest.split_once('?').map_or((rest, None), |(path, parameters)| (path, Some(parameters)));
    if path == ":memory:" || parameters.is_some_and(|parameters| parameters.contains("mode=memory")) {
        return refuse(
            "names an SQLite database in memory: every connection of the pool would have a database of its own",
            "name a file: `sqlite://clinic.db`",
        );
    }
    if parameters.is_some() {
        return refuse("has parameters after `?`, which SQLite is not given", "Wharf opens the file as each grant's access says");
    }
    if path.is_empty() || path.ends_with('/') || path.contains('\0') {
        return refuse("does not name a file", "write `sqlite://clinic.db`; the path begins at the folder of wharf.toml");
    }
    let file = base.join(path);
    if file.is_dir() {
        return refuse("names a folder, not a file", "write `sqlite://clinic.db`; the path begins at the folder of wharf.toml");
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return refuse(
            "names a file in a folder that does not exist",
            "the file is created when it is missing, its folder is not",
        );
    }
    let Some(text) = file.to_str() else {
        return refuse("names a file whose path is not UTF-8", "move the folder of wharf.toml");
    };
    let url = Secret::new(format!("sqlite://{text}"));
    Ok(Address::Sqlite { file, url })
}

fn postgres(base: &Path, url: &str, rest: &str) -> Result<Address, Refusal> {
    const FORM: &str =
        "write `postgres://user:password@host:5432/database`; special characters in it are percent-encoded (`@` as `%40`)";
    let (location, query) = rest.split_once('?').map_or((rest, ""), |(location, query)| (location, query));
    let (authority, database) = location.split_once('/').unwrap_or((location, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let parameters: Vec<&str> =
        query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap_or(pair)).collect();
    // The driver would log a parameter that it does not know together with its value.
    for parameter in &parameters {
        if *parameter == "options"
            || parameter.starts_with("options[")
            || ["application_name", "statement-cache-capacity"].contains(parameter)
        {
            return refuse(
                "sets a parameter that Wharf sets itself",
                "remove `options`, `application_name` and `statement-cache-capacity`",
            );
        }
        if !PARAMETERS.contains(parameter) && *parameter != "password" {
            let hint = did_you_mean(parameter, &PARAMETERS).unwrap_or_else(|| format!("known parameters: {}", list(&PARAMETERS)));
            return refuse("has an unknown parameter after `?`", hint);
        }
    }
    let given = |names: &[&str]| parameters.iter().any(|parameter| names.contains(parameter));
    // Whatever is left out would be taken from PGUSER, PGHOST and the like: a file that means something else on the next machine.
    if user.split(':').next().is_none_or(str::is_empty) && !given(&["user"]) {
        return refuse("names no user", FORM);
    }
    if host.is_empty() && !given(&["host", "hostaddr"]) {
        return refuse("names no host", FORM);
    }
    if database.is_empty() && !given(&["dbname"]) {
        return refuse("names no database", FORM);
    }
    // The driver would take the rest for a fragment and read none of it.
    if url.contains('#') {
        return refuse("holds a `#`", FORM);
    }
    let query = tls::settle(&tls::POSTGRES, base, query)?;
    let url = format!("postgres://{location}?{query}");
    let Ok(options) = url.parse::<PgConnectOptions>() else {
        return refuse("is not a URL that PostgreSQL's driver takes", FORM);
    };
    if options.get_socket().is_some() {
        tls::check_socket(options.get_ssl_mode())?;
    }
    Ok(Address::Postgres { user: options.get_username().to_owned(), url: Secret::new(url) })
}

fn mysql(base: &Path, url: &str) -> Result<Address, Refusal> {
    let (location, query) = url.split_once('?').unwrap_or((url, ""));
    // Unknown parameters first: their values are nobody's business.
    mysql::url::known(query).map_err(|refusal| Refusal { message: refusal.message.into(), hint: refusal.hint.into() })?;
    let settled = format!("{location}?{}", tls::settle(&tls::MYSQL, base, query)?);
    match mysql::url::parse(&settled) {
        Ok(_) => Ok(Address::Mysql { url: Secret::new(settled) }),
        Err(refusal) => refuse(refusal.message, refusal.hint),
    }
}

fn mongodb(base: &Path, url: &str) -> Result<Address, Refusal> {
    let (location, query) = url.split_once('?').unwrap_or((url, ""));
    // Unknown options first, as for MySQL.
    mongodb::url::pooling(query)?;
    let settled = match query {
        "" => location.to_owned(),
        query => format!("{location}?{}", tls::find_files(base, query)?),
    };
    let location = Box::new(mongodb::url::parse(&settled)?);
    Ok(Address::Mongodb { location, url: Secret::new(settled) })
}

/// Whether two paths name the same file, as far as can be told without it existing.
pub(super) fn same_file(one: &Path, other: &Path) -> bool {
    let plain = |path: &Path| path.components().filter(|part| *part != Component::CurDir).collect::<PathBuf>();
    plain(one) == plain(other)
}
