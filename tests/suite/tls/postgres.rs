//! TLS to PostgreSQL.

use std::{collections::BTreeSet, path::Path};

use sqlx::postgres::PgConnectOptions;
use support::{
    host::Setup,
    postgres::{PostgresDatabase, TlsRole, TlsServer, server},
};
use wharf::driver::{
    Answer, Connection, Driver, Failure, FailureKind, Operation, Statement, postgres::Postgres, settings::Settings,
};

use super::certificates::Authority;

/// Files of a client, and the server they are for.
struct Bed {
    server: TlsServer,
    right: Authority,
    folder: tempfile::TempDir,
}

impl Bed {
    async fn new() -> Self {
        let (right, clients) = (Authority::new("right"), Authority::new("clients"));
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("right.pem", &right.pem());
        // Another one of the same name: only its key tells.
        write("wrong.pem", &Authority::new("right").pem());
        for (name, client) in
            [("client", clients.sign("app")), ("stranger", right.sign("app")), ("expired", clients.sign_expired("app"))]
        {
            write(&format!("{name}.pem"), &client.certificate);
            write(&format!("{name}.key"), &client.key);
        }
        let shown = right.sign("localhost");
        let server = TlsServer::start(&shown.certificate, &shown.key, &clients.pem()).await;
        Self { server, right, folder }
    }

    /// A query with the files as they lie in the folder.
    fn query(&self, text: &str) -> String {
        text.replace('@', &format!("{}/", self.folder.path().display()))
    }
}

/// How an attempt ends: encrypted, in the clear, or with a word of the message.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Tls,
    Clear,
    Refused(FailureKind, &'static str),
}

use Expected::{Clear, Refused, Tls};

const UNKNOWN_CA: Expected = Refused(FailureKind::Disconnected, "not issued by an authority that is trusted here");
const WRONG_NAME: Expected = Refused(FailureKind::Disconnected, "not valid for the host that the URL names");
const EXPIRED: Expected = Refused(FailureKind::Disconnected, "its certificate has expired");
const NO_TLS: Expected = Refused(FailureKind::Disconnected, "it offers none; switch it on at the server");
const NO_CERTIFICATE: Expected = Refused(FailureKind::Denied, "demands a client certificate; name one");
const NOT_TRUSTED: Expected = Refused(FailureKind::Disconnected, "does not trust the client certificate");
const ONLY_TLS: Expected = Refused(FailureKind::Denied, "takes this role only by TLS");

/// Tries sessions and control path, which must end alike. Says what differs from what was expected.
async fn attempt(url: &str, expected: Expected) -> Result<(), String> {
    let driver = Postgres::new(url, Settings::default()).map_err(|failure| failure.to_string())?;
    let session = match driver.connect().await {
        Ok(mut session) => Ok(is_encrypted(&mut *session).await),
        Err(failure) => Err(failure),
    };
    let control = driver.control().await.map(|_| ());
    let as_expected = |failure: &Failure| match expected {
        Refused(kind, words) => failure.kind == kind && failure.message.contains(words) && failure.lost,
        _ => false,
    };
    let is_right = match (&session, &control, expected) {
        (Ok(encrypted), Ok(()), Tls) => *encrypted,
        (Ok(encrypted), Ok(()), Clear) => !*encrypted,
        (Err(failure), Err(control), Refused(..)) => as_expected(failure) && as_expected(control),
        _ => false,
    };
    if let Err(failure) = &session {
        let told = format!("{failure:?} {driver:?}");
        let options: PgConnectOptions = url.parse().unwrap();
        for secret in ["secret-", "localhost", "127.0.0.1", "tls_", ".pem", ".key", options.get_username()] {
            assert!(!told.contains(secret), "{secret} in {told}");
        }
    }
    if is_right { Ok(()) } else { Err(format!("session {session:?}, control {control:?}")) }
}

async fn is_encrypted(session: &mut dyn Connection) -> bool {
    let sql = "SELECT FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
    let statement = Statement { sql: sql.into(), params: Vec::new() };
    match session.run(Operation::Execute(statement)).await {
        Ok(Answer::Executed(execution)) => execution.rows_affected == 1,
        answer => panic!("{answer:?}"),
    }
}

async fn all(table: &[(String, Expected)]) {
    let mut failed = Vec::new();
    for (url, expected) in table {
        if let Err(why) = attempt(url, *expected).await {
            failed.push(format!("{}\n  expected {expected:?}\n  {why}", url.split('@').next_back().unwrap_or_default()));
        }
    }
    assert!(failed.is_empty(), "{} of {} rows:\n{}", failed.len(), table.len(), failed.join("\n"));
}

