//! The directory: a bounded cache of what the hot path looks up, ready to use: secrets opened, RSA keys parsed, owners
//! at hand. A hit touches no database, holds no lock for long and allocates nothing.
//!
//! How it stays true. Each entry remembers the *generation* that its key had before the row was read. A change raises
//! the generation, so an entry is good only while the two are equal: one atomic load. It follows that a load which
//! races with a change can't put a stale value back, that nothing needs to know what depends on what (an entry asks
//! the entries that it holds), and that a change costs the same however much is cached. Generations are shared by
//! keys that hash alike, which costs a needless reload now and then. What others change raises generations only when it
//! is heard, so nothing cached is used when that was not so for a second. A short lifetime is the net under all of it.
//!
//! Unknown keys have a small cache of their own, so that strangers can't push out what is known.

mod generations;
mod entries;

use std::hash::Hash;
use std::sync::Arc;

use quick_cache::sync::Cache;

use crate::domain::credentials::{AccountId, ClientKey, PublicKey, Secret, TokenHash};
use crate::protocol::digest::{DigestHash, Ha1};
use crate::protocol::signature::RsaVerificationKey;
use crate::time::{Lifetime, Timestamp};

use super::accounts;
use super::api_keys;
use super::changes::Change;
use super::clients;
use super::connection::{AnyConnection, Database};
use super::delegations;
use super::digest_users::{self, DigestUser};
use super::error::StoreError;
use super::hearing::Hearing;
use super::last_use::{LastNoted, LastUses, Used};
use super::sessions;
use super::vault::Vault;
pub use entries::{
    DirectoryAccount, DirectoryApiKey, DirectoryClient, DirectoryDigest, DirectorySession, DirectoryToken,
};
use entries::{DirectoryName, DirectoryPrivateKey, Entry};
use generations::{Freshness, Generations, Kind};

/// How much is remembered, and how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DirectoryOptions {
    /// Clients, API keys, sessions, names: so many of each.
    pub entries: usize,
    /// Access tokens, and accounts.
    pub tokens: usize,
    /// After this an entry is read again, though nobody said that it changed.
    pub lifetime: Lifetime,
}

impl Default for DirectoryOptions {
    fn default() -> Self {
        Self { entries: 50_000, tokens: 200_000, lifetime: Lifetime::from_seconds(60) }
    }
}

/// The caches, apart from the database, which holds them as its subscriber.
struct Caches {
    generations: Generations,
    accounts: Cache<AccountId, Arc<DirectoryAccount>>,
    names: Cache<String, Arc<DirectoryName>>,
    clients: Cache<ClientKey, Arc<DirectoryClient>>,
    tokens: Cache<TokenHash, Arc<DirectoryToken>>,
    api_keys: Cache<PublicKey, Arc<DirectoryApiKey>>,
    private_keys: Cache<TokenHash, Arc<DirectoryPrivateKey>>,
    sessions: Cache<TokenHash, Arc<DirectorySession>>,
    digests: Cache<(String, String), Arc<DirectoryDigest>>,
    /// Fingerprints of keys that aren't there.
    unknown: Cache<u64, Freshness>,
}

impl Caches {
    fn forget(&self, change: &Change) {
        // First the generation, by which the rest is decided; removing only keeps opened secrets from lingering.
        match change {
            Change::Account(id) => {
                self.generations.raise(Kind::Account, id.as_str());
                self.accounts.remove(id);
            }
            Change::Username(name) => {
                self.generations.raise(Kind::Username, name.as_str());
                self.generations.raise(Kind::Digest, name.as_str());
                self.names.remove(name.as_str());
            }
            Change::Client(key) => {
                self.generations.raise(Kind::Client, key.as_str());
                self.clients.remove(key);
            }
            Change::Token(hash) => {
                self.generations.raise(Kind::Token, hash);
                self.tokens.remove(hash);
            }
            Change::ApiKey(key) => {
                self.generations.raise(Kind::ApiKey, key.as_str());
                self.api_keys.remove(key);
            }
            Change::Session(hash) => {
                self.generations.raise(Kind::Session, hash);
                self.sessions.remove(hash);
            }
            Change::Everything => {
                self.generations.raise_all();
                self.accounts.clear();
                self.names.clear();
                self.clients.clear();
                self.tokens.clear();
                self.api_keys.clear();
                self.private_keys.clear();
                self.sessions.clear();
                self.digests.clear();
                self.unknown.clear();
            }
        }
    }
}

