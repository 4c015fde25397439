//! Who did what, when and from where. Rows are added in the transaction of what they tell about, and never changed.
//!
//! Also here: [`By`], which every method that changes something takes. No secret is ever part of an event.

use std::net::IpAddr;

use diesel::prelude::*;

use crate::domain::account::{Account, Reach};
use crate::domain::credentials::{AccountId, ClientKey, CompanyId, Username};
use crate::time::Timestamp;

use super::connection::{AnyConnection, Database, MultiBackend};
use super::error::StoreError;
use super::schema::audit;

/// Who does something, from where, and when.
#[derive(Clone, Debug)]
pub struct By {
    pub who: Actor,
    /// The network address, as text.
    pub address: Option<String>,
    pub now: Timestamp,
}

impl By {
    /// Over the network.
    pub fn from(who: Actor, address: IpAddr, now: Timestamp) -> Self {
        Self { who, address: Some(address.to_string()), now }
    }
}

/// Who does something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// Somebody who is logged in or signed; `app`: the client that acts in their name.
    Account { id: AccountId, username: Username, app: Option<ClientKey> },
    /// Whoever may run the command line on the machine.
    Operator,
    /// The server by itself, e.g. when something expired.
    Server,
    /// Somebody who isn't known (yet), e.g. at a failed login.
    Stranger,
}

impl Actor {
    /// This account.
    pub fn account(account: &Account) -> Self {
        Self::Account { id: account.id.clone(), username: account.username.clone(), app: None }
    }

    /// This app, in the name of this account.
    pub fn app(client_key: &ClientKey, account: &Account) -> Self {
        Self::Account { id: account.id.clone(), username: account.username.clone(), app: Some(client_key.clone()) }
    }

    /// The username, or `(operator)`, `(server)`, `(stranger)`.
    pub fn name(&self) -> &str {
        match self {
            Self::Account { username, .. } => username.as_str(),
            Self::Operator => "(operator)",
            Self::Server => "(server)",
            Self::Stranger => "(stranger)",
        }
    }
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    CompanyCreated,
    AccountCreated,
    AccountUpdated,
    AccountLocked,
    AccountDisabled,
    AccountEnabled,
    AccountDeleted,
    PasswordSet,
    LoginSucceeded,
    LoginFailed,
    LoginThrottled,
    SessionEnded,
    ClientCreated,
    ClientUpdated,
    ClientSecretRotated,
    ClientDisabled,
    ClientEnabled,
    ClientDeleted,
    KeyCreated,
    KeyRegenerated,
    KeyDeleted,
    ImpersonationStarted,
    AccessAllowed,
    AccessDenied,
    TokenIssued,
    TokenRevoked,
    GrantRevoked,
    Imported,
    Exported,
    SettingChanged,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 30] = [
        Self::CompanyCreated,
        Self::AccountCreated,
        Self::AccountUpdated,
        Self::AccountLocked,
        Self::AccountDisabled,
        Self::AccountEnabled,
        Self::AccountDeleted,
        Self::PasswordSet,
        Self::LoginSucceeded,
        Self::LoginFailed,
        Self::LoginThrottled,
        Self::SessionEnded,
        Self::ClientCreated,
        Self::ClientUpdated,
        Self::ClientSecretRotated,
        Self::ClientDisabled,
        Self::ClientEnabled,
        Self::ClientDeleted,
        Self::KeyCreated,
        Self::KeyRegenerated,
        Self::KeyDeleted,
        Self::ImpersonationStarted,
        Self::AccessAllowed,
        Self::AccessDenied,
        Self::TokenIssued,
        Self::TokenRevoked,
        Self::GrantRevoked,
        Self::Imported,
        Self::Exported,
        Self::SettingChanged,
    ];

    /// `account.created` and so on.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CompanyCreated => "company.created",
            Self::AccountCreated => "account.created",
            Self::AccountUpdated => "account.updated",
            Self::AccountLocked => "account.locked",
            Self::AccountDisabled => "account.disabled",
            Self::AccountEnabled => "account.enabled",
            Self::AccountDeleted => "account.deleted",
            Self::PasswordSet => "password.set",
            Self::LoginSucceeded => "login.succeeded",
            Self::LoginFailed => "login.failed",
            Self::LoginThrottled => "login.throttled",
            Self::SessionEnded => "session.ended",
            Self::ClientCreated => "client.created",
            Self::ClientUpdated => "client.updated",
            Self::ClientSecretRotated => "client.secret_rotated",
            Self::ClientDisabled => "client.disabled",
            Self::ClientEnabled => "client.enabled",
            Self::ClientDeleted => "client.deleted",
            Self::KeyCreated => "key.created",
            Self::KeyRegenerated => "key.regenerated",
            Self::KeyDeleted => "key.deleted",
            Self::ImpersonationStarted => "impersonation.started",
            Self::AccessAllowed => "access.allowed",
            Self::AccessDenied => "access.denied",
            Self::TokenIssued => "token.issued",
            Self::TokenRevoked => "token.revoked",
            Self::GrantRevoked => "grant.revoked",
            Self::Imported => "data.imported",
            Self::Exported => "data.exported",
            Self::SettingChanged => "setting.changed",
        }
    }
}

/// One thing that happened, about to be written down.
#[derive(Clone, Debug)]
pub struct Entry {
    event: Event,
    subject: String,
    account: Option<String>,
    company: Option<String>,
    client_key: Option<String>,
    detail: Option<String>,
}

impl Entry {
    /// `subject` says what it happened to: a username, a client key, a token's id.
    pub fn new(event: Event, subject: impl Into<String>) -> Self {
        Self { event, subject: subject.into(), account: None, company: None, client_key: None, detail: None }
    }

