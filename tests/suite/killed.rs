//! What a host that died leaves on its servers, and for how long: what README.md promises, with the settings scaled down.

use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::json;
use support::{
    client,
    host::{Host, Setup},
    proxy::Proxy,
    servers::{Engine, Seen, ServerDatabase},
    wire::Wire,
};
use tokio::time::Instant;

const GRANT: &str = "limits = { deadline = \"60s\" }\ndatabases.main = { access = \"read-write\" }";
const PATIENCE: Duration = Duration::from_secs(20);
/// What a server takes to act on a limit that was reached, and this test to see it: milliseconds, but for a machine that is busy with
/// other tests. Far from what it takes without a limit.
const SLACK: Duration = Duration::from_secs(15);
/// How often PostgreSQL looks whether the client of a running statement is still there.
const LOOKED_FOR: Duration = Duration::from_secs(1);

/// How the host goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// `kill -9`: its sockets are closed for it.
    Killed,
    /// With its machine, or the network to it: nobody closes anything.
    Vanished,
}

/// What its session was at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A statement, in a transaction.
    Running,
    /// Nothing, in a transaction.
    Idle,
}

/// The two limits, in seconds.
#[derive(Clone, Copy, Debug)]
struct Limits {
    statement: u64,
    idle: u64,
}

/// Never reached.
const LONG: u64 = 60;

/// How long the session may be there after the death of its host.
fn promised(engine: Engine, death: Death, state: State, limits: Limits) -> Duration {
    let (statement, idle) = (Duration::from_secs(limits.statement), Duration::from_secs(limits.idle));
    match (death, state, engine) {
        (Death::Killed, State::Idle, _) => Duration::ZERO,
        (Death::Killed, State::Running, Engine::Postgres) => LOOKED_FOR.min(statement),
        (Death::Killed, State::Running, Engine::Mariadb) => statement,
        (Death::Vanished, State::Idle, _) => idle,
        // The statement ends, and then its transaction idles.
        (Death::Vanished, State::Running, _) => statement + idle,
    }
}

/// A statement that does not look whether anybody still wants to know.
fn busy(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => engine.minute(),
        Engine::Mariadb => "SELECT BENCHMARK(1000000000000, MD5('a'))",
    }
}

/// A host whose first session has a transaction open, and is at something in it or at nothing; which one it is.
async fn with_a_transaction(database: &ServerDatabase, proxy: &Proxy, state: State, limits: Limits) -> (Host, i64) {
    let settings = format!(
        "control_url = \"{}\"\nstatement_timeout = \"{}s\"\nidle_in_transaction_timeout = \"{}s\"\nmax_connections = 2",
        database.control_url_at(proxy.address()),
        limits.statement,
        limits.idle,
    );
    let host =
        Setup::new().database("main", &database.url_at(proxy.address()), &settings).plugin("probe", "probe", GRANT).start().await;
    let engine = database.engine();
    // An idle transaction of a call that waits for another session.
    let (on, sql) = match state {
        State::Running => ("t", busy(engine)),
        State::Idle => ("main", engine.minute()),
    };
    let steps = json!([
        { "do": "begin", "as": "t" },
        { "do": "execute", "on": "t", "sql": "INSERT INTO notes VALUES ('mine')" },
        { "do": "query", "on": on, "sql": sql },
    ]);
    let request = http::Request::post("/probe/run").body(client::bytes(steps.to_string())).unwrap();
    let client = host.client();
    // Its answer will not come.
    tokio::spawn(async move { drop(client.open(request).await) });
    let sessions = database.until_running(sql, PATIENCE).await;
    let is_it = |session: &&Seen| session.user == database.owner() && (session.running == sql) == (state == State::Running);
    (host, sessions.iter().find(is_it).unwrap_or_else(|| panic!("{sessions:#?}")).id)
}

