//! The URL of a MongoDB database: which of its options an operator may set, and which of them are the pool's.

use std::{fmt, time::Duration};

use mongodb::options::{self, AuthMechanism, ConnectionString, Credential, HostInfo, ReadConcernLevel, ServerAddress, Tls};

use crate::driver::documents::{Acknowledgment, ReadConcern, WriteConcern};

/// Options that are the driver's business; as in MongoDB's own manual.
const PASSED: [&str; 14] = [
    "tls",
    "ssl",
    "tlsCAFile",
    "tlsCertificateKeyFile",
    "authSource",
    "authMechanism",
    "replicaSet",
    "directConnection",
    "w",
    "journal",
    "wtimeoutMS",
    "readConcernLevel",
    "srvServiceName",
    "srvMaxHosts",
];

/// Options that say what the pool does; see [`Pooling`].
const POOLING: [&str; 6] =
    ["maxPoolSize", "minPoolSize", "maxIdleTimeMS", "waitQueueTimeoutMS", "connectTimeoutMS", "serverSelectionTimeoutMS"];

/// Options that are set here, because what is promised of connections rests on them.
const OWN: [&str; 12] = [
    "appName",
    "compressors",
    "heartbeatFrequencyMS",
    "loadBalanced",
    "localThresholdMS",
    "maxConnecting",
    "maxStalenessSeconds",
    "readPreferenceTags",
    "retryReads",
    "retryWrites",
    "serverMonitoringMode",
    "zlibCompressionLevel",
];

/// Options that make TLS prove nothing.
const UNSAFE: [&str; 5] = [
    "tlsInsecure",
    "tlsAllowInvalidCertificates",
    "tlsAllowInvalidHostnames",
    "tlsDisableCertificateRevocationCheck",
    "tlsDisableOCSPEndpointCheck",
];

/// Databases of the server itself.
const SERVERS_OWN: [&str; 3] = ["admin", "config", "local"];

/// What the server allows for a database's name.
const MAX_NAME: usize = 63;

const FORM: &str =
    "write `mongodb://user:password@host:27017/database`; special characters in it are percent-encoded (`@` as `%40`)";

/// Why a URL is not taken; neither part repeats anything of it but the name of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong; follows "the URL".
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

fn refuse<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { message: message.into(), hint: hint.into() })
}

/// What a URL says of the pool, each where it says so. None but the least is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pooling {
    /// `maxPoolSize`.
    pub max_pool_size: Option<u32>,
    /// `minPoolSize`.
    pub min_pool_size: Option<u32>,
    /// `maxIdleTimeMS`.
    pub max_idle_time: Option<Duration>,
    /// `waitQueueTimeoutMS`.
    pub acquire_timeout: Option<Duration>,
    /// `connectTimeoutMS`.
    pub connect_timeout: Option<Duration>,
    /// `serverSelectionTimeoutMS`.
    pub server_selection_timeout: Option<Duration>,
}

impl Pooling {
    /// Whether it says nothing that the other does not say as well.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        fn is_same<T: PartialEq>(own: Option<T>, other: Option<T>) -> bool {
            own.is_none() || own == other
        }
        is_same(self.max_pool_size, other.max_pool_size)
            && is_same(self.min_pool_size, other.min_pool_size)
            && is_same(self.max_idle_time, other.max_idle_time)
            && is_same(self.acquire_timeout, other.acquire_timeout)
            && is_same(self.connect_timeout, other.connect_timeout)
            && is_same(self.server_selection_timeout, other.server_selection_timeout)
    }
}

/// A URL that has been understood.
#[derive(Clone)]
pub struct Location {
    /// What the driver takes, without what is the pool's and the commands'.
    pub(super) connection: ConnectionString,
    /// The database of the guests.
    pub(super) database: String,
    pub(super) read_concern: Option<ReadConcern>,
    pub(super) write_concern: Option<WriteConcern>,
    pooling: Pooling,
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither address nor credential.
        f.debug_struct("Location").field("pooling", &self.pooling).finish_non_exhaustive()
    }
}