/// The directory. Cheap to clone.
#[derive(Clone)]
pub struct Directory {
    database: Database,
    vault: Arc<Vault>,
    caches: Arc<Caches>,
    hearing: Arc<Hearing>,
    uses: Arc<LastUses>,
    lifetime: Lifetime,
}

impl Directory {
    /// Over this database; hears of every change that this process makes from now on.
    pub fn new(database: Database, vault: Arc<Vault>, options: DirectoryOptions) -> Self {
        let entries = options.entries.max(1);
        let tokens = options.tokens.max(1);
        let caches = Arc::new(Caches {
            generations: Generations::new(),
            accounts: Cache::new(tokens),
            names: Cache::new(entries),
            clients: Cache::new(entries),
            tokens: Cache::new(tokens),
            api_keys: Cache::new(entries),
            private_keys: Cache::new(entries),
            sessions: Cache::new(entries),
            digests: Cache::new(entries),
            // As many and as long as known ones: otherwise the time of an answer would tell who is known.
            unknown: Cache::new(entries),
        });
        let heard = caches.clone();
        database.subscribe(move |change| heard.forget(change));
        let hearing = database.hearing();
        Self { database, vault, caches, hearing, uses: Arc::default(), lifetime: options.lifetime }
    }

    /// The API key, if it is at hand: no waiting, no database.
    pub fn cached_api_key(&self, public_key: &PublicKey, now: Timestamp) -> Option<Arc<DirectoryApiKey>> {
        self.cached(&self.caches.api_keys, public_key, now)
    }

    /// The account, if it is at hand.
    pub fn cached_account(&self, id: &AccountId, now: Timestamp) -> Option<Arc<DirectoryAccount>> {
        self.cached(&self.caches.accounts, id, now)
    }

    /// The account that this login name leads to, if both are at hand.
    pub fn cached_login_name(&self, name: &str, now: Timestamp) -> Option<Arc<DirectoryAccount>> {
        let cached = self.caches.names.get(name).filter(|entry| entry.holds(&self.caches.generations, now))?;
        self.cached_account(&cached.account, now)
    }

    /// The account with this id.
    pub async fn account(&self, id: &AccountId, now: Timestamp) -> Result<Option<Arc<DirectoryAccount>>, StoreError> {
        let load = async |freshness| {
            let wanted = id.clone();
            let found = self.read(move |connection, _| accounts::find_with_password(connection, &wanted)).await?;
            Ok(found.map(|(account, password)| DirectoryAccount { account, password, freshness }))
        };
        self.look_up(&self.caches.accounts, Kind::Account, id, id.as_str(), now, load).await
    }

