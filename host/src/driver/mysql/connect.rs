//! Opens a session: settings and backstops, then identity and privileges as the server tells them.

use std::sync::Arc;

use futures::{Stream, TryStreamExt};
use sqlx::{
    Column as _, ConnectOptions, Decode, MySql, Row, TypeInfo,
    mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow},
};

use super::{Shared, connection::MysqlConnection, encode::ParameterTypes, error, host, role};
use crate::driver::{
    Failure, FailureKind, Session,
    settings::{Access, Settings},
};

/// Version, number, and three nulls whose columns tell sqlx's name for types that it gives no other way to; then `SESSIONS`.
const IDENTITY: &str = "SELECT VERSION(), CONNECTION_ID(), \
    CAST(NULL AS DATE), CAST(NULL AS DATETIME(6)), CAST(NULL AS DECIMAL(10, 2)); SHOW PROCESSLIST";

/// All sessions that may be seen. MariaDB writes a table to its disk for `information_schema.PROCESSLIST`, however little is asked of it, and
/// a busy disk must not keep a session from being ended. Of this it writes none.
const SESSIONS: &str = "SHOW PROCESSLIST";

/// Opens one session for guests.
pub(super) async fn open(shared: &Arc<Shared>) -> Result<MysqlConnection, Failure> {
    let settings = &shared.settings;
    // sqlx's pool would want none; a cache without a place would prepare every statement twice.
    let options = plain(&shared.options).statement_cache_capacity(settings.statement_cache.count.max(1));
    let mut link = options.connect().await.map_err(error::connect_failure)?;
    let (session, types, version) = identity(&mut link).await?;
    let mariadb = is_mariadb(&version);
    host::run(&mut link, settings_sql(settings, mariadb)).await.map_err(error::failure)?;
    let grants = role::read(&mut link, mariadb).await?;
    grants.refuse_superuser(settings.allow_superuser)?;
    if settings.access == Access::ReadOnly {
        grants.refuse_writer()?;
    }
    let sees_triggers = grants.see_triggers(shared.options.get_database().unwrap_or_default());
    Ok(MysqlConnection::new(link, Arc::clone(shared), session, types, sees_triggers))
}

fn is_mariadb(version: &str) -> bool {
    version.contains("MariaDB")
}

/// Without the settings that sqlx would send in a message of its own.
pub(super) fn plain(options: &MySqlConnectOptions) -> MySqlConnectOptions {
    options.clone().pipes_as_concat(false).no_engine_substitution(false).timezone(None).set_names(false)
}

/// Strict, so that the server refuses what it would cut or bend; in UTC, so that a TIMESTAMP is an instant.
fn settings_sql(settings: &Settings, mariadb: bool) -> String {
    let Settings { access, statement_timeout, idle_in_transaction_timeout, .. } = settings;
    let seconds = |duration: std::time::Duration| duration.as_millis().div_ceil(1000).max(1);
    let statement_millis = statement_timeout.as_millis().max(1);
    let backstops = if mariadb {
        let (whole, fraction) = (statement_millis / 1000, statement_millis % 1000);
        format!(
            "max_statement_time = {whole}.{fraction:03}, idle_transaction_timeout = {}",
            seconds(*idle_in_transaction_timeout)
        )
    } else {
        // SELECT only, and nothing ends an idle transaction.
        format!("max_execution_time = {statement_millis}")
    };
    let lock = seconds(*statement_timeout);
    let read_only = match access {
        Access::ReadOnly => "; SET SESSION TRANSACTION READ ONLY",
        Access::ReadWrite => "",
    };
    format!(
        "SET NAMES utf8mb4, time_zone = '+00:00', autocommit = 1, completion_type = 0, \
         sql_mode = CONCAT_WS(',', @@sql_mode, 'STRICT_ALL_TABLES', 'NO_ENGINE_SUBSTITUTION'), \
         innodb_lock_wait_timeout = {lock}, lock_wait_timeout = {lock}, {backstops}{read_only}"
    )
}

fn text(row: &MySqlRow, column: usize) -> Option<String> {
    let bytes = <&[u8] as Decode<MySql>>::decode(row.try_get_raw(column).ok()?).ok()?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// Who the session is, by its own words; and the server's version.
async fn identity(link: &mut MySqlConnection) -> Result<(Session, ParameterTypes, String), Failure> {
    let unknown = || Failure::new(FailureKind::Disconnected, "the server does not tell who the session is").lost();
    let mut rows = sqlx::raw_sql(IDENTITY).fetch(link);
    let row = rows.try_next().await.map_err(error::failure)?.ok_or_else(unknown)?;
    let id = text(&row, 1).and_then(|id| id.parse().ok()).ok_or_else(unknown)?;
    let named = |column: usize, name: &str| {
        let info = row.columns().get(column)?.type_info();
        (info.name() == name).then(|| info.clone())
    };
    let types = named(2, "DATE").zip(named(3, "DATETIME")).zip(named(4, "DECIMAL"));
    let ((date, datetime), decimal) = types.ok_or_else(unknown)?;
    // A number is used again after a restart of the server.
    let started = client_of(rows, id).await.map_err(error::failure)?.unwrap_or_default().into();
    Ok((Session { id, started }, ParameterTypes { date, datetime, decimal }, text(&row, 0).unwrap_or_default()))
}

/// The address and port of a session's client as the server sees them, if it is among all those that are listed.
async fn client_of(
    mut sessions: impl Stream<Item = Result<MySqlRow, sqlx::Error>> + Unpin,
    id: i64,
) -> Result<Option<String>, sqlx::Error> {
    let mut client = None;
    while let Some(row) = sessions.try_next().await? {
        if text(&row, 0).and_then(|number| number.parse().ok()) == Some(id) {
            client = Some(text(&row, 2).unwrap_or_default());
        }
    }
    Ok(client)
}

/// Whether the server lists the session that was read at connect.
pub(super) async fn lists(link: &mut MySqlConnection, session: &Session) -> Result<bool, Failure> {
    let client = client_of(sqlx::raw_sql(SESSIONS).fetch(link), session.id).await.map_err(error::failure)?;
    // A server that does not tell addresses tells sessions apart by their numbers alone.
    Ok(client.is_some_and(|client| session.started.is_empty() || *session.started == *client))
}

/// Opens a session for the control path, which must see the sessions of others when its user is another; and who it is itself.
pub(super) async fn open_control(shared: &Shared) -> Result<(MySqlConnection, Session), Failure> {
    let options = shared.control.as_ref().unwrap_or(&shared.options);
    // Everybody may use this one: a user who ends sessions has no business in the database of the guests.
    let options = options.clone().database("information_schema");
    let mut link = plain(&options).connect().await.map_err(error::connect_failure)?;
    host::run(&mut link, "SET NAMES utf8mb4").await.map_err(error::failure)?;
    let (session, _, version) = identity(&mut link).await?;
    if options.get_username() != shared.options.get_username() {
        role::read(&mut link, is_mariadb(&version)).await?.require_process()?;
    }
    Ok((link, session))
}
