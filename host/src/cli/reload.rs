//! `wharf reload`: has a host read its configuration again.

use std::{fmt::Write as _, time::Duration};

use http::Method;
use serde::Deserialize;

use super::{
    Failure, args,
    client::Client,
    print,
    table::{document as shown, lines},
    view::{block_on, read},
};

/// What is new is compiled, and databases may have to be migrated.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Does what is asked.
///
/// # Errors
/// [`Failure`].
pub(super) fn run(args::Reload { check, json, asked }: &args::Reload) -> Result<(), Failure> {
    let client = Client::find(asked)?;
    let path = if *check { "/reload/check" } else { "/reload" };
    block_on(async {
        let document = client.ask_within(PATIENCE, Method::POST, path).await?;
        if *json {
            return print(&shown(&document));
        }
        print(&lines(&render(&read(&document)?, *check)))
    })
}

/// What is read of the answer.
#[derive(Deserialize)]
struct Reloaded {
    generation: u64,
    changes: Vec<String>,
}

fn render(Reloaded { generation, changes }: &Reloaded, check: bool) -> String {
    if changes.is_empty() {
        return format!("generation {generation} is in force; the configuration says nothing else\n");
    }
    let mut text: String = changes.iter().map(|change| format!("{change}\n")).collect();
    // Writing to a string cannot fail.
    let _ = match check {
        true => writeln!(text, "\nthis can be put in force; generation {generation} is"),
        false => writeln!(text, "\ngeneration {generation} is in force"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_line_by_line() {
        let told = |changes: &[&str], check| {
            let changes = changes.iter().map(|change| (*change).to_owned()).collect();
            render(&Reloaded { generation: 3, changes }, check)
        };
        assert_eq!(told(&[], false), "generation 3 is in force; the configuration says nothing else\n");
        assert_eq!(
            told(&["plugins.a: gone", "plugins.b: new"], false),
            "plugins.a: gone\nplugins.b: new\n\ngeneration 3 is in force\n"
        );
        assert_eq!(told(&["plugins.a: gone"], true), "plugins.a: gone\n\nthis can be put in force; generation 3 is\n");
    }
}
