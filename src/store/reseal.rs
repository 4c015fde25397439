//! Changing the master key: everything that an older key sealed is sealed anew, while the server runs.
//!
//! Each value is replaced only if it is still the one that was read, so a secret that is rotated meanwhile stays. A
//! page is one transaction; who is interrupted begins again and finds less to do.

use std::sync::Arc;

use diesel::prelude::*;

use super::audit::{self, By, Entry, Event};
use super::clients::SECRET_COLUMN;
use super::connection::{AnyConnection, Database};
use super::delegations::{TEMPORARY, TOKEN, stored_hash};
use super::digest_users;
use super::error::StoreError;
use super::schema::{clients, digest_secrets, refused_requests, settings, temporary_credentials, token_credentials};
use super::settings::COLUMN as SETTING_COLUMN;
use super::vault::{Place, Vault};

/// How many rows are looked at in one transaction.
const PAGE: i64 = 500;

/// How often it is looked again for what a node has sealed under an older key meanwhile.
const ROUNDS: u32 = 10;

/// Seals anew what an older key of `vault` sealed, until nothing of that is left; tells how many values, and writes it down.
///
/// A node that still seals under the older key would have it go on and on, so it ends after a few rounds with `Err`.
pub async fn reseal_all(database: &Database, vault: Arc<Vault>, by: &By) -> Result<usize, StoreError> {
    let mut resealed = 0;
    for _ in 0..ROUNDS {
        let found = reseal_once(database, vault.clone()).await?;
        resealed += found;
        if found == 0 {
            let key_id = vault.active_key_id();
            let by = by.clone();
            database
                .write(move |transaction| {
                    let entry = Entry::new(Event::SettingChanged, "master_key")
                        .because(format!("{resealed} secrets sealed anew under key {key_id:08x}"));
                    audit::append(transaction.connection, entry, &by)
                })
                .await?;
            return Ok(resealed);
        }
    }
    Err(StoreError::Refused(
        "a server still seals under an older master key: restart every node with the new one first".to_owned(),
    ))
}

async fn reseal_once(database: &Database, vault: Arc<Vault>) -> Result<usize, StoreError> {
    let mut resealed = 0;
    for reseal in [reseal_clients, reseal_temporaries, reseal_tokens] {
        let mut after = Some(String::new());
        while let Some(last) = after {
            let vault = vault.clone();
            let page = database.write(move |transaction| reseal(transaction.connection, &vault, &last)).await?;
            resealed += page.resealed;
            after = page.next;
        }
    }
    let rest = database.write(move |transaction| {
        // Reports of refused requests are news, not records: they go with the old key.
        diesel::delete(refused_requests::table).execute(transaction.connection)?;
        Ok::<_, StoreError>(
            reseal_digests(transaction.connection, &vault)? + reseal_settings(transaction.connection, &vault)?,
        )
    });
    Ok(resealed + rest.await?)
}

/// What was done of a table.
struct Done {
    resealed: usize,
    /// The last row of a page that was full.
    next: Option<String>,
}

impl Done {
    fn page(rows: usize, resealed: usize, last: Option<String>) -> Self {
        let is_full = i64::try_from(rows).is_ok_and(|rows| rows >= PAGE);
        Self { resealed, next: last.filter(|_| is_full) }
    }
}

fn reseal_clients(connection: &mut AnyConnection, vault: &Vault, after: &str) -> Result<Done, StoreError> {
    let rows: Vec<(String, Vec<u8>, Option<Vec<u8>>)> = clients::table
        .filter(clients::client_key.gt(after))
        .order(clients::client_key)
        .limit(PAGE)
        .select((clients::client_key, clients::sealed_secret, clients::sealed_previous_secret))
        .load(connection)?;
    let mut resealed = 0;
    for (key, secret, previous) in &rows {
        let place = Place { column: SECRET_COLUMN, row: key };
        if let Some(fresh) = vault.reseal(secret, place)? {
            resealed += diesel::update(clients::table.find(key))
                .filter(clients::sealed_secret.eq(secret))
                .set(clients::sealed_secret.eq(fresh))
                .execute(connection)?;
        }
        if let Some(previous) = previous
            && let Some(fresh) = vault.reseal(previous, place)?
        {
            resealed += diesel::update(clients::table.find(key))
                .filter(clients::sealed_previous_secret.eq(previous))
                .set(clients::sealed_previous_secret.eq(fresh))
                .execute(connection)?;
        }
    }
    Ok(Done::page(rows.len(), resealed, rows.last().map(|(key, ..)| key.clone())))
}

