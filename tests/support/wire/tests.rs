//! What drivers and their tests rely on, over sockets.

use std::{io, time::Duration};

use bson::{Bson, Document, RawDocument, doc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{Mode, Sockets, Wire, error, message::HEADER};

const BOUND: Duration = Duration::from_secs(5);

/// As little of a driver as there can be.
struct Client {
    stream: TcpStream,
    number: i32,
}

impl Client {
    /// Comes, and says who it is.
    async fn connect(wire: &Wire, app: &str) -> Self {
        let mut client = Self { stream: TcpStream::connect(wire.address()).await.expect("a connection"), number: 0 };
        let hello = client.ask(doc! { "isMaster": 1, "helloOk": true, "client": { "application": { "name": app } } }).await;
        assert_eq!(hello.get_bool("isWritablePrimary").ok(), Some(true));
        client
    }

    async fn send(&mut self, command: &Document) {
        self.number += 1;
        let body = command.to_vec().expect("a document");
        let length = i32::try_from(HEADER + 5 + body.len()).expect("short");
        let header = [length, self.number, 0, 2013, 0].map(i32::to_le_bytes).concat();
        self.stream.write_all(&[&header[..], &[0], &body].concat()).await.expect("sent");
    }

    async fn receive(&mut self) -> io::Result<Document> {
        let length = self.stream.read_i32_le().await?;
        let mut rest = vec![0; usize::try_from(length).expect("a length") - 4];
        self.stream.read_exact(&mut rest).await?;
        assert_eq!(rest[4..8], self.number.to_le_bytes(), "another question's answer");
        let body = RawDocument::from_bytes(&rest[HEADER + 1..]).expect("BSON");
        Ok(Document::try_from(body).expect("BSON"))
    }

    async fn ask(&mut self, command: Document) -> Document {
        self.send(&command).await;
        self.answer().await
    }

    async fn answer(&mut self) -> Document {
        timeout(BOUND, self.receive()).await.expect("an answer in time").expect("an answer")
    }
}

fn session(byte: u8) -> Document {
    let bytes = vec![byte; 16];
    doc! { "id": bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes } }
}

/// A command as part of the first transaction of a session.
fn within(mut command: Document, session: &Document, starts: bool) -> Document {
    command.extend(doc! { "lsid": session, "txnNumber": 1_i64, "autocommit": false });
    if starts {
        command.insert("startTransaction", true);
    }
    command
}

fn code(answer: &Document) -> Option<i32> {
    answer.get_i32("code").ok()
}

fn batch(answer: &Document, which: &str) -> (i64, Vec<i32>) {
    let cursor = answer.get_document("cursor").expect("a cursor");
    let ids = cursor.get_array(which).expect("a batch").iter();
    let ids = ids.map(|document| document.as_document().expect("a document").get_i32("_id").expect("an _id"));
    (cursor.get_i64("id").expect("a number"), ids.collect())
}

async fn until_waiting(wire: &Wire, name: &str) {
    wire.until(name, BOUND, |wire| (wire.waiting() == [name]).then_some(())).await;
}

#[tokio::test]
async fn sockets_are_counted_by_what_clients_call_themselves() {
    let wire = Wire::start();
    let (one, mut two) = (Client::connect(&wire, "one").await, Client::connect(&wire, "two").await);
    let mut other = Client::connect(&wire, "two").await;
    two.ask(doc! { "ping": 1 }).await;
    two.ask(doc! { "ping": 1 }).await;
    drop(two);
    wire.until("one to go", BOUND, |wire| (wire.sockets()["two"].open == 1).then_some(())).await;
    other.ask(doc! { "ping": 1 }).await;
    let watching = Sockets { open: 1, operating: 0, most_open: 1, most_operating: 0 };
    let operating = Sockets { open: 1, operating: 1, most_open: 2, most_operating: 1 };
    assert_eq!(wire.sockets(), [("one".to_owned(), watching), ("two".to_owned(), operating)].into());
    drop((one, other));
    wire.until("nobody", BOUND, |wire| wire.sockets().values().all(|sockets| sockets.open == 0).then_some(())).await;
    assert_eq!(wire.accepted(), 3);
}

