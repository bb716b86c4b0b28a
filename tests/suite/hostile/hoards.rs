//! Handlers that take connections until they are refused.

use serde_json::json;

use super::{
    bed::{GRANT, on},
    on_every_engine,
};

on_every_engine! {
    async fn a_hoarder_gets_its_grant_and_a_typed_refusal(engine) {
        let mut bed = on(engine).start("hoards").await;
        for variant in ["", "/transactions"] {
            let json = bed.call(variant).await.json();
            assert_eq!(json["held"], GRANT, "{variant}: {json}");
            assert_eq!(json["error"]["kind"], "limit-exceeded", "{variant}: {json}");
            assert_eq!(json["error"]["details"], json!({ "limit": "max_connections", "maximum": GRANT.to_string() }), "{variant}");
            bed.recovers().await;
        }
        bed.ends_well().await;
    }
}
