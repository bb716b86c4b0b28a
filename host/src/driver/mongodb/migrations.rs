//! Applies migrations: files with lists of commands in Extended JSON, run in order and remembered in the database.

use std::{fs, path::Path, time::Duration};

use bson::{DateTime, Document, doc};
use sha2::{Digest, Sha256};
use tokio::time::{sleep, timeout};

use super::{
    Mongodb, connect,
    error::{self, Stakes},
    link::{Kept, Link},
    reply,
};
use crate::driver::{Failure, migrations::MigrationError, settings::Settings};

/// Where it is remembered what was applied, and who applies.
const COLLECTION: &str = "_wharf_migrations";

/// How long a host that has gone silent keeps others out. Clocks of hosts may differ by less.
const HELD: Duration = Duration::from_secs(60);

/// How soon the host that applies says that it is still there.
const RENEWED: Duration = Duration::from_secs(15);

/// How soon one that waits looks again.
const WAITS: Duration = Duration::from_millis(200);

/// One file.
#[derive(Debug, PartialEq)]
struct Migration {
    version: i64,
    name: String,
    checksum: String,
    commands: Vec<Document>,
}

/// Applies what the folders hold as `NNNN_name.json` and the database has not seen yet; returns how many files that were.
///
/// # Bounds
/// By the caller; a host that waits for another one waits as long.
/// # Errors
/// See [`MigrationError`]. A file whose command fails stays half-way, and is begun anew the next time.
/// # Cancellation
/// Closes the connections; the server gives up the command that runs. Others wait for a minute at most.
pub(in crate::driver) async fn apply(url: &str, folders: &[&Path]) -> Result<usize, MigrationError> {
    let migrations = read(folders)?;
    let refused = |failure: Failure| MigrationError::Connect(failure.message);
    let shared = Mongodb::new(url, Settings::default()).map_err(refused)?.shared;
    let open = || connect::link(&shared, &shared.location, &shared.openings, "wharf migrations");
    let (mut kept, mut lock) = (open().await.map_err(refused)?.kept, Lock::new(open().await.map_err(refused)?.kept));
    lock.take().await?;
    // Whatever comes of it, others need not wait until it is found out.
    let applied = tokio::select! {
        applied = apply_all(&mut kept, &migrations) => applied,
        lost = lock.keep() => Err(lost),
    };
    lock.give_back().await;
    kept.close().await;
    lock.kept.close().await;
    applied
}

/// Reads the folders, in order of version.
fn read(folders: &[&Path]) -> Result<Vec<Migration>, MigrationError> {
    let mut migrations = Vec::new();
    for folder in folders {
        let source = |reason: String| MigrationError::Source { folder: folder.display().to_string(), reason };
        for entry in fs::read_dir(folder).map_err(|error| source(error.to_string()))? {
            let path = entry.map_err(|error| source(error.to_string()))?.path();
            let (Some(stem), Some("json")) =
                (path.file_stem().and_then(|stem| stem.to_str()), path.extension().and_then(|end| end.to_str()))
            else {
                continue;
            };
            let text = fs::read_to_string(&path).map_err(|error| source(format!("{stem}.json: {error}")))?;
            migrations.push(parse(stem, &text).map_err(|reason| source(format!("{stem}.json: {reason}")))?);
        }
    }
    migrations.sort_by_key(|migration| migration.version);
    match migrations.windows(2).find(|pair| pair[0].version == pair[1].version) {
        Some(twice) => Err(MigrationError::Apply(format!("two migrations have version {}", twice[0].version))),
        None => Ok(migrations),
    }
}

/// Reads one file: a list of commands, each a document whose first name is the command's.
fn parse(stem: &str, text: &str) -> Result<Migration, String> {
    let numbered = stem.split_once('_').and_then(|(version, name)| Some((version.parse::<i64>().ok()?, name)));
    let (version, name) = numbered.filter(|(version, _)| *version >= 0).ok_or("it is not named `0001_what_it_does.json`")?;
    let commands: Vec<Document> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if commands.iter().any(Document::is_empty) {
        return Err("a command is empty".to_owned());
    }
    let checksum = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Migration { version, name: name.to_owned(), checksum, commands })
}

/// Runs a command, in which nothing may fail.
async fn run(kept: &mut Kept, command: Document) -> Result<Document, Failure> {
    let Link { database, session, .. } = kept.get()?;
    let reply = database.run_command(command).session(session).await;
    let reply = reply.map_err(|error| error::failure(&error, Stakes::Nothing))?;
    let concern = reply.get_document("writeConcernError").ok();
    if let Some(failed) = reply::documents(&reply, "writeErrors").next().or(concern) {
        return Err(error::said(failed));
    }
    Ok(reply)
}

