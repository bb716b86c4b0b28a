//! Answers without a database: what a request costs by itself.

use anyhow::Result;
use futures::FutureExt;

use crate::{
    bed::Bed,
    case::{Case, Figure, Measured, Target},
    contest::{self, Question},
    servers::{
        native,
        wharf::{self, Logging},
    },
};

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    vec![Case::new("hello-02/native", vec![Figure::main("requests/s", Some(Target::AtLeast(0.45)))], |bed| native(bed).boxed())]
}

async fn native(bed: &Bed) -> Result<Vec<Measured>> {
    let mut wharf = wharf::start("", &wharf::plugin("hello", "bench_hello", ""), Logging::Default).await?;
    let mut reference = native::start(&["hello"]).await?;
    let contest = contest::hold(bed, Question { path: "/", connections: 32 }, &mut wharf, &mut reference).await?;
    wharf.stop().await?;
    Ok(vec![Measured::pairs(contest.pairs(|load| load.requests_per_second)).latencies(contest.latencies())])
}
