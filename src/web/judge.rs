//! The one way that every request under a route goes: receive, route, read what must be read, authenticate, permit.
//!
//! `/v2/me` and what the reverse proxy passes on stand behind it; `/authz`, which is told about requests, joins at
//! [`Judge::identify`]. What they do with the verdict is theirs.

use std::time::Duration;

use actix_web::http::Version;
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tokio::time::timeout;

use crate::auth::verdict::{Identity, Refusal, Rejection};
use crate::auth::{self, Authenticator};
use crate::domain::credentials::ClientKey;
use crate::policy::{Policy, Route};
use crate::protocol::request::ReceivedRequest;
use crate::time::Timestamp;
use crate::web::cors::preflight;
use crate::web::metrics::Metrics;
use crate::web::request::{ExternalOrigin, Rim, announced_length, peer_of};
use crate::web::response::{Answers, cut_off};
use crate::web::words::status;

/// The longest body that is read only to explain a signature that failed, and how long it may take to come.
const EXPLAINED_BODY: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(2);

/// Judges requests; one for the whole server.
pub struct Judge {
    /// The way in.
    pub rim: Rim,
    /// The routes.
    pub policy: Policy,
    /// The credentials.
    pub authenticator: Authenticator,
    /// The way out.
    pub answers: Answers,
    /// The counters.
    pub metrics: Metrics,
}

/// A request that was judged good.
pub struct Judged<'a> {
    /// Who is calling.
    pub identity: Identity,
    /// The route that admitted it.
    pub route: &'a Route,
    /// The body, if it had to be read; what comes after it in the payload is nothing.
    pub body: Option<Bytes>,
    /// What has not been read.
    pub payload: Payload,
    /// Of the URI that the client used.
    pub origin: ExternalOrigin,
    /// Whether it came from a trusted proxy, whose forwarding headers may be passed on.
    pub by_proxy: bool,
    /// When it arrived.
    pub arrived: Timestamp,
}

/// What [`Judged`] says, before the rest of the payload joins it.
struct Considered<'a> {
    identity: Identity,
    route: &'a Route,
    body: Option<Bytes>,
    origin: ExternalOrigin,
    arrived: Timestamp,
}

