//! Residue on MariaDB, where a session cannot be reset: it is proven to hold nothing, or it is not used again.

mod control;
mod others;
mod table;

use futures::{StreamExt, stream};
use sqlx::{AssertSqlSafe, Connection, mysql::MySqlDatabaseError};
use support::mariadb::{MariadbDatabase, server};
use wharf::{
    driver::{FailureKind, Operation, mysql::Mysql, settings::Settings as DriverSettings},
    pool::OperationError,
};

use self::table::{Came, DEADLY, HIDDEN, KEPT, RESIDUES, Residue, TIMES, VEHICLES, expected};
use super::{Bed, Fate, Settings, Situation, TRANSACTION, Via, begin, query, run, seen};

fn number(failure: &wharf::driver::Failure) -> Option<u16> {
    failure.details.iter().find(|(key, _)| *key == "errno").and_then(|(_, number)| number.parse().ok())
}

fn came(error: OperationError) -> Came {
    match error {
        OperationError::Failed(failure) => match number(&failure) {
            Some(number) => Came::Failed(number),
            None if failure.kind == FailureKind::Denied && failure.lost => Came::GivenUp,
            None if failure.kind == FailureKind::Denied => Came::Refused,
            None if failure.kind == FailureKind::TransactionAborted => Came::Aborted,
            None => panic!("{failure:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// One row, of a borrower who looks at what it left, or does not.
struct Row {
    came: Came,
    /// What its borrower saw, if it looked.
    own: Option<String>,
    /// What the next one saw.
    next: String,
    fate: Fate,
}

async fn row(bed: &Bed, sql: &str, situation: Situation, probe: &str, looks: bool) -> Row {
    let hold = bed.borrow_it().await;
    let opened = bed.opened();
    let via = if situation == Situation::Alone { Via::Connection } else { TRANSACTION };
    if via == TRANSACTION {
        run(&hold, via, begin()).await.unwrap();
    }
    let mut came = query(&hold, via, sql).await.map_or_else(self::came, |_| Came::Ran);
    if came == Came::Ran && situation == Situation::Committed {
        came = run(&hold, via, Operation::Commit).await.map_or_else(self::came, |_| Came::Ran);
    }
    let own = if came == Came::Ran && looks { Some(seen(&hold, Via::Connection, probe).await) } else { None };
    drop(hold);
    let next = bed.seen(probe).await;
    let fate = if bed.opened() == opened { Fate::Kept } else { Fate::Replaced };
    Row { came, own, next, fate }
}

async fn prepared() -> MariadbDatabase {
    let database = MariadbDatabase::create().await;
    let mut admin = server().connect("mysql").await;
    let (member, owner) = (member(&database), &database.owner.name);
    let sql = format!("CREATE ROLE {member}; GRANT {member} TO {owner}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut admin).await.unwrap();
    for sql in [
        "CREATE TABLE numbers (n INT)",
        "INSERT INTO numbers VALUES (1), (2), (3)",
        "CREATE TABLE keyed (id INT AUTO_INCREMENT PRIMARY KEY)",
        "CREATE SEQUENCE counting",
        "CREATE PROCEDURE reads_handler() EXECUTE IMMEDIATE 'HANDLER left_over READ FIRST'",
        "CREATE PROCEDURE executes() EXECUTE left_over",
    ] {
        database.execute(sql).await;
    }
    database
}

fn member(database: &MariadbDatabase) -> String {
    format!("{}_member", database.name)
}

async fn drop_member(database: &MariadbDatabase) {
    let mut admin = server().connect("mysql").await;
    sqlx::raw_sql(AssertSqlSafe(format!("DROP ROLE {}", member(database)))).execute(&mut admin).await.unwrap();
}

fn driver(database: &MariadbDatabase) -> Mysql {
    Mysql::new(&database.url(&database.owner), DriverSettings::default()).unwrap()
}

/// All vehicles and situations of one residue; once more where the text is known by then.
async fn all_of(database: &MariadbDatabase, residue: &Residue) -> (usize, Vec<String>) {
    let bed = Bed::new(driver(database), Settings::default()).await;
    let probe = residue.probe.replace("<name>", residue.name);
    let fresh = bed.seen(&probe).await;
    let member = member(database);
    let filled = |text: &str| {
        let sql = residue.sql.replace("MEMBER", &member);
        let body = if residue.body.is_empty() { sql.clone() } else { residue.body.to_owned() };
        text.replace("<quoted>", &format!("'{}'", body.replace('\'', "''")))
            .replace("<sql>", &sql)
            .replace("<body>", &body)
            .replace("<name>", residue.name)
    };
    let (mut rows, mut failed) = (0, Vec::new());
    for (vehicle, make, call) in VEHICLES {
        if (residue.name, *vehicle) == DEADLY {
            continue;
        }
        if !make.is_empty()
            && let Came::Unmade(number) = made(database, &filled(make)).await
        {
            rows += 1;
            let (came, expected) = (Came::Unmade(number), expected(residue.name, vehicle, Situation::Alone));
            if came != expected {
                failed.push(format!("{} by {vehicle}: {came:?}, not {expected:?}", residue.name));
            }
            continue;
        }
        for (situation, looks, time) in TIMES {
            rows += 1;
            let row = row(&bed, &filled(call), *situation, &probe, *looks).await;
            if let Err(why) = row.check(residue, vehicle, *situation, &fresh) {
                failed.push(format!("{} by {vehicle}, {situation:?}, {time}: {why}", residue.name));
            }
        }
    }
    bed.close().await;
    (rows, failed)
}

/// Has the server make what a vehicle needs.
async fn made(database: &MariadbDatabase, sql: &str) -> Came {
    let mut connection = database.connect().await;
    let made = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
    connection.close().await.unwrap();
    made.map_or_else(
        |error| Came::Unmade(error.as_database_error().unwrap().downcast_ref::<MySqlDatabaseError>().number()),
        |_| Came::Ran,
    )
}

impl Row {
    fn check(&self, residue: &Residue, vehicle: &str, situation: Situation, fresh: &str) -> Result<(), String> {
        let Self { came, own, next, fate } = self;
        if next != fresh {
            return Err(format!("the next borrower sees {next} instead of {fresh}"));
        }
        let expected = expected(residue.name, vehicle, situation);
        if *came != expected {
            return Err(format!("it came to {came:?}, not {expected:?}"));
        }
        let hidden = HIDDEN.iter().any(|(residues, vehicles)| residues.contains(&residue.name) && vehicles.contains(&vehicle));
        if let Some(own) = own
            && own == fresh
            && !hidden
        {
            return Err(format!("the residue never showed: {fresh}"));
        }
        // Who looks may cost the connection for how it looks.
        let kept = *came == Came::Refused || (vehicle == "plain" && KEPT.contains(&residue.name));
        let expected = if kept { Fate::Kept } else { Fate::Replaced };
        if *fate != expected && !(kept && own.is_some()) {
            return Err(format!("the connection was {fate:?}, not {expected:?}"));
        }
        Ok(())
    }
}

#[tokio::test]
async fn nothing_of_a_borrower_reaches_the_next() {
    let database = prepared().await;
    let results: Vec<(usize, Vec<String>)> =
        stream::iter(RESIDUES).map(|residue| all_of(&database, residue)).buffer_unordered(4).collect().await;
    let rows: usize = results.iter().map(|(rows, _)| rows).sum();
    let failed: Vec<&String> = results.iter().flat_map(|(_, failed)| failed).collect();
    drop_member(&database).await;
    println!("{rows} rows");
    let all = RESIDUES.iter().flat_map(|residue| VEHICLES.iter().map(|(vehicle, _, _)| table::rows(residue.name, vehicle)));
    assert_eq!(rows, all.sum::<usize>());
    assert!(failed.is_empty(), "{} of {rows} rows:\n{failed:#?}", failed.len());
}