impl Location {
    /// What it says of the pool.
    #[must_use]
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// Whether it says who must have what is read or written.
    #[must_use]
    pub fn has_concerns(&self) -> bool {
        self.read_concern.is_some() || self.write_concern.is_some()
    }

    /// The user's name, unless a certificate or nothing tells it.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.credential().and_then(|credential| credential.username.as_deref())
    }

    /// Whether nobody logs in.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.credential().is_none()
    }

    /// Whether both name one user, as far as URLs tell: neither what a certificate says is looked at, nor what the network's books say of a name
    /// that stands for hosts.
    #[must_use]
    pub fn is_same_user(&self, other: &Self) -> bool {
        let user = |location: &Self| {
            let credential = location.credential()?;
            Some((credential.username.clone(), location.source().to_owned()))
        };
        user(self) == user(other)
    }

    /// The database that it names.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    pub(super) fn credential(&self) -> Option<&Credential> {
        self.connection.credential.as_ref()
    }

    /// Where the user is kept.
    pub(super) fn source(&self) -> &str {
        let source = self.credential().and_then(|credential| credential.source.as_deref());
        source.unwrap_or(&self.database)
    }
}

/// Reads `mongodb://user:password@host:port/database?options`, or `mongodb+srv://` with a name that stands for the hosts.
///
/// # Errors
/// A [`Refusal`] for what is missing, unknown, contradictory, or the host's own to set.
pub fn parse(url: &str) -> Result<Location, Refusal> {
    let Some(rest) = url.strip_prefix("mongodb://").or_else(|| url.strip_prefix("mongodb+srv://")) else {
        return refuse("is not one of MongoDB", FORM);
    };
    if !url.is_ascii() || url.contains(|character: char| character.is_ascii_control() || character == ' ') {
        return refuse("has characters in it that a URL has not", FORM);
    }
    let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
    let pooling = pooling(query)?;
    let hosts = location.rsplit_once('@').map_or(location, |(_, hosts)| hosts);
    if hosts.split('/').next().is_none_or(str::is_empty) {
        return refuse("names no host", FORM);
    }
    // The driver's own words may repeat what it does not like.
    let mut connection = ConnectionString::parse(url).or_else(|_| refuse("is not one that the driver takes", FORM))?;
    let Some(database) = connection.default_database.clone() else {
        return refuse("names no database", FORM);
    };
    if SERVERS_OWN.contains(&database.as_str()) {
        return refuse(
            "names a database of the server itself",
            "name one of your own; where users are kept is said by `authSource=admin`",
        );
    }
    if database.len() > MAX_NAME || database.contains(['/', '\\', '.', ' ', '"', '$', '*', '<', '>', ':', '|', '?', '\0']) {
        return refuse("names a database that there cannot be", FORM);
    }
    check(&connection)?;
    let write_concern = connection.write_concern.take().map(write_concern).transpose()?;
    let read_concern = connection.read_concern.take().map(|concern| read_concern(&concern.level)).transpose()?;
    Ok(Location { connection, database, read_concern, write_concern, pooling })
}

