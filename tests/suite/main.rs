//! Tests of Wharf through its public doors.

#![expect(clippy::unwrap_used, reason = "tests say what went wrong by where they stand")]

mod accounts;
mod admin;
mod budgets;
mod cancel;
mod check;
mod documents;
mod documents_leases;
mod fairness;
mod frozen;
mod guests;
mod health;
mod hostile;
mod hygiene;
mod imports;
mod journal;
mod killed;
mod layers;
mod licences;
mod load;
mod logs;
mod looking;
mod matrix;
mod metrics;
mod operator;
mod outcome;
mod promises;
mod readme;
mod reclaim;
mod reconfigure;
mod recovery;
mod reload;
mod residue;
mod soak;
mod start;
mod stop;
mod support_mariadb;
mod support_mongodb;
mod support_postgres;
mod support_wire;
mod tls;
mod tree;
