//! Generated from the WIT of `wharf:documents` and `wharf:documents-async`; both speak the types of [`crate::driver::documents::types`].

/// Plain functions, async on the host.
pub(super) mod plain {
    wasmtime::component::bindgen!({
        path: "../wit/documents",
        world: "wharf:documents/imports",
        imports: {
            "wharf:documents/database.[static]database.open": trappable,
            "wharf:documents/database.[method]database.collection": trappable,
            "wharf:documents/database.[method]transaction.collection": trappable,
            default: async | trappable,
        },
        with: {
            "wharf:documents/types": crate::driver::documents::types,
            "wharf:documents/database.database": crate::interface::documents::Database,
            "wharf:documents/database.collection": crate::interface::documents::Collection,
            "wharf:documents/database.transaction": crate::interface::documents::Transaction,
            "wharf:documents/database.cursor": crate::interface::documents::Cursor,
        },
        require_store_data_send: true,
    });
}

/// Async functions and streams.
pub(super) mod concurrent {
    wasmtime::component::bindgen!({
        path: ["../wit/documents", "../wit/documents-async"],
        world: "wharf:documents-async/imports",
        imports: {
            "wharf:documents-async/database.[static]database.open": trappable,
            "wharf:documents-async/database.[method]database.collection": trappable,
            "wharf:documents-async/database.[method]transaction.collection": trappable,
            "wharf:documents-async/database.[method]cursor.batches": store | trappable,
            default: trappable,
        },
        with: {
            "wharf:documents/types": crate::driver::documents::types,
            "wharf:documents-async/database.database": crate::interface::documents::Database,
            "wharf:documents-async/database.collection": crate::interface::documents::Collection,
            "wharf:documents-async/database.transaction": crate::interface::documents::Transaction,
            "wharf:documents-async/database.cursor": crate::interface::documents::Cursor,
        },
        require_store_data_send: true,
    });
}
