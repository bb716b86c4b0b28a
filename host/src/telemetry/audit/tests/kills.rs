//! Whatever fails, and wherever the process is killed, the log can be gone on with, and what was said to be written is in it.

use std::io;

use super::super::{
    log::{Limits, Log},
    record::Line,
    recovery::{Found, StartError, recover},
};
use super::{
    memory::{Memory, Plan},
    *,
};

/// Some lines to a file, so that there are several.
const LIMITS: Limits = Limits { max_file_size: 1_300, max_files: 0 };
/// Lines of a scenario, in batches of three.
const MARKS: u64 = 24;

fn mark(number: u64) -> Vec<u8> {
    format!("\"kind\":\"mark\",\"op\":{number}").into_bytes()
}

fn open(folder: &Memory) -> Result<Log<Memory>, StartError> {
    let Found { mut log, is_clean, torn } = recover(folder.clone(), "log", LIMITS, &key())?;
    append(&mut log, &[Record::Start { clean: is_clean, torn: torn.as_ref() }.render()], true)?;
    Ok(log)
}

fn append(log: &mut Log<Memory>, records: &[Vec<u8>], sync: bool) -> io::Result<()> {
    log.append(records.iter().map(Vec::as_slice), sync)
}

/// Writes marks until something fails; how many of them were said to be written.
fn write(folder: &Memory, sync: bool) -> u64 {
    let Ok(mut log) = open(folder) else { return 0 };
    let mut written = 0;
    while written < MARKS {
        let batch: Vec<_> = (written..written + 3).map(mark).collect();
        if append(&mut log, &batch, sync).is_err() {
            break;
        }
        written += 3;
    }
    written
}

/// The numbers of the marks in it, which is intact.
fn marks(folder: &Memory) -> Vec<u64> {
    let texts = folder.texts();
    let report = verified(&key(), &[], texts.iter().map(|(name, text)| (name.as_str(), text.clone())));
    assert!(report.is_intact(), "{report:#?} {texts:#?}");
    assert_eq!(report.first, Some(1));
    let lines = texts.iter().flat_map(|(_, text)| text.lines()).map(|line| serde_json::from_str::<Line>(line).unwrap());
    lines.filter(|line| line.kind == "mark").filter_map(|line| line.op).collect()
}

/// The log goes on, and has what it was said to have.
fn goes_on(found: &Memory, written: u64, when: &str) {
    let mut log = open(found).unwrap_or_else(|error| panic!("{when}: {error:?}"));
    append(&mut log, &[mark(99)], true).unwrap();
    let mut marks = marks(found);
    assert_eq!(marks.pop(), Some(99), "{when}");
    // What was being written may be there as well, from its beginning on.
    assert!(marks.len() as u64 >= written && marks.len() as u64 <= written + 3, "{when}: {written} {marks:?}");
    assert!(marks.iter().copied().eq(0..marks.len() as u64), "{when}: {marks:?}");
}

#[test]
fn a_kill_after_any_byte_loses_nothing_that_was_written() {
    let mut kills = 0;
    for bytes in 0.. {
        let folder = Memory::default();
        folder.plan(Plan { dies_after: Some(bytes), ..Plan::default() });
        let written = write(&folder, false);
        if !folder.is_dead() {
            break;
        }
        kills += 1;
        goes_on(&folder.after_death(), written, &format!("killed after {bytes} bytes"));
    }
    assert!(kills > 3_000, "{kills}");
}

#[test]
fn a_kill_before_any_call_loses_nothing_and_a_loss_of_power_nothing_that_was_synced() {
    for call in 0.. {
        let folder = Memory::default();
        folder.plan(Plan { dies_at: Some(call), ..Plan::default() });
        let written = write(&folder, true);
        goes_on(&folder.after_death(), written, &format!("killed before call {call}"));
        goes_on(&folder.after_power_loss(), written, &format!("without power before call {call}"));
        if !folder.is_dead() {
            break;
        }
    }
}

