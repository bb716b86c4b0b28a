//! What happens at once, a file for each kind.

mod grants;
mod leases;
mod pools;
mod stalls;
mod stops;
