//! The twin of `bench_hello` for WASI 0.3.

use guests::concurrent::{self, ErrorCode, Guest, IncomingRequest, Response};

struct Hello;

impl Guest for Hello {
    async fn handle(_: IncomingRequest) -> Result<Response, ErrorCode> {
        Ok(concurrent::text(200, "hello"))
    }
}

guests::concurrent::export!(Hello);
