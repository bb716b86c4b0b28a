//! The well-behaved handler, so that the others' misdeeds can be told from a host that does nothing right.

use http::Request;
use serde_json::json;
use support::client;

use super::{bed::on, on_every_engine};

on_every_engine! {
    async fn rows_transactions_and_cursors_work(engine) {
        let mut bed = on(engine).start("probe").await;
        let outcomes = bed.run(json!([
            { "do": "query", "sql": "SELECT note FROM notes ORDER BY id" },
            { "do": "begin", "as": "t" },
            { "do": "execute", "on": "t", "sql": "INSERT INTO notes (note) VALUES ('four')" },
            { "do": "savepoint", "on": "t", "name": "a" },
            { "do": "execute", "on": "t", "sql": "DELETE FROM notes" },
            { "do": "rollback-to", "on": "t", "name": "a" },
            { "do": "query", "on": "t", "sql": "SELECT count(*) FROM notes" },
            { "do": "rollback", "on": "t" },
            { "do": "cursor", "as": "k", "sql": "SELECT note FROM notes ORDER BY id" },
            { "do": "next", "on": "k", "rows": 2 },
            { "do": "next", "on": "k", "rows": 2 },
            { "do": "next", "on": "k", "rows": 2 },
            { "do": "close", "on": "k" },
        ])).await;
        let expected = json!([
            [[{ "text": "one" }], [{ "text": "two" }], [{ "text": "three" }]],
            [[{ "signed": 4 }]],
            [[{ "text": "one" }], [{ "text": "two" }]],
            [[{ "text": "three" }]],
        ]);
        let had = json!([outcomes[0]["ok"]["rows"], outcomes[6]["ok"]["rows"], outcomes[9]["ok"], outcomes[10]["ok"]]);
        assert_eq!(had, expected, "{outcomes:#?}");
        assert_eq!(outcomes[2]["ok"]["rows-affected"], 1);
        assert_eq!((&outcomes[11], &outcomes[12]), (&json!({ "ok": null }), &json!({ "ok": null })));
        bed.recovers().await;
        bed.ends_well().await;
    }

    async fn bodies_stream_both_ways(engine) {
        let mut bed = on(engine).start("probe").await;
        let sent = vec![b'x'; 1 << 20];
        let request = Request::post("/probe/echo").body(client::bytes(sent.clone())).unwrap();
        let reply = bed.client().open(request).await.unwrap().whole().await.unwrap();
        assert_eq!((reply.status.as_u16(), reply.body == sent), (200, true));
        let reply = bed.call("/stream?batch=2&sql=SELECT+note+FROM+notes+ORDER+BY+id").await;
        assert_eq!(reply.text(), "[[{\"text\":\"one\"}],[{\"text\":\"two\"}]]\n[[{\"text\":\"three\"}]]\n");
        bed.recovers().await;
        bed.ends_well().await;
    }
}
