//! `/authz/forward`, `/authz/nginx`, `/authz/envoy/…`: a proxy asks whether a request may pass, and who is calling.
//!
//! Only trusted proxies are answered. A question that can't be understood is refused. Answers have no body: nginx gives
//! up its connection to us otherwise.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use actix_web::http::header::{COOKIE, HeaderName};
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::auth;
use crate::auth::verdict::{Identity, Refusal, Rejection};
use crate::config::Configuration;
use crate::gateway::assertion::{Assertions, Subject};
use crate::gateway::identity_headers;
use crate::gateway::metadata::{BodyIs, Described, Family};
use crate::gateway::shared_verdicts::{SharedVerdicts, question};
use crate::gateway::withheld::{Reads, Withheld};
use crate::policy::Route;
use crate::protocol::request::{ReceivedRequest, UriScheme};
use crate::time::Lifetime;
use crate::web::cors::preflight;
use crate::web::judge::Judge;
use crate::web::request::peer_of;
use crate::web::response::ProxyAnswer;

/// All identity headers, in the order of their values.
static NAMES: LazyLock<Vec<HeaderName>> = LazyLock::new(|| {
    let names = identity_headers::NAMES.into_iter().chain([identity_headers::ASSERTION]);
    names.map(HeaderName::from_static).collect()
});

/// What the endpoints need besides the judge; one for the whole server.
pub struct Authz {
    assertions: Option<Arc<Assertions>>,
    request_id_header: Option<String>,
    withheld: Withheld,
    shared: SharedVerdicts<ProxyAnswer>,
}

impl Authz {
    /// `assertions`: when `gateway.assertion` is on.
    pub fn new(configuration: &Configuration, assertions: Option<Arc<Assertions>>) -> Self {
        let settings = &configuration.gateway;
        let request_id_header = settings.request_id_header.as_ref().map(|name| name.as_str().to_ascii_lowercase());
        // An assertion that is handed out again must not be past its end.
        let until = settings.assertion_ttl_seconds.saturating_sub(1);
        let good_for = assertions.is_some().then(|| Lifetime::from_seconds(until));
        let withheld = Withheld::new(&configuration.http_auth);
        Self { assertions, request_id_header, withheld, shared: SharedVerdicts::new(good_for) }
    }
}

/// `/authz/forward`.
pub async fn forward(
    judge: Data<Arc<Judge>>,
    authz: Data<Arc<Authz>>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    authz.answer(Family::Forward, &judge, &request, payload).await
}

/// `/authz/nginx`.
pub async fn nginx(
    judge: Data<Arc<Judge>>,
    authz: Data<Arc<Authz>>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    authz.answer(Family::Nginx, &judge, &request, payload).await
}

/// `/authz/envoy/{path}`.
pub async fn envoy(
    judge: Data<Arc<Judge>>,
    authz: Data<Arc<Authz>>,
    request: HttpRequest,
    payload: Payload,
) -> HttpResponse {
    authz.answer(Family::Envoy, &judge, &request, payload).await
}

impl Authz {
    async fn answer(&self, family: Family, judge: &Judge, request: &HttpRequest, payload: Payload) -> HttpResponse {
        let peer = peer_of(request);
        if !judge.rim.trusts(peer) {
            tracing::warn!(%peer, path = request.uri().path(), "not a trusted proxy: list it in server.trusted_proxies");
            return ProxyAnswer::forbidden("untrusted_proxy").into_response();
        }
        if request.headers().keys().any(|name| identity_headers::is_forged(name.as_str())) {
            tracing::warn!(%peer, "a client sent an identity header in another spelling, which the API could take for ours");
            return ProxyAnswer::forbidden("forged_identity").into_response();
        }
        let (described, told) = match family.describe(request) {
            Ok(told) => (Described { origin: judge.rim.origin_told(told.origin.clone()), ..told }, told.origin),
            Err(missing) => {
                tracing::warn!(%peer, missing, "a proxy asked without saying about what");
                return ProxyAnswer::forbidden("metadata_missing").into_response();
            }
        };
        let mut received = match self.receive(judge, request, &described) {
            Ok(received) => received,
            Err(refusal) => return self.refuse(family, judge, None, None, &refusal.into()).into_response(),
        };
        received.headers.came_in_clear = told.scheme == UriScheme::Http;
        received.headers.host = Some(&told.authority);
        let body = match self.body(family, judge, request, payload, &received).await {
            Ok(body) => body,
            Err(rejection) => return self.refuse(family, judge, Some(&received), None, &rejection).into_response(),
        };
        received.body = body.as_deref();
        let verdict = async || self.verdict(family, judge, request, &received, &described).await;
        let mut answer = match self.request_id(request) {
            Some(id) => self.shared.once(question(id, peer, family, &received), received.arrived, verdict).await,
            None => match verdict().await {
                Ok(answer) | Err(answer) => answer,
            },
        };
        if family == Family::Forward
            && answer.admits()
            && let Some(kept) = self.kept_cookies(judge, &received)
        {
            answer.add(COOKIE, &kept);
        }
        answer.into_response()
    }

