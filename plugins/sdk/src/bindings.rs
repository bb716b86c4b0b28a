//! Generated bindings of the worlds that Wharf runs, one module a WASI version.

#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::allow_attributes_without_reason,
    clippy::unwrap_used,
    clippy::todo,
    reason = "generated; documented in the WIT files"
)]

/// World `handler`: WASI 0.2, plain functions.
pub mod sync {
    wit_bindgen::generate!({
        path: "../../wit/worlds",
        world: "handler",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_handler",
        default_bindings_module: "wharf_sdk::raw",
        additional_derives: [Clone, PartialEq],
        additional_derives_ignore: ["stream-error"],
    });
}

/// World `handler-async`: WASI 0.3, async functions and streams.
pub mod asynchronous {
    wit_bindgen::generate!({
        path: "../../wit/worlds",
        world: "handler-async",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_handler_async",
        default_bindings_module: "wharf_sdk::raw_asynchronous",
        with: {
            "wharf:sql/types@0.1.0": crate::bindings::sync::wharf::sql::types,
            "wharf:documents/types@0.1.0": crate::bindings::sync::wharf::documents::types,
        },
    });
}
