//! TLS to MariaDB.

use sqlx::{AssertSqlSafe, Connection as _};
use support::mariadb::{Server, start};
use wharf::driver::{Answer, Connection, Driver, FailureKind, Operation, Statement, mysql::Mysql, settings::Settings};

use super::certificates::Authority;

/// Files of a client, and the server they are for.
struct Bed {
    server: Server,
    folder: tempfile::TempDir,
}

impl Bed {
    /// A server that shows a certificate for `localhost`, or one that has expired.
    async fn new(expired: bool) -> Self {
        let (right, clients) = (Authority::new("right"), Authority::new("clients"));
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        // The server reads its own as another user; keys of tests are no secret.
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let shown = if expired { right.sign_expired("localhost") } else { right.sign("localhost") };
        for (name, client) in [("client", clients.sign("app")), ("stranger", right.sign("app"))] {
            write(&format!("{name}.pem"), &client.certificate);
            write(&format!("{name}.key"), &client.key);
        }
        write("right.pem", &right.pem());
        write("wrong.pem", &Authority::new("right").pem());
        let server = start(&[
            &format!("--ssl-cert={}", write("server.pem", &shown.certificate)),
            &format!("--ssl-key={}", write("server.key", &shown.key)),
            &format!("--ssl-ca={}", write("clients.pem", &clients.pem())),
        ]);
        let mut admin = server.connect("mysql").await;
        let statements = "CREATE DATABASE app; CREATE USER tls_any IDENTIFIED BY 'secret-any'; \
             CREATE USER tls_encrypted IDENTIFIED BY 'secret-encrypted' REQUIRE SSL; \
             CREATE USER tls_certified IDENTIFIED BY 'secret-certified' REQUIRE X509; \
             GRANT ALL ON app.* TO tls_any, tls_encrypted, tls_certified";
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut admin).await.unwrap();
        admin.close().await.unwrap();
        Self { server, folder }
    }

    /// The URL of a user, with `@` in the query for the folder of the files.
    fn url(&self, user: &str, host: &str, query: &str) -> String {
        let address = self.server.address();
        let port = address.rsplit(':').next().unwrap();
        let query = query.replace('@', &format!("{}/", self.folder.path().display()));
        format!("mysql://tls_{user}:secret-{user}@{host}:{port}/app?{query}")
    }
}

/// `"TLS"`, `"clear"`, or the kind and the message.
async fn attempt(url: &str) -> String {
    let driver = Mysql::new(url, Settings::default()).unwrap();
    match driver.connect().await {
        Ok(mut session) => {
            driver.control().await.unwrap();
            encryption(&mut *session).await.to_owned()
        }
        Err(failure) => {
            let told = format!("{failure:?} {driver:?}");
            for secret in ["secret-", "localhost", "127.0.0.1", "tls_", ".pem", ".key"] {
                assert!(!told.contains(secret), "{secret} in {told}");
            }
            assert!(failure.lost, "{failure:?}");
            assert!(matches!(failure.kind, FailureKind::Disconnected | FailureKind::Denied), "{failure:?}");
            failure.message
        }
    }
}

async fn encryption(session: &mut dyn Connection) -> &'static str {
    let sql = "SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'Ssl_version' AND VARIABLE_VALUE <> ''";
    let limit = wharf::driver::ResultLimit { rows: 10, bytes: 1000 };
    match session.run(Operation::Query(Statement { sql: sql.into(), params: Vec::new() }, limit)).await {
        Ok(Answer::Rows(rows)) if rows.batch.row_count == 1 => "TLS",
        Ok(Answer::Rows(_)) => "clear",
        answer => panic!("{answer:?}"),
    }
}

/// All rows that came out otherwise than expected.
async fn all(bed: &Bed, table: &[(&str, &str, &str, &str)]) {
    let mut failed = Vec::new();
    for (user, host, query, expected) in table {
        let found = attempt(&bed.url(user, host, query)).await;
        if !found.contains(expected) {
            failed.push(format!("{user}@{host}?{query}: expected {expected}, found {found}"));
        }
    }
    assert!(failed.is_empty(), "{} of {} rows:\n{}", failed.len(), table.len(), failed.join("\n"));
}

const UNKNOWN_CA: &str = "not issued by an authority that is trusted here; name the right one by `ssl-ca`";
const WRONG_NAME: &str = "not valid for the host that the URL names";
const REFUSED: &str = "the server refuses the credential";

#[tokio::test]
async fn every_mode_does_what_it_says() {
    let bed = Bed::new(false).await;
    all(
        &bed,
        &[
            ("any", "localhost", "ssl-mode=DISABLED", "clear"),
            ("any", "localhost", "", "TLS"),
            ("any", "localhost", "ssl-mode=PREFERRED", "TLS"),
            ("any", "127.0.0.1", "ssl-mode=REQUIRED", "TLS"),
            ("any", "127.0.0.1", "ssl-mode=VERIFY_CA&ssl-ca=@right.pem", "TLS"),
            ("any", "localhost", "ssl-mode=VERIFY_IDENTITY&ssl-ca=@right.pem", "TLS"),
            ("any", "localhost", "ssl-mode=VERIFY_CA&ssl-ca=@wrong.pem", UNKNOWN_CA),
            ("any", "localhost", "ssl-mode=VERIFY_IDENTITY&ssl-ca=@wrong.pem", UNKNOWN_CA),
            ("any", "localhost", "ssl-mode=VERIFY_IDENTITY", UNKNOWN_CA),
            ("any", "127.0.0.1", "ssl-mode=VERIFY_IDENTITY&ssl-ca=@right.pem", WRONG_NAME),
            ("any", "localhost", "ssl-mode=VERIFY_IDENTITY&ssl-ca=@missing.pem", "a file of its certificates is gone"),
            ("encrypted", "localhost", "ssl-mode=DISABLED", REFUSED),
            ("encrypted", "localhost", "ssl-mode=REQUIRED", "TLS"),
            ("certified", "localhost", "ssl-mode=REQUIRED", REFUSED),
            ("certified", "localhost", "ssl-mode=REQUIRED&ssl-cert=@client.pem&ssl-key=@client.key", "TLS"),
            (
                "certified",
                "localhost",
                "ssl-mode=REQUIRED&ssl-cert=@client.pem&ssl-key=@stranger.key",
                "`ssl-key` is not the key of `ssl-cert`",
            ),
        ],
    )
    .await;
    let stranger =
        attempt(&bed.url("certified", "localhost", "ssl-mode=REQUIRED&ssl-cert=@stranger.pem&ssl-key=@stranger.key")).await;
    assert!(stranger != "TLS" && stranger != "clear", "{stranger}");
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_refused_where_it_is_looked_at() {
    let bed = Bed::new(true).await;
    all(
        &bed,
        &[
            ("any", "localhost", "ssl-mode=REQUIRED", "TLS"),
            ("any", "localhost", "ssl-mode=VERIFY_CA&ssl-ca=@right.pem", "its certificate has expired"),
            ("any", "localhost", "ssl-mode=VERIFY_IDENTITY&ssl-ca=@right.pem", "its certificate has expired"),
        ],
    )
    .await;
}
