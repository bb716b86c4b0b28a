//! A MariaDB server of the tests' own, or the one that `WHARF_TEST_MYSQL_URL` names with an administrator's credential.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection};

/// Starts a server, says so, and stops it when standard input ends, which it does however the tests end.
const SCRIPT: &str = r#"
set -u
port=$1
trap '' INT TERM HUP PIPE
dir=$(mktemp -d --suffix=-wharf-mariadb) || exit 1
# A server that starts deletes the temporary tables of every other one that has them in the same folder.
export TMPDIR="$dir"
fail() { cat "$dir/log" >&2; rm -rf "$dir"; exit 1; }
mariadb-install-db --no-defaults --auth-root-authentication-method=normal --skip-test-db --datadir="$dir/data" > "$dir/log" 2>&1 < /dev/null || fail
echo "CREATE USER admin@'%' IDENTIFIED BY 'secret';" > "$dir/init"
echo "GRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION;" >> "$dir/init"
PATH="$PATH:/usr/sbin:/sbin"
mariadbd --no-defaults --datadir="$dir/data" --socket="$dir/s" --pid-file="$dir/pid" --tmpdir="$dir" --bind-address=127.0.0.1 --skip-name-resolve --port="$port" \
    --init-file="$dir/init" --innodb-flush-log-at-trx-commit=0 --innodb-use-native-aio=0 --max-connections=200 >> "$dir/log" 2>&1 < /dev/null &
server=$!
tries=0
until grep -qs "ready for connections" "$dir/log"; do
    tries=$((tries + 1))
    kill -0 "$server" 2>/dev/null && [ "$tries" -lt 1200 ] || { kill -KILL "$server" 2>/dev/null; wait "$server"; fail; }
    sleep 0.05
done
echo "ready"
read -r _ || :
kill -KILL "$server"
wait "$server"
rm -rf "$dir"
"#;

struct Server {
    admin_url: String,
    /// Its standard input keeps the server alive.
    _child: Option<Child>,
}

fn start() -> Server {
    if let Ok(admin_url) = std::env::var("WHARF_TEST_MYSQL_URL") {
        return Server { admin_url, _child: None };
    }
    let root = Command::new("id").arg("-u").output().unwrap().stdout.starts_with(b"0\n");
    // The port may be taken between being found free and being bound.
    for _ in 0..5 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // mariadbd refuses to run as root.
        let mut command = if root {
            let mut command = Command::new("runuser");
            command.args(["-u", "mysql", "--", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command.args(["-c", SCRIPT, "sh", &port.to_string()]).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("these tests need MariaDB (Debian: mariadb-server), or WHARF_TEST_MYSQL_URL");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line == "ready\n" {
            return Server { admin_url: format!("mysql://admin:secret@127.0.0.1:{port}/mysql"), _child: Some(child) };
        }
        child.wait().unwrap();
    }
    panic!("MariaDB does not start; these tests need it (Debian: mariadb-server), or WHARF_TEST_MYSQL_URL");
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

/// A database and a plain user that owns it, for one test.
pub(super) struct Fixture {
    /// With the user's credential.
    pub(super) url: String,
    /// With the administrator's, in the same database.
    pub(super) admin_url: String,
    /// Of the user, and of the database.
    pub(super) name: String,
}

impl Fixture {
    pub(super) async fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("wharf_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (location, query) = server().admin_url.split_once('?').unwrap_or((&server().admin_url, ""));
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        let (scheme, rest) = location.split_once("://").unwrap();
        let (credential, host) = rest.rsplit_once('@').unwrap();
        let host = host.split('/').next().unwrap();
        let fixture = Self {
            url: format!("{scheme}://{name}:hidden@{host}/{name}{query}"),
            admin_url: format!("{scheme}://{credential}@{host}/mysql{query}"),
            name: name.clone(),
        };
        fixture
            .admin(&format!(
                "DROP DATABASE IF EXISTS {name}; DROP USER IF EXISTS {name}; CREATE DATABASE {name} CHARACTER SET utf8mb4; \
                 CREATE USER {name} IDENTIFIED BY 'hidden'; GRANT ALL ON {name}.* TO {name}"
            ))
            .await;
        fixture
    }

    /// Another user of the database, made with these grants; its URL.
    pub(super) async fn user(&self, suffix: &str, grants: &str) -> String {
        let user = format!("{}_{suffix}", self.name);
        let grants = grants.replace("{user}", &user).replace("{database}", &self.name);
        self.admin(&format!("DROP USER IF EXISTS {user}; CREATE USER {user} IDENTIFIED BY 'hidden'; {grants}")).await;
        self.url.replacen(&format!("{}:", self.name), &format!("{user}:"), 1)
    }

    /// Runs SQL as the administrator.
    pub(super) async fn admin(&self, sql: &str) {
        let mut admin = MySqlConnection::connect(&self.admin_url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut admin).await.unwrap();
        admin.close().await.unwrap();
    }

    /// A number that the administrator reads.
    pub(super) async fn number(&self, sql: &str) -> i64 {
        let mut admin = MySqlConnection::connect(&self.admin_url).await.unwrap();
        let number = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut admin).await.unwrap();
        admin.close().await.unwrap();
        number
    }

    /// Runs SQL as the user, in the user's database.
    pub(super) async fn run(&self, sql: &str) {
        let mut owner = MySqlConnection::connect(&self.url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut owner).await.unwrap();
        owner.close().await.unwrap();
    }

    /// Waits until the server is where it should be; each question is a session of its own.
    pub(super) async fn until(&self, sql: &str, expected: i64) {
        for _ in 0..2000 {
            if self.number(sql).await == expected {
                return;
            }
        }
        panic!("never {expected}: {sql}");
    }
}
