//! What can be said on the command line.

use std::{env, io::IsTerminal, path::PathBuf, time::Duration};

use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum, value_parser};

use crate::telemetry::{audit::ToldHead, logs::Format};

const EXAMPLES: &str = "\
Examples:
  wharf up                          run the wharf.toml of this folder
  wharf up examples/clinic          run the one of another folder
  wharf up --watch examples/clinic  build and swap plugins as their sources change
  wharf check site/wharf.toml       say all that is wrong with a file
  wharf build examples/clinic       compile the plugins that have a `source`
  CLINIC_URL=postgres://app:secret@db/clinic wharf up examples/clinic
  WHARF_LOG=debug wharf up --log-format json
  wharf ps --watch                  who holds which connection, since when, doing what
  wharf pools                       what was taken back today and why, and what went wrong
  wharf reload                      put the changed configuration in force, without dropping a request
  wharf audit verify audit.log* --key-file audit.key --head 812:3fa9c0d1e2b47

--log is put on top of what `[log]` of wharf.toml says, --log-format in place of it.

Exit codes: 0 fine, 1 failed while running, 2 bad input.";

const PS_EXAMPLES: &str = "\
A row is a connection, or a call that has none. Fuel is up to 10 ms of computing behind.

Examples:
  wharf ps                                    calls of the host of this folder
  wharf ps --config examples/clinic --watch   of another folder, every 2 s
  wharf ps --json | jq '.calls[] | select(.age_ms > 1000)'

Exit codes: 0 fine, 1 no host answers or it refuses, 2 bad input.";

const POOLS_EXAMPLES: &str = "\
Examples:
  wharf pools                                 all databases of the host of this folder
  wharf pools --host http://10.0.0.7:3001 --token-file token
  wharf pools --json | jq '.databases[] | select(.unconfirmed > 0)'
  wharf pools drain clinic                    lend nothing more, and wait until nothing is left
  wharf pools resume clinic                   go on

Exit codes: 0 fine, 1 no host answers, it refuses, or not drained in time, 2 bad input.";

const PLUGINS_EXAMPLES: &str = "\
Examples:
  wharf plugins                               plugins of the host of this folder
  WHARF_ADMIN=unix:/run/wharf/admin.sock wharf plugins --watch 10

Exit codes: 0 fine, 1 no host answers or it refuses, 2 bad input.";

const CALL_EXAMPLES: &str = "\
Its connections are taken back at once, and its client is answered 503 `cancelled-by-operator`.

Examples:
  wharf call cancel 4711                      by its number, which `wharf ps` shows
  wharf call cancel 0197a1b2-5f1e-7c00-9d7e-3a41c2f0b9aa   by its request id, if no other call has it

Exit codes: 0 fine, 1 no host answers, it refuses, or no such call runs, 2 bad input.";

const RELOAD_EXAMPLES: &str = "\
What is new is compiled and tried first; then all of it is put in force, or nothing. Calls that run end as they began. SIGHUP does the same.

Examples:
  wharf reload                                the host of this folder
  wharf reload --check                        say what would change, and whether it can

Exit codes: 0 fine, 1 no host answers, or it refuses and goes on as before, 2 bad input.";

const UP_EXAMPLES: &str = "\
With --watch, for whoever writes a plugin: when its sources change it is built anew and put in force as by `wharf reload`, and so is a changed
wharf.toml. What does not compile or is refused is told, and what was in force stays. Watched are Rust and manifests below each `source` (10,000
files at most), what else its last build has read, and components without a `source`.

Examples:
  wharf up                                    the wharf.toml of this folder
  wharf up --watch examples/clinic            build and swap what changes, until Ctrl-C
  wharf up --log warn,access=info site/wharf.toml

Exit codes: 0 fine, 1 failed while running, 2 bad input.";

