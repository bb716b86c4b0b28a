//! The audit log of hosts as an operator runs them.

use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use http::Request;
use serde_json::{Value as Json, json};
use support::{
    client::{Client, Reply, bytes},
    host::{self, Host, Setup},
    schema::violations,
    wait::until,
};
use wharf::telemetry::audit::{Audit, Key, Settings};

use super::{KEY, all_end, lines, pair, story};
use crate::tree;

const PATIENCE: Duration = Duration::from_secs(30);
const GRANT: &str = "limits = { deadline = \"60s\" }\ndatabases.main = { access = \"read-write\" }";
const SECRET: &str = "hunter2";

/// Both probes on a file with a table, and a log with these settings.
fn setup(server: &str, audit: &str) -> Setup {
    let setup = Setup::new()
        .server(server)
        .toml(&format!("[audit]\nfile = \"audit.log\"\nkey = \"{KEY}\"\n{audit}"))
        .database("main", "sqlite://main.db", "migrations = \"migrations\"")
        .plugin("probe", "probe", GRANT)
        .plugin("async", "probe_async", GRANT);
    let migrations = setup.folder().join("migrations/sqlite");
    fs::create_dir_all(&migrations).unwrap();
    fs::write(migrations.join("0001_people.sql"), "CREATE TABLE people (name TEXT) STRICT;").unwrap();
    setup
}

/// Asks as a proxy does that says who asks.
async fn ask(client: &Client, path: &str, steps: &Json) -> Reply {
    let request = Request::post(path).header("x-forwarded-user", "dr.who").header("content-type", "application/json");
    client.open(request.body(bytes(steps.to_string())).unwrap()).await.unwrap().whole().await.unwrap()
}

/// The last head that a host has logged.
fn logged_head(log: &str) -> String {
    let mut lines = log.lines().filter(|line| line.contains("wharf::audit") && line.contains("the audit log is closed"));
    let line: Json = serde_json::from_str(lines.next_back().unwrap()).unwrap();
    let head = line["head"].as_str().or_else(|| line["fields"]["head"].as_str());
    head.unwrap_or_else(|| panic!("{line}")).to_owned()
}

/// The lines of one plugin, and of what it asked for.
fn of_plugin(lines: &[Json], plugin: &str) -> Vec<Json> {
    let is_its_own = |line: &&Json| line["plugin"] == plugin;
    let operations: Vec<&Json> = lines.iter().filter(is_its_own).map(|line| &line["op"]).collect();
    let is_of_it = |line: &&Json| is_its_own(line) || (line["kind"] == "outcome" && operations.contains(&&line["op"]));
    lines.iter().filter(is_of_it).cloned().collect()
}

