//! What only a server does that cancels, falls silent, and remembers what it was asked.

use std::sync::Arc;

use tokio::task::JoinSet;
use wire::{Mode, Recorded, Wire, error};

use super::*;
use crate::driver::{
    documents::{
        Distinct, FindAndModify,
        types::{DistinctOptions, Modification},
    },
    mongodb::connect::Openings,
};

const BOUND: Duration = Duration::from_secs(5);

async fn connect(wire: &Wire) -> Box<dyn Connection> {
    Mongodb::new(&wire.url("app"), Settings::default()).unwrap().connect().await.unwrap()
}

fn name(connection: &dyn Connection) -> String {
    connection.session().started.split_once('|').unwrap().0.to_owned()
}

/// What one session said, but for what it said to come in.
fn said_by(wire: &Wire, name: &str) -> Vec<Recorded> {
    let mut commands = wire.commands();
    commands.retain(|command| command.app == name && !["hello", "isMaster", "connectionStatus"].contains(&command.name.as_str()));
    commands
}

/// Closes every connection, and each new one at once.
async fn refuse(wire: &Wire) {
    wire.be(Mode::Refusing);
    let all_closed = |wire: &Wire| wire.sockets().values().all(|sockets| sockets.open == 0).then_some(());
    wire.until("every connection closed", BOUND, all_closed).await;
}

fn names(commands: &[Recorded]) -> Vec<&str> {
    commands.iter().map(|command| command.name.as_str()).collect()
}

/// Deletes somebody, and tells who it was.
fn modify() -> Request {
    let modify =
        FindAndModify::new(bytes(&[doc! {}]), Modification::Delete, FindAndModifyOptions::default(), Access::ReadWrite).unwrap();
    Request::FindAndModify(people(), Box::new(modify))
}

fn distinct() -> Request {
    let options = DistinctOptions { collation: None, read_concern: None };
    Request::Distinct(people(), Distinct::new("n".to_owned(), bytes(&[doc! {}]), options, Access::ReadOnly).unwrap())
}

#[tokio::test]
async fn every_command_carries_what_is_left_as_max_time() {
    let wire = Wire::start();
    wire.answer(
        "listCollections",
        &doc! { "ok": 1, "cursor": { "id": 0_i64, "ns": "app.$cmd.listCollections", "firstBatch": [] } },
    );
    wire.answer("count", &doc! { "ok": 1, "n": 0 });
    wire.answer("distinct", &doc! { "ok": 1, "values": [] });
    let mut connection = connect(&wire).await;
    wire.forget();
    let left = Duration::from_millis(1234);
    let requests = [
        Request::Find(people(), find(doc! {}, FindOptions::default())),
        Request::FindOne(people(), find(doc! {}, FindOptions::default())),
        Request::Aggregate(people(), aggregate(&[])),
        counting(doc! {}),
        Request::EstimatedCount(people()),
        distinct(),
        Request::ListCollections(None),
        Request::ListIndexes(people()),
        unique("a"),
        modify(),
        insert(&[doc! {}]),
        update(doc! {}, doc! { "$set": { "a": 1 } }),
        delete(doc! {}),
        Request::drop_index(people(), "a_1".to_owned()).unwrap(),
    ];
    for request in requests {
        connection.run_within(Operation::Documents(Box::new(request), LIMIT), left).await.unwrap();
    }
    begin(&mut *connection).await;
    connection.run_within(Operation::Documents(Box::new(insert(&[doc! {}])), LIMIT), left).await.unwrap();
    connection.run_within(Operation::Commit, left).await.unwrap();
    let said = said_by(&wire, &name(&*connection));
    assert_eq!(said.len(), 16, "{:?}", names(&said));
    for command in &said {
        let max_time = command.max_time.unwrap_or_else(|| panic!("{} has none", command.name));
        assert!(max_time <= left && max_time > Duration::from_millis(234), "{}: {max_time:?}", command.name);
    }
    // No time at all is a millisecond, and not no limit.
    wire.forget();
    connection.run_within(Operation::Documents(Box::new(insert(&[doc! {}])), LIMIT), Duration::ZERO).await.unwrap();
    assert_eq!(said_by(&wire, &name(&*connection))[0].max_time, Some(Duration::from_millis(1)));
}

