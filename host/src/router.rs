//! Finds who answers a method and a path.
//!
//! Patterns are matched against the raw path, as the client sent it: nothing is decoded, folded or cut, so the handler sees the very
//! bytes that were routed, and `/patients` and `/patients/` are two paths. The most specific pattern that accepts the method wins
//! (literal before `{parameter}` before `{*rest}`). Paths that two parties could read differently are refused instead: dot segments,
//! control characters and broken escapes, encoded or not.

use http::Method;

/// A route as it was configured.
#[derive(Clone, Debug)]
pub struct Route<T> {
    /// `None` accepts every method.
    pub method: Option<Method>,
    /// A path with `{parameter}` segments and at most one `{*rest}` at its end.
    pub pattern: String,
    /// Who answers.
    pub target: T,
}

/// What a lookup came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Lookup<'a, T> {
    /// This one answers.
    Found(&'a T),
    /// The path is known, for these methods only.
    MethodNotAllowed(Vec<Method>),
    /// Nobody answers this path.
    NotFound,
    /// The path is refused, for this reason, a sentence to be shown.
    Malformed(&'static str),
}

/// Why a set of routes makes no router. The numbers are places in the list of routes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Two routes claim the same requests.
    #[error("`{second_text}` overlaps with `{first_text}`")]
    Overlap {
        /// The one that came first.
        first: usize,
        /// As it was configured.
        first_text: String,
        /// The one that came later.
        second: usize,
        /// As it was configured.
        second_text: String,
    },
    /// The pattern is none.
    #[error("`{text}` is not a route: {reason}")]
    Invalid {
        /// Which one.
        route: usize,
        /// As it was configured.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Method and path to a target. Immutable once built.
#[derive(Debug)]
pub struct Router<T> {
    targets: Vec<T>,
    /// One tree for every method that some route names: its routes, and those that accept every method.
    named: Vec<(Method, Tree)>,
    /// The routes that accept every method.
    any: Tree,
}

type Tree = matchit::Router<usize>;

impl<T> Router<T> {
    /// Builds the router.
    ///
    /// # Errors
    /// Every route that is none, and every overlap, all of them. Two routes overlap when some request fits both and neither is more
    /// specific; a route for all methods overlaps with one for a single method of the same pattern.
    pub fn build(routes: impl IntoIterator<Item = Route<T>>) -> Result<Self, Vec<RouteError>> {
        let mut errors = Vec::new();
        let mut targets = Vec::new();
        let mut sources = Vec::new();
        for (place, route) in routes.into_iter().enumerate() {
            let text = route.method.as_ref().map_or(route.pattern.clone(), |method| format!("{method} {}", route.pattern));
            let pattern = match normalize(&route.pattern).and_then(check) {
                Ok(pattern) => Some(pattern),
                Err(reason) => {
                    errors.push(RouteError::Invalid { route: place, text: text.clone(), reason });
                    None
                }
            };
            sources.push(Source { text, method: route.method, pattern });
            targets.push(route.target);
        }

        let mut methods: Vec<Method> = sources.iter().filter_map(|source| source.method.clone()).collect();
        methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        methods.dedup();
        if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
            methods.push(Method::HEAD);
        }
        let any = tree(&sources, None, &mut errors);
        let named = methods.into_iter().map(|method| (method.clone(), tree(&sources, Some(&method), &mut errors))).collect();
        if errors.is_empty() { Ok(Self { targets, named, any }) } else { Err(errors) }
    }

    /// Who answers this request. HEAD is answered by GET's route where it has none of its own.
    #[must_use]
    pub fn lookup(&self, method: &Method, path: &str) -> Lookup<'_, T> {
        if let Err(reason) = check_path(path) {
            return Lookup::Malformed(reason);
        }
        let tree = self.named.iter().find(|(named, _)| named == method).map_or(&self.any, |(_, tree)| tree);
        if let Ok(found) = tree.at(path) {
            return Lookup::Found(&self.targets[*found.value]);
        }
        let allowed: Vec<Method> =
            self.named.iter().filter(|(_, tree)| tree.at(path).is_ok()).map(|(method, _)| method.clone()).collect();
        if allowed.is_empty() { Lookup::NotFound } else { Lookup::MethodNotAllowed(allowed) }
    }
}

struct Source {
    text: String,
    method: Option<Method>,
    pattern: Option<String>,
}