#[tokio::test]
async fn every_mode_does_what_it_says_against_every_server() {
    let bed = Bed::new().await;
    let on = |role, host, query: &str| bed.server.url(role, host, &bed.query(query));
    let (any, encrypted, certified) = (TlsRole::Any, TlsRole::Encrypted, TlsRole::Certified);
    let mut table = Vec::new();
    let mut row = |role, host, query: &str, expected| table.push((on(role, host, query), expected));

    // The right authority and the right name.
    row(any, "localhost", "sslmode=disable", Clear);
    for query in ["", "sslmode=prefer", "sslmode=require", "sslmode=verify-ca&sslrootcert=@right.pem", FULL] {
        row(any, "localhost", query, Tls);
        row(encrypted, "localhost", query, Tls);
    }
    row(encrypted, "localhost", "sslmode=disable", ONLY_TLS);
    // Another authority, or only those of the machine.
    for query in ["sslmode=verify-ca&sslrootcert=@wrong.pem", "sslmode=verify-full&sslrootcert=@wrong.pem", "sslmode=verify-full"]
    {
        row(any, "localhost", query, UNKNOWN_CA);
    }
    // Another name than that of the certificate.
    for query in ["", "sslmode=require", "sslmode=verify-ca&sslrootcert=@right.pem"] {
        row(any, "127.0.0.1", query, Tls);
    }
    row(any, "127.0.0.1", FULL, WRONG_NAME);
    // A certificate of the client's.
    for mode in ["sslmode=prefer", "sslmode=require", "sslmode=verify-ca&sslrootcert=@right.pem", FULL] {
        let with = |client: &str| format!("{mode}&sslcert=@{client}.pem&sslkey=@{client}.key");
        row(certified, "localhost", mode, NO_CERTIFICATE);
        row(certified, "localhost", &with("client"), Tls);
        row(certified, "localhost", &with("stranger"), NOT_TRUSTED);
        row(any, "localhost", &with("client"), Tls);
    }
    row(
        certified,
        "localhost",
        "sslmode=require&sslcert=@expired.pem&sslkey=@expired.key",
        Refused(FailureKind::Disconnected, "client certificate has expired"),
    );
    row(
        certified,
        "localhost",
        "sslmode=require&sslcert=@client.pem&sslkey=@stranger.key",
        Refused(FailureKind::Disconnected, "`sslkey` is not the key of `sslcert`"),
    );
    all(&table).await;
}

const FULL: &str = "sslmode=verify-full&sslrootcert=@right.pem";

#[tokio::test]
async fn certificates_that_are_past_or_an_authority_s_own_are_refused_where_anything_is_verified() {
    let bed = Bed::new().await;
    let on = |query: &str| bed.server.url(TlsRole::Any, "localhost", &bed.query(query));
    let ca = "sslmode=verify-ca&sslrootcert=@right.pem";
    let expired = bed.right.sign_expired("localhost");
    bed.server.show(&expired.certificate, &expired.key).await;
    let unverified = [(on("sslmode=prefer"), Tls), (on("sslmode=require"), Tls)];
    all(&unverified).await;
    all(&[(on(ca), EXPIRED), (on(FULL), EXPIRED)]).await;

    let itself = bed.right.itself();
    bed.server.show(&itself.certificate, &itself.key).await;
    all(&unverified).await;
    let is_authority = Refused(FailureKind::Disconnected, "that of an authority, which no server may show");
    all(&[(on(ca), is_authority), (on(FULL), is_authority)]).await;

    // A new certificate is read without a restart of anything.
    let renewed = bed.right.sign("localhost");
    bed.server.show(&renewed.certificate, &renewed.key).await;
    all(&[(on(ca), Tls), (on(FULL), Tls)]).await;
}

#[tokio::test]
async fn a_server_without_tls_is_taken_only_where_nothing_is_asked_of_it() {
    let database = PostgresDatabase::create().await;
    if std::env::var_os("WHARF_TEST_POSTGRES_URL").is_some() {
        let mut admin = server().connect("postgres").await;
        let ssl: String = sqlx::query_scalar("SHOW ssl").fetch_one(&mut admin).await.unwrap();
        assert_eq!(ssl, "off", "the server of WHARF_TEST_POSTGRES_URL must be one without TLS");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("right.pem"), Authority::new("right").pem()).unwrap();
    let root = format!("&sslrootcert={}/right.pem", folder.path().display());
    let on = |query: &str| format!("{}?{query}", database.url(&database.owner));
    all(&[
        (on(""), Clear),
        (on("sslmode=disable"), Clear),
        (on("sslmode=prefer"), Clear),
        (on("sslmode=require"), NO_TLS),
        (on(&format!("sslmode=verify-ca{root}")), NO_TLS),
        (on(&format!("sslmode=verify-full{root}")), NO_TLS),
        (on("sslmode=verify-full"), NO_TLS),
    ])
    .await;
}

