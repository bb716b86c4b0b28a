//! `wharf check` on components that cannot be run: each is named with its place in the file and what to do.

use std::time::Duration;

use serde_json::Value as Json;
use support::host::{self, Setup};

use crate::tree;

const PATIENCE: Duration = Duration::from_secs(60);

/// What `wharf check` says of a folder with one plugin made of these bytes, without the path of the folder.
async fn check(component: &[u8], settings: &str) -> (Option<i32>, String) {
    let setup = Setup::empty();
    std::fs::write(setup.folder().join("plugin.wasm"), component).unwrap();
    let folder = setup.toml(&format!("[plugins.tried]\ncomponent = \"plugin.wasm\"\nroutes = [\"/\"]\n{settings}")).write();
    let mut command = host::command();
    command.arg("check").arg(folder.path());
    let ended = host::end(command, PATIENCE).await;
    let said = ended.stderr + &ended.stdout;
    (ended.code, said.replace(&folder.path().display().to_string(), "FOLDER"))
}

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn a_text_file_is_no_component() {
    let (code, said) = check(b"hello", "").await;
    assert_eq!(code, Some(2));
    insta::assert_snapshot!(said, @r#"
error: component `FOLDER/plugin.wasm` of plugin `tried`: not WebAssembly: the file does not begin with the four bytes of a wasm file
 --> FOLDER/wharf.toml:2:13
  |
2 | component = "plugin.wasm"
  |             ^^^^^^^^^^^^^
  |
  = help: give the path of a component; `wharf build` makes one from a `source`

FOLDER/wharf.toml: 1 error
"#);
}

#[tokio::test]
async fn a_core_module_is_no_component() {
    let (code, said) = check(&component("(module)"), "").await;
    assert_eq!(code, Some(2));
    insta::assert_snapshot!(said, @r#"
error: component `FOLDER/plugin.wasm` of plugin `tried`: a core module, not a component; build it for the target wasm32-wasip2
 --> FOLDER/wharf.toml:2:13
  |
2 | component = "plugin.wasm"
  |             ^^^^^^^^^^^^^
  |
  = help: in Rust: `cargo build --target wasm32-wasip2`

FOLDER/wharf.toml: 1 error
"#);
}

#[tokio::test]
async fn a_component_without_a_handler_says_what_it_exports() {
    let (code, said) = check(&component("(component (instance $i) (export \"a:b/c@1.0.0\" (instance $i)))"), "").await;
    assert_eq!(code, Some(2));
    insta::assert_snapshot!(said, @r#"
error: component `FOLDER/plugin.wasm` of plugin `tried`: exports no wasi:http handler; a plugin exports wasi:http/incoming-handler@0.2 or wasi:http/handler@0.3, this one exports a:b/c@1.0.0
 --> FOLDER/wharf.toml:2:13
  |
2 | component = "plugin.wasm"
  |             ^^^^^^^^^^^^^
  |
  = help: target the world `handler` or `handler-async` of wit/worlds

FOLDER/wharf.toml: 1 error
"#);
}

#[tokio::test]
async fn imports_that_nothing_grants_are_told_by_name() {
    let text = r#"(component
        (import "wasi:sockets/tcp@0.2.0" (instance))
        (import "wharf:sql/database@0.2.0" (instance))
        (import "acme:queue/send@1.0.0" (instance)))"#;
    let (code, said) = check(&component(text), "").await;
    assert_eq!(code, Some(2));
    insta::assert_snapshot!(said, @r#"
error: component `FOLDER/plugin.wasm` of plugin `tried`: exports no wasi:http handler; a plugin exports wasi:http/incoming-handler@0.2 or wasi:http/handler@0.3, this one exports nothing
 --> FOLDER/wharf.toml:2:13
  |
2 | component = "plugin.wasm"
  |             ^^^^^^^^^^^^^
  |
  = help: target the world `handler` or `handler-async` of wit/worlds

error: component `FOLDER/plugin.wasm` of plugin `tried`: imports wasi:sockets/tcp@0.2.0, which this host does not offer; imports wharf:sql/database@0.2.0: this host serves 0.1; imports acme:queue/send@1.0.0, which this host does not offer
 --> FOLDER/wharf.toml:2:13
  |
2 | component = "plugin.wasm"
  |             ^^^^^^^^^^^^^
  |
  = help: leave these imports out; the README says what a handler may import

FOLDER/wharf.toml: 2 errors
"#);
}

#[tokio::test]
async fn an_import_of_documents_is_looked_at_as_one_of_sql_is() {
    let with = |version: &str| {
        let text = format!(
            r#"(component (import "wharf:documents-async/database@{version}" (instance)) (instance $i) (export "a:b/c@1.0.0" (instance $i)))"#
        );
        component(&text)
    };
    let (_, said) = check(&with("0.1.0"), "").await;
    assert!(
        said.contains("plugin `tried` imports wharf:documents-async/database@0.1.0, and no database is granted to it"),
        "{said}"
    );
    let (_, said) = check(&with("0.2.0"), "").await;
    assert!(said.contains("imports wharf:documents-async/database@0.2.0: this host serves 0.1"), "{said}");
}

#[tokio::test]
async fn an_import_of_databases_without_a_grant_is_told() {
    let probe = std::fs::read(support::guests::component("probe")).unwrap();
    let (code, said) = check(&probe, "").await;
    assert_eq!(code, Some(2));
    insta::assert_snapshot!(said, @r#"
error: plugin `tried` imports wharf:sql/database@0.1.0, and no database is granted to it
 --> FOLDER/wharf.toml:1:10
  |
1 | [plugins.tried]
  |          ^^^^^
  |
  = help: add `databases.NAME = { access = "read-only" }`, or "read-write"

FOLDER/wharf.toml: 1 error
"#);
}

/// What is said of a guest that is granted these databases; `sql` and `more` are SQLite's, `documents` is MongoDB's, and none is talked to.
async fn check_granted(guest: &str, granted: &str) -> (Option<i32>, String) {
    let grant = |name: &str| format!("databases.{name} = {{ access = \"read-write\" }}\n");
    let grants: String = granted.split(' ').map(grant).collect();
    let databases = "[databases.sql]\nurl = \"sqlite://sql.db\"\n[databases.more]\nurl = \"sqlite://more.db\"\n\
                     [databases.documents]\nurl = \"mongodb://db.example/app\"\n";
    let component = std::fs::read(support::guests::component(guest)).unwrap();
    check(&component, &format!("{grants}{databases}")).await
}

#[tokio::test]
async fn grants_of_the_other_kind_of_database_alone_are_told_with_what_to_do() {
    for (guest, import, granted, missing, instead, hint) in [
        (
            "probe",
            "wharf:sql/database@0.1.0",
            "documents",
            "SQL",
            "MongoDB",
            "grant it a PostgreSQL, MariaDB, MySQL or SQLite database; a MongoDB database is reached through `wharf:documents`",
        ),
        (
            "documents_probe",
            "wharf:documents/database@0.1.0",
            "sql more",
            "MongoDB",
            "SQL",
            "grant it a MongoDB database; every other database is reached through `wharf:sql`",
        ),
        (
            "documents_probe_async",
            "wharf:documents-async/database@0.1.0",
            "sql",
            "MongoDB",
            "SQL",
            "grant it a MongoDB database; every other database is reached through `wharf:sql`",
        ),
    ] {
        let (code, said) = check_granted(guest, granted).await;
        assert_eq!(code, Some(2), "{said}");
        let message = format!("error: plugin `tried` imports {import}, and no {missing} database is granted to it\n");
        assert!(said.contains(&message), "{guest}: {said}");
        assert!(said.contains("FOLDER/wharf.toml:1:10"), "{guest}: {said}");
        assert!(said.contains(&format!("= help: {hint}\n")), "{guest}: {said}");
        // Each grant is shown with what it is.
        let label = format!("granted: one {instead} database");
        assert_eq!(said.matches(&label).count(), granted.split(' ').count(), "{guest}: {said}");
    }
}

#[tokio::test]
async fn a_plugin_that_reaches_a_database_may_do_without_the_other_kind() {
    for (granted, import, missing) in
        [("sql", "wharf:documents/database@0.1.0", "MongoDB"), ("documents", "wharf:sql/database@0.1.0", "SQL")]
    {
        let (code, said) = check_granted("two_worlds", granted).await;
        assert_eq!(code, Some(0), "{said}");
        let message = format!("warning: plugin `tried` imports {import}, and no {missing} database is granted to it\n");
        assert!(said.contains(&message), "{said}");
        assert!(said.contains("= help: grant it one, unless it never opens any\n"), "{said}");
        assert!(said.contains("no errors (1 plugin, 3 databases)"), "{said}");
    }
}

#[tokio::test]
async fn grants_of_what_a_plugin_imports_are_nothing_to_tell_whatever_else_is_granted() {
    for (guest, granted) in [
        ("probe", "sql"),
        ("probe", "sql documents"),
        ("documents_probe", "documents"),
        ("two_worlds", "sql documents"),
        // It opens none.
        ("silent", "sql"),
    ] {
        let (code, said) = check_granted(guest, granted).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(!said.contains("is granted to it"), "{guest}: {said}");
    }
}

#[tokio::test]
async fn a_grant_of_a_database_that_cannot_be_read_is_told_once() {
    let component = std::fs::read(support::guests::component("documents_probe")).unwrap();
    let settings = "databases.main = { access = \"read-write\" }\n[databases.main]\nurl = \"mongodb://db.example\"";
    let (code, said) = check(&component, settings).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("names no database") && !said.contains("is granted to it"), "{said}");
}

#[tokio::test]
async fn what_is_wrong_with_the_file_and_with_the_command_line_is_told_with_exit_code_2() {
    for (line, part) in [(&["check", "no/such/folder"][..], "no/such/folder"), (&["up", "--log", "wharf=loud"][..], "--log")] {
        let mut command = host::command();
        command.args(line);
        let ended = host::end(command, PATIENCE).await;
        assert!(ended.code == Some(2) && ended.stderr.contains(part), "{ended:?}");
    }
}

#[tokio::test]
async fn a_wrong_setting_does_not_hide_a_wrong_component() {
    let (code, said) = check(b"plain text", "limits = { deadline = \"soon\" }").await;
    assert_eq!(code, Some(2));
    assert!(said.contains("`soon` is not a duration") && said.contains("not WebAssembly") && said.contains("2 errors"), "{said}");
}

#[tokio::test]
async fn the_reference_of_settings_is_printed_as_it_is_kept() {
    let print = async |subcommand: &str| {
        let mut command = host::command();
        command.arg(subcommand);
        let ended = host::end(command, PATIENCE).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    };
    assert_eq!(print("settings").await, tree::read("host/reference/settings.md"));
    let json = |text: String| serde_json::from_str::<Json>(&text).unwrap();
    assert_eq!(json(print("schema").await), json(tree::read("host/reference/wharf.schema.json")));
}
