//! What the user of a session may do, from `SHOW GRANTS`: a superuser is refused, and for a read-only grant whoever may write.

use sqlx::mysql::MySqlConnection;

use super::{error, host};
use crate::driver::{Failure, FailureKind};

/// Roles that are looked into; with more the user is refused.
const MAX_ROLES: usize = 32;

/// Enough to read, to see what is there, and for temporary tables, which end with the session.
const READING: [&str; 6] = ["USAGE", "SELECT", "SHOW VIEW", "SHOW DATABASES", "CREATE TEMPORARY TABLES", "SHOW CREATE ROUTINE"];

/// With one of these on everything no check of the database holds: they write the tables of users, act as others, or read and write
/// files of the server.
const MIGHTY: [&str; 14] = [
    "ALL PRIVILEGES",
    "SUPER",
    "FILE",
    "CREATE USER",
    "SET USER",
    "SET_USER_ID",
    "SET_ANY_DEFINER",
    "SYSTEM_USER",
    "SYSTEM_VARIABLES_ADMIN",
    "SHUTDOWN",
    "INSERT",
    "UPDATE",
    "DELETE",
    "GRANT OPTION",
];

/// One privilege on something.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Privilege {
    name: String,
    /// As the server writes it: `*.*`, `` `db`.* ``, `` `db`.`table` ``.
    on: String,
}

impl Privilege {
    /// Whether it holds in some or all of a database; in a grant on a whole one `%` and `_` are patterns.
    fn covers(&self, database: &str) -> bool {
        let Some((name, objects)) = self.on.strip_prefix('`').and_then(|on| on.split_once("`.")) else {
            return self.on == "*.*";
        };
        let name = name.replace("``", "`");
        if objects == "*" { matches(name.as_bytes(), database.as_bytes()) } else { name == database }
    }
}

/// `LIKE`, with a backslash that takes the next byte as it is.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'%', rest @ ..], _) => (0..=text.len()).any(|skipped| matches(rest, &text[skipped..])),
        ([b'\\', exact, pattern @ ..], [byte, text @ ..]) => exact == byte && matches(pattern, text),
        ([b'_', pattern @ ..], [_, text @ ..]) => matches(pattern, text),
        ([exact, pattern @ ..], [byte, text @ ..]) => exact == byte && matches(pattern, text),
        _ => false,
    }
}

/// Everything that the user was granted, itself and through roles.
#[derive(Debug, Default)]
pub(super) struct Grants {
    /// As the server names the user.
    user: String,
    privileges: Vec<Privilege>,
    /// How many of them are in force; those that follow are of roles that the user could take up.
    active: usize,
}

/// Asks the server, role by role: a user can take up each that it was granted, active or not.
///
/// # Errors
/// [`FailureKind::Denied`] when a role cannot be looked into.
pub(super) async fn read(link: &mut MySqlConnection, mariadb: bool) -> Result<Grants, Failure> {
    let who =
        if mariadb { "SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1), CURRENT_ROLE()" } else { "SELECT CURRENT_USER(), NULL" };
    let who = host::run(link, who).await.map_err(error::failure)?;
    let mut grants = Grants { user: host::cell(&who, 0, 0).unwrap_or("?").to_owned(), ..Grants::default() };
    let roles = grants.add(link, "SHOW GRANTS".to_owned()).await?;
    grants.active = grants.privileges.len();
    if roles.len() > MAX_ROLES {
        return Err(unclear());
    }
    if !mariadb && !roles.is_empty() {
        grants.add(link, format!("SHOW GRANTS FOR CURRENT_USER() USING {}", roles.join(", "))).await?;
    }
    if mariadb && !roles.is_empty() {
        for role in roles {
            // Shows what the role was granted, and the roles within it.
            grants.add(link, format!("SET ROLE {role}; SHOW GRANTS")).await?;
        }
        let role = host::cell(&who, 0, 1).map_or("NONE".to_owned(), |role| format!("`{}`", role.replace('`', "``")));
        host::run(link, format!("SET ROLE {role}")).await.map_err(error::failure)?;
    }
    Ok(grants)
}

fn unclear() -> Failure {
    Failure::new(FailureKind::Denied, "the server does not show what the user is granted").lost()
}

/// A line of `SHOW GRANTS`.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Privileges(Vec<Privilege>),
    /// Quoted as the server does it, so fit to be sent back; none where a role was granted another.
    Roles(Vec<String>),
}

