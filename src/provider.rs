//! The provider: temporary credentials, the account holder's decision, token credentials (RFC 5849 §2, top to bottom),
//! and revocation.
//!
//! Signatures are judged by `auth/oauth` and races are decided by the store; this file says in which order, and what a
//! client is told. Pages and status codes are not its business.

use std::sync::Arc;

use crate::auth::oauth::{OAuthVerifier, check_client, refuse_client};
use crate::auth::verdict::{OAuthRefusal, Rejection, check_standing};
use crate::config::BodyHashRule;
use crate::domain::account::{Account, Reach};
use crate::domain::client::{Callback, CallbackRefusal};
use crate::domain::credentials::{Secret, TokenHash};
use crate::domain::delegation::{TemporaryCredentials, TemporaryRefusal};
use crate::domain::scope::Scopes;
use crate::protocol::oauth::{self, Problem, ProtocolError};
use crate::protocol::parameters::Parameters;
use crate::protocol::request::ReceivedRequest;
use crate::store::audit::{Actor, By};
use crate::store::delegations::{
    Decided, DelegationError, Delegations, ExchangeLimits, IssuedTemporary, IssuedToken, TokenFilter,
};
use crate::store::directory::{Directory, DirectoryClient};
use crate::store::page::Page;
use crate::time::{Lifetime, Timestamp};

/// Issues, authorizes, exchanges and revokes.
pub struct Provider {
    directory: Directory,
    delegations: Delegations,
    settings: ProviderSettings,
}

/// How long things live.
#[derive(Clone, Copy, Debug)]
pub struct ProviderSettings {
    /// A request token's, until it is exchanged.
    pub request_token_lifetime: Lifetime,
    /// Limits of the exchange: verifiers that may be tried, and the access token's life.
    pub exchange: ExchangeLimits,
    /// Whether a repeated dance for the same or fewer scopes is allowed without asking again.
    pub remember_consent: bool,
}

/// A request token that waits for the account holder's decision.
pub struct Pending {
    /// The request token.
    pub credentials: TemporaryCredentials,
    /// Who asks.
    pub client: Arc<DirectoryClient>,
}

impl Provider {
    /// From its parts.
    pub const fn new(directory: Directory, delegations: Delegations, settings: ProviderSettings) -> Self {
        Self { directory, delegations, settings }
    }

    /// Temporary credentials for a client (RFC 5849 §2.1).
    ///
    /// # Errors
    /// The OAuth refusal: signature, callback, scope.
    pub async fn initiate(
        &self,
        verifier: &OAuthVerifier,
        request: &ReceivedRequest<'_>,
    ) -> Result<IssuedTemporary, Rejection> {
        let parameters = Parameters::collect(request).map_err(ProtocolError::from)?;
        let signed = verifier.read(request, &parameters, BodyHashRule::IfPresent)?;
        let Some(callback) = signed.protocol.callback.as_deref().filter(|callback| !callback.is_empty()) else {
            return Err(ProtocolError::Absent(vec![oauth::CALLBACK]).into());
        };
        if signed.protocol.token.is_some() {
            return Err(rejected_parameter(oauth::TOKEN, "a request for a request token carries no oauth_token"));
        }
        let client = verifier.verify_client(&signed).await?.client;
        let callback = client.client.admit_callback(callback).map_err(refuse_callback)?;
        let asked = oauth::requested_scope(&parameters)?;
        let scopes = scopes_asked_for(asked.as_deref().or(request.headers.oauth_scope), &client.client.scopes)?;
        let lifetime = self.settings.request_token_lifetime;
        let key = &client.client.client_key;
        self.delegations.issue_temporary(key, callback, scopes, lifetime, request.arrived).await.map_err(refuse)
    }

    /// The request token that somebody wants to decide about, with the client that asks (RFC 5849 §2.2). Its scopes are
    /// those that the client still has.
    ///
    /// # Errors
    /// Why there is nothing to decide.
    pub async fn pending(&self, token: &str, now: Timestamp) -> Result<Pending, Rejection> {
        let found = self.delegations.temporary(&TokenHash::of(token)).await.map_err(Rejection::unavailable)?;
        let (mut credentials, _) = found.ok_or(DelegationError::Refused(TemporaryRefusal::Unknown)).map_err(refuse)?;
        credentials.decidable(now).map_err(|refusal| refuse(refusal.into()))?;
        let client = self.directory.client(&credentials.client_key, now).await.map_err(Rejection::unavailable)?;
        let client = client.ok_or(DelegationError::ClientNotFound).map_err(refuse)?;
        check_client(&client)?;
        // The client may have lost this callback since it asked: nobody is sent there any more.
        client.client.admit_callback(credentials.callback.as_str()).map_err(refuse_callback)?;
        credentials.scopes = credentials.scopes.intersection(&client.client.scopes);
        Ok(Pending { credentials, client })
    }

