//! Reads what the URL of a server says of TLS: which mode, whom to trust, and which certificate to show.
//!
//! The parameters are those of each engine's own clients. What would be ignored, or would protect less than it looks, is refused: the driver below takes
//! `sslmode=allow` for `disable` and verifies nothing with `sslmode=require`, whatever `sslrootcert` says.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sqlx::postgres::PgSslMode;

use super::{
    address::{Refusal, refuse},
    reader::{did_you_mean, list},
};

/// How one engine's URLs speak of TLS. Of every parameter all names; the first is the one that messages use.
pub(super) struct Dialect {
    mode: &'static [&'static str],
    root: &'static [&'static str],
    certificate: &'static [&'static str],
    key: &'static [&'static str],
    /// From nothing to everything: none, by chance, some, by a known authority, by the right name as well.
    modes: [&'static str; 5],
}

/// As libpq says it, whose default is the second mode too: a URL that works elsewhere works here.
pub(super) const POSTGRES: Dialect = Dialect {
    mode: &["sslmode", "ssl-mode"],
    root: &["sslrootcert", "ssl-root-cert", "ssl-ca"],
    certificate: &["sslcert", "ssl-cert"],
    key: &["sslkey", "ssl-key"],
    modes: ["disable", "prefer", "require", "verify-ca", "verify-full"],
};

/// As the clients of MySQL say it.
pub(super) const MYSQL: Dialect = Dialect {
    mode: &["ssl-mode", "sslmode"],
    root: &["ssl-ca", "sslca"],
    certificate: &["ssl-cert", "sslcert"],
    key: &["ssl-key", "sslkey"],
    modes: ["DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"],
};

/// What a certificate and a key look like in a file.
const CERTIFICATE_BEGINS: &str = "-----BEGIN CERTIFICATE-----";
const KEY_BEGINS: [&str; 4] = [
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----BEGIN EC PRIVATE KEY-----",
    "-----BEGIN ENCRYPTED PRIVATE KEY-----",
];
/// A longer file holds something else.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// The query of a URL with its mode spelt out and its files found from `base`, the folder of wharf.toml.
///
/// # Errors
/// An unknown or a contradictory value, or a file that cannot be used. No value is repeated.
pub(super) fn settle(dialect: &Dialect, base: &Path, query: &str) -> Result<String, Refusal> {
    let mut others = Vec::new();
    let (mut mode, mut root, mut certificate, mut key) = (None, None, None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (place, names) = match name {
            name if dialect.mode.contains(&name) => (&mut mode, dialect.mode[0]),
            name if dialect.root.contains(&name) => (&mut root, dialect.root[0]),
            name if dialect.certificate.contains(&name) => (&mut certificate, dialect.certificate[0]),
            name if dialect.key.contains(&name) => (&mut key, dialect.key[0]),
            _ => {
                others.push(pair.to_owned());
                continue;
            }
        };
        let Some(value) = decode(value) else {
            return refuse(format!("has a `{names}` that is not percent-encoded"), "write `%25` for a percent sign");
        };
        if place.replace(value).is_some() {
            return refuse(format!("has `{names}` twice"), "keep one of them");
        }
    }
    let mode = mode_of(dialect, mode.as_deref())?;
    check_together(dialect, mode, root.is_some(), certificate.is_some(), key.is_some())?;
    others.push(format!("{}={mode}", dialect.mode[0]));
    let files = [(dialect.root[0], root, false), (dialect.certificate[0], certificate, false), (dialect.key[0], key, true)];
    for (name, value, is_key) in files {
        let Some(value) = value else { continue };
        let path = file(base, name, &value, is_key)?;
        others.push(format!("{name}={}", encode(&path)));
    }
    Ok(others.join("&"))
}