/// Gives back the database, which is dropped when no other of these runs: until then, a drop would block them all.
async fn dies(engine: Engine, death: Death, state: State, limits: Limits) -> ServerDatabase {
    let database = ServerDatabase::create(engine).await;
    database.execute("CREATE TABLE notes (note VARCHAR(100) PRIMARY KEY)").await;
    let proxy = Proxy::start(database.address(), database.control().to_owned()).await;
    let (host, session) = with_a_transaction(&database, &proxy, state, limits).await;
    if death == Death::Vanished {
        proxy.silence_all();
    }
    // It was there when the host was not there any more to end it.
    drop(host);
    let died = Instant::now();
    let is_there = |sessions: &[Seen]| sessions.iter().any(|seen| seen.id == session);
    if promised(engine, death, state, limits) > LOOKED_FOR {
        let sessions = database.sessions().await;
        assert!(is_there(&sessions), "{engine:?} {death:?} {state:?}: {sessions:#?}");
    }
    let bound = promised(engine, death, state, limits) + SLACK;
    let what = format!("{engine:?} {death:?} {state:?} {limits:?} to be gone");
    database.until_sessions(&what, bound, |sessions| !is_there(sessions)).await;
    println!("{engine:?} {death:?} {state:?} {limits:?}: gone after {:?}, {bound:?} were allowed", died.elapsed());
    if death == Death::Killed && state == State::Running {
        database.until_nobody(bound).await;
    }
    assert_eq!(database.text("SELECT CONCAT('notes: ', COUNT(*)) FROM notes").await, "notes: 0");
    database
}

#[tokio::test]
async fn a_host_that_dies_leaves_no_transaction_on_a_server_for_longer_than_promised() {
    let limits = |statement, idle| Limits { statement, idle };
    let rows = [
        // Long enough for the host to be dead before it acts on them itself.
        (Death::Killed, State::Running, limits(4, LONG)),
        (Death::Killed, State::Idle, limits(LONG, LONG)),
        (Death::Vanished, State::Running, limits(4, 2)),
        (Death::Vanished, State::Idle, limits(LONG, 4)),
        // The limits are what ends them, and not something shorter.
        (Death::Vanished, State::Idle, limits(LONG, 7)),
    ];
    let all = rows.into_iter().flat_map(|(death, state, limits)| Engine::ALL.map(|engine| dies(engine, death, state, limits)));
    stream::iter(all).buffer_unordered(3).collect::<Vec<ServerDatabase>>().await;
}

/// On MongoDB what runs has the host's limit with it, and takes its transaction along. A transaction that idles has none but the server's own,
/// of a minute.
#[tokio::test]
async fn a_host_that_dies_leaves_no_operation_on_mongodb_for_longer_than_promised() {
    for (death, statement) in [(Death::Killed, LONG), (Death::Vanished, 8)] {
        let wire = Wire::start();
        wire.block("insert");
        let proxy = Proxy::start(wire.address().to_string(), "wharf control".to_owned()).await;
        let url = format!("mongodb://{}/stand_in?directConnection=true", proxy.address());
        let settings = format!("statement_timeout = \"{statement}s\"\nmax_pool_size = 2");
        let host = Setup::new().database("main", &url, &settings).plugin("probe", "documents_matrix", GRANT).start().await;
        let request = http::Request::post("/probe/first-operation?insert=notes").body(client::bytes("")).unwrap();
        let client = host.client();
        // Its answer will not come.
        tokio::spawn(async move { drop(client.open(request).await) });
        wire.until("the first operation", PATIENCE, |wire| (wire.waiting() == ["insert"]).then_some(())).await;
        assert_eq!(wire.transactions(), 1);
        if death == Death::Vanished {
            proxy.silence_all();
        }
        drop(host);
        let died = Instant::now();
        let gone = |wire: &Wire| (wire.waiting().is_empty() && wire.transactions() == 0).then_some(());
        if death == Death::Vanished {
            assert_eq!(gone(&wire), None);
        }
        let promised = if death == Death::Killed { Duration::ZERO } else { Duration::from_secs(statement) };
        wire.until("it to be gone", promised + SLACK, gone).await;
        println!("MongoDB {death:?}: gone after {:?}, {promised:?} were promised", died.elapsed());
    }
}
