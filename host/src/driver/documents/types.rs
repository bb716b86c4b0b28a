//! The vocabulary of `wharf:documents`: options, outcomes and errors, generated from the WIT.

#![expect(missing_docs, reason = "generated; documented in wit/documents/types.wit")]

wasmtime::component::bindgen!({
    path: "../wit/documents",
    inline: "
        package wharf:host;
        world vocabulary { import wharf:documents/types@0.1.0; }
    ",
    additional_derives: [Clone, PartialEq],
});

pub use self::wharf::documents::types::*;
