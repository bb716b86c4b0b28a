//! What Wharf is compared with: the handlers of the benchmarks, compiled into the server. Listens on a free port and says which.

mod compute;
mod documents;
mod handlers;
mod hello;
mod item;
mod lines;

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use sqlx::{
    ConnectOptions, Pool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::net::TcpListener;

/// The native reference of Wharf's benchmarks.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Says hello, on plain hyper
    Hello,
    /// Computes, on axum
    Compute,
    /// Asks a database, on axum and sqlx, or on axum and the driver of MongoDB
    Database {
        /// `postgres://…`, `sqlite://FILE` or `mongodb://…`
        url: String,
        /// Connections of the pool; all are opened before it listens
        #[arg(long, default_value_t = 32)]
        pool: u32,
        /// Makes the eight statements of `/eight` at once
        #[arg(long)]
        at_once: bool,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let address = listener.local_addr()?;
    let router = match arguments.what {
        What::Hello => {
            println!("listening on http://{address}");
            return hello::serve(listener).await;
        }
        What::Compute => compute::router(),
        What::Database { url, pool, at_once } => database(&url, pool, at_once).await?,
    };
    println!("listening on http://{address}");
    // As Wharf does: an answer in several pieces is not held back.
    let listener = axum::serve::ListenerExt::tap_io(listener, |socket| drop(socket.set_nodelay(true)));
    Ok(axum::serve(listener, router).await?)
}

/// The handlers over a pool that asks no connection whether it is alive before it lends it. sqlx asks each that comes back, while nobody
/// waits for it but the next borrower, and has no switch for that: a round trip a lease that Wharf does not make.
async fn database(url: &str, pool: u32, at_once: bool) -> Result<axum::Router> {
    match url.split_once("://") {
        Some(("postgres", _)) => {
            let options: PgConnectOptions = url.parse()?;
            let pool = PgPoolOptions::new().min_connections(pool).max_connections(pool).test_before_acquire(false);
            let pool = pool.connect_with(options.disable_statement_logging()).await.context("PostgreSQL")?;
            Ok(handlers::postgres::router(forever(pool), at_once))
        }
        Some(("sqlite", file)) => {
            // As Wharf opens it.
            let options = SqliteConnectOptions::new().filename(file).journal_mode(SqliteJournalMode::Wal);
            let options = options.synchronous(SqliteSynchronous::Normal).disable_statement_logging();
            let pool = SqlitePoolOptions::new().min_connections(pool).max_connections(pool).test_before_acquire(false);
            let pool = pool.connect_with(options).await.context("SQLite")?;
            Ok(handlers::sqlite::router(forever(pool), at_once))
        }
        Some(("mongodb", _)) => documents::router(url, pool).await.context("MongoDB"),
        _ => bail!("neither PostgreSQL nor SQLite nor MongoDB: {url}"),
    }
}

/// For as long as the process: answers that stream outlive their handlers.
fn forever<Database: sqlx::Database>(pool: Pool<Database>) -> &'static Pool<Database> {
    Box::leak(Box::new(pool))
}
