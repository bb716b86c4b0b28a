//! What is answered, and what that changes.

use std::sync::Arc;

use bson::{Binary, Bson, Document, doc, oid::ObjectId, spec::BinarySubtype};

use crate::{
    command::{Command, SessionId, integer},
    message::LONGEST,
    reply::{Prepared, Reply, error},
    state::{Cursor, Ended, State, is_hello},
    table::Answer,
};

impl State {
    /// The answer to a command that does not wait.
    pub(crate) fn answer(&mut self, socket: u32, command: &Command<'_>) -> Reply {
        if let Some(refused) = self.no_such_transaction(command) {
            return refused;
        }
        let name = match command.name {
            "aggregate" if command.begins_with("$currentOp") => "$currentOp",
            name => name,
        };
        let reply = match self.table.take(name, command) {
            Some(Answer::Document(prepared)) => prepared.into(),
            Some(Answer::Batches(batches)) => self.open(command, &batches),
            None => self.compute(name, socket, command),
        };
        if let (Some(session), Some(_)) = (command.session, command.transaction) {
            let ends = matches!(name, "commitTransaction" | "abortTransaction");
            // What fails aborts the transaction, unless it was to end it.
            if ends == reply.prepared.is_success {
                self.end_transaction(session);
            }
        }
        reply
    }

    /// For what is said in a transaction that is not open.
    fn no_such_transaction(&self, command: &Command<'_>) -> Option<Reply> {
        let (session, number) = (command.session?, command.transaction?);
        if self.transactions.get(&session) == Some(&number) {
            return None;
        }
        let mut refused = error(251, "NoSuchTransaction");
        if command.name != "abortTransaction" {
            refused.insert("errorLabels", ["TransientTransactionError"]);
        }
        Some(refused.into())
    }

    /// The first batch; a cursor if there are more.
    fn open(&mut self, command: &Command<'_>, batches: &Arc<[Prepared]>) -> Reply {
        let prepared = batches[0].clone();
        if batches.len() == 1 {
            return prepared.into();
        }
        self.opened += 1;
        let (session, in_transaction) = (command.session, command.transaction.is_some());
        self.cursors.insert(self.opened, Cursor { batches: Arc::clone(batches), next: 1, session, in_transaction });
        Reply { prepared, cursor: self.opened }
    }

    fn compute(&mut self, name: &str, socket: u32, command: &Command<'_>) -> Reply {
        match name {
            name if is_hello(name) => self.hello(socket).into(),
            "getMore" => self.get_more(command),
            "killCursors" => self.kill_cursors(command).into(),
            "killSessions" | "killAllSessionsByPattern" => {
                for session in command.sessions() {
                    self.end(Ended::Killed, |_, waiting| waiting.session == Some(session));
                    self.end_session(session);
                }
                doc! { "ok": 1.0 }.into()
            }
            "endSessions" => {
                command.sessions().into_iter().for_each(|session| self.end_session(session));
                doc! { "ok": 1.0 }.into()
            }
            "killOp" => {
                let wanted = command.get("op").and_then(integer);
                self.end(Ended::Killed, |number, _| Some(i64::from(number)) == wanted);
                doc! { "info": "attempting to kill op", "ok": 1.0 }.into()
            }
            "currentOp" => doc! { "inprog": self.listed(socket, command), "ok": 1.0 }.into(),
            "$currentOp" => Prepared::batch("admin.$cmd.aggregate", "firstBatch", &self.listed(socket, command), true).into(),
            _ => error(59, "CommandNotFound").into(),
        }
    }

    /// The primary of a replica set of one.
    fn hello(&self, socket: u32) -> Document {
        let address = &self.address;
        doc! {
            "helloOk": true,
            "ismaster": true,
            "isWritablePrimary": true,
            "topologyVersion": { "processId": ObjectId::from_bytes([1; 12]), "counter": 0_i64 },
            "setName": "wire",
            "setVersion": 1,
            "hosts": [address],
            "primary": address,
            "me": address,
            "maxBsonObjectSize": 16 << 20,
            "maxMessageSizeBytes": i32::try_from(LONGEST).expect("short"),
            "maxWriteBatchSize": 100_000,
            "logicalSessionTimeoutMinutes": 30,
            "connectionId": i64::from(socket),
            "minWireVersion": 0,
            // Of MongoDB 8.2.
            "maxWireVersion": 27,
            "readOnly": false,
            "ok": 1.0,
        }
    }

    fn get_more(&mut self, command: &Command<'_>) -> Reply {
        let id = command.get(command.name).and_then(integer).unwrap_or_default();
        let Some(cursor) = self.cursors.get_mut(&id) else { return error(43, "CursorNotFound").into() };
        let prepared = cursor.batches[cursor.next].clone();
        cursor.next += 1;
        if cursor.next == cursor.batches.len() {
            self.cursors.remove(&id);
        }
        Reply { prepared, cursor: id }
    }

    fn kill_cursors(&mut self, command: &Command<'_>) -> Document {
        let (killed, unknown): (Vec<i64>, Vec<i64>) =
            command.integers("cursors").into_iter().partition(|id| self.cursors.remove(id).is_some());
        doc! { "cursorsKilled": killed, "cursorsNotFound": unknown, "cursorsAlive": [], "cursorsUnknown": [], "ok": 1.0 }
    }

    /// Every socket, what it runs if it runs anything, and every cursor.
    fn listed(&self, asking: u32, command: &Command<'_>) -> Vec<Document> {
        let sockets = self.sockets.iter().map(|(number, socket)| {
            let app = socket.app.as_deref().unwrap_or_default();
            let running = if *number == asking {
                Some((command.name, command.session))
            } else {
                socket.waiting.as_ref().map(|waiting| (waiting.name.as_str(), waiting.session))
            };
            let mut listed = doc! {
                "type": "op",
                "desc": format!("conn{number}"),
                "connectionId": i64::from(*number),
                "opid": i64::from(*number),
                "appName": app,
                "clientMetadata": { "application": { "name": app } },
                "effectiveUsers": [],
                "active": running.is_some(),
            };
            if let Some((name, session)) = running {
                listed.insert("command", doc! { name: 1 });
                listed.insert("lsid", session.map(lsid));
            }
            listed
        });
        let cursors = self.cursors.iter().map(|(id, cursor)| {
            doc! { "type": "idleCursor", "cursor": { "cursorId": *id }, "lsid": cursor.session.map(lsid) }
        });
        sockets.chain(cursors).collect()
    }
}

fn lsid(session: SessionId) -> Bson {
    let id = Binary { subtype: BinarySubtype::Uuid, bytes: session.to_vec() };
    doc! { "id": id }.into()
}