#[tokio::test]
async fn clients_that_are_there_at_once_are_counted_by_how_their_names_begin() {
    let wire = Wire::start_forgetful();
    assert_eq!(wire.most_clients(), 0);
    wire.count_clients("slot ");
    let first = (Client::connect(&wire, "slot 1").await, Client::connect(&wire, "slot 1").await);
    let _other = Client::connect(&wire, "control 1").await;
    assert_eq!(wire.most_clients(), 1);
    drop(first);
    wire.until("the first to go", BOUND, |wire| (wire.sockets()["slot 1"].open == 0).then_some(())).await;
    let _second = Client::connect(&wire, "slot 2").await;
    assert_eq!(wire.most_clients(), 1);
    let third = Client::connect(&wire, "slot 3").await;
    assert_eq!(wire.most_clients(), 2);
    drop(third);
    wire.until("the third to go", BOUND, |wire| (wire.sockets()["slot 3"].open == 0).then_some(())).await;
    assert_eq!(wire.most_clients(), 2);
}

#[tokio::test]
async fn a_blocked_command_ends_as_mongodb_would_end_it() {
    let wire = Wire::start();
    let mut control = Client::connect(&wire, "control").await;
    let mut client = Client::connect(&wire, "slot").await;
    for (byte, with, wish, ended) in [
        (1, doc! {}, doc! { "killSessions": [session(1)] }, Some(11601)),
        (2, doc! {}, doc! { "killAllSessionsByPattern": [{ "lsid": session(2) }] }, Some(11601)),
        (3, doc! {}, doc! { "killOp": 1, "op": 2_i64 }, Some(11601)),
        (4, doc! { "maxTimeMS": 1_i64 }, doc! { "ping": 1 }, Some(50)),
        (5, doc! { "maxTimeMS": 60_000 }, doc! { "killSessions": [session(6)] }, None),
    ] {
        wire.block("insert");
        let mut insert = within(doc! { "insert": "notes" }, &session(byte), true);
        insert.extend(with);
        client.send(&insert).await;
        if ended != Some(50) {
            until_waiting(&wire, "insert").await;
            assert_eq!(wire.transactions(), 1, "it has begun");
        }
        assert_eq!(control.ask(wish.clone()).await.get_f64("ok").ok(), Some(1.0));
        if ended.is_none() {
            assert_eq!(wire.waiting(), ["insert"]);
        }
        if ended != Some(50) {
            wire.release();
        }
        assert_eq!(code(&client.answer().await), ended, "{wish}");
        assert_eq!((wire.waiting(), wire.transactions()), (Vec::<String>::new(), usize::from(ended.is_none())), "{wish}");
    }
}

#[tokio::test]
async fn a_client_that_goes_leaves_nothing_that_runs() {
    let wire = Wire::start();
    wire.block("find");
    let mut client = Client::connect(&wire, "slot").await;
    client.send(&within(doc! { "find": "notes" }, &session(1), true)).await;
    until_waiting(&wire, "find").await;
    drop(client);
    wire.until("nothing", BOUND, |wire| (wire.waiting().is_empty() && wire.transactions() == 0).then_some(())).await;
}