/// Runs WebAssembly handlers next to databases, and takes every connection back.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Arguments {
    /// How to speak, whatever the command.
    #[command(flatten)]
    pub output: Output,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// One command each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compile what has a source, then serve until Ctrl-C
    #[command(after_help = UP_EXAMPLES)]
    Up(Up),
    /// Say all that is wrong with a configuration and its components, without starting
    Check(Target),
    /// Compile the plugins that have a `source`
    Build(Target),
    /// Show the calls that run, and the connections that they hold
    #[command(after_help = PS_EXAMPLES)]
    Ps(View),
    /// Show the databases: who has what, what was taken back and why, what went wrong
    #[command(after_help = POOLS_EXAMPLES, disable_help_subcommand = true)]
    Pools(Pools),
    /// Show the plugins, and how busy they are
    #[command(after_help = PLUGINS_EXAMPLES)]
    Plugins(View),
    /// End a call
    #[command(after_help = CALL_EXAMPLES, disable_help_subcommand = true)]
    Call(Call),
    /// Have a host read its configuration again
    #[command(after_help = RELOAD_EXAMPLES)]
    Reload(Reload),
    /// Look into audit logs
    #[command(subcommand)]
    Audit(Audit),
    /// Print what every setting of wharf.toml means, as a page of Markdown
    Settings,
    /// Print the JSON Schema of wharf.toml, for editors
    Schema,
}

/// Which running host is asked.
#[derive(Args, Clone, Debug)]
pub struct Asked {
    /// Where it is: `unix:PATH` or `http://ADDRESS:PORT`. Else the admin socket of the configuration, or its admin address without one
    #[arg(long, global = true, value_name = "PLACE", env = "WHARF_ADMIN")]
    pub host: Option<String>,
    /// The configuration that it was started with, or the folder that has one
    #[arg(long, global = true, value_name = "PATH", default_value = ".")]
    pub config: PathBuf,
    /// A file with its token, in place of WHARF_ADMIN_TOKEN; its socket takes none
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// What a running host shows.
#[derive(Args, Clone, Debug)]
pub struct View {
    /// Print the host's own document; /schema has what it means
    #[arg(long, global = true)]
    pub json: bool,
    /// Show it again every so many seconds, 2 unless said otherwise
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = value_parser!(u64).range(1..=3600))]
    pub watch: Option<u64>,
    /// Of which host.
    #[command(flatten)]
    pub asked: Asked,
}

/// The databases, or what to do with one.
#[derive(Args, Clone, Debug)]
pub struct Pools {
    /// How they are shown.
    #[command(flatten)]
    pub view: View,
    /// What to do with one.
    #[command(subcommand)]
    pub action: Option<PoolsAction>,
}

/// What can be done with a database.
#[derive(Clone, Debug, Subcommand)]
pub enum PoolsAction {
    /// Lend nothing more of a database, close what comes free, and wait until nothing is left; callers wait as long as they may
    Drain {
        /// Its name in the configuration
        name: String,
        /// How long to wait; it stays drained, or draining, whatever comes of it
        #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = humantime::parse_duration)]
        timeout: Duration,
    },
    /// Lend again
    Resume {
        /// Its name in the configuration
        name: String,
    },
}

/// What to do with a call.
#[derive(Args, Clone, Debug)]
pub struct Call {
    /// Print the call as it was, as a document
    #[arg(long, global = true)]
    pub json: bool,
    /// Of which host.
    #[command(flatten)]
    pub asked: Asked,
    /// What to do.
    #[command(subcommand)]
    pub action: CallAction,
}

/// What can be done with a call.
#[derive(Clone, Debug, Subcommand)]
pub enum CallAction {
    /// End it at once
    Cancel {
        /// Its number, or its request id if no other call has it
        id: String,
    },
}

/// How a host is to read its configuration again.
#[derive(Args, Clone, Debug)]
pub struct Reload {
    /// Only say what would change, and whether it can
    #[arg(long)]
    pub check: bool,
    /// Print what has changed as a document
    #[arg(long)]
    pub json: bool,
    /// Of which host.
    #[command(flatten)]
    pub asked: Asked,
}

/// What can be done with an audit log.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Find what was changed, moved, removed or cut off
    Verify(Verify),
}

