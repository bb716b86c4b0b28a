//! An audit log from outside: hosts that are killed while they write it, and `wharf audit verify`.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{self, Stdio},
    time::Duration,
};

use support::host;
use wharf::telemetry::audit::{Actor, Audit, Key, Outcome, Request, Settings, Statement, Types, verify};

const PATIENCE: Duration = Duration::from_secs(30);
const KEY: &str = "a key of the tests, of which nobody makes a secret";
/// What tells a process that it is one to be killed: where it writes, and what its requests begin with.
const VICTIM_FILE: &str = "WHARF_TESTS_AUDIT_FILE";
const VICTIM_ROUND: &str = "WHARF_TESTS_AUDIT_ROUND";
/// Operations after which one that nobody kills ends.
const ENOUGH: usize = 100_000;

fn start(file: &Path) -> Audit {
    let mut settings = Settings::new(file.to_owned(), key());
    settings.max_file_size = 20_000;
    Audit::start(settings).unwrap()
}

fn key() -> Key {
    Key::new(KEY).unwrap()
}

/// Begins an operation, says so, and ends it.
async fn operate(audit: &Audit, request: &str, say: impl Fn(&str)) {
    let actor = Actor { request, plugin: "patients", digest: "3f", who: None };
    let statement = Statement { verb: "query", fingerprint: "9c", text: "SELECT name FROM patients WHERE id = $n" };
    let types = Types::from_iter(["signed"]);
    let operation = audit.intent(&Request { actor, database: "clinic", statement, types: &types }).await.unwrap();
    say(request);
    operation.end(&Outcome { outcome: "done", code: None, rows: Some(1) }).await;
}

/// All files of the log.
fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension != "lock")).collect()
}

/// Not a test by itself: what `a_killed_host…` runs as a process of its own, and kills.
#[tokio::test]
async fn writes_until_it_is_killed() {
    let (Some(file), Ok(round)) = (env::var_os(VICTIM_FILE), env::var(VICTIM_ROUND)) else { return };
    let audit = start(Path::new(&file));
    for number in 0..ENOUGH {
        let request = format!("{round}-{number}");
        // Two at once, so that lines are written together.
        tokio::join!(operate(&audit, &request, |request| println!("begun {request}")), operate(&audit, "beside", |_| {}),);
    }
}

/// What its operations were that had begun when it was killed, after so many of them.
fn killed(file: &Path, round: usize, after: usize) -> Vec<String> {
    let mut victim = process::Command::new(env::current_exe().unwrap())
        .args(["--exact", "audit::writes_until_it_is_killed", "--nocapture", "--test-threads=1"])
        .env(VICTIM_FILE, file)
        .env(VICTIM_ROUND, round.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut begun = lines.filter_map(|line| line.split_once("begun ").map(|(_, request)| request.to_owned()));
    let mut all: Vec<_> = begun.by_ref().take(after).collect();
    victim.kill().unwrap();
    victim.wait().unwrap();
    all.extend(begun);
    all
}

#[tokio::test]
async fn a_killed_host_has_every_line_that_an_operation_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.log");
    let mut begun = Vec::new();
    for round in 0..12 {
        let requests = killed(&file, round, 1 + 13 * round);
        assert!(requests.len() > 13 * round, "{requests:?}");
        begun.extend(requests);
    }
    let audit = start(&file);
    let head = audit.close().await.unwrap();
    let files = files(folder.path());
    let report = verify(&files, key(), vec![head.to_string().parse().unwrap()]).unwrap();
    assert!(report.is_intact() && report.vouched == Some(head.seq) && report.first == Some(1), "{report:?}");
    assert_eq!(report.unclean_starts, 12);
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    for request in begun {
        assert!(text.contains(&format!("\"request\":\"{request}\"")), "{request}");
    }
}

/// Exit code, stdout and stderr of `wharf audit verify`.
async fn verified(arguments: &[&str], files: &[PathBuf], key: Option<&str>) -> (Option<i32>, String, String) {
    let mut command = host::command();
    command.args(["audit", "verify"]).args(arguments).args(files);
    match key {
        Some(key) => command.env("WHARF_AUDIT_KEY", key),
        None => command.env_remove("WHARF_AUDIT_KEY"),
    };
    let ended = host::end(command, PATIENCE).await;
    (ended.code, ended.stdout, ended.stderr)
}

#[tokio::test]
async fn an_operator_sees_whether_a_log_was_touched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.log");
    let audit = start(&file);
    for number in 0..100 {
        operate(&audit, &format!("r{number}"), |_| {}).await;
    }
    let head = audit.close().await.unwrap().to_string();
    let files = files(folder.path());
    assert!(files.len() > 1, "{files:?}");

    let (code, said, _) = verified(&["--head", &head], &files, Some(KEY)).await;
    assert!(code == Some(0) && said.starts_with("intact: ") && !said.contains("note: "), "{said}");
    assert!(said.contains(&format!("head: {head}\n")), "{said}");
    let (code, said, _) = verified(&[], &files, Some(KEY)).await;
    assert!(code == Some(0) && said.contains("note: nothing vouches for the end"), "{said}");

    // The key in a file, with the line break that editors put there.
    let key_file = folder.path().join("key.lock");
    fs::write(&key_file, format!("{KEY}\n")).unwrap();
    let key_file = key_file.to_str().unwrap();
    let (code, said, _) = verified(&["--json", "--key-file", key_file, "--head", &head], &files, None).await;
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &report["findings"], &report["last"]), (Some(0), &serde_json::json!([]), &serde_json::json!(head)));

    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("\"rows\":1", "\"rows\":0", 1)).unwrap();
    let (code, said, errors) = verified(&["--head", &head], &files, Some(KEY)).await;
    assert!(code == Some(1) && said.contains("audit.log:") && said.contains(": edited or moved\n"), "{said}");
    assert!(errors.contains("the audit log is not intact: 1 finding"), "{errors}");
    let (code, said, _) = verified(&[], &files, Some(&KEY.replace('a', "b"))).await;
    assert!(code == Some(1) && said.contains("written with another key"), "{said}");

    let cases: [(&[&str], Option<&str>, &str); 5] = [
        (&[], None, "no key: give --key-file, or set WHARF_AUDIT_KEY"),
        (&[], Some("short"), "32 bytes at least"),
        (&["nowhere.log"], Some(KEY), "cannot read nowhere.log"),
        (&["--head", "812"], Some(KEY), "a head is SEQ:HEX"),
        (&["--key-file", "nowhere.key"], None, "cannot read nowhere.key"),
    ];
    for (arguments, key, error) in cases {
        let (code, _, errors) = verified(arguments, &files, key).await;
        assert!(code == Some(2) && errors.contains(error), "{arguments:?}: {errors}");
    }
}
