//! API keys: the private half is kept as one SHA-256, because it is 256 random bits, and compared by that.
//!
//! The pair is made above, where Digest's hashes of it are computed too; here it only arrives.

use std::sync::Arc;

use diesel::prelude::*;

use crate::domain::account::Reach;
use crate::domain::api_key::{ApiKey, Impersonator};
use crate::domain::credentials::{AccountId, Hint, InvalidName, PublicKey, Secret, Username, check_line};
use crate::domain::scope::{Scope, Scopes};
use crate::time::Timestamp;

use super::accounts;
use super::audit::{self, By, Entry, Event};
use super::changes::Change;
use super::connection::{AnyConnection, Database, MultiBackend, Transaction};
use super::digest_users::{self, DigestSecret};
use super::error::{StoreError, carries_diesel, is_taken};
use super::page::{Cursor, Listing, Page};
use super::schema::{accounts as accounts_table, api_keys, digest_secrets};
use super::vault::Vault;

/// Why an API key isn't as it was wanted.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    #[error("there is no such API key")]
    NotFound,
    #[error("there is no such account")]
    AccountNotFound,
    #[error("this public key is taken, or could be mistaken for a username or an account id")]
    KeyTaken,
    #[error("the key has expired: make a new one")]
    Expired,
    /// Not an integrator or admin of the member's own company.
    #[error("this account can't act for that one")]
    MayNotImpersonate,
    #[error(transparent)]
    Invalid(#[from] InvalidName),
    #[error(transparent)]
    Store(#[from] StoreError),
}

carries_diesel!(ApiKeyError);

/// Who is about to act in another account's place, and what they proved to be it by.
#[derive(Clone)]
pub struct NewImpersonator {
    pub account: AccountId,
    pub proved: ProvedBy,
}

/// What is stored of a credential that was proved: where it has changed meanwhile, nothing is begun with it.
#[derive(Clone)]
pub enum ProvedBy {
    /// The hash of the password; none: the account has none, and it was another credential.
    Password(Option<Secret>),
    /// The public half, and the hash of the private half.
    Key(PublicKey, Vec<u8>),
}

/// An API key about to be made.
#[derive(Clone)]
pub struct NewApiKey {
    pub public_key: PublicKey,
    pub private_key: Secret,
    pub account: AccountId,
    pub name: String,
    /// None: the account's.
    pub scopes: Option<Scopes>,
    pub expires_at: Option<Timestamp>,
    /// Who will act with the key in the account's place; checked here.
    pub impersonator: Option<NewImpersonator>,
    /// One for each spelling of the user name that Digest admits.
    pub digest: Vec<DigestSecret>,
}

/// An API key as lists show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKeySummary {
    pub key: ApiKey,
    /// The account's username.
    pub username: Username,
    /// The end of the private key.
    pub hint: Hint,
    /// A minute may pass before a use is seen here.
    pub last_used_at: Option<Timestamp>,
}

/// API keys.
#[derive(Clone)]
pub struct ApiKeys {
    database: Database,
    vault: Arc<Vault>,
}

impl ApiKeys {
    /// Over this database.
    pub const fn new(database: Database, vault: Arc<Vault>) -> Self {
        Self { database, vault }
    }

    /// Adds a key.
    pub async fn create(&self, new: NewApiKey, by: &By) -> Result<ApiKey, ApiKeyError> {
        check_line("a key's name", &new.name, 200)?;
        let (by, vault) = (by.clone(), self.vault.clone());
        self.database
            .write(move |transaction| {
                let account =
                    accounts::find(transaction.connection, &new.account)?.ok_or(ApiKeyError::AccountNotFound)?;
                let impersonator = match &new.impersonator {
                    None => None,
                    Some(NewImpersonator { account: id, proved }) => {
                        let actor =
                            accounts::find(transaction.connection, id)?.ok_or(ApiKeyError::MayNotImpersonate)?;
                        let proved = still_proves(transaction.connection, id, proved)?;
                        if !proved || actor.standing().is_err() || !actor.may_impersonate(&account) {
                            return Err(ApiKeyError::MayNotImpersonate);
                        }
                        Some(Impersonator { account: actor.id, username: actor.username })
                    }
                };
                let event = match &impersonator {
                    Some(_) => Event::ImpersonationStarted,
                    None => Event::KeyCreated,
                };
                let key = ApiKey {
                    public_key: new.public_key,
                    account: new.account,
                    name: new.name,
                    scopes: new.scopes,
                    expires_at: new.expires_at,
                    impersonator,
                    created_at: by.now,
                };
                insert(transaction, &key, new.private_key.sha256(), &Hint::of(new.private_key.expose()))?;
                digest_users::insert(transaction, &vault, &key.account, Some(&key.public_key), &new.digest)?;
                let entry = Entry::new(event, key.public_key.as_str()).of(&account).because(key.name.as_str());
                audit::append(transaction.connection, entry, &by)?;
                Ok(key)
            })
            .await
    }

