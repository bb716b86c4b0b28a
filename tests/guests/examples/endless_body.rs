//! Answers with a body that never ends.

use guests::plain::{Guest, IncomingRequest, Request, ResponseOutparam, TransactionOptions, Writer};

struct EndlessBody;

impl Guest for EndlessBody {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        let request = Request::new(request);
        let chunk = vec![b'x'; 64 * 1024];
        let mut writer = Writer::start(outparam, 200, "text/plain");
        match request.variant() {
            // While it holds a connection, or a transaction: a reader that stalls must not pin it.
            "connection" => {
                let connection = request.database().connect().expect("a connection");
                while writer.write(&chunk).is_ok() {}
                drop(connection);
            }
            "transaction" => {
                let options = TransactionOptions { isolation: None, read_only: false };
                let transaction = request.database().begin(options).expect("a transaction");
                transaction.query("SELECT 1", &[]).expect("one row");
                while writer.write(&chunk).is_ok() {}
                drop(transaction);
            }
            // Goes on although the reader is gone.
            "deaf" => loop {
                let _ = writer.write(&chunk);
            },
            // Some of the body, and then a trap.
            "traps" => {
                let _ = writer.write(&chunk);
                std::process::abort();
            }
            // Some of the body, and then nothing more, for ever.
            "stalls" => {
                let _ = writer.write(&chunk);
                loop {
                    std::hint::black_box(());
                }
            }
            _ => while writer.write(&chunk).is_ok() {},
        }
        writer.finish();
    }
}

guests::plain::export!(EndlessBody);
