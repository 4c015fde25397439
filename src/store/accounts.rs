//! Accounts, companies, and the passwords in their stored forms.
//!
//! Passwords are hashed above; here arrive the finished Argon2id text and what Digest needs. A login name is handed
//! out once: a username never equals a public key or an account id, and never begins with an existing company and `+`.

use std::sync::Arc;

use diesel::prelude::*;

use crate::domain::account::{Account, AccountStatus, Company, Reach, Role, check_details, default_email};
use crate::domain::credentials::{AccountId, CompanyId, InvalidName, Secret, Username, check_line};
use crate::domain::scope::ScopeLimit;
use crate::time::Timestamp;

use super::audit::{self, By, Entry, Event};
use super::changes::Change;
use super::connection::{AnyConnection, Database, MultiBackend, Transaction};
use super::digest_users::{self, DigestSecret};
use super::error::{StoreError, carries_diesel, is_taken};
use super::page::{Cursor, Listing, Page};
use super::schema::{accounts, api_keys, companies, digest_secrets};
use super::vault::Vault;

/// Why an account or company isn't as it was wanted.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("there is no such account")]
    NotFound,
    #[error("there is no such company")]
    CompanyNotFound,
    #[error("this username is taken")]
    UsernameTaken,
    /// It could be read as a company's member, a public key, an account id or one of the audit log's `(operator)` and the like.
    #[error("this username could be mistaken for {0}")]
    UsernameShadows(&'static str),
    #[error("this company id is taken")]
    CompanyTaken,
    #[error("a username begins with this company id and a +, so the two could be mistaken for each other")]
    CompanyShadows,
    #[error(transparent)]
    Invalid(#[from] InvalidName),
    #[error(transparent)]
    Store(#[from] StoreError),
}

carries_diesel!(AccountError);

/// An account about to be made.
#[derive(Clone)]
pub struct NewAccount {
    pub username: Username,
    /// One that is new is made along with the account.
    pub company: Option<CompanyId>,
    pub role: Role,
    pub scopes: ScopeLimit,
    /// None: the username.
    pub name: Option<String>,
    /// None: the username, if it is an address.
    pub email: Option<String>,
    pub external_id: Option<String>,
    /// None: the account has no password, only keys and clients.
    pub password: Option<StoredPassword>,
}

impl NewAccount {
    /// A member without limits, company and password.
    pub const fn named(username: Username) -> Self {
        Self {
            username,
            company: None,
            role: Role::Member,
            scopes: ScopeLimit::Unlimited,
            name: None,
            email: None,
            external_id: None,
            password: None,
        }
    }
}

/// A password as it is kept.
#[derive(Clone)]
pub struct StoredPassword {
    /// Argon2id in PHC form.
    pub hash: Secret,
    /// One for each spelling of the user name that Digest admits.
    pub digest: Vec<DigestSecret>,
}

/// What is to change about an account. `None`: stays. `Some(None)`: is taken away.
#[derive(Clone, Default)]
pub struct AccountUpdate {
    /// Digest secrets hold the old name and are dropped with it, until the password is set again.
    pub username: Option<Username>,
    pub company: Option<Option<CompanyId>>,
    pub role: Option<Role>,
    pub scopes: Option<ScopeLimit>,
    pub name: Option<String>,
    pub email: Option<Option<String>>,
    pub external_id: Option<Option<String>>,
}

/// Which accounts to list. All conditions hold together.
#[derive(Clone, Default, Debug)]
pub struct AccountFilter {
    pub company: Option<CompanyId>,
    pub role: Option<Role>,
    /// `active`, `locked` or `disabled`.
    pub status: Option<String>,
    pub external_id: Option<String>,
    /// That one alone.
    pub id: Option<AccountId>,
}

/// Accounts and companies.
#[derive(Clone)]
pub struct Accounts {
    pub(super) database: Database,
    pub(super) vault: Arc<Vault>,
}

impl Accounts {
    /// Over this database.
    pub const fn new(database: Database, vault: Arc<Vault>) -> Self {
        Self { database, vault }
    }

    /// Makes a company; its name is the id if none is given.
    pub async fn create_company(&self, id: CompanyId, name: Option<String>, by: &By) -> Result<Company, AccountError> {
        if let Some(name) = &name {
            check_line("a company's name", name, 200)?;
        }
        let by = by.clone();
        self.database.write(move |transaction| insert_company(transaction, id, name, by.now, &by)).await
    }

    /// All companies, by id.
    pub async fn companies(&self) -> Result<Vec<Company>, StoreError> {
        self.database
            .read(|connection| {
                let rows: Vec<CompanyRow> =
                    companies::table.order(companies::id).select(CompanyRow::as_select()).load(connection)?;
                rows.into_iter().map(CompanyRow::into_company).collect()
            })
            .await
    }

    /// One company.
    pub async fn company(&self, id: &CompanyId) -> Result<Option<Company>, StoreError> {
        let id = id.clone();
        self.database
            .read(move |connection| {
                let row: Option<CompanyRow> =
                    companies::table.find(id.as_str()).select(CompanyRow::as_select()).first(connection).optional()?;
                row.map(CompanyRow::into_company).transpose()
            })
            .await
    }

    /// Makes an account, and its company if that is new.
    pub async fn create(&self, new: NewAccount, by: &By) -> Result<Account, AccountError> {
        check_details(new.name.as_deref(), new.email.as_deref(), new.external_id.as_deref())?;
        let account = Account {
            id: AccountId::generate(&mut rand::rng()),
            name: new.name.unwrap_or_else(|| new.username.as_str().to_owned()),
            email: new.email.or_else(|| default_email(&new.username)),
            username: new.username,
            company: new.company,
            role: new.role,
            scopes: new.scopes,
            external_id: new.external_id,
            status: AccountStatus::Active,
            created_at: by.now,
        };
        let (by, vault) = (by.clone(), self.vault.clone());
        self.database
            .write(move |transaction| {
                if let Some(company) = &account.company {
                    ensure_company(transaction, company, &by)?;
                }
                insert(transaction, &account, new.password.as_ref().map(|password| &password.hash))?;
                let digest = new.password.iter().flat_map(|password| &password.digest);
                digest_users::insert(transaction, &vault, &account.id, None, digest)?;
                let entry = Entry::new(Event::AccountCreated, account.username.as_str()).of(&account);
                audit::append(transaction.connection, entry, &by)?;
                Ok(account)
            })
            .await
    }

    /// The account with this id.
    pub async fn find(&self, id: &AccountId) -> Result<Option<Account>, StoreError> {
        let id = id.clone();
        self.database.read(move |connection| find(connection, &id)).await
    }

    /// The account that this login name means: the whole name first, then `company+username` split at the first `+`.
    pub async fn by_login_name(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let name = name.to_owned();
        self.database.read(move |connection| by_login_name(connection, &name)).await
    }

    /// The account that the name or the id means; the name first.
    pub async fn by_name_or_id(&self, text: &str) -> Result<Option<Account>, StoreError> {
        let text = text.to_owned();
        self.database
            .read(move |connection| match by_login_name(connection, &text)? {
                Some(account) => Ok(Some(account)),
                None => match AccountId::parse(text) {
                    Ok(id) => find(connection, &id),
                    Err(_) => Ok(None),
                },
            })
            .await
    }

    /// Accounts within `reach`, newest first.
    pub async fn list(&self, reach: &Reach, filter: AccountFilter, page: Page) -> Result<Listing<Account>, StoreError> {
        let reach = reach.clone();
        self.database
            .read(move |connection| {
                let mut query = accounts::table.into_boxed::<MultiBackend>();
                match reach {
                    Reach::Everything => {}
                    Reach::Company(company) => query = query.filter(accounts::company.eq(company.to_string())),
                    Reach::Account(id) => query = query.filter(accounts::id.eq(id.to_string())),
                }
                if let Some(company) = filter.company {
                    query = query.filter(accounts::company.eq(company.to_string()));
                }
                if let Some(role) = filter.role {
                    query = query.filter(accounts::role.eq(role.as_str()));
                }
                if let Some(status) = filter.status {
                    query = query.filter(accounts::status.eq(status));
                }
                if let Some(external_id) = filter.external_id {
                    query = query.filter(accounts::external_id.eq(external_id));
                }
                if let Some(id) = filter.id {
                    query = query.filter(accounts::id.eq(id.to_string()));
                }
                if let Some(after) = &page.after {
                    query = query.filter(
                        accounts::created_at
                            .lt(after.created_at)
                            .or(accounts::created_at.eq(after.created_at).and(accounts::id.lt(after.id.clone()))),
                    );
                }
                let rows: Vec<AccountRow> = query
                    .order((accounts::created_at.desc(), accounts::id.desc()))
                    .limit(page.rows())
                    .select(AccountRow::as_select())
                    .load(connection)?;
                let items = rows.into_iter().map(AccountRow::into_account).collect::<Result<_, _>>()?;
                Ok(Listing::cut(items, &page, |account: &Account| Cursor {
                    created_at: account.created_at.unix(),
                    id: account.id.to_string(),
                }))
            })
            .await
    }

    /// Changes what `update` names; gives the account as it is then.
    pub async fn update(&self, id: &AccountId, update: AccountUpdate, by: &By) -> Result<Account, AccountError> {
        check_details(
            update.name.as_deref(),
            update.email.as_ref().and_then(Option::as_deref),
            update.external_id.as_ref().and_then(Option::as_deref),
        )?;
        let (id, by) = (id.clone(), by.clone());
        self.database
            .write(move |transaction| {
                let before = find(transaction.connection, &id)?.ok_or(AccountError::NotFound)?;
                if let Some(Some(company)) = &update.company {
                    ensure_company(transaction, company, &by)?;
                }
                let renamed = update.username.as_ref().is_some_and(|name| *name != before.username);
                let moved = update.company.as_ref().is_some_and(|company| *company != before.company);
                if let Some(username) = update.username.as_ref().filter(|_| renamed) {
                    check_username(transaction, username)?;
                    transaction.note(Change::Username(username.to_string()));
                }
                if renamed || moved {
                    // Digest hashes contain the old spellings.
                    diesel::delete(
                        digest_secrets::table
                            .filter(digest_secrets::account.eq(id.as_str()))
                            .filter(digest_secrets::public_key.is_null()),
                    )
                    .execute(transaction.connection)?;
                }
                let changed = diesel::update(accounts::table.find(id.as_str()))
                    .set((
                        // An update that names nothing is still one.
                        accounts::status.eq(accounts::status),
                        AccountChangeset {
                            username: update.username.map(|name| name.to_string()),
                            company: update.company.map(|company| company.map(|company| company.to_string())),
                            role: update.role.map(|role| role.as_str().to_owned()),
                            scopes: update.scopes.map(|scopes| scopes.to_string()),
                            name: update.name,
                            email: update.email,
                            external_id: update.external_id,
                        },
                    ))
                    .execute(transaction.connection);
                match changed {
                    Err(error) if is_taken(&error) => return Err(AccountError::UsernameTaken),
                    other => other?,
                };
                note_account(transaction, &before);
                let after = find(transaction.connection, &id)?.ok_or(AccountError::NotFound)?;
                note_account(transaction, &after);
                let entry = Entry::new(Event::AccountUpdated, after.username.as_str()).of(&after);
                audit::append(transaction.connection, entry, &by)?;
                Ok(after)
            })
            .await
    }

    /// Locks, disables or enables an account. What acts for it rests at once.
    pub async fn set_status(&self, id: &AccountId, status: AccountStatus, by: &By) -> Result<Account, AccountError> {
        if let Some(reason) = status.reason() {
            check_line("a reason", reason, 500)?;
        }
        let (id, by) = (id.clone(), by.clone());
        self.database
            .write(move |transaction| {
                diesel::update(accounts::table.find(id.as_str()))
                    .set((accounts::status.eq(status.as_str()), accounts::status_reason.eq(status.reason())))
                    .execute(transaction.connection)?;
                let account = find(transaction.connection, &id)?.ok_or(AccountError::NotFound)?;
                note_account(transaction, &account);
                let event = match &status {
                    AccountStatus::Active => Event::AccountEnabled,
                    AccountStatus::Locked { .. } => Event::AccountLocked,
                    AccountStatus::Disabled { .. } => Event::AccountDisabled,
                };
                let mut entry = Entry::new(event, account.username.as_str()).of(&account);
                if let Some(reason) = status.reason() {
                    entry = entry.because(reason);
                }
                audit::append(transaction.connection, entry, &by)?;
                Ok(account)
            })
            .await
    }

    /// Deletes an account with all that it owns: clients and their tokens, keys, grants, sessions.
    pub async fn delete(&self, id: &AccountId, by: &By) -> Result<(), AccountError> {
        let (id, by) = (id.clone(), by.clone());
        self.database
            .write(move |transaction| {
                let account = find(transaction.connection, &id)?.ok_or(AccountError::NotFound)?;
                diesel::delete(accounts::table.find(id.as_str())).execute(transaction.connection)?;
                note_account(transaction, &account);
                let entry = Entry::new(Event::AccountDeleted, account.username.as_str()).of(&account);
                audit::append(transaction.connection, entry, &by)?;
                Ok(())
            })
            .await
    }

    /// How many Digest secrets were made for another realm than `realm` and are therefore of no use.
    pub async fn digest_secrets_of_other_realms(&self, realm: &str) -> Result<i64, StoreError> {
        let realm = realm.to_owned();
        self.database
            .read(move |connection| {
                Ok(digest_secrets::table.filter(digest_secrets::realm.ne(realm)).count().get_result(connection)?)
            })
            .await
    }

    /// Whether there is any account: a fresh server has none.
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        self.database
            .read(|connection| {
                let first: Option<String> =
                    accounts::table.select(accounts::id).limit(1).first(connection).optional()?;
                Ok(first.is_none())
            })
            .await
    }
}

/// The account itself and the names that lead to it.
pub(super) fn note_account(transaction: &mut Transaction<'_>, account: &Account) {
    transaction.note(Change::Account(account.id.clone()));
    transaction.note(Change::Username(account.username.to_string()));
    if let Some(company) = &account.company {
        transaction.note(Change::Username(format!("{company}+{}", account.username)));
    }
}

pub(super) fn find(connection: &mut AnyConnection, id: &AccountId) -> Result<Option<Account>, StoreError> {
    let row: Option<AccountRow> =
        accounts::table.find(id.as_str()).select(AccountRow::as_select()).first(connection).optional()?;
    row.map(AccountRow::into_account).transpose()
}

pub(super) fn by_login_name(connection: &mut AnyConnection, name: &str) -> Result<Option<Account>, StoreError> {
    let whole: Option<AccountRow> = accounts::table
        .filter(accounts::username.eq(name))
        .select(AccountRow::as_select())
        .first(connection)
        .optional()?;
    let row = match (whole, Username::split_company(name)) {
        (Some(row), _) => Some(row),
        (None, Some((company, username))) => accounts::table
            .filter(accounts::username.eq(username))
            .filter(accounts::company.eq(company))
            .select(AccountRow::as_select())
            .first(connection)
            .optional()?,
        (None, None) => None,
    };
    row.map(AccountRow::into_account).transpose()
}

/// The account and its password hash.
pub(super) fn find_with_password(
    connection: &mut AnyConnection,
    id: &AccountId,
) -> Result<Option<(Account, Option<Secret>)>, StoreError> {
    let row: Option<(AccountRow, Option<String>)> = accounts::table
        .find(id.as_str())
        .select((AccountRow::as_select(), accounts::password_hash))
        .first(connection)
        .optional()?;
    row.map(|(row, hash)| Ok((row.into_account()?, hash.map(Secret::new)))).transpose()
}

/// Makes sure that nothing else can be meant by this username. Holds until the transaction ends.
pub(super) fn check_username(transaction: &mut Transaction<'_>, username: &Username) -> Result<(), AccountError> {
    transaction.serialize_names()?;
    let name = username.as_str();
    // As the audit log writes `(operator)` and others that are no account.
    if name.starts_with('(') && name.ends_with(')') {
        return Err(AccountError::UsernameShadows("somebody without an account: leave the outer brackets out"));
    }
    if let Some((company, _)) = name.split_once('+') {
        let taken: i64 =
            companies::table.filter(companies::id.eq(company)).count().get_result(transaction.connection)?;
        if taken > 0 {
            return Err(AccountError::UsernameShadows("a member of a company"));
        }
    }
    let keys: i64 = api_keys::table.filter(api_keys::public_key.eq(name)).count().get_result(transaction.connection)?;
    if keys > 0 {
        return Err(AccountError::UsernameShadows("a public key"));
    }
    let ids: i64 = accounts::table.filter(accounts::id.eq(name)).count().get_result(transaction.connection)?;
    if ids > 0 {
        return Err(AccountError::UsernameShadows("an account id"));
    }
    Ok(())
}

/// Whether a username, account id or public key with this text exists. Holds until the transaction ends.
pub(super) fn is_name_in_use(transaction: &mut Transaction<'_>, name: &str) -> Result<bool, StoreError> {
    transaction.serialize_names()?;
    let people: i64 = accounts::table
        .filter(accounts::username.eq(name).or(accounts::id.eq(name)))
        .count()
        .get_result(transaction.connection)?;
    let keys: i64 = api_keys::table.filter(api_keys::public_key.eq(name)).count().get_result(transaction.connection)?;
    Ok(people + keys > 0)
}

pub(super) fn insert(
    transaction: &mut Transaction<'_>,
    account: &Account,
    password_hash: Option<&Secret>,
) -> Result<(), AccountError> {
    check_username(transaction, &account.username)?;
    let inserted = diesel::insert_into(accounts::table)
        .values((AccountRow::from_account(account), accounts::password_hash.eq(password_hash.map(Secret::expose))))
        .execute(transaction.connection);
    match inserted {
        Err(error) if is_taken(&error) => Err(AccountError::UsernameTaken),
        other => {
            other?;
            note_account(transaction, account);
            Ok(())
        }
    }
}

/// Makes the company unless it is there.
pub(super) fn ensure_company(transaction: &mut Transaction<'_>, id: &CompanyId, by: &By) -> Result<(), AccountError> {
    transaction.serialize_names()?;
    let known: i64 =
        companies::table.filter(companies::id.eq(id.as_str())).count().get_result(transaction.connection)?;
    if known == 0 {
        insert_company(transaction, id.clone(), None, by.now, by)?;
    }
    Ok(())
}

pub(super) fn insert_company(
    transaction: &mut Transaction<'_>,
    id: CompanyId,
    name: Option<String>,
    created_at: Timestamp,
    by: &By,
) -> Result<Company, AccountError> {
    transaction.serialize_names()?;
    // All usernames that begin with `id+`: the comma follows the plus in ASCII, and the column sorts by bytes.
    let shadowed: i64 = accounts::table
        .filter(accounts::username.ge(format!("{id}+")))
        .filter(accounts::username.lt(format!("{id},")))
        .count()
        .get_result(transaction.connection)?;
    if shadowed > 0 {
        return Err(AccountError::CompanyShadows);
    }
    let company = Company { name: name.unwrap_or_else(|| id.to_string()), id, created_at };
    let inserted = diesel::insert_into(companies::table)
        .values((
            companies::id.eq(company.id.as_str()),
            companies::name.eq(company.name.as_str()),
            companies::created_at.eq(company.created_at.unix()),
        ))
        .execute(transaction.connection);
    match inserted {
        Err(error) if is_taken(&error) => return Err(AccountError::CompanyTaken),
        other => other?,
    };
    let entry = Entry::new(Event::CompanyCreated, company.id.as_str()).of_company(&company.id);
    audit::append(transaction.connection, entry, by)?;
    Ok(company)
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = accounts, treat_none_as_default_value = false)]
pub(super) struct AccountRow {
    id: String,
    username: String,
    company: Option<String>,
    role: String,
    scopes: String,
    name: String,
    email: Option<String>,
    external_id: Option<String>,
    status: String,
    status_reason: Option<String>,
    created_at: i64,
}

