//! How soon a connection can be used again after a call ended that held it: the next call's first answer, with a pool of one.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use support::{guests::component, postgres::PostgresDatabase};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    process::Command,
    sync::oneshot::{self, error::TryRecvError},
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    bed::{Bed, Effort},
    case::{Case, Figure, Latencies, Measured, Target},
    line::{Line, milliseconds},
    servers::{
        Server,
        wharf::{self, Logging},
    },
    setup,
    statistics::{median, most, percentile},
};

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Trap,
    /// After a wait in which nothing else happens on the machine, unless the host is `busy` with calls of another plugin.
    Deadline {
        busy: bool,
    },
    Gone,
}

/// What its connection is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A transaction that has changed a row and waits.
    Transaction,
    /// A statement of a minute.
    Query,
    /// The same, of which the server has only just heard: it may still be parsing it.
    Beginning,
}

/// How long the calls may last that are ended by their deadline.
const DEADLINE: Duration = Duration::from_millis(100);

/// How long `/trap-asleep` waits before it traps.
const ASLEEP: Duration = Duration::from_millis(50);

/// How long it may take until a call has come as far as it should.
const PATIENCE: Duration = Duration::from_secs(10);

/// The row that the transactions change and the next call reads, and what it holds in the beginning.
const ROW: &str = "/row/1";
const UNCHANGED: &str = "7919";

/// What needs no database.
const HELLO: &str = "/hello";

const NOTED_TRAP: &str = "from the sending of the call that traps (of /trap-asleep 50 ms later, when it traps at the earliest) until the next \
                          call's answer, p99; so that call is part of it; beside it the same call when nothing ended before";
const NOTED_QUIET: &str = "from 100 ms, which is the deadline, after the sending of the call that it ends until the next call's answer, p99; \
                           so the sending is part of it, and that the machine has slept since; beside it the same call after as long a \
                           sleep, when nothing ended before";
const NOTED_BUSY: &str = "the same while the host answers calls of a plugin without a database, one after the other, so that nothing sleeps; \
                          beside it the same call meanwhile, when nothing ended before";
const NOTED_GONE: &str = "from the closing of the client's socket until the next call's answer, p99; hyper sees this client go, who has \
                          sent nothing but the request; where it does not, the host itself looks every 250 ms";

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let case = |name, exit, state| {
        let target = match state {
            State::Transaction => 5.0,
            State::Query | State::Beginning => 250.0,
        };
        let figures = vec![
            Figure::main("ms", Some(Target::AtMost(target))),
            Figure::named("median", "ms", None),
            Figure::named("longest", "ms", None),
        ];
        // What is ended by its deadline waits for it twice.
        let takes: fn(Effort) -> f64 = match (exit, state) {
            (Exit::Deadline { .. }, _) => |effort| effort.of(300, 20) as f64 * 0.21 + 2.0,
            (Exit::Trap, State::Transaction) => |effort| effort.of(3000, 20) as f64 * 0.003 + 2.0,
            (Exit::Trap | Exit::Gone, _) => |effort| effort.of(300, 20) as f64 * 0.06 + 2.0,
        };
        Case::new(name, figures, move |bed| reclaim(bed, exit, state).boxed()).takes(takes).delicate()
    };
    vec![
        case("reclaim-transaction/trap", Exit::Trap, State::Transaction),
        case("reclaim-transaction/deadline", Exit::Deadline { busy: false }, State::Transaction),
        case("reclaim-transaction/deadline-busy", Exit::Deadline { busy: true }, State::Transaction),
        case("reclaim-transaction/gone", Exit::Gone, State::Transaction),
        case("reclaim-query/trap", Exit::Trap, State::Query),
        case("reclaim-query/deadline", Exit::Deadline { busy: false }, State::Query),
        case("reclaim-query/gone", Exit::Gone, State::Query),
        case("reclaim-query/gone-early", Exit::Gone, State::Beginning),
    ]
}

/// How often. What is over in a millisecond is repeated until it has taken some seconds, as the others do: some tenths of a second are one
/// burst of whatever else the machine does, which would then be the p99.
fn repetitions(exit: Exit, state: State, effort: Effort) -> usize {
    match (exit, state) {
        (Exit::Trap, State::Transaction) => effort.of(3000, 20),
        (_, State::Transaction) => effort.of(300, 20),
        (_, State::Query | State::Beginning) => effort.of(100, 5),
    }
}

async fn reclaim(bed: &Bed, exit: Exit, state: State) -> Result<Vec<Measured>> {
    let database = bed.postgres().await;
    let host = start(database, exit).await?;
    let row = setup::path(ROW);
    let repetitions = repetitions(exit, state, bed.effort);
    write_out().await?;
    let mut next = Line::connect(host.address()).await?;
    next.expect(&row, 200).await?;
    let others = match exit {
        Exit::Deadline { busy: true } => Some(Others::call(host.address()).await?),
        _ => None,
    };
    let mut alone = Vec::new();
    for _ in 0..repetitions {
        if let Exit::Deadline { .. } = exit {
            sleep(DEADLINE).await;
        }
        alone.push(milliseconds(next.expect(&row, 200).await?.took));
    }
    let mut ending = Line::connect(host.address()).await?;
    let mut watch = database.connect().await;
    let mut after = Vec::new();
    for number in 1..=repetitions {
        let ended = match exit {
            Exit::Gone => leave(&host, &mut watch, state).await,
            Exit::Trap | Exit::Deadline { .. } => end(&mut ending, exit, state).await,
        };
        let ended = ended.with_context(|| format!("call {number} of {repetitions} did not end as it should"))?;
        let answer = next.expect(&row, 200).await;
        answer.with_context(|| format!("the call after call {number} of {repetitions}, which ended; {}", host.log()))?;
        after.push(milliseconds(ended.elapsed()));
    }
    let found = database.text("SELECT b::text FROM item WHERE id = 1").await;
    ensure!(found == UNCHANGED, "what an ended call has changed stayed: {found} instead of {UNCHANGED}");
    watch.close().await?;
    if let Some(others) = others {
        others.stop().await?;
    }
    host.stop().await?;
    Ok(told(exit, &alone, &after))
}

