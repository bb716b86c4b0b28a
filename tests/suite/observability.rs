//! `/metrics` of a host with a hostile handler, against what was done and what the server says; and that the dashboard and the alerts of
//! `examples/observability` name nothing that is not there.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value as Json, json};
use support::{
    client::Client,
    host::{Host, Setup},
    servers::{Engine, ServerDatabase},
    wait::until,
};
use wharf::{
    call::Outcome,
    pool::{Counter, End, Ended, Step},
};

use crate::{
    metrics::{complaints, promtool},
    tls::{certificates::Authority, listener},
    tree,
};

const PATIENCE: Duration = Duration::from_secs(30);
const POOL: (&str, &str) = ("db_client_connection_pool_name", "main");
/// What Prometheus adds to every series.
const OF_THE_SCRAPE: [&str; 2] = ["instance", "job"];

/// Labels with their values.
type Labels<'a> = &'a [(&'a str, &'a str)];

/// One line of the metrics.
#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// The lines that are series. No label here has a quote or a comma in it.
fn samples(text: &str) -> Vec<Sample> {
    text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels.strip_suffix('}').unwrap_or(labels).split(',').filter_map(|label| label.split_once('='));
    let labels = labels.map(|(label, value)| (label.to_owned(), value.trim_matches('"').to_owned())).collect();
    Sample { name: name.to_owned(), labels, value: value.parse().unwrap_or_else(|error| panic!("{line}: {error}")) }
}

/// The sum of the series of a metric that have these labels; `None` when there is none.
fn value(samples: &[Sample], name: &str, labels: Labels<'_>) -> Option<f64> {
    let has = |sample: &Sample| labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|it| it == value));
    let mut found = samples.iter().filter(|sample| sample.name == name && has(sample)).map(|sample| sample.value).peekable();
    found.peek().is_some().then(|| found.sum())
}