/// The query of a MongoDB URL with its files found from `base`, the folder of wharf.toml. Either of them switches TLS on.
///
/// # Errors
/// A file that cannot be used, or would not be. No value is repeated.
pub(super) fn find_files(base: &Path, query: &str) -> Result<String, Refusal> {
    const AUTHORITY: &str = "tlsCAFile";
    const CERTIFICATE_AND_KEY: &str = "tlsCertificateKeyFile";
    let pairs = || query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let is_tls = |name: &str| ["tls", "ssl"].iter().any(|tls| tls.eq_ignore_ascii_case(name));
    let off = pairs().any(|(name, value)| is_tls(name) && value == "false");
    let mut settled = Vec::new();
    for (name, value) in pairs() {
        let Some(name) = [AUTHORITY, CERTIFICATE_AND_KEY].into_iter().find(|file| file.eq_ignore_ascii_case(name)) else {
            settled.push(format!("{name}={value}"));
            continue;
        };
        if off {
            return refuse(format!("names a `{name}`, but says `tls=false`"), "remove one of them");
        }
        let Some(value) = decode(value) else {
            return refuse(format!("has a `{name}` that is not percent-encoded"), "write `%25` for a percent sign");
        };
        let path = file(base, name, &value, false)?;
        if name == CERTIFICATE_AND_KEY {
            file(base, name, &value, true)?;
        }
        settled.push(format!("{name}={}", encode(&path)));
    }
    Ok(settled.join("&"))
}

/// Refuses what a Unix socket cannot give.
pub(super) fn check_socket(mode: PgSslMode) -> Result<(), Refusal> {
    if matches!(mode, PgSslMode::Disable | PgSslMode::Prefer) {
        return Ok(());
    }
    refuse("asks for TLS over a Unix socket, where there is none", "leave `sslmode` out, or name the server's host")
}

fn mode_of(dialect: &Dialect, given: Option<&str>) -> Result<&'static str, Refusal> {
    let modes = dialect.modes;
    let Some(given) = given else { return Ok(modes[1]) };
    if let Some(mode) = modes.into_iter().find(|mode| *mode == given) {
        return Ok(mode);
    }
    let allowed = format!("allowed: {}", list(&modes));
    let hint = match (given, did_you_mean(given, &modes)) {
        ("allow", _) => format!("`allow` would begin without TLS and stay so; {allowed}"),
        (_, Some(near)) => format!("{near} ({allowed})"),
        (_, None) => allowed,
    };
    refuse(format!("asks for an unknown `{}`", dialect.mode[0]), hint)
}

fn check_together(dialect: &Dialect, mode: &str, root: bool, certificate: bool, key: bool) -> Result<(), Refusal> {
    let [none, _, _, by_authority, by_name] = dialect.modes;
    let (mode_is, root_is) = (dialect.mode[0], dialect.root[0]);
    if root && ![by_authority, by_name].contains(&mode) {
        return refuse(
            format!("names a `{root_is}`, which `{mode_is}={mode}` never looks at"),
            format!("write `{mode_is}={by_name}`, which checks the server's certificate and its name"),
        );
    }
    if mode == by_authority && !root {
        return refuse(
            format!("asks for `{mode_is}={mode}` without `{root_is}`: any server with a public certificate would pass"),
            format!("write `{mode_is}={by_name}`, which checks the name too, or name your authority's file as `{root_is}`"),
        );
    }
    if certificate != key {
        let (certificate_is, key_is) = (dialect.certificate[0], dialect.key[0]);
        let (given, missing) = if certificate { (certificate_is, key_is) } else { (key_is, certificate_is) };
        return refuse(format!("has `{given}` but no `{missing}`"), "a client certificate needs both files");
    }
    if certificate && mode == none {
        let message = format!("names a client certificate, but `{mode_is}={none}` has no use for one");
        return refuse(message, "remove one of them");
    }
    Ok(())
}

