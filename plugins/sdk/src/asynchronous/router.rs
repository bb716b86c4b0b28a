//! The routes of a WASI 0.3 handler.

use std::borrow::Cow;
use std::pin::Pin;
use std::rc::Rc;

use crate::asynchronous::{Request, Response};
use crate::error::Result;
use crate::http::{Method, Routes};

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response>> + 'a>>;
type Handler = Box<dyn for<'a> Fn(&'a Request) -> Answer<'a>>;

/// Handlers by method and path, as [`crate::Router`].
pub struct Router {
    routes: Routes<Handler>,
}

impl Router {
    /// No routes yet.
    #[must_use]
    pub fn new() -> Self {
        Self { routes: Routes::new() }
    }

    /// Adds a route.
    ///
    /// # Panics
    /// When the path does not parse, contradicts another, or has a handler for this method already.
    #[must_use]
    pub fn route(
        mut self,
        method: Method,
        path: impl Into<Cow<'static, str>>,
        handler: impl AsyncFn(&Request) -> Result<Response> + 'static,
    ) -> Self {
        self.routes.add(method, path, boxed(handler));
        self
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: &mut Request) -> Result<Response> {
        let (handler, parameters) = self.routes.find(&request.head)?;
        request.head.set_parameters(parameters);
        handler(request).await
    }
}

/// The future shares the handler, since it may not borrow from the closure that makes it.
fn boxed(handler: impl AsyncFn(&Request) -> Result<Response> + 'static) -> Handler {
    fn check<F: for<'a> Fn(&'a Request) -> Answer<'a>>(function: F) -> F {
        function
    }
    let handler = Rc::new(handler);
    Box::new(check(move |request| {
        let handler = Rc::clone(&handler);
        Box::pin(async move { handler(request).await })
    }))
}

macro_rules! shorthands {
    ($($name:ident $method:ident $text:literal;)*) => {
        impl Router {$(
            #[doc = concat!("Adds a route for ", $text, "; see [`Router::route`].")]
            #[must_use]
            pub fn $name(self, path: impl Into<Cow<'static, str>>, handler: impl AsyncFn(&Request) -> Result<Response> + 'static) -> Self {
                self.route(Method::$method, path, handler)
            }
        )*}
    };
}

shorthands! {
    get Get "GET";
    post Post "POST";
    put Put "PUT";
    patch Patch "PATCH";
    delete Delete "DELETE";
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}
