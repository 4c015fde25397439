//! Delegation (RFC 5849 §2): temporary credentials from issue to exchange, token credentials, grants.
//!
//! Every legal transition and no other: pending → authorized → exchanged, pending → denied, and authorized →
//! exhausted after too many wrong verifiers. Who wins when two requests race is decided in the store.

use super::account::{Account, AccountRefusal};
use super::client::{Callback, Client, ClientRefusal};
use super::credentials::{AccountId, ClientKey, GrantId, Hint, TokenHash, TokenId};
use super::scope::Scopes;
use crate::time::Timestamp;

/// Temporary credentials (§2.1), "request token" in the older text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TemporaryCredentials {
    pub token: TokenHash,
    pub client_key: ClientKey,
    pub callback: Callback,
    /// What the client asked for, or inherits.
    pub scopes: Scopes,
    pub state: TemporaryState,
    pub created_at: Timestamp,
    /// The first second in which they are good no more.
    pub expires_at: Timestamp,
}

/// Where temporary credentials stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TemporaryState {
    /// Nobody has decided yet.
    Pending,
    /// The account allowed these scopes; a verifier is out.
    Authorized { account: AccountId, scopes: Scopes },
    /// The account said no.
    Denied { account: AccountId },
    /// Turned into token credentials, once.
    Exchanged,
    /// Too many wrong verifiers.
    Exhausted,
}

impl TemporaryCredentials {
    /// `Ok` if the account holder may decide now (§2.2).
    pub fn decidable(&self, now: Timestamp) -> Result<(), TemporaryRefusal> {
        match &self.state {
            TemporaryState::Exchanged => Err(TemporaryRefusal::Used),
            TemporaryState::Exhausted => Err(TemporaryRefusal::Exhausted),
            TemporaryState::Denied { .. } => Err(TemporaryRefusal::Denied),
            TemporaryState::Authorized { .. } => Err(TemporaryRefusal::AlreadyAuthorized),
            TemporaryState::Pending if now >= self.expires_at => Err(TemporaryRefusal::Expired),
            TemporaryState::Pending => Ok(()),
        }
    }

    /// The account and its consent if the credentials may be exchanged now (§2.3), the verifier aside.
    pub fn exchangeable(&self, now: Timestamp) -> Result<(&AccountId, &Scopes), TemporaryRefusal> {
        match &self.state {
            TemporaryState::Exchanged => Err(TemporaryRefusal::Used),
            TemporaryState::Exhausted => Err(TemporaryRefusal::Exhausted),
            TemporaryState::Denied { .. } => Err(TemporaryRefusal::Denied),
            _ if now >= self.expires_at => Err(TemporaryRefusal::Expired),
            TemporaryState::Pending => Err(TemporaryRefusal::NotAuthorized),
            TemporaryState::Authorized { account, scopes } => Ok((account, scopes)),
        }
    }
}

/// Why temporary credentials can't take the next step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TemporaryRefusal {
    #[error("the request token is unknown")]
    Unknown,
    #[error("the request token has expired")]
    Expired,
    #[error("the request token has been used")]
    Used,
    #[error("the request token was denied by the account holder")]
    Denied,
    #[error("the request token has been authorized already")]
    AlreadyAuthorized,
    #[error("the request token hasn't been authorized yet")]
    NotAuthorized,
    #[error("the verifier is wrong")]
    WrongVerifier,
    #[error("the request token is dead after too many wrong verifiers")]
    Exhausted,
}

/// Token credentials (§2.3), "access token" in the older text. The secret isn't in here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenCredentials {
    pub id: TokenId,
    pub token: TokenHash,
    pub hint: Hint,
    pub client_key: ClientKey,
    pub account: AccountId,
    pub grant: GrantId,
    /// What the account holder consented to for this token.
    pub scopes: Scopes,
    pub created_at: Timestamp,
    /// The first second in which it is good no more.
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

impl TokenCredentials {
    /// Revoked or expired, whatever its client and account.
    pub fn ended(&self, now: Timestamp) -> Result<(), TokenRefusal> {
        if self.revoked_at.is_some() {
            return Err(TokenRefusal::Revoked);
        }
        if self.expires_at.is_some_and(|end| now >= end) {
            return Err(TokenRefusal::Expired);
        }
        Ok(())
    }

    /// What the token may do as things stand: client ceiling ∩ consent ∩ account; or why it rests.
    ///
    /// `owner` owns the client. Everything but the token's own end, which time alone decides: see
    /// [`ended`](Self::ended).
    pub fn standing(&self, client: &Client, owner: &Account, account: &Account) -> Result<Scopes, TokenRefusal> {
        account.standing().map_err(TokenRefusal::Account)?;
        client.standing(owner).map_err(TokenRefusal::Client)?;
        let consented = self.scopes.intersection(&client.scopes);
        Ok(account.scopes.admit(&consented))
    }
}

/// Why a token is good for nothing now.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenRefusal {
    #[error("the token is revoked")]
    Revoked,
    #[error("the token has expired")]
    Expired,
    #[error(transparent)]
    Account(AccountRefusal),
    #[error(transparent)]
    Client(ClientRefusal),
}