/// A file that exists and holds what it should, as far as can be told from its looks; the server's opinion comes with the first
/// connection.
fn file(base: &Path, name: &str, value: &str, is_key: bool) -> Result<PathBuf, Refusal> {
    const RELATIVE: &str = "relative paths begin at the folder of wharf.toml";
    let path = base.join(value);
    if value.is_empty() || value.contains('\0') {
        return refuse(format!("has a `{name}` that is not a path"), RELATIVE);
    }
    let text = match fs::metadata(&path) {
        Ok(found) if found.len() > MAX_FILE || !found.is_file() => None,
        Ok(_) => fs::read(&path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        Err(_) if name == POSTGRES.root[0] && value == "system" => {
            return refuse(
                "names a file as `sslrootcert` that does not exist",
                "the authorities that this machine trusts are trusted without it: leave it out",
            );
        }
        Err(_) => return refuse(format!("names a file as `{name}` that does not exist"), RELATIVE),
    };
    let Some(text) = text else {
        return refuse(format!("names a file as `{name}` that cannot be read"), "it must be a file that the host may read");
    };
    let (what, is_right) = if is_key {
        ("a private key", KEY_BEGINS.iter().any(|begins| text.contains(begins)))
    } else {
        ("a certificate", text.contains(CERTIFICATE_BEGINS))
    };
    if !is_right {
        return refuse(format!("names a file as `{name}` that holds no {}", &what[2..]), "files are in PEM form");
    }
    if is_key && text.contains(KEY_BEGINS[3]) {
        return refuse(
            format!("names a file as `{name}` that needs a passphrase"),
            "store the key without one, readable by nobody else",
        );
    }
    if path.to_str().is_none() {
        return refuse(format!("names a file as `{name}` whose path is not UTF-8"), "move the folder of wharf.toml");
    }
    Ok(path)
}

/// Undoes percent-encoding; a plus is a plus, as for libpq.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit =
                    || rest.next().and_then(|digit| char::from(digit).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
                digit()? << 4 | digit()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn encode(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_their_encoding() {
        for path in ["/a/b.pem", "/a b/ü+%41&x=y#?.pem"] {
            assert_eq!(decode(&encode(Path::new(path))).as_deref(), Some(path));
        }
        assert_eq!(decode("a+b%2Fc").as_deref(), Some("a+b/c"));
        assert_eq!((decode("%"), decode("%4"), decode("%zz"), decode("%ff")), (None, None, None, None));
    }

    #[test]
    fn the_mode_is_always_spelt_out() {
        let settled = |query| settle(&POSTGRES, Path::new("/"), query).ok();
        assert_eq!(settled("").as_deref(), Some("sslmode=prefer"));
        assert_eq!(settled("port=1&ssl-mode=require").as_deref(), Some("port=1&sslmode=require"));
        assert_eq!(settled("sslmode=Verify-Full"), None);
        let settled = |query| settle(&MYSQL, Path::new("/"), query).ok();
        assert_eq!(settled("").as_deref(), Some("ssl-mode=PREFERRED"));
        assert_eq!(settled("socket=/s&sslmode=VERIFY_IDENTITY").as_deref(), Some("socket=/s&ssl-mode=VERIFY_IDENTITY"));
        assert_eq!((settled("ssl-mode=verify-full"), settled("ssl-mode=VERIFY_CA")), (None, None));
    }

    #[test]
    fn what_is_no_file_is_left_as_it_is() {
        for query in ["tls=true", "w=majority&tls=false&authSource=a%40b", "ssl=true&replicaSet=rs"] {
            assert_eq!(find_files(Path::new("/"), query).ok().as_deref(), Some(query));
        }
        for query in ["tls=false&tlsCAFile=/a.pem", "TLSCAFILE=/a.pem&ssl=false", "tlsCAFile=%zz", "tlsCAFile="] {
            assert!(find_files(Path::new("/"), query).is_err(), "{query}");
        }
    }

    #[test]
    fn what_has_no_effect_is_refused() {
        for (mode, root, certificate, key) in [
            ("PREFERRED", true, false, false),
            ("REQUIRED", true, false, false),
            ("VERIFY_CA", false, false, false),
            ("PREFERRED", false, true, false),
            ("PREFERRED", false, false, true),
            ("DISABLED", false, true, true),
        ] {
            assert!(check_together(&MYSQL, mode, root, certificate, key).is_err(), "{mode} {root} {certificate} {key}");
        }
    }
}
