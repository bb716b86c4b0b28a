//! TLS to MongoDB, or to SecantusDB in its place, which speaks nothing else once it has a certificate: whoever gets in came by TLS.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use serde_json::{Value as Json, json};
use support::{
    host::Setup,
    mongodb::{Server, start},
    wire::Wire,
};
use wharf::driver::{Driver, FailureKind, mongodb::Mongodb, settings::Settings};

use super::{certificates::Authority, tap::Tap};

/// A user with a password, as URLs have it.
const USER: &str = "tls_app:secret-app@";

/// A user who is known by a certificate, which has no part in a URL.
const CERTIFIED: &str = "";

/// A server, and the files of its clients.
struct Bed {
    server: Server,
    folder: tempfile::TempDir,
}

/// What a server has against its clients, or they against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Shows a certificate for `localhost`, and looks at those of its clients that show one.
    Right,
    /// Takes nobody who shows none.
    Demanding,
    /// Shows one that has expired.
    Expired,
}

impl Bed {
    /// A server whose database `app` has a user with a password and one with a certificate.
    async fn new(kind: Kind) -> Self {
        let (right, clients) = (Authority::new("right"), Authority::new("clients"));
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let shown = if kind == Kind::Expired { right.sign_expired("localhost") } else { right.sign("localhost") };
        let (client, nobody, stranger) = (clients.sign("app"), clients.sign("nobody"), right.sign("app"));
        let expired = clients.sign_expired("app");
        for (name, certificate, key) in [
            ("client.pem", &client.certificate, &client.key),
            ("nobody.pem", &nobody.certificate, &nobody.key),
            ("stranger.pem", &stranger.certificate, &stranger.key),
            ("expired.pem", &expired.certificate, &expired.key),
            ("mixed.pem", &client.certificate, &stranger.key),
        ] {
            write(name, &format!("{certificate}\n{key}"));
        }
        let authority = write("right.pem", &right.pem());
        // Another one of the same name: only its key tells.
        write("wrong.pem", &Authority::new("right").pem());
        let (certificate, key) = (write("server.pem", &shown.certificate), write("server.key", &shown.key));
        let trusted = write("clients.pem", &clients.pem());
        let mut options =
            vec!["--tls-cert-file", certificate.as_str(), "--tls-key-file", key.as_str(), "--tls-ca-file", trusted.as_str()];
        if kind == Kind::Demanding {
            options.push("--tls-require-client-cert");
        }
        let own = format!("tlsCAFile={authority}&tlsCertificateKeyFile={}", folder.path().join("client.pem").display());
        let server = start(&options).by_tls("localhost", &own);
        // The test itself would not come to one that has expired.
        if kind != Kind::Expired {
            make_users(&server).await;
        }
        Self { server, folder }
    }

    /// The URL of a user, with `@` in the query for the folder of the files.
    fn url(&self, user: &str, host: &str, query: &str) -> String {
        let address = self.server.address();
        let port = address.rsplit(':').next().unwrap();
        let query = query.replace('@', &format!("{}/", self.folder.path().display()));
        format!("mongodb://{user}{host}:{port}/app?directConnection=true{query}")
    }

    /// All rows that came out otherwise than expected: user, host, query, and what the outcome contains.
    async fn all(&self, table: &[(&str, &str, &str, &str)]) {
        let mut failed = Vec::new();
        for (user, host, query, expected) in table {
            let found = attempt(&self.url(user, host, query)).await;
            if !found.contains(expected) {
                failed.push(format!("{user}{host}?{query}: expected {expected}, found {found}"));
            }
        }
        assert!(failed.is_empty(), "{} of {} rows:\n{}", failed.len(), table.len(), failed.join("\n"));
    }
}

/// Makes the database's users, who may see what others do: the control path is theirs as well.
async fn make_users(server: &Server) {
    let admin = server.administrator().await;
    let everywhere = doc! { "cluster": true };
    let actions = ["inprog", "killop", "killAnySession", "killAnyCursor"].map(str::to_owned).to_vec();
    let role = doc! { "createRole": "watcher", "privileges": [{ "resource": everywhere, "actions": actions }], "roles": [] };
    let roles = || {
        let of_app = |role: &str| doc! { "role": role, "db": "app" };
        vec![of_app("readWrite"), of_app("dbAdmin"), doc! { "role": "watcher", "db": "admin" }]
    };
    let certified = doc! { "createUser": "CN=app", "mechanisms": ["MONGODB-X509"], "roles": roles() };
    for (database, command) in [
        ("admin", role),
        ("app", doc! { "createUser": "tls_app", "pwd": "secret-app", "roles": roles() }),
        ("$external", certified),
    ] {
        admin.database(database).run_command(command).await.unwrap();
    }
    admin.shutdown().immediate(true).await;
}

/// Who got in.
const IN: &str = "in, and out again";

