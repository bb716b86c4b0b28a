//! `[databases.NAME]` of MongoDB: keys under the names of its driver, options of its URLs, and grants.

use std::time::Duration;

use super::{PLUGIN, accepted, refused};
use crate::{
    config::{Diagnostics, notes},
    driver::{self, Engine},
    pool::settings::Settings,
};

/// A database with this URL and these further lines.
fn database(url: &str, lines: &str) -> String {
    format!("[databases.accounts]\nurl = \"{url}\"\n{lines}\n{PLUGIN}")
}

/// What a database with all of its pool's settings said comes to.
fn expected() -> (Settings, driver::settings::Settings) {
    let seconds = Duration::from_secs;
    let settings = Settings {
        max_connections: 7,
        min_connections: 2,
        idle_timeout: seconds(3),
        acquire_timeout: seconds(4),
        connect_timeout: seconds(5),
        ..Settings::default()
    };
    (settings, driver::settings::Settings { max_connections: 7, server_selection_timeout: seconds(6), ..Default::default() })
}

const IN_TABLE: &str = "max_pool_size = 7\nmin_pool_size = 2\nmax_idle_time = \"3s\"\nacquire_timeout = \"4s\"\n\
                        connect_timeout = \"5s\"\nserver_selection_timeout = \"6s\"\n";
const IN_URL: &str = "maxPoolSize=7&minPoolSize=2&maxIdleTimeMS=3000&waitQueueTimeoutMS=4000&connectTimeoutMS=5000\
                      &serverSelectionTimeoutMS=6000";

#[test]
fn a_url_is_enough() {
    for url in ["mongodb://host/accounts", "mongodb://a:27018,b/accounts?replicaSet=rs", "mongodb+srv://host.example/accounts"] {
        let (folder, config) = accepted(&database(url, "migrations = \"migrations\""));
        let database = &config.databases[0];
        assert_eq!((database.engine, database.file.as_ref(), database.url.expose()), (Engine::Mongodb, None, url));
        assert_eq!((&database.settings, &database.driver), (&Settings::default(), &Default::default()));
        assert_eq!(database.migrations_folder(), Some(folder.path().join("migrations/mongodb")));
    }
}

#[test]
fn settings_are_said_by_the_table_the_url_or_both_alike() {
    let (plain, full) = ("mongodb://host/accounts".to_owned(), format!("mongodb://host/accounts?{IN_URL}"));
    for (url, lines) in [(&plain, IN_TABLE), (&full, ""), (&full, IN_TABLE)] {
        let (_folder, config) = accepted(&database(url, lines));
        let database = &config.databases[0];
        assert_eq!((database.settings.clone(), database.driver.clone()), expected(), "{url} {lines}");
    }
    // The rest is called as for every engine.
    let lines = "statement_timeout = \"2s\"\nmax_lifetime = \"1h\"\nmax_waiters = 3\nbounds = { settle = \"400ms\" }";
    let (_folder, config) = accepted(&database(&plain, lines));
    assert_eq!(config.databases[0].driver.statement_timeout, Duration::from_secs(2));
    assert_eq!(config.databases[0].settings.bounds.settle, Duration::from_millis(400));
}

#[test]
fn what_the_table_and_the_url_say_differently_is_told_with_both_places() {
    for (key, value, option, said) in [
        ("max_pool_size", "5", "maxPoolSize=7", "7"),
        ("min_pool_size", "1", "minPoolSize=0", "0"),
        ("max_idle_time", "\"5s\"", "maxIdleTimeMS=5001", "5s 1ms"),
        ("acquire_timeout", "\"5s\"", "waitQueueTimeoutMS=1000", "1s"),
        ("connect_timeout", "\"10s\"", "connectTimeoutMS=1000", "1s"),
        ("server_selection_timeout", "\"5s\"", "serverSelectionTimeoutMS=30000", "30s"),
    ] {
        let told = refused(&database(&format!("mongodb://host/accounts?{option}"), &format!("{key} = {value}")));
        let (own, option) = (value.trim_matches('"'), option.split('=').next().unwrap());
        let message = format!("`{key}` is {own}, but `{option}` of the database's `url` is {said}\n --> wharf.toml:3:");
        assert!(told.contains(&message) && told.contains("the other place") && told.ends_with(": 1 error\n"), "{told}");
    }
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "mongodb://host/a?maxPoolSize=7"
max_pool_size = 5
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `max_pool_size` is 5, but `maxPoolSize` of the database's `url` is 7
 --> wharf.toml:4:17
  |
3 | url = "mongodb://host/a?maxPoolSize=7"
  |       -------------------------------- the other place
4 | max_pool_size = 5
  |                 ^
  |
  = help: say it in one place, or the same in both

wharf.toml: 1 error
"#);
}

