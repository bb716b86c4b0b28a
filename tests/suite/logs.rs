//! What a host logs: as much as its file and its command line say, of each plugin as much as is wanted, and never a secret.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use serde_json::{Value as Json, json};
use support::{
    host::{Ended, Host, Setup},
    secrets,
    servers::{Engine, ServerDatabase},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// What `target` said of a plugin.
fn said_of(ended: &Ended, target: &str, plugin: &str) -> usize {
    let lines = ended.stderr.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    lines.filter(|line| line["target"] == target && line["plugin"] == plugin).count()
}

#[tokio::test]
async fn of_each_plugin_as_much_is_logged_as_its_level_says() {
    let mut setup = Setup::new();
    for level in ["info", "warn", "off"] {
        let settings = format!("log = \"{level}\"\nlimits = {{ fuel = 20_000_000 }}");
        setup = setup.plugin(&format!("prints-{level}"), "prints", &settings);
    }
    let host = setup.start().await;
    for level in ["info", "warn", "off"] {
        let some = host.client().get(&format!("/prints-{level}/some")).await;
        assert_eq!((some.status.as_u16(), some.text()), (200, "printed"));
        // One line that never ends.
        let (status, code) = host.client().get(&format!("/prints-{level}/line")).await.problem();
        assert_eq!((status, code.as_str()), (500, "fuel-exhausted"));
    }
    let ended = host.stop().await;
    for (level, prints, fails) in [("info", true, true), ("warn", false, true), ("off", false, false)] {
        let plugin = format!("prints-{level}");
        assert_eq!(said_of(&ended, "guest", &plugin) > 0, prints, "{level}: {}", ended.stderr);
        assert_eq!(said_of(&ended, "wharf::call", &plugin), usize::from(fails), "{level}: {}", ended.stderr);
        // Who asked for what is the server's to tell.
        assert_eq!(said_of(&ended, "access", &plugin), 2, "{level}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn the_file_says_what_is_logged_and_how_and_the_command_line_comes_before_it() {
    for (log, argument, is_told, is_json) in [
        ("", "", true, true),
        ("level = \"warn\"", "", false, true),
        ("level = \"warn,access=info\"\nformat = \"human\"", "", true, false),
        ("level = \"warn\"", "--log=info", true, true),
        ("level = \"info\"", "--log=access=off", false, true),
        ("format = \"human\"", "--log-format=json", true, true),
    ] {
        let mut setup = Setup::new().toml(&format!("[log]\n{log}")).plugin("probe", "probe", "");
        if !argument.is_empty() {
            setup = setup.argument(argument);
        }
        let host = setup.start().await;
        assert_eq!(host.client().get("/probe/hello").await.text(), "hello");
        let ended = host.stop().await;
        let lines: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("/probe/hello")).collect();
        assert_eq!(lines.len(), usize::from(is_told), "{log} {argument}: {}", ended.stderr);
        assert!(lines.iter().all(|line| line.starts_with('{') == is_json), "{log} {argument}: {lines:?}");
    }
}

#[tokio::test]
async fn a_level_that_is_none_is_told_with_its_place() {
    let ended = Setup::new().toml("[log]\nlevel = \"inof\"").plugin("probe", "probe", "").fail().await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("`inof` is no level of the log") && ended.stderr.contains("wharf.toml:"), "{}", ended.stderr);
}

/// Statements that fail, and one that lasts, each with the secret as a parameter or as a literal: the database's own words repeat it.
fn statements(engine: Engine, secret: &str) -> (Vec<Json>, String) {
    let parameter = if engine == Engine::Postgres { "$1" } else { "?" };
    let step = |sql: String, params: Json| json!({ "do": "execute", "sql": sql, "params": params });
    let text = json!([{ "text": secret }]);
    let insert = format!("INSERT INTO notes (note) VALUES ({parameter})");
    let mut steps = vec![
        // There already.
        step(insert.clone(), text.clone()),
        step(format!("INSERT INTO notes (note) VALUES ('{secret}')"), json!([])),
        step(format!("INSERT INTO numbers (number) VALUES ({parameter})"), text),
        step(format!("INSERT INTO numbers (number) VALUES ('{secret}')"), json!([])),
        step(format!("SELEC '{secret}'"), json!([])),
        // Too long.
        step(insert, json!([{ "text": secret.repeat(100) }])),
    ];
    if engine == Engine::Postgres {
        steps.push(step(format!("DO $$ BEGIN RAISE NOTICE '{secret}'; RAISE EXCEPTION '{secret}'; END $$"), json!([])));
    }
    (steps, engine.minute().replace("a literal", secret))
}

#[tokio::test]
async fn no_value_and_no_credential_is_in_a_log_that_tells_everything() {
    for engine in Engine::ALL {
        let database = ServerDatabase::create(engine).await;
        database.execute("CREATE TABLE notes (note varchar(100) UNIQUE)").await;
        database.execute("CREATE TABLE numbers (number integer)").await;
        let secret = secrets::plant();
        database.execute(&format!("INSERT INTO notes (note) VALUES ('{secret}')")).await;
        let host = Setup::new()
            .argument("--log=debug")
            .database("main", &database.url(), "leak_warning = \"100ms\"\nstatement_timeout = \"60s\"")
            .plugin("probe", "probe", "limits = { deadline = \"60s\" }\ndatabases.main = { access = \"read-write\" }")
            .start()
            .await;
        let (steps, lasting) = statements(engine, &secret);
        for step in steps {
            let outcomes = host.client().post("/probe/run", &json!([step])).await.json();
            assert!(outcomes[0]["error"]["kind"].is_string(), "{engine:?}: {step} is done: {outcomes}");
        }
        let client = host.client();
        let running = tokio::spawn(async move { client.post("/probe/run", &json!([{ "do": "query", "sql": lasting }])).await });
        host.logged("a lease is held for longer", PATIENCE).await;
        // Here all of its output is searched, as that of every host is.
        let ended = host.stop().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("\"level\":\"DEBUG\""), "{}", ended.stderr);
        running.await.unwrap();
    }
}