/// [`IN`], or the message.
async fn attempt(url: &str) -> String {
    let driver = Mongodb::new(url, Settings::default()).unwrap();
    let outcome = match driver.connect().await {
        Ok(mut connection) => {
            connection.ping().await.unwrap();
            driver.control().await.unwrap().close().await;
            connection.close().await.unwrap();
            IN.to_owned()
        }
        Err(failure) => {
            let told = format!("{failure:?} {driver:?}");
            for secret in ["secret-", "localhost", "127.0.0.1", "tls_app", ".pem", ".key"] {
                assert!(!told.contains(secret), "{secret} in {told}");
            }
            let known = [FailureKind::Disconnected, FailureKind::Denied, FailureKind::Invalid];
            assert!(failure.lost && known.contains(&failure.kind), "{failure:?}");
            failure.message
        }
    };
    driver.close().await;
    outcome
}

const UNKNOWN_CA: &str = "not issued by an authority that is trusted here; name the right one by `tlsCAFile`";
const WRONG_NAME: &str = "not valid for the host that the URL names; use the name in the certificate";
const EXPIRED: &str = "its certificate has expired";
const WRONG_FILE: &str = "a certificate or key that the URL names cannot be read";
/// Whoever is let go after a handshake hears why, or only that the connection is gone.
const HUNG_UP: &str = "cannot reach the server";
const REFUSED: &str = "the server refuses the credential";

#[tokio::test]
async fn every_option_does_what_it_says() {
    let bed = Bed::new(Kind::Right).await;
    bed.all(&[
        // The right authority and the right name.
        (USER, "localhost", "&tls=true&tlsCAFile=@right.pem", IN),
        (USER, "localhost", "&ssl=true&tlsCAFile=@right.pem", IN),
        (USER, "localhost", "&tlsCAFile=@right.pem", IN),
        // Nothing but TLS is spoken there.
        (USER, "localhost", "", HUNG_UP),
        (USER, "localhost", "&tls=false", HUNG_UP),
        // Another authority, or only those that everybody knows.
        (USER, "localhost", "&tls=true", UNKNOWN_CA),
        (USER, "localhost", "&tls=true&tlsCAFile=@wrong.pem", UNKNOWN_CA),
        // Another name than that of the certificate.
        (USER, "127.0.0.1", "&tls=true&tlsCAFile=@right.pem", WRONG_NAME),
        // Files that are gone, or do not belong together.
        (USER, "localhost", "&tls=true&tlsCAFile=@missing.pem", WRONG_FILE),
        (USER, "localhost", "&tlsCAFile=@right.pem&tlsCertificateKeyFile=@missing.pem", "a file of its certificates is gone"),
        (USER, "localhost", "&tlsCAFile=@right.pem&tlsCertificateKeyFile=@mixed.pem", WRONG_FILE),
        // A certificate of the client's.
        (USER, "localhost", "&tlsCAFile=@right.pem&tlsCertificateKeyFile=@client.pem", IN),
        (USER, "localhost", "&tlsCAFile=@right.pem&tlsCertificateKeyFile=@stranger.pem", HUNG_UP),
        (USER, "localhost", "&tlsCAFile=@right.pem&tlsCertificateKeyFile=@expired.pem", HUNG_UP),
        // Who is who is another question than who may connect.
        ("tls_app:secret-wrong@", "localhost", "&tlsCAFile=@right.pem", REFUSED),
    ])
    .await;
}

