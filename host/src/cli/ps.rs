//! `wharf ps`: the calls that run, and the connections that they hold.

use serde::Deserialize;

use super::{
    Failure, View,
    table::{Table, count, duration},
    view,
};

/// Shows them.
///
/// # Errors
/// [`Failure`].
pub(super) fn run(shown: &View) -> Result<(), Failure> {
    view::show(shown, "/calls", render)
}

/// What is read of `/calls`.
#[derive(Deserialize)]
struct Calls {
    calls: Vec<Call>,
}

#[derive(Deserialize)]
struct Call {
    id: u64,
    plugin: String,
    request_id: String,
    state: String,
    age_ms: u64,
    fuel_used: u64,
    waits_for: Vec<String>,
    leases: Vec<Lease>,
}

#[derive(Deserialize)]
struct Lease {
    database: String,
    session: Option<i64>,
    state: String,
    age_ms: u64,
    statement: Option<String>,
}

/// A row for each connection, and for each call that has none.
fn render(Calls { calls }: &Calls, width: Option<usize>) -> String {
    let mut table =
        Table::new(["ID", "PLUGIN", "REQUEST", "STATE", "AGE", "FUEL", "DATABASE", "CONNECTION", "SINCE", "DOING", "STATEMENT"]);
    for Call { id, plugin, request_id, state, age_ms, fuel_used, waits_for, leases } in calls {
        let mut row = |[database, session, since, doing, statement]: [String; 5]| {
            let [plugin, request_id, state] = [plugin, request_id, state].map(String::clone);
            let (id, age, fuel) = (id.to_string(), duration(*age_ms), count(*fuel_used));
            table.row([id, plugin, request_id, state, age, fuel, database, session, since, doing, statement]);
        };
        for Lease { database, session, state, age_ms, statement } in leases {
            let session = session.map_or_else(String::new, |session| session.to_string());
            row([database.clone(), session, duration(*age_ms), state.clone(), statement.clone().unwrap_or_default()]);
        }
        for database in waits_for {
            row([database.clone(), String::new(), String::new(), "waits".to_owned(), String::new()]);
        }
        if leases.is_empty() && waits_for.is_empty() {
            row(Default::default());
        }
    }
    if table.is_empty() { "no call runs\n".to_owned() } else { table.render(width) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_a_connection() {
        let lease = json!({ "database": "clinic", "session": 4711, "state": "query", "age_ms": 850, "statement": "SELECT ?" });
        let idle = json!({ "database": "clinic", "session": null, "state": "ready", "age_ms": 90_000, "statement": null });
        let call = |id: u64, state: &str, waits_for: serde_json::Value, leases: serde_json::Value| {
            json!({
                "id": id, "plugin": "patients", "request_id": "r-1", "state": state, "age_ms": 12_345, "fuel_used": 1_234_567,
                "waits_for": waits_for, "leases": leases,
            })
        };
        let calls = json!({ "calls": [
            call(3, "running", json!([]), json!([lease, idle])),
            call(14, "waiting for a connection", json!(["clinic"]), json!([])),
            call(15, "streaming", json!([]), json!([])),
        ] });
        let calls: Calls = serde_json::from_value(calls).unwrap();
        insta::assert_snapshot!(render(&calls, None), @r"
        ID  PLUGIN    REQUEST  STATE                     AGE    FUEL  DATABASE  CONNECTION  SINCE   DOING  STATEMENT
        3   patients  r-1      running                   12.3s  1.2M  clinic    4711        850ms   query  SELECT ?
        3   patients  r-1      running                   12.3s  1.2M  clinic                1m 30s  ready
        14  patients  r-1      waiting for a connection  12.3s  1.2M  clinic                        waits
        15  patients  r-1      streaming                 12.3s  1.2M
        ");
        let narrow = render(&calls, Some(40));
        assert!(narrow.lines().all(|line| console::measure_text_width(line) <= 40), "{narrow}");
        assert_eq!(render(&Calls { calls: Vec::new() }, None), "no call runs\n");
    }
}
