//! The URL of a MariaDB or MySQL database: which of its parts an operator may set. What it says of TLS is read by `config/tls.rs`.

use sqlx::mysql::MySqlConnectOptions;

/// Parameters of the URL, in both spellings that sqlx takes.
pub const PARAMETERS: [&str; 9] =
    ["ssl-mode", "sslmode", "ssl-ca", "sslca", "ssl-cert", "sslcert", "ssl-key", "sslkey", "socket"];

const FORM: &str =
    "write `mysql://user:password@host:3306/database`; special characters in it are percent-encoded (`@` as `%40`)";

/// Why a URL is not taken; neither part repeats anything of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong; follows "the URL".
    pub message: &'static str,
    /// What to do about it.
    pub hint: &'static str,
}

fn refuse<T>(message: &'static str, hint: &'static str) -> Result<T, Refusal> {
    Err(Refusal { message, hint })
}

fn pairs(query: &str) -> Vec<(&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect()
}

/// Checks the names of the parameters.
///
/// # Errors
/// A [`Refusal`] for one that is unknown, or the host's own to set.
pub fn known(query: &str) -> Result<(), Refusal> {
    for (name, _) in pairs(query) {
        match name {
            "charset" | "collation" | "timezone" | "time-zone" | "statement-cache-capacity" => {
                return refuse(
                    "sets a parameter that Wharf sets itself",
                    "remove `charset`, `collation`, `timezone` and `statement-cache-capacity`",
                );
            }
            name if !PARAMETERS.contains(&name) => {
                return refuse(
                    "has an unknown parameter after `?`",
                    "known parameters: `ssl-mode`, `ssl-ca`, `ssl-cert`, `ssl-key`, `socket`",
                );
            }
            _ => {}
        }
    }
    Ok(())
}

/// Reads `mysql://user:password@host:port/database?parameters`; `mariadb://` means the same.
///
/// # Errors
/// A [`Refusal`] for what is missing, unknown, or the host's own to set.
pub fn parse(url: &str) -> Result<MySqlConnectOptions, Refusal> {
    let Some(rest) = url.strip_prefix("mysql://").or_else(|| url.strip_prefix("mariadb://")) else {
        return refuse("is not one of MySQL or MariaDB", FORM);
    };
    let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = location.split_once('/').unwrap_or((location, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    known(query)?;
    // Whatever is left out would be `root` at `localhost` without a database.
    if user.split(':').next().is_none_or(str::is_empty) {
        return refuse("names no user", FORM);
    }
    if host.is_empty() {
        return refuse("names no host", FORM);
    }
    if database.is_empty() {
        return refuse("names no database", FORM);
    }
    // sqlx's parser looks at no scheme.
    let options: MySqlConnectOptions = url.parse().or_else(|_| refuse("is not one that the driver takes", FORM))?;
    // An IPv6 address keeps its brackets, by which neither the network nor a certificate knows it.
    let address = options.get_host().strip_prefix('[').and_then(|host| host.strip_suffix(']')).map(str::to_owned);
    Ok(match address {
        Some(address) => options.host(&address),
        None => options,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(url: &str) -> Option<&'static str> {
        parse(url).err().map(|refusal| refusal.message)
    }

    #[test]
    fn both_schemes_and_every_tls_parameter_are_taken() {
        for url in [
            "mysql://app:pw@host/clinic",
            "mariadb://app@host:3307/clinic",
            "mysql://app:pw@host/clinic?ssl-mode=VERIFY_IDENTITY&ssl-ca=/ca.pem&ssl-cert=/c.pem&ssl-key=/k.pem",
            "mysql://app:pw@host/clinic?sslmode=verify_ca&sslca=/ca.pem",
            "mysql://app:p%40w@localhost/clinic?socket=/run/s",
        ] {
            assert_eq!(message(url), None, "{url}");
        }
        let options = parse("mariadb://app:p%40w@host:3307/clinic").expect("taken");
        assert_eq!(parse("mysql://app@[::1]:3307/clinic").expect("taken").get_host(), "::1");
        assert_eq!((options.get_username(), options.get_port(), options.get_database()), ("app", 3307, Some("clinic")));
    }

    #[test]
    fn what_would_be_guessed_or_ignored_is_refused() {
        for (url, expected) in [
            ("postgres://a@b/c", "is not one of MySQL or MariaDB"),
            ("mysql://host/clinic", "names no user"),
            ("mysql://app@/clinic", "names no host"),
            ("mysql://app@host", "names no database"),
            ("mysql://app@host/c?charset=latin1", "sets a parameter that Wharf sets itself"),
            ("mysql://app@host/c?ssl_mode=REQUIRED", "has an unknown parameter after `?`"),
            ("mysql://app@host:port/c", "is not one that the driver takes"),
        ] {
            assert_eq!(message(url), Some(expected), "{url}");
        }
    }
}
