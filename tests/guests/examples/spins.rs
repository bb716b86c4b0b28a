//! Computes for ever, and never calls the host.

use guests::plain::{Answer, Request};

guests::handler!(answer);

fn answer(request: Request) -> Answer {
    match request.variant() {
        // Ends by fuel, or by the clock where fuel is unlimited.
        "spins" => loop {
            std::hint::black_box(());
        },
        // One instruction moves it all: neither fuel nor epochs see inside it.
        "copies" => {
            let mut memory = vec![1_u8; 16 << 20];
            loop {
                memory.copy_within(..8 << 20, 8 << 20);
                std::hint::black_box(&memory);
            }
        }
        other => Answer::unknown(other),
    }
}
