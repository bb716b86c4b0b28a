//! Why a component is not loaded.

use std::fmt;

use crate::engine::offers::Offer;

/// Why a component is not loaded. `wharf check` shows each with the file it came from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The bytes do not begin as WebAssembly does.
    #[error("not WebAssembly: the file does not begin with the four bytes of a wasm file")]
    NotWasm,
    /// A module of the core language, as `wasm32-unknown-unknown` or `wasm32-wasip1` produce.
    #[error("a core module, not a component; build it for the target wasm32-wasip2")]
    CoreModule,
    /// It does not validate or does not compile.
    #[error("not a valid component: {detail}")]
    Invalid {
        /// What wasmtime says.
        detail: String,
    },
    /// It exports none of the handlers that the host can call.
    #[error(
        "exports no wasi:http handler; a plugin exports wasi:http/incoming-handler@0.2 or wasi:http/handler@0.3, this one exports {}",
        listed(exports)
    )]
    NoHandler {
        /// What it exports instead.
        exports: Vec<String>,
    },
    /// It imports what the host does not offer.
    #[error("{}", sentences(imports))]
    NotOffered {
        /// All of them.
        imports: Vec<RefusedImport>,
    },
    /// It is made of more parts than an instance has room for.
    #[error("needs {needed} {what}, and an instance has room for {allowed}")]
    TooLarge {
        /// Which parts.
        what: &'static str,
        /// How many it has.
        needed: u64,
        /// How many fit.
        allowed: u64,
    },
    /// An interface of a served version is used with other types or functions than it has.
    #[error("uses an interface differently from how it is served: {detail}")]
    Mismatch {
        /// What wasmtime says.
        detail: String,
    },
}

/// An import that is not offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedImport {
    /// As the component names it.
    pub name: String,
    /// What the host serves instead.
    pub offer: Offer,
}

impl fmt::Display for RefusedImport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.offer {
            Offer::OtherVersions(lines) => write!(f, "imports {}: this host serves {}", self.name, lines.join(" and ")),
            Offer::Yes | Offer::No => write!(f, "imports {}, which this host does not offer", self.name),
        }
    }
}

fn sentences(imports: &[RefusedImport]) -> String {
    imports.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
