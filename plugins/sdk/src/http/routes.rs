//! From method and path to a handler, whatever a handler is.

use crate::http::{Head, Method, Parameters};
use crate::problem::Problem;

/// Routes by path and method; `H` is what is found.
pub(crate) struct Routes<H> {
    paths: matchit::Router<usize>,
    entries: Vec<Entry<H>>,
}

struct Entry<H> {
    path: String,
    methods: Vec<(Method, H)>,
}

impl<H> Routes<H> {
    pub(crate) fn new() -> Self {
        Self { paths: matchit::Router::new(), entries: Vec::new() }
    }

    /// # Panics
    /// When the path does not parse or contradicts another, or has a handler for this method: a mistake that every call would meet.
    pub(crate) fn add(&mut self, method: Method, path: &str, handler: H) {
        let index = self.entries.iter().position(|entry| entry.path == path).unwrap_or_else(|| {
            if let Err(error) = self.paths.insert(path, self.entries.len()) {
                panic!("route {path}: {error}");
            }
            self.entries.push(Entry { path: path.to_owned(), methods: Vec::new() });
            self.entries.len() - 1
        });
        let methods = &mut self.entries[index].methods;
        assert!(methods.iter().all(|(other, _)| *other != method), "route {method} {path} is there twice");
        methods.push((method, handler));
    }

    /// The handler, and its path's parameters, decoded. HEAD goes to the handler of GET unless it has its own.
    ///
    /// # Errors
    /// 404 without a path, 405 without a method, 400 when a parameter is not UTF-8 once decoded.
    pub(crate) fn find(&self, head: &Head) -> Result<(&H, Parameters), Problem> {
        let not_found = |_| Problem::new(404, "not-found").detail(format!("nothing is at {}", head.raw_path()));
        let matched = self.paths.at(head.raw_path()).map_err(not_found)?;
        let methods = &self.entries[*matched.value].methods;
        let of = |method: &Method| methods.iter().find(|(other, _)| other == method);
        let found = of(head.method()).or_else(|| if *head.method() == Method::Head { of(&Method::Get) } else { None });
        let Some((_, handler)) = found else {
            let allow: Vec<_> = methods.iter().map(|(method, _)| method.as_str()).collect();
            let problem = Problem::new(405, "method-not-allowed").header("allow", allow.join(", "));
            return Err(problem.detail(format!("{} takes {}", head.raw_path(), allow.join(", "))));
        };
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().map(Into::into);
        let parameters = matched.params.iter().map(|(name, value)| Ok((name.to_owned(), decode(value)?)));
        let parameters: Result<_, std::str::Utf8Error> = parameters.collect();
        Ok((handler, parameters.map_err(|_| Problem::new(400, "invalid-path").detail("the path is not UTF-8"))?))
    }
}

#[cfg(test)]
mod tests {
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
}
