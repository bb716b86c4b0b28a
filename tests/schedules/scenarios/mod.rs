//! What happens at once, a file for each kind.

mod changes;
mod grants;
mod leases;
mod pools;
mod stalls;
mod stops;