    /// The key with this public half.
    pub async fn find(&self, public_key: &PublicKey) -> Result<Option<ApiKey>, StoreError> {
        let public_key = public_key.clone();
        self.database.read(move |connection| Ok(find(connection, &public_key)?.map(|found| found.key))).await
    }

    /// As [`Self::list`] has it, whoever asks.
    pub async fn show(&self, public_key: &PublicKey) -> Result<Option<ApiKeySummary>, StoreError> {
        let public_key = public_key.clone();
        self.database
            .read(move |connection| {
                let row: Option<SummaryRow> =
                    summaries().filter(api_keys::public_key.eq(public_key.to_string())).first(connection).optional()?;
                row.map(|row| summarize(connection, row)).transpose()
            })
            .await
    }

    /// How many keys an account has, expired ones too.
    pub async fn count(&self, account: &AccountId) -> Result<usize, StoreError> {
        let account = account.clone();
        self.database
            .read(move |connection| {
                let keys = api_keys::table.filter(api_keys::account.eq(account.to_string()));
                let count: i64 = keys.count().get_result(connection)?;
                Ok(usize::try_from(count).unwrap_or(usize::MAX))
            })
            .await
    }

    /// Keys of accounts within `reach`, newest first; of one account, if given. Expired ones too.
    pub async fn list(
        &self,
        reach: &Reach,
        account: Option<&AccountId>,
        page: Page,
    ) -> Result<Listing<ApiKeySummary>, StoreError> {
        let (reach, account) = (reach.clone(), account.cloned());
        self.database
            .read(move |connection| {
                let mut query = summaries();
                match reach {
                    Reach::Everything => {}
                    Reach::Company(company) => {
                        query = query.filter(accounts_table::company.eq(company.to_string()));
                    }
                    Reach::Account(id) => query = query.filter(api_keys::account.eq(id.to_string())),
                }
                if let Some(account) = account {
                    query = query.filter(api_keys::account.eq(account.to_string()));
                }
                if let Some(after) = &page.after {
                    query =
                        query.filter(api_keys::created_at.lt(after.created_at).or(
                            api_keys::created_at.eq(after.created_at).and(api_keys::public_key.lt(after.id.clone())),
                        ));
                }
                let rows: Vec<SummaryRow> = query
                    .order((api_keys::created_at.desc(), api_keys::public_key.desc()))
                    .limit(page.rows())
                    .load(connection)?;
                let items =
                    rows.into_iter().map(|row| summarize(connection, row)).collect::<Result<Vec<_>, StoreError>>()?;
                Ok(Listing::cut(items, &page, |item: &ApiKeySummary| Cursor {
                    created_at: item.key.created_at.unix(),
                    id: item.key.public_key.to_string(),
                }))
            })
            .await
    }

    /// Gives the key a new private half; the old one is dead at once. A key that has expired stays so, and gets none.
    pub async fn regenerate(
        &self,
        public_key: &PublicKey,
        private_key: Secret,
        digest: Vec<DigestSecret>,
        by: &By,
    ) -> Result<ApiKey, ApiKeyError> {
        let (public_key, by, vault) = (public_key.clone(), by.clone(), self.vault.clone());
        self.database
            .write(move |transaction| {
                if find(transaction.connection, &public_key)?.is_some_and(|found| found.key.is_expired(by.now)) {
                    return Err(ApiKeyError::Expired);
                }
                diesel::update(api_keys::table.find(public_key.as_str()))
                    .set((
                        api_keys::private_key_hash.eq(private_key.sha256().to_vec()),
                        api_keys::hint.eq(Hint::of(private_key.expose()).as_str()),
                    ))
                    .execute(transaction.connection)?;
                let key = changed(transaction, &public_key, Event::KeyRegenerated, &by)?;
                diesel::delete(digest_secrets::table.filter(digest_secrets::public_key.eq(public_key.as_str())))
                    .execute(transaction.connection)?;
                digest_users::insert(transaction, &vault, &key.account, Some(&public_key), &digest)?;
                if key.scopes.as_ref().is_none_or(|scopes| scopes.contains(Scope::manage_write().as_str())) {
                    end_impersonations(transaction, &key.account, &by)?;
                }
                Ok(key)
            })
            .await
    }

