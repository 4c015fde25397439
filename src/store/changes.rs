//! What a change is: the notice that something which is cached elsewhere is no longer as it was.
//!
//! A notice is written in the transaction of the change and carries no data, so it may come twice or late without
//! harm. How other nodes hear of it is told in `watch.rs`.

use crate::domain::credentials::{AccountId, ClientKey, PublicKey, TokenHash};

/// Something is not as it was, or no longer there.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Change {
    /// An account, its state or its password.
    Account(AccountId),
    /// A name that somebody may log in with has got, lost or changed its bearer.
    Username(String),
    /// A client or its secrets.
    Client(ClientKey),
    /// One access token.
    Token(TokenHash),
    /// An API key.
    ApiKey(PublicKey),
    /// A session, by the hash of its secret.
    Session(TokenHash),
    /// More than can be told one by one: nothing that was remembered holds.
    Everything,
}

impl Change {
    /// One line of text, at most 300 bytes: the payload of a notice.
    pub fn encode(&self) -> String {
        match self {
            Self::Account(id) => format!("account {id}"),
            Self::Username(name) => format!("username {name}"),
            Self::Client(key) => format!("client {key}"),
            Self::Token(hash) => format!("token {}", hash.to_hex()),
            Self::ApiKey(key) => format!("api_key {key}"),
            Self::Session(hash) => format!("session {}", hash.to_hex()),
            Self::Everything => "everything".to_owned(),
        }
    }

    /// Reads [`encode`](Self::encode). What can't be read means [`Everything`](Self::Everything): a newer version
    /// may be writing, and forgetting too much is safe.
    pub fn decode(text: &str) -> Self {
        let known = text.split_once(' ').and_then(|(kind, key)| match kind {
            "account" => AccountId::parse(key).ok().map(Self::Account),
            "username" => Some(Self::Username(key.to_owned())),
            "client" => ClientKey::parse(key).ok().map(Self::Client),
            "token" => TokenHash::from_hex(key).map(Self::Token),
            "api_key" => PublicKey::parse(key).ok().map(Self::ApiKey),
            "session" => TokenHash::from_hex(key).map(Self::Session),
            _ => None,
        });
        known.unwrap_or(Self::Everything)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_survives_being_written() {
        let changes = [
            Change::Account(AccountId::parse("a1").expect("test id")),
            Change::Username("jo b@example.com".to_owned()),
            Change::Client(ClientKey::parse("k").expect("test key")),
            Change::Token(TokenHash::of("t")),
            Change::ApiKey(PublicKey::parse("p").expect("test key")),
            Change::Session(TokenHash::of("s")),
            Change::Everything,
        ];
        for change in changes {
            assert_eq!(Change::decode(&change.encode()), change);
        }
    }

    #[test]
    fn what_can_not_be_read_means_everything() {
        for text in ["", "token xyz", "planet mars", "account a:b"] {
            assert_eq!(Change::decode(text), Change::Everything, "{text}");
        }
    }
}
