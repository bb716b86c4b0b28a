//! A handler that puts a statement of its own under a name that the host prepared.

use super::bed::{Engine, on};

#[tokio::test]
async fn a_hijacked_name_never_reaches_the_next_borrower() {
    let mut bed = on(Engine::Postgres).limits("deadline = \"15s\"").start("hijacks").await;
    // Warm: the statement is prepared in every session of the pool.
    for _ in 0..6 {
        assert_eq!(bed.call("/victim").await.json()["ok"]["rows"][0][0]["signed"], 3);
    }
    for _ in 0..3 {
        let json = bed.call("/hijacks").await.json();
        assert_eq!(json["victim"]["ok"]["rows"][0][0]["signed"], 3, "{json}");
        let took = json["replaced"].as_array().unwrap().iter().any(|outcome| outcome["error"].is_null());
        assert!(took, "no name was hijacked, so this proves nothing: {json}");
        for _ in 0..6 {
            let json = bed.call("/victim").await.json();
            assert_eq!(json["ok"]["rows"][0][0]["signed"], 3, "{json}");
        }
        bed.recovers().await;
    }
    assert_eq!(bed.call("/plain").await.status, 200);
    for _ in 0..6 {
        assert_eq!(bed.call("/victim").await.json()["ok"]["rows"][0][0]["signed"], 3);
    }
    bed.recovers().await;
    bed.ends_well().await;
}