    /// Deletes a key.
    pub async fn delete(&self, public_key: &PublicKey, by: &By) -> Result<(), ApiKeyError> {
        let (public_key, by) = (public_key.clone(), by.clone());
        self.database
            .write(move |transaction| {
                let key = changed(transaction, &public_key, Event::KeyDeleted, &by)?;
                diesel::delete(api_keys::table.find(public_key.as_str())).execute(transaction.connection)?;
                if key.scopes.as_ref().is_none_or(|scopes| scopes.contains(Scope::manage_write().as_str())) {
                    end_impersonations(transaction, &key.account, &by)?;
                }
                Ok(())
            })
            .await
    }

    /// Deletes keys that somebody else acted with and that ended before `time`; tells how many. Keys of one's own
    /// stay, so that their owner sees why they fail.
    pub async fn delete_ended_impersonations(&self, time: Timestamp) -> Result<usize, StoreError> {
        self.database
            .write(move |transaction| {
                Ok(diesel::delete(
                    api_keys::table
                        .filter(api_keys::impersonator.is_not_null())
                        .filter(api_keys::expires_at.lt(time.unix())),
                )
                .execute(transaction.connection)?)
            })
            .await
    }
}

/// Whether this is still what proves to be `account`. Whoever changes it waits for the end of this transaction.
fn still_proves(connection: &mut AnyConnection, account: &AccountId, proved: &ProvedBy) -> Result<bool, StoreError> {
    match proved {
        ProvedBy::Password(None) => Ok(true),
        ProvedBy::Password(Some(hash)) => accounts::still_has_password(connection, account, hash),
        ProvedBy::Key(public_key, hash) => {
            let as_proved = api_keys::table.find(public_key.as_str()).filter(api_keys::private_key_hash.eq(hash));
            Ok(diesel::update(as_proved).set(api_keys::private_key_hash.eq(hash)).execute(connection)? == 1)
        }
    }
}

/// Ends what `actor` does in other accounts' names: what it was begun with is not good any more. Which credential that was is
/// not kept, so all of them end; a new one is made by one request.
pub(super) fn end_impersonations(
    transaction: &mut Transaction<'_>,
    actor: &AccountId,
    by: &By,
) -> Result<(), StoreError> {
    let keys: Vec<String> = api_keys::table
        .filter(api_keys::impersonator.eq(actor.as_str()))
        .order(api_keys::public_key)
        .select(api_keys::public_key)
        .load(transaction.connection)?;
    for key in keys {
        let key = PublicKey::parse(key).map_err(|_| StoreError::Corrupt { what: "api_keys.public_key" })?;
        match changed(transaction, &key, Event::KeyDeleted, by) {
            Ok(_) => diesel::delete(api_keys::table.find(key.as_str())).execute(transaction.connection)?,
            Err(ApiKeyError::Store(error)) => return Err(error),
            // Gone meanwhile.
            Err(_) => continue,
        };
    }
    Ok(())
}

type SummaryRow = (ApiKeyRow, String, String, Option<i64>);

#[diesel::dsl::auto_type]
fn summary_query() -> _ {
    let row: diesel::dsl::AsSelect<ApiKeyRow, MultiBackend> = ApiKeyRow::as_select();
    api_keys::table.inner_join(accounts_table::table).select((
        row,
        accounts_table::username,
        api_keys::hint,
        api_keys::last_used_at,
    ))
}

fn summaries<'a>() -> diesel::dsl::IntoBoxed<'a, summary_query, MultiBackend> {
    summary_query().into_boxed()
}

fn summarize(connection: &mut AnyConnection, row: SummaryRow) -> Result<ApiKeySummary, StoreError> {
    let (row, username, hint, last_used_at) = row;
    Ok(ApiKeySummary {
        key: row.into_key(connection)?,
        username: Username::parse(username).map_err(|_| StoreError::Corrupt { what: "accounts.username" })?,
        hint: Hint::from_stored(hint),
        last_used_at: last_used_at.map(Timestamp::from_unix),
    })
}