#[tokio::test]
async fn cursors_give_batch_after_batch() {
    let wire = Wire::start();
    let batches = [vec![doc! { "_id": 1 }, doc! { "_id": 2 }], vec![doc! { "_id": 3 }], vec![]];
    wire.answer_batches("find", "app.notes", &batches);
    let mut client = Client::connect(&wire, "slot").await;
    let (id, ids) = batch(&client.ask(doc! { "find": "notes", "lsid": session(1) }).await, "firstBatch");
    assert_eq!((ids, wire.cursors()), (vec![1, 2], 1));
    let more = doc! { "getMore": id, "collection": "notes" };
    assert_eq!(batch(&client.ask(more.clone()).await, "nextBatch"), (id, vec![3]));
    assert_eq!(batch(&client.ask(more.clone()).await, "nextBatch"), (0, vec![]));
    assert_eq!((code(&client.ask(more).await), wire.cursors()), (Some(43), 0));
    client.ask(within(doc! { "find": "notes" }, &session(1), true)).await;
    assert_eq!((wire.transactions(), wire.cursors()), (1, 1));
    wire.expire_sessions();
    assert_eq!((wire.transactions(), wire.cursors()), (0, 0));
    for end in [doc! { "killSessions": [session(1)] }, doc! { "endSessions": [session(1)] }] {
        client.ask(doc! { "find": "notes", "lsid": session(1) }).await;
        client.ask(doc! { "find": "notes", "lsid": session(2) }).await;
        client.ask(end).await;
        assert_eq!(wire.cursors(), 1);
        let (id, _) = batch(&client.ask(doc! { "find": "notes" }).await, "firstBatch");
        let killed = client.ask(doc! { "killCursors": "notes", "cursors": [id - 1, id, 4711_i64] }).await;
        assert_eq!(killed.get_array("cursorsKilled").ok(), Some(&vec![Bson::Int64(id - 1), Bson::Int64(id)]));
        assert_eq!(killed.get_array("cursorsNotFound").ok(), Some(&vec![Bson::Int64(4711)]));
        assert_eq!(wire.cursors(), 0);
    }
}

#[tokio::test]
async fn a_collection_comes_in_batches_as_mongodb_gives_them() {
    let wire = Wire::start();
    let documents: Vec<Document> = (0..250_i32).map(|number| doc! { "_id": number }).collect();
    wire.answer_collection("app.notes", &documents);
    let mut client = Client::connect(&wire, "slot").await;
    for (asked, expected) in [
        (doc! {}, vec![101, 149]),
        (doc! { "limit": 1_i64, "singleBatch": true }, vec![1]),
        (doc! { "limit": 200_i64 }, vec![101, 99]),
        (doc! { "limit": 200_i64, "batchSize": 201 }, vec![200]),
        (doc! { "limit": 250_i64, "batchSize": 125 }, vec![125, 125]),
        (doc! { "limit": 251_i64, "batchSize": 125 }, vec![125, 125, 0]),
        (doc! { "batchSize": 125_i64 }, vec![125, 125, 0]),
        (doc! { "batchSize": 1_000 }, vec![250]),
        (doc! { "batchSize": 0 }, vec![0, 250]),
        (doc! { "batchSize": 100, "singleBatch": true }, vec![100]),
    ] {
        let mut find = doc! { "find": "notes", "$db": "app" };
        find.extend(asked.clone());
        let (mut cursor, mut ids) = batch(&client.ask(find).await, "firstBatch");
        let mut sizes = vec![ids.len()];
        while cursor != 0 {
            let (next, more) = batch(&client.ask(doc! { "getMore": cursor, "collection": "notes" }).await, "nextBatch");
            (cursor, ids) = (next, [ids, more.clone()].concat());
            sizes.push(more.len());
        }
        assert_eq!(sizes, expected, "{asked}");
        assert!(ids.iter().zip(0..).all(|(id, place)| *id == place), "{asked}");
    }
    assert_eq!(wire.cursors(), 0);
    for other in [doc! { "find": "others", "$db": "app" }, doc! { "find": "notes", "$db": "other" }] {
        assert_eq!(batch(&client.ask(other).await, "firstBatch"), (0, vec![]));
    }
}

