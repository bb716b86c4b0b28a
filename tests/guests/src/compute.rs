//! The work of `bench_compute`, which the native server of the benchmarks does as well.

use sha2::{Digest, Sha256};

/// What is hashed: 1 MiB.
const HASHED_BYTES: usize = 1 << 20;

/// How many numbers are sorted.
const SORTED_NUMBERS: usize = 100_000;

/// Makes 1 MiB of fixed bytes; its SHA-256 in hexadecimal digits.
#[must_use]
pub fn hash() -> String {
    let bytes: Vec<u8> = numbers().take(HASHED_BYTES / size_of::<u64>()).flat_map(u64::to_le_bytes).collect();
    Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes 100,000 fixed numbers, sorts them; 16 hexadecimal digits that depend on each number and its place.
#[must_use]
pub fn sort() -> String {
    let mut sorted: Vec<u64> = numbers().take(SORTED_NUMBERS).collect();
    sorted.sort();
    // A real digest would take as long as the sorting.
    let digest = sorted.iter().fold(0_u64, |digest, number| digest.wrapping_mul(31).wrapping_add(*number));
    format!("{digest:016x}")
}

/// Always the same ones, by Marsaglia's xorshift.
fn numbers() -> impl Iterator<Item = u64> {
    let step = |last: &u64| {
        let mut next = *last;
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        Some(next)
    };
    std::iter::successors(Some(0x9e37_79b9_7f4a_7c15), step)
}
