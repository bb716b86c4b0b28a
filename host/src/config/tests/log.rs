//! `[log]` and `plugins.NAME.log`.

use super::{PLUGIN, accepted, refused};
use crate::{plugin::LogLevel, telemetry::logs::Format};

#[test]
fn what_is_left_out_has_the_documented_default() {
    let (_folder, config) = accepted(PLUGIN);
    assert_eq!((config.log.level.as_str(), config.log.format), ("info", Format::Auto));
    assert_eq!(config.plugins[0].log, LogLevel::Info);
}

#[test]
fn everything_can_be_said() {
    let text = format!("[log]\nlevel = \"warn,wharf::pool=debug\"\nformat = \"human\"\n{PLUGIN}log = \"off\"\n");
    let (_folder, config) = accepted(&text);
    assert_eq!((config.log.level.as_str(), config.log.format), ("warn,wharf::pool=debug", Format::Human));
    assert_eq!(config.plugins[0].log, LogLevel::Off);
    for level in ["off", "ERROR", "info,sqlx::query=debug"] {
        accepted(&format!("[log]\nlevel = \"{level}\"\n{PLUGIN}"));
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let text = format!("[log]\nlevel = \"inof\"\nformat = \"jsno\"\n{PLUGIN}log = \"debug\"\n");
    insta::assert_snapshot!(refused(&text), @r#"
error: `inof` is no level of the log, nor levels of its parts
 --> wharf.toml:2:9
  |
2 | level = "inof"
  |         ^^^^^^
  |
  = help: write "error", "warn", "info", "debug" or "off"; for parts of the host "info,wharf::pool=debug"

error: `jsno` is not a value of `format`
 --> wharf.toml:3:10
  |
3 | format = "jsno"
  |          ^^^^^^
  |
  = help: did you mean `json`? (allowed: `auto`, `human`, `json`)

error: `debug` is not a value of `log`
 --> wharf.toml:8:7
  |
8 | log = "debug"
  |       ^^^^^^^
  |
  = help: allowed: `info`, `warn`, `off`

wharf.toml: 3 errors
"#);
    assert!(refused(&format!("[log]\nlevel = \"wharf=loud\"\n{PLUGIN}")).contains("`wharf=loud` is no level of the log"));
}
