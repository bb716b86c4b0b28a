//! A component of the SDK imports the interfaces of the databases that it uses, and no others: what it imports costs every call.

use std::fs;

use support::guests;

#[test]
fn a_handler_imports_only_the_databases_that_it_uses() {
    // Plugins lie in the folder above that of guests.
    let guests = guests::component("bench_hello").parent().unwrap().to_owned();
    let plugins = guests.parent().unwrap();
    for (component, sql, documents) in [
        (guests.join("bench_hello.wasm"), false, false),
        (guests.join("bench_hello_async.wasm"), false, false),
        (guests.join("bench_sql.wasm"), true, false),
        (guests.join("bench_documents.wasm"), false, true),
        (guests.join("asynchronous.wasm"), true, false),
        (guests.join("asynchronous_documents.wasm"), false, true),
        (plugins.join("clinic.wasm"), true, false),
        (plugins.join("accounts.wasm"), false, true),
        (plugins.join("outbox.wasm"), false, true),
    ] {
        let bytes = fs::read(&component).unwrap_or_else(|error| panic!("{}: {error}", component.display()));
        // Names of imports are text in the binary; nothing else writes a package so.
        let has = |package: &[u8]| bytes.windows(package.len()).any(|window| window == package);
        assert_eq!((has(b"wharf:sql"), has(b"wharf:documents")), (sql, documents), "{}", component.display());
    }
}
