//! `Authorization: Basic`: an account's password with the client key, or an API key (RFC 7617).
//!
//! Whose name the user-id is decides which of the two it is; an unknown name is judged as a password would be, so that
//! it can't be told from a wrong one. An API key is 256 random bits: one SHA-256 is all it takes to check it.

use std::sync::Arc;

use crate::auth::client_key::{Beside, ClientKeyNames};
use crate::auth::cookies;
use crate::auth::hashing::{PasswordError, Passwords, StoredHash};
use crate::auth::proved::Proved;
use crate::auth::throttle::{Throttle, block};
use crate::auth::verdict::{Admission, Credential, Identity, Refusal, Rejection};
use crate::config::{ClientKeyRule, Way};
use crate::domain::account::Account;
use crate::domain::credentials::{AccountId, PublicKey, Secret, Username};
use crate::protocol::basic::BasicCredentials;
use crate::protocol::request::ReceivedRequest;
use crate::store::audit::{Actor, AuditLog, By, Entry, Event};
use crate::store::directory::{Directory, DirectoryAccount, DirectoryApiKey};
use crate::store::error::StoreError;
use crate::time::Timestamp;

/// Characters of a member hash: what is not as long is not looked up.
const MEMBER_HASH_LENGTH: usize = 43;

/// Characters of the halves of a key that is made here.
const PUBLIC_KEY_LENGTH: usize = 24;
const PRIVATE_KEY_LENGTH: usize = 43;

/// Passwords and API keys.
pub struct Basic {
    directory: Directory,
    passwords: Arc<Passwords>,
    throttle: Arc<Throttle>,
    client_keys: ClientKeyNames,
    audit: AuditLog,
}

impl Basic {
    /// From its parts; the throttle is shared with the login page.
    pub const fn new(
        directory: Directory,
        passwords: Arc<Passwords>,
        throttle: Arc<Throttle>,
        client_keys: ClientKeyNames,
        audit: AuditLog,
    ) -> Self {
        Self { directory, passwords, throttle, client_keys, audit }
    }

    /// Where client keys are looked for.
    pub const fn client_keys(&self) -> &ClientKeyNames {
        &self.client_keys
    }

    /// What hashes new passwords, off the request threads.
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// The failure budgets.
    pub fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// Counts a failure. The one that spends the budget is written down, for administrators to see.
    pub fn failed(&self, request: &ReceivedRequest<'_>, name: &str, account: Option<&Account>) {
        let now = request.arrived;
        let spent = self.throttle.failed(name, request.client_address, now);
        if !spent || !self.throttle.may_be_written_down(account.is_some(), now) {
            return;
        }
        let event = Event::LoginThrottled;
        let entry = match account {
            Some(account) => Entry::new(event, account.username.as_str()).of(account),
            // What was sent may be a password by mistake: only a name that somebody has is written down.
            None => Entry::new(event, "(unknown)"),
        };
        let by = By::from(Actor::Stranger, request.client_address, now);
        let audit = self.audit.clone();
        // Beside the answer: how long that takes must not tell whether the name is somebody's.
        tokio::spawn(async move {
            if let Err(error) = audit.append(entry, &by).await {
                tracing::warn!(%error, "a name that is held up was not written down");
            }
        });
    }

    /// Who calls with these Basic credentials; `token68`: the text behind the scheme.
    ///
    /// # Errors
    /// [`Rejection`], the first in the order of judgement.
    pub async fn identify(
        &self,
        request: &ReceivedRequest<'_>,
        admission: &Admission,
        token68: &str,
    ) -> Result<Identity, Rejection> {
        if !admission.admits(Way::Basic) && !admission.admits(Way::ApiKey) {
            return Err(Refusal::MethodNotAdmitted { sent: "Basic".to_owned() }.into());
        }
        let credentials =
            BasicCredentials::parse(token68).map_err(|error| Refusal::MalformedCredentials(error.advice().into()))?;
        self.identify_as(request, admission, credentials.user_id(), Secret::new(credentials.password())).await
    }

