//! The example's configuration, from the file to one that is known to be right.

use std::{hint::black_box, path::Path};

use criterion::Criterion;
use wharf::config;

const CLINIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../examples/clinic");

pub(crate) fn benchmark(criterion: &mut Criterion) {
    let folder = Path::new(CLINIC);
    criterion.bench_function("config load", |bencher| {
        bencher.iter(|| config::load(black_box(folder), &|_| None).map_err(|wrong| wrong.to_string()).expect("a configuration"));
    });
}
