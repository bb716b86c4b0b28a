//! The host under test, in this process: put together from a `wharf.toml`, asked over HTTP, stopped by its own shutdown.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use futures::{StreamExt, future, stream};
use http::Request;
use http_body_util::StreamBody;
use serde_json::{Value as Json, json};
use support::{
    client::{self, Client, Reply},
    guests,
    host::Setup,
    proxy::Proxy,
};
use tempfile::TempDir;
use tokio::{
    runtime::{self, Runtime},
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout},
};
use wharf::{
    assembly::{Host, Progress, Stop, Stopped},
    call::Roster,
    config,
    pool::{Bounds, Counter, Counts, Database, Settings},
    shards::{Shards, Threads},
};

use super::{
    axes::{Cell, Exit, Guest, Scale},
    ground::{Ground, Language, only_cell},
};
use crate::audited;

/// Connections of the pool.
pub(super) const MAX: u32 = 2;

/// One step of reclaim, where bounds are scaled down: many times what it takes on a busy machine with a slow peer.
const STEP: Duration = Duration::from_millis(800);

/// How many steps each bound is. For the last two the control path may have to be opened, while other cells and tests log in to the same server.
const BOUNDS: [(&str, u32); 7] =
    [("cancel", 1), ("settle", 1), ("rollback", 1), ("reset", 1), ("close", 1), ("kill", 2), ("confirm", 2)];

/// How many times longer the last two are, opening a session, looking for the server, and the deadline, where the server is a slow one.
const SLOW: u32 = 3;

/// All of them.
const STEPS: u32 = 9;

/// What a busy machine, and noticing that a client is gone, may add to the bounds.
const GRACE: Duration = Duration::from_millis(1500);

/// Until the deadline of a call that is to run into it. Long enough to get anywhere first.
const DEADLINE: Duration = Duration::from_secs(3);

struct Quiet;

impl Progress for Quiet {
    fn say(&self, _line: &str) {}
}

pub(super) struct Bed {
    pub(super) database: Database,
    /// Asked by guests that are where they were to go.
    signal: Database,
    calls: Arc<Roster>,
    client: Client,
    stop: Stop,
    running: Option<JoinHandle<Stopped>>,
    process: Process,
    cell: Cell,
    _threads: Threads,
    folder: TempDir,
}

/// What would be a process: whatever the host leaves behind ends with it.
struct Process(Option<Runtime>);

