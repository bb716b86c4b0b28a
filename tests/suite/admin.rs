//! The admin listener of a running host: who may ask, and what it says while the host starts, serves, loses a database and stops.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    pin::pin,
    time::Duration,
};

use futures::future::join_all;
use http::Request;
use serde_json::json;
use support::{
    client::{Client, bytes},
    host::{Host, Setup, Signal},
    postgres, secrets,
    servers::{Engine, ServerDatabase},
    wait::until,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    process::Command,
    time::{Instant, timeout},
};

const GRANT: &str = "limits = { deadline = \"60s\" }\ndatabases.main = { access = \"read-write\" }";
const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "secret-token-of-the-test";

/// The page has a policy of its own, since it does something.
const ON_EVERY_ANSWER: [(&str, &str); 4] = [
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
];

/// Whether the host is ready, and else why not.
async fn readiness(admin: &Client) -> Result<(), Vec<String>> {
    let reply = admin.get("/health/ready").await;
    let document = reply.json();
    assert_eq!(document["ready"], json!(reply.status == 200), "{reply:?}");
    let word = |reason: &serde_json::Value, key: &str| reason[key].as_str().unwrap_or_default().to_owned();
    let reasons = document["reasons"].as_array().cloned().unwrap_or_default();
    let reasons: Vec<String> =
        reasons.iter().map(|reason| format!("{} {}", word(reason, "code"), word(reason, "database"))).collect();
    assert_eq!(reasons.is_empty(), reply.status == 200, "{reply:?}");
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

async fn until_not_ready(admin: &Client, expected: &str) {
    until(expected, PATIENCE, || async {
        let found = readiness(admin).await;
        if found == Err(vec![expected.to_owned()]) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

fn socket(host: &Host) -> PathBuf {
    host.folder().join(".wharf/run/admin.sock")
}

/// Sends a request line and headers as they are, and gives back status and the whole answer.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, head: &str) -> (u16, String) {
    let mut answer = String::new();
    let asking = async {
        stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        stream.read_to_string(&mut answer).await.unwrap();
    };
    timeout(PATIENCE, asking).await.unwrap();
    secrets::assert_kept("the admin listener", &answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no answer to {head}: {answer:?}")), answer)
}

async fn ask_on_network(host: &Host, head: &str) -> (u16, String) {
    ask(TcpStream::connect(host.admin_address().await).await.unwrap(), head).await
}

#[tokio::test]
async fn it_answers_before_any_database_does_and_is_gone_with_the_host() {
    // Takes the connection, and says nothing for ever.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://app:hunter2@{}/app", silent.local_addr().unwrap());
    let host = Setup::new().database("main", &url, "connect_timeout = \"10m\"").plugin("probe", "probe", GRANT).begin();
    let (_connection, _) = timeout(PATIENCE, silent.accept()).await.unwrap().unwrap();
    let admin = host.admin().await;
    assert_eq!(readiness(&admin).await, Err(vec!["starting ".to_owned()]));
    assert_eq!(admin.get("/health/live").await.json(), json!({ "live": true }));
    host.signal(Signal::Interrupt);
    let ended = host.ended(PATIENCE).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let request = Request::get("/health/live").body(bytes("")).unwrap();
    assert!(admin.open(request).await.is_err());
}

#[tokio::test]
async fn a_host_is_ready_until_it_drains_and_alive_until_it_ends() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let host = Setup::new()
        .server("drain_timeout = \"10m\"")
        .database("main", &database.url(), "statement_timeout = \"60s\"")
        .plugin("probe", "probe", GRANT)
        .start()
        .await;
    let admin = host.admin().await;
    assert_eq!(readiness(&admin).await, Ok(()));
    let (client, sql) = (host.client(), Engine::Postgres.minute());
    tokio::spawn(async move { client.post("/probe/run", &json!([{ "do": "query", "sql": sql }])).await });
    database.until_running(sql, PATIENCE).await;
    host.signal(Signal::Terminate);
    until_not_ready(&admin, "draining ").await;
    assert_eq!(admin.get("/health/live").await.status, 200);
    host.signal(Signal::Terminate);
    let ended = host.ended(PATIENCE).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_is_not_ready_while_a_required_database_is_down_for_too_long() {
    let server = postgres::start();
    let url = server.superuser_url("postgres");
    let start = async |unready_after: &str| {
        let both = "databases.main = { access = \"read-write\" }\ndatabases.spare = { access = \"read-write\" }";
        Setup::new()
            .toml(&format!("[admin]\nunready_after = \"{unready_after}\""))
            .database("main", &url, "allow_superuser = true")
            .database("spare", &url, "allow_superuser = true\nrequired = false")
            .plugin("probe", "probe", both)
            .start()
            .await
    };
    let (impatient, patient) = (start("0s").await, start("1h").await);
    let (admin, other) = (impatient.admin().await, patient.admin().await);
    assert_eq!((readiness(&admin).await, readiness(&other).await), (Ok(()), Ok(())));
    server.halt();
    until_not_ready(&admin, "database-down main").await;
    assert_eq!(readiness(&other).await, Ok(()));
    assert_eq!(admin.get("/health/live").await.status, 200);
    server.resume();
    until("the database to be back", PATIENCE, || async { readiness(&admin).await.map_err(|why| format!("{why:?}")) }).await;
    for host in [impatient, patient] {
        let ended = host.stop().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn probes_are_answered_while_handlers_have_every_core_and_the_queue_is_full() {
    const WAITING: usize = 4;
    // Kubernetes gives a probe 3 s in `examples/deploy`; here other tests want the cores as well.
    const BOUND: Duration = Duration::from_secs(10);
    let cores = std::thread::available_parallelism().unwrap().get();
    let limits = format!("fuel = 9_000_000_000_000_000_000, deadline = \"10m\", max_concurrency = {cores}");
    let host = Setup::new()
        .server(&format!("max_queue = {WAITING}\nqueue_timeout = \"10m\""))
        .plugin("spins", "spins", &format!("limits = {{ {limits} }}"))
        .start()
        .await;
    let admin = host.admin().await;
    for _ in 0..cores + WAITING {
        let client = host.client().patience(PATIENCE * 10);
        // It has no answer before the host stops.
        tokio::spawn(async move { client.open(Request::get("/spins").body(bytes("")).unwrap()).await });
    }
    let (running, waiting) = (json!(cores), json!(WAITING));
    until("the overload", PATIENCE, || async {
        let plugins = admin.get("/plugins").await.json();
        let plugin = &plugins["plugins"][0];
        if (&plugin["running"], &plugin["waiting"]) == (&running, &waiting) { Ok(()) } else { Err(plugins.to_string()) }
    })
    .await;
    assert_eq!(host.client().get("/spins").await.problem(), (503, "overloaded".to_owned()));
    for path in ["/health/live", "/health/ready"].repeat(10) {
        let began = Instant::now();
        let reply = admin.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        assert!(began.elapsed() < BOUND, "{path} took {:?}", began.elapsed());
    }
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn an_address_that_others_reach_takes_a_token() {
    let elsewhere = || Setup::new().server("admin = \"0.0.0.0:0\"").plugin("probe", "probe", "");
    let ended = elsewhere().fail().await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("`server.admin` can be reached from elsewhere"), "{}", ended.stderr);
    let host = elsewhere().toml(&format!("[admin]\ntoken = \"{TOKEN}\"")).start().await;
    let (right, wrong) = (format!("\r\nauthorization: Bearer {TOKEN}"), format!("\r\nauthorization: Bearer {TOKEN}-"));
    for (request, authorization, expected) in [
        ("GET /health/live", "", 200),
        ("GET /health/ready", "", 200),
        ("GET /health/ready", &*wrong, 200),
        ("GET /nothing", "", 401),
        ("GET /nothing", &*wrong, 401),
        ("GET /nothing", &*right, 404),
        ("POST /nothing", "", 401),
        ("POST /nothing", &*wrong, 401),
        ("POST /nothing", &*right, 404),
        ("POST /health/live", &*right, 405),
    ] {
        let began = Instant::now();
        let (status, answer) = ask_on_network(&host, &format!("{request} HTTP/1.1\r\nhost: 10.0.0.1{authorization}")).await;
        assert_eq!(status, expected, "{request} {authorization}: {answer}");
        assert_eq!(answer.contains("www-authenticate: Bearer"), status == 401, "{answer}");
        // Guessing is slow.
        assert!(status != 401 || authorization.is_empty() || began.elapsed() >= Duration::from_millis(100));
        assert!(!answer.contains(TOKEN), "{answer}");
    }
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains(TOKEN), "{}", ended.stderr);
}

#[tokio::test]
async fn pages_of_others_are_kept_out_and_nothing_changes_without_a_token() {
    let host = Setup::new().plugin("probe", "probe", "").start().await;
    for (head, status, code) in [
        ("GET /health/live HTTP/1.1\r\nhost: localhost:3001", 200, ""),
        ("GET /health/live HTTP/1.1\r\nhost: [::1]\r\norigin: http://[::1]\r\nsec-fetch-site: same-origin", 200, ""),
        ("HEAD /health/live HTTP/1.1\r\nhost: 127.0.0.1", 200, ""),
        ("GET /nothing HTTP/1.1\r\nhost: 127.0.0.1", 404, "no-route"),
        ("GET /health/live/ HTTP/1.1\r\nhost: 127.0.0.1", 404, "no-route"),
        ("GET /health/live HTTP/1.1\r\nhost: evil.example", 421, "misdirected"),
        ("GET http://evil.example/health/live HTTP/1.1\r\nhost: 127.0.0.1", 421, "misdirected"),
        ("GET /health/live HTTP/1.0", 421, "misdirected"),
        ("GET /health/live HTTP/1.1\r\nhost: localhost\r\norigin: http://evil.example", 403, "cross-site"),
        ("GET /health/live HTTP/1.1\r\nhost: localhost\r\nsec-fetch-site: cross-site", 403, "cross-site"),
        ("GET /calls HTTP/1.1\r\nhost: localhost\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: navigate", 403, "cross-site"),
        ("POST /health/live HTTP/1.1\r\nhost: localhost", 401, "unauthorized"),
        ("OPTIONS /health/live HTTP/1.1\r\nhost: localhost", 401, "unauthorized"),
        ("POST /nothing HTTP/1.1\r\nhost: localhost", 401, "unauthorized"),
        ("POST /nothing HTTP/1.1\r\nhost: localhost\r\ncontent-length: 65537", 413, "body-too-large"),
    ] {
        let (found, answer) = ask_on_network(&host, head).await;
        assert_eq!(found, status, "{head}: {answer}");
        assert!(code.is_empty() || answer.contains(&format!("\"code\":\"{code}\"")), "{head}: {answer}");
        assert!(!answer.contains("access-control"), "{head}: {answer}");
        for (name, value) in ON_EVERY_ANSWER {
            assert_eq!(answer.matches(&format!("\r\n{name}: {value}\r\n")).count(), 1, "{head}: {answer}");
        }
    }
    // The page has no data in it, and a runbook may have a link to it.
    let link = "GET / HTTP/1.1\r\nhost: localhost\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: navigate";
    assert_eq!(ask_on_network(&host, link).await.0, 200);
    let many: String = (0..101).map(|number| format!("\r\nh{number}: 1")).collect();
    assert_eq!(ask_on_network(&host, &format!("GET /health/live HTTP/1.1\r\nhost: localhost{many}")).await.0, 431);
    let reply = host.admin().await.http2().get("/health/live").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "{\"live\":true}"));
    assert_eq!(reply.headers["content-type"], "application/json");
    for (name, value) in ON_EVERY_ANSWER {
        assert_eq!(reply.headers[name], value);
    }
}

#[tokio::test]
async fn who_has_nothing_more_to_ask_keeps_no_probe_waiting_and_who_watches_stays() {
    let host = Setup::new().plugin("probe", "probe", "").start().await;
    let (admin, address) = (host.admin().await, host.admin_address().await);
    let mut watching = admin.open(Request::get("/live/events").body(bytes("")).unwrap()).await.unwrap();
    // All other places that there are.
    let mut others = Vec::new();
    for _ in 1..64 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        others.push(stream);
    }
    // Traffic may be idle for longer than this is waited for.
    assert_eq!(admin.get("/health/live").await.status, 200);
    let closed = others.into_iter().map(async |mut stream: TcpStream| {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    });
    let mut closed = pin!(timeout(PATIENCE, join_all(closed)));
    let answers = loop {
        tokio::select! {
            answers = &mut closed => break answers.unwrap(),
            event = watching.chunk() => assert!(event.unwrap().is_some()),
        }
    };
    assert!(answers.iter().all(|answer| answer.starts_with(b"HTTP/1.1 200 ")), "{answers:?}");
    assert!(watching.chunk().await.unwrap().is_some());
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn the_access_log_is_for_traffic_alone() {
    let host = Setup::new().plugin("probe", "probe", "").start().await;
    for path in ["/health/live", "/health/ready", "/nothing"] {
        host.admin().await.get(path).await;
    }
    host.client().get("/probe/hello").await;
    let ended = host.stop().await;
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("\"target\":\"access\"")).collect();
    assert_eq!(lines.len(), 1, "{}", ended.stderr);
    assert!(lines[0].contains("/probe/hello"), "{lines:?}");
}

#[tokio::test]
async fn who_comes_through_the_socket_needs_no_token_and_is_the_owner() {
    let host = Setup::new().plugin("probe", "probe", "").start().await;
    let path = socket(&host);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    for (head, expected) in [
        ("GET /health/ready HTTP/1.1\r\nhost: localhost", 200),
        ("POST /nothing HTTP/1.1\r\nhost: localhost", 404),
        ("GET /health/ready HTTP/1.1\r\nhost: evil.example", 421),
    ] {
        assert_eq!(ask(UnixStream::connect(&path).await.unwrap(), head).await.0, expected, "{head}");
    }
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        // As if somebody had opened all doors.
        for folder in path.ancestors().skip(1).take(3) {
            fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let mut stranger = Command::new("setpriv");
        stranger.args(["--reuid=65534", "--regid=65534", "--clear-groups", "curl", "-s", "--max-time", "20", "--unix-socket"]);
        let output = stranger.arg(&path).arg("http://localhost/health/ready").output().await.unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        host.logged("a program of another user", PATIENCE).await;
    }
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn what_another_host_has_is_named_by_its_setting() {
    let first = Setup::new().plugin("probe", "probe", "").start().await;
    let address = first.admin_address().await;
    let same_address = Setup::new().server(&format!("admin = \"{address}\""));
    let same_socket = Setup::new().toml(&format!("[admin]\nsocket = {:?}", socket(&first)));
    for (setup, key, why) in [
        (same_address, "server.admin", address.to_string()),
        (same_socket, "admin.socket", "another host listens there".to_owned()),
    ] {
        let ended = setup.plugin("probe", "probe", "").fail().await;
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        let expected = format!("the admin listener cannot be had; `{key}` may name another");
        assert!(ended.stderr.contains(&expected) && ended.stderr.contains(&why), "{}", ended.stderr);
    }
    assert_eq!(first.admin().await.get("/health/live").await.status, 200);
    assert_eq!(
        ask(UnixStream::connect(socket(&first)).await.unwrap(), "GET /health/live HTTP/1.1\r\nhost: localhost").await.0,
        200
    );
}