#[test]
fn a_second_kill_while_the_first_is_mended_loses_nothing_either() {
    let folder = Memory::default();
    folder.plan(Plan { dies_after: Some(2_000), ..Plan::default() });
    let written = write(&folder, false);
    let torn = folder.after_death();
    for call in 0.. {
        let again = torn.after_death();
        again.plan(Plan { dies_at: Some(call), ..Plan::default() });
        let opened = open(&again).is_ok();
        goes_on(&again.after_death(), written, &format!("killed again before call {call}"));
        if opened {
            break;
        }
    }
}

#[test]
fn a_call_that_fails_once_leaves_each_line_once() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other, io::ErrorKind::Interrupted] {
        for call in 0.. {
            let folder = Memory::default();
            folder.plan(Plan { fails_at: Some((call, kind)), ..Plan::default() });
            // A host that does not start is started again.
            let mut log = open(&folder).or_else(|_| open(&folder)).unwrap();
            for at in 0..MARKS {
                let (record, sync) = ([mark(at)], at % 3 == 0);
                append(&mut log, &record, sync).or_else(|_| append(&mut log, &record, sync)).unwrap();
            }
            log.sync().or_else(|_| log.sync()).unwrap();
            let calls = folder.calls();
            for left in [folder.after_death(), folder.after_power_loss()] {
                assert!(marks(&left).into_iter().eq(0..MARKS), "{kind:?} at call {call}");
            }
            if calls < call {
                break;
            }
        }
    }
}

#[test]
fn short_reads_and_writes_are_gone_on_with() {
    for short in [1, 7, 100] {
        let folder = Memory::default();
        folder.plan(Plan { short: Some(short), ..Plan::default() });
        assert_eq!(write(&folder, false), MARKS);
        open(&folder).unwrap();
        assert!(marks(&folder).into_iter().eq(0..MARKS));
    }
}

#[test]
fn lines_are_written_again_after_a_sync_that_failed() {
    let folder = Memory::default();
    let mut log = open(&folder).unwrap();
    let before = log.synced_head();
    append(&mut log, &[mark(0)], false).unwrap();
    assert_eq!(log.synced_head(), before);
    folder.plan(Plan { fails_at: Some((folder.calls(), io::ErrorKind::Other)), ..Plan::default() });
    log.sync().unwrap_err();
    assert_eq!(log.synced_head(), before);
    assert!(marks(&folder.after_power_loss()).is_empty());
    log.sync().unwrap();
    assert_eq!(marks(&folder.after_power_loss()), [0]);
    assert_ne!(log.synced_head(), before);
}

#[test]
fn a_full_disk_leaves_no_part_of_a_line() {
    let folder = Memory::default();
    let mut log = open(&folder).unwrap();
    append(&mut log, &[mark(0)], false).unwrap();
    let before = folder.texts();
    folder.plan(Plan { is_full: true, short: Some(10), ..Plan::default() });
    for _ in 0..3 {
        append(&mut log, &[mark(1)], false).unwrap_err();
        assert_eq!(folder.texts(), before);
    }
    folder.plan(Plan::default());
    append(&mut log, &[mark(1)], false).unwrap();
    assert_eq!(marks(&folder), [0, 1]);
}

#[test]
fn what_is_torn_is_told_and_what_was_changed_is_refused() {
    let folder = Memory::default();
    drop(open(&folder).unwrap());
    let Found { is_clean, torn, .. } = recover(folder.clone(), "log", LIMITS, &key()).unwrap();
    assert!(!is_clean && torn.is_none());
    let half = Memory::default();
    half.plan(Plan { dies_after: Some(folder.texts()[0].1.len() - 5), ..Plan::default() });
    drop(open(&half));
    let half = half.after_death();
    drop(open(&half).unwrap());
    let (_, text) = &half.texts()[0];
    assert!(text.lines().last().unwrap().contains("\"clean\":false,\"torn\":{\"bytes\":"), "{text}");
    let other = Key::new(&"o".repeat(32)).unwrap();
    let refused = recover(folder.clone(), "log", LIMITS, &other).err().unwrap();
    assert!(matches!(refused, StartError::OtherKey { .. }), "{refused:?}");
}
