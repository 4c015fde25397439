//! Clients and their secrets (RFC 5849 §1.1 "client credentials").
//!
//! A secret is shown when it is made and never again: what is kept is sealed. While one is being replaced, the one
//! before may stay good for a while.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::prelude::*;

use crate::domain::account::{Account, Reach};
use crate::domain::client::{
    Callback, Client, ClientStatus, MOST_CALLBACKS, RsaPublicKey, SignatureMethods, check_name,
};
use crate::domain::credentials::{AccountId, ClientKey, InvalidName, Secret, Username};
use crate::domain::scope::Scopes;
use crate::time::{Lifetime, Timestamp};

use super::accounts;
use super::audit::{self, Actor, By, Entry, Event};
use super::changes::Change;
use super::connection::{AnyConnection, Database, MultiBackend, Transaction};
use super::error::{StoreError, carries_diesel, is_dangling, is_taken};
use super::page::{Cursor, Listing, Page};
use super::schema::{accounts as accounts_table, clients, token_credentials};
use super::vault::{Place, Vault};

/// Why a client isn't as it was wanted.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("there is no such client")]
    NotFound,
    #[error("there is no such account")]
    OwnerNotFound,
    #[error("this client key is taken")]
    KeyTaken,
    #[error("an administrator has suspended this client, and has to enable it again")]
    Suspended,
    #[error("a client has at most {MOST_CALLBACKS} callbacks")]
    TooManyCallbacks,
    #[error(transparent)]
    Invalid(#[from] InvalidName),
    #[error(transparent)]
    Store(#[from] StoreError),
}

carries_diesel!(ClientError);

/// A client about to be registered.
#[derive(Clone)]
pub struct NewClient {
    pub owner: AccountId,
    pub name: String,
    pub callbacks: Vec<Callback>,
    pub scopes: Scopes,
    pub signature_methods: SignatureMethods,
    pub rsa_public_key: Option<RsaPublicKey>,
    pub http_auth: bool,
}

impl NewClient {
    /// Without callbacks, scopes and RSA key; any signature method; good with Basic and Digest.
    pub fn named(owner: AccountId, name: impl Into<String>) -> Self {
        Self {
            owner,
            name: name.into(),
            callbacks: Vec::new(),
            scopes: Scopes::none(),
            signature_methods: SignatureMethods::ANY,
            rsa_public_key: None,
            http_auth: true,
        }
    }
}

/// A client and its secret, for once.
pub struct IssuedClient {
    pub client: Client,
    pub secret: Secret,
    /// Until when the secret before this one stays good.
    pub previous_secret_until: Option<Timestamp>,
}

/// What is to change about a client. `None`: stays. `Some(None)`: is taken away.
#[derive(Clone, Default)]
pub struct ClientUpdate {
    pub name: Option<String>,
    pub callbacks: Option<Vec<Callback>>,
    pub scopes: Option<Scopes>,
    pub signature_methods: Option<SignatureMethods>,
    pub rsa_public_key: Option<Option<RsaPublicKey>>,
    pub http_auth: Option<bool>,
    /// As [`Clients::set_enabled`].
    pub enabled: Option<bool>,
}

/// A client as lists and the console show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientSummary {
    pub client: Client,
    /// The owner's username.
    pub owner: Username,
    /// Tokens that are neither revoked nor expired.
    pub active_tokens: i64,
    /// A minute may pass before a use is seen here.
    pub last_used_at: Option<Timestamp>,
    /// Until when the secret before the last rotation stays good.
    pub previous_secret_until: Option<Timestamp>,
}

/// Which clients to list.
#[derive(Clone, Default, Debug)]
pub struct ClientFilter {
    pub owner: Option<AccountId>,
    /// That one alone.
    pub client_key: Option<ClientKey>,
}

/// Clients.
#[derive(Clone)]
pub struct Clients {
    database: Database,
    vault: Arc<Vault>,
}

impl Clients {
    /// Over this database.
    pub const fn new(database: Database, vault: Arc<Vault>) -> Self {
        Self { database, vault }
    }

