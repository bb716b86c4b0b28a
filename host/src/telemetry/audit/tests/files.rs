//! A log in a folder of the system: who may read and write it, and what becomes of its files.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::super::{Audit, Settings, StartError, verify::verify};
use super::*;

fn settings(folder: &Path) -> Settings {
    Settings::new(folder.join("audit.log"), key())
}

fn request(types: &Types) -> Request<'_> {
    let actor = Actor { request: "r1", plugin: "patients", digest: "3f", who: None };
    let statement = Statement { verb: "query", fingerprint: "9c", text: "SELECT $n" };
    Request { actor, database: "clinic", statement, types }
}

const DONE: Outcome<'static> = Outcome { outcome: "done", code: None, rows: Some(1) };

async fn operate(audit: &Audit, operations: usize) {
    for _ in 0..operations {
        audit.intent(&request(&Types::default())).await.unwrap().end(&DONE).await;
    }
}

/// All files of the log.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension != "lock")).collect()
}

#[tokio::test]
async fn one_host_writes_a_log_and_nobody_else_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let audit = Audit::start(settings(folder.path())).unwrap();
    let second = Audit::start(settings(folder.path())).err().unwrap();
    assert!(matches!(second, StartError::Locked), "{second:?}");
    operate(&audit, 3).await;
    let head = audit.close().await.unwrap();
    for path in fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    let report = verify(&files(folder.path()), key(), vec![head.to_string().parse().unwrap()]).unwrap();
    assert!(report.is_intact() && report.vouched == Some(head.seq), "{report:?}");
    assert_eq!((report.lines, report.unknown, report.unclean_starts), (9, 0, 0));
}

#[tokio::test]
async fn a_log_goes_on_after_a_stop_and_refuses_to_after_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    for _ in 0..2 {
        let audit = Audit::start(settings(folder.path())).unwrap();
        operate(&audit, 1).await;
        audit.close().await.unwrap();
    }
    let report = verify(&files(folder.path()), key(), Vec::new()).unwrap();
    assert_eq!((report.is_intact(), report.lines, report.unclean_starts), (true, 9, 0), "{report:?}");
    let text = fs::read_to_string(&path).unwrap();
    let last = text.trim_end().rfind('\n').unwrap();
    let changes = [
        text.clone() + "{}\n",
        text[..last].to_owned() + "x\n",
        text[..last].to_owned() + &text[last..].replace("close", "stop"),
        text.replacen("open", "begin", 1),
    ];
    for changed in changes {
        fs::write(&path, &changed).unwrap();
        let refused = Audit::start(settings(folder.path())).err().unwrap();
        assert!(matches!(refused, StartError::Damaged { .. } | StartError::Broken { .. }), "{refused:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), changed);
    }
}

/// Leaves zeros in a log, from within one line to within another, and has it refused for the first of them.
fn lose(folder: &Path, from: usize, to: usize) {
    let path = folder.join("audit.log");
    let mut bytes = fs::read(&path).unwrap();
    let ends: Vec<usize> = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
    bytes[ends[from - 2] + 10..ends[to - 2] + 20].fill(0);
    fs::write(&path, &bytes).unwrap();
    let refused = Audit::start(settings(folder)).err().unwrap();
    assert!(matches!(refused, StartError::Broken { line, .. } if line == from as u64), "{refused:?}");
    let said = refused.to_string();
    assert!(["audit.log", &format!("line {from} "), "wharf audit verify"].iter().all(|part| said.contains(part)), "{said}");
    assert!(fs::read(&path).unwrap() == bytes);
}

#[tokio::test]
async fn lines_that_never_reached_the_disk_are_missed_although_later_ones_did() {
    let folder = tempfile::tempdir().unwrap();
    let audit = Audit::start(settings(folder.path())).unwrap();
    operate(&audit, 5).await;
    audit.close().await.unwrap();
    lose(folder.path(), 4, 6);

    // Only the end of a long file is read.
    let mut chain = Chain::new(&key(), "a", Head::NONE);
    let mut text = line(&mut chain, &Record::Open { chain: "a", key: &key().id(), previous: None }.render());
    let long = format!("\"kind\":\"mark\",\"pad\":\"{}\"", "x".repeat(3_900));
    for _ in 0..2_300 {
        text.push_str(&line(&mut chain, long.as_bytes()));
    }
    fs::write(folder.path().join("audit.log"), text).unwrap();
    let audit = Audit::start(settings(folder.path())).unwrap();
    audit.close().await.unwrap();
    lose(folder.path(), 2_000, 2_000);
}

#[test]
fn a_file_of_somebody_else_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    for text in ["what somebody wrote", "[1, 2]", "two\nlines\n"] {
        fs::write(&path, text).unwrap();
        let refused = Audit::start(settings(folder.path())).err().unwrap();
        assert!(matches!(refused, StartError::Damaged { .. }), "{text}: {refused:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[tokio::test]
async fn files_follow_each_other_by_size_and_old_ones_go_if_that_is_wished() {
    let folder = tempfile::tempdir().unwrap();
    let small = Settings { max_file_size: 2_000, ..settings(folder.path()) };
    let audit = Audit::start(small.clone()).unwrap();
    operate(&audit, 20).await;
    let head = audit.close().await.unwrap();
    let all = files(folder.path());
    assert!(all.len() > 3, "{all:?}");
    assert!(all.iter().all(|path| fs::metadata(path).unwrap().len() <= 2_500));
    let told = || vec![head.to_string().parse().unwrap()];
    // In the order of the folder, which is none.
    let report = verify(&all, key(), told()).unwrap();
    assert!(report.is_intact() && report.first == Some(1) && report.vouched == Some(head.seq), "{report:?}");
    let newest_gone: Vec<_> = all.iter().filter(|path| !path.ends_with("audit.log")).cloned().collect();
    assert_eq!(problems(&verify(&newest_gone, key(), told()).unwrap()), [Problem::Cut { head: head.seq }]);

    let audit = Audit::start(Settings { max_files: 2, ..small }).unwrap();
    operate(&audit, 5).await;
    audit.close().await.unwrap();
    let left = files(folder.path());
    assert_eq!(left.len(), 3, "{left:?}");
    let report = verify(&left, key(), told()).unwrap();
    assert!(report.is_intact() && report.first > Some(1), "{report:?}");
}