impl AccountRow {
    fn from_account(account: &Account) -> Self {
        Self {
            id: account.id.to_string(),
            username: account.username.to_string(),
            company: account.company.as_ref().map(ToString::to_string),
            role: account.role.as_str().to_owned(),
            scopes: account.scopes.to_string(),
            name: account.name.clone(),
            email: account.email.clone(),
            external_id: account.external_id.clone(),
            status: account.status.as_str().to_owned(),
            status_reason: account.status.reason().map(str::to_owned),
            created_at: account.created_at.unix(),
        }
    }

    pub(super) fn into_account(self) -> Result<Account, StoreError> {
        let corrupt = |what| StoreError::Corrupt { what };
        Ok(Account {
            id: AccountId::parse(self.id).map_err(|_| corrupt("accounts.id"))?,
            username: Username::parse(self.username).map_err(|_| corrupt("accounts.username"))?,
            company: self.company.map(CompanyId::parse).transpose().map_err(|_| corrupt("accounts.company"))?,
            role: Role::parse(&self.role).ok_or(corrupt("accounts.role"))?,
            scopes: ScopeLimit::parse(&self.scopes).map_err(|_| corrupt("accounts.scopes"))?,
            name: self.name,
            email: self.email,
            external_id: self.external_id,
            status: AccountStatus::parse(&self.status, self.status_reason).ok_or(corrupt("accounts.status"))?,
            created_at: Timestamp::from_unix(self.created_at),
        })
    }
}

