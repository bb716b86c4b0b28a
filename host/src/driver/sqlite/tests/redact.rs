//! What the engine takes for a value is not shown, however it is quoted.

use super::*;
use crate::driver::tests::{Parts, nothing_returned_is_shown};

const PARTS: Parts = Parts {
    expressions: &[
        "'§'",
        "'it''s §'",
        "\"§\"",
        "\"it's §\"",
        "\"a\"\"§\"",
        "'\\'",
        "'a\\'",
        "'a\\' || '§'",
        "e'a\\'",
        "E '§'",
        "CAST(x'¤' AS TEXT)",
        "CAST(X'¤' AS TEXT)",
        "§",
        "-§",
        "§.5",
        "1.§",
        "§e0",
        "§_000",
        "'-- §'",
        "'/* §'",
        "'$a$ §'",
        "`it's`",
        "`q` || '§`'",
        "[it's]",
        "[q] || '§]'",
        "\"q\"",
        "q->>'$.a'",
        "coalesce(NULL, '§')",
        "CASE WHEN TRUE THEN '§' END",
        "iif(1, '§', 0)",
        "'\u{3042}§'",
        "\u{feff}'§'",
        // What may not stand by itself.
        "'",
        "\"",
        "`",
        "[",
        "\\",
        "$a(')",
        "/*",
    ],
    between: &[", ", ",", " || ", ", -- '\n", ", -- \r ' \n", ", /* ' */ ", ", /* /* ' */ ", "\n"],
    from: "(SELECT 7 AS e, '{\"a\":1}' AS q, 8 AS `it's`)",
};

#[tokio::test]
async fn no_value_is_shown() {
    let file = File::new().await;
    let mut session = file.writer().await;
    nothing_returned_is_shown(Engine::Sqlite, PARTS, &mut *session).await;
}
