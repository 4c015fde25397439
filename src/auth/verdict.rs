//! What comes out of judging a request: an [`Identity`], which only this floor's `auth` can make, or a [`Rejection`].
//!
//! A rejection has a public half, which tells a stranger little, and a reason for the log and for the client's owner.
//! Status codes, challenges and bodies are not written here; `web/response` does that.

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::{BodyHashRule, ClientKeyRule, Way};
use crate::domain::account::{Account, AccountRefusal};
use crate::domain::api_key::ApiKeyRefusal;
use crate::domain::credentials::{ClientKey, PublicKey, Username};
use crate::domain::scope::GrantedScopes;
use crate::protocol::oauth::{self, Problem, ProtocolError};
use crate::store::directory::{DirectoryAccount, DirectoryApiKey, DirectoryClient};
use crate::time::{Lifetime, Timestamp};

/// Which kind of credential proved an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A signed request, two-legged or with an access token (RFC 5849).
    OAuth1,
    /// A password (RFC 7617).
    Basic,
    /// RFC 7616, by password or API key.
    Digest,
    /// A public and private key, sent as RFC 7617 does.
    ApiKey,
    /// A JSON Web Token (RFC 7519).
    Jwt,
    /// The login cookie.
    Session,
    /// The three cookies of a member.
    Cookie,
}

impl Credential {
    /// The word in the identity's JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OAuth1 => "oauth1",
            Self::Basic => "basic",
            Self::Digest => "digest",
            Self::ApiKey => "api_key",
            Self::Jwt => "jwt",
            Self::Session => "session",
            Self::Cookie => "cookie",
        }
    }
}

/// What a route admits: all that `auth` has to know of it.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The ways in.
    pub ways: Vec<Way>,
    /// Whether a password needs the client key beside it.
    pub client_key: ClientKeyRule,
    /// What is done about `oauth_body_hash`.
    pub body_hash: BodyHashRule,
}

impl Admission {
    /// Whether this way in is admitted.
    pub fn admits(&self, way: Way) -> bool {
        self.ways.contains(&way)
    }
}

/// Who is calling, for which account, with which scopes. Only `auth` makes one, after it saw a proof.
#[derive(Clone)]
pub struct Identity {
    pub(super) account: Arc<DirectoryAccount>,
    client: Option<Arc<DirectoryClient>>,
    credential: Credential,
    scopes: GrantedScopes,
    pub(super) api_key: Option<Arc<DirectoryApiKey>>,
    /// Proved by the secret of a login, which may end at any time.
    by_login: bool,
}

impl Identity {
    pub(super) const fn new(
        account: Arc<DirectoryAccount>,
        client: Option<Arc<DirectoryClient>>,
        credential: Credential,
        scopes: GrantedScopes,
    ) -> Self {
        Self { account, client, credential, scopes, api_key: None, by_login: false }
    }

    pub(super) fn beside(mut self, client: Option<Arc<DirectoryClient>>) -> Self {
        self.client = client;
        self
    }

    pub(super) fn with_api_key(mut self, key: &Arc<DirectoryApiKey>) -> Self {
        self.api_key = Some(Arc::clone(key));
        self
    }

    /// At most what `limit` has.
    pub(super) fn within(mut self, limit: &GrantedScopes) -> Self {
        if self.scopes != *limit {
            self.scopes = self.scopes.intersection(limit);
        }
        self
    }

    pub(super) const fn by_login(mut self, by_login: bool) -> Self {
        self.by_login = by_login;
        self
    }

    /// Whether the secret of a login proved it: such an identity gets no token that could outlive the login.
    pub const fn is_by_login(&self) -> bool {
        self.by_login
    }

    /// The refusal of a request that needs these scopes, which its credential lacks.
    pub fn lacks(&self, scopes: String) -> Refusal {
        Refusal::ScopeMissing { scopes, signed: self.credential == Credential::OAuth1 }
    }

    /// The account that is acted for: the resource owner.
    pub fn account(&self) -> &Account {
        &self.account.account
    }

