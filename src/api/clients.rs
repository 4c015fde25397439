//! Clients: registered apps.

use actix_web::HttpResponse;

use super::accounts::may_give;
use super::call::{Call, done, made, one};
use super::failure::Failed;
use super::operations::Action;
use crate::domain::account::Account;
use crate::domain::client::{Callback, Client, RsaPublicKey, SignatureMethods};
use crate::domain::credentials::ClientKey;
use crate::domain::scope::{Scope, ScopeLimit, Scopes};
use crate::shape::ClientShape;
use crate::store::clients::{ClientFilter, ClientUpdate, NewClient};
use crate::time::Lifetime;

/// `GET /clients`
pub async fn list(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let filter = ClientFilter { owner: call.account_filter("owner").await?, client_key: call.client_filter()? };
    let listing = call.store.clients.list(&call.reach(), filter, call.now(), call.page()?).await?;
    Ok(call.listed(&listing, |client| ClientShape::from(client)))
}

/// `POST /clients`
pub async fn create(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let owner = call.account_in("owner").await?;
    let name = call.fields.text("name").unwrap_or_default();
    let new = NewClient {
        callbacks: callbacks(call)?.unwrap_or_default(),
        scopes: scopes(call, &owner)?.unwrap_or_else(Scopes::none),
        signature_methods: methods(call)?.unwrap_or(call.house.settings.signature_methods),
        rsa_public_key: rsa_public_key(call)?.flatten(),
        http_auth: call.fields.switch("http_auth").unwrap_or(true),
        ..NewClient::named(owner.id.clone(), name)
    };
    let issued = call.store.clients.create(new, &call.by()).await?;
    made(&ClientShape::issued(&issued, owner.username.as_str()))
}

/// `GET /clients/{client_key}`
pub async fn show(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let (client, _) = reached(call).await?;
    answer(call, &client.client_key).await
}

/// `PATCH /clients/{client_key}`
pub async fn update(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let (client, owner) = reached(call).await?;
    // It may be put to rest by anybody who reaches it.
    let only_rests = call.fields.text("status") == Some("disabled") && call.fields.count() == 1;
    if !only_rests {
        may_change(call, &client)?;
    }
    let key = client.client_key;
    if call.fields.given("rsa_public_key") {
        answers_for(call, &client.scopes, &owner)?;
    }
    let enabled = match call.fields.text("status") {
        Some("active") => Some(true),
        Some("disabled") => Some(false),
        Some(other) => return Err(Failed::field("status", format!("{other:?} is not active or disabled"))),
        None => None,
    };
    let update = ClientUpdate {
        name: call.fields.text("name").map(str::to_owned),
        callbacks: callbacks(call)?,
        scopes: scopes(call, &owner)?,
        signature_methods: methods(call)?,
        rsa_public_key: rsa_public_key(call)?,
        http_auth: call.fields.switch("http_auth"),
        enabled,
    };
    let updated = ["name", "callbacks", "scopes", "signature_methods", "rsa_public_key", "http_auth"];
    match enabled {
        // Nothing else was asked for, nor is written down.
        Some(enabled) if !updated.iter().any(|field| call.fields.given(field)) => {
            call.store.clients.set_enabled(&key, enabled, &call.by()).await?;
        }
        Some(_) | None => {
            call.store.clients.update(&key, update, &call.by()).await?;
        }
    }
    answer(call, &key).await
}

/// `DELETE /clients/{client_key}`
pub async fn delete(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let (client, _) = reached(call).await?;
    call.store.clients.delete(&client.client_key, &call.by()).await?;
    done()
}

/// `POST /clients/{client_key}/rotate-secret`
pub async fn rotate_secret(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let (client, owner) = reached(call).await?;
    may_change(call, &client)?;
    answers_for(call, &client.scopes, &owner)?;
    let grace = Lifetime::from_seconds(call.fields.seconds("grace").unwrap_or(0));
    let issued = call.store.clients.rotate_secret(&client.client_key, grace, &call.by()).await?;
    one(&ClientShape::issued(&issued, owner.username.as_str()))
}

