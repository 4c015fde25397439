//! A store on each database, and short ways to fill it.

use std::sync::Arc;

use countersign::domain::account::{Account, Role};
use countersign::domain::api_key::KeyPair;
use countersign::domain::client::Callback;
use countersign::domain::credentials::{CompanyId, PublicKey, Secret, TokenHash, Username};
use countersign::domain::scope::Scopes;
use countersign::store::Store;
use countersign::store::accounts::NewAccount;
use countersign::store::api_keys::NewApiKey;
use countersign::store::audit::{Actor, By};
use countersign::store::clients::{IssuedClient, NewClient};
use countersign::store::connection::{Database, DatabaseOptions};
use countersign::store::delegations::{DelegationError, ExchangeLimits, IssuedTemporary, IssuedToken};
use countersign::store::digest_users::DigestSecret;
use countersign::store::vault::{MasterKey, Vault};
use countersign::time::{Lifetime, Timestamp};

use crate::servers::{Folder, Postgres};

pub(super) const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
pub(super) const LIMITS: ExchangeLimits = ExchangeLimits { verifier_attempts: 5, token_lifetime: None };

/// A database for one test.
pub(super) struct Place {
    pub(super) url: String,
    /// Kept until the test ends.
    pub(super) _folder: Option<Folder>,
    pub(super) _server: Option<Arc<Postgres>>,
}

/// Runs the test on each database in turn.
pub(super) fn on_each_database(test: impl AsyncFn(Kit)) {
    // Taken first, so that tests which run side by side share one server.
    let postgres = postgres();
    for place in [Some(memory()), Some(file()), postgres].iter().flatten() {
        on(place, &test);
    }
}

/// Runs the test where a second process can look.
pub(super) fn on_each_shared_database(test: impl AsyncFn(Kit)) {
    let postgres = postgres();
    for place in [Some(file()), postgres].iter().flatten() {
        on(place, &test);
    }
}

pub(super) fn on(place: &Place, test: impl AsyncFn(Kit)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let kit = Kit::open(place.url.clone(), MasterKey::generate());
        kit.store.database.migrate().await.expect("the migrations apply");
        test(kit).await;
    });
}

pub(super) fn memory() -> Place {
    Place { url: "sqlite::memory:".to_owned(), _folder: None, _server: None }
}

pub(super) fn file() -> Place {
    let folder = Folder::new("store");
    let path = folder.path().join("main.db");
    Place { url: format!("sqlite://{}", path.display()), _folder: Some(folder), _server: None }
}

pub(super) fn postgres() -> Option<Place> {
    let server = Postgres::shared()?;
    Some(Place { url: server.new_database(), _folder: None, _server: Some(server) })
}

/// A store and short ways to fill it.
pub(super) struct Kit {
    pub(super) url: String,
    pub(super) key: MasterKey,
    pub(super) store: Store,
}

impl Kit {
    pub(super) fn open(url: String, key: MasterKey) -> Self {
        let database =
            Database::open(url.parse().expect("an address"), DatabaseOptions::default()).expect("the database opens");
        let vault = Arc::new(Vault::new(&key, &[]));
        Self { url, key, store: Store::new(database, vault) }
    }

    /// Another process on the same database.
    pub(super) fn second_node(&self) -> Self {
        Self::open(self.url.clone(), self.key.clone())
    }

    pub(super) async fn account(&self, username: &str) -> Account {
        self.store.accounts.create(NewAccount::named(name(username)), &by()).await.expect("an account")
    }

    pub(super) async fn member(&self, username: &str, company: &str, role: Role) -> Account {
        let new = NewAccount { company: Some(company_id(company)), role, ..NewAccount::named(name(username)) };
        self.store.accounts.create(new, &by()).await.expect("a member")
    }

    pub(super) async fn client(&self, owner: &Account, wanted: &str) -> IssuedClient {
        let new = NewClient { scopes: scopes(wanted), ..NewClient::named(owner.id.clone(), "Printer") };
        self.store.clients.create(new, &by()).await.expect("a client")
    }