#[tokio::test]
async fn a_slot_has_one_socket_and_one_to_watch() {
    let wire = Wire::start();
    let mut connection = connect(&wire).await;
    for _ in 0..20 {
        all(&mut *connection).await.unwrap();
        connection.ping().await.unwrap();
    }
    let sockets = wire.sockets()[&name(&*connection)];
    assert_eq!((sockets.most_open, sockets.most_operating), (2, 1), "{sockets:?}");
    assert!(!connection.needs_reset());
}

#[tokio::test]
async fn no_socket_is_opened_to_say_good_bye() {
    let wire = Wire::start();
    let driver = Mongodb::new(&wire.url("app"), Settings::default()).unwrap();
    for dropped in [false, true] {
        let mut connection = driver.connect().await.unwrap();
        all(&mut *connection).await.unwrap();
        let (name, accepted) = (name(&*connection), wire.accepted());
        wire.forget();
        if dropped {
            drop(connection);
            driver.close().await;
        } else {
            connection.close().await.unwrap();
        }
        let closed = |wire: &Wire| (wire.sockets()[&name].open == 0).then_some(());
        wire.until("its sockets closed", BOUND, closed).await;
        assert_eq!(wire.accepted(), accepted);
        assert_eq!(names(&said_by(&wire, &name)), if dropped { vec![] } else { vec!["endSessions"] });
    }
}

/// An operation that waits in the server, and the wish that it end.
async fn cancelled(wire: &Wire, driver: &Mongodb, connection: &mut dyn Connection, command: &str, request: Request) -> Failure {
    let mut control = driver.control().await.unwrap();
    let session = connection.session().clone();
    wire.block(command);
    let (result, ()) = tokio::join!(ask(connection, request), async {
        let waits = |wire: &Wire| wire.waiting().contains(&command.to_owned()).then_some(());
        wire.until("the command", BOUND, waits).await;
        control.cancel(&session).await.unwrap();
    });
    wire.release();
    control.close().await;
    failure(result)
}

#[tokio::test]
async fn a_cancelled_first_operation_leaves_no_transaction() {
    let wire = Wire::start();
    let driver = Mongodb::new(&wire.url("app"), Settings::default()).unwrap();
    let mut connection = driver.connect().await.unwrap();
    begin(&mut *connection).await;
    let failed = cancelled(&wire, &driver, &mut *connection, "insert", insert(&[doc! {}])).await;
    assert_eq!((failed.kind, failed.code.as_deref(), failed.lost), (FailureKind::Cancelled, Some("11601"), false), "{failed:?}");
    let name = name(&*connection);
    wire.forget();
    connection.close().await.unwrap();
    // Although the server has heard of it in a command that failed.
    assert_eq!(names(&said_by(&wire, &name)), ["abortTransaction", "endSessions"]);
    assert_eq!((wire.transactions(), wire.cursors()), (0, 0));
}

#[tokio::test]
async fn a_find_cancelled_before_its_reply_leaves_no_cursor() {
    let wire = Wire::start();
    wire.answer_batches("find", "app.people", &[numbered(2), numbered(1)]);
    let driver = Mongodb::new(&wire.url("app"), Settings::default()).unwrap();
    let mut connection = driver.connect().await.unwrap();
    let request = Request::Find(people(), find(doc! {}, FindOptions::default()));
    let failed = cancelled(&wire, &driver, &mut *connection, "find", request).await;
    assert_eq!((failed.kind, failed.lost), (FailureKind::Cancelled, false), "{failed:?}");
    assert_eq!(wire.cursors(), 0);
    // One that was made all the same, by a server that is late, goes when the session is looked for.
    let session = connection.session().clone();
    let mut control = driver.control().await.unwrap();
    frame(&mut *connection).await;
    open(&mut *connection, 1, Query::Find(people(), find(doc! {}, FindOptions::default()))).await.unwrap();
    assert_eq!(wire.cursors(), 1);
    drop(connection);
    driver.close().await;
    let closed = |wire: &Wire| (wire.sockets()[session.started.split('|').next().unwrap()].open == 0).then_some(());
    wire.until("its sockets closed", BOUND, closed).await;
    assert_eq!(wire.cursors(), 1);
    assert!(!control.is_listed(&session).await.unwrap());
    assert_eq!(wire.cursors(), 0);
}