async fn apply_all(kept: &mut Kept, migrations: &[Migration]) -> Result<usize, MigrationError> {
    let failed = |failure: Failure| MigrationError::Apply(failure.message);
    let mut applied = 0;
    let known = known(kept).await.map_err(failed)?;
    if let Some((version, _)) = known.iter().find(|(version, _)| migrations.iter().all(|other| other.version != *version)) {
        return Err(MigrationError::Apply(format!("migration {version} was applied before, and is not there any more")));
    }
    for migration in migrations {
        let version = migration.version;
        if let Some((_, checksum)) = known.iter().find(|(other, _)| *other == version) {
            if *checksum != migration.checksum {
                return Err(MigrationError::Apply(format!("migration {version} was changed after it was applied")));
            }
            continue;
        }
        for (place, command) in (1..).zip(&migration.commands) {
            run(kept, command.clone()).await.map_err(|failure| {
                MigrationError::Apply(format!("migration {version} failed at its command {place}: {}", failure.message))
            })?;
        }
        let Migration { name, checksum, .. } = migration;
        let entry = doc! { "_id": version, "name": name, "checksum": checksum, "applied": DateTime::now() };
        run(kept, doc! { "insert": COLLECTION, "documents": [entry] }).await.map_err(failed)?;
        applied += 1;
    }
    Ok(applied)
}

/// Versions that were applied, with their checksums.
async fn known(kept: &mut Kept) -> Result<Vec<(i64, String)>, Failure> {
    let all = doc! { "find": COLLECTION, "filter": { "_id": { "$ne": Lock::ID } }, "batchSize": i32::MAX, "singleBatch": true };
    let reply = run(kept, all).await?;
    let cursor = reply.get_document("cursor").map_err(|_| error::unexpected())?;
    let entry = |entry: &Document| {
        let version = reply::number(entry, "_id").ok_or_else(error::unexpected)?;
        Ok((version, entry.get_str("checksum").unwrap_or_default().to_owned()))
    };
    reply::documents(cursor, "firstBatch").map(entry).collect()
}

/// Keeps other hosts out, on a connection of its own: a document that names the holder and until when it counts.
struct Lock {
    kept: Kept,
    holder: String,
}

impl Lock {
    const ID: &'static str = "lock";

    fn new(kept: Kept) -> Self {
        Self { kept, holder: format!("{:032x}", rand::random::<u128>()) }
    }

    /// Takes the lock, or says that it is still held; whether it could.
    async fn renew(&mut self) -> Result<bool, Failure> {
        let now = DateTime::now();
        let until = now.saturating_add_duration(HELD);
        // One that is another's does not match, and inserting a second one fails.
        let mine = doc! { "_id": Self::ID, "$or": [{ "until": { "$lt": now } }, { "holder": &self.holder }] };
        let update = doc! { "q": mine, "u": { "$set": { "holder": &self.holder, "until": until } }, "upsert": true };
        match run(&mut self.kept, doc! { "update": COLLECTION, "updates": [update] }).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.code.as_deref() == Some("11000") => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    async fn take(&mut self) -> Result<(), MigrationError> {
        while !self.renew().await.map_err(|failure| MigrationError::Apply(failure.message))? {
            sleep(WAITS).await;
        }
        Ok(())
    }

    /// Goes on until the lock is lost.
    async fn keep(&mut self) -> MigrationError {
        loop {
            sleep(RENEWED).await;
            match self.renew().await {
                Ok(true) => {}
                Ok(false) => return MigrationError::Apply("another host has taken over".to_owned()),
                Err(failure) => return MigrationError::Apply(failure.message),
            }
        }
    }

    async fn give_back(&mut self) {
        let mine = doc! { "q": { "_id": Self::ID, "holder": &self.holder }, "limit": 1 };
        // If it fails or lasts, others wait until it is over.
        _ = timeout(RENEWED, run(&mut self.kept, doc! { "delete": COLLECTION, "deletes": [mine] })).await;
    }
}

#[cfg(test)]
mod tests {
    use bson::Bson;

    use super::*;

    #[test]
    fn commands_keep_their_order_and_their_types() {
        let text = r#"[
            { "createIndexes": "people", "indexes": [{ "key": { "b": 1, "a": -1 }, "name": "b_a", "unique": true }] },
            { "insert": "people", "documents": [{ "_id": { "$oid": "0123456789abcdef01234567" }, "n": { "$numberLong": "7" } }] }
        ]"#;
        let migration = parse("0007_people", text).unwrap();
        assert_eq!((migration.version, migration.name.as_str(), migration.checksum.len()), (7, "people", 64));
        let names: Vec<_> = migration.commands.iter().map(|command| command.keys().next().unwrap().as_str()).collect();
        assert_eq!(names, ["createIndexes", "insert"]);
        let index = migration.commands[0].get_array("indexes").unwrap()[0].as_document().unwrap();
        assert_eq!(index.get_document("key").unwrap().keys().collect::<Vec<_>>(), ["b", "a"]);
        let inserted = migration.commands[1].get_array("documents").unwrap()[0].as_document().unwrap();
        assert!(matches!(inserted.get("_id"), Some(Bson::ObjectId(_))));
        assert_eq!(inserted.get("n"), Some(&Bson::Int64(7)));
    }

    #[test]
    fn what_is_no_migration_is_refused() {
        for (stem, text) in [
            ("people", "[]"),
            ("1", "[]"),
            ("-1_people", "[]"),
            ("x_people", "[]"),
            ("1_people", "{}"),
            ("1_people", "[1]"),
            ("1_people", "[{}]"),
            ("1_people", "[{ \"ping\": 1 }"),
        ] {
            assert!(parse(stem, text).is_err(), "{stem} {text}");
        }
        assert_eq!(parse("1_nothing", "[]").map(|migration| migration.commands), Ok(vec![]));
    }
}
