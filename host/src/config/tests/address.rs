//! URLs of databases.

use super::{PLUGIN, refused};

#[test]
fn unset_environment_variables_are_all_told() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "postgres://${USER_A}:${PASSWORD_A}@host/a"
[databases.b]
url = "sqlite://${DIR"
[databases.c]
url = "sqlite://${1}.db"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: environment variable `USER_A` is not set
 --> wharf.toml:3:19
  |
3 | url = "postgres://${USER_A}*${PASSWORD_A}@host/a"
  |                   ^^^^^^^^^
  |
  = help: set it, or give a default: `${USER_A:-default}`

error: environment variable `PASSWORD_A` is not set
 --> wharf.toml:3:29
  |
3 | url = "postgres://${USER_A}*${PASSWORD_A}@host/a"
  |                             ^^^^^^^^^^^^^
  |
  = help: set it, or give a default: `${PASSWORD_A:-default}`

error: `${` is not followed by the name of a variable
 --> wharf.toml:5:17
  |
5 | url = "sqlite://${DIR"
  |                 ^^
  |
  = help: write `${NAME}` or `${NAME:-default}` (no references inside the default), or `$${` for a literal `${`

error: `${` is not followed by the name of a variable
 --> wharf.toml:7:17
  |
7 | url = "sqlite://${1}.db"
  |                 ^^
  |
  = help: write `${NAME}` or `${NAME:-default}` (no references inside the default), or `$${` for a literal `${`

wharf.toml: 4 errors
"#);
}

#[test]
fn urls_that_are_no_database() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "clinic.db"
[databases.b]
url = "http://host/clinic"
[databases.c]
url = "mysql://app:pw@host/clinic?ssl-mode=full"
[databases.d]
url = "mongodb:host/clinic"
[databases.e]
url = "${EMPTY}"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `url` is not the URL of a database
 --> wharf.toml:3:7
  |
3 | url = "*********"
  |       ^^^^^^^^^^^
  |
  = help: begin with `sqlite://`, `postgres://`, `mysql://` or `mongodb://`

error: `url` is not the URL of a database
 --> wharf.toml:5:7
  |
5 | url = "http://host/clinic"
  |       ^^^^^^^^^^^^^^^^^^^^
  |
  = help: begin with `sqlite://`, `postgres://`, `mysql://` or `mongodb://`

error: `url` asks for an unknown `ssl-mode`
 --> wharf.toml:7:7
  |
7 | url = "mysql://******@host/clinic?ssl-mode=full"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: allowed: `DISABLED`, `PREFERRED`, `REQUIRED`, `VERIFY_CA`, `VERIFY_IDENTITY`

error: `url` is not the URL of a database
 --> wharf.toml:9:7
  |
9 | url = "*******************"
  |       ^^^^^^^^^^^^^^^^^^^^^
  |
  = help: begin with `sqlite://`, `postgres://`, `mysql://` or `mongodb://`

error: `url` is empty
  --> wharf.toml:11:7
   |
11 | url = "${EMPTY}"
   |       ^^^^^^^^^^
   |
   = help: an empty environment variable counts as set

wharf.toml: 5 errors
"#);
}

#[test]
fn sqlite_urls_name_a_file_in_a_folder_that_exists() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "sqlite::memory:"
[databases.b]
url = "sqlite://x.db?mode=memory"
[databases.c]
url = "sqlite://x.db?mode=ro"
[databases.d]
url = "sqlite://nowhere/x.db"
[databases.e]
url = "sqlite://migrations"
[databases.f]
url = "sqlite://"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `url` names an SQLite database in memory: every connection of the pool would have a database of its own
 --> wharf.toml:3:7
  |
3 | url = "sqlite::memory:"
  |       ^^^^^^^^^^^^^^^^^
  |
  = help: name a file: `sqlite://clinic.db`

error: `url` names an SQLite database in memory: every connection of the pool would have a database of its own
 --> wharf.toml:5:7
  |
5 | url = "sqlite://x.db?mode=memory"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: name a file: `sqlite://clinic.db`

error: `url` has parameters after `?`, which SQLite is not given
 --> wharf.toml:7:7
  |
7 | url = "sqlite://x.db?mode=ro"
  |       ^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: Wharf opens the file as each grant's access says

error: `url` names a file in a folder that does not exist
 --> wharf.toml:9:7
  |
9 | url = "sqlite://nowhere/x.db"
  |       ^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: the file is created when it is missing, its folder is not

error: `url` names a folder, not a file
  --> wharf.toml:11:7
   |
11 | url = "sqlite://migrations"
   |       ^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write `sqlite://clinic.db`; the path begins at the folder of wharf.toml

error: `url` does not name a file
  --> wharf.toml:13:7
   |
13 | url = "sqlite://"
   |       ^^^^^^^^^^^
   |
   = help: write `sqlite://clinic.db`; the path begins at the folder of wharf.toml

wharf.toml: 6 errors
"#);
}

#[test]
fn postgres_urls_are_complete() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "postgres://host/clinic"
[databases.b]
url = "postgres://app@/clinic"
[databases.c]
url = "postgres://app@host"
[databases.d]
url = "postgres://app@host:port/clinic"
[databases.e]
url = "postgres://app@host/clinic?sslmod=require"
[databases.f]
url = "postgres://app@host/clinic?options=-cstatement_timeout%3D0"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `url` names no user
 --> wharf.toml:3:7
  |
3 | url = "postgres://host/clinic"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write `postgres://user:password@host:5432/database`; special characters in it are percent-encoded (`@` as `%40`)

error: `url` names no host
 --> wharf.toml:5:7
  |
5 | url = "postgres://***@/clinic"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write `postgres://user:password@host:5432/database`; special characters in it are percent-encoded (`@` as `%40`)

error: `url` names no database
 --> wharf.toml:7:7
  |
7 | url = "postgres://***@host"
  |       ^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write `postgres://user:password@host:5432/database`; special characters in it are percent-encoded (`@` as `%40`)

error: `url` is not a URL that PostgreSQL's driver takes
 --> wharf.toml:9:7
  |
9 | url = "postgres://***@host:port/clinic"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write `postgres://user:password@host:5432/database`; special characters in it are percent-encoded (`@` as `%40`)

error: `url` has an unknown parameter after `?`
  --> wharf.toml:11:7
   |
11 | url = "postgres://***@host/clinic?sslmod=require"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: did you mean `sslmode`?

error: `url` sets a parameter that Wharf sets itself
  --> wharf.toml:13:7
   |
13 | url = "postgres://***@host/clinic?options=-cstatement_timeout%3D0"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: remove `options`, `application_name` and `statement-cache-capacity`

wharf.toml: 6 errors
"#);
}

#[test]
fn further_urls_lead_to_the_same_database() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "sqlite://a.db"
control_url = "${PG_URL}"
migrations_url = "sqlite://b.db"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `control_url` is of another engine (postgres) than the database's `url` (sqlite)
 --> wharf.toml:4:15
  |
4 | control_url = "${PG_URL}"
  |               ^^^^^^^^^^^
  |
  = help: both must lead to the same database

error: `migrations_url` names another file than the database's `url`
 --> wharf.toml:5:18
  |
5 | migrations_url = "sqlite://b.db"
  |                  ^^^^^^^^^^^^^^^
  |
  = help: SQLite has no roles: name the same file, or leave this out

wharf.toml: 2 errors
"#);
}
