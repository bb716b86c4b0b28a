//! Many clients at once, each on a connection of its own, and their latencies by the status of the answer.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use http::Uri;
use tokio::{
    runtime,
    sync::oneshot,
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{
    line::{Line, Reply, milliseconds},
    processor,
};

/// How many connect at the same time; a server's backlog is not what is measured.
const CONNECTING: usize = 64;

/// Failures that are told in full.
const TOLD: usize = 3;

/// What a client does that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// It stays away for as long as `Retry-After` asks it to, half of it or up to half more, so that not all come back at once.
    Patient,
    /// It asks again at once.
    Impatient,
}

/// Clients, and what they ask for.
#[derive(Clone, Debug)]
pub(crate) struct Crowd {
    pub(crate) address: SocketAddr,
    /// The server's process, whose processor time is measured.
    pub(crate) server: u32,
    /// Each client asks for one after the other, each beginning at another place.
    pub(crate) paths: Vec<Uri>,
    pub(crate) clients: usize,
    pub(crate) manners: Manners,
    /// From when all are connected until anything counts.
    pub(crate) warm_up: Duration,
    /// How long answers count.
    pub(crate) load: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Latencies of answers of success, in milliseconds.
    pub(crate) answered: Vec<f64>,
    /// Latencies of refusals (503) by their code, in milliseconds.
    pub(crate) refused: BTreeMap<String, Vec<f64>>,
    /// Other answers by status.
    others: BTreeMap<u16, u64>,
    /// What was said in some of those, and why some had no answer at all.
    told: Vec<String>,
    /// Requests without an answer, other than those that were under way in the end.
    failed: u64,
    /// How long answers counted.
    seconds: f64,
    /// How long the server and the clients' thread kept processors busy meanwhile.
    server_busy: Duration,
    clients_busy: Duration,
}

impl Crowd {
    /// Connects all, has them ask, and tells what came back.
    ///
    /// They share a thread of their own, so that as little as can be of the machine's time goes to them.
    ///
    /// # Errors
    /// When not all can connect.
    pub(crate) async fn gather(self) -> Result<Tally> {
        ensure_descriptors(self.clients)?;
        let (sender, receiver) = oneshot::channel();
        // Nobody listens any more once the benchmarks were interrupted.
        thread::Builder::new().name("crowd".into()).spawn(move || drop(sender.send(self.run())))?;
        receiver.await.context("the thread of the clients ended")?
    }

    fn run(self) -> Result<Tally> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.ask())
    }

    async fn ask(self) -> Result<Tally> {
        let crowd = Arc::new(self);
        let lines = stream::iter(0..crowd.clients).map(|_| Line::connect(crowd.address)).buffer_unordered(CONNECTING);
        let lines: Vec<Line> = lines.try_collect().await.with_context(|| format!("{} clients cannot connect", crowd.clients))?;
        let from = Instant::now() + crowd.warm_up;
        let until = from + crowd.load;
        let mut clients: JoinSet<Tally> =
            lines.into_iter().enumerate().map(|(number, line)| client(Arc::clone(&crowd), number, line, from, until)).collect();
        let busy = || anyhow::Ok([processor::time(crowd.server)?, processor::this_thread()?]);
        sleep_until(from).await;
        let before = busy()?;
        sleep_until(until).await;
        let [server_busy, clients_busy] = busy()?;
        let (server_busy, clients_busy) = (server_busy.saturating_sub(before[0]), clients_busy.saturating_sub(before[1]));
        let mut tally = Tally { seconds: crowd.load.as_secs_f64(), server_busy, clients_busy, ..Tally::default() };
        while let Some(one) = clients.join_next().await {
            tally.add(one?);
        }
        Ok(tally)
    }
}

async fn client(crowd: Arc<Crowd>, number: usize, mut line: Line, from: Instant, until: Instant) -> Tally {
    let mut tally = Tally::default();
    let first = number * crowd.paths.len() / crowd.clients;
    let patience = 0.5 + number as f64 / crowd.clients as f64;
    for path in crowd.paths.iter().cycle().skip(first) {
        let Ok(answer) = timeout_at(until, line.ask(path)).await else { break };
        let now = Instant::now();
        match answer {
            Ok(reply) => {
                if now >= from {
                    tally.count(&reply);
                }
                if let (503, Manners::Patient, Some(after)) = (reply.status, crowd.manners, reply.retry_after) {
                    sleep_until((now + after.mul_f64(patience)).min(until)).await;
                }
            }
            Err(error) => {
                tally.fail(format!("{error:#}"));
                match Line::connect(crowd.address).await {
                    Ok(another) => line = another,
                    Err(error) => {
                        tally.fail(format!("{error:#}"));
                        break;
                    }
                }
            }
        }
        if Instant::now() >= until {
            break;
        }
    }
    tally
}

