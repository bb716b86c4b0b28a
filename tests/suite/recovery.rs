//! A database server that goes away under load and comes back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::mongodb::bson::{Bson, Document, doc};
use futures::future::join_all;
use serde_json::json;
use sqlx::Connection;
use support::{
    client::Client,
    host::Setup,
    mariadb,
    mongodb::{self, MongodbDatabase},
    postgres,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// How many calls were answered, and how many failed, by the kind of error.
type Outcomes = (u64, BTreeMap<String, u64>);

const MAX: i64 = 4;
const PATIENCE: Duration = Duration::from_secs(30);

/// A server of the test's own.
enum Server {
    Postgres(postgres::Server),
    Mariadb(mariadb::Server),
    Mongodb(&'static mongodb::Server, MongodbDatabase),
}

/// How it goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    /// As in a crash, or where whoever runs it does not wait.
    Halted,
    /// It takes leave of its sessions first.
    ShutDown,
}

impl Server {
    /// As its own line at the end calls it.
    fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "PostgreSQL",
            Self::Mariadb(_) => "MariaDB",
            Self::Mongodb(..) => "MongoDB",
        }
    }

    /// A host with a guest that asks it.
    fn setup(&self) -> Setup {
        let grant = "databases.main = { access = \"read-write\" }";
        let sql = |url: String| {
            let settings = format!("allow_superuser = true\nmax_connections = {MAX}");
            Setup::new().database("main", &url, &settings).plugin("probe", "probe", grant)
        };
        match self {
            Self::Postgres(server) => sql(server.superuser_url("postgres")),
            Self::Mariadb(server) => sql(server.administrator_url("test")),
            Self::Mongodb(_, database) => {
                let settings = format!("control_url = {:?}\nmax_pool_size = {MAX}", database.url(&database.control));
                Setup::new().database("main", &database.url(&database.owner), &settings).plugin(
                    "probe",
                    "documents_matrix",
                    grant,
                )
            }
        }
    }

    /// One call with a transaction; the kind of the error when it failed.
    async fn call(&self, client: &Client) -> Result<(), String> {
        if let Self::Mongodb(..) = self {
            let reply = client.get("/probe/look?connections=1").await;
            let kind = reply.text().trim_start_matches("ErrorKind::").split(':').next().unwrap_or_default();
            return match reply.status.as_u16() {
                200 => Ok(()),
                503 if ["Disconnected", "NotPrimary"].contains(&kind) => Err(kind.to_owned()),
                _ => panic!("{reply:?}"),
            };
        }
        let steps =
            json!([{ "do": "begin", "as": "t" }, { "do": "query", "on": "t", "sql": "SELECT 1" }, { "do": "commit", "on": "t" }]);
        let reply = client.post("/probe/run", &steps).await;
        assert_eq!(reply.status, 200);
        let steps = reply.json();
        let failed = steps.as_array().unwrap().iter().position(|outcome| !outcome["error"].is_null());
        let Some(step) = failed else { return Ok(()) };
        let kind = steps[step]["error"]["kind"].as_str().unwrap().to_owned();
        // Only a COMMIT that was sent can have done more than is known.
        assert!(kind == "disconnected" || (kind == "commit-unknown" && step == 2), "step {step}: {steps:#?}");
        Err(kind)
    }

    fn go(&self, going: Going) {
        match (self, going) {
            // An immediate shutdown, which is both.
            (Self::Postgres(server), _) => server.halt(),
            (Self::Mariadb(server), Going::Halted) => server.halt(),
            (Self::Mariadb(server), Going::ShutDown) => server.shut_down(),
            (Self::Mongodb(server, _), Going::Halted) => server.halt(),
            (Self::Mongodb(server, _), Going::ShutDown) => server.shut_down(),
        }
    }

    fn resume(&self) {
        match self {
            Self::Postgres(server) => server.resume(),
            Self::Mariadb(server) => server.resume(),
            Self::Mongodb(server, _) => server.resume(),
        }
    }

    /// Looks again and again at how many sessions the host has, which is seen from another one.
    async fn counts(&self) -> Vec<i64> {
        let mut counts = Vec::new();
        match self {
            Self::Postgres(server) => {
                let mut admin = server.connect("postgres").await;
                let sql =
                    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
                for _ in 0..20 {
                    counts.push(sqlx::query_scalar(sql).fetch_one(&mut admin).await.unwrap());
                }
                admin.close().await.unwrap();
            }
            Self::Mariadb(server) => {
                let mut admin = server.connect("mysql").await;
                // Those that are still logging in as well; not those of the server itself.
                let sql = "SELECT COUNT(*) FROM information_schema.PROCESSLIST \
                           WHERE ID <> CONNECTION_ID() AND USER IN ('admin', 'unauthenticated user')";
                for _ in 0..20 {
                    counts.push(sqlx::query_scalar(sql).fetch_one(&mut admin).await.unwrap());
                }
                admin.close().await.unwrap();
            }
            Self::Mongodb(server, database) => {
                let admin = server.administrator().await;
                for _ in 0..20 {
                    let listed = admin.database("admin").run_command(doc! { "currentOp": 1, "$all": true }).await.unwrap();
                    // The sockets of a session have one name.
                    let entries = listed.get_array("inprog").unwrap().iter().filter_map(Bson::as_document);
                    let names: BTreeSet<&str> = entries.filter_map(name).filter(|name| name.contains(&database.name)).collect();
                    counts.push(i64::try_from(names.len()).unwrap());
                }
            }
        }
        counts
    }
}