    /// The app that is calling, where one took part.
    pub fn client(&self) -> Option<&DirectoryClient> {
        self.client.as_deref()
    }

    /// The API key that proved it, if one did.
    pub fn api_key(&self) -> Option<&PublicKey> {
        self.api_key.as_ref().map(|key| &key.key.public_key)
    }

    /// How the caller proved it.
    pub const fn credential(&self) -> Credential {
        self.credential
    }

    /// What this request may do.
    pub const fn scopes(&self) -> &GrantedScopes {
        &self.scopes
    }

    /// The account that made this credential for another one, if it is an impersonation.
    pub fn impersonator(&self) -> Option<&Username> {
        self.api_key.as_ref()?.impersonator.as_ref().map(|actor| &actor.account.username)
    }
}

/// Why a request is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// What the caller is told.
    pub public: Refusal,
    /// What the log gets besides; never a secret.
    pub reason: Cow<'static, str>,
    /// The client that a signed request named, for the log; one that exists.
    pub client_key: Option<ClientKey>,
}

impl Rejection {
    /// A rejection whose log line says more than its answer.
    pub fn because(public: Refusal, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { public, reason: reason.into(), client_key: None }
    }

    /// Nobody's fault but ours, such as the store's failure; the reason is for the log.
    pub fn unavailable(error: impl std::fmt::Display) -> Self {
        Self::because(Refusal::Unavailable, error.to_string())
    }

    /// The same, and the log names the client.
    #[must_use]
    pub fn of_client(self, client: &DirectoryClient) -> Self {
        Self { client_key: Some(client.client.client_key.clone()), ..self }
    }

    /// Whether a signature failed that was looked at.
    pub fn is_of_signature(&self) -> bool {
        matches!(&self.public, Refusal::OAuth(refusal) if refusal.problem == Problem::SignatureInvalid)
    }
}

impl From<Refusal> for Rejection {
    fn from(public: Refusal) -> Self {
        Self { public, reason: Cow::Borrowed(""), client_key: None }
    }
}