/// All routes that answer `method`, or those that answer every method.
fn tree(sources: &[Source], method: Option<&Method>, errors: &mut Vec<RouteError>) -> Tree {
    let mut tree = Tree::new();
    let mut inside: Vec<usize> = Vec::new();
    let fallback = method.filter(|method| **method == Method::HEAD).map(|_| Method::GET);
    for (place, source) in sources.iter().enumerate() {
        let Some(pattern) = &source.pattern else { continue };
        let own = source.method.is_none() || source.method.as_ref() == method;
        let borrowed = !own && fallback.is_some() && source.method == fallback;
        let shadowed = || sources.iter().any(|other| other.method.as_ref() == method && other.pattern.as_ref() == Some(pattern));
        if !own && (!borrowed || shadowed()) {
            continue;
        }
        match tree.insert(pattern.clone(), place) {
            Ok(()) => inside.push(place),
            Err(_) => {
                // What fits the error was checked when the pattern was read, so this is a conflict with one of those inside.
                let first = inside.iter().copied().find(|first| conflict(&sources[*first], pattern)).unwrap_or(place);
                let overlap = RouteError::Overlap {
                    first,
                    first_text: sources[first].text.clone(),
                    second: place,
                    second_text: source.text.clone(),
                };
                if !errors.contains(&overlap) {
                    errors.push(overlap);
                }
            }
        }
    }
    tree
}

fn conflict(source: &Source, pattern: &str) -> bool {
    let mut pair = Tree::new();
    source
        .pattern
        .as_ref()
        .is_some_and(|first| pair.insert(first.clone(), 0).is_ok() && pair.insert(pattern.to_owned(), 1).is_err())
}

/// Gives all parameters one name: the router hands none on, and `/{id}` is the same route as `/{key}`.
fn normalize(pattern: &str) -> Result<String, &'static str> {
    if !pattern.starts_with('/') {
        return Err("it does not begin with `/`");
    }
    if pattern.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '?' | '#')) {
        return Err("it has a character that no path has");
    }
    let mut normal = String::with_capacity(pattern.len());
    let mut count = 0;
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        normal.push_str(&rest[..at]);
        let (brace, tail) = rest[at..].split_at(1);
        if tail.starts_with(brace) {
            normal.push_str(&rest[at..at + 2]);
            rest = &tail[1..];
            continue;
        }
        let end = tail.find('}').filter(|_| brace == "{").ok_or("its braces do not match; write `{{` for a brace")?;
        let name = &tail[..end];
        let star = if name.starts_with('*') { "*" } else { "" };
        if name.len() == star.len() || name[star.len()..].contains(['*', '{', '/']) {
            return Err("a parameter is written `{name}`, or `{*name}` at the end");
        }
        normal.push_str(&format!("{{{star}p{count}}}"));
        count += 1;
        rest = &tail[end + 1..];
    }
    normal.push_str(rest);
    Ok(normal)
}

fn check(pattern: String) -> Result<String, &'static str> {
    use matchit::InsertError;
    match Tree::new().insert(pattern.clone(), 0) {
        Ok(()) => Ok(pattern),
        Err(InsertError::InvalidParamSegment) => Err("a segment has more than one parameter"),
        Err(InsertError::InvalidCatchAll) => Err("`{*name}` stands at the end only, as a segment of its own"),
        Err(_) => Err("its parameters are not well formed"),
    }
}

