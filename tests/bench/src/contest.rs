//! Two servers under the same load by turns.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use crate::{
    bed::{Bed, Effort},
    case::{Latencies, Measured, Pair},
    processor::{self, TICK},
    servers::Server,
    statistics::median,
    wrk::{self, Load},
};

/// How long a server is idle that has nothing left to do, and how long it may take to get there.
const QUIET: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(30);

/// What both are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    path: &'static str,
    /// Clients at once.
    connections: usize,
    /// Threads of the client.
    threads: usize,
    answer: Answer,
}

/// What an answer is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The same, byte by byte.
    Same,
    /// The same but for the digits in it.
    ButForDigits,
    /// The same but for the hexadecimal digits in it, of which it has as many.
    ButForIds,
    /// The same, and so long that few are complete before a load ends.
    Streaming,
}

/// What one server did under a load.
#[derive(Clone, Copy, Debug)]
struct Side {
    load: Load,
    /// How long it kept processors busy, without the database.
    busy: Duration,
}

impl Question {
    /// For a path, to which both have the same answer.
    pub(crate) const fn new(path: &'static str, connections: usize) -> Self {
        Self { path, connections, threads: 1, answer: Answer::Same }
    }

    /// For a path whose answer takes long, so that bytes are counted rather than answers.
    pub(crate) const fn streaming(path: &'static str, connections: usize) -> Self {
        Self { path, connections, threads: 1, answer: Answer::Streaming }
    }

    /// The same by a client of two threads, for a server that keeps one of them busy by itself.
    pub(crate) const fn two_threads(self) -> Self {
        Self { threads: 2, ..self }
    }

    /// The same, but there is a number in each answer that no other has.
    pub(crate) const fn but_for_digits(self) -> Self {
        Self { answer: Answer::ButForDigits, ..self }
    }

    /// The same, but there is an `ObjectId` in each answer that no other has.
    pub(crate) const fn but_for_ids(self) -> Self {
        Self { answer: Answer::ButForIds, ..self }
    }
}

/// What both sides did, pair by pair.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contest {
    wharf: Vec<Side>,
    reference: Vec<Side>,
    /// The size of an answer.
    pub(crate) answer_bytes: f64,
}

/// About how many seconds it takes, with the starts of both servers.
pub(crate) fn takes(effort: Effort) -> f64 {
    2.0 * effort.seconds(effort.pairs) + 2.0
}

/// Asks both once and compares their answers byte by byte, warms both up, and then puts them under load by turns.
///
/// # Errors
/// When an answer is wrong, or a server ends.
pub(crate) async fn hold(bed: &Bed, question: Question, wharf: &mut Server, reference: &mut Server) -> Result<Contest> {
    let answer_bytes = agree(question, wharf, reference).await?;
    let effort = bed.effort;
    for server in [&mut *wharf, &mut *reference] {
        load(question, server, effort.warm_up).await?;
    }
    let mut contest = Contest { answer_bytes, ..Contest::default() };
    for pair in 1..=effort.pairs {
        contest.wharf.push(load(question, wharf, effort.load).await?);
        contest.reference.push(load(question, reference, effort.load).await?);
        let (ours, theirs) = (contest.wharf[pair - 1].load, contest.reference[pair - 1].load);
        let (what, value): (&str, fn(&Load) -> f64) = match question.answer {
            Answer::Streaming => ("MiB/s", |load| load.bytes_per_second / f64::from(1 << 20)),
            Answer::Same | Answer::ButForDigits | Answer::ButForIds => ("requests/s", |load| load.requests_per_second),
        };
        let (ours, theirs) = (value(&ours), value(&theirs));
        bed.tell_pair(pair, &format!("{ours:.0} and {theirs:.0} {what}, {:.2}", ours / theirs));
    }
    Ok(contest)
}