async fn scrape(admin: &Client) -> String {
    let reply = admin.get("/metrics").await;
    assert_eq!(reply.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8", "{reply:?}");
    reply.text().to_owned()
}

async fn start(database: &ServerDatabase) -> Host {
    let settings = "max_connections = 3\nmin_connections = 0\nstatement_timeout = \"2s\"";
    let grant = "limits = { deadline = \"60s\" }\ndatabases.main = { access = \"read-write\" }";
    let audit = "[audit]\nfile = \"audit.log\"\nkey = \"0123456789abcdef0123456789abcdef\"\n";
    Setup::new().toml(audit).database("main", &database.url(), settings).plugin("probe", "probe", grant).start().await
}

/// Three answers; two traps in a transaction; a statement that takes too long, and one that fails; a path that is nobody's.
async fn misbehave(host: &Host) {
    let client = host.client();
    for _ in 0..3 {
        assert_eq!(client.get("/probe/hello").await.status, 200);
    }
    let steps = json!([{ "do": "begin", "as": "t" }, { "do": "query", "on": "t", "sql": "SELECT 1" }]);
    for _ in 0..2 {
        assert_eq!(client.post("/probe/run-and-trap", &steps).await.problem().1, "handler-trapped");
    }
    // The server is not to end it at the same moment.
    let steps = json!([
        { "do": "begin", "as": "t" },
        { "do": "execute", "on": "t", "sql": "SET LOCAL statement_timeout = 0" },
        { "do": "query", "on": "t", "sql": Engine::Postgres.minute() },
    ]);
    let late = client.post("/probe/run", &steps).await.json();
    assert_eq!(late[2]["error"]["kind"], "deadline-exceeded", "{late}");
    let failed = client.post("/probe/run", &json!([{ "do": "query", "sql": "SELECT 1 FROM nothing_of_this_name" }])).await.json();
    assert!(failed[0]["error"].is_object(), "{failed}");
    assert_eq!(client.get("/nobody").await.problem().1, "no-route");
}

/// The metrics, once everything is given back and told.
async fn settled(admin: &Client) -> String {
    until("the reclaims to be told", PATIENCE, || async {
        let text = scrape(admin).await;
        let found = samples(&text);
        let busy = ["used", "reclaiming", "connecting"]
            .map(|state| value(&found, "db_client_connection_count", &[POOL, ("db_client_connection_state", state)]));
        let told = value(&found, "wharf_lease_reclaims_total", &[POOL]);
        let requests = value(&found, "http_server_request_duration_seconds_count", &[]);
        if busy == [Some(0.0); 3] && told == Some(3.0) && requests == Some(8.0) { Ok(text) } else { Err(text) }
    })
    .await
}

#[tokio::test]
async fn what_was_done_is_told_and_agrees_with_the_server_and_the_health() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let host = start(&database).await;
    let admin = host.admin().await;
    misbehave(&host).await;
    let found = samples(&settled(&admin).await);
    let plugin = ("plugin", "probe");
    let requests = "http_server_request_duration_seconds_count";
    let (get, post) = (("http_request_method", "GET"), ("http_request_method", "POST"));
    let (ok, error) = (("http_response_status_code", "200"), ("error_type", "handler-trapped"));
    let (rolled_back, trapped) = (("step", Step::RolledBack.name()), ("reason", Ended::CallEnded(End::Trapped).name()));
    let rows: &[(&str, Labels<'_>, f64)] = &[
        (requests, &[plugin, get, ok, ("http_route", "/probe/{*rest}")], 3.0),
        (requests, &[plugin, post, ok], 2.0),
        (requests, &[plugin, post, error, ("http_response_status_code", "500")], 2.0),
        (requests, &[get, ("http_response_status_code", "404"), ("error_type", "no-route")], 1.0),
        ("http_server_active_requests", &[], 0.0),
        ("wharf_calls_total", &[plugin, ("outcome", Outcome::Answered.as_str())], 5.0),
        ("wharf_calls_total", &[plugin, ("outcome", Outcome::Trapped.as_str())], 2.0),
        ("wharf_calls_total", &[plugin], 7.0),
        ("wharf_call_duration_seconds_count", &[plugin], 7.0),
        ("wharf_call_queue_seconds_count", &[plugin], 7.0),
        ("wharf_calls_running", &[plugin], 0.0),
        ("wharf_lease_reclaims_total", &[POOL, rolled_back, trapped], 2.0),
        ("wharf_reclaim_seconds_count", &[POOL, trapped], 2.0),
        ("wharf_reclaim_seconds_count", &[POOL, ("reason", Ended::TimedOut.name())], 1.0),
        ("db_client_operation_duration_seconds_count", &[POOL, ("db_operation_name", "begin")], 3.0),
        ("db_client_operation_duration_seconds_count", &[POOL, ("db_operation_name", "query")], 4.0),
        ("db_client_operation_duration_seconds_count", &[POOL, ("error_type", "timed-out")], 1.0),
        ("db_client_operation_duration_seconds_count", &[POOL, ("error_type", "invalid")], 1.0),
        ("db_client_operation_duration_seconds_count", &[("db_system_name", "postgresql")], 8.0),
        ("db_client_connection_wait_time_seconds_count", &[POOL], 4.0),
        ("db_client_connection_use_time_seconds_count", &[POOL], 4.0),
        ("db_client_connection_timeouts_total", &[POOL], 0.0),
        ("db_client_connection_max", &[POOL], 3.0),
        ("wharf_database_up", &[POOL], 1.0),
        ("wharf_host_connections_max", &[], 50.0),
        ("wharf_host_calls_waiting", &[], 0.0),
        ("wharf_generation", &[], 1.0),
        ("wharf_reloads_total", &[], 0.0),
        ("wharf_audit_available", &[], 1.0),
        ("wharf_audit_failures_total", &[], 0.0),
        ("wharf_audit_lost_lines_total", &[], 0.0),
    ];
    for (name, labels, expected) in rows {
        assert_eq!(value(&found, name, labels), Some(*expected), "{name} {labels:?}");
    }
    for name in ["wharf_fuel_used_total", "wharf_memory_peak_bytes", "wharf_compile_seconds", "process_resident_memory_bytes"] {
        assert!(value(&found, name, &[]).is_some_and(|value| value > 0.0), "{name}");
    }
    let component = admin.get("/plugins").await.json()["plugins"][0]["digest"].as_str().unwrap().to_owned();
    assert_eq!(value(&found, "wharf_plugin_info", &[plugin, ("digest", component.as_str())]), Some(1.0));
    // With the control path.
    let sessions = value(&found, "db_client_connection_count", &[POOL]).unwrap() + 1.0;
    assert!((sessions - database.sessions().await.len() as f64).abs() < 0.5, "{sessions}");
    // Every counter is there, and says what the health says.
    let health = admin.get("/health/database-pool").await.json();
    let counters = &health["databases"][0]["counters"];
    for counter in Counter::ALL {
        let told = match counter {
            Counter::WaitTimeouts => value(&found, "db_client_connection_timeouts_total", &[POOL]),
            other => value(&found, "wharf_pool_events_total", &[POOL, ("event", other.name())]),
        };
        assert_eq!(told, counters[counter.name()].as_f64(), "{counter:?}: {counters}");
    }
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn prometheus_dislikes_nothing_of_a_host_but_a_name_of_the_conventions() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let host = start(&database).await;
    misbehave(&host).await;
    let text = settled(&host.admin().await).await;
    let told = complaints(&text);
    let others: Vec<&str> = told.lines().filter(|line| !line.starts_with("db_client_connection_count ")).collect();
    assert!(others.is_empty(), "{others:?}\n{text}");
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn metrics_can_be_switched_off() {
    let host = Setup::new().toml("[metrics]\nenabled = false").plugin("probe", "probe", "").start().await;
    assert_eq!(host.client().get("/probe/hello").await.status, 200);
    assert_eq!(host.admin().await.get("/metrics").await.problem(), (404, "not-found".to_owned()));
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn who_may_not_ask_is_counted() {
    let token = "a-token-of-the-test";
    let closed = format!("[admin]\ntoken = \"{token}\"\nopen_views = false");
    let host = Setup::new().toml(&closed).plugin("probe", "probe", "").start().await;
    let admin = host.admin().await;
    let ask = async |authorization: &str| {
        let request = http::Request::get("/metrics").header("authorization", authorization);
        let answer = admin.open(request.body(support::client::bytes("")).unwrap()).await.unwrap();
        answer.whole().await.unwrap()
    };
    assert_eq!(admin.get("/metrics").await.status, 401);
    assert_eq!(ask("Bearer another-token-than-that").await.status, 401);
    let found = samples(ask(&format!("Bearer {token}")).await.text());
    let denied = |reason| value(&found, "wharf_admin_denied_total", &[("reason", reason)]);
    assert_eq!(["no-token", "wrong-token", "cross-site", "misdirected"].map(denied), [1.0, 1.0, 0.0, 0.0].map(Some));
    assert_eq!(host.stop().await.code, Some(0));
}

/// What an expression names.
#[derive(Debug, Default, PartialEq)]
struct Named {
    metrics: BTreeSet<String>,
    labels: BTreeSet<String>,
    /// Words that a label is asked to be.
    values: BTreeSet<(String, String)>,
}

/// What stands before a list of labels.
const LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// What stands between expressions, or before `by`.
const WORDS: [&str; 9] = ["and", "or", "unless", "bool", "offset", "sum", "min", "max", "avg"];

/// Takes an expression apart, as far as names go.
fn named(expression: &str) -> Named {
    let mut named = Named::default();
    let (mut in_braces, mut in_list, mut list_follows) = (false, false, false);
    let mut label = String::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let is_of_a_word = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | ':' | '.');
        let length = match first {
            '"' => 2 + rest[1..].find('"').unwrap_or_else(|| panic!("{expression}")),
            '[' => 1 + rest.find(']').unwrap_or_else(|| panic!("{expression}")),
            '$' => 1 + rest[1..].find(|it: char| !is_of_a_word(it)).unwrap_or(rest.len() - 1),
            _ if is_of_a_word(first) => rest.find(|it: char| !is_of_a_word(it)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        match first {
            '{' => in_braces = true,
            '}' => in_braces = false,
            '(' => (in_list, list_follows) = (list_follows, false),
            ')' => in_list = false,
            '"' => {
                let is_word = |text: &&str| text.chars().all(|it| it.is_ascii_alphanumeric() || "-_".contains(it));
                let words = token.trim_matches('"').split('|').filter(|text| !text.is_empty()).filter(is_word);
                named.values.extend(words.map(|word| (label.clone(), word.to_owned())));
            }
            _ if !(first.is_ascii_alphabetic() || first == '_') => {}
            _ if in_braces || in_list => {
                token.clone_into(&mut label);
                named.labels.insert(token.to_owned());
            }
            _ if LISTS.contains(&token) => list_follows = true,
            _ if WORDS.contains(&token) || rest.trim_start().starts_with('(') => {}
            _ => {
                named.metrics.insert(token.to_owned());
            }
        }
    }
    named
}

#[test]
fn names_are_found_in_expressions() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let found = named(
        "histogram_quantile(0.99, sum by (le, pool) (rate(a_bucket{kind=~\"x|y-z\",not!=\"\",host=~\"$host\"}[$__rate_interval]))) \
         >= 0.8 * b and on (job) c:d > 1 - max(e)",
    );
    assert_eq!(found.metrics, set(&["a_bucket", "b", "c:d", "e"]));
    assert_eq!(found.labels, set(&["le", "pool", "kind", "not", "host", "job"]));
    let values = [("kind", "x"), ("kind", "y-z")].map(|(label, value)| (label.to_owned(), value.to_owned()));
    assert_eq!(found.values, values.into_iter().collect());
}

/// All expressions below a value of JSON.
fn expressions(json: &Json, found: &mut Vec<String>) {
    match json {
        Json::Object(fields) => {
            found.extend(fields.get("expr").and_then(Json::as_str).map(str::to_owned));
            fields.values().for_each(|field| expressions(field, found));
        }
        Json::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_dashboard_and_the_alerts_name_nothing_that_is_not_there() {
    let mut all = Vec::new();
    let dashboard: Json = serde_json::from_str(&tree::read("examples/observability/dashboard.json")).unwrap();
    expressions(&dashboard, &mut all);
    let in_dashboard = all.len();
    let alerts = tree::read("examples/observability/alerts.yaml");
    all.extend(alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).map(str::to_owned));
    assert!(in_dashboard > 20 && all.len() - in_dashboard == alerts.matches("alert: ").count(), "{}", all.len());

    let database = ServerDatabase::create(Engine::Postgres).await;
    let host = start(&database).await;
    misbehave(&host).await;
    let mut found = samples(&settled(&host.admin().await).await);
    let secured = listener::start(&Authority::new("right"), &[]).await;
    found.extend(samples(&scrape(&secured.admin().await).await));
    let metrics: BTreeSet<&str> = found.iter().map(|sample| sample.name.as_str()).collect();
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = OF_THE_SCRAPE.map(|label| (label, BTreeSet::new())).into();
    for (label, value) in found.iter().flat_map(|sample| &sample.labels) {
        labels.entry(label).or_default().insert(value);
    }
    for expression in &all {
        let named = named(expression);
        assert!(!named.metrics.is_empty(), "{expression}");
        for metric in &named.metrics {
            assert!(metrics.contains(metric.as_str()), "{metric} of {expression}");
        }
        for label in &named.labels {
            assert!(labels.contains_key(label.as_str()), "{label} of {expression}");
        }
        for (label, value) in &named.values {
            assert!(labels[label.as_str()].contains(value.as_str()), "{label} is never {value}: {expression}");
        }
    }
    // And what the README tells of is there, under its whole name.
    let readme = tree::read("examples/observability/README.md");
    let told = readme.split('`').skip(1).step_by(2).filter(|name| name.starts_with("wharf_") || name.ends_with("_seconds"));
    for name in told.filter(|name| !name.starts_with('_')) {
        assert!([name.to_owned(), format!("{name}_count")].iter().any(|name| metrics.contains(name.as_str())), "{name}");
    }
    for host in [host, secured] {
        assert_eq!(host.stop().await.code, Some(0));
    }
}

#[test]
fn the_alerts_are_well_formed_and_go_off_when_they_should() {
    let folder = tree::root().join("examples/observability");
    for arguments in [&["check", "rules", "alerts.yaml"][..], &["test", "rules", "alerts_test.yaml"]] {
        let (is_fine, said) = promtool(arguments, &folder, "");
        assert!(is_fine, "{arguments:?}: {said}");
    }
    // Each of them is tried.
    let tested = tree::read("examples/observability/alerts_test.yaml");
    for alert in tree::read("examples/observability/alerts.yaml").lines().filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        let goes_off = format!("alertname: {alert}\n        exp_alerts:\n          - ");
        let stays_quiet = format!("alertname: {alert}, exp_alerts: []");
        assert!(tested.contains(&goes_off) && tested.contains(&stays_quiet), "{alert}");
    }
}
