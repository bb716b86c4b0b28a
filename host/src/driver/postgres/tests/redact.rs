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
        "'a'\n'§'",
        "'a' -- '\n '§'",
        "E'§'",
        "e'a\\' §'",
        "E'\\\\'",
        "E'a'\n'b\\'§'",
        "U&'§ \\0041'",
        "U&'!0041§' UESCAPE '!'",
        "$$§$$",
        "$a$ ' § $$ $a$",
        "$a$ § $b$ $a$",
        "'$$ §'",
        "'\\'",
        "'\\' || '§'",
        "'a\\''§'",
        "'a\\'§'",
        "'/* §'",
        "'-- §'",
        "'\" §'",
        "§",
        "-§",
        "§.5",
        "1.§",
        "§::text",
        "q || '§'",
        "\"it's\"",
        "\"q\" || '§\"'",
        "e || E'\\'§'",
        "'\u{3042}§'",
        "E'\u{3042}\\'§'",
        "N'§'",
        "CASE WHEN TRUE THEN '§' END",
        "ARRAY['§']::text",
        // What may not stand by itself.
        "'",
        "\"",
        "$a$",
        "$$",
        "\\",
        "/*",
    ],
    between: &[", ", ",", " || ", ", -- '\n", ", -- ' \r", ", /* ' */ ", ", /* /* ' */ \" */ ", "\n", " "],
    from: "(SELECT 'e'::text AS e, 'q'::text AS q, 'i'::text AS \"it's\") s",
};

#[tokio::test]
async fn no_value_is_shown() {
    let fixture = Fixture::new().await;
    for setting in ["standard_conforming_strings = on", "standard_conforming_strings = off"] {
        let mut connection = connected(&fixture).await;
        execute(&mut *connection, &format!("SET {setting}"), vec![]).await.unwrap();
        nothing_returned_is_shown(Engine::Postgres, PARTS, &mut *connection).await;
    }
}