/// Notes and writes down a change to a key that must be there.
fn changed(
    transaction: &mut Transaction<'_>,
    public_key: &PublicKey,
    event: Event,
    by: &By,
) -> Result<ApiKey, ApiKeyError> {
    let key = find(transaction.connection, public_key)?.ok_or(ApiKeyError::NotFound)?.key;
    let account = accounts::find(transaction.connection, &key.account)?.ok_or(ApiKeyError::AccountNotFound)?;
    transaction.note(Change::ApiKey(public_key.clone()));
    let entry = Entry::new(event, public_key.as_str()).of(&account).because(key.name.as_str());
    audit::append(transaction.connection, entry, by)?;
    Ok(key)
}

pub(super) fn insert(
    transaction: &mut Transaction<'_>,
    key: &ApiKey,
    private_key_hash: [u8; 32],
    hint: &Hint,
) -> Result<(), ApiKeyError> {
    if accounts::is_name_in_use(transaction, key.public_key.as_str())? {
        return Err(ApiKeyError::KeyTaken);
    }
    let inserted = diesel::insert_into(api_keys::table)
        .values((
            api_keys::public_key.eq(key.public_key.as_str()),
            api_keys::account.eq(key.account.as_str()),
            api_keys::name.eq(key.name.as_str()),
            api_keys::scopes.eq(key.scopes.as_ref().map(ToString::to_string)),
            api_keys::private_key_hash.eq(private_key_hash.to_vec()),
            api_keys::hint.eq(hint.as_str()),
            api_keys::expires_at.eq(key.expires_at.map(Timestamp::unix)),
            api_keys::impersonator.eq(key.impersonator.as_ref().map(|actor| actor.account.to_string())),
            api_keys::created_at.eq(key.created_at.unix()),
        ))
        .execute(transaction.connection);
    match inserted {
        Err(error) if is_taken(&error) => Err(ApiKeyError::KeyTaken),
        other => {
            other?;
            transaction.note(Change::ApiKey(key.public_key.clone()));
            Ok(())
        }
    }
}

/// A key and what its private half is compared with.
pub(super) struct FoundKey {
    pub key: ApiKey,
    pub private_key_hash: [u8; 32],
}

pub(super) fn find(connection: &mut AnyConnection, public_key: &PublicKey) -> Result<Option<FoundKey>, StoreError> {
    let row: Option<(ApiKeyRow, Vec<u8>)> = api_keys::table
        .find(public_key.as_str())
        .select((ApiKeyRow::as_select(), api_keys::private_key_hash))
        .first(connection)
        .optional()?;
    let Some((row, hash)) = row else { return Ok(None) };
    Ok(Some(FoundKey {
        key: row.into_key(connection)?,
        private_key_hash: hash.try_into().map_err(|_| StoreError::Corrupt { what: "api_keys.private_key_hash" })?,
    }))
}

/// The public half that goes with a private one, by its hash.
pub(super) fn find_by_private_key(
    connection: &mut AnyConnection,
    hash: &[u8; 32],
) -> Result<Option<PublicKey>, StoreError> {
    let found: Option<String> = api_keys::table
        .filter(api_keys::private_key_hash.eq(hash.to_vec()))
        .select(api_keys::public_key)
        .first(connection)
        .optional()?;
    found.map(PublicKey::parse).transpose().map_err(|_| StoreError::Corrupt { what: "api_keys.public_key" })
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = api_keys)]
struct ApiKeyRow {
    public_key: String,
    account: String,
    name: String,
    scopes: Option<String>,
    expires_at: Option<i64>,
    impersonator: Option<String>,
    created_at: i64,
}

impl ApiKeyRow {
    /// Looks up the impersonator's name where there is one, which is rare.
    fn into_key(self, connection: &mut AnyConnection) -> Result<ApiKey, StoreError> {
        let corrupt = |what| StoreError::Corrupt { what };
        let impersonator = match self.impersonator {
            None => None,
            Some(id) => {
                let id = AccountId::parse(id).map_err(|_| corrupt("api_keys.impersonator"))?;
                let actor = accounts::find(connection, &id)?.ok_or(corrupt("api_keys.impersonator"))?;
                Some(Impersonator { account: actor.id, username: actor.username })
            }
        };
        Ok(ApiKey {
            public_key: PublicKey::parse(self.public_key).map_err(|_| corrupt("api_keys.public_key"))?,
            account: AccountId::parse(self.account).map_err(|_| corrupt("api_keys.account"))?,
            name: self.name,
            scopes: self
                .scopes
                .map(|scopes| Scopes::parse(&scopes).map_err(|_| corrupt("api_keys.scopes")))
                .transpose()?,
            expires_at: self.expires_at.map(Timestamp::from_unix),
            impersonator,
            created_at: Timestamp::from_unix(self.created_at),
        })
    }
}
