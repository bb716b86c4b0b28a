//! From method and path to a handler, whatever a handler is.
//!
//! Paths are compared one by one: in an instance that serves one call, a tree of them (as `matchit` builds for the host) would be built for
//! a single look, at some 7,000 instructions a route. A test holds the two against each other.

use std::{borrow::Cow, cmp::Ordering};

use crate::http::{Head, Method, Parameters};
use crate::problem::Problem;

/// Routes by path and method; `H` is what is found.
pub(crate) struct Routes<H> {
    entries: Vec<Entry<H>>,
}

struct Entry<H> {
    path: Cow<'static, str>,
    /// Whether it is spelled out wholly, as most are: such a path takes itself and nothing else.
    is_literal: bool,
    method: Method,
    handler: H,
}

/// One piece of a route's path. In the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment<'a> {
    Literal(&'a str),
    /// `{name}`: one segment that is not empty.
    Named(&'a str),
    /// `{*name}`: all that is left, at least one character.
    Rest(&'a str),
}

impl<'a> Segment<'a> {
    fn of(text: &'a str) -> Self {
        match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            Some(name) => name.strip_prefix('*').map_or(Self::Named(name), Self::Rest),
            None => Self::Literal(text),
        }
    }

    /// What it stands for, however it is named: two that are equal take the same.
    fn unnamed(self) -> Self {
        match self {
            Self::Literal(text) => Self::Literal(text),
            Self::Named(_) => Self::Named(""),
            Self::Rest(_) => Self::Rest(""),
        }
    }
}

/// As a function: pieces are so short that to look at each character costs less than the search by which the standard library splits at a `char`.
fn is_slash(character: char) -> bool {
    character == '/'
}

fn segments(path: &str) -> impl Iterator<Item = Segment<'_>> {
    path.split(is_slash).map(Segment::of)
}

fn unnamed(path: &str) -> impl Iterator<Item = Segment<'_>> {
    segments(path).map(Segment::unnamed)
}

fn is_literal(path: &str) -> bool {
    !path.bytes().any(|byte| matches!(byte, b'{' | b'}' | b'*'))
}

/// What is wrong with a route's path.
fn fault(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        return Some("a path begins with a slash");
    }
    if is_literal(path) {
        return None;
    }
    let mut rest_came = false;
    for segment in segments(path) {
        if rest_came {
            return Some("nothing follows a `{*name}`");
        }
        let (Segment::Literal(text) | Segment::Named(text) | Segment::Rest(text)) = segment;
        if text.contains(['{', '}', '*']) || (text.is_empty() && !matches!(segment, Segment::Literal(_))) {
            return Some("a name is a whole segment, as `{name}` or, as the last one, `{*name}`");
        }
        rest_came = matches!(segment, Segment::Rest(_));
    }
    None
}

/// Whether two routes take the same paths, whatever they name the pieces.
fn are_alike(one: &str, other: &str) -> bool {
    unnamed(one).eq(unnamed(other))
}

/// Whether a route's path takes this one.
fn takes(route: &str, mut path: &str) -> bool {
    let mut ended = false;
    for segment in segments(route) {
        if ended {
            return false;
        }
        if let Segment::Rest(_) = segment {
            return !path.is_empty();
        }
        let (part, left) = path.split_once(is_slash).map_or((path, None), |(part, left)| (part, Some(left)));
        let fits = match segment {
            Segment::Literal(text) => text == part,
            _ => !part.is_empty(),
        };
        if !fits {
            return false;
        }
        (ended, path) = (left.is_none(), left.unwrap_or_default());
    }
    ended
}

/// Names and values of the parameters of a path that the route takes.
fn parameters<'a>(route: &'a str, path: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let mut left = path;
    segments(route).filter_map(move |segment| {
        let whole = left;
        let (part, rest) = left.split_once(is_slash).unwrap_or((left, ""));
        left = rest;
        match segment {
            Segment::Literal(_) => None,
            Segment::Named(name) => Some((name, part)),
            Segment::Rest(name) => Some((name, whole)),
        }
    })
}

/// Which of two routes that take a path goes first: at the first difference, what is spelled out before a name, and a name before the rest.
fn precedence(one: &str, other: &str) -> Ordering {
    unnamed(one).cmp(unnamed(other))
}

impl<H> Entry<H> {
    fn takes(&self, path: &str) -> bool {
        if self.is_literal { self.path == path } else { takes(&self.path, path) }
    }
}

impl<H> Routes<H> {
    pub(crate) fn new() -> Self {
        Self { entries: Vec::with_capacity(16) }
    }

    /// # Panics
    /// When the path does not parse or contradicts another, or has a handler for this method: a mistake that every call would meet.
    pub(crate) fn add(&mut self, method: Method, path: impl Into<Cow<'static, str>>, handler: H) {
        let path = path.into();
        if let Some(fault) = fault(&path) {
            panic!("route {path}: {fault}");
        }
        let is_literal = is_literal(&path);
        for other in &self.entries {
            if other.path == path {
                assert!(other.method != method, "route {method} {path} is there twice");
            } else if !is_literal && !other.is_literal && are_alike(&other.path, &path) {
                panic!("route {path}: {} takes the same paths under other names", other.path);
            }
        }
        self.entries.push(Entry { path, is_literal, method, handler });
    }

