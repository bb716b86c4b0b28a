//! A handler of WASI 0.3 that uses what the SDK has for it: two queries at once, a transaction, a streamed body.

use serde::Deserialize;
use wharf_sdk::asynchronous::prelude::*;

wharf_sdk::async_handler!(
    Router::new().get("/patients/{id}", show).post("/patients/{id}/visits", visit).get("/patients.ndjson", export)
);

/// Asks two things at the same time, each on a connection of its own.
async fn show(request: &Request) -> Result<Response> {
    let id: i64 = request.path("id")?;
    let clinic = Database::open("clinic")?;
    let (patient, visits) = futures::join!(
        clinic.query("SELECT id, name, born FROM patients WHERE id = $1", params![id]),
        clinic.query("SELECT at, reason FROM visits WHERE patient_id = $1 ORDER BY at", params![id]),
    );
    let patient = patient?.one()?.ok_or_else(|| Error::not_found("no such patient"))?;
    Response::json(&serde_json::json!({ "patient": patient, "visits": visits? }))
}

#[derive(Deserialize)]
struct NewVisit {
    reason: String,
}

async fn visit(request: &Request) -> Result<Response> {
    let id: i64 = request.path("id")?;
    let new: NewVisit = request.json().await?;
    let work = async |transaction: &Transaction| {
        let insert = "INSERT INTO visits (patient_id, at, reason) VALUES ($1, $2, $3)";
        transaction.execute(insert, params![id, TimestampTz::now(), &new.reason]).await?;
        transaction.execute("UPDATE patients SET visits_count = visits_count + 1 WHERE id = $1", params![id]).await
    };
    Database::open("clinic")?.transaction(work).await?;
    Ok(Response::status(201))
}

/// The host fetches a batch while the last one is sent.
async fn export(_: &Request) -> Result<Response> {
    let clinic = Database::open("clinic")?;
    let mut patients = clinic.cursor("SELECT id, name FROM patients ORDER BY id", params![]).await?.batches()?;
    Ok(Response::stream("application/x-ndjson", async move |body: &mut BodyWriter| {
        while let Some(rows) = patients.next().await {
            let mut lines = Vec::new();
            for row in &rows? {
                serde_json::to_writer(&mut lines, &row)?;
                lines.push(b'\n');
            }
            body.send(lines).await?;
        }
        Ok(())
    }))
}
