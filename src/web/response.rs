//! The way out: every refusal to its body and challenges, and the headers of every page.
//!
//! Only this file answers what `auth` and `policy` refuse, in the words of `words`. It decides nothing.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;

use crate::auth::digest::Digest;
use crate::auth::verdict::{OAuthRefusal, Refusal, Rejection};
use crate::config::{Challenge as Word, Configuration};
use crate::policy::Route;
use crate::protocol::digest::DigestHash;
use crate::protocol::encoding::encode;
use crate::protocol::header::Challenge;
use crate::protocol::oauth::{self, Problem};
use crate::protocol::request::{FORM_TYPE, ReceivedRequest};
use crate::time::Clock;
use crate::web::cors::add_cors;
use crate::web::words::{in_oauth_words, status, words};

/// What answers need to know of the configuration.
#[derive(Clone)]
pub struct Answers {
    realm: String,
    /// What the paths of our pages begin with: empty, or `server.reserved_prefix`.
    base: String,
    billing_url: Option<String>,
    contact_url: Option<String>,
    https: bool,
    /// Whether any header or parameter can carry a client key.
    reads_client_keys: bool,
    digest: Arc<Digest>,
    clock: Clock,
}

/// What a proxy is told about a request that it asked about. It has no body. Thousands of them are kept for a while, so it
/// is small.
#[derive(Clone, Debug)]
pub struct ProxyAnswer {
    status: StatusCode,
    names: Cow<'static, [HeaderName]>,
    /// The value of each name, on a line of its own.
    values: String,
}

impl ProxyAnswer {
    /// The request may pass, with these headers, which may hold UTF-8.
    ///
    /// # Errors
    /// One of the values can stand in no header.
    pub fn admitted<'a>(
        names: &'static [HeaderName],
        values: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, NoHeaderValue> {
        let mut lines = String::with_capacity(128);
        for value in values {
            if value.bytes().any(|octet| octet.is_ascii_control() && octet != b'\t') {
                return Err(NoHeaderValue);
            }
            lines.push_str(value);
            lines.push('\n');
        }
        Ok(Self { status: StatusCode::OK, names: Cow::Borrowed(names), values: lines })
    }

    /// The request may pass, with these headers and nothing in them.
    pub fn anonymous(names: &'static [HeaderName]) -> Self {
        Self { status: StatusCode::OK, names: Cow::Borrowed(names), values: "\n".repeat(names.len()) }
    }

    /// The question itself is not answered.
    pub fn forbidden(reason: &'static str) -> Self {
        let mut answer = Self::refused(StatusCode::FORBIDDEN);
        answer.add(HeaderName::from_static("x-auth-error"), reason);
        answer
    }

    const fn refused(status: StatusCode) -> Self {
        Self { status, names: Cow::Owned(Vec::new()), values: String::new() }
    }

    /// One more header. A value that none can hold is left out: it only explains.
    pub fn add(&mut self, name: HeaderName, value: &str) {
        if HeaderValue::from_str(value).is_ok() {
            self.names.to_mut().push(name);
            self.values.push_str(value);
            self.values.push('\n');
        }
    }

    /// Whether the request may pass.
    pub fn admits(&self) -> bool {
        self.status == StatusCode::OK
    }

    /// The answer itself.
    pub fn into_response(self) -> HttpResponse {
        let mut answer = HttpResponse::new(self.status);
        let headers = answer.headers_mut();
        for (name, value) in self.names.iter().zip(self.values.lines()) {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                headers.append(name.clone(), value);
            }
        }
        answer
    }
}

/// A value with a control character, which would end its header.
#[derive(Debug, thiserror::Error)]
#[error("a value of an identity header holds a control character")]
pub struct NoHeaderValue;

/// Why there is no answer from the API behind us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFailure {
    /// No connection, or it broke before an answer: 502.
    Unreachable,
    /// No answer in time: 504.
    Slow,
    /// The client did not go on with its upload: 408.
    UploadStalled,
}

/// What our pages and whatever they might hold may do: none of what browsers ask a policy about. Left out are
/// `clipboard-write`, which the copy buttons need, and names that a browser could find unknown and complain of.
const NOTHING_PERMITTED: &str = "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), \
     cross-origin-isolated=(), display-capture=(), encrypted-media=(), fullscreen=(), gamepad=(), geolocation=(), \
     gyroscope=(), hid=(), identity-credentials-get=(), idle-detection=(), keyboard-map=(), local-fonts=(), \
     magnetometer=(), microphone=(), midi=(), otp-credentials=(), payment=(), picture-in-picture=(), \
     publickey-credentials-create=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), \
     storage-access=(), sync-xhr=(), usb=(), window-management=(), xr-spatial-tracking=()";