/// Refuses paths that a proxy in front and the handler behind might read differently.
fn check_path(path: &str) -> Result<(), &'static str> {
    let bytes = path.as_bytes();
    let mut at = 0;
    // Most paths have neither escapes nor dots at the start of a segment; the segments of others are decoded, for the dots only.
    let mut dots_only = 0_usize;
    let mut other = false;
    let dot_segment = |dots_only: usize, other: bool| !other && (dots_only == 1 || dots_only == 2);
    while at < bytes.len() {
        let byte = match bytes[at] {
            b'%' => {
                let escape = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
                let plain = escape.filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
                at += 2;
                match plain.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                    // An escaped slash is part of its segment; that is what distinguishes it.
                    Some(b'/') => b'x',
                    Some(byte) => byte,
                    None => return Err("The path has a broken escape."),
                }
            }
            byte => byte,
        };
        at += 1;
        match byte {
            b'/' => {
                if dot_segment(dots_only, other) {
                    return Err("The path has a dot segment.");
                }
                (dots_only, other) = (0, false);
            }
            b'.' => dots_only += 1,
            0..=0x1f | 0x7f => return Err("The path has a control character."),
            _ => other = true,
        }
    }
    if dot_segment(dots_only, other) { Err("The path has a dot segment.") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routes: &[&'static str]) -> Result<Router<&'static str>, Vec<RouteError>> {
        Router::build(routes.iter().map(|text| match text.split_once(' ') {
            Some((method, pattern)) => Route { method: method.parse().ok(), pattern: pattern.to_owned(), target: *text },
            None => Route { method: None, pattern: (*text).to_owned(), target: *text },
        }))
    }

    fn found(router: &Router<&'static str>, method: Method, path: &str) -> String {
        match router.lookup(&method, path) {
            Lookup::Found(target) => (*target).to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_most_specific_route_that_accepts_the_method_wins() {
        let router = router(&["/patients", "/patients/{*rest}", "GET /patients/new", "GET /report/{*rest}", "/by/{id}"]).unwrap();
        assert_eq!(found(&router, Method::POST, "/patients"), "/patients");
        assert_eq!(found(&router, Method::GET, "/patients/new"), "GET /patients/new");
        assert_eq!(found(&router, Method::POST, "/patients/new"), "/patients/{*rest}");
        assert_eq!(found(&router, Method::GET, "/patients/1/visits"), "/patients/{*rest}");
        assert_eq!(found(&router, Method::GET, "/report/a/b"), "GET /report/{*rest}");
        assert_eq!(found(&router, Method::GET, "/by/7"), "/by/{id}");
    }

    #[test]
    fn a_slash_at_the_end_and_escapes_make_another_path() {
        let router = router(&["/patients", "/by/{id}"]).unwrap();
        for path in ["/patients/", "//patients", "/Patients", "/%70atients", "/patients%2f", "/by/", "/by/a/b", "*", ""] {
            assert_eq!(found(&router, Method::GET, path), "NotFound", "{path}");
        }
        assert_eq!(found(&router, Method::GET, "/by/a%2Fb"), "/by/{id}");
        assert_eq!(found(&router, Method::GET, "/by/v1.2..3"), "/by/{id}");
    }

    #[test]
    fn head_falls_back_to_get() {
        let get = router(&["GET /a", "POST /a"]).unwrap();
        assert_eq!(found(&get, Method::HEAD, "/a"), "GET /a");
        let head = router(&["GET /a", "HEAD /a", "GET /a/{id}"]).unwrap();
        assert_eq!(found(&head, Method::HEAD, "/a"), "HEAD /a");
        assert_eq!(found(&head, Method::HEAD, "/a/1"), "GET /a/{id}");
    }

    #[test]
    fn a_known_path_tells_its_methods() {
        let router = router(&["GET /a", "POST /a", "PUT /b"]).unwrap();
        let Lookup::MethodNotAllowed(mut allowed) = router.lookup(&Method::DELETE, "/a") else { panic!("not refused") };
        allowed.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        assert_eq!(allowed, [Method::GET, Method::HEAD, Method::POST]);
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        let router = router(&["/{*rest}"]).unwrap();
        for path in ["/a/../b", "/a/..", "/.", "/a/%2e%2E/b", "/a/.%2e", "/a%00b", "/a%7F", "/a%zz", "/a%4", "/a%", "/a\u{7f}"] {
            assert!(matches!(router.lookup(&Method::GET, path), Lookup::Malformed(_)), "{path}");
        }
        for path in ["/a/...", "/a..b", "/.well-known", "/a%20b", "/%C3%A9"] {
            assert!(matches!(router.lookup(&Method::GET, path), Lookup::Found(_)), "{path}");
        }
    }

    #[test]
    fn overlaps_name_both_routes_and_all_are_reported() {
        let errors = router(&[
            "/a/{id}",
            "GET /a/{key}",
            "/b",
            "/b",
            "POST /c/{x}",
            "POST /c/{*y}",
            "GET /c/{z}",
            "nope",
            "/d/{x}{y}",
            "/{*e}/f",
        ])
        .unwrap_err();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "`nope` is not a route: it does not begin with `/`",
                "`/d/{x}{y}` is not a route: a segment has more than one parameter",
                "`/{*e}/f` is not a route: `{*name}` stands at the end only, as a segment of its own",
                "`/b` overlaps with `/b`",
                "`GET /a/{key}` overlaps with `/a/{id}`",
                "`POST /c/{*y}` overlaps with `POST /c/{x}`",
            ]
        );
    }

    #[test]
    fn broken_patterns_are_refused() {
        for pattern in ["/{}", "/{*}", "/{a", "/a}", "/{a/b}", "/{a{b}", "/a b", "/a?b", "/a#", "", "/{a*}"] {
            assert!(
                matches!(router(&[pattern.to_owned().leak()]), Err(errors) if matches!(errors[..], [RouteError::Invalid { .. }])),
                "{pattern}"
            );
        }
        assert_eq!(found(&router(&["/{{a}}"]).unwrap(), Method::GET, "/{a}"), "/{{a}}");
    }
}
