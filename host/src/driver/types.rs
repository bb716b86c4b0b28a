//! The vocabulary of `wharf:sql`: values, columns, batches and descriptions, generated from the WIT.
//!
//! Drivers build these types straight from the wire and the interface hands them to the guest, so no row is converted twice.

#![expect(missing_docs, reason = "generated; documented in wit/sql/types.wit")]

wasmtime::component::bindgen!({
    path: "../wit/sql",
    inline: "
        package wharf:host;
        world vocabulary { import wharf:sql/types@0.1.0; }
    ",
    additional_derives: [Clone, PartialEq],
});

pub use self::wharf::sql::types::*;