impl Tally {
    /// Answers of success a second.
    pub(crate) fn goodput(&self) -> f64 {
        self.answered.len() as f64 / self.seconds
    }

    /// Microseconds of a processor that the server took for each answer of success, refusals included.
    pub(crate) fn server_us(&self) -> f64 {
        self.server_busy.as_secs_f64() * 1e6 / self.answered.len().max(1) as f64
    }

    /// What share of its time the clients' thread was busy.
    pub(crate) fn clients_share(&self) -> f64 {
        self.clients_busy.as_secs_f64() / self.seconds
    }

    /// How many refusals.
    pub(crate) fn refusals(&self) -> usize {
        self.refused.values().map(Vec::len).sum()
    }

    /// Fails unless everything was answered or refused.
    ///
    /// # Errors
    /// With what else there was.
    pub(crate) fn ensure_clean(&self) -> Result<()> {
        ensure!(
            self.failed == 0 && self.others.is_empty(),
            "{} requests had no answer, and by status there were {:?} besides {} of success and {} refusals: {}",
            self.failed,
            self.others,
            self.answered.len(),
            self.refusals(),
            self.told.join("; ")
        );
        ensure!(!self.answered.is_empty(), "there was no answer of success; {} were refused", self.refusals());
        Ok(())
    }

    /// The same, and nothing may have been refused.
    ///
    /// # Errors
    /// With what there was.
    pub(crate) fn ensure_answered(&self) -> Result<()> {
        self.ensure_clean()?;
        let refusals = self.refusals();
        ensure!(refusals == 0, "{refusals} of {} were refused", self.answered.len() + refusals);
        Ok(())
    }

    /// Adds what others saw at the same time.
    fn add(&mut self, other: Self) {
        self.answered.extend(other.answered);
        for (code, took) in other.refused {
            self.refused.entry(code).or_default().extend(took);
        }
        for (status, count) in other.others {
            *self.others.entry(status).or_default() += count;
        }
        self.failed += other.failed;
        self.told.extend(other.told);
        self.told.truncate(TOLD);
    }

    fn count(&mut self, reply: &Reply) {
        let took = milliseconds(reply.took);
        match reply.status {
            200..=299 => self.answered.push(took),
            503 => self.refused.entry(reply.code()).or_default().push(took),
            other => {
                *self.others.entry(other).or_default() += 1;
                self.tell(format!("{other}: {}", reply.said));
            }
        }
    }

    fn fail(&mut self, why: String) {
        self.failed += 1;
        self.tell(why);
    }

    fn tell(&mut self, what: String) {
        if self.told.len() < TOLD {
            self.told.push(what);
        }
    }
}

/// Fails when this process, and so each server that it starts, may not have as many sockets.
fn ensure_descriptors(clients: usize) -> Result<()> {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let most = open_files(&limits).unwrap_or(u64::MAX);
    let needed = clients as u64 + 200;
    ensure!(
        most >= needed,
        "{clients} clients need {needed} open files, and {most} are allowed: raise the limit with `ulimit -n`"
    );
    Ok(())
}

fn open_files(limits: &str) -> Option<u64> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, took: u64) -> Reply {
        Reply { status, retry_after: None, took: Duration::from_millis(took), bytes: 0, said: r#"{"code":"said"}"#.to_owned() }
    }

    fn tally(replies: &[Reply]) -> Tally {
        let mut tally = Tally { seconds: 2.0, ..Tally::default() };
        replies.iter().for_each(|reply| tally.count(reply));
        tally
    }

    #[test]
    fn answers_are_told_apart_by_status() {
        let mut both = tally(&[reply(200, 5), reply(503, 1)]);
        both.add(tally(&[reply(200, 7)]));
        assert_eq!((&both.answered[..], &both.refused["said"][..], both.goodput()), (&[5.0, 7.0][..], &[1.0][..], 1.0));
        both.ensure_clean().unwrap();
        assert_eq!(both.ensure_answered().unwrap_err().to_string(), "1 of 3 were refused");
    }

    #[test]
    fn what_is_neither_answered_nor_refused_is_a_failure() {
        let error = tally(&[reply(200, 5), reply(504, 9), reply(504, 9)]).ensure_clean().unwrap_err().to_string();
        assert!(error.contains("{504: 2}") && error.contains("504: {\"code\""), "{error}");
        let mut broken = tally(&[reply(200, 5)]);
        broken.fail("reset by peer".to_owned());
        assert!(broken.ensure_clean().unwrap_err().to_string().contains("reset by peer"));
        assert!(tally(&[reply(503, 1)]).ensure_clean().is_err());
    }

    #[test]
    fn the_limit_of_open_files_is_found() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             95000                95000                processes \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(open_files(limits), Some(1024));
        assert_eq!(open_files("Max open files            unlimited            unlimited            files"), None);
        assert_eq!(open_files(""), None);
    }
}