    /// The route that takes a path, if one does.
    fn route(&self, path: &str) -> Option<&str> {
        let takes = self.entries.iter().filter(|entry| entry.takes(path)).map(|entry| &*entry.path);
        takes.min_by(|one, other| precedence(one, other))
    }

    /// The handler, and its path's parameters, decoded. HEAD goes to the handler of GET unless it has its own.
    ///
    /// # Errors
    /// 404 without a path, 405 without a method, 400 when a parameter is not UTF-8 once decoded.
    pub(crate) fn find(&self, head: &Head) -> Result<(&H, Parameters), Problem> {
        let path = head.raw_path();
        let not_found = || Problem::new(404, "not-found").detail(format!("nothing is at {path}"));
        let route = self.route(path).ok_or_else(not_found)?;
        let methods = || self.entries.iter().filter(|entry| entry.path == route);
        let of = |method: &Method| methods().find(|entry| entry.method == *method);
        let found = of(head.method()).or_else(|| if *head.method() == Method::Head { of(&Method::Get) } else { None });
        let Some(Entry { handler, .. }) = found else {
            let allow: Vec<_> = methods().map(|entry| entry.method.as_str()).collect();
            let problem = Problem::new(405, "method-not-allowed").header("allow", allow.join(", "));
            return Err(problem.detail(format!("{path} takes {}", allow.join(", "))));
        };
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().map(Into::into);
        let parameters = parameters(route, path).map(|(name, value)| Ok((name.to_owned(), decode(value)?)));
        let parameters: Result<_, std::str::Utf8Error> = parameters.collect();
        Ok((handler, parameters.map_err(|_| Problem::new(400, "invalid-path").detail("the path is not UTF-8"))?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The handler and its parameters, or the status and what is allowed.
    type Found = Result<(String, Parameters), (u16, String)>;

    fn routes() -> Routes<&'static str> {
        let mut routes = Routes::new();
        routes.add(Method::Get, "/patients", "list");
        routes.add(Method::Post, "/patients", "create");
        routes.add(Method::Get, "/patients/{id}", "show");
        routes.add(Method::Get, "/patients/new", "form");
        routes.add(Method::Get, "/files/{*path}", "file");
        routes
    }

    fn find(method: Method, target: &str) -> Found {
        let routes = routes();
        let head = Head::new(method, Some(target.to_owned()), Vec::new);
        match routes.find(&head) {
            Ok((handler, parameters)) => Ok(((*handler).to_owned(), parameters)),
            Err(problem) => {
                let status = problem.status();
                Err((status, problem.into_response::<()>().header("allow").unwrap_or_default().to_owned()))
            }
        }
    }

    fn found(handler: &str, parameters: &[(&str, &str)]) -> Found {
        Ok((handler.to_owned(), parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()))
    }

    #[test]
    fn method_and_path_choose_the_handler() {
        assert_eq!(find(Method::Get, "/patients?limit=1"), found("list", &[]));
        assert_eq!(find(Method::Post, "/patients"), found("create", &[]));
        assert_eq!(find(Method::Head, "/patients"), found("list", &[]));
        assert_eq!(find(Method::Get, "/patients/new"), found("form", &[]));
        assert_eq!(find(Method::Get, "/patients/7%2F8%20x"), found("show", &[("id", "7/8 x")]));
        assert_eq!(find(Method::Get, "/files/a/b"), found("file", &[("path", "a/b")]));
    }

    #[test]
    fn what_is_not_there_is_told_apart() {
        assert_eq!(find(Method::Get, "/nowhere"), Err((404, String::new())));
        assert_eq!(find(Method::Get, "/patients/"), Err((404, String::new())));
        assert_eq!(find(Method::Delete, "/patients"), Err((405, "GET, POST".to_owned())));
        assert_eq!(find(Method::Head, "/files"), Err((404, String::new())));
        assert_eq!(find(Method::Get, "/patients/%ff"), Err((400, String::new())));
    }

    #[test]
    #[should_panic(expected = "route GET /patients is there twice")]
    fn a_route_is_given_once() {
        routes().add(Method::Get, "/patients", "again");
    }

    #[test]
    #[should_panic(expected = "route /patients/{name}")]
    fn routes_do_not_contradict_each_other() {
        routes().add(Method::Get, "/patients/{name}", "other");
    }

    #[test]
    #[should_panic(expected = "a name is a whole segment")]
    fn a_name_is_a_whole_segment() {
        routes().add(Method::Get, "/patients/{id}.json", "other");
    }

    proptest! {
        #[test]
        fn what_the_host_would_find_is_found(
            routes in prop::collection::vec(prop::collection::vec("[ab]|\\{n\\}|\\{\\*r\\}|", 0..4), 1..6),
            path in "(/[ab]{0,2}){1,4}",
        ) {
            let (mut tree, mut list) = (matchit::Router::new(), Routes::new());
            for route in routes {
                let route = format!("/{}", route.join("/"));
                // What one refuses the other need not take.
                if fault(&route).is_none() && tree.insert(route.clone(), route.clone()).is_ok() {
                    list.add(Method::Get, route.clone(), ());
                }
            }
            let expected = tree.at(&path).ok();
            let found = list.route(&path);
            prop_assert_eq!(found, expected.as_ref().map(|matched| &**matched.value));
            if let (Some(route), Some(matched)) = (found, expected) {
                let parameters: Vec<_> = parameters(route, &path).collect();
                prop_assert_eq!(parameters, matched.params.iter().collect::<Vec<_>>());
            }
        }
    }
}
