//! How cost grows: with the number of plugins, of clients that wait, and of rows.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use tokio::time::Instant;

use crate::{
    bed::Bed,
    case::{Case, Figure, Latencies, Measured, Pair},
    copies::copies,
    crowd::{Crowd, Manners, Tally},
    line::{Line, milliseconds},
    servers::{
        Server,
        wharf::{self, Logging},
    },
    setup,
    statistics::{median, percentile},
};

/// Numbers of plugins, each with its figure.
const PLUGINS: [(usize, &str); 4] = [(1, "1"), (10, "10"), (100, "100"), (1_000, "1000")];

/// Plugins with code of their own; more share it, for to compile a thousand takes minutes.
const CODES: usize = 100;

/// Clients that ask all the plugins.
const CLIENTS: usize = 32;

const PLUGINS_NOTED: &str = "hello, 32 clients, each asking one plugin after the other; the reference is the host with one plugin; beyond \
                             100 plugins several are made of the same component";

/// Numbers of clients that wait, each with its figure.
const WAITERS: [(usize, &str); 4] = [(10, "10"), (100, "100"), (1_000, "1000"), (10_000, "10000")];

/// The pool that they wait for.
const POOL: usize = 10;

/// Calls that run at once, so that as many wait for the pool; further ones wait for these.
const AT_ONCE: usize = 2_000;

const WAITERS_NOTED: &str = "one row by key of PostgreSQL, a pool of 10 and so many clients more; 2,000 calls run at once and wait for \
                             the pool, the rest waits for these; the reference is 10 waiters";

/// Waiters that are surely served within a second, however slow the machine: so much longer nothing counts.
const SERVED_A_SECOND: usize = 2_000;

/// Numbers of rows, each with its figure.
const ROWS: [(usize, &str); 6] = [(1, "1"), (10, "10"), (100, "100"), (1_000, "1000"), (10_000, "10000"), (100_000, "100000")];

const ROWS_NOTED: &str =
    "one answer after the other, the median by the number of its rows; latencies are those of the whole answer; ";

