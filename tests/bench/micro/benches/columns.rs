//! One column of 1,000 values of each type, into a component's memory (lower) and out of it (lift). There is no query around it: the
//! host calls a function of the component with the column, or for it.

use criterion::{BatchSize, Criterion, Throughput};
use rigs::columns::{Columns, VALUES, every_type};

pub(crate) fn benchmark(criterion: &mut Criterion) {
    let mut columns = Columns::new().expect("a component");
    let mut group = criterion.benchmark_group("columns");
    group.throughput(Throughput::Elements(VALUES as u64));
    for (name, column) in every_type() {
        group.bench_function(format!("lower {name}"), |bencher| {
            bencher.iter_batched(|| vec![column.clone()], |column| columns.take(column).expect("taken"), BatchSize::SmallInput);
        });
        group.bench_function(format!("lift {name}"), |bencher| {
            columns.take(vec![column.clone()]).expect("taken");
            bencher.iter_with_large_drop(|| columns.give().expect("given"));
        });
    }
    group.finish();
}
