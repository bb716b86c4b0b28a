//! A call from its request to the last byte of its answer, and beside it what wasmtime alone takes for an instance.

use criterion::Criterion;
use rigs::calls::Calls;

pub(crate) fn benchmark(criterion: &mut Criterion) {
    let runtime = crate::one_thread();
    let calls = Calls::new().expect("a host");
    let mut group = criterion.benchmark_group("call");
    crate::repeat(&mut group, "instantiate-call-drop", &runtime, || calls.call());
    crate::repeat(&mut group, "bare instantiate-drop", &runtime, || calls.instantiate());
    group.finish();
}