    /// Registers a client; the secret is seen here and never again.
    pub async fn create(&self, new: NewClient, by: &By) -> Result<IssuedClient, ClientError> {
        check_name(&new.name)?;
        check_callbacks(&new.callbacks)?;
        let (client_key, secret) = {
            let mut rng = rand::rng();
            (ClientKey::generate(&mut rng), Secret::generate(&mut rng))
        };
        let client = Client {
            client_key,
            owner: new.owner,
            name: new.name,
            callbacks: new.callbacks,
            scopes: new.scopes,
            signature_methods: new.signature_methods,
            rsa_public_key: new.rsa_public_key,
            http_auth: new.http_auth,
            status: ClientStatus::Active,
            created_at: by.now,
        };
        let (by, vault) = (by.clone(), self.vault.clone());
        self.database
            .write(move |transaction| {
                let owner = accounts::find(transaction.connection, &client.owner)?.ok_or(ClientError::OwnerNotFound)?;
                insert(transaction, &vault, &client, &secret)?;
                append(transaction, Event::ClientCreated, &client, &owner, &by)?;
                Ok(IssuedClient { client, secret, previous_secret_until: None })
            })
            .await
    }

    /// The client with this key.
    pub async fn find(&self, client_key: &ClientKey) -> Result<Option<Client>, StoreError> {
        let client_key = client_key.clone();
        self.database.read(move |connection| find(connection, &client_key)).await
    }

    /// The client as the console shows it.
    pub async fn show(&self, client_key: &ClientKey, now: Timestamp) -> Result<Option<ClientSummary>, StoreError> {
        let client_key = client_key.clone();
        self.database
            .read(move |connection| {
                let query = summaries().filter(clients::client_key.eq(client_key.to_string()));
                let rows: Vec<SummaryRow> = query.load(connection)?;
                Ok(summarize(connection, rows, now)?.into_iter().next())
            })
            .await
    }

    /// Clients whose owners are within `reach`, newest first.
    pub async fn list(
        &self,
        reach: &Reach,
        filter: ClientFilter,
        now: Timestamp,
        page: Page,
    ) -> Result<Listing<ClientSummary>, StoreError> {
        let reach = reach.clone();
        self.database
            .read(move |connection| {
                let mut query = summaries();
                match reach {
                    Reach::Everything => {}
                    Reach::Company(company) => {
                        query = query.filter(accounts_table::company.eq(company.to_string()));
                    }
                    Reach::Account(id) => query = query.filter(clients::owner.eq(id.to_string())),
                }
                if let Some(owner) = filter.owner {
                    query = query.filter(clients::owner.eq(owner.to_string()));
                }
                if let Some(client_key) = filter.client_key {
                    query = query.filter(clients::client_key.eq(client_key.to_string()));
                }
                if let Some(after) = &page.after {
                    query =
                        query.filter(clients::created_at.lt(after.created_at).or(
                            clients::created_at.eq(after.created_at).and(clients::client_key.lt(after.id.clone())),
                        ));
                }
                let rows: Vec<SummaryRow> = query
                    .order((clients::created_at.desc(), clients::client_key.desc()))
                    .limit(page.rows())
                    .load(connection)?;
                let items = summarize(connection, rows, now)?;
                Ok(Listing::cut(items, &page, |item: &ClientSummary| Cursor {
                    created_at: item.client.created_at.unix(),
                    id: item.client.client_key.to_string(),
                }))
            })
            .await
    }

    /// Changes what `update` names; gives the client as it is then.
    pub async fn update(&self, client_key: &ClientKey, update: ClientUpdate, by: &By) -> Result<Client, ClientError> {
        if let Some(name) = &update.name {
            check_name(name)?;
        }
        check_callbacks(update.callbacks.as_deref().unwrap_or_default())?;
        let (client_key, by) = (client_key.clone(), by.clone());
        self.database
            .write(move |transaction| {
                diesel::update(clients::table.find(client_key.as_str()))
                    .set((
                        // An update that names nothing is still one.
                        clients::status.eq(clients::status),
                        ClientChangeset {
                            name: update.name,
                            callbacks: update.callbacks.as_deref().map(join_callbacks),
                            scopes: update.scopes.map(|scopes| scopes.to_string()),
                            signature_methods: update.signature_methods.map(join_methods),
                            rsa_public_key: update.rsa_public_key.map(|key| key.map(|key| key.pem().to_owned())),
                            http_auth: update.http_auth,
                        },
                    ))
                    .execute(transaction.connection)?;
                if let Some(enabled) = update.enabled {
                    set_status(transaction, &client_key, enabled, &by)?;
                    let event = if enabled { Event::ClientEnabled } else { Event::ClientDisabled };
                    changed(transaction, &client_key, event, &by)?;
                }
                changed(transaction, &client_key, Event::ClientUpdated, &by)
            })
            .await
    }

