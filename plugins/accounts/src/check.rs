//! What clients may say.

use wharf_sdk::documents::prelude::*;

/// As mail servers have it (RFC 5321).
const MAX_EMAIL: usize = 254;
const MAX_NAME: usize = 100;
const MAX_ABOUT: usize = 1000;
/// Of whatever kinds: length is what counts.
const MIN_PASSWORD: usize = 12;
const MAX_PASSWORD: usize = 200;

/// The form in which an e-mail address is kept and compared: two that differ in case only would be taken for the same by people.
pub(crate) fn normal(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Refuses what cannot be an e-mail address. Whether it is one, only a mail to it can tell.
pub(crate) fn email(problem: Problem, email: &str) -> Problem {
    let email = email.trim();
    if email.len() > MAX_EMAIL {
        return problem.field("email", format!("may have {MAX_EMAIL} bytes"));
    }
    let has_two_parts = email.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    let is_one_word = !email.contains(|character: char| character.is_whitespace() || character.is_control());
    if has_two_parts && is_one_word && email.matches('@').count() == 1 {
        problem
    } else {
        problem.field("email", "must be an e-mail address")
    }
}

/// Refuses a password that is too short to be one, or absurdly long.
pub(crate) fn password(problem: Problem, password: &str) -> Problem {
    match password.chars().count() {
        length if length < MIN_PASSWORD => problem.field("password", format!("must have {MIN_PASSWORD} characters at least")),
        length if length > MAX_PASSWORD => problem.field("password", format!("may have {MAX_PASSWORD} characters")),
        _ => problem,
    }
}

/// Refuses a name that is empty or long.
pub(crate) fn name(problem: Problem, name: &str) -> Problem {
    match name.trim().chars().count() {
        0 => problem.field("name", "must not be empty"),
        length if length > MAX_NAME => problem.field("name", format!("may have {MAX_NAME} characters")),
        _ => problem,
    }
}

/// Refuses what is long to be said about oneself.
pub(crate) fn about(problem: Problem, about: &str) -> Problem {
    let is_long = about.trim().chars().count() > MAX_ABOUT;
    if is_long { problem.field("about", format!("may have {MAX_ABOUT} characters")) } else { problem }
}

/// The problem if any field was found wrong.
pub(crate) fn accept(problem: Problem) -> Result<()> {
    if problem.has_field_errors() { Err(problem.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(check: impl FnOnce(Problem) -> Problem) -> bool {
        accept(check(Problem::new(422, "x"))).is_ok()
    }

    #[test]
    fn addresses_have_two_parts_and_no_spaces() {
        for good in ["ada@example.org", " Ada.L+x@EXAMPLE.org ", "ä@b", "a@b"] {
            assert!(fits(|problem| email(problem, good)), "{good}");
        }
        for bad in ["", "ada", "@example.org", "ada@", "a@b@c", "a b@c", "a@b\nc", &format!("{}@b", "a".repeat(253))] {
            assert!(!fits(|problem| email(problem, bad)), "{bad}");
        }
    }

    #[test]
    fn addresses_are_compared_without_case() {
        assert_eq!(normal(" Ada@Example.ORG "), "ada@example.org");
    }

    #[test]
    fn passwords_are_long_enough() {
        assert!(fits(|problem| password(problem, "correct horse")) && fits(|problem| password(problem, &"ü".repeat(200))));
        assert!(!fits(|problem| password(problem, "correct hor")) && !fits(|problem| password(problem, &"ü".repeat(201))));
    }

    #[test]
    fn something_about_oneself_may_be_nothing_but_a_name_may_not() {
        assert!(fits(|problem| about(problem, " ")) && fits(|problem| about(problem, &"ü".repeat(1000))));
        assert!(fits(|problem| name(problem, " Ada ")) && !fits(|problem| name(problem, " ")));
        assert!(!fits(|problem| name(problem, &"ü".repeat(101))) && !fits(|problem| about(problem, &"ü".repeat(1001))));
    }
}
