//! The built-in reverse proxy: an admitted request goes to the upstream, its answer to the client.
//!
//! Method, path, query and bodies stay byte for byte as they were sent, except for what is withheld. Message framing is
//! made anew on each side, so nothing that two readers could read differently gets through (RFC 9112 §11.2). Trailers
//! are not passed on, and HTTP/2 towards the client is a front proxy's.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use actix_web::body::{BodyStream, SizedStream};
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH};
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyDataStream;
use hyper::body::{Body as _, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Builder;
use hyper::{Request, Response, Uri, header};

use crate::auth::session::{COOKIE, VISITOR_COOKIE};
use crate::auth::verdict::Credential;
use crate::config::Configuration;
use crate::gateway::assertion::{Assertions, Subject};
use crate::gateway::identity_headers::is_plain;
use crate::gateway::upload::{Outgoing, Upload};
use crate::gateway::upstream::{Exchange, Unanswered, Upstream, UpstreamError};
use crate::gateway::withheld::{self, Reads, Withheld};
use crate::gateway::{identity_headers, tunnel};
use crate::protocol::request::is_form_type;
use crate::web::cors::add_cors;
use crate::web::judge::{Judge, Judged};
use crate::web::request::{announced_length, is_endless, peer_of};
use crate::web::response::UpstreamFailure;

/// The reverse proxy, as one worker thread has it.
pub struct Proxy {
    upstream: Upstream,
    withheld: Withheld,
    assertions: Option<Arc<Assertions>>,
}

/// Why a request could not be made out of an admitted one; all are our own failures.
type Unmade = Box<dyn std::error::Error>;

impl Proxy {
    /// One for each worker thread; `Ok(None)` without `upstream.url`. `assertions`: when `gateway.assertion` is on.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub fn new(
        configuration: &Configuration,
        assertions: Option<Arc<Assertions>>,
    ) -> Result<Option<Self>, UpstreamError> {
        let upstream = Upstream::new(&configuration.upstream)?;
        Ok(upstream.map(|upstream| Self { upstream, withheld: Withheld::new(&configuration.http_auth), assertions }))
    }

    /// The same proxy with connections of its own.
    pub fn for_this_thread(&self) -> Self {
        Self {
            upstream: self.upstream.for_this_thread(),
            withheld: self.withheld.clone(),
            assertions: self.assertions.clone(),
        }
    }
}

/// Judges a request and passes it on: the handler of every path that is not ours.
pub async fn forward(
    judge: Data<Arc<Judge>>,
    proxy: Data<Proxy>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let judged = match judge.admit(&request, payload).await {
        Ok(judged) => judged,
        Err(refused) => return refused,
    };
    let route = judged.route;
    let mut answer = match proxy.exchange(&request, judged).await {
        Ok(answer) => answer,
        Err(failure) => judge.answers.upstream(failure),
    };
    let origin = request.headers().get("origin").and_then(|origin| origin.to_str().ok());
    add_cors(answer.headers_mut(), route, origin);
    keep_out_of_caches(&request, &mut answer);
    answer
}

/// Shared caches know by the Authorization header that an answer is for one caller; where the credential came another way
/// they are told, unless the API said what it wants (RFC 5849 §4.4, RFC 9111 §3.5).
fn keep_out_of_caches(request: &HttpRequest, answer: &mut HttpResponse) {
    if !request.headers().contains_key(AUTHORIZATION) && !answer.headers().contains_key(CACHE_CONTROL) {
        answer.headers_mut().insert(CACHE_CONTROL, actix_web::http::header::HeaderValue::from_static("private"));
    }
}

