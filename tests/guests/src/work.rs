//! The world `work`: functions that compute, for engines with nothing around them.

#[expect(missing_docs, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package wharf:bench;

            world work {
                export hash: func() -> string;
                export sort: func() -> string;
            }
        ",
        pub_export_macro: true,
        export_macro_name: "export_work",
        default_bindings_module: "guests::work::generated",
    });
}

/// What the bindings generator made.
pub mod generated {
    pub use super::bindings::*;
}

pub use self::bindings::{Guest, export_work as export};
