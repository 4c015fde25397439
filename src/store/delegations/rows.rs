//! How temporary credentials, token credentials and grants lie in their tables, and how one is found.

use diesel::prelude::*;

use crate::domain::client::Callback;
use crate::domain::credentials::{AccountId, ClientKey, GrantId, Hint, Secret, TokenHash, TokenId};
use crate::domain::delegation::{Grant, TemporaryCredentials, TemporaryState, TokenCredentials};
use crate::domain::scope::Scopes;
use crate::store::connection::AnyConnection;
use crate::store::error::StoreError;
use crate::store::schema::{grants, temporary_credentials, token_credentials};
use crate::store::vault::{Place, Vault};
use crate::time::Timestamp;

pub(super) const PENDING: &str = "pending";
pub(super) const AUTHORIZED: &str = "authorized";
pub(super) const DENIED: &str = "denied";
pub(super) const EXCHANGED: &str = "exchanged";
pub(super) const EXHAUSTED: &str = "exhausted";

pub(in crate::store) const TEMPORARY: &str = "temporary_credentials.secret";
pub(in crate::store) const TOKEN: &str = "token_credentials.secret";

pub(super) fn seal(vault: &Vault, column: &'static str, token: &TokenHash, secret: &Secret) -> Vec<u8> {
    vault.seal(secret, Place { column, row: &token.to_hex() })
}

pub(super) fn open(
    vault: &Vault,
    column: &'static str,
    token: &TokenHash,
    sealed: &[u8],
) -> Result<Secret, StoreError> {
    vault.open(sealed, Place { column, row: &token.to_hex() })
}

pub(super) fn find_grant(connection: &mut AnyConnection, id: &GrantId) -> Result<Option<Grant>, StoreError> {
    let row: Option<GrantRow> =
        grants::table.find(id.as_str()).select(GrantRow::as_select()).first(connection).optional()?;
    row.map(GrantRow::into_grant).transpose()
}

pub(super) fn find_temporary(
    connection: &mut AnyConnection,
    token: &TokenHash,
) -> Result<Option<TemporaryRow>, StoreError> {
    Ok(temporary_credentials::table
        .find(token.as_bytes().as_slice())
        .select(TemporaryRow::as_select())
        .first(connection)
        .optional()?)
}

/// The access token with this hash and its secret, also if it has ended.
pub(in crate::store) fn find_token(
    connection: &mut AnyConnection,
    vault: &Vault,
    token: &TokenHash,
) -> Result<Option<(TokenCredentials, Secret)>, StoreError> {
    let row: Option<(TokenRow, Vec<u8>)> = token_credentials::table
        .filter(token_credentials::token_hash.eq(token.as_bytes().as_slice()))
        .select((TokenRow::as_select(), token_credentials::sealed_secret))
        .first(connection)
        .optional()?;
    row.map(|(row, sealed)| Ok((row.into_token()?, open(vault, TOKEN, token, &sealed)?))).transpose()
}

pub(in crate::store) fn stored_hash(bytes: &[u8]) -> Result<TokenHash, StoreError> {
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| StoreError::Corrupt { what: "token_credentials.token_hash" })?;
    Ok(TokenHash::from_bytes(bytes))
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = temporary_credentials)]
pub(super) struct TemporaryRow {
    token_hash: Vec<u8>,
    pub(super) client_key: String,
    pub(super) sealed_secret: Vec<u8>,
    callback: String,
    scopes: String,
    state: String,
    account: Option<String>,
    consented_scopes: Option<String>,
    created_at: i64,
    expires_at: i64,
}

