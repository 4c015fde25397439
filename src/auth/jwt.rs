//! `Authorization: Bearer`: tokens of our own that spare a client the password on every request (RFC 7519, RFC 8725).
//!
//! A token says who proved what when it was made; what it is good for is asked anew each time: it dies with its
//! account, its client and its API key, and never carries more than they do now. The signature of a token that was
//! verified is remembered until the token ends.

use std::sync::Arc;

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::auth::basic::{Basic, check_standing, refuse_key};
use crate::auth::client_key;
use crate::auth::oauth::unavailable;
use crate::auth::signing_keys::{Kind, SigningKey, SigningKeyError};
use crate::auth::verdict::{Admission, Credential, Identity, Refusal, Rejection};
use crate::config::{ClientKeyRule, Way};
use crate::domain::credentials::{AccountId, PublicKey};
use crate::domain::scope::GrantedScopes;
use crate::protocol::request::ReceivedRequest;
use crate::store::directory::Directory;
use crate::time::{Lifetime, Timestamp};

/// Verified tokens that are remembered at most.
const REMEMBERED: usize = 50_000;

/// Longer than any token that is made here.
const MAXIMUM: usize = 4096;

/// Tokens of our own.
pub struct Tokens {
    directory: Directory,
    key: Arc<SigningKey>,
    issuer: String,
    lifetime: Lifetime,
    verified: Cache<[u8; 32], Arc<Claims>>,
}

/// What a token says (RFC 7519 §4).
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The account's id.
    sub: String,
    iat: i64,
    exp: i64,
    jti: String,
    scope: String,
    username: String,
    company: Option<String>,
    /// The client key that came with the password.
    client: Option<String>,
    /// The public half of the API key that the token was made with; none: the password.
    key: Option<String>,
    /// Ties the token to the password it was made with: a short hash of the stored hash.
    pwd: Option<String>,
}

/// A token that was just made.
pub struct IssuedJwt {
    /// The compact form.
    pub token: String,
    /// Seconds until it ends.
    pub expires_in: u32,
}

impl Tokens {
    /// `issuer`: our public origin, which is the audience too.
    pub fn new(directory: Directory, key: Arc<SigningKey>, issuer: String, lifetime: Lifetime) -> Self {
        Self { directory, key, issuer, lifetime, verified: Cache::new(REMEMBERED) }
    }

    /// A token for somebody who has just proved a password or an API key.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn issue(&self, identity: &Identity, now: Timestamp) -> Result<IssuedJwt, SigningKeyError> {
        let account = identity.account();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.issuer.clone(),
            sub: account.id.to_string(),
            iat: now.unix(),
            exp: (now + self.lifetime).unix(),
            jti: format!("{:032x}", rand::random::<u128>()),
            scope: identity.scopes().to_string(),
            username: account.username.to_string(),
            company: account.company.as_ref().map(ToString::to_string),
            client: identity.client().map(|client| client.client.client_key.to_string()),
            key: identity.api_key().map(ToString::to_string),
            pwd: identity.password_hash().map(mark),
        };
        Ok(IssuedJwt { token: self.key.sign(Kind::Token, &claims)?, expires_in: self.lifetime.seconds() })
    }

    /// Who calls with this token.
    ///
    /// # Errors
    /// [`Refusal::BadToken`], [`Refusal::ClientKeyRequired`], the states of account, client and key.
    pub async fn identify(
        &self,
        basic: &Basic,
        request: &ReceivedRequest<'_>,
        admission: &Admission,
        token: &str,
    ) -> Result<Identity, Rejection> {
        if !admission.admits(Way::Jwt) {
            return Err(Refusal::MethodNotAdmitted { sent: "Bearer".to_owned() }.into());
        }
        let now = request.arrived;
        let claims = self.verify(token, now)?;
        let beside = basic.client_keys().find(request, admission)?;
        if claims.key.is_none()
            && claims.client.is_none()
            && beside.is_none()
            && admission.client_key == ClientKeyRule::Required
        {
            return Err(Refusal::ClientKeyRequired.into());
        }
        let gone = || Refusal::BadToken("The account or key that it was made for is gone.");
        let id = AccountId::parse(claims.sub.as_str()).map_err(|_| gone())?;
        let account = self.directory.account(&id, now).await.map_err(unavailable)?.ok_or_else(gone)?;
        let api_key = match &claims.key {
            None => None,
            Some(public_key) => {
                let public_key = PublicKey::parse(public_key.as_str()).map_err(|_| gone())?;
                let key = self.directory.api_key(&public_key, now).await.map_err(unavailable)?.ok_or_else(gone)?;
                Some(key)
            }
        };
        if let Some(made_with) = &claims.pwd
            && account.password.as_ref().map(|password| mark(password.expose())).as_ref() != Some(made_with)
        {
            return Err(Refusal::BadToken("The password was changed since it was made.").into());
        }
        let key_scopes = match &api_key {
            Some(key) => Some(key.standing(now).map_err(refuse_key)?.clone()),
            None => {
                check_standing(&account.account)?;
                None
            }
        };
        let client = match beside.as_deref().or(claims.client.as_deref()) {
            Some(client_key) => Some(client_key::admit(&self.directory, client_key, &account.account, now).await?),
            None => None,
        };
        let live = match (key_scopes, &client) {
            (Some(scopes), _) => scopes,
            (None, Some(client)) => GrantedScopes::only(account.account.scopes.admit(&client.client.scopes)),
            (None, None) => account.account.scopes.own(),
        };
        let said = GrantedScopes::parse(&claims.scope).map_err(|_| gone())?;
        let impersonator = api_key.and_then(|key| Some(key.impersonator.as_ref()?.account.username.clone()));
        let scopes = if said == live { live } else { live.intersection(&said) };
        Ok(Identity::new(account, client, Credential::Jwt, scopes).impersonated_by(impersonator))
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Claims>, Rejection> {
        if token.len() > MAXIMUM {
            return Err(Refusal::BadToken("It is longer than any token of this server.").into());
        }
        let hash: [u8; 32] = Sha256::digest(token).into();
        let claims = match self.verified.get(&hash) {
            Some(claims) => claims,
            None => {
                let claims = self.key.verify::<Claims>(Kind::Token, &self.issuer, &self.issuer, token);
                let claims =
                    Arc::new(claims.ok_or(Refusal::BadToken("It is no token of this server, or it was changed."))?);
                self.verified.insert(hash, Arc::clone(&claims));
                claims
            }
        };
        if claims.exp <= now.unix() {
            self.verified.remove(&hash);
            return Err(Refusal::BadToken("It has expired: get a new one.").into());
        }
        Ok(claims)
    }
}

/// A short, one-way mark of a stored password hash.
fn mark(stored: &str) -> String {
    let digest = Sha256::new().chain_update("countersign password mark\0").chain_update(stored).finalize();
    digest.iter().take(8).map(|octet| format!("{octet:02x}")).collect()
}
