//! The stand-in for MongoDB, which ends what runs, and what a session has, as MongoDB does. It keeps no documents: whether a transaction has
//! written anything is not seen here.

use futures::future::{BoxFuture, FutureExt, ready};
use mongodb::{
    Client,
    bson::{Document, doc, oid::ObjectId},
    options::{ClientOptions, ServerMonitoringMode},
};
use support::{proxy::Proxy, wire::Wire};

use super::{Asked, Sessions, Side, State, break_off, mongodb::ROWS};

const DATABASE: &str = "stand_in";

pub(super) struct StandIn {
    wire: Wire,
    own: Client,
}

impl StandIn {
    pub(super) async fn create() -> Self {
        let wire = Wire::start_forgetful();
        wire.answer("insert", &doc! { "ok": 1, "n": 2 });
        let batches: [Vec<Document>; 3] = [vec![doc! { "_id": 1 }, doc! { "_id": 2 }], vec![doc! { "_id": 3 }], Vec::new()];
        wire.answer_batches("find", &format!("{DATABASE}.{ROWS}"), &batches);
        let mut options = ClientOptions::parse(wire.url(DATABASE)).await.unwrap();
        options.app_name = Some("the test".to_owned());
        options.max_pool_size = Some(1);
        options.server_monitoring_mode = Some(ServerMonitoringMode::Poll);
        Self { wire, own: Client::with_options(options).unwrap() }
    }

    fn listed(&self) -> Sessions {
        let sockets = self.wire.sockets();
        // A session has a socket to work with and one to watch the server, both of its name.
        let open = |name: String| {
            let open = sockets.iter().filter(|(app, sockets)| app.starts_with(&name) && sockets.open > 0);
            i64::try_from(open.count()).unwrap()
        };
        let mut busy: Vec<String> = self.wire.waiting().into_iter().map(|command| format!("{command} runs")).collect();
        for (count, what) in [(self.wire.transactions(), "transactions"), (self.wire.cursors(), "cursors")] {
            if count > 0 {
                busy.push(format!("{what}: {count}"));
            }
        }
        let (pooled, control) = (open(format!("wharf {DATABASE} ")), open("wharf control ".to_owned()));
        Sessions { pooled, control, busy: busy.join(", ") }
    }
}

impl Side for StandIn {
    fn server(&self) -> Option<(String, String)> {
        // Nobody logs in.
        Some((self.wire.address().to_string(), "wharf control".to_owned()))
    }

    fn urls(&self, proxy: Option<&Proxy>) -> (String, Option<String>) {
        let Some(proxy) = proxy else { panic!("a server is behind a proxy") };
        (format!("mongodb://{}/{DATABASE}?directConnection=true", proxy.address()), None)
    }

    fn prepare(&self, state: State) {
        match state {
            State::StatementRunning => self.wire.block("update"),
            State::FirstOperation => self.wire.block("insert"),
            State::CommitInFlight => self.wire.block("commitTransaction"),
            _ => {}
        }
    }

    fn pulse(&self) -> Asked<'_, ()> {
        async move {
            // A question for news, which is let lie for a moment.
            let known = doc! { "processId": ObjectId::from_bytes([1; 12]), "counter": 0_i64 };
            let question = doc! { "hello": 1, "topologyVersion": known, "maxAwaitTimeMS": 5 };
            let asked = self.own.database("admin").run_command(question).await;
            asked.map(drop).map_err(|error| format!("the test's own connection: {error}"))
        }
        .boxed()
    }

    fn sessions(&self) -> BoxFuture<'_, Option<Sessions>> {
        ready(Some(self.listed())).boxed()
    }

    fn shows<'a>(&'a self, state: State, sessions: &'a Sessions) -> BoxFuture<'a, bool> {
        let shown = match state {
            State::StatementRunning => "update runs",
            State::FirstOperation => "insert runs, transactions: 1",
            State::CommitInFlight => "commitTransaction runs, transactions: 1",
            State::InTransaction => "transactions: 1",
            State::CursorHalfRead | State::FindBeforeReply => "cursors: 1",
            State::Acquiring | State::Ready | State::BeginInFlight => panic!("there is no such cell"),
        };
        ready(sessions.busy == shown).boxed()
    }

    fn left(&self) -> Asked<'_, String> {
        // All that it has is listed.
        ready(Ok(String::new())).boxed()
    }

    fn notes(&self) -> Asked<'_, i64> {
        ready(Ok(0)).boxed()
    }

    fn kill<'a>(&'a self, proxy: Option<&'a Proxy>) -> Asked<'a, ()> {
        break_off(proxy)
    }

    fn expire(&self) {
        self.wire.expire_sessions();
    }

    fn sweep(&self) -> Asked<'_, ()> {
        self.wire.release();
        self.wire.expire_sessions();
        ready(Ok(())).boxed()
    }
}
