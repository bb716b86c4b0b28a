//! What a statement can leave on MariaDB, how it can be brought about, and what becomes of each.

use super::super::Situation;

/// Something that a statement leaves in its session.
pub(super) struct Residue {
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
    /// The same within stored code; empty where it is no other.
    pub(super) body: &'static str,
    /// Shows it, and something else in a fresh session.
    pub(super) probe: &'static str,
}

const fn leaves(name: &'static str, sql: &'static str, probe: &'static str) -> Residue {
    Residue { name, sql, body: "", probe }
}

const LOCK: &str = "SELECT IS_USED_LOCK('wharf_<name>') = CONNECTION_ID()";
const CHARACTERS: &str = "SELECT CONCAT_WS(' ', @@character_set_client, @@character_set_results, @@collation_connection)";

pub(super) const RESIDUES: &[Residue] = &[
    leaves("sql_mode", "SET sql_mode = ''", "SELECT @@sql_mode"),
    leaves("time_zone", "SET time_zone = '+05:00'", "SELECT @@time_zone"),
    leaves("isolation", "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SELECT @@tx_isolation"),
    leaves("isolation_setting", "SET tx_isolation = 'READ-UNCOMMITTED'", "SELECT @@tx_isolation"),
    leaves("read_only", "SET SESSION TRANSACTION READ ONLY", "SELECT @@tx_read_only"),
    leaves("characters", "SET NAMES latin1", CHARACTERS),
    leaves("results", "SET character_set_results = latin1", CHARACTERS),
    leaves("collation", "SET collation_connection = utf8mb4_bin", CHARACTERS),
    leaves("statement_time", "SET max_statement_time = 0", "SELECT @@max_statement_time"),
    leaves("idle_time", "SET idle_transaction_timeout = 0", "SELECT @@idle_transaction_timeout"),
    leaves("lock_time", "SET lock_wait_timeout = 1", "SELECT @@lock_wait_timeout"),
    leaves("row_lock_time", "SET innodb_lock_wait_timeout = 1", "SELECT @@innodb_lock_wait_timeout"),
    leaves("wait_timeout", "SET wait_timeout = 7", "SELECT @@wait_timeout"),
    leaves("safe_updates", "SET sql_safe_updates = 1", "SELECT @@sql_safe_updates"),
    leaves("foreign_keys", "SET foreign_key_checks = 0", "SELECT @@foreign_key_checks"),
    leaves("unique_checks", "SET unique_checks = 0", "SELECT @@unique_checks"),
    leaves("select_limit", "SET sql_select_limit = 1", "SELECT @@sql_select_limit"),
    leaves("engine", "SET default_storage_engine = MyISAM", "SELECT @@default_storage_engine"),
    leaves("clock", "SET timestamp = 1", "SELECT NOW() < '2000-01-01'"),
    leaves("completion", "SET completion_type = 1", "SELECT @@completion_type"),
    leaves("autocommit", "SET autocommit = 0", "SELECT @@autocommit"),
    leaves("several", "SET @left_over = 1, sql_safe_updates = 1", "SELECT @left_over + @@sql_safe_updates"),
    leaves("role", "SET ROLE MEMBER", "SELECT CURRENT_ROLE()"),
    leaves("database", "USE information_schema", "SELECT DATABASE() = 'information_schema'"),
    leaves("variable", "SET @left_over = 'x'", "SELECT @left_over"),
    Residue { name: "assigned", sql: "SELECT @left_over := 7", body: "SELECT 7 INTO @left_over", probe: "SELECT @left_over" },
    leaves("selected_into", "SELECT 7 INTO @left_over", "SELECT @left_over"),
    leaves("temporary_table", "CREATE TEMPORARY TABLE left_over (a INT)", "SELECT COUNT(*) FROM left_over"),
    leaves("temporary_copy", "CREATE TEMPORARY TABLE numbers SELECT 77 AS n", "SELECT SUM(n) FROM numbers"),
    leaves("temporary_sequence", "CREATE TEMPORARY SEQUENCE left_over", "SELECT COUNT(*) FROM left_over"),
    Residue { name: "lock", sql: "SELECT GET_LOCK('wharf_<name>', 0)", body: "DO GET_LOCK('wharf_<name>', 0)", probe: LOCK },
    leaves("lock_done", "DO GET_LOCK('wharf_<name>', 0)", LOCK),
    leaves("table_locks", "LOCK TABLES numbers READ", "SELECT COUNT(*) FROM keyed WHERE id < 0"),
    leaves("handler", "HANDLER numbers OPEN AS left_over", "CALL reads_handler()"),
    leaves("prepared", "PREPARE left_over FROM 'SELECT 1'", "CALL executes()"),
    Residue {
        name: "sequence",
        sql: "SELECT NEXTVAL(counting)",
        body: "DO NEXTVAL(counting)",
        probe: "SELECT LASTVAL(counting)",
    },
    Residue {
        name: "sequence_by_standard",
        sql: "SELECT NEXT VALUE FOR counting",
        body: "DO (NEXT VALUE FOR counting)",
        probe: "SELECT PREVIOUS VALUE FOR counting",
    },
    leaves("key_to_be", "SET insert_id = 500", "SELECT @@insert_id"),
    leaves("last_key_set", "SET last_insert_id = 77", "SELECT LAST_INSERT_ID()"),
    Residue {
        name: "last_key_given",
        sql: "SELECT LAST_INSERT_ID(77)",
        body: "DO LAST_INSERT_ID(77)",
        probe: "SELECT LAST_INSERT_ID()",
    },
    leaves("last_key", "INSERT INTO keyed () VALUES ()", "SELECT LAST_INSERT_ID() > 0"),
    leaves("transaction", "START TRANSACTION", "SELECT @@in_transaction"),
    leaves("read_only_transaction", "START TRANSACTION READ ONLY", "SELECT @@in_transaction"),
    leaves("distributed", "XA START 'left_over'", "SELECT @@in_transaction"),
    Residue {
        name: "rows",
        sql: "SELECT n FROM numbers",
        body: "SELECT COUNT(*) INTO @counted FROM numbers",
        probe: "SELECT FOUND_ROWS()",
    },
    Residue {
        name: "rows_without_limit",
        sql: "SELECT SQL_CALC_FOUND_ROWS n FROM numbers LIMIT 1",
        body: "SELECT SQL_CALC_FOUND_ROWS n INTO @counted FROM numbers LIMIT 1",
        probe: "SELECT FOUND_ROWS()",
    },
    leaves("count", "UPDATE numbers SET n = n + 1", "SELECT ROW_COUNT()"),
    Residue {
        name: "warnings",
        sql: "SELECT CAST('a secret' AS INT)",
        body: "DO CAST('a secret' AS INT)",
        probe: "SHOW WARNINGS",
    },
    Residue {
        name: "warning_count",
        sql: "SELECT CAST('a secret' AS INT)",
        body: "DO CAST('a secret' AS INT)",
        probe: "SELECT @@warning_count",
    },
];

