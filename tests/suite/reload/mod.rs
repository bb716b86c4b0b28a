//! A running host that reads its configuration again: what changes, what is refused, and what becomes of calls that run meanwhile.

mod back;
mod engines;
mod load;
mod start;
mod watch;

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use futures::future::join_all;
use serde_json::{Value as Json, json};
use support::{
    client::Reply,
    guests,
    host::{self, Ended, Host, Setup, Signal},
    schema::violations,
    servers::{Engine, Seen, ServerDatabase},
    wait::until,
};
use tokio::time::timeout;

use crate::tree;

const PATIENCE: Duration = Duration::from_secs(30);
const GRANT: &str = "limits = { deadline = \"60s\" }\ndatabases.main = { access = \"read-write\" }";
const QUERY: &str = "/probe/query?sql=SELECT+1";

/// How `wharf reload` ended.
async fn reload(host: &Host, arguments: &[&str]) -> Ended {
    let mut command = host::command();
    command.arg("reload").args(arguments).arg("--config").arg(host.folder());
    command.env_remove("WHARF_ADMIN_TOKEN");
    host::end(command, PATIENCE).await
}

/// Puts other words in place of those in `wharf.toml`.
fn edit(folder: &Path, changes: &[(&str, &str)]) {
    let path = folder.join("wharf.toml");
    let mut text = fs::read_to_string(&path).unwrap();
    for (from, to) in changes {
        assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
        text = text.replace(from, to);
    }
    fs::write(path, text).unwrap();
}

/// What is told of the plugins, once no connection is lent.
async fn plugins_at_rest(host: &Host) -> Json {
    until("all connections to be back", PATIENCE, || async {
        let plugins = plugins(host).await;
        let is_back = plugins["plugins"][0]["databases"][0]["leased"] == 0;
        if is_back { Ok(plugins) } else { Err(plugins.to_string()) }
    })
    .await
}

async fn plugins(host: &Host) -> Json {
    let plugins = host.admin().await.get("/plugins").await.json();
    let schema = serde_json::from_str(&tree::read("host/src/admin/schema/plugins.json")).unwrap();
    assert_eq!(violations(&schema, &plugins), Vec::<String>::new(), "{plugins}");
    plugins
}

async fn pool(host: &Host) -> Json {
    host.admin().await.get("/health/database-pool").await.json()["databases"][0].take()
}

async fn start(database: &ServerDatabase, settings: &str) -> Host {
    let settings = format!("statement_timeout = \"60s\"\n{settings}");
    Setup::new().database("main", &database.url(), &settings).plugin("probe", "probe", GRANT).start().await
}

fn is_fine(reply: &Reply) -> bool {
    reply.status == 200 && reply.json()["error"].is_null()
}

