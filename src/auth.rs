//! Floor 3: who is calling. Exactly one credential per request is judged, and none falls through to another.
//!
//! In reading order: what comes out (`verdict`); how guessing is slowed (`throttle`, `hashing`) and what is kept of a password
//! (`enrolment`); the key that our own tokens are signed with (`signing_keys`); why a signature failed (`inspection`) and
//! signed requests (`oauth`); the client key beside another credential (`client_key`) and what follows once a password or API key is
//! `proved`; the other ways in, one file each; and keys to act in a member's place (`impersonation`).

pub mod verdict;
pub mod throttle;
pub mod hashing;
pub mod enrolment;
pub mod signing_keys;
pub mod inspection;
pub mod oauth;
pub mod client_key;
pub mod proved;
pub mod cookies;
pub mod basic;
pub mod session;
pub mod digest;
pub mod jwt;
pub mod impersonation;

use std::borrow::Cow;
use std::sync::Arc;

use crate::auth::basic::Basic;
use crate::auth::client_key::Beside;
use crate::auth::cookies::MemberCookies;
use crate::auth::digest::Digest;
use crate::auth::jwt::Tokens;
use crate::auth::oauth::OAuthVerifier;
use crate::auth::session::Sessions;
use crate::auth::verdict::{Admission, Identity, Refusal, Rejection};
use crate::config::{SessionQuery, Way};
use crate::domain::credentials::Secret;
use crate::protocol::encoding::{self, Plus};
use crate::protocol::header::Credentials;
use crate::protocol::oauth::{BODY_HASH, ProtocolError, mentions_oauth};
use crate::protocol::parameters::Parameters;
use crate::protocol::request::{Headers, ReceivedRequest, Sent};
use crate::store::directory::Directory;

/// All ways in. One for the whole server.
pub struct Authenticator {
    /// Signed requests; the provider uses it too.
    pub oauth: OAuthVerifier,
    /// Passwords and API keys.
    pub basic: Basic,
    /// Digest.
    pub digest: Arc<Digest>,
    /// Tokens of our own.
    pub tokens: Tokens,
    /// Logins.
    pub sessions: Sessions,
    /// What member cookies are looked up in.
    pub directory: Directory,
    /// The query parameter that says "use my session".
    pub session_query: SessionQuery,
}

