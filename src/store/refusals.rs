//! Refused requests of known clients, the newest few of each: what the signature inspector shows their owner.
//!
//! A report holds what the client sent, its token too, so it is sealed like a secret. Nothing in here reads it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use diesel::prelude::*;

use crate::domain::credentials::{ClientKey, Secret};
use crate::time::Timestamp;

use super::connection::Database;
use super::error::{StoreError, is_dangling};
use super::schema::refused_requests;
use super::vault::{Place, Vault};

/// How many reports of one client are kept.
const KEPT: i64 = 50;

/// Where reports are sealed for.
const COLUMN: &str = "refused_requests.report";

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
    vault: Arc<Vault>,
}

impl Refusals {
    /// Over this database.
    pub const fn new(database: Database, vault: Arc<Vault>) -> Self {
        Self { database, vault }
    }

    /// Keeps a report and forgets the oldest beyond the 50 newest of the client. The caller limits the rate.
    pub async fn keep(&self, client_key: &ClientKey, report: String, now: Timestamp) -> Result<(), StoreError> {
        let client_key = client_key.clone();
        let place = Place { column: COLUMN, row: client_key.as_str() };
        let sealed = STANDARD.encode(self.vault.seal(&Secret::new(report), place));
        self.database
            .write(move |transaction| {
                let connection = &mut *transaction.connection;
                let inserted = diesel::insert_into(refused_requests::table)
                    .values((
                        refused_requests::client_key.eq(client_key.as_str()),
                        refused_requests::at.eq(now.unix()),
                        refused_requests::report.eq(sealed),
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
        let (client_key, vault) = (client_key.clone(), Arc::clone(&self.vault));
        self.database
            .read(move |connection| {
                let rows: Vec<(i64, i64, String)> = refused_requests::table
                    .filter(refused_requests::client_key.eq(client_key.as_str()))
                    .select((refused_requests::id, refused_requests::at, refused_requests::report))
                    .order(refused_requests::id.desc())
                    .limit(KEPT)
                    .load(connection)?;
                let place = Place { column: COLUMN, row: client_key.as_str() };
                let open = |(id, at, sealed): (i64, i64, String)| {
                    let sealed = STANDARD.decode(sealed).map_err(|_| StoreError::Corrupt { what: COLUMN })?;
                    let report = vault.open(&sealed, place)?.expose().to_owned();
                    Ok(Refusal { id, at: Timestamp::from_unix(at), report })
                };
                rows.into_iter().map(open).collect()
            })
            .await
    }
}
