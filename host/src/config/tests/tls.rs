//! TLS in URLs of databases.

use std::fs;

use super::{PLUGIN, accepted, folder, refused};
use crate::config::parse;

#[test]
fn modes_that_are_unknown_or_protect_less_than_they_look_are_refused() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "postgres://app@host/a?sslmode=verify-fll"
[databases.b]
url = "postgres://app@host/a?sslmode=allow"
[databases.c]
url = "postgres://app@host/a?sslmode=require&sslmode=disable"
[databases.d]
url = "postgres://app@host/a?sslmode=require&sslrootcert=ca.pem"
[databases.e]
url = "postgres://app@host/a?sslmode=verify-ca"
[databases.f]
url = "postgres://app@host/a?sslmode=verify-full&sslcert=client.pem"
[databases.g]
url = "postgres://app@host/a?sslmode=disable&sslcert=client.pem&sslkey=client.key"
[databases.h]
url = "postgres://app@host/a?host=/run/postgresql&sslmode=require"
[databases.i]
url = "postgres://app@host/a#?sslmode=require"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `url` asks for an unknown `sslmode`
 --> wharf.toml:3:7
  |
3 | url = "postgres://***@host/a?sslmode=verify-fll"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: did you mean `verify-full`? (allowed: `disable`, `prefer`, `require`, `verify-ca`, `verify-full`)

error: `url` asks for an unknown `sslmode`
 --> wharf.toml:5:7
  |
5 | url = "postgres://***@host/a?sslmode=allow"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: `allow` would begin without TLS and stay so; allowed: `disable`, `prefer`, `require`, `verify-ca`, `verify-full`

error: `url` has `sslmode` twice
 --> wharf.toml:7:7
  |
7 | url = "postgres://***@host/a?sslmode=require&sslmode=disable"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: keep one of them

error: `url` names a `sslrootcert`, which `sslmode=require` never looks at
 --> wharf.toml:9:7
  |
9 | url = "postgres://***@host/a?sslmode=require&sslrootcert=ca.pem"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write `sslmode=verify-full`, which checks the server's certificate and its name

error: `url` asks for `sslmode=verify-ca` without `sslrootcert`: any server with a public certificate would pass
  --> wharf.toml:11:7
   |
11 | url = "postgres://***@host/a?sslmode=verify-ca"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write `sslmode=verify-full`, which checks the name too, or name your authority's file as `sslrootcert`

error: `url` has `sslcert` but no `sslkey`
  --> wharf.toml:13:7
   |
13 | url = "postgres://***@host/a?sslmode=verify-full&sslcert=client.pem"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: a client certificate needs both files

error: `url` names a client certificate, but `sslmode=disable` has no use for one
  --> wharf.toml:15:7
   |
15 | url = "postgres://***@host/a?sslmode=disable&sslcert=client.pem&sslkey=client.key"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: remove one of them

error: `url` asks for TLS over a Unix socket, where there is none
  --> wharf.toml:17:7
   |
17 | url = "postgres://***@host/a?host=/run/postgresql&sslmode=require"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: leave `sslmode` out, or name the server's host

error: `url` holds a `#`
  --> wharf.toml:19:7
   |
19 | url = "postgres://***@host/a#?sslmode=require"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write `postgres://user:password@host:5432/database`; special characters in it are percent-encoded (`@` as `%40`)

wharf.toml: 9 errors
"#);
}

#[test]
fn files_that_cannot_be_used_are_told_with_their_place() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[databases.a]
url = "postgres://app@host/a?sslmode=verify-full&sslrootcert=missing.pem"
control_url = "postgres://app@host/a?sslmode=verify-full&sslrootcert=system"
[databases.b]
url = "postgres://app@host/a?sslmode=verify-full&sslrootcert=empty"
[databases.c]
url = "postgres://app@host/a?sslmode=verify-full&sslrootcert=url.txt"
[databases.d]
url = "postgres://app@host/a?sslmode=verify-full&sslrootcert="
[databases.e]
url = "postgres://app@host/a?sslmode=verify-full&sslrootcert=%zz"
[databases.f]
url = "postgres://app@host/a?sslcert=ca.pem&sslkey=ca.pem"
[databases.g]
url = "postgres://app@host/a?sslcert=ca.pem&sslkey=locked.key"
[databases.h]
url = "postgres://app@host/a?sslmode=verify-full&sslrootcert=/dev/null"
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `url` names a file as `sslrootcert` that does not exist
 --> wharf.toml:3:7
  |