    /// The account that a login name means: the whole name first, then `company+username`.
    pub async fn account_by_login_name(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<DirectoryAccount>>, StoreError> {
        // What can't be a username isn't asked for, nor remembered.
        if name.is_empty() || name.len() > 512 || name.contains(|character: char| character.is_control()) {
            return Ok(None);
        }
        let key = name.to_owned();
        let load = async |freshness| {
            let wanted = name.to_owned();
            let found = self.read(move |connection, _| accounts::by_login_name(connection, &wanted)).await?;
            Ok(found.map(|account| DirectoryName { account: account.id, freshness }))
        };
        match self.look_up(&self.caches.names, Kind::Username, &key, name, now, load).await? {
            Some(name) => self.account(&name.account, now).await,
            None => Ok(None),
        }
    }

    /// The client with this key, in whatever state.
    pub async fn client(
        &self,
        client_key: &ClientKey,
        now: Timestamp,
    ) -> Result<Option<Arc<DirectoryClient>>, StoreError> {
        let load = async |freshness| {
            let wanted = client_key.clone();
            let found =
                self.read(move |connection, vault| clients::find_with_secrets(connection, vault, &wanted)).await?;
            let Some(opened) = found else { return Ok(None) };
            let Some(owner) = self.account(&opened.client.owner, now).await? else { return Ok(None) };
            let rsa_key = opened
                .client
                .rsa_public_key
                .as_ref()
                .map(|key| RsaVerificationKey::from_pem(key.pem()))
                .transpose()
                .map_err(|_| StoreError::Corrupt { what: "clients.rsa_public_key" })?;
            Ok(Some(DirectoryClient {
                standing: opened.client.standing(&owner.account),
                client: opened.client,
                secret: opened.secret,
                previous_secret: opened.previous_secret,
                rsa_key,
                owner,
                noted: LastNoted::default(),
                freshness,
            }))
        };
        self.look_up(&self.caches.clients, Kind::Client, client_key, client_key.as_str(), now, load).await
    }

    /// The access token with this hash, in whatever state. The caller compares its client with the request's.
    pub async fn token(&self, token: &TokenHash, now: Timestamp) -> Result<Option<Arc<DirectoryToken>>, StoreError> {
        let load = async |freshness| {
            let wanted = *token;
            let found = self.read(move |connection, vault| delegations::find_token(connection, vault, &wanted)).await?;
            let Some((credentials, secret)) = found else { return Ok(None) };
            // Client and account never change for a token, so each may be read at its own time.
            let Some(client) = self.client(&credentials.client_key, now).await? else { return Ok(None) };
            let Some(account) = self.account(&credentials.account, now).await? else { return Ok(None) };
            Ok(Some(DirectoryToken {
                standing: credentials.standing(&client.client, &client.owner.account, &account.account),
                credentials,
                secret,
                client,
                account,
                noted: LastNoted::default(),
                freshness,
            }))
        };
        self.look_up(&self.caches.tokens, Kind::Token, token, token, now, load).await
    }

    /// The API key with this public half, in whatever state.
    pub async fn api_key(
        &self,
        public_key: &PublicKey,
        now: Timestamp,
    ) -> Result<Option<Arc<DirectoryApiKey>>, StoreError> {
        let load = async |freshness| {
            let wanted = public_key.clone();
            let found = self.read(move |connection, _| api_keys::find(connection, &wanted)).await?;
            let Some(found) = found else { return Ok(None) };
            let Some(account) = self.account(&found.key.account, now).await? else { return Ok(None) };
            let impersonator = match &found.key.impersonator {
                Some(actor) => self.account(&actor.account, now).await?,
                None => None,
            };
            Ok(Some(DirectoryApiKey {
                standing: found.key.standing(&account.account, impersonator.as_ref().map(|actor| &actor.account)),
                key: found.key,
                account,
                impersonator,
                private_key_hash: found.private_key_hash,
                noted: LastNoted::default(),
                freshness,
            }))
        };
        self.look_up(&self.caches.api_keys, Kind::ApiKey, public_key, public_key.as_str(), now, load).await
    }

    /// The API key of this account that has this private half, for names that say only whose key it is.
    ///
    /// Which public half a private one was made for never changes, so nothing has to be forgotten here; whether the
    /// key is still there and has this private half is asked of [`api_key`](Self::api_key).
    pub async fn api_key_of(
        &self,
        account: &AccountId,
        private_key: &Secret,
        now: Timestamp,
    ) -> Result<Option<Arc<DirectoryApiKey>>, StoreError> {
        let hash = TokenHash::from_bytes(private_key.sha256());
        let load = async |freshness| {
            let found =
                self.read(move |connection, _| api_keys::find_by_private_key(connection, hash.as_bytes())).await?;
            Ok(found.map(|public_key| DirectoryPrivateKey { public_key, freshness }))
        };
        let found = self.look_up(&self.caches.private_keys, Kind::PrivateKey, &hash, &hash, now, load).await?;
        let Some(found) = found else { return Ok(None) };
        let key = self.api_key(&found.public_key, now).await?;
        Ok(key.filter(|key| key.key.account == *account && key.matches(private_key.expose().as_bytes())))
    }

    /// The session whose secret has this hash.
    pub async fn session(&self, hash: &TokenHash, now: Timestamp) -> Result<Option<Arc<DirectorySession>>, StoreError> {
        let load = async |freshness| {
            let wanted = *hash;
            let found = self.read(move |connection, _| sessions::find(connection, &wanted)).await?;
            let Some(session) = found else { return Ok(None) };
            let Some(account) = self.account(&session.account, now).await? else { return Ok(None) };
            Ok(Some(DirectorySession { session, account, freshness }))
        };
        self.look_up(&self.caches.sessions, Kind::Session, hash, hash, now, load).await
    }

    /// What Digest verifies a user with in a realm.
    pub async fn digest(
        &self,
        user: &DigestUser,
        realm: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<DirectoryDigest>>, StoreError> {
        let presented = match user {
            // No username holds a colon. What is sent may, and must not be taken for the hash of one.
            DigestUser::Plain(username) if username.contains(':') => return Ok(None),
            DigestUser::Plain(username) => username.clone(),
            DigestUser::Hashed(algorithm, hash) => digest_users::hidden_name(*algorithm, hash),
        };
        if presented.len() > 512 || presented.contains(|character: char| character.is_control()) {
            return Ok(None);
        }
        let key = (presented, realm.to_owned());
        let load = async |freshness| {
            let (wanted, realm) = (user.clone(), realm.to_owned());
            let found =
                self.read(move |connection, vault| digest_users::find(connection, vault, &wanted, &realm)).await?;
            let Some(found) = found else { return Ok(None) };
            let Some(account) = self.account(&found.account, now).await? else { return Ok(None) };
            let api_key = match &found.public_key {
                Some(public_key) => match self.api_key(public_key, now).await? {
                    Some(api_key) => Some(api_key),
                    None => return Ok(None),
                },
                None => None,
            };
            Ok(Some(DirectoryDigest {
                username: found.username,
                account,
                api_key,
                md5: Ha1::from_hex(DigestHash::Md5, found.md5.expose()),
                sha256: Ha1::from_hex(DigestHash::Sha256, found.sha256.expose()),
                freshness,
            }))
        };
        // A change of the password or key reaches the entry through the account or key that it holds.
        self.look_up(&self.caches.digests, Kind::Digest, &key, key.0.as_str(), now, load).await
    }

    /// Notes that a request with this token succeeded.
    pub fn note_token_use(&self, token: &DirectoryToken, now: Timestamp) {
        if token.noted.is_due(now) {
            self.uses.note(Used::Token(token.credentials.id.clone()), now);
        }
        self.note_client_use(&token.client, now);
    }

    /// Notes that a request with this client key succeeded.
    pub fn note_client_use(&self, client: &DirectoryClient, now: Timestamp) {
        if client.noted.is_due(now) {
            self.uses.note(Used::Client(client.client.client_key.clone()), now);
        }
    }

    /// Notes that a request with this API key succeeded.
    pub fn note_api_key_use(&self, api_key: &DirectoryApiKey, now: Timestamp) {
        if api_key.noted.is_due(now) {
            self.uses.note(Used::ApiKey(api_key.key.public_key.clone()), now);
        }
    }

    /// Writes the noted uses to the database; tells how many. To be called every few seconds and before the end.
    pub async fn write_uses(&self) -> Result<usize, StoreError> {
        self.uses.write(&self.database).await
    }

    fn cached<K, V>(&self, cache: &Cache<K, Arc<V>>, key: &K, now: Timestamp) -> Option<Arc<V>>
    where
        K: Eq + Hash,
        V: Entry,
    {
        // First whether changes are heard, then what was heard.
        let cached = cache.get(key).filter(|_| self.hearing.is_recent());
        cached.filter(|entry| entry.holds(&self.caches.generations, now))
    }

    /// The entry at hand, or else loaded: by one caller, while others that want the same wait for it.
    async fn look_up<K, V, H>(
        &self,
        cache: &Cache<K, Arc<V>>,
        kind: Kind,
        key: &K,
        hashed: &H,
        now: Timestamp,
        load: impl AsyncFnOnce(Freshness) -> Result<Option<V>, StoreError>,
    ) -> Result<Option<Arc<V>>, StoreError>
    where
        K: Eq + Hash + Clone,
        V: Entry,
        H: Hash + ?Sized,
    {
        if let Some(entry) = self.cached(cache, key, now) {
            return Ok(Some(entry));
        }
        // On the heap, so that the many requests that need no load carry no room for one while they wait.
        let loaded = Box::pin(self.look_up_in_store(cache, kind, key, hashed, now, load));
        // Who waits for another's load begins one when that fails: all that together is one patience, not one for each.
        self.database.in_time(loaded).await
    }

    async fn look_up_in_store<K, V, H>(
        &self,
        cache: &Cache<K, Arc<V>>,
        kind: Kind,
        key: &K,
        hashed: &H,
        now: Timestamp,
        load: impl AsyncFnOnce(Freshness) -> Result<Option<V>, StoreError>,
    ) -> Result<Option<Arc<V>>, StoreError>
    where
        K: Eq + Hash + Clone,
        V: Entry,
        H: Hash + ?Sized,
    {
        let generations = &self.caches.generations;
        let fingerprint = generations.fingerprint(kind, hashed);
        let slot = generations.slot(fingerprint);
        loop {
            let is_unknown = |known: &Freshness| self.hearing.is_recent() && generations.hold(known, now);
            if self.caches.unknown.get(&fingerprint).as_ref().is_some_and(is_unknown) {
                return Ok(None);
            }
            match cache.get_value_or_guard_async(key).await {
                Ok(entry) if self.hearing.is_recent() && entry.holds(generations, now) => return Ok(Some(entry)),
                Ok(stale) => {
                    cache.remove_if(key, |entry| Arc::ptr_eq(entry, &stale));
                }
                Err(guard) => {
                    // The generation before the row: a change that comes between the two spoils the entry.
                    let generation = generations.of(slot);
                    let loaded_at = now.unix();
                    let fresh = |seconds: i64| Freshness {
                        slot,
                        generation,
                        loaded_at,
                        expires_at: loaded_at.saturating_add(seconds),
                    };
                    return match load(fresh(self.spread(fingerprint))).await? {
                        Some(entry) => {
                            let entry = Arc::new(entry);
                            // Err: it was forgotten meanwhile, and is good for this one caller only.
                            drop(guard.insert(entry.clone()));
                            Ok(Some(entry))
                        }
                        None => {
                            self.caches.unknown.insert(fingerprint, fresh(self.spread(fingerprint)));
                            Ok(None)
                        }
                    };
                }
            }
        }
    }

    /// The lifetime in seconds, shortened by up to a half, so that what was loaded together isn't read again together.
    fn spread(&self, fingerprint: u64) -> i64 {
        let lifetime = i64::from(self.lifetime.seconds().max(1));
        let share = i64::try_from((fingerprint >> 32) % 128).unwrap_or(0);
        lifetime - lifetime * share / 256
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut AnyConnection, &Vault) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let vault = self.vault.clone();
        self.database.read(move |connection| work(connection, &vault)).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::super::accounts::NewAccount;
    use super::super::audit::{Actor, By};
    use super::super::clients::NewClient;
    use super::super::connection::DatabaseOptions;
    use super::super::vault::MasterKey;
    use super::*;
    use crate::config::DatabaseUrl;
    use crate::domain::credentials::Username;
    use futures_util::future::join_all;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;
    use std::time::{Duration, Instant};

    const NOW: Timestamp = Timestamp::from_unix(1_000_000);

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(future)
    }

    fn cached_client(directory: &Directory, client_key: &ClientKey) -> Option<Arc<DirectoryClient>> {
        directory.cached(&directory.caches.clients, client_key, NOW)
    }

    fn by() -> By {
        By { who: Actor::Operator, address: None, now: NOW }
    }

    fn store(options: DirectoryOptions) -> Store {
        let database = Database::open(DatabaseUrl::Memory, DatabaseOptions::default()).expect("a database");
        block_on(database.migrate()).expect("the migrations apply");
        let vault = Arc::new(Vault::new(&MasterKey::generate(), &[]));
        let directory = Directory::new(database.clone(), vault.clone(), options);
        Store { directory, ..Store::new(database, vault) }
    }

    async fn account(store: &Store, name: &str) -> AccountId {
        let new = NewAccount::named(Username::parse(name).expect("a username"));
        store.accounts.create(new, &by()).await.expect("an account").id
    }

    /// An entry for any id, as if it had been read.
    fn entry(id: &AccountId, freshness: Freshness) -> DirectoryAccount {
        let mut account = crate::domain::account::tests::account("x", None, crate::domain::account::Role::Member);
        account.id = id.clone();
        DirectoryAccount { account, password: None, freshness }
    }

    #[test]
    fn a_hit_needs_no_database() {
        let store = store(DirectoryOptions::default());
        block_on(async {
            let owner = account(&store, "jo").await;
            let issued = store.clients.create(NewClient::named(owner, "App"), &by()).await.expect("a client");
            let key = &issued.client.client_key;
            assert!(cached_client(&store.directory, key).is_none());
            let loaded = store.directory.client(key, NOW).await.expect("an answer").expect("is there");
            let hit = cached_client(&store.directory, key).expect("is at hand");
            assert!(Arc::ptr_eq(&loaded, &hit));
        });
    }

    #[test]
    fn a_load_that_races_with_a_change_puts_nothing_stale_back() {
        let store = store(DirectoryOptions::default());
        let directory = &store.directory;
        let id = AccountId::parse("a1").expect("an id");
        block_on(async {
            let load = async |freshness| {
                // The row was read; then somebody changed it, before we could put it in.
                directory.caches.forget(&Change::Account(id.clone()));
                Ok(Some(entry(&id, freshness)))
            };
            let caches = &directory.caches;
            let got = directory.look_up(&caches.accounts, Kind::Account, &id, id.as_str(), NOW, load).await;
            assert!(got.expect("an answer").is_some(), "the one that asked before the change may see it");
            assert!(directory.cached_account(&id, NOW).is_none());
        });
    }

    #[test]
    fn an_absence_that_races_with_a_creation_is_not_remembered() {
        let store = store(DirectoryOptions::default());
        let directory = &store.directory;
        let id = AccountId::parse("a1").expect("an id");
        block_on(async {
            let caches = &directory.caches;
            let absent = async |_| {
                directory.caches.forget(&Change::Account(id.clone()));
                Ok(None)
            };
            let got = directory.look_up(&caches.accounts, Kind::Account, &id, id.as_str(), NOW, absent).await;
            assert!(got.expect("an answer").is_none());
            let present = async |freshness| Ok(Some(entry(&id, freshness)));
            let got = directory.look_up(&caches.accounts, Kind::Account, &id, id.as_str(), NOW, present).await;
            assert!(got.expect("an answer").is_some());
        });
    }

    #[test]
    fn of_many_that_want_the_same_one_loads() {
        let store = store(DirectoryOptions::default());
        let directory = &store.directory;
        let id = AccountId::parse("a1").expect("an id");
        let loads = AtomicUsize::new(0);
        block_on(async {
            let caches = &directory.caches;
            let lookups = (0..50).map(|_| {
                let load = async |freshness| {
                    loads.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    Ok(Some(entry(&id, freshness)))
                };
                directory.look_up(&caches.accounts, Kind::Account, &id, id.as_str(), NOW, load)
            });
            let found = join_all(lookups).await;
            assert!(found.iter().all(|entry| matches!(entry, Ok(Some(_)))));
        });
        assert_eq!(loads.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_failed_load_is_tried_again_by_the_next() {
        let store = store(DirectoryOptions::default());
        let directory = &store.directory;
        let id = AccountId::parse("a1").expect("an id");
        block_on(async {
            let caches = &directory.caches;
            let failing = async |_| Err::<Option<DirectoryAccount>, _>(StoreError::Busy);
            let got = directory.look_up(&caches.accounts, Kind::Account, &id, id.as_str(), NOW, failing).await;
            assert!(matches!(got, Err(StoreError::Busy)));
            let working = async |freshness| Ok(Some(entry(&id, freshness)));
            let got = directory.look_up(&caches.accounts, Kind::Account, &id, id.as_str(), NOW, working).await;
            assert!(matches!(got, Ok(Some(_))));
        });
    }

    #[test]
    fn strangers_fill_neither_the_memory_nor_push_out_what_is_known() {
        let store = store(DirectoryOptions { entries: 64, tokens: 64, ..DirectoryOptions::default() });
        let directory = &store.directory;
        block_on(async {
            let owner = account(&store, "jo").await;
            let issued = store.clients.create(NewClient::named(owner, "App"), &by()).await.expect("a client");
            let key = &issued.client.client_key;
            directory.client(key, NOW).await.expect("an answer").expect("is there");
            for number in 0..1000 {
                let stranger = ClientKey::parse(format!("stranger{number}")).expect("a key");
                assert!(directory.client(&stranger, NOW).await.expect("an answer").is_none());
            }
            assert!(cached_client(directory, key).is_some());
            assert!(directory.caches.clients.len() == 1 && directory.caches.unknown.len() <= 64);
        });
    }

    #[test]
    fn no_more_is_remembered_than_was_set() {
        let store = store(DirectoryOptions { entries: 64, tokens: 64, ..DirectoryOptions::default() });
        let directory = &store.directory;
        block_on(async {
            for number in 0..500 {
                let id = AccountId::parse(format!("a{number}")).expect("an id");
                let load = async |freshness| Ok(Some(entry(&id, freshness)));
                let accounts = &directory.caches.accounts;
                let got = directory.look_up(accounts, Kind::Account, &id, id.as_str(), NOW, load).await;
                got.expect("an answer").expect("is there");
            }
            assert!(directory.caches.accounts.len() <= 64, "{}", directory.caches.accounts.len());
        });
    }

    #[test]
    fn an_entry_is_read_again_after_its_lifetime_or_when_the_clock_went_back() {
        let store = store(DirectoryOptions::default());
        let directory = &store.directory;
        block_on(async {
            let id = account(&store, "jo").await;
            let at = |seconds| Timestamp::from_unix(NOW.unix() + seconds);
            directory.account(&id, NOW).await.expect("an answer").expect("is there");
            assert!(directory.cached_account(&id, at(29)).is_some());
            assert!(directory.cached_account(&id, at(60)).is_none());
            assert!(directory.cached_account(&id, at(-1)).is_none());
            directory.account(&id, at(-1)).await.expect("an answer").expect("is there");
            assert!(directory.cached_account(&id, at(-1)).is_some());
        });
    }

    #[test]
    fn nothing_cached_is_used_when_changes_were_not_heard_for_a_second() {
        let store = store(DirectoryOptions::default());
        let directory = &store.directory;
        block_on(async {
            let id = account(&store, "jo").await;
            let loaded = directory.account(&id, NOW).await.expect("an answer").expect("is there");
            // As a watch does; and then its process freezes.
            let heard = Instant::now();
            directory.hearing.note(heard);
            assert!(directory.cached_account(&id, NOW).is_some());
            while directory.cached_account(&id, NOW).is_some() {
                assert!(heard.elapsed() < Duration::from_secs(20), "still used");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let again = directory.account(&id, NOW).await.expect("an answer").expect("is there");
            assert!(!Arc::ptr_eq(&loaded, &again), "it was read");
            directory.hearing.note(Instant::now());
            assert!(directory.cached_account(&id, NOW).is_some_and(|cached| Arc::ptr_eq(&cached, &again)));
        });
    }

    #[test]
    fn when_everything_changed_nothing_is_left() {
        let store = store(DirectoryOptions::default());
        let directory = &store.directory;
        block_on(async {
            let id = account(&store, "jo").await;
            directory.account(&id, NOW).await.expect("an answer").expect("is there");
            directory.account_by_login_name("jo", NOW).await.expect("an answer").expect("is there");
            directory.caches.forget(&Change::Everything);
            assert!(directory.cached_account(&id, NOW).is_none());
            assert_eq!(directory.caches.accounts.len() + directory.caches.names.len(), 0);
        });
    }
}