#[derive(AsChangeset)]
#[diesel(table_name = accounts)]
struct AccountChangeset {
    username: Option<String>,
    company: Option<Option<String>>,
    role: Option<String>,
    scopes: Option<String>,
    name: Option<String>,
    email: Option<Option<String>>,
    external_id: Option<Option<String>>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = companies)]
struct CompanyRow {
    id: String,
    name: String,
    created_at: i64,
}

impl CompanyRow {
    fn into_company(self) -> Result<Company, StoreError> {
        Ok(Company {
            id: CompanyId::parse(self.id).map_err(|_| StoreError::Corrupt { what: "companies.id" })?,
            name: self.name,
            created_at: Timestamp::from_unix(self.created_at),
        })
    }
}

/// Whether this is still the account's password hash. If so, whoever changes it waits for the end of this transaction, and finds what it
/// has made; if not, what was proved by the old one makes nothing any more.
pub(super) fn still_has_password(
    connection: &mut AnyConnection,
    id: &AccountId,
    hash: &Secret,
) -> Result<bool, StoreError> {
    let as_proved = accounts::table.find(id.as_str()).filter(accounts::password_hash.eq(hash.expose()));
    let locked = diesel::update(as_proved).set(accounts::password_hash.eq(hash.expose())).execute(connection)?;
    Ok(locked == 1)
}
