//! The matrix of faults: every way out of a call × every state it may be in × every way its database may behave, on every engine.
//!
//! `axes` names what is tried and what cannot be; `cell` is one cell, the same for all; `ground` is a database with what guests are told in
//! its language, and what it says of us on a connection of the test's own; `bed` is the host under test, in this process, so that its
//! counts can be read; `table` prints what came of it.
//!
//! `WHARF_MATRIX="postgres ready"` picks the cells with all these words; `WHARF_MATRIX_LOG=debug` shows what their hosts log.
//!
//! Every host keeps an audit log, in which each operation must have both of its lines, and each transaction its end.
//!
//! The real host is put together from a `wharf.toml` and stopped by its own shutdown; only the process around it is missing.

mod axes;
mod bed;
mod cell;
mod ground;
mod table;

use std::{sync::Mutex, time::Duration};

use futures::{StreamExt, stream};
use wharf::telemetry::logs;

use self::{
    axes::{Cell, Engine, Exit, Guest, Peer, Scale, State},
    ground::{Ground, Language},
    table::{Entry, Table},
};

/// Cells that run at once; each has a host, and a database of its own among those that are used again and again.
const AT_ONCE: usize = 16;

/// No cell takes this long; one that does hangs.
const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_out_of_a_call_gives_the_connection_back() {
    if let Ok(filter) = std::env::var("WHARF_MATRIX_LOG") {
        logs::init(logs::Format::Human, &filter, logs::Color::Never).unwrap();
    }
    let mut cells: Vec<Cell> = Vec::new();
    for engine in Engine::ALL {
        for peer in Peer::ALL {
            for state in State::ALL {
                cells.extend(Exit::ALL.map(|exit| Cell { engine, peer, state, exit, scale: Scale::Small }));
            }
        }
        // Where a silent peer makes reclaim go through its bounds, or all that the engine has.
        let (peer, state) = engine.real_row();
        cells.extend(Exit::ALL.map(|exit| Cell { engine, peer, state, exit, scale: Scale::Real }));
    }
    // Those that take longest first, and the engines by turns: no server is to answer all hosts that run at once.
    cells.sort_by_key(|cell| (std::cmp::Reverse((cell.scale == Scale::Real, cell.peer)), cell.state, cell.exit));
    let only = std::env::var("WHARF_MATRIX").unwrap_or_default();
    cells.retain(|cell| only.split(' ').all(|word| cell.to_string().contains(word)));
    let grounds = Mutex::new(Vec::new());
    let started = std::time::Instant::now();
    // One host of each kind at first, so that its guests are compiled once.
    let mut results = Vec::new();
    for kind in Language::ALL.into_iter().flat_map(|language| [Guest::Plain, Guest::Concurrent].map(|guest| (language, guest))) {
        if let Some(place) = cells.iter().position(|cell| (cell.language(), cell.guest()) == kind && cell.cannot_be().is_none()) {
            results.push(try_cell(cells.remove(place), &grounds).await);
        }
    }
    let rest = stream::iter(cells).map(|cell| try_cell(cell, &grounds)).buffer_unordered(AT_ONCE);
    results.extend(rest.collect::<Vec<_>>().await);
    let table = Table::new(results, started.elapsed());
    table.print();
    let failed = table.failed();
    assert!(failed.is_empty(), "{} cells failed:\n{}", failed.len(), failed.join("\n"));
}

/// One cell, on a database that no other uses meanwhile. After a failure the database is not used again.
async fn try_cell(cell: Cell, grounds: &Mutex<Vec<Ground>>) -> (Cell, Entry) {
    if let Some(reason) = cell.cannot_be() {
        return (cell, Entry::CannotBe(reason));
    }
    let free = {
        let mut grounds = grounds.lock().unwrap();
        grounds.iter().position(|ground| ground.server() == cell.server()).map(|place| grounds.swap_remove(place))
    };
    let ground = match free {
        Some(ground) => ground,
        None => Ground::new(cell.server()).await,
    };
    // A task of its own, so that a panic is told as the failure of this cell.
    let running = tokio::spawn(async move {
        let result = tokio::time::timeout(PATIENCE, cell::run(cell, &ground)).await;
        (ground, result.unwrap_or_else(|_| Err(format!("not over after {PATIENCE:?}"))))
    });
    let entry = match running.await {
        Ok((ground, Ok(free_after))) => {
            grounds.lock().unwrap().push(ground);
            Entry::Fine(free_after)
        }
        Ok((ground, Err(why))) => {
            // It waits for the server.
            let dropped = tokio::task::spawn_blocking(move || drop(ground)).await;
            Entry::Failed(if dropped.is_ok() { why } else { format!("{why}; and its database could not be dropped") })
        }
        Err(panicked) => Entry::Failed(panicked.to_string()),
    };
    (cell, entry)
}