/// A folder with the client's files beside `wharf.toml`, and a database that is migrated.
fn setup(bed: &Bed, url: &str, settings: &str) -> Setup {
    let setup = Setup::new();
    let copy = |name: &str| std::fs::copy(bed.folder.path().join(name), setup.folder().join(name)).unwrap();
    for name in ["right.pem", "wrong.pem", "client.pem", "client.key"] {
        copy(name);
    }
    let migrations = setup.folder().join("migrations/postgres");
    std::fs::create_dir_all(&migrations).unwrap();
    std::fs::write(migrations.join("1_notes.sql"), "CREATE TABLE notes (note text)").unwrap();
    setup.database("main", url, &format!("migrations = \"migrations\"\nmin_connections = 1\n{settings}")).plugin(
        "probe",
        "probe",
        "databases.main = { access = \"read-write\" }",
    )
}

#[tokio::test]
async fn pool_control_path_and_migrations_share_the_settings_and_files_lie_beside_wharf_toml() {
    let bed = Bed::new().await;
    let query = "sslmode=verify-full&sslrootcert=right.pem&sslcert=client.pem&sslkey=client.key";
    let url = bed.server.url(TlsRole::Any, "localhost", query);
    let host = setup(&bed, &url, "").start().await;
    let rows = host.client().get("/probe/query?sql=SELECT+count(*)+FROM+notes").await.json();
    assert_eq!(rows["error"], serde_json::Value::Null, "{rows}");
    let sessions = bed.server.encrypted().await;
    let names: BTreeSet<&str> = sessions.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["wharf", "wharf control"]), "{sessions:?}");
    assert!(sessions.iter().all(|(_, encrypted)| *encrypted), "{sessions:?}");
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_failed_verification_is_told_to_the_operator_and_hidden_from_guests() {
    let bed = Bed::new().await;
    let url = bed.server.url(TlsRole::Any, "localhost", "sslmode=verify-full&sslrootcert=wrong.pem");
    let port = url.split("localhost:").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let ended = setup(&bed, &url, "").fail().await;
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, Some(1), "{said}");
    assert!(said.contains("database `main`") && said.contains("name the right one by `sslrootcert`"), "{said}");
    assert!(!said.contains(bed.server.password()) && !said.contains(&port), "{said}");

    // Reached only when somebody asks.
    let without_migrations = Setup::new();
    std::fs::copy(bed.folder.path().join("wrong.pem"), without_migrations.folder().join("wrong.pem")).unwrap();
    let host = without_migrations
        .database("main", &url, "connect = \"lazy\"")
        .plugin("probe", "probe", "databases.main = { access = \"read-write\" }")
        .start()
        .await;
    let error = host.client().get("/probe/query?sql=SELECT+1").await.json()["error"].clone();
    assert_eq!(error["kind"], "disconnected", "{error}");
    for secret in ["certificate", "sslrootcert", "localhost", port.as_str(), bed.server.password(), "tls_any"] {
        assert!(!error.to_string().contains(secret), "{secret} in {error}");
    }
    host.logged("name the right one by `sslrootcert`", std::time::Duration::from_secs(10)).await;
    assert!(!host.log().contains(bed.server.password()), "{}", host.log());
    assert_eq!(host.stop().await.code, Some(0));
}

#[tokio::test]
async fn certificates_of_the_environment_are_refused_and_its_mode_is_not_read() {
    let bed = Bed::new().await;
    let url = bed.server.url(TlsRole::Any, "localhost", "sslmode=require");
    let client = |name: &str| -> String { Path::new(bed.folder.path()).join(name).display().to_string() };
    let ended = setup(&bed, &url, "")
        .environment("PGSSLCERT", &client("client.pem"))
        .environment("PGSSLKEY", &client("client.key"))
        .fail()
        .await;
    assert!(ended.stderr.contains("PGSSLCERT and PGSSLKEY are set in the environment"), "{}", ended.stderr);

    let url = bed.server.url(TlsRole::Encrypted, "localhost", "");
    let host = Setup::new()
        .database("main", &url, "")
        .plugin("probe", "probe", "databases.main = { access = \"read-write\" }")
        .environment("PGSSLMODE", "disable")
        .start()
        .await;
    assert_eq!(host.stop().await.code, Some(0));
}