/// A refusal as JSON. `errors` is always null: one thing is said at a time.
#[derive(Serialize)]
struct Failure<'a> {
    status: u16,
    code: &'a str,
    message: String,
    additional: String,
    reference: &'a str,
    errors: Option<()>,
}

/// A failure of which no more is to be said.
pub fn failure(status: StatusCode, code: &str, message: &str) -> HttpResponse {
    HttpResponse::build(status).insert_header((header::CACHE_CONTROL, "no-store")).json(Failure {
        status: status.as_u16(),
        code,
        message: message.to_owned(),
        additional: String::new(),
        reference: "",
        errors: None,
    })
}

/// To another page after something was done: the browser asks for it by GET, and keeps nothing of the form's answer.
pub fn see_other(to: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, to)).insert_header((header::CACHE_CONTROL, "no-store")).finish()
}

impl Answers {
    /// From the settings; `digest` makes the nonces of its challenges.
    pub fn new(configuration: &Configuration, digest: Arc<Digest>, clock: Clock) -> Self {
        let http_auth = &configuration.http_auth;
        Self {
            realm: http_auth.realm.as_str().to_owned(),
            base: configuration.server.own_path(""),
            billing_url: configuration.support.billing_url.as_ref().map(|link| link.as_str().to_owned()),
            contact_url: configuration.support.contact_url.as_ref().map(|link| link.as_str().to_owned()),
            https: configuration.is_https(),
            reads_client_keys: !(http_auth.client_key_headers.is_empty() && http_auth.client_key_query.is_empty()),
            digest,
            clock,
        }
    }

    /// A refusal on the protected API: JSON, and one challenge a line where it is 401.
    ///
    /// `route`: the one that decided, if the request got that far.
    pub fn refuse(
        &self,
        request: Option<&ReceivedRequest<'_>>,
        route: Option<&Route>,
        rejection: &Rejection,
    ) -> HttpResponse {
        if let Refusal::LoginRequired = rejection.public
            && let Some(request) = request
        {
            return self.see_login(request);
        }
        let refusal = &rejection.public;
        let mut answer = HttpResponse::build(status(refusal));
        self.add_challenges(&mut answer, route, refusal);
        if let Refusal::Throttled { retry_after } = refusal {
            answer.insert_header((RETRY_AFTER, HeaderValue::from(retry_after.seconds())));
        }
        answer.insert_header((header::CACHE_CONTROL, "no-store"));
        let mut answer = answer.json(self.failure(refusal));
        if let (Some(route), Some(request)) = (route, request) {
            add_cors(answer.headers_mut(), route, request.headers.origin);
        }
        answer
    }

    /// A refusal as a proxy in front of the API is told it: no body, the reason in `X-Auth-Error`.
    ///
    /// Most proxies understand 401 and 403 alone. `speaks_http`: this one hands every answer on to the client, so the
    /// store's failing may be 503 and the way to the login a redirect.
    pub fn refuse_to_proxy(
        &self,
        request: Option<&ReceivedRequest<'_>>,
        route: Option<&Route>,
        rejection: &Rejection,
        speaks_http: bool,
    ) -> ProxyAnswer {
        let refusal = &rejection.public;
        let status = match status(refusal) {
            StatusCode::UNAUTHORIZED => StatusCode::UNAUTHORIZED,
            StatusCode::SERVICE_UNAVAILABLE if speaks_http => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::FORBIDDEN,
        };
        let mut answer = ProxyAnswer::refused(status);
        answer.add(HeaderName::from_static("x-auth-error"), refusal.code());
        if let (Refusal::LoginRequired, Some(request)) = (refusal, request) {
            // Absolute: some proxies would read a path as one of ours.
            let login = format!("{}://{}{}", request.scheme.as_str(), request.authority, self.login_path(request));
            if speaks_http {
                answer.status = StatusCode::FOUND;
                answer.add(LOCATION, &login);
                return answer;
            }
            answer.add(HeaderName::from_static("x-auth-redirect"), &login);
        }
        for challenge in self.due_challenges(route, refusal) {
            answer.add(WWW_AUTHENTICATE, &challenge);
        }
        if let Refusal::Throttled { retry_after } = refusal {
            answer.add(RETRY_AFTER, &retry_after.seconds().to_string());
        }
        answer
    }

    /// What a client hears when the API behind us gives no answer.
    pub fn upstream(&self, why: UpstreamFailure) -> HttpResponse {
        let (status, code, message) = match why {
            UpstreamFailure::Unreachable => {
                (StatusCode::BAD_GATEWAY, "upstream_unreachable", "The API behind this server can not be reached.")
            }
            UpstreamFailure::Slow => {
                (StatusCode::GATEWAY_TIMEOUT, "upstream_slow", "The API behind this server did not answer in time.")
            }
            UpstreamFailure::UploadStalled => {
                (StatusCode::REQUEST_TIMEOUT, "request_timeout", "The body of the request stopped coming.")
            }
        };
        failure(status, code, message)
    }

