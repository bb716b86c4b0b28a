//! The stand-in for MongoDB, `stand-in` of the package `wire`: it answers canned bytes, and is a process of its own, whose time is nobody else's.

use std::fs;

use anyhow::{Result, ensure};
use support::guests::target_folder;

use super::{Announced, Server, tethered};
use crate::collections::{self, DATABASE};

/// Starts it with the collections of [`collections`], and without access control.
///
/// # Errors
/// When it does not come to listen.
pub(crate) async fn start() -> Result<Server> {
    let binary = target_folder().join("release/stand-in");
    ensure!(binary.is_file(), "{} is missing: run tests/bench/run, which builds it first", binary.display());
    let folder = tempfile::Builder::new().prefix("wharf-bench-").tempdir()?;
    let mut command = tethered(binary.as_os_str());
    for (name, items) in [("item", collections::one()), ("big", collections::all())] {
        let file = folder.path().join(format!("{name}.bson"));
        fs::write(&file, collections::dump(&items)?)?;
        command.arg(format!("{DATABASE}.{name}={}", file.display()));
    }
    Server::start("the stand-in for MongoDB", command, Announced::Stdout("listening on mongodb://"), folder).await
}

/// The URL of its database.
pub(crate) fn url(server: &Server) -> String {
    format!("mongodb://{}/{DATABASE}?directConnection=true", server.address())
}