    /// The same for a name and secret that came in another way.
    ///
    /// # Errors
    /// [`Rejection`], the first in the order of judgement.
    pub async fn identify_as(
        &self,
        request: &ReceivedRequest<'_>,
        admission: &Admission,
        name: &str,
        secret: Secret,
    ) -> Result<Identity, Rejection> {
        let attempt = Attempt { request, admission, name, secret };
        match named(&self.directory, attempt.name, request.arrived).await.map_err(Rejection::unavailable)? {
            Named::Key(key) => self.by_key(&attempt, Some(&key), Some(&key.account.account)).await,
            Named::KeysOf(account) => {
                // Before a guess can cost a look-up.
                self.throttle.check(attempt.name, request.client_address, request.arrived)?;
                let key = self.directory.api_key_of(&account.account.id, &attempt.secret, request.arrived).await;
                self.by_key(&attempt, key.map_err(Rejection::unavailable)?.as_ref(), Some(&account.account)).await
            }
            Named::KeyOfAnother => self.by_key(&attempt, None, None).await,
            // Nobody's name and a secret as only keys have it: a key that was deleted. It is told so, and not asked
            // for a client key that would not help.
            Named::Nobody if admission.admits(Way::ApiKey) && attempt.looks_like_a_key() => {
                self.by_key(&attempt, None, None).await
            }
            Named::Account(account) if admission.admits(Way::Basic) => self.by_password(&attempt, Some(&account)).await,
            Named::Nobody if admission.admits(Way::Basic) => self.by_password(&attempt, None).await,
            // Only keys are admitted, and the name is no key's.
            Named::Account(account) => self.by_key(&attempt, None, Some(&account.account)).await,
            Named::Nobody => self.by_key(&attempt, None, None).await,
        }
    }

    async fn by_password(
        &self,
        attempt: &Attempt<'_>,
        account: Option<&Arc<DirectoryAccount>>,
    ) -> Result<Identity, Rejection> {
        let Attempt { request, admission, name, secret } = attempt;
        let beside = self.client_keys.find(request, admission);
        if beside == Beside::Nothing && admission.client_key == ClientKeyRule::Required {
            return Err(Refusal::ClientKeyRequired.into());
        }
        self.throttle.check(name, request.client_address, request.arrived)?;
        let (account, by_login) = match self.by_member_hash(secret, account, request).await? {
            Some(account) => (account, true),
            None => (self.prove(request, name, secret, account).await?, false),
        };
        let ended = |_| Refusal::BadCredentials { username: (*name).to_owned() };
        let proved = Proved::Password(account);
        let identity = proved.admit(&self.directory, &beside, Credential::Basic, request.arrived, ended).await?;
        Ok(identity.by_login(by_login))
    }

    /// A member hash is a password too, of its own account and as long as its session lives.
    async fn by_member_hash<'a>(
        &self,
        secret: &Secret,
        account: Option<&'a Arc<DirectoryAccount>>,
        request: &ReceivedRequest<'_>,
    ) -> Result<Option<&'a Arc<DirectoryAccount>>, Rejection> {
        if secret.expose().len() != MEMBER_HASH_LENGTH {
            return Ok(None);
        }
        // Asked for nobody's name too: it takes as long then.
        let holder = cookies::holder_of(&self.directory, secret, request.arrived).await?;
        Ok(account.filter(|account| holder.is_some_and(|holder| holder.account.id == account.account.id)))
    }

    /// `account`: whose the name is.
    async fn by_key(
        &self,
        attempt: &Attempt<'_>,
        key: Option<&Arc<DirectoryApiKey>>,
        account: Option<&Account>,
    ) -> Result<Identity, Rejection> {
        let Attempt { request, admission, name, secret } = attempt;
        if !admission.admits(Way::ApiKey) {
            return Err(Refusal::MethodNotAdmitted { sent: "An API key".to_owned() }.into());
        }
        self.throttle.check(name, request.client_address, request.arrived)?;
        let Some(key) = key.filter(|key| key.matches(secret.expose().as_bytes())) else {
            self.failed(request, name, account);
            return Err(Refusal::BadCredentials { username: (*name).to_owned() }.into());
        };
        self.throttle.succeeded(name, request.client_address);
        let ended = |why| Refusal::KeyEnded { username: (*name).to_owned(), why };
        let beside = self.client_keys.find(request, admission);
        Proved::Key(key).admit(&self.directory, &beside, Credential::ApiKey, request.arrived, ended).await
    }

    /// Proves a password, with throttling: the same way for Basic, the login page and JWT requests.
    ///
    /// # Errors
    /// [`Refusal::Throttled`], [`Refusal::BadCredentials`] (also for an unknown name, after the same time),
    /// [`Refusal::Unavailable`].
    pub async fn prove<'a>(
        &self,
        request: &ReceivedRequest<'_>,
        name: &str,
        password: &Secret,
        account: Option<&'a Arc<DirectoryAccount>>,
    ) -> Result<&'a Arc<DirectoryAccount>, Rejection> {
        self.throttle.check(name, request.client_address, request.arrived)?;
        let stored = account.and_then(|account| {
            let hash = account.password.as_ref()?.expose();
            Some(StoredHash { account: &account.account.id, status: account.account.status.as_str(), hash })
        });
        let verified =
            self.passwords.verify(name, stored, password, block(request.client_address), request.arrived).await;
        let verified = verified.map_err(|error| match error {
            PasswordError::Overloaded | PasswordError::Unreadable => Rejection::unavailable(error),
        })?;
        // Of guesses that were sent together, none learns more than those that were sent one by one.
        self.throttle.check(name, request.client_address, request.arrived)?;
        match (verified, account) {
            (Some(_proof), Some(account)) => {
                self.throttle.succeeded(name, request.client_address);
                Ok(account)
            }
            (Some(_) | None, _) => {
                self.failed(request, name, account.map(|account| &account.account));
                Err(Refusal::BadCredentials { username: name.to_owned() }.into())
            }
        }
    }
}