/// The public half of a rejection: one variant for each row of the failures, in the order in which they are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request target or Host can't be relied on: dot segments, an encoded slash, NUL …; or two readings of the
    /// path that different routes would decide.
    Target(&'static str),
    /// No route matches.
    NoRoute,
    /// A route matches and the caller is admitted, but nothing of ours is there, and no API is behind us.
    NoUpstream,
    /// The route requires TLS.
    TlsRequired,
    /// The route requires a User-Agent.
    UserAgentRequired,
    /// More than one credential.
    SeveralCredentials,
    /// No credential at all.
    NoCredential,
    /// `auth=session`, and nobody is logged in.
    LoginRequired,
    /// A password without the client key.
    ClientKeyRequired,
    /// Too many failures for this account from this address.
    Throttled {
        /// When trying again makes sense.
        retry_after: Lifetime,
    },
    /// The credential is of a kind that this route does not admit, or that nobody knows.
    MethodNotAdmitted {
        /// What was sent, in the words of the answer, e.g. `Basic`.
        sent: String,
    },
    /// Unknown user, wrong password, wrong key: one answer for all.
    BadCredentials {
        /// The username as it was sent.
        username: String,
    },
    /// The Authorization header can't be read; the text says what to change.
    MalformedCredentials(Cow<'static, str>),
    /// A Digest whose nonce is too old: the client tries again by itself with the fresh one (RFC 7616 §3.3).
    StaleNonce,
    /// A token that is none of ours, expired, or whose account or key is gone.
    BadToken(&'static str),
    /// An API key that was proved and is past its end.
    KeyEnded {
        /// As it was sent.
        username: String,
        /// A sentence.
        why: &'static str,
    },
    /// RFC 5849 §3.2 and the words of Problem Reporting.
    OAuth(OAuthRefusal),
    /// The account is locked, with the reason if one was given.
    AccountLocked(Option<String>),
    /// The account is disabled, with the reason if one was given.
    AccountDisabled(Option<String>),
    /// The client key is unknown, disabled, or another account's.
    ClientKeyRefused,
    /// A state-changing request of a session without its CSRF token, or from another site.
    CrossSite(&'static str),
    /// These scopes are needed and at least one of them is missing.
    ScopeMissing {
        /// The missing ones, separated by spaces.
        scopes: String,
        /// Whether the request was signed: then it is a problem of Problem Reporting too.
        signed: bool,
    },
    /// The caller may not act for that account, or there is no such account.
    ImpersonationRefused,
    /// The body that must be read before judging is larger than `gateway.buffer_bytes`.
    BodyTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A proxy asked about a form without sending its body.
    BodyUnavailable,
    /// The store does not answer: nothing can be said about anybody.
    Unavailable,
}

impl Refusal {
    /// The `code` of the answer, and the label of its counter.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Target(_) => "bad_request",
            Self::NoRoute | Self::NoUpstream => "not_found",
            // The word of the dialect that this answer comes from.
            Self::TlsRequired => "Security",
            Self::UserAgentRequired => "user_agent_required",
            Self::SeveralCredentials => "several_credentials",
            Self::NoCredential => "credentials_required",
            Self::LoginRequired => "login_required",
            Self::ClientKeyRequired => "client_key_required",
            Self::Throttled { .. } => "throttled",
            Self::MethodNotAdmitted { .. } => "method_not_admitted",
            Self::BadCredentials { .. } | Self::KeyEnded { .. } => "bad_credentials",
            Self::MalformedCredentials(_) => "malformed_credentials",
            Self::StaleNonce => "stale_nonce",
            Self::BadToken(_) => "bad_token",
            Self::OAuth(refusal) => refusal.problem.as_str(),
            Self::AccountLocked(_) => "account_locked",
            Self::AccountDisabled(_) => "account_disabled",
            Self::ClientKeyRefused => "client_key_refused",
            Self::CrossSite(_) => "cross_site",
            Self::ScopeMissing { signed: true, .. } => Problem::AdditionalAuthorizationRequired.as_str(),
            Self::ScopeMissing { signed: false, .. } => "scope_missing",
            Self::ImpersonationRefused => "impersonation_refused",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyUnavailable => "body_unavailable",
            Self::Unavailable => "unavailable",
        }
    }
}

/// An OAuth refusal: the word, and what helps its developer on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthRefusal {
    /// `oauth_problem`.
    pub problem: Problem,
    /// `oauth_problem_advice`: a sentence for the developer of the client.
    pub advice: String,
    /// Further parameters of Problem Reporting, by wire name.
    pub details: Vec<(&'static str, String)>,
}

impl OAuthRefusal {
    /// A refusal with one sentence of advice.
    pub fn new(problem: Problem, advice: impl Into<String>) -> Self {
        Self { problem, advice: advice.into(), details: Vec::new() }
    }

    /// `timestamp_refused`, with the range that would be taken.
    pub fn timestamp(acceptable: (Timestamp, Timestamp), now: Timestamp) -> Self {
        let (from, to) = acceptable;
        if from > to {
            let advice = format!(
                "this server no longer knows which nonces were used, and takes signed requests again from {} on; its clock shows {}",
                from.unix(),
                now.unix()
            );
            return Self { problem: Problem::TimestampRefused, advice, details: Vec::new() };
        }
        let clock = format!("this server's clock shows {}; set the client's clock", now.unix());
        Self::outside_of(acceptable, &clock)
    }

    /// The same, of a request whose own timestamp is known.
    pub fn timestamp_sent(sent: Timestamp, acceptable: (Timestamp, Timestamp), now: Timestamp) -> Self {
        // As `Date.now()` of JavaScript gives it.
        let seconds = Timestamp::from_unix(sent.unix() / 1000);
        if acceptable.0 <= seconds && seconds <= acceptable.1 {
            let advice = format!("{} is in milliseconds; send whole seconds: {}", sent.unix(), seconds.unix());
            return Self::outside_of(acceptable, &advice);
        }
        Self::timestamp(acceptable, now)
    }

    fn outside_of(acceptable: (Timestamp, Timestamp), advice: &str) -> Self {
        let (from, to) = (acceptable.0.unix(), acceptable.1.unix());
        Self {
            problem: Problem::TimestampRefused,
            advice: format!("oauth_timestamp must lie between {from} and {to}: {advice}"),
            details: vec![(oauth::ACCEPTABLE_TIMESTAMPS, format!("{from}-{to}"))],
        }
    }
}

impl From<OAuthRefusal> for Rejection {
    fn from(refusal: OAuthRefusal) -> Self {
        Refusal::OAuth(refusal).into()
    }
}

impl From<ProtocolError> for OAuthRefusal {
    fn from(error: ProtocolError) -> Self {
        let details = match &error {
            ProtocolError::Absent(names) => vec![(oauth::PARAMETERS_ABSENT, names.join("&"))],
            ProtocolError::Version => vec![(oauth::ACCEPTABLE_VERSIONS, "1.0-1.0".to_owned())],
            ProtocolError::Repeated(name) => vec![(oauth::PARAMETERS_REJECTED, name.clone())],
            ProtocolError::Timestamp => vec![(oauth::PARAMETERS_REJECTED, oauth::TIMESTAMP.to_owned())],
            ProtocolError::Nonce => vec![(oauth::PARAMETERS_REJECTED, oauth::NONCE.to_owned())],
            ProtocolError::SingleQuotes(name) | ProtocolError::Value(name) => {
                vec![(oauth::PARAMETERS_REJECTED, (*name).to_owned())]
            }
            ProtocolError::Parameters(_) | ProtocolError::SignatureMethod => Vec::new(),
        };
        Self { problem: error.problem(), advice: error.to_string(), details }
    }
}

impl From<ProtocolError> for Rejection {
    fn from(error: ProtocolError) -> Self {
        OAuthRefusal::from(error).into()
    }
}

/// `ended`: what is said where the key was shown, or where a token was made with it.
pub(super) fn refuse_key(refusal: ApiKeyRefusal, ended: impl FnOnce(&'static str) -> Refusal) -> Rejection {
    match refusal {
        ApiKeyRefusal::Expired => ended("The API key has expired: make a new one.").into(),
        ApiKeyRefusal::Impersonator => ended("The impersonation has ended.").into(),
        ApiKeyRefusal::Account(refusal) => refuse_account(refusal),
    }
}

/// Locked and disabled accounts are told so, after they proved who they are.
///
/// # Errors
/// [`Refusal::AccountLocked`], [`Refusal::AccountDisabled`].
pub(crate) fn check_standing(account: &Account) -> Result<(), Rejection> {
    account.standing().map_err(refuse_account)
}

pub(super) fn refuse_account(refusal: AccountRefusal) -> Rejection {
    match refusal {
        AccountRefusal::Locked { reason } => Refusal::AccountLocked(reason).into(),
        AccountRefusal::Disabled { reason } => Refusal::AccountDisabled(reason).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_lost_its_memory_blames_no_clock() {
        let at = Timestamp::from_unix;
        let told = OAuthRefusal::timestamp((at(2_000), at(1_900)), at(1_600));
        assert!(told.advice.contains("again from 2000 on") && !told.advice.contains("set the client's"), "{told:?}");
        assert_eq!(told.details, []);
    }

    #[test]
    fn a_timestamp_in_milliseconds_is_called_so_and_another_is_the_clocks() {
        let at = Timestamp::from_unix;
        let told =
            |sent| OAuthRefusal::timestamp_sent(at(sent), (at(1_700_000_000), at(1_700_000_600)), at(1_700_000_300));
        let advice = told(1_700_000_123_456).advice;
        assert!(
            advice.contains("milliseconds") && advice.contains("1700000123") && !advice.contains("clock"),
            "{advice}"
        );
        for sent in [1_600_000_000, 1_600_000_000_000, i64::MAX] {
            assert!(told(sent).advice.contains("set the client's clock"), "{sent}");
        }
    }
}
