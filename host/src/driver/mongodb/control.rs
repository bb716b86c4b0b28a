//! The control path: a client of its own that ends the operations and the sessions of others, and looks what the server lists.

use std::sync::Arc;

use bson::{Binary, Bson, Document, Uuid, doc, spec::BinarySubtype};
use futures::future::BoxFuture;
use mongodb::options::ClientOptions;
use sha2::{Digest, Sha256};

use super::{
    Shared, connect,
    error::{self, Stakes},
    link::{Kept, Link},
    reply,
    url::Location,
};
use crate::driver::{Control, Failure, FailureKind, Session};

/// What one question may last on the server; the pool's own bounds are shorter.
const MAX_TIME_MS: i64 = 5000;

/// Sockets of one session that are looked at; it has two, and a moment longer some that were replaced.
const MAX_LISTED: i64 = 64;

/// The server's number for "the user may not do that", and those for commands and stages that it does not know.
const NOT_OFFERED: [i32; 4] = [13, 59, 40324, 8000];

/// How the server is asked what it lists.
#[derive(Clone, Copy, Debug)]
enum Look {
    /// The stage `$currentOp`, which picks in the server.
    Stage,
    /// The command, of all users.
    Command,
    /// The command, of the own user: enough where the sessions are that user's.
    Own,
}

/// Opens the control path.
///
/// # Errors
/// [`FailureKind::Denied`] when the server does not list the path itself, by which it could list no other session either.
pub(super) async fn open(shared: &Arc<Shared>) -> Result<ControlPath, Failure> {
    let location = shared.control.as_ref().unwrap_or(&shared.location);
    let connect::Opened { kept, session, .. } =
        connect::link(shared, location, &shared.control_openings, "wharf control").await?;
    let (is_other, owner) = match &shared.control {
        Some(control) => other_owner(&shared.location, control).await?,
        None => (false, None),
    };
    let may_cancel = shared.settings.server_cancel;
    let mut control = ControlPath { kept, session, owner, look: Look::Stage, may_cancel };
    let looks = [Look::Stage, Look::Command, Look::Own];
    for look in looks.into_iter().take(if is_other { 2 } else { 3 }) {
        control.look = look;
        if control.sees_itself().await? {
            return Ok(control);
        }
    }
    let message = "the server does not show its sessions; give `control_url` a user with `clusterMonitor` and `killAnySession`";
    Err(Failure::new(FailureKind::Denied, message).lost())
}

/// Whether sessions are another user's than the control path's, and what the server calls their owner then.
async fn other_owner(sessions: &Location, control: &Location) -> Result<(bool, Option<[u8; 32]>), Failure> {
    let (theirs, own) = (owner(sessions).await?, owner(control).await?);
    let is_other = theirs != own || sessions.is_anonymous() != control.is_anonymous();
    Ok((is_other, theirs.filter(|_| is_other)))
}

/// What the server calls the owner of a session, for those who end another's. Where the user is kept may be said by the network's books alone, so the
/// crate is asked.
async fn owner(location: &Location) -> Result<Option<[u8; 32]>, Failure> {
    let Some(user) = location.user() else { return Ok(None) };
    let parsed = ClientOptions::parse(location.connection.clone()).await.map_err(|error| error::connect(&error))?;
    let source = parsed.credential.and_then(|credential| credential.source);
    Ok(Some(digest(user, source.as_deref().unwrap_or_else(|| location.source()))))
}

fn digest(user: &str, source: &str) -> [u8; 32] {
    Sha256::digest(format!("{user}@{source}")).into()
}

/// The one control session of a driver.
pub(super) struct ControlPath {
    kept: Kept,
    session: Session,
    /// Whose sessions are ended, where it is another's than the path's.
    owner: Option<[u8; 32]>,
    look: Look,
    may_cancel: bool,
}

impl ControlPath {
    async fn ask(&mut self, mut command: Document) -> Result<Document, Failure> {
        command.insert("maxTimeMS", MAX_TIME_MS);
        let Link { admin, session, .. } = self.kept.get()?;
        admin.run_command(command).session(session).await.map_err(|error| error::failure(&error, Stakes::Nothing))
    }

    /// What the server lists under a name: sockets that are idle, and operations.
    async fn listed(&mut self, name: &str) -> Result<Vec<Document>, Failure> {
        let named = doc! { "$or": [{ "appName": name }, { "clientMetadata.application.name": name }] };
        let (reply, field) = match self.look {
            Look::Stage => {
                let pipeline = vec![
                    doc! { "$currentOp": { "allUsers": true, "idleConnections": true, "localOps": true } },
                    doc! { "$match": named },
                    doc! { "$limit": MAX_LISTED },
                    doc! { "$project": { "appName": 1, "clientMetadata.application": 1, "connectionId": 1, "active": 1, "opid": 1 } },
                ];
                let mut reply =
                    self.ask(doc! { "aggregate": 1, "pipeline": pipeline, "cursor": { "batchSize": MAX_LISTED + 1 } }).await?;
                match reply.remove("cursor") {
                    Some(Bson::Document(cursor)) => (cursor, "firstBatch"),
                    _ => return Err(error::unexpected()),
                }
            }
            // Some servers look at no filter.
            Look::Command => (self.ask(extended(doc! { "currentOp": 1, "$all": true }, named)).await?, "inprog"),
            Look::Own => (self.ask(extended(doc! { "currentOp": 1, "$all": true, "$ownOps": true }, named)).await?, "inprog"),
        };
        Ok(reply::documents(&reply, field).filter(|entry| is_named(entry, name)).cloned().collect())
    }

