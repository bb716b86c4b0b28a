//! Prints more than anybody wants to read.

use std::io::Write;

use guests::plain::{Answer, Request};

guests::handler!(answer);

fn answer(request: Request) -> Answer {
    match request.variant() {
        "prints" => loop {
            println!("the same line over and over");
        },
        "stderr" => loop {
            eprintln!("the same complaint over and over");
        },
        // One line that never ends.
        "line" => {
            let mut stdout = std::io::stdout();
            loop {
                let _ = stdout.write_all(&[b'x'; 4096]);
                let _ = stdout.flush();
            }
        }
        // What would forge a line of the log, or move the cursor of a terminal, if it were passed on as it is.
        "forged" => {
            println!("harmless\r\n2026-01-01T00:00:00Z ERROR wharf: forged \u{1b}[2J\u{7} and \u{0} bytes");
            let _ = std::io::stdout().write_all(b"not \xff\xfe UTF-8\n");
            Answer::text("printed")
        }
        // `?count=` lines, and then an answer.
        "some" => {
            for line in 0..request.number("count", 1) {
                println!("line {line}");
                eprintln!("complaint {line}");
            }
            Answer::text("printed")
        }
        other => Answer::unknown(other),
    }
}
