//! Every case there is, in the order of the table.

mod cold;
mod compute;
mod documents;
mod documents_alone;
mod growth;
mod hello;
mod many;
mod observed;
mod overload;
mod pool;
mod reclaim;
mod row;
mod sides;
mod stream;
mod writes;

use crate::case::Case;

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    let side_by_side = [hello::cases(), compute::cases(), row::cases(), observed::cases()];
    let longer = [many::cases(), stream::cases(), writes::cases()];
    let documents = [documents::cases(), documents_alone::cases()];
    let alone = [pool::cases(), overload::cases(), reclaim::cases(), cold::cases(), growth::cases()];
    side_by_side.into_iter().chain(longer).chain(documents).chain(alone).flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::bed::Effort;

    #[test]
    fn no_two_rows_have_the_same_name() {
        let all = all();
        let rows: Vec<String> = all.iter().flat_map(|case| case.figures.iter().map(|figure| case.row(figure))).collect();
        let names: BTreeSet<&String> = rows.iter().collect();
        assert_eq!(names.len(), rows.len(), "{rows:?}");
    }

    #[test]
    fn a_run_does_not_take_for_ever() {
        let minutes = |effort| all().iter().map(|case| (case.takes)(effort)).sum::<f64>() / 60.0;
        let (full, quick) = (minutes(Effort::full(5)), minutes(Effort::quick()));
        println!("a full run takes {full:.1} min, a quick one {quick:.1} min");
        assert!(full < 40.0 && quick < 10.0, "{full} {quick}");
    }
}