#[tokio::test]
async fn an_abort_that_the_server_refuses_discards_the_connection() {
    let wire = Wire::start();
    let mut connection = connect(&wire).await;
    begin(&mut *connection).await;
    write(&mut *connection, insert(&[doc! {}])).await.unwrap();
    wire.answer_next("abortTransaction", &error(8, "UnknownError"));
    let failed = failure(connection.reset().await);
    assert!(failed.lost, "{failed:?}");
    assert!(connection.needs_reset() && connection.ping().await.is_err());
    // That there is none is as good as an answer.
    let mut connection = connect(&wire).await;
    begin(&mut *connection).await;
    write(&mut *connection, insert(&[doc! {}])).await.unwrap();
    wire.answer_next("abortTransaction", &error(251, "NoSuchTransaction"));
    connection.reset().await.unwrap();
    assert!(!connection.needs_reset());
}

#[tokio::test]
async fn a_closed_cursor_is_proven_gone() {
    let wire = Wire::start();
    wire.answer_batches("find", "app.people", &[numbered(2), numbered(1)]);
    let mut connection = connect(&wire).await;
    frame(&mut *connection).await;
    open(&mut *connection, 1, Query::Find(people(), find(doc! {}, FindOptions::default()))).await.unwrap();
    wire.forget();
    say(&mut *connection, Operation::CloseCursor(1)).await.unwrap();
    let name = name(&*connection);
    assert_eq!(names(&said_by(&wire, &name)), ["killCursors", "getMore"]);
    assert_eq!(wire.cursors(), 0);
    say(&mut *connection, Operation::Rollback).await.unwrap();
    assert!(!connection.needs_reset());
    // One that lives on although it was killed is no reason to believe the server.
    frame(&mut *connection).await;
    open(&mut *connection, 2, Query::Find(people(), find(doc! {}, FindOptions::default()))).await.unwrap();
    wire.answer_next("killCursors", &doc! { "ok": 1, "cursorsKilled": [1_i64], "cursorsAlive": [] });
    let failed = failure(say(&mut *connection, Operation::CloseCursor(2)).await);
    assert!(failed.lost, "{failed:?}");
}

#[tokio::test]
async fn a_cursor_that_is_dropped_while_it_is_read_opens_no_socket() {
    let wire = Wire::start();
    wire.answer_batches("find", "app.people", &[Vec::new(), numbered(1)]);
    wire.block("getMore");
    let driver = Mongodb::new(&wire.url("app"), Settings::default()).unwrap();
    for whole in [false, true] {
        let mut connection = driver.connect().await.unwrap();
        let name = name(&*connection);
        frame(&mut *connection).await;
        if !whole {
            open(&mut *connection, 1, Query::Find(people(), find(doc! {}, FindOptions::default()))).await.unwrap();
        }
        let accepted = wire.accepted();
        let reading = async {
            if whole { all(&mut *connection).await.map(drop) } else { fetch(&mut *connection, 1, LIMIT).await.map(drop) }
        };
        tokio::select! {
            _ = reading => panic!("nobody has answered"),
            () = wire.until("a getMore", BOUND, |wire| wire.waiting().contains(&"getMore".to_owned()).then_some(())) => {}
        }
        drop(connection);
        let closed = |wire: &Wire| (wire.sockets()[&name].open == 0).then_some(());
        wire.until("its sockets closed", BOUND, closed).await;
        assert_eq!(wire.accepted(), accepted);
        assert!(!names(&said_by(&wire, &name)).contains(&"killCursors"));
    }
}

#[tokio::test]
async fn in_a_transaction_the_crates_cursor_hears_of_the_end() {
    let wire = Wire::start();
    wire.answer_batches("find", "app.people", &[numbered(2), numbered(1)]);
    let mut connection = connect(&wire).await;
    begin(&mut *connection).await;
    assert_eq!(all(&mut *connection).await.unwrap().len(), 3);
    say(&mut *connection, Operation::Commit).await.unwrap();
    let said = said_by(&wire, &name(&*connection));
    assert_eq!(names(&said), ["find", "getMore", "getMore", "commitTransaction"]);
    let within: Vec<bool> = said.iter().map(|command| command.transaction.is_some()).collect();
    assert_eq!(within, [true, true, false, true]);
    assert!(!connection.needs_reset());
}

