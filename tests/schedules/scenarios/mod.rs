//! What happens at once, a file for each kind.

mod documents;
mod leases;
mod pools;
mod stalls;
mod stops;