#[test]
fn names_of_the_other_kind_of_database_are_refused() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "mongodb://host/a"
max_connections = 3
min_connections = 1
idle_timeout = "1s"
busy_timeout = "1s"
statement_cache = { count = 7 }
[databases.b]
url = "sqlite://b.db"
max_pool_size = 3
min_pool_size = 1
max_idle_time = "1s"
server_selection_timeout = "1s"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `max_connections` is no key of a MongoDB database
 --> wharf.toml:4:1
  |
4 | max_connections = 3
  | ^^^^^^^^^^^^^^^
  |
  = help: the same is called `max_pool_size` here

error: `min_connections` is no key of a MongoDB database
 --> wharf.toml:5:1
  |
5 | min_connections = 1
  | ^^^^^^^^^^^^^^^
  |
  = help: the same is called `min_pool_size` here

error: `idle_timeout` is no key of a MongoDB database
 --> wharf.toml:6:1
  |
6 | idle_timeout = "1s"
  | ^^^^^^^^^^^^
  |
  = help: the same is called `max_idle_time` here

error: `busy_timeout` is no key of a MongoDB database
 --> wharf.toml:7:1
  |
7 | busy_timeout = "1s"
  | ^^^^^^^^^^^^
  |
  = help: remove it; only SQLite waits so for another writer

error: `statement_cache` is no key of a MongoDB database
 --> wharf.toml:8:1
  |
8 | statement_cache = { count = 7 }
  | ^^^^^^^^^^^^^^^
  |
  = help: remove it; there are no prepared statements

error: `max_pool_size` is a key of MongoDB databases only
  --> wharf.toml:11:1
   |
11 | max_pool_size = 3
   | ^^^^^^^^^^^^^
   |
   = help: the same is called `max_connections` here

error: `min_pool_size` is a key of MongoDB databases only
  --> wharf.toml:12:1
   |
12 | min_pool_size = 1
   | ^^^^^^^^^^^^^
   |
   = help: the same is called `min_connections` here

error: `max_idle_time` is a key of MongoDB databases only
  --> wharf.toml:13:1
   |
13 | max_idle_time = "1s"
   | ^^^^^^^^^^^^^
   |
   = help: the same is called `idle_timeout` here

error: `server_selection_timeout` is a key of MongoDB databases only
  --> wharf.toml:14:1
   |
14 | server_selection_timeout = "1s"
   | ^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: remove it; `connect_timeout` bounds all that opening a session takes

wharf.toml: 9 errors
"#);
}

#[test]
fn urls_are_complete_and_leave_to_the_host_what_is_its_own() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "mongodb://host"
[databases.b]
url = "mongodb://host/admin"
[databases.c]
url = "mongodb://host/c?retryWrites=true"
[databases.d]
url = "mongodb://host/d?maxPoolSize=0"
[databases.e]
url = "mongodb://host/e?maxPoolSize=20000"
[databases.f]
url = "mongodb://host/f?maxPoolSiz=2"
[databases.g]
url = "mongodb://host/g?tlsCAFile=missing.pem"
[databases.h]
url = "mongodb://host/h?tlsCertificateKeyFile=ca.pem"
[databases.i]
url = "mongodb://host/i?tls=false&tlsCAFile=ca.pem"
[databases.j]
url = "mongodb://host/j?minPoolSize=5&maxPoolSize=3"
[databases.k]
url = "mongodb://host/k?socketTimeoutMS=1000"
[databases.l]
url = "mongodb://host/l?tlsInsecure=true"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `url` names no database
 --> wharf.toml:3:7
  |
3 | url = "mongodb://host"
  |       ^^^^^^^^^^^^^^^^
  |
  = help: write `mongodb://user:password@host:27017/database`; special characters in it are percent-encoded (`@` as `%40`)

error: `url` names a database of the server itself
 --> wharf.toml:5:7
  |
5 | url = "mongodb://host/admin"
  |       ^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: name one of your own; where users are kept is said by `authSource=admin`

error: `url` sets `retryWrites`, which Wharf sets itself
 --> wharf.toml:7:7
  |
7 | url = "mongodb://host/c?retryWrites=true"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: remove `retryWrites`

error: `url` sets `maxPoolSize` to what is no number of at least 1
 --> wharf.toml:9:7
  |
9 | url = "mongodb://host/d?maxPoolSize=0"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: 0 would mean no limit, and there is always one

error: `maxPoolSize` of `url` is out of range
  --> wharf.toml:11:7
   |
11 | url = "mongodb://host/e?maxPoolSize=20000"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: allowed: 1 to 10000

error: `url` has an unknown option after `?`
  --> wharf.toml:13:7
   |
