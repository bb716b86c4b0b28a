//! What the server lists, seen from a connection that is none of the host's.

use std::{collections::BTreeSet, time::Duration};

use mongodb::bson::{Bson, Document, doc};

use super::MongodbDatabase;
use crate::wait;

/// A socket of a client, as `currentOp` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketRow {
    /// `connectionId`.
    pub id: i64,
    /// As the client calls itself.
    pub app: String,
    /// The user; empty on a socket that only watches the server.
    pub user: String,
    /// The command that runs. SecantusDB tells the last one, whether it still runs or not.
    pub command: String,
}

/// A cursor that is open while nobody fetches from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorRow {
    /// Its number.
    pub id: i64,
    /// `database.collection`.
    pub namespace: String,
}

/// What a server has of everybody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Sockets of clients.
    pub sockets: usize,
    /// Open cursors.
    pub cursors: usize,
}

/// What a server says at about one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// As [`MongodbDatabase::sockets`].
    pub sockets: Vec<SocketRow>,
    /// As [`MongodbDatabase::cursors`].
    pub cursors: Vec<CursorRow>,
    /// What `serverStatus` counts.
    pub counted: Totals,
    /// What `currentOp` lists.
    pub listed: Totals,
}

impl Look {
    /// What is counted and not listed, so that nobody can tell whose it is; empty when there is nothing. What somebody has closed since it
    /// was counted is among it: who finds something looks again.
    #[must_use]
    pub fn unlisted(&self) -> String {
        let Self { counted, listed, .. } = self;
        let mut unlisted = Vec::new();
        for (what, counted, listed) in
            [("sockets", counted.sockets, listed.sockets), ("cursors", counted.cursors, listed.cursors)]
        {
            if counted > listed {
                unlisted.push(format!("{counted} {what}, {listed} of which are listed"));
            }
        }
        unlisted.join(", ")
    }
}

impl MongodbDatabase {
    /// The sockets of this database by number: those on which one of its users has logged in, and those of clients that call themselves
    /// after it, since drivers watch a server without logging in. None of the tests' own is among them, but for [`Self::client`]'s.
    ///
    /// # Panics
    /// When the server refuses to say.
    pub async fn sockets(&self) -> Vec<SocketRow> {
        self.sockets_in(&self.current_op().await)
    }

    fn sockets_in(&self, command: &Document) -> Vec<SocketRow> {
        let mut sockets: Vec<SocketRow> = in_progress(command).filter_map(|entry| self.socket(entry)).collect();
        sockets.sort_by_key(|socket| socket.id);
        sockets
    }

    /// Of both the command and the stage of this name only the command tells of sockets on every server.
    async fn current_op(&self) -> Document {
        self.administer(doc! { "currentOp": 1, "$all": true }).await
    }

    /// SecantusDB lists cursors in answer to the command, MongoDB in answer to the stage.
    async fn current_op_stage(&self) -> Document {
        let stage = doc! { "$currentOp": { "allUsers": true, "idleCursors": true } };
        self.administer(doc! { "aggregate": 1, "pipeline": [stage], "cursor": { "batchSize": 10_000 } }).await
    }

    fn socket(&self, entry: &Document) -> Option<SocketRow> {
        let id = number(entry.get("connectionId")?)?;
        let metadata = entry.get_document("clientMetadata").and_then(|metadata| metadata.get_document("application"));
        let app = metadata.and_then(|application| application.get_str("name")).or_else(|_| entry.get_str("appName"));
        let app = app.unwrap_or_default().to_owned();
        let users = entry.get_array("effectiveUsers").map(Vec::as_slice).unwrap_or_default();
        let ours = users.iter().filter_map(Bson::as_document).find(|user| user.get_str("db").ok() == Some(self.name.as_str()));
        let user = ours.and_then(|user| user.get_str("user").ok()).unwrap_or_default().to_owned();
        let command = entry.get_document("command").ok().and_then(|command| command.keys().next());
        let is_active = entry.get_bool("active").unwrap_or_default();
        let command = command.filter(|_| is_active).cloned().unwrap_or_default();
        (!user.is_empty() || app.contains(&self.name)).then_some(SocketRow { id, app, user, command })
    }

    /// The cursors that are open in this database, by number.
    ///
    /// # Panics
    /// When the server refuses to say.
    pub async fn cursors(&self) -> Vec<CursorRow> {
        let (command, stage) = (self.current_op().await, self.current_op_stage().await);
        self.cursors_in(&command, &stage)
    }

