//! Shows what a host tells about itself: once, or again and again.

use std::{
    io::{self, Write},
    time::Duration,
};

use anyhow::Context;
use bytes::Bytes;
use console::Term;
use http::Method;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio::{runtime, time::sleep};

use super::{Failure, View, client::Client, print, table::document as shown};

/// Asks for a document, and prints it as it is or as `render` makes it, in lines that are no wider than a terminal.
///
/// # Errors
/// When the host cannot be asked the first time. While it is watched, it may go away and come again.
pub(super) fn show<T: DeserializeOwned>(
    View { json, watch, asked }: &View,
    path: &str,
    render: impl Fn(&T, Option<usize>) -> String,
) -> Result<(), Failure> {
    let client = Client::find(asked)?;
    let terminal = Term::stdout();
    let frame = async || -> anyhow::Result<String> {
        let document = client.ask(Method::GET, path).await?;
        if *json {
            return Ok(shown(&document));
        }
        let width = terminal.size_checked().map(|(_, columns)| usize::from(columns)).filter(|_| terminal.is_term());
        Ok(render(&read(&document)?, width))
    };
    block_on(async {
        let first = frame().await?;
        let Some(seconds) = *watch else { return print(&first) };
        let mut shown = Ok(first);
        loop {
            match shown {
                Ok(text) if *json || !terminal.is_term() => print(&text)?,
                Ok(text) => {
                    terminal.clear_screen().context("cannot write")?;
                    print(&format!("{:.0}, every {seconds} s; Ctrl-C ends it\n\n{text}", Timestamp::now()))?;
                }
                // The next time it may be there again.
                Err(error) => drop(writeln!(io::stderr(), "{error:#}")),
            }
            sleep(Duration::from_secs(seconds)).await;
            shown = frame().await;
        }
    })
}

/// Waits for what is asked of a host.
///
/// # Errors
/// Those of the future, as [`Failure::Running`].
pub(super) fn block_on(asking: impl Future<Output = anyhow::Result<()>>) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(asking).map_err(Failure::Running)
}

/// A document as it was asked for.
///
/// # Errors
/// When it is another one.
pub(super) fn read<T: DeserializeOwned>(document: &Bytes) -> anyhow::Result<T> {
    serde_json::from_slice(document).context("the host answers something else; is it of another version?")
}
