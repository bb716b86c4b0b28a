//! What an audit log withstands.

mod files;
mod kills;
mod memory;
mod operations;
mod tampering;

use super::{
    ToldHead,
    chain::{Chain, Head, Key},
    record::{Actor, Asked, Outcome, Previous, Record, Request, Statement, Types},
    verify::{Problem, Report, Verifier},
};

/// The key of most logs here.
fn key() -> Key {
    Key::new(&"k".repeat(32)).unwrap()
}

/// Lines of intents and outcomes, with their line breaks.
fn lines(chain: &mut Chain, count: u64) -> Vec<String> {
    (0..count).map(|at| line(chain, &if at % 2 == 0 { intent(at / 2) } else { outcome(at / 2) })).collect()
}

fn line(chain: &mut Chain, record: &[u8]) -> String {
    let mut text = Vec::new();
    chain.append(&mut text, record);
    String::from_utf8(text).unwrap()
}

fn intent(op: u64) -> Vec<u8> {
    let actor = Actor { request: "r1", plugin: "patients", digest: "3f", who: Some("dr.who") };
    let statement = Statement { verb: "query", fingerprint: "9c", text: "SELECT $n" };
    let types = Types::from_iter(["signed"]);
    let request = Request { actor, database: "clinic", statement, types: &types };
    Record::Intent { op, asked: Asked::new(&request, 100) }.render()
}

fn outcome(op: u64) -> Vec<u8> {
    let outcome = Outcome { outcome: "done", code: None, rows: Some(1) };
    Record::Outcome { op, outcome, us: 812 }.render()
}

/// Two files of one log: the names, and the lines of each. It ends with a stop.
fn two_files(key: &Key, id: &str) -> [(String, Vec<String>); 2] {
    let mut chain = Chain::new(key, id, Head::NONE);
    let open = |previous: Option<&Previous>| Record::Open { chain: id, key: &key.id(), previous }.render();
    let mut first = vec![line(&mut chain, &open(None)), line(&mut chain, &Record::Start { clean: true, torn: None }.render())];
    first.extend(lines(&mut chain, 6));
    first.push(line(&mut chain, &Record::Rotate { to: "log.000000000009" }.render()));
    let previous = Previous { file: "log.000000000009".to_owned(), mac: chain.head.mac.to_string() };
    let mut second = vec![line(&mut chain, &open(Some(&previous)))];
    second.extend(lines(&mut chain, 6));
    second.push(line(&mut chain, &Record::Close.render()));
    [("log.000000000009".to_owned(), first), ("log".to_owned(), second)]
}

/// What is said of files with these names and texts, in this order.
fn verified<'a>(key: &Key, heads: &[&str], files: impl IntoIterator<Item = (&'a str, String)>) -> Report {
    let heads: Vec<ToldHead> = heads.iter().map(|head| head.parse().unwrap()).collect();
    let mut verifier = Verifier::new(key.clone(), heads);
    for (name, text) in files {
        verifier.file(name, text.as_bytes()).unwrap();
    }
    verifier.finish()
}

/// What is wrong, without where.
fn problems(report: &Report) -> Vec<Problem> {
    report.findings.iter().map(|finding| finding.problem.clone()).collect()
}