#[tokio::test]
async fn a_transaction_lasts_until_it_is_ended_or_fails() {
    let wire = Wire::start();
    wire.answer_batches("find", "app.notes", &[vec![], vec![]]);
    let mut client = Client::connect(&wire, "slot").await;
    wire.answer_next("update", &error(112, "WriteConflict"));
    wire.answer_next("delete", &doc! { "ok": 1, "writeErrors": [{ "index": 0, "code": 2 }] });
    let mine = session(1);
    for (end, answer) in [
        (doc! { "commitTransaction": 1 }, None),
        (doc! { "abortTransaction": 1 }, None),
        (doc! { "update": "notes" }, Some(112)),
        (doc! { "delete": "notes" }, None),
    ] {
        client.ask(within(doc! { "find": "notes" }, &mine, true)).await;
        assert_eq!((wire.transactions(), wire.cursors()), (1, 1));
        assert_eq!(code(&client.ask(within(end.clone(), &mine, false)).await), answer, "{end}");
        assert_eq!((wire.transactions(), wire.cursors()), (0, 0), "{end}");
        let refused = client.ask(within(doc! { "insert": "notes" }, &mine, false)).await;
        assert_eq!((code(&refused), refused.contains_key("errorLabels")), (Some(251), true));
    }
    // An abort that is refused leaves it open, and one that is unknown cannot be ended.
    client.ask(within(doc! { "find": "notes" }, &mine, true)).await;
    wire.answer_next("abortTransaction", &error(8000, "AtlasError"));
    assert_eq!(code(&client.ask(within(doc! { "abortTransaction": 1 }, &mine, false)).await), Some(8000));
    assert_eq!(wire.transactions(), 1);
    assert_eq!(code(&client.ask(within(doc! { "abortTransaction": 1 }, &session(2), false)).await), Some(251));
    // A write that may be tried again is none.
    client.ask(doc! { "insert": "notes", "lsid": session(3), "txnNumber": 1_i64 }).await;
    assert_eq!(wire.transactions(), 1);
}

#[tokio::test]
async fn answers_are_those_that_were_given() {
    let wire = Wire::start();
    let mut client = Client::connect(&wire, "slot").await;
    wire.answer("insert", &doc! { "ok": 1, "n": 5 });
    wire.answer_next("insert", &doc! { "ok": 1, "n": 6 });
    wire.answer_next("insert", &error(10107, "NotWritablePrimary"));
    let insert = doc! { "insert": "notes" };
    assert_eq!(client.ask(insert.clone()).await.get_i32("n").ok(), Some(6));
    assert_eq!(code(&client.ask(insert.clone()).await), Some(10107));
    for _ in 0..2 {
        let answer = client.ask(insert.clone()).await;
        assert_eq!(answer.get_i32("n").ok(), Some(5));
        assert!(answer.contains_key("$clusterTime") && answer.contains_key("operationTime"));
    }
    assert_eq!(code(&client.ask(doc! { "nonsense": 1 }).await), Some(59));
}

#[tokio::test]
async fn what_was_asked_is_remembered_where_it_is_wanted() {
    let wire = Wire::start();
    let mut client = Client::connect(&wire, "slot 1").await;
    client.ask(within(doc! { "find": "notes", "maxTimeMS": 250 }, &session(7), true)).await;
    let [found] = &wire.commands_named("find")[..] else { panic!("one find") };
    assert_eq!((found.socket, found.app.as_str(), found.max_time), (1, "slot 1", Some(Duration::from_millis(250))));
    assert_eq!((found.session, found.transaction), (Some([7; 16]), Some(1)));
    assert_eq!(found.body.get_str("find").expect("a name"), "notes");
    wire.forget();
    assert!(wire.commands().is_empty());
    let forgetful = Wire::start_forgetful();
    Client::connect(&forgetful, "slot").await.ask(doc! { "ping": 1 }).await;
    assert!(forgetful.commands().is_empty() && forgetful.sockets().contains_key("slot"));
}

