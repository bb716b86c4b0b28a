//! Far more clients than a pool has connections: what of them is served, how soon the others are told, and what the server sees.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use support::postgres::PostgresDatabase;
use tokio::time::sleep;

use crate::{
    bed::{Bed, Effort},
    case::{Case, Figure, Latencies, Measured, Pair, Target},
    crowd::{Crowd, Manners, Tally},
    line::milliseconds,
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

/// Clients that are served without a refusal, in the steps on which the best goodput is looked for: more than run at once wait for less
/// than `QUEUE_TIMEOUT`, and `max_queue` is 1,024.
const FEWER: [usize; 3] = [32, 100, 1_000];

/// Clients that are too many: the host runs 64 calls of a plugin at once and keeps 1,024 waiting.
const CROWD: usize = 2_000;

/// How long a call may wait for a place, and a handler for a connection: the defaults. Who is refused later has waited for it in vain; who
/// is refused earlier was told at once, since a queue was full.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(1);
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

const PATIENT: &str = "2,000 clients, a pool of 10, one row by key; the reference is the best of 32, 100 and 1,000 clients in the same round; \
                       who is refused stays away for as long as Retry-After says, half of it to half more";
const IMPATIENT: &str =
    "as overload, but who is refused asks again at once, so that refusals take what they want of the processors";
const REFUSED: &str = "p99 of what a refusal took beyond the limit that it names; all clients share a thread, on the processors of host \
                       and server, and see what comes late";

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
    // Connecting takes a moment.
    let takes = |effort: Effort| ((FEWER.len() + 1) * effort.pairs) as f64 * (effort.seconds(1) + 0.3) + 3.0;
    vec![
        Case::new("overload", targets, |bed| overload(bed, Manners::Patient).boxed()).takes(takes),
        Case::new("overload-impatient", sessions_alone, |bed| overload(bed, Manners::Impatient).boxed()).takes(takes),
    ]
}

/// What was seen over all rounds.
#[derive(Debug, Default)]
struct Seen {
    pairs: Vec<Pair>,
    /// The loads of each number of clients.
    steps: BTreeMap<usize, Vec<Step>>,
    answered: Vec<f64>,
    /// Milliseconds beyond the limit, by the limit.
    refused: BTreeMap<String, Vec<f64>>,
    sessions: Sessions,
}

