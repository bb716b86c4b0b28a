//! Goes where the test says, and leaves as the test says, for the matrix of faults.
//!
//! The query has the state to reach and the SQL of the engine. A question to the database `signal` tells the test that the guest is
//! there; the end of the request's body tells the guest to leave.

use guests::{
    exits::{self, Left},
    plain::{
        Connection, Cursor, Database, Error, ErrorCode, ErrorKind, Guest, IncomingRequest, Request, ResponseOutparam,
        Transaction, TransactionOptions, Writer, monotonic_clock,
    },
};

struct Matrix;

impl Guest for Matrix {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        let request = Request::new(request);
        // What the test does to the database may make any of it fail; what is held is held all the same.
        let mut held = Held::default();
        if held.reach(&request).is_ok() {
            let _ = Database::open("signal").and_then(|signal| signal.query("SELECT 1", &[]));
        }
        // Nothing comes in it but its end.
        let _ = request.body();
        leave(&request, outparam, held);
    }
}

guests::plain::export!(Matrix);

/// What is in hand; children before their parents.
#[derive(Default)]
struct Held {
    cursor: Option<Cursor>,
    transaction: Option<Transaction>,
    connections: Vec<Connection>,
}

impl Held {
    /// Comes back when the state is reached; from a call that is in flight only when that has ended.
    fn reach(&mut self, request: &Request) -> Result<(), Error> {
        let database = request.database();
        for _ in 0..request.number("connections", 1) {
            self.connections.push(marked(&database, request)?);
        }
        let connection = &self.connections[0];
        let sql = |name| request.parameter(name).unwrap_or_default();
        match request.variant() {
            "acquiring" | "ready" => return Ok(()),
            "statement-running" => return connection.query(&sql("slow"), &[]).map(drop),
            _ => {}
        }
        let transaction = self.transaction.insert(begin(connection, request.variant())?);
        match request.variant() {
            "begin-in-flight" => Ok(()),
            "in-transaction" => transaction.execute(&sql("insert"), &[]).map(drop),
            "commit-in-flight" => {
                transaction.execute(&sql("insert"), &[])?;
                transaction.commit()
            }
            "cursor-half-read" => self.cursor.insert(transaction.cursor(&sql("rows"), &[])?).next(1).map(drop),
            other => panic!("no state {other}"),
        }
    }
}

/// A connection with something left in its session.
fn marked(database: &Database, request: &Request) -> Result<Connection, Error> {
    let connection = database.connect()?;
    for sql in request.parameter("residue").unwrap_or_default().lines() {
        connection.execute(sql, &[])?;
    }
    Ok(connection)
}

/// As often as another writer is in the way; to read only, where it does.
fn begin(connection: &Connection, state: &str) -> Result<Transaction, Error> {
    loop {
        match connection.begin(TransactionOptions { isolation: None, read_only: state == "cursor-half-read" }) {
            Err(error) if error.kind == ErrorKind::Busy => {}
            other => return other,
        }
    }
}

fn leave(request: &Request, outparam: ResponseOutparam, held: Held) {
    match exits::leave(&request.parameter("exit").unwrap_or_default(), held) {
        Left::Answer => Writer::start(outparam, 200, "text/plain").finish(),
        Left::Fail => ResponseOutparam::set(outparam, Err(ErrorCode::InternalError(None))),
        Left::Wait(held) => {
            monotonic_clock::subscribe_duration(600_000_000_000).block();
            drop(held);
        }
    }
}
