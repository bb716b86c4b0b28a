//! Configurations that are right, and what becomes of them.

use std::{fs, time::Duration};

use super::{PLUGIN, accepted, environment, folder, read};
use crate::{
    config::{Connect, Diagnostics, FILE_NAME, check_components, load, notes},
    driver::{Engine, settings::Access},
    plugin::LogLevel,
    pool::settings::Settings,
};

#[test]
fn what_is_left_out_has_the_documented_default() {
    let (folder, config) = accepted(&format!("[databases.clinic]\nurl = \"sqlite://clinic.db\"\n{PLUGIN}"));
    assert_eq!(config.max_connections, 50);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.server.max_header_bytes, 64 * 1024);
    assert_eq!(config.engine.cache, folder.path().join(".wharf/cache"));
    let database = &config.databases[0];
    assert_eq!((database.engine, database.connect), (Engine::Sqlite, Connect::Eager));
    assert_eq!(database.file, Some(folder.path().join("clinic.db")));
    assert_eq!(database.url.expose(), format!("sqlite://{}/clinic.db", folder.path().display()));
    assert_eq!(database.settings, Settings::default());
    assert_eq!(database.driver, Default::default());
    let plugin = &config.plugins[0];
    assert_eq!(plugin.component, folder.path().join("p.wasm"));
    assert_eq!(plugin.limits.deadline, Duration::from_secs(15));
    assert_eq!((plugin.instances.reuse, plugin.log), (1, LogLevel::Info));
    assert!(plugin.databases.is_empty());
}

#[test]
fn the_example_of_the_design_is_read() {
    let (folder, config) = accepted(
        r#"
[server]
listen = "127.0.0.1:0"

[databases.clinic]
url = "${CLINIC_URL:-sqlite://clinic.db}"
migrations = "migrations"                   # migrations/{sqlite,postgres,mysql}
seed = "migrations"
max_connections = 4
statement_timeout = "3s"
bounds = { settle = "2s" }
busy_timeout = "1500ms"
statement_cache = { count = 7, text_size = "0B", max_age = "1m" }
connect = "lazy"

[plugins.patients]
source = "crate"
routes = ["/patients", "/patients/{*rest}", "GET /report/{*rest}"]
limits = { fuel = 1_000_000_000, deadline = "15s", memory = "64MiB" }
instances = { reuse = 10_000 }
databases.clinic = { access = "read-only", url = "${CLINIC_READER_URL:-sqlite://./clinic.db}" }
"#,
    );
    let database = &config.databases[0];
    assert_eq!(database.migrations_folder(), Some(folder.path().join("migrations/sqlite")));
    assert_eq!(database.settings.bounds.settle, Duration::from_secs(2));
    assert_eq!(database.settings.statement_timeout, Duration::from_secs(3));
    assert_eq!(database.driver.statement_timeout, Duration::from_secs(3));
    assert_eq!(database.driver.statement_cache.text_bytes, 0);
    let plugin = &config.plugins[0];
    assert_eq!(plugin.component, folder.path().join(".wharf/build/patients.wasm"));
    assert_eq!(plugin.limits.fuel, 1_000_000_000);
    let routes: Vec<_> =
        plugin.routes.iter().map(|route| (route.method.as_ref().map(|method| method.as_str()), &*route.path)).collect();
    assert_eq!(routes, [(None, "/patients"), (None, "/patients/{*rest}"), (Some("GET"), "/report/{*rest}")]);
    let grant = &plugin.databases[0];
    assert_eq!((grant.access, grant.max_connections, grant.max_rows), (Access::ReadOnly, 4, 100_000));
}