    /// Gives the client a new secret. The one before stays good for `grace`; the one before that ends now.
    pub async fn rotate_secret(
        &self,
        client_key: &ClientKey,
        grace: Lifetime,
        by: &By,
    ) -> Result<IssuedClient, ClientError> {
        let (client_key, by, vault) = (client_key.clone(), by.clone(), self.vault.clone());
        let secret = Secret::generate(&mut rand::rng());
        self.database
            .write(move |transaction| {
                let sealed = vault.seal(&secret, place(&client_key));
                let row = clients::table.find(client_key.as_str());
                let previous_secret_until = (grace.seconds() > 0).then(|| by.now + grace);
                if previous_secret_until.is_none() {
                    diesel::update(row)
                        .set((
                            clients::sealed_previous_secret.eq(None::<Vec<u8>>),
                            clients::previous_secret_until.eq(None::<i64>),
                            clients::sealed_secret.eq(sealed),
                        ))
                        .execute(transaction.connection)?;
                } else {
                    diesel::update(row)
                        .set((
                            clients::sealed_previous_secret.eq(clients::sealed_secret.nullable()),
                            clients::previous_secret_until.eq(previous_secret_until.map(Timestamp::unix)),
                            clients::sealed_secret.eq(sealed),
                        ))
                        .execute(transaction.connection)?;
                }
                let client = changed(transaction, &client_key, Event::ClientSecretRotated, &by)?;
                Ok(IssuedClient { client, secret, previous_secret_until })
            })
            .await
    }

    /// Enables or disables a client. What an administrator disables its owner can't enable, and what an administrator of the server
    /// disables, no other.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], [`ClientError::Suspended`].
    pub async fn set_enabled(&self, client_key: &ClientKey, enabled: bool, by: &By) -> Result<Client, ClientError> {
        let (client_key, by) = (client_key.clone(), by.clone());
        self.database
            .write(move |transaction| {
                set_status(transaction, &client_key, enabled, &by)?;
                let event = if enabled { Event::ClientEnabled } else { Event::ClientDisabled };
                changed(transaction, &client_key, event, &by)
            })
            .await
    }

    /// Deletes a client with its grants and tokens.
    pub async fn delete(&self, client_key: &ClientKey, by: &By) -> Result<(), ClientError> {
        let (client_key, by) = (client_key.clone(), by.clone());
        self.database
            .write(move |transaction| {
                changed(transaction, &client_key, Event::ClientDeleted, &by)?;
                diesel::delete(clients::table.find(client_key.as_str())).execute(transaction.connection)?;
                Ok(())
            })
            .await
    }
}

/// Enables or disables, as [`Clients::set_enabled`] says.
fn set_status(
    transaction: &mut Transaction<'_>,
    client_key: &ClientKey,
    enabled: bool,
    by: &By,
) -> Result<(), ClientError> {
    let owner = find(transaction.connection, client_key)?.ok_or(ClientError::NotFound)?.owner;
    let by_owner = matches!(&by.who, Actor::Account { id, .. } if *id == owner);
    let reach = match &by.who {
        Actor::Account { id, .. } => accounts::find(transaction.connection, id)?.map(|actor| actor.reach()),
        Actor::Operator | Actor::Server | Actor::Stranger => Some(Reach::Everything),
    };
    let (disabled, above): (_, &[ClientStatus]) = match reach {
        Some(Reach::Everything) => (ClientStatus::Barred, &[]),
        Some(Reach::Company(_)) if !by_owner => (ClientStatus::Suspended, &[ClientStatus::Barred]),
        _ => (ClientStatus::Disabled, &[ClientStatus::Suspended, ClientStatus::Barred]),
    };
    let status = match (enabled, by_owner) {
        (true, _) => ClientStatus::Active,
        (false, true) => ClientStatus::Disabled,
        (false, false) => disabled,
    };
    // An owner never changes hands, so only the status is left to a race.
    let above: Vec<&str> = above.iter().map(|status| status.as_str()).collect();
    let changes = clients::table.find(client_key.as_str()).filter(clients::status.ne_all(above));
    let rows = diesel::update(changes).set(clients::status.eq(status.as_str())).execute(transaction.connection)?;
    if rows == 0 {
        return Err(ClientError::Suspended);
    }
    Ok(())
}

fn check_callbacks(callbacks: &[Callback]) -> Result<(), ClientError> {
    if callbacks.len() > MOST_CALLBACKS { Err(ClientError::TooManyCallbacks) } else { Ok(()) }
}

