//! The commands that ask a running host: what they print, what they do, and how they end.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use serde_json::{Value as Json, json};
use support::{
    client::Reply,
    host::{self, Host, Setup},
    schema::violations,
    servers::{Engine, ServerDatabase},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

use crate::tree;

const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "secret-token-of-the-test";

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    /// The document that it printed.
    fn json(&self) -> Json {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// It ended like this, and said so.
    fn failed(&self, code: i32, part: &str) {
        assert!(self.code == Some(code) && self.stderr.contains(part) && self.stdout.is_empty(), "{part}: {self:?}");
    }
}

async fn end(command: Command) -> Ended {
    let host::Ended { code, stdout, stderr } = host::end(command, PATIENCE).await;
    Ended { code, stdout, stderr }
}

/// Runs `wharf` with this command line.
async fn wharf(line: &str) -> Ended {
    let mut command = host::command();
    command.args(line.split(' ')).env_remove("WHARF_ADMIN_TOKEN");
    end(command).await
}

async fn start(database: &ServerDatabase) -> Host {
    let grant = "limits = { deadline = \"60s\" }\ndatabases.main = { access = \"read-write\" }";
    Setup::new()
        .toml(&format!("[admin]\ntoken = \"{TOKEN}\""))
        .database("main", &database.url(), "statement_timeout = \"60s\"")
        .plugin("probe", "probe", grant)
        .start()
        .await
}

/// Begins a call that runs a statement of a minute.
async fn minute(host: &Host, database: &ServerDatabase) -> tokio::task::JoinHandle<Reply> {
    let (client, sql) = (host.client().patience(PATIENCE * 2), database.engine().minute());
    let call = tokio::spawn(async move { client.post("/probe/run", &json!([{ "do": "query", "sql": sql }])).await });
    database.until_running(sql, PATIENCE).await;
    call
}

fn is_of_its_schema(document: &Json, name: &str) {
    let schema = serde_json::from_str(&tree::read(&format!("host/src/admin/schema/{name}.json"))).unwrap();
    assert_eq!(violations(&schema, document), Vec::<String>::new(), "{document}");
}

#[tokio::test]
async fn who_holds_what_is_shown_and_a_call_ended() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let host = start(&database).await;
    let folder = host.folder().display().to_string();
    let nobody = wharf(&format!("ps --config {folder}")).await;
    assert_eq!((nobody.code, nobody.stdout.as_str(), nobody.stderr.as_str()), (Some(0), "no call runs\n", ""));

    let call = minute(&host, &database).await;
    let shown = wharf(&format!("ps --config {folder}")).await;
    let lines: Vec<&str> = shown.stdout.lines().collect();
    assert!(shown.code == Some(0) && lines.len() == 2, "{shown:?}");
    assert!(lines[0].starts_with("ID ") && lines[0].ends_with(" STATEMENT"), "{shown:?}");
    for part in ["probe", "running", "main", "query", "SELECT pg_sleep (?), ?, ?"] {
        assert!(lines[1].contains(part), "{part}: {shown:?}");
    }
    let calls = wharf(&format!("ps --json --config {folder}/wharf.toml")).await.json();
    is_of_its_schema(&calls, "calls");

    let pools = wharf(&format!("pools --config {folder}")).await;
    for part in ["connections: ", "DATABASE ", "RECLAIMED-24H", "main ", "PLUGIN ", "read-write"] {
        assert!(pools.code == Some(0) && pools.stdout.contains(part), "{part}: {pools:?}");
    }
    is_of_its_schema(&wharf(&format!("pools --json --config {folder}")).await.json(), "database-pool");
    let plugins = wharf(&format!("plugins --config {folder}")).await;
    assert!(plugins.stdout.contains("/probe, /probe/{*rest}") && plugins.stdout.contains(" 1/"), "{plugins:?}");
    is_of_its_schema(&wharf(&format!("plugins --config {folder} --json")).await.json(), "plugins");

    let request_id = calls["calls"][0]["request_id"].as_str().unwrap();
    let cancelled = wharf(&format!("call cancel {request_id} --config {folder}")).await;
    let expected = format!("(request {request_id}) is cancelled; its connection is taken back\n");
    assert!(cancelled.code == Some(0) && cancelled.stdout.ends_with(&expected), "{cancelled:?}");
    assert_eq!(call.await.unwrap().problem(), (503, "cancelled-by-operator".to_owned()));
    wharf(&format!("call cancel {request_id} --config {folder}")).await.failed(1, "No call of this number or request id runs");
    let call = minute(&host, &database).await;
    let id = wharf(&format!("ps --json --config {folder}")).await.json()["calls"][0]["id"].to_string();
    let cancelled = wharf(&format!("call cancel --config {folder} --json {id}")).await;
    assert_eq!(cancelled.json()["id"].to_string(), id, "{cancelled:?}");
    assert_eq!(call.await.unwrap().status, 503);
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_pool_is_drained_within_its_time_or_the_command_says_what_is_left() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let host = start(&database).await;
    let at = format!("--host unix:{}", socket(&host).display());
    let call = minute(&host, &database).await;
    let held = wharf(&format!("pools drain main --timeout 200ms {at}")).await;
    held.failed(1, "database main has 1 connections still, 1 of them lent and 0 unconfirmed, after 200ms");
    assert!(held.stderr.contains("`wharf pools resume main`"), "{held:?}");
    let id = wharf(&format!("ps --json {at}")).await.json()["calls"][0]["id"].to_string();
    assert_eq!(wharf(&format!("call cancel {id} {at}")).await.code, Some(0));
    assert_eq!(call.await.unwrap().status, 503);
    let drained = wharf(&format!("pools drain main {at}")).await;
    assert_eq!((drained.code, drained.stdout.as_str()), (Some(0), "database main: drained\n"), "{drained:?}");
    database.until_sessions("the control path alone to be there", PATIENCE, |sessions| sessions.len() == 1).await;
    let resumed = wharf(&format!("pools {at} resume main")).await;
    assert_eq!((resumed.code, resumed.stdout.as_str()), (Some(0), "database main: up\n"), "{resumed:?}");
    wharf(&format!("pools drain other {at}")).await.failed(1, "There is no database of this name");
    wharf(&format!("pools drain ../calls {at}")).await.failed(2, "cannot be the name of a database");
    wharf(&format!("pools {at} --watch 5 resume main")).await.failed(2, "`--watch` is for looking");
    assert_eq!(host.stop().await.code, Some(0));
}

