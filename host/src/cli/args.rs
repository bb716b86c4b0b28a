//! What can be said on the command line.

use std::{env, io::IsTerminal, path::PathBuf};

use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};

use crate::telemetry::{audit::ToldHead, logs::Format};

const EXAMPLES: &str = "\
Examples:
  wharf up                          run the wharf.toml of this folder
  wharf up examples/clinic          run the one of another folder
  wharf check site/wharf.toml       say all that is wrong with a file
  wharf build examples/clinic       compile the plugins that have a `source`
  CLINIC_URL=postgres://app:secret@db/clinic wharf up examples/clinic
  WHARF_LOG=debug wharf up --log-format json
  wharf audit verify audit.log* --key-file audit.key --head 812:3fa9c0d1e2b47

--log is put on top of what `[log]` of wharf.toml says, --log-format in place of it.

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
    Up(Target),
    /// Say all that is wrong with a configuration and its components, without starting
    Check(Target),
    /// Compile the plugins that have a `source`
    Build(Target),
    /// Look into audit logs
    #[command(subcommand)]
    Audit(Audit),
    /// Print what every setting of wharf.toml means, as a page of Markdown
    Settings,
    /// Print the JSON Schema of wharf.toml, for editors
    Schema,
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
    /// Say it as JSON
    #[arg(long)]
    pub json: bool,
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
  wharf check site/wharf.toml       say all that is wrong with a file
  wharf build examples/clinic       compile the plugins that have a `source`
  CLINIC_URL=postgres://app:secret@db/clinic wharf up examples/clinic
  WHARF_LOG=debug wharf up --log-format json
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
    fn wrong_arguments_exit_with_2() {
        assert_eq!(Arguments::try_parse_from(["wharf", "audit", "verify"]).unwrap_err().exit_code(), 2);
        assert_eq!(Arguments::try_parse_from(["wharf", "audit", "verify", "a", "--head", "812"]).unwrap_err().exit_code(), 2);
        assert_eq!(Arguments::try_parse_from(["wharf", "fly"]).unwrap_err().exit_code(), 2);
        assert_eq!(Arguments::try_parse_from(["wharf", "up", "--color", "red"]).unwrap_err().exit_code(), 2);
    }
}
