//! `X-Auth-Assertion`: a signed statement about one admitted request, for upstreams that want proof that we made it.
//!
//! An ES256 JWT (RFC 7519) of its own type, good for `gateway.assertion_ttl_seconds`, bound to the request by `htm` and
//! `htu` (as RFC 9449 §4.2 names them). It is never accepted as a bearer token. Off unless `gateway.assertion` says so.

use std::sync::Arc;

use serde::Serialize;

use crate::auth::signing_keys::{Kind, SigningKey, SigningKeyError};
use crate::auth::verdict::Identity;
use crate::protocol::request::ReceivedRequest;
use crate::time::{Lifetime, Timestamp};

/// Signs assertions; one for the whole server.
pub struct Assertions {
    key: Arc<SigningKey>,
    issuer: String,
    ttl: Lifetime,
}

/// One admitted request, as an assertion describes it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// As it was sent.
    pub method: &'a str,
    /// `https://host` of the external URI.
    pub origin: &'a str,
    /// As it was sent.
    pub path: &'a str,
    /// When it arrived.
    pub arrived: Timestamp,
}

/// The claims. The account's id is `sub`; `aud` is the external origin, the one name of the API that both sides know.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    iat: i64,
    exp: i64,
    htm: &'a str,
    htu: &'a str,
    username: &'a str,
    external_id: Option<&'a str>,
    company: Option<&'a str>,
    client: Option<&'a str>,
    scope: String,
    credential: &'a str,
    impersonated_by: Option<&'a str>,
}

impl Assertions {
    /// `ttl`: 1 to 60 s.
    pub const fn new(key: Arc<SigningKey>, issuer: String, ttl: Lifetime) -> Self {
        Self { key, issuer, ttl }
    }

    /// The statement about this request. `htu` is the URI without its query, which may hold credentials.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn sign(&self, identity: &Identity, subject: Subject<'_>) -> Result<String, SigningKeyError> {
        let account = identity.account();
        let uri = format!("{}{}", subject.origin, subject.path);
        let claims = Claims {
            iss: &self.issuer,
            aud: subject.origin,
            sub: account.id.as_str(),
            iat: subject.arrived.unix(),
            exp: (subject.arrived + self.ttl).unix(),
            htm: subject.method,
            htu: &uri,
            username: account.username.as_str(),
            external_id: account.external_id.as_deref(),
            company: account.company.as_ref().map(|company| company.as_str()),
            client: identity.client().map(|client| client.client.client_key.as_str()),
            scope: identity.scopes().to_string(),
            credential: identity.credential().as_str(),
            impersonated_by: identity.impersonator().map(|issuer| issuer.as_str()),
        };
        self.key.sign(Kind::Assertion, &claims)
    }
}

impl<'a> Subject<'a> {
    /// What an assertion says of a received request; `origin` is its scheme and authority.
    pub const fn of(received: &ReceivedRequest<'a>, origin: &'a str) -> Self {
        Self { method: received.method, origin, path: received.path, arrived: received.arrived }
    }
}