impl Proxy {
    async fn exchange(&self, request: &HttpRequest, judged: Judged<'_>) -> Result<HttpResponse, UpstreamFailure> {
        let upgrade = asks_for_upgrade(request);
        let head = self.head(request, &judged, upgrade).map_err(|error| {
            tracing::error!(%error, "an admitted request could not be passed on");
            UpstreamFailure::Unreachable
        })?;
        let by_session = judged.identity.credential() == Credential::Session;
        let Judged { body, payload, .. } = judged;
        let mut payload = Some(payload);
        let whole = body.map(|body| without_credentials(request, body, by_session));
        let (outgoing, upload) = match &whole {
            Some(body) => (Outgoing::whole(body.clone()), Upload::none()),
            None if upgrade || !has_body(request) => (Outgoing::default(), Upload::none()),
            None => match payload.take() {
                Some(payload) => Outgoing::stream(payload, announced_length(request)),
                None => (Outgoing::default(), Upload::none()),
            },
        };
        let repeatable = request.method().is_safe() && payload.is_some() && !upgrade;
        let again =
            || repeatable.then(|| head.clone().map(|()| whole.clone().map_or_else(Outgoing::default, Outgoing::whole)));
        let sent = self.upstream.send(head.clone().map(|()| outgoing), upgrade, &upload, again).await;
        let (mut response, exchange) = sent.map_err(|error| failed(&error, request))?;
        if response.status() == hyper::StatusCode::SWITCHING_PROTOCOLS {
            return match payload.filter(|_| upgrade) {
                Some(payload) => switch(&mut response, payload).await,
                None => Err(UpstreamFailure::Unreachable),
            };
        }
        Ok(answer(request, response, (exchange, upload)))
    }

    /// The head of the request as the upstream gets it.
    fn head(&self, request: &HttpRequest, judged: &Judged<'_>, upgrade: bool) -> Result<Request<()>, Unmade> {
        let reads = Reads::of(judged.route);
        let mut builder = Request::builder().method(request.method().as_str()).uri(self.target(request, reads)?);
        builder = self.pass_headers(builder, request, judged, reads)?;
        builder = self.add_forwarding(builder, request, judged)?;
        for (name, value) in identity_headers::NAMES.into_iter().zip(identity_headers::values(&judged.identity)) {
            builder = builder.header(name, HeaderValue::from_bytes(value.as_bytes())?);
        }
        let assertion = match &self.assertions {
            Some(assertions) => {
                let origin = judged.origin.to_string();
                let subject = Subject {
                    method: request.method().as_str(),
                    origin: &origin,
                    path: request.uri().path(),
                    arrived: judged.arrived,
                };
                assertions.sign(&judged.identity, subject)?
            }
            None => String::new(),
        };
        builder = builder.header(identity_headers::ASSERTION, HeaderValue::try_from(assertion)?);
        if upgrade {
            builder = builder.header(header::CONNECTION, "upgrade").header(header::UPGRADE, "websocket");
        } else if announced_length(request) == Some(0) {
            // RFC 9110 §8.6: a POST says that it has nothing to say.
            builder = builder.header(header::CONTENT_LENGTH, "0");
        } else if judged.body.is_none() && has_body(request) && announced_length(request).is_none() {
            // Said by ourselves, because hyper takes a GET for one without a body. HTTP/2 leaves it out.
            builder = builder.header(header::TRANSFER_ENCODING, "chunked");
        }
        Ok(builder.body(())?)
    }

