//! Habits that a reader takes for granted.

use crate::tree;

/// Lines of Rust that contain one of `words`, but for the files named. This file is not looked at: it has to name what it looks for.
fn lines_with(words: &[&str], except: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in tree::rust() {
        if path == "tests/suite/hygiene.rs" || except.contains(&path.as_str()) {
            continue;
        }
        for (number, line) in text.lines().enumerate().filter(|(_, line)| words.iter().any(|word| line.contains(word))) {
            found.push(format!("{path}:{}: {}", number + 1, line.trim()));
        }
    }
    found
}

fn none(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn no_test_is_ignored() {
    none(&lines_with(&["#[ignore"], &[]));
}

#[test]
fn no_test_sleeps() {
    // A peer that is slow is so by the clock; no test waits for that. Clients of a benchmark stay away for as long as they are told to, and
    // one looks now and then what the server sees, or leaves it alone for a while.
    let by_the_clock =
        ["tests/support/proxy.rs", "tests/bench/src/crowd.rs", "tests/bench/src/contest.rs", "tests/bench/src/cases/overload.rs"];
    let sleeps = lines_with(&["thread::sleep", "time::sleep", "sleep(Duration", "sleep_until("], &by_the_clock);
    // The host itself waits for the clock, where that is its job; tests below `mod tests` and in files named for them do not.
    let in_tests = |line: &String| {
        let path = line.split(':').next().unwrap();
        // Time there is the scheduler's: nobody waits for a clock.
        if path.starts_with("tests/schedules/") {
            return false;
        }
        if path.starts_with("tests/") || path.contains("test") {
            return true;
        }
        let number: usize = line.split(':').nth(1).unwrap().parse().unwrap();
        tree::read(path).lines().take(number).any(|line| line.trim() == "#[cfg(test)]")
    };
    none(&sleeps.into_iter().filter(in_tests).collect::<Vec<_>>());
}

#[test]
fn what_our_commands_say_is_searched_for_secrets() {
    // `host::end` does.
    let unsearched =
        |(path, text): (String, String)| (text.contains("host::command()") && text.contains(".output()")).then_some(path);
    let found: Vec<_> = tree::rust().into_iter().filter_map(unsearched).collect();
    none(&found.into_iter().filter(|path| path != "tests/suite/hygiene.rs").collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_for_later() {
    none(&lines_with(&["todo!(", "unimplemented!(", "FIXME", "XXX ", "XXX:", "TODO"], &[]));
}

#[test]
fn no_path_of_one_machine_is_named() {
    none(&lines_with(&["/home/", "/root/", "/work/", "/Users/"], &[]));
}

#[test]
fn no_port_is_fixed_in_tests() {
    let fixed = |line: &String| {
        let path = line.split(':').next().unwrap();
        path.starts_with("tests/")
            && line.match_indices("127.0.0.1:").any(|(at, address)| {
                let port = &line[at + address.len()..];
                port.starts_with(|first: char| ('1'..='9').contains(&first))
            })
    };
    let found: Vec<_> = lines_with(&["127.0.0.1:"], &[]).into_iter().filter(fixed).collect();
    // In a comment that says what an address looks like, a port is no promise.
    none(&found.into_iter().filter(|line| !line.contains("///")).collect::<Vec<_>>());
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = |(path, text): (String, String)| (!text.trim_start().starts_with("//!")).then_some(path);
    none(&tree::rust().into_iter().filter_map(silent).collect::<Vec<_>>());
}

#[test]
fn no_file_has_more_than_one_job() {
    let long = |(path, text): (String, String)| {
        let lines = text.lines().count();
        (lines > 600).then(|| format!("{path}: {lines} lines"))
    };
    none(&tree::rust().into_iter().filter_map(long).collect::<Vec<_>>());
}

#[test]
fn what_is_allowed_says_why() {
    let without = |line: &String| !line.contains("reason");
    let found = lines_with(&["#[allow(", "#![allow(", "#[expect(", "#![expect("], &[]);
    // The reason may be on a line of its own when there are many lints.
    none(&found.into_iter().filter(without).filter(|line| line.ends_with(")]")).collect::<Vec<_>>());
}

#[test]
fn unsafe_code_is_in_one_named_file() {
    let found = lines_with(&["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"], &[]);
    let files: std::collections::BTreeSet<&str> = found.iter().filter_map(|line| line.split(':').next()).collect();
    assert!(files.iter().all(|file| file.starts_with("host/src/driver/sqlite")), "{files:?}");
    assert!(files.len() <= 1, "{files:?}");
}
