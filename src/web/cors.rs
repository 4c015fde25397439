//! What scripts of other origins may read, and the answer to their preflight (Fetch, "CORS protocol").

use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use actix_web::{HttpRequest, HttpResponse};

use crate::policy::Route;
use crate::protocol::request::ReceivedRequest;

/// Lets a browser's script from an admitted origin read the answer. On a route that names origins, its word is the only
/// one: an API behind us can't let scripts use a login that the browser remembers.
pub fn add_cors(headers: &mut HeaderMap, route: &Route, origin: Option<&str>) {
    if !route.has_cors() {
        return;
    }
    headers.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
    headers.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin.filter(|origin| route.allows_origin(origin))
        && let Ok(origin) = HeaderValue::from_str(origin)
    {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("WWW-Authenticate, Retry-After"));
    }
}

/// As [`add_cors`], for an answer of our own to a request that was admitted.
pub fn readable(mut answer: HttpResponse, route: &Route, request: &HttpRequest) -> HttpResponse {
    if route.has_cors() {
        let origin = request.headers().get(ORIGIN).and_then(|origin| origin.to_str().ok());
        add_cors(answer.headers_mut(), route, origin);
    }
    answer
}

/// The answer to a browser's question whether a script may send what it wants to send (Fetch, CORS preflight); `None`
/// when the request is no such question, or its origin is not admitted.
pub fn preflight(request: &ReceivedRequest<'_>, sent: &HeaderMap, route: &Route) -> Option<HttpResponse> {
    // No browser's question means another method, and what is answered unasked must not be one to anybody.
    if request.method != "OPTIONS" || !request.meant_methods().is_empty() {
        return None;
    }
    let method = sent.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    request.headers.origin.filter(|origin| route.allows_origin(origin))?;
    let mut answer = HttpResponse::NoContent();
    answer.insert_header((ACCESS_CONTROL_ALLOW_METHODS, method)).insert_header((ACCESS_CONTROL_MAX_AGE, "600"));
    if let Some(headers) = sent.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert_header((ACCESS_CONTROL_ALLOW_HEADERS, headers));
    }
    let mut answer = answer.finish();
    add_cors(answer.headers_mut(), route, request.headers.origin);
    Some(answer)
}