/// The one credential of a request, not yet judged.
enum Presented<'a> {
    Signature,
    Basic(&'a str),
    Digest(Credentials<'a>),
    Bearer(&'a str),
    Session,
    Cookies(MemberCookies<'a>),
    /// A scheme that this route does not admit, or that nobody knows.
    Other(Credentials<'a>),
}

impl Authenticator {
    /// Judges the one credential of the request under what the route admits.
    ///
    /// # Errors
    /// [`Rejection`], the first that the order of judgement meets.
    pub async fn authenticate(
        &self,
        request: &ReceivedRequest<'_>,
        admission: &Admission,
    ) -> Result<Identity, Rejection> {
        let (latin1, read);
        let mut request = request;
        if let Some(octets) = latin1_digest(request) {
            latin1 = octets.iter().copied().map(char::from).collect::<String>();
            let headers = Headers { authorization: Sent::Once(&latin1), ..request.headers };
            read = ReceivedRequest { headers, ..*request };
            request = &read;
        }
        match self.presented(request, admission)? {
            Presented::Signature => self.signed(request, admission).await,
            Presented::Basic(token68) => self.basic.identify(request, admission, token68).await,
            Presented::Digest(header) => self.digest.identify(&self.basic, request, admission, &header).await,
            Presented::Bearer(token) => self.tokens.identify(&self.basic, request, admission, token).await,
            Presented::Cookies(cookies) => {
                let beside = self.basic.client_keys().find(request, admission);
                cookies.identify(&self.directory, request, &beside).await
            }
            Presented::Session => {
                let beside = self.basic.client_keys().find(request, admission);
                self.sessions.identify(request, admission, &beside).await
            }
            Presented::Other(header) => Err(refuse_scheme(&header)),
        }
    }

    /// Judges a name and secret that came in the body, which then must be the one credential of the request.
    ///
    /// # Errors
    /// [`Rejection`], as [`Self::authenticate`].
    pub async fn authenticate_as(
        &self,
        request: &ReceivedRequest<'_>,
        admission: &Admission,
        name: &str,
        secret: Secret,
    ) -> Result<Identity, Rejection> {
        match self.presented(request, admission) {
            Err(Refusal::NoCredential) => self.basic.identify_as(request, admission, name, secret).await,
            Err(refusal) => Err(refusal.into()),
            Ok(_) => Err(Refusal::SeveralCredentials.into()),
        }
    }

    async fn signed(&self, request: &ReceivedRequest<'_>, admission: &Admission) -> Result<Identity, Rejection> {
        if !admission.admits(Way::OAuth1) && !admission.admits(Way::OAuth1TwoLegged) {
            return Err(Refusal::MethodNotAdmitted { sent: "OAuth".to_owned() }.into());
        }
        let parameters = Parameters::collect(request).map_err(ProtocolError::from)?;
        let identity = self.oauth.identify(request, parameters, admission).await?;
        let consumer = identity.client().map(|client| client.client.client_key.as_str());
        let is_consumer = match self.basic.client_keys().find(request, admission) {
            Beside::Nothing => true,
            Beside::Key(key) => Some(key.as_ref()) == consumer,
            Beside::Unreadable => false,
        };
        if !is_consumer {
            return Err(Rejection::because(Refusal::ClientKeyRefused, "the client key is not the consumer key"));
        }
        Ok(identity)
    }

    /// Whether a request to the OAuth endpoints has no other credential beside its signature; what is wrong with the signature itself
    /// is said by who reads it.
    ///
    /// # Errors
    /// [`Refusal::SeveralCredentials`].
    pub fn check_alone(request: &ReceivedRequest<'_>) -> Result<(), Refusal> {
        let other = request.headers.authorization.once().filter(|header| !header.trim().is_empty());
        let is_other = other.is_some_and(|header| !Credentials::parse(header).is("OAuth"));
        let is_signed = || request.query.is_some_and(mentions_oauth) || request.form().is_some_and(mentions_oauth);
        if is_other && is_signed() { Err(Refusal::SeveralCredentials) } else { Ok(()) }
    }

    /// Which credential was sent; more than one is refused before any is looked at.
    fn presented<'a>(&self, request: &ReceivedRequest<'a>, admission: &Admission) -> Result<Presented<'a>, Refusal> {
        let header = match request.headers.authorization {
            Sent::Never => None,
            // An empty one names no scheme and proves nothing.
            Sent::Once(header) => Some(Credentials::parse(header)).filter(|_| !header.trim().is_empty()),
            Sent::Unreadable => {
                return Err(Refusal::MalformedCredentials("The Authorization header is not valid UTF-8 text.".into()));
            }
            Sent::Repeatedly => return Err(Refusal::SeveralCredentials),
        };
        let parameters = request.query.is_some_and(mentions_oauth) || request.form().is_some_and(mentions_oauth);
        let session = request.query.is_some_and(|query| self.asks_for_session(query));
        let cookies = if admission.admits(Way::Cookies) { MemberCookies::find(request.headers.cookies) } else { None };
        let signed_header = header.is_some_and(|header| header.is("OAuth"));
        // An OAuth header and oauth_ parameters elsewhere are parts of one credential (RFC 5849 §3.5).
        let sent = [header.is_some(), parameters && !signed_header, session, cookies.is_some()];
        if sent.iter().filter(|sent| **sent).count() > 1 {
            return Err(Refusal::SeveralCredentials);
        }
        match (header, cookies) {
            (Some(_), _) if signed_header => Ok(Presented::Signature),
            (Some(header), _) if header.is("Basic") => Ok(Presented::Basic(header.rest)),
            (Some(header), _) if header.is("Digest") => Ok(Presented::Digest(header)),
            (Some(header), _) if header.is("Bearer") => Ok(Presented::Bearer(header.rest)),
            (Some(header), _) => Ok(Presented::Other(header)),
            (None, Some(cookies)) => Ok(Presented::Cookies(cookies)),
            (None, None) if parameters => Ok(Presented::Signature),
            (None, None) if session => Ok(Presented::Session),
            (None, None) => Err(Refusal::NoCredential),
        }
    }

    /// Whether a parameter of this name may be part of a credential.
    pub fn is_credential(&self, name: &str) -> bool {
        name.starts_with("oauth_") || name == self.session_query.name || self.basic.client_keys().has(name)
    }

    fn asks_for_session(&self, query: &str) -> bool {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.any(|(name, value)| self.session_query.asks(name, value))
    }
}

/// Whether the body has to be read before this request can be judged: forms, whose parameters may be signed or be the
/// credential themselves, and bodies whose hash is signed.
pub fn needs_body(request: &ReceivedRequest<'_>) -> bool {
    let hashed = |header: &str| {
        let credentials = Credentials::parse(header);
        if credentials.is("Digest") {
            mentions_auth_int(credentials.rest)
        } else {
            mentions_body_hash(credentials.rest)
        }
    };
    request.has_form_type()
        || request.headers.authorization.once().is_some_and(hashed)
        || latin1_digest(request).is_some_and(|octets| mentions_auth_int(&String::from_utf8_lossy(octets)))
        || request.query.is_some_and(mentions_body_hash)
}

fn mentions_auth_int(parameters: &str) -> bool {
    parameters.to_ascii_lowercase().contains("auth-int")
}

/// Digest credentials that are no UTF-8: each octet is a letter of Latin-1. Python's `http.client` writes every header so, also
/// where `requests` has made the response over the name in UTF-8.
fn latin1_digest<'a>(request: &ReceivedRequest<'a>) -> Option<&'a [u8]> {
    let octets = request.headers.authorization_octets.filter(|_| request.headers.authorization == Sent::Unreadable)?;
    octets.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"Digest ")).then_some(octets)
}

/// In any spelling: a name is decoded before it is signed, so whoever stands on the way could write an escape into it.
fn mentions_body_hash(text: &str) -> bool {
    // No escape of a letter or an underscore, no other spelling: the values of most requests have none.
    let is_escaped = || text.as_bytes().windows(2).any(|pair| matches!(pair, [b'%', b'4'..=b'7']));
    let decoded = || encoding::decode(text, Plus::IsPlus).unwrap_or(Cow::Borrowed(b""));
    text.contains(BODY_HASH)
        || (is_escaped() && decoded().windows(BODY_HASH.len()).any(|name| name == BODY_HASH.as_bytes()))
}

/// 401 for a scheme that is not admitted, with a hint where the mistake is a known one. What may be a secret is not repeated.
fn refuse_scheme(header: &Credentials<'_>) -> Rejection {
    let scheme = header.scheme;
    if scheme.len() > 5 && scheme.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("basic")) {
        return Refusal::MalformedCredentials(
            "The Authorization header needs a space between \"Basic\" and the encoded credentials.".into(),
        )
        .into();
    }
    if header.rest.is_empty() {
        return Refusal::MalformedCredentials(
            "The Authorization header needs a scheme (such as Basic or Bearer), a space, and then the credentials."
                .into(),
        )
        .into();
    }
    let sent = if scheme.chars().count() > 32 { "This scheme" } else { scheme };
    Refusal::MethodNotAdmitted { sent: sent.to_owned() }.into()
}
