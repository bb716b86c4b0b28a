//! Whatever the classifier calls harmless is harmless: random statements, run on a session whose facts must stay as they were.

use proptest::prelude::*;
use sqlx::{Connection as _, MySqlConnection};

use super::*;
use crate::driver::{
    mysql::{
        connect,
        connection::MysqlConnection,
        host,
        residue::Residue,
        text::{Class, check, classify},
        vocabulary::{FUNCTIONS, SYNTAX},
    },
    settings::Access,
    tests::{Outcome, Watched, all_are_harmless},
};

/// `leave` leaves something of every kind; the rest calls it in every way that a statement may not see.
const SCHEMA: &[&str] = &[
    "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(200))",
    "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
    "CREATE SEQUENCE s",
    "CREATE FUNCTION leave_it() RETURNS VARCHAR(200) BEGIN \
       SET @left_over = 'left'; SET lock_wait_timeout = 7; DO GET_LOCK(CONCAT(DATABASE(), '.left'), 0); DO NEXTVAL(s); RETURN 'left'; END",
    "CREATE PROCEDURE leaves() DO leave_it()",
    "CREATE VIEW v AS SELECT 1 AS id, leave_it() AS name",
    "CREATE VIEW plain_view AS SELECT id, name FROM t",
    "CREATE TABLE plain (id INT, name VARCHAR(200))",
    "INSERT INTO plain VALUES (1, 'a')",
    "CREATE TABLE numbered (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(200) CHECK (LENGTH(name) < 1000))",
    "CREATE TABLE sequenced (name VARCHAR(200), id INT DEFAULT (NEXTVAL(s)))",
    "CREATE TABLE computed (name VARCHAR(200), id INT AS (LENGTH(name)) VIRTUAL)",
    "CREATE TABLE defaulted (name VARCHAR(200), id VARCHAR(200) DEFAULT (UPPER(UUID())))",
    "CREATE TABLE hooked (id INT, name VARCHAR(200))",
    "CREATE TRIGGER hook_i BEFORE INSERT ON hooked FOR EACH ROW SET NEW.id = LENGTH(leave_it())",
    "CREATE TRIGGER hook_u BEFORE UPDATE ON hooked FOR EACH ROW DO leave_it()",
    "CREATE TRIGGER hook_d BEFORE DELETE ON hooked FOR EACH ROW DO leave_it()",
    "CREATE TABLE parent (id INT PRIMARY KEY, name VARCHAR(200))",
    "CREATE TABLE child (id INT, name VARCHAR(200), FOREIGN KEY (id) REFERENCES parent (id) ON DELETE CASCADE)",
    "CREATE TABLE versioned (id INT, name VARCHAR(200)) WITH SYSTEM VERSIONING",
    // Names of built-in functions, of which the server takes its own.
    "CREATE FUNCTION lower_it(x VARCHAR(200)) RETURNS VARCHAR(200) RETURN leave_it()",
    "CREATE FUNCTION `upper`(x INT) RETURNS VARCHAR(200) RETURN leave_it()",
    "CREATE FUNCTION `date`(x INT) RETURNS VARCHAR(200) RETURN leave_it()",
    "CREATE FUNCTION `row_number`() RETURNS VARCHAR(200) RETURN leave_it()",
    "CREATE FUNCTION `values_of`(x INT) RETURNS VARCHAR(200) RETURN leave_it()",
    "CREATE AGGREGATE FUNCTION gathers(x VARCHAR(200)) RETURNS VARCHAR(200) BEGIN \
       DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN leave_it(); LOOP FETCH GROUP NEXT ROW; END LOOP; END",
];

/// A line each: every setting of the session but what tells of the last statement or of the time; role, database, variables of the user,
/// locks, what the sequence gave, and the state of the transaction.
const FACTS: &str = "SELECT CONCAT_WS(CHAR(10), \
    (SELECT GROUP_CONCAT(VARIABLE_NAME, '=', COALESCE(SESSION_VALUE, '') ORDER BY VARIABLE_NAME SEPARATOR '\n') \
       FROM information_schema.SYSTEM_VARIABLES \
      WHERE VARIABLE_SCOPE IN ('SESSION', 'SESSION ONLY') \
        AND VARIABLE_NAME NOT IN ('TIMESTAMP', 'WARNING_COUNT', 'ERROR_COUNT', 'RAND_SEED1', 'RAND_SEED2', 'LAST_INSERT_ID', 'IDENTITY', \
          'LAST_GTID')), \
    COALESCE(CURRENT_ROLE(), 'nobody'), DATABASE(), CURRENT_USER(), \
    (SELECT COUNT(*) FROM information_schema.USER_VARIABLES), \
    COALESCE(IS_USED_LOCK(CONCAT(DATABASE(), '.left')) = CONNECTION_ID(), 0), COALESCE(LASTVAL(s), 'none'), LAST_INSERT_ID())";

