//! Import and export: everything that clients and people would have to be given anew, secrets included, as one JSON
//! object a line, so that another provider's clients carry on unchanged and any size passes through little memory.
//!
//! Left out: sessions, request tokens, impersonations, what was revoked, the audit log, the server's own keys.

mod records;

use std::sync::Arc;

use diesel::prelude::*;
use serde::Serialize;

use crate::domain::account::{Account, AccountStatus, Role, check_details, default_email};
use crate::domain::api_key::ApiKey;
use crate::domain::client::{Callback, Client, ClientStatus, RsaPublicKey, SignatureMethods, check_name};
use crate::domain::credentials::{
    AccountId, ClientKey, CompanyId, Hint, PublicKey, Secret, TokenHash, TokenId, Username,
};
use crate::domain::delegation::TokenCredentials;
use crate::domain::scope::{ScopeLimit, Scopes};
use crate::protocol::signature::SignatureMethod;
use crate::time::Timestamp;

use super::accounts;
use super::api_keys;
use super::audit::{self, By, Entry, Event};
use super::changes::Change;
use super::clients::{self, OpenedClient};
use super::connection::{AnyConnection, Database, Transaction};
use super::delegations;
use super::digest_users::{self, DigestSecret};
use super::error::{StoreError, carries_diesel};
use super::schema;
use super::vault::Vault;

pub use records::{
    AccountRecord, ClientRecord, CompanyRecord, DigestRecord, ExposedSecret, KeyRecord, Record, TokenRecord,
};

/// Why nothing was imported or exported.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// `record`: 1 for the first. Nothing at all was imported.
    #[error("record {record}: {reason}")]
    Record { record: usize, reason: String },
    /// The file can't be read or written.
    #[error(transparent)]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

carries_diesel!(TransferError);

/// How many records there were.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize)]
pub struct Transferred {
    pub companies: usize,
    pub accounts: usize,
    pub clients: usize,
    pub keys: usize,
    pub tokens: usize,
}

impl Transferred {
    const fn count(&mut self, record: &Record) {
        match record {
            Record::Company(_) => self.companies += 1,
            Record::Account(_) => self.accounts += 1,
            Record::Client(_) => self.clients += 1,
            Record::Key(_) => self.keys += 1,
            Record::Token(_) => self.tokens += 1,
        }
    }
}

/// Import and export.
#[derive(Clone)]
pub struct Transfer {
    database: Database,
    vault: Arc<Vault>,
}

impl Transfer {
    /// Over this database.
    pub const fn new(database: Database, vault: Arc<Vault>) -> Self {
        Self { database, vault }
    }

    /// Reads one JSON object a line, empty lines apart. All of it is imported, or nothing. Everybody else's writes wait
    /// until the last line was read, so `lines` must not wait for anybody. `digest`: the hashes of a private key that is
    /// given in the clear without any.
    pub async fn import(
        &self,
        lines: impl Iterator<Item = std::io::Result<String>> + Send + 'static,
        digest: impl Fn(&Secret, &PublicKey, &Account) -> Vec<DigestSecret> + Send + 'static,
        by: &By,
    ) -> Result<Transferred, TransferError> {
        let (by, vault) = (by.clone(), self.vault.clone());
        self.database
            .write(move |transaction| {
                let mut counted = Transferred::default();
                let filled = lines.enumerate().map(|(index, line)| line.map(|line| (index + 1, line)));
                for line in filled {
                    let (number, line) = line?;
                    if line.trim().is_empty() {
                        continue;
                    }
                    let refused = |reason: String| TransferError::Record { record: number, reason };
                    let record: Record = serde_json::from_str(&line).map_err(|error| refused(no_record(&error)))?;
                    counted.count(&record);
                    import(transaction, &vault, record, &digest, &by).map_err(|problem| match problem {
                        Problem::Store(error) => TransferError::Store(error),
                        Problem::Record(reason) => refused(reason),
                    })?;
                }
                transaction.note(Change::Everything);
                let entry = Entry::new(Event::Imported, "import").because(format!(
                    "{} companies, {} accounts, {} clients, {} keys, {} tokens",
                    counted.companies, counted.accounts, counted.clients, counted.keys, counted.tokens
                ));
                audit::append(transaction.connection, entry, &by)?;
                Ok(counted)
            })
            .await
    }