    pub(super) async fn temporary(&self, client: &IssuedClient, wanted: &str) -> IssuedTemporary {
        let lifetime = Lifetime::from_seconds(600);
        self.store
            .delegations
            .issue_temporary(&client.client.client_key, Callback::OutOfBand, scopes(wanted), lifetime, NOW)
            .await
            .expect("a request token")
    }

    pub(super) async fn allow(&self, temporary: &IssuedTemporary, account: &Account, consent: &str) -> Secret {
        let token = hash(&temporary.token);
        let decided =
            self.store.delegations.authorize(&token, &account.id, scopes(consent), &by()).await.expect("a decision");
        decided.verifier.expect("a verifier")
    }

    /// A whole dance.
    pub(super) async fn token(&self, client: &IssuedClient, account: &Account, consent: &str) -> IssuedToken {
        let temporary = self.temporary(client, consent).await;
        let verifier = self.allow(&temporary, account, consent).await;
        self.exchange(&temporary, client, verifier.expose()).await.expect("an access token")
    }

    pub(super) async fn exchange(
        &self,
        temporary: &IssuedTemporary,
        client: &IssuedClient,
        verifier: &str,
    ) -> Result<IssuedToken, DelegationError> {
        let token = hash(&temporary.token);
        self.store.delegations.exchange(&token, &client.client.client_key, verifier, LIMITS, &by()).await
    }

    pub(super) async fn key(&self, account: &Account, wanted: Option<&str>) -> (PublicKey, Secret) {
        let pair = KeyPair::generate(&mut rand::rng());
        let new = NewApiKey { scopes: wanted.map(scopes), ..new_key(&pair, account) };
        self.store.api_keys.create(new, &by()).await.expect("a key");
        (pair.public_key, pair.private_key)
    }

    /// Whether the directory has the token in good standing.
    pub(super) async fn is_good(&self, token: &IssuedToken) -> bool {
        match self.store.directory.token(&hash(&token.token), NOW).await.expect("the directory answers") {
            Some(found) => found.standing(NOW).is_ok(),
            None => false,
        }
    }
}

pub(super) fn by() -> By {
    By { who: Actor::Operator, address: Some("192.0.2.1".to_owned()), now: NOW }
}

pub(super) fn by_at(seconds: i64) -> By {
    By { now: Timestamp::from_unix(NOW.unix() + seconds), ..by() }
}

pub(super) fn name(text: &str) -> Username {
    Username::parse(text).expect("a username")
}

pub(super) fn company_id(text: &str) -> CompanyId {
    CompanyId::parse(text).expect("a company id")
}

pub(super) fn scopes(text: &str) -> Scopes {
    Scopes::parse(text).expect("scopes")
}

pub(super) fn hash(token: &Secret) -> TokenHash {
    TokenHash::of(token.expose())
}

pub(super) fn new_key(pair: &KeyPair, account: &Account) -> NewApiKey {
    NewApiKey {
        public_key: pair.public_key.clone(),
        private_key: pair.private_key.clone(),
        account: account.id.clone(),
        name: "script".to_owned(),
        scopes: None,
        expires_at: None,
        impersonator: None,
        digest: Vec::new(),
    }
}

/// An import's hashes of private keys: none.
pub(super) fn no_digest(_: &Secret, _: &PublicKey, _: &Account) -> Vec<DigestSecret> {
    Vec::new()
}

pub(super) fn digest_secret(username: &str) -> DigestSecret {
    DigestSecret {
        username: username.to_owned(),
        realm: "Countersign".to_owned(),
        md5: Secret::new("5".repeat(32)),
        sha256: Secret::new("256a".repeat(16)),
        user_hash_md5: format!("{:0>32}", username.len()),
        user_hash_sha256: format!("{:0>64}", username.len()),
    }
}
