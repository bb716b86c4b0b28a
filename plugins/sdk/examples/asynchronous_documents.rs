//! A handler of WASI 0.3 on a document database: two reads at once, a transaction, a streamed body.

use serde::{Deserialize, Serialize};
use wharf_sdk::asynchronous::documents::prelude::*;

wharf_sdk::async_handler!(
    Router::new().get("/orders/{number}", show).post("/orders/{number}/pay", pay).get("/orders.ndjson", export)
);

#[derive(Serialize, Deserialize)]
struct Order {
    number: i64,
    customer: String,
    cents: i64,
    paid: bool,
}

#[derive(Serialize, Deserialize)]
struct Customer {
    name: String,
    cents: i64,
}

fn orders() -> Result<Collection<Order>> {
    Database::open("shop")?.collection("orders")
}

/// Asks two things at the same time, each on a connection of its own.
async fn show(request: &Request) -> Result<Response> {
    let number: i64 = request.path("number")?;
    let orders = orders()?;
    let (order, unpaid) = futures::join!(
        orders.find(doc! { "number": number }).one(),
        orders.find(doc! { "paid": false, "number": { "$lt": number } }).count(),
    );
    let order = order?.ok_or_else(|| Error::not_found("no such order"))?;
    Response::json(&serde_json::json!({ "order": order, "unpaid_before": unpaid? }))
}

/// Takes the money and marks the order, both or neither.
async fn pay(request: &Request) -> Result<Response> {
    let number: i64 = request.path("number")?;
    let work = async |transaction: &Transaction| {
        let orders = transaction.collection::<Order>("orders")?;
        let mark = doc! { "$set": { "paid": true } };
        let order = orders.find_and_update(doc! { "number": number, "paid": false }, mark).run().await?;
        let order = order.ok_or_else(|| Error::conflict("there is no such order, or it is paid"))?;
        let rich = doc! { "name": &order.customer, "cents": { "$gte": order.cents } };
        let customers = transaction.collection::<Customer>("customers")?;
        let taken = customers.update_one(rich, doc! { "$inc": { "cents": -order.cents } }).run().await?;
        if taken.matched == 1 { Ok(()) } else { Err(Error::conflict("there is not enough money")) }
    };
    Database::open("shop")?.transaction(work).await?;
    Ok(Response::no_content())
}

/// The host fetches a batch while the last one is sent.
async fn export(_: &Request) -> Result<Response> {
    let mut batches = orders()?.find(doc! {}).sort(doc! { "number": 1 }).cursor().await?.batches()?;
    Ok(Response::stream("application/x-ndjson", async move |body: &mut BodyWriter| {
        while let Some(batch) = batches.next().await {
            let mut lines = Vec::new();
            for order in batch?.decode::<Order>()? {
                serde_json::to_writer(&mut lines, &order)?;
                lines.push(b'\n');
            }
            body.send(lines).await?;
        }
        Ok(())
    }))
}
