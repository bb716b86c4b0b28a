//! Documents of MongoDB, in a fresh instance a call, beside a native server with the same driver: one by its `_id`, a thousand, one inserted.
//!
//! No server that could be had answers as fast as either asks, so both ask a stand-in that answers canned bytes; what servers give alone is told
//! by [`super::documents_alone`].

use std::time::Instant;

use anyhow::Result;
use futures::FutureExt;

use crate::{
    bed::Bed,
    case::{
        Case, Figure, Measured,
        Target::{self, AtLeast},
    },
    contest::{self, Question},
    processor,
    servers::{
        native, stand_in,
        wharf::{self, Logging},
    },
    setup,
};

/// Clients at once, and connections for operations on either side.
const CLIENTS: usize = 32;
const POOL: usize = 32;

const ONE: &str = "natively, a typed collection of the same driver; both ask a stand-in for MongoDB that answers canned bytes";
const ONE_BATCH: &str = "natively, a typed collection of the same driver, with all documents in one batch, as Wharf asks for them; both ask a \
                         stand-in for MongoDB that answers canned bytes";
const TWO_BATCHES: &str = "natively, a typed collection of the same driver, which leaves the size of batches to the server: 101 documents, and \
                           then the rest; both ask a stand-in for MongoDB that answers canned bytes";

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let ask = |path| Question::new(path, CLIENTS);
    let target = Some(AtLeast(0.85));
    vec![
        case("documents-find-one", ask("/document/471"), target).note(ONE),
        case("documents-find-1000", ask("/documents/1000"), target).note(ONE_BATCH),
        case("documents-find-1000/default-batches", ask("/batches/1000"), None).note(TWO_BATCHES),
        case("documents-insert-one", ask("/insert").but_for_ids(), target).note(ONE),
    ]
}

fn case(name: &'static str, question: Question, target: Option<Target>) -> Case {
    let figures = vec![Figure::main("requests/s", target)];
    Case::new(name, figures, move |bed| measure(bed, question).boxed())
}

async fn measure(bed: &Bed, question: Question) -> Result<Vec<Measured>> {
    let stand_in = stand_in::start().await?;
    let url = stand_in::url(&stand_in);
    let database = format!("[databases.main]\nurl = {url:?}\nmin_pool_size = {POOL}\nmax_pool_size = {POOL}\n\n");
    let plugin = wharf::plugin("documents", "bench_documents", setup::GRANT);
    let mut wharf = wharf::start("", &(database + &plugin), Logging::Default).await?;
    let mut native = native::start(&["database", &url, &format!("--pool={POOL}")]).await?;
    let (before, since) = (processor::time(stand_in.pid()?)?, Instant::now());
    let contest = contest::hold(bed, question, &mut wharf, &mut native).await?;
    let busy = processor::time(stand_in.pid()?)?.saturating_sub(before).as_secs_f64() / since.elapsed().as_secs_f64();
    // It proves that it leaves no connection, and fails otherwise.
    wharf.stop().await?;
    Ok(vec![
        contest.requests().note(format!("the stand-in has one thread, which was busy for {:.0} % of the time", busy * 100.0)),
    ])
}
