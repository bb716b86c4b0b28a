//! `[databases.NAME]`.

use super::{PLUGIN, refused};

#[test]
fn a_database_without_url() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.clinic]
max_connections = 3
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: database `clinic` has no `url`
 --> wharf.toml:2:12
  |
2 | [databases.clinic]
  |            ^^^^^^
  |
  = help: add `url = "sqlite://..."`, or `url_file` with the path of a file that holds it

wharf.toml: 1 error
"#);
}

#[test]
fn bad_names() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.Clinic]
url = "sqlite://clinic.db"
[databases."a b\u001b[2J"]
url = "sqlite://clinic.db"
[plugins.""]
component = "x.wasm"
routes = ["/x"]
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `Clinic` cannot be the name of a database
 --> wharf.toml:2:12
  |
2 | [databases.Clinic]
  |            ^^^^^^
  |
  = help: names are 1 to 63 lower-case letters, digits, `-` and `_`, and begin with a letter

error: `a b\u{1b}[2J` cannot be the name of a database
 --> wharf.toml:4:12
  |
4 | [databases."a b\u001b[2J"]
  |            ^^^^^^^^^^^^^^
  |
  = help: names are 1 to 63 lower-case letters, digits, `-` and `_`, and begin with a letter

error: `` cannot be the name of a plugin
 --> wharf.toml:6:10
  |
6 | [plugins.""]
  |          ^^
  |
  = help: names are 1 to 63 lower-case letters, digits, `-` and `_`, and begin with a letter

wharf.toml: 3 errors
"#);
}

#[test]
fn more_connections_kept_open_than_allowed() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.clinic]
url = "sqlite://clinic.db"
max_connections = 3
min_connections = 5
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `min_connections` (5) is above `max_connections` (3) of database `clinic`
 --> wharf.toml:5:19
  |
4 | max_connections = 3
  |                   - the maximum
5 | min_connections = 5
  |                   ^
  |
  = help: raise `max_connections` or lower `min_connections`

wharf.toml: 1 error
"#);
}

#[test]
fn databases_share_the_maximum_of_the_host() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
max_connections = 12
[databases.a]
url = "sqlite://a.db"
max_connections = 20
[databases.b]
url = "sqlite://b.db"
min_connections = 8
[databases.c]
url = "sqlite://c.db"
min_connections = 8
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: the databases' `min_connections` (17 in all) are above the host's `max_connections` (12)
 --> wharf.toml:2:19
  |
2 | max_connections = 12
  |                   ^^
  |
  = help: raise the top-level `max_connections` or lower `min_connections`

error: `max_connections` (20) of database `a` is above the host's (12)
 --> wharf.toml:5:19
  |
2 | max_connections = 12
  |                   -- the host's maximum
...
5 | max_connections = 20
  |                   ^^
  |
  = help: the top-level `max_connections` bounds all databases together

wharf.toml: 2 errors
"#);
}

#[test]
fn busy_timeout_stays_below_the_bound_of_a_cancel() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "sqlite://a.db"
busy_timeout = "1s"
[databases.b]
url = "sqlite://b.db"
bounds = { settle = "400ms" }
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `busy_timeout` (1s) must be below `bounds.settle` (1s)
 --> wharf.toml:4:16
  |
4 | busy_timeout = "1s"
  |                ^^^^
  |
  = help: a statement that waits for another writer cannot be cancelled sooner; lower `busy_timeout` or raise the bound

error: `busy_timeout` (500ms) must be below `bounds.settle` (400ms)
 --> wharf.toml:7:21
  |
7 | bounds = { settle = "400ms" }
  |                     ^^^^^^^
  |
  = help: a statement that waits for another writer cannot be cancelled sooner; lower `busy_timeout` or raise the bound

wharf.toml: 2 errors
"#);
}

#[test]
fn sub_tables_are_checked_too() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "sqlite://a.db"
bounds = { cancle = "1s", rollback = "0s", close = "2m" }
statement_cache = { count = 0, text_size = 5, max_age = "1y" }
allow_superuser = "yes"
server_cancel = "true"
connect = "layz"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: unknown key `cancle`
 --> wharf.toml:4:12
  |
