//! The routes of a WASI 0.2 handler.

use std::borrow::Cow;

use crate::error::Result;
use crate::http::{BodyStream, Method, Request, Response, Routes};

type Handler = Box<dyn Fn(&Request) -> Result<Response<BodyStream>>>;

/// Handlers by method and path. A path's `{name}` stands for one segment, a last `{*name}` for all that are left; a segment spelled out
/// goes before a named one.
///
/// What has no route is answered with a problem document: 404, or 405 with `Allow`. HEAD goes to the handler of GET.
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
        handler: impl Fn(&Request) -> Result<Response<BodyStream>> + 'static,
    ) -> Self {
        self.routes.add(method, path, Box::new(handler));
        self
    }

    /// Answers a request.
    pub(super) fn answer(&self, request: &mut Request) -> Result<Response<BodyStream>> {
        let (handler, parameters) = self.routes.find(&request.head)?;
        request.head.set_parameters(parameters);
        handler(request)
    }
}

macro_rules! shorthands {
    ($($name:ident $method:ident $text:literal;)*) => {
        impl Router {$(
            #[doc = concat!("Adds a route for ", $text, "; see [`Router::route`].")]
            #[must_use]
            pub fn $name(self, path: impl Into<Cow<'static, str>>, handler: impl Fn(&Request) -> Result<Response<BodyStream>> + 'static) -> Self {
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