13 | url = "mongodb://host/f?maxPoolSiz=2"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: known options: `tls`, `ssl`, `tlsCAFile`, `tlsCertificateKeyFile`, `authSource`, `authMechanism`, `replicaSet`, `directConnection`, `w`, `journal`, `wtimeoutMS`, `readConcernLevel`, `srvServiceName`, `srvMaxHosts`, `maxPoolSize`, `minPoolSize`, `maxIdleTimeMS`, `waitQueueTimeoutMS`, `connectTimeoutMS`, `serverSelectionTimeoutMS`

error: `url` names a file as `tlsCAFile` that does not exist
  --> wharf.toml:15:7
   |
15 | url = "mongodb://host/g?tlsCAFile=missing.pem"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: relative paths begin at the folder of wharf.toml

error: `url` names a file as `tlsCertificateKeyFile` that holds no private key
  --> wharf.toml:17:7
   |
17 | url = "mongodb://host/h?tlsCertificateKeyFile=ca.pem"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: files are in PEM form

error: `url` names a `tlsCAFile`, but says `tls=false`
  --> wharf.toml:19:7
   |
19 | url = "mongodb://host/i?tls=false&tlsCAFile=ca.pem"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: remove one of them

error: `min_pool_size` (5) is above `max_pool_size` (3) of database `j`
  --> wharf.toml:21:7
   |
21 | url = "mongodb://host/j?minPoolSize=5&maxPoolSize=3"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: raise `max_pool_size` or lower `min_pool_size`

error: `url` sets `socketTimeoutMS`, which the driver does not keep
  --> wharf.toml:23:7
   |
23 | url = "mongodb://host/k?socketTimeoutMS=1000"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: use `statement_timeout` of wharf.toml

error: `url` sets `tlsInsecure`, by which TLS would prove nothing
  --> wharf.toml:25:7
   |
25 | url = "mongodb://host/l?tlsInsecure=true"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: remove it; a server with a certificate of your own authority is trusted by `tlsCAFile`

wharf.toml: 12 errors
"#);
}

#[test]
fn further_urls_lead_to_the_same_database_and_say_nothing_else_of_it() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "mongodb://host/a?maxPoolSize=7"
control_url = "mongodb://host/b"
migrations_url = "mongodb://host/a?maxPoolSize=8"
[databases.b]
url = "mongodb://host/b"
control_url = "${PG_URL}"
[databases.c]
url = "mongodb://host/c?w=majority"
control_url = "mongodb://host/c?w=majority"
migrations_url = "mongodb://host/c?readConcernLevel=local"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `control_url` names another database than the database's `url`
 --> wharf.toml:4:15
  |
4 | control_url = "mongodb://host/b"
  |               ^^^^^^^^^^^^^^^^^^
  |
  = help: both must lead to the same database; where a user is kept is said by `authSource`

error: `migrations_url` says of the pool what the database's `url` does not
 --> wharf.toml:5:18
  |
5 | migrations_url = "mongodb://host/a?maxPoolSize=8"
  |                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: the pool is the database's: say it in its `url`, or in its table

error: `control_url` is of another engine (postgres) than the database's `url` (mongodb)
 --> wharf.toml:8:15
  |
8 | control_url = "${PG_URL}"
  |               ^^^^^^^^^^^
  |
  = help: both must lead to the same database

error: `control_url` sets a read or write concern, which would be ignored
  --> wharf.toml:11:15
   |
11 | control_url = "mongodb://host/c?w=majority"
   |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: remove `w`, `journal`, `wtimeoutMS` and `readConcernLevel` from it

error: `migrations_url` sets a read or write concern, which would be ignored
  --> wharf.toml:12:18
   |
12 | migrations_url = "mongodb://host/c?readConcernLevel=local"
   |                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: remove `w`, `journal`, `wtimeoutMS` and `readConcernLevel` from it

wharf.toml: 5 errors
"#);
}

