//! Generated from the WIT of `wharf:sql` and `wharf:sql-async`; both speak the types of [`crate::driver::types`].

/// Plain functions, async on the host.
pub(super) mod plain {
    wasmtime::component::bindgen!({
        path: "../wit/sql",
        world: "wharf:sql/imports",
        imports: {
            "wharf:sql/database.[static]database.open": trappable,
            "wharf:sql/database.[method]database.engine": trappable,
            "wharf:sql/database.[method]cursor.columns": trappable,
            "wharf:sql/database.[method]connection.close": trappable,
            default: async | trappable,
        },
        with: {
            "wharf:sql/types": crate::driver::types,
            "wharf:sql/database.database": crate::interface::sql::Database,
            "wharf:sql/database.connection": crate::interface::sql::Connection,
            "wharf:sql/database.transaction": crate::interface::sql::Transaction,
            "wharf:sql/database.cursor": crate::interface::sql::Cursor,
        },
        require_store_data_send: true,
    });
}

/// Async functions and streams.
pub(super) mod concurrent {
    wasmtime::component::bindgen!({
        path: ["../wit/sql", "../wit/sql-async"],
        world: "wharf:sql-async/imports",
        imports: {
            "wharf:sql-async/database.[static]database.open": trappable,
            "wharf:sql-async/database.[method]database.engine": trappable,
            "wharf:sql-async/database.[method]cursor.columns": trappable,
            "wharf:sql-async/database.[method]cursor.batches": store | trappable,
            default: trappable,
        },
        with: {
            "wharf:sql/types": crate::driver::types,
            "wharf:sql-async/database.database": crate::interface::sql::Database,
            "wharf:sql-async/database.connection": crate::interface::sql::Connection,
            "wharf:sql-async/database.transaction": crate::interface::sql::Transaction,
            "wharf:sql-async/database.cursor": crate::interface::sql::Cursor,
        },
        require_store_data_send: true,
    });
}
