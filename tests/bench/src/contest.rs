//! Two servers under the same load by turns.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{
    bed::Bed,
    case::{Latencies, Pair},
    servers::Server,
    statistics::median,
    wrk::{self, Load},
};

/// What both are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) path: &'static str,
    /// Clients at once.
    pub(crate) connections: usize,
}

/// What both sides did, pair by pair.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contest {
    pub(crate) wharf: Vec<Load>,
    pub(crate) reference: Vec<Load>,
}

/// Asks both once and compares their answers byte by byte, warms both up, and then puts them under load by turns.
///
/// # Errors
/// When an answer is wrong, or a server ends.
pub(crate) async fn hold(bed: &Bed, question: Question, wharf: &mut Server, reference: &mut Server) -> Result<Contest> {
    agree(question, wharf, reference).await?;
    let effort = bed.effort;
    for server in [&mut *wharf, &mut *reference] {
        load(question, server, effort.warm_up).await?;
    }
    let mut contest = Contest::default();
    for pair in 1..=effort.pairs {
        contest.wharf.push(load(question, wharf, effort.load).await?);
        contest.reference.push(load(question, reference, effort.load).await?);
        let (ours, theirs) = (contest.wharf[pair - 1], contest.reference[pair - 1]);
        let (ours, theirs) = (ours.requests_per_second, theirs.requests_per_second);
        bed.tell(&format!("pair {pair} of {}: {ours:.0} and {theirs:.0} requests/s, {:.2}", effort.pairs, ours / theirs));
    }
    Ok(contest)
}

/// Fails unless both give the same answer.
async fn agree(question: Question, wharf: &Server, reference: &Server) -> Result<()> {
    let ours = wharf.client().get(question.path).await;
    let theirs = reference.client().get(question.path).await;
    let path = question.path;
    ensure!(ours.status == 200, "wharf answers {path} with {}: {}\n{}", ours.status, ours.text(), wharf.log());
    ensure!(theirs.status == 200, "the reference answers {path} with {}: {}", theirs.status, theirs.text());
    ensure!(
        ours.body == theirs.body,
        "{path} is answered differently: {} bytes by wharf, {} by the reference:\n{}\n{}",
        ours.body.len(),
        theirs.body.len(),
        shown(&ours.text()),
        shown(&theirs.text())
    );
    Ok(())
}

fn shown(text: &str) -> String {
    text.chars().take(300).collect()
}

async fn load(question: Question, server: &mut Server, duration: Duration) -> Result<Load> {
    let load = wrk::load(server.address(), question.path, question.connections, duration).await;
    server.assert_alive()?;
    let load = load.with_context(|| format!("the server's log ends with\n{}", server.log()))?;
    server.empty_log()?;
    Ok(load)
}

impl Contest {
    /// A value of each side, pair by pair.
    pub(crate) fn pairs(&self, value: impl Fn(&Load) -> f64) -> Vec<Pair> {
        let both = self.wharf.iter().zip(&self.reference);
        both.map(|(wharf, reference)| Pair { wharf: value(wharf), reference: value(reference) }).collect()
    }

    /// Medians of both sides.
    pub(crate) fn latencies(&self) -> Latencies {
        let of = |side: &[Load], value: fn(&Load) -> f64| median(&side.iter().map(value).collect::<Vec<_>>());
        Latencies {
            wharf_p50_ms: of(&self.wharf, |load| load.p50_ms),
            wharf_p99_ms: of(&self.wharf, |load| load.p99_ms),
            reference_p50_ms: of(&self.reference, |load| load.p50_ms),
            reference_p99_ms: of(&self.reference, |load| load.p99_ms),
        }
    }
}
