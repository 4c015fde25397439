//! The client key beside another credential: which account's app is calling.
//!
//! With a password it is required where the route says so; whatever it comes with, it must belong to the account that
//! the credential proved. It is an identifier, not a secret, and proves nothing by itself.

use std::borrow::Cow;
use std::sync::Arc;

use crate::auth::verdict::{Admission, Refusal, Rejection};
use crate::config::{ClientKeyRule, HttpAuthSettings};
use crate::domain::account::Account;
use crate::domain::credentials::ClientKey;
use crate::protocol::encoding::{Plus, decode_text};
use crate::protocol::request::{ReceivedRequest, Sent};
use crate::store::directory::{Directory, DirectoryClient};
use crate::time::Timestamp;

/// The names of the query parameters that carry a client key.
pub struct ClientKeyNames(Vec<String>);

/// The client key that came along with a credential. What is wrong with it is said after the credential was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beside<'a> {
    /// None, or the route never reads it.
    Nothing,
    /// This one.
    Key(Cow<'a, str>),
    /// Several that differ, or one that can't be read: no account has that.
    Unreadable,
}

impl ClientKeyNames {
    /// From `http_auth.client_key_query`.
    pub fn new(settings: &HttpAuthSettings) -> Self {
        Self(settings.client_key_query.iter().map(|name| name.as_str().to_owned()).collect())
    }

    /// Whether the query parameter of this name carries a client key.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }

    /// The same of a name that is still encoded.
    fn carries(&self, name: &str) -> bool {
        decode_text(name, Plus::IsSpace).is_some_and(|name| self.has(&name))
    }

    /// The client key that the request carries in a header or its query, unless the route never reads it.
    pub fn find<'a>(&self, request: &ReceivedRequest<'a>, admission: &Admission) -> Beside<'a> {
        match admission.client_key {
            ClientKeyRule::Required | ClientKeyRule::Optional => {}
            ClientKeyRule::Ignored => return Beside::Nothing,
        }
        let mut found = match request.headers.client_key {
            Sent::Never => Beside::Nothing,
            Sent::Once(key) => Beside::Key(Cow::Borrowed(key)),
            Sent::Unreadable | Sent::Repeatedly => return Beside::Unreadable,
        };
        for pair in request.query.unwrap_or_default().split('&') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            if value.is_empty() || !self.carries(name) {
                continue;
            }
            found = match (found, decode_text(value, Plus::IsSpace)) {
                (Beside::Nothing, Some(value)) => Beside::Key(value),
                (Beside::Key(first), Some(value)) if first == value => Beside::Key(first),
                (Beside::Nothing | Beside::Key(_) | Beside::Unreadable, _) => return Beside::Unreadable,
            };
        }
        found
    }
}

impl Beside<'_> {
    /// The client, if there is one beside the credential and it may act there for this account.
    ///
    /// # Errors
    /// [`Refusal::ClientKeyRefused`]: unknown, disabled, not meant for HTTP authentication, or another account's.
    pub async fn admit(
        &self,
        directory: &Directory,
        account: &Account,
        now: Timestamp,
    ) -> Result<Option<Arc<DirectoryClient>>, Rejection> {
        match self {
            Self::Nothing => Ok(None),
            Self::Key(key) => admit(directory, key, account, now).await.map(Some),
            Self::Unreadable => {
                Err(Rejection::because(Refusal::ClientKeyRefused, "several client keys, or none at all"))
            }
        }
    }
}

async fn admit(
    directory: &Directory,
    key: &str,
    account: &Account,
    now: Timestamp,
) -> Result<Arc<DirectoryClient>, Rejection> {
    let client = match ClientKey::parse(key) {
        Ok(key) => directory.client(&key, now).await.map_err(Rejection::unavailable)?,
        Err(_) => None,
    };
    let refuse = |reason| Err(Rejection::because(Refusal::ClientKeyRefused, reason));
    let Some(client) = client else { return refuse("the client key is unknown") };
    if client.client.owner != account.id {
        return refuse("the client key is another account's");
    }
    if client.standing.is_err() {
        return refuse("the client is disabled");
    }
    if !client.client.http_auth {
        return refuse("the client key is not for HTTP authentication");
    }
    directory.note_client_use(&client, now);
    Ok(client)
}