#[tokio::test]
async fn both_interfaces_leave_their_lines_and_the_head_is_told_everywhere() {
    let host = setup("trusted_proxies = [\"127.0.0.1\"]", "who_header = \"x-forwarded-user\"\nsync_interval = \"1ms\"")
        .argument("--log-format")
        .argument("json")
        .start()
        .await;
    let (client, admin) = (host.client(), host.admin().await);
    let insert = format!("INSERT INTO people VALUES ('{SECRET}')");
    let steps = json!([
        { "do": "begin", "as": "t" },
        { "do": "execute", "on": "t", "sql": "INSERT INTO people VALUES (?)", "params": [{ "text": SECRET }] },
        { "do": "savepoint", "on": "t" },
        { "do": "execute", "on": "t", "sql": insert },
        { "do": "rollback-to", "on": "t" },
        { "do": "release", "on": "t" },
        { "do": "commit", "on": "t" },
        { "do": "query", "sql": "SELECT name FROM people" },
        { "do": "query", "sql": "SELECT nothing FROM nowhere" },
        { "do": "connect", "as": "c" },
        { "do": "begin", "on": "c", "as": "left" },
        { "do": "execute", "on": "left", "sql": insert },
    ]);
    let reply = ask(&client, "/probe/run", &steps).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let failed = reply.json()[8]["error"]["kind"].as_str().unwrap().to_owned();
    // A trap with everything in hand.
    let reply = ask(&client, "/probe/run-and-trap", &json!([{ "do": "begin", "as": "t" }])).await;
    assert_eq!(reply.status, 500, "{reply:?}");
    for path in ["query?sql=SELECT%201", "concurrent?count=4&sql=SELECT%201", "transaction?sql=DELETE%20FROM%20people"] {
        assert_eq!(client.get(&format!("/async/{path}")).await.status, 200, "{path}");
    }
    assert_eq!(client.get("/async/stream?batch=1&sql=SELECT%201").await.status, 200);
    // Not after: what is read so far.
    let document = until("the head to be on the disk", PATIENCE, || async {
        let document = admin.get("/health/database-pool").await.json();
        let head = document["audit"]["head"].as_str().and_then(|head| head.split(':').next()?.parse::<u64>().ok());
        if head.is_some_and(|seq| seq > 40) { Ok(document) } else { Err(document["audit"].to_string()) }
    })
    .await;
    let schema: Json = serde_json::from_str(&tree::read("host/src/admin/schema/database-pool.json")).unwrap();
    assert_eq!(violations(&schema, &document), Vec::<String>::new());
    let audit = &document["audit"];
    assert_eq!((&audit["available"], &audit["failures"], &audit["lost_lines"]), (&json!(true), &json!(0), &json!(0)));
    let plugins = admin.get("/plugins").await.json();
    let (folder, log) = stopped(host).await;

    let lines = lines(folder.path()).unwrap();
    all_end(&lines).unwrap();
    let plain = of_plugin(&lines, "probe");
    let mut expected: Vec<String> = [
        ("begin", "done"),
        ("execute", "done 1"),
        ("savepoint", "done"),
        ("execute", "done 1"),
        ("rollback-to", "done"),
        ("release", "done"),
        ("commit", "done"),
        ("query", "done 1"),
        ("query", failed.as_str()),
        ("begin", "done"),
        ("execute", "done 1"),
    ]
    .into_iter()
    .flat_map(|(verb, outcome)| pair(verb, outcome))
    .collect();
    let seen = story(&plain);
    assert_eq!(seen[..expected.len()], expected);
    // The rest comes from both sides: the handles that are dropped, and the next call.
    let mut rest = seen[expected.len()..].to_vec();
    rest.sort();
    expected = pair("begin", "done").to_vec();
    expected.extend(["reclaim trapped rolled-back", "reclaim transaction-dropped rolled-back"].map(str::to_owned));
    expected.sort();
    let expected_if_released = {
        let mut other = pair("begin", "done").to_vec();
        other.extend(["reclaim trapped rolled-back", "reclaim released rolled-back"].map(str::to_owned));
        other.sort();
        other
    };
    assert!(rest == expected || rest == expected_if_released, "{rest:?}");
    let digest = &plugins["plugins"][0]["digest"];
    assert!(
        plain.iter().filter(|line| line["kind"] == "intent").all(|line| line["who"] == "dr.who" && line["digest"] == *digest)
    );

    let concurrent = story(&of_plugin(&lines, "async"));
    for (verb, count) in [("query", 5), ("begin", 2), ("execute", 1), ("commit", 1), ("open-cursor", 1), ("fetch", 2)] {
        let begun = concurrent.iter().filter(|told| **told == format!("{verb} begins")).count();
        let done = concurrent.iter().filter(|told| told.starts_with(&format!("{verb} done"))).count();
        assert_eq!((begun, done), (count, count), "{verb}: {concurrent:?}");
    }
    assert!(of_plugin(&lines, "async").iter().all(|line| line["who"].is_null()), "nobody said who asked");

    let text = fs::read_to_string(folder.path().join("audit.log")).unwrap();
    assert!(!text.contains(SECRET) && !log.contains(SECRET) && !log.contains(KEY), "{text}");
    let verify = |head: &str| {
        let mut command = host::command();
        command.args(["audit", "verify", "--head", head]).arg(folder.path().join("audit.log")).env("WHARF_AUDIT_KEY", KEY);
        command
    };
    for head in [logged_head(&log), audit["head"].as_str().unwrap().to_owned()] {
        let ended = host::end(verify(&head), PATIENCE).await;
        assert_eq!(ended.code, Some(0), "{head}: {}", ended.stdout);
    }
}

/// Stops a host in good order; its folder, and what it logged.
async fn stopped(host: Host) -> (tempfile::TempDir, String) {
    let (ended, folder) = host.stop_and_keep().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    (folder, ended.stderr)
}

#[tokio::test]
async fn nobody_but_a_trusted_proxy_says_who_asks() {
    for (proxies, who) in [("127.0.0.0/8", json!("dr.who")), ("10.0.0.0/8", Json::Null)] {
        let host = setup(&format!("trusted_proxies = [\"{proxies}\"]"), "who_header = \"x-forwarded-user\"").start().await;
        let reply = ask(&host.client(), "/probe/run", &json!([{ "do": "query" }])).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let (folder, _) = stopped(host).await;
        let lines = lines(folder.path()).unwrap();
        assert_eq!(story(&lines), pair("query", "done 1"));
        assert_eq!(lines[2]["who"], who, "{proxies}");
    }
}

#[tokio::test]
async fn a_log_of_another_key_stops_the_start() {
    let setup = setup("", "");
    let settings = Settings::new(setup.folder().join("audit.log"), Key::new(&KEY.replace('0', "1")).unwrap());
    Audit::start(settings).unwrap().close().await.unwrap();
    let ended = setup.fail().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("audit.log was written with another key"), "{}", ended.stderr);
}

/// Bytes that a file may have while the disk counts as full.
const FULL: u64 = 512 << 10;

