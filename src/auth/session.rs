//! Logins: the session cookie of our own pages, and `auth=session` on routes that admit it.
//!
//! A session is looked up by the hash of its cookie. What changes something needs a token besides, which is derived
//! from the cookie and which no other site can read: in a header, or in the field `csrf_token` of a form.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::distr::{Alphanumeric, SampleString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::auth::basic::Basic;
use crate::auth::client_key::Beside;
use crate::auth::verdict::{Admission, Credential, Identity, Refusal, Rejection, check_standing};
use crate::config::Way;
use crate::domain::credentials::{Secret, SessionId, TokenHash};
use crate::protocol::cookies::Cookies;
use crate::protocol::parameters::{Parameters, Source};
use crate::protocol::request::ReceivedRequest;
use crate::store::audit::{Actor, By};
use crate::store::directory::{Directory, DirectoryAccount};
use crate::store::sessions::{SessionKind, Sessions as StoredSessions};
use crate::time::{Lifetime, Timestamp};

/// The cookie of somebody who is logged in.
pub const COOKIE: &str = "countersign_session";

/// The field of a form that proves that no other site made it.
pub const CSRF_FIELD: &str = "csrf_token";

/// The cookie of a browser that was shown a login form: it binds the form to the browser.
pub const VISITOR_COOKIE: &str = "countersign_visitor";

/// Logins.
pub struct Sessions {
    directory: Directory,
    stored: StoredSessions,
    lifetime: Lifetime,
}

/// Somebody is logged in with this request.
pub struct Session {
    /// Who.
    pub account: Arc<DirectoryAccount>,
    /// Which of the account's sessions.
    pub id: SessionId,
    /// What forms and scripts must send back.
    pub csrf_token: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A session that has just begun.
pub struct NewSession {
    /// The value of the cookie, for once.
    pub cookie: Secret,
    /// How long it lives.
    pub lifetime: Lifetime,
}

impl Sessions {
    /// From its parts.
    pub const fn new(directory: Directory, stored: StoredSessions, lifetime: Lifetime) -> Self {
        Self { directory, stored, lifetime }
    }

    /// Who is logged in, by the `Cookie` header.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn current(&self, cookies: Cookies<'_>, now: Timestamp) -> Result<Option<Session>, Rejection> {
        let Some(value) = cookies.get(COOKIE) else { return Ok(None) };
        let found = self.directory.session(&TokenHash::of(value), now).await.map_err(Rejection::unavailable)?;
        let found = found.filter(|found| found.session.kind == SessionKind::Browser && now < found.session.expires_at);
        Ok(found.map(|found| Session {
            account: Arc::clone(&found.account),
            id: found.session.id.clone(),
            csrf_token: csrf_token(value),
            expires_at: found.session.expires_at,
        }))
    }

    /// Checks a password and begins a session. Locked and disabled accounts may log in too, to see and revoke.
    ///
    /// # Errors
    /// [`Refusal::BadCredentials`], [`Refusal::Throttled`], [`Refusal::Unavailable`].
    pub async fn log_in(
        &self,
        basic: &Basic,
        request: &ReceivedRequest<'_>,
        name: &str,
        password: &Secret,
    ) -> Result<NewSession, Rejection> {
        let now = request.arrived;
        let account = self.directory.account_by_login_name(name, now).await.map_err(Rejection::unavailable)?;
        let account = basic.prove(request, name, password, account.as_ref()).await?;
        let cookie = self.begin(account, SessionKind::Browser, request).await?;
        Ok(NewSession { cookie, lifetime: self.lifetime })
    }

    /// Checks the password of a company's member and begins the session that its member hash carries.
    ///
    /// # Errors
    /// As [`Self::log_in`], and the account's states.
    pub async fn begin_member(
        &self,
        basic: &Basic,
        request: &ReceivedRequest<'_>,
        company: &str,
        username: &str,
        password: &Secret,
    ) -> Result<(Secret, Arc<DirectoryAccount>), Rejection> {
        let now = request.arrived;
        let found = self.directory.account_by_login_name(username, now).await.map_err(Rejection::unavailable)?;
        let is_member =
            |account: &DirectoryAccount| account.account.company.as_ref().is_some_and(|of| of.as_str() == company);
        let found = found.filter(|account| is_member(account));
        let account = basic.prove(request, username, password, found.as_ref()).await?;
        check_standing(&account.account)?;
        let secret = self.begin(account, SessionKind::MemberHash, request).await?;
        Ok((secret, Arc::clone(account)))
    }

