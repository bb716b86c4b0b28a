//! Far more clients than a pool has connections: what of them is served, how soon the others are told, and what the server sees.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use support::postgres::PostgresDatabase;
use tokio::time::sleep;

use crate::{
    bed::Bed,
    case::{Case, Figure, Latencies, Measured, Pair, Target},
    crowd::{Crowd, Manners, Tally},
    memory::{self, mib},
    servers::{
        Server,
        wharf::{self, Logging},
    },
    setup,
    statistics::{median, most, percentile},
};

/// The pool of the host.
const POOL: usize = 10;

/// Clients that are served without a refusal, in the steps on which the best goodput is looked for.
const FEWER: [usize; 5] = [10, 32, 100, 316, 1_000];

/// Clients that are too many: the host runs 64 calls of a plugin at once and keeps 1,024 waiting.
const CROWD: usize = 2_000;

const PATIENT: &str = "2,000 clients, a pool of 10, one row by key; the reference is the best of 10 to 1,000 clients in the same round; \
                       who is refused stays away for as long as Retry-After says, half of it to half more";
const IMPATIENT: &str =
    "as overload, but who is refused asks again at once, so that refusals take what they want of the processors";

/// How often the server is asked for its sessions.
const WATCHED: Duration = Duration::from_millis(20);

/// How long sessions of an earlier case may take to go.
const LEFT: Duration = Duration::from_secs(10);

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let figures = |goodput, refused, sessions| {
        vec![
            Figure::main("requests/s", goodput),
            Figure::named("answered-p99", "ms", None),
            Figure::named("refused-p99", "ms", refused),
            Figure::named("sessions", "sessions", sessions),
            Figure::named("memory", "MiB", None),
        ]
    };
    let targets = figures(Some(Target::AtLeast(0.9)), Some(Target::AtMost(50.0)), Some(Target::AtMost((POOL + 1) as f64)));
    let sessions_alone = figures(None, None, Some(Target::AtMost((POOL + 1) as f64)));
    vec![
        Case::new("overload", targets, |bed| overload(bed, Manners::Patient).boxed()),
        Case::new("overload-impatient", sessions_alone, |bed| overload(bed, Manners::Impatient).boxed()),
    ]
}

/// What was seen over all rounds.
#[derive(Debug, Default)]
struct Seen {
    pairs: Vec<Pair>,
    answered: Vec<f64>,
    refused: Vec<f64>,
    sessions: Sessions,
}

/// The most sessions at any time.
#[derive(Clone, Copy, Debug, Default)]
struct Sessions {
    all: usize,
    /// Without that of the control path.
    pooled: usize,
    /// How often was looked.
    looks: usize,
}

async fn overload(bed: &Bed, manners: Manners) -> Result<Vec<Measured>> {
    let database = bed.postgres().await;
    // Of an earlier case that failed; its host is being killed.
    database.until_quiet(0, LEFT).await;
    let plugin = setup::guest("bench_sql", &["/row/{id}"], setup::GRANT);
    let toml = setup::main(database, &format!("max_connections = {POOL}")) + &plugin;
    // A refusal needs a connection to be told on; all else is as by default.
    let mut host = wharf::start("max_connections = 4_096", &toml, Logging::Default).await?;
    let before = memory::resident(host.pid()?)?;
    let mut seen = Seen::default();
    for round in 1..=bed.effort.pairs {
        let mut best = 0.0_f64;
        for clients in FEWER {
            let tally = load(bed, &mut host, database, clients, manners, &mut seen.sessions).await?;
            tally.ensure_clean().with_context(|| format!("{clients} clients"))?;
            best = best.max(tally.goodput());
        }
        let tally = load(bed, &mut host, database, CROWD, manners, &mut seen.sessions).await?;
        tally.ensure_clean().with_context(|| format!("{CROWD} clients"))?;
        ensure!(!tally.refused.is_empty(), "none of {CROWD} clients was refused: the queue was never full");
        let pair = Pair { wharf: tally.goodput(), reference: best };
        bed.tell(&format!("round {round} of {}: {:.0} of {best:.0} requests/s", bed.effort.pairs, pair.wharf));
        seen.pairs.push(pair);
        seen.answered.extend(tally.answered);
        seen.refused.extend(tally.refused);
    }
    let pid = host.pid()?;
    let (after, peak) = (memory::resident(pid)?, memory::peak(pid)?);
    host.stop().await?;
    ensure!(seen.sessions.looks > 0, "the server was never asked for its sessions");
    let memory = format!("the most that was resident; {:.1} MiB at the start, {:.1} MiB in the end", mib(before), mib(after));
    let memory = Measured::alone(mib(peak)).note(memory);
    let note = match manners {
        Manners::Patient => PATIENT,
        Manners::Impatient => IMPATIENT,
    };
    Ok(told(&seen, note, memory))
}

fn told(seen: &Seen, note: &str, memory: Measured) -> Vec<Measured> {
    let of = |values: &[f64], percent| percentile(values, percent).unwrap_or(f64::NAN);
    let latencies =
        |values: &[f64]| Latencies { wharf_p50_ms: median(values), wharf_p99_ms: percentile(values, 99), ..Latencies::default() };
    let longest = |values: &[f64]| format!("{} of them, {:.1} ms at most", values.len(), most(values).unwrap_or(f64::NAN));
    let Sessions { all, pooled, looks } = seen.sessions;
    vec![
        Measured::pairs(seen.pairs.clone()).note(note),
        Measured::alone(of(&seen.answered, 99)).latencies(latencies(&seen.answered)).note(longest(&seen.answered)),
        Measured::alone(of(&seen.refused, 99)).latencies(latencies(&seen.refused)).note(longest(&seen.refused)),
        Measured::alone(all as f64)
            .note(format!("{pooled} at most without the control path; the server was asked {looks} times")),
        memory,
    ]
}

/// So many clients, while the sessions are watched from outside.
async fn load(
    bed: &Bed,
    host: &mut Server,
    database: &PostgresDatabase,
    clients: usize,
    manners: Manners,
    sessions: &mut Sessions,
) -> Result<Tally> {
    let crowd = Crowd {
        address: host.address(),
        paths: (1..=100).map(|number| setup::path(&format!("/row/{}", number * 97))).collect(),
        clients,
        manners,
        warm_up: bed.effort.warm_up,
        load: bed.effort.load,
    };
    let tally = tokio::select! {
        tally = crowd.gather() => tally?,
        () = watch(database, sessions) => unreachable!("watching has no end"),
    };
    host.assert_alive()?;
    host.empty_log()?;
    let (rate, latency) = (tally.goodput(), percentile(&tally.answered, 99).unwrap_or(f64::NAN));
    bed.tell(&format!("{clients} clients: {rate:.0} requests/s, p99 {latency:.1} ms, {} refusals", tally.refused.len()));
    Ok(tally)
}

async fn watch(database: &PostgresDatabase, most: &mut Sessions) {
    loop {
        let sessions = database.sessions().await;
        let pooled = sessions.iter().filter(|session| session.application_name != "wharf control").count();
        most.all = most.all.max(sessions.len());
        most.pooled = most.pooled.max(pooled);
        most.looks += 1;
        sleep(WATCHED).await;
    }
}
