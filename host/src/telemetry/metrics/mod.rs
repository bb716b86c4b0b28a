//! Metrics: [`Cells`] and [`Histogram`]s count on the hot path, without a lock and without a look-up; [`Text`] is what Prometheus reads.
//!
//! The crates that there are for this share a cache line between all cores, or take a lock, at every observation.

mod cells;
mod histogram;
mod text;

pub use self::{
    cells::Cells,
    histogram::{Bounds, Histogram},
    text::{CONTENT_TYPE, Histograms, Labels, Numbers, Text},
};
