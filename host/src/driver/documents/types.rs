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

/// Options by which nothing is asked for: the bindings' own derives are for all types, of which not all have a default.
macro_rules! nothing_asked {
    ($($options:ident { $($field:ident),* })*) => {
        $(impl Default for $options {
            fn default() -> Self {
                Self { $($field: Default::default()),* }
            }
        })*
    };
}

nothing_asked! {
    FindOptions { projection, sort, skip, limit, hint, collation, variables, read_concern }
    AggregateOptions { hint, collation, variables, allow_disk_use, read_concern, write_concern }
    CountOptions { skip, limit, hint, collation, read_concern }
    DistinctOptions { collation, read_concern }
    UpdateOptions { many, upsert, array_filters, hint, collation, variables, write_concern }
    ReplaceOptions { upsert, hint, collation, variables, write_concern }
    DeleteOptions { many, hint, collation, variables, write_concern }
    FindAndModifyOptions { projection, sort, upsert, return_new, array_filters, hint, collation, variables, write_concern }
    TransactionOptions { read_concern, write_concern }
}
