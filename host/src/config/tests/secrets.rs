//! What was written into the file literally does not come out again.

use super::{PLUGIN, refused};

#[test]
fn a_password_in_a_url_is_masked() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "postgres://app:hunter2@host:port/a" # was postgres://app:hunter2@other/a
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `url` is not a URL that PostgreSQL's driver takes
 --> wharf.toml:3:7
  |
3 | url = "postgres://***********************" * *** **********************@other/a
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write `postgres://user:password@host:5432/database`; special characters in it are percent-encoded (`@` as `%40`)

wharf.toml: 1 error
"#);
}

#[test]
fn a_password_under_a_misspelt_key_is_masked() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
ulr = "postgres://app:hunter2@host/a"
password = "hunter2"
DB_SECRET = 'hunter2'
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: database `a` has no `url`
 --> wharf.toml:2:12
  |
2 | [databases.a]
  |            ^
  |
  = help: add `url = "sqlite://..."`, or `url_file` with the path of a file that holds it

error: unknown key `ulr`
 --> wharf.toml:3:1
  |
3 | ulr = "postgres://***********@host/a"
  | ^^^
  |
  = help: did you mean `url`?

error: unknown key `password`
 --> wharf.toml:4:1
  |
4 | password = "*******"
  | ^^^^^^^^
  |
  = help: known keys: `url`, `url_file`, `control_url`, `control_url_file`, `migrations_url`, `migrations_url_file`, `migrations`, `seed`, `connect`, `required`, `max_connections`, `min_connections`, `bounds`, `acquire_timeout`, `max_waiters`, `idle_timeout`, `max_lifetime`, `connect_timeout`, `statement_timeout`, `idle_in_transaction_timeout`, `test_before_acquire`, `leak_warning`, `allow_superuser`, `server_cancel`, `busy_timeout`, `statement_cache`

error: unknown key `DB_SECRET`
 --> wharf.toml:5:1
  |
5 | DB_SECRET = '*******'
  | ^^^^^^^^^
  |
  = help: known keys: `url`, `url_file`, `control_url`, `control_url_file`, `migrations_url`, `migrations_url_file`, `migrations`, `seed`, `connect`, `required`, `max_connections`, `min_connections`, `bounds`, `acquire_timeout`, `max_waiters`, `idle_timeout`, `max_lifetime`, `connect_timeout`, `statement_timeout`, `idle_in_transaction_timeout`, `test_before_acquire`, `leak_warning`, `allow_superuser`, `server_cancel`, `busy_timeout`, `statement_cache`

wharf.toml: 4 errors
"#);
}

#[test]
fn a_password_in_the_wrong_place_or_type_is_masked() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
databases.a = { url = ["hunter2"], control_url = "hunter2", max_connections = 0 }
databases.b = { url = "postgres://app@host/b?password=hunter2&sslmode=of" }
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `url` must be a string, not an array
 --> wharf.toml:2:23
  |
2 | databases.a = { url = ["*******"], control_url = "*******", max_connections = 0 }
  |                       ^^^^^^^^^^^
  |
  = help: write one value, without brackets

error: `control_url` is not the URL of a database
 --> wharf.toml:2:50
  |
2 | databases.a = { url = ["*******"], control_url = "*******", max_connections = 0 }
  |                                                  ^^^^^^^^^
  |
  = help: begin with `sqlite://`, `postgres://`, `mysql://` or `mongodb://`

error: `max_connections` is out of range
 --> wharf.toml:2:79
  |
2 | databases.a = { url = ["*******"], control_url = "*******", max_connections = 0 }
  |                                                                               ^
  |
  = help: allowed: 1 to 10000

error: `url` asks for an unknown `sslmode`
 --> wharf.toml:3:23
  |
3 | databases.b = { url = "postgres://***@host/b?password=******************" *
  |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: allowed: `disable`, `prefer`, `require`, `verify-ca`, `verify-full`

wharf.toml: 4 errors
"#);
}

#[test]
fn a_password_before_a_syntax_error_is_masked() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "postgres://app:hun"hunter2@host/a"
token = hunter2
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: unexpected key or value, expected newline, `#`
 --> wharf.toml:3:27
  |
3 | url = "postgres://*******"*******@host/a"
  |                           ^
  |
  = help: strings are in quotes, a key is given once; see https://toml.io for the syntax

error: string values must be quoted, expected literal string
 --> wharf.toml:4:9
  |
4 | token = *******
  |         ^^^^^^^
  |
  = help: strings are in quotes, a key is given once; see https://toml.io for the syntax

wharf.toml: 2 errors
"#);
}

#[test]
fn a_default_is_masked_and_the_name_is_not() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "postgres://app:${PASSWORD}hunter2@host/${NAME:-a}"
[databases.b]
url = "${B_URL:-postgres://app:hunter2@host:x/b}"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: environment variable `PASSWORD` is not set
 --> wharf.toml:3:23
  |
3 | url = "postgres://****${PASSWORD}*******@host/${NAME:-a}"
  |                       ^^^^^^^^^^^
  |
  = help: set it, or give a default: `${PASSWORD:-default}`

error: `url` is not a URL that PostgreSQL's driver takes
 --> wharf.toml:5:7
  |
5 | url = "${B_URL:-postgres://***********@host:x/b}"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write `postgres://user:password@host:5432/database`; special characters in it are percent-encoded (`@` as `%40`)

wharf.toml: 2 errors
"#);
}

#[test]
fn a_password_where_nobody_expects_one_is_masked() {
    let text = r##"
"postgres://app:hunter2@host/a" = 1
[server]
listen = "postgres://app:hunter2@host/a"
[databases.a]
url = "postgres://app:hunter2/a"
migrations = "postgres://app:hunter2@host/a"
[plugins.p]
component = "p.wasm"
routes = ["postgres://app:hunter2@host/a"]
limits = { deadline = "postgres://app:hunter2@host/a" }
databases.a = { access = "postgres://app:hunter2@host/a" }
"##;
    insta::assert_snapshot!(refused(text), @r#"
error: unknown key `postgres://***********@host/a`
 --> wharf.toml:2:1
  |
2 | "postgres://***********@host/a" = 1
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: known keys: `max_connections`, `server`, `admin`, `engine`, `log`, `databases`, `plugins`

error: `postgres://***********@host/a` is not an address with a port
 --> wharf.toml:4:10
  |
4 | listen = "postgres://***********@host/a"
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write "127.0.0.1:3000", or "0.0.0.0:3000" for every interface; port 0 takes a free one

error: `url` names no user
 --> wharf.toml:6:7
  |
6 | url = "postgres://app:*********"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write `postgres://user:password@host:5432/database`; special characters in it are percent-encoded (`@` as `%40`)

error: `postgres://***********@host/a` does not exist
 --> wharf.toml:7:14
  |
7 | migrations = "postgres://***********@host/a"
  |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: relative paths begin at the folder of wharf.toml

error: `postgres://***********@host/a` is not a route: the path does not begin with `/`
  --> wharf.toml:10:11
   |
10 | routes = ["postgres://***********@host/a"]
   |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write `/path`, `/path/{parameter}` or `/path/{*rest}`, with a method before it if you like

error: `postgres://***********@host/a` is not a duration
  --> wharf.toml:11:23
   |
11 | limits = { deadline = "postgres://***********@host/a" }
   |                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write a number with a unit: "250ms", "5s", "2m", "1h"

error: `postgres://***********@host/a` is not a value of `access`
  --> wharf.toml:12:26
   |
12 | databases.a = { access = "postgres://***********@host/a" }
   |                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: allowed: `read-only`, `read-write`

wharf.toml: 7 errors
"#);
}
