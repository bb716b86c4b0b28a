//! Visits: a new one, with all that it changes.

use serde::{Deserialize, Serialize};
use wharf_sdk::prelude::*;

use crate::{accept, check_text, clinic, no_such_patient};

/// What a client may say about a visit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewVisit {
    reason: String,
    /// Now, unless told.
    at: Option<TimestampTz>,
}

impl NewVisit {
    fn check(&self, now: TimestampTz) -> Result<()> {
        let mut problem = Problem::new(422, "invalid-visit").detail("the visit is not valid");
        problem = check_text(problem, "reason", &self.reason, 200);
        if self.at.is_some_and(|at| at > now || at.date().year_month_day().0 < 1900) {
            problem = problem.field("at", "must lie between 1900 and now");
        }
        accept(problem)
    }
}

#[derive(Serialize)]
struct Visit<'a> {
    id: i64,
    patient_id: i64,
    at: TimestampTz,
    reason: &'a str,
    patient: Seen,
}

/// What the visit made of its patient.
#[derive(Serialize, Deserialize)]
struct Seen {
    last_seen: TimestampTz,
    visits_count: i64,
}

/// `POST /patients/{id}/visits`: inserts the visit, counts it and moves the patient's last-seen, all or nothing.
pub(crate) fn create(request: &Request) -> Result<Response> {
    let patient_id = request.path("id")?;
    let new: NewVisit = request.json()?;
    let now = TimestampTz::now();
    new.check(now)?;
    let at = new.at.unwrap_or(now);
    let reason = new.reason.trim();

    let transaction = clinic()?.begin()?;
    // The update comes first: it locks the patient and tells whether there is one.
    let seen: Seen = transaction
        .query(
            "UPDATE patients
             SET visits_count = visits_count + 1,
                 last_seen = CASE WHEN last_seen IS NULL OR last_seen < $2 THEN $2 ELSE last_seen END
             WHERE id = $1
             RETURNING last_seen, visits_count",
            params![patient_id, at],
        )?
        .one()?
        .ok_or_else(|| no_such_patient(patient_id))?
        .decode()?;
    let id = transaction
        .query("INSERT INTO visits (patient_id, at, reason) VALUES ($1, $2, $3) RETURNING id", params![patient_id, at, reason])?
        .scalar()?;
    transaction.commit()?;

    Ok(Response::json(&Visit { id, patient_id, at, reason, patient: seen })?.with_status(201))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_have_a_reason_and_are_not_in_the_future() {
        let now: TimestampTz = "2024-06-30T12:00:00Z".parse().unwrap();
        let check = |reason: &str, at: Option<&str>| {
            NewVisit { reason: reason.into(), at: at.map(|at| at.parse().unwrap()) }.check(now).is_ok()
        };
        assert!(check("vaccination", None) && check("vaccination", Some("2024-06-30T14:00:00+02:00")));
        assert!(!check(" ", None) && !check("vaccination", Some("2024-06-30T12:00:01Z")));
        assert!(!check("vaccination", Some("infinity")) && !check("vaccination", Some("-infinity")));
    }
}