#[tokio::test]
async fn a_server_that_demands_a_certificate_gets_one_and_may_know_its_user_by_it() {
    let bed = Bed::new(Kind::Demanding).await;
    let by = |client: &str| format!("&tlsCAFile=@right.pem&tlsCertificateKeyFile=@{client}.pem&authMechanism=MONGODB-X509");
    bed.all(&[
        (USER, "localhost", "&tlsCAFile=@right.pem", HUNG_UP),
        (USER, "localhost", "&tlsCAFile=@right.pem&tlsCertificateKeyFile=@stranger.pem", HUNG_UP),
        (USER, "localhost", "&tlsCAFile=@right.pem&tlsCertificateKeyFile=@client.pem", IN),
        (CERTIFIED, "localhost", by("client").as_str(), IN),
        (CERTIFIED, "localhost", by("nobody").as_str(), "the server refuses the "),
        (CERTIFIED, "localhost", by("stranger").as_str(), HUNG_UP),
    ])
    .await;
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_refused() {
    let bed = Bed::new(Kind::Expired).await;
    bed.all(&[(USER, "localhost", "&tls=true&tlsCAFile=@right.pem", EXPIRED)]).await;
}

/// Whether all that was said begins as TLS does, and has none of the words that there would be otherwise.
#[track_caller]
fn nothing_can_be_read(said: &[Vec<u8>]) {
    for said in said {
        assert!(said.starts_with(&[22, 3]), "{:?}", String::from_utf8_lossy(said));
        for word in ["hello", "isMaster", "saslStart", "tls_app", "wharf"] {
            assert!(!has(said, word), "{word} in {:?}", String::from_utf8_lossy(said));
        }
    }
}

fn has(said: &[u8], word: &str) -> bool {
    said.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

#[tokio::test]
async fn nothing_is_said_in_the_clear_once_tls_is_asked_for() {
    // What is to be heard where nothing is encrypted.
    let wire = Wire::start();
    let tap = Tap::new(Some(wire.address().to_string())).await;
    assert_eq!(attempt(&format!("mongodb://localhost:{}/app?directConnection=true", tap.port())).await, IN);
    let said = tap.said();
    // Two sockets of the session, and two of the control path.
    assert_eq!(said.len(), 4);
    assert!(said.iter().all(|said| has(said, "hello") && has(said, "wharf")));

    let bed = Bed::new(Kind::Right).await;
    let tap = Tap::new(Some(bed.server.address())).await;
    let through = |tap: &Tap| {
        let authority = bed.folder.path().join("right.pem");
        format!("mongodb://{USER}localhost:{}/app?directConnection=true&tlsCAFile={}", tap.port(), authority.display())
    };
    assert_eq!(attempt(&through(&tap)).await, IN);
    let said = tap.said();
    assert_eq!(said.len(), 4);
    nothing_can_be_read(&said);

    // A server that does not speak TLS hears no word either.
    let tap = Tap::new(None).await;
    let found = attempt(&through(&tap)).await;
    assert!(found.contains(HUNG_UP), "{found}");
    let said = tap.said();
    assert!(!said.is_empty());
    nothing_can_be_read(&said);
}

/// A folder with the client's files beside `wharf.toml`, and a database that is migrated.
fn setup(bed: &Bed, url: &str) -> Setup {
    let setup = Setup::new();
    for name in ["right.pem", "wrong.pem", "client.pem"] {
        std::fs::copy(bed.folder.path().join(name), setup.folder().join(name)).unwrap();
    }
    let migrations = setup.folder().join("migrations/mongodb");
    std::fs::create_dir_all(&migrations).unwrap();
    std::fs::write(migrations.join("0001_notes.json"), "[{ \"create\": \"migrated\" }]").unwrap();
    setup.database("main", url, "migrations = \"migrations\"").plugin(
        "probe",
        "documents_probe",
        "databases.main = { access = \"read-write\" }",
    )
}

#[tokio::test]
async fn pool_control_path_and_migrations_share_the_settings_and_files_lie_beside_wharf_toml() {
    let bed = Bed::new(Kind::Demanding).await;
    let files = "&tls=true&tlsCAFile=right.pem&tlsCertificateKeyFile=client.pem";
    for (user, query) in [(USER, files.to_owned()), (CERTIFIED, format!("{files}&authMechanism=MONGODB-X509"))] {
        let host = setup(&bed, &bed.url(user, "localhost", &query)).start().await;
        let steps = json!([{ "do": "find-one" }]);
        let outcomes = host.client().post("/probe/run", &steps).await.json();
        assert_eq!(outcomes[0]["error"], Json::Null, "{outcomes}");
        let admin = bed.server.administrator().await;
        let listed = admin.database("admin").run_command(doc! { "currentOp": 1, "$all": true }).await.unwrap().to_string();
        assert!(listed.contains("wharf app ") && listed.contains("wharf control app "), "{listed}");
        let migrated = doc! { "listCollections": 1, "filter": { "name": "migrated" } };
        let migrated: Document = admin.database("app").run_command(migrated).await.unwrap();
        assert!(migrated.to_string().contains("migrated"), "{migrated}");
        admin.shutdown().immediate(true).await;
        assert_eq!(host.stop().await.code, Some(0), "{query}");
    }
}

#[tokio::test]
async fn a_failed_verification_is_told_to_the_operator_and_hidden_from_guests() {
    let bed = Bed::new(Kind::Right).await;
    let url = bed.url(USER, "localhost", "&tls=true&tlsCAFile=wrong.pem");
    let port = url.split("localhost:").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let ended = setup(&bed, &url).fail().await;
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, Some(1), "{said}");
    assert!(said.contains("database `main`") && said.contains("name the right one by `tlsCAFile`"), "{said}");
    assert!(!said.contains("secret-app") && !said.contains(&port), "{said}");

    // Reached only when somebody asks.
    let without_migrations = Setup::new();
    std::fs::copy(bed.folder.path().join("wrong.pem"), without_migrations.folder().join("wrong.pem")).unwrap();
    let host = without_migrations
        .database("main", &url, "connect = \"lazy\"")
        .plugin("probe", "documents_probe", "databases.main = { access = \"read-write\" }")
        .start()
        .await;
    let outcomes = host.client().post("/probe/run", &json!([{ "do": "find-one" }])).await.json();
    let error = &outcomes[0]["error"];
    assert_eq!(error["kind"], "disconnected", "{outcomes}");
    for secret in ["certificate", "tlsCAFile", "localhost", port.as_str(), "secret-app", "tls_app"] {
        assert!(!error.to_string().contains(secret), "{secret} in {error}");
    }
    host.logged("name the right one by `tlsCAFile`", Duration::from_secs(10)).await;
    assert!(!host.log().contains("secret-app"), "{}", host.log());
    assert_eq!(host.stop().await.code, Some(0));
}
