//! Impersonation: an integrator or admin gets a short-lived API key for a member of its own company.

use actix_web::HttpResponse;
use serde_json::json;

use super::call::{Call, made};
use super::failure::Failed;
use crate::auth::enrolment;
use crate::domain::account::{Account, Role};
use crate::domain::api_key::ApiKey;
use crate::domain::credentials::{PublicKey, Secret};
use crate::store::Store;
use crate::store::api_keys::{ApiKeyError, NewApiKey};
use crate::store::audit::By;
use crate::time::{Lifetime, Timestamp};

/// A key to act with in a member's place. The private half is there for once.
pub struct Impersonation {
    pub public_key: PublicKey,
    pub private_key: Secret,
    pub expires_at: Timestamp,
}

/// `POST /api/v1/members/{username}/tokens`
pub async fn token(call: &Call<'_>) -> Result<HttpResponse, Failed> {
    let made_key = for_call(call).await?;
    made(&json!({
        "public_key": made_key.public_key.as_str(),
        "private_key": made_key.private_key.expose(),
        "expires_at": made_key.expires_at.to_rfc3339(),
    }))
}

/// The member that the call's path names, by username or id; for endpoints that answer in another shape.
///
/// # Errors
/// [`Failed::Forbidden`] for members as callers and others as targets; [`Failed::NotFound`] outside the company.
pub async fn for_call(call: &Call<'_>) -> Result<Impersonation, Failed> {
    if call.account.role == Role::Member {
        return Err(Failed::Forbidden("Only an integrator or admin may act for a member."));
    }
    let found = call.store.accounts.by_name_or_id(&call.named).await?;
    // Who is in another company is nobody here.
    let member = found
        .filter(|found| call.account.company.is_some() && found.company == call.account.company)
        .ok_or(Failed::NotFound("member"))?;
    let lifetime = call.settings.impersonation;
    Ok(impersonate(call.store, &call.settings.realm, &call.account, &member, lifetime, &call.by()).await?)
}

/// Makes the key, which ends by itself and dies with the actor's entitlement. The store checks that entitlement and
/// writes the audit log.
///
/// # Errors
/// [`ApiKeyError::MayNotImpersonate`], [`ApiKeyError::Store`].
pub async fn impersonate(
    store: &Store,
    realm: &str,
    actor: &Account,
    member: &Account,
    lifetime: Lifetime,
    by: &By,
) -> Result<Impersonation, ApiKeyError> {
    let (public_key, private_key) = {
        let mut rng = rand::rng();
        (PublicKey::generate(&mut rng), Secret::generate(&mut rng))
    };
    let expires_at = by.now + lifetime;
    let new = NewApiKey {
        digest: enrolment::private_key(&private_key, &public_key, member, realm),
        public_key,
        private_key: private_key.clone(),
        account: member.id.clone(),
        name: format!("impersonation by {}", actor.username).chars().take(100).collect(),
        // The member's, which never includes managing.
        scopes: None,
        expires_at: Some(expires_at),
        impersonator: Some(actor.id.clone()),
    };
    let ApiKey { public_key, .. } = store.api_keys.create(new, by).await?;
    Ok(Impersonation { public_key, private_key, expires_at })
}