/// Checks the names of the options, and reads those of the pool.
///
/// # Errors
/// A [`Refusal`] for one that is unknown, given twice, out of bounds, or the host's own to set.
pub fn pooling(query: &str) -> Result<Pooling, Refusal> {
    let mut pooling = Pooling::default();
    let mut seen = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            return refuse("has an option without a value after `?`", FORM);
        };
        let known = |names: &[&'static str]| names.iter().copied().find(|known| known.eq_ignore_ascii_case(name));
        let all = [&PASSED[..], &POOLING, &OWN, &UNSAFE, &["readPreference", "socketTimeoutMS"]];
        let Some(name) = all.into_iter().find_map(known) else {
            let options: Vec<String> = PASSED.iter().chain(&POOLING).map(|option| format!("`{option}`")).collect();
            return refuse("has an unknown option after `?`", format!("known options: {}", options.join(", ")));
        };
        if seen.contains(&name) {
            return refuse(format!("has the option `{name}` twice"), "remove one of them");
        }
        seen.push(name);
        if OWN.contains(&name) {
            return refuse(format!("sets `{name}`, which Wharf sets itself"), format!("remove `{name}`"));
        }
        if UNSAFE.contains(&name) {
            let hint = "remove it; a server with a certificate of your own authority is trusted by `tlsCAFile`";
            return refuse(format!("sets `{name}`, by which TLS would prove nothing"), hint);
        }
        match name {
            "socketTimeoutMS" => {
                return refuse("sets `socketTimeoutMS`, which the driver does not keep", "use `statement_timeout` of wharf.toml");
            }
            "readPreference" if !value.eq_ignore_ascii_case("primary") => {
                return refuse("sets another `readPreference` than the primary", "remove it; all reads go to the primary");
            }
            "maxPoolSize" => pooling.max_pool_size = Some(number(name, value)?),
            "minPoolSize" => pooling.min_pool_size = Some(least(value)?),
            "maxIdleTimeMS" => pooling.max_idle_time = Some(millis(name, value)?),
            "waitQueueTimeoutMS" => pooling.acquire_timeout = Some(millis(name, value)?),
            "connectTimeoutMS" => pooling.connect_timeout = Some(millis(name, value)?),
            "serverSelectionTimeoutMS" => pooling.server_selection_timeout = Some(millis(name, value)?),
            _ => {}
        }
    }
    Ok(pooling)
}

fn number(name: &str, value: &str) -> Result<u32, Refusal> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => {
            refuse(format!("sets `{name}` to what is no number of at least 1"), "0 would mean no limit, and there is always one")
        }
    }
}

/// Of those that are kept open, there may be none.
fn least(value: &str) -> Result<u32, Refusal> {
    value
        .parse::<u32>()
        .or_else(|_| refuse("sets `minPoolSize` to what is no number", "write how many connections are kept open"))
}

fn millis(name: &str, value: &str) -> Result<Duration, Refusal> {
    Ok(Duration::from_millis(number(name, value)?.into()))
}

/// What the driver takes, and would do something else with.
fn check(connection: &ConnectionString) -> Result<(), Refusal> {
    if let HostInfo::HostIdentifiers(hosts) = &connection.host_info
        && connection.direct_connection == Some(true)
        && hosts.len() > 1
    {
        return refuse("names several hosts with `directConnection=true`", "name one, or remove `directConnection`");
    }
    if let HostInfo::HostIdentifiers(hosts) = &connection.host_info
        && matches!(connection.tls, Some(Tls::Enabled(_)))
        && hosts.iter().any(|host| matches!(host, ServerAddress::Unix { .. }))
    {
        return refuse("asks for TLS over a Unix socket, where there is none", "leave it out, or name the server's host");
    }
    let Some(credential) = &connection.credential else { return Ok(()) };
    match &credential.mechanism {
        None
        | Some(AuthMechanism::ScramSha1 | AuthMechanism::ScramSha256 | AuthMechanism::MongoDbX509 | AuthMechanism::Plain) => {
            Ok(())
        }
        Some(_) => {
            refuse("sets an `authMechanism` that is not supported", "use a password (SCRAM), or a certificate (MONGODB-X509)")
        }
    }
}

fn write_concern(asked: options::WriteConcern) -> Result<WriteConcern, Refusal> {
    if asked.w_timeout == Some(Duration::ZERO) {
        return refuse("sets `wtimeoutMS` to 0", "0 would mean no limit, and there is always one");
    }
    let w = match asked.w {
        Some(options::Acknowledgment::Nodes(0)) => {
            return refuse("sets `w=0`", "nobody would learn whether a write was done; ask for 1 or more");
        }
        Some(options::Acknowledgment::Nodes(nodes)) => Some(Acknowledgment::Nodes(nodes)),
        Some(options::Acknowledgment::Majority) => Some(Acknowledgment::Majority),
        Some(options::Acknowledgment::Custom(name)) => Some(Acknowledgment::Tag(name)),
        Some(_) => return refuse("sets `w` to what is not supported", "use a number or `majority`"),
        None => None,
    };
    Ok(WriteConcern { w, journal: asked.journal, timeout: asked.w_timeout })
}

