//! Delegation, kept (RFC 5849 §2): request tokens, consent, the one exchange, access tokens, grants.
//!
//! Races are decided by conditional updates: one changed row is the winner. Tokens are looked up by their SHA-256,
//! secrets are sealed, verifiers are kept as their SHA-256. Whether client and account are in good standing is asked
//! by the caller, before.

mod rows;
mod lists;

use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::domain::account::{Account, AccountRefusal};
use crate::domain::client::Callback;
use crate::domain::credentials::{
    AccountId, ClientKey, GrantId, Hint, Secret, TokenHash, TokenId, Username, generate_token, generate_verifier,
};
use crate::domain::delegation::{Grant, TemporaryCredentials, TemporaryRefusal, TemporaryState, TokenCredentials};
use crate::domain::scope::{Scope, Scopes};
use crate::time::{Lifetime, Timestamp};

use super::accounts;
use super::audit::{self, By, Entry, Event};
use super::changes::Change;
use super::clients;
use super::connection::{Database, Transaction};
use super::error::{StoreError, carries_diesel, is_dangling, is_taken};
use super::schema::{grants, temporary_credentials, token_credentials};
use super::vault::Vault;
use rows::{
    AUTHORIZED, DENIED, EXCHANGED, EXHAUSTED, GrantRow, PENDING, TokenRow, find_grant, find_temporary, open, seal,
};

pub use lists::{GrantFilter, GrantSummary, TokenFilter, TokenSummary};
pub(super) use rows::{TEMPORARY, TOKEN, find_token, stored_hash};

