//! What the server takes for a value is not shown, however it is quoted.

use super::*;
use crate::driver::{
    Engine,
    tests::{Parts, nothing_returned_is_shown},
};

const PARTS: Parts = Parts {
    expressions: &[
        "'§'",
        "'it''s §'",
        "'§' '§'",
        "\"§\"",
        "\"it's §\"",
        "\"a\"\"§\"",
        "'a\\'§'",
        "'a\\' §'",
        "\"a\\\"§\"",
        "'\\\\'",
        "'\\'",
        "CONCAT('\\', '§')",
        "CONCAT('a', '§')",
        "N'§'",
        "_utf8mb4'§'",
        "x'¤'",
        "0x¤",
        "§",
        "-§",
        "§.5",
        "1.§",
        "§e0",
        "'# §'",
        "'-- §'",
        "'/* §'",
        "`it's`",
        "CONCAT(`q`, '§`')",
        "$a$",
        "q",
        "@a",
        "@`it's`",
        "COALESCE(@'§', '§')",
        "/*! '§' */",
        "/*!50000 '§' */",
        "/*M! '§' */",
        "CAST('§' AS CHAR)",
        "IF(TRUE, '§', 1)",
        "'\u{3042}§'",
        "`\u{e9}`",
        "[q]",
        // What may not stand by itself.
        "'",
        "\"",
        "`",
        "\\",
        "/*",
        "[it's]",
    ],
    between: &[", ", ",", " ", ", -- '\n", ", # \"\n", ", /* ' */ ", ", /* /* ' */ ", " --", "\n"],
    from: "(SELECT 1 AS q, 2 AS `it's`, 3 AS `$a$`, 4 AS `\u{e9}`) s",
};

#[tokio::test]
async fn no_value_is_shown() {
    let fixture = Fixture::new().await;
    for mode in ["", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES", "MSSQL"] {
        let mut connection = connected(&fixture).await;
        execute(&mut *connection, &format!("SET sql_mode = '{mode}'"), vec![]).await.unwrap();
        nothing_returned_is_shown(Engine::Mysql, PARTS, &mut *connection).await;
    }
}
