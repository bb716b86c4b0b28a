//! `[server]`, `[engine]` and the top level.

use super::{PLUGIN, refused};

#[test]
fn unknown_keys_come_with_the_nearest_known_one() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
max_conections = 5
colour = "red"
[server]
max-headers = 7
[engine]
cahe = 3
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: unknown key `max_conections`
 --> wharf.toml:2:1
  |
2 | max_conections = 5
  | ^^^^^^^^^^^^^^
  |
  = help: did you mean `max_connections`?

error: unknown key `colour`
 --> wharf.toml:3:1
  |
3 | colour = "red"
  | ^^^^^^
  |
  = help: known keys: `max_connections`, `server`, `admin`, `engine`, `log`, `databases`, `plugins`

error: unknown key `max-headers`
 --> wharf.toml:5:1
  |
5 | max-headers = 7
  | ^^^^^^^^^^^
  |
  = help: did you mean `max_headers`?

error: unknown key `cahe`
 --> wharf.toml:7:1
  |
7 | cahe = 3
  | ^^^^
  |
  = help: did you mean `cache`?

wharf.toml: 4 errors
"#);
}

#[test]
fn wrong_types_are_named() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
max_connections = "50"
[server]
listen = 3000
header_timeout = 10
max_body = 1024
max_headers = 1.5
max_queue = [1]
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `max_connections` must be an integer, not a string
 --> wharf.toml:2:19
  |
2 | max_connections = "50"
  |                   ^^^^
  |
  = help: write it without quotes: `max_connections = 50`

error: `listen` must be an address with a port, such as "127.0.0.1:3000", not an integer
 --> wharf.toml:4:10
  |
4 | listen = 3000
  |          ^^^^
  |
  = help: write it in quotes

error: `header_timeout` must be a duration, such as "5s", not an integer
 --> wharf.toml:5:18
  |
5 | header_timeout = 10
  |                  ^^
  |
  = help: write it with a unit, in quotes: `header_timeout = "10s"`

error: `max_body` must be a size, such as "64MiB", not an integer
 --> wharf.toml:6:12
  |
6 | max_body = 1024
  |            ^^^^
  |
  = help: write it with a unit, in quotes: `max_body = "1024B"`

error: `max_headers` must be an integer, not a float
 --> wharf.toml:7:15
  |
7 | max_headers = 1.5
  |               ^^^
  |
  = help: write a whole number

error: `max_queue` must be an integer, not an array
 --> wharf.toml:8:13
  |
8 | max_queue = [1]
  |             ^^^
  |
  = help: write a whole number

wharf.toml: 6 errors
"#);
}

#[test]
fn durations_and_sizes_need_a_unit() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[server]
header_timeout = "10"
idle_timeout = "soon"
max_body = "10"
max_header_bytes = "64MeB"
queue_timeout = "${SECRET}"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `10` is not a duration
 --> wharf.toml:3:18
  |
3 | header_timeout = "10"
  |                  ^^^^
  |
  = help: write a number with a unit: "250ms", "5s", "2m", "1h"

error: `soon` is not a duration
 --> wharf.toml:4:16
  |
4 | idle_timeout = "soon"
  |                ^^^^^^
  |
  = help: write a number with a unit: "250ms", "5s", "2m", "1h"

error: `10` is not a size
 --> wharf.toml:5:12
  |
5 | max_body = "10"
  |            ^^^^
  |
  = help: write a number with a unit: "512B", "64KiB", "10MiB", "1GiB"

error: `64MeB` is not a size
 --> wharf.toml:6:20
  |
6 | max_header_bytes = "64MeB"
  |                    ^^^^^^^
  |
  = help: write a number with a unit: "512B", "64KiB", "10MiB", "1GiB"

error: the value from the environment is not a duration
 --> wharf.toml:7:17
  |
7 | queue_timeout = "${SECRET}"
  |                 ^^^^^^^^^^^
  |
  = help: write a number with a unit: "250ms", "5s", "2m", "1h"

wharf.toml: 5 errors
"#);
}

#[test]
fn numbers_outside_their_bounds_are_refused() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
max_connections = 0
[server]
max_connections = -1
max_headers = 99999999999999999999
max_header_bytes = "4KiB"
header_timeout = "0s"
idle_timeout = "2days"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `max_connections` is out of range
 --> wharf.toml:2:19
  |
2 | max_connections = 0
  |                   ^
  |
  = help: allowed: 1 to 100000

error: `max_connections` is out of range
 --> wharf.toml:4:19
  |
4 | max_connections = -1
  |                   ^^
  |
  = help: allowed: 1 to 100000

error: `max_headers` is out of range
 --> wharf.toml:5:15
  |
5 | max_headers = 99999999999999999999
  |               ^^^^^^^^^^^^^^^^^^^^
  |
  = help: allowed: 1 to 10000

error: `max_header_bytes` is out of range
 --> wharf.toml:6:20
  |
6 | max_header_bytes = "4KiB"
  |                    ^^^^^^
  |
  = help: allowed: 8KiB to 16MiB

error: `header_timeout` is out of range
 --> wharf.toml:7:18
  |
7 | header_timeout = "0s"
  |                  ^^^^
  |
  = help: allowed: 1ms to 1h

error: `idle_timeout` is out of range
 --> wharf.toml:8:16
  |
8 | idle_timeout = "2days"
  |                ^^^^^^^
  |
  = help: allowed: 1ms to 1day

wharf.toml: 6 errors
"#);
}

#[test]
fn listen_is_an_address() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[server]
listen = "localhost:3000"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `localhost:3000` is not an address with a port
 --> wharf.toml:3:10
  |
3 | listen = "localhost:3000"
  |          ^^^^^^^^^^^^^^^^
  |
  = help: names are not looked up; write "127.0.0.1:3000" or "[::1]:3000"

wharf.toml: 1 error
"#);
}

#[test]
fn listen_needs_a_port() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[server]
listen = "127.0.0.1"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `127.0.0.1` is not an address with a port
 --> wharf.toml:3:10
  |
3 | listen = "127.0.0.1"
  |          ^^^^^^^^^^^
  |
  = help: write "127.0.0.1:3000", or "0.0.0.0:3000" for every interface; port 0 takes a free one

wharf.toml: 1 error
"#);
}

#[test]
fn a_section_that_is_no_table() {
    let text = r##"
server = 1
databases = "sqlite://clinic.db"
[plugins]
p = "p.wasm"
[plugins.q]
component = "q.wasm"
routes = ["/"]
databases.clinic = { access = "read-write" }
"##;
    insta::assert_snapshot!(refused(text), @r#"
error: `server` must be a table, not an integer
 --> wharf.toml:2:10
  |
2 | server = 1
  |          ^
  |
  = help: write `server = { key = value }`, or its keys below a header in brackets

error: `databases` must be a table, not a string
 --> wharf.toml:3:13
  |
3 | databases = "sqlite://clinic.db"
  |             ^^^^^^^^^^^^^^^^^^^^
  |
  = help: write `databases = { key = value }`, or its keys below a header in brackets

error: `p` must be a table, not a string
 --> wharf.toml:5:5
  |
5 | p = "p.wasm"
  |     ^^^^^^^^
  |
  = help: write `p = { key = value }`, or its keys below a header in brackets

wharf.toml: 3 errors
"#);
}

#[test]
fn a_file_without_plugins() {
    let text = r##"
[server]
"##;
    insta::assert_snapshot!(refused(text), @r#"
error: there is no plugin, so nothing to run
 |
 = help: add a table `[plugins.NAME]` with `component = "NAME.wasm"` and `routes = ["/path"]`

wharf.toml: 1 error
"#);
}
