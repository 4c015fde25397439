//! `Authorization: Bearer`: tokens of our own that spare a client the password on every request (RFC 7519, RFC 8725).
//!
//! A token says who proved what when it was made; what it is good for is asked anew each time: it dies with its
//! account, its client and its API key, with the password or private key that it was made with, and never carries more
//! than they do now. What a token says, once its signature was verified, is remembered until the token ends.

use std::sync::Arc;

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::auth::basic::Basic;
use crate::auth::client_key::Beside;
use crate::auth::proved::Proved;
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
    /// Without a public origin the issuer is where one node listens, which says nothing about another.
    issuer_is_public: bool,
    lifetime: Lifetime,
    verified: Cache<[u8; 32], Arc<Verified>>,
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
    /// Ties the token to the password or private key that it was made with.
    mark: Mark,
}

/// What a token of ours says, ready to be asked.
struct Verified {
    ends_at: i64,
    account: AccountId,
    client: Option<String>,
    api_key: Option<PublicKey>,
    scopes: GrantedScopes,
    mark: Mark,
}

impl Verified {
    fn of(claims: Claims) -> Option<Self> {
        Some(Self {
            ends_at: claims.exp,
            account: AccountId::parse(claims.sub).ok()?,
            client: claims.client,
            api_key: claims.key.map(PublicKey::parse).transpose().ok()?,
            scopes: GrantedScopes::parse(&claims.scope).ok()?,
            mark: claims.mark,
        })
    }
}

/// A short, one-way mark of what is stored of a secret: another secret has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark(u64);

impl Mark {
    fn of(stored: &[u8]) -> Self {
        let digest = Sha256::new().chain_update("countersign token mark\0").chain_update(stored).finalize();
        // Fewer bits than a script's number may have lost (RFC 8259 §6).
        Self(digest.iter().take(6).fold(0, |mark, octet| mark << 8 | u64::from(*octet)))
    }
}

/// A token that was just made.
pub struct IssuedJwt {
    /// The compact form.
    pub token: String,
    /// Seconds until it ends.
    pub expires_in: u32,
}

impl Tokens {
    /// `issuer`: our origin, which is the audience too; `issuer_is_public`: whether all nodes have the same.
    pub fn new(
        directory: Directory,
        key: Arc<SigningKey>,
        issuer: String,
        issuer_is_public: bool,
        lifetime: Lifetime,
    ) -> Self {
        Self { directory, key, issuer, issuer_is_public, lifetime, verified: Cache::new(REMEMBERED) }
    }

    /// A token for somebody who has just proved a password or an API key.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn issue(&self, identity: &Identity, now: Timestamp) -> Result<IssuedJwt, SigningKeyError> {
        let account = identity.account();
        // Others who verify it by its signature alone must not take it for longer than the key that it was made with.
        let until_the_key_ends = identity.proved().ends_at().map(|end| now.until(end));
        let lifetime = until_the_key_ends.map_or(self.lifetime, |left| self.lifetime.min(left));
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.issuer.clone(),
            sub: account.id.to_string(),
            iat: now.unix(),
            exp: (now + lifetime).unix(),
            jti: format!("{:032x}", rand::random::<u128>()),
            scope: identity.scopes().to_claim(),
            username: account.username.to_string(),
            company: account.company.as_ref().map(ToString::to_string),
            client: identity.client().map(|client| client.client.client_key.to_string()),
            key: identity.api_key().map(ToString::to_string),
            mark: Mark::of(identity.proved().stored_secret()),
        };
        Ok(IssuedJwt { token: self.key.sign(Kind::Token, &claims)?, expires_in: lifetime.seconds() })
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
        let token = self.verify(token, now)?;
        let beside = basic.client_keys().find(request, admission);
        if token.api_key.is_none()
            && token.client.is_none()
            && beside == Beside::Nothing
            && admission.client_key == ClientKeyRule::Required
        {
            return Err(Refusal::ClientKeyRequired.into());
        }
        let gone = || Refusal::BadToken("The account or key that it was made for is gone.");
        let account = self.directory.account(&token.account, now).await.map_err(Rejection::unavailable)?;
        let account = account.ok_or_else(gone)?;
        let api_key = match &token.api_key {
            Some(key) => {
                Some(self.directory.api_key(key, now).await.map_err(Rejection::unavailable)?.ok_or_else(gone)?)
            }
            None => None,
        };
        let proved = api_key.as_ref().map_or(Proved::Password(&account), Proved::Key);
        if Mark::of(proved.stored_secret()) != token.mark {
            return Err(Refusal::BadToken("The password or private key was changed since it was made.").into());
        }
        let beside = match (beside, &token.client) {
            (Beside::Nothing, Some(client)) => Beside::Key(client.as_str().into()),
            (beside, _) => beside,
        };
        let identity = proved.admit(&self.directory, &beside, Credential::Jwt, now, Refusal::BadToken).await?;
        Ok(identity.within(&token.scopes))
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Verified>, Rejection> {
        if token.len() > MAXIMUM {
            return Err(Refusal::BadToken("It is longer than any token of this server.").into());
        }
        let hash: [u8; 32] = Sha256::digest(token).into();
        let verified = match self.verified.get(&hash) {
            Some(verified) => verified,
            None => {
                let claims =
                    self.key.verify::<Claims>(Kind::Token, self.issuer_is_public.then_some(&*self.issuer), token);
                let verified = claims
                    .and_then(Verified::of)
                    .ok_or(Refusal::BadToken("It is no token of this server, or it was changed."))?;
                let verified = Arc::new(verified);
                self.verified.insert(hash, Arc::clone(&verified));
                verified
            }
        };
        if verified.ends_at <= now.unix() {
            self.verified.remove(&hash);
            return Err(Refusal::BadToken("It has expired: get a new one.").into());
        }
        Ok(verified)
    }
}
