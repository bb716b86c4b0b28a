//! What the user of a session may do, as the server tells it: a superuser is refused, and for a read-only grant whoever may write.

use std::sync::atomic::Ordering;

use bson::{Document, doc};

use super::{Shared, error, link::Link, reply};
use crate::driver::{Failure, FailureKind, settings::Access};

/// Actions that change nothing.
const READING: [&str; 22] = [
    "bypassDefaultMaxTimeMS",
    "changeStream",
    "collStats",
    "connPoolStats",
    "dbHash",
    "dbStats",
    "find",
    "getShardVersion",
    "indexStats",
    "inprog",
    "killCursors",
    "listCachedAndActiveUsers",
    "listClusterCatalog",
    "listCollections",
    "listDatabases",
    "listIndexes",
    "listSearchIndexes",
    "listSessions",
    "performRawDataOperations",
    "planCacheRead",
    "serverStatus",
    "validate",
];

/// A role of the server's own that changes nothing, in any database.
const READER: &str = "read";

/// The same, in the database where all users are kept; elsewhere an operator may have made roles of these names.
const READERS_OF_ADMIN: [&str; 2] = ["readAnyDatabase", "clusterMonitor"];

/// With one of these no check of the database holds: they grant themselves whatever they like, or write what only the server should.
const MIGHTY: [&str; 4] = ["root", "__system", "userAdminAnyDatabase", "restore"];

/// The same, for those of the database where all users are kept.
const MIGHTY_OF_ADMIN: [&str; 2] = ["dbOwner", "userAdmin"];

/// Asks who the session is and what it may do.
///
/// # Errors
/// [`FailureKind::Denied`] for a superuser, unless one is allowed, and for a read-only grant unless the user may only read.
pub(super) async fn check(link: &mut Link, shared: &Shared) -> Result<(), Failure> {
    let Link { admin, session, .. } = link;
    let asked = admin.run_command(doc! { "connectionStatus": 1, "showPrivileges": true }).session(session);
    let status = asked.await.map_err(|error| error::connect(&error))?;
    let known = status.get_document("authInfo").map(Known).map_err(|_| unclear())?;
    if known.is_nobody() {
        return nobody(shared);
    }
    if !shared.settings.allow_superuser {
        known.refuse_superuser()?;
    }
    match shared.settings.access {
        Access::ReadOnly => known.refuse_writer(),
        Access::ReadWrite => Ok(()),
    }
}

fn denied(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Denied, message).lost()
}

fn unclear() -> Failure {
    denied("the server does not show what the user may do")
}

/// A server that controls nobody's access guards nothing.
fn nobody(shared: &Shared) -> Result<(), Failure> {
    if shared.settings.access == Access::ReadOnly {
        return Err(denied("a read-only grant needs a user who may only read, and nobody has logged in"));
    }
    if !shared.warned.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            database = %shared.location.database,
            "nobody has logged in: a plugin may do in this server whatever a server without access control allows"
        );
    }
    Ok(())
}

/// What the server tells of a user.
struct Known<'a>(&'a Document);

impl Known<'_> {
    fn is_nobody(&self) -> bool {
        reply::documents(self.0, "authenticatedUsers").next().is_none()
    }

    /// Roles with their databases, those that are granted through others included.
    fn roles(&self) -> impl Iterator<Item = (&str, &str)> {
        reply::documents(self.0, "authenticatedUserRoles").map(|role| {
            let text = |name| role.get_str(name).unwrap_or_default();
            (text("role"), text("db"))
        })
    }

    fn refuse_superuser(&self) -> Result<(), Failure> {
        let is_mighty =
            |(role, database): &(&str, &str)| MIGHTY.contains(role) || (*database == "admin" && MIGHTY_OF_ADMIN.contains(role));
        match self.roles().find(is_mighty) {
            Some((role, _)) => {
                let message = format!(
                    "the user has the role `{role}`, by which nothing guards the database; set `allow_superuser`, or use another"
                );
                Err(denied(message).with("role", role))
            }
            None => Ok(()),
        }
    }

    /// The roles say it where they are the server's own; of others only the privileges tell.
    fn refuse_writer(&self) -> Result<(), Failure> {
        let may_only_read =
            |(role, database): (&str, &str)| role == READER || (database == "admin" && READERS_OF_ADMIN.contains(&role));
        let mut roles = self.roles().peekable();
        if roles.peek().is_some() && roles.all(may_only_read) {
            return Ok(());
        }
        let mut privileges = reply::documents(self.0, "authenticatedUserPrivileges").peekable();
        if privileges.peek().is_none() {
            return Err(match self.roles().find(|role| !may_only_read(*role)) {
                Some((role, _)) => may_do_more(role),
                None => unclear(),
            });
        }
        for privilege in privileges {
            let actions = privilege.get_array("actions").map_err(|_| unclear())?;
            for action in actions {
                let action = action.as_str().ok_or_else(unclear)?;
                if !READING.contains(&action) {
                    return Err(may_do_more(action));
                }
            }
        }
        Ok(())
    }
}

