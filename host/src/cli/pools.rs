//! `wharf pools`: how the databases are, and their pauses.

use std::time::Duration;

use anyhow::{anyhow, bail};
use http::Method;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    Failure, PoolsAction, args,
    client::Client,
    print,
    table::{Table, document as shown, duration, lines},
    view::{self, block_on, read},
};

/// Where all is told.
const HEALTH: &str = "/health/database-pool";

/// How often a host is asked whether a database is drained.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Shows the databases, or does what is asked.
///
/// # Errors
/// [`Failure`].
pub(super) fn run(args::Pools { view, action }: &args::Pools) -> Result<(), Failure> {
    let Some(action) = action else { return view::show(view, HEALTH, render) };
    let (PoolsAction::Drain { name, .. } | PoolsAction::Resume { name }) = action;
    if view.watch.is_some() {
        return Err(Failure::Usage(anyhow!("`--watch` is for looking")));
    }
    let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.is_empty() || !name.bytes().all(is_of_a_name) {
        return Err(Failure::Usage(anyhow!("`{}` cannot be the name of a database", name.escape_debug())));
    }
    let client = Client::find(&view.asked)?;
    block_on(async {
        let document = match action {
            PoolsAction::Drain { timeout, .. } => drain(&client, name, *timeout).await?,
            PoolsAction::Resume { .. } => read(&client.ask(Method::POST, &format!("/pools/{name}/resume")).await?)?,
        };
        if view.json {
            return print(&shown(document.to_string().as_bytes()));
        }
        print(&lines(&format!("database {name}: {}\n", Pool::deserialize(&document)?.state)))
    })
}

/// Pauses a database, and waits until it has no connection any more.
async fn drain(client: &Client, name: &str, timeout: Duration) -> anyhow::Result<Value> {
    let deadline = Instant::now() + timeout;
    let mut document: Value = read(&client.ask(Method::POST, &format!("/pools/{name}/drain")).await?)?;
    loop {
        let pool = Pool::deserialize(&document)?;
        match pool.state.as_str() {
            "drained" => return Ok(document),
            "draining" => {}
            _ => bail!("database {name} has been resumed meanwhile"),
        }
        if Instant::now() >= deadline {
            bail!(
                "database {name} has {} connections still, {} of them lent and {} unconfirmed, after {}; it lends nothing until `wharf \
                 pools resume {name}`, and `wharf ps` says who holds them",
                pool.total(),
                pool.leased,
                pool.unconfirmed,
                humantime::format_duration(timeout)
            );
        }
        sleep(LOOK_AGAIN.min(deadline.saturating_duration_since(Instant::now()))).await;
        // By looking: to pause it again would undo that somebody has resumed it meanwhile.
        let health: Value = read(&client.ask(Method::GET, HEALTH).await?)?;
        let mut databases = health["databases"].as_array().into_iter().flatten();
        let Some(found) = databases.find(|pool| pool["name"] == name && pool["last_generation"].is_null()) else {
            bail!("database {name} is in no configuration any more; calls that began before may use it still");
        };
        document = found.clone();
    }
}

/// What is read of the document.
#[derive(Deserialize)]
struct Pools {
    active: String,
    databases: Vec<Pool>,
}

#[derive(Deserialize)]
struct Pool {
    name: String,
    state: String,
    /// If it leaves.
    last_generation: Option<u64>,
    max: u64,
    connecting: u64,
    idle: u64,
    leased: u64,
    reclaiming: u64,
    unconfirmed: u64,
    waiters: u64,
    oldest_lease_ms: Option<u64>,
    reclaimed: Vec<Reclaimed>,
    last_errors: Vec<Trouble>,
    plugins: Vec<Share>,
}

#[derive(Deserialize)]
struct Reclaimed {
    reason: String,
    step: String,
    since_start: u64,
    last_24h: u64,
}

#[derive(Deserialize)]
struct Trouble {
    at: String,
    times: u64,
    during: String,
    message: String,
}

#[derive(Deserialize)]
struct Share {
    plugin: String,
    access: String,
    max: u64,
    reserved: u64,
    leased: u64,
    waiting: u64,
}

impl Pool {
    fn total(&self) -> u64 {
        self.connecting + self.idle + self.leased + self.reclaiming + self.unconfirmed
    }
}