    /// A refusal at the OAuth endpoints: form-encoded, or JSON when `Accept` asks for it (Problem Reporting). What Problem
    /// Reporting has no word for is answered as everywhere.
    pub fn refuse_oauth(&self, received: Option<&ReceivedRequest<'_>>, rejection: &Rejection) -> HttpResponse {
        let accept = received.and_then(|received| received.headers.accept);
        let Some(refusal) = in_oauth_words(&rejection.public) else { return self.refuse(received, None, rejection) };
        let refusal = &*refusal;
        let mut answer = HttpResponse::build(status(&rejection.public));
        answer.append_header((WWW_AUTHENTICATE, self.oauth_challenge(Some(refusal)).to_string()));
        answer.insert_header((header::CACHE_CONTROL, "no-store"));
        if accept.is_some_and(asks_for_json) {
            let mut body = serde_json::Map::new();
            body.insert(oauth::PROBLEM.to_owned(), refusal.problem.as_str().into());
            body.insert(oauth::PROBLEM_ADVICE.to_owned(), refusal.advice.as_str().into());
            body.extend(refusal.details.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())));
            return answer.json(body);
        }
        let mut body = format!("{}={}", oauth::PROBLEM, refusal.problem);
        body.push_str(&format!("&{}={}", oauth::PROBLEM_ADVICE, encode(&refusal.advice)));
        for (name, value) in &refusal.details {
            body.push_str(&format!("&{name}={}", encode(value)));
        }
        answer.content_type(FORM_TYPE).body(body)
    }

    /// Says in a header what a page of the dance says in words (Problem Reporting).
    pub fn add_oauth_challenge(&self, answer: &mut HttpResponse, refusal: &Refusal) {
        if let Refusal::OAuth(refusal) = refusal
            && let Ok(challenge) = HeaderValue::try_from(self.oauth_challenge(Some(refusal)).to_string())
        {
            answer.headers_mut().append(WWW_AUTHENTICATE, challenge);
        }
    }

    /// The challenge of one way in.
    fn challenge(&self, way: Word, refusal: &Refusal) -> Challenge {
        let stale = matches!(refusal, Refusal::StaleNonce);
        match (way, refusal) {
            (Word::DigestSha256, _) => self.digest.challenge(DigestHash::Sha256, stale, self.clock.now()),
            (Word::DigestMd5, _) => self.digest.challenge(DigestHash::Md5, stale, self.clock.now()),
            (Word::Basic, _) => Challenge::new("Basic").quoted("realm", &self.realm).quoted("charset", "UTF-8"),
            (Word::OAuth, Refusal::OAuth(problem)) => self.oauth_challenge(Some(problem)),
            (Word::OAuth, _) => self.oauth_challenge(None),
            (Word::Bearer, _) => Challenge::new("Bearer").quoted("realm", &self.realm),
            (Word::Cookie, _) => self.cookie_challenge(),
        }
    }

    /// The challenge where a login is wanted. No browser knows the scheme, so none asks for a password by itself.
    pub fn cookie_challenge(&self) -> Challenge {
        Challenge::new("Cookie").quoted("realm", &self.realm)
    }

    fn add_challenges(&self, answer: &mut HttpResponseBuilder, route: Option<&Route>, refusal: &Refusal) {
        for challenge in self.due_challenges(route, refusal) {
            answer.append_header((WWW_AUTHENTICATE, challenge));
        }
    }

    /// The challenges of a refusal, one string for each line.
    fn due_challenges(&self, route: Option<&Route>, refusal: &Refusal) -> Vec<String> {
        let ways = match (route, refusal) {
            (_, Refusal::ScopeMissing { signed: true, .. }) => {
                let lacking = OAuthRefusal::new(Problem::AdditionalAuthorizationRequired, String::new());
                return vec![self.oauth_challenge(Some(&lacking)).to_string()];
            }
            (Some(route), _) if status(refusal) == StatusCode::UNAUTHORIZED => route.challenges(),
            (_, Refusal::OAuth(_)) => &[Word::OAuth],
            (None, _) if status(refusal) == StatusCode::UNAUTHORIZED => &[Word::Basic],
            (_, _) => &[],
        };
        ways.iter().map(|way| self.challenge(*way, refusal).to_string()).collect()
    }

    fn oauth_challenge(&self, refusal: Option<&OAuthRefusal>) -> Challenge {
        let challenge = Challenge::new("OAuth").quoted("realm", &self.realm);
        match refusal {
            Some(refusal) => refusal
                .details
                .iter()
                .fold(challenge.quoted(oauth::PROBLEM, refusal.problem.as_str()), |challenge, (name, value)| {
                    challenge.quoted(name, value)
                }),
            None => challenge,
        }
    }

    fn failure(&self, refusal: &Refusal) -> Failure<'_> {
        let (message, mut additional) = words(refusal);
        if *refusal == Refusal::ClientKeyRequired && !self.reads_client_keys {
            "This server reads none, so passwords do not get in here: send an API key.".clone_into(&mut additional);
        }
        let reference = match refusal {
            Refusal::AccountLocked(_) => self.billing_url.as_deref(),
            Refusal::AccountDisabled(_) => self.contact_url.as_deref(),
            _ => None,
        };
        Failure {
            status: status(refusal).as_u16(),
            code: refusal.code(),
            message,
            additional,
            reference: reference.unwrap_or_default(),
            errors: None,
        }
    }

    /// The headers of every page. `form_action`: the one foreign origin that a form's answer may lead to.
    pub fn page(&self, status: StatusCode, form_action: Option<&str>) -> HttpResponseBuilder {
        let mut answer = HttpResponse::build(status);
        let form_action = form_action.map(|origin| format!(" {origin}")).unwrap_or_default();
        answer
            .insert_header((
                header::CONTENT_SECURITY_POLICY,
                format!(
                    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                     base-uri 'none'; form-action 'self'{form_action}; frame-ancestors 'none'"
                ),
            ))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::REFERRER_POLICY, "no-referrer"))
            .insert_header((header::X_FRAME_OPTIONS, "DENY"))
            .insert_header((
                HeaderName::from_static("permissions-policy"), NOTHING_PERMITTED,
            ))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .content_type("text/html; charset=utf-8");
        if self.https {
            answer.insert_header((header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"));
        }
        answer
    }

    /// To the login page and, after it, back to where the request wanted to go.
    fn see_login(&self, request: &ReceivedRequest<'_>) -> HttpResponse {
        HttpResponse::Found().insert_header((LOCATION, self.login_path(request))).finish()
    }

    fn login_path(&self, request: &ReceivedRequest<'_>) -> String {
        let target = match request.query {
            Some(query) => format!("{}?{query}", request.path),
            None => request.path.to_owned(),
        };
        format!("{}/login?next={}", self.base, encode(&target))
    }

    /// Whether cookies must be `Secure`.
    pub const fn https(&self) -> bool {
        self.https
    }
}

