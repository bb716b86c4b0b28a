//! The kinds of calls: which handler, on which databases, how often, and the answer that is promised.

use serde_json::{Value as Json, json};

use crate::arguments::Mix;

/// A database of the host, under the name that it has in `wharf.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Postgres,
    Mariadb,
    Sqlite,
}

impl Engine {
    pub(crate) const ALL: [Self; 3] = [Self::Postgres, Self::Mariadb, Self::Sqlite];

    /// In `wharf.toml`, and in the queries of the requests.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mariadb => "mariadb",
            Self::Sqlite => "sqlite",
        }
    }

    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Mariadb => "MariaDB",
            Self::Sqlite => "SQLite",
        }
    }

    fn placeholder(self) -> &'static str {
        if self == Self::Postgres { "$1" } else { "?" }
    }
}

/// Whether the handler keeps to the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    Good,
    Hostile,
}

/// One kind of call.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) nature: Nature,
    /// Its share of all calls is this over the sum of all weights.
    pub(crate) weight: u64,
    /// One of them, by chance; the request names it.
    pub(crate) engines: &'static [Engine],
    pub(crate) ask: Ask,
    pub(crate) expected: Expected,
    /// An answer as expected stands for one more hit in the table `counters`.
    pub(crate) writes: bool,
}

/// What the client does.
#[derive(Debug)]
pub(crate) enum Ask {
    /// GET of path and query.
    Get(&'static str),
    /// Has the probe do these steps.
    Steps(fn(Engine, u64) -> Json),
    /// Sends a body of some size to this path.
    Send(&'static str),
    /// GET, and goes away while the handler still waits.
    Leave(&'static str),
    /// GET, reads the beginning of the answer, and goes away.
    Sip(&'static str),
    /// POST of a body that does not end, and goes away in the middle.
    Trickle(&'static str),
    /// The same, and stays for the answer.
    Starve(&'static str),
}

/// What must come of it.
#[derive(Debug)]
pub(crate) enum Expected {
    /// 200 and this text.
    Text(&'static str),
    /// 200 and this text, or 504: calls of this kind keep others waiting until the deadline, and whoever comes late may not get on.
    TextInTime(&'static str),
    /// 200 and JSON that satisfies this.
    Json(fn(&Json) -> bool),
    /// 200 and the bytes that were sent.
    Echo,
    /// A problem document.
    Problem(u16, &'static str),
    /// An answer that does not look whole: cut off, or a problem document of the host's.
    Cut,
    /// 200 and some of the body.
    Begun,
    /// Nothing before the client goes away.
    Nothing,
}

use self::{
    Ask::{Get, Leave, Send, Sip, Starve, Steps, Trickle},
    Expected::{Begun, Cut, Echo, Nothing, Problem, Text},
    Nature::{Good, Hostile},
};

const ALL: &[Engine] = &Engine::ALL;
const SERVERS: &[Engine] = &[Engine::Postgres, Engine::Mariadb];
const POSTGRES: &[Engine] = &[Engine::Postgres];
const MARIADB: &[Engine] = &[Engine::Mariadb];
const SQLITE: &[Engine] = &[Engine::Sqlite];
const NONE: &[Engine] = &[];

const TRAPPED: Expected = Problem(500, "handler-trapped");
const TOO_LATE: Expected = Problem(504, "deadline-exceeded");

const fn kind(name: &'static str, nature: Nature, weight: u64, engines: &'static [Engine], ask: Ask, expected: Expected) -> Kind {
    Kind { name, nature, weight, engines, ask, expected, writes: false }
}

const fn writing(mut kind: Kind) -> Kind {
    kind.writes = true;
    kind
}

/// A statement that waits for a row of MariaDB's which the bed has locked. Of KILLs of sessions that sleep, some last two seconds there (see
/// "How a connection comes back" in ARCHITECTURE.md).
macro_rules! waiting {
    ($path:literal) => {
        concat!($path, "?sql=SELECT+id+FROM+held+LOCK+IN+SHARE+MODE")
    };
}

/// What runs in the midst of a fault costs the database tens of milliseconds and is called rarely; what leaves something behind and
/// ends at once is called often.
pub(crate) const KINDS: &[Kind] = &[
    kind("hello", Good, 20, NONE, Get("/probe/hello"), Text("hello")),
    kind("read", Good, 190, ALL, Steps(read), Expected::Json(three_reads)),
    writing(kind("write", Good, 100, ALL, Steps(write), Expected::Json(one_written))),
    writing(kind("transaction", Good, 100, ALL, Steps(transaction), Expected::Json(nothing_failed))),
    kind("cursor", Good, 60, ALL, Get("/probe/stream?batch=2&sql=SELECT+note+FROM+notes+ORDER+BY+id"), Text(NOTES)),
    kind("echo", Good, 20, NONE, Send("/probe/echo"), Echo),
    kind(
        "async reads",
        Good,
        40,
        ALL,
        Get("/probe_async/concurrent?count=2&sql=SELECT+count(*)+FROM+notes"),
        Expected::Json(two_counts),
    ),
    writing(kind(
        "async transaction",
        Good,
        30,
        ALL,
        Get("/probe_async/transaction?sql=UPDATE+counters+SET+hits%3Dhits%2B1+WHERE+id%3D0"),
        Expected::Json(committed),
    )),
    kind("async cursor", Good, 20, ALL, Get("/probe_async/stream?batch=2&sql=SELECT+note+FROM+notes+ORDER+BY+id"), Text(NOTES)),
    kind("async echo", Good, 10, NONE, Send("/probe_async/echo"), Echo),
    kind("victim of a hijack", Good, 10, POSTGRES, Get("/hijacks/victim"), Expected::Json(three_notes)),
    kind("return with an open transaction", Hostile, 25, ALL, Get("/leaks/transaction"), Text("leaked")),
    kind("return with a cursor", Hostile, 20, ALL, Get("/leaks/cursor"), Text("leaked")),
    kind("return with two connections", Hostile, 15, ALL, Get("/leaks/connections?count=2"), Text("leaked")),
    kind("return with everything", Hostile, 20, ALL, Get("/leaks/all"), Text("leaked")),
    kind("trap in a transaction", Hostile, 25, ALL, Get("/traps"), TRAPPED),
    kind("trap after a savepoint", Hostile, 15, ALL, Get("/traps/savepoint"), TRAPPED),
    kind("trap with a cursor half read", Hostile, 15, ALL, Get("/traps/cursor"), TRAPPED),
    kind("trap in an aborted transaction", Hostile, 15, ALL, Get("/traps/aborted"), TRAPPED),
    kind("trap with a connection", Hostile, 15, ALL, Get("/traps/connection"), TRAPPED),
    kind("panic", Hostile, 15, NONE, Get("/panics"), TRAPPED),
    kind("panic with a connection", Hostile, 15, ALL, Get("/panics/connection"), TRAPPED),
    kind("exit", Hostile, 5, NONE, Get("/panics/exit"), Problem(500, "handler-no-response")),
    kind("exit with a failure", Hostile, 5, NONE, Get("/panics/exit-with-failure"), TRAPPED),
    kind("endless recursion", Hostile, 10, NONE, Get("/overflows_stack"), TRAPPED),
    kind("out of fuel", Hostile, 8, NONE, Get("/spins"), Problem(500, "fuel-exhausted")),
    kind("out of memory", Hostile, 10, NONE, Get("/eats_memory"), Problem(500, "memory-exhausted")),
    kind("memory refused", Hostile, 5, NONE, Get("/eats_memory/asks"), Text("refused")),
    kind("deadline in a statement", Hostile, 3, POSTGRES, Get("/waits"), TOO_LATE),
    kind("deadline in a statement, MariaDB", Hostile, 3, MARIADB, Get(waiting!("/waits")), TOO_LATE),
    kind("deadline in a statement, SQLite", Hostile, 1, SQLITE, Get("/waits"), TOO_LATE),
    kind("deadline in a transaction", Hostile, 3, POSTGRES, Get("/waits/transaction"), TOO_LATE),
    kind("deadline in a transaction, MariaDB", Hostile, 3, MARIADB, Get(waiting!("/waits/transaction")), TOO_LATE),
    kind("deadline in a transaction, SQLite", Hostile, 1, SQLITE, Get("/waits/transaction"), TOO_LATE),
    kind("deadline in a cursor", Hostile, 2, POSTGRES, Get("/waits/cursor"), TOO_LATE),
    kind("deadline in a cursor, MariaDB", Hostile, 2, MARIADB, Get(waiting!("/waits/cursor")), TOO_LATE),
    kind("deadline in an idle transaction", Hostile, 4, SERVERS, Get("/waits/clock-in-transaction"), TOO_LATE),
    kind("deadline without a body", Hostile, 2, NONE, Starve("/waits/body"), TOO_LATE),
    kind("client gone in a statement", Hostile, 3, POSTGRES, Leave("/deserted/connection"), Nothing),
    kind("client gone in a statement, MariaDB", Hostile, 3, MARIADB, Leave(waiting!("/deserted/connection")), Nothing),
    kind("client gone in a transaction", Hostile, 3, POSTGRES, Leave("/deserted/transaction"), Nothing),
    kind("client gone in a transaction, MariaDB", Hostile, 3, MARIADB, Leave(waiting!("/deserted/transaction")), Nothing),
    kind("client gone in a statement, SQLite", Hostile, 1, SQLITE, Leave("/deserted/connection"), Nothing),
    kind("client gone in its own body", Hostile, 4, NONE, Trickle("/deserted/body"), Nothing),
    kind("client gone in an endless answer", Hostile, 5, NONE, Sip("/endless_body"), Begun),
    kind("the same with a connection", Hostile, 6, ALL, Sip("/endless_body/connection"), Begun),
    kind("the same in a transaction", Hostile, 6, ALL, Sip("/endless_body/transaction"), Begun),
    kind("the same and deaf", Hostile, 1, NONE, Sip("/endless_body/deaf"), Begun),
    kind("the same and stalled", Hostile, 1, NONE, Sip("/endless_body/stalls"), Begun),
    kind("no answer", Hostile, 10, NONE, Get("/silent"), Problem(500, "handler-no-response")),
    kind("an answer kept for ever", Hostile, 5, NONE, Get("/silent/keeps"), Problem(500, "handler-no-response")),
    kind("an answer too short", Hostile, 5, NONE, Get("/invalid_response/short"), Cut),
    kind("an answer too long", Hostile, 5, NONE, Get("/invalid_response/long"), Cut),
    kind("an answer without an end", Hostile, 5, NONE, Get("/invalid_response/unfinished"), Cut),
    kind("an interim answer", Hostile, 5, NONE, Get("/invalid_response/interim"), Problem(500, "invalid-response")),
    kind("all connections", Hostile, 6, ALL, Get("/hoards"), Expected::Json(refused_at_its_grant)),
    kind("all transactions", Hostile, 6, SERVERS, Get("/hoards/transactions"), Expected::Json(refused_at_its_grant)),
    kind("use after close", Hostile, 15, ALL, Get("/uses_closed"), Expected::Json(closed_handles)),
    kind("a changed session", Hostile, 10, POSTGRES, Get("/renames"), Expected::Json(is_object)),
    kind("a changed session and a trap", Hostile, 5, POSTGRES, Get("/renames/traps"), TRAPPED),
    kind("a hijacked statement", Hostile, 4, POSTGRES, Get("/hijacks/hijacks"), Expected::Json(hijacked)),
    kind("too many rows", Hostile, 6, ALL, Get("/huge_result?rows=5000"), Expected::Json(over_a_limit)),
    kind("too many bytes", Hostile, 3, ALL, Get("/huge_result/wide?bytes=3000000"), Expected::Json(over_a_limit)),
    kind("much output", Hostile, 5, NONE, Get("/prints/some?count=50"), Text("printed")),
    kind("endless output", Hostile, 2, NONE, Get("/prints"), Problem(500, "fuel-exhausted")),
    kind("async trap in a transaction", Hostile, 8, ALL, Get("/probe_async/traps?sql=DELETE+FROM+notes"), TRAPPED),
    kind("async panic", Hostile, 5, NONE, Get("/probe_async/panics"), TRAPPED),
    kind("async out of fuel", Hostile, 3, NONE, Get("/probe_async/spins"), Problem(500, "fuel-exhausted")),
    kind(
        "async statement given up",
        Hostile,
        4,
        POSTGRES,
        Get("/probe_async/cancel?ms=20&sql=SELECT+pg_sleep(30)"),
        Expected::Json(given_up),
    ),
    kind(
        "async transaction given up",
        Hostile,
        4,
        POSTGRES,
        Get("/probe_async/cancel-in-transaction?ms=20&sql=SELECT+pg_sleep(30)"),
        Expected::Json(given_up),
    ),
    kind(
        "async statement abandoned",
        Hostile,
        4,
        POSTGRES,
        Get("/abandons?sql=SELECT+pg_sleep(30)"),
        Expected::TextInTime("abandoned"),
    ),
];

/// The kinds that take part.
pub(crate) fn chosen(mix: Mix, only: Option<&str>) -> Vec<&'static Kind> {
    let fits = |kind: &&Kind| {
        let nature = match mix {
            Mix::All => true,
            Mix::Good => kind.nature == Good,
            Mix::Hostile => kind.nature == Hostile,
        };
        nature && only.is_none_or(|part| kind.name.contains(part))
    };
    KINDS.iter().filter(fits).collect()
}

/// What the table `notes` has, from beginning to end.
pub(crate) const NOTE: [&str; 3] = ["one", "two", "three"];

/// The same as a cursor tells it, two rows at a time.
const NOTES: &str = "[[{\"text\":\"one\"}],[{\"text\":\"two\"}]]\n[[{\"text\":\"three\"}]]\n";

/// Rows of the table `counters`.
pub(crate) const COUNTERS: u64 = 64;

fn open(engine: Engine) -> Json {
    json!({ "do": "open", "database": engine.name(), "as": "d" })
}

fn hit(on: &str, engine: Engine, number: u64, by: u32) -> Json {
    let sql = format!("UPDATE counters SET hits = hits + {by} WHERE id = {}", engine.placeholder());
    json!({ "do": "execute", "on": on, "sql": sql, "params": [{ "signed": number % COUNTERS }] })
}

fn read(engine: Engine, number: u64) -> Json {
    let by_id = format!("SELECT note FROM notes WHERE id = {}", engine.placeholder());
    json!([
        open(engine),
        { "do": "query", "on": "d", "sql": "SELECT note FROM notes ORDER BY id" },
        { "do": "query", "on": "d", "sql": by_id, "params": [{ "signed": number % 3 + 1 }] },
    ])
}

fn write(engine: Engine, number: u64) -> Json {
    json!([open(engine), hit("d", engine, number, 1)])
}

fn transaction(engine: Engine, number: u64) -> Json {
    json!([
        open(engine),
        { "do": "begin", "on": "d", "as": "t" },
        hit("t", engine, number, 1),
        { "do": "savepoint", "on": "t", "name": "a" },
        hit("t", engine, number + 1, 1000),
        { "do": "rollback-to", "on": "t", "name": "a" },
        { "do": "query", "on": "t", "sql": "SELECT count(*) FROM counters" },
        { "do": "commit", "on": "t" },
    ])
}

fn nothing_failed(json: &Json) -> bool {
    json.as_array().is_some_and(|outcomes| !outcomes.is_empty() && outcomes.iter().all(|outcome| outcome["error"].is_null()))
}

fn three_reads(json: &Json) -> bool {
    let rows = NOTE.map(|note| json!([{ "text": note }]));
    nothing_failed(json) && json[1]["ok"]["rows"] == json!(rows) && rows.iter().any(|row| json[2]["ok"]["rows"] == json!([row]))
}

fn one_written(json: &Json) -> bool {
    nothing_failed(json) && json[1]["ok"]["rows-affected"] == 1
}

fn two_counts(json: &Json) -> bool {
    json.as_array().is_some_and(|outcomes| outcomes.len() == 2 && outcomes.iter().all(three_notes))
}

fn three_notes(json: &Json) -> bool {
    json["ok"]["rows"][0][0]["signed"] == 3
}

fn committed(json: &Json) -> bool {
    json["execute"]["ok"]["rows-affected"] == 1 && json["end"]["error"].is_null()
}

fn refused_at_its_grant(json: &Json) -> bool {
    json["held"] == crate::bed::HOARD && json["error"]["kind"] == "limit-exceeded"
}

fn over_a_limit(json: &Json) -> bool {
    json["error"]["kind"] == "limit-exceeded"
}

fn is_object(json: &Json) -> bool {
    json.is_object()
}

fn hijacked(json: &Json) -> bool {
    three_notes(&json["victim"]) && json["replaced"].is_array()
}

fn given_up(json: &Json) -> bool {
    let transaction_is_doomed =
        json["query"].is_null() || (!json["query"]["error"].is_null() && !json["commit"]["error"].is_null());
    json["given up"] == true && !json["after"]["ok"].is_null() && transaction_is_doomed
}

fn closed_handles(json: &Json) -> bool {
    let kind = |step: &str| json[step]["error"]["kind"].as_str().unwrap_or_default().to_owned();
    let ended = [
        "query after close",
        "begin after close",
        "close after close",
        "query after commit",
        "commit after commit",
        "rollback after commit",
        "next after commit",
        "next after close",
    ];
    ended.iter().all(|step| kind(step) == "invalid")
        && kind("query beside transaction") == "busy"
        && ["invalid", "disconnected"].contains(&kind("query after parent").as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_told_apart() {
        let names: BTreeSet<&str> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), KINDS.len());
    }

    #[test]
    fn a_third_and_more_of_the_calls_is_hostile() {
        let weight = |mix| chosen(mix, None).iter().map(|kind| kind.weight).sum::<u64>();
        let (all, hostile) = (weight(Mix::All), weight(Mix::Hostile));
        assert_eq!(all, weight(Mix::Good) + hostile);
        assert!(hostile * 3 >= all, "{hostile} of {all}");
    }

    #[test]
    fn a_wrong_answer_satisfies_no_kind() {
        let wrong = [
            json!(null),
            json!([]),
            json!([{ "ok": null }, { "error": { "kind": "database" } }, { "ok": null }]),
            json!({ "held": 1, "error": { "kind": "pool-exhausted" } }),
            json!({ "execute": { "ok": { "rows-affected": 1 } }, "end": { "error": { "kind": "commit-unknown" } } }),
            json!({ "given up": false, "after": { "ok": {} } }),
        ];
        for kind in KINDS {
            if let Expected::Json(satisfied) = kind.expected {
                let any = kind.name == "a changed session";
                assert!(any || wrong.iter().all(|json| !satisfied(json)), "{}", kind.name);
            }
        }
    }
}
