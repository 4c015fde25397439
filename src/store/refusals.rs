//! Refused requests of known clients, the newest few of each: what the signature inspector shows their owner.
//!
//! A report is text that the caller has redacted; nothing in here reads it.

use diesel::prelude::*;

use crate::domain::credentials::ClientKey;
use crate::time::Timestamp;

use super::connection::{Database, StoreError, is_dangling};
use super::schema::refused_requests;

/// How many reports of one client are kept.
const KEPT: i64 = 50;

/// One refused request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Grows with time.
    pub id: i64,
    pub at: Timestamp,
    pub report: String,
}

/// Refused requests.
#[derive(Clone)]
pub struct Refusals {
    database: Database,
}

impl Refusals {
    /// Over this database.
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Keeps a report and forgets the oldest beyond the 50 newest of the client. The caller limits the rate.
    pub async fn keep(&self, client_key: &ClientKey, report: String, now: Timestamp) -> Result<(), StoreError> {
        let client_key = client_key.clone();
        self.database
            .write(move |transaction| {
                let connection = &mut *transaction.connection;
                let inserted = diesel::insert_into(refused_requests::table)
                    .values((
                        refused_requests::client_key.eq(client_key.as_str()),
                        refused_requests::at.eq(now.unix()),
                        refused_requests::report.eq(report),
                    ))
                    .execute(connection);
                match inserted {
                    Err(error) if is_dangling(&error) => {
                        return Err(StoreError::Refused("the client is gone".to_owned()));
                    }
                    other => other?,
                };
                let of_client = refused_requests::table.filter(refused_requests::client_key.eq(client_key.as_str()));
                let oldest_kept: Option<i64> = of_client
                    .select(refused_requests::id)
                    .order(refused_requests::id.desc())
                    .offset(KEPT - 1)
                    .limit(1)
                    .first(connection)
                    .optional()?;
                if let Some(oldest_kept) = oldest_kept {
                    diesel::delete(of_client.filter(refused_requests::id.lt(oldest_kept))).execute(connection)?;
                }
                Ok(())
            })
            .await
    }

    /// The newest first, at most 50.
    pub async fn list(&self, client_key: &ClientKey) -> Result<Vec<Refusal>, StoreError> {
        let client_key = client_key.clone();
        self.database
            .read(move |connection| {
                let rows: Vec<(i64, i64, String)> = refused_requests::table
                    .filter(refused_requests::client_key.eq(client_key.as_str()))
                    .select((refused_requests::id, refused_requests::at, refused_requests::report))
                    .order(refused_requests::id.desc())
                    .limit(KEPT)
                    .load(connection)?;
                Ok(rows
                    .into_iter()
                    .map(|(id, at, report)| Refusal { id, at: Timestamp::from_unix(at), report })
                    .collect())
            })
            .await
    }
}