#[test]
fn read_only_needs_a_user_of_its_own() {
    let text = r##"
[databases.accounts]
url = "${MONGODB_URL}"
[plugins.p]
component = "p.wasm"
routes = ["/p"]
databases.accounts = { access = "read-only" }
[plugins.q]
component = "q.wasm"
routes = ["/q"]
databases.accounts = { access = "read-only", url = "mongodb://app:other@db.example/accounts" }
[plugins.r]
component = "r.wasm"
routes = ["/r"]
databases.accounts = { access = "read-only", url = "mongodb://db.example/accounts" }
"##;
    insta::assert_snapshot!(refused(text), @r#"
error: the read-only grant of `accounts` needs a credential of its own on MongoDB
 --> wharf.toml:7:33
  |
7 | databases.accounts = { access = "read-only" }
  |                                 ^^^^^^^^^^^
  |
  = help: give it a `url` with a user that has only the role `read`

error: the read-only grant of `accounts` uses the same user as the database's `url`
  --> wharf.toml:11:33
   |
11 | databases.accounts = { access = "read-only", url = "mongodb://*********@db.example/accounts" }
   |                                 ^^^^^^^^^^^
   |
   = help: give it a `url` with a user that has only the role `read`

error: the `url` of the read-only grant of `accounts` names no user
  --> wharf.toml:15:33
   |
15 | databases.accounts = { access = "read-only", url = "mongodb://db.example/accounts" }
   |                                 ^^^^^^^^^^^
   |
   = help: give it a `url` with a user that has only the role `read`

wharf.toml: 3 errors
"#);
}

#[test]
fn a_reader_is_another_user_or_one_whom_a_certificate_names() {
    for url in [
        "mongodb://reader:pw@db.example/accounts",
        "mongodb://app:pw@db.example/accounts?authSource=admin",
        "mongodb://db.example/accounts?authMechanism=MONGODB-X509&tlsCertificateKeyFile=both.pem",
    ] {
        let text = database("${MONGODB_URL}", "");
        let (_folder, config) = accepted(&format!("{text}databases.accounts = {{ access = \"read-only\", url = \"{url}\" }}\n"));
        assert!(config.plugins[0].databases[0].url.is_some());
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}

#[test]
fn further_urls_may_repeat_what_the_url_says_of_the_pool() {
    let lines = "control_url = \"mongodb://watcher:pw@host/accounts?authSource=admin&maxPoolSize=7\"\n\
                 migrations_url = \"mongodb://owner:pw@host/accounts\"";
    let (_folder, config) = accepted(&database("mongodb://host/accounts?maxPoolSize=7", lines));
    assert!(config.databases[0].control_url.is_some() && config.databases[0].migrations_url.is_some());
}

#[test]
fn a_url_that_cannot_be_read_is_the_only_error() {
    for url in ["mongodb://host", "mongodb+srv://a,b/c", "${UNSET}"] {
        let told = refused(&database(url, IN_TABLE));
        assert!(told.ends_with(": 1 error\n"), "{told}");
    }
}

#[test]
fn limits_of_the_url_count_where_others_are_compared_with_them() {
    let url = "mongodb://host/accounts?maxPoolSize=7";
    let told = refused(&format!("max_connections = 5\n{}", database(url, "")));
    assert!(told.contains("`max_pool_size` (7) of database `accounts` is above the host's (5)"), "{told}");
    let text = format!("{}databases.accounts = {{ access = \"read-write\", max_connections = 8 }}\n", database(url, ""));
    let told = refused(&text);
    assert!(told.contains("a grant of 8 connections is above the `max_pool_size` (7) of database `accounts`"), "{told}");
    let text = format!("{}databases.accounts = {{ access = \"read-write\" }}\n", database(url, ""));
    let (_folder, config) = accepted(&text);
    assert_eq!(config.plugins[0].databases[0].max_connections, 7);
}

#[test]
fn passwords_are_masked_wherever_they_stand() {
    for url in [
        "mongodb://app:hunter2@host/a?retryWrites=true",
        "mongodb://app:hunter2/a",
        "mongodb://app:p?hunter2@host/a",
        "mongodb+srv://app:hunter2@host",
        "mongodb://app@host/a?tlsCertificateKeyFilePassword=hunter2",
        "mongodb://app@host/a?authMechanismProperties=AWS_SESSION_TOKEN:hunter2",
    ] {
        let told = refused(&database(url, ""));
        assert!(told.ends_with(": 1 error\n"), "{told}");
    }
}

#[test]
fn files_are_found_from_the_folder_of_wharf_toml() {
    let url = "mongodb://host/accounts?TLSCAFILE=ca.pem&w=majority&tlsCertificateKeyFile=both.pem";
    let (folder, config) = accepted(&database(url, ""));
    let base = folder.path().display();
    let expected = format!("mongodb://host/accounts?tlsCAFile={base}/ca.pem&w=majority&tlsCertificateKeyFile={base}/both.pem");
    assert_eq!(config.databases[0].url.expose(), expected);
}

#[test]
fn plugins_that_share_a_user_are_warned_of() {
    let grant = "databases.accounts = { access = \"read-write\" }\n";
    let other = format!("[plugins.q]\ncomponent = \"q.wasm\"\nroutes = [\"/q\"]\n{grant}");
    for (url, warned) in [("mongodb://app:pw@host/accounts", 1), ("mongodb://host/accounts", 0)] {
        let (_folder, config) = accepted(&format!("{}{grant}{other}", database(url, "")));
        let mut said = Diagnostics::new(config.source.clone());
        notes(&config, &mut said);
        assert_eq!(said.warnings(), warned, "{said}");
    }
}