/// What explains a goodput.
#[derive(Clone, Copy, Debug)]
struct Step {
    goodput: f64,
    server_us: f64,
    clients_share: f64,
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
    let toml = setup::main(database, &format!("max_connections = {POOL}\nacquire_timeout = \"{ACQUIRE_TIMEOUT:?}\"")) + &plugin;
    // A refusal needs a connection to be told on; all else is as by default.
    let server = format!("max_connections = 4_096\nqueue_timeout = \"{QUEUE_TIMEOUT:?}\"");
    let mut host = wharf::start(&server, &toml, Logging::Default).await?;
    let before = memory::resident(host.pid()?)?;
    let mut seen = Seen::default();
    for round in 1..=bed.effort.pairs {
        let mut best = 0.0_f64;
        for clients in FEWER {
            let tally = load(bed, &mut host, database, clients, manners, &mut seen).await?;
            tally.ensure_answered().with_context(|| format!("{clients} clients"))?;
            best = best.max(tally.goodput());
        }
        let tally = load(bed, &mut host, database, CROWD, manners, &mut seen).await?;
        tally.ensure_clean().with_context(|| format!("{CROWD} clients"))?;
        ensure!(tally.refusals() > 0, "none of {CROWD} clients was refused: the queue was never full");
        let pair = Pair { wharf: tally.goodput(), reference: best };
        bed.tell_pair(round, &format!("{:.0} of {best:.0} requests/s", pair.wharf));
        seen.pairs.push(pair);
        seen.answered.extend(tally.answered);
        for (code, took) in &tally.refused {
            for (limit, beyond) in took.iter().map(|took| beyond(code, *took)) {
                seen.refused.entry(limit).or_default().push(beyond);
            }
        }
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
    let refused = seen.refused.values().flatten().copied().collect::<Vec<_>>();
    let kinds: Vec<String> = seen
        .refused
        .iter()
        .map(|(limit, beyond)| format!("{limit}: {}, p99 {:.1} ms", longest(beyond), of(beyond, 99)))
        .collect();
    vec![
        Measured::pairs(seen.pairs.clone()).note(format!("{note}; {}", steps(&seen.steps))),
        Measured::alone(of(&seen.answered, 99)).latencies(latencies(&seen.answered)).note(longest(&seen.answered)),
        Measured::alone(of(&refused, 99)).latencies(latencies(&refused)).note(format!("{REFUSED}; {}", kinds.join("; "))),
        Measured::alone(all as f64)
            .note(format!("{pooled} at most without the control path; the server was asked {looks} times")),
        memory,
    ]
}

/// The limit that a refusal names, and how many milliseconds it took beyond that.
fn beyond(code: &str, took: f64) -> (String, f64) {
    let waited = match code {
        "overloaded" => milliseconds(QUEUE_TIMEOUT),
        "pool-exhausted" => milliseconds(ACQUIRE_TIMEOUT),
        _ => f64::INFINITY,
    };
    if took < waited { (format!("{code} at once"), took) } else { (format!("{code} after {waited} ms"), took - waited) }
}

/// Medians of each number of clients.
fn steps(steps: &BTreeMap<usize, Vec<Step>>) -> String {
    let middle =
        |steps: &[Step], value: fn(&Step) -> f64| median(&steps.iter().map(value).collect::<Vec<_>>()).unwrap_or(f64::NAN);
    let told = steps.iter().map(|(clients, steps)| {
        format!(
            "{clients} clients {:.0} requests/s, {:.0} µs, {:.0} %",
            middle(steps, |step| step.goodput),
            middle(steps, |step| step.server_us),
            middle(steps, |step| step.clients_share) * 100.0
        )
    });
    let told = told.collect::<Vec<_>>().join("; ");
    format!("goodput, the host's processor time for each answer of success, and how busy the clients' thread was: {told}")
}

/// So many clients, while the sessions are watched from outside.
async fn load(
    bed: &Bed,
    host: &mut Server,
    database: &PostgresDatabase,
    clients: usize,
    manners: Manners,
    seen: &mut Seen,
) -> Result<Tally> {
    let crowd = Crowd {
        address: host.address(),
        server: host.pid()?,
        paths: (1..=100).map(|number| setup::path(&format!("/row/{}", number * 97))).collect(),
        clients,
        manners,
        warm_up: bed.effort.warm_up,
        load: bed.effort.load,
    };
    let tally = tokio::select! {
        tally = crowd.gather() => tally,
        () = watch(database, &mut seen.sessions) => unreachable!("watching has no end"),
    };
    host.assert_alive()?;
    let tally = tally?;
    host.empty_log()?;
    let step = Step { goodput: tally.goodput(), server_us: tally.server_us(), clients_share: tally.clients_share() };
    seen.steps.entry(clients).or_default().push(step);
    let (rate, latency) = (tally.goodput(), percentile(&tally.answered, 99).unwrap_or(f64::NAN));
    bed.tell(&format!("{clients} clients: {rate:.0} requests/s, p99 {latency:.1} ms, {} refusals", tally.refusals()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_late_by_what_it_took_beyond_its_limit() {
        assert_eq!(beyond("overloaded", 7.0), ("overloaded at once".to_owned(), 7.0));
        assert_eq!(beyond("overloaded", 1_007.0), ("overloaded after 1000 ms".to_owned(), 7.0));
        assert_eq!(beyond("pool-exhausted", 1_007.0), ("pool-exhausted at once".to_owned(), 1_007.0));
        assert_eq!(beyond("pool-exhausted", 5_007.0), ("pool-exhausted after 5000 ms".to_owned(), 7.0));
    }
}
