//! The search that tries out what a driver's classifier calls harmless, which each driver runs with statements of its own.

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

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
    let seed = std::env::var(SEED).map_or(DEFAULT_SEED, |text| text.parse().expect("a number"));
    println!("statements of {SEED}={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
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
