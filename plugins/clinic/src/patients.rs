//! Patients: a page of them, one of them, a new one, a changed one.

use serde::{Deserialize, Serialize};
use wharf_sdk::prelude::*;

use crate::{accept, check_text, clinic, no_such_patient};

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;

/// A patient as in the database and in the answer. Texts borrow from the rows.
#[derive(Serialize, Deserialize)]
struct Patient<'a> {
    id: i64,
    record_number: &'a str,
    name: &'a str,
    born: Date,
    last_seen: Option<TimestampTz>,
    visits_count: i64,
}

#[derive(Serialize)]
struct Page<'a> {
    patients: Vec<Patient<'a>>,
    /// The value of `after` for the next page; null on the last.
    next: Option<i64>,
}

/// What a client may say about a patient.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPatient {
    record_number: String,
    name: String,
    born: Date,
}

impl NewPatient {
    fn check(&self, today: Date) -> Result<()> {
        let mut problem = Problem::new(422, "invalid-patient").detail("the patient is not valid");
        problem = check_text(problem, "record_number", &self.record_number, 20);
        let plain = |character: char| character.is_ascii_alphanumeric() || character == '-';
        if !self.record_number.chars().all(plain) {
            problem = problem.field("record_number", "may have letters, digits and hyphens");
        }
        problem = check_text(problem, "name", &self.name, 200);
        if self.born > today || self.born.year_month_day().0 < 1850 {
            problem = problem.field("born", "must lie between 1850 and today");
        }
        accept(problem)
    }
}

/// `GET /patients?limit=20&after=…`: pages by key, so that a page costs the same however far it is.
pub(crate) fn list(request: &Request) -> Result<Response> {
    let limit = request.query("limit")?.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::new(400, "invalid-query").detail(format!("limit must lie between 1 and {MAX_LIMIT}")).into());
    }
    let after = request.query("after")?.unwrap_or(0_i64);
    // One row more tells whether there is a next page.
    let rows = clinic()?.query(
        "SELECT id, record_number, name, born, last_seen, visits_count FROM patients WHERE id > $1 ORDER BY id LIMIT $2",
        params![after, i64::from(limit) + 1],
    )?;
    let mut patients: Vec<Patient<'_>> = rows.decode()?;
    let more = patients.len() > limit as usize;
    patients.truncate(limit as usize);
    let next = patients.last().filter(|_| more).map(|patient| patient.id);
    Response::json(&Page { patients, next })
}

/// `GET /patients/{id}`
pub(crate) fn show(request: &Request) -> Result<Response> {
    let id = request.path("id")?;
    let row = clinic()?
        .query("SELECT id, record_number, name, born, last_seen, visits_count FROM patients WHERE id = $1", params![id])?
        .one()?
        .ok_or_else(|| no_such_patient(id))?;
    Response::json(&row.decode::<Patient<'_>>()?)
}

/// `POST /patients`
pub(crate) fn create(request: &Request) -> Result<Response> {
    let new: NewPatient = request.json()?;
    new.check(Date::today())?;
    let rows = clinic()?
        .query(
            "INSERT INTO patients (record_number, name, born) VALUES ($1, $2, $3)
             RETURNING id, record_number, name, born, last_seen, visits_count",
            params![&new.record_number, new.name.trim(), new.born],
        )
        .map_err(|error| explain_duplicate(error, &new))?;
    let patients: Vec<Patient<'_>> = rows.decode()?;
    let patient = patients.first().ok_or_else(|| Error::other("the insert returned nothing"))?;
    Ok(Response::json(patient)?.with_status(201).with_header("location", format!("/patients/{}", patient.id)))
}

/// `PUT /patients/{id}`
pub(crate) fn replace(request: &Request) -> Result<Response> {
    let id = request.path("id")?;
    let new: NewPatient = request.json()?;
    new.check(Date::today())?;
    let row = clinic()?
        .query(
            "UPDATE patients SET record_number = $2, name = $3, born = $4 WHERE id = $1
             RETURNING id, record_number, name, born, last_seen, visits_count",
            params![id, &new.record_number, new.name.trim(), new.born],
        )
        .map_err(|error| explain_duplicate(error, &new))?
        .one()?
        .ok_or_else(|| no_such_patient(id))?;
    Response::json(&row.decode::<Patient<'_>>()?)
}

/// The record number is the only unique thing that a client gives.
fn explain_duplicate(error: Error, new: &NewPatient) -> Error {
    if !error.is_unique_violation() {
        return error;
    }
    let detail = format!("there is a patient with record number {} already", new.record_number);
    Problem::new(409, "duplicate-record-number").detail(detail).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong_fields(record_number: &str, name: &str, born: &str) -> Vec<String> {
        let new = NewPatient { record_number: record_number.into(), name: name.into(), born: born.parse().unwrap() };
        let Err(error) = new.check("2024-06-30".parse().unwrap()) else { return Vec::new() };
        let Error::Rejected(problem) = error else { panic!("a rejection: {error}") };
        let problem = serde_json::to_value(&problem).unwrap();
        problem["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn valid_patients_pass_and_each_wrong_field_is_named() {
        assert_eq!(wrong_fields("WC-00001", "Zoë O'Fenn", "1984-06-02"), Vec::<String>::new());
        assert_eq!(wrong_fields("WC-00001", "Zoë", "2024-06-30"), Vec::<String>::new());
        assert_eq!(wrong_fields("", "  ", "2024-07-01"), ["record_number", "name", "born"]);
        assert_eq!(wrong_fields("WC 1", &"x".repeat(201), "1849-12-31"), ["record_number", "name", "born"]);
        assert_eq!(wrong_fields("W-12345678901234567890", "x", "infinity"), ["record_number", "born"]);
    }
}