async fn until_only(host: &Host, generation: u64) {
    until("older generations to have ended", PATIENCE, || async {
        let plugins = plugins(host).await;
        let is_only = plugins["generation"] == generation && plugins["ending"] == json!([]);
        if is_only { Ok(()) } else { Err(plugins.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn limits_routes_grants_code_and_pools_change_while_it_runs() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let host = start(&database, "max_connections = 3").await;
    assert!(is_fine(&host.client().get(QUERY).await));
    let before = plugins_at_rest(&host).await;
    let component = |guest: &str| guests::component(guest).display().to_string();
    edit(
        host.folder(),
        &[
            (&component("probe"), &component("probe_async")),
            ("\"/probe/{*rest}\"", "\"/probe/{*rest}\", \"/other/{*rest}\""),
            ("deadline = \"60s\"", "deadline = \"50s\", max_concurrency = 7"),
            ("access = \"read-write\"", "access = \"read-write\", max_connections = 2"),
            ("max_connections = 3", "max_connections = 5"),
            ("drain_timeout = \"2s\"", "drain_timeout = \"2s\"\nmax_body = \"4B\""),
        ],
    );
    let checked = reload(&host, &["--check"]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert_eq!(plugins(&host).await, before);
    let done = reload(&host, &["--json"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let done: Json = serde_json::from_str(&done.stdout).unwrap();
    let schema = serde_json::from_str(&tree::read("host/src/admin/schema/reload.json")).unwrap();
    assert_eq!(violations(&schema, &done), Vec::<String>::new(), "{done}");
    let changes: Vec<&str> = done["changes"].as_array().unwrap().iter().map(|change| change.as_str().unwrap()).collect();
    for change in [
        "databases.main.max_connections: 3 → 5",
        "plugins.probe.component: ",
        "plugins.probe.databases.main.max_connections: 3 → 2",
        "plugins.probe.limits.deadline: 1m → 50s",
        "plugins.probe.limits.max_concurrency: 64 → 7",
        "plugins.probe.routes: ",
        "plugins.probe: code ",
        "server.max_body: 10MiB → 4B",
    ] {
        assert!(changes.iter().any(|found| found.starts_with(change)), "{change}: {changes:#?}");
        assert!(checked.stdout.contains(change), "{change}: {checked:?}");
    }
    assert_eq!((changes.len(), &done["generation"]), (8, &json!(2)), "{changes:#?}");

    until_only(&host, 2).await;
    let after = plugins(&host).await;
    let (old, new) = (&before["plugins"][0], &after["plugins"][0]);
    assert_ne!(old["digest"], new["digest"]);
    assert_eq!((&new["max"], &new["databases"][0]["max"]), (&json!(7), &json!(2)));
    assert_eq!(pool(&host).await["max"], 5);
    for path in [QUERY, "/other/query?sql=SELECT+1"] {
        assert!(is_fine(&host.client().get(path).await), "{path}");
    }
    assert_eq!(host.client().post("/probe/echo", &json!([])).await.status, 200);
    assert_eq!(host.client().post("/probe/echo", &json!([1, 2, 3])).await.problem(), (413, "body-too-large".to_owned()));
    // The file says what is in force.
    let again = reload(&host, &[]).await;
    assert_eq!(again.stdout, "generation 2 is in force; the configuration says nothing else\n", "{again:?}");
    assert_eq!(host.stop().await.code, Some(0));
    database.until_nobody(PATIENCE).await;
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let host = start(&database, "max_connections = 3").await;
    assert!(is_fine(&host.client().get(QUERY).await));
    let (before, right) = (plugins_at_rest(&host).await, fs::read_to_string(host.folder().join("wharf.toml")).unwrap());
    fs::write(host.folder().join("broken.wasm"), "no component").unwrap();
    let component = guests::component("probe").display().to_string();
    let wrong_password = database.url().replacen("://", "://nobody-", 1);
    let new = format!("max_connections = 3\n\n[databases.other]\nurl = \"{wrong_password}\"");
    // What is right beside it is not put in force either.
    let right_too = ("deadline = \"60s\"", "deadline = \"50s\"");
    for (change, part) in [
        (("[server]", "[server"), "wharf.toml:"),
        (("[server]", "no_such_key = 1\n[server]"), "unknown key `no_such_key`"),
        (("[server]", "[log]\nlevel = \"debug\"\n[server]"), "log.level: info → debug: this cannot change while the host runs"),
        (("listen = \"127.0.0.1:0\"", "listen = \"[::1]:0\""), "server.listen: 127.0.0.1:0 → [::1]:0: this cannot change"),
        (("[server]", "[server]\nmax_concurrency = 257"), "257 are more than the 256 that the host has room for"),
        ((&*component, "nowhere.wasm"), "nowhere.wasm"),
        ((&*component, "broken.wasm"), "not WebAssembly"),
        (("deadline = ", "memory = \"64KiB\", deadline = "), "an instance of it cannot be made: the memory is used up"),
        ((&*database.url(), &*wrong_password), "database `main`: "),
        (("max_connections = 3", &*new), "database `other`: "),
    ] {
        edit(host.folder(), &[right_too, change]);
        // A file that cannot be read does not tell where the host is either.
        let code = if part == "wharf.toml:" { 2 } else { 1 };
        for arguments in [&["--check"][..], &[]] {
            let refused = reload(&host, arguments).await;
            assert!(refused.code == Some(code) && refused.stdout.is_empty(), "{change:?}: {refused:?}");
            assert!(refused.stderr.contains(part), "{part}: {refused:?}");
        }
        assert_eq!(plugins(&host).await, before, "{change:?}");
        assert!(is_fine(&host.client().get(QUERY).await), "{change:?}");
        fs::write(host.folder().join("wharf.toml"), &right).unwrap();
    }
    // Nothing of what was tried is left.
    database.until_sessions("a connection and the control path", PATIENCE, |sessions| sessions.len() <= 2).await;
    assert_eq!(
        (pool(&host).await["max"].clone(), host.admin().await.get("/health/ready").await.status.as_u16()),
        (json!(3), 200)
    );
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    database.until_nobody(PATIENCE).await;
}

#[tokio::test]
async fn a_probe_is_asked_with_all_grants_before_anything_is_in_force() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let host = start(&database, "max_connections = 3").await;
    let grant = "databases.main = { access = \"read-write\" }";
    let with = |path: &str, rest: &str| format!("probe = \"{path}\"\n{rest}");
    let (before, right) = (plugins_at_rest(&host).await, fs::read_to_string(host.folder().join("wharf.toml")).unwrap());
    for (path, rest, part) in [
        ("/status?code=503", grant, "its probe `/status?code=503` answers 503"),
        ("/run-and-trap", grant, "its probe `/run-and-trap` is not answered: trapped"),
        // This one needs a grant.
        ("/query?sql=SELECT+1", "", "its probe `/query?sql=SELECT+1` is not answered: trapped"),
    ] {
        edit(host.folder(), &[(grant, &with(path, rest))]);
        let refused = reload(&host, &[]).await;
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused:?}");
        assert!(
            refused.stderr.contains(&format!("plugin `probe`: component `{}`: {part}", guests::component("probe").display())),
            "{refused:?}"
        );
        assert_eq!(plugins(&host).await, before, "{path}");
        fs::write(host.folder().join("wharf.toml"), &right).unwrap();
    }
    edit(host.folder(), &[(grant, &with("/query?sql=SELECT+1", grant))]);
    let done = reload(&host, &[]).await;
    assert_eq!(done.stdout, "plugins.probe.probe: nothing → /query?sql=SELECT+1\n\ngeneration 2 is in force\n", "{done:?}");
    assert_eq!(host.stop().await.code, Some(0));
    database.until_nobody(PATIENCE).await;
}

#[tokio::test]
async fn a_call_ends_on_the_generation_on_which_it_began() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let host = start(&database, "max_connections = 4").await;
    let (client, sql) = (host.client().patience(PATIENCE * 2), Engine::Postgres.minute());
    let call = tokio::spawn(async move { client.post("/probe/run", &json!([{ "do": "query", "sql": sql }])).await });
    database.until_running(sql, PATIENCE).await;
    // One that nobody calls has the same database.
    edit(host.folder(), &[("deadline = \"60s\"", "deadline = \"50s\"")]);
    let done = reload(&host, &[]).await;
    assert_eq!(done.stdout, "plugins.probe.limits.deadline: 1m → 50s\n\ngeneration 2 is in force\n", "{done:?}");
    // Its plugin is another one, on other routes, and its database is gone.
    let path = host.folder().join("wharf.toml");
    let text = fs::read_to_string(&path).unwrap();
    let (server, _) = text.split_once("\n[databases.main]").unwrap();
    let component = guests::component("probe");
    fs::write(&path, format!("{server}\n[plugins.new]\ncomponent = {component:?}\nroutes = [\"/new/{{*rest}}\"]\n")).unwrap();
    let done = reload(&host, &[]).await;
    assert_eq!(
        done.stdout, "databases.main: gone\nplugins.new: new\nplugins.probe: gone\n\ngeneration 3 is in force\n",
        "{done:?}"
    );

    assert_eq!(host.client().get("/probe/hello").await.problem(), (404, "no-route".to_owned()));
    assert_eq!(host.client().get("/new/hello").await.text(), "hello");
    until("the second generation to have ended", PATIENCE, || async {
        let ending = plugins(&host).await["ending"].take();
        if ending == json!([1]) { Ok(()) } else { Err(ending.to_string()) }
    })
    .await;
    let admin = host.admin().await;
    let calls = admin.get("/calls").await.json();
    assert_eq!((&calls["calls"][0]["plugin"], &calls["calls"][0]["leases"][0]["database"]), (&json!("probe"), &json!("main")));
    // The server ends its statement, and the call tells so.
    let running = database.until_running(sql, PATIENCE).await;
    let id = running.iter().find(|session| session.running.contains(sql)).map(|session| session.id).unwrap();
    let ServerDatabase::Postgres(postgres) = &database else { unreachable!() };
    postgres.execute(&format!("SELECT pg_cancel_backend({id})")).await;
    let reply = timeout(PATIENCE, call).await.unwrap().unwrap();
    assert_eq!((reply.status.as_u16(), reply.json()[0]["error"].is_null()), (200, false), "{reply:?}");
    // With it its generation has ended, and the database that only that one had is closed.
    host.logged("a generation that was replaced has ended", PATIENCE).await;
    until_only(&host, 3).await;
    database.until_nobody(PATIENCE).await;
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// The databases that are told about, by their names, with the last generation of those that leave.
async fn shown(host: &Host) -> Vec<(String, Option<u64>)> {
    let pools = host.admin().await.get("/health/database-pool").await.json();
    let schema = serde_json::from_str(&tree::read("host/src/admin/schema/database-pool.json")).unwrap();
    assert_eq!(violations(&schema, &pools), Vec::<String>::new(), "{pools}");
    let databases = pools["databases"].as_array().unwrap().iter();
    databases.map(|it| (it["name"].as_str().unwrap().to_owned(), it["last_generation"].as_u64())).collect()
}

#[tokio::test]
async fn a_database_that_leaves_is_told_about_until_it_is_closed() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let host = start(&database, "max_connections = 4").await;
    let (client, sql) = (host.client().patience(PATIENCE * 2), Engine::Postgres.minute());
    let call = tokio::spawn(async move { client.post("/probe/run", &json!([{ "do": "query", "sql": sql }])).await });
    database.until_running(sql, PATIENCE).await;
    let path = host.folder().join("wharf.toml");
    let with = fs::read_to_string(&path).unwrap();
    let (server, _) = with.split_once("\n[databases.main]").unwrap();
    let component = guests::component("probe");
    let without = format!("{server}\n[plugins.probe]\ncomponent = {component:?}\nroutes = [\"/probe/{{*rest}}\"]\n");
    fs::write(&path, &without).unwrap();
    let done = reload(&host, &[]).await;
    assert!(done.stdout.ends_with("generation 2 is in force\n"), "{done:?}");
    let main = |last_generation: Option<u64>| ("main".to_owned(), last_generation);
    assert_eq!((shown(&host).await, &pool(&host).await["leased"]), (vec![main(Some(1))], &json!(1)));
    // There is none that could be drained, and nobody waits for it.
    assert_eq!(host.admin().await.get("/health/ready").await.status, 200);
    let metrics = host.admin().await.get("/metrics").await.text().to_owned();
    let series = metrics.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap().0);
    let mut seen = BTreeSet::new();
    assert_eq!(series.filter(|series| !seen.insert(*series)).collect::<Vec<_>>(), Vec::<&str>::new());
    let series = "wharf_database_up{db_client_connection_pool_name=\"main\",last_generation=\"1\"}";
    assert!(seen.contains(series), "{metrics}");
    // What is put back is the same one, as long as a call has it.
    fs::write(&path, &with).unwrap();
    let done = reload(&host, &[]).await;
    assert!(done.stdout.ends_with("generation 3 is in force\n"), "{done:?}");
    assert!(is_fine(&host.client().get(QUERY).await));
    assert_eq!(shown(&host).await, [main(None)]);
    fs::write(&path, &without).unwrap();
    let done = reload(&host, &[]).await;
    assert!(done.stdout.ends_with("generation 4 is in force\n"), "{done:?}");
    assert_eq!(shown(&host).await, [main(Some(3))]);
    // The server ends its statement, and with the call the database is closed of which it was the last.
    let running = database.until_running(sql, PATIENCE).await;
    let id = running.iter().find(|session| session.running.contains(sql)).map(|session| session.id).unwrap();
    let ServerDatabase::Postgres(postgres) = &database else { unreachable!() };
    postgres.execute(&format!("SELECT pg_cancel_backend({id})")).await;
    timeout(PATIENCE, call).await.unwrap().unwrap();
    until("the old database to be told no more", PATIENCE, || async {
        let shown = shown(&host).await;
        if shown.is_empty() { Ok(()) } else { Err(format!("{shown:?}")) }
    })
    .await;
    until_only(&host, 4).await;
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    database.until_nobody(PATIENCE).await;
}

#[tokio::test]
async fn another_credential_is_tried_and_the_old_one_given_up() {
    for engine in Engine::ALL {
        let database = ServerDatabase::create(engine).await;
        let host = start(&database, "max_connections = 2\nmin_connections = 1").await;
        assert!(is_fine(&host.client().get(QUERY).await));
        let reader = match &database {
            ServerDatabase::Postgres(it) => it.url(&it.reader),
            ServerDatabase::Mariadb(it) => it.url(&it.reader),
        };
        edit(host.folder(), &[(&database.url(), &reader)]);
        let done = reload(&host, &[]).await;
        assert_eq!(done.stdout, "databases.main.url: another secret\n\ngeneration 2 is in force\n", "{engine:?}: {done:?}");
        assert!(is_fine(&host.client().get(QUERY).await));
        let is_given_up = |sessions: &[Seen]| {
            !sessions.is_empty() && sessions.len() <= 3 && sessions.iter().all(|session| session.user != database.owner())
        };
        database.until_sessions("the owner to have no session", PATIENCE, is_given_up).await;
        let ended = host.stop().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        database.until_nobody(PATIENCE).await;
    }
}

#[tokio::test]
async fn a_pool_grows_at_once_and_shrinks_as_what_is_lent_comes_back() {
    for engine in Engine::ALL {
        let database = ServerDatabase::create(engine).await;
        let host = start(&database, "max_connections = 1").await;
        edit(host.folder(), &[("max_connections = 1", "max_connections = 3")]);
        assert_eq!(reload(&host, &[]).await.code, Some(0));
        let sql = match engine {
            Engine::Postgres => "SELECT pg_sleep(5), 1",
            Engine::Mariadb => "SELECT sleep(5), 1",
        };
        let (client, steps) = (host.client(), json!([{ "do": "query", "sql": sql }]));
        let calls = tokio::spawn(async move { join_all((0..3).map(|_| client.post("/probe/run", &steps))).await });
        let all_run = |sessions: &[Seen]| sessions.iter().filter(|session| session.running.contains("sleep(")).count() == 3;
        database.until_sessions("three statements at once", PATIENCE, all_run).await;
        edit(host.folder(), &[("max_connections = 3", "max_connections = 1")]);
        let done = reload(&host, &[]).await;
        assert_eq!(done.code, Some(0), "{engine:?}: {done:?}");
        for reply in timeout(PATIENCE, calls).await.unwrap().unwrap() {
            assert!(reply.status == 200 && reply.json()[0]["error"].is_null(), "{engine:?}: {reply:?}");
        }
        database.until_sessions("a connection and the control path", PATIENCE, |sessions| sessions.len() <= 2).await;
        until("the pool to be smaller", PATIENCE, || async {
            let max = pool(&host).await["max"].take();
            if max == 1 { Ok(()) } else { Err(max.to_string()) }
        })
        .await;
        assert!(is_fine(&host.client().get(QUERY).await), "{engine:?}");
        assert_eq!(host.stop().await.code, Some(0));
        database.until_nobody(PATIENCE).await;
    }
}

#[tokio::test]
async fn a_hang_up_is_a_reload_and_a_stop_overtakes_it() {
    let host = Setup::new().plugin("probe", "probe", "limits = { fuel = 1_000_000_000 }").start().await;
    host.signal(Signal::Hangup);
    host.logged("hung up: nothing has changed, generation 1 is in force", PATIENCE).await;
    edit(host.folder(), &[("1_000_000_000", "2_000_000_000")]);
    host.signal(Signal::Hangup);
    host.logged("hung up: generation 2 is in force, 1 changed", PATIENCE).await;
    host.logged("plugins.probe.limits.fuel: 1000000000 → 2000000000", PATIENCE).await;
    edit(host.folder(), &[("fuel = ", "feul = ")]);
    host.signal(Signal::Hangup);
    host.logged("hung up: the configuration is refused, and what was in force stays:", PATIENCE).await;
    host.logged("unknown key `feul`", PATIENCE).await;
    // A database that takes sockets and answers nobody holds a reload up.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://app@{}/app", silent.local_addr().unwrap());
    let database = format!("[databases.silent]\nurl = \"{url}\"\nconnect_timeout = \"10m\"\n\n[plugins.probe]");
    edit(host.folder(), &[("feul = ", "fuel = "), ("[plugins.probe]", &database)]);
    host.signal(Signal::Hangup);
    let (_connection, _) = timeout(PATIENCE, silent.accept()).await.unwrap().unwrap();
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn migrations_are_applied_when_there_are_more() {
    let setup = Setup::new();
    let folder = setup.folder().join("migrations/sqlite");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("1_first.sql"), "CREATE TABLE first (id INTEGER);").unwrap();
    let host =
        setup.database("main", "sqlite://main.db", "migrations = \"migrations\"").plugin("probe", "probe", GRANT).start().await;
    let count = async |table: &str| is_fine(&host.client().get(&format!("/probe/query?sql=SELECT+count(*)+FROM+{table}")).await);
    assert_eq!((count("first").await, count("second").await), (true, false));
    fs::write(folder.join("2_second.sql"), "CREATE TABLE second (id INTEGER);").unwrap();
    let checked = reload(&host, &["--check"]).await;
    assert_eq!(checked.stdout, "databases.main: migrations\n\nthis can be put in force; generation 1 is\n", "{checked:?}");
    assert!(!count("second").await);
    let done = reload(&host, &[]).await;
    assert_eq!(done.stdout, "databases.main: migrations\n\ngeneration 2 is in force\n", "{done:?}");
    assert_eq!((count("first").await, count("second").await), (true, true));
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_migration_that_comes_while_the_ones_before_are_applied_is_not_taken_for_applied() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let ServerDatabase::Postgres(postgres) = &database else { unreachable!() };
    let setup = Setup::new();
    let folder = setup.folder().join("migrations/postgres");
    fs::create_dir_all(&folder).unwrap();
    let wait = "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_class WHERE relname = 'proceed') LOOP \
                PERFORM pg_sleep(0.01); END LOOP; END $$;";
    fs::write(folder.join("1_wait.sql"), wait).unwrap();
    let setup = setup.database("main", &database.url(), "migrations = \"migrations\"");
    let meanwhile = async {
        database.until_running("'proceed'", PATIENCE).await;
        fs::write(folder.join("2_second.sql"), "CREATE TABLE second (id integer);").unwrap();
        postgres.execute("CREATE TABLE proceed ()").await;
    };
    let (host, ()) = tokio::join!(setup.plugin("probe", "probe", GRANT).start(), meanwhile);
    let done = reload(&host, &[]).await;
    assert_eq!(done.stdout, "databases.main: migrations\n\ngeneration 2 is in force\n", "{done:?}");
    assert!(is_fine(&host.client().get("/probe/query?sql=SELECT+count(*)+FROM+second").await));
    assert_eq!(host.stop().await.code, Some(0));
    database.until_nobody(PATIENCE).await;
}