/// What the client of a socket calls itself.
fn name(socket: &Document) -> Option<&str> {
    socket.get_document("clientMetadata").ok()?.get_document("application").ok()?.get_str("name").ok()
}

async fn is_used_again_within_a_second(server: Server, going: &[Going]) {
    let host = server.setup().start().await;
    let outcomes = watch::Sender::new(Outcomes::default());
    let over = AtomicBool::new(false);
    let client = host.client();
    let load = join_all((0..16).map(|_| async {
        while !over.load(Ordering::Relaxed) {
            let outcome = server.call(&client).await;
            outcomes.send_modify(|outcomes| match outcome {
                Ok(()) => outcomes.0 += 1,
                Err(kind) => *outcomes.1.entry(kind).or_default() += 1,
            });
        }
    }));
    let answered = |outcomes: &Outcomes| outcomes.0;
    let failed = |outcomes: &Outcomes| outcomes.1.values().sum::<u64>();
    let more = async |count: &dyn Fn(&Outcomes) -> u64, than: u64| {
        let mut receiver = outcomes.subscribe();
        let before = count(&receiver.borrow());
        timeout(PATIENCE, receiver.wait_for(|now| count(now) > before + than)).await.unwrap().unwrap();
    };
    let operator = async {
        let mut pauses = Vec::new();
        for going in going {
            more(&answered, 50).await;
            server.go(*going);
            // Many more than there are connections: none of them waits for one that will not come.
            more(&failed, 200).await;
            server.resume();
            let back = Instant::now();
            more(&answered, 0).await;
            pauses.push((*going, back.elapsed()));
            let counts = server.counts().await;
            // The control connection, too.
            assert!(counts.iter().all(|sessions| *sessions <= MAX + 1), "{going:?}: {counts:?}");
        }
        over.store(true, Ordering::Relaxed);
        pauses
    };
    let (_, pauses) = tokio::join!(load, operator);
    println!("{}: {pauses:?}, {:?}", server.name(), *outcomes.borrow());
    for one in going {
        // Of three, since other tests run beside this one.
        let least = pauses.iter().filter(|(going, _)| going == one).map(|(_, pause)| *pause).min().unwrap();
        assert!(least < Duration::from_secs(1), "{one:?}: {pauses:?}");
    }
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let said = format!("database main: 0 connections left, says {}", server.name());
    assert!(ended.stderr.contains(&said), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_server_that_restarts_under_load_is_used_again_within_a_second() {
    let server = Server::Postgres(postgres::start());
    is_used_again_within_a_second(server, &[Going::Halted; 3]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mariadb_server_that_restarts_under_load_is_used_again_within_a_second() {
    let server = mariadb::start(&[]);
    let mut admin = server.connect("mysql").await;
    sqlx::raw_sql("CREATE DATABASE test").execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
    // Three of each: they are different to those who wait for an answer.
    let going = [Going::Halted, Going::ShutDown].repeat(3);
    is_used_again_within_a_second(Server::Mariadb(server), &going).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mongodb_server_that_restarts_under_load_is_used_again_within_a_second() {
    static SERVER: OnceLock<mongodb::Server> = OnceLock::new();
    let server = SERVER.get_or_init(|| mongodb::start(&[]));
    let database = MongodbDatabase::create_on(server).await;
    database.run(doc! { "create": "notes" }).await;
    let going = [Going::Halted, Going::ShutDown].repeat(3);
    is_used_again_within_a_second(Server::Mongodb(server, database), &going).await;
}
