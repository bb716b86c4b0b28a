//! What is done to a log by somebody without its key is found.

use proptest::prelude::*;

use super::super::{chain::Sealed, verify::End};
use super::*;

/// Both files with their lines changed by `change`, and the report.
fn after(heads: &[&str], change: impl FnOnce(&mut [(String, Vec<String>); 2])) -> Report {
    let mut files = two_files(&key(), "a");
    change(&mut files);
    let texts = files.iter().map(|(name, lines)| (name.as_str(), lines.concat()));
    verified(&key(), heads, texts)
}

fn found(change: impl FnOnce(&mut [(String, Vec<String>); 2])) -> Vec<Problem> {
    problems(&after(&[], change))
}

/// `SEQ:MAC` of a line.
fn head(files: &[(String, Vec<String>)], seq: usize) -> String {
    let line = files.iter().flat_map(|(_, lines)| lines).nth(seq - 1).unwrap();
    format!("{seq}:{}", Sealed::split(line.trim_end().as_bytes()).unwrap().mac)
}

#[test]
fn a_log_that_nobody_touched_is_intact() {
    let last = head(&two_files(&key(), "a"), 17);
    let report = after(&[], |_| {});
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.lines, report.first, report.last.seq), (17, Some(1), 17));
    assert_eq!((report.end, report.vouched, report.unknown), (End::Closed, None, 0));
    // Times differ from log to log, and so do its heads.
    assert_eq!(problems(&after(&[&last], |_| {})), [Problem::OtherHead { head: 17 }]);
}

#[test]
fn a_told_head_vouches_for_everything_before_it() {
    let files = two_files(&key(), "a");
    let texts = || files.iter().map(|(name, lines)| (name.as_str(), lines.concat()));
    let (ninth, last) = (head(&files, 9), head(&files, 17));
    let report = verified(&key(), &[&ninth], texts());
    assert!(report.is_intact() && report.vouched == Some(9), "{report:?}");
    // Thirteen digits, as a metric has them.
    let report = verified(&key(), &[&last[..16], &ninth], texts());
    assert!(report.is_intact() && report.vouched == Some(17), "{report:?}");
    let alone = [("log", files[1].1.concat())];
    let report = verified(&key(), &[&ninth], alone);
    assert_eq!((report.is_intact(), report.first, report.vouched, report.not_covered), (true, Some(10), None, vec![9]));
}

#[test]
fn a_file_without_a_byte_says_nothing_and_is_not_named() {
    let files = two_files(&key(), "a");
    let told = format!("18:{}", "0".repeat(13));
    let texts = files.iter().map(|(name, lines)| (name.as_str(), lines.concat())).chain([("log.lock", String::new())]);
    let report = verified(&key(), &[&told], texts);
    let [cut] = report.findings.as_slice() else { panic!("{report:?}") };
    assert_eq!((cut.file.as_str(), cut.line, &cut.problem), ("log", 8, &Problem::Cut { head: 18 }));
}

#[test]
fn what_is_done_to_lines_is_found() {
    let edited = found(|files| files[0].1[3] = files[0].1[3].replace("\"rows\":1", "\"rows\":2"));
    assert_eq!(edited, [Problem::Edited { seq: 4 }]);
    let removed = found(|files| drop(files[0].1.drain(3..5)));
    assert_eq!(removed, [Problem::Missing { from: 4, to: 5 }]);
    let swapped = found(|files| files[0].1.swap(3, 4));
    assert_eq!(swapped, [Problem::Missing { from: 4, to: 4 }, Problem::OutOfPlace { seq: 4, expected: 6 }]);
    let doubled = found(|files| {
        let line = files[0].1[3].clone();
        files[0].1.insert(6, line);
    });
    assert_eq!(doubled, [Problem::OutOfPlace { seq: 4, expected: 7 }]);
    let inserted = found(|files| files[0].1.insert(4, "{\"seq\":5}\n".to_owned()));
    assert_eq!(inserted, [Problem::NotALine]);
    let renumbered = found(|files| files[0].1[3] = files[0].1[3].replace("\"seq\":4", "\"seq\":9"));
    assert_eq!(renumbered, [Problem::Missing { from: 4, to: 8 }]);
    let endless = found(|files| files[0].1[3] = "x".repeat(100_000) + "\n");
    assert_eq!(endless, [Problem::NotALine, Problem::Missing { from: 4, to: 4 }]);
}

