//! Puts environment variables into strings: `${NAME}`, and `${NAME:-default}` for one that may be unset or empty.
//!
//! `$${` stands for a literal `${`; any other `$` for itself. A default is taken as it stands and ends at the first `}`.

/// A variable's value by its name; `None` when it is unset or not UTF-8.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Why a string cannot be completed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Problem {
    /// No such variable, and no default.
    Unset {
        /// The variable.
        name: String,
    },
    /// `${` that is not followed by a name and `}` or `:-`.
    Malformed,
}

/// The completed string, and whether the environment had a part in it.
///
/// # Errors
/// Every [`Problem`] of the string.
pub(super) fn interpolate(text: &str, environment: &Environment<'_>) -> Result<(String, bool), Vec<Problem>> {
    let (mut out, mut used, mut problems) = (String::new(), false, Vec::new());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, reference) = rest.split_at(start);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &reference[2..];
            continue;
        }
        out.push_str(before);
        let Some((inside, after)) = reference[2..].split_once('}') else {
            problems.push(Problem::Malformed);
            rest = "";
            break;
        };
        rest = after;
        let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
        if !is_name(name) || default.is_some_and(|default| default.contains("${")) {
            problems.push(Problem::Malformed);
            continue;
        }
        let value = environment(name).filter(|value| default.is_none() || !value.is_empty());
        used |= value.is_some();
        match value.or_else(|| default.map(str::to_owned)) {
            Some(value) => out.push_str(&value),
            None => problems.push(Problem::Unset { name: name.to_owned() }),
        }
    }
    out.push_str(rest);
    if problems.is_empty() { Ok((out, used)) } else { Err(problems) }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
        && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> Result<(String, bool), Vec<Problem>> {
        interpolate(text, &|name| match name {
            "HOST" => Some("db".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn variables_are_put_in() {
        assert_eq!(complete("a${HOST}b${HOST}"), Ok(("adbbdb".to_owned(), true)));
        assert_eq!(complete("${EMPTY}"), Ok((String::new(), true)));
    }

    #[test]
    fn a_default_replaces_what_is_unset_or_empty() {
        assert_eq!(complete("${NONE:-x:y}"), Ok(("x:y".to_owned(), false)));
        assert_eq!(complete("${EMPTY:-x}"), Ok(("x".to_owned(), false)));
        assert_eq!(complete("${HOST:-x}"), Ok(("db".to_owned(), true)));
    }

    #[test]
    fn a_dollar_is_itself_and_two_escape_a_reference() {
        assert_eq!(complete("5$ $$ $x $${HOST}"), Ok(("5$ $$ $x ${HOST}".to_owned(), false)));
    }

    #[test]
    fn every_problem_is_told() {
        let unset = |name: &str| Problem::Unset { name: name.to_owned() };
        assert_eq!(complete("${A}${B}"), Err(vec![unset("A"), unset("B")]));
        assert_eq!(complete("${}${1}${A:-${B}}"), Err(vec![Problem::Malformed; 3]));
        assert_eq!(complete("x${HOST"), Err(vec![Problem::Malformed]));
    }
}