/// Fails unless both give the same answer, whose size is given back.
async fn agree(question: Question, wharf: &Server, reference: &Server) -> Result<f64> {
    let ours = wharf.client().get(question.path).await;
    let theirs = reference.client().get(question.path).await;
    let path = question.path;
    ensure!(ours.status == 200, "wharf answers {path} with {}: {}\n{}", ours.status, ours.text(), wharf.log());
    ensure!(theirs.status == 200, "the reference answers {path} with {}: {}", theirs.status, theirs.text());
    let same = match question.answer {
        Answer::Same | Answer::Streaming => ours.body == theirs.body,
        Answer::ButForDigits => without_digits(ours.text()) == without_digits(theirs.text()),
        Answer::ButForIds => {
            ours.body.len() == theirs.body.len() && without_hex_digits(ours.text()) == without_hex_digits(theirs.text())
        }
    };
    ensure!(
        same,
        "{path} is answered differently: {} bytes by wharf, {} by the reference:\n{}\n{}",
        ours.body.len(),
        theirs.body.len(),
        shown(ours.text()),
        shown(theirs.text())
    );
    #[expect(clippy::cast_precision_loss, reason = "no answer has 2^52 bytes")]
    Ok(ours.body.len() as f64)
}

fn without_digits(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

fn without_hex_digits(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_ascii_hexdigit()).collect()
}

fn shown(text: &str) -> String {
    text.chars().take(300).collect()
}

async fn load(question: Question, server: &mut Server, duration: Duration) -> Result<Side> {
    let before = processor::time(server.pid()?)?;
    let load = wrk::load(server.address(), question.path, question.connections, question.threads, duration).await;
    server.assert_alive()?;
    let load = load.with_context(|| format!("the server's log ends with\n{}", server.log()))?;
    ensure!(load.requests > 0 || question.answer == Answer::Streaming, "{} was never answered to its end", question.path);
    server.empty_log()?;
    let busy = processor::time(server.pid()?)?.saturating_sub(before);
    if question.answer == Answer::Streaming {
        quiet(server).await?;
    }
    Ok(Side { load, busy })
}

/// Waits until a server is done with answers that were cut off: sqlx reads the rest of them before it lends their connections again.
async fn quiet(server: &Server) -> Result<()> {
    let since = Instant::now();
    loop {
        let before = processor::time(server.pid()?)?;
        sleep(QUIET).await;
        if processor::time(server.pid()?)?.saturating_sub(before) <= TICK {
            return Ok(());
        }
        ensure!(since.elapsed() < PATIENCE, "a server is still busy {PATIENCE:?} after its clients are gone");
    }
}

impl Side {
    /// Microseconds of a processor for each answer.
    fn busy_us(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "no load has 2^52 answers")]
        let answers = self.load.requests.max(1) as f64;
        self.busy.as_secs_f64() * 1e6 / answers
    }
}

impl Contest {
    /// A value of each side, pair by pair.
    pub(crate) fn pairs(&self, value: impl Fn(&Load) -> f64) -> Vec<Pair> {
        let both = self.wharf.iter().zip(&self.reference);
        both.map(|(wharf, reference)| Pair { wharf: value(&wharf.load), reference: value(&reference.load) }).collect()
    }

    /// How many answers a second.
    pub(crate) fn requests(&self) -> Measured {
        Measured::pairs(self.pairs(|load| load.requests_per_second)).latencies(self.latencies())
    }

    /// How long the slowest of a hundred takes.
    pub(crate) fn tail(&self) -> Measured {
        Measured::pairs(self.pairs(|load| load.p99_ms))
    }

    /// Microseconds of a processor that an answer takes of the server, without the database.
    pub(crate) fn processor(&self) -> Measured {
        let both = self.wharf.iter().zip(&self.reference);
        Measured::pairs(both.map(|(wharf, reference)| Pair { wharf: wharf.busy_us(), reference: reference.busy_us() }).collect())
    }

    /// Medians of both sides.
    fn latencies(&self) -> Latencies {
        let of = |side: &[Side], value: fn(&Load) -> f64| median(&side.iter().map(|side| value(&side.load)).collect::<Vec<_>>());
        let busy = |side: &[Side]| median(&side.iter().map(Side::busy_us).collect::<Vec<_>>());
        Latencies {
            wharf_p50_ms: of(&self.wharf, |load| load.p50_ms),
            wharf_p99_ms: of(&self.wharf, |load| load.p99_ms),
            reference_p50_ms: of(&self.reference, |load| load.p50_ms),
            reference_p99_ms: of(&self.reference, |load| load.p99_ms),
            wharf_cpu_us: busy(&self.wharf),
            reference_cpu_us: busy(&self.reference),
            wharf_client_cpus: of(&self.wharf, |load| load.busy),
            reference_client_cpus: of(&self.reference, |load| load.busy),
        }
    }
}