/// Answers of a size that there are at least.
const LEAST: usize = 5;

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let figures = |of: &[(usize, &'static str)], unit| of.iter().map(|(_, name)| Figure::named(name, unit, None)).collect();
    vec![
        Case::new("growth-plugins", figures(&PLUGINS, "requests/s"), |bed| plugins(bed).boxed())
            .takes(|effort| effort.seconds(1) * (effort.pairs * PLUGINS.len()) as f64 + 10.0),
        // The most of them are warmed up for longer, and connecting takes a second.
        Case::new("growth-waiters", figures(&WAITERS, "requests/s"), |bed| waiters(bed).boxed())
            .takes(|effort| (effort.seconds(1) * WAITERS.len() as f64 + 7.0) * effort.pairs as f64 + 2.0),
        Case::new("growth-rows", figures(&ROWS, "µs a row"), |bed| rows(bed).boxed())
            .takes(|effort| effort.load.as_secs_f64() * ROWS.len() as f64 + 4.0),
    ]
}

async fn plugins(bed: &Bed) -> Result<Vec<Measured>> {
    let components = copies("bench_hello", CODES)?;
    let mut hosts = Vec::new();
    for (count, _) in PLUGINS {
        let (toml, paths) = setup::spread(components.iter().map(PathBuf::as_path).cycle().take(count), "/p", "");
        let host = wharf::start("", &toml, Logging::Default).await.with_context(|| format!("a host with {count} plugins"))?;
        hosts.push((host, paths));
    }
    let mut loads: [Vec<Tally>; PLUGINS.len()] = Default::default();
    for round in 1..=bed.effort.pairs {
        for (((host, paths), loads), (count, _)) in hosts.iter_mut().zip(&mut loads).zip(PLUGINS) {
            let crowd = Crowd {
                address: host.address(),
                server: host.pid()?,
                paths: paths.clone(),
                clients: CLIENTS,
                manners: Manners::Patient,
                warm_up: bed.effort.warm_up,
                load: bed.effort.load,
            };
            let tally = gather(crowd, host).await.with_context(|| format!("{count} plugins"))?;
            loads.push(tally);
        }
        bed.tell_pair(round, &latest(&loads));
    }
    for (host, _) in hosts {
        host.stop().await?;
    }
    Ok(compared(&loads, PLUGINS_NOTED))
}

async fn waiters(bed: &Bed) -> Result<Vec<Measured>> {
    let database = bed.postgres().await;
    let limits = format!("limits = {{ max_concurrency = {AT_ONCE}, deadline = \"60s\" }}\n{}", setup::GRANT);
    let settings = format!("max_connections = {POOL}\nmax_waiters = 20_000\nacquire_timeout = \"60s\"");
    let toml = setup::main(database, &settings) + &setup::guest("bench_sql", &["/row/{id}"], &limits);
    let server = format!("max_connections = 20_000\nmax_concurrency = {AT_ONCE}\nmax_queue = 20_000\nqueue_timeout = \"60s\"");
    let mut host = wharf::start(&server, &toml, Logging::Default).await?;
    let mut loads: [Vec<Tally>; WAITERS.len()] = Default::default();
    for round in 1..=bed.effort.pairs {
        for ((count, _), loads) in WAITERS.into_iter().zip(&mut loads) {
            let crowd = Crowd {
                address: host.address(),
                server: host.pid()?,
                paths: vec![setup::path("/row/4711")],
                clients: POOL + count,
                manners: Manners::Patient,
                // Everybody has waited once by then.
                warm_up: bed.effort.warm_up + Duration::from_secs((count / SERVED_A_SECOND) as u64),
                load: bed.effort.load,
            };
            let tally = gather(crowd, &mut host).await.with_context(|| format!("{count} waiters"))?;
            loads.push(tally);
        }
        bed.tell_pair(round, &latest(&loads));
    }
    host.stop().await?;
    Ok(compared(&loads, WAITERS_NOTED))
}

fn latest(loads: &[Vec<Tally>]) -> String {
    let rates: Vec<String> = loads.iter().filter_map(|loads| Some(format!("{:.0}", loads.last()?.goodput()))).collect();
    rates.join(", ") + " requests/s"
}

/// A load of which every call must be answered.
async fn gather(crowd: Crowd, host: &mut Server) -> Result<Tally> {
    let tally = crowd.gather().await;
    host.assert_alive()?;
    let tally = tally?;
    tally.ensure_answered().with_context(|| format!("the server's log ends with\n{}", host.log()))?;
    host.empty_log()?;
    Ok(tally)
}

/// Each beside the first, round by round.
fn compared<const N: usize>(loads: &[Vec<Tally>; N], note: &str) -> Vec<Measured> {
    let goodput = |pair: (&Tally, &Tally)| Pair { wharf: pair.0.goodput(), reference: pair.1.goodput() };
    let over = |tallies: &[Tally], value: fn(&[f64]) -> Option<f64>| {
        median(&tallies.iter().filter_map(|tally| value(&tally.answered)).collect::<Vec<_>>())
    };
    let server_us = |tallies: &[Tally]| median(&tallies.iter().map(Tally::server_us).collect::<Vec<_>>());
    let p99 = |values: &[f64]| percentile(values, 99);
    let mut measured: Vec<Measured> = loads
        .iter()
        .map(|tallies| {
            let latencies = Latencies {
                wharf_p50_ms: over(tallies, median),
                wharf_p99_ms: over(tallies, p99),
                reference_p50_ms: over(&loads[0], median),
                reference_p99_ms: over(&loads[0], p99),
                wharf_cpu_us: server_us(tallies),
                reference_cpu_us: server_us(&loads[0]),
                ..Latencies::default()
            };
            Measured::pairs(tallies.iter().zip(&loads[0]).map(goodput).collect()).latencies(latencies)
        })
        .collect();
    measured[0].note = note.to_owned();
    measured
}

async fn rows(bed: &Bed) -> Result<Vec<Measured>> {
    let database = bed.postgres().await;
    let toml = setup::main(database, "") + &setup::guest("bench_sql", &["/rows/{count}"], setup::GRANT);
    let host = wharf::start("", &toml, Logging::Default).await?;
    let mut line = Line::connect(host.address()).await?;
    let mut measured = Vec::new();
    for (count, _) in ROWS {
        let path = setup::path(&format!("/rows/{count}"));
        let least = line.expect(&path, 200).await?.bytes;
        ensure!(least > count * 60, "{count} rows were answered with {least} bytes");
        let until = Instant::now() + bed.effort.load;
        let mut took = Vec::new();
        while took.len() < LEAST || Instant::now() < until {
            let reply = line.expect(&path, 200).await?;
            ensure!(reply.bytes == least, "{count} rows were answered with {} bytes, and with {least} before", reply.bytes);
            took.push(milliseconds(reply.took));
        }
        let middle = median(&took).context("there are answers")?;
        let latencies = Latencies { wharf_p50_ms: Some(middle), wharf_p99_ms: percentile(&took, 99), ..Latencies::default() };
        let noted = if measured.is_empty() { ROWS_NOTED } else { "" };
        let note = format!("{noted}{} answers of {least} bytes", took.len());
        measured.push(Measured::alone(middle * 1_000.0 / count as f64).latencies(latencies).note(note));
    }
    host.stop().await?;
    Ok(measured)
}
