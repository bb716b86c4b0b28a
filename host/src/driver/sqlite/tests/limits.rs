//! Results at and beyond their limits.

use std::time::Instant;

use super::*;

async fn limited(session: &mut Box<dyn Connection>, sql: &str, rows: u32, bytes: usize) -> Result<u32, Failure> {
    match session.run(Operation::Query(statement(sql, []), ResultLimit { rows, bytes })).await? {
        Answer::Rows(rows) => Ok(rows.batch.row_count),
        other => panic!("rows, not {other:?}"),
    }
}

#[tokio::test]
async fn a_result_may_be_as_large_as_its_limit_and_no_larger() {
    let file = File::new().await;
    let mut session = file.writer().await;
    fill(&mut session, 100).await;
    let sql = "SELECT id FROM patients";
    for (rows, bytes, fits) in
        [(100, 800, true), (99, 800, false), (100, 799, false), (0, 800, false), (u32::MAX, usize::MAX, true)]
    {
        match limited(&mut session, sql, rows, bytes).await {
            Ok(count) => assert!(fits && count == 100, "{rows} rows, {bytes} bytes"),
            Err(failure) => {
                assert!(
                    !fits && failure.kind == FailureKind::LimitExceeded && !failure.lost,
                    "{rows} rows, {bytes} bytes: {failure}"
                );
                let expected = if rows < 100 { ("max_rows", rows.to_string()) } else { ("max_result_bytes", bytes.to_string()) };
                assert_eq!(failure.details, [("limit", expected.0.to_owned()), ("maximum", expected.1)]);
            }
        }
    }
    // Text counts as the column holds it: its bytes, and an offset a cell and one more.
    assert_eq!(limited(&mut session, "SELECT 'abcd' UNION ALL SELECT 'ef'", 10, 18).await.unwrap(), 2);
    limited(&mut session, "SELECT 'abcd' UNION ALL SELECT 'ef'", 10, 17).await.unwrap_err();
}

#[tokio::test]
async fn an_endless_result_is_ended_and_the_session_goes_on() {
    let file = File::new().await;
    let mut session = file.writer().await;
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    // After its third row this one never finds another.
    let stuck = format!("{rows} WHERE i < 4");
    session.run(begin(false)).await.unwrap();
    fill(&mut session, 1).await;
    for sql in [rows, &stuck] {
        let failure = limited(&mut session, sql, 2, 1000).await.unwrap_err();
        assert_eq!((failure.kind, failure.lost), (FailureKind::LimitExceeded, false));
    }
    // Nothing of the transaction was lost by that.
    session.run(Operation::Commit).await.unwrap();
    assert_eq!(number(&mut session, "SELECT count(*) FROM patients").await, 1);
    session.reset().await.unwrap();
}

#[tokio::test]
async fn writing_that_returns_too_much_is_undone() {
    let file = File::new().await;
    let mut session = file.writer().await;
    let sql = "INSERT INTO patients (record_number) VALUES ('a'), ('b') RETURNING id";
    limited(&mut session, sql, 1, 1000).await.unwrap_err();
    assert_eq!(number(&mut session, "SELECT count(*) FROM patients").await, 0);
    assert_eq!(limited(&mut session, sql, 2, 1000).await.unwrap(), 2);
    assert_eq!(number(&mut session, "SELECT count(*) FROM patients").await, 2);
}

#[tokio::test]
async fn values_and_statements_have_a_largest_size() {
    let file = File::new().await;
    let mut session = file.writer().await;
    let failure = query(&mut session, "SELECT zeroblob(17 * 1024 * 1024)", []).await.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_deref()), (FailureKind::LimitExceeded, Some("18")));
    let failure = query(&mut session, "SELECT length(?)", [Value::Bytes(vec![0; 17 * 1024 * 1024])]).await.unwrap_err();
    assert!(matches!(failure.kind, FailureKind::Conversion | FailureKind::LimitExceeded) && !failure.lost, "{failure:?}");
    let failure = query(&mut session, &format!("SELECT 1 /* {} */", "x".repeat(1024 * 1024)), []).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid);
    // Many rows of values are no compound, whatever the limit of those is.
    let many = format!(
        "INSERT INTO patients (record_number) VALUES {}",
        (0..5_000).map(|i| format!("({i})")).collect::<Vec<_>>().join(",")
    );
    assert_eq!(execute(&mut session, &many, []).await.unwrap().rows_affected, 5_000);
}

/// Short, but each name stands for two of the one before, and the engine copies what a name stands for.
fn doubling(levels: u32) -> String {
    let named = (1..=levels).map(|level| format!("t{level}(x) AS (SELECT x FROM t{0} UNION SELECT x FROM t{0})", level - 1));
    format!("WITH t0(x) AS (SELECT 1), {} SELECT x FROM t{levels}", named.collect::<Vec<_>>().join(", "))
}

#[tokio::test]
async fn a_text_that_takes_long_to_compile_holds_up_no_other_task() {
    const LONG: Duration = Duration::from_millis(400);
    const MOST_LEVELS: u32 = 24;
    let file = File::new().await;
    let mut session = file.reader().await;
    for levels in 8..=MOST_LEVELS {
        let sql = doubling(levels);
        let (began, mut longest) = (Instant::now(), Duration::ZERO);
        let others = async {
            loop {
                let turn = Instant::now();
                tokio::task::yield_now().await;
                longest = longest.max(turn.elapsed());
            }
        };
        tokio::select! {
            // It is compiled to be described and again to be run, so that either is half of the time at most.
            _answered_or_refused = query(&mut session, &sql, []) => {}
            () = others => {}
        }
        let took = began.elapsed();
        if took >= LONG {
            assert!(longest < took / 4, "{levels} levels took {took:?}, and held up others for {longest:?}");
            return;
        }
    }
    panic!("{MOST_LEVELS} levels do not take long");
}
