//! `server.admin`, `[admin]` and `databases.NAME.required`.

use std::{fs, time::Duration};

use super::{PLUGIN, accepted, refused};

const TOKEN: &str = "0123456789abcdef";

#[test]
fn what_is_left_out_has_the_documented_default() {
    let (folder, config) = accepted(&format!("[databases.a]\nurl = \"sqlite://a.db\"\n{PLUGIN}"));
    assert_eq!(config.server.admin.unwrap().to_string(), "127.0.0.1:3001");
    assert_eq!(config.admin.socket, Some(folder.path().join(".wharf/run/admin.sock")));
    assert!(config.admin.token.is_none() && config.admin.hosts.is_empty() && config.admin.open_views);
    assert_eq!((config.admin.unready_after, config.admin.max_viewers), (Duration::from_secs(2), 16));
    assert!(config.databases[0].required);
}

#[test]
fn everything_can_be_said() {
    let (folder, config) = accepted(&format!(
        "[server]\nadmin = \"0.0.0.0:0\"\n[admin]\ntoken = \"{TOKEN}\"\nsocket = \"run/s\"\nhosts = [\"Wharf.internal\", \"a_b-1\"]\n\
         open_views = false\nmax_viewers = 32\nunready_after = \"0s\"\n[databases.a]\nurl = \"sqlite://a.db\"\nrequired = false\n{PLUGIN}"
    ));
    assert_eq!(config.server.admin.unwrap().to_string(), "0.0.0.0:0");
    assert_eq!(config.admin.token.as_ref().unwrap().expose(), TOKEN);
    assert_eq!(config.admin.socket, Some(folder.path().join("run/s")));
    assert_eq!(config.admin.hosts, ["wharf.internal", "a_b-1"]);
    assert!(!config.admin.open_views && !config.databases[0].required);
    assert_eq!((config.admin.unready_after, config.admin.max_viewers), (Duration::ZERO, 32));
    assert!(!format!("{config:?}").contains(TOKEN));
}

#[test]
fn either_listener_can_be_off() {
    let (_folder, config) = accepted(&format!("[server]\nadmin = \"off\"\n[admin]\nsocket = \"off\"\n{PLUGIN}"));
    assert_eq!((config.server.admin, config.admin.socket), (None, None));
}

#[test]
fn loopback_needs_no_token_and_any_other_address_does() {
    for address in ["127.0.0.1:0", "127.8.8.8:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
        accepted(&format!("[server]\nadmin = \"{address}\"\n{PLUGIN}"));
    }
    for address in ["0.0.0.0:0", "[::]:0", "10.0.0.1:0", "[fe80::1]:0", "[::ffff:10.0.0.1]:0"] {
        let said = refused(&format!("[server]\nadmin = \"{address}\"\n{PLUGIN}"));
        assert!(said.contains("`server.admin` can be reached from elsewhere, and there is no `admin.token`"), "{said}");
        accepted(&format!("[server]\nadmin = \"{address}\"\n[admin]\ntoken = \"{TOKEN}\"\n{PLUGIN}"));
    }
}

#[test]
fn a_token_comes_from_a_file_too() {
    let (folder, _) = accepted(PLUGIN);
    let file = folder.path().join("token.txt");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let (_folder, config) = accepted(&format!("[server]\nadmin = \"0.0.0.0:0\"\n[admin]\ntoken_file = {file:?}\n{PLUGIN}"));
    assert_eq!(config.admin.token.unwrap().expose(), TOKEN);
}

#[test]
fn a_token_is_long_enough_and_fits_a_header() {
    for (token, problem) in [
        (&TOKEN[1..], "is not 16 to 512 bytes long"),
        (&*"x".repeat(513), "is not 16 to 512 bytes long"),
        ("0123456789 abcdef", "has a character that no header carries"),
        ("0123456789äabcdef", "has a character that no header carries"),
    ] {
        let said = refused(&format!("[admin]\ntoken = \"{token}\"\n{PLUGIN}"));
        assert!(said.contains(&format!("the token of `token` {problem}")) && !said.contains(token), "{said}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let text = &format!(
        "{}{PLUGIN}",
        r##"
[server]
admin = "localhost:3001"
[admin]
socket = 1
hosts = ["https://wharf.internal", 1]
open_view = true
"##
    );
    insta::assert_snapshot!(refused(text), @r#"
error: `localhost:3001` is not an address with a port
 --> wharf.toml:3:9
  |
3 | admin = "localhost:3001"
  |         ^^^^^^^^^^^^^^^^
  |
  = help: names are not looked up; write "127.0.0.1:3001" or "[::1]:3001"

error: `socket` must be a path or "off", not an integer
 --> wharf.toml:5:10
  |
5 | socket = 1
  |          ^
  |
  = help: write it in quotes

error: `https://wharf.internal` is not the name of a host
 --> wharf.toml:6:10
  |
6 | hosts = ["https://wharf.internal", 1]
  |          ^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write it without scheme and port, such as "wharf.internal"

error: `hosts` must be an array of names, not an integer
 --> wharf.toml:6:36
  |
6 | hosts = ["https://wharf.internal", 1]
  |                                    ^
  |
  = help: write it in quotes

error: unknown key `open_view`
 --> wharf.toml:7:1
  |
7 | open_view = true
  | ^^^^^^^^^
  |
  = help: did you mean `open_views`?

wharf.toml: 5 errors
"#);
}

#[test]
fn there_are_not_too_many_hosts() {
    let names = |count: usize| format!("[admin]\nhosts = [{}]\n{PLUGIN}", vec!["\"a\""; count].join(", "));
    accepted(&names(16));
    assert!(refused(&names(17)).contains("`hosts` has 17 names"));
}

#[test]
fn the_path_of_a_socket_is_as_long_as_unix_allows() {
    let path = |length: usize| format!("[admin]\nsocket = \"/{}\"\n{PLUGIN}", "x".repeat(length - 1));
    accepted(&path(107));
    assert!(refused(&path(108)).contains("the path of `admin.socket` is longer than 107 bytes"));
}
