//! API keys.

use actix_web::HttpResponse;

use super::accounts::may_give;
use super::call::{Call, done, made, one};
use super::failure::Failed;
use crate::auth::enrolment;
use crate::domain::account::Account;
use crate::domain::api_key::{ApiKey, KeyPair};
use crate::domain::credentials::{PublicKey, Secret};
use crate::domain::scope::{Scope, ScopeLimit, Scopes};
use crate::shape::KeyShape;
use crate::store::api_keys::NewApiKey;
use crate::time::Lifetime;

/// `GET /keys`
pub async fn list(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let account = call.account_filter("account").await?;
    let listing = call.store.api_keys.list(&call.reach(), account.as_ref(), call.page()?).await?;
    Ok(call.listed(&listing, |key| KeyShape::listed(key, call.now())))
}

/// `POST /keys`
pub async fn create(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let account = call.account_in("account").await?;
    let scopes = match call.fields.texts("scopes").as_deref() {
        // As the answer says it where a key has none of its own.
        None | Some(["*"]) => None,
        Some(given) => Some(Scopes::parse_each(given).map_err(|error| Failed::field("scopes", error))?),
    };
    let beyond = |scope: &str| !account.scopes.admits(scope);
    if let Some(scope) = scopes.iter().flat_map(Scopes::iter).find(|scope| beyond(scope.as_str())) {
        return Err(Failed::field("scopes", format!("{scope} is more than the account has")));
    }
    may_give(call, Some(&account), &scopes.clone().map_or_else(|| account.scopes.clone(), ScopeLimit::Only))?;
    let scopes = if call.is_app() { of_an_app(scopes, &account)? } else { scopes };
    let expires_in = call.fields.seconds("expires_in");
    if expires_in == Some(0) {
        return Err(Failed::field("expires_in", "must be 1 or more"));
    }
    let KeyPair { public_key, private_key } = KeyPair::generate(&mut rand::rng());
    let new = NewApiKey {
        digest: enrolment::private_key(&private_key, &public_key, &account, &call.house.settings.realm),
        public_key,
        private_key: private_key.clone(),
        account: account.id.clone(),
        name: call.fields.text("name").unwrap_or_default().to_owned(),
        scopes,
        expires_at: expires_in.map(|seconds| call.now() + Lifetime::from_seconds(seconds)),
        impersonator: None,
    };
    let key = call.store.api_keys.create(new, &call.by()).await?;
    made(&KeyShape::issued(&key, &account, private_key, call.now()))
}

/// `GET /keys/{public_key}`
pub async fn show(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let (key, _) = reached(call).await?;
    let found = call.store.api_keys.show(&key.public_key).await?.ok_or(Failed::NotFound("API key"))?;
    one(&KeyShape::listed(&found, call.now()))
}

/// `POST /keys/{public_key}/regenerate`
pub async fn regenerate(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let (key, account) = reached(call).await?;
    if key.impersonator.is_some() {
        // Its private half is known to who acts for the account, and to nobody else.
        return Err(Failed::Forbidden("A key of an impersonation is deleted and made anew."));
    }
    may_give(call, Some(&account), &key.scopes.clone().map_or_else(|| account.scopes.clone(), ScopeLimit::Only))?;
    let private_key = Secret::generate(&mut rand::rng());
    let digest = enrolment::private_key(&private_key, &key.public_key, &account, &call.house.settings.realm);
    let key = call.store.api_keys.regenerate(&key.public_key, private_key.clone(), digest, &call.by()).await?;
    one(&KeyShape::issued(&key, &account, private_key, call.now()))
}

/// `DELETE /keys/{public_key}`
pub async fn delete(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let key = named(call).await?;
    // Whoever acts with it for somebody else ends that, too.
    if key.impersonator.as_ref().is_none_or(|actor| actor.account != call.account().id) {
        call.owner(&key.account, "API key").await?;
    }
    call.store.api_keys.delete(&key.public_key, &call.by()).await?;
    done()
}

/// A key is not held to what the app was given that makes it: it manages nothing, and does not grow with its account.
fn of_an_app(asked: Option<Scopes>, account: &Account) -> Result<Option<Scopes>, Failed> {
    match (asked, account.scopes.own().ceiling()) {
        (Some(asked), _) if asked.iter().any(Scope::is_management) => {
            Err(Failed::Forbidden("scopes: an app makes no key that manages."))
        }
        (None, ScopeLimit::Only(own)) => Ok(Some(own)),
        (asked, _) => Ok(asked),
    }
}

/// The key that the path names and its account, which is within reach.
async fn reached(call: &Call<'_>) -> Result<(ApiKey, Account), Failed> {
    let key = named(call).await?;
    let account = call.owner(&key.account, "API key").await?;
    Ok((key, account))
}

async fn named(call: &Call<'_>) -> Result<ApiKey, Failed> {
    let public_key = PublicKey::parse(call.named.as_str()).map_err(|_| Failed::NotFound("API key"))?;
    call.store.api_keys.find(&public_key).await?.ok_or(Failed::NotFound("API key"))
}
