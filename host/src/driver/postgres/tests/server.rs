//! A PostgreSQL server of the tests' own, or the one that `WHARF_TEST_POSTGRES_URL` names with a superuser's credential.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// Starts a server, says so, and stops it when standard input ends, which it does however the tests end.
const SCRIPT: &str = r#"
set -e
bin=$1
dir=$(mktemp -d --suffix=-wharf-pg)
trap 'rm -rf "$dir"' EXIT
echo secret > "$dir/password"
"$bin/initdb" -D "$dir/data" -U postgres -A scram-sha-256 --pwfile="$dir/password" -E UTF8 --locale=C --no-sync > "$dir/log" 2>&1
"$bin/pg_ctl" -D "$dir/data" -w -o "-c listen_addresses='' -k $dir -c fsync=off -c max_connections=100" start >> "$dir/log" 2>&1 < /dev/null
echo "$dir"
cat > /dev/null
"$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >> "$dir/log" 2>&1
"#;

struct Server {
    admin_url: String,
    /// Its standard input keeps the server alive.
    _child: Option<Child>,
}

fn binaries() -> String {
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        let bin = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if Path::new(&bin).join("initdb").exists() {
            return bin;
        }
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin")).find(|bin| bin.join("initdb").exists());
    found.expect("these tests need PostgreSQL's initdb, or WHARF_TEST_POSTGRES_URL").to_string_lossy().into_owned()
}

fn start() -> Server {
    if let Ok(admin_url) = std::env::var("WHARF_TEST_POSTGRES_URL") {
        return Server { admin_url, _child: None };
    }
    let root = Command::new("id").arg("-u").output().unwrap().stdout.starts_with(b"0\n");
    // initdb and postgres refuse to run as root.
    let mut command = if root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    command.args(["-c", SCRIPT, "sh", &binaries()]).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let dir = line.trim();
    assert!(!dir.is_empty(), "PostgreSQL does not start");
    Server { admin_url: format!("postgres://postgres:secret@localhost/postgres?host={dir}"), _child: Some(child) }
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

/// A database and a plain role that owns it, for one test.
pub(super) struct Fixture {
    /// With the role's credential.
    pub(super) url: String,
    /// With a superuser's, in the same database.
    pub(super) admin_url: String,
    pub(super) role: String,
}

impl Fixture {
    pub(super) async fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("wharf_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let admin_url = &server().admin_url;
        let mut admin = PgConnection::connect(admin_url).await.unwrap();
        for sql in [
            format!("DROP DATABASE IF EXISTS {name}"),
            format!("DROP ROLE IF EXISTS {name}"),
            format!("CREATE ROLE {name} LOGIN PASSWORD 'hidden'"),
            format!("CREATE DATABASE {name} OWNER {name}"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
        }
        let (address, query) = admin_url
            .split_once('?')
            .map_or((admin_url.as_str(), String::new()), |(address, query)| (address, format!("?{query}")));
        let (scheme, rest) = address.split_once("://").unwrap();
        let (credential, host) = rest.split_once('@').unwrap();
        let host = host.split('/').next().unwrap();
        Self {
            url: format!("{scheme}://{name}:hidden@{host}/{name}{query}"),
            admin_url: format!("{scheme}://{credential}@{host}/{name}{query}"),
            role: name,
        }
    }

    /// Runs SQL as the superuser.
    pub(super) async fn admin(&self, sql: &str) {
        let mut admin = PgConnection::connect(&self.admin_url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut admin).await.unwrap();
    }

    /// Runs SQL as the role.
    pub(super) async fn run(&self, sql: &str) {
        let mut owner = PgConnection::connect(&self.url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut owner).await.unwrap();
    }
}
