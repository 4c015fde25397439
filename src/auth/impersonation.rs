//! Impersonation: an integrator or admin gets a short-lived API key for a member of its own company.
//!
//! The key is the member's in all but two things: it ends by itself, and it names who acts with it, in the identity and in
//! the audit log. Whose member is whose is asked again in the transaction that makes the key, and at each use of it. What
//! the answer looks like is said where it is served.

use std::net::IpAddr;

use crate::auth::enrolment;
use crate::auth::proved::Proved;
use crate::auth::verdict::{Credential, Identity, Refusal, Rejection};
use crate::domain::account::Account;
use crate::domain::api_key::{ApiKey, KeyPair};
use crate::domain::credentials::Secret;
use crate::domain::scope::{Scope, ScopeLimit};
use crate::store::Store;
use crate::store::api_keys::{ApiKeyError, NewApiKey, NewImpersonator, ProvedBy};
use crate::store::audit::{Actor, By};
use crate::time::{Lifetime, Timestamp};

/// Makes keys for members. One for the whole server.
pub struct Impersonations {
    store: Store,
    realm: String,
    lifetime: Lifetime,
}

/// A key that was just made.
pub struct Impersonation {
    /// Its public half, its end, and who acts with it.
    pub key: ApiKey,
    /// The member.
    pub member: Account,
    /// Its private half, for once.
    pub private_key: Secret,
}

impl Impersonations {
    /// `realm`: of Digest; `lifetime`: `impersonation.ttl_seconds`.
    pub const fn new(store: Store, realm: String, lifetime: Lifetime) -> Self {
        Self { store, realm, lifetime }
    }

    /// A key for the member of this username or account id, for `actor` to act with.
    ///
    /// # Errors
    /// [`Refusal::ScopeMissing`]; [`Refusal::ImpersonationRefused`], the same for a member of another company and for a
    /// name that nobody has; [`Refusal::Unavailable`].
    pub async fn impersonate(
        &self,
        actor: &Identity,
        member: &str,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Impersonation, Rejection> {
        // A key or an app has it only by name; an account without limits has it with its own password.
        let needed = Scope::manage_write();
        if !actor.scopes().contains(&needed) {
            return Err(actor.lacks(needed.to_string()).into());
        }
        if actor.impersonator().is_some() {
            return Err(Rejection::because(Refusal::ImpersonationRefused, "the caller is impersonated already"));
        }
        let found = self.store.accounts.by_name_or_id(member).await.map_err(Rejection::unavailable)?;
        let member = found
            .filter(|member| actor.account().may_impersonate(member))
            .ok_or_else(|| Rejection::because(Refusal::ImpersonationRefused, "no member of the caller's company"))?;
        let KeyPair { public_key, private_key } = KeyPair::generate(&mut rand::rng());
        let new = NewApiKey {
            digest: enrolment::private_key(&private_key, &public_key, &member, &self.realm),
            public_key,
            private_key: private_key.clone(),
            account: member.id.clone(),
            name: "Impersonation".to_owned(),
            // An app's key for a member is held to what the app was given.
            scopes: match actor.scopes().ceiling() {
                ScopeLimit::Only(given) if actor.credential() == Credential::OAuth1 => Some(given),
                ScopeLimit::Only(_) | ScopeLimit::Unlimited => None,
            },
            expires_at: Some(now + self.lifetime),
            impersonator: Some(NewImpersonator {
                account: actor.account().id.clone(),
                proved: match actor.proved() {
                    Proved::Password(account) => ProvedBy::Password(account.password.clone()),
                    Proved::Key(key) => ProvedBy::Key(key.key.public_key.clone(), key.private_key_hash().to_vec()),
                },
            }),
        };
        let by = By::from(Actor::account(actor.account()), address, now);
        let key = self.store.api_keys.create(new, &by).await.map_err(refuse)?;
        Ok(Impersonation { key, member, private_key })
    }
}

/// What changed between our look and the transaction is refused as if we had seen it.
fn refuse(error: ApiKeyError) -> Rejection {
    match error {
        ApiKeyError::Store(error) => Rejection::unavailable(error),
        error @ (ApiKeyError::NotFound
        | ApiKeyError::AccountNotFound
        | ApiKeyError::KeyTaken
        | ApiKeyError::Expired
        | ApiKeyError::MayNotImpersonate
        | ApiKeyError::Invalid(_)) => Rejection::because(Refusal::ImpersonationRefused, error.to_string()),
    }
}
