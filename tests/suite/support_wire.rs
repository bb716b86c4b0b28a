//! The stand-in for MongoDB is a server to the driver: what the latter does with it is what it would do with a replica set.

use std::time::Duration;

use futures::TryStreamExt;
use mongodb::{
    Client,
    bson::{Document, doc},
    error::ErrorKind,
    options::{ClientOptions, ServerMonitoringMode},
};
use support::wire::{Sockets, Wire};

const BOUND: Duration = Duration::from_secs(5);

async fn client(wire: &Wire, app: &str) -> Client {
    let mut options = ClientOptions::parse(wire.url("app")).await.unwrap();
    options.app_name = Some(app.to_owned());
    options.max_pool_size = Some(1);
    options.server_monitoring_mode = Some(ServerMonitoringMode::Poll);
    Client::with_options(options).unwrap()
}

fn code<T>(result: mongodb::error::Result<T>) -> Option<i32> {
    match *result.err()?.kind {
        ErrorKind::Command(error) => Some(error.code),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_driver_reads_writes_and_commits() {
    let wire = Wire::start();
    let batches = [vec![doc! { "_id": 1 }, doc! { "_id": 2 }], vec![doc! { "_id": 3 }], vec![doc! { "_id": 4 }]];
    wire.answer_batches("find", "app.notes", &batches);
    let client = client(&wire, "slot").await;
    let notes = client.database("app").collection::<Document>("notes");
    let found: Vec<Document> = notes.find(doc! {}).max_time(BOUND).await.unwrap().try_collect().await.unwrap();
    assert_eq!(found, batches.concat());
    assert_eq!((wire.commands_named("find")[0].max_time, wire.commands_named("getMore").len()), (Some(BOUND), 2));
    notes.insert_one(doc! { "_id": 5 }).await.unwrap();

    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    notes.insert_one(doc! { "_id": 6 }).session(&mut session).await.unwrap();
    assert_eq!(wire.transactions(), 1);
    session.commit_transaction().await.unwrap();
    assert_eq!(wire.transactions(), 0);
    let commit = &wire.commands_named("commitTransaction")[0];
    assert_eq!(commit.session, wire.commands_named("insert")[1].session);

    let expected = Sockets { open: 2, operating: 1, most_open: 2, most_operating: 1 };
    assert_eq!(wire.sockets(), [("slot".to_owned(), expected)].into());
}

#[tokio::test]
async fn an_operation_is_ended_by_whoever_kills_its_session() {
    let wire = Wire::start();
    wire.block("find");
    let (slot, control) = (client(&wire, "slot").await, client(&wire, "control").await);
    let mut session = slot.start_session().await.unwrap();
    let id = session.id().clone();
    let finding = tokio::spawn(async move {
        let notes = slot.database("app").collection::<Document>("notes");
        code(notes.find(doc! {}).session(&mut session).await)
    });
    wire.until("the find", BOUND, |wire| (wire.waiting() == ["find"]).then_some(())).await;
    control.database("admin").run_command(doc! { "killSessions": [id] }).await.unwrap();
    assert_eq!(finding.await.unwrap(), Some(11601));
    assert_eq!(wire.cursors(), 0);
}