    fn cursors_in(&self, command: &Document, stage: &Document) -> Vec<CursorRow> {
        let entries = in_progress(command).chain(first_batch(stage));
        let mut cursors: Vec<CursorRow> = entries.filter_map(|entry| self.cursor(entry)).collect();
        cursors.sort_by_key(|cursor| cursor.id);
        cursors
    }

    fn cursor(&self, entry: &Document) -> Option<CursorRow> {
        let id = idle_cursor(entry)?;
        let namespace = entry.get_str("ns").ok()?;
        let in_it = namespace.strip_prefix(self.name.as_str())?.starts_with('.');
        in_it.then(|| CursorRow { id, namespace: namespace.to_owned() })
    }

    /// What the server counts of everybody's, and what it lists, of everybody and of this database.
    ///
    /// # Panics
    /// When the server refuses to say.
    pub async fn look(&self) -> Look {
        let status = self.administer(doc! { "serverStatus": 1 }).await;
        let (command, stage) = (self.current_op().await, self.current_op_stage().await);
        let sockets: BTreeSet<i64> = in_progress(&command).filter_map(|entry| number(entry.get("connectionId")?)).collect();
        let cursors: BTreeSet<i64> = in_progress(&command).chain(first_batch(&stage)).filter_map(idle_cursor).collect();
        Look {
            sockets: self.sockets_in(&command),
            cursors: self.cursors_in(&command, &stage),
            counted: Totals {
                sockets: total(&status, &["connections", "current"]),
                cursors: total(&status, &["metrics", "cursor", "open", "total"]),
            },
            listed: Totals { sockets: sockets.len(), cursors: cursors.len() },
        }
    }

    /// Waits until `expected` holds of the sockets, which are given back.
    ///
    /// # Panics
    /// After `bound`, with the sockets there were.
    pub async fn until_sockets(&self, what: &str, bound: Duration, expected: impl Fn(&[SocketRow]) -> bool) -> Vec<SocketRow> {
        wait::until(what, bound, || async {
            let sockets = self.sockets().await;
            if expected(&sockets) { Ok(sockets) } else { Err(format!("{sockets:#?}")) }
        })
        .await
    }

    /// Waits until at most `most` sockets are left, and no cursor is.
    ///
    /// # Panics
    /// After `bound`, with what there was.
    pub async fn until_quiet(&self, most: usize, bound: Duration) {
        wait::until(&format!("at most {most} sockets and no cursor"), bound, || async {
            let (sockets, cursors) = (self.sockets().await, self.cursors().await);
            if sockets.len() <= most && cursors.is_empty() { Ok(()) } else { Err(format!("{sockets:#?} {cursors:#?}")) }
        })
        .await;
    }

    /// What must hold once a host has said that nothing is left: no socket of its pools at once, and a moment later not even one of the
    /// control path, whose good-bye nobody confirms.
    ///
    /// # Panics
    /// When there is one, or a cursor.
    pub async fn nothing_left(&self) {
        let pooled = self.sockets().await.into_iter().filter(|socket| !socket.app.starts_with("wharf control"));
        assert_eq!(pooled.collect::<Vec<_>>(), []);
        self.until_quiet(0, Duration::from_secs(5)).await;
    }

    /// Closes the sockets of this database, as a restart of the server would. Only SecantusDB does that; MongoDB ends what they run.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn terminate_all(&self) {
        for socket in self.sockets().await {
            self.administer(doc! { "killOp": 1, "op": socket.id }).await;
        }
    }
}

fn in_progress(command: &Document) -> impl Iterator<Item = &Document> {
    command.get_array("inprog").expect("entries").iter().filter_map(Bson::as_document)
}

fn first_batch(stage: &Document) -> impl Iterator<Item = &Document> {
    let batch = stage.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
    batch.expect("entries").iter().filter_map(Bson::as_document)
}

/// The number of a cursor that nobody fetches from.
fn idle_cursor(entry: &Document) -> Option<i64> {
    if entry.get_str("type").ok() != Some("idleCursor") {
        return None;
    }
    number(entry.get("cursorId").or_else(|| entry.get_document("cursor").ok()?.get("cursorId"))?)
}

/// A number that lies within documents of these names.
fn total(status: &Document, path: &[&str]) -> usize {
    let (last, names) = path.split_last().expect("a name");
    let within = names.iter().try_fold(status, |within, name| within.get_document(name).ok());
    let total = within.and_then(|within| number(within.get(last)?)).and_then(|total| usize::try_from(total).ok());
    total.unwrap_or_else(|| panic!("serverStatus without {path:?}: {status}"))
}

fn number(value: &Bson) -> Option<i64> {
    value.as_i64().or_else(|| value.as_i32().map(i64::from))
}