    /// The account whose business it is; its company's administrators see it too.
    pub fn of(mut self, account: &Account) -> Self {
        self.account = Some(account.id.as_str().to_owned());
        self.company = account.company.as_ref().map(|company| company.as_str().to_owned());
        self
    }

    /// The company whose business it is.
    pub fn of_company(mut self, company: &CompanyId) -> Self {
        self.company = Some(company.as_str().to_owned());
        self
    }

    /// The client that it happened to or through.
    pub fn with_client(mut self, client_key: &ClientKey) -> Self {
        self.client_key = Some(client_key.as_str().to_owned());
        self
    }

    /// More, for people. No secret.
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// One thing that happened.
#[derive(Clone, PartialEq, Eq, Debug, Queryable, Selectable)]
#[diesel(table_name = audit)]
pub struct AuditRow {
    /// Grows with time.
    pub id: i64,
    #[diesel(deserialize_as = i64)]
    at: Seconds,
    /// [`Event::as_str`].
    pub event: String,
    /// [`Actor::name`].
    pub actor: String,
    /// The id of the account whose business it was.
    pub account: Option<String>,
    pub company: Option<String>,
    pub client_key: Option<String>,
    pub subject: String,
    pub detail: Option<String>,
    pub address: Option<String>,
}

/// A column of seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seconds(i64);

impl From<i64> for Seconds {
    fn from(seconds: i64) -> Self {
        Self(seconds)
    }
}

impl AuditRow {
    /// When it happened.
    pub const fn at(&self) -> Timestamp {
        Timestamp::from_unix(self.at.0)
    }
}

/// Which events to list. All conditions hold together.
#[derive(Clone, Default, Debug)]
pub struct AuditFilter {
    /// [`Event::as_str`], or its beginning up to the dot: `login`.
    pub event: Option<String>,
    /// Events that this account did or whose business they are.
    pub account: Option<AccountId>,
    pub client_key: Option<ClientKey>,
    /// From this second on.
    pub since: Option<Timestamp>,
    /// Before this second.
    pub until: Option<Timestamp>,
    /// Only events with a smaller id: the next page.
    pub before: Option<i64>,
}

/// The audit log.
#[derive(Clone)]
pub struct AuditLog {
    database: Database,
}

impl AuditLog {
    /// Over this database.
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Writes down what no store method does by itself, e.g. a failed login.
    pub async fn append(&self, entry: Entry, by: &By) -> Result<(), StoreError> {
        let by = by.clone();
        self.database.write(move |transaction| append(transaction.connection, entry, &by)).await
    }

    /// The newest first, at most `limit` (1 to 1000) of those within `reach`.
    pub async fn list(&self, reach: &Reach, filter: AuditFilter, limit: u16) -> Result<Vec<AuditRow>, StoreError> {
        let reach = reach.clone();
        self.database
            .read(move |connection| {
                let mut query = audit::table.into_boxed::<MultiBackend>();
                match reach {
                    Reach::Everything => {}
                    Reach::Company(company) => query = query.filter(audit::company.eq(company.as_str().to_owned())),
                    Reach::Account(id) => query = query.filter(concerns(&id)),
                }
                if let Some(event) = filter.event {
                    query = if event.contains('.') {
                        query.filter(audit::event.eq(event))
                    } else {
                        // From `login.` to before `login/`: the dot's neighbour in ASCII.
                        query.filter(audit::event.ge(format!("{event}."))).filter(audit::event.lt(format!("{event}/")))
                    };
                }
                if let Some(id) = filter.account {
                    query = query.filter(concerns(&id));
                }
                if let Some(client_key) = filter.client_key {
                    query = query.filter(audit::client_key.eq(client_key.as_str().to_owned()));
                }
                if let Some(since) = filter.since {
                    query = query.filter(audit::at.ge(since.unix()));
                }
                if let Some(until) = filter.until {
                    query = query.filter(audit::at.lt(until.unix()));
                }
                if let Some(before) = filter.before {
                    query = query.filter(audit::id.lt(before));
                }
                Ok(query
                    .order(audit::id.desc())
                    .limit(i64::from(limit.clamp(1, 1000)))
                    .select(AuditRow::as_select())
                    .load(connection)?)
            })
            .await
    }
}

type Concerns = diesel::dsl::Or<
    diesel::dsl::AssumeNotNull<diesel::dsl::Eq<audit::account, String>>,
    diesel::dsl::AssumeNotNull<diesel::dsl::Eq<audit::actor_account, String>>,
>;

fn concerns(id: &AccountId) -> Concerns {
    use diesel::expression_methods::NullableExpressionMethods;
    audit::account
        .eq(id.as_str().to_owned())
        .assume_not_null()
        .or(audit::actor_account.eq(id.as_str().to_owned()).assume_not_null())
}

/// Adds a row in the transaction of what it tells about.
pub(super) fn append(connection: &mut AnyConnection, entry: Entry, by: &By) -> Result<(), StoreError> {
    let (actor_account, app) = match &by.who {
        Actor::Account { id, app, .. } => (Some(id.as_str()), app.as_ref().map(ClientKey::to_string)),
        Actor::Operator | Actor::Server | Actor::Stranger => (None, None),
    };
    diesel::insert_into(audit::table)
        .values((
            audit::at.eq(by.now.unix()),
            audit::event.eq(entry.event.as_str()),
            audit::actor.eq(by.who.name()),
            audit::actor_account.eq(actor_account),
            audit::account.eq(entry.account),
            audit::company.eq(entry.company),
            audit::client_key.eq(entry.client_key.or(app)),
            audit::subject.eq(entry.subject),
            audit::detail.eq(entry.detail),
            audit::address.eq(by.address.as_deref()),
        ))
        .execute(connection)?;
    Ok(())
}