/// Which log is verified, and against what.
#[derive(Args, Debug)]
pub struct Verify {
    /// The files of one log, in any order
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// File with the key of the log; without it the key is in WHARF_AUDIT_KEY
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// A head that was told in the log of the host or in its metrics; may be given several times
    #[arg(long = "head", value_name = "SEQ:HEX")]
    pub heads: Vec<ToldHead>,
    /// All files of the log are given: one that is missing before or behind them is found, too
    #[arg(long)]
    pub whole: bool,
    /// Say it as JSON
    #[arg(long)]
    pub json: bool,
}

/// What is run.
#[derive(Args, Debug)]
pub struct Up {
    /// Which configuration.
    #[command(flatten)]
    pub target: Target,
    /// Build plugins anew when their sources change, and put them and a changed wharf.toml in force
    #[arg(long)]
    pub watch: bool,
}

/// Which configuration is meant.
#[derive(Args, Debug)]
pub struct Target {
    /// A wharf.toml, or the folder that has one
    #[arg(default_value = ".")]
    pub path: PathBuf,
}

/// How to speak.
#[derive(Args, Clone, Debug)]
pub struct Output {
    /// Form of the log; auto is human on a terminal and json elsewhere
    #[arg(long, global = true, value_enum)]
    pub log_format: Option<LogFormat>,
    /// Least level of the log, or a filter such as `info,wharf::pool=debug`
    #[arg(long, global = true, value_name = "FILTER", env = "WHARF_LOG", hide_env_values = true)]
    pub log: Option<String>,
    /// When to use colour; auto is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    /// Lines to read.
    Human,
    /// One object a line.
    Json,
}

impl From<LogFormat> for Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Auto => Self::Auto,
            LogFormat::Human => Self::Human,
            LogFormat::Json => Self::Json,
        }
    }
}

impl Output {
    /// What is to be logged on top of what the configuration says; may be empty.
    #[must_use]
    pub fn filter(&self) -> &str {
        self.log.as_deref().unwrap_or_default()
    }

