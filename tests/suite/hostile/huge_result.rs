//! Handlers that ask for more than anybody should hold.

use super::{bed::on, on_every_engine};

on_every_engine! {
    async fn a_huge_result_ends_at_the_limit_of_the_grant(engine) {
        let mut bed = on(engine).limits("deadline = \"10s\"").start("huge_result").await;
        for variant in ["", "/cell?bytes=67108864", "/wide"] {
            let json = bed.call(variant).await.json();
            assert_eq!(json["error"]["kind"], "limit-exceeded", "{variant}: {json}");
            assert!(json["error"]["details"]["limit"].is_string() && json["error"]["details"]["maximum"].is_string(), "{variant}: {json}");
            bed.recovers().await;
        }
        let json = bed.call("?rows=1000").await.json();
        assert_eq!(json["rows"], 1000, "{json}");
        bed.recovers().await;
        bed.ends_well().await;
    }
}