/// Text expressions that may stand where rows of `t` are read; `@` is another one, `&` an at sign.
const EXPRESSIONS: &[&str] = &[
    // Nothing but values.
    "LOWER(@)",
    "lower /* not ( a call */ (@)",
    "COALESCE(@, @)",
    "LEFT(@, 3)",
    "REPLACE(@, 'a', @)",
    "INSERT(@, 1, 1, 'b')",
    "MD5(@)",
    "LENGTH(@)",
    "CONCAT(@, @)",
    "DATE_FORMAT(NOW(), @)",
    "(@)",
    "IF(@ IS NULL, @, @)",
    "IFNULL(@, @)",
    "CASE WHEN @ IS NULL THEN @ ELSE @ END",
    "CASE WHEN @ LIKE 'a%' THEN @ END",
    "(@ = @)",
    "(@ IN (@, @))",
    "(@ BETWEEN @ AND @)",
    "CAST(@ AS CHAR)",
    "CAST(@ AS INT)",
    "CONVERT(@ USING utf8mb4)",
    "_utf8mb4 'a' COLLATE utf8mb4_bin",
    "(SELECT MAX(@) FROM t)",
    "(SELECT GROUP_CONCAT(@) FROM t)",
    "EXISTS (SELECT @ FROM t)",
    "(SELECT x.name FROM t x WHERE x.name = @ LIMIT 1)",
    "JSON_EXTRACT(JSON_OBJECT('a', @), '$.a')",
    "REGEXP_REPLACE(@, 'a', 'b')",
    "@ -- GET_LOCK('a', 0)\n",
    "@ # leave_it()\n",
    "/* leave_it() */ @",
    "&&sql_mode",
    "&&session.sql_mode",
    "&&global.max_connections",
    "'leave_it()'",
    "UUID()",
    "RAND()",
    "RAND(LENGTH(@))",
    "DEFAULT(t.name)",
    "X'61'",
    "0x61",
    "N'a'",
    "DATE '2026-01-01'",
    "INTERVAL(1, 2)",
    "DATE_ADD('2026-01-01', INTERVAL 1 DAY)",
    "EXTRACT(YEAR FROM '2026-01-01')",
    "CHAR(97)",
    // What is told of the statement before, and keys.
    "LAST_INSERT_ID()",
    "LAST_INSERT_ID(LENGTH(@) + 1)",
    "FOUND_ROWS()",
    "ROW_COUNT()",
    // Residue, as plainly as can be and less so.
    "&left_over",
    "(&left_over := @)",
    "(&`left_over` := @)",
    "(&'left_over' := @)",
    "( & left_over := @)",
    "GET_LOCK(CONCAT(DATABASE(), '.left'), 0)",
    "get_lock /**/ (CONCAT(DATABASE(), '.left'), 0)",
    "`get_lock`(CONCAT(DATABASE(), '.left'), 0)",
    "RELEASE_ALL_LOCKS()",
    "NEXTVAL(s)",
    "(NEXT VALUE FOR s)",
    "SETVAL(s, 1000)",
    "LASTVAL(s)",
    "leave_it()",
    "`leave_it`()",
    "leave_it/**/()",
    "LEAVE_IT ( )",
    "leave_it\n()",
    "gathers(@)",
    "lower_it(@)",
    "upper(1)",
    "`upper`(1)",
    "date(1)",
    "`date`(1)",
    "`row_number`()",
    "values_of(1)",
    "(SELECT MAX(name) FROM v)",
    "(SELECT MAX(name) FROM plain_view)",
    "(SELECT MAX(name) FROM hooked)",
    "(SELECT MAX(name) FROM child)",
    // Texts that need more than their quotes to be read.
    "'it''s'",
    "'a\\' , leave_it(), '",
    "'\\\\'",
    "\"leave_it()\"",
    "\"a\"",
    "/*! leave_it() */",
    "/*!50000 leave_it() */",
    "/*M! leave_it() */",
    "/*!99999 nothing */ @",
    "1 /*! + LENGTH(leave_it()) */",
    "/*+ NO_ICP(t) */ @",
    "1--LENGTH(leave_it())",
    "1 -- leave_it()\n",
    "/* /* */ leave_it()",
];

