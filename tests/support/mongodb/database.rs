//! A database of one test, with the users that an operator would give to a host.

use std::net::SocketAddr;

use mongodb::{
    Client,
    bson::{Bson, Document, doc},
    error::ErrorKind,
};

use super::server::{Server, client, server, url_at};
use crate::{random::token, removal::remove, secrets};

/// A database and its users; all are dropped with it.
#[derive(Debug)]
pub struct MongodbDatabase {
    /// As the server knows it.
    pub name: String,
    /// May do everything in the database, but for managing users, and nothing elsewhere.
    pub owner: User,
    /// May read every collection of it, and write nothing.
    pub reader: User,
    /// May see and end what others do (`inprog`, `killop`, `killAnySession`, `killAnyCursor`), and nothing else.
    pub control: User,
    /// An administrator's.
    pub(super) admin: Client,
    server: &'static Server,
}

/// A user that may log in, whom the database knows.
#[derive(Clone, Debug)]
pub struct User {
    /// As the server knows it.
    pub name: String,
    /// A word that no log may contain.
    pub password: String,
}

/// MongoDB's number for a write that meets another transaction's.
const WRITE_CONFLICT: i32 = 112;

impl MongodbDatabase {
    /// Makes a database of a name that nobody else has.
    ///
    /// # Panics
    /// When there is no server (see [`server`]), it refuses, or it has no transactions.
    pub async fn create() -> Self {
        Self::create_on(server()).await
    }

    /// The same on a certain server.
    ///
    /// # Panics
    /// When it refuses.
    pub async fn create_on(server: &'static Server) -> Self {
        let name = format!("wharf_{}", token());
        let user = |what: &str| User { name: format!("{name}_{what}"), password: secrets::plant() };
        let (owner, reader, control) = (user("owner"), user("reader"), user("control"));
        let admin = server.administrator().await;
        let hello = run(&admin, "admin", doc! { "hello": 1 }).await;
        assert!(
            hello.contains_key("setName"),
            "the server of WHARF_TEST_MONGODB_URL is no replica set, and so has no transactions"
        );
        let everywhere = doc! { "cluster": true };
        let here = doc! { "db": &name, "collection": "" };
        let role = doc! {
            "createRole": &control.name,
            "privileges": [
                { "resource": everywhere, "actions": ["inprog", "killop", "killAnySession", "killAnyCursor"] },
                { "resource": here, "actions": ["killCursors", "killAnyCursor"] },
            ],
            "roles": [],
        };
        run(&admin, "admin", role).await;
        let in_admin = doc! { "role": &control.name, "db": "admin" };
        for (user, roles) in [
            (&owner, vec![Bson::from("readWrite"), Bson::from("dbAdmin")]),
            (&reader, vec![Bson::from("read")]),
            (&control, vec![Bson::from(in_admin)]),
        ] {
            let user = doc! { "createUser": &user.name, "pwd": &user.password, "roles": roles };
            run(&admin, &name, user).await;
        }
        Self { name, owner, reader, control, admin, server }
    }

    /// The URL for one of the users, password and all.
    #[must_use]
    pub fn url(&self, user: &User) -> String {
        self.server.url(&user.name, &user.password, &self.name)
    }

    /// The same through something that listens elsewhere and passes on what it hears, unencrypted.
    #[must_use]
    pub fn url_at(&self, user: &User, address: SocketAddr) -> String {
        url_at(&user.name, &user.password, &self.name, address)
    }

    /// `127.0.0.1:27017`, or what takes its place.
    #[must_use]
    pub fn address(&self) -> String {
        self.server.address()
    }

    /// A client of one of the users.
    ///
    /// # Panics
    /// When the URL is none.
    pub async fn client(&self, user: &User) -> Client {
        client(&self.url(user)).await
    }

    /// What the administrator is answered to a command in this database.
    ///
    /// # Panics
    /// When it fails, or part of it does.
    pub async fn run(&self, command: Document) -> Document {
        run(&self.admin, &self.name, command).await
    }

    /// The same in the database `admin`, such as `configureFailPoint`, which is for a server of the test's own.
    ///
    /// # Panics
    /// When it fails.
    pub async fn administer(&self, command: Document) -> Document {
        run(&self.admin, "admin", command).await
    }

    /// How many documents a collection has.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn count(&self, collection: &str) -> u64 {
        let collection = self.admin.database(&self.name).collection::<Document>(collection);
        collection.count_documents(doc! {}).await.unwrap_or_else(|error| panic!("count: {error}"))
    }

    /// Whether a transaction is open that has written a document, or made one of this `_id`. Tries to do that too, in a transaction that
    /// is taken back: of transactions themselves no server tells who has what.
    ///
    /// # Panics
    /// When the server refuses for any other reason.
    pub async fn is_locked(&self, collection: &str, id: impl Into<Bson>) -> bool {
        let mut session = self.admin.start_session().await.expect("a session");
        session.start_transaction().await.expect("a transaction");
        let collection = self.admin.database(&self.name).collection::<Document>(collection);
        let write = doc! { "$set": { "is this locked": token() } };
        let tried = collection.update_one(doc! { "_id": id.into() }, write).upsert(true).session(&mut session).await;
        session.abort_transaction().await.expect("taken back");
        match tried {
            Ok(_) => false,
            Err(error) => match &*error.kind {
                ErrorKind::Command(refused) if refused.code == WRITE_CONFLICT => true,
                _ => panic!("a write to see whether it can be had: {error}"),
            },
        }
    }
}

async fn run(client: &Client, database: &str, command: Document) -> Document {
    let what = command.to_string();
    let answer = client.database(database).run_command(command).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    let is_whole = !answer.contains_key("writeErrors") && !answer.contains_key("writeConcernError");
    assert!(is_whole, "{what}: {answer}");
    answer
}

impl Drop for MongodbDatabase {
    fn drop(&mut self) {
        let url = self.server.administrator_url("admin");
        let database = self.name.clone();
        // A transaction that a failed test left may lock a collection.
        let mut commands = vec![(database.clone(), doc! { "dropDatabase": 1, "maxTimeMS": 10_000 })];
        for user in [&self.owner, &self.reader, &self.control] {
            commands.push((database.clone(), doc! { "dropUser": &user.name }));
        }
        commands.push(("admin".to_owned(), doc! { "dropRole": &self.control.name }));
        remove(&self.name, async move || {
            let client = client(&url).await;
            for (database, command) in commands {
                client.database(&database).run_command(command).await?;
            }
            client.shutdown().immediate(true).await;
            Ok(())
        });
    }
}