/// Whether JSON is wanted at least as much as a form (RFC 9110 §12.5.1).
/// Whether `Accept` wants JSON more than a form.
pub fn asks_for_json(accept: &str) -> bool {
    let quality = |wanted: &[&str]| {
        let mut ranges = accept.split(',').map(|range| range.split(';').map(str::trim));
        ranges.find_map(|mut range| {
            let name = range.next().unwrap_or_default();
            let named = wanted.iter().any(|wanted| name.eq_ignore_ascii_case(wanted));
            let weight = range.find_map(|parameter| parameter.strip_prefix("q=").or(parameter.strip_prefix("Q=")));
            named.then(|| weight.map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0)))
        })
    };
    let json = quality(&["application/json"]).unwrap_or(0.0);
    let form = quality(&[FORM_TYPE]).or_else(|| quality(&["application/*", "*/*"]));
    json > 0.0 && json >= form.unwrap_or(0.0)
}

/// An answer after which the connection is closed although the client still sends: `unread` is what it sends. While it
/// is kept, actix knows that somebody could still read it, and does not read it to its end by itself.
pub fn cut_off(answer: HttpResponse, unread: Payload) -> HttpResponse {
    answer.map_body(|_, body| BoxBody::new(WithUnread { body, _unread: unread }))
}

struct WithUnread {
    body: BoxBody,
    _unread: Payload,
}

impl MessageBody for WithUnread {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static NAMES: [HeaderName; 3] = [
        HeaderName::from_static("x-auth-account"),
        HeaderName::from_static("x-auth-company"),
        HeaderName::from_static("x-auth-scopes"),
    ];

    fn values(answer: ProxyAnswer) -> Vec<Vec<u8>> {
        let answer = answer.into_response();
        NAMES.iter().map(|name| answer.headers().get(name).unwrap().as_bytes().to_vec()).collect()
    }

    #[test]
    fn every_header_of_an_answer_to_a_proxy_has_its_own_value_also_beside_empty_ones() {
        let answer = ProxyAnswer::admitted(&NAMES, ["jös", "", "a b"]).unwrap();
        assert_eq!(values(answer), ["jös".as_bytes(), b"", b"a b"]);
        assert_eq!(values(ProxyAnswer::anonymous(&NAMES)), [b"", b"", b""]);
    }

    #[test]
    fn a_value_can_not_begin_another_header() {
        for value in ["jo\nx-auth-scopes: all", "jo\r", "\0"] {
            assert!(ProxyAnswer::admitted(&NAMES, ["", value, ""]).is_err(), "{value:?}");
        }
    }
}