const LEAVES: &[&str] =
    &["name", "id", "t.name", "'a'", "NULL", "t.id", "`name`", "`t`.`name`", "CURRENT_USER", "1", "1.5e1", "TRUE"];

/// `@` is an expression, `#` a relation, `&` an at sign.
const STATEMENTS: &[&str] = &[
    "SELECT @ FROM t",
    "select @ as `as`, @ from t where @ = @ order by 1 limit 5",
    "SELECT @ FROM t GROUP BY id, name HAVING COUNT(*) > 0",
    "SELECT DISTINCT @ FROM t",
    "SELECT SQL_CALC_FOUND_ROWS @ FROM t LIMIT 1",
    "(SELECT @ FROM t);",
    "SELECT @ FROM t UNION ALL SELECT @ FROM t",
    "SELECT @ FROM t EXCEPT SELECT @ FROM t",
    "SELECT @ FROM t FOR UPDATE",
    "SELECT @ FROM t LOCK IN SHARE MODE",
    "SELECT ROW_NUMBER() OVER (ORDER BY @) FROM t",
    "SELECT SUM(id) OVER (PARTITION BY @ ORDER BY id) FROM t",
    "SELECT x.y FROM (SELECT @ AS y FROM t) x",
    "WITH w AS (SELECT @ AS c FROM t) SELECT c FROM w",
    "WITH RECURSIVE w(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM w WHERE n < 3) SELECT n, @ FROM w, t",
    "VALUES (1, 'a'), (2, 'b')",
    "INSERT INTO # (name) SELECT @ FROM t LIMIT 1",
    "INSERT IGNORE INTO # (name) SELECT @ FROM t LIMIT 1",
    "INSERT INTO # (name) SELECT @ FROM t LIMIT 1 RETURNING name",
    "INSERT INTO # SET name = 'a'",
    "REPLACE INTO # (name) SELECT @ FROM t LIMIT 1",
    "INSERT INTO t (id, name) SELECT 1, @ FROM t LIMIT 1 ON DUPLICATE KEY UPDATE name = VALUES(name)",
    "UPDATE # SET name = (SELECT @ FROM t LIMIT 1)",
    "UPDATE #, t SET t.name = @ WHERE t.id = 1",
    "DELETE FROM # WHERE name = (SELECT @ FROM t LIMIT 1)",
    "DELETE x FROM # x JOIN t ON t.id = x.id WHERE @ = 'zz'",
    "SELECT COUNT(*) FROM #",
    "SELECT x.name FROM # x JOIN t ON t.id = x.id AND @ IS NOT NULL",
    "TABLE #",
    "SELECT @ INTO &left_over FROM t LIMIT 1",
    "SELECT @ INTO OUTFILE '/tmp/wharf_left_over' FROM t",
    "SELECT @ FROM t PROCEDURE ANALYSE()",
    "CREATE TEMPORARY TABLE left_over AS SELECT @ AS c FROM t",
    "EXPLAIN SELECT @ FROM t",
    "ANALYZE SELECT @ FROM t",
    "SHOW TABLES",
    "SHOW VARIABLES LIKE 'sql_mode'",
    "SHOW CREATE TABLE #",
    "SHOW WARNINGS",
    "SET &left_over = 'left'",
    "DO @",
    "CALL leaves()",
    "IF 1 THEN DO leave_it(); END IF",
    "HANDLER t OPEN",
    "USE information_schema",
];

const RELATIONS: &[&str] = &[
    "plain",
    "`plain`",
    "PLAIN",
    "numbered",
    "sequenced",
    "computed",
    "defaulted",
    "hooked",
    "parent",
    "child",
    "versioned",
    "v",
    "plain_view",
    "s",
    "information_schema.ENGINES",
];

fn filled(template: &'static str, parts: &[String], relation: &str) -> String {
    let mut parts = parts.iter();
    template
        .chars()
        .map(|char| match char {
            '@' => parts.next().cloned().unwrap_or_else(|| "'a'".to_owned()),
            '#' if !relation.is_empty() => relation.to_owned(),
            other => other.to_string(),
        })
        .collect()
}

fn statements() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(LEAVES).prop_map(str::to_owned);
    let expression = leaf.prop_recursive(3, 12, 3, |inner| {
        let template = prop::sample::select(EXPRESSIONS);
        (template, prop::collection::vec(inner, 3)).prop_map(|(template, parts)| filled(template, &parts, ""))
    });
    (prop::sample::select(STATEMENTS), prop::sample::select(RELATIONS), prop::collection::vec(expression, 4))
        .prop_map(|(template, relation, parts)| filled(template, &parts, relation).replace('&', "@"))
}