    /// Whether to colour what goes to this stream.
    #[must_use]
    pub fn color_on(&self, stream: &impl IsTerminal) -> bool {
        let unset_or_empty = |name: &str| env::var_os(name).is_none_or(|value| value.is_empty());
        match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                stream.is_terminal() && unset_or_empty("NO_COLOR") && env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn help_shows_examples() {
        Arguments::command().debug_assert();
        insta::assert_snapshot!(Arguments::command().render_long_help(), @r#"
Runs WebAssembly handlers next to databases, and takes every connection back

Usage: wharf [OPTIONS] <COMMAND>

Commands:
  up        Compile what has a source, then serve until Ctrl-C
  check     Say all that is wrong with a configuration and its components, without starting
  build     Compile the plugins that have a `source`
  ps        Show the calls that run, and the connections that they hold
  pools     Show the databases: who has what, what was taken back and why, what went wrong
  plugins   Show the plugins, and how busy they are
  call      End a call
  reload    Have a host read its configuration again
  audit     Look into audit logs
  settings  Print what every setting of wharf.toml means, as a page of Markdown
  schema    Print the JSON Schema of wharf.toml, for editors

Options:
      --log-format <LOG_FORMAT>
          Form of the log; auto is human on a terminal and json elsewhere

          Possible values:
          - auto:  Human on a terminal, JSON elsewhere
          - human: Lines to read
          - json:  One object a line

      --log <FILTER>
          Least level of the log, or a filter such as `info,wharf::pool=debug`
          
          [env: WHARF_LOG]

      --color <COLOR>
          When to use colour; auto is on a terminal, unless NO_COLOR is set
          
          [default: auto]
          [possible values: auto, always, never]

  -h, --help
          Print help (see a summary with '-h')

  -V, --version
          Print version

Examples:
  wharf up                          run the wharf.toml of this folder
  wharf up examples/clinic          run the one of another folder
  wharf up --watch examples/clinic  build and swap plugins as their sources change
  wharf check site/wharf.toml       say all that is wrong with a file
  wharf build examples/clinic       compile the plugins that have a `source`
  CLINIC_URL=postgres://app:secret@db/clinic wharf up examples/clinic
  WHARF_LOG=debug wharf up --log-format json
  wharf ps --watch                  who holds which connection, since when, doing what
  wharf pools                       what was taken back today and why, and what went wrong
  wharf reload                      put the changed configuration in force, without dropping a request
  wharf audit verify audit.log* --key-file audit.key --head 812:3fa9c0d1e2b47

--log is put on top of what `[log]` of wharf.toml says, --log-format in place of it.

Exit codes: 0 fine, 1 failed while running, 2 bad input.
"#);
    }

    #[test]
    fn a_path_may_be_left_out_and_options_may_follow_the_command() {
        let arguments = Arguments::try_parse_from(["wharf", "check", "--color", "never", "--log", "debug"]).unwrap();
        let Command::Check(target) = arguments.command else { panic!("another command") };
        assert_eq!(target.path, PathBuf::from("."));
        assert_eq!((arguments.output.color, arguments.output.filter()), (ColorChoice::Never, "debug"));
    }

    #[test]
    fn heads_are_read() {
        let verify = ["wharf", "audit", "verify", "audit.log", "--head", "812:3fa9c0d1e2b47", "--head", "9:0123456789abcdef"];
        let Command::Audit(Audit::Verify(verify)) = Arguments::try_parse_from(verify).unwrap().command else {
            panic!("another command")
        };
        assert_eq!(verify.heads.iter().map(|head| head.seq).collect::<Vec<_>>(), [812, 9]);
        assert_eq!(verify.files, [PathBuf::from("audit.log")]);
    }

    #[test]
    fn what_is_run_may_be_watched() {
        for (line, expected) in
            [("wharf up", (".", false)), ("wharf up --watch a", ("a", true)), ("wharf up a --watch", ("a", true))]
        {
            let Command::Up(Up { target, watch }) = Arguments::try_parse_from(line.split(' ')).unwrap().command else {
                panic!("{line}")
            };
            assert_eq!((target.path, watch), (PathBuf::from(expected.0), expected.1), "{line}");
        }
    }

    #[test]
    fn a_running_host_is_named_before_or_behind_what_is_asked_of_it() {
        for line in [
            "wharf pools --host unix:a --json drain clinic --timeout 5s",
            "wharf pools drain --timeout 5s clinic --json --host unix:a",
        ] {
            let Command::Pools(pools) = Arguments::try_parse_from(line.split(' ')).unwrap().command else { panic!("{line}") };
            let Some(PoolsAction::Drain { name, timeout }) = pools.action else { panic!("{line}") };
            assert_eq!((name.as_str(), timeout), ("clinic", Duration::from_secs(5)));
            assert_eq!((pools.view.json, pools.view.asked.host.as_deref()), (true, Some("unix:a")));
        }
        for (line, expected) in [("wharf ps", None), ("wharf ps --watch", Some(2)), ("wharf ps --watch 60 --json", Some(60))] {
            let Command::Ps(view) = Arguments::try_parse_from(line.split(' ')).unwrap().command else { panic!("{line}") };
            assert_eq!((view.watch, view.asked.config), (expected, PathBuf::from(".")));
        }
    }

    #[test]
    fn every_command_that_runs_or_asks_a_host_has_examples() {
        let asking = ["up", "ps", "pools", "plugins", "call", "reload"];
        for command in Arguments::command().get_subcommands_mut().filter(|it| asking.contains(&it.get_name())) {
            let help = command.render_help().to_string();
            assert!(help.contains("Examples:\n  ") && help.contains("Exit codes: "), "{help}");
        }
    }

    #[test]
    fn wrong_arguments_exit_with_2() {
        assert_eq!(Arguments::try_parse_from(["wharf", "audit", "verify"]).unwrap_err().exit_code(), 2);
        assert_eq!(Arguments::try_parse_from(["wharf", "audit", "verify", "a", "--head", "812"]).unwrap_err().exit_code(), 2);
        assert_eq!(Arguments::try_parse_from(["wharf", "fly"]).unwrap_err().exit_code(), 2);
        for line in
            ["wharf up --color red", "wharf ps --watch 0", "wharf pools drain", "wharf pools drain a --timeout 5", "wharf call"]
        {
            assert_eq!(Arguments::try_parse_from(line.split(' ')).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