impl Judge {
    /// Admits a request, or says why not as the protected API says it.
    ///
    /// # Errors
    /// The finished answer.
    pub async fn admit(&self, request: &HttpRequest, mut payload: Payload) -> Result<Judged<'_>, HttpResponse> {
        match self.consider(request, &mut payload).await {
            Ok(Considered { identity, route, body, origin, arrived }) => {
                let by_proxy = self.rim.trusts(peer_of(request));
                Ok(Judged { identity, route, body, payload, origin, by_proxy, arrived })
            }
            // actix would read a chunked upload to its end, however long that is.
            Err(answer) if request.headers().contains_key("transfer-encoding") => Err(cut_off(answer, payload)),
            Err(answer) => Err(answer),
        }
    }

    async fn consider(&self, request: &HttpRequest, payload: &mut Payload) -> Result<Considered<'_>, HttpResponse> {
        let origin = self.rim.origin(request);
        let mut received = match self.rim.receive(request, &origin) {
            Ok(received) => received,
            Err(refusal) => return Err(self.refuse(None, None, &refusal.into())),
        };
        let route = match self.policy.route(&received) {
            Ok(route) => route,
            Err(rejection) => return Err(self.refuse(Some(&received), None, &rejection)),
        };
        if let Some(answer) = preflight(&received, request.headers(), route) {
            return Err(answer);
        }
        let mut body = None;
        if auth::needs_body(&received) {
            match self.rim.read_body(request, payload).await {
                Ok(read) => body = Some(read),
                Err(refusal) => return Err(self.refuse(Some(&received), Some(route), &refusal.into())),
            }
        }
        received.headers.unread_body = body.is_none() && may_bring_small_body(request);
        received.body = body.as_deref();
        let arrived = received.arrived;
        let mut late = None;
        let mut outcome = self.identify(&received, route).await;
        if received.headers.unread_body && outcome.as_ref().is_err_and(Rejection::is_of_signature) {
            // A body that is no form is never signed, but clients sign it by mistake: the inspector looks there too.
            let read = self.rim.read_body_up_to(EXPLAINED_BODY, request, payload);
            late = timeout(PATIENCE, read).await.ok().and_then(Result::ok);
            (received.headers.unread_body, received.body) = (false, late.as_deref());
            let again = self.identify(&received, route).await;
            // A body of which only a part came can't be handed on, whatever has become of the secrets meanwhile.
            if late.is_some() || again.is_err() {
                outcome = again;
            }
        }
        match outcome {
            Ok(identity) => Ok(Considered { identity, route, body: body.or(late), origin, arrived }),
            Err(rejection) => Err(self.refuse(Some(&received), Some(route), &rejection)),
        }
    }

    /// Receives a request with its body, for those with doors of their own: `work` answers it, `refuse` says what it may not.
    pub async fn receive_whole(
        &self,
        request: &HttpRequest,
        mut payload: Payload,
        work: impl AsyncFnOnce(&ReceivedRequest<'_>) -> Result<HttpResponse, Rejection>,
        refuse: impl Fn(Option<&ReceivedRequest<'_>>, &Rejection) -> HttpResponse,
    ) -> HttpResponse {
        let origin = self.rim.origin(request);
        let mut received = match self.rim.receive(request, &origin) {
            Ok(received) => received,
            Err(refusal) => return refuse(None, &refusal.into()),
        };
        let body = match self.rim.read_body(request, &mut payload).await {
            Ok(body) => body,
            Err(refusal) => return cut_off(refuse(Some(&received), &refusal.into()), payload),
        };
        received.body = Some(&body);
        work(&received).await.unwrap_or_else(|rejection| refuse(Some(&received), &rejection))
    }

    /// Authenticates and then asks for the scopes, which is the last question of all; counts who is admitted.
    ///
    /// # Errors
    /// [`Rejection`]; to be noted by the caller, who answers it.
    pub async fn identify(&self, received: &ReceivedRequest<'_>, route: &Route) -> Result<Identity, Rejection> {
        let identity = self.authenticator.authenticate(received, route.admission()).await?;
        route.permits_request(&identity, received)?;
        self.metrics.admitted(identity.credential());
        Ok(identity)
    }

    /// Notes a refusal and answers it as the protected API does.
    pub fn refuse(
        &self,
        received: Option<&ReceivedRequest<'_>>,
        route: Option<&Route>,
        rejection: &Rejection,
    ) -> HttpResponse {
        self.note(received, rejection);
        self.answers.refuse(received, route, rejection)
    }

    /// Counts and logs a refusal, once, where it is handled: for those who answer it otherwise. No secret is in any field.
    pub fn note(&self, received: Option<&ReceivedRequest<'_>>, rejection: &Rejection) {
        self.metrics.refused(&rejection.public);
        let code = status(&rejection.public).as_u16();
        let (method, path) = received.map_or(("", ""), |received| (received.method, without_token(received.path)));
        let client = received.map(|received| received.client_address.to_string()).unwrap_or_default();
        let reason = rejection.public.code();
        let detail = Some(rejection.reason.as_ref()).filter(|detail| !detail.is_empty());
        let client_key = rejection.client_key.as_ref().map(ClientKey::as_str);
        if rejection.public == Refusal::Unavailable {
            tracing::error!(
                status = code,
                method,
                path,
                client,
                client_key,
                reason,
                detail,
                "request can not be decided"
            );
        } else {
            tracing::info!(status = code, method, path, client, client_key, reason, detail, "request refused");
        }
    }
}

/// The path of a request without what may be a token: the management API takes one there, and no log may have it.
fn without_token(path: &str) -> &str {
    const TOKENS: &str = "/api/v1/tokens/";
    path.find(TOKENS).and_then(|place| path.get(..place + TOKENS.len())).unwrap_or(path)
}

/// A body without a length, as HTTP/2 and chunked ones may come, is read as far as a small one would go.
fn may_bring_small_body(request: &HttpRequest) -> bool {
    match announced_length(request) {
        Some(length) => usize::try_from(length).is_ok_and(|length| (1..=EXPLAINED_BODY).contains(&length)),
        None => request.headers().contains_key("transfer-encoding") || request.version() == Version::HTTP_2,
    }
}