/// One try to get in by Basic.
struct Attempt<'a> {
    request: &'a ReceivedRequest<'a>,
    admission: &'a Admission,
    name: &'a str,
    secret: Secret,
}

impl Attempt<'_> {
    /// Whether both halves are shaped like those of the keys that are made here.
    fn looks_like_a_key(&self) -> bool {
        let shaped =
            |text: &str, length| text.len() == length && text.bytes().all(|octet| octet.is_ascii_alphanumeric());
        let public = self.name.rsplit('+').next().unwrap_or_default();
        shaped(public, PUBLIC_KEY_LENGTH) && shaped(self.secret.expose(), PRIVATE_KEY_LENGTH)
    }
}

/// Whose name the user-id of a Basic credential is. No two of these can be spelled alike: the store sees to it.
enum Named {
    /// A public key, alone or behind its company.
    Key(Arc<DirectoryApiKey>),
    /// An account id: any of its keys may follow.
    KeysOf(Arc<DirectoryAccount>),
    /// A public key behind a company that isn't its own.
    KeyOfAnother,
    /// A username, alone or behind its company.
    Account(Arc<DirectoryAccount>),
    /// None of these.
    Nobody,
}

/// Looks a name up: the whole of it first, then split at the first `+`. What is at hand is taken without asking the
/// database what else the name could be, since it can be nothing else.
async fn named(directory: &Directory, name: &str, now: Timestamp) -> Result<Named, StoreError> {
    let public_key = PublicKey::parse(name).ok();
    let id = AccountId::parse(name).ok();
    let behind_company =
        Username::split_company(name).and_then(|(company, rest)| Some((company, PublicKey::parse(rest).ok()?)));
    if let Some(key) = public_key.as_ref().and_then(|key| directory.cached_api_key(key, now)) {
        return Ok(Named::Key(key));
    }
    if let Some(account) = id.as_ref().and_then(|id| directory.cached_account(id, now)) {
        return Ok(Named::KeysOf(account));
    }
    if let Some(account) = directory.cached_login_name(name, now) {
        return Ok(Named::Account(account));
    }
    if let Some((company, public_key)) = &behind_company
        && let Some(key) = directory.cached_api_key(public_key, now)
        && is_of(&key, company)
    {
        return Ok(Named::Key(key));
    }
    if let Some(public_key) = public_key
        && let Some(key) = directory.api_key(&public_key, now).await?
    {
        return Ok(Named::Key(key));
    }
    if let Some(id) = id
        && let Some(account) = directory.account(&id, now).await?
    {
        return Ok(Named::KeysOf(account));
    }
    if let Some(account) = directory.account_by_login_name(name, now).await? {
        return Ok(Named::Account(account));
    }
    if let Some((company, public_key)) = behind_company
        && let Some(key) = directory.api_key(&public_key, now).await?
    {
        return Ok(if is_of(&key, company) { Named::Key(key) } else { Named::KeyOfAnother });
    }
    Ok(Named::Nobody)
}

fn is_of(key: &DirectoryApiKey, company: &str) -> bool {
    key.account.account.company.as_ref().is_some_and(|of| of.as_str() == company)
}