fn read_concern(level: &ReadConcernLevel) -> Result<ReadConcern, Refusal> {
    Ok(match level {
        ReadConcernLevel::Local => ReadConcern::Local,
        ReadConcernLevel::Majority => ReadConcern::Majority,
        ReadConcernLevel::Linearizable => ReadConcern::Linearizable,
        ReadConcernLevel::Snapshot => ReadConcern::Snapshot,
        ReadConcernLevel::Available => ReadConcern::Available,
        _ => return refuse("sets a `readConcernLevel` that there is not", "use `local` or `majority`"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(url: &str) -> Option<String> {
        parse(url).err().map(|refusal| refusal.message)
    }

    #[test]
    fn what_operators_write_is_taken() {
        for url in [
            "mongodb://app:pw@host/accounts",
            "mongodb://host/accounts",
            "mongodb://app:p%40w@host:27018/accounts?authSource=admin&tls=true&tlsCAFile=/ca.pem",
            "mongodb://a,b:27018,c/accounts?replicaSet=rs&w=majority&journal=true&wtimeoutMS=500&readConcernLevel=majority",
            "mongodb+srv://app:pw@cluster.example/accounts",
            "mongodb://host/accounts?directConnection=true&readPreference=primary",
            "mongodb://%2Frun%2Fmongodb.sock/accounts",
            "mongodb://[::1]:27017/accounts",
            "mongodb://host/accounts?authMechanism=MONGODB-X509&tlsCertificateKeyFile=/c.pem",
        ] {
            assert_eq!(message(url), None, "{url}");
        }
        let location = parse("mongodb://app:pw@host/accounts?w=2&readConcernLevel=local").unwrap();
        assert_eq!((location.user(), location.database(), location.source()), (Some("app"), "accounts", "accounts"));
        assert!(location.write_concern.is_some() && location.connection.write_concern.is_none());
        assert!(location.read_concern.is_some() && location.connection.read_concern.is_none());
        assert!(location.has_concerns() && !parse("mongodb://app:pw@host/accounts").unwrap().has_concerns());
        let shown = format!("{location:?}");
        assert!(!shown.contains("pw") && !shown.contains("host"), "{shown}");
    }

    #[test]
    fn users_are_told_apart_by_where_they_are_kept() {
        let parsed = |url: &str| parse(url).unwrap();
        let app = parsed("mongodb://app:pw@host/accounts");
        assert!(app.is_same_user(&parsed("mongodb://app:other@elsewhere/accounts?authSource=accounts")));
        assert!(!app.is_same_user(&parsed("mongodb://app:pw@host/accounts?authSource=admin")));
        assert!(!app.is_same_user(&parsed("mongodb://reader:pw@host/accounts")));
        let nobody = parsed("mongodb://host/accounts");
        assert!(nobody.is_anonymous() && !app.is_anonymous() && !app.is_same_user(&nobody));
        assert!(!parsed("mongodb://host/a?authMechanism=MONGODB-X509").is_anonymous());
    }

    #[test]
    fn a_pool_is_within_another_that_says_no_less() {
        let pooling = |query| pooling(query).unwrap();
        let both = pooling("maxPoolSize=7&connectTimeoutMS=5");
        assert!(pooling("").is_within(&both) && pooling("maxPoolSize=7").is_within(&both) && both.is_within(&both));
        for query in ["maxPoolSize=6", "minPoolSize=0", "maxIdleTimeMS=5", "waitQueueTimeoutMS=5", "connectTimeoutMS=6"] {
            assert!(!pooling(query).is_within(&both), "{query}");
        }
        assert!(!pooling("serverSelectionTimeoutMS=5").is_within(&both));
    }

    #[test]
    fn the_pools_options_are_read_under_any_spelling() {
        let url = "mongodb://host/accounts?maxPoolSize=7&MINPOOLSIZE=2&maxIdleTimeMS=3000&waitQueueTimeoutMS=4000\
                   &connectTimeoutMS=5000&serverSelectionTimeoutMS=6000";
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let expected = Pooling {
            max_pool_size: Some(7),
            min_pool_size: Some(2),
            max_idle_time: seconds(3),
            acquire_timeout: seconds(4),
            connect_timeout: seconds(5),
            server_selection_timeout: seconds(6),
        };
        assert_eq!(parse(url).map(|location| location.pooling()).ok(), Some(expected));
        assert_eq!(parse("mongodb://host/a").map(|location| location.pooling()).ok(), Some(Pooling::default()));
        assert_eq!(pooling("minPoolSize=0").map(|pooling| pooling.min_pool_size), Ok(Some(0)));
    }

    #[test]
    fn what_would_be_guessed_ignored_or_unsafe_is_refused() {
        for (url, expected) in [
            ("postgres://a@b/c", "is not one of MongoDB"),
            ("mongodb:/a", "is not one of MongoDB"),
            ("mongodb://host", "names no database"),
            ("mongodb://host/", "names no database"),
            ("mongodb:///accounts", "names no host"),
            ("mongodb://app:pw@/accounts", "names no host"),
            ("mongodb://host/admin", "names a database of the server itself"),
            ("mongodb://host/local", "names a database of the server itself"),
            ("mongodb://host/a%2eb", "names a database that there cannot be"),
            ("mongodb://host/a?b", "has an option without a value after `?`"),
            ("mongodb://host/a?secret=1", "has an unknown option after `?`"),
            ("mongodb://host/a?maxPoolSize=1&maxpoolsize=2", "has the option `maxPoolSize` twice"),
            ("mongodb://host/a?maxPoolSize=0", "sets `maxPoolSize` to what is no number of at least 1"),
            ("mongodb://host/a?minPoolSize=-1", "sets `minPoolSize` to what is no number"),
            ("mongodb://host/a?waitQueueTimeoutMS=x", "sets `waitQueueTimeoutMS` to what is no number of at least 1"),
            ("mongodb://host/a?retrywrites=true", "sets `retryWrites`, which Wharf sets itself"),
            ("mongodb://host/a?appName=x", "sets `appName`, which Wharf sets itself"),
            ("mongodb://host/a?loadBalanced=true", "sets `loadBalanced`, which Wharf sets itself"),
            ("mongodb://host/a?tlsInsecure=true", "sets `tlsInsecure`, by which TLS would prove nothing"),
            ("mongodb://host/a?socketTimeoutMS=1", "sets `socketTimeoutMS`, which the driver does not keep"),
            ("mongodb://host/a?readPreference=nearest", "sets another `readPreference` than the primary"),
            ("mongodb://host/a?w=0", "sets `w=0`"),
            ("mongodb://host/a?wtimeoutMS=0", "sets `wtimeoutMS` to 0"),
            ("mongodb://host/a?readConcernLevel=most", "sets a `readConcernLevel` that there is not"),
            ("mongodb://a,b/c?directConnection=true", "names several hosts with `directConnection=true`"),
            ("mongodb://%2Frun%2Fm.sock/a?tls=true", "asks for TLS over a Unix socket, where there is none"),
            ("mongodb://host:port/a", "is not one that the driver takes"),
            ("mongodb://a:%aé@host/a", "has characters in it that a URL has not"),
            ("mongodb://a:p w@host/a", "has characters in it that a URL has not"),
            ("mongodb://a:b@c@host/a", "is not one that the driver takes"),
        ] {
            assert_eq!(message(url).as_deref(), Some(expected), "{url}");
        }
    }

    #[test]
    fn no_url_makes_the_reader_panic() {
        for url in [
            "mongodb://%",
            "mongodb://a%:b@h/d",
            "mongodb://a:%zz@h/d",
            "mongodb://@h/d",
            "mongodb://h,/d",
            "mongodb+srv://a,b/d",
        ] {
            let _ = parse(url);
        }
    }
}
