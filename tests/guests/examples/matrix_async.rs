//! The twin of `matrix` for WASI 0.3: it can leave while a call of its own is in flight.

use futures::future::{self, Either};
use guests::{
    concurrent::{
        self, Connection, Cursor, Database, ErrorCode, Guest, IncomingRequest, Request, Response, Transaction, monotonic_clock,
    },
    exits::{self, Left},
    plain::{Error, ErrorKind, TransactionOptions},
};

struct MatrixAsync;

impl Guest for MatrixAsync {
    async fn handle(request: IncomingRequest) -> Result<Response, ErrorCode> {
        let request = Request::new(request);
        let wanted = Wanted::new(&request);
        let exit = request.parameter("exit").unwrap_or_default();
        let reaching = Box::pin(wanted.reach());
        let sign = Box::pin(request.body());
        match future::select(reaching, sign).await {
            Either::Left((held, sign)) => {
                sign.await;
                leave(&exit, held).await
            }
            Either::Right((_, in_flight)) => leave(&exit, in_flight).await,
        }
    }
}

guests::concurrent::export!(MatrixAsync);

/// What the request asks for.
struct Wanted {
    database: Database,
    state: String,
    connections: u64,
    residue: String,
    slow: String,
    insert: String,
    rows: String,
}

/// What is in hand; children before their parents.
#[derive(Default)]
struct Held {
    cursor: Option<Cursor>,
    transaction: Option<Transaction>,
    connections: Vec<Connection>,
}

impl Wanted {
    fn new(request: &Request) -> Self {
        let text = |name| request.parameter(name).unwrap_or_default();
        Self {
            database: request.database(),
            state: request.variant().to_owned(),
            connections: request.number("connections", 1),
            residue: text("residue"),
            slow: text("slow"),
            insert: text("insert"),
            rows: text("rows"),
        }
    }

    /// What the test does to the database may make any of it fail; what is held is held all the same.
    async fn reach(self) -> Held {
        let mut held = Held::default();
        if self.try_reach(&mut held).await.is_ok()
            && let Ok(signal) = Database::open("signal")
        {
            let _ = signal.query("SELECT 1".to_owned(), Vec::new()).await;
        }
        held
    }

    async fn try_reach(&self, held: &mut Held) -> Result<(), Error> {
        for _ in 0..self.connections {
            held.connections.push(self.marked().await?);
        }
        let connection = &held.connections[0];
        match self.state.as_str() {
            "acquiring" | "ready" => return Ok(()),
            "statement-running" => return connection.query(self.slow.clone(), Vec::new()).await.map(drop),
            _ => {}
        }
        let transaction = held.transaction.insert(begin(connection, &self.state).await?);
        match self.state.as_str() {
            "begin-in-flight" => Ok(()),
            "in-transaction" => transaction.execute(self.insert.clone(), Vec::new()).await.map(drop),
            "commit-in-flight" => {
                transaction.execute(self.insert.clone(), Vec::new()).await?;
                transaction.commit().await
            }
            "cursor-half-read" => {
                let cursor = transaction.cursor(self.rows.clone(), Vec::new()).await?;
                held.cursor.insert(cursor).next(1).await.map(drop)
            }
            other => panic!("no state {other}"),
        }
    }

    /// A connection with something left in its session.
    async fn marked(&self) -> Result<Connection, Error> {
        let connection = self.database.connect().await?;
        for sql in self.residue.lines() {
            connection.execute(sql.to_owned(), Vec::new()).await?;
        }
        Ok(connection)
    }
}

/// As often as another writer is in the way; to read only, where it does.
async fn begin(connection: &Connection, state: &str) -> Result<Transaction, Error> {
    loop {
        match connection.begin(TransactionOptions { isolation: None, read_only: state == "cursor-half-read" }).await {
            Err(error) if error.kind == ErrorKind::Busy => {}
            other => return other,
        }
    }
}

async fn leave<T>(exit: &str, held: T) -> Result<Response, ErrorCode> {
    match exits::leave(exit, held) {
        Left::Answer => Ok(concurrent::text(200, "left")),
        Left::Fail => Err(ErrorCode::InternalError(None)),
        Left::Wait(held) => {
            monotonic_clock::wait_for(600_000_000_000).await;
            drop(held);
            Ok(concurrent::text(200, "nothing came"))
        }
    }
}