/// What runs the residue's statement, `<sql>`, or its form in stored code, `<body>`. The second text calls it, the first makes it.
pub(super) const VEHICLES: &[(&str, &str, &str)] = &[
    ("plain", "", "<sql>"),
    ("compound", "", "IF 1 THEN <body>; END IF"),
    ("with_setting", "", "SET STATEMENT max_statement_time = 60 FOR <sql>"),
    ("procedure", "CREATE PROCEDURE call_<name>() BEGIN <body>; END", "CALL call_<name>()"),
    ("dynamic", "CREATE PROCEDURE dynamic_<name>() BEGIN EXECUTE IMMEDIATE <quoted>; END", "CALL dynamic_<name>()"),
    ("function", "CREATE FUNCTION leave_<name>() RETURNS INT BEGIN <body>; RETURN 1; END", "SELECT leave_<name>()"),
    (
        "trigger",
        "CREATE TABLE hooked_<name> (id INT); CREATE TRIGGER hook_<name> BEFORE INSERT ON hooked_<name> FOR EACH ROW BEGIN <body>; END",
        "INSERT INTO hooked_<name> VALUES (1)",
    ),
    ("view", "CREATE VIEW view_<name> AS SELECT leave_<name>() AS leaves", "SELECT * FROM view_<name>"),
];

/// What became of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// It ran.
    Ran,
    /// The server does not let it be made, by its number.
    Unmade(u16),
    /// The host sent nothing.
    Refused,
    /// It ran, and the host gave the connection up at once for what it did.
    GivenUp,
    /// The server refused it, by its number.
    Failed(u16),
    /// It ended the transaction, which does not commit any more.
    Aborted,
}

/// When something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    Alone,
    InTransaction,
}

/// What is made by the names, and told apart from what calls it.
const DIRECT: &[&str] = &["plain", "with_setting"];
const CODE: &[&str] = &["compound", "procedure", "dynamic"];
const FUNCTIONS: &[&str] = &["function", "trigger"];

