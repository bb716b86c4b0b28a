//! Tries to write through a grant to read, and to reach a database that was not granted; reports what each try came to.

use guests::{
    json,
    plain::{Answer, Connection, Database, Engine, Request, TransactionOptions},
};
use serde_json::{Map, Value as Json, json};

guests::handler!(answer);

/// Each in a leased connection, one after the other.
const POSTGRES: &[&str] = &[
    "INSERT INTO notes (note) VALUES ('trespass')",
    "UPDATE notes SET note = 'trespass'",
    "DELETE FROM notes",
    "TRUNCATE notes",
    "WITH gone AS (DELETE FROM notes RETURNING note) SELECT * FROM gone",
    "CREATE TABLE trespass (note text)",
    "CREATE TEMPORARY TABLE trespass (note text)",
    "SELECT note INTO trespass FROM notes",
    "DROP TABLE notes",
    "ALTER TABLE notes ADD COLUMN trespass text",
    "CREATE FUNCTION trespass() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA trespass",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'trespass')",
    "SELECT nextval('notes_id_seq')",
    "SELECT setval('notes_id_seq', 1000)",
    "SELECT * FROM notes FOR UPDATE",
    "LOCK TABLE notes IN ACCESS EXCLUSIVE MODE",
    "SET default_transaction_read_only = off",
    "SET TRANSACTION READ WRITE",
    "RESET ROLE",
    "SET SESSION AUTHORIZATION DEFAULT",
    "SET ROLE postgres",
    "GRANT ALL ON notes TO PUBLIC",
    "COPY notes TO '/tmp/trespass'",
    "COPY notes FROM PROGRAM 'true'",
    "COPY notes (note) FROM STDIN",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('.')",
    "DO $$ BEGIN INSERT INTO notes (note) VALUES ('trespass'); END $$",
    "DO $$ BEGIN COMMIT; INSERT INTO notes (note) VALUES ('trespass'); END $$",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "CREATE EXTENSION dblink",
    "SELECT pg_reload_conf()",
    "VACUUM notes",
];

const MYSQL: &[&str] = &[
    "INSERT INTO notes (note) VALUES ('trespass')",
    "REPLACE INTO notes (note) VALUES ('trespass')",
    "UPDATE notes SET note = 'trespass'",
    "DELETE FROM notes",
    "DELETE FROM notes RETURNING note",
    "TRUNCATE notes",
    "CREATE TABLE trespass (note text)",
    "CREATE TEMPORARY TABLE trespass (note text)",
    "CREATE VIEW trespass AS SELECT 1",
    "CREATE FUNCTION trespass() RETURNS INT RETURN 1",
    "CREATE PROCEDURE trespass() DELETE FROM notes",
    "CREATE TRIGGER trespass BEFORE INSERT ON notes FOR EACH ROW SET @a = 1",
    "CREATE EVENT trespass ON SCHEDULE EVERY 1 SECOND DO DELETE FROM notes",
    "CREATE DATABASE trespass",
    "DROP TABLE notes",
    "ALTER TABLE notes ADD COLUMN trespass text",
    "CREATE INDEX trespass ON notes (note(5))",
    "LOCK TABLES notes WRITE",
    "SELECT * FROM notes INTO OUTFILE '/tmp/trespass'",
    "SELECT 'trespass' INTO DUMPFILE '/tmp/trespass'",
    "LOAD DATA INFILE '/etc/passwd' INTO TABLE notes",
    "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE notes",
    "SET SESSION TRANSACTION READ WRITE",
    "SET @@tx_read_only = 0",
    "SET GLOBAL read_only = 0",
    "SET PASSWORD = PASSWORD('trespass')",
    "ALTER USER CURRENT_USER() IDENTIFIED BY 'trespass'",
    "GRANT ALL ON *.* TO CURRENT_USER()",
    "BEGIN NOT ATOMIC INSERT INTO notes (note) VALUES ('trespass'); END",
    "IF 1 THEN INSERT INTO notes (note) VALUES ('trespass'); END IF",
    "EXECUTE IMMEDIATE 'DELETE FROM notes'",
    "/*! DELETE FROM notes */",
    "SET STATEMENT tx_read_only = 0 FOR DELETE FROM notes",
    "FLUSH TABLES",
    "SHUTDOWN",
    "INSTALL SONAME 'trespass'",
];

