//! Sessions: who is logged in with a browser, and the three-cookie form, which lives as long.
//!
//! A session is looked up by the SHA-256 of its secret, so the table logs nobody in.

use diesel::prelude::*;

use crate::domain::account::Account;
use crate::domain::credentials::{AccountId, Secret, SessionId, TokenHash};
use crate::time::{Lifetime, Timestamp};

use super::accounts;
use super::audit::{self, By, Entry, Event};
use super::changes::Change;
use super::connection::{AnyConnection, Database, Transaction};
use super::error::{StoreError, is_dangling};
use super::schema::sessions;

/// Sessions of one account at a time; with one more the oldest ends.
const MOST: i64 = 1000;

/// Somebody is logged in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    pub id: SessionId,
    pub account: AccountId,
    pub kind: SessionKind,
    /// Where it began.
    pub address: Option<String>,
    /// What it began with, at most 255 bytes.
    pub user_agent: Option<String>,
    pub created_at: Timestamp,
    /// The first second in which it is good no more.
    pub expires_at: Timestamp,
}

/// What carries a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionKind {
    /// The login cookie of our pages.
    Browser,
    /// `memberHash`, one of the three cookies.
    MemberHash,
}

impl SessionKind {
    /// `browser` or `member_hash`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::MemberHash => "member_hash",
        }
    }
}

/// Sessions.
#[derive(Clone)]
pub struct Sessions {
    database: Database,
}

impl Sessions {
    /// Over this database.
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Begins a session of an account that has just logged in; the secret is seen here and never again. `proved`: the hash of
    /// the password that it logged in with; `Ok(None)` if that was changed meanwhile.
    pub async fn begin(
        &self,
        account: &Account,
        proved: Option<&Secret>,
        kind: SessionKind,
        lifetime: Lifetime,
        user_agent: Option<&str>,
        by: &By,
    ) -> Result<Option<(Session, Secret)>, StoreError> {
        let (id, secret) = {
            let mut rng = rand::rng();
            (SessionId::generate(&mut rng), Secret::generate(&mut rng))
        };
        let session = Session {
            id,
            account: account.id.clone(),
            kind,
            address: by.address.clone(),
            user_agent: user_agent.map(|text| clip(text, 255)),
            created_at: by.now,
            expires_at: by.now + lifetime,
        };
        let (account, proved, by) = (account.clone(), proved.cloned(), by.clone());
        self.database
            .write(move |transaction| {
                if let Some(hash) = &proved
                    && !accounts::still_has_password(transaction.connection, &account.id, hash)?
                {
                    return Ok(None);
                }
                let inserted = diesel::insert_into(sessions::table)
                    .values((
                        sessions::id.eq(session.id.as_str()),
                        sessions::secret_hash.eq(secret.sha256().to_vec()),
                        sessions::account.eq(session.account.as_str()),
                        sessions::kind.eq(session.kind.as_str()),
                        sessions::address.eq(session.address.as_deref()),
                        sessions::user_agent.eq(session.user_agent.as_deref()),
                        sessions::created_at.eq(session.created_at.unix()),
                        sessions::expires_at.eq(session.expires_at.unix()),
                    ))
                    .execute(transaction.connection);
                match inserted {
                    Err(error) if is_dangling(&error) => {
                        return Err(StoreError::Refused("the account is gone".to_owned()));
                    }
                    other => other?,
                };
                let entry = Entry::new(Event::LoginSucceeded, account.username.as_str())
                    .of(&account)
                    .because(session.kind.as_str());
                audit::append(transaction.connection, entry, &by)?;
                let surplus = sessions::table
                    .filter(sessions::account.eq(session.account.as_str()))
                    .order((sessions::created_at.desc(), sessions::id.desc()))
                    .offset(MOST)
                    // SQLite has no offset without a limit.
                    .limit(MOST)
                    .select((sessions::id, sessions::secret_hash))
                    .load(transaction.connection)?;
                end_rows(transaction, surplus, &account, &by)?;
                Ok(Some((session, secret)))
            })
            .await
    }

    /// Sessions of an account that haven't expired, newest first, at most 1000.
    pub async fn list(&self, account: &AccountId, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        let account = account.clone();
        self.database
            .read(move |connection| {
                let rows: Vec<SessionRow> = sessions::table
                    .filter(sessions::account.eq(account.as_str()))
                    .filter(sessions::expires_at.gt(now.unix()))
                    .order((sessions::created_at.desc(), sessions::id.desc()))
                    .limit(MOST)
                    .select(SessionRow::as_select())
                    .load(connection)?;
                rows.into_iter().map(SessionRow::into_session).collect()
            })
            .await
    }