/// Cuts at `separator` where it is neither quoted nor in parentheses.
fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut start, mut depth, mut quote) = (Vec::new(), 0, 0_u32, None);
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '`' | '\'' | '"') => quote = Some(character),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            _ if depth == 0 && at >= start && text[at..].starts_with(separator) => {
                parts.push(&text[start..at]);
                start = at + separator.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// `None` for a line that means nothing here, which is doubt.
fn parse(line: &str) -> Option<Line> {
    // MySQL 8 shows what was taken away from parts of a wider grant; the wider grant counts.
    if line.starts_with("REVOKE ") {
        return Some(Line::Privileges(Vec::new()));
    }
    // MariaDB: which role is taken by itself.
    if line.starts_with("SET DEFAULT ROLE ") {
        return Some(Line::Privileges(Vec::new()));
    }
    let granted = line.strip_prefix("GRANT ")?;
    let parts = split(granted, " TO ");
    let (granted, to) = (parts.first()?, parts.get(1)?);
    let on_parts = split(granted, " ON ");
    let Some(on) = on_parts.get(1) else {
        // Of a role, which on MariaDB has no host, another is part.
        let own = split(to, "@").len() > 1;
        let roles = split(granted, ",").into_iter().filter(|_| own).map(|role| role.trim().to_owned());
        return Some(Line::Roles(roles.collect()));
    };
    let names = split(on_parts.first()?, ",").into_iter().map(|name| name.split('(').next().unwrap_or(name).trim().to_owned());
    let mut found: Vec<Privilege> = names.map(|name| Privilege { name, on: (*on).to_owned() }).collect();
    if to.contains("WITH GRANT OPTION") {
        found.push(Privilege { name: "GRANT OPTION".to_owned(), on: (*on).to_owned() });
    }
    Some(Line::Privileges(found))
}

impl Grants {
    /// Adds what the lines of an answer say; the roles that they name.
    async fn add(&mut self, link: &mut MySqlConnection, sql: String) -> Result<Vec<String>, Failure> {
        let mut roles = Vec::new();
        for row in host::run(link, sql).await.map_err(|_| unclear())? {
            let line = row.first().and_then(Option::as_deref).ok_or_else(unclear)?;
            match parse(line).ok_or_else(unclear)? {
                Line::Privileges(found) => self.privileges.extend(found),
                Line::Roles(found) => roles.extend(found),
            }
        }
        Ok(roles)
    }

    fn denied(&self, message: &str, found: &Privilege) -> Failure {
        let Privilege { name, on } = found;
        let message = format!("{message}, but user `{}` has {name} on {on}; try: REVOKE {name} ON {on} FROM …", self.user);
        Failure::new(FailureKind::Denied, message).lost()
    }

    /// # Errors
    /// [`FailureKind::Denied`] for a user whom no check of the database holds.
    pub(super) fn refuse_superuser(&self, allowed: bool) -> Result<(), Failure> {
        let mighty = |privilege: &&Privilege| {
            let everywhere = privilege.on == "*.*" && MIGHTY.contains(&&*privilege.name);
            let users = privilege.covers("mysql") && privilege.on != "*.*" && !READING.contains(&&*privilege.name);
            everywhere || users || privilege.name == "PROXY"
        };
        match self.privileges.iter().find(mighty) {
            Some(found) if !allowed => Err(self.denied("a handler needs a plain user, or `allow_superuser`", found)),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// [`FailureKind::Denied`] with the first privilege that is more than reading.
    pub(super) fn refuse_writer(&self) -> Result<(), Failure> {
        match self.privileges.iter().find(|privilege| !READING.contains(&&*privilege.name)) {
            Some(found) => Err(self.denied("read-only access needs a user that cannot write", found)),
            None => Ok(()),
        }
    }

    /// # Errors
    /// [`FailureKind::Denied`] for a control user to whom the sessions of others would look gone.
    pub(super) fn require_process(&self) -> Result<(), Failure> {
        let all = |privilege: &Privilege| privilege.on == "*.*" && ["PROCESS", "ALL PRIVILEGES"].contains(&&*privilege.name);
        if self.privileges.iter().any(all) {
            return Ok(());
        }
        let message =
            "the control user may not see the sessions; grant it PROCESS and CONNECTION ADMIN (MySQL: CONNECTION_ADMIN)";
        Err(Failure::new(FailureKind::Denied, message).lost())
    }

    /// Whether `information_schema` shows the triggers of all tables of a database; it hides them from a user without the privilege,
    /// and they run all the same.
    pub(super) fn see_triggers(&self, database: &str) -> bool {
        self.privileges[..self.active].iter().any(|privilege| {
            let whole = privilege.on.ends_with(".*") && privilege.covers(database);
            whole && ["TRIGGER", "ALL PRIVILEGES"].contains(&&*privilege.name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(lines: &[&str]) -> Grants {
        let found = lines.iter().filter_map(|line| match parse(line) {
            Some(Line::Privileges(found)) => Some(found),
            _ => None,
        });
        let privileges: Vec<Privilege> = found.flatten().collect();
        Grants { user: "app".into(), active: privileges.len(), privileges }
    }

    #[test]
    fn lines_of_both_servers_are_read() {
        let privilege = |name: &str, on: &str| Privilege { name: name.into(), on: on.into() };
        assert_eq!(
            parse("GRANT SELECT (`a`, `b`), SHOW VIEW ON `d`.`t` TO `app`@`%` WITH GRANT OPTION"),
            Some(Line::Privileges(vec![
                privilege("SELECT", "`d`.`t`"),
                privilege("SHOW VIEW", "`d`.`t`"),
                privilege("GRANT OPTION", "`d`.`t`")
            ]))
        );
        assert_eq!(
            parse("GRANT USAGE ON *.* TO `app`@`localhost` IDENTIFIED BY PASSWORD '*B69027D'"),
            Some(Line::Privileges(vec![privilege("USAGE", "*.*")]))
        );
        assert_eq!(parse("GRANT `r`@`%`,`s`@`%` TO `app`@`%`"), Some(Line::Roles(vec!["`r`@`%`".into(), "`s`@`%`".into()])));
        assert_eq!(
            parse("GRANT SELECT ON `a TO b ON c`.* TO `app`@`%`"),
            Some(Line::Privileges(vec![privilege("SELECT", "`a TO b ON c`.*")]))
        );
        assert_eq!(parse("GRANT `inner` TO `outer`"), Some(Line::Roles(Vec::new())));
        assert_eq!(parse("something else"), None);
    }

    #[test]
    fn who_may_write_is_no_reader() {
        let usage = "GRANT USAGE ON *.* TO `app`@`%`";
        assert_eq!(grants(&[usage, "GRANT SELECT, SHOW VIEW ON `d`.* TO `app`@`%`"]).refuse_writer(), Ok(()));
        for line in [
            "GRANT ALL PRIVILEGES ON `d`.* TO `app`@`%`",
            "GRANT SELECT, INSERT (`a`) ON `d`.`t` TO `app`@`%`",
            "GRANT EXECUTE ON PROCEDURE `d`.`p` TO `app`@`%`",
            "GRANT SELECT ON `d`.* TO `app`@`%` WITH GRANT OPTION",
            "GRANT FILE ON *.* TO `app`@`%`",
            "GRANT LOCK TABLES ON `d`.* TO PUBLIC",
            "GRANT PROXY ON ``@`%` TO `app`@`%`",
        ] {
            assert!(grants(&[usage, line]).refuse_writer().is_err(), "{line}");
        }
    }

    #[test]
    fn superusers_are_told_from_owners() {
        for line in [
            "GRANT ALL PRIVILEGES ON *.* TO `app`@`%`",
            "GRANT SELECT, SUPER ON *.* TO `app`@`%`",
            "GRANT UPDATE ON `mysql`.* TO `app`@`%`",
            "GRANT UPDATE ON `mysql`.`user` TO `app`@`%`",
            "GRANT UPDATE ON `my%`.* TO `app`@`%`",
            "GRANT SELECT, FILE ON *.* TO `app`@`%`",
            "GRANT PROXY ON ``@`%` TO `app`@`%`",
        ] {
            assert!(grants(&[line]).refuse_superuser(false).is_err(), "{line}");
            assert!(grants(&[line]).refuse_superuser(true).is_ok(), "{line}");
        }
        assert!(grants(&["GRANT ALL PRIVILEGES ON `d`.* TO `app`@`%`"]).refuse_superuser(false).is_ok());
        assert!(grants(&["GRANT ALL PRIVILEGES ON `my\\_db`.* TO `app`@`%`"]).see_triggers("my_db"));
        assert!(!grants(&["GRANT SELECT, INSERT ON `d`.* TO `app`@`%`"]).see_triggers("d"));
    }
}