    /// Gives `sink` one JSON object a line, in an order that [`import`](Self::import) takes; all of one moment.
    pub async fn export(
        &self,
        mut sink: impl FnMut(&str) -> std::io::Result<()> + Send + 'static,
        by: &By,
    ) -> Result<Transferred, TransferError> {
        let (vault, now) = (self.vault.clone(), by.now);
        let counted = self
            .database
            .snapshot(move |connection| {
                let mut counted = Transferred::default();
                export(connection, &vault, now, &mut |record: Record| {
                    counted.count(&record);
                    let line = zeroize::Zeroizing::new(serde_json::to_string(&record).map_err(std::io::Error::other)?);
                    sink(&line)?;
                    Ok(())
                })?;
                Ok::<_, TransferError>(counted)
            })
            .await?;
        let by = by.clone();
        self.database
            .write(move |transaction| {
                let entry = Entry::new(Event::Exported, "export");
                audit::append(transaction.connection, entry, &by)
            })
            .await?;
        Ok(counted)
    }
}

/// What is wrong with a line that is no record. Every line is its own text, so only the column says where.
fn no_record(error: &serde_json::Error) -> String {
    let error = error.to_string().replace(" at line 1 column ", " at column ");
    format!("not one of the JSON objects that `countersign import --help` shows: {error}")
}

