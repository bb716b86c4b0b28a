//! Calls itself without end.

use guests::plain::{Answer, Request};

guests::handler!(answer);

fn answer(_request: Request) -> Answer {
    Answer::text(format!("{}", deeper(std::hint::black_box(1))))
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn deeper(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    // The sum afterwards keeps the call from being a tail call.
    deeper(depth + 1) + frame[(depth % 64) as usize]
}
