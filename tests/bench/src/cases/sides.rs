//! Wharf and the native server on the same database, each with a pool of the same size.

use anyhow::Result;
use futures::FutureExt;

use crate::{
    bed::Bed,
    case::{Case, Figure, Target},
    contest::{self, Contest, Question},
    servers::{
        Server, native,
        wharf::{self, Logging},
    },
};

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Postgres,
    Sqlite,
}

/// How both are set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    pub(super) engine: Engine,
    pub(super) guest: &'static str,
    /// Connections of either pool.
    pub(super) pool: usize,
    /// Whether the native server makes the statements of `/eight` at once.
    pub(super) at_once: bool,
    pub(super) logging: Logging,
}

/// Both servers.
#[derive(Debug)]
pub(super) struct Sides {
    pub(super) wharf: Server,
    pub(super) native: Server,
}

/// A case that asks both, of which the rate counts.
pub(super) fn case(name: &'static str, setup: Setup, question: Question, target: Option<Target>) -> Case {
    let figures = vec![Figure::main("requests/s", target)];
    Case::new(name, figures, move |bed| async move { Ok(vec![setup.contest(bed, question).await?.requests()]) }.boxed())
}

impl Setup {
    /// A guest of WASI 0.2, and pools of 32.
    pub(super) const fn of(engine: Engine) -> Self {
        Self { engine, guest: "bench_sql", pool: 32, at_once: false, logging: Logging::Default }
    }

    /// Starts both.
    ///
    /// # Errors
    /// When one does not come to listen.
    pub(super) async fn start(self, bed: &Bed) -> Result<Sides> {
        let url = self.url(bed).await?;
        let wharf = wharf::start("", &self.toml(&url), self.logging).await?;
        let pool = format!("--pool={}", self.pool);
        let arguments = ["database", &url, &pool, "--at-once"];
        let native = native::start(&arguments[..if self.at_once { 4 } else { 3 }]).await?;
        Ok(Sides { wharf, native })
    }

    /// Where its database is.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) async fn url(self, bed: &Bed) -> Result<String> {
        Ok(match self.engine {
            Engine::Postgres => {
                let database = bed.postgres().await;
                database.url(&database.owner)
            }
            Engine::Sqlite => format!("sqlite://{}", bed.sqlite().await?.display()),
        })
    }

    /// What Wharf is told of it and of the guest.
    pub(super) fn toml(self, url: &str) -> String {
        // All connections of the native pool are opened before it listens, and none is closed while it is idle.
        let pool = self.pool;
        let database = format!("[databases.main]\nurl = {url:?}\nmin_connections = {pool}\nmax_connections = {pool}\n");
        database + "\n" + &wharf::plugin("sql", self.guest, "databases.main = { access = \"read-write\" }")
    }

    /// Starts both, asks them by turns, and stops them.
    ///
    /// # Errors
    /// When a server fails, or an answer is wrong.
    pub(super) async fn contest(self, bed: &Bed, question: Question) -> Result<Contest> {
        let mut sides = self.start(bed).await?;
        let contest = contest::hold(bed, question, &mut sides.wharf, &mut sides.native).await?;
        sides.stop().await?;
        Ok(contest)
    }
}

impl Sides {
    /// Ends both. Wharf proves that it leaves no connection, and fails otherwise.
    ///
    /// # Errors
    /// Then.
    pub(super) async fn stop(self) -> Result<()> {
        self.wharf.stop().await
    }
}