/// The databases, what each plugin has of them, and where there is something to tell, what was taken back and what went wrong.
fn render(Pools { active, databases }: &Pools, width: Option<usize>) -> String {
    let mut pools = Table::new([
        "DATABASE",
        "STATE",
        "ACTIVE",
        "IDLE",
        "LEASED",
        "RECLAIMING",
        "UNCONFIRMED",
        "WAITING",
        "OLDEST",
        "RECLAIMED-24H",
        "LAST-ERROR",
    ]);
    let mut shares = Table::new(["PLUGIN", "DATABASE", "ACCESS", "LEASED", "RESERVED", "WAITING"]);
    let mut reclaims = Table::new(["RECLAIMED", "BECAUSE", "BY", "24H", "SINCE-START"]);
    let mut troubles = Table::new(["ERRORS", "LAST", "TIMES", "DURING", "MESSAGE"]);
    for pool in databases {
        let name = || pool.name.clone();
        pools.row([
            name(),
            pool.last_generation.map_or_else(|| pool.state.clone(), |_| format!("{}, leaving", pool.state)),
            format!("{}/{}", pool.total(), pool.max),
            pool.idle.to_string(),
            pool.leased.to_string(),
            pool.reclaiming.to_string(),
            pool.unconfirmed.to_string(),
            pool.waiters.to_string(),
            pool.oldest_lease_ms.map_or_else(|| "-".to_owned(), duration),
            pool.reclaimed.iter().map(|reclaimed| reclaimed.last_24h).sum::<u64>().to_string(),
            pool.last_errors.first().map_or_else(|| "-".to_owned(), |trouble| format!("{} {}", trouble.at, trouble.during)),
        ]);
        for Share { plugin, access, max, reserved, leased, waiting } in &pool.plugins {
            let (leased, reserved) = (format!("{leased}/{max}"), reserved.to_string());
            shares.row([plugin.clone(), name(), access.clone(), leased, reserved, waiting.to_string()]);
        }
        for Reclaimed { reason, step, since_start, last_24h } in &pool.reclaimed {
            reclaims.row([name(), reason.clone(), step.clone(), last_24h.to_string(), since_start.to_string()]);
        }
        for Trouble { at, times, during, message } in &pool.last_errors {
            troubles.row([name(), at.clone(), times.to_string(), during.clone(), message.clone()]);
        }
    }
    let tables = [pools, shares, reclaims, troubles].into_iter().filter(|table| !table.is_empty());
    let tables: String = tables.map(|table| format!("\n{}", table.render(width))).collect();
    format!("connections: {active}\n{tables}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pool(name: &str, more: Value) -> Value {
        let mut pool = json!({
            "name": name, "state": "up", "max": 10, "connecting": 0, "idle": 1, "leased": 0, "reclaiming": 0, "unconfirmed": 0,
            "waiters": 0, "oldest_lease_ms": null, "reclaimed": [], "last_errors": [], "plugins": [],
        });
        for (key, value) in more.as_object().unwrap() {
            pool[key] = value.clone();
        }
        pool
    }

    #[test]
    fn a_database_that_leaves_says_so_beside_another_of_its_name() {
        let (new, old) = (pool("clinic", json!({ "last_generation": null })), pool("clinic", json!({ "last_generation": 3 })));
        let pools: Pools = serde_json::from_value(json!({ "active": "2/50", "databases": [new, old] })).unwrap();
        insta::assert_snapshot!(render(&pools, None), @r"
        connections: 2/50

        DATABASE  STATE        ACTIVE  IDLE  LEASED  RECLAIMING  UNCONFIRMED  WAITING  OLDEST  RECLAIMED-24H  LAST-ERROR
        clinic    up           1/10    1     0       0           0            0        -       0              -
        clinic    up, leaving  1/10    1     0       0           0            0        -       0              -
        ");
    }

    #[test]
    fn everything_is_told_where_there_is_something_to_tell() {
        let quiet = json!({ "active": "1/50", "databases": [pool("clinic", json!({}))] });
        let quiet: Pools = serde_json::from_value(quiet).unwrap();
        insta::assert_snapshot!(render(&quiet, None), @r"
        connections: 1/50

        DATABASE  STATE  ACTIVE  IDLE  LEASED  RECLAIMING  UNCONFIRMED  WAITING  OLDEST  RECLAIMED-24H  LAST-ERROR
        clinic    up     1/10    1     0       0           0            0        -       0              -
        ");
        let busy = pool(
            "clinic",
            json!({
                "state": "down", "idle": 0, "leased": 3, "reclaiming": 1, "unconfirmed": 2, "waiters": 12, "oldest_lease_ms": 4_200,
                "reclaimed": [
                    { "reason": "returned", "step": "rolled-back", "since_start": 7, "last_24h": 3 },
                    { "reason": "timed-out", "step": "killed", "since_start": 1, "last_24h": 1 },
                ],
                "last_errors": [{ "at": "2026-01-02T03:04:05.678Z", "times": 9, "during": "connect", "message": "refused" }],
                "plugins": [
                    { "plugin": "patients", "access": "read-write", "max": 4, "reserved": 1, "leased": 3, "waiting": 12 },
                ],
            }),
        );
        let busy: Pools =
            serde_json::from_value(json!({ "active": "7/50", "databases": [busy, pool("other", json!({}))] })).unwrap();
        insta::assert_snapshot!(render(&busy, None), @r"
        connections: 7/50

        DATABASE  STATE  ACTIVE  IDLE  LEASED  RECLAIMING  UNCONFIRMED  WAITING  OLDEST  RECLAIMED-24H  LAST-ERROR
        clinic    down   6/10    0     3       1           2            12       4.2s    4              2026-01-02T03:04:05.678Z connect
        other     up     1/10    1     0       0           0            0        -       0              -

        PLUGIN    DATABASE  ACCESS      LEASED  RESERVED  WAITING
        patients  clinic    read-write  3/4     1         12

        RECLAIMED  BECAUSE    BY           24H  SINCE-START
        clinic     returned   rolled-back  3    7
        clinic     timed-out  killed       1    1

        ERRORS  LAST                      TIMES  DURING   MESSAGE
        clinic  2026-01-02T03:04:05.678Z  9      connect  refused
        ");
    }
}
