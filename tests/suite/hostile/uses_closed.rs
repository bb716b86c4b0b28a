//! A handler that uses handles after they ended.

use super::{bed::on, on_every_engine};

on_every_engine! {
    async fn a_closed_handle_answers_with_a_typed_error(engine) {
        let mut bed = on(engine).start("uses_closed").await;
        let reply = bed.call("").await;
        assert_eq!(reply.status, 200, "{reply:?}\n{}", bed.host.log());
        let json = reply.json();
        let kind = |step: &str| json[step]["error"]["kind"].as_str().unwrap_or_else(|| panic!("{step}: {json}")).to_owned();
        for step in [
            "query after close",
            "begin after close",
            "close after close",
            "query after commit",
            "commit after commit",
            "rollback after commit",
            "next after commit",
            "next after close",
        ] {
            assert_eq!(kind(step), "invalid", "{step}");
        }
        assert_eq!(kind("query beside transaction"), "busy");
        // Dropping the connection gave it back, and with it the transaction.
        assert!(["invalid", "disconnected"].contains(&kind("query after parent").as_str()), "{json}");
        bed.recovers().await;
        bed.ends_well().await;
    }
}