/// From now on no file of the host grows beyond this, as on a disk that is full.
fn limit_files(host: &Host, bytes: &str) {
    let pid = host.pid().to_string();
    let status = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:")]).status().unwrap();
    assert!(status.success(), "{status}");
}

/// More lines than there is room for: each of these says two thousand bytes about itself.
fn too_much() -> Json {
    let sql = format!("SELECT 1 AS {}", "a".repeat(2_000));
    (0..300).map(|_| json!({ "do": "query", "sql": sql })).collect()
}

async fn is_ready(admin: &Client) -> bool {
    let reply = admin.get("/health/ready").await;
    if reply.status == 200 {
        return true;
    }
    assert_eq!(reply.json()["reasons"][0]["code"], "audit-unavailable", "{reply:?}");
    let schema: Json = serde_json::from_str(&tree::read("host/src/admin/schema/ready.json")).unwrap();
    assert_eq!(violations(&schema, &reply.json()), Vec::<String>::new());
    false
}

/// The system would end the host for writing too much, if it did not ignore that.
async fn start_on_a_small_disk(when_unavailable: &str) -> Host {
    let ignoring = ["/usr/bin/env", "--ignore-signal=XFSZ"];
    let host = setup("", &format!("when_unavailable = \"{when_unavailable}\"")).through(&ignoring).start().await;
    limit_files(&host, &FULL.to_string());
    host
}

async fn until_written_again(host: &Host) {
    limit_files(host, "unlimited");
    host.logged("the audit log can be written again", PATIENCE).await;
    let admin = host.admin().await;
    until("the log to be written again", PATIENCE, || async {
        let audit = admin.get("/health/database-pool").await.json()["audit"].clone();
        let is_well = audit["available"] == true && audit["down_since"].is_null() && is_ready(&admin).await;
        if is_well { Ok(()) } else { Err(audit.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn work_is_refused_while_the_disk_is_full_and_goes_on_when_it_is_not() {
    let host = start_on_a_small_disk("refuse").await;
    let (client, admin) = (host.client(), host.admin().await);
    assert!(is_ready(&admin).await);
    let outcomes = client.post("/probe/run", &too_much()).await.json();
    let outcomes = outcomes.as_array().unwrap();
    let done = outcomes.iter().take_while(|outcome| outcome["error"].is_null()).count();
    assert!(done > 50, "{done}");
    assert!(done < outcomes.len(), "everything was done");
    let is_refused = |outcome: &Json| outcome["error"]["kind"] == "other" && outcome["error"]["code"] == "audit-unavailable";
    assert!(outcomes[done..].iter().all(is_refused), "{:?}", outcomes.last());
    // A short line may find room still, and then the next long one does not.
    let more = AtomicUsize::new(0);
    until("the host not to be ready", PATIENCE, || async {
        let outcome = client.post("/probe/run", &json!([too_much()[0]])).await.json();
        more.fetch_add(usize::from(outcome[0]["error"].is_null()), Ordering::Relaxed);
        if is_ready(&admin).await { Err("it is".to_owned()) } else { Ok(()) }
    })
    .await;
    host.logged("the audit log cannot be written", PATIENCE).await;
    // What asks no database goes on.
    assert_eq!(client.get("/probe/hello").await.status, 200);
    until_written_again(&host).await;
    let outcome = client.post("/probe/run", &json!([{ "do": "query" }])).await.json();
    assert!(outcome[0]["error"].is_null(), "{outcome}");
    let (folder, _) = stopped(host).await;
    let lines = lines(folder.path()).unwrap();
    let told = story(&lines).into_iter().filter(|told| told == "query done 1").count();
    assert_eq!(told, done + more.into_inner() + 1, "a line for each that was done, and none for the others");
}

#[tokio::test]
async fn work_goes_on_while_the_disk_is_full_where_that_is_wanted() {
    let host = start_on_a_small_disk("continue").await;
    let (client, admin) = (host.client(), host.admin().await);
    let outcomes = client.post("/probe/run", &too_much()).await.json();
    let failed = outcomes.as_array().unwrap().iter().find(|outcome| !outcome["error"].is_null());
    assert!(failed.is_none(), "{failed:?}");
    let alarm = host.logged("the audit log cannot be written", PATIENCE).await;
    assert!(alarm.to_lowercase().contains("error"), "{alarm}");
    assert!(is_ready(&admin).await, "it works");
    until_written_again(&host).await;
    let (folder, _) = stopped(host).await;
    let lines = lines(folder.path()).unwrap();
    assert_eq!(story(&lines).into_iter().filter(|told| told == "query done 1").count(), 300, "its lines were kept meanwhile");
    assert!(lines.iter().any(|line| line["kind"] == "gap" && line["lines"] == 0), "and the hole is told");
    assert!(fs::metadata(folder.path().join("audit.log")).unwrap().len() > FULL);
}