/// `POST /clients/{client_key}/disable`, `/enable`
pub async fn stand(call: &Call<'_>, action: Action) -> Result<HttpResponse, Failed> {
    let (client, _) = reached(call).await?;
    let key = client.client_key;
    call.store.clients.set_enabled(&key, action != Action::DisableClient, &call.by()).await?;
    answer(call, &key).await
}

/// The client that the path names and its owner, who is within reach.
async fn reached(call: &Call<'_>) -> Result<(Client, Account), Failed> {
    let key = ClientKey::parse(call.named.as_str()).map_err(|_| Failed::NotFound("client"))?;
    let client = call.store.clients.find(&key).await?.ok_or(Failed::NotFound("client"))?;
    let owner = call.owner(&client.owner, "client").await?;
    Ok((client, owner))
}

async fn answer(call: &Call<'_>, key: &ClientKey) -> Result<HttpResponse, Failed> {
    let found = call.store.clients.show(key, call.now()).await?;
    one(&ClientShape::from(&found.ok_or(Failed::NotFound("client"))?))
}

fn callbacks(call: &Call<'_>) -> Result<Option<Vec<Callback>>, Failed> {
    let Some(given) = call.fields.texts("callbacks") else { return Ok(None) };
    let parsed = given.into_iter().map(Callback::parse).collect::<Result<_, _>>();
    parsed.map(Some).map_err(|error| Failed::field("callbacks", error))
}

/// An app comes by no client that manages: it would go on after the app was revoked. `client`: the scopes that such a client has,
/// or gets.
fn not_by_an_app(call: &Call<'_>, client: &Scopes) -> Result<(), Failed> {
    if call.is_app() && client.iter().any(Scope::is_management) {
        return Err(Failed::Forbidden("scopes: an app makes and changes no client that manages."));
    }
    Ok(())
}

/// An app changes itself, and other clients that manage nothing.
fn may_change(call: &Call<'_>, client: &Client) -> Result<(), Failed> {
    let is_itself = call.identity.client().is_some_and(|caller| caller.client.client_key == client.client_key);
    if is_itself { Ok(()) } else { not_by_an_app(call, &client.scopes) }
}

/// A client without a token acts as its owner. So no credential that may do less than its account comes by one that may do
/// more.
fn answers_for(call: &Call<'_>, client: &Scopes, owner: &Account) -> Result<(), Failed> {
    let acts_with: Scopes = client.iter().filter(|scope| owner.scopes.admits(scope.as_str())).cloned().collect();
    may_give(call, Some(owner), &ScopeLimit::Only(acts_with))
}

/// What rules the server itself is only given by those who hold it, to apps of those who hold it.
fn scopes(call: &Call<'_>, owner: &Account) -> Result<Option<Scopes>, Failed> {
    let Some(given) = call.fields.texts("scopes") else { return Ok(None) };
    let scopes = Scopes::parse_each(given).map_err(|error| Failed::field("scopes", error))?;
    let held = |scope: &str| owner.scopes.admits(scope) && call.account().scopes.admits(scope);
    if let Some(beyond) = scopes.iter().find(|scope| scope.is_management() && !held(scope.as_str())) {
        return Err(Failed::field("scopes", format!("{beyond} is more than caller and owner have")));
    }
    not_by_an_app(call, &scopes)?;
    answers_for(call, &scopes, owner)?;
    Ok(Some(scopes))
}

fn methods(call: &Call<'_>) -> Result<Option<SignatureMethods>, Failed> {
    let Some(given) = call.fields.texts("signature_methods") else { return Ok(None) };
    if given.is_empty() {
        return Err(Failed::field("signature_methods", "a client needs one at least"));
    }
    let methods = SignatureMethods::from_names(given);
    methods.map(Some).map_err(|error| Failed::field("signature_methods", error))
}

fn rsa_public_key(call: &Call<'_>) -> Result<Option<Option<RsaPublicKey>>, Failed> {
    match call.fields.nullable("rsa_public_key") {
        None => Ok(None),
        Some(None) => Ok(Some(None)),
        Some(Some(pem)) => {
            let key = RsaPublicKey::parse(pem).map_err(|error| Failed::field("rsa_public_key", error))?;
            Ok(Some(Some(key)))
        }
    }
}
