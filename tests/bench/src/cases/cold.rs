//! From nothing: how soon a host answers, what a plugin's first call costs, and what each plugin costs that is only loaded.

use std::path::PathBuf;

use anyhow::{Context, Result};
use futures::FutureExt;
use http::Uri;
use tokio::time::Instant;

use crate::{
    bed::{Bed, Effort},
    case::{Case, Figure, Latencies, Measured, Target},
    copies::copies,
    line::{Line, milliseconds},
    memory::{self, mib},
    servers::wharf::{self, Logging},
    setup,
    statistics::{least, median, most, percentile},
};

/// Calls after the first, for comparison.
const LATER: usize = 20;

/// How many plugins are many, and how many that ask a database, which take seconds to compile.
const MANY: usize = 100;
const MANY_SQL: usize = 20;

const NOTED: &str = "from the start of the process to the whole of its first answer, code from the cache, median";

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let start = || {
        vec![
            Figure::main("ms", Some(Target::AtMost(150.0))),
            Figure::named("first-call", "ms", None),
            Figure::named("later-call", "ms", None),
        ]
    };
    let plugins = || {
        vec![
            Figure::main("ms", None),
            Figure::named("memory", "MiB", None),
            Figure::named("each", "KiB", Some(Target::AtMost(1024.0))),
        ]
    };
    vec![
        Case::new("cold-hello", start(), |bed| hello(bed).boxed()).takes(takes),
        Case::new("cold-sql", start(), |bed| sql(bed).boxed()).takes(takes),
        Case::new("cold-100-plugins", plugins(), |bed| hundred(bed).boxed()).takes(takes),
        Case::new("cold-20-sql-plugins", plugins(), |bed| twenty(bed).boxed()).takes(takes),
    ]
}

/// Starts of half a second, with the end of each.
fn takes(effort: Effort) -> f64 {
    effort.of(20, 4) as f64 * 0.5 + 1.0
}

async fn hello(bed: &Bed) -> Result<Vec<Measured>> {
    let plugin = setup::guest("bench_hello", &["/hello"], "");
    let started = start_often(&plugin, "/hello", bed.effort.of(20, 3)).await?;
    Ok(told(&started))
}

async fn sql(bed: &Bed) -> Result<Vec<Measured>> {
    let database = bed.postgres().await;
    let toml = setup::main(database, "") + &setup::guest("bench_sql", &["/row/{id}"], setup::GRANT);
    let started = start_often(&toml, "/row/4711", bed.effort.of(20, 3)).await?;
    Ok(told(&started))
}

/// One start, times in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Start {
    answered: f64,
    first: f64,
    later: f64,
    resident_kib: u64,
    code_kib: u64,
}

/// Starts a host again and again. The first one, which may have to compile, does not count.
async fn start_often(toml: &str, path: &str, times: usize) -> Result<Vec<Start>> {
    let path = setup::path(path);
    start_once(toml, &path).await.context("the start that fills the cache")?;
    let mut starts = Vec::new();
    for number in 1..=times {
        starts.push(start_once(toml, &path).await.with_context(|| format!("start {number} of {times}"))?);
    }
    Ok(starts)
}

async fn start_once(toml: &str, path: &Uri) -> Result<Start> {
    let started = Instant::now();
    let host = wharf::start("", toml, Logging::Default).await?;
    let mut line = Line::connect(host.address()).await?;
    let first = line.expect(path, 200).await?;
    let answered = started.elapsed();
    let (resident_kib, code_kib) = (memory::resident(host.pid()?)?, memory::code(host.pid()?)?);
    let mut later = Vec::new();
    for _ in 0..LATER {
        later.push(milliseconds(line.expect(path, 200).await?.took));
    }
    drop(line);
    host.stop().await?;
    let later = median(&later).context("there were later calls")?;
    Ok(Start { answered: milliseconds(answered), first: milliseconds(first.took), later, resident_kib, code_kib })
}

fn told(starts: &[Start]) -> Vec<Measured> {
    vec![answered(starts), figure(starts, |start| start.first), figure(starts, |start| start.later)]
}

fn answered(starts: &[Start]) -> Measured {
    let figure = figure(starts, |start| start.answered);
    let note = format!("{NOTED}; {}", figure.note);
    figure.note(note)
}

fn figure(starts: &[Start], value: fn(&Start) -> f64) -> Measured {
    let values: Vec<f64> = starts.iter().map(value).collect();
    let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
    let latencies = Latencies { wharf_p50_ms: median(&values), wharf_p99_ms: percentile(&values, 99), ..Latencies::default() };
    let note = format!("{} starts, {:.2} to {:.2} ms", values.len(), known(least(&values)), known(most(&values)));
    Measured::alone(known(median(&values))).latencies(latencies).note(note)
}

async fn hundred(bed: &Bed) -> Result<Vec<Measured>> {
    let components = copies("bench_hello", MANY)?;
    let toml = |count| one_path(setup::spread(components.iter().take(count).map(PathBuf::as_path), "/p", ""));
    loaded(bed, toml, MANY).await
}

async fn twenty(bed: &Bed) -> Result<Vec<Measured>> {
    let database = setup::main(bed.postgres().await, "");
    let components = copies("bench_sql", MANY_SQL)?;
    let toml = |count| {
        let (toml, path) = one_path(setup::spread(components.iter().take(count).map(PathBuf::as_path), "/row/", setup::GRANT));
        (format!("{database}{toml}"), path)
    };
    loaded(bed, toml, MANY_SQL).await
}

/// Hosts with one plugin and with `many`.
async fn loaded(bed: &Bed, toml: impl Fn(usize) -> (String, String), many: usize) -> Result<Vec<Measured>> {
    let times = bed.effort.of(10, 2);
    let ((few, path), (more, _)) = (toml(1), toml(many));
    let (few, more) = (start_often(&few, &path, times).await?, start_often(&more, &path, times).await?);
    let middle = |starts: &[Start], kib: fn(&Start) -> u64| {
        median(&starts.iter().map(|start| kib(start) as f64).collect::<Vec<_>>()).context("a start")
    };
    let each = |kib| anyhow::Ok((middle(&more, kib)? - middle(&few, kib)?) / (many - 1) as f64);
    let (resident, code) = (each(|start| start.resident_kib)?, each(|start| start.code_kib)?);
    let [few, total] = [&few, &more].map(|starts| middle(starts, |start| start.resident_kib));
    Ok(vec![
        answered(&more),
        Measured::alone(mib(total? as u64)).note(format!("{:.1} MiB with one plugin", mib(few? as u64))),
        Measured::alone(resident - code).note(format!(
            "what a plugin more adds to the resident memory of a host with one, besides its compiled code: {resident:.0} KiB, of which \
             {code:.0} KiB are code, which is what smaps says of read-only memory that belongs to no file"
        )),
    ])
}

/// The configuration, and the path of the first plugin.
fn one_path((toml, paths): (String, Vec<Uri>)) -> (String, String) {
    (toml, paths[0].to_string())
}