#[tokio::test]
async fn a_server_that_is_down_is_told_at_once() {
    let wire = Wire::start();
    wire.be(Mode::Refusing);
    let driver = Mongodb::new(&wire.url("app"), Settings::default()).unwrap();
    let began = std::time::Instant::now();
    let failed = driver.connect().await.err().unwrap();
    assert_eq!((failed.kind, failed.lost), (FailureKind::Disconnected, true), "{failed:?}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    wire.be(Mode::Answering);
    let mut connection = driver.connect().await.unwrap();
    refuse(&wire).await;
    let failed = failure(write(&mut *connection, insert(&[doc! {}])).await);
    assert!(failed.lost && [FailureKind::CommitUnknown, FailureKind::Disconnected].contains(&failed.kind), "{failed:?}");
    // No other socket is opened for what comes then, be the server back or not.
    wire.be(Mode::Answering);
    assert!(failure(all(&mut *connection).await).lost);
    assert_eq!(wire.sockets()[&name(&*connection)].most_operating, 1);
}

#[tokio::test]
async fn operations_that_are_slow_in_the_server_hold_up_no_others() {
    let wire = Wire::start();
    wire.answer("distinct", &doc! { "ok": 1, "values": [1, 2] });
    wire.answer("findAndModify", &doc! { "ok": 1, "value": { "_id": 1 } });
    wire.block("findAndModify");
    let driver = Mongodb::new(&wire.url("app"), Settings::default()).unwrap();
    let mut slow = JoinSet::new();
    for _ in 0..6 {
        let (mut connection, modify) = (driver.connect().await.unwrap(), modify());
        slow.spawn(async move { ask(&mut *connection, modify).await });
    }
    wire.until("all of them", BOUND, |wire| (wire.waiting().len() == 6).then_some(())).await;
    let mut connection = driver.connect().await.unwrap();
    for _ in 0..3 {
        ask(&mut *connection, distinct()).await.unwrap();
        write(&mut *connection, insert(&[doc! {}])).await.unwrap();
    }
    wire.release();
    while let Some(done) = slow.join_next().await {
        let Reply::Document(Some(found)) = done.unwrap().unwrap() else { panic!() };
        assert_eq!(documents(&found), [doc! { "_id": 1 }]);
    }
}

#[tokio::test]
async fn openings_that_nobody_answers_are_so_many_at_most() {
    let wire = Wire::start();
    let url = wire.url("app").replacen("mongodb://", "mongodb://user:secret@", 1);
    let driver = Mongodb::new(&url, Settings { max_connections: 2, ..Settings::default() }).unwrap();
    // Who watches does not log in, so the server seems to be there.
    wire.block("saslStart");
    for pending in 1..=2 {
        tokio::select! {
            _ = driver.connect() => panic!("nobody has answered"),
            () = wire.until("a log-in", BOUND, |wire| (wire.waiting().len() == pending).then_some(())) => {}
        }
    }
    let accepted = wire.accepted();
    let failed = driver.connect().await.err().unwrap();
    assert_eq!((failed.kind, failed.lost), (FailureKind::Disconnected, true), "{failed:?}");
    assert!(failed.message.starts_with("2 connections are still being opened"), "{failed:?}");
    assert_eq!((wire.accepted(), wire.waiting().len()), (accepted, 2));
    // Once they are answered, there is room.
    wire.release();
    let room = async {
        while driver.connect().await.err().unwrap().message.contains("still being opened") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, room).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_back_is_found_although_it_never_answers_the_openings_of_before() {
    let wire = Wire::start();
    let url = wire.url("app").replacen("mongodb://", "mongodb://user:secret@", 1);
    let mut driver = Mongodb::new(&url, Settings { max_connections: 2, ..Settings::default() }).unwrap();
    // The newest has always been there for long enough.
    Arc::get_mut(&mut driver.shared).unwrap().openings = Arc::new(Openings::new(2, Duration::ZERO));
    wire.block("saslStart");
    for pending in 1..=3 {
        tokio::select! {
            _ = driver.connect() => panic!("nobody has answered"),
            () = wire.until("a log-in", BOUND, |wire| (wire.waiting().len() == pending).then_some(())) => {}
        }
    }
    wire.unblock("saslStart");
    for _ in 0..3 {
        // The stand-in lets nobody log in, and says so.
        let failed = driver.connect().await.err().unwrap();
        assert!(!failed.message.contains("still being opened"), "{failed:?}");
    }
    assert_eq!(wire.waiting().len(), 3);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_may_be_done_and_a_read_is_not() {
    for (request, command, in_transaction, expected) in [
        (insert(&[doc! {}]), "insert", false, FailureKind::CommitUnknown),
        (Request::Find(people(), find(doc! {}, FindOptions::default())), "find", false, FailureKind::Disconnected),
        (Request::Aggregate(people(), aggregate(&[doc! { "$out": "x" }])), "aggregate", false, FailureKind::CommitUnknown),
        (insert(&[doc! {}]), "insert", true, FailureKind::Disconnected),
    ] {
        let wire = Wire::start();
        let mut connection = connect(&wire).await;
        if in_transaction {
            begin(&mut *connection).await;
        }
        wire.block(command);
        let (result, ()) = tokio::join!(ask(&mut *connection, request), async {
            wire.until("the command", BOUND, |wire| wire.waiting().contains(&command.to_owned()).then_some(())).await;
            wire.be(Mode::Refusing);
        });
        let failed = failure(result);
        assert_eq!((failed.kind, failed.lost), (expected, true), "{command}: {failed:?}");
    }
}

#[tokio::test]
async fn a_commit_is_done_undone_or_unknown() {
    let refused = |code: i32, labels: &[&str]| {
        let mut refused = error(code, "Refused");
        refused.insert("errorLabels", labels.iter().map(|label| (*label).to_owned()).collect::<Vec<_>>());
        refused
    };
    let unconfirmed = doc! { "ok": 1, "writeConcernError": { "code": 64, "errmsg": "waiting for replication timed out" } };
    for (answer, expected, discarded) in [
        (refused(251, &["TransientTransactionError"]), FailureKind::TransactionAborted, false),
        (refused(112, &["TransientTransactionError"]), FailureKind::WriteConflict, false),
        (refused(50, &[]), FailureKind::CommitUnknown, true),
        (refused(8, &["UnknownTransactionCommitResult"]), FailureKind::CommitUnknown, true),
        (refused(10107, &[]), FailureKind::CommitUnknown, true),
        (unconfirmed, FailureKind::CommitUnknown, false),
    ] {
        let wire = Wire::start();
        let mut connection = connect(&wire).await;
        begin(&mut *connection).await;
        write(&mut *connection, insert(&[doc! {}])).await.unwrap();
        wire.answer_next("commitTransaction", &answer);
        let failed = failure(say(&mut *connection, Operation::Commit).await);
        assert_eq!(failed.kind, expected, "{failed:?}");
        assert_eq!(connection.reset().await.is_err(), discarded, "{failed:?}");
    }
}

#[tokio::test]
async fn an_abort_that_comes_after_the_commit_says_so() {
    let wire = Wire::start();
    let mut connection = connect(&wire).await;
    begin(&mut *connection).await;
    write(&mut *connection, insert(&[doc! {}])).await.unwrap();
    wire.answer_next("commitTransaction", &error(8, "UnknownError"));
    wire.answer_next("abortTransaction", &error(256, "TransactionCommitted"));
    let failed = failure(say(&mut *connection, Operation::Commit).await);
    assert_eq!((failed.kind, failed.lost), (FailureKind::CommitUnknown, true), "{failed:?}");
}

#[tokio::test]
async fn a_write_that_the_server_breaks_off_may_be_done() {
    let wire = Wire::start();
    for in_transaction in [false, true] {
        let mut connection = connect(&wire).await;
        if in_transaction {
            begin(&mut *connection).await;
        }
        wire.answer_next("insert", &error(11602, "InterruptedDueToReplStateChange"));
        let failed = failure(ask(&mut *connection, insert(&[doc! {}])).await);
        let expected = if in_transaction { FailureKind::NotPrimary } else { FailureKind::CommitUnknown };
        assert_eq!((failed.kind, failed.lost), (expected, true), "{failed:?}");
        assert_eq!(failed.documents.unwrap().transient, in_transaction);
    }
}

#[tokio::test]
async fn of_several_writes_those_before_one_that_is_refused_are_told_and_not_to_be_done_again() {
    let wire = Wire::start();
    let document = bytes(&[doc! { "_id": 1 }]);
    let delete = types::DeleteWrite { filter: document.clone(), many: false, hint: None, collation: None };
    let options = BulkOptions { ordered: true, variables: None, write_concern: None };
    let writes = vec![types::Write::Insert(document), types::Write::Delete(delete)];
    let writes = Writes::bulk(writes, options, Access::ReadWrite).unwrap();
    for (code, expected, inserted) in
        [(10107, FailureKind::NotPrimary, Some(1)), (11602, FailureKind::CommitUnknown, None), (13, FailureKind::Denied, Some(1))]
    {
        let mut connection = connect(&wire).await;
        wire.answer_next("insert", &doc! { "ok": 1, "n": 1 });
        wire.answer_next("delete", &error(code, "Refused"));
        let failed = failure(write(&mut *connection, Request::BulkWrite(people(), writes.clone())).await);
        assert_eq!(failed.kind, expected, "{failed:?}");
        let details = failed.documents.unwrap();
        assert_eq!((details.done.map(|done| done.inserted), details.transient), (inserted, false), "{code}");
    }
}

#[tokio::test]
async fn a_step_down_costs_the_connection() {
    let wire = Wire::start();
    for (command, request) in
        [("insert", insert(&[doc! {}])), ("find", Request::Find(people(), find(doc! {}, FindOptions::default())))]
    {
        let mut connection = connect(&wire).await;
        wire.answer_next(command, &error(10107, "NotWritablePrimary"));
        let failed = failure(ask(&mut *connection, request).await);
        assert_eq!((failed.kind, failed.lost), (FailureKind::NotPrimary, true), "{failed:?}");
        assert!(failed.documents.unwrap().transient && connection.needs_reset());
    }
}

#[tokio::test]
async fn no_message_names_an_address() {
    let wire = Wire::start();
    let address = wire.address();
    let driver = Mongodb::new(&wire.url("app"), Settings::default()).unwrap();
    let mut told = Vec::new();
    let mut connection = driver.connect().await.unwrap();
    wire.answer_next("find", &doc! { "ok": 0, "code": 7, "errmsg": format!("could not reach {address}") });
    told.push(failure(all(&mut *connection).await));
    wire.answer_next("find", &doc! { "ok": 0, "code": 10107, "errmsg": format!("{address} is primary now") });
    told.push(failure(all(&mut *connection).await));
    wire.answer_next("find", &doc! { "nonsense": format!("{address}") });
    told.push(failure(all(&mut *connect(&wire).await).await));
    let mut connection = connect(&wire).await;
    refuse(&wire).await;
    told.push(failure(all(&mut *connection).await));
    told.push(driver.connect().await.err().unwrap());
    told.push(driver.control().await.err().unwrap());
    for failure in told {
        let shown = format!("{failure:?}");
        assert!(!shown.contains("127.0.0.1") && !shown.contains(&address.port().to_string()), "{shown}");
    }
}

#[tokio::test]
async fn a_transaction_is_begun_by_its_first_operation_and_has_one_number() {
    let wire = Wire::start();
    let mut connection = connect(&wire).await;
    for number in 1..3 {
        begin(&mut *connection).await;
        wire.forget();
        for request in [Request::Find(people(), find(doc! {}, FindOptions::default())), insert(&[doc! {}]), delete(doc! {})] {
            ask(&mut *connection, request).await.unwrap();
        }
        say(&mut *connection, Operation::Commit).await.unwrap();
        let said = said_by(&wire, &name(&*connection));
        assert_eq!(names(&said), ["find", "insert", "delete", "commitTransaction"]);
        for (place, command) in said.iter().enumerate() {
            assert_eq!(command.transaction, Some(number), "{}", command.name);
            assert_eq!(command.body.get("startTransaction").unwrap().is_some(), place == 0, "{}", command.name);
            assert_eq!(command.session, said[0].session);
        }
    }
    assert_eq!(wire.transactions(), 0);
    // Outside of one there are no such fields.
    wire.forget();
    all(&mut *connection).await.unwrap();
    let said = said_by(&wire, &name(&*connection));
    assert!(said[0].transaction.is_none() && said[0].body.get("autocommit").unwrap().is_none());
    assert!(said[0].body.get("readConcern").unwrap().is_none());
}

#[tokio::test]
async fn in_a_transaction_nothing_is_sent_after_a_write_that_failed() {
    let wire = Wire::start();
    let mut connection = connect(&wire).await;
    begin(&mut *connection).await;
    wire.forget();
    let failed = doc! { "index": 0, "code": 11000, "errmsg": "E11000 duplicate key" };
    wire.answer_next("insert", &doc! { "ok": 1, "n": 0, "writeErrors": [failed] });
    let document = bytes(&[doc! { "_id": 1 }]);
    let delete = types::DeleteWrite { filter: document.clone(), many: false, hint: None, collation: None };
    let options = BulkOptions { ordered: false, variables: None, write_concern: None };
    let writes = vec![types::Write::Insert(document), types::Write::Delete(delete)];
    let writes = Writes::bulk(writes, options, Access::ReadWrite).unwrap();
    let failed = failure(write(&mut *connection, Request::BulkWrite(people(), writes)).await);
    assert_eq!((failed.kind, failed.lost), (FailureKind::DuplicateKey, false), "{failed:?}");
    assert_eq!(names(&said_by(&wire, &name(&*connection))), ["insert"]);
    assert_eq!(failure(all(&mut *connection).await).kind, FailureKind::TransactionAborted);
}