const SQLITE: &[&str] = &[
    "INSERT INTO notes (note) VALUES ('trespass')",
    "REPLACE INTO notes (note) VALUES ('trespass')",
    "UPDATE notes SET note = 'trespass'",
    "DELETE FROM notes",
    "DELETE FROM notes RETURNING note",
    "CREATE TABLE trespass (note text)",
    "CREATE TABLE trespass AS SELECT * FROM notes",
    "CREATE TEMPORARY TABLE trespass (note text)",
    "CREATE VIEW trespass AS SELECT 1",
    "DROP TABLE notes",
    "ALTER TABLE notes ADD COLUMN trespass text",
    "CREATE INDEX trespass ON notes (note)",
    "PRAGMA query_only = 0",
    "PRAGMA writable_schema = 1",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA user_version = 1",
    "PRAGMA schema_version = 1",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "SELECT * FROM pragma_wal_checkpoint",
    "VACUUM",
    "VACUUM INTO 'trespass.db'",
    "VACUUM INTO '/tmp/trespass.db'",
    "ATTACH ':memory:' AS trespass",
    "ATTACH '/tmp/trespass.db' AS trespass",
    "DETACH main",
    "SELECT load_extension('trespass')",
    "SELECT writefile('trespass', 'x')",
    "REINDEX",
    "ANALYZE",
    "CREATE VIRTUAL TABLE trespass USING fts5(note)",
    "CREATE TRIGGER trespass AFTER INSERT ON notes BEGIN SELECT 1; END",
];

/// `?other=` names a database that exists and is not granted; `?file=` (SQLite) its file, `?name=` (PostgreSQL) its name there.
///
/// `{"reads": outcome, "writes": {statement: outcome}, "transaction": {statement: outcome}, "databases": {name: outcome},
/// "reaches": {statement: outcome}}`
fn answer(request: Request) -> Answer {
    let database = request.database();
    let writes = match database.engine() {
        Engine::Postgres => POSTGRES,
        Engine::Mysql => MYSQL,
        Engine::Sqlite => SQLITE,
    };
    let reads = json::outcome(database.query("SELECT count(*) FROM notes", &[]), json::rows_to_json);
    let mut tried = Map::new();
    for sql in writes {
        // A connection of its own each: one that is broken by a try must not hide the next.
        let outcome = database.connect().and_then(|connection| connection.query(sql, &[]));
        tried.insert((*sql).to_owned(), json::outcome(outcome, json::rows_to_json));
    }
    let other = request.parameter("other").unwrap_or_else(|| "other".to_owned());
    let opened: Map<_, _> = [other.as_str(), "", "Main", "main ", "../main", "postgres", "template1"]
        .iter()
        .map(|name| ((*name).to_owned(), json::outcome(Database::open(name), |_| Json::Null)))
        .collect();
    let reaching = database.connect().map(|connection| reach(&request, &connection)).unwrap_or_default();
    Answer::json(&json!({
        "reads": reads,
        "writes": tried,
        "transaction": in_transaction(&database),
        "databases": opened,
        "reaches": reaching,
    }))
}

/// In a transaction that the handler asked to be writable, each try undone before the next.
fn in_transaction(database: &Database) -> Json {
    let options = TransactionOptions { isolation: None, read_only: false };
    let transaction = match database.begin(options) {
        Ok(transaction) => transaction,
        Err(error) => return json!({ "begin": { "error": json::error_to_json(&error) } }),
    };
    let tries = [
        "INSERT INTO notes (note) VALUES ('trespass')",
        "SET TRANSACTION READ WRITE",
        "COMMIT",
        "INSERT INTO notes (note) VALUES ('trespass again')",
    ];
    let mut outcomes = Map::new();
    for sql in tries {
        let _ = transaction.savepoint("before");
        outcomes.insert(sql.to_owned(), json::outcome(transaction.query(sql, &[]), json::rows_to_json));
        let _ = transaction.rollback_to("before");
    }
    outcomes.insert("commit".to_owned(), json::outcome(transaction.commit(), |()| Json::Null));
    outcomes.into()
}

/// The other database, out of a session of this one.
fn reach(request: &Request, connection: &Connection) -> Map<String, Json> {
    let file = request.parameter("file").unwrap_or_default();
    let name = request.parameter("name").unwrap_or_default();
    let tries = [
        format!("ATTACH '{file}' AS elsewhere"),
        format!("ATTACH 'file:{file}?mode=ro' AS elsewhere"),
        format!("SELECT readfile('{file}')"),
        format!("SELECT * FROM {name}.public.notes"),
        format!("SELECT dblink_connect('dbname={name}')"),
        format!("USE {name}"),
        format!("\\c {name}"),
    ];
    let outcome = |sql: &str| json::outcome(connection.query(sql, &[]), json::rows_to_json);
    tries.into_iter().map(|sql| (sql.clone(), outcome(&sql))).collect()
}