/// Notes and writes down a change to a client that must be there.
fn changed(
    transaction: &mut Transaction<'_>,
    client_key: &ClientKey,
    event: Event,
    by: &By,
) -> Result<Client, ClientError> {
    let client = find(transaction.connection, client_key)?.ok_or(ClientError::NotFound)?;
    let owner = accounts::find(transaction.connection, &client.owner)?.ok_or(ClientError::OwnerNotFound)?;
    transaction.note(Change::Client(client_key.clone()));
    append(transaction, event, &client, &owner, by)?;
    Ok(client)
}

fn append(
    transaction: &mut Transaction<'_>,
    event: Event,
    client: &Client,
    owner: &Account,
    by: &By,
) -> Result<(), StoreError> {
    let entry = Entry::new(event, client.name.as_str()).of(owner).with_client(&client.client_key);
    audit::append(transaction.connection, entry, by)
}

pub(super) const SECRET_COLUMN: &str = "clients.secret";

fn place(client_key: &ClientKey) -> Place<'_> {
    Place { column: SECRET_COLUMN, row: client_key.as_str() }
}

pub(super) fn insert(
    transaction: &mut Transaction<'_>,
    vault: &Vault,
    client: &Client,
    secret: &Secret,
) -> Result<(), ClientError> {
    let inserted = diesel::insert_into(clients::table)
        .values((
            ClientRow::from_client(client),
            clients::sealed_secret.eq(vault.seal(secret, place(&client.client_key))),
        ))
        .execute(transaction.connection);
    match inserted {
        Err(error) if is_taken(&error) => Err(ClientError::KeyTaken),
        Err(error) if is_dangling(&error) => Err(ClientError::OwnerNotFound),
        other => {
            other?;
            transaction.note(Change::Client(client.client_key.clone()));
            Ok(())
        }
    }
}

/// Lets an imported client's secret before the last rotation stay good until then.
pub(super) fn insert_previous_secret(
    transaction: &mut Transaction<'_>,
    vault: &Vault,
    client_key: &ClientKey,
    secret: &Secret,
    until: Timestamp,
) -> Result<(), StoreError> {
    diesel::update(clients::table.find(client_key.as_str()))
        .set((
            clients::sealed_previous_secret.eq(Some(vault.seal(secret, place(client_key)))),
            clients::previous_secret_until.eq(Some(until.unix())),
        ))
        .execute(transaction.connection)?;
    Ok(())
}

pub(super) fn find(connection: &mut AnyConnection, client_key: &ClientKey) -> Result<Option<Client>, StoreError> {
    let row: Option<ClientRow> =
        clients::table.find(client_key.as_str()).select(ClientRow::as_select()).first(connection).optional()?;
    row.map(ClientRow::into_client).transpose()
}

/// A client and its secrets, opened.
pub(super) struct OpenedClient {
    pub client: Client,
    pub secret: Secret,
    /// The secret before the last rotation, and the first second in which it is good no more.
    pub previous_secret: Option<(Secret, Timestamp)>,
}

pub(super) fn find_with_secrets(
    connection: &mut AnyConnection,
    vault: &Vault,
    client_key: &ClientKey,
) -> Result<Option<OpenedClient>, StoreError> {
    type Row = (ClientRow, Vec<u8>, Option<Vec<u8>>, Option<i64>);
    let row: Option<Row> = clients::table
        .find(client_key.as_str())
        .select((
            ClientRow::as_select(),
            clients::sealed_secret,
            clients::sealed_previous_secret,
            clients::previous_secret_until,
        ))
        .first(connection)
        .optional()?;
    let Some((row, sealed, previous, until)) = row else { return Ok(None) };
    let client = row.into_client()?;
    let secret = vault.open(&sealed, place(client_key))?;
    let previous_secret = match (previous, until) {
        (Some(sealed), Some(until)) => Some((vault.open(&sealed, place(client_key))?, Timestamp::from_unix(until))),
        _ => None,
    };
    Ok(Some(OpenedClient { client, secret, previous_secret }))
}

type SummaryRow = (ClientRow, String, Option<i64>, Option<i64>);

#[diesel::dsl::auto_type]
fn summary_query() -> _ {
    let row: diesel::dsl::AsSelect<ClientRow, MultiBackend> = ClientRow::as_select();
    clients::table.inner_join(accounts_table::table).select((
        row,
        accounts_table::username,
        clients::last_used_at,
        clients::previous_secret_until,
    ))
}

