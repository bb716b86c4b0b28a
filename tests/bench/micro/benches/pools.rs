//! Borrowing from a pool whose connections answer at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::Criterion;
use rigs::pools::Pool;
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

/// Who wants a connection at the same time.
const TASKS: u64 = 32;
/// How many there are.
const CONNECTIONS: u32 = 4;

pub(crate) fn benchmark(criterion: &mut Criterion) {
    let one = crate::one_thread();
    let pool = one.block_on(Pool::open(1)).expect("a pool");
    let mut group = criterion.benchmark_group("pool");
    crate::repeat(&mut group, "acquire-release, uncontended", &one, || pool.acquire_and_release());
    crate::repeat(&mut group, "statement", &one, || pool.statement());
    assert_eq!(pool.waited(), 0, "somebody had to wait");
    let connection = one.block_on(pool.connect()).expect("a connection");
    crate::repeat(&mut group, "hand-over", &one, || pool.hand_over(&connection));
    for (name, runtime) in [("one thread", crate::one_thread()), ("two threads", two_threads())] {
        let pool = Arc::new(runtime.block_on(Pool::open(CONNECTIONS)).expect("a pool"));
        group.bench_function(format!("acquire-release, {TASKS} tasks on {CONNECTIONS} connections, {name}"), |bencher| {
            bencher.iter_custom(|times| runtime.block_on(contended(&pool, times)));
        });
    }
    group.finish();
}

fn two_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime")
}

/// How long all tasks together take to borrow `times` connections, give or take one a task. A holder lets the others go on before it gives
/// back, as one that runs a statement does.
async fn contended(pool: &Arc<Pool>, times: u64) -> Duration {
    let each = times.div_ceil(TASKS);
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let pool = Arc::clone(pool);
        tasks.spawn(async move {
            for _ in 0..each {
                let hold = pool.acquire().await.expect("a connection");
                tokio::task::yield_now().await;
                drop(hold);
            }
        });
    }
    tasks.join_all().await;
    // As much as `times` would have taken.
    started.elapsed().mul_f64(times as f64 / (each * TASKS) as f64)
}
