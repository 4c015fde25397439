//! What is at hand, ready to use: secrets opened, RSA keys parsed, standing decided, owners beside it.
//!
//! An entry holds as long as its own row and those of the entries in it have not changed.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::domain::account::Account;
use crate::domain::api_key::{ApiKey, ApiKeyRefusal};
use crate::domain::client::{Client, ClientRefusal};
use crate::domain::credentials::{AccountId, PublicKey, Secret};
use crate::domain::delegation::{TokenCredentials, TokenRefusal};
use crate::domain::scope::{GrantedScopes, Scopes};
use crate::protocol::digest::{DigestHash, Ha1};
use crate::protocol::signature::RsaVerificationKey;
use crate::store::last_use::LastNoted;
use crate::store::sessions::Session;
use crate::time::Timestamp;

use super::generations::{Freshness, Generations};

/// An account and its password hash.
pub struct DirectoryAccount {
    pub account: Account,
    /// Argon2id in PHC form; none: no password.
    pub password: Option<Secret>,
    pub(super) freshness: Freshness,
}

/// A client, ready to verify with.
pub struct DirectoryClient {
    pub client: Client,
    pub secret: Secret,
    pub(super) previous_secret: Option<(Secret, Timestamp)>,
    pub rsa_key: Option<RsaVerificationKey>,
    pub owner: Arc<DirectoryAccount>,
    /// Whether the client and its owner may use the API.
    pub standing: Result<(), ClientRefusal>,
    pub(super) noted: LastNoted,
    pub(super) freshness: Freshness,
}

impl DirectoryClient {
    /// The secret before the last rotation, while it is still good.
    pub fn previous_secret(&self, now: Timestamp) -> Option<&Secret> {
        self.previous_secret.as_ref().filter(|(_, until)| now < *until).map(|(secret, _)| secret)
    }
}

/// An access token, ready to verify with.
pub struct DirectoryToken {
    pub credentials: TokenCredentials,
    pub secret: Secret,
    pub client: Arc<DirectoryClient>,
    pub account: Arc<DirectoryAccount>,
    pub(super) standing: Result<Scopes, TokenRefusal>,
    pub(super) noted: LastNoted,
    pub(super) freshness: Freshness,
}

impl DirectoryToken {
    /// What the token may do now: client ceiling ∩ consent ∩ account; or why it is good for nothing.
    pub fn standing(&self, now: Timestamp) -> Result<&Scopes, TokenRefusal> {
        self.credentials.ended(now)?;
        self.standing.as_ref().map_err(TokenRefusal::clone)
    }
}

/// An API key, ready to verify with.
pub struct DirectoryApiKey {
    pub key: ApiKey,
    pub account: Arc<DirectoryAccount>,
    /// Who acts with the key.
    pub impersonator: Option<Arc<DirectoryAccount>>,
    pub(super) private_key_hash: [u8; 32],
    pub(super) standing: Result<GrantedScopes, ApiKeyRefusal>,
    pub(super) noted: LastNoted,
    pub(super) freshness: Freshness,
}

impl DirectoryApiKey {
    /// Whether this is the private half.
    pub fn matches(&self, private_key: &[u8]) -> bool {
        let presented: [u8; 32] = Sha256::digest(private_key).into();
        presented.ct_eq(&self.private_key_hash).into()
    }

    /// What is stored of the private half: another one has another hash.
    pub const fn private_key_hash(&self) -> &[u8] {
        &self.private_key_hash
    }

    /// What the key may do now, or why it is good for nothing.
    pub fn standing(&self, now: Timestamp) -> Result<&GrantedScopes, ApiKeyRefusal> {
        if self.key.is_expired(now) {
            return Err(ApiKeyRefusal::Expired);
        }
        self.standing.as_ref().map_err(ApiKeyRefusal::clone)
    }
}

/// A session and who has it. It may have expired: see [`Session::expires_at`].
pub struct DirectorySession {
    pub session: Session,
    pub account: Arc<DirectoryAccount>,
    pub(super) freshness: Freshness,
}

/// What Digest verifies with (RFC 7616).
pub struct DirectoryDigest {
    /// As text, also where the client sent a hash of it.
    pub username: String,
    pub account: Arc<DirectoryAccount>,
    /// The API key whose secret this is; none: the account's password.
    pub api_key: Option<Arc<DirectoryApiKey>>,
    pub(super) md5: Option<Ha1>,
    pub(super) sha256: Option<Ha1>,
    pub(super) freshness: Freshness,
}

impl DirectoryDigest {
    /// What its responses are checked with; none if what is stored is no such hash.
    pub const fn ha1(&self, hash: DigestHash) -> Option<&Ha1> {
        match hash {
            DigestHash::Md5 => self.md5.as_ref(),
            DigestHash::Sha256 => self.sha256.as_ref(),
        }
    }
}

/// The public half that goes with a private one.
pub(super) struct DirectoryPrivateKey {
    pub(super) public_key: PublicKey,
    pub(super) freshness: Freshness,
}

/// The account that a login name leads to.
pub(super) struct DirectoryName {
    pub(super) account: AccountId,
    pub(super) freshness: Freshness,
}

/// An entry that can be asked whether it still holds.
pub(super) trait Entry {
    fn holds(&self, generations: &Generations, now: Timestamp) -> bool;
}

impl Entry for DirectoryAccount {
    fn holds(&self, generations: &Generations, now: Timestamp) -> bool {
        generations.hold(&self.freshness, now)
    }
}

impl Entry for DirectoryClient {
    fn holds(&self, generations: &Generations, now: Timestamp) -> bool {
        generations.hold(&self.freshness, now) && self.owner.holds(generations, now)
    }
}

impl Entry for DirectoryToken {
    fn holds(&self, generations: &Generations, now: Timestamp) -> bool {
        generations.hold(&self.freshness, now)
            && self.client.holds(generations, now)
            && self.account.holds(generations, now)
    }
}

impl Entry for DirectoryApiKey {
    fn holds(&self, generations: &Generations, now: Timestamp) -> bool {
        generations.hold(&self.freshness, now)
            && self.account.holds(generations, now)
            && self.impersonator.as_ref().is_none_or(|actor| actor.holds(generations, now))
    }
}

impl Entry for DirectorySession {
    fn holds(&self, generations: &Generations, now: Timestamp) -> bool {
        generations.hold(&self.freshness, now) && self.account.holds(generations, now)
    }
}

impl Entry for DirectoryDigest {
    fn holds(&self, generations: &Generations, now: Timestamp) -> bool {
        generations.hold(&self.freshness, now)
            && self.account.holds(generations, now)
            && self.api_key.as_ref().is_none_or(|key| key.holds(generations, now))
    }
}

impl Entry for DirectoryPrivateKey {
    fn holds(&self, generations: &Generations, now: Timestamp) -> bool {
        generations.hold(&self.freshness, now)
    }
}

impl Entry for DirectoryName {
    fn holds(&self, generations: &Generations, now: Timestamp) -> bool {
        generations.hold(&self.freshness, now)
    }
}
