//! `[plugins.NAME]`, its routes and grants.

use super::{accepted, read, refused};

#[test]
fn a_plugin_needs_a_component_and_routes() {
    let text = r##"
[plugins.p]
"##;
    insta::assert_snapshot!(refused(text), @r#"
error: plugin `p` has neither `component` nor `source`
 --> wharf.toml:2:10
  |
2 | [plugins.p]
  |          ^
  |
  = help: add `component = "NAME.wasm"`, or `source` with the folder of a crate for `wharf build`

error: plugin `p` has no `routes`
 --> wharf.toml:2:10
  |
2 | [plugins.p]
  |          ^
  |
  = help: add `routes = ["/patients", "GET /patients/{id}", "/files/{*rest}"]`

wharf.toml: 2 errors
"#);
}

#[test]
fn source_is_the_folder_of_a_crate() {
    let text = r##"
[plugins.p]
source = "empty"
routes = ["/p"]
[plugins.q]
source = "nowhere"
routes = ["/q"]
"##;
    insta::assert_snapshot!(refused(text), @r#"
error: `empty` has no Cargo.toml
 --> wharf.toml:3:10
  |
3 | source = "empty"
  |          ^^^^^^^
  |
  = help: `source` is the folder of a Rust crate

error: `nowhere` does not exist
 --> wharf.toml:6:10
  |
6 | source = "nowhere"
  |          ^^^^^^^^^
  |
  = help: relative paths begin at the folder of wharf.toml

wharf.toml: 2 errors
"#);
}

#[test]
fn routes_that_are_none() {
    let text = r##"
[plugins.p]
component = "p.wasm"
routes = ["patients", "GTE /a", "get /b", "/a b", "/{*rest}/x", "/{", "/{a}{b}", "/x?y", 5, "FLY /c"]
[plugins.q]
component = "q.wasm"
routes = "/q"
[plugins.r]
component = "r.wasm"
routes = []
"##;
    insta::assert_snapshot!(refused(text), @r#"
error: `patients` is not a route: the path does not begin with `/`
 --> wharf.toml:4:11
  |
4 | routes = ["patients", "GTE /a", "get /b", "/a b", "/{*rest}/x", "/{", "/{a}{b}", "/x?y", 5, "FLY /c"]
  |           ^^^^^^^^^^
  |
  = help: write `/path`, `/path/{parameter}` or `/path/{*rest}`, with a method before it if you like

error: the route begins with an unknown method
 --> wharf.toml:4:23
  |
4 | routes = ["patients", "GTE /a", "get /b", "/a b", "/{*rest}/x", "/{", "/{a}{b}", "/x?y", 5, "FLY /c"]
  |                       ^^^^^^^^
  |
  = help: did you mean `GET`?

error: the route begins with an unknown method
 --> wharf.toml:4:33
  |
4 | routes = ["patients", "GTE /a", "get /b", "/a b", "/{*rest}/x", "/{", "/{a}{b}", "/x?y", 5, "FLY /c"]
  |                                 ^^^^^^^^
  |
  = help: methods are upper case: `GET`

error: `/a b` is not a route: a path has no spaces, `?` or `#`
 --> wharf.toml:4:43
  |
4 | routes = ["patients", "GTE /a", "get /b", "/a b", "/{*rest}/x", "/{", "/{a}{b}", "/x?y", 5, "FLY /c"]
  |                                           ^^^^^^
  |
  = help: write `/path`, `/path/{parameter}` or `/path/{*rest}`, with a method before it if you like

error: `/{*rest}/x` is not a route: `{*rest}` is not at the end
 --> wharf.toml:4:51
  |
4 | routes = ["patients", "GTE /a", "get /b", "/a b", "/{*rest}/x", "/{", "/{a}{b}", "/x?y", 5, "FLY /c"]
  |                                                   ^^^^^^^^^^^^
  |
  = help: write `/path`, `/path/{parameter}` or `/path/{*rest}`, with a method before it if you like

error: `/{` is not a route: a parameter needs a name and a closing brace
 --> wharf.toml:4:65
  |
4 | routes = ["patients", "GTE /a", "get /b", "/a b", "/{*rest}/x", "/{", "/{a}{b}", "/x?y", 5, "FLY /c"]
  |                                                                 ^^^^
  |
  = help: write `/path`, `/path/{parameter}` or `/path/{*rest}`, with a method before it if you like

error: `/{a}{b}` is not a route: there is more than one parameter between two slashes
 --> wharf.toml:4:71
  |
4 | routes = ["patients", "GTE /a", "get /b", "/a b", "/{*rest}/x", "/{", "/{a}{b}", "/x?y", 5, "FLY /c"]
  |                                                                       ^^^^^^^^^
  |
  = help: write `/path`, `/path/{parameter}` or `/path/{*rest}`, with a method before it if you like

error: `/x?y` is not a route: a path has no spaces, `?` or `#`
 --> wharf.toml:4:82
  |
4 | routes = ["patients", "GTE /a", "get /b", "/a b", "/{*rest}/x", "/{", "/{a}{b}", "/x?y", 5, "FLY /c"]
  |                                                                                  ^^^^^^
  |
  = help: write `/path`, `/path/{parameter}` or `/path/{*rest}`, with a method before it if you like

error: `routes` must be strings, such as "GET /patients/{id}", not an integer
 --> wharf.toml:4:90
  |
4 | routes = ["patients", "GTE /a", "get /b", "/a b", "/{*rest}/x", "/{", "/{a}{b}", "/x?y", 5, "FLY /c"]
  |                                                                                          ^
  |
  = help: write it in quotes

error: the route begins with an unknown method
 --> wharf.toml:4:93
  |
4 | routes = ["patients", "GTE /a", "get /b", "/a b", "/{*rest}/x", "/{", "/{a}{b}", "/x?y", 5, "FLY /c"]
  |                                                                                             ^^^^^^^^
  |
  = help: known methods: `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`, `OPTIONS`; without one the route takes all

error: `routes` must be an array of strings, not a string
 --> wharf.toml:7:10
  |
7 | routes = "/q"
  |          ^^^^
  |
  = help: write it in brackets: `routes = ["..."]`

error: plugin `r` has 0 routes
  --> wharf.toml:10:10
   |
10 | routes = []
   |          ^^
   |
   = help: allowed: 1 to 256, as in `routes = ["/patients", "GET /patients/{id}", "/files/{*rest}"]`

wharf.toml: 12 errors
"#);
}

#[test]
fn overlapping_routes_show_both_places() {
    let text = r##"
[plugins.patients]
component = "patients.wasm"
routes = ["/patients", "GET /patients/{id}", "/files/{*rest}"]
[plugins.other]
component = "other.wasm"
routes = ["POST /patients/{number}", "GET /patients/{number}", "GET /files/{*path}"]
[plugins.third]
component = "third.wasm"
routes = ["/third", "/third"]
"##;
    insta::assert_snapshot!(refused(text), @r#"
error: the route of plugin `other` overlaps one of plugin `patients`
 --> wharf.toml:7:38
  |
4 | routes = ["/patients", "GET /patients/{id}", "/files/{*rest}"]
  |                        -------------------- takes the same requests
...
7 | routes = ["POST /patients/{number}", "GET /patients/{number}", "GET /files/{*path}"]
  |                                      ^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: remove one, give them different paths, or give both a method

error: the route of plugin `other` overlaps one of plugin `patients`
 --> wharf.toml:7:64
  |
4 | routes = ["/patients", "GET /patients/{id}", "/files/{*rest}"]
  |                                              ---------------- takes the same requests
...
7 | routes = ["POST /patients/{number}", "GET /patients/{number}", "GET /files/{*path}"]
  |                                                                ^^^^^^^^^^^^^^^^^^^^
  |
  = help: remove one, give them different paths, or give both a method

error: plugin `third` has overlapping routes
  --> wharf.toml:10:21
   |
10 | routes = ["/third", "/third"]
   |           --------  ^^^^^^^^
   |           |
   |           takes the same requests
   |
   = help: remove one, give them different paths, or give both a method

wharf.toml: 3 errors
"#);
}

#[test]
fn limits_are_finite() {
    let text = r##"
[plugins.p]
component = "p.wasm"
routes = ["/p"]
[plugins.p.limits]
fuel = 0
deadline = "2h"
memory = "5GiB"
max_concurrency = 0
log_line_bytes = "1B"
log_lines = 5
"##;
    insta::assert_snapshot!(refused(text), @r#"
error: `fuel` is out of range
 --> wharf.toml:6:8
  |
6 | fuel = 0
  |        ^
  |
  = help: allowed: 1 to 18446744073709551615

error: `deadline` is out of range
 --> wharf.toml:7:12
  |
7 | deadline = "2h"
  |            ^^^^
  |
  = help: allowed: 1ms to 1h

error: `memory` is out of range
 --> wharf.toml:8:10
  |
8 | memory = "5GiB"
  |          ^^^^^^
  |
  = help: allowed: 64KiB to 4GiB

error: `max_concurrency` is out of range
 --> wharf.toml:9:19
  |
9 | max_concurrency = 0
  |                   ^
  |
  = help: allowed: 1 to 100000

error: `log_line_bytes` is out of range
  --> wharf.toml:10:18
   |
10 | log_line_bytes = "1B"
   |                  ^^^^
   |
   = help: allowed: 64B to 1MiB

error: unknown key `log_lines`
  --> wharf.toml:11:1
   |
11 | log_lines = 5
   | ^^^^^^^^^
   |
   = help: known keys: `fuel`, `deadline`, `memory`, `max_concurrency`, `log_line_bytes`, `log_lines_per_second`

wharf.toml: 6 errors
"#);
}

#[test]
fn grants_of_unknown_databases_are_told_together() {
    let text = r##"
[databases.clinic]
url = "sqlite://clinic.db"
[plugins.p]
component = "p.wasm"
routes = ["/p"]
databases.clinik = { access = "read-write" }
databases.billing = { access = "read-write" }
[plugins.q]
component = "q.wasm"
routes = ["/q"]
databases.clnic = { access = "read-write" }
"##;
    insta::assert_snapshot!(refused(text), @r#"
error: plugin `p` is granted `clinik`, but there is no such database
 --> wharf.toml:7:11
  |
7 | databases.clinik = { access = "read-write" }
  |           ^^^^^^
  |
  = help: did you mean `clinic`?

error: plugin `p` is granted `billing`, but there is no such database
 --> wharf.toml:8:11
  |
8 | databases.billing = { access = "read-write" }
  |           ^^^^^^^
  |
  = help: known databases: `clinic`

error: plugin `q` is granted `clnic`, but there is no such database
  --> wharf.toml:12:11
   |
12 | databases.clnic = { access = "read-write" }
   |           ^^^^^
   |
   = help: did you mean `clinic`?

wharf.toml: 3 errors
"#);
}

#[test]
fn a_grant_says_what_it_allows() {
    let text = r##"
[databases.clinic]
url = "sqlite://clinic.db"
[plugins.p]
component = "p.wasm"
routes = ["/p"]
databases.clinic = { max_connections = 2 }
[plugins.q]
component = "q.wasm"
routes = ["/q"]
databases.clinic = { access = "read-wriet" }
[plugins.r]
component = "r.wasm"
routes = ["/r"]
databases.clinic = { access = "everything" }
"##;
    insta::assert_snapshot!(refused(text), @r#"
error: the grant of `clinic` does not say what it allows
 --> wharf.toml:7:11
  |
7 | databases.clinic = { max_connections = 2 }
  |           ^^^^^^
  |
  = help: add `access = "read-only"` or `access = "read-write"`

error: `read-wriet` is not a value of `access`
  --> wharf.toml:11:31
   |
11 | databases.clinic = { access = "read-wriet" }
   |                               ^^^^^^^^^^^^
   |
   = help: did you mean `read-write`? (allowed: `read-only`, `read-write`)

error: `everything` is not a value of `access`
  --> wharf.toml:15:31
   |
15 | databases.clinic = { access = "everything" }
   |                               ^^^^^^^^^^^^
   |
   = help: allowed: `read-only`, `read-write`

wharf.toml: 3 errors
"#);
}

#[test]
fn a_grant_stays_within_its_database() {
    let text = r##"
[databases.clinic]
url = "sqlite://clinic.db"
max_connections = 4
[plugins.p]
component = "p.wasm"
routes = ["/p"]
databases.clinic = { access = "read-write", max_connections = 5, max_rows = 0, max_result_bytes = "2GiB", max_transaction_time = "0s" }
"##;
    insta::assert_snapshot!(refused(text), @r#"
error: a grant of 5 connections is above the `max_connections` (4) of database `clinic`
 --> wharf.toml:8:63
  |
4 | max_connections = 4
  |                   - the database's maximum
...
8 | databases.clinic = { access = "read-write", max_connections = 5, max_rows = 0, max_result_bytes = "2GiB", max_transaction_time = "0s" }
  |                                                               ^
  |
  = help: lower it, or raise the database's

error: `max_rows` is out of range
 --> wharf.toml:8:77
  |
8 | databases.clinic = { access = "read-write", max_connections = 5, max_rows = 0, max_result_bytes = "2GiB", max_transaction_time = "0s" }
  |                                                                             ^
  |
  = help: allowed: 1 to 100000000

error: `max_result_bytes` is out of range
 --> wharf.toml:8:99
  |
8 | databases.clinic = { access = "read-write", max_connections = 5, max_rows = 0, max_result_bytes = "2GiB", max_transaction_time = "0s" }
  |                                                                                                   ^^^^^^
  |
  = help: allowed: 1KiB to 1GiB

error: `max_transaction_time` is out of range
 --> wharf.toml:8:130
  |
8 | databases.clinic = { access = "read-write", max_connections = 5, max_rows = 0, max_result_bytes = "2GiB", max_transaction_time = "0s" }
  |                                                                                                                                  ^^^^
  |
  = help: allowed: 1ms to 1h

wharf.toml: 4 errors
"#);
}

#[test]
fn read_only_on_postgres_needs_a_role_of_its_own() {
    let text = r##"
[databases.clinic]
url = "${PG_URL}"
[plugins.p]
component = "p.wasm"
routes = ["/p"]
databases.clinic = { access = "read-only" }
[plugins.q]
component = "q.wasm"
routes = ["/q"]
databases.clinic = { access = "read-only", url = "postgres://app:other@db.example/clinic" }
[plugins.r]
component = "r.wasm"
routes = ["/r"]
databases.clinic = { access = "read-only", url = "sqlite://clinic.db" }
"##;
    insta::assert_snapshot!(refused(text), @r#"
error: the read-only grant of `clinic` needs a credential of its own on PostgreSQL
 --> wharf.toml:7:31
  |
7 | databases.clinic = { access = "read-only" }
  |                               ^^^^^^^^^^^
  |
  = help: give it a `url` with a role that may only read; a read-only transaction is no guard, since a handler can leave it

error: the read-only grant of `clinic` uses the same role as the database's `url`
  --> wharf.toml:11:31
   |
11 | databases.clinic = { access = "read-only", url = "postgres://*********@db.example/clinic" }
   |                               ^^^^^^^^^^^
   |
   = help: give it a `url` with a role that may only read; a read-only transaction is no guard, since a handler can leave it

error: `url` is of another engine (sqlite) than the database's `url` (postgres)
  --> wharf.toml:15:50
   |
15 | databases.clinic = { access = "read-only", url = "sqlite://clinic.db" }
   |                                                  ^^^^^^^^^^^^^^^^^^^^
   |
   = help: both must lead to the same database

wharf.toml: 3 errors
"#);
}

#[test]
fn two_crates_are_not_built_into_one_component() {
    let text = r##"
[plugins.p]
component = "p.wasm"
source = "crate"
routes = ["/p"]
[plugins.q]
component = "p.wasm"
routes = ["/q"]
"##;
    insta::assert_snapshot!(refused(text), @r#"
error: plugins `p` and `q` have one component but not one `source`
 --> wharf.toml:7:13
  |
3 | component = "p.wasm"
  |             -------- the same component
...
7 | component = "p.wasm"
  |             ^^^^^^^^
  |
  = help: give each a `component` of its own

wharf.toml: 1 error
"#);
}

#[test]
fn reserves_leave_something_for_every_grant() {
    let with = |reserved: &str, others: &str| {
        format!(
            r#"
[databases.clinic]
url = "${{PG_URL}}"
max_connections = 4
[plugins.p]
component = "p.wasm"
routes = ["/p"]
databases.clinic = {{ access = "read-write", {reserved} }}
[plugins.q]
component = "q.wasm"
routes = ["/q"]
databases.clinic = {{ access = "read-write", {others} }}
"#
        )
    };
    let (_folder, config) = read(&with("reserved_connections = 3", "reserved_connections = 1"));
    let reserved: Vec<u32> = config.unwrap().plugins.iter().map(|plugin| plugin.databases[0].reserved_connections).collect();
    assert_eq!(reserved, [3, 1]);
    let (_folder, config) = read(&with("reserved_connections = 3", "max_rows = 1"));
    assert_eq!(config.unwrap().plugins[1].databases[0].reserved_connections, 0);
    assert!(refused(&with("reserved_connections = 4", "max_rows = 1")).contains("leaves too few of its 4"));
    assert!(refused(&with("reserved_connections = 3", "reserved_connections = 2")).contains("5 connections"));
    let above = refused(&with("reserved_connections = 3, max_connections = 2", "max_rows = 1"));
    assert!(above.contains("above the grant's `max_connections` (2)"), "{above}");
}

#[test]
fn an_instance_serves_a_bounded_number_of_calls() {
    let text = r##"
[plugins.p]
component = "p.wasm"
routes = ["/p"]
instances = { reuse = 0 }
[plugins.q]
component = "q.wasm"
routes = ["/q"]
instances = { reuse = 10_001, idle = "1s" }
"##;
    insta::assert_snapshot!(refused(text), @r#"
error: `reuse` is out of range
 --> wharf.toml:5:23
  |
5 | instances = { reuse = 0 }
  |                       ^
  |
  = help: allowed: 1 to 10000

error: `reuse` is out of range
 --> wharf.toml:9:23
  |
9 | instances = { reuse = 10_001, idle = "1s" }
  |                       ^^^^^^
  |
  = help: allowed: 1 to 10000

error: unknown key `idle`
 --> wharf.toml:9:31
  |
9 | instances = { reuse = 10_001, idle = "1s" }
  |                               ^^^^
  |
  = help: known keys: `reuse`

wharf.toml: 3 errors
"#);
}

#[test]
fn a_probe_is_a_path_to_ask_for() {
    let with = |probe: &str| format!("[plugins.p]\ncomponent = \"p.wasm\"\nroutes = [\"/p\"]\nprobe = \"{probe}\"\n");
    for probe in ["/", "/health", "/patients?limit=1"] {
        let (_folder, config) = accepted(&with(probe));
        assert_eq!(config.plugins[0].probe.as_ref().map(ToString::to_string).as_deref(), Some(probe));
    }
    for probe in ["", "health", "*", "/a b", "/health#top", "http://localhost/health"] {
        let said = refused(&with(probe));
        assert!(said.contains(&format!("`{probe}` is no path to ask for")), "{said}");
    }
}
