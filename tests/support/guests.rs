//! The handlers of `tests/guests`, as components.

use std::path::{Path, PathBuf};

/// Calls a macro with the name of each guest, one at a time.
///
/// A guest that is named here without a source does not compile, nor does one without a test where the suite says
/// `support::for_each_guest!(…)`; one with a source that is not named here fails a test.
#[macro_export]
macro_rules! for_each_guest {
    ($call:ident) => {
        $call!(counts);
        $call!(counts_async);
        $call!(documents_matrix);
        $call!(documents_matrix_async);
        $call!(documents_probe);
        $call!(documents_probe_async);
        $call!(eats_memory);
        $call!(endless_body);
        $call!(hijacks);
        $call!(hoards);
        $call!(huge_result);
        $call!(invalid_response);
        $call!(leaks);
        $call!(matrix);
        $call!(matrix_async);
        $call!(overflows_stack);
        $call!(panics);
        $call!(prints);
        $call!(probe);
        $call!(probe_async);
        $call!(raw_transaction);
        $call!(renames);
        $call!(silent);
        $call!(spins);
        $call!(traps);
        $call!(trespasses);
        $call!(two_worlds);
        $call!(uses_closed);
        $call!(waits);
    };
}

/// The same for the guests of the benchmarks (`tests/bench`), which are their test.
#[macro_export]
macro_rules! for_each_bench_guest {
    ($call:ident) => {
        $call!(bench_compute);
        $call!(bench_documents);
        $call!(bench_hello);
        $call!(bench_hello_async);
        $call!(bench_sql);
        $call!(bench_sql_async);
        $call!(bench_work);
    };
}

/// Names and sources of all guests.
#[must_use]
pub fn all() -> Vec<(&'static str, &'static str)> {
    let mut guests = Vec::new();
    macro_rules! add {
        ($name:ident) => {
            guests.push((stringify!($name), include_str!(concat!("../guests/examples/", stringify!($name), ".rs"))));
        };
    }
    for_each_guest!(add);
    for_each_bench_guest!(add);
    guests
}

/// The component of a guest.
///
/// # Panics
/// When there is no such guest, or `tests/run` has not built it.
#[must_use]
pub fn component(name: &str) -> PathBuf {
    assert!(all().iter().any(|(known, _)| *known == name), "no guest {name}");
    let path = target_folder().join("wasm32-wasip2/plugin/examples").join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is missing: run tests/run, which builds the guests first", path.display());
    path
}

/// Cargo's target folder: a program of the tests lies in its `release`, the tests themselves lie in its `release/deps`.
///
/// # Panics
/// When the executable lies somewhere else.
#[must_use]
pub fn target_folder() -> PathBuf {
    let executable = std::env::current_exe().expect("the path of this executable");
    let folder = executable.parent().expect("target/release/soak or target/release/deps/suite");
    let profile = if folder.ends_with("deps") { folder.parent() } else { Some(folder) };
    profile.and_then(Path::parent).expect("the folder above target/release").to_owned()
}