    /// Whether this account allowed this client the same scopes or more before, and the configuration remembers it: for as long
    /// as the client has an access token, so that "Connected apps" shows whatever is remembered.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn is_remembered(&self, pending: &Pending, account: &Account, now: Timestamp) -> Result<bool, Rejection> {
        if !self.settings.remember_consent || account.standing().is_err() {
            return Ok(false);
        }
        let key = pending.client.client.client_key.clone();
        // What a token that lives was given: a grant also remembers what was revoked since, or unticked the last time.
        let filter = TokenFilter {
            account: Some(account.id.clone()),
            client_key: Some(key),
            alive_at: Some(now),
            ..TokenFilter::default()
        };
        let reach = Reach::Account(account.id.clone());
        let tokens =
            self.delegations.tokens(&reach, filter, Page::first(1000)).await.map_err(Rejection::unavailable)?;
        Ok(tokens.items.iter().any(|found| pending.credentials.scopes.is_subset(&found.token.scopes)))
    }

    /// The account holder allows these of the scopes that were asked for; all of them may be unticked.
    ///
    /// # Errors
    /// The account is locked or disabled; the request token was decided about before, or is past its end.
    pub async fn authorize(
        &self,
        token: &str,
        account: &Account,
        ticked: &Scopes,
        by: &By,
    ) -> Result<Decided, Rejection> {
        check_standing(account)?;
        let pending = self.pending(token, by.now).await?;
        // What was not asked for can't be ticked, whatever the form says.
        let scopes = ticked.intersection(&pending.credentials.scopes);
        self.delegations.authorize(&TokenHash::of(token), &account.id, scopes, by).await.map_err(refuse)
    }

    /// The account holder says no.
    ///
    /// # Errors
    /// As [`Self::authorize`].
    pub async fn deny(&self, token: &str, account: &Account, by: &By) -> Result<Decided, Rejection> {
        self.delegations.deny(&TokenHash::of(token), &account.id, by).await.map_err(refuse)
    }

    /// Token credentials for temporary ones and their verifier, once (RFC 5849 §2.3).
    ///
    /// # Errors
    /// The OAuth refusal. Whether the token was used, denied or is past its end is told after a good signature only.
    pub async fn exchange(
        &self,
        verifier: &OAuthVerifier,
        request: &ReceivedRequest<'_>,
    ) -> Result<IssuedToken, Rejection> {
        let parameters = Parameters::collect(request).map_err(ProtocolError::from)?;
        let signed = verifier.read(request, &parameters, BodyHashRule::IfPresent)?;
        let (Some(token), Some(given)) = (signed.protocol.token.as_deref(), signed.protocol.verifier.as_deref()) else {
            let absent = [
                (oauth::TOKEN, signed.protocol.token.is_none()),
                (oauth::VERIFIER, signed.protocol.verifier.is_none()),
            ];
            let absent = absent.into_iter().filter_map(|(name, absent)| absent.then_some(name)).collect();
            return Err(ProtocolError::Absent(absent).into());
        };
        let client = verifier.client(&signed).await?;
        let hash = TokenHash::of(token);
        let found = self.delegations.temporary(&hash).await.map_err(Rejection::unavailable)?;
        let (_, secret) = found
            .filter(|(credentials, _)| credentials.client_key == client.client.client_key)
            .ok_or(DelegationError::Refused(TemporaryRefusal::Unknown))
            .map_err(refuse)?;
        verifier.verify_with(&signed, Arc::clone(&client), secret.expose()).await?;
        let by = By::from(Actor::Server, request.client_address, request.arrived);
        let key = &client.client.client_key;
        self.delegations.exchange(&hash, key, given, self.settings.exchange, &by).await.map_err(refuse)
    }

    /// Ends the access token that signed the request.
    ///
    /// # Errors
    /// The OAuth refusal.
    pub async fn revoke(&self, verifier: &OAuthVerifier, request: &ReceivedRequest<'_>) -> Result<(), Rejection> {
        let parameters = Parameters::collect(request).map_err(ProtocolError::from)?;
        let signed = verifier.read(request, &parameters, BodyHashRule::IfPresent)?;
        if signed.protocol.token.is_none() {
            return Err(ProtocolError::Absent(vec![oauth::TOKEN]).into());
        }
        let token = verifier.verify_last(&signed).await?.token;
        let by = By::from(Actor::account(&token.account.account), request.client_address, request.arrived);
        self.delegations.revoke_token(&token.credentials.id, &by).await.map_err(refuse)
    }
}