#[tokio::test]
async fn the_server_lists_sockets_and_what_they_run() {
    let wire = Wire::start();
    wire.block("find");
    wire.answer_batches("listIndexes", "app.notes", &[vec![], vec![]]);
    let mut client = Client::connect(&wire, "wharf app 1").await;
    client.ask(doc! { "listIndexes": "notes" }).await;
    client.send(&doc! { "find": "notes", "lsid": session(9) }).await;
    until_waiting(&wire, "find").await;
    let mut control = Client::connect(&wire, "wharf control").await;
    let command = control.ask(doc! { "currentOp": 1 }).await;
    let stage = control.ask(doc! { "aggregate": 1, "pipeline": [{ "$currentOp": {} }], "cursor": {} }).await;
    let stage = stage.get_document("cursor").expect("a cursor");
    for listed in [command.get_array("inprog").expect("entries"), stage.get_array("firstBatch").expect("entries")] {
        let [slot, asking, cursor] = [0, 1, 2].map(|at: usize| listed[at].as_document().expect("a document"));
        assert_eq!((slot.get_str("appName").ok(), slot.get_bool("active").ok()), (Some("wharf app 1"), Some(true)));
        assert_eq!((slot.get_document("lsid").ok(), slot.get_i64("opid").ok()), (Some(&session(9)), Some(1)));
        assert_eq!((asking.get_str("appName").ok(), asking.get_i64("connectionId").ok()), (Some("wharf control"), Some(2)));
        assert_eq!((cursor.get_str("type").ok(), listed.len()), (Some("idleCursor"), 3));
    }
    wire.answer("$currentOp", &error(13, "Unauthorized"));
    assert_eq!(code(&control.ask(doc! { "aggregate": 1, "pipeline": [{ "$currentOp": {} }], "cursor": {} }).await), Some(13));
}

#[tokio::test]
async fn a_question_for_news_is_answered_when_its_time_is_up() {
    let wire = Wire::start();
    let mut client = Client::connect(&wire, "watcher").await;
    let hello = client.ask(doc! { "hello": 1 }).await;
    let version = hello.get_document("topologyVersion").expect("a version");
    let news = client.ask(doc! { "hello": 1, "topologyVersion": version, "maxAwaitTimeMS": 1 }).await;
    assert_eq!(news.get_document("topologyVersion").ok(), Some(version));
}

#[tokio::test]
async fn silence_ends_and_refusal_closes() {
    let wire = Wire::start();
    let mut client = Client::connect(&wire, "slot").await;
    wire.be(Mode::Silent);
    client.send(&doc! { "ping": 1 }).await;
    assert!(timeout(Duration::from_millis(50), client.receive()).await.is_err());
    wire.be(Mode::Answering);
    assert_eq!(client.answer().await.get_f64("ok").ok(), Some(1.0));
    wire.be(Mode::Refusing);
    assert!(timeout(BOUND, client.receive()).await.expect("closed in time").is_err());
    let mut stranger = TcpStream::connect(wire.address()).await.expect("a connection");
    assert!(timeout(BOUND, stranger.read_i32_le()).await.expect("closed in time").is_err());
    wire.until("nobody", BOUND, |wire| (wire.sockets()["slot"].open == 0).then_some(())).await;
    wire.be(Mode::Answering);
    Client::connect(&wire, "slot").await;
}

#[tokio::test]
async fn nonsense_closes_its_connection_alone() {
    let wire = Wire::start();
    let mut client = Client::connect(&wire, "slot").await;
    for nonsense in [&[0xff; 64][..], &[16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xd4, 7, 0, 0]] {
        let mut stranger = TcpStream::connect(wire.address()).await.expect("a connection");
        stranger.write_all(nonsense).await.expect("sent");
        assert!(timeout(BOUND, stranger.read_i32_le()).await.expect("closed in time").is_err());
    }
    assert_eq!(client.ask(doc! { "ping": 1 }).await.get_f64("ok").ok(), Some(1.0));
}