#[test]
fn what_is_done_to_files_is_found() {
    let no_beginning = found(|files| drop(files[0].1.remove(0)));
    assert_eq!(no_beginning[0], Problem::NoBeginning);
    let no_first = found(|files| files[0].1.clear());
    assert!(no_first.is_empty(), "{no_first:?}");
    let swapped_names = found(|files| {
        let [(first, _), (second, _)] = files;
        std::mem::swap(first, second);
    });
    assert_eq!(swapped_names, [Problem::Renamed { named: "log.000000000009".to_owned() }]);
    let swapped = found(|files| files.swap(0, 1));
    assert_eq!(swapped[0], Problem::OutOfPlace { seq: 1, expected: 18 });
    let doubled = found(|files| files[1].1 = files[0].1.clone());
    assert_eq!(doubled.len(), 9);
    assert!(doubled.iter().all(|problem| matches!(problem, Problem::OutOfPlace { expected: 10, .. })), "{doubled:?}");
    let hole = found(|files| files[1].1.clear());
    assert!(hole.is_empty(), "{hole:?}");
    assert_eq!(after(&[], |files| files[1].1.clear()).end, End::Rotated("log.000000000009".to_owned()));
}

#[test]
fn a_file_that_is_missing_is_found_where_all_are_to_be_there() {
    let whole = |kept: &[usize]| {
        let files = two_files(&key(), "a");
        let mut verifier = Verifier::new(key(), Vec::new()).whole();
        for (name, lines) in kept.iter().map(|at| &files[*at]) {
            verifier.file(name, lines.concat().as_bytes()).unwrap();
        }
        problems(&verifier.finish())
    };
    assert_eq!(whole(&[0, 1]), Vec::<Problem>::new());
    assert_eq!(whole(&[1]), [Problem::Missing { from: 1, to: 9 }]);
    assert_eq!(whole(&[0]), [Problem::NoEnd]);
}

#[test]
fn a_tail_that_was_cut_off_is_found_by_a_head() {
    let files = two_files(&key(), "a");
    let last = head(&files, 17);
    let cut = |lines: usize, heads: &[&str]| {
        let lines: String = files.iter().flat_map(|(_, lines)| lines.clone()).take(lines).collect();
        verified(&key(), heads, [("log", lines)])
    };
    for lines in 1..17 {
        assert_eq!(problems(&cut(lines, &[&last])), [Problem::Cut { head: 17 }], "{lines}");
        // Without one the log only says that it does not end with a stop.
        let silent = cut(lines, &[]);
        assert!(silent.is_intact() && silent.end != End::Closed && silent.vouched.is_none(), "{silent:?}");
    }
    assert_eq!(problems(&cut(0, &[&last])), [Problem::NoBeginning, Problem::Cut { head: 17 }]);
    // Half a line.
    let text: String = files.iter().map(|(_, lines)| lines.concat()).collect();
    let torn = verified(&key(), &[], [("log", text[..text.len() - 1].to_owned())]);
    assert!(matches!(problems(&torn)[..], [Problem::Torn { .. }]), "{torn:?}");
}

#[test]
fn a_log_that_grew_anew_after_a_cut_is_found_by_a_head() {
    let files = two_files(&key(), "a");
    let told = head(&files, 8);
    let mut chain = Chain::new(&key(), "a", Head::NONE);
    let open = Record::Open { chain: "a", key: &key().id(), previous: None }.render();
    let mut text = line(&mut chain, &open);
    text += &lines(&mut chain, 20).concat();
    assert_eq!(problems(&verified(&key(), &[&told], [("log", text)])), [Problem::OtherHead { head: 8 }]);
}

