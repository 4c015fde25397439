//! One of our paths, and what it answers to which method: HEAD goes the way of GET (RFC 9110 §9.3.2), any other method hears
//! which ones there are (§15.5.6).

use std::sync::Arc;

use actix_web::dev::{AppService, HttpServiceFactory};
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::web::{self, Data, Payload};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, guard};

use crate::web::failed::Failed;
use crate::web::visit::{Access, Pages};

/// A path with its methods. Registered as it is, it answers other methods with a page.
pub struct Place {
    resource: Resource,
    methods: Vec<Method>,
}

/// The methods of the place that a request came to.
struct Allowed(HeaderValue);

impl Place {
    /// A path, or the pattern of many.
    pub fn at(path: impl AsRef<str>) -> Self {
        Self { resource: web::resource(path.as_ref().to_owned()), methods: Vec::new() }
    }

    /// Who answers GET, and HEAD, whose body is left out below us.
    pub fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::GET, handler)
    }

    /// Who answers GET and not HEAD: where a request is used up, its answer must be read.
    pub fn get_without_head<F, Args>(mut self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.methods.push(Method::GET);
        self.resource = self.resource.route(web::get().to(handler));
        self
    }

    /// Who answers POST.
    pub fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.on(Method::POST, handler)
    }

    /// Who answers a method.
    pub fn on<F, Args>(mut self, method: Method, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let route = if method == Method::GET {
            self.methods.push(Method::HEAD);
            web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
        } else {
            web::method(method.clone())
        };
        self.methods.push(method);
        self.resource = self.resource.route(route.to(handler));
        self
    }

    /// Registers it, with another answer to other methods.
    pub fn or<F, Args>(self, refusal: F) -> Resource
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let names: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
        let allowed = HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("GET"));
        self.resource.app_data(Allowed(allowed)).default_service(web::to(refusal))
    }
}

impl HttpServiceFactory for Place {
    fn register(self, service: &mut AppService) {
        self.or(not_a_page).register(service);
    }
}

/// What answers at the path of a page to a method that it does not know.
async fn not_a_page(pages: Data<Arc<Pages>>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let answer = pages.serve(&request, payload, Access::Anybody, async |_| Err(Failed::Method)).await;
    with_allow(answer, &request)
}

/// A 405 that says what there is.
pub fn with_allow(mut answer: HttpResponse, request: &HttpRequest) -> HttpResponse {
    if let Some(Allowed(methods)) = request.app_data() {
        answer.headers_mut().insert(ALLOW, methods.clone());
    }
    answer
}