fn summaries<'a>() -> diesel::dsl::IntoBoxed<'a, summary_query, MultiBackend> {
    summary_query().into_boxed()
}

/// Adds to each row how many tokens are alive.
fn summarize(
    connection: &mut AnyConnection,
    rows: Vec<SummaryRow>,
    now: Timestamp,
) -> Result<Vec<ClientSummary>, StoreError> {
    let keys: Vec<&str> = rows.iter().map(|(row, ..)| row.client_key.as_str()).collect();
    let counted: Vec<(String, i64)> = token_credentials::table
        .filter(token_credentials::client_key.eq_any(keys))
        .filter(token_credentials::revoked_at.is_null())
        .filter(
            token_credentials::expires_at.is_null().or(token_credentials::expires_at.gt(now.unix()).assume_not_null()),
        )
        .group_by(token_credentials::client_key)
        .select((token_credentials::client_key, diesel::dsl::count_star()))
        .load(connection)?;
    let counted: HashMap<String, i64> = counted.into_iter().collect();
    rows.into_iter()
        .map(|(row, owner, last_used_at, previous_secret_until)| {
            Ok(ClientSummary {
                active_tokens: counted.get(&row.client_key).copied().unwrap_or(0),
                client: row.into_client()?,
                owner: Username::parse(owner).map_err(|_| StoreError::Corrupt { what: "accounts.username" })?,
                last_used_at: last_used_at.map(Timestamp::from_unix),
                previous_secret_until: previous_secret_until.map(Timestamp::from_unix).filter(|until| now < *until),
            })
        })
        .collect()
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = clients, treat_none_as_default_value = false)]
struct ClientRow {
    client_key: String,
    owner: String,
    name: String,
    callbacks: String,
    scopes: String,
    signature_methods: String,
    rsa_public_key: Option<String>,
    http_auth: bool,
    status: String,
    created_at: i64,
}

impl ClientRow {
    fn from_client(client: &Client) -> Self {
        Self {
            client_key: client.client_key.to_string(),
            owner: client.owner.to_string(),
            name: client.name.clone(),
            callbacks: join_callbacks(&client.callbacks),
            scopes: client.scopes.to_string(),
            signature_methods: join_methods(client.signature_methods),
            rsa_public_key: client.rsa_public_key.as_ref().map(|key| key.pem().to_owned()),
            http_auth: client.http_auth,
            status: client.status.as_str().to_owned(),
            created_at: client.created_at.unix(),
        }
    }

    fn into_client(self) -> Result<Client, StoreError> {
        let corrupt = |what| StoreError::Corrupt { what };
        Ok(Client {
            client_key: ClientKey::parse(self.client_key).map_err(|_| corrupt("clients.client_key"))?,
            owner: AccountId::parse(self.owner).map_err(|_| corrupt("clients.owner"))?,
            name: self.name,
            callbacks: self
                .callbacks
                .lines()
                .map(|line| Callback::parse(line).map_err(|_| corrupt("clients.callbacks")))
                .collect::<Result<_, _>>()?,
            scopes: Scopes::parse(&self.scopes).map_err(|_| corrupt("clients.scopes"))?,
            signature_methods: SignatureMethods::from_names(self.signature_methods.split_whitespace())
                .map_err(|_| corrupt("clients.signature_methods"))?,
            rsa_public_key: self
                .rsa_public_key
                .map(|pem| RsaPublicKey::parse(&pem).map_err(|_| corrupt("clients.rsa_public_key")))
                .transpose()?,
            http_auth: self.http_auth,
            status: ClientStatus::parse(&self.status).ok_or(corrupt("clients.status"))?,
            created_at: Timestamp::from_unix(self.created_at),
        })
    }
}

#[derive(AsChangeset)]
#[diesel(table_name = clients)]
struct ClientChangeset {
    name: Option<String>,
    callbacks: Option<String>,
    scopes: Option<String>,
    signature_methods: Option<String>,
    rsa_public_key: Option<Option<String>>,
    http_auth: Option<bool>,
}

fn join_callbacks(callbacks: &[Callback]) -> String {
    // No callback holds a line end.
    callbacks.iter().map(Callback::as_str).collect::<Vec<_>>().join("\n")
}

/// Empty for any, so that a method that a later version knows is among them.
fn join_methods(methods: SignatureMethods) -> String {
    if methods == SignatureMethods::ANY {
        return String::new();
    }
    methods.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(" ")
}