impl TemporaryRow {
    pub(super) fn into_credentials(self) -> Result<TemporaryCredentials, StoreError> {
        let corrupt = |what| StoreError::Corrupt { what };
        let account =
            self.account.map(AccountId::parse).transpose().map_err(|_| corrupt("temporary_credentials.account"))?;
        let state = match (self.state.as_str(), account, self.consented_scopes) {
            (PENDING, ..) => TemporaryState::Pending,
            (AUTHORIZED, Some(account), Some(scopes)) => TemporaryState::Authorized {
                account,
                scopes: Scopes::parse(&scopes).map_err(|_| corrupt("temporary_credentials.consented_scopes"))?,
            },
            (DENIED, Some(account), _) => TemporaryState::Denied { account },
            (EXCHANGED, ..) => TemporaryState::Exchanged,
            (EXHAUSTED, ..) => TemporaryState::Exhausted,
            _ => return Err(corrupt("temporary_credentials.state")),
        };
        Ok(TemporaryCredentials {
            token: stored_hash(&self.token_hash)?,
            client_key: ClientKey::parse(self.client_key).map_err(|_| corrupt("temporary_credentials.client_key"))?,
            callback: Callback::parse(&self.callback).map_err(|_| corrupt("temporary_credentials.callback"))?,
            scopes: Scopes::parse(&self.scopes).map_err(|_| corrupt("temporary_credentials.scopes"))?,
            state,
            created_at: Timestamp::from_unix(self.created_at),
            expires_at: Timestamp::from_unix(self.expires_at),
        })
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = token_credentials, treat_none_as_default_value = false)]
pub(super) struct TokenRow {
    id: String,
    token_hash: Vec<u8>,
    hint: String,
    client_key: String,
    account: String,
    grant_id: String,
    scopes: String,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl TokenRow {
    pub(super) fn from_token(token: &TokenCredentials) -> Self {
        Self {
            id: token.id.to_string(),
            token_hash: token.token.as_bytes().to_vec(),
            hint: token.hint.to_string(),
            client_key: token.client_key.to_string(),
            account: token.account.to_string(),
            grant_id: token.grant.to_string(),
            scopes: token.scopes.to_string(),
            created_at: token.created_at.unix(),
            expires_at: token.expires_at.map(Timestamp::unix),
            revoked_at: token.revoked_at.map(Timestamp::unix),
        }
    }

    pub(super) fn into_token(self) -> Result<TokenCredentials, StoreError> {
        let corrupt = |what| StoreError::Corrupt { what };
        Ok(TokenCredentials {
            id: TokenId::parse(self.id).map_err(|_| corrupt("token_credentials.id"))?,
            token: stored_hash(&self.token_hash)?,
            hint: Hint::from_stored(self.hint),
            client_key: ClientKey::parse(self.client_key).map_err(|_| corrupt("token_credentials.client_key"))?,
            account: AccountId::parse(self.account).map_err(|_| corrupt("token_credentials.account"))?,
            grant: GrantId::parse(self.grant_id).map_err(|_| corrupt("token_credentials.grant_id"))?,
            scopes: Scopes::parse(&self.scopes).map_err(|_| corrupt("token_credentials.scopes"))?,
            created_at: Timestamp::from_unix(self.created_at),
            expires_at: self.expires_at.map(Timestamp::from_unix),
            revoked_at: self.revoked_at.map(Timestamp::from_unix),
        })
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = grants)]
pub(super) struct GrantRow {
    pub(super) id: String,
    account: String,
    client_key: String,
    scopes: String,
    created_at: i64,
}

impl GrantRow {
    pub(super) fn into_grant(self) -> Result<Grant, StoreError> {
        let corrupt = |what| StoreError::Corrupt { what };
        Ok(Grant {
            id: GrantId::parse(self.id).map_err(|_| corrupt("grants.id"))?,
            account: AccountId::parse(self.account).map_err(|_| corrupt("grants.account"))?,
            client_key: ClientKey::parse(self.client_key).map_err(|_| corrupt("grants.client_key"))?,
            scopes: Scopes::parse(&self.scopes).map_err(|_| corrupt("grants.scopes"))?,
            created_at: Timestamp::from_unix(self.created_at),
        })
    }
}