fn socket(host: &Host) -> PathBuf {
    host.folder().join(".wharf/run/admin.sock")
}

#[tokio::test]
async fn where_no_host_is_and_where_it_refuses_the_command_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().display();
    wharf(&format!("ps --host unix:{nowhere}/none.sock")).await.failed(1, "no host answers at unix:");
    wharf(&format!("ps --config {nowhere}")).await.failed(2, "no host is named, and there is no");
    wharf("ps --host ftp://x").await.failed(2, "is no place of a host");
    wharf("call cancel a/b").await.failed(2, "neither the number of a call nor a request id");
    wharf(&format!("ps --host http://localhost:1 --token-file {nowhere}/none")).await.failed(2, "cannot read `");
    fs::write(folder.path().join("wharf.toml"), "[admin").unwrap();
    assert_eq!(wharf(&format!("ps --config {nowhere}")).await.code, Some(2));

    let host = Setup::new().toml(&format!("[admin]\ntoken = \"{TOKEN}\"")).plugin("probe", "probe", "").start().await;
    let at = format!("--host http://{}", host.admin_address().await);
    assert_eq!(wharf(&format!("ps {at}")).await.code, Some(0));
    wharf(&format!("call cancel 1 {at}")).await.failed(1, "wants its token");
    wharf(&format!("ps --host http://{}", host.address())).await.failed(1, "does not know /calls: it is no admin listener");
    for (token, part) in [("another-token-than-that", "does not take this token"), (TOKEN, "No call of this number")] {
        let mut command = host::command();
        command.args(format!("call cancel 1 {at}").split(' ')).env("WHARF_ADMIN_TOKEN", token);
        end(command).await.failed(1, part);
        let file = folder.path().join("token");
        fs::write(&file, format!("{token}\n")).unwrap();
        let ended = wharf(&format!("call cancel 1 {at} --token-file {}", file.display())).await;
        ended.failed(1, part);
        assert!(!ended.stderr.contains(token), "{ended:?}");
    }
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn another_user_is_told_whose_the_socket_is() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        // Nobody else can be played.
        return;
    }
    let host = Setup::new().plugin("probe", "probe", "").start().await;
    let path = socket(&host);
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &std::path::Path| fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    // Where the other one can run it.
    let binary = folder.path().join("wharf");
    fs::copy(host::binary(), &binary).unwrap();
    [folder.path(), binary.as_path()].into_iter().for_each(open);
    let stranger = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary).arg("ps").arg("--host");
        command.arg(format!("unix:{}", path.display()));
        command
    };
    end(stranger()).await.failed(1, "only user 0 and root may ask the host at");
    // As if somebody had opened all doors.
    path.ancestors().skip(1).take(3).for_each(open);
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    end(stranger()).await.failed(1, "serves only its owner, user 0, and root");
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_host_is_watched_also_while_it_is_away() {
    let host = Setup::new().plugin("probe", "probe", "").start().await;
    let mut command = host::command();
    command.args(["plugins", "--json", "--watch", "1", "--host", &format!("unix:{}", socket(&host).display())]);
    let mut watching = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut documents = BufReader::new(watching.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let document = timeout(PATIENCE, documents.next_line()).await.unwrap().unwrap().unwrap();
        is_of_its_schema(&serde_json::from_str(&document).unwrap(), "plugins");
    }
    assert_eq!(host.stop().await.code, Some(0));
    let mut told = BufReader::new(watching.stderr.take().unwrap()).lines();
    for _ in 0..2 {
        let line = timeout(PATIENCE, told.next_line()).await.unwrap().unwrap().unwrap();
        assert!(line.contains("no host answers at unix:"), "{line}");
    }
    assert!(watching.try_wait().unwrap().is_none());
    watching.kill().await.unwrap();
}
