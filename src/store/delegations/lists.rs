//! Tokens and grants as lists show them, within somebody's reach.

use diesel::prelude::*;

use crate::domain::account::Reach;
use crate::domain::credentials::{AccountId, ClientKey, TokenId, Username};
use crate::domain::delegation::{Grant, TokenCredentials};
use crate::store::connection::MultiBackend;
use crate::store::delegations::Delegations;
use crate::store::delegations::rows::{GrantRow, TokenRow};
use crate::store::error::StoreError;
use crate::store::page::{Cursor, Listing, Page};
use crate::store::schema::{accounts as accounts_table, clients, grants, token_credentials};
use crate::time::Timestamp;

/// A token as lists show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenSummary {
    pub token: TokenCredentials,
    pub username: Username,
    pub client_name: String,
    /// A minute may pass before a use is seen here.
    pub last_used_at: Option<Timestamp>,
}

/// A grant as "Connected apps" shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrantSummary {
    pub grant: Grant,
    pub username: Username,
    pub client_name: String,
    /// Tokens that are neither revoked nor expired.
    pub active_tokens: i64,
    /// The last use of any of its tokens; a minute may pass before it is seen here.
    pub last_used_at: Option<Timestamp>,
}

/// Which tokens to list. All conditions hold together.
#[derive(Clone, Default, Debug)]
pub struct TokenFilter {
    pub account: Option<AccountId>,
    pub client_key: Option<ClientKey>,
    /// That one alone.
    pub id: Option<TokenId>,
    /// Only tokens that are neither revoked nor expired then.
    pub alive_at: Option<Timestamp>,
}

/// Which grants to list.
#[derive(Clone, Default, Debug)]
pub struct GrantFilter {
    pub account: Option<AccountId>,
    pub client_key: Option<ClientKey>,
}

impl Delegations {
    /// Tokens within `reach`, newest first. An account reaches its own and those of its clients, a company what its
    /// accounts reach.
    pub async fn tokens(
        &self,
        reach: &Reach,
        filter: TokenFilter,
        page: Page,
    ) -> Result<Listing<TokenSummary>, StoreError> {
        let reach = reach.clone();
        let owners = diesel::alias!(accounts_table as token_client_owners);
        self.database
            .read(move |connection| {
                let mut query = token_credentials::table
                    .inner_join(accounts_table::table)
                    .inner_join(clients::table)
                    .select((
                        TokenRow::as_select(),
                        accounts_table::username,
                        clients::name,
                        token_credentials::last_used_at,
                    ))
                    .into_boxed::<MultiBackend>();
                match reach {
                    Reach::Everything => {}
                    Reach::Company(company) => {
                        let company = company.to_string();
                        let of_company = owners.filter(owners.field(accounts_table::company).eq(company.clone()));
                        let ids = of_company.select(owners.field(accounts_table::id));
                        query = query.filter(
                            accounts_table::company.eq(company).assume_not_null().or(clients::owner.eq_any(ids)),
                        );
                    }
                    Reach::Account(id) => {
                        query = query.filter(
                            token_credentials::account.eq(id.to_string()).or(clients::owner.eq(id.to_string())),
                        );
                    }
                }
                if let Some(account) = filter.account {
                    query = query.filter(token_credentials::account.eq(account.to_string()));
                }
                if let Some(client_key) = filter.client_key {
                    query = query.filter(token_credentials::client_key.eq(client_key.to_string()));
                }
                if let Some(id) = filter.id {
                    query = query.filter(token_credentials::id.eq(id.to_string()));
                }
                if let Some(now) = filter.alive_at {
                    query = query.filter(token_credentials::revoked_at.is_null()).filter(
                        token_credentials::expires_at
                            .is_null()
                            .or(token_credentials::expires_at.gt(now.unix()).assume_not_null()),
                    );
                }
                if let Some(after) = &page.after {
                    query = query.filter(
                        token_credentials::created_at.lt(after.created_at).or(token_credentials::created_at
                            .eq(after.created_at)
                            .and(token_credentials::id.lt(after.id.clone()))),
                    );
                }
                let rows: Vec<(TokenRow, String, String, Option<i64>)> = query
                    .order((token_credentials::created_at.desc(), token_credentials::id.desc()))
                    .limit(page.rows())
                    .load(connection)?;
                let items = rows
                    .into_iter()
                    .map(|(row, username, client_name, last_used_at)| {
                        Ok(TokenSummary {
                            token: row.into_token()?,
                            username: stored_username(username)?,
                            client_name,
                            last_used_at: last_used_at.map(Timestamp::from_unix),
                        })
                    })
                    .collect::<Result<_, StoreError>>()?;
                Ok(Listing::cut(items, &page, |item: &TokenSummary| Cursor {
                    created_at: item.token.created_at.unix(),
                    id: item.token.id.to_string(),
                }))
            })
            .await
    }

    /// Grants within `reach`, newest first. An account reaches its own: what others have allowed its clients, it sees by
    /// their tokens. A company reaches what its accounts do.
    pub async fn grants(
        &self,
        reach: &Reach,
        filter: GrantFilter,
        now: Timestamp,
        page: Page,
    ) -> Result<Listing<GrantSummary>, StoreError> {
        let reach = reach.clone();
        self.database
            .read(move |connection| {
                let mut query = grants::table
                    .inner_join(accounts_table::table)
                    .inner_join(clients::table)
                    .select((GrantRow::as_select(), accounts_table::username, clients::name))
                    .into_boxed::<MultiBackend>();
                match reach {
                    Reach::Everything => {}
                    Reach::Company(company) => {
                        query = query.filter(accounts_table::company.eq(company.to_string()));
                    }
                    Reach::Account(id) => query = query.filter(grants::account.eq(id.to_string())),
                }
                if let Some(account) = filter.account {
                    query = query.filter(grants::account.eq(account.to_string()));
                }
                if let Some(client_key) = filter.client_key {
                    query = query.filter(grants::client_key.eq(client_key.to_string()));
                }
                if let Some(after) = &page.after {
                    query = query.filter(
                        grants::created_at
                            .lt(after.created_at)
                            .or(grants::created_at.eq(after.created_at).and(grants::id.lt(after.id.clone()))),
                    );
                }
                let rows: Vec<(GrantRow, String, String)> =
                    query.order((grants::created_at.desc(), grants::id.desc())).limit(page.rows()).load(connection)?;
                let mut items = Vec::with_capacity(rows.len());
                for (row, username, client_name) in rows {
                    let of_grant = token_credentials::table.filter(token_credentials::grant_id.eq(row.id.as_str()));
                    let active_tokens: i64 = of_grant
                        .filter(token_credentials::revoked_at.is_null())
                        .filter(
                            token_credentials::expires_at
                                .is_null()
                                .or(token_credentials::expires_at.gt(now.unix()).assume_not_null()),
                        )
                        .count()
                        .get_result(connection)?;
                    let last_used_at: Option<i64> =
                        of_grant.select(diesel::dsl::max(token_credentials::last_used_at)).get_result(connection)?;
                    items.push(GrantSummary {
                        grant: row.into_grant()?,
                        username: stored_username(username)?,
                        client_name,
                        active_tokens,
                        last_used_at: last_used_at.map(Timestamp::from_unix),
                    });
                }
                Ok(Listing::cut(items, &page, |item: &GrantSummary| Cursor {
                    created_at: item.grant.created_at.unix(),
                    id: item.grant.id.to_string(),
                }))
            })
            .await
    }
}

fn stored_username(text: String) -> Result<Username, StoreError> {
    Username::parse(text).map_err(|_| StoreError::Corrupt { what: "accounts.username" })
}
