//! What the servers behind the cases of documents give by themselves: the driver asks them in the process of the benchmarks, and nobody speaks
//! HTTP.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{FutureExt, TryStreamExt};
use mongodb::{Client, Database, bson::doc, options::ClientOptions};
use support::mongodb::MongodbDatabase;
use tokio::task::JoinSet;

use crate::{
    bed::{Bed, Effort},
    case::{Case, Figure, Measured},
    collections::{self, Entry, Item, KEY, MANY},
    processor,
    servers::{Server, stand_in},
};

/// Operations at once, each on a connection of its own.
const CLIENTS: u32 = 32;

const NOTED: &str = "what the server gives to the driver alone, without HTTP, 32 operations at once; it is not asked by Wharf";

/// What is asked, each with its figure.
const OPERATIONS: [(&str, Operation); 3] =
    [("find-one", Operation::FindOne), ("find-1000", Operation::FindMany), ("insert-one", Operation::InsertOne)];

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    FindOne,
    FindMany,
    InsertOne,
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let figures = || OPERATIONS.iter().map(|(name, _)| Figure::named(name, "operations/s", None)).collect();
    let takes = |effort: Effort| effort.seconds(1) * OPERATIONS.len() as f64 + 5.0;
    vec![
        Case::new("documents-alone-stand-in", figures(), |bed| canned(bed).boxed()).takes(takes).note(NOTED),
        Case::new("documents-alone-secantusdb", figures(), |bed| served(bed).boxed()).takes(takes).note(NOTED),
    ]
}

/// The stand-in that the other cases ask.
async fn canned(bed: &Bed) -> Result<Vec<Measured>> {
    let server = stand_in::start().await?;
    let client = client(&stand_in::url(&server)).await?;
    let measured = ask_all(bed, &client, Some(&server)).await?;
    client.shutdown().immediate(true).await;
    Ok(measured)
}

/// SecantusDB with access control, or what `WHARF_TEST_MONGODB_URL` names.
async fn served(bed: &Bed) -> Result<Vec<Measured>> {
    bed.tell("starting a server of MongoDB's protocol");
    let database = MongodbDatabase::create().await;
    let info = database.run(doc! { "buildInfo": 1 }).await;
    let version = info.get_str("version").unwrap_or("unknown");
    let given = std::env::var_os("WHARF_TEST_MONGODB_URL").map_or("SecantusDB", |_| "the server of WHARF_TEST_MONGODB_URL");
    let client = client(&database.url(&database.owner)).await?;
    let items = collections::all();
    for name in ["item", "big"] {
        opened(&client)?.collection::<Item>(name).insert_many(&items).await?;
    }
    let measured = ask_all(bed, &client, None).await?;
    client.shutdown().immediate(true).await;
    let told = |measured: Measured| measured.note(format!("{given}, which says that it is version {version}"));
    Ok(measured.into_iter().map(told).collect())
}

async fn client(url: &str) -> Result<Client> {
    let mut options = ClientOptions::parse(url).await?;
    options.max_pool_size = Some(CLIENTS);
    Ok(Client::with_options(options)?)
}

/// The database that the URL of a client names.
fn opened(client: &Client) -> Result<Database> {
    client.default_database().context("the URL names no database")
}

/// Asks for one after the other. Of a server that is a process of ours it is told how busy that was.
async fn ask_all(bed: &Bed, client: &Client, server: Option<&Server>) -> Result<Vec<Measured>> {
    let database = opened(client)?;
    let mut measured = Vec::new();
    for (name, operation) in OPERATIONS {
        rate(&database, operation, bed.effort.warm_up).await.context(name)?;
        let (before, since) = (busy(server)?, Instant::now());
        let rate = rate(&database, operation, bed.effort.load).await.context(name)?;
        bed.tell(&format!("{name}: {rate:.0} operations/s"));
        let note = match (before, busy(server)?) {
            (Some(before), Some(after)) => {
                let share = after.saturating_sub(before).as_secs_f64() / since.elapsed().as_secs_f64();
                format!("its one thread was busy for {:.0} % of the time", share * 100.0)
            }
            _ => String::new(),
        };
        measured.push(Measured::others(rate).note(note));
    }
    Ok(measured)
}

fn busy(server: Option<&Server>) -> Result<Option<Duration>> {
    server.map(|server| processor::time(server.pid()?)).transpose()
}

/// Operations a second.
async fn rate(database: &Database, operation: Operation, duration: Duration) -> Result<f64> {
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let database = database.clone();
        clients.spawn(async move {
            let mut answers = 0_u32;
            while started.elapsed() < duration {
                operation.ask(&database).await?;
                answers += 1;
            }
            anyhow::Ok(answers)
        });
    }
    let mut answers = 0_u32;
    while let Some(client) = clients.join_next().await {
        answers += client??;
    }
    Ok(f64::from(answers) / started.elapsed().as_secs_f64())
}

impl Operation {
    /// Asks once, and looks whether the answer is right.
    async fn ask(self, database: &Database) -> Result<()> {
        match self {
            Self::FindOne => {
                let item = database.collection::<Item>("item").find_one(doc! { "_id": KEY }).await?;
                ensure!(item.is_some_and(|item| item.id == KEY), "there is no item {KEY}");
            }
            Self::FindMany => {
                let big = database.collection::<Item>("big");
                let batch = u32::try_from(MANY)?;
                let found = big.find(doc! {}).sort(doc! { "_id": 1 }).limit(MANY).batch_size(batch).await?;
                let items: Vec<Item> = found.try_collect().await?;
                ensure!(items.len() == batch as usize, "{} of {MANY} documents were found", items.len());
            }
            Self::InsertOne => {
                database.collection::<Entry>("entry").insert_one(Entry::new()).await?;
            }
        }
        Ok(())
    }
}
