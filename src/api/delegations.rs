//! Access tokens and grants: what account holders have allowed. A token is within reach of its account and of the
//! client's owner, as the store's lists say.

use actix_web::HttpResponse;

use super::call::{Call, done, one};
use super::failure::Failed;
use crate::domain::credentials::{ClientKey, GrantId};
use crate::shape::{GrantShape, TokenShape};
use crate::store::delegations::{GrantFilter, GrantSummary, TokenFilter, TokenSummary};
use crate::store::page::Page;

/// `GET /tokens`
pub async fn tokens(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let filter = TokenFilter {
        account: call.account_filter("account").await?,
        client_key: call.client_filter()?,
        ..TokenFilter::default()
    };
    let listing = call.store.delegations.tokens(&call.reach(), filter, call.page()?).await?;
    Ok(call.listed(&listing, |token| TokenShape::new(token, call.now())))
}

/// `GET /tokens/{id}`
pub async fn token(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    one(&TokenShape::new(&reached_token(call).await?, call.now()))
}

/// `DELETE /tokens/{id}`
pub async fn revoke_token(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let token = reached_token(call).await?;
    call.store.delegations.revoke_token(&token.token.id, &call.by()).await?;
    done()
}

/// `GET /grants`
pub async fn grants(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let filter = GrantFilter { account: call.account_filter("account").await?, client_key: call.client_filter()? };
    let listing = call.store.delegations.grants(&call.reach(), filter, call.now(), call.page()?).await?;
    Ok(call.listed(&listing, |grant| GrantShape::from(grant)))
}

/// `GET /grants/{id}`
pub async fn grant(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    one(&GrantShape::from(&reached_grant(call).await?))
}

/// `DELETE /grants/{id}`
pub async fn revoke_grant(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let grant = reached_grant(call).await?;
    call.store.delegations.revoke_grant(&grant.grant.id, &call.by()).await?;
    done()
}

/// `DELETE /grants?username=…&client_key=…`
pub async fn revoke_grant_of(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let needed = |name: &str| call.asked(name).ok_or_else(|| Failed::field(name, "is missing"));
    let (username, client_key) = (needed("username")?, needed("client_key")?);
    let client_key = ClientKey::parse(client_key).map_err(|error| Failed::field("client_key", error))?;
    let account = call.reached(&username).await?;
    let grant = call.store.delegations.grant_of(&account.id, &client_key).await?.ok_or(Failed::NotFound("grant"))?;
    call.store.delegations.revoke_grant(&grant.id, &call.by()).await?;
    done()
}

async fn reached_token(call: &Call<'_>) -> Result<TokenSummary, Failed> {
    let delegations = &call.store.delegations;
    let token = delegations.token(&call.named).await?.ok_or(Failed::NotFound("access token"))?;
    let filter = TokenFilter { id: Some(token.id), ..TokenFilter::default() };
    let listing = delegations.tokens(&call.reach(), filter, Page::first(1)).await?;
    listing.items.into_iter().next().ok_or(Failed::NotFound("access token"))
}

async fn reached_grant(call: &Call<'_>) -> Result<GrantSummary, Failed> {
    let delegations = &call.store.delegations;
    let id = GrantId::parse(call.named.as_str()).map_err(|_| Failed::NotFound("grant"))?;
    let grant = delegations.grant(&id).await?.ok_or(Failed::NotFound("grant"))?;
    // One grant per account and client.
    let filter = GrantFilter { account: Some(grant.account), client_key: Some(grant.client_key) };
    let listing = delegations.grants(&call.reach(), filter, call.now(), Page::first(1)).await?;
    listing.items.into_iter().find(|found| found.grant.id == id).ok_or(Failed::NotFound("grant"))
}