fn reseal_temporaries(connection: &mut AnyConnection, vault: &Vault, _: &str) -> Result<Done, StoreError> {
    // They live for minutes: there are few, and all are taken at once.
    let rows: Vec<(Vec<u8>, Vec<u8>)> = temporary_credentials::table
        .select((temporary_credentials::token_hash, temporary_credentials::sealed_secret))
        .load(connection)?;
    let mut resealed = 0;
    for (hash, secret) in &rows {
        let row = stored_hash(hash)?.to_hex();
        if let Some(fresh) = vault.reseal(secret, Place { column: TEMPORARY, row: &row })? {
            resealed += diesel::update(temporary_credentials::table.find(hash))
                .set(temporary_credentials::sealed_secret.eq(fresh))
                .execute(connection)?;
        }
    }
    Ok(Done { resealed, next: None })
}

fn reseal_tokens(connection: &mut AnyConnection, vault: &Vault, after: &str) -> Result<Done, StoreError> {
    let rows: Vec<(String, Vec<u8>, Vec<u8>)> = token_credentials::table
        .filter(token_credentials::id.gt(after))
        .order(token_credentials::id)
        .limit(PAGE)
        .select((token_credentials::id, token_credentials::token_hash, token_credentials::sealed_secret))
        .load(connection)?;
    let mut resealed = 0;
    for (id, hash, secret) in &rows {
        let row = stored_hash(hash)?.to_hex();
        if let Some(fresh) = vault.reseal(secret, Place { column: TOKEN, row: &row })? {
            resealed += diesel::update(token_credentials::table.find(id))
                .set(token_credentials::sealed_secret.eq(fresh))
                .execute(connection)?;
        }
    }
    Ok(Done::page(rows.len(), resealed, rows.last().map(|(id, ..)| id.clone())))
}

fn reseal_digests(connection: &mut AnyConnection, vault: &Vault) -> Result<usize, StoreError> {
    let rows: Vec<(String, String, Vec<u8>)> = digest_secrets::table
        .select((digest_secrets::username, digest_secrets::realm, digest_secrets::sealed_hashes))
        .load(connection)?;
    let mut resealed = 0;
    for (username, realm, hashes) in &rows {
        let row = digest_users::row_of(username, realm);
        if let Some(fresh) = vault.reseal(hashes, Place { column: digest_users::COLUMN, row: &row })? {
            resealed += diesel::update(digest_secrets::table.find((username, realm)))
                .filter(digest_secrets::sealed_hashes.eq(hashes))
                .set(digest_secrets::sealed_hashes.eq(fresh))
                .execute(connection)?;
        }
    }
    Ok(resealed)
}

fn reseal_settings(connection: &mut AnyConnection, vault: &Vault) -> Result<usize, StoreError> {
    let rows: Vec<(String, Vec<u8>)> =
        settings::table.select((settings::name, settings::sealed_value)).load(connection)?;
    let mut resealed = 0;
    for (name, value) in &rows {
        if let Some(fresh) = vault.reseal(value, Place { column: SETTING_COLUMN, row: name })? {
            resealed += diesel::update(settings::table.find(name))
                .filter(settings::sealed_value.eq(value))
                .set(settings::sealed_value.eq(fresh))
                .execute(connection)?;
        }
    }
    Ok(resealed)
}
