//! A server that speaks MongoDB's protocol, of the tests' own, or the one that `WHARF_TEST_MONGODB_URL` names with an administrator's
//! credential.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use bson::{Bson, Document, doc};
use mongodb::{Client, options::ClientOptions};

/// Starts a server, says so, and stops it when standard input ends, which it does however the tests end.
const SCRIPT: &str = include_str!("../../../../../tests/support/mongodb/supervisor.sh");

struct Server {
    /// `NAME:PASSWORD`.
    administrator: String,
    /// `127.0.0.1:27017`.
    address: String,
    /// Behind an `&`.
    options: String,
    /// Its standard input keeps the server alive.
    _child: Option<Child>,
}

/// Where the tests' script has installed it.
fn python() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
    target.join("wire-server/bin/python")
}

fn start() -> Server {
    if let Ok(url) = std::env::var("WHARF_TEST_MONGODB_URL") {
        let (place, options) = url.split_once('?').unwrap_or((&url, ""));
        let (administrator, place) = place.trim_start_matches("mongodb://").rsplit_once('@').expect("an administrator's URL");
        let options: String = options.split('&').filter(|option| !option.is_empty()).map(|option| format!("&{option}")).collect();
        let address = place.split('/').next().unwrap().to_owned();
        return Server { administrator: administrator.to_owned(), address, options, _child: None };
    }
    let python = python();
    assert!(python.is_file(), "these tests need a server that `tests/run` installs, or WHARF_TEST_MONGODB_URL");
    // The port may be taken between being found free and being bound.
    for _ in 0..5 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "supervisor"]).arg(&python).args([port.to_string(), "--enable-test-commands".to_owned()]);
        command.current_dir("/").process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        for line in lines {
            if let Some(password) = line.strip_prefix("ready ").and_then(|rest| rest.rsplit(' ').next()) {
                return Server {
                    administrator: format!("admin:{password}"),
                    address: format!("127.0.0.1:{port}"),
                    options: "&directConnection=true".to_owned(),
                    _child: Some(child),
                };
            }
        }
        child.wait().unwrap();
    }
    panic!("the server does not start");
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

/// A database and a user that owns it, for one test.
pub(super) struct Fixture {
    /// With the owner's credential.
    pub(super) url: String,
    /// With the administrator's, for the same database.
    pub(super) admin_url: String,
    /// Of the database.
    pub(super) name: String,
}

impl Fixture {
    pub(super) async fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("wharf_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let Server { administrator, address, options, .. } = server();
        let admin_url = format!("mongodb://{administrator}@{address}/{name}?authSource=admin{options}");
        let mut fixture = Self { url: String::new(), admin_url, name };
        fixture.run(doc! { "dropDatabase": 1 }).await;
        fixture.url = fixture.user("owner", vec!["readWrite".into(), "dbAdmin".into()]).await;
        fixture
    }

    /// Another user of the database, which knows it; the user's URL.
    pub(super) async fn user(&self, suffix: &str, roles: Vec<Bson>) -> String {
        let name = format!("{}_{suffix}", self.name);
        self.run(doc! { "createUser": &name, "pwd": "hidden", "roles": roles }).await;
        let Server { address, options, .. } = server();
        format!("mongodb://{name}:hidden@{address}/{0}?authSource={0}{options}", self.name)
    }

    /// A user that may see and end what others do.
    pub(super) async fn control(&self) -> String {
        let role = format!("{}_control", self.name);
        let actions = ["inprog", "killop", "killAnySession", "killAnyCursor"].map(Bson::from).to_vec();
        let privileges = [doc! { "resource": { "cluster": true }, "actions": actions }].to_vec();
        self.administer(doc! { "createRole": &role, "privileges": privileges, "roles": [] }).await;
        self.user("watcher", vec![doc! { "role": role, "db": "admin" }.into()]).await
    }

    /// What the administrator is answered in this database.
    pub(super) async fn run(&self, command: Document) -> Document {
        self.ask(&self.name, command).await
    }

    /// What the administrator is answered in the server's own.
    pub(super) async fn administer(&self, command: Document) -> Document {
        self.ask("admin", command).await
    }

    async fn ask(&self, database: &str, command: Document) -> Document {
        let mut options = ClientOptions::parse(&self.admin_url).await.unwrap();
        options.max_pool_size = Some(1);
        let client = Client::with_options(options).unwrap();
        let what = command.to_string();
        let answer = client.database(database).run_command(command).await;
        client.shutdown().immediate(true).await;
        answer.unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// The documents of a collection, in the order of their ids.
    pub(super) async fn all(&self, collection: &str) -> Vec<Document> {
        let found = self.run(doc! { "find": collection, "sort": { "_id": 1 }, "batchSize": 100_000 }).await;
        let batch = found.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
        batch.iter().map(|document| document.as_document().unwrap().clone()).collect()
    }
}
