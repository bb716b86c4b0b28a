//! Migrations: applied once, in order, by one host at a time.

use std::path::Path;

use super::{super::migrations::apply, *};
use crate::driver::migrations::MigrationError;

const FIRST: &str = r#"[
    { "create": "people" },
    { "createIndexes": "people", "indexes": [{ "key": { "email": 1 }, "name": "email", "unique": true }] }
]"#;
const SECOND: &str = r#"[{ "insert": "people", "documents": [{ "_id": 1, "email": "a" }] }]"#;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

async fn applied(fixture: &Fixture, folder: &Path) -> Result<usize, String> {
    apply(&fixture.url, &[folder]).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn each_is_applied_once_and_in_order() {
    let fixture = Fixture::new().await;
    let files = [("0002_someone.json", SECOND), ("0001_people.json", FIRST), ("README.md", "not a migration")];
    let both = folder(&files);
    assert_eq!(applied(&fixture, both.path()).await, Ok(2));
    assert_eq!(applied(&fixture, both.path()).await, Ok(0));
    assert_eq!(fixture.all("people").await, [doc! { "_id": 1, "email": "a" }]);
    let remembered = fixture.all("_wharf_migrations").await;
    let versions: Vec<i64> = remembered.iter().map(|entry| entry.get_i64("_id").unwrap()).collect();
    assert_eq!(versions, [1, 2]);
}

#[tokio::test]
async fn what_was_changed_or_is_gone_is_an_error() {
    let fixture = Fixture::new().await;
    let first = folder(&[("1_people.json", FIRST)]);
    assert_eq!(applied(&fixture, first.path()).await, Ok(1));
    let changed = folder(&[("1_people.json", "[]")]);
    assert!(applied(&fixture, changed.path()).await.unwrap_err().contains("was changed"));
    let gone = folder(&[("2_someone.json", SECOND)]);
    assert!(applied(&fixture, gone.path()).await.unwrap_err().contains("migration 1 was applied before"));
    let twice = folder(&[("1_people.json", FIRST), ("01_people.json", FIRST)]);
    assert!(applied(&fixture, twice.path()).await.unwrap_err().contains("two migrations have version 1"));
    assert_eq!(fixture.all("people").await, []);
}

#[tokio::test]
async fn one_that_fails_is_tried_again_when_it_is_mended() {
    let fixture = Fixture::new().await;
    let twice = r#"[{ "insert": "people", "documents": [{ "_id": 1 }, { "_id": 1 }] }]"#;
    let broken = folder(&[("1_people.json", FIRST), ("2_someone.json", twice)]);
    let told = applied(&fixture, broken.path()).await.unwrap_err();
    assert!(told.contains("migration 2 failed at its command 1"), "{told}");
    fixture.run(doc! { "delete": "people", "deletes": [{ "q": {}, "limit": 0 }] }).await;
    let mended = folder(&[("1_people.json", FIRST), ("2_someone.json", SECOND)]);
    assert_eq!(applied(&fixture, mended.path()).await, Ok(1));
}

#[tokio::test]
async fn hosts_that_start_at_once_wait_for_each_other() {
    let fixture = Fixture::new().await;
    let both = folder(&[("1_people.json", FIRST), ("2_someone.json", SECOND)]);
    let hosts = futures::future::join_all((0..4).map(|_| applied(&fixture, both.path()))).await;
    let all: Vec<usize> = hosts.into_iter().map(Result::unwrap).collect();
    assert_eq!(all.iter().sum::<usize>(), 2, "{all:?}");
    assert!(fixture.all("_wharf_migrations").await.iter().all(|entry| !entry.contains_key("holder")));
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_without_its_address() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let none = folder(&[]);
    let told = apply(&format!("mongodb://u:secret@127.0.0.1:{free}/d"), &[none.path()]).await.unwrap_err();
    assert!(matches!(told, MigrationError::Connect(_)) && !told.to_string().contains("127.0.0.1"), "{told}");
    let missing = none.path().join("missing");
    let told = apply("mongodb://h/d", &[&missing]).await.unwrap_err();
    assert!(matches!(told, MigrationError::Source { .. }), "{told}");
}