    /// Ends one session of the account; tells whether it was there.
    pub async fn end(&self, account: &AccountId, id: &SessionId, by: &By) -> Result<bool, StoreError> {
        let id = id.to_string();
        Ok(self.end_where(account, by, move |session| session == id).await? > 0)
    }

    /// Ends all sessions of the account but `keep`; tells how many.
    pub async fn end_all(&self, account: &AccountId, keep: Option<&SessionId>, by: &By) -> Result<usize, StoreError> {
        let keep = keep.map(ToString::to_string);
        self.end_where(account, by, move |session| Some(session) != keep.as_deref()).await
    }

    async fn end_where(
        &self,
        account: &AccountId,
        by: &By,
        ends: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<usize, StoreError> {
        let (account, by) = (account.clone(), by.clone());
        self.database
            .write(move |transaction| {
                let Some(holder) = accounts::find(transaction.connection, &account)? else { return Ok(0) };
                let rows: Vec<(String, Vec<u8>)> = sessions::table
                    .filter(sessions::account.eq(account.as_str()))
                    .select((sessions::id, sessions::secret_hash))
                    .load(transaction.connection)?;
                end_rows(transaction, rows.into_iter().filter(|(id, _)| ends(id)), &holder, &by)
            })
            .await
    }

    /// Deletes what expired before `time`; tells how many.
    pub async fn delete_ended(&self, time: Timestamp) -> Result<usize, StoreError> {
        self.database
            .write(move |transaction| {
                Ok(diesel::delete(sessions::table.filter(sessions::expires_at.lt(time.unix())))
                    .execute(transaction.connection)?)
            })
            .await
    }
}

/// Ends these sessions, by id and hash; tells how many were there.
fn end_rows(
    transaction: &mut Transaction<'_>,
    rows: impl IntoIterator<Item = (String, Vec<u8>)>,
    holder: &Account,
    by: &By,
) -> Result<usize, StoreError> {
    let mut ended = 0;
    for (id, hash) in rows {
        ended += diesel::delete(sessions::table.find(id.as_str())).execute(transaction.connection)?;
        let hash: [u8; 32] = hash.try_into().map_err(|_| StoreError::Corrupt { what: "sessions.secret_hash" })?;
        transaction.note(Change::Session(TokenHash::from_bytes(hash)));
        audit::append(transaction.connection, Entry::new(Event::SessionEnded, id).of(holder), by)?;
    }
    Ok(ended)
}

/// At most `limit` bytes of `text`, cut between characters, without control characters.
fn clip(text: &str, limit: usize) -> String {
    let mut clipped = String::new();
    for character in text.chars().filter(|character| !character.is_control()) {
        if clipped.len() + character.len_utf8() > limit {
            break;
        }
        clipped.push(character);
    }
    clipped
}

/// The session whose secret has this hash, also if it has expired.
pub(super) fn find(connection: &mut AnyConnection, hash: &TokenHash) -> Result<Option<Session>, StoreError> {
    let row: Option<SessionRow> = sessions::table
        .filter(sessions::secret_hash.eq(hash.as_bytes().as_slice()))
        .select(SessionRow::as_select())
        .first(connection)
        .optional()?;
    row.map(SessionRow::into_session).transpose()
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = sessions)]
struct SessionRow {
    id: String,
    account: String,
    kind: String,
    address: Option<String>,
    user_agent: Option<String>,
    created_at: i64,
    expires_at: i64,
}

impl SessionRow {
    fn into_session(self) -> Result<Session, StoreError> {
        let corrupt = |what| StoreError::Corrupt { what };
        Ok(Session {
            id: SessionId::parse(self.id).map_err(|_| corrupt("sessions.id"))?,
            account: AccountId::parse(self.account).map_err(|_| corrupt("sessions.account"))?,
            kind: match self.kind.as_str() {
                "browser" => SessionKind::Browser,
                "member_hash" => SessionKind::MemberHash,
                _ => return Err(corrupt("sessions.kind")),
            },
            address: self.address,
            user_agent: self.user_agent,
            created_at: Timestamp::from_unix(self.created_at),
            expires_at: Timestamp::from_unix(self.expires_at),
        })
    }
}
