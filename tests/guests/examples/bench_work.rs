//! The work of `bench_compute` as functions of a component, for engines with nothing around them.

use guests::{
    compute,
    work::{Guest, export},
};

struct Work;

impl Guest for Work {
    fn hash() -> String {
        compute::hash()
    }

    fn sort() -> String {
        compute::sort()
    }
}

export!(Work);