/// What an account gave a client: "Connected apps" lists and revokes it. One for each account and client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    pub id: GrantId,
    pub account: AccountId,
    pub client_key: ClientKey,
    /// All that was consented to since the grant began.
    pub scopes: Scopes,
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::tests::account;
    use crate::domain::account::{AccountStatus, Role};
    use crate::domain::client::tests::client;
    use crate::domain::scope::ScopeLimit;

    const NOW: Timestamp = Timestamp::from_unix(1_000);

    fn temporary(state: TemporaryState, expires_at: i64) -> TemporaryCredentials {
        TemporaryCredentials {
            token: TokenHash::of("hh5s93j4hdidpola"),
            client_key: ClientKey::parse("dpf43f3p2l4k3l03").expect("test key"),
            callback: Callback::OutOfBand,
            scopes: Scopes::none(),
            state,
            created_at: Timestamp::from_unix(0),
            expires_at: Timestamp::from_unix(expires_at),
        }
    }

    fn token(scopes: &str) -> TokenCredentials {
        TokenCredentials {
            id: TokenId::parse("t1").expect("test id"),
            token: TokenHash::of("nnch734d00sl2jdk"),
            hint: Hint::of("nnch734d00sl2jdk"),
            client_key: ClientKey::parse("dpf43f3p2l4k3l03").expect("test key"),
            account: AccountId::parse("m").expect("test id"),
            grant: GrantId::parse("g1").expect("test id"),
            scopes: Scopes::parse(scopes).expect("test scopes"),
            created_at: Timestamp::from_unix(0),
            expires_at: None,
            revoked_at: None,
        }
    }

    fn authorized() -> TemporaryState {
        TemporaryState::Authorized { account: AccountId::parse("m").expect("test id"), scopes: Scopes::none() }
    }

    #[test]
    fn only_pending_credentials_can_be_decided() {
        assert_eq!(temporary(TemporaryState::Pending, 1_001).decidable(NOW), Ok(()));
        assert_eq!(temporary(TemporaryState::Pending, 1_000).decidable(NOW), Err(TemporaryRefusal::Expired));
        assert_eq!(temporary(authorized(), 2_000).decidable(NOW), Err(TemporaryRefusal::AlreadyAuthorized));
        assert_eq!(temporary(TemporaryState::Exchanged, 0).decidable(NOW), Err(TemporaryRefusal::Used));
    }

    #[test]
    fn only_authorized_credentials_can_be_exchanged() {
        assert!(temporary(authorized(), 2_000).exchangeable(NOW).is_ok());
        for (state, expected) in [
            (TemporaryState::Pending, TemporaryRefusal::NotAuthorized),
            (TemporaryState::Exchanged, TemporaryRefusal::Used),
            (TemporaryState::Exhausted, TemporaryRefusal::Exhausted),
            (TemporaryState::Denied { account: AccountId::parse("m").expect("test id") }, TemporaryRefusal::Denied),
        ] {
            assert_eq!(temporary(state, 2_000).exchangeable(NOW), Err(expected));
        }
        assert_eq!(temporary(authorized(), 1_000).exchangeable(NOW), Err(TemporaryRefusal::Expired));
    }

    #[test]
    fn a_token_may_do_what_client_consent_and_account_all_allow() {
        let app = client(&[], "a:read b:read c:read");
        let owner = account("owner", None, Role::Member);
        let mut holder = account("m", None, Role::Member);
        let consented = token("a:read b:read d:read");
        assert_eq!(consented.standing(&app, &owner, &holder).map(|s| s.to_string()), Ok("a:read b:read".to_owned()));
        holder.scopes = ScopeLimit::Only(Scopes::parse("b:read c:read").expect("test scopes"));
        assert_eq!(consented.standing(&app, &owner, &holder).map(|s| s.to_string()), Ok("b:read".to_owned()));
    }

    #[test]
    fn a_token_rests_with_its_account_its_client_and_the_clients_owner() {
        let app = client(&[], "a:read");
        let mut owner = account("owner", None, Role::Member);
        let mut holder = account("m", None, Role::Member);
        owner.status = AccountStatus::Locked { reason: None };
        assert!(matches!(
            token("a:read").standing(&app, &owner, &holder),
            Err(TokenRefusal::Client(ClientRefusal::Owner(_)))
        ));
        holder.status = AccountStatus::Disabled { reason: None };
        assert!(matches!(token("a:read").standing(&app, &owner, &holder), Err(TokenRefusal::Account(_))));
    }

    #[test]
    fn a_token_ends_by_revoking_or_by_time() {
        let mut ended = token("");
        assert_eq!(ended.ended(NOW), Ok(()));
        ended.expires_at = Some(NOW);
        assert_eq!(ended.ended(NOW), Err(TokenRefusal::Expired));
        ended.revoked_at = Some(Timestamp::from_unix(1));
        assert_eq!(ended.ended(NOW), Err(TokenRefusal::Revoked));
    }
}
