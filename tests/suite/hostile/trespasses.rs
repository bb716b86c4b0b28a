//! A handler that tries to write through a grant to read, and to reach what it was not granted.

use sqlx::{ConnectOptions, Connection};

use super::{
    bed::{Database, Engine, on},
    on_every_engine,
};

/// What a database may answer without an error, because it does nothing; that it does nothing is seen in the database.
const HARMLESS: &[&str] = &[
    "SET default_transaction_read_only = off",
    "SET TRANSACTION READ WRITE",
    "RESET ROLE",
    "SET SESSION AUTHORIZATION DEFAULT",
    // Warns that it skips a table of somebody else.
    "VACUUM notes",
    // A temporary table is the session's own.
    "CREATE TEMPORARY TABLE trespass (note text)",
    // There is no index to build anew.
    "REINDEX",
    // Answers with the mode that it left as it was.
    "PRAGMA journal_mode = DELETE",
];

on_every_engine! {
    async fn a_grant_to_read_cannot_be_written_through(engine) {
        let mut bed = on(engine).read_only().limits("deadline = \"15s\"").start("trespasses").await;
        let query = match &bed.database {
            Database::Postgres(_) => "?other=other&name=postgres".to_owned(),
            Database::Mariadb(_) => "?other=other&name=mysql".to_owned(),
            Database::Sqlite(_) => format!("?other=other&file={}", bed.host.folder().join("other.db").display()),
        };
        let reply = bed.call(&query).await;
        assert_eq!(reply.status, 200, "{reply:?}\n{}", bed.host.log());
        let json = reply.json();
        assert_eq!(json["reads"]["ok"]["rows"][0][0]["signed"], 3, "{json}");
        let worked = |group: &str| -> Vec<String> {
            let outcomes = json[group].as_object().unwrap().iter();
            outcomes.filter(|(sql, outcome)| outcome["error"].is_null() && !HARMLESS.contains(&sql.as_str())).map(|(sql, _)| sql.clone()).collect()
        };
        let none: Vec<String> = Vec::new();
        assert_eq!(worked("writes"), none, "writes that worked");
        assert_eq!(worked("databases"), none, "databases that opened");
        assert_eq!(worked("reaches"), none, "tries to reach another database that worked");
        for sql in ["INSERT INTO notes (note) VALUES ('trespass')", "COMMIT", "INSERT INTO notes (note) VALUES ('trespass again')"] {
            assert!(json["transaction"][sql]["ok"].is_null(), "{sql}: {json}");
        }
        nothing_was_made(&bed.database, engine).await;
        bed.recovers().await;
        bed.ends_well().await;
    }
}

async fn nothing_was_made(database: &Database, engine: Engine) {
    for path in ["/tmp/trespass", "/tmp/trespass.db"] {
        assert!(!std::path::Path::new(path).exists(), "{path} was made");
    }
    match database {
        Database::Postgres(database) => {
            let made = "SELECT (SELECT count(*) FROM pg_largeobject_metadata) || ' ' || \
                        (SELECT count(*) FROM pg_class WHERE relname LIKE '%trespass%') || ' ' || \
                        (SELECT count(*) FROM pg_proc WHERE proname LIKE '%trespass%') || ' ' || \
                        (SELECT count(*) FROM pg_attribute WHERE attname = 'trespass') || ' ' || \
                        (SELECT last_value FROM notes_id_seq)";
            assert_eq!(database.text(made).await, "0 0 0 0 3", "{engine:?}");
        }
        Database::Mariadb(database) => {
            let mut connection = database.connect().await;
            let made: i64 = sqlx::query_scalar(
                "SELECT (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME LIKE '%trespass%') \
                      + (SELECT COUNT(*) FROM information_schema.COLUMNS WHERE COLUMN_NAME = 'trespass') \
                      + (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_NAME LIKE '%trespass%') \
                      + (SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_NAME LIKE '%trespass%')",
            )
            .fetch_one(&mut connection)
            .await
            .unwrap();
            assert_eq!(made, 0, "{engine:?}");
            connection.close().await.unwrap();
        }
        Database::Sqlite(file) => {
            let mut connection = file.clone().read_only(true).connect().await.unwrap();
            let made: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE sql LIKE '%trespass%'")
                .fetch_one(&mut connection)
                .await
                .unwrap();
            let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await.unwrap();
            let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await.unwrap();
            assert_eq!((made, version, mode.as_str()), (0, 0, "wal"), "{engine:?}");
            connection.close().await.unwrap();
        }
    }
}
