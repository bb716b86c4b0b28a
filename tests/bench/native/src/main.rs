//! What Wharf is compared with: handlers that are compiled into the server.

use std::process::ExitCode;

fn main() -> ExitCode {
    eprintln!("nothing is served yet");
    ExitCode::FAILURE
}
