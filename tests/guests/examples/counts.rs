//! Keeps in its memory how many calls it has served, and leaves things behind where it is asked to.

use std::{
    mem::forget,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use guests::plain::{Answer, Fields, Request, TransactionOptions, monotonic_clock};

guests::handler!(answer);

static CALLS: AtomicU32 = AtomicU32::new(0);
static BUSY: AtomicBool = AtomicBool::new(false);

/// The number of the call, or `entered twice` when another call is in the same instance.
fn answer(request: Request) -> Answer {
    if BUSY.swap(true, Ordering::Relaxed) {
        return Answer::text("entered twice").status(500);
    }
    let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    match request.variant() {
        "counts" => {}
        "waits" => monotonic_clock::subscribe_duration(request.number("ms", 5) * 1_000_000).block(),
        "keeps" => forget(Fields::new()),
        "leaks" => {
            let options = TransactionOptions { isolation: None, read_only: false };
            forget(request.database().begin(options).expect("a transaction"));
        }
        "prints" => println!("call {calls}"),
        "exits" => std::process::exit(0),
        "traps" => std::process::abort(),
        other => return Answer::unknown(other),
    }
    BUSY.store(false, Ordering::Relaxed);
    Answer::text(calls.to_string())
}
