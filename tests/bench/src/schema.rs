//! The tables that the handlers of the benchmarks use, with the same rows in every run and on both engines.
//!
//! `item` has 10,000 rows to look up one by its key, `big` has 100,000 to read many of, `entry` is written to.

/// For PostgreSQL.
pub(crate) const POSTGRES: &str = "
    CREATE TABLE item (id bigint PRIMARY KEY, a text NOT NULL, b bigint NOT NULL, c double precision NOT NULL, d text);
    CREATE TABLE big (id bigint PRIMARY KEY, a text NOT NULL, b bigint NOT NULL, c double precision NOT NULL, d text);
    CREATE TABLE entry (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item bigint NOT NULL, note text NOT NULL);
    INSERT INTO big
        SELECT id, 'item ' || id || ' of the benchmarks', id * 7919 % 1000003, id * 31 % 1000 / 8.0,
               CASE WHEN id % 7 <> 0 THEN 'note ' || (id % 100) END
        FROM generate_series(1, 100000) AS id;
    INSERT INTO item SELECT * FROM big WHERE id <= 10000;
    ANALYZE item, big, entry;
";

/// For SQLite. The journal is written ahead, as it should be wherever several connections are.
pub(crate) const SQLITE: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE item (id INTEGER PRIMARY KEY, a TEXT NOT NULL, b INTEGER NOT NULL, c REAL NOT NULL, d TEXT);
    CREATE TABLE big (id INTEGER PRIMARY KEY, a TEXT NOT NULL, b INTEGER NOT NULL, c REAL NOT NULL, d TEXT);
    CREATE TABLE entry (id INTEGER PRIMARY KEY, item INTEGER NOT NULL, note TEXT NOT NULL);
    WITH RECURSIVE number (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM number LIMIT 100000)
    INSERT INTO big
        SELECT id, 'item ' || id || ' of the benchmarks', id * 7919 % 1000003, id * 31 % 1000 / 8.0,
               CASE WHEN id % 7 <> 0 THEN 'note ' || (id % 100) END
        FROM number;
    INSERT INTO item SELECT * FROM big WHERE id <= 10000;
    ANALYZE;
";
