//! What the tests are told of MongoDB is true, and its users may do what they are for.

use std::time::Duration;

use mongodb::{
    Client,
    bson::{Binary, Bson, Document, doc, spec::BinarySubtype},
    error::ErrorKind,
    options::{ClientOptions, ServerMonitoringMode},
};
use sha2::{Digest, Sha256};
use support::{
    mongodb::{Look, MongodbDatabase, Server, Totals, User, start},
    proxy::Proxy,
    wait,
    wire::Wire,
};

const BOUND: Duration = Duration::from_secs(5);

/// A client with a name of its own.
async fn named(url: &str, app: &str) -> Client {
    let mut options = ClientOptions::parse(url).await.unwrap();
    options.app_name = Some(app.to_owned());
    options.max_pool_size = Some(1);
    options.server_monitoring_mode = Some(ServerMonitoringMode::Poll);
    Client::with_options(options).unwrap()
}

async fn ping(client: &Client) {
    client.database("admin").run_command(doc! { "ping": 1 }).await.unwrap();
}

/// The server's number for why it refuses a command.
async fn refused(client: &Client, database: &str, command: Document) -> i32 {
    let what = command.to_string();
    let error = client.database(database).run_command(command).await.expect_err(&what);
    match &*error.kind {
        ErrorKind::Command(error) => error.code,
        _ => panic!("{what}: {error}"),
    }
}

#[tokio::test]
async fn reader_reads_and_writes_nothing() {
    let database = MongodbDatabase::create().await;
    database.run(doc! { "insert": "notes", "documents": [{ "_id": 1 }] }).await;
    let reader = database.client(&database.reader).await;
    let notes = reader.database(&database.name).collection::<Document>("notes");
    assert_eq!(notes.find_one(doc! {}).await.unwrap(), Some(doc! { "_id": 1 }));
    let pipeline = |stage: Document| doc! { "aggregate": "notes", "pipeline": [stage], "cursor": {} };
    for command in [
        doc! { "insert": "notes", "documents": [{ "_id": 2 }] },
        doc! { "update": "notes", "updates": [{ "q": {}, "u": { "$set": { "n": 1 } } }] },
        doc! { "delete": "notes", "deletes": [{ "q": {}, "limit": 0 }] },
        doc! { "findAndModify": "notes", "query": {}, "remove": true },
        doc! { "create": "others" },
        doc! { "createIndexes": "notes", "indexes": [{ "key": { "n": 1 }, "name": "n_1" }] },
        doc! { "drop": "notes" },
        pipeline(doc! { "$out": "others" }),
        pipeline(doc! { "$merge": { "into": "others" } }),
    ] {
        let what = command.to_string();
        assert_eq!(refused(&reader, &database.name, command).await, 13, "{what}");
    }
    assert_eq!(database.count("notes").await, 1);
}

#[tokio::test]
async fn users_of_one_database_are_strangers_in_another() {
    let (one, two) = (MongodbDatabase::create().await, MongodbDatabase::create().await);
    for user in [&one.owner, &one.reader, &one.control] {
        let client = one.client(user).await;
        ping(&client).await;
        assert_eq!(refused(&client, &two.name, doc! { "find": "notes" }).await, 13, "{}", user.name);
        let stranger = two.client(&User { name: user.name.clone(), password: user.password.clone() }).await;
        assert!(stranger.database("admin").run_command(doc! { "ping": 1 }).await.is_err(), "{}", user.name);
    }
}

#[tokio::test]
async fn sockets_cursors_and_locks_are_seen_until_they_end() {
    let database = MongodbDatabase::create().await;
    database.until_quiet(0, BOUND).await;
    database.run(doc! { "insert": "notes", "documents": [{ "_id": 1 }, { "_id": 2 }, { "_id": 3 }] }).await;
    let app = format!("wharf {} 1", database.name);
    let owner = named(&database.url(&database.owner), &app).await;
    ping(&owner).await;
    // One to work with, and one to watch the server, which does not log in.
    let sockets = database.until_sockets("both", BOUND, |sockets| sockets.len() == 2).await;
    assert!(sockets.iter().all(|socket| socket.app == app), "{sockets:#?}");
    let users: Vec<&str> = sockets.iter().map(|socket| socket.user.as_str()).filter(|user| !user.is_empty()).collect();
    assert_eq!(users, [database.owner.name.as_str()]);

    let notes = owner.database(&database.name).collection::<Document>("notes");
    let cursor = notes.find(doc! {}).batch_size(1).await.unwrap();
    let cursors = database.cursors().await;
    assert_eq!(cursors.iter().map(|cursor| cursor.namespace.as_str()).collect::<Vec<_>>(), [format!("{}.notes", database.name)]);
    drop(cursor);
    database.until_quiet(2, BOUND).await;

    let mut session = owner.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    notes.delete_one(doc! { "_id": 1 }).session(&mut session).await.unwrap();
    notes.insert_one(doc! { "_id": 4 }).session(&mut session).await.unwrap();
    for (id, is_locked) in [(1, true), (2, false), (4, true), (5, false)] {
        assert_eq!(database.is_locked("notes", id).await, is_locked, "{id}");
    }
    session.abort_transaction().await.unwrap();
    for id in [1, 2, 4, 5] {
        assert!(!database.is_locked("notes", id).await, "{id}");
    }
    assert_eq!(database.count("notes").await, 3);

    drop(session);
    owner.shutdown().immediate(true).await;
    database.until_quiet(0, BOUND).await;
}

