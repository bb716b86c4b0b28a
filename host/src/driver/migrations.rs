//! Applies migrations and seed data, over a connection of its own, before any pool exists.

use std::path::Path;

use sqlx::{
    ConnectOptions, Connection,
    migrate::{MigrateError, MigrationSource, Migrator},
    mysql::MySqlConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};

use super::{Engine, mongodb, mysql, postgres};

/// Why migrations could not be applied. Free of addresses and credentials.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A folder or file could not be read, or is named wrongly.
    #[error("{folder}: {reason}")]
    Source {
        /// The folder.
        folder: String,
        /// What is wrong there.
        reason: String,
    },
    /// The database could not be reached or refused the credential.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// A migration failed, or does not match what was applied before.
    #[error("{0}")]
    Apply(String),
}

/// Applies what the folders hold and the database has not seen yet, in order of version, each in a transaction of its own; returns how
/// many were applied. Creates an SQLite file that is missing. Runs of several hosts exclude each other (an advisory lock on PostgreSQL and
/// MySQL, a document on MongoDB). On MySQL and MongoDB a migration that fails half-way stays half-way: changes of tables, and commands, commit by
/// themselves.
///
/// # Errors
/// See [`MigrationError`]; the migrations before the one that failed stay applied.
/// # Cancellation
/// Dropping the future closes the connection; the migration under way is rolled back by the database. Bounded by the caller.
pub async fn apply(engine: Engine, url: &str, folders: &[&Path]) -> Result<usize, MigrationError> {
    match engine {
        Engine::Mongodb => mongodb::migrations::apply(url, folders).await,
        Engine::Sqlite => {
            let migrator = read(folders).await?;
            let options: SqliteConnectOptions = url.parse().map_err(connect)?;
            let mut connection =
                options.create_if_missing(true).journal_mode(SqliteJournalMode::Wal).connect().await.map_err(connect)?;
            let applied = run(&migrator, &mut connection).await?;
            connection.close().await.map_err(connect)?;
            Ok(applied)
        }
        Engine::Postgres => {
            let migrator = read(folders).await?;
            let options = postgres::parse(url).map_err(|failure| MigrationError::Connect(failure.message))?;
            let mut connection = options.application_name("wharf migrations").connect().await.map_err(refused)?;
            let applied = run(&migrator, &mut connection).await?;
            connection.close().await.map_err(connect)?;
            Ok(applied)
        }
        Engine::Mysql => {
            let migrator = read(folders).await?;
            let options: MySqlConnectOptions = url.parse().map_err(connect)?;
            // The server's own words name the user and the address that it comes from.
            let refused = |error| MigrationError::Connect(mysql::why_not_connected(error));
            let mut connection = options.pipes_as_concat(false).connect().await.map_err(refused)?;
            let applied = run(&migrator, &mut connection).await?;
            connection.close().await.map_err(connect)?;
            Ok(applied)
        }
    }
}

/// Reads the folders.
async fn read(folders: &[&Path]) -> Result<Migrator, MigrationError> {
    let mut migrations = Vec::new();
    for folder in folders {
        let source = |reason: String| MigrationError::Source { folder: folder.display().to_string(), reason };
        migrations.extend(folder.resolve().await.map_err(|error| source(error.to_string()))?);
    }
    migrations.sort_by_key(|migration| migration.version);
    if let Some(twice) = migrations.windows(2).find(|pair| pair[0].version == pair[1].version) {
        return Err(MigrationError::Apply(format!("two migrations have version {}", twice[0].version)));
    }
    Ok(Migrator::with_migrations(migrations))
}

async fn run<C>(migrator: &Migrator, connection: &mut C) -> Result<usize, MigrationError>
where
    C: sqlx::migrate::Migrate,
{
    // Under the lock: two hosts that start at once would both create the table.
    connection.lock().await.map_err(failed)?;
    connection.ensure_migrations_table("_sqlx_migrations").await.map_err(failed)?;
    let before = connection.list_applied_migrations("_sqlx_migrations").await.map_err(failed)?.len();
    connection.unlock().await.map_err(failed)?;
    migrator.run_direct(None, connection, false).await.map_err(failed)?;
    let after = connection.list_applied_migrations("_sqlx_migrations").await.map_err(failed)?.len();
    Ok(after - before)
}

/// Why there is no session.
fn refused(error: sqlx::Error) -> MigrationError {
    MigrationError::Connect(postgres::connect_failure(error).message)
}

/// What the database says of itself is safe; what the driver says of a connection may name its address.
fn connect(error: sqlx::Error) -> MigrationError {
    MigrationError::Connect(match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::Io(error) => error.kind().to_string(),
        sqlx::Error::Configuration(_) => "the URL cannot be read".to_owned(),
        _ => "the connection failed".to_owned(),
    })
}

fn failed(error: MigrateError) -> MigrationError {
    MigrationError::Apply(match error {
        MigrateError::ExecuteMigration(sqlx::Error::Database(error), version) => {
            format!("migration {version} failed: {}", error.message())
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => return connect(error),
        other => other.to_string(),
    })
}
