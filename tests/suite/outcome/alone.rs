//! A connection that is lost during a statement, in a transaction or as one by itself.

use support::{cut::At, servers::Engine};
use wharf::{
    driver::{FailureKind, Operation, ResultLimit, Statement, Value},
    pool::Via,
};

use super::{
    Pool, TRANSACTION, failure,
    ground::{Ground, placeholder},
    run,
};

const PARAMETER: &str = "the note itself";
const INSERT: &str = "INSERT INTO notes VALUES (@)";

/// Statement, what of it is cut, where, what its holder is told, and whether it took effect, where anybody can know. `@` is the parameter.
/// The text of a statement is sent once, to be prepared, and its parameters later, to be run.
const ROWS: &[(&str, &str, At, FailureKind, Option<bool>)] = &[
    // It was never run.
    (INSERT, "INSERT INTO", At::Sending, FailureKind::Disconnected, Some(false)),
    (INSERT, "INSERT INTO", At::Sent, FailureKind::Disconnected, Some(false)),
    (INSERT, PARAMETER, At::Sending, FailureKind::CommitUnknown, Some(false)),
    (INSERT, PARAMETER, At::Sent, FailureKind::CommitUnknown, None),
    (INSERT, PARAMETER, At::Answered, FailureKind::CommitUnknown, Some(true)),
    ("SELECT lower(@)", PARAMETER, At::Sending, FailureKind::Disconnected, Some(false)),
    ("SELECT note FROM notes WHERE note = @", PARAMETER, At::Sending, FailureKind::Disconnected, Some(false)),
    ("SELECT note FROM notes WHERE note = @", PARAMETER, At::Sent, FailureKind::Disconnected, Some(false)),
    ("SELECT writes(@)", PARAMETER, At::Sending, FailureKind::CommitUnknown, Some(false)),
    ("SELECT writes(@)", PARAMETER, At::Sent, FailureKind::CommitUnknown, None),
];

fn given(engine: Engine, sql: &str) -> Statement {
    Statement { sql: sql.replace('@', placeholder(engine)).into(), params: vec![Value::Text(PARAMETER.to_owned())] }
}

#[tokio::test]
async fn a_statement_by_itself_is_unknown_where_it_may_have_written() {
    for engine in Engine::ALL {
        for (sql, marker, at, kind, took_effect) in ROWS {
            let ground = Ground::new(engine).await;
            let (_cut, driver) = ground.through(marker, *at).await;
            let pool = Pool::new(driver).await;
            let limit = ResultLimit { rows: 1, bytes: 1000 };
            for operation in [Operation::Execute(given(engine, sql)), Operation::Query(given(engine, sql), limit)] {
                let hold = pool.borrow_it().await;
                let failure = failure(run(&hold, Via::Connection, operation).await);
                assert_eq!((failure.kind, failure.lost), (*kind, true), "{engine:?} {sql} {at:?}: {failure:?}");
            }
            pool.close().await;
            let written = ground.settled().await;
            assert!(["", PARAMETER].contains(&written.as_str()), "{engine:?} {sql} {at:?}: {written}");
            if let Some(took_effect) = took_effect {
                assert_eq!(!written.is_empty(), *took_effect, "{engine:?} {sql} {at:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_statement_in_a_transaction_has_certainly_not_taken_effect() {
    for engine in Engine::ALL {
        for (sql, marker, at, _, _) in ROWS {
            let ground = Ground::new(engine).await;
            let (_cut, driver) = ground.through(marker, *at).await;
            let pool = Pool::new(driver).await;
            let hold = pool.begun().await;
            let failure = failure(run(&hold, TRANSACTION, Operation::Execute(given(engine, sql))).await);
            assert_eq!((failure.kind, failure.lost), (FailureKind::Disconnected, true), "{engine:?} {sql} {at:?}: {failure:?}");
            drop(hold);
            pool.close().await;
            assert_eq!(ground.settled().await, "", "{engine:?} {sql} {at:?}");
        }
    }
}