    /// The cookies that the upstream may have: Traefik can't cut one out of them, but takes all anew from the answer.
    fn kept_cookies(&self, judge: &Judge, received: &ReceivedRequest<'_>) -> Option<String> {
        let all = received.headers.cookies.lines().collect::<Vec<_>>().join("; ");
        if all.is_empty() {
            return None;
        }
        let route = judge.policy.route(received).ok()?;
        self.withheld.cookies(&all, Reads::of(route)).map(Cow::into_owned)
    }

    fn receive<'a>(
        &self,
        judge: &Judge,
        request: &'a HttpRequest,
        described: &'a Described<'a>,
    ) -> Result<ReceivedRequest<'a>, Refusal> {
        let asked = judge.rim.receive(request, &described.origin)?;
        Ok(ReceivedRequest { method: described.method, path: described.path, query: described.query, ..asked })
    }

    /// The client's body, if it came along. Without it a form can't be judged; anything else can, as far as its hash is
    /// not asked for.
    async fn body(
        &self,
        family: Family,
        judge: &Judge,
        request: &HttpRequest,
        mut payload: Payload,
        received: &ReceivedRequest<'_>,
    ) -> Result<Option<Bytes>, Rejection> {
        // A form of any method is signed; one that mostly has none is not missed where the proxy does not speak of it.
        let mostly_has_one =
            || ["POST", "PUT", "PATCH"].iter().any(|method| received.method.eq_ignore_ascii_case(method));
        let is_needed = match family.body(request) {
            BodyIs::Own => match judge.rim.read_body(request, &mut payload).await {
                Ok(body) => return Ok(Some(body)),
                Err(Refusal::BodyTooLarge { .. } | Refusal::Unavailable) if !auth::needs_body(received) => false,
                Err(refusal) => return Err(refusal.into()),
            },
            BodyIs::Header(base64) => {
                let broken = |_| Rejection::because(Refusal::BodyUnavailable, "X-Original-Body is not base64");
                let body = STANDARD.decode(base64).map_err(broken)?;
                judge.rim.holds(body.len())?;
                return Ok(Some(Bytes::from(body)));
            }
            BodyIs::Empty => return Ok(Some(Bytes::new())),
            BodyIs::Missing => received.has_form_type() && mostly_has_one(),
            BodyIs::Withheld => received.has_form_type(),
            BodyIs::Cut => auth::needs_body(received),
        };
        if is_needed { Err(Rejection::because(Refusal::BodyUnavailable, family.body_setting())) } else { Ok(None) }
    }

    /// `Err` for an answer that must not be given again.
    async fn verdict(
        &self,
        family: Family,
        judge: &Judge,
        request: &HttpRequest,
        received: &ReceivedRequest<'_>,
        described: &Described<'_>,
    ) -> Result<ProxyAnswer, ProxyAnswer> {
        let route = match judge.policy.route(received) {
            Ok(route) => route,
            Err(rejection) => return Ok(self.refuse(family, judge, Some(received), None, &rejection)),
        };
        if preflight(received, request.headers(), route).is_some() {
            // The upstream answers it, and hears that nobody is calling.
            return Ok(ProxyAnswer::anonymous(&NAMES));
        }
        let judged = match judge.identify(received, route).await {
            Ok(identity) => self.admit(&identity, received, described),
            Err(Rejection { public: Refusal::BodyUnavailable, .. }) => {
                Err(Rejection::because(Refusal::BodyUnavailable, family.body_setting()))
            }
            Err(rejection) => Err(rejection),
        };
        judged.or_else(|rejection| {
            let answer = self.refuse(family, judge, Some(received), Some(route), &rejection);
            if rejection.public == Refusal::Unavailable { Err(answer) } else { Ok(answer) }
        })
    }

    fn admit(
        &self,
        identity: &Identity,
        received: &ReceivedRequest<'_>,
        described: &Described<'_>,
    ) -> Result<ProxyAnswer, Rejection> {
        let failed = |error: String| Rejection::because(Refusal::Unavailable, error);
        let assertion = match &self.assertions {
            Some(assertions) => {
                let origin = described.origin.to_string();
                let signed = assertions.sign(identity, Subject::of(received, &origin));
                signed.map_err(|error| failed(error.to_string()))?
            }
            None => String::new(),
        };
        let values = identity_headers::values(identity);
        let values = values.iter().map(AsRef::as_ref).chain([assertion.as_str()]);
        ProxyAnswer::admitted(&NAMES, values).map_err(|error| failed(error.to_string()))
    }

    fn refuse(
        &self,
        family: Family,
        judge: &Judge,
        received: Option<&ReceivedRequest<'_>>,
        route: Option<&Route>,
        rejection: &Rejection,
    ) -> ProxyAnswer {
        judge.note(received, rejection);
        let speaks_http = family == Family::Forward;
        judge.answers.refuse_to_proxy(received, route, rejection, speaks_http)
    }

    fn request_id<'a>(&self, request: &'a HttpRequest) -> Option<&'a str> {
        let mut ids = request.headers().get_all(self.request_id_header.as_deref()?);
        let id = ids.next()?.to_str().ok()?;
        // Of two, one may be the client's: then every question is its own.
        (!id.is_empty() && ids.next().is_none()).then_some(id)
    }
}
