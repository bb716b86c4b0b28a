//! The command line: `args` says what can be asked for, then one file a command, but for the two of `reference`; `cargo` and `progress` serve
//! `build`, `voice` and `service` serve `up`, and so do `watch`, `files` and `leash`, by which it builds what changes; `client`, `view` and
//! `table` serve those that ask a running host: `ps`, `pools`, `plugins`, `call` and `reload`.

mod args;
mod audit;
mod build;
mod call;
mod cargo;
mod check;
mod client;
mod files;
mod leash;
mod plugins;
mod pools;
mod progress;
mod ps;
mod reference;
mod reload;
mod service;
mod table;
mod up;
mod view;
mod voice;
mod watch;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use self::voice::Voice;
pub use self::{
    args::{
        Arguments, Asked, Audit, Call, CallAction, Command, LogFormat, Output, Pools, PoolsAction, Reload, Target, Up, Verify,
        View,
    },
    up::longest_stop,
};
use anyhow::Context;

use crate::{
    assembly::Progress,
    config::{self, Diagnostics},
    telemetry::logs,
};

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub enum Failure {
    /// The configuration, or something that it names, is wrong. Exit code 2.
    Input(Diagnostics),
    /// The command line makes no sense. Exit code 2.
    Usage(anyhow::Error),
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
    let (voice, _last_words) = Voice::start();
    let done = check_filter(output).and_then(|()| match &arguments.command {
        Command::Up(up) => up::run(up, output, &voice),
        Command::Check(target) => check::run(&target.path, output),
        Command::Build(target) => build::run(&target.path, output),
        Command::Ps(view) => ps::run(view),
        Command::Pools(pools) => pools::run(pools),
        Command::Plugins(view) => plugins::run(view),
        Command::Call(call) => call::run(call),
        Command::Reload(asked) => reload::run(asked),
        Command::Audit(Audit::Verify(verify)) => audit::verify(verify),
        Command::Settings => reference::settings(),
        Command::Schema => reference::schema(),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => tell(&failure, output, &voice),
    }
}

/// What the configuration has to say may be long in coming, or wrong itself.
fn check_filter(output: &Output) -> Result<(), Failure> {
    logs::check(output.filter()).context("`--log` or WHARF_LOG").map_err(Failure::Usage)
}

/// Writes to stdout, at once.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).context("cannot write")
}

/// Writes log lines as the configuration says, and on top of it the command line. Whoever drops what is returned waits for the last of them: before
/// the last word.
fn start_logs(output: &Output, log: &config::Log) -> Result<logs::Logs, Failure> {
    let format = output.log_format.map_or(log.format, logs::Format::from);
    let color = if output.color_on(&io::stderr()) { logs::Color::Always } else { logs::Color::Never };
    let started = logs::init(format, &format!("{},{}", log.level, output.filter()), color);
    started.context("the log cannot be written").map_err(Failure::Running)
}

fn tell(failure: &Failure, output: &Output, voice: &Voice) -> ExitCode {
    let color = output.color_on(&io::stderr());
    let plain = |error: &anyhow::Error| {
        if color { format!("\u{1b}[1;91merror\u{1b}[0m: {error:#}") } else { format!("error: {error:#}") }
    };
    let text = match failure {
        Failure::Input(diagnostics) => diagnostics.render(color),
        Failure::Usage(error) => plain(error) + "\n",
        Failure::Running(error) => {
            voice.say(&plain(error));
            return ExitCode::from(1);
        }
    };
    // Whoever closed stderr still gets the exit code. A signal ends what nobody reads: nothing runs yet.
    drop(io::stderr().write_all(text.as_bytes()));
    ExitCode::from(2)
}