fn may_do_more(what: &str) -> Failure {
    denied(format!("the grant is for reading only, and the user may do more: {what}")).with("privilege", what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(roles: &[(&str, &str)], privileges: &[&[&str]]) -> Document {
        let roles: Vec<Document> = roles.iter().map(|(role, db)| doc! { "role": *role, "db": *db }).collect();
        let privilege = |actions: &&[&str]| {
            let actions: Vec<String> = actions.iter().map(|action| (*action).to_owned()).collect();
            doc! { "resource": { "db": "d", "collection": "" }, "actions": actions }
        };
        let privileges: Vec<Document> = privileges.iter().map(privilege).collect();
        doc! {
            "authenticatedUsers": [{ "user": "u", "db": "admin" }],
            "authenticatedUserRoles": roles,
            "authenticatedUserPrivileges": privileges,
        }
    }

    #[test]
    fn superusers_are_refused_by_their_roles() {
        for (role, database, mighty) in [
            ("root", "admin", true),
            ("__system", "admin", true),
            ("userAdminAnyDatabase", "admin", true),
            ("restore", "admin", true),
            ("dbOwner", "admin", true),
            ("userAdmin", "admin", true),
            ("dbOwner", "accounts", false),
            ("userAdmin", "accounts", false),
            ("readWrite", "accounts", false),
            ("readWriteAnyDatabase", "admin", false),
        ] {
            let user = user(&[("read", "accounts"), (role, database)], &[]);
            assert_eq!(Known(&user).refuse_superuser().is_err(), mighty, "{role} of {database}");
        }
    }

    #[test]
    fn who_may_write_is_no_reader() {
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a [&'a str]], Option<&'a str>);
        let rows: [Row<'_>; 11] = [
            (&[("read", "d")], &[], None),
            (&[("readAnyDatabase", "admin"), ("clusterMonitor", "admin")], &[], None),
            // Of a name that the server itself has elsewhere only.
            (&[("clusterMonitor", "d")], &[&["find", "insert"]], Some("insert")),
            (&[("read", "d"), ("readAnyDatabase", "d")], &[], Some("readAnyDatabase")),
            (&[("read", "d"), ("readWrite", "d")], &[], Some("readWrite")),
            (&[("mine", "d")], &[], Some("mine")),
            (&[("mine", "d")], &[&["find", "listIndexes"], &["collStats"]], None),
            (&[("mine", "d")], &[&["find"], &["find", "insert"]], Some("insert")),
            (&[], &[&["find"]], None),
            (&[], &[&["anyAction"]], Some("anyAction")),
            (&[], &[], Some("show")),
        ];
        for (roles, privileges, refused) in rows {
            let user = user(roles, privileges);
            let told = Known(&user).refuse_writer().err().map(|failure| (failure.kind, failure.message));
            match (&told, refused) {
                (None, None) => {}
                (Some((FailureKind::Denied, message)), Some(what)) if message.contains(what) => {}
                _ => panic!("{roles:?} {privileges:?}: {told:?}"),
            }
        }
        // What cannot be read is doubt.
        let odd = doc! { "authenticatedUserPrivileges": [{ "actions": [1] }], "authenticatedUserRoles": [] };
        assert!(Known(&odd).refuse_writer().is_err() && Known(&odd).is_nobody());
    }
}