3 | url = "postgres://***@host/a?sslmode=verify-full&sslrootcert=missing.pem"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: relative paths begin at the folder of wharf.toml

error: `control_url` names a file as `sslrootcert` that does not exist
 --> wharf.toml:4:15
  |
4 | control_url = "postgres://***@host/a?sslmode=verify-full&sslrootcert=system"
  |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: the authorities that this machine trusts are trusted without it: leave it out

error: `url` names a file as `sslrootcert` that cannot be read
 --> wharf.toml:6:7
  |
6 | url = "postgres://***@host/a?sslmode=verify-full&sslrootcert=empty"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: it must be a file that the host may read

error: `url` names a file as `sslrootcert` that holds no certificate
 --> wharf.toml:8:7
  |
8 | url = "postgres://***@host/a?sslmode=verify-full&sslrootcert=url.txt"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: files are in PEM form

error: `url` has a `sslrootcert` that is not a path
  --> wharf.toml:10:7
   |
10 | url = "postgres://***@host/a?sslmode=verify-full&sslrootcert="
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: relative paths begin at the folder of wharf.toml

error: `url` has a `sslrootcert` that is not percent-encoded
  --> wharf.toml:12:7
   |
12 | url = "postgres://***@host/a?sslmode=verify-full&sslrootcert=%zz"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write `%25` for a percent sign

error: `url` names a file as `sslkey` that holds no private key
  --> wharf.toml:14:7
   |
14 | url = "postgres://***@host/a?sslcert=ca.pem&sslkey=ca.pem"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: files are in PEM form

error: `url` names a file as `sslkey` that needs a passphrase
  --> wharf.toml:16:7
   |
16 | url = "postgres://***@host/a?sslcert=ca.pem&sslkey=locked.key"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: store the key without one, readable by nobody else

error: `url` names a file as `sslrootcert` that cannot be read
  --> wharf.toml:18:7
   |
18 | url = "postgres://***@host/a?sslmode=verify-full&sslrootcert=/dev/null"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: it must be a file that the host may read

wharf.toml: 9 errors
"#);
}

#[test]
fn files_are_found_from_the_folder_of_wharf_toml_and_the_mode_is_spelt_out() {
    let text = &format!("[databases.a]\nurl = \"postgres://app@host/a?ssl-mode=verify-full&ssl-ca=ca.pem&port=1\"\n{PLUGIN}");
    let (folder, config) = accepted(text);
    let root = folder.path().join("ca.pem");
    let expected = format!("postgres://app@host/a?port=1&sslmode=verify-full&sslrootcert={}", root.display());
    assert_eq!(config.databases[0].url.expose(), expected);
    let (_, config) = accepted(&format!("[databases.a]\nurl = \"postgresql://app@host/a\"\n{PLUGIN}"));
    assert_eq!(config.databases[0].url.expose(), "postgres://app@host/a?sslmode=prefer");
}

#[test]
fn a_path_may_hold_any_character() {
    let folder = folder();
    let name = "a b+ü%&=#.pem";
    fs::write(folder.path().join(name), "-----BEGIN CERTIFICATE-----").unwrap();
    let url = "postgres://app@host/a?sslmode=verify-full&sslrootcert=a%20b+%C3%BC%25%26%3D%23.pem";
    let text = format!("[databases.a]\nurl = \"{url}\"\n{PLUGIN}");
    let (config, _) =
        parse(&folder.path().join("wharf.toml"), "wharf.toml", &text, &|_| None).unwrap_or_else(|told| panic!("{told}"));
    let url = config.databases[0].url.expose();
    assert!(url.ends_with("/a%20b%2B%C3%BC%25%26%3D%23.pem"), "{url}");
}