/// The scopes of a request token: those asked for, or all that the client key was given.
fn scopes_asked_for(asked: Option<&str>, ceiling: &Scopes) -> Result<Scopes, Rejection> {
    let Some(asked) = asked.filter(|asked| !asked.trim().is_empty()) else { return Ok(ceiling.clone()) };
    let scopes = Scopes::parse(asked).map_err(|error| rejected_parameter(oauth::SCOPE, &error.to_string()))?;
    if scopes.is_subset(ceiling) {
        return Ok(scopes);
    }
    let missing: Vec<_> =
        scopes.iter().filter(|scope| !ceiling.contains(scope.as_str())).map(|scope| scope.as_str()).collect();
    let advice = format!("the client key was not given: {}; ask for fewer scopes, or ask its owner", missing.join(" "));
    Err(OAuthRefusal::new(Problem::AdditionalAuthorizationRequired, advice).into())
}

fn refuse_callback(refusal: CallbackRefusal) -> Rejection {
    rejected_parameter(oauth::CALLBACK, &refusal.to_string())
}

fn rejected_parameter(name: &'static str, advice: &str) -> Rejection {
    OAuthRefusal {
        problem: Problem::ParameterRejected,
        advice: format!("{name}: {advice}"),
        details: vec![(oauth::PARAMETERS_REJECTED, name.to_owned())],
    }
    .into()
}

fn refuse(error: DelegationError) -> Rejection {
    let (problem, advice) = match error {
        DelegationError::Store(error) => return Rejection::unavailable(error),
        DelegationError::TokenTaken => return Rejection::unavailable(error),
        DelegationError::ClientNotFound => return refuse_client(error),
        DelegationError::Refused(TemporaryRefusal::Unknown) | DelegationError::TokenNotFound => {
            (Problem::TokenRejected, "oauth_token is no request token of this client")
        }
        DelegationError::Refused(TemporaryRefusal::Expired) => {
            (Problem::TokenExpired, "the request token is past its end: get a new one and begin again")
        }
        DelegationError::Refused(TemporaryRefusal::Used) => {
            (Problem::TokenUsed, "the request token was exchanged before: get a new one and begin again")
        }
        DelegationError::Refused(TemporaryRefusal::AlreadyAuthorized) => {
            (Problem::TokenUsed, "somebody decided about this request token before: begin again in the app")
        }
        DelegationError::Refused(TemporaryRefusal::Denied) => {
            (Problem::PermissionDenied, "the account holder did not allow it")
        }
        DelegationError::Refused(TemporaryRefusal::NotAuthorized) => {
            (Problem::TokenRejected, "the account holder has not decided yet: send them to the authorize page first")
        }
        DelegationError::Refused(TemporaryRefusal::WrongVerifier) => {
            (Problem::VerifierInvalid, "oauth_verifier is not the one that the account holder got")
        }
        DelegationError::Refused(TemporaryRefusal::Exhausted) => {
            (Problem::TokenRejected, "too many wrong verifiers: get a new request token and begin again")
        }
        DelegationError::Account(_) => {
            (Problem::PermissionDenied, "the account is locked or disabled: exchange the request token when it is not")
        }
        DelegationError::GrantNotFound | DelegationError::AccountNotFound => {
            (Problem::TokenRevoked, "the account or its access is gone")
        }
    };
    OAuthRefusal::new(problem, advice).into()
}

/// Where a browser goes after the decision; `None` where the verifier is shown on a page.
pub fn redirect_of(token: &str, decided: &Decided) -> Option<Secret> {
    let Callback::Uri(uri) = &decided.credentials.callback else { return None };
    let token = crate::protocol::encoding::encode(token);
    let query = match &decided.verifier {
        Some(verifier) => format!("{}={token}&{}={}", oauth::TOKEN, oauth::VERIFIER, verifier.expose()),
        None => format!("{}={token}&{}={}", oauth::TOKEN, oauth::PROBLEM, Problem::PermissionDenied),
    };
    Some(Secret::new(uri.with_query(&query)))
}