    /// The upstream's origin with the path and query as they were sent, credentials taken out.
    fn target(&self, request: &HttpRequest, reads: Reads) -> Result<Uri, Unmade> {
        let (path, query) = (request.uri().path(), request.uri().query());
        let target = match query.and_then(|query| self.withheld.query(query, reads)) {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let origin = self.upstream.origin();
        Ok(Uri::builder()
            .scheme(origin.scheme().as_str())
            .authority(origin.authority())
            .path_and_query(target)
            .build()?)
    }

    /// All headers that are the upstream's business.
    fn pass_headers(
        &self,
        mut builder: Builder,
        request: &HttpRequest,
        judged: &Judged<'_>,
        reads: Reads,
    ) -> Result<Builder, Unmade> {
        let headers = request.headers();
        let named: Vec<&str> = headers.get_all("connection").filter_map(|value| value.to_str().ok()).collect();
        let by_proxy = judged.by_proxy;
        for (name, value) in headers {
            let name = name.as_str();
            let ours = match name {
                // Made anew with the body; answered before.
                "expect" | "host" => true,
                // The proof that a session's request is not forged goes no further than the session.
                "x-csrf-token" => judged.identity.credential() == Credential::Session,
                _ => {
                    self.withheld.header(name, reads)
                        || withheld::ends_here(name, named.iter().copied())
                        || (withheld::is_forwarding(name) && !(by_proxy && is_plain(name)))
                        || matches!(name, "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host")
                }
            };
            if ours {
                continue;
            }
            if name == "cookie" {
                // A header that is no text can't be cut: it stays as it is, or goes whole if a cookie of ours is in it.
                let cookies = String::from_utf8_lossy(value.as_bytes());
                let kept = match (&cookies, self.withheld.cookies(&cookies, reads)) {
                    (_, None) | (Cow::Owned(_), Some(Cow::Owned(_))) => continue,
                    (Cow::Owned(_), Some(Cow::Borrowed(_))) => HeaderValue::from_bytes(value.as_bytes())?,
                    (Cow::Borrowed(_), Some(kept)) => HeaderValue::from_bytes(kept.as_bytes())?,
                };
                builder = builder.header(header::COOKIE, kept);
                continue;
            }
            builder =
                builder.header(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_bytes(value.as_bytes())?);
        }
        Ok(builder)
    }

    /// `Host` and `X-Forwarded-*`. Over http the upstream hears the client's Host; over https its own name, which its
    /// certificate and its HTTP/2 `:authority` are for.
    fn add_forwarding(&self, builder: Builder, request: &HttpRequest, judged: &Judged<'_>) -> Result<Builder, Unmade> {
        let peer = peer_of(request);
        let before = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
        let mut hops: Vec<String> = before.filter(|_| judged.by_proxy).map(str::to_owned).collect();
        hops.push(peer.to_string());
        let builder = if self.upstream.origin().is_https() {
            builder
        } else {
            builder.header(header::HOST, HeaderValue::from_str(&judged.origin.authority)?)
        };
        Ok(builder
            .header("x-forwarded-for", HeaderValue::try_from(hops.join(", "))?)
            .header("x-forwarded-proto", judged.origin.scheme.as_str())
            .header("x-forwarded-host", HeaderValue::from_str(&judged.origin.authority)?))
    }
}

/// actix has made a stream of this connection then, and there is no body before it.
fn asks_for_upgrade(request: &HttpRequest) -> bool {
    let websocket =
        request.headers().get("upgrade").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    websocket && is_endless(request) && request.head().upgrade() && request.method() == actix_web::http::Method::GET
}

fn has_body(request: &HttpRequest) -> bool {
    announced_length(request).is_some_and(|length| length > 0) || request.headers().contains_key("transfer-encoding")
}

/// What is left of a form, in the place of the whole: it is given back with both.
struct Left {
    form: String,
    _whole: Bytes,
}

impl AsRef<[u8]> for Left {
    fn as_ref(&self) -> &[u8] {
        self.form.as_bytes()
    }
}

/// A form loses what it was signed or proved by; any other body stays as it is.
fn without_credentials(request: &HttpRequest, body: Bytes, by_session: bool) -> Bytes {
    let content_type = request.headers().get("content-type").and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(is_form_type) {
        return body;
    }
    match std::str::from_utf8(&body).map(|body| withheld::form(body, by_session)) {
        Ok(Cow::Owned(form)) => Bytes::from_owner(Left { form, _whole: body.clone() }),
        Ok(Cow::Borrowed(_)) | Err(_) => body,
    }
}

fn failed(error: &Unanswered, request: &HttpRequest) -> UpstreamFailure {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        reason = format!("{reason}: {deeper}");
        cause = deeper.source();
    }
    let (method, path) = (request.method(), request.uri().path());
    match error {
        Unanswered::Stalled(_) => {
            tracing::info!(%method, path, reason, "an upload was given up");
            return UpstreamFailure::UploadStalled;
        }
        Unanswered::Broken(_) | Unanswered::Slow(_) => {
            tracing::warn!(%method, path, reason, "the upstream gave no answer");
        }
    }
    if matches!(error, Unanswered::Slow(_)) { UpstreamFailure::Slow } else { UpstreamFailure::Unreachable }
}