    /// Whether the server lists this very connection: some answer, and list nothing or only the question.
    async fn sees_itself(&mut self) -> Result<bool, Failure> {
        let (name, _) = connect::known_by(&self.session)?;
        let (name, id) = (name.to_owned(), self.session.id);
        match self.listed(&name).await {
            Ok(listed) => Ok(listed.iter().any(|entry| reply::number(entry, "connectionId") == Some(id))),
            Err(failure) if is_not_offered(&failure) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Ends what goes on in a logical session, with its cursors and its transaction.
    async fn kill(&mut self, lsid: Uuid) -> Result<(), Failure> {
        let mut session = doc! { "id": lsid };
        if let Some(owner) = self.owner {
            session.insert("uid", Binary { subtype: BinarySubtype::Generic, bytes: owner.to_vec() });
        }
        self.ask(doc! { "killSessions": [session] }).await.map(drop)
    }
}

fn extended(mut command: Document, filter: Document) -> Document {
    command.extend(filter);
    command
}

fn is_named(entry: &Document, name: &str) -> bool {
    let application = || entry.get_document("clientMetadata").ok()?.get_document("application").ok()?.get_str("name").ok();
    entry.get_str("appName").ok().or_else(application) == Some(name)
}

fn is_not_offered(failure: &Failure) -> bool {
    failure.documents.as_ref().and_then(|details| details.code).is_some_and(|code| NOT_OFFERED.contains(&code))
}

impl Control for ControlPath {
    fn cancel<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            if !self.may_cancel {
                return Err(Failure::new(FailureKind::Denied, "cancelling on the server is switched off by `server_cancel`"));
            }
            let (_, lsid) = connect::known_by(session)?;
            self.kill(lsid).await
        })
    }

    fn terminate<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let (name, lsid) = connect::known_by(session)?;
            self.kill(lsid).await?;
            for operation in self.listed(name).await? {
                let is_active = operation.get_bool("active").unwrap_or(false);
                if let (true, Some(number)) = (is_active, operation.get("opid")) {
                    self.ask(doc! { "killOp": 1, "op": number.clone() }).await?;
                }
            }
            Ok(())
        })
    }

    fn is_listed<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<bool, Failure>> {
        Box::pin(async move {
            let (name, lsid) = connect::known_by(session)?;
            if !self.listed(name).await?.is_empty() {
                return Ok(true);
            }
            // Whatever went on has ended; it may have left a cursor since the session was last ended.
            self.kill(lsid).await?;
            Ok(false)
        })
    }

    fn session(&self) -> Option<&Session> {
        Some(&self.session)
    }

    fn ping(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move { self.ask(doc! { "ping": 1 }).await.map(drop) })
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let Self { kept, .. } = *self;
            kept.close().await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::url, *};

    #[tokio::test]
    async fn an_owner_is_told_by_where_the_user_is_kept() {
        for (url, source) in [
            ("mongodb://app:pw@host/accounts", "accounts"),
            ("mongodb://app:pw@host/accounts?authSource=admin", "admin"),
            ("mongodb://app:pw@host/accounts?authMechanism=SCRAM-SHA-256", "accounts"),
        ] {
            let location = url::parse(url).unwrap();
            assert_eq!(owner(&location).await.unwrap(), Some(digest("app", source)), "{url}");
        }
        assert_eq!(owner(&url::parse("mongodb://host/accounts").unwrap()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn users_are_told_apart_by_what_the_crate_makes_of_them() {
        let app = "mongodb://app:pw@host/accounts";
        for (sessions, control, is_other) in [
            (app, "mongodb://app:pw@host/accounts?authSource=accounts", false),
            (app, "mongodb://app:pw@host/accounts?authSource=admin", true),
            (app, "mongodb://watcher:pw@host/accounts", true),
            (app, "mongodb://host/accounts?authMechanism=MONGODB-X509", true),
            ("mongodb://host/accounts", "mongodb://host/accounts", false),
            ("mongodb://host/accounts", "mongodb://host/accounts?authMechanism=MONGODB-X509", true),
        ] {
            let (sessions, control) = (url::parse(sessions).unwrap(), url::parse(control).unwrap());
            let expected = owner(&sessions).await.unwrap().filter(|_| is_other);
            assert_eq!(other_owner(&sessions, &control).await.unwrap(), (is_other, expected));
        }
    }
}
