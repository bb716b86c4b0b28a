//! A database of one server or the other, with the table `notes`, and the ways of a pool to it.

use std::sync::Arc;

use support::{
    cut::{At, Cut, Wire},
    servers::{Engine, ServerDatabase},
};
use wharf::driver::{Driver, mysql::Mysql, postgres::Postgres, settings::Settings};

use super::PATIENCE;

/// A database with notes.
pub(super) struct Ground {
    pub(super) database: ServerDatabase,
}

/// How a statement names its only parameter.
pub(super) fn placeholder(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "$1",
        Engine::Mariadb => "?",
    }
}

impl Ground {
    /// No two notes are the same, of which PostgreSQL makes sure when it commits. `writes` is a function that looks as if it only read.
    pub(super) async fn new(engine: Engine) -> Self {
        let database = ServerDatabase::create(engine).await;
        let schema = match engine {
            Engine::Postgres => {
                "CREATE TABLE notes (note text PRIMARY KEY DEFERRABLE INITIALLY DEFERRED); \
                 CREATE FUNCTION writes(text) RETURNS int LANGUAGE sql AS 'INSERT INTO notes VALUES ($1) RETURNING 1'"
            }
            Engine::Mariadb => {
                "CREATE TABLE notes (note VARCHAR(100) PRIMARY KEY); \
                 CREATE FUNCTION writes(given VARCHAR(100)) RETURNS INT BEGIN INSERT INTO notes VALUES (given); RETURN 1; END"
            }
        };
        database.execute(schema).await;
        Self { database }
    }

    /// All notes, as anybody sees them.
    pub(super) async fn written(&self) -> String {
        let sql = match self.database.engine() {
            Engine::Postgres => "SELECT coalesce(string_agg(note, ' ' ORDER BY note), '') FROM notes",
            Engine::Mariadb => "SELECT COALESCE(GROUP_CONCAT(note ORDER BY note SEPARATOR ' '), '') FROM notes",
        };
        self.database.text(sql).await
    }

    /// All notes, once nobody has a session in the database any more, so that nothing can change.
    pub(super) async fn settled(&self) -> String {
        self.database.until_nobody(PATIENCE).await;
        self.written().await
    }

    pub(super) fn driver(&self) -> Arc<dyn Driver> {
        let url = self.database.url();
        match self.database.engine() {
            Engine::Postgres => Arc::new(Postgres::new(&url, Settings::default()).unwrap()),
            Engine::Mariadb => Arc::new(Mysql::new(&url, Settings::default()).unwrap()),
        }
    }

    /// A proxy that cuts what contains `marker`, and the URL that leads through it.
    pub(super) async fn cut(&self, marker: &'static str, at: At) -> (Cut, String) {
        let wire = match self.database.engine() {
            Engine::Postgres => Wire::Postgres,
            Engine::Mariadb => Wire::Mysql,
        };
        let cut = Cut::new(self.database.address(), wire, marker, at).await;
        let url = self.database.url_at(cut.address());
        (cut, url)
    }

    /// A driver whose sessions go through such a proxy, and whose control path does not.
    pub(super) async fn through(&self, marker: &'static str, at: At) -> (Cut, Arc<dyn Driver>) {
        let (cut, url) = self.cut(marker, at).await;
        let direct = self.database.url();
        let driver: Arc<dyn Driver> = match self.database.engine() {
            Engine::Postgres => Arc::new(Postgres::new(&url, Settings::default()).unwrap().control_with(&direct).unwrap()),
            Engine::Mariadb => Arc::new(Mysql::new(&url, Settings::default()).unwrap().control_with(&direct).unwrap()),
        };
        (cut, driver)
    }
}
