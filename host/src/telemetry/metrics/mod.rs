//! Metrics: [`Cells`] and [`Histogram`]s count on the hot path, without a lock and without a look-up; a [`Family`] has histograms that are told
//! apart by a few words; [`Text`] is what Prometheus reads.
//!
//! The crates that there are for this share a cache line between all cores, or take a lock, at every observation.

mod cells;
mod family;
mod histogram;
mod text;

pub use self::{
    cells::Cells,
    family::Family,
    histogram::{Bounds, Histogram, is_on, switch},
    text::{CONTENT_TYPE, Histograms, Labels, Numbers, Text},
};