4 | bounds = { cancle = "1s", rollback = "0s", close = "2m" }
  |            ^^^^^^
  |
  = help: did you mean `cancel`?

error: `rollback` is out of range
 --> wharf.toml:4:38
  |
4 | bounds = { cancle = "1s", rollback = "0s", close = "2m" }
  |                                      ^^^^
  |
  = help: allowed: 1ms to 1m

error: `close` is out of range
 --> wharf.toml:4:52
  |
4 | bounds = { cancle = "1s", rollback = "0s", close = "2m" }
  |                                                    ^^^^
  |
  = help: allowed: 1ms to 1m

error: `count` is out of range
 --> wharf.toml:5:29
  |
5 | statement_cache = { count = 0, text_size = 5, max_age = "1y" }
  |                             ^
  |
  = help: allowed: 1 to 10000

error: `text_size` must be a size, such as "64MiB", not an integer
 --> wharf.toml:5:44
  |
5 | statement_cache = { count = 0, text_size = 5, max_age = "1y" }
  |                                            ^
  |
  = help: write it with a unit, in quotes: `text_size = "5B"`

error: `max_age` is out of range
 --> wharf.toml:5:57
  |
5 | statement_cache = { count = 0, text_size = 5, max_age = "1y" }
  |                                                         ^^^^
  |
  = help: allowed: 1ms to 1day

error: `allow_superuser` must be a boolean, not a string
 --> wharf.toml:6:19
  |
6 | allow_superuser = "yes"
  |                   ^^^^^
  |
  = help: write `allow_superuser = true` or `allow_superuser = false`

error: `server_cancel` must be a boolean, not a string
 --> wharf.toml:7:17
  |
7 | server_cancel = "true"
  |                 ^^^^^^
  |
  = help: write it without quotes: `server_cancel = true`

error: `layz` is not a value of `connect`
 --> wharf.toml:8:11
  |
8 | connect = "layz"
  |           ^^^^^^
  |
  = help: did you mean `lazy`? (allowed: `eager`, `lazy`)

wharf.toml: 9 errors
"#);
}

#[test]
fn missing_folders_and_files() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "sqlite://a.db"
migrations = "migration"
seed = "url.txt"
[databases.b]
url_file = "nothing.txt"
[databases.c]
url_file = "empty.txt"
[databases.d]
url_file = "migrations"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `migration` does not exist
 --> wharf.toml:4:14
  |
4 | migrations = "migration"
  |              ^^^^^^^^^^^
  |
  = help: relative paths begin at the folder of wharf.toml

error: `url.txt` is not a folder
 --> wharf.toml:5:8
  |
5 | seed = "url.txt"
  |        ^^^^^^^^^
  |
  = help: relative paths begin at the folder of wharf.toml

error: cannot read `nothing.txt`: no such file or directory
 --> wharf.toml:7:12
  |
7 | url_file = "nothing.txt"
  |            ^^^^^^^^^^^^^
  |
  = help: relative paths begin at the folder of wharf.toml

error: `url_file` is empty
 --> wharf.toml:9:12
  |
9 | url_file = "empty.txt"
  |            ^^^^^^^^^^^
  |
  = help: an empty environment variable counts as set

error: cannot read `migrations`: is a directory
  --> wharf.toml:11:12
   |
11 | url_file = "migrations"
   |            ^^^^^^^^^^^^
   |
   = help: relative paths begin at the folder of wharf.toml

wharf.toml: 5 errors
"#);
}

#[test]
fn migrations_for_the_engine_are_missing() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "${PG_URL}"
migrations = "only-sqlite"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `only-sqlite` has no folder `postgres`
 --> wharf.toml:4:14
  |
4 | migrations = "only-sqlite"
  |              ^^^^^^^^^^^^^
  |
  = help: `migrations` holds one folder an engine: `sqlite`, `postgres`, `mysql`, `mongodb`

wharf.toml: 1 error
"#);
}

#[test]
fn a_secret_is_given_once() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "${PG_URL}"
url_file = "url.txt"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `url` and `url_file` exclude each other
 --> wharf.toml:4:1
  |
3 | url = "${PG_URL}"
  | --- also given here
4 | url_file = "url.txt"
  | ^^^^^^^^
  |
  = help: keep one of them

wharf.toml: 1 error
"#);
}
