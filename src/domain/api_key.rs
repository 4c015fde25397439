//! API keys: a public and a private half, owned by one account, perhaps made for somebody who acts in its place.
//!
//! The private half is 256 random bits, so it is kept as one SHA-256 and needs no slow hash. It isn't in here.

use rand::CryptoRng;

use super::account::{Account, AccountRefusal};
use super::credentials::{AccountId, PublicKey, Secret, Username};
use super::scope::{GrantedScopes, Scopes};
use crate::time::Timestamp;

/// A key pair of an account, without the private half.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    pub public_key: PublicKey,
    pub account: AccountId,
    pub name: String,
    /// Its own scopes; none of its own: the account's.
    pub scopes: Option<Scopes>,
    /// The first second in which it is good no more.
    pub expires_at: Option<Timestamp>,
    /// Who acts with this key in the account's place.
    pub impersonator: Option<Impersonator>,
    pub created_at: Timestamp,
}

/// Who had a key made for an account that isn't its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Impersonator {
    pub account: AccountId,
    pub username: Username,
}

/// Both halves of a key, while it is being made.
pub struct KeyPair {
    pub public_key: PublicKey,
    pub private_key: Secret,
}

impl KeyPair {
    /// A new pair.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self { public_key: PublicKey::generate(rng), private_key: Secret::generate(rng) }
    }
}

/// Why a key is good for nothing now.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ApiKeyRefusal {
    #[error("the API key has expired")]
    Expired,
    #[error(transparent)]
    Account(AccountRefusal),
    /// Who acts with the key may not use the API, or not act for this account any more.
    #[error("the impersonation has ended")]
    Impersonator,
}

impl ApiKey {
    /// What the key may do as things stand, or why it rests. `impersonator` is who acts with it.
    ///
    /// Everything but the key's own end, which time alone decides: see [`is_expired`](Self::is_expired).
    pub fn standing(&self, account: &Account, impersonator: Option<&Account>) -> Result<GrantedScopes, ApiKeyRefusal> {
        account.standing().map_err(ApiKeyRefusal::Account)?;
        match (&self.impersonator, impersonator) {
            (None, _) => {}
            (Some(_), Some(actor)) if actor.standing().is_ok() && actor.may_impersonate(account) => {}
            (Some(_), _) => return Err(ApiKeyRefusal::Impersonator),
        }
        Ok(self.granted_scopes(account))
    }

    /// Whether the key is past its end.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| now >= end)
    }

    /// What the key may do now: its own scopes under the account's ceiling, or the account's but for `manage:*`.
    fn granted_scopes(&self, account: &Account) -> GrantedScopes {
        match &self.scopes {
            Some(scopes) => GrantedScopes::only(account.scopes.admit(scopes)),
            None => account.scopes.inherited(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::tests::account;
    use crate::domain::account::{AccountStatus, Role};
    use crate::domain::scope::ScopeLimit;

    fn key(scopes: Option<&str>) -> ApiKey {
        ApiKey {
            public_key: PublicKey::parse("pk").expect("test key"),
            account: AccountId::parse("m").expect("test id"),
            name: "script".to_owned(),
            scopes: scopes.map(|text| Scopes::parse(text).expect("test scopes")),
            expires_at: Some(Timestamp::from_unix(100)),
            impersonator: None,
            created_at: Timestamp::from_unix(0),
        }
    }

    #[test]
    fn a_key_without_scopes_has_its_accounts_but_never_management() {
        let mut owner = account("m", None, Role::Admin);
        assert_eq!(key(None).granted_scopes(&owner).to_string(), "*");
        assert_eq!(key(Some("manage:read")).granted_scopes(&owner).to_string(), "manage:read");
        owner.scopes = ScopeLimit::Only(Scopes::parse("a:read manage:read").expect("test scopes"));
        assert_eq!(key(None).granted_scopes(&owner).to_string(), "a:read");
        assert_eq!(key(Some("a:read b:read")).granted_scopes(&owner).to_string(), "a:read");
    }

    #[test]
    fn an_impersonation_ends_when_who_began_it_may_no_longer() {
        let member = account("m", Some("acme"), Role::Member);
        let mut actor = account("i", Some("acme"), Role::Integrator);
        let mut pair = key(None);
        pair.impersonator = Some(Impersonator { account: actor.id.clone(), username: actor.username.clone() });
        assert!(pair.standing(&member, Some(&actor)).is_ok());
        assert_eq!(pair.standing(&member, None), Err(ApiKeyRefusal::Impersonator));
        actor.role = Role::Member;
        assert_eq!(pair.standing(&member, Some(&actor)), Err(ApiKeyRefusal::Impersonator));
        actor.role = Role::Integrator;
        actor.status = AccountStatus::Locked { reason: None };
        assert_eq!(pair.standing(&member, Some(&actor)), Err(ApiKeyRefusal::Impersonator));
    }

    #[test]
    fn a_key_ends_with_the_second_of_its_end() {
        assert!(!key(None).is_expired(Timestamp::from_unix(99)));
        assert!(key(None).is_expired(Timestamp::from_unix(100)));
    }
}