#[tokio::test]
async fn what_the_server_counts_it_lists() {
    let database = MongodbDatabase::create().await;
    database.run(doc! { "insert": "notes", "documents": [{ "_id": 1 }, { "_id": 2 }, { "_id": 3 }] }).await;
    let owner = named(&database.url(&database.owner), &format!("wharf {} 1", database.name)).await;
    let notes = owner.database(&database.name).collection::<Document>("notes");
    let cursor = notes.find(doc! {}).batch_size(1).await.unwrap();
    // Other tests come and go meanwhile.
    let look = wait::until("counts that agree", BOUND, || async {
        let look = database.look().await;
        if look.unlisted().is_empty() { Ok(look) } else { Err(look.unlisted()) }
    })
    .await;
    assert_eq!((look.sockets.len(), look.cursors.len()), (2, 1), "{look:#?}");
    // These, and two of the administrator's.
    assert!(look.counted.sockets >= 4 && look.counted.cursors >= 1, "{look:#?}");
    let hidden = Look { listed: Totals { sockets: look.counted.sockets - 1, ..look.listed }, ..look };
    assert!(hidden.unlisted().contains("sockets"), "{hidden:#?}");
    drop(cursor);
    owner.shutdown().immediate(true).await;
    database.until_quiet(0, BOUND).await;
}

#[tokio::test]
async fn control_user_sees_and_ends_what_others_do() {
    let database = MongodbDatabase::create().await;
    database.run(doc! { "insert": "notes", "documents": [{ "_id": 1 }] }).await;
    let (owner, control) = (database.client(&database.owner).await, database.client(&database.control).await);
    let mut session = owner.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    let notes = owner.database(&database.name).collection::<Document>("notes");
    notes.update_one(doc! { "_id": 1 }, doc! { "$set": { "n": 1 } }).session(&mut session).await.unwrap();
    assert!(database.is_locked("notes", 1).await);
    let admin = control.database("admin");
    let listed = admin.run_command(doc! { "currentOp": 1, "$all": true }).await.unwrap();
    assert!(listed.to_string().contains(&database.owner.name), "{listed}");
    // Sessions of other users are known by their user's name as well.
    let bytes = Sha256::digest(format!("{}@{}", database.owner.name, database.name)).to_vec();
    let mut id = session.id().clone();
    id.insert("uid", Binary { subtype: BinarySubtype::Generic, bytes });
    admin.run_command(doc! { "killSessions": [id] }).await.unwrap();
    assert!(!database.is_locked("notes", 1).await);
    assert_eq!(refused(&control, &database.name, doc! { "find": "notes" }).await, 13);
}

#[tokio::test]
async fn dropped_databases_leave_nothing() {
    let watcher = MongodbDatabase::create().await;
    let database = MongodbDatabase::create().await;
    database.run(doc! { "insert": "notes", "documents": [{ "_id": 1 }] }).await;
    let name = database.name.clone();
    let users = [&database.owner, &database.reader, &database.control].map(|user| user.name.clone());
    drop(database);
    let nothing = |answer: Document, what: &str| assert_eq!(answer.get_array(what).unwrap(), &Vec::<Bson>::new());
    for user in &users {
        nothing(watcher.administer(doc! { "usersInfo": { "user": user, "db": &name } }).await, "users");
    }
    nothing(watcher.administer(doc! { "rolesInfo": { "role": &users[2], "db": "admin" } }).await, "roles");
    let databases = watcher.administer(doc! { "listDatabases": 1, "filter": { "name": &name } }).await;
    assert!(!databases.to_string().contains(&name), "{databases}");
}

#[tokio::test]
async fn what_a_server_has_answered_is_there_when_it_comes_back() {
    let server = start(&[]);
    for (expected, go) in (0..).zip([Server::halt, Server::shut_down, Server::halt]) {
        let client = server.administrator().await;
        let notes = client.database("app").collection::<Document>("notes");
        assert_eq!(notes.count_documents(doc! {}).await.unwrap(), expected);
        notes.insert_one(doc! {}).await.unwrap();
        go(&server);
        server.resume();
    }
}

#[tokio::test]
async fn a_proxy_lets_control_connections_through_that_do_not_log_in() {
    let wire = Wire::start();
    let proxy = Proxy::start(wire.address().to_string(), "nobody".to_owned()).await;
    let url = format!("mongodb://{}/app?directConnection=true", proxy.address());
    let (slot, control) = (named(&url, "wharf app 1").await, named(&url, "wharf control app").await);
    ping(&slot).await;
    ping(&control).await;
    proxy.silence_slots();
    wire.forget();
    let waiting = tokio::spawn(async move { ping(&slot).await });
    // Both of its sockets: what it asks, and what it hears of the server.
    control.database("admin").run_command(doc! { "ping": 1 }).await.unwrap();
    let heard: Vec<String> = wire.commands_named("ping").into_iter().map(|command| command.app).collect();
    assert_eq!(heard, ["wharf control app"]);
    assert!(!waiting.is_finished());
    proxy.speak();
    waiting.await.unwrap();
}

#[tokio::test]
async fn a_proxy_breaks_the_connections_of_slots_and_no_control_connection() {
    let wire = Wire::start();
    let proxy = Proxy::start(wire.address().to_string(), "nobody".to_owned()).await;
    let url = format!("mongodb://{}/app?directConnection=true", proxy.address());
    let (slot, control) = (named(&url, "wharf app 1").await, named(&url, "wharf control app").await);
    ping(&slot).await;
    ping(&control).await;
    proxy.break_slots();
    let broken = |wire: &Wire| (wire.sockets()["wharf app 1"].operating == 0).then_some(());
    wire.until("the slot's connection to break", BOUND, broken).await;
    assert_eq!(wire.sockets()["wharf control app"].operating, 1);
    ping(&control).await;
    assert_eq!(wire.sockets()["wharf control app"].most_operating, 1);
    drop(slot);
}
