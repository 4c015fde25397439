//! What the server keeps for itself and its sister nodes, sealed: its JWT signing keys, for example.

use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Text};

use crate::domain::credentials::Secret;
use crate::time::Timestamp;

use super::connection::{AnyConnection, Database};
use super::error::StoreError;
use super::schema::settings;
use super::vault::{Place, Vault};

pub(super) const COLUMN: &str = "settings.value";

/// Named secrets of the server.
#[derive(Clone)]
pub struct Settings {
    database: Database,
    vault: Arc<Vault>,
}

/// One of them.
pub struct Setting {
    pub name: String,
    pub value: Secret,
    pub created_at: Timestamp,
}

impl Settings {
    /// Over this database.
    pub const fn new(database: Database, vault: Arc<Vault>) -> Self {
        Self { database, vault }
    }

    /// The value that `name` has, or `candidate` from now on. Of several nodes that start together one decides and
    /// all get the same.
    pub async fn establish(&self, name: &str, candidate: Secret, now: Timestamp) -> Result<Setting, StoreError> {
        let (name, vault) = (name.to_owned(), self.vault.clone());
        self.database
            .write(move |transaction| {
                // The insert decides. Both databases read this text alike.
                diesel::sql_query(
                    "INSERT INTO settings (name, sealed_value, created_at) VALUES ($1, $2, $3) \
                     ON CONFLICT (name) DO NOTHING",
                )
                .bind::<Text, _>(name.clone())
                .bind::<Binary, _>(vault.seal(&candidate, Place { column: COLUMN, row: &name }))
                .bind::<BigInt, _>(now.unix())
                .execute(transaction.connection)?;
                find(transaction.connection, &vault, &name)?.ok_or(StoreError::Corrupt { what: COLUMN })
            })
            .await
    }

    /// The value that `name` has, which is `new` if it was `old` until now.
    pub async fn replace(&self, name: &str, old: Secret, new: Secret, now: Timestamp) -> Result<Setting, StoreError> {
        let (name, vault) = (name.to_owned(), self.vault.clone());
        self.database
            .write(move |transaction| {
                let row: Option<(String, Vec<u8>, i64)> =
                    settings::table.find(&name).first(transaction.connection).optional()?;
                let (_, sealed, _) = row.ok_or(StoreError::Corrupt { what: COLUMN })?;
                let place = Place { column: COLUMN, row: &name };
                if vault.open(&sealed, place)?.matches(old.expose().as_bytes()) {
                    diesel::update(settings::table.find(&name))
                        .filter(settings::sealed_value.eq(sealed))
                        .set((settings::sealed_value.eq(vault.seal(&new, place)), settings::created_at.eq(now.unix())))
                        .execute(transaction.connection)?;
                }
                find(transaction.connection, &vault, &name)?.ok_or(StoreError::Corrupt { what: COLUMN })
            })
            .await
    }

    /// The value that `name` has.
    pub async fn get(&self, name: &str) -> Result<Option<Setting>, StoreError> {
        let (name, vault) = (name.to_owned(), self.vault.clone());
        self.database.read(move |connection| find(connection, &vault, &name)).await
    }

    /// All whose names begin with `prefix`, by name.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Setting>, StoreError> {
        let (prefix, vault) = (prefix.to_owned(), self.vault.clone());
        self.database
            .read(move |connection| {
                let rows: Vec<(String, Vec<u8>, i64)> = settings::table.order(settings::name).load(connection)?;
                rows.into_iter().filter(|(name, ..)| name.starts_with(&prefix)).map(|row| opened(&vault, row)).collect()
            })
            .await
    }

    /// Takes a name away; tells whether it was there.
    pub async fn delete(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.database
            .write(move |transaction| {
                Ok(diesel::delete(settings::table.find(name)).execute(transaction.connection)? > 0)
            })
            .await
    }
}

fn find(connection: &mut AnyConnection, vault: &Vault, name: &str) -> Result<Option<Setting>, StoreError> {
    let row: Option<(String, Vec<u8>, i64)> = settings::table.find(name).first(connection).optional()?;
    row.map(|row| opened(vault, row)).transpose()
}

fn opened(vault: &Vault, (name, sealed, created_at): (String, Vec<u8>, i64)) -> Result<Setting, StoreError> {
    let value = vault.open(&sealed, Place { column: COLUMN, row: &name })?;
    Ok(Setting { name, value, created_at: Timestamp::from_unix(created_at) })
}