/// The client's connection and the upstream's become one.
async fn switch(response: &mut Response<Incoming>, payload: Payload) -> Result<HttpResponse, UpstreamFailure> {
    let upgraded = hyper::upgrade::on(&mut *response).await.map_err(|error| {
        tracing::warn!(%error, "the upstream did not complete its upgrade");
        UpstreamFailure::Unreachable
    })?;
    let mut answer = HttpResponse::build(StatusCode::SWITCHING_PROTOCOLS);
    answer.upgrade("websocket");
    copy_headers(&mut answer, response);
    Ok(answer.streaming(tunnel::through(upgraded, payload)))
}

/// The upstream's answer, streaming. The exchange ends with it, and the upload at the latest.
fn answer(request: &HttpRequest, response: Response<Incoming>, until_the_end: (Exchange, Upload)) -> HttpResponse {
    let status = StatusCode::from_u16(response.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut answer = HttpResponse::build(status);
    copy_headers(&mut answer, &response);
    let length =
        response.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if status == StatusCode::NOT_MODIFIED
        && let Some(length) = length
    {
        answer.insert_header((CONTENT_LENGTH, length));
    }
    if request.method() == actix_web::http::Method::HEAD {
        return match length {
            Some(length) => answer.body(SizedStream::new(length, stream::empty::<io::Result<Bytes>>())),
            None => answer.body(BodyStream::new(stream::empty::<io::Result<Bytes>>())),
        };
    }
    let exact = response.body().size_hint().exact();
    let body = BodyDataStream::new(response.into_body()).map(move |chunk| {
        let _lives_as_long_as_the_answer = &until_the_end;
        chunk
    });
    match exact {
        Some(0) => answer.finish(),
        Some(length) => answer.body(SizedStream::new(length, body)),
        None if request.version() < actix_web::http::Version::HTTP_11 => {
            // HTTP/1.0 has no chunks: the end of the connection is the end of the body.
            answer.force_close();
            let mut answer = answer.body(BodyStream::new(body));
            answer.head_mut().no_chunking(true);
            answer
        }
        None => answer.body(BodyStream::new(body)),
    }
}

fn copy_headers(answer: &mut HttpResponseBuilder, response: &Response<Incoming>) {
    let headers = response.headers();
    let named: Vec<&str> = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok()).collect();
    for (name, value) in headers {
        // The body brings its own length, and our cookies are set by our pages alone.
        let is_ours = name == header::CONTENT_LENGTH || (name == header::SET_COOKIE && sets_our_cookie(value));
        if !is_ours && !withheld::ends_here(name.as_str(), named.iter().copied()) {
            answer.append_header((name.as_str(), value.as_bytes()));
        }
    }
}

fn sets_our_cookie(value: &HeaderValue) -> bool {
    let name = value.as_bytes().split(|octet| *octet == b'=').next().unwrap_or_default().trim_ascii();
    [COOKIE, VISITOR_COOKIE].iter().any(|ours| ours.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::room::Room;
    use actix_web::test::TestRequest;
    use std::net::{IpAddr, Ipv4Addr};

    #[test]
    fn what_is_left_of_a_form_keeps_the_place_of_the_whole() {
        let room = Room::new(1024, 1024);
        let mut place = room.place(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let form = b"a=1&oauth_token=t";
        assert!(place.reach(form.len()));
        let request = TestRequest::default().insert_header(("content-type", "application/x-www-form-urlencoded"));
        let left = without_credentials(&request.to_http_request(), place.hold(Bytes::from_static(form)), false);
        assert_eq!((left.as_ref(), room.octets()), (b"a=1".as_slice(), form.len()));
        drop(left);
        assert_eq!(room.octets(), 0);
    }
}
