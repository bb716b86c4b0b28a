//! Two hundred reloads while clients ask without a pause: no request fails, and nothing piles up.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use futures::FutureExt;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use support::{
    client::{Answer, bytes},
    guests,
    host::{Host, Setup},
    servers::{Engine, ServerDatabase},
    wait::until,
};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use super::{PATIENCE, plugins, until_only};

const RELOADS: usize = 200;
const CLIENTS: usize = 15;
/// The most connections that the pool ever has.
const MOST: usize = 10;
const TOKEN: &str = "a-token-of-the-test";
/// What memory may grow by in the second half.
const GROWTH_KIB: u64 = 48 * 1024;

/// What the configuration says besides what stays.
#[derive(Clone, Debug)]
struct Wish {
    component: &'static str,
    fuel: u64,
    memory: &'static str,
    routes: &'static str,
    share: usize,
    pool: usize,
    /// Another text of the URL is another credential.
    sslmode: &'static str,
}

const FIRST: Wish = Wish {
    component: "probe",
    fuel: 10_000_000_000,
    memory: "64MiB",
    routes: "\"/handler/{*rest}\"",
    share: 2,
    pool: 2,
    sslmode: "prefer",
};

impl Wish {
    /// What is wished for next, and whether it can be.
    fn change(&mut self, turn: usize) -> (Wish, bool) {
        fn other<T: PartialEq>(now: &T, one: T, two: T) -> T {
            if *now == one { two } else { one }
        }
        match turn % 8 {
            0 => self.component = other(&self.component, "probe", "probe_async"),
            1 => self.fuel += 1,
            2 => self.routes = other(&self.routes, FIRST.routes, "\"/handler/{*rest}\", \"GET /more\""),
            3 => self.share = other(&self.share, 1, 2),
            4 => self.pool = other(&self.pool, 2, MOST),
            5 => self.sslmode = other(&self.sslmode, "prefer", "disable"),
            6 => return (Wish { component: "broken", ..self.clone() }, false),
            _ => return (Wish { memory: "64KiB", ..self.clone() }, false),
        }
        (self.clone(), true)
    }

    fn text(&self, database: &ServerDatabase, folder: &Path) -> String {
        let Self { component, fuel, memory, routes, share, pool, sslmode } = self;
        let component = if *component == "broken" { folder.join("broken.wasm") } else { guests::component(component) };
        let ServerDatabase::Postgres(postgres) = database else { unreachable!() };
        let (url, control) = (database.url(), postgres.url(&postgres.control));
        let cache = guests::target_folder().join("wharf-tests-cache");
        // Of a line each request nothing would be left to read what matters.
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[log]\nlevel = \"info,access=off\"\n\
             [admin]\ntoken = \"{TOKEN}\"\n[engine]\ncache = {cache:?}\n\
             [databases.main]\nurl = \"{url}?sslmode={sslmode}\"\ncontrol_url = \"{control}\"\nmax_connections = {pool}\n\
             [plugins.handler]\ncomponent = {component:?}\nroutes = [{routes}]\n\
             limits = {{ fuel = {fuel}, memory = \"{memory}\", deadline = \"30s\" }}\n\
             databases.main = {{ access = \"read-write\", max_connections = {share} }}\n"
        )
    }
}

/// Asks over one connection until told to stop. Panics at whatever is not a whole answer 200.
async fn ask(host: std::net::SocketAddr, path: &'static str, is_over: Arc<AtomicBool>, asked: Arc<AtomicUsize>) {
    let stream = TcpStream::connect(host).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection.map(drop));
    while !is_over.load(Ordering::Relaxed) {
        let request = Request::get(path).header(header::HOST, "localhost").body(Empty::<Bytes>::new()).unwrap();
        sender.ready().await.unwrap();
        let response = timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
        let status = response.status();
        let body = timeout(PATIENCE, response.into_body().collect()).await.unwrap().unwrap().to_bytes();
        let body = String::from_utf8_lossy(&body);
        assert!(status == 200 && !body.contains("\"error\""), "{path}: {status} {body}");
        asked.fetch_add(1, Ordering::Relaxed);
    }
    connection.abort();
}

async fn reload(host: &Host) -> Answer {
    let request = Request::post("/reload").header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
    host.admin().await.open(request.body(bytes("")).unwrap()).await.unwrap()
}

/// What the process has in memory.
fn resident_kib(host: &Host) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_reloads_under_load_fail_no_request() {
    let database = ServerDatabase::create(Engine::Postgres).await;
    let setup = Setup::empty();
    fs::write(setup.folder().join("broken.wasm"), "no component").unwrap();
    let text = FIRST.text(&database, setup.folder());
    let host = setup.toml(&text).start().await;
    let (is_over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    let streaming = "/handler/stream?batch=10&sql=SELECT+*+FROM+generate_series(1,2000)";
    let paths = std::iter::repeat_n("/handler/query?sql=SELECT+1", CLIENTS).chain([streaming]);
    for path in paths {
        clients.spawn(ask(host.address(), path, Arc::clone(&is_over), Arc::clone(&asked)));
    }

    let began = Instant::now();
    let (mut wish, mut generation, mut resident, mut digests) = (FIRST, 1, 0, Vec::new());
    for turn in 0..RELOADS {
        let (wished, can_be) = wish.change(turn);
        fs::write(host.folder().join("wharf.toml"), wished.text(&database, host.folder())).unwrap();
        let reply = reload(&host).await.whole().await.unwrap();
        assert_eq!(reply.status, if can_be { 200 } else { 409 }, "{turn} {wished:?}: {}", reply.text());
        generation += u64::from(can_be);
        let now = plugins(&host).await;
        assert_eq!(now["generation"], generation, "{turn} {wished:?}: {now}");
        if turn % 8 == 0 {
            digests.push(now["plugins"][0]["digest"].clone());
        }
        // One that is opened to ask what is left, and the control path.
        let sessions = database.sessions().await;
        assert!(sessions.len() <= MOST + 2, "{turn} {wished:?}: {sessions:#?}");
        if turn == RELOADS / 2 {
            resident = resident_kib(&host);
        }
        if let Some(Err(failed)) = clients.try_join_next() {
            std::panic::resume_unwind(failed.into_panic());
        }
    }
    let took = began.elapsed().as_secs_f64();
    let grown = resident_kib(&host).saturating_sub(resident);
    assert!(grown <= GROWTH_KIB, "{grown} KiB more after the second half");
    assert!(digests.windows(2).all(|pair| pair[0] != pair[1]) && digests[0] == digests[2], "{digests:?}");

    is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked > RELOADS, "only {asked} requests beside {RELOADS} reloads");
    println!("{RELOADS} reloads in {took:.1} s: {asked} requests, none failed; {grown} KiB more in the second half");
    until_only(&host, generation).await;
    database.until_sessions("as many sessions as there may be", PATIENCE, |sessions| sessions.len() <= wish.pool + 1).await;
    until("the pool to be at rest", PATIENCE, || async {
        let pools = host.admin().await.get("/health/database-pool").await.json();
        let pool = &pools["databases"][0];
        let is_at_rest = pool["max"] == wish.pool && ["leased", "reclaiming", "unconfirmed"].iter().all(|it| pool[*it] == 0);
        if is_at_rest { Ok(()) } else { Err(pools.to_string()) }
    })
    .await;
    let ended = host.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("have not ended in time"), "{}", ended.stderr);
    database.until_nobody(PATIENCE).await;
}
