//! What happens at once, a file for each kind.

mod changes;
mod documents;
mod grants;
mod leases;
mod pools;
mod stalls;
mod stops;