#[test]
fn seals_made_without_the_key_are_found() {
    let other = Key::new(&"o".repeat(32)).unwrap();
    let forged = two_files(&other, "a");
    let text = |files: &[(String, Vec<String>)]| files.iter().map(|(_, lines)| lines.concat()).collect::<String>();
    assert_eq!(problems(&verified(&key(), &[], [("log", text(&forged))])), [Problem::OtherKey]);
    // The right name of the key is there for all to see.
    let named = text(&forged).replace(&other.id(), &key().id());
    let found = problems(&verified(&key(), &[], [("log", named)]));
    assert!(found.len() >= 2 && matches!(found[0], Problem::Edited { seq: 1 }), "{found:?}");
    // Only the tail.
    let mut files = two_files(&key(), "a");
    for (at, line) in files[0].1.iter_mut().enumerate().skip(5) {
        line.clone_from(&forged[0].1[at]);
    }
    assert_eq!(found_in(&files)[0], Problem::Edited { seq: 6 });
}

#[test]
fn lines_of_another_log_of_the_same_key_do_not_fit() {
    let other = two_files(&key(), "b");
    let mut files = two_files(&key(), "a");
    files[0].1[4].clone_from(&other[0].1[4]);
    assert_eq!(found_in(&files)[0], Problem::Edited { seq: 5 });
    let whole = [&two_files(&key(), "a")[0], &other[1]].map(|(name, lines)| (name.clone(), lines.clone()));
    assert_eq!(found_in(&whole), [Problem::OtherChain]);
}

fn found_in(files: &[(String, Vec<String>)]) -> Vec<Problem> {
    problems(&verified(&key(), &[], files.iter().map(|(name, lines)| (name.as_str(), lines.concat()))))
}

#[test]
fn what_the_log_says_of_itself_is_told() {
    let mut chain = Chain::new(&key(), "a", Head::NONE);
    let mut text = line(&mut chain, &Record::Open { chain: "a", key: &key().id(), previous: None }.render());
    text += &line(&mut chain, &intent(3));
    let torn = super::super::record::Torn { bytes: 7, sha256: "ab".to_owned() };
    text += &line(&mut chain, &Record::Start { clean: false, torn: Some(&torn) }.render());
    // The same number, of another run of the host.
    text += &line(&mut chain, &outcome(3));
    text += &line(&mut chain, &intent(4));
    text += &line(&mut chain, &Record::Gap { lines: 0, since: "2026" }.render());
    let report = verified(&key(), &[], [("log", text.clone())]);
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.unclean_starts, report.healed, report.unknown, report.unknown_lines), (1, 1, 2, vec![2, 5]));
    text += &line(&mut chain, &Record::Gap { lines: 2, since: "2026" }.render());
    assert_eq!(problems(&verified(&key(), &[], [("log", text)])), [Problem::Gap { lines: 2 }]);
}

#[test]
fn findings_have_a_bound() {
    let lines = "{}\n".repeat(1_000);
    let report = after(&[], |files| files[1].1.push(lines));
    assert_eq!((report.findings.len(), report.further_findings), (100, 900));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever byte becomes whatever other byte, or goes, or comes.
    #[test]
    fn any_change_of_one_byte_is_found(place in any::<prop::sample::Index>(), byte in any::<u8>(), what in 0..3) {
        let text: String = two_files(&key(), "a").iter().map(|(_, lines)| lines.concat()).collect();
        let mut bytes = text.into_bytes();
        let at = place.index(bytes.len());
        match what {
            0 if bytes[at] == byte => return Ok(()),
            0 => bytes[at] = byte,
            1 => {
                bytes.remove(at);
            }
            _ => bytes.insert(at, byte),
        }
        let mut verifier = Verifier::new(key(), Vec::new());
        verifier.file("log", &bytes[..]).unwrap();
        let report = verifier.finish();
        prop_assert!(!report.is_intact());
    }
}