/// Why a delegation doesn't take the next step.
#[derive(Debug, thiserror::Error)]
pub enum DelegationError {
    /// The request token's state forbids it.
    #[error(transparent)]
    Refused(#[from] TemporaryRefusal),
    #[error("there is no such token")]
    TokenNotFound,
    #[error("there is no such grant")]
    GrantNotFound,
    #[error("there is no such client")]
    ClientNotFound,
    #[error("there is no such account")]
    AccountNotFound,
    #[error("this access token is taken, or its id is")]
    TokenTaken,
    /// The account was locked or disabled since it decided.
    #[error(transparent)]
    Account(#[from] AccountRefusal),
    #[error(transparent)]
    Store(#[from] StoreError),
}

carries_diesel!(DelegationError);

/// Token and secret as they go to the client, for once.
pub struct IssuedTemporary {
    pub token: Secret,
    pub secret: Secret,
    pub credentials: TemporaryCredentials,
}

/// An access token as it goes to the client, for once.
pub struct IssuedToken {
    pub token: Secret,
    pub secret: Secret,
    pub credentials: TokenCredentials,
    /// The account's username.
    pub username: Username,
    /// What the token may do now: of its scopes those that client and account have.
    pub live: Scopes,
}

/// A decision of the account holder that was taken.
pub struct Decided {
    /// For the callback or the page; none after a denial.
    pub verifier: Option<Secret>,
    pub credentials: TemporaryCredentials,
}

/// The limits of an exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExchangeLimits {
    /// Verifiers that may be tried, the right one included: 1 or more.
    pub verifier_attempts: u32,
    /// None: the access token has no end.
    pub token_lifetime: Option<Lifetime>,
}

/// Temporary credentials, token credentials and grants.
#[derive(Clone)]
pub struct Delegations {
    database: Database,
    vault: Arc<Vault>,
}

impl Delegations {
    /// Over this database.
    pub const fn new(database: Database, vault: Arc<Vault>) -> Self {
        Self { database, vault }
    }

    /// Issues a request token (§2.1). Callback and scopes must have been checked against the client.
    pub async fn issue_temporary(
        &self,
        client_key: &ClientKey,
        callback: Callback,
        scopes: Scopes,
        lifetime: Lifetime,
        now: Timestamp,
    ) -> Result<IssuedTemporary, DelegationError> {
        let (token, secret) = {
            let mut rng = rand::rng();
            (generate_token(&mut rng), Secret::generate(&mut rng))
        };
        let credentials = TemporaryCredentials {
            token: TokenHash::of(token.expose()),
            client_key: client_key.clone(),
            callback,
            scopes,
            state: TemporaryState::Pending,
            created_at: now,
            expires_at: now + lifetime,
        };
        let vault = self.vault.clone();
        self.database
            .write(move |transaction| {
                let inserted = diesel::insert_into(temporary_credentials::table)
                    .values((
                        temporary_credentials::token_hash.eq(credentials.token.as_bytes().to_vec()),
                        temporary_credentials::client_key.eq(credentials.client_key.as_str()),
                        temporary_credentials::sealed_secret.eq(seal(&vault, TEMPORARY, &credentials.token, &secret)),
                        temporary_credentials::callback.eq(credentials.callback.as_str()),
                        temporary_credentials::scopes.eq(credentials.scopes.to_string()),
                        temporary_credentials::state.eq(PENDING),
                        temporary_credentials::wrong_verifiers.eq(0),
                        temporary_credentials::created_at.eq(credentials.created_at.unix()),
                        temporary_credentials::expires_at.eq(credentials.expires_at.unix()),
                    ))
                    .execute(transaction.connection);
                match inserted {
                    Err(error) if is_dangling(&error) => Err(DelegationError::ClientNotFound),
                    other => {
                        other?;
                        Ok(IssuedTemporary { token, secret, credentials })
                    }
                }
            })
            .await
    }

    /// The request token with this hash and its secret, whatever its state. Not cached: a dance asks three times.
    pub async fn temporary(&self, token: &TokenHash) -> Result<Option<(TemporaryCredentials, Secret)>, StoreError> {
        let (token, vault) = (*token, self.vault.clone());
        self.database
            .read(move |connection| {
                let Some(row) = find_temporary(connection, &token)? else { return Ok(None) };
                let secret = open(&vault, TEMPORARY, &token, &row.sealed_secret)?;
                Ok(Some((row.into_credentials()?, secret)))
            })
            .await
    }

    /// The account allows `scopes` (§2.2). Of two decisions on one request token the first one counts; the other,
    /// also of another account, is refused.
    pub async fn authorize(
        &self,
        token: &TokenHash,
        account: &AccountId,
        scopes: Scopes,
        by: &By,
    ) -> Result<Decided, DelegationError> {
        self.decide(token, account, Some(scopes), by).await
    }

    /// The account says no.
    pub async fn deny(&self, token: &TokenHash, account: &AccountId, by: &By) -> Result<Decided, DelegationError> {
        self.decide(token, account, None, by).await
    }

    /// `allowed`: what the account allows, if it does.
    async fn decide(
        &self,
        token: &TokenHash,
        account: &AccountId,
        allowed: Option<Scopes>,
        by: &By,
    ) -> Result<Decided, DelegationError> {
        let (token, account, by) = (*token, account.clone(), by.clone());
        let allowed = allowed.map(|scopes| (scopes.to_string(), generate_verifier(&mut rand::rng())));
        self.database
            .write(move |transaction| {
                let holder =
                    accounts::find(transaction.connection, &account)?.ok_or(DelegationError::AccountNotFound)?;
                let (state, event) = match allowed {
                    Some(_) => (AUTHORIZED, Event::AccessAllowed),
                    None => (DENIED, Event::AccessDenied),
                };
                let decided = diesel::update(temporary_credentials::table.find(token.as_bytes().as_slice()))
                    .filter(temporary_credentials::state.eq(PENDING))
                    .filter(temporary_credentials::expires_at.gt(by.now.unix()))
                    .set((
                        temporary_credentials::state.eq(state),
                        temporary_credentials::account.eq(account.as_str()),
                        // What is not set stays as it is: nothing.
                        allowed.as_ref().map(|(scopes, verifier)| {
                            (
                                temporary_credentials::consented_scopes.eq(scopes),
                                temporary_credentials::verifier_hash.eq(verifier.sha256().to_vec()),
                            )
                        }),
                    ))
                    .execute(transaction.connection)?;
                let credentials = decision(transaction, &token, decided, by.now)?;
                let (scopes, verifier) = allowed.unzip();
                let entry =
                    Entry::new(event, credentials.client_key.as_str()).of(&holder).with_client(&credentials.client_key);
                let entry = match scopes {
                    Some(scopes) => entry.because(scopes),
                    None => entry,
                };
                audit::append(transaction.connection, entry, &by)?;
                Ok(Decided { verifier, credentials })
            })
            .await
    }

    /// Turns a request token into an access token (§2.3), once. The request must have been verified before.
    pub async fn exchange(
        &self,
        token: &TokenHash,
        client_key: &ClientKey,
        verifier: &str,
        limits: ExchangeLimits,
        by: &By,
    ) -> Result<IssuedToken, DelegationError> {
        let (token, client_key, by, vault) = (*token, client_key.clone(), by.clone(), self.vault.clone());
        let verifier_hash = Secret::new(verifier).sha256().to_vec();
        let attempts = i32::try_from(limits.verifier_attempts.max(1)).unwrap_or(i32::MAX);
        self.database
            .write(move |transaction| {
                // The attempt is counted before it is judged, and the counting locks the row: of many that try at
                // once no more than the limit are ever judged.
                let row = temporary_credentials::table.find(token.as_bytes().as_slice());
                let counted = diesel::update(row)
                    .filter(temporary_credentials::client_key.eq(client_key.as_str()))
                    .filter(temporary_credentials::state.eq(AUTHORIZED))
                    .filter(temporary_credentials::expires_at.gt(by.now.unix()))
                    .filter(temporary_credentials::wrong_verifiers.lt(attempts))
                    .set(temporary_credentials::wrong_verifiers.eq(temporary_credentials::wrong_verifiers + 1))
                    .execute(transaction.connection)?;
                let credentials = match find_temporary(transaction.connection, &token)? {
                    Some(found) if found.client_key == client_key.as_str() => found.into_credentials()?,
                    Some(_) | None => return Err(TemporaryRefusal::Unknown.into()),
                };
                let (account, scopes) = credentials.exchangeable(by.now)?;
                if counted == 0 {
                    return Err(TemporaryRefusal::Exhausted.into());
                }
                let won = diesel::update(row)
                    .filter(temporary_credentials::state.eq(AUTHORIZED))
                    .filter(temporary_credentials::verifier_hash.eq(verifier_hash))
                    .set(temporary_credentials::state.eq(EXCHANGED))
                    .execute(transaction.connection)?;
                if won == 0 {
                    diesel::update(row)
                        .filter(temporary_credentials::wrong_verifiers.ge(attempts))
                        .set(temporary_credentials::state.eq(EXHAUSTED))
                        .execute(transaction.connection)?;
                    // Not an error to the transaction: the count must stay.
                    return Ok(None);
                }
                let holder =
                    accounts::find(transaction.connection, account)?.ok_or(DelegationError::AccountNotFound)?;
                // Nothing is used up then: what rests may be taken up again.
                holder.standing()?;
                issue(transaction, &vault, &client_key, holder, scopes.clone(), limits.token_lifetime, &by).map(Some)
            })
            .await?
            .ok_or(DelegationError::Refused(TemporaryRefusal::WrongVerifier))
    }

    /// Issues an access token without a dance: for the owner of a client to itself, in the developer console.
    pub async fn issue_directly(
        &self,
        client_key: &ClientKey,
        account: &AccountId,
        scopes: Scopes,
        lifetime: Option<Lifetime>,
        by: &By,
    ) -> Result<IssuedToken, DelegationError> {
        let (client_key, account, by, vault) = (client_key.clone(), account.clone(), by.clone(), self.vault.clone());
        self.database
            .write(move |transaction| {
                let holder =
                    accounts::find(transaction.connection, &account)?.ok_or(DelegationError::AccountNotFound)?;
                issue(transaction, &vault, &client_key, holder, scopes, lifetime, &by)
            })
            .await
    }

    /// The grant of an account to a client, if there is one.
    pub async fn grant_of(&self, account: &AccountId, client_key: &ClientKey) -> Result<Option<Grant>, StoreError> {
        let (account, client_key) = (account.clone(), client_key.clone());
        self.database
            .read(move |connection| {
                let row: Option<GrantRow> = grants::table
                    .filter(grants::account.eq(account.as_str()))
                    .filter(grants::client_key.eq(client_key.as_str()))
                    .select(GrantRow::as_select())
                    .first(connection)
                    .optional()?;
                row.map(GrantRow::into_grant).transpose()
            })
            .await
    }

    /// The grant with this id.
    pub async fn grant(&self, id: &GrantId) -> Result<Option<Grant>, StoreError> {
        let id = id.clone();
        self.database.read(move |connection| find_grant(connection, &id)).await
    }

    /// The access token that the text means: the token itself or its id.
    pub async fn token(&self, token_or_id: &str) -> Result<Option<TokenCredentials>, StoreError> {
        let hash = TokenHash::of(token_or_id);
        let id = token_or_id.to_owned();
        self.database
            .read(move |connection| {
                let row: Option<TokenRow> = token_credentials::table
                    .filter(token_credentials::token_hash.eq(hash.as_bytes().to_vec()).or(token_credentials::id.eq(id)))
                    .select(TokenRow::as_select())
                    .first(connection)
                    .optional()?;
                row.map(TokenRow::into_token).transpose()
            })
            .await
    }

    /// Revokes one access token; revoking it again is no error. The grant stays.
    pub async fn revoke_token(&self, id: &TokenId, by: &By) -> Result<(), DelegationError> {
        let (id, by) = (id.clone(), by.clone());
        self.database
            .write(move |transaction| {
                let row: TokenRow = token_credentials::table
                    .find(id.as_str())
                    .select(TokenRow::as_select())
                    .first(transaction.connection)
                    .optional()?
                    .ok_or(DelegationError::TokenNotFound)?;
                let token = row.into_token()?;
                let revoked = diesel::update(token_credentials::table.find(id.as_str()))
                    .filter(token_credentials::revoked_at.is_null())
                    .set(token_credentials::revoked_at.eq(by.now.unix()))
                    .execute(transaction.connection)?;
                if revoked > 0 {
                    transaction.note(Change::Token(token.token));
                    if token.scopes.contains(Scope::manage_write().as_str()) {
                        super::api_keys::end_impersonations(transaction, &token.account, &by)?;
                    }
                    let mut entry = Entry::new(Event::TokenRevoked, id.as_str()).with_client(&token.client_key);
                    if let Some(holder) = accounts::find(transaction.connection, &token.account)? {
                        entry = entry.of(&holder);
                    }
                    audit::append(transaction.connection, entry, &by)?;
                }
                Ok(())
            })
            .await
    }

    /// Ends a grant and revokes all its tokens.
    pub async fn revoke_grant(&self, id: &GrantId, by: &By) -> Result<(), DelegationError> {
        let (id, by) = (id.clone(), by.clone());
        self.database
            .write(move |transaction| {
                let grant = find_grant(transaction.connection, &id)?.ok_or(DelegationError::GrantNotFound)?;
                end_grant(transaction, &grant, &by)
            })
            .await
    }

    /// Ends all grants of an account; tells how many.
    pub async fn revoke_all_of_account(&self, account: &AccountId, by: &By) -> Result<usize, DelegationError> {
        let (account, by) = (account.clone(), by.clone());
        self.database
            .write(move |transaction| {
                withdraw_approvals(transaction, &account, None, by.now)?;
                let rows: Vec<GrantRow> = grants::table
                    .filter(grants::account.eq(account.as_str()))
                    .select(GrantRow::as_select())
                    .load(transaction.connection)?;
                let ended = rows.len();
                for row in rows {
                    end_grant(transaction, &row.into_grant()?, &by)?;
                }
                Ok(ended)
            })
            .await
    }

    /// Deletes request tokens that expired before `time`, at most `most`, so that nobody waits long; tells how many.
    pub async fn delete_ended_temporaries(&self, time: Timestamp, most: u16) -> Result<usize, StoreError> {
        self.database
            .write(move |transaction| {
                let ended: Vec<Vec<u8>> = temporary_credentials::table
                    .filter(temporary_credentials::expires_at.lt(time.unix()))
                    .select(temporary_credentials::token_hash)
                    .limit(i64::from(most))
                    .load(transaction.connection)?;
                let mut deleted = 0;
                for token in ended {
                    deleted +=
                        diesel::delete(temporary_credentials::table.find(token)).execute(transaction.connection)?;
                }
                Ok(deleted)
            })
            .await
    }

    /// Deletes access tokens that were revoked or expired before `time`, at most `most` of each; tells how many.
    pub async fn delete_ended_tokens(&self, time: Timestamp, most: u16) -> Result<usize, StoreError> {
        self.database
            .write(move |transaction| {
                let (time, most) = (time.unix(), i64::from(most));
                let revoked: Vec<String> = token_credentials::table
                    .filter(token_credentials::revoked_at.lt(time))
                    .select(token_credentials::id)
                    .limit(most)
                    .load(transaction.connection)?;
                let expired: Vec<String> = token_credentials::table
                    .filter(token_credentials::expires_at.lt(time))
                    .select(token_credentials::id)
                    .limit(most)
                    .load(transaction.connection)?;
                let mut deleted = 0;
                for id in revoked.into_iter().chain(expired) {
                    deleted += diesel::delete(token_credentials::table.find(id)).execute(transaction.connection)?;
                }
                Ok(deleted)
            })
            .await
    }
}

/// The credentials after a decision, or why there was none: `decided` rows were changed.
fn decision(
    transaction: &mut Transaction<'_>,
    token: &TokenHash,
    decided: usize,
    now: Timestamp,
) -> Result<TemporaryCredentials, DelegationError> {
    let row = find_temporary(transaction.connection, token)?.ok_or(TemporaryRefusal::Unknown)?;
    let credentials = row.into_credentials()?;
    if decided == 0 {
        credentials.decidable(now)?;
        // Nothing speaks against it now, yet it was not so a moment ago: the clock went back.
        return Err(TemporaryRefusal::Expired.into());
    }
    Ok(credentials)
}

/// Adds an access token and the grant under it, in the transaction that decided to.
fn issue(
    transaction: &mut Transaction<'_>,
    vault: &Vault,
    client_key: &ClientKey,
    holder: Account,
    scopes: Scopes,
    lifetime: Option<Lifetime>,
    by: &By,
) -> Result<IssuedToken, DelegationError> {
    let (token, secret, id) = {
        let mut rng = rand::rng();
        (generate_token(&mut rng), Secret::generate(&mut rng), TokenId::generate(&mut rng))
    };
    let grant = extend_grant(transaction, &holder.id, client_key, &scopes, by.now)?;
    let credentials = TokenCredentials {
        id,
        token: TokenHash::of(token.expose()),
        hint: Hint::of(token.expose()),
        client_key: client_key.clone(),
        account: holder.id.clone(),
        grant,
        scopes,
        created_at: by.now,
        expires_at: lifetime.map(|lifetime| by.now + lifetime),
        revoked_at: None,
    };
    insert_token(transaction, vault, &credentials, &secret)?;
    let entry = Entry::new(Event::TokenIssued, credentials.id.as_str())
        .of(&holder)
        .with_client(client_key)
        .because(credentials.scopes.to_string());
    audit::append(transaction.connection, entry, by)?;
    let client = clients::find(transaction.connection, client_key)?.ok_or(DelegationError::ClientNotFound)?;
    let live = holder.scopes.admit(&credentials.scopes.intersection(&client.scopes));
    Ok(IssuedToken { token, secret, credentials, username: holder.username, live })
}

pub(super) fn insert_token(
    transaction: &mut Transaction<'_>,
    vault: &Vault,
    token: &TokenCredentials,
    secret: &Secret,
) -> Result<(), DelegationError> {
    let row = TokenRow::from_token(token);
    let sealed = seal(vault, TOKEN, &token.token, secret);
    let inserted = diesel::insert_into(token_credentials::table)
        .values((row, token_credentials::sealed_secret.eq(sealed)))
        .execute(transaction.connection);
    match inserted {
        Err(error) if is_taken(&error) => Err(DelegationError::TokenTaken),
        other => {
            other?;
            Ok(())
        }
    }
}

/// The one grant of this account to this client, with `scopes` added to it.
pub(super) fn extend_grant(
    transaction: &mut Transaction<'_>,
    account: &AccountId,
    client_key: &ClientKey,
    scopes: &Scopes,
    now: Timestamp,
) -> Result<GrantId, DelegationError> {
    // The insert decides; the update that does nothing locks the row that was there, so that a revocation under way
    // has either ended the grant before this or will find the token. Both databases read this text alike.
    let inserted = diesel::sql_query(
        "INSERT INTO grants (id, account, client_key, scopes, created_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (account, client_key) DO UPDATE SET client_key = excluded.client_key",
    )
    .bind::<Text, _>(GrantId::generate(&mut rand::rng()).to_string())
    .bind::<Text, _>(account.to_string())
    .bind::<Text, _>(client_key.to_string())
    .bind::<Text, _>(scopes.to_string())
    .bind::<BigInt, _>(now.unix())
    .execute(transaction.connection);
    match inserted {
        Err(error) if is_dangling(&error) => return Err(DelegationError::ClientNotFound),
        other => other?,
    };
    let row: GrantRow = grants::table
        .filter(grants::account.eq(account.as_str()))
        .filter(grants::client_key.eq(client_key.as_str()))
        .select(GrantRow::as_select())
        .first(transaction.connection)?;
    let grant = row.into_grant()?;
    if !scopes.is_subset(&grant.scopes) {
        diesel::update(grants::table.find(grant.id.as_str()))
            .set(grants::scopes.eq(grant.scopes.union(scopes).to_string()))
            .execute(transaction.connection)?;
    }
    Ok(grant.id)
}

/// What was allowed and not yet exchanged is not allowed any more. `client_key`: only to this client. It comes before all else in
/// its transaction: an exchange under way holds its row, and has then left a grant behind.
fn withdraw_approvals(
    transaction: &mut Transaction<'_>,
    account: &AccountId,
    client_key: Option<&ClientKey>,
    now: Timestamp,
) -> Result<(), DelegationError> {
    // What is over is left to the housekeeping, which may be at it.
    let approvals = temporary_credentials::table
        .filter(temporary_credentials::state.eq(AUTHORIZED))
        .filter(temporary_credentials::expires_at.ge(now.unix()))
        .filter(temporary_credentials::account.eq(account.as_str()));
    let denied = temporary_credentials::state.eq(DENIED);
    match client_key {
        Some(client_key) => {
            let to_client = approvals.filter(temporary_credentials::client_key.eq(client_key.as_str()));
            diesel::update(to_client).set(denied).execute(transaction.connection)?;
        }
        None => {
            diesel::update(approvals).set(denied).execute(transaction.connection)?;
        }
    }
    Ok(())
}

fn end_grant(transaction: &mut Transaction<'_>, grant: &Grant, by: &By) -> Result<(), DelegationError> {
    withdraw_approvals(transaction, &grant.account, Some(&grant.client_key), by.now)?;
    // The grant first: its row is where this waits for an exchange under way, whose token is then found below.
    diesel::delete(grants::table.find(grant.id.as_str())).execute(transaction.connection)?;
    let alive = token_credentials::table
        .filter(token_credentials::grant_id.eq(grant.id.as_str()))
        .filter(token_credentials::revoked_at.is_null());
    let tokens: Vec<Vec<u8>> = alive.select(token_credentials::token_hash).load(transaction.connection)?;
    for token in tokens {
        transaction.note(Change::Token(stored_hash(&token)?));
    }
    diesel::update(alive).set(token_credentials::revoked_at.eq(by.now.unix())).execute(transaction.connection)?;
    if grant.scopes.contains(Scope::manage_write().as_str()) {
        super::api_keys::end_impersonations(transaction, &grant.account, by)?;
    }
    let mut entry = Entry::new(Event::GrantRevoked, grant.client_key.as_str()).with_client(&grant.client_key);
    if let Some(holder) = accounts::find(transaction.connection, &grant.account)? {
        entry = entry.of(&holder);
    }
    audit::append(transaction.connection, entry, by)?;
    Ok(())
}
