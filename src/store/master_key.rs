//! Whether the master key at hand is the database's: a secret sealed under another one would be lost.
//!
//! The first who opens a database leaves a sealed value in it, which everybody after has to open.

use std::sync::Arc;

use diesel::prelude::*;

use super::clients::SECRET_COLUMN;
use super::connection::Database;
use super::digest_users;
use super::error::StoreError;
use super::schema::{clients, digest_secrets, settings};
use super::settings::Settings;
use super::vault::{Place, Vault};
use crate::domain::credentials::Secret;
use crate::time::Timestamp;

/// The setting that the value is.
const NAME: &str = "master_key";

/// Whether anything is sealed yet: then its key is needed, and none may be made.
pub async fn is_in_use(database: &Database) -> Result<bool, StoreError> {
    database
        .read(|connection| {
            let settings: Option<String> = settings::table.select(settings::name).first(connection).optional()?;
            let client: Option<String> = clients::table.select(clients::client_key).first(connection).optional()?;
            let digest: Option<String> =
                digest_secrets::table.select(digest_secrets::username).first(connection).optional()?;
            Ok(settings.or(client).or(digest).is_some())
        })
        .await
}

/// Opens what was left, or leaves it.
///
/// # Errors
/// [`StoreError::Sealed`]: it is another key. Nothing was changed.
pub async fn prove(database: &Database, vault: &Arc<Vault>, now: Timestamp) -> Result<(), StoreError> {
    let known = Settings::new(database.clone(), vault.clone());
    if known.get(NAME).await?.is_none() {
        prove_by_others(database, vault).await?;
        // Between two keys the value would be the new one's alone while the rest is still the old one's.
        if !vault.has_older_keys() {
            known.establish(NAME, Secret::generate(&mut rand::rng()), now).await?;
        }
    }
    Ok(())
}

/// A database of a version before has no such value: one of each other kind is as good.
async fn prove_by_others(database: &Database, vault: &Arc<Vault>) -> Result<(), StoreError> {
    Settings::new(database.clone(), vault.clone()).list("").await?;
    let vault = vault.clone();
    database
        .read(move |connection| {
            let client: Option<(String, Vec<u8>)> =
                clients::table.select((clients::client_key, clients::sealed_secret)).first(connection).optional()?;
            if let Some((key, sealed)) = client {
                vault.open(&sealed, Place { column: SECRET_COLUMN, row: &key })?;
            }
            let digest: Option<(String, String, Vec<u8>)> = digest_secrets::table
                .select((digest_secrets::username, digest_secrets::realm, digest_secrets::sealed_hashes))
                .first(connection)
                .optional()?;
            if let Some((username, realm, sealed)) = digest {
                let row = digest_users::row_of(&username, &realm);
                vault.open(&sealed, Place { column: digest_users::COLUMN, row: &row })?;
            }
            Ok(())
        })
        .await
}