/// A host that has not kept a secret.
async fn blabs() -> Host {
    let host = Setup::new().plugin("probe", "probe", "").start().await;
    let secret = secrets::plant();
    // Paths are logged, and nothing that is secret belongs into one.
    host.client().get(&format!("/probe/{secret}")).await;
    host.logged(&secret, PATIENCE).await;
    host
}

#[tokio::test]
async fn a_host_that_tells_a_secret_fails_its_test() {
    let host = blabs().await;
    let stopped = tokio::spawn(async move { host.stop().await }).await;
    assert!(stopped.unwrap_err().is_panic());
    let host = blabs().await;
    assert!(catch_unwind(AssertUnwindSafe(|| drop(host))).is_err());
    // What it said before it was killed, though nobody has looked yet.
    let says = format!("echo {} >&2; exec \"$0\" \"$@\"", secrets::plant());
    for setup in [Setup::new(), Setup::new().unread()] {
        let host = setup.through(&["sh", "-c", &says]).plugin("probe", "probe", "").start().await;
        assert!(catch_unwind(AssertUnwindSafe(|| drop(host))).is_err());
    }
    // As if it had written it there itself.
    let host = Setup::new().plugin("probe", "probe", "").start().await;
    fs::write(host.folder().join("left-behind"), secrets::plant()).unwrap();
    let stopped = tokio::spawn(async move { host.stop().await }).await;
    assert!(stopped.unwrap_err().is_panic());
}

#[tokio::test]
async fn what_a_host_is_given_it_may_have() {
    let setup = Setup::new().environment("PASSWORD", &secrets::plant());
    fs::write(setup.folder().join("token"), secrets::plant()).unwrap();
    let host = setup.toml("[admin]\ntoken_file = \"token\"").plugin("probe", "probe", "").start().await;
    fs::write(host.folder().join("notes.db"), secrets::plant()).unwrap();
    assert_eq!(host.stop().await.code, Some(0));
}
