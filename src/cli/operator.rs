//! What the commands that touch data share: the opened store, who acts, and reading names and passwords.

use std::io::{BufRead, Read};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::output::say;
use super::{Failure, SourceArgs};
use crate::config::{Configuration, Flags};
use crate::domain::account::Account;
use crate::domain::credentials::{PASSWORD_LENGTH, Secret};
use crate::domain::scope::{ScopeLimit, Scopes};
use crate::opening;
use crate::store::Store;
use crate::store::audit::{Actor, By};
use crate::store::error::StoreError;
use crate::store::page::{Listing, Page};
use crate::store::vault::Vault;
use crate::time::{Clock, Timestamp};

/// More octets than any password has, whatever its characters; less than what would exhaust memory.
const LONGEST_PASSWORD: u64 = 4 * *PASSWORD_LENGTH.end() as u64 + 2;

const TOO_LONG: &str = "a password has at most 1024 characters";

/// Whoever runs a command, with the store that the settings lead to.
pub struct Operator {
    pub configuration: Configuration,
    pub store: Store,
    pub vault: Arc<Vault>,
    pub by: By,
}

impl Operator {
    /// Opens the store.
    ///
    /// # Errors
    /// [`Failure`]: wrong settings, or the store can't be opened.
    pub async fn new(sources: SourceArgs) -> Result<Self, Failure> {
        let mut configuration = sources.load(Flags::default())?;
        // A command does one thing after the other; the places at a PostgreSQL are the nodes'.
        configuration.database.connections = 1;
        let opened = opening::open(&configuration, None).await?;
        if opened.is_new {
            // A relative path means another file in another folder: whoever expected their own sees that it is not.
            let folder =
                std::env::current_dir().map(|folder| format!(" (in {})", folder.display())).unwrap_or_default();
            say(&format!("made a new database at {}{folder}", configuration.database.url));
        }
        let vault = opened.vault;
        let store = Store::new(opened.database, vault.clone());
        let by = By { who: Actor::Operator, address: None, now: Clock::system().now() };
        Ok(Self { configuration, store, vault, by })
    }

    /// When the command began.
    pub const fn now(&self) -> Timestamp {
        self.by.now
    }

    /// The realm of Digest's hashes.
    pub fn realm(&self) -> &str {
        self.configuration.http_auth.realm.as_str()
    }

    /// The account that a username (also as `company+username`) or an account id means.
    ///
    /// # Errors
    /// [`Failure::Refused`]: there is none.
    pub async fn account(&self, name: &str) -> Result<Account, Failure> {
        let found = self.store.accounts.by_name_or_id(name).await?;
        found.ok_or_else(|| Failure::Refused(format!("there is no account {name}")))
    }

    /// The account that an optional filter names.
    ///
    /// # Errors
    /// [`Failure::Refused`]: there is none.
    pub async fn account_if_given(&self, name: Option<&str>) -> Result<Option<Account>, Failure> {
        match name {
            Some(name) => self.account(name).await.map(Some),
            None => Ok(None),
        }
    }
}

/// All parts of a list, newest first.
///
/// # Errors
/// [`StoreError`].
pub async fn all<T>(mut part: impl AsyncFnMut(Page) -> Result<Listing<T>, StoreError>) -> Result<Vec<T>, StoreError> {
    let mut items = Vec::new();
    let mut page = Page::first(1000);
    loop {
        let listing = part(page.clone()).await?;
        items.extend(listing.items);
        match listing.next {
            Some(next) => page.after = Some(next),
            None => return Ok(items),
        }
    }
}

/// One line from stdin without its line end: a password.
///
/// # Errors
/// [`Failure`]: nothing came, more than one line, too much, a NUL, or no UTF-8.
pub fn password_from(input: impl Read) -> Result<Secret, Failure> {
    let refused = |reason: &str| Failure::Refused(reason.to_owned());
    let mut input = std::io::BufReader::new(input.take(LONGEST_PASSWORD + 1));
    let mut line = Zeroizing::new(Vec::new());
    input.read_until(b'\n', &mut line)?;
    if line.len() as u64 > LONGEST_PASSWORD {
        return Err(refused(TOO_LONG));
    }
    if !input.fill_buf()?.is_empty() {
        return Err(refused("a password is one line; there is more on stdin"));
    }
    let line = std::str::from_utf8(&line).map_err(|_| refused("the password on stdin is not UTF-8"))?;
    match crate::config::without_line_end(line) {
        "" => Err(refused("there is no password on stdin")),
        password if password.chars().count() > *PASSWORD_LENGTH.end() => Err(refused(TOO_LONG)),
        password if password.contains('\0') => Err(refused("a password can't hold a NUL")),
        password => Ok(Secret::new(password)),
    }
}

/// Scopes in one argument, separated by spaces or commas.
///
/// # Errors
/// Why it is none, for the person who typed it.
pub fn scopes(text: &str) -> Result<Scopes, String> {
    Scopes::parse(text).map_err(|error| error.to_string())
}

/// What repeated `--scope` limits to; `*` alone, or none at all, to nothing.
///
/// # Errors
/// [`Failure::Usage`]: one of them is no scope.
pub fn limit(scopes: &[String]) -> Result<ScopeLimit, Failure> {
    ScopeLimit::parse_each(scopes).map_err(|error| Failure::Usage(format!("--scope: {error}")))
}

/// What several arguments name together.
pub fn union(several: &[Scopes]) -> Scopes {
    several.iter().fold(Scopes::none(), |all, more| all.union(more))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_without_its_end() {
        for (text, password) in [("open sesame", "open sesame"), ("a\n", "a"), ("a\r\n", "a"), (" a \n", " a ")] {
            assert_eq!(password_from(text.as_bytes()).unwrap().expose(), password);
        }
        for text in ["", "\n", "\r\n", "a\nb", "a\n\n"] {
            assert!(password_from(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(password_from([0xff, 0xfe].as_slice()).is_err());
        let refusal = |octets: &[u8]| password_from(octets).err().unwrap().to_string();
        for character in ["x", "€", "🔑"] {
            assert!(password_from(format!("{}\r\n", character.repeat(1024)).as_bytes()).is_ok());
            for many in [1025, 10_000] {
                let refused = refusal(character.repeat(many).as_bytes());
                assert!(refused.contains("at most 1024 characters"), "never cut short: {refused}");
            }
        }
        assert!(refusal(b"a\0b").contains("NUL"));
    }
}