    async fn begin(
        &self,
        account: &DirectoryAccount,
        kind: SessionKind,
        request: &ReceivedRequest<'_>,
    ) -> Result<Secret, Rejection> {
        let by = By::from(Actor::account(&account.account), request.client_address, request.arrived);
        let agent = request.headers.user_agent;
        let proved = account.password.as_ref();
        let begun = self.stored.begin(&account.account, proved, kind, self.lifetime, agent, &by).await;
        let (_, secret) = begun.map_err(Rejection::unavailable)?.ok_or_else(|| {
            let refusal = Refusal::BadCredentials { username: account.account.username.to_string() };
            Rejection::because(refusal, "the password was changed while somebody logged in with the old one")
        })?;
        Ok(secret)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn log_out(&self, session: &Session, by: &By) -> Result<(), Rejection> {
        self.stored.end(&session.account.account.id, &session.id, by).await.map_err(Rejection::unavailable).map(|_| ())
    }

    /// Who calls the protected API with `auth=session`.
    ///
    /// # Errors
    /// [`Refusal::MethodNotAdmitted`], [`Refusal::LoginRequired`], [`Refusal::CrossSite`], the account's states, and
    /// [`Refusal::ClientKeyRefused`].
    pub async fn identify(
        &self,
        request: &ReceivedRequest<'_>,
        admission: &Admission,
        beside: &Beside<'_>,
    ) -> Result<Identity, Rejection> {
        if !admission.admits(Way::Session) {
            return Err(Refusal::MethodNotAdmitted { sent: "A session".to_owned() }.into());
        }
        let identity = self.holder(request).await?.ok_or(Refusal::LoginRequired)?;
        check_standing(identity.account())?;
        let client = beside.admit(&self.directory, identity.account(), request.arrived).await?;
        Ok(identity.beside(client))
    }

    /// Who is logged in and makes this request, in whatever state the account is: whoever lets it through must ask for
    /// that.
    ///
    /// # Errors
    /// [`Refusal::CrossSite`]: something would be changed, and the CSRF token is missing.
    pub async fn holder(&self, request: &ReceivedRequest<'_>) -> Result<Option<Identity>, Rejection> {
        let Some(session) = self.current(request.headers.cookies, request.arrived).await? else { return Ok(None) };
        if request.may_change_something() && !session.admits(request) {
            let needs = "A session needs X-CSRF-Token (or the field csrf_token) to change something.";
            return Err(Refusal::CrossSite(needs).into());
        }
        // A page can give a WebSocket no header, and reads what comes by it wherever it is from.
        if request.headers.websocket && request.is_from_elsewhere() {
            return Err(Refusal::CrossSite("A WebSocket of another site's page is not opened by a session.").into());
        }
        let scopes = session.account.account.scopes.own();
        Ok(Some(Identity::new(session.account, None, Credential::Session, scopes)))
    }
}

impl Session {
    /// Whether the request carries this session's CSRF token, in the header or in its form.
    pub fn admits(&self, request: &ReceivedRequest<'_>) -> bool {
        if let Some(sent) = request.headers.csrf_token {
            return is_csrf_token(&self.csrf_token, sent);
        }
        let form = request.form().unwrap_or_default();
        let fields = Parameters::of_form(form, Source::Body).unwrap_or_default();
        fields
            .iter()
            .find(|field| field.name == CSRF_FIELD)
            .and_then(|field| field.decoded())
            .is_some_and(|sent| is_csrf_token(&self.csrf_token, &sent))
    }
}

/// A value for [`VISITOR_COOKIE`].
pub fn new_visitor() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), 32)
}

/// The CSRF token that goes with a cookie: nobody can tell the one from the other.
pub fn csrf_token(cookie: &str) -> String {
    let digest = Sha256::new().chain_update("countersign csrf token\0").chain_update(cookie).finalize();
    URL_SAFE_NO_PAD.encode(digest)
}

/// Compares CSRF tokens in constant time.
pub fn is_csrf_token(expected: &str, sent: &str) -> bool {
    bool::from(expected.as_bytes().ct_eq(sent.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_csrf_token_belongs_to_one_cookie() {
        assert!(is_csrf_token(&csrf_token("a"), &csrf_token("a")));
        assert!(!is_csrf_token(&csrf_token("a"), &csrf_token("b")));
        assert_ne!(csrf_token("a"), "a");
    }
}
