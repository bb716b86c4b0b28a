//! Searches that each driver runs with statements of its own: whether what its classifier calls harmless is, and whether what is shown of a
//! statement holds a value that the server has read in it.

use proptest::{
    collection, sample,
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::{Answer, Connection, Engine, Operation, ResultLimit, Rows, Statement, Value, redact, types::ColumnData};

/// Another number tries other statements.
const SEED: &str = "WHARF_CLASSIFIER_SEED";
const DEFAULT_SEED: u64 = 20_260_101;
/// Statements that are made at most, of them how many must have run as harmless, and how many must have been refused that.
const MADE: usize = 6_000;
const HARMLESS: usize = 400;
const NOT_HARMLESS: usize = 100;

/// What became of a statement.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// Nobody said that it was harmless.
    NotHarmless,
    /// It was said to be harmless; it ran, or failed where the server ran it.
    Harmless { ran: bool },
    /// It was said to be harmless, and was not.
    Wrong(String),
}

/// A session whose facts are known.
pub(super) trait Watched {
    /// Runs a statement that is called harmless, and compares the facts of the session with those before.
    async fn try_out(&mut self, sql: &str) -> Outcome;
}

/// Makes statements until enough of them were harmless.
///
/// # Panics
/// With the shortest statement that was called harmless and was not, and the seed that makes it again.
pub(super) async fn all_are_harmless(statements: impl Strategy<Value = String>, watched: &mut impl Watched) {
    let (seed, mut runner) = runner();
    let (mut made, mut harmless, mut not_harmless) = (0, 0, 0);
    while harmless < HARMLESS && made < MADE {
        made += 1;
        let mut tree = statements.new_tree(&mut runner).unwrap();
        match watched.try_out(&tree.current()).await {
            Outcome::NotHarmless => not_harmless += 1,
            Outcome::Harmless { ran } => harmless += usize::from(ran),
            Outcome::Wrong(why) => {
                let (statement, why) = shortest(&mut tree, why, watched).await;
                panic!("{SEED}={seed}, statement {made}: called harmless, but {why} after\n{statement}");
            }
        }
    }
    println!("of {made} statements {harmless} were harmless and ran, {not_harmless} were not");
    assert!(harmless >= HARMLESS, "only {harmless} of {made} statements were harmless and ran");
    assert!(not_harmless >= NOT_HARMLESS, "only {not_harmless} of {made} statements were not harmless");
}

fn runner() -> (u64, TestRunner) {
    let seed = std::env::var(SEED).map_or(DEFAULT_SEED, |text| text.parse().expect("a number"));
    println!("statements of {SEED}={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    (seed, TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)))
}

/// Looks for a shorter one that fails too.
async fn shortest(tree: &mut impl ValueTree<Value = String>, why: String, watched: &mut impl Watched) -> (String, String) {
    let mut least = (tree.current(), why);
    while tree.simplify() {
        loop {
            match watched.try_out(&tree.current()).await {
                Outcome::Wrong(why) => {
                    least = (tree.current(), why);
                    break;
                }
                _ if tree.complicate() => {}
                _ => break,
            }
        }
    }
    least
}

/// What statements with values in them are made of. In a part `§` is a value, and `¤` one in hexadecimal digits.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    /// What may be selected, or may not.
    pub(super) expressions: &'static [&'static str],
    /// What stands between them.
    pub(super) between: &'static [&'static str],
    /// Where the columns are that expressions name.
    pub(super) from: &'static str,
}

/// Runs statements until enough of them returned values that were written in them, and looks whether one of those is shown.
///
/// # Panics
/// With the statement, and the seed that makes it again.
pub(super) async fn nothing_returned_is_shown(engine: Engine, parts: Parts, connection: &mut dyn Connection) {
    const MADE: usize = 4_000;
    const RETURNED: usize = 150;
    let Parts { expressions, between, from } = parts;
    let more = collection::vec((sample::select(between), sample::select(expressions)), 0..5);
    let templates = (sample::select(expressions), more).prop_map(move |(first, more)| {
        let rest: String = more.iter().flat_map(|(between, expression)| [*between, *expression]).collect();
        format!("SELECT {first}{rest} FROM {from}")
    });
    let (seed, mut runner) = runner();
    let (mut made, mut returned) = (0, 0);
    while returned < RETURNED && made < MADE {
        made += 1;
        let (sql, values) = planted(&templates.new_tree(&mut runner).unwrap().current());
        let query =
            Operation::Query(Statement { sql: sql.as_str().into(), params: vec![] }, ResultLimit { rows: 10, bytes: 1 << 20 });
        let found = match connection.run(query).await {
            Ok(Answer::Rows(rows)) => cells(&rows),
            Ok(other) => panic!("{other:?} to {sql}"),
            Err(failure) => {
                assert!(!failure.lost, "{failure:?} to {sql}");
                continue;
            }
        };
        let shown = redact::statement(engine, &sql, usize::MAX).text;
        let values: Vec<&String> = values.iter().filter(|value| found.contains(*value)).collect();
        for value in &values {
            let is_shown = shown.contains(*value) || shown.to_lowercase().contains(&hex(value));
            assert!(!is_shown, "{SEED}={seed}, statement {made}: {value} was returned by\n{sql}\nand is shown in\n{shown}");
        }
        returned += usize::from(!values.is_empty());
    }
    println!("of {made} statements {returned} returned a value that was written in them");
    assert!(returned >= RETURNED, "only {returned} of {made} statements returned a value that was written in them");
}

/// A statement with a number of its own in each place, and those numbers.
fn planted(template: &str) -> (String, Vec<String>) {
    let (mut sql, mut values) = (String::new(), Vec::new());
    for character in template.chars() {
        let value = (731_846_257 + 7_919 * values.len()).to_string();
        match character {
            '§' => sql.push_str(&value),
            '¤' => sql.push_str(&hex(&value)),
            other => {
                sql.push(other);
                continue;
            }
        }
        values.push(value);
    }
    (sql, values)
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// All that the rows hold.
fn cells(rows: &Rows) -> String {
    let values = |data: &ColumnData| -> Vec<Value> {
        match data {
            ColumnData::Cells(cells) => (0..cells.len()).map(|row| cells.value(row)).collect(),
            ColumnData::Mixed(values) => values.clone(),
            ColumnData::Arrays(_) => Vec::new(),
        }
    };
    rows.batch.columns.iter().map(|column| format!("{:?}", values(&column.data))).collect()
}
