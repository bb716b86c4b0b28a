//! Handlers that misbehave: for each the promised answer, and afterwards a host that is whole.

mod bed;

mod counts;
mod eats_memory;
mod endless_body;
mod hijacks;
mod hoards;
mod huge_result;
mod invalid_response;
mod leaks;
mod overflows_stack;
mod panics;
mod prints;
mod probe;
mod probe_async;
mod raw_transaction;
mod renames;
mod silent;
mod spins;
mod traps;
mod trespasses;
mod uses_closed;
mod waits;

use counts as counts_async;
// Those of documents are tested in a module of their own.
use crate::{documents as documents_probe, documents as documents_probe_async, documents as two_worlds};
// Their test is the matrix of faults.
use crate::{matrix, matrix as documents_matrix, matrix as documents_matrix_async, matrix as matrix_async};

/// Runs each test on SQLite, on PostgreSQL and on MariaDB, and on the first two with instances that serve several calls as well.
macro_rules! on_every_engine {
    ($($(#[$attribute:meta])* async fn $name:ident($engine:ident) $body:block)*) => {
        $($(#[$attribute])* async fn $name($engine: $crate::hostile::bed::Engine) $body)*

        mod sqlite {
            $(#[tokio::test] async fn $name() { super::$name($crate::hostile::bed::Engine::Sqlite).await })*
        }

        mod postgres {
            $(#[tokio::test] async fn $name() { super::$name($crate::hostile::bed::Engine::Postgres).await })*
        }

        mod mariadb {
            $(#[tokio::test] async fn $name() { super::$name($crate::hostile::bed::Engine::Mariadb).await })*
        }

        mod sqlite_reused {
            use $crate::hostile::bed::{Engine, REUSED};
            $(#[tokio::test] async fn $name() { REUSED.scope((), super::$name(Engine::Sqlite)).await })*
        }

        mod postgres_reused {
            use $crate::hostile::bed::{Engine, REUSED};
            $(#[tokio::test] async fn $name() { REUSED.scope((), super::$name(Engine::Postgres)).await })*
        }
    };
}
use on_every_engine;

/// A guest without a module of its name here does not compile.
macro_rules! is_tested {
    ($name:ident) => {
        const _: () = {
            #[expect(unused_imports, reason = "only that it is there")]
            use $name as _;
        };
    };
}
support::for_each_guest!(is_tested);
