//! PostgreSQL: a database of its own, asked by a superuser.

use futures::future::{BoxFuture, FutureExt, ready};
use sqlx::{AssertSqlSafe, PgConnection};
use support::{
    postgres::{PostgresDatabase, server},
    proxy::Proxy,
};
use tokio::sync::Mutex;

use super::{Asked, Language, Scheme, Sessions, Side, State, told};

const RESIDUE: &str = "CREATE TEMPORARY TABLE residue (i int)
SELECT pg_advisory_lock_shared(7)
SELECT set_config('search_path', 'residue', false), set_config('lock_timeout', '7s', false)";

const SCHEMA: &str = "CREATE TABLE notes (note text NOT NULL);
    CREATE FUNCTION takes_its_time() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.note = 'slow' THEN PERFORM pg_sleep(60); END IF; RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION takes_its_time()";

pub(super) const SCHEME: Scheme = Scheme {
    language: Language::Sql,
    residue: RESIDUE,
    // All of it can be cleared.
    light_residue: RESIDUE,
    slow: "SELECT pg_sleep(60)",
    insert: "INSERT INTO public.notes (note) VALUES ('one'), ('other')",
    insert_slow: "INSERT INTO public.notes (note) VALUES ('slow'), ('slow')",
    rows: "SELECT generate_series(1, 1000)",
    left_in_session: "SELECT concat_ws(', ',
        CASE WHEN current_setting('search_path') <> '\"$user\", public' THEN 'search_path' END,
        CASE WHEN current_setting('lock_timeout') <> '0' THEN 'lock_timeout' END,
        CASE WHEN pg_current_xact_id_if_assigned() IS NOT NULL THEN 'a transaction' END,
        CASE WHEN to_regclass('pg_temp.residue') IS NOT NULL THEN 'a temporary table' END,
        (SELECT 'an advisory lock' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() LIMIT 1))",
    held: "BEGIN",
};

const NOTES: &str = "SELECT count(*) FROM notes";

/// Sessions that the server lists as the host's.
const SESSIONS: &str = "SELECT count(*) FILTER (WHERE usename LIKE '%\\_owner') AS pooled,
        count(*) FILTER (WHERE usename LIKE '%\\_control') AS control,
        coalesce(string_agg(pid || ' ' || state || ': ' || query, ' | ')
            FILTER (WHERE usename LIKE '%\\_owner' AND state <> 'idle'), '') AS busy
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";

const LEFT: &str = "SELECT concat_ws(', ',
    (SELECT 'locks: ' || string_agg(locktype || ' ' || mode, ' ') FROM pg_locks l JOIN pg_database d ON d.oid = l.database
      WHERE d.datname = current_database() AND l.pid <> pg_backend_pid()),
    (SELECT 'temporary tables: ' || string_agg(relname, ' ') FROM pg_class WHERE relpersistence = 't'),
    (SELECT 'prepared transactions' FROM pg_prepared_xacts LIMIT 1))";

pub(super) struct Postgres {
    database: PostgresDatabase,
    own: Mutex<PgConnection>,
}

impl Postgres {
    pub(super) async fn create() -> Self {
        let database = PostgresDatabase::create().await;
        let own = Mutex::new(server().connect(&database.name).await);
        database.execute(SCHEMA).await;
        Self { database, own }
    }

    async fn say(&self, sql: &str) -> Result<(), String> {
        let said = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *self.own.lock().await).await;
        said.map(drop).map_err(|error| told(sql, &error))
    }
}

impl Side for Postgres {
    fn server(&self) -> Option<(String, String)> {
        Some((self.database.address(), self.database.control.name.clone()))
    }

    fn urls(&self, proxy: Option<&Proxy>) -> (String, Option<String>) {
        let Some(proxy) = proxy else { panic!("a server is behind a proxy") };
        let url = |role| self.database.url_at(role, proxy.address());
        (url(&self.database.owner), Some(url(&self.database.control)))
    }

    fn pulse(&self) -> Asked<'_, ()> {
        self.say("SELECT pg_sleep(0.005)").boxed()
    }

    fn sessions(&self) -> BoxFuture<'_, Option<Sessions>> {
        async move {
            let (pooled, control, busy) = sqlx::query_as(SESSIONS).fetch_one(&mut *self.own.lock().await).await.unwrap();
            Some(Sessions { pooled, control, busy })
        }
        .boxed()
    }

    fn shows<'a>(&'a self, state: State, sessions: &'a Sessions) -> BoxFuture<'a, bool> {
        let busy = &sessions.busy;
        let shown = match state {
            // What the call wants, others have; what is held back by the proxy, the server has done.
            State::Acquiring | State::Ready => busy.is_empty(),
            State::StatementRunning => busy.contains("active: SELECT pg_sleep"),
            State::BeginInFlight => busy.contains("idle in transaction: BEGIN"),
            State::InTransaction => busy.contains("idle in transaction: INSERT"),
            State::CommitInFlight => busy.contains("active") && busy.contains("COMMIT"),
            State::CursorHalfRead => busy.contains("idle in transaction: FETCH"),
            State::FirstOperation | State::FindBeforeReply => panic!("there is no such cell"),
        };
        ready(shown).boxed()
    }

    fn left(&self) -> Asked<'_, String> {
        async move {
            let left = sqlx::query_scalar(LEFT).fetch_one(&mut *self.own.lock().await).await;
            left.map_err(|error| told(LEFT, &error))
        }
        .boxed()
    }

    fn notes(&self) -> Asked<'_, i64> {
        async move {
            let notes = sqlx::query_scalar(NOTES).fetch_one(&mut *self.own.lock().await).await;
            notes.map_err(|error| told(NOTES, &error))
        }
        .boxed()
    }

    fn kill<'a>(&'a self, _proxy: Option<&'a Proxy>) -> Asked<'a, ()> {
        let owner = &self.database.owner.name;
        let sql = format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '{owner}'");
        async move { self.say(&sql).await }.boxed()
    }

    fn sweep(&self) -> Asked<'_, ()> {
        self.say("DELETE FROM notes").boxed()
    }
}
