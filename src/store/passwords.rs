//! A password is set or taken away, and with it ends what was begun with the old one: sessions, and API keys in others' names.

use diesel::prelude::*;

use crate::domain::credentials::{AccountId, SessionId};

use super::accounts::{self, AccountError, Accounts, StoredPassword};
use super::api_keys;
use super::audit::{self, By, Entry, Event};
use super::digest_users;
use super::schema::{accounts as accounts_table, digest_secrets, sessions};

impl Accounts {
    /// Sets the password (`None`: takes it away) and ends the account's sessions but `keep`.
    pub async fn set_password(
        &self,
        id: &AccountId,
        password: Option<StoredPassword>,
        keep: Option<SessionId>,
        by: &By,
    ) -> Result<(), AccountError> {
        let (id, by, vault) = (id.clone(), by.clone(), self.vault.clone());
        self.database
            .write(move |transaction| {
                let account = accounts::find(transaction.connection, &id)?.ok_or(AccountError::NotFound)?;
                let hash = password.as_ref().map(|password| password.hash.expose());
                diesel::update(accounts_table::table.find(id.as_str()))
                    .set(accounts_table::password_hash.eq(hash))
                    .execute(transaction.connection)?;
                diesel::delete(
                    digest_secrets::table
                        .filter(digest_secrets::account.eq(id.as_str()))
                        .filter(digest_secrets::public_key.is_null()),
                )
                .execute(transaction.connection)?;
                let digest = password.iter().flat_map(|password| &password.digest);
                digest_users::insert(transaction, &vault, &id, None, digest)?;
                let kept = keep.as_ref().map_or("", SessionId::as_str);
                diesel::delete(sessions::table.filter(sessions::account.eq(id.as_str())).filter(sessions::id.ne(kept)))
                    .execute(transaction.connection)?;
                api_keys::end_impersonations(transaction, &id, &by)?;
                accounts::note_account(transaction, &account);
                let entry = Entry::new(Event::PasswordSet, account.username.as_str()).of(&account);
                audit::append(transaction.connection, entry, &by)?;
                Ok(())
            })
            .await
    }
}