impl Process {
    fn spawn<F: Future<Output: Send> + Send + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        match &self.0 {
            Some(runtime) => runtime.spawn(future),
            None => panic!("the process has ended"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Bed {
    pub(super) async fn start(cell: Cell, ground: &Ground, proxy: Option<&Proxy>) -> Result<Self, String> {
        let folder = Setup::empty().toml(&toml(cell, ground, proxy)).write();
        std::fs::write(folder.path().join("signal.db"), "").unwrap();
        let config = config::load(folder.path(), &config::process_environment).map_err(|errors| format!("{errors:?}"))?;
        let process = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let process = Process(Some(process));
        let (shards, threads) = Shards::start(2).map_err(|error| error.to_string())?;
        let starting = process.spawn(async move { Host::start(&config, &shards, &Quiet, &Stop::new()).await });
        let host = starting.await.map_err(|panicked| panicked.to_string())?;
        let host = host.map_err(|error| format!("the host did not start: {error}"))?;
        let [database, signal] = [0, 1].map(|place| host.databases()[place].clone());
        let calls = Arc::clone(host.calls());
        let client = Client::new(host.address()).patience(Duration::from_secs(70));
        let stop = Stop::new();
        let asked = stop.clone();
        let running = Some(process.spawn(async move { host.run(&asked).await }));
        Ok(Self { database, signal, calls, client, stop, running, process, cell, _threads: threads, folder })
    }

    /// All steps of reclaim one after the other, and what a busy machine adds.
    pub(super) fn patience(&self) -> Duration {
        let Bounds { cancel, settle, rollback, reset, close, kill, confirm } = self.database.settings().bounds;
        cancel + settle + rollback + reset + close + kill + confirm + GRACE
    }

    /// Who has what, checked against the limit.
    pub(super) fn counts(&self) -> Result<Counts, String> {
        let counts = self.database.counts();
        if counts.total() > MAX { Err(format!("more than may be: {counts:?}")) } else { Ok(counts) }
    }

    pub(super) fn counted(&self, counter: Counter) -> u64 {
        self.database.counters().get(counter)
    }

    /// How many calls have come where they were to go. A call in flight has not.
    pub(super) fn arrived(&self) -> u64 {
        self.signal.counters().get(Counter::Operations)
    }

    /// A call that goes to the state of the cell, and leaves by its exit when told to.
    pub(super) fn call(&self) -> Call {
        let Cell { state, exit, .. } = self.cell;
        let plugin = match self.cell.guest() {
            Guest::Plain => "plain",
            Guest::Concurrent => "concurrent",
        };
        self.begin(plugin, state.name(), exit.name(), 1)
    }

    /// Cancels the call of the cell, which is the only one but for a hoarder's.
    pub(super) fn cancel(&self) -> Result<(), String> {
        let running = self.calls.calls();
        let of_cell: Vec<_> = running.iter().filter(|call| &*call.plugin != "hoarder").collect();
        match of_cell[..] {
            [call] if self.calls.cancel(call.number) => Ok(()),
            _ => Err(format!("not the call of the cell alone runs: {running:?}")),
        }
    }

    /// A call of another plugin that has all connections until it is told to leave.
    pub(super) fn hoard(&self) -> Call {
        self.begin("hoarder", "ready", Exit::Return.name(), MAX)
    }

    fn begin(&self, plugin: &str, state: &str, exit: &str, connections: u32) -> Call {
        let scheme = self.cell.scheme();
        let insert = if state == "commit-in-flight" { scheme.insert_slow } else { scheme.insert };
        let mut path = format!("/{plugin}/{state}?exit={exit}&connections={connections}");
        for (name, sql) in [("residue", self.cell.residue()), ("slow", scheme.slow), ("insert", insert), ("rows", scheme.rows)] {
            let _ = write!(path, "&{name}={}", percent_encoded(sql));
        }
        let (leave, told) = oneshot::channel::<()>();
        // Nothing comes in it but its end.
        let body = client::body(StreamBody::new(stream::once(told).filter_map(|_| future::ready(None))));
        let request = Request::post(path).body(body).unwrap();
        let client = self.client.clone();
        let answer = tokio::spawn(async move { client.open(request).await?.whole().await });
        Call { leave: Some(leave), answer }
    }

    /// Waits until all connections can be had at once and each is as new; how long after `since` that was.
    pub(super) async fn free(&self, since: Instant, within: Duration) -> Result<Duration, String> {
        loop {
            match self.try_all().await? {
                None => return Ok(since.elapsed()),
                Some(refused) if since.elapsed() > within => {
                    return Err(format!("not all capacity is free after {within:?}: {refused}, {:?}", self.counts()?));
                }
                Some(_) => {}
            }
        }
    }

    /// Has all connections at once and looks whether each is as new; the refusal, when they cannot be had.
    pub(super) async fn try_all(&self) -> Result<Option<String>, String> {
        match self.cell.language() {
            Language::Sql => self.try_all_by_steps().await,
            Language::Documents => {
                let reply = self.client.get(&format!("/next/look?connections={MAX}")).await;
                self.counts()?;
                match reply.status.as_u16() {
                    200 => Ok(None),
                    503 => Ok(Some(reply.text().to_owned())),
                    _ => Err(format!("the next borrower was answered {reply:?}")),
                }
            }
        }
    }

    async fn try_all_by_steps(&self) -> Result<Option<String>, String> {
        let names: Vec<String> = (0..MAX).map(|number| format!("c{number}")).collect();
        let mut steps: Vec<Json> = names.iter().map(|name| json!({ "do": "connect", "as": name })).collect();
        let looks = names.iter().map(|name| json!({ "do": "query", "on": name, "sql": self.cell.scheme().left_in_session }));
        steps.extend(looks);
        // On one that has a transaction open already this fails, or takes part in it.
        steps.push(json!({ "do": "begin", "on": "c0", "as": "t" }));
        steps.push(json!({ "do": "rollback", "on": "t" }));
        let reply = self.client.post("/next/run", &json!(steps)).await;
        if reply.status != 200 {
            return Err(format!("the next borrower was answered {reply:?}"));
        }
        let outcomes = reply.json();
        let outcomes = outcomes.as_array().unwrap();
        // With nothing open, who waits is told why no connection could be opened.
        let refusals = |outcome: &&Json| ["pool-exhausted", "disconnected"].iter().any(|kind| outcome["error"]["kind"] == *kind);
        if let Some(refused) = outcomes[..MAX as usize].iter().find(refusals) {
            return Ok(Some(refused.to_string()));
        }
        self.counts()?;
        let looks = MAX as usize..2 * MAX as usize;
        for (place, outcome) in outcomes.iter().enumerate() {
            if !outcome["error"].is_null() || (looks.contains(&place) && only_cell(outcome) != Some("")) {
                return Err(format!("the next borrower's step {} came to {outcome}", steps[place]));
            }
        }
        Ok(None)
    }

    /// Tells the host to stop, without waiting for it.
    pub(super) fn tell_to_stop(&self) {
        self.stop.request();
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.running.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Stops the host, and looks whether it knows of anything that is left.
    pub(super) async fn stop(&mut self) -> Result<Stopped, String> {
        self.tell_to_stop();
        let running = self.running.take().ok_or("stopped twice")?;
        let bound = Duration::from_secs(30);
        let stopped = timeout(bound, running).await.map_err(|_| format!("the host still runs after {bound:?}"))?;
        let stopped = stopped.map_err(|panicked| panicked.to_string())?;
        drop(std::mem::replace(&mut self.process, Process(None)));
        if stopped.drained.stuck > 0 || !stopped.is_audited {
            return Err(format!("{stopped:?}"));
        }
        let lines = audited::lines(self.folder.path()).map_err(|why| format!("in the audit log: {why}"))?;
        // What could not be taken back has no end yet.
        if stopped.closed.iter().all(|closed| closed.left.sessions == 0) {
            audited::all_end(&lines)?;
        }
        Ok(stopped)
    }
}

/// A call that is under way. Dropping it closes its connection.
pub(super) struct Call {
    leave: Option<oneshot::Sender<()>>,
    answer: JoinHandle<anyhow::Result<Reply>>,
}

impl Call {
    /// Tells the guest to leave.
    pub(super) fn tell_to_leave(&mut self) {
        self.leave.take();
    }

    pub(super) fn is_over(&self) -> bool {
        self.answer.is_finished()
    }

    pub(super) async fn answer(mut self) -> Result<Reply, String> {
        (&mut self.answer).await.map_err(|error| error.to_string())?.map_err(|error| format!("no answer: {error}"))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

fn toml(cell: Cell, ground: &Ground, proxy: Option<&Proxy>) -> String {
    let mut toml = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nmax_concurrency = 8\nbody_stall_timeout = \"60s\"\n\
         drain_timeout = \"100ms\"\nreclaim_timeout = {:?}\n\n[engine]\ncache = {:?}\n",
        match cell.scale {
            Scale::Small => ms(STEP * STEPS + GRACE),
            Scale::Real => "10s".to_owned(),
        },
        guests::target_folder().join("wharf-tests-cache")
    );
    // Writing to a String cannot fail.
    let _ = write!(toml, "\n[audit]\nfile = \"audit.log\"\nkey = {:?}\n", audited::KEY);
    let (url, control) = ground.urls(proxy);
    let language = cell.language();
    let times = if cell.asks_a_slow_server() { SLOW } else { 1 };
    let deadline = if cell.exit == Exit::Deadline || cell.works_on() { DEADLINE * times } else { Duration::from_secs(60) };
    // The pool of documents is set by its driver's names.
    let (most, own) = match language {
        Language::Sql => ("max_connections", "busy_timeout = \"200ms\"".to_owned()),
        Language::Documents => ("max_pool_size", format!("server_selection_timeout = \"{}s\"", 2 * times)),
    };
    let _ = write!(toml, "\n[databases.main]\nurl = {url:?}\n{most} = {MAX}\n");
    if let Some(control) = control {
        let _ = writeln!(toml, "control_url = {control:?}");
    }
    if cell.scale == Scale::Small {
        let statement = ms(cell.statement_timeout());
        let bounds = BOUNDS.map(|(name, steps)| {
            let is_control = ["kill", "confirm"].contains(&name);
            format!("{name} = {:?}", ms(STEP * steps * if is_control { times } else { 1 }))
        });
        let _ = writeln!(
            toml,
            "acquire_timeout = {:?}\nconnect_timeout = \"{}s\"\n{own}\nstatement_timeout = {statement:?}\n\
             idle_in_transaction_timeout = \"60s\"\nbounds = {{ {} }}",
            ms(STEP * STEPS + GRACE),
            2 * times,
            bounds.join(", ")
        );
    } else {
        // What is tried must not be over before the call is.
        assert!(Settings::default().statement_timeout > DEADLINE * SLOW);
    }
    toml.push_str("\n[databases.signal]\nurl = \"sqlite://signal.db\"\n");
    let fuel = if cell.exit == Exit::OutOfFuel { 50_000_000_u64 } else { 1_000_000_000_000 };
    let limits = format!("limits = {{ fuel = {fuel}, deadline = {:?}, memory = \"32MiB\" }}", ms(deadline));
    let others = "limits = { deadline = \"60s\" }".to_owned();
    for (plugin, guest, limits) in [
        ("plain", language.component(Guest::Plain), &limits),
        ("concurrent", language.component(Guest::Concurrent), &limits),
        ("hoarder", language.component(Guest::Plain), &others),
        ("next", language.next(), &others),
    ] {
        if (plugin == "plain" && cell.guest() != Guest::Plain) || (plugin == "concurrent" && cell.guest() != Guest::Concurrent) {
            continue;
        }
        let component = guests::component(guest);
        let _ = write!(
            toml,
            "\n[plugins.{plugin}]\ncomponent = {component:?}\nroutes = [\"/{plugin}/{{*rest}}\"]\n{limits}\n\
             databases.main = {{ access = \"read-write\", max_connections = {MAX} }}\n\
             databases.signal = {{ access = \"read-write\" }}\n"
        );
    }
    toml
}

fn ms(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric();
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
