//! Whatever the classifier calls harmless is harmless: random statements, run on a session whose facts must stay as they were.

use proptest::prelude::*;

use super::*;
use crate::driver::{
    postgres::{connect, connection::PostgresConnection},
    sql::classify::{Class, classify},
    tests::{Outcome, Watched, all_are_harmless},
};

/// `leave` leaves something of every kind; the rest calls it in every way that a statement may not see.
const SCHEMA: &str = r#"
    CREATE TABLE t (id int PRIMARY KEY, name text);
    INSERT INTO t VALUES (1, 'a'), (2, 'b');
    CREATE SEQUENCE s;
    CREATE FUNCTION leave() RETURNS text LANGUAGE plpgsql AS $f$ BEGIN
        PERFORM set_config('my.x', 'left', false), set_config('search_path', 'public, pg_temp', false), pg_advisory_lock(7);
        EXECUTE 'LISTEN left_over';
        RETURN 'left';
    END $f$;
    CREATE VIEW v AS SELECT 1 AS id, leave() AS name;
    CREATE VIEW plain_view AS SELECT id, name FROM t;
    CREATE TABLE plain (id int, name text);
    CREATE TABLE numbered (id bigserial, name text CHECK (length(name) < 1000));
    CREATE TABLE identified (id int GENERATED ALWAYS AS IDENTITY, name text);
    CREATE TABLE computed (name text, id text DEFAULT leave());
    CREATE TABLE checked (id int, name text CHECK (name <> leave()));
    CREATE TABLE hooked (id int, name text);
    CREATE FUNCTION hook() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM leave(); RETURN NEW; END $f$;
    CREATE TRIGGER hook BEFORE INSERT OR UPDATE OR DELETE ON hooked FOR EACH STATEMENT EXECUTE FUNCTION hook();
    CREATE TABLE ruled (id int, name text);
    CREATE RULE r AS ON INSERT TO ruled DO ALSO SELECT leave();
    CREATE TABLE policed (id int, name text);
    ALTER TABLE policed ENABLE ROW LEVEL SECURITY; ALTER TABLE policed FORCE ROW LEVEL SECURITY;
    CREATE POLICY p ON policed USING (leave() IS NOT NULL) WITH CHECK (leave() IS NOT NULL);
    INSERT INTO plain VALUES (1, 'a');
    CREATE FUNCTION indexed(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT public.leave()';
    CREATE TABLE expressed (id int, name text);
    CREATE INDEX ON expressed (indexed(name));
    CREATE DOMAIN d AS text CHECK (leave() IS NOT NULL);
    CREATE TYPE row_of_d AS (x d);
    CREATE TYPE plain_row AS (x text);
    CREATE TYPE plain_enum AS ENUM ('a', 'b');
    CREATE TABLE of_d (id int, name d);
    CREATE TABLE of_enum (id int, name plain_enum); INSERT INTO of_enum VALUES (1, 'a');
    CREATE FUNCTION of_row(t) RETURNS text LANGUAGE sql AS 'SELECT leave()';
    -- Built-in names over other types than the built-in ones take.
    CREATE FUNCTION upper(int) RETURNS text LANGUAGE sql AS 'SELECT leave()';
    CREATE SCHEMA shadow;
    CREATE FUNCTION shadow.reverse(text) RETURNS text LANGUAGE sql AS 'SELECT public.leave()';
    CREATE FUNCTION op(text, int) RETURNS text LANGUAGE sql AS 'SELECT leave()';
    CREATE OPERATOR || (leftarg = text, rightarg = int, function = op);
"#;

/// A procedural language adds its own settings when it is loaded, all at their defaults.
const FACTS: &str = "SELECT concat_ws('|', \
    (SELECT md5(string_agg(name || '=' || setting, ',' ORDER BY name)) FROM pg_settings WHERE name NOT LIKE 'plpgsql.%'), \
    coalesce(current_setting('my.x', true), ''), current_user, session_user, current_setting('role'), \
    (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype NOT IN ('relation', 'virtualxid')), \
    (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND mode NOT IN ('AccessShareLock', 'ExclusiveLock')), \
    (SELECT count(*) FROM pg_prepared_statements WHERE from_sql), \
    (SELECT string_agg(c, ',') FROM pg_listening_channels() c), \
    (SELECT count(*) FROM pg_cursors WHERE is_holdable), \
    (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()))";

/// Text expressions that may stand where rows of `t` are read; `@` is another one.
const EXPRESSIONS: &[&str] = &[
    // Nothing but values.
    "lower(@)",
    "\"lower\"(@)",
    "LOWER /* not ( a call */ (@)",
    "pg_catalog.lower(@)",
    "pg_catalog . \"lower\" (@)",
    "coalesce(@, @)",
    "left(@, 3)",
    "replace(@, 'a', @)",
    "md5(@)",
    "length(@)::text",
    "format('%s', @)",
    "concat(@, @)",
    "to_char(now(), @)",
    "(@)",
    "CASE WHEN @ IS NULL THEN @ ELSE @ END",
    "CASE WHEN @ LIKE 'a%' THEN @ END",
    "(@ = @)::text",
    "(@ IN (@, @))::text",
    "(@ BETWEEN @ AND @)::text",
    "CAST(@ AS text)",
    "(ARRAY[@, @])[1]",
    "(ROW(@)::plain_row).x",
    "(SELECT max(@) FROM t)",
    "(SELECT string_agg(@, ',') FROM t)",
    "EXISTS (SELECT @ FROM t)::text",
    "(SELECT x.name FROM t x WHERE x.name = @ LIMIT 1)",
    "(SELECT (x).name FROM t x LIMIT 1)",
    "@ -- set_config('my.x', 'y', false)\n",
    "/* leave() /* nested */ */ @",
    "(@::text).lower",
    "(@::text).md5",
    "current_setting('search_path')",
    "'leave()'",
    // Sequences.
    "nextval('s')::text",
    "('s'::regclass).nextval::text",
    "setval('s', length(@) + 1)::text",
    // Residue, as plainly as can be and less so.
    "set_config('my.x', @, false)",
    "SET_CONFIG('my.x', @, false)",
    "\"set_config\" /**/ ('my.x', @, false)",
    "pg_catalog.\"set_config\"('my.x', @, false)",
    "U&\"set\\005fconfig\"('my.x', @, false)",
    "pg_advisory_lock(7)::text",
    "pg_try_advisory_lock_shared(7, length(@))::text",
    "(7::bigint).pg_advisory_lock::text",
    "(ARRAY[7::bigint])[1].pg_advisory_lock::text",
    "(SELECT (y.n).pg_advisory_lock::text FROM (SELECT 7::bigint AS n) y)",
    "pg_notify('c', @)::text",
    "query_to_xml('SELECT leave()', true, true, '')::text",
    "leave()",
    "public.leave()",
    "\"leave\"()",
    "leave/**/()",
    "(SELECT x.of_row FROM t x LIMIT 1)",
    "(SELECT (x).of_row FROM t x LIMIT 1)",
    "(SELECT of_row(x) FROM t x LIMIT 1)",
    "upper(1)",
    "reverse(@)",
    "shadow.reverse(@)",
    "@::d",
    "CAST(@ AS d)::text",
    "('(x)'::row_of_d)::text",
    "(@ || 1)",
    "'a'::plain_enum::text",
    "(SELECT max(name) FROM v)",
    "(SELECT max(name) FROM plain_view)",
    "(SELECT max(name) FROM of_d)",
    "(SELECT max(name) FROM policed)",
    // Texts that need more than their quotes to be read.
    "E'\\x61'",
    "U&'\\0061'",
    "$$leave()$$",
    "$a$ ' $a$",
    "'\\'",
];

const LEAVES: &[&str] = &[
    "name",
    "id::text",
    "t.name",
    "'a'",
    "'it''s'",
    "NULL",
    "t.id::text",
    "(t).name",
    "\"name\"",
    "current_user::text",
    "1::text",
    "1.5e1::text",
];

/// `@` is an expression, `#` a relation.
const STATEMENTS: &[&str] = &[
    "SELECT @ FROM t",
    "select @ as \"as\", @ from public.t where @ = @ order by 1 limit 5",
    "SELECT @ FROM t GROUP BY id, name HAVING count(*) > 0",
    "SELECT DISTINCT @ FROM t",
    "(SELECT @ FROM t);",
    "SELECT @ FROM t UNION ALL SELECT @ FROM t",
    "SELECT @ FROM t FOR UPDATE",
    "SELECT row_number() OVER (ORDER BY @) FROM t",
    "SELECT count(*) FILTER (WHERE @ = 'a') FROM t",
    "SELECT x.y FROM (SELECT @ AS y FROM t) x",
    "SELECT g FROM generate_series(1, 3) g, LATERAL (SELECT @ FROM t) l",
    "WITH w AS (SELECT @ AS c FROM t) SELECT c FROM w",
    "WITH w AS MATERIALIZED (SELECT @ AS c FROM t) SELECT @ FROM w, t",
    "WITH RECURSIVE w(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM w WHERE n < 3) SELECT n, @ FROM w, t",
    "WITH w AS (INSERT INTO # (name) SELECT @ FROM t LIMIT 1 RETURNING 1) SELECT @ FROM t",
    "WITH w AS (DELETE FROM # WHERE name::text = 'zz' RETURNING 1) SELECT @ FROM t",
    "INSERT INTO # (name) SELECT @ FROM t LIMIT 1",
    "INSERT INTO # (name) SELECT @ FROM t LIMIT 1 RETURNING 1",
    "UPDATE # SET name = (SELECT @ FROM t LIMIT 1)",
    "DELETE FROM # WHERE name::text = (SELECT @ FROM t LIMIT 1)",
    "INSERT INTO t (id, name) SELECT 1, @ FROM t LIMIT 1 ON CONFLICT (id) DO UPDATE SET name = 'a'",
    "SELECT count(*) FROM #",
    "SELECT x.name FROM # x JOIN t ON t.id = x.id::int AND @ IS NOT NULL",
    "TABLE #",
    "SELECT @ INTO TEMP left_over FROM t",
    "SELECT @ AS c INTO left_over FROM t",
    "CREATE TEMP TABLE left_over AS SELECT @ AS c FROM t",
    "EXPLAIN ANALYZE SELECT @ FROM t",
    "SHOW search_path",
    "SET my.x = 'left'",
    "PREPARE left_over AS SELECT @ FROM t",
    "LISTEN left_over",
    "DO $$ BEGIN PERFORM leave(); END $$",
];

const RELATIONS: &[&str] = &[
    "plain",
    "public.plain",
    "\"plain\"",
    "public . \"plain\"",
    "PLAIN",
    "numbered",
    "identified",
    "computed",
    "checked",
    "hooked",
    "ruled",
    "policed",
    "expressed",
    "of_d",
    "of_enum",
    "v",
    "plain_view",
    "pg_catalog.pg_settings",
];

fn filled(template: &'static str, parts: &[String], relation: &str) -> String {
    let mut parts = parts.iter();
    template
        .chars()
        .map(|char| match char {
            '@' => parts.next().cloned().unwrap_or_else(|| "'a'".to_owned()),
            '#' => relation.to_owned(),
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
        .prop_map(|(template, relation, parts)| filled(template, &parts, relation))
}

/// A session with what it is compared with.
struct Subject {
    fixture: Fixture,
    connection: PostgresConnection,
    fresh: Value,
}

impl Subject {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        fixture.run(SCHEMA).await;
        let (connection, fresh) = Self::open(&fixture).await;
        Self { fixture, connection, fresh }
    }

    async fn open(fixture: &Fixture) -> (PostgresConnection, Value) {
        let driver = Postgres::new(&fixture.url, Settings::default()).unwrap();
        let mut connection = connect::open(&driver.shared).await.unwrap();
        let fresh = one(&mut connection, FACTS, vec![]).await;
        connection.reset().await.unwrap();
        (connection, fresh)
    }

    async fn renew(&mut self) {
        (self.connection, self.fresh) = Self::open(&self.fixture).await;
    }
}

impl Watched for Subject {
    /// Runs it twice: the first time the catalog is asked, the second time nothing but the verdict is left.
    async fn try_out(&mut self, sql: &str) -> Outcome {
        if classify(sql) == Class::Unknown {
            return Outcome::NotHarmless;
        }
        let _ = query(&mut self.connection, sql, vec![]).await;
        if self.connection.reset().await.is_err() {
            // Found out in time, and discarded.
            self.renew().await;
        }
        let ran = query(&mut self.connection, sql, vec![]).await.is_ok();
        if self.connection.residue.anything || !self.connection.residue.pending.is_empty() {
            if self.connection.reset().await.is_err() {
                self.renew().await;
            }
            return Outcome::NotHarmless;
        }
        // What a sequence gave is known, and takes a light reset.
        let told = self.connection.needs_reset();
        if told {
            self.connection.reset().await.unwrap();
        }
        let facts = one(&mut self.connection, FACTS, vec![]).await;
        let last = query(&mut self.connection, "SELECT lastval()", vec![]).await.err().and_then(|failure| failure.code);
        let is_same = facts == self.fresh && last.as_deref() == Some("55000");
        if !is_same {
            let wrong = Outcome::Wrong(format!("facts {facts:?}, lastval {last:?}, not {:?}", self.fresh));
            self.renew().await;
            return wrong;
        }
        self.connection.reset().await.unwrap();
        Outcome::Harmless { ran }
    }
}

#[tokio::test]
async fn whatever_is_called_harmless_is() {
    all_are_harmless(statements(), &mut Subject::new().await).await;
}
