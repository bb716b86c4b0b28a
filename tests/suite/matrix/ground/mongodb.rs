//! MongoDB, or SecantusDB in its place: a database of its own, asked by an administrator.
//!
//! What needs a server that keeps documents and takes transactions back is played here. SecantusDB ends nothing that runs, nor the cursors of
//! a session: what needs a server that does is played on the stand-in.

use std::collections::BTreeSet;

use futures::future::{BoxFuture, FutureExt};
use mongodb::bson::{Document, doc};
use support::{mongodb::MongodbDatabase, proxy::Proxy};

use super::{Asked, Language, Scheme, Sessions, Side, State, break_off};

const NOTES: &str = "notes";

/// In nothing else that a host says.
pub(super) const ROWS: &str = "matrix_rows";

pub(super) const SCHEME: Scheme = Scheme {
    language: Language::Documents,
    // A session keeps a transaction and cursors, and nothing besides.
    residue: "",
    light_residue: "",
    slow: NOTES,
    insert: NOTES,
    insert_slow: NOTES,
    rows: ROWS,
    left_in_session: "",
    held: ROWS,
};

pub(super) struct Mongodb {
    database: MongodbDatabase,
    /// A question for news, which the server lets lie for a moment.
    pulse: Document,
}

impl Mongodb {
    pub(super) async fn create() -> Self {
        let database = MongodbDatabase::create().await;
        database.run(doc! { "create": NOTES }).await;
        // More than a host asks for at a time, so that the server is not done with it.
        let rows: Vec<Document> = (0_i32..2_500).map(|number| doc! { "_id": number }).collect();
        database.run(doc! { "insert": ROWS, "documents": rows }).await;
        let hello = database.administer(doc! { "hello": 1 }).await;
        let version = hello.get_document("topologyVersion").unwrap().clone();
        let pulse = doc! { "hello": 1, "topologyVersion": version, "maxAwaitTimeMS": 5 };
        Self { database, pulse }
    }
}

impl Side for Mongodb {
    fn server(&self) -> Option<(String, String)> {
        Some((self.database.address(), self.database.control.name.clone()))
    }

    fn urls(&self, proxy: Option<&Proxy>) -> (String, Option<String>) {
        let Some(proxy) = proxy else { panic!("a server is behind a proxy") };
        let url = |user| self.database.url_at(user, proxy.address());
        (url(&self.database.owner), Some(url(&self.database.control)))
    }

    fn pulse(&self) -> Asked<'_, ()> {
        async move {
            self.database.administer(self.pulse.clone()).await;
            Ok(())
        }
        .boxed()
    }

    fn sessions(&self) -> BoxFuture<'_, Option<Sessions>> {
        async move {
            let look = self.database.look().await;
            // A session has a socket to work with and one to watch the server, both of its name.
            let names: BTreeSet<&str> = look.sockets.iter().map(|socket| socket.app.as_str()).collect();
            let (control, pooled): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| name.starts_with("wharf control"));
            let [pooled, control] = [pooled, control].map(|names| i64::try_from(names.len()).unwrap());
            let mut busy: Vec<String> = look.cursors.iter().map(|cursor| format!("a cursor of {}", cursor.namespace)).collect();
            // What the server has without listing it may be ours.
            busy.extend(Some(look.unlisted()).filter(|unlisted| !unlisted.is_empty()));
            Some(Sessions { pooled, control, busy: busy.join(", ") })
        }
        .boxed()
    }

    fn shows<'a>(&'a self, state: State, sessions: &'a Sessions) -> BoxFuture<'a, bool> {
        async move {
            match state {
                State::Acquiring | State::Ready => sessions.busy.is_empty(),
                State::InTransaction => self.database.is_locked(NOTES, "one").await,
                State::CursorHalfRead => sessions.busy.contains(ROWS),
                State::StatementRunning
                | State::BeginInFlight
                | State::FirstOperation
                | State::CommitInFlight
                | State::FindBeforeReply => panic!("there is no such cell"),
            }
        }
        .boxed()
    }

    fn left(&self) -> Asked<'_, String> {
        async move {
            let is_locked = self.database.is_locked(NOTES, "one").await;
            Ok(if is_locked { "a transaction that has written".to_owned() } else { String::new() })
        }
        .boxed()
    }

    fn notes(&self) -> Asked<'_, i64> {
        async move { Ok(i64::try_from(self.database.count(NOTES).await).unwrap()) }.boxed()
    }

    fn kill<'a>(&'a self, proxy: Option<&'a Proxy>) -> Asked<'a, ()> {
        break_off(proxy)
    }

    fn sweep(&self) -> Asked<'_, ()> {
        async move {
            self.database.run(doc! { "delete": NOTES, "deletes": [{ "q": {}, "limit": 0 }] }).await;
            Ok(())
        }
        .boxed()
    }
}