/// What does not run: these residues, by these vehicles, then.
const OTHERWISE: &[(&[&str], &[&str], When, Came)] = &[
    // How transactions begin and end is the host's to set, and is looked after where a text does not show it.
    (&["autocommit", "completion"], DIRECT, When::Always, Came::Refused),
    (&["autocommit"], CODE, When::Alone, Came::GivenUp),
    (&["transaction", "read_only_transaction", "distributed"], &["plain"], When::Always, Came::Refused),
    (&["transaction", "read_only_transaction", "distributed"], &["with_setting"], When::Alone, Came::GivenUp),
    (&["transaction", "read_only_transaction", "distributed"], CODE, When::Alone, Came::GivenUp),
    // They end the transaction before they begin their own.
    (&["transaction", "read_only_transaction"], &["with_setting"], When::InTransaction, Came::Aborted),
    (&["transaction", "read_only_transaction"], CODE, When::InTransaction, Came::Aborted),
    // It commits.
    (&["table_locks"], &["plain"], When::InTransaction, Came::Refused),
    (&["table_locks"], &["with_setting", "dynamic"], When::InTransaction, Came::Aborted),
    (&["temporary_sequence"], DIRECT, When::InTransaction, Came::Aborted),
    (&["temporary_sequence"], CODE, When::InTransaction, Came::Aborted),
    // What the server itself does not let run: in a transaction, …
    (&["distributed"], &["with_setting"], When::InTransaction, Came::Failed(1400)),
    (&["distributed"], CODE, When::InTransaction, Came::Failed(1400)),
    // … in functions and triggers, …
    (&["autocommit"], FUNCTIONS, When::Always, Came::Unmade(1445)),
    (&["transaction", "read_only_transaction"], FUNCTIONS, When::Always, Came::Unmade(1422)),
    (&["temporary_sequence"], &["function", "trigger", "view"], When::Always, Came::Failed(1422)),
    (&["distributed"], &["function", "trigger", "view"], When::Always, Came::Failed(1400)),
    (&["prepared"], FUNCTIONS, When::Always, Came::Unmade(1336)),
    // … in any stored code, …
    (&["database", "handler", "table_locks"], &["compound"], When::Always, Came::Failed(1314)),
    (&["database", "handler", "table_locks"], &["procedure", "function", "trigger"], When::Always, Came::Unmade(1314)),
    // … as a prepared statement, which is all that there is, …
    (&["prepared"], &["plain", "with_setting", "dynamic"], When::Always, Came::Failed(1295)),
    // … and a view of a function that could not be made.
    (
        &["autocommit", "transaction", "read_only_transaction", "prepared", "database", "handler", "table_locks"],
        &["view"],
        When::Always,
        Came::Unmade(1305),
    ),
];

/// Not tried: it ends the server (MariaDB 10.11.19 crashes when a trigger sets `tx_read_only`).
pub(super) const DEADLY: (&str, &str) = ("read_only", "trigger");

/// What costs no connection when it is sent as it is.
pub(super) const KEPT: &[&str] =
    &["last_key", "last_key_given", "rows", "rows_without_limit", "count", "warnings", "warning_count"];

/// What even its own borrower does not see, by these vehicles.
pub(super) const HIDDEN: &[(&[&str], &[&str])] = &[
    // The server puts these back at the end of stored code, …
    (&["sql_mode"], &["compound", "procedure", "dynamic", "function", "trigger", "view"]),
    (&["collation"], &["procedure", "dynamic", "function", "trigger", "view"]),
    (&["select_limit"], &["compound", "procedure", "dynamic"]),
    (&["safe_updates", "foreign_keys", "unique_checks"], &["function", "trigger", "view"]),
    (&["last_key", "last_key_given", "last_key_set"], &["function", "trigger", "view"]),
    (&["role"], &["view"]),
    // … this at the end of its statement, …
    (&["statement_time"], &["with_setting"]),
    // … does not do this when it is prepared, …
    (&["database"], &["plain"]),
    // … and tells these of the statement around it.
    (&["rows", "count"], &["compound", "with_setting", "procedure", "dynamic", "function", "trigger", "view"]),
    (&["rows_without_limit", "warnings", "warning_count"], &["function", "trigger", "view"]),
];

pub(super) fn expected(residue: &str, vehicle: &str, situation: Situation) -> Came {
    let holds = |when: When| match when {
        When::Always => true,
        When::Alone => situation == Situation::Alone,
        When::InTransaction => situation != Situation::Alone,
    };
    let mut those = OTHERWISE
        .iter()
        .filter(|(residues, vehicles, when, _)| residues.contains(&residue) && vehicles.contains(&vehicle) && holds(*when));
    let came = those.next().map_or(Came::Ran, |(_, _, _, came)| *came);
    assert_eq!(those.next(), None, "{residue} by {vehicle} is told twice");
    came
}

/// Every situation; once more where the text is known by then, and where nobody has looked.
pub(super) const TIMES: &[(Situation, bool, &str)] = &[
    (Situation::Alone, true, "first time"),
    (Situation::Alone, true, "second time"),
    (Situation::Alone, false, "unseen"),
    (Situation::Committed, true, "first time"),
    (Situation::Committed, false, "unseen"),
    (Situation::Dropped, false, "unseen"),
];

/// How many rows a residue has by a vehicle.
pub(super) fn rows(residue: &str, vehicle: &str) -> usize {
    match expected(residue, vehicle, Situation::Alone) {
        _ if (residue, vehicle) == DEADLY => 0,
        // That it cannot be made is one.
        Came::Unmade(_) => 1,
        _ => TIMES.len(),
    }
}
