//! Answers without a database: what a request costs by itself.

use anyhow::Result;
use futures::FutureExt;

use crate::{
    bed::Bed,
    case::{
        Case, Figure, Measured,
        Target::{self, AtLeast},
    },
    contest::{self, Question},
    servers::{
        Server, native, wasmtime,
        wharf::{self, Logging},
    },
};

/// What both are asked for.
const HELLO: Question = Question::new("/", 32);

/// Plain hyper keeps one of wrk's threads busy by itself.
const TWO_THREADS: &str = "wrk has two threads, which need processors that a server then has not";

/// A guest of WASI 0.2 and one of 0.3.
const PLAIN: &str = "bench_hello";
const CONCURRENT: &str = "bench_hello_async";

/// The allocator as `host/src/engine/config.rs` sets it.
const SAME_ALLOCATOR: &[&str] = &[
    "-Opooling-allocator=y",
    "-Opooling-pagemap-scan=auto",
    "-Opooling-memory-keep-resident=1048576",
    "-Opooling-table-keep-resident=32768",
];

/// A new instance for each request, which is its default for WASI 0.2 alone.
const FRESH: &[&str] = &["--max-instance-reuse-count=1"];

/// A new instance for each call is Wharf's default; this is the other way.
const REUSED: &str = "instances = { reuse = 100 }";

/// Who Wharf is compared with.
#[derive(Clone, Copy, Debug)]
enum Reference {
    /// `wasmtime serve` with these options, in groups.
    Wasmtime(&'static [&'static [&'static str]]),
    Native,
}

/// A guest, and how Wharf is set up for it.
#[derive(Clone, Copy, Debug)]
struct Setup {
    guest: &'static str,
    plugin: &'static str,
    logging: Logging,
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    use Reference::{Native, Wasmtime};

    let plain = Setup { guest: PLAIN, plugin: "", logging: Logging::Default };
    let quiet = Setup { logging: Logging::Quiet, ..plain };
    let fresh = Setup { guest: CONCURRENT, ..plain };
    let reused = Setup { plugin: REUSED, ..fresh };
    vec![
        case("hello-02/wasmtime-same-allocator", plain, Wasmtime(&[SAME_ALLOCATOR]), Some(AtLeast(2.0))),
        case("hello-02/wasmtime-same-allocator-log-off", quiet, Wasmtime(&[SAME_ALLOCATOR]), None),
        case("hello-02/wasmtime-defaults", plain, Wasmtime(&[]), Some(AtLeast(3.5))),
        case("hello-02/native", plain, Native, Some(AtLeast(0.45))).note(TWO_THREADS),
        case("hello-02/native-log-off", quiet, Native, None).note(TWO_THREADS),
        case("hello-03-fresh/wasmtime", fresh, Wasmtime(&[FRESH]), Some(AtLeast(1.5))).close(),
        case("hello-03-fresh/wasmtime-same-allocator", fresh, Wasmtime(&[FRESH, SAME_ALLOCATOR]), None),
        case("hello-03-fresh/native", fresh, Native, None).note(TWO_THREADS),
        case("hello-03-reused/wasmtime", reused, Wasmtime(&[]), Some(AtLeast(1.0))).note(
            "wharf reuses an instance 100 times, one call after the other; wasmtime serve 128 times, up to 16 calls at once",
        ),
        case("hello-03-reused/native", reused, Native, None).note(TWO_THREADS),
    ]
}

fn case(name: &'static str, setup: Setup, reference: Reference, target: Option<Target>) -> Case {
    Case::new(name, vec![Figure::main("requests/s", target)], move |bed| measure(bed, setup, reference).boxed())
}

async fn measure(bed: &Bed, setup: Setup, reference: Reference) -> Result<Vec<Measured>> {
    let plugin = wharf::plugin("hello", setup.guest, setup.plugin);
    let mut wharf = wharf::start("", &plugin, setup.logging).await?;
    let (question, mut reference): (Question, Server) = match reference {
        Reference::Wasmtime(options) => (HELLO, wasmtime::start(setup.guest, &options.concat()).await?),
        Reference::Native => (HELLO.two_threads(), native::start(&["hello"]).await?),
    };
    let contest = contest::hold(bed, question, &mut wharf, &mut reference).await?;
    wharf.stop().await?;
    Ok(vec![contest.requests()])
}
