//! What follows once a password or an API key was proved, by Basic, Digest or a JWT made with it: the same for all three, in this order.
//! The account must be in good standing, then the client key beside it, then come the scopes.

use std::sync::Arc;

use crate::auth::client_key::Beside;
use crate::auth::verdict::{Credential, Identity, Refusal, Rejection, check_standing, refuse_key};
use crate::domain::scope::GrantedScopes;
use crate::store::directory::{Directory, DirectoryAccount, DirectoryApiKey};
use crate::time::Timestamp;

/// What was proved.
#[derive(Clone, Copy)]
pub enum Proved<'a> {
    /// This account's password, or what stands for it.
    Password(&'a Arc<DirectoryAccount>),
    /// The private half of this key.
    Key(&'a Arc<DirectoryApiKey>),
}

impl Identity {
    /// What proved this identity, where it was a key or else a password.
    pub(super) fn proved(&self) -> Proved<'_> {
        match &self.api_key {
            Some(key) => Proved::Key(key),
            None => Proved::Password(&self.account),
        }
    }
}

impl<'a> Proved<'a> {
    /// What is stored of the password or private key; it changes with them.
    pub fn stored_secret(self) -> &'a [u8] {
        match self {
            Self::Password(account) => account.password.as_ref().map_or(&[], |password| password.expose().as_bytes()),
            Self::Key(key) => key.private_key_hash(),
        }
    }

    /// When it ends by itself.
    pub fn ends_at(self) -> Option<Timestamp> {
        match self {
            Self::Password(_) => None,
            Self::Key(key) => key.key.expires_at,
        }
    }

    /// Who that is, and what this request may do. `ended`: what is said of a key that is over.
    ///
    /// # Errors
    /// [`Refusal::AccountLocked`], [`Refusal::AccountDisabled`], what `ended` makes, [`Refusal::ClientKeyRefused`],
    /// [`Refusal::Unavailable`].
    pub async fn admit(
        self,
        directory: &Directory,
        beside: &Beside<'_>,
        credential: Credential,
        now: Timestamp,
        ended: impl FnOnce(&'static str) -> Refusal,
    ) -> Result<Identity, Rejection> {
        match self {
            Self::Password(account) => {
                check_standing(&account.account)?;
                let client = beside.admit(directory, &account.account, now).await?;
                let scopes = match &client {
                    Some(client) => GrantedScopes::only(account.account.scopes.admit(&client.client.scopes)),
                    None => account.account.scopes.own(),
                };
                Ok(Identity::new(Arc::clone(account), client, credential, scopes))
            }
            // A key has scopes of its own, whatever client stands beside it.
            Self::Key(key) => {
                let scopes = key.standing(now).map_err(|refusal| refuse_key(refusal, ended))?.clone();
                let client = beside.admit(directory, &key.account.account, now).await?;
                directory.note_api_key_use(key, now);
                Ok(Identity::new(Arc::clone(&key.account), client, credential, scopes).with_api_key(key))
            }
        }
    }
}
