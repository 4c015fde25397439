//! Floor 2: the store. diesel, transactions, sealed secrets, and a cache of what the hot path looks up.
//!
//! One method is one unit of work, named by its outcome, and durable when it returns. Races are decided by inserts and
//! conditional updates. A change is written down in the audit log and announced to every node in its own transaction.

pub mod error;
pub mod schema;
pub mod changes;
mod ending;
mod hearing;
pub mod connection;
pub mod vault;
pub mod audit;
pub mod page;
pub mod digest_users;
pub mod accounts;
pub mod clients;
pub mod api_keys;
mod passwords;
pub mod delegations;
pub mod sessions;
pub mod sent_forms;
pub mod settings;
pub mod master_key;
pub mod refusals;
pub mod last_use;
pub mod transfer;
pub mod reseal;
pub mod directory;
pub mod watch;
pub mod replay;

use std::sync::Arc;

use self::accounts::Accounts;
use self::api_keys::ApiKeys;
use self::audit::AuditLog;
use self::clients::Clients;
use self::connection::Database;
use self::delegations::Delegations;
use self::directory::{Directory, DirectoryOptions};
use self::error::StoreError;
use self::refusals::Refusals;
use self::sent_forms::SentForms;
use self::sessions::Sessions;
use self::settings::Settings;
use self::transfer::Transfer;
use self::vault::Vault;
use crate::time::{Lifetime, Timestamp};

/// Every part of the store over one database. The parts are cheap to clone and stand alone.
#[derive(Clone)]
pub struct Store {
    pub database: Database,
    pub accounts: Accounts,
    pub clients: Clients,
    pub api_keys: ApiKeys,
    pub delegations: Delegations,
    pub sessions: Sessions,
    pub sent_forms: SentForms,
    pub audit: AuditLog,
    pub settings: Settings,
    pub refusals: Refusals,
    pub transfer: Transfer,
    pub directory: Directory,
}

impl Store {
    /// Over an open and migrated database.
    pub fn new(database: Database, vault: Arc<Vault>) -> Self {
        Self {
            accounts: Accounts::new(database.clone(), vault.clone()),
            clients: Clients::new(database.clone(), vault.clone()),
            api_keys: ApiKeys::new(database.clone(), vault.clone()),
            delegations: Delegations::new(database.clone(), vault.clone()),
            sessions: Sessions::new(database.clone()),
            sent_forms: SentForms::new(database.clone()),
            audit: AuditLog::new(database.clone()),
            settings: Settings::new(database.clone(), vault.clone()),
            refusals: Refusals::new(database.clone(), vault.clone()),
            transfer: Transfer::new(database.clone(), vault.clone()),
            directory: Directory::new(database.clone(), vault, DirectoryOptions::default()),
            database,
        }
    }

    /// The housekeeping of every few minutes: deletes what ended long enough ago that nobody asks for it any more.
    pub async fn clean_up(&self, now: Timestamp) -> Result<(), StoreError> {
        const STEP: u16 = 1000;
        const A_DAY: Lifetime = Lifetime::from_seconds(24 * 60 * 60);
        const A_MONTH: Lifetime = Lifetime::from_seconds(30 * 24 * 60 * 60);
        // A thousand at a time, so that nobody waits long for one transaction; all of them, so that no table only grows.
        while self.delegations.delete_ended_temporaries(now - A_DAY, STEP).await? >= usize::from(STEP) {}
        while self.delegations.delete_ended_tokens(now - A_MONTH, STEP).await? >= usize::from(STEP) {}
        self.sessions.delete_ended(now - A_DAY).await?;
        self.api_keys.delete_ended_impersonations(now - A_DAY).await?;
        watch::delete_heard(&self.database, now).await?;
        Ok(())
    }
}
