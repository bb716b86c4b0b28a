//! The ways out of a call that the matrix of faults takes, for handlers of whichever world.

use std::mem::forget;

/// What is left to do for a handler that leaves.
#[derive(Debug)]
pub enum Left<T> {
    /// To answer; what was in hand still is.
    Answer,
    /// To fail; what was in hand still is.
    Fail,
    /// To wait for what ends the call from outside, with this in hand.
    Wait(T),
}

/// Leaves by this exit with all that is in hand. Comes back where the rest is said in the words of a world.
#[must_use]
pub fn leave<T>(exit: &str, held: T) -> Left<T> {
    match exit {
        "return" => {
            forget(held);
            Left::Answer
        }
        "guest-error" => {
            forget(held);
            Left::Fail
        }
        "trap" => std::process::abort(),
        "out-of-fuel" => loop {
            std::hint::black_box(&held);
        },
        "out-of-memory" => {
            let mut kept = Vec::new();
            loop {
                kept.push(vec![1_u8; 1 << 20]);
                std::hint::black_box((&kept, &held));
            }
        }
        _ => Left::Wait(held),
    }
}