/// Why one record isn't taken.
enum Problem {
    Record(String),
    Store(StoreError),
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<diesel::result::Error> for Problem {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Any error of a lower floor in its own words.
fn said(error: impl std::fmt::Display) -> Problem {
    Problem::Record(error.to_string())
}

fn import(
    transaction: &mut Transaction<'_>,
    vault: &Vault,
    record: Record,
    digest: &impl Fn(&Secret, &PublicKey, &Account) -> Vec<DigestSecret>,
    by: &By,
) -> Result<(), Problem> {
    match record {
        Record::Company(record) => {
            let id = CompanyId::parse(record.id).map_err(said)?;
            let created_at = moment(record.created_at.as_deref())?.unwrap_or(by.now);
            accounts::insert_company(transaction, id, record.name, created_at, by).map_err(said)?;
        }
        Record::Account(record) => import_account(transaction, vault, record, by)?,
        Record::Client(record) => import_client(transaction, vault, record, by)?,
        Record::Key(record) => import_key(transaction, vault, record, digest, by)?,
        Record::Token(record) => import_token(transaction, vault, record, by)?,
    }
    Ok(())
}

fn import_account(
    transaction: &mut Transaction<'_>,
    vault: &Vault,
    record: AccountRecord,
    by: &By,
) -> Result<(), Problem> {
    check_details(record.name.as_deref(), record.email.as_deref(), record.external_id.as_deref()).map_err(said)?;
    let username = Username::parse(record.username).map_err(said)?;
    let id = match record.id {
        Some(id) => {
            let id = AccountId::parse(id).map_err(said)?;
            if id.as_str() != username.as_str() && accounts::is_name_in_use(transaction, id.as_str())? {
                return Err(Problem::Record("the account id is taken, or could be mistaken for a name".to_owned()));
            }
            id
        }
        None => AccountId::generate(&mut rand::rng()),
    };
    let company = record.company.map(CompanyId::parse).transpose().map_err(said)?;
    if let Some(company) = &company {
        accounts::ensure_company(transaction, company, by).map_err(said)?;
    }
    let account = Account {
        id,
        company,
        role: match record.role {
            Some(role) => Role::parse(&role).ok_or_else(|| Problem::Record(format!("no such role: {role}")))?,
            None => Role::Member,
        },
        scopes: match record.scopes.as_deref() {
            None => ScopeLimit::Unlimited,
            Some([]) => ScopeLimit::Only(Scopes::none()),
            Some(scopes) => ScopeLimit::parse_each(scopes).map_err(said)?,
        },
        name: record.name.unwrap_or_else(|| username.to_string()),
        email: record.email.or_else(|| default_email(&username)),
        external_id: record.external_id,
        status: match record.status {
            Some(status) => AccountStatus::parse(&status, record.status_reason).ok_or_else(|| no_status(&status))?,
            None => AccountStatus::Active,
        },
        created_at: moment(record.created_at.as_deref())?.unwrap_or(by.now),
        username,
    };
    let password = record.password_hash.map(|hash| hash.0);
    accounts::insert(transaction, &account, password.as_ref()).map_err(said)?;
    Ok(digest_users::insert(transaction, vault, &account.id, None, &hidden(record.digest))?)
}

fn no_status(text: &str) -> Problem {
    Problem::Record(format!("no such status: {text}"))
}

fn hidden(records: Vec<DigestRecord>) -> Vec<DigestSecret> {
    records
        .into_iter()
        .map(|record| DigestSecret {
            username: record.username,
            realm: record.realm,
            md5: record.md5.0,
            sha256: record.sha256.0,
            user_hash_md5: record.user_hash_md5,
            user_hash_sha256: record.user_hash_sha256,
        })
        .collect()
}

fn import_client(
    transaction: &mut Transaction<'_>,
    vault: &Vault,
    record: ClientRecord,
    by: &By,
) -> Result<(), Problem> {
    check_name(&record.name).map_err(said)?;
    let client = Client {
        client_key: ClientKey::parse(record.client_key).map_err(said)?,
        owner: account_named(transaction, &record.owner)?.id,
        name: record.name,
        callbacks: record.callbacks.iter().map(|text| Callback::parse(text)).collect::<Result<_, _>>().map_err(said)?,
        scopes: Scopes::parse_each(&record.scopes).map_err(said)?,
        signature_methods: SignatureMethods::from_names(&record.signature_methods).map_err(said)?,
        rsa_public_key: record.rsa_public_key.map(|pem| RsaPublicKey::parse(&pem)).transpose().map_err(said)?,
        http_auth: record.http_auth.unwrap_or(true),
        status: match record.status {
            Some(status) => ClientStatus::parse(&status).ok_or_else(|| no_status(&status))?,
            None => ClientStatus::Active,
        },
        created_at: moment(record.created_at.as_deref())?.unwrap_or(by.now),
    };
    let secret = match record.client_secret.0 {
        secret if !secret.expose().is_empty() => secret,
        // One that nobody knows: the empty one would be good as soon as the client may sign with it.
        _ if client.signature_methods.iter().all(SignatureMethod::is_rsa) => Secret::generate(&mut rand::rng()),
        _ => {
            return Err(Problem::Record(
                "client_secret is empty, so anybody could sign for this client: only one whose signature_methods are all RSA may have none"
                    .to_owned(),
            ));
        }
    };
    clients::insert(transaction, vault, &client, &secret).map_err(said)?;
    match (record.previous_secret, moment(record.previous_secret_until.as_deref())?) {
        (Some(secret), Some(until)) if !secret.0.expose().is_empty() => {
            Ok(clients::insert_previous_secret(transaction, vault, &client.client_key, &secret.0, until)?)
        }
        (None, None) => Ok(()),
        _ => Err(Problem::Record(
            "give previous_secret, which is not empty, and previous_secret_until, or neither".to_owned(),
        )),
    }
}

fn import_key(
    transaction: &mut Transaction<'_>,
    vault: &Vault,
    record: KeyRecord,
    digest: &impl Fn(&Secret, &PublicKey, &Account) -> Vec<DigestSecret>,
    by: &By,
) -> Result<(), Problem> {
    let (hash, hint) = match (&record.private_key, &record.private_key_sha256) {
        (Some(private_key), None) if private_key.0.expose().is_empty() => return Err(is_empty("private_key")),
        (Some(private_key), None) => (private_key.0.sha256(), Hint::of(private_key.0.expose())),
        (None, Some(hex)) => (known_hash(hex)?, Hint::from_stored(record.hint.unwrap_or_default())),
        _ => return Err(Problem::Record("give either private_key or private_key_sha256".to_owned())),
    };
    let account = account_named(transaction, &record.account)?;
    let public_key = PublicKey::parse(record.public_key).map_err(said)?;
    let secrets = match record.private_key {
        Some(private_key) if record.digest.is_empty() => digest(&private_key.0, &public_key, &account),
        _ => hidden(record.digest),
    };
    let key = ApiKey {
        public_key,
        account: account.id,
        name: record.name,
        scopes: record.scopes.map(Scopes::parse_each).transpose().map_err(said)?,
        expires_at: moment(record.expires_at.as_deref())?,
        impersonator: None,
        created_at: moment(record.created_at.as_deref())?.unwrap_or(by.now),
    };
    api_keys::insert(transaction, &key, hash, &hint).map_err(said)?;
    Ok(digest_users::insert(transaction, vault, &key.account, Some(&key.public_key), &secrets)?)
}

fn import_token(transaction: &mut Transaction<'_>, vault: &Vault, record: TokenRecord, by: &By) -> Result<(), Problem> {
    let (token, hint) = match (&record.oauth_token, &record.oauth_token_sha256) {
        (Some(token), None) if token.0.expose().is_empty() => return Err(is_empty("oauth_token")),
        (Some(token), None) => (TokenHash::of(token.0.expose()), Hint::of(token.0.expose())),
        (None, Some(hex)) => {
            (TokenHash::from_bytes(known_hash(hex)?), Hint::from_stored(record.hint.unwrap_or_default()))
        }
        _ => return Err(Problem::Record("give either oauth_token or oauth_token_sha256".to_owned())),
    };
    let client_key = ClientKey::parse(record.client_key).map_err(said)?;
    let client = clients::find(transaction.connection, &client_key)?
        .ok_or_else(|| Problem::Record(format!("no such client: {client_key}")))?;
    let account = account_named(transaction, &record.username)?.id;
    let scopes = match record.scopes {
        Some(scopes) => Scopes::parse_each(&scopes).map_err(said)?,
        None => client.scopes,
    };
    let created_at = moment(record.created_at.as_deref())?.unwrap_or(by.now);
    let credentials = TokenCredentials {
        id: match record.id {
            Some(id) => TokenId::parse(id).map_err(said)?,
            None => TokenId::generate(&mut rand::rng()),
        },
        token,
        hint,
        grant: delegations::extend_grant(transaction, &account, &client_key, &scopes, created_at).map_err(said)?,
        client_key,
        account,
        scopes,
        created_at,
        expires_at: moment(record.expires_at.as_deref())?,
        revoked_at: None,
    };
    delegations::insert_token(transaction, vault, &credentials, &record.oauth_token_secret.0).map_err(said)
}

fn account_named(transaction: &mut Transaction<'_>, username: &str) -> Result<Account, Problem> {
    accounts::by_login_name(transaction.connection, username)?
        .ok_or_else(|| Problem::Record(format!("no such account: {username}")))
}

fn known_hash(hex: &str) -> Result<[u8; 32], Problem> {
    let hash = TokenHash::from_hex(hex).ok_or_else(|| Problem::Record("a SHA-256 is 64 hex digits".to_owned()))?;
    if hash == TokenHash::of("") { Err(is_empty("what was hashed")) } else { Ok(*hash.as_bytes()) }
}

/// Nobody can have sent it, or everybody can.
fn is_empty(what: &str) -> Problem {
    Problem::Record(format!("{what} is empty"))
}

fn moment(text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let told = |text| Timestamp::from_rfc3339(text).map_err(|error| Problem::Record(format!("{text}: a time {error}")));
    text.map(told).transpose()
}

/// Keys that are read at a time.
const CHUNK: i64 = 1000;

fn export(
    connection: &mut AnyConnection,
    vault: &Vault,
    now: Timestamp,
    sink: &mut dyn FnMut(Record) -> Result<(), TransferError>,
) -> Result<(), TransferError> {
    use schema::{accounts as a, api_keys as k, clients as c, companies as co, token_credentials as t};

    let companies: Vec<(String, String, i64)> =
        co::table.order(co::id).select((co::id, co::name, co::created_at)).load(connection)?;
    for (id, name, created_at) in companies {
        let created_at = Some(Timestamp::from_unix(created_at).to_rfc3339());
        sink(Record::Company(CompanyRecord { id, name: Some(name), created_at }))?;
    }
    each_key(
        connection,
        |connection, after| {
            Ok(a::table.filter(a::id.gt(after)).order(a::id).limit(CHUNK).select(a::id).load(connection)?)
        },
        |connection, id| {
            let id = AccountId::parse(id).map_err(|_| StoreError::Corrupt { what: "accounts.id" })?;
            let Some((account, password)) = accounts::find_with_password(connection, &id)? else { return Ok(()) };
            let digest = exposed(digest_users::of(connection, vault, &id, None)?);
            sink(Record::Account(account_record(account, password, digest)))
        },
    )?;
    each_key(
        connection,
        |connection, after| {
            let page = c::table.filter(c::client_key.gt(after)).order(c::client_key).limit(CHUNK);
            Ok(page.select(c::client_key).load(connection)?)
        },
        |connection, key| {
            let key = ClientKey::parse(key).map_err(|_| StoreError::Corrupt { what: "clients.client_key" })?;
            let Some(opened) = clients::find_with_secrets(connection, vault, &key)? else { return Ok(()) };
            let owner = username_of(connection, &opened.client.owner)?;
            sink(Record::Client(client_record(opened, owner, now)))
        },
    )?;
    each_key(
        connection,
        |connection, after| {
            let page = k::table.filter(k::public_key.gt(after)).filter(k::impersonator.is_null());
            Ok(page.order(k::public_key).limit(CHUNK).select(k::public_key).load(connection)?)
        },
        |connection, key| {
            let key = PublicKey::parse(key).map_err(|_| StoreError::Corrupt { what: "api_keys.public_key" })?;
            let Some(found) = api_keys::find(connection, &key)? else { return Ok(()) };
            let hint: String = k::table.find(key.as_str()).select(k::hint).first(connection)?;
            let digest = exposed(digest_users::of(connection, vault, &found.key.account, Some(&key))?);
            let account = username_of(connection, &found.key.account)?;
            sink(Record::Key(KeyRecord {
                public_key: key.to_string(),
                private_key: None,
                private_key_sha256: Some(TokenHash::from_bytes(found.private_key_hash).to_hex()),
                hint: Some(hint),
                account,
                name: found.key.name,
                scopes: found.key.scopes.as_ref().map(names),
                expires_at: found.key.expires_at.map(Timestamp::to_rfc3339),
                digest,
                created_at: Some(found.key.created_at.to_rfc3339()),
            }))
        },
    )?;
    each_key(
        connection,
        |connection, after| {
            let page = t::table.filter(t::id.gt(after)).filter(t::revoked_at.is_null());
            Ok(page.order(t::id).limit(CHUNK).select(t::id).load(connection)?)
        },
        |connection, id| {
            let hash: Vec<u8> = t::table.find(id.as_str()).select(t::token_hash).first(connection)?;
            let hash = hash.try_into().map_err(|_| StoreError::Corrupt { what: "token_credentials.token_hash" })?;
            let hash = TokenHash::from_bytes(hash);
            let Some((token, secret)) = delegations::find_token(connection, vault, &hash)? else { return Ok(()) };
            sink(Record::Token(TokenRecord {
                oauth_token: None,
                oauth_token_sha256: Some(hash.to_hex()),
                oauth_token_secret: ExposedSecret(secret),
                hint: Some(token.hint.to_string()),
                id: Some(id),
                client_key: token.client_key.to_string(),
                username: username_of(connection, &token.account)?,
                scopes: Some(names(&token.scopes)),
                expires_at: token.expires_at.map(Timestamp::to_rfc3339),
                created_at: Some(token.created_at.to_rfc3339()),
            }))
        },
    )
}

/// Calls `each` for every key that `page` gives, page after page.
fn each_key(
    connection: &mut AnyConnection,
    page: impl Fn(&mut AnyConnection, String) -> Result<Vec<String>, StoreError>,
    mut each: impl FnMut(&mut AnyConnection, String) -> Result<(), TransferError>,
) -> Result<(), TransferError> {
    let mut keys = page(connection, String::new())?;
    while let Some(last) = keys.last().cloned() {
        for key in keys {
            each(connection, key)?;
        }
        keys = page(connection, last)?;
    }
    Ok(())
}

fn username_of(connection: &mut AnyConnection, id: &AccountId) -> Result<String, StoreError> {
    let account = accounts::find(connection, id)?.ok_or(StoreError::Corrupt { what: "accounts.id" })?;
    Ok(account.username.to_string())
}

fn names(scopes: &Scopes) -> Vec<String> {
    scopes.iter().map(ToString::to_string).collect()
}

fn exposed(secrets: Vec<DigestSecret>) -> Vec<DigestRecord> {
    secrets
        .into_iter()
        .map(|secret| DigestRecord {
            username: secret.username,
            realm: secret.realm,
            md5: ExposedSecret(secret.md5),
            sha256: ExposedSecret(secret.sha256),
            user_hash_md5: secret.user_hash_md5,
            user_hash_sha256: secret.user_hash_sha256,
        })
        .collect()
}

fn account_record(account: Account, password: Option<Secret>, digest: Vec<DigestRecord>) -> AccountRecord {
    AccountRecord {
        id: Some(account.id.to_string()),
        username: account.username.to_string(),
        company: account.company.as_ref().map(ToString::to_string),
        role: Some(account.role.as_str().to_owned()),
        scopes: Some(account.scopes.to_list()),
        name: Some(account.name),
        email: account.email,
        external_id: account.external_id,
        status: Some(account.status.as_str().to_owned()),
        status_reason: account.status.reason().map(str::to_owned),
        password_hash: password.map(ExposedSecret),
        digest,
        created_at: Some(account.created_at.to_rfc3339()),
    }
}

fn client_record(opened: OpenedClient, owner: String, now: Timestamp) -> ClientRecord {
    let OpenedClient { client, secret, previous_secret } = opened;
    let (previous_secret, previous_secret_until) = previous_secret.filter(|(_, until)| now < *until).unzip();
    ClientRecord {
        client_key: client.client_key.to_string(),
        client_secret: ExposedSecret(secret),
        previous_secret: previous_secret.map(ExposedSecret),
        previous_secret_until: previous_secret_until.map(Timestamp::to_rfc3339),
        owner,
        name: client.name,
        callbacks: client.callbacks.iter().map(ToString::to_string).collect(),
        scopes: names(&client.scopes),
        signature_methods: client.signature_methods.iter().map(|method| method.to_string()).collect(),
        rsa_public_key: client.rsa_public_key.as_ref().map(|key| key.pem().to_owned()),
        http_auth: Some(client.http_auth),
        status: Some(client.status.as_str().to_owned()),
        created_at: Some(client.created_at.to_rfc3339()),
    }
}
