//! The command line: `args` says what can be asked for, then one file a command; `cargo` and `progress` serve `build`.

mod args;
mod build;
mod cargo;
mod check;
mod progress;
mod up;

use std::{
    io::{self, Write},
    process::ExitCode,
};

pub use self::args::{Arguments, Command, LogFormat, Output, Target};
use crate::config::{self, Diagnostics};

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub enum Failure {
    /// The configuration, or something that it names, is wrong. Exit code 2.
    Input(Diagnostics),
    /// It went wrong while running. Exit code 1.
    Running(anyhow::Error),
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Input(diagnostics)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Running(error)
    }
}

/// Does what was asked for, and tells on stderr when that failed.
#[must_use]
pub fn run(arguments: &Arguments) -> ExitCode {
    let output = &arguments.output;
    // LOGS START HERE, once and for every command: `output.log` is the filter, `output.json_on(&io::stderr())` the form.
    let done = match &arguments.command {
        Command::Up(target) => up::run(&target.path, output),
        Command::Check(target) => check::run(&target.path, output, config::check_components),
        Command::Build(target) => build::run(&target.path, output),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => tell(&failure, output),
    }
}

fn tell(failure: &Failure, output: &Output) -> ExitCode {
    let color = output.color_on(&io::stderr());
    let (text, code) = match failure {
        Failure::Input(diagnostics) => (diagnostics.render(color), 2),
        Failure::Running(error) if color => (format!("\u{1b}[1;91merror\u{1b}[0m: {error:#}\n"), 1),
        Failure::Running(error) => (format!("error: {error:#}\n"), 1),
    };
    // Whoever closed stderr still gets the exit code.
    drop(io::stderr().write_all(text.as_bytes()));
    ExitCode::from(code)
}