#[test]
fn secrets_come_from_the_environment_and_from_files_and_are_not_in_debug() {
    let (_folder, config) = accepted(&format!(
        "[databases.a]\nurl = \"${{PG_URL}}\"\n[databases.b]\nurl_file = \"url.txt\"\n{PLUGIN}\
         databases.a = {{ access = \"read-only\", url = \"${{READER_URL}}\" }}\n"
    ));
    assert_eq!(config.databases[0].url.expose(), "postgres://app:hunter2@db.example/clinic?sslmode=prefer");
    assert_eq!(config.databases[1].url.expose(), "postgres://app:hunter2@db/clinic?sslmode=prefer");
    assert!(config.plugins[0].databases[0].url.as_ref().is_some_and(|url| url.expose().contains("reader")));
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn order_is_that_of_the_file() {
    let text = "[databases.z]\nurl = \"sqlite://z.db\"\n[databases.a]\nurl = \"sqlite://a.db\"\n";
    let (_folder, config) = accepted(&format!("{text}{PLUGIN}"));
    assert_eq!(config.databases.iter().map(|database| &*database.name).collect::<Vec<_>>(), ["z", "a"]);
}

#[test]
fn a_later_stage_adds_errors_at_a_place() {
    let (folder, config) =
        accepted("[plugins.p]\ncomponent = \"p.wasm\"\nroutes = [\"/p\"]\n[plugins.q]\nsource = \"crate\"\nroutes = [\"/q\"]\n");
    let mut diagnostics = Diagnostics::new(config.source.clone());
    check_components(&config, &mut diagnostics);
    diagnostics.error(config.plugins[0].routes[0].location, "found later", "");
    insta::assert_snapshot!(diagnostics.render(false).replace(&format!("{}/", folder.path().display()), ""), @r#"
error: component `p.wasm` of plugin `p` does not exist
 --> wharf.toml:2:13
  |
2 | component = "p.wasm"
  |             ^^^^^^^^
  |
  = help: compile it, or give the plugin a `source` for `wharf build`; paths begin at the folder of wharf.toml

error: found later
 --> wharf.toml:3:11
  |
3 | routes = ["/p"]
  |           ^^^^

error: component `.wharf/build/q.wasm` of plugin `q` does not exist
 --> wharf.toml:4:10
  |
4 | [plugins.q]
  |          ^
  |
  = help: run `wharf build` first

wharf.toml: 3 errors
"#);
    for plugin in &config.plugins {
        fs::create_dir_all(plugin.component.parent().unwrap()).unwrap();
        fs::write(&plugin.component, "").unwrap();
    }
    let mut diagnostics = Diagnostics::new(config.source.clone());
    check_components(&config, &mut diagnostics);
    assert!(diagnostics.is_empty());
}

#[test]
fn shared_roles_and_unused_databases_are_warned_of() {
    let (_folder, config) = accepted(
        r#"
[databases.clinic]
url = "${PG_URL}"
[databases.spare]
url = "sqlite://spare.db"
[plugins.p]
component = "p.wasm"
routes = ["/p"]
databases.clinic = { access = "read-write" }
[plugins.q]
component = "q.wasm"
routes = ["/q"]
databases.clinic = { access = "read-only", url = "${READER_URL}" }
[plugins.r]
component = "r.wasm"
routes = ["/r"]
databases.clinic = { access = "read-write" }
"#,
    );
    let mut said = Diagnostics::new(config.source.clone());
    notes(&config, &mut said);
    insta::assert_snapshot!(said.render(false), @r#"
warning: no plugin is granted database `spare`
 --> wharf.toml:4:12
  |
4 | [databases.spare]
  |            ^^^^^
  |
  = help: its connections are kept open for nobody

warning: plugins `p` and `r` use database `clinic` under the same role
  --> wharf.toml:17:11
   |
17 | databases.clinic = { access = "read-write" }
   |           ^^^^^^
   |
   = help: through the database each can see and end the other's sessions; give one a `url` of its own unless they trust each other

wharf.toml: 2 warnings
"#);
}

#[test]
fn colour_is_used_only_when_asked_for() {
    let (_folder, config) = read("[server]\n");
    let diagnostics = config.unwrap_err();
    assert!(diagnostics.render(true).contains('\u{1b}'));
    assert!(!diagnostics.render(false).contains('\u{1b}'));
}

#[test]
fn a_path_is_a_folder_or_a_file() {
    let folder = folder();
    assert!(load(folder.path(), &environment).unwrap_err().to_string().contains("cannot read"));
    fs::write(folder.path().join(FILE_NAME), PLUGIN).unwrap();
    assert!(load(folder.path(), &environment).is_ok());
    assert!(load(&folder.path().join(FILE_NAME), &environment).is_ok());
    fs::write(folder.path().join(FILE_NAME), [0xff, 0xfe]).unwrap();
    assert!(load(folder.path(), &environment).unwrap_err().to_string().contains("not UTF-8"));
}
