//! Files that are not TOML, or hardly.

use super::{PLUGIN, refused};

#[test]
fn a_syntax_error_does_not_hide_the_rest() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[server]
listen = 127.0.0.1:3000
max_headers = 0
[databases.clinic]
url =
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: invalid float, expected nothing
 --> wharf.toml:3:15
  |
3 | listen = 127.0.0.1:3000
  |               ^^^^^^^^^
  |
  = help: strings are in quotes, a key is given once; see https://toml.io for the syntax

error: `max_headers` is out of range
 --> wharf.toml:4:15
  |
4 | max_headers = 0
  |               ^
  |
  = help: allowed: 1 to 10000

error: string values must be quoted, expected literal string
 --> wharf.toml:6:6
  |
6 | url =
  |      ^
  |
  = help: strings are in quotes, a key is given once; see https://toml.io for the syntax

wharf.toml: 3 errors
"#);
}

#[test]
fn a_key_given_twice() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[server]
max_headers = 5
max_headers = 6
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: duplicate key
 --> wharf.toml:4:1
  |
4 | max_headers = 6
  | ^^^^^^^^^^^
  |
  = help: strings are in quotes, a key is given once; see https://toml.io for the syntax

wharf.toml: 1 error
"#);
}

#[test]
fn nothing_at_all() {
    let text = "";
    insta::assert_snapshot!(refused(text), @r#"
error: there is no plugin, so nothing to run
 |
 = help: add a table `[plugins.NAME]` with `component = "NAME.wasm"` and `routes = ["/path"]`

wharf.toml: 1 error
"#);
}

#[test]
fn everything_at_once() {
    let text = r##"
[server]
listen = "127.0.0.1"
adress = "127.0.0.1:3000"

[databases.clinic]
url = "${CLINIC_URL}"
migrations = "migration"
max_connections = 3
min_connections = 4

[plugins.patients]
component = "patients.wasm"
routes = ["/patients", "/patients"]
limits = { fuel = "much", deadline = "15" }
databases.clinic = { access = "readwrite", max_connections = 9 }
databases.billing = { access = "read-only" }
"##;
    insta::assert_snapshot!(refused(text), @r#"
error: `127.0.0.1` is not an address with a port
 --> wharf.toml:3:10
  |
3 | listen = "127.0.0.1"
  |          ^^^^^^^^^^^
  |
  = help: write "127.0.0.1:3000", or "0.0.0.0:3000" for every interface; port 0 takes a free one

error: unknown key `adress`
 --> wharf.toml:4:1
  |
4 | adress = "127.0.0.1:3000"
  | ^^^^^^
  |
  = help: known keys: `listen`, `admin`, `tls`, `trusted_proxies`, `forwarded_header`, `max_connections`, `max_header_bytes`, `max_headers`, `max_body`, `header_timeout`, `idle_timeout`, `body_stall_timeout`, `request_timeout`, `server_timing`, `max_concurrency`, `max_queue`, `queue_timeout`, `drain_timeout`, `reclaim_timeout`

error: environment variable `CLINIC_URL` is not set
 --> wharf.toml:7:8
  |
7 | url = "${CLINIC_URL}"
  |        ^^^^^^^^^^^^^
  |
  = help: set it, or give a default: `${CLINIC_URL:-default}`

error: `migration` does not exist
 --> wharf.toml:8:14
  |
8 | migrations = "migration"
  |              ^^^^^^^^^^^
  |
  = help: relative paths begin at the folder of wharf.toml

error: `min_connections` (4) is above `max_connections` (3) of database `clinic`
  --> wharf.toml:10:19
   |
 9 | max_connections = 3
   |                   - the maximum
10 | min_connections = 4
   |                   ^
   |
   = help: raise `max_connections` or lower `min_connections`

error: plugin `patients` has overlapping routes
  --> wharf.toml:14:24
   |
14 | routes = ["/patients", "/patients"]
   |           -----------  ^^^^^^^^^^^
   |           |
   |           takes the same requests
   |
   = help: remove one, give them different paths, or give both a method

error: `fuel` must be an integer, not a string
  --> wharf.toml:15:19
   |
15 | limits = { fuel = "much", deadline = "15" }
   |                   ^^^^^^
   |
   = help: write a whole number

error: `15` is not a duration
  --> wharf.toml:15:38
   |
15 | limits = { fuel = "much", deadline = "15" }
   |                                      ^^^^
   |
   = help: write a number with a unit: "250ms", "5s", "2m", "1h"

error: `readwrite` is not a value of `access`
  --> wharf.toml:16:31
   |
16 | databases.clinic = { access = "readwrite", max_connections = 9 }
   |                               ^^^^^^^^^^^
   |
   = help: did you mean `read-write`? (allowed: `read-only`, `read-write`)

error: a grant of 9 connections is above the `max_connections` (3) of database `clinic`
  --> wharf.toml:16:62
   |
 9 | max_connections = 3
   |                   - the database's maximum
...
16 | databases.clinic = { access = "readwrite", max_connections = 9 }
   |                                                              ^
   |
   = help: lower it, or raise the database's

error: plugin `patients` is granted `billing`, but there is no such database
  --> wharf.toml:17:11
   |
17 | databases.billing = { access = "read-only" }
   |           ^^^^^^^
   |
   = help: known databases: `clinic`

wharf.toml: 11 errors
"#);
}

#[test]
fn no_file_makes_reading_panic() {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    let whole = "[server]\nlisten = \"127.0.0.1:0\"\n[databases.a]\nurl = \"postgres://ü:${SECRET}@h/a?user=x\"\nbounds = { cancel = \"1s\" }\n\
                 [plugins.p]\ncomponent = 'p.wasm'\nroutes = [\"GET /a/{x}\"]\ndatabases.a = { access = \"read-only\", max_rows = 0x10 }\n";
    let odd =
        ['"', '\'', '[', ']', '{', '}', '$', '=', '.', '\n', '\r', '\u{0}', 'ü', '🚢', '-', '@', '\\', ':', '#', '\u{feff}'];
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..2000 {
        let mut text: Vec<char> = whole.chars().collect();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..text.len());
            match random.random_range(0..3) {
                0 if text.len() > 2 => drop(text.remove(at)),
                1 => text.insert(at, odd[random.random_range(0..odd.len())]),
                _ => text.truncate(at.max(2)),
            }
        }
        let text: String = text.into_iter().collect();
        if let Err(diagnostics) = super::parse("/nowhere/wharf.toml".as_ref(), "wharf.toml", &text, &super::environment) {
            assert!(diagnostics.errors() > 0 && !diagnostics.render(true).contains("hunter2"), "{text}");
        }
    }
    let deep = format!("a = {}1{}", "[".repeat(50_000), "]".repeat(50_000));
    assert!(super::parse("wharf.toml".as_ref(), "wharf.toml", &deep, &super::environment).is_err());
}