/// Has the kernel write to the disk what was loaded or built before. It would do so meanwhile, and for as long a processor is lacking.
async fn write_out() -> Result<()> {
    let status = Command::new("sync").status().await.context("cannot run sync")?;
    ensure!(status.success(), "sync failed: {status}");
    Ok(())
}

fn told(exit: Exit, alone: &[f64], after: &[f64]) -> Vec<Measured> {
    let latencies = Latencies {
        wharf_p50_ms: median(after),
        wharf_p99_ms: percentile(after, 99),
        reference_p50_ms: median(alone),
        reference_p99_ms: percentile(alone, 99),
        ..Latencies::default()
    };
    let figure = |value: Option<f64>| Measured::alone(value.unwrap_or(f64::NAN));
    let noted = match exit {
        Exit::Trap => NOTED_TRAP,
        Exit::Deadline { busy: false } => NOTED_QUIET,
        Exit::Deadline { busy: true } => NOTED_BUSY,
        Exit::Gone => NOTED_GONE,
    };
    let counted = format!("{noted}; {} times", after.len());
    vec![figure(percentile(after, 99)).latencies(latencies).note(counted), figure(median(after)), figure(most(after))]
}

/// A host with a pool of one, whose plugins share it. The calls that end by their deadline have one of their own.
async fn start(database: &PostgresDatabase, exit: Exit) -> Result<Server> {
    let deadline = match exit {
        Exit::Deadline { .. } => format!("limits = {{ deadline = \"{DEADLINE:?}\" }}\n"),
        Exit::Trap | Exit::Gone => String::new(),
    };
    let sql = component("bench_sql");
    let plugins = [
        setup::plugin("next", &sql, &["/row/{id}"], setup::GRANT),
        setup::plugin("ends", &sql, &["/trap", "/hold", "/sleep"], &(deadline + setup::GRANT)),
        setup::guest("bench_sql_async", &["/trap-asleep"], setup::GRANT),
        setup::guest("bench_hello", &[HELLO], ""),
    ];
    let toml = setup::main(database, "max_connections = 1") + &plugins.concat();
    wharf::start("", &toml, Logging::Default).await
}

/// Calls that use no database, one after the other.
struct Others {
    stop: oneshot::Sender<()>,
    calling: JoinHandle<Result<()>>,
}

impl Others {
    async fn call(host: SocketAddr) -> Result<Self> {
        let mut line = Line::connect(host).await?;
        let (stop, mut stopped) = oneshot::channel();
        let calling = tokio::spawn(async move {
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                line.expect(&setup::path(HELLO), 200).await?;
            }
            Ok(())
        });
        Ok(Self { stop, calling })
    }

    async fn stop(self) -> Result<()> {
        drop(self.stop);
        self.calling.await?.context("the calls beside did not succeed")
    }
}

/// Has a call end by itself, as the host says; gives the moment when it did at the earliest.
async fn end(line: &mut Line, exit: Exit, state: State) -> Result<Instant> {
    let (path, lasts) = match (exit, state) {
        (Exit::Trap, State::Transaction) => ("/trap", Duration::ZERO),
        (Exit::Trap, State::Query | State::Beginning) => ("/trap-asleep", ASLEEP),
        (_, State::Transaction) => ("/hold", DEADLINE),
        (_, State::Query | State::Beginning) => ("/sleep", DEADLINE),
    };
    // The SDK's answer to an operation that met the deadline has the same code and no such detail.
    let (status, said) =
        if exit == Exit::Trap { (500, "handler-trapped") } else { (504, "The call took longer than a call may take.") };
    let sent = Instant::now();
    let reply = line.expect(&setup::path(path), status).await?;
    ensure!(reply.said.contains(said), "the host did not end {path}: {}", reply.said);
    Ok(sent + lasts)
}

/// Goes away in the middle of a call, once the server says that it has come as far as it should.
async fn leave(host: &Server, watch: &mut PgConnection, state: State) -> Result<Instant> {
    let (path, there) = match state {
        // Whoever has changed a row has the number of a transaction.
        State::Transaction => ("/hold", "state = 'idle in transaction' AND backend_xid IS NOT NULL"),
        State::Query => ("/sleep", "wait_event = 'PgSleep'"),
        State::Beginning => ("/sleep", "state = 'active' AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"),
    };
    let there = format!("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND {there})");
    let mut socket = TcpStream::connect(host.address()).await?;
    socket.write_all(format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", host.address()).as_bytes()).await?;
    let sent = Instant::now();
    while !sqlx::query_scalar::<_, bool>(AssertSqlSafe(there.as_str())).fetch_one(&mut *watch).await? {
        ensure!(sent.elapsed() < PATIENCE, "{path} was not there after {PATIENCE:?}: {there}");
    }
    drop(socket);
    Ok(Instant::now())
}