/// A session with what it is compared with.
struct Subject {
    fixture: Fixture,
    connection: MysqlConnection,
    fresh: String,
}

impl Subject {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        for sql in SCHEMA {
            fixture.run(sql).await;
        }
        let (connection, fresh) = Self::open(&fixture).await;
        Self { fixture, connection, fresh }
    }

    async fn open(fixture: &Fixture) -> (MysqlConnection, String) {
        let driver = Mysql::new(&fixture.url, Settings::default()).unwrap();
        let mut connection = connect::open(&driver.shared).await.unwrap();
        let fresh = facts(&mut connection).await;
        (connection, fresh)
    }

    async fn renew(&mut self) {
        (self.connection, self.fresh) = Self::open(&self.fixture).await;
    }
}

impl Watched for Subject {
    /// Runs it twice: the first time the catalog is asked, the second time nothing but the verdict is left.
    async fn try_out(&mut self, sql: &str) -> Outcome {
        if check(sql, Access::ReadWrite).is_err() || classify(sql) == Class::Unknown {
            return Outcome::NotHarmless;
        }
        let mut ran = false;
        for _ in 0..2 {
            self.connection.lent();
            ran = query(&mut self.connection, sql, vec![]).await.is_ok();
            // Found out in time, and discarded.
            if self.connection.needs_reset() && self.connection.reset().await.is_err() {
                self.renew().await;
                return Outcome::NotHarmless;
            }
        }
        self.connection.lent();
        let facts = facts(&mut self.connection).await;
        // Nobody hears of the warnings and counts of the statement before.
        self.connection.lent();
        let warnings = query(&mut self.connection, "SHOW WARNINGS", vec![]).await.unwrap().batch.row_count;
        let temporary = temporary(&mut self.connection).await;
        if facts != self.fresh || warnings != 0 || temporary {
            let facts = difference(&self.fresh, &facts);
            let wrong = Outcome::Wrong(format!("{facts:?}, {warnings} warnings, a temporary table: {temporary}"));
            self.renew().await;
            return wrong;
        }
        Outcome::Harmless { ran }
    }
}

/// Asking is nothing that a borrower does, so it leaves no trace in what the driver knows.
async fn facts(connection: &mut MysqlConnection) -> String {
    let Value::Text(facts) = one(connection, FACTS, vec![]).await else { panic!("a text") };
    connection.residue = Residue::default();
    facts
}

/// The lines that are other ones.
fn difference(fresh: &str, now: &str) -> Vec<String> {
    let both = fresh.lines().zip(now.lines());
    both.filter(|(fresh, now)| fresh != now).map(|(fresh, now)| format!("{now}, not {fresh}")).collect()
}

async fn temporary(connection: &mut MysqlConnection) -> bool {
    let is_there = query(connection, "SELECT COUNT(*) FROM left_over", vec![]).await.is_ok();
    connection.residue = Residue::default();
    is_there
}

#[tokio::test]
async fn whatever_is_called_harmless_is() {
    all_are_harmless(statements(), &mut Subject::new().await).await;
}

#[tokio::test]
async fn no_stored_function_is_called_by_a_name_that_counts_as_harmless() {
    let fixture = Fixture::new().await;
    let mut link = MySqlConnection::connect(&fixture.url).await.unwrap();
    for name in FUNCTIONS.iter().chain(SYNTAX).chain(&["last_insert_id", "against"]) {
        for (parameters, arguments) in [("", ""), ("x INT", "0"), ("x INT, y INT", "0, 0")] {
            let create = format!("CREATE FUNCTION `{name}`({parameters}) RETURNS INT BEGIN SET @called = 1; RETURN 1; END");
            host::run(&mut link, format!("DROP FUNCTION IF EXISTS `{name}`; {create}")).await.unwrap();
            for call in [format!("SELECT {name}({arguments})"), format!("SELECT {name} ({arguments})")] {
                if classify(&call) == Class::Unknown {
                    continue;
                }
                // It fails where the built-in function takes other arguments.
                _ = host::run(&mut link, call.as_str()).await;
                let called = host::run(&mut link, "SELECT @called").await.unwrap();
                assert_eq!(host::cell(&called, 0, 0), None, "{call}");
            }
        }
        host::run(&mut link, format!("DROP FUNCTION `{name}`")).await.unwrap();
    }
}
