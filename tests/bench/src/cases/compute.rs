//! A handler that computes: what compiled code, fuel and epochs cost beside machine code of the same source.

use anyhow::Result;
use futures::FutureExt;

use crate::{
    bed::Bed,
    case::{Case, Figure, Measured},
    contest::{self, Question},
    servers::{
        native,
        wharf::{self, Logging},
    },
};

const FUEL: &str = "with fuel on: the host has no way to switch it off";

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("compute-hash", "/hash").note(
            "SHA-256 of 1 MiB, with fuel on: the host has no way to switch it off; natively, the processor's own instructions",
        ),
        case("compute-sort", "/sort").note(FUEL),
    ]
}

fn case(name: &'static str, path: &'static str) -> Case {
    Case::new(name, vec![Figure::main("requests/s", None)], move |bed| measure(bed, path).boxed())
}

async fn measure(bed: &Bed, path: &'static str) -> Result<Vec<Measured>> {
    let plugin = wharf::plugin("compute", "bench_compute", "");
    let mut wharf = wharf::start("", &plugin, Logging::Default).await?;
    let mut reference = native::start(&["compute"]).await?;
    let contest = contest::hold(bed, Question::new(path, 4), &mut wharf, &mut reference).await?;
    wharf.stop().await?;
    Ok(vec![contest.requests()])
}
