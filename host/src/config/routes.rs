//! Reads routes, and finds those that overlap.

use http::Method;
use matchit::{InsertError, Router};

use super::{
    model::{Plugin, Route},
    reader::{Context, Entry, Table, did_you_mean, list},
    recorder::Kind,
};

/// A plugin has no more routes than this.
const MAX_ROUTES: usize = 256;

/// A path is no longer than this.
const MAX_PATH: usize = 1024;

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Reads `routes` of a plugin.
pub(super) fn read(table: &mut Table<'_>, plugin: &str) -> Vec<Route> {
    const EXAMPLE: &str = "routes = [\"/patients\", \"GET /patients/{id}\", \"/files/{*rest}\"]";
    let (context, at) = (table.context, table.at);
    if table.lacks(&["routes"]) {
        context.missing(at, format!("plugin `{plugin}` has no `routes`"), format!("add `{EXAMPLE}`"));
    }
    let Some(entry) = table.take("routes", Kind::List { of: "routes", least: 1, most: MAX_ROUTES }) else { return Vec::new() };
    let Some(items) = entry.items("an array of strings") else { return Vec::new() };
    if items.is_empty() || items.len() > MAX_ROUTES {
        let message = format!("plugin `{plugin}` has {} routes", items.len());
        context.error(entry.at, message, format!("allowed: 1 to {MAX_ROUTES}, as in `{EXAMPLE}`"));
    }
    items.iter().filter_map(read_one).collect()
}

fn read_one(entry: &Entry<'_>) -> Option<Route> {
    let text = entry.text("strings, such as \"GET /patients/{id}\"")?;
    let context = entry.context;
    let (method, path) = match text.value.split_once(' ') {
        Some((method, path)) if !method.starts_with('/') => (Some(read_method(entry, method)), path.trim_start_matches(' ')),
        _ => (None, text.value.as_str()),
    };
    let problem = path_problem(path);
    if let Some(problem) = problem {
        let message = format!("{} is not a route: {problem}", text.shown());
        context.error(
            entry.at,
            message,
            "write `/path`, `/path/{parameter}` or `/path/{*rest}`, with a method before it if you like",
        );
        return None;
    }
    let method = match method {
        Some(method) => Some(method?),
        None => None,
    };
    Some(Route { method, path: path.to_owned(), location: entry.at })
}

fn read_method(entry: &Entry<'_>, method: &str) -> Option<Method> {
    if METHODS.contains(&method) {
        return method.parse().ok();
    }
    let upper = method.to_ascii_uppercase();
    let hint = match did_you_mean(&upper, &METHODS) {
        _ if METHODS.contains(&upper.as_str()) => format!("methods are upper case: `{upper}`"),
        Some(hint) => hint,
        None => format!("known methods: {}; without one the route takes all", list(&METHODS)),
    };
    entry.context.error(entry.at, "the route begins with an unknown method", hint);
    None
}

fn path_problem(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        return Some("the path does not begin with `/`");
    }
    if path.len() > MAX_PATH {
        return Some("the path is longer than 1,024 bytes");
    }
    if path.contains(|char: char| char.is_whitespace() || char.is_control() || matches!(char, '?' | '#')) {
        return Some("a path has no spaces, `?` or `#`");
    }
    match Router::new().insert(path, ()) {
        Ok(()) => None,
        Err(InsertError::InvalidParamSegment) => Some("there is more than one parameter between two slashes"),
        Err(InsertError::InvalidCatchAll) => Some("`{*rest}` is not at the end"),
        Err(_) => Some("a parameter needs a name and a closing brace"),
    }
}

/// Reports every route that takes requests of an earlier one, of whatever plugin, with both places. A route without a method takes
/// all methods. A fixed part is not in the way of a parameter: `/a/b` wins over `/a/{x}`.
pub(super) fn check_overlaps(context: &Context<'_>, plugins: &[Plugin]) {
    let routes: Vec<(&str, &Route)> =
        plugins.iter().flat_map(|plugin| plugin.routes.iter().map(|route| (plugin.name.as_str(), route))).collect();
    for (index, (plugin, route)) in routes.iter().enumerate() {
        let Some((other_plugin, other)) = routes[..index].iter().find(|(_, other)| overlap(route, other)) else { continue };
        context.error_with(
            route.location,
            if plugin == other_plugin {
                format!("plugin `{plugin}` has overlapping routes")
            } else {
                format!("the route of plugin `{plugin}` overlaps one of plugin `{other_plugin}`")
            },
            "remove one, give them different paths, or give both a method",
            |error| {
                error.also(other.location, "takes the same requests");
            },
        );
    }
}

fn overlap(one: &Route, other: &Route) -> bool {
    let methods_meet = one.method.is_none() || other.method.is_none() || one.method == other.method;
    let mut router = Router::new();
    methods_meet
        && router.insert(&one.path, ()).is_ok()
        && matches!(router.insert(&other.path, ()), Err(InsertError::Conflict { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlaps(one: &str, other: &str) -> bool {
        let route = |text: &str| {
            let (method, path) = text.split_once(' ').map_or((None, text), |(method, path)| (Some(method), path));
            Route { method: method.map(|method| method.parse().unwrap()), path: path.to_owned(), location: (0..0).into() }
        };
        assert_eq!(overlap(&route(one), &route(other)), overlap(&route(other), &route(one)), "{one} and {other}");
        overlap(&route(one), &route(other))
    }

    #[test]
    fn routes_overlap_when_neither_is_more_exact() {
        assert!(overlaps("/a", "/a"));
        assert!(overlaps("/a/{x}", "/a/{y}"));
        assert!(overlaps("GET /a/{*x}", "GET /a/{*y}"));
        assert!(overlaps("/a", "GET /a"));
        assert!(!overlaps("POST /a", "GET /a"));
        assert!(!overlaps("/a", "/a/"));
        assert!(!overlaps("/a/{x}", "/a/b"));
        assert!(!overlaps("/a/{*x}", "/a/b"));
        assert!(!overlaps("/a/{x}/b", "/a/{y}/c"));
    }
}
