//! Visits by month, streamed from a cursor.

use std::io::Write;

use serde::Serialize;
use wharf_sdk::prelude::*;

use crate::clinic;

/// How many visits are in memory at a time.
const BATCH_ROWS: u32 = 500;

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Month {
    month: String,
    visits: u64,
}

/// `GET /report/visits-by-month`: reads the visits in order and sends each month as soon as it is complete.
///
/// If the database fails half way the answer is broken off: the array does not end, so nobody takes the part for the whole.
pub(crate) fn visits_by_month(_: &Request) -> Result<Response> {
    let visits = clinic()?.cursor("SELECT at FROM visits ORDER BY at", params![])?.batch_size(BATCH_ROWS);
    let months = by_month(visits.map(|visit| visit?.get("at")));
    Ok(Response::stream("application/json", move |body| {
        body.write_all(b"[")?;
        for (index, month) in months.enumerate() {
            body.write_all(if index == 0 { b"\n" } else { b",\n" })?;
            serde_json::to_writer(&mut *body, &month?)?;
            body.flush()?;
        }
        Ok(body.write_all(b"\n]\n")?)
    }))
}

/// Counts instants that come in order.
fn by_month(instants: impl Iterator<Item = Result<TimestampTz>>) -> impl Iterator<Item = Result<Month>> {
    let mut instants = instants.map(|at| at.map(|at| at.date().year_month_day())).peekable();
    std::iter::from_fn(move || {
        let (year, month, _) = match instants.next()? {
            Ok(first) => first,
            Err(error) => return Some(Err(error)),
        };
        let mut visits = 1;
        while instants.next_if(|next| matches!(next, Ok((y, m, _)) if (*y, *m) == (year, month))).is_some() {
            visits += 1;
        }
        Some(Ok(Month { month: format!("{year:04}-{month:02}"), visits }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(instants: &[&str]) -> Vec<(String, u64)> {
        let instants: Vec<_> = instants.iter().map(|text| Ok(format!("{text}T10:00:00Z").parse().unwrap())).collect();
        by_month(instants.into_iter()).map(|month| month.map(|month| (month.month, month.visits)).unwrap()).collect()
    }

    #[test]
    fn months_are_counted_apart_even_a_year_apart() {
        assert_eq!(report(&[]), []);
        let months = report(&["2023-01-01", "2023-01-31", "2023-02-01", "2024-02-01", "2024-02-29"]);
        assert_eq!(months, [("2023-01".into(), 2), ("2023-02".into(), 1), ("2024-02".into(), 2)]);
    }

    #[test]
    fn an_error_ends_the_month_it_is_in() {
        let instants = [Ok(TimestampTz::from_micros(0)), Err(Error::other("lost"))];
        let months: Vec<_> = by_month(instants.into_iter()).collect();
        assert_eq!(months.len(), 2);
        assert!(months[1].is_err());
    }
}
