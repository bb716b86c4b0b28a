//! Takes more memory than it may have.

use guests::plain::{Answer, Request};

guests::handler!(answer);

fn answer(request: Request) -> Answer {
    match request.variant() {
        // Allocates until the allocator gives up, and then traps.
        "eats_memory" => {
            let mut kept = Vec::new();
            loop {
                kept.push(vec![1_u8; 1 << 20]);
                std::hint::black_box(&kept);
            }
        }
        // Asks for what it may not have, is refused, and goes on.
        "asks" => {
            let mut bytes: Vec<u8> = Vec::new();
            let refused = bytes.try_reserve_exact(1 << 30).is_err();
            // Or the compiler finds that nobody needs them, and takes them for granted.
            std::hint::black_box(&mut bytes);
            Answer::text(if refused { "refused" } else { "granted" })
        }
        // Makes the host hold the bytes: a header field of megabytes.
        "headers" => {
            let fields = guests::plain::Fields::new();
            let outcome = (0..64).find_map(|n| fields.append(&format!("x-{n}"), &vec![b'x'; 1 << 20]).err());
            Answer::text(format!("{outcome:?}"))
        }
        // Makes the host hold handles.
        "handles" => {
            let mut kept = Vec::new();
            loop {
                kept.push(guests::plain::Fields::new());
            }
        }
        other => Answer::unknown(other),
    }
}
