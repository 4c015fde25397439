//! The store, on each database: SQLite in memory, SQLite in a file, PostgreSQL where it is installed.
//!
//! Only the public interface is used. What belongs to one file alone is tested at the bottom of that file.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use countersign::domain::account::{Account, AccountStatus, Reach, Role};
use countersign::domain::api_key::{ApiKeyRefusal, KeyPair};
use countersign::domain::client::{Callback, ClientStatus, SignatureMethods};
use countersign::domain::credentials::{
    AccountId, ClientKey, CompanyId, GrantId, PublicKey, Secret, TokenHash, Username,
};
use countersign::domain::delegation::{TemporaryRefusal, TokenRefusal};
use countersign::domain::scope::{ScopeLimit, Scopes};
use countersign::protocol::digest::DigestHash;
use countersign::store::Store;
use countersign::store::accounts::{AccountError, AccountFilter, AccountUpdate, NewAccount, StoredPassword};
use countersign::store::api_keys::{ApiKeyError, NewApiKey};
use countersign::store::audit::{Actor, AuditFilter, By, Event, Page};
use countersign::store::clients::{ClientError, ClientUpdate, IssuedClient, NewClient};
use countersign::store::connection::{Database, DatabaseSettings, StoreError};
use countersign::store::delegations::{
    DelegationError, ExchangeLimits, GrantFilter, IssuedTemporary, IssuedToken, TokenFilter,
};
use countersign::store::digest_users::{DigestSecret, DigestUser};
use countersign::store::directory::DirectorySettings;
use countersign::store::reseal::reseal_all;
use countersign::store::sessions::SessionKind;
use countersign::store::transfer::TransferError;
use countersign::store::vault::{MasterKey, Vault};
use countersign::store::watch::Watch;
use countersign::time::{Lifetime, Timestamp};
use futures_util::future::join_all;

use crate::servers::{End, Folder, Postgres};

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const LIMITS: ExchangeLimits = ExchangeLimits { verifier_attempts: 5, token_lifetime: None };

/// A database for one test.
struct Place {
    url: String,
    /// Kept until the test ends.
    _folder: Option<Folder>,
    _server: Option<Arc<Postgres>>,
}

/// Runs the test on each database in turn.
fn on_each_database(test: impl AsyncFn(Kit)) {
    // Taken first, so that tests which run side by side share one server.
    let postgres = postgres();
    for place in [Some(memory()), Some(file()), postgres].iter().flatten() {
        on(place, &test);
    }
}

/// Runs the test where a second process can look.
fn on_each_shared_database(test: impl AsyncFn(Kit)) {
    let postgres = postgres();
    for place in [Some(file()), postgres].iter().flatten() {
        on(place, &test);
    }
}

fn on(place: &Place, test: impl AsyncFn(Kit)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let kit = Kit::open(place.url.clone(), MasterKey::generate());
        kit.store.database.migrate().await.expect("the migrations apply");
        test(kit).await;
    });
}

fn memory() -> Place {
    Place { url: "sqlite::memory:".to_owned(), _folder: None, _server: None }
}

fn file() -> Place {
    let folder = Folder::new("store");
    let path = folder.path().join("main.db");
    Place { url: format!("sqlite://{}", path.display()), _folder: Some(folder), _server: None }
}

fn postgres() -> Option<Place> {
    let server = Postgres::shared()?;
    Some(Place { url: server.new_database(), _folder: None, _server: Some(server) })
}

/// A store and short ways to fill it.
struct Kit {
    url: String,
    key: MasterKey,
    store: Store,
}

impl Kit {
    fn open(url: String, key: MasterKey) -> Self {
        let database = Database::open(&url, DatabaseSettings::default()).expect("the database opens");
        let vault = Arc::new(Vault::new(&key, &[]));
        Self { url, key, store: Store::new(database, vault, DirectorySettings::default()) }
    }

    /// Another process on the same database.
    fn second_node(&self) -> Self {
        Self::open(self.url.clone(), self.key.clone())
    }

    async fn account(&self, username: &str) -> Account {
        self.store.accounts.create(NewAccount::named(name(username)), &by()).await.expect("an account")
    }

    async fn member(&self, username: &str, company: &str, role: Role) -> Account {
        let new = NewAccount { company: Some(company_id(company)), role, ..NewAccount::named(name(username)) };
        self.store.accounts.create(new, &by()).await.expect("a member")
    }

    async fn client(&self, owner: &Account, wanted: &str) -> IssuedClient {
        let new = NewClient { scopes: scopes(wanted), ..NewClient::named(owner.id.clone(), "Printer") };
        self.store.clients.create(new, &by()).await.expect("a client")
    }

    async fn temporary(&self, client: &IssuedClient, wanted: &str) -> IssuedTemporary {
        let lifetime = Lifetime::from_seconds(600);
        self.store
            .delegations
            .issue_temporary(&client.client.client_key, Callback::OutOfBand, scopes(wanted), lifetime, NOW)
            .await
            .expect("a request token")
    }

    async fn allow(&self, temporary: &IssuedTemporary, account: &Account, consent: &str) -> Secret {
        let token = hash(&temporary.token);
        let decided =
            self.store.delegations.authorize(&token, &account.id, scopes(consent), &by()).await.expect("a decision");
        decided.verifier.expect("a verifier")
    }

    /// A whole dance.
    async fn token(&self, client: &IssuedClient, account: &Account, consent: &str) -> IssuedToken {
        let temporary = self.temporary(client, consent).await;
        let verifier = self.allow(&temporary, account, consent).await;
        self.exchange(&temporary, client, verifier.expose()).await.expect("an access token")
    }

    async fn exchange(
        &self,
        temporary: &IssuedTemporary,
        client: &IssuedClient,
        verifier: &str,
    ) -> Result<IssuedToken, DelegationError> {
        let token = hash(&temporary.token);
        self.store.delegations.exchange(&token, &client.client.client_key, verifier, LIMITS, &by()).await
    }

    async fn key(&self, account: &Account, wanted: Option<&str>) -> (PublicKey, Secret) {
        let pair = KeyPair::generate(&mut rand::rng());
        let new = NewApiKey { scopes: wanted.map(scopes), ..new_key(&pair, account) };
        self.store.api_keys.create(new, &by()).await.expect("a key");
        (pair.public_key, pair.private_key)
    }

    /// Whether the directory has the token in good standing.
    async fn is_good(&self, token: &IssuedToken) -> bool {
        match self.store.directory.token(&hash(&token.token), NOW).await.expect("the directory answers") {
            Some(found) => found.standing(NOW).is_ok(),
            None => false,
        }
    }
}

fn by() -> By {
    By { who: Actor::Operator, address: Some("192.0.2.1".to_owned()), now: NOW }
}

fn by_at(seconds: i64) -> By {
    By { now: Timestamp::from_unix(NOW.unix() + seconds), ..by() }
}

fn name(text: &str) -> Username {
    Username::parse(text).expect("a username")
}

fn company_id(text: &str) -> CompanyId {
    CompanyId::parse(text).expect("a company id")
}

fn scopes(text: &str) -> Scopes {
    Scopes::parse(text).expect("scopes")
}

fn hash(token: &Secret) -> TokenHash {
    TokenHash::of(token.expose())
}

fn new_key(pair: &KeyPair, account: &Account) -> NewApiKey {
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

fn digest_secret(username: &str) -> DigestSecret {
    DigestSecret {
        username: username.to_owned(),
        realm: "Countersign".to_owned(),
        md5: Secret::new("5".repeat(32)),
        sha256: Secret::new("256a".repeat(16)),
        user_hash_md5: format!("{:0>32}", username.len()),
        user_hash_sha256: format!("{:0>64}", username.len()),
    }
}

// Accounts

#[test]
fn an_account_brings_its_new_company_along() {
    on_each_database(async |kit| {
        let jo = kit.member("jo@example.com", "acme", Role::Member).await;
        assert_eq!(jo.email.as_deref(), Some("jo@example.com"));
        assert_eq!(jo.name, "jo@example.com");
        kit.member("al", "acme", Role::Admin).await;
        let companies = kit.store.accounts.companies().await.expect("a list");
        assert_eq!(companies.iter().map(|company| company.id.as_str()).collect::<Vec<_>>(), ["acme"]);
        assert_eq!(kit.store.accounts.find(&jo.id).await.expect("an answer"), Some(jo));
    });
}

#[test]
fn a_username_is_given_once() {
    on_each_database(async |kit| {
        let by = by();
        let tries = (0..12).map(|_| kit.store.accounts.create(NewAccount::named(name("jo")), &by));
        let outcomes = join_all(tries).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert!(matches!(refused, AccountError::UsernameTaken), "{refused}");
        }
    });
}

#[test]
fn a_username_that_could_mean_something_else_is_refused() {
    on_each_database(async |kit| {
        let member = kit.member("jo", "acme", Role::Member).await;
        let (public_key, _) = kit.key(&member, None).await;
        for shadow in ["acme+jo", "acme+anybody", public_key.as_str(), member.id.as_str()] {
            let refused = kit.store.accounts.create(NewAccount::named(name(shadow)), &by()).await;
            assert!(matches!(refused, Err(AccountError::UsernameShadows(_))), "{shadow}");
            let update = AccountUpdate { username: Some(name(shadow)), ..AccountUpdate::default() };
            let refused = kit.store.accounts.update(&member.id, update, &by()).await;
            assert!(matches!(refused, Err(AccountError::UsernameShadows(_))), "{shadow}");
        }
        kit.account("other+jo").await;
        let refused = kit.store.accounts.create_company(company_id("other"), None, &by()).await;
        assert!(matches!(refused, Err(AccountError::CompanyShadows)));
        kit.store.accounts.create_company(company_id("othe"), None, &by()).await.expect("only a prefix of the prefix");
    });
}

#[test]
fn a_company_and_a_username_that_shadow_each_other_never_both_appear() {
    on_each_database(async |kit| {
        for round in 0..8 {
            let (company, username) = (format!("c{round}"), format!("c{round}+jo"));
            let by = by();
            let (first, second) = tokio::join!(
                kit.store.accounts.create_company(company_id(&company), None, &by),
                kit.store.accounts.create(NewAccount::named(name(&username)), &by),
            );
            assert!(first.is_ok() != second.is_ok(), "{company}");
        }
    });
}

#[test]
fn a_login_name_is_read_whole_first_and_then_as_a_member_of_a_company() {
    on_each_database(async |kit| {
        let plus = kit.account("jo+x@example.com").await;
        let member = kit.member("jo", "acme", Role::Member).await;
        let find = async |text: &str| {
            let stored = kit.store.accounts.by_login_name(text).await.expect("an answer");
            let cached = kit.store.directory.account_by_login_name(text, NOW).await.expect("an answer");
            assert_eq!(stored.as_ref().map(|a| &a.id), cached.as_ref().map(|a| &a.account.id), "{text}");
            stored.map(|account| account.id)
        };
        assert_eq!(find("jo+x@example.com").await, Some(plus.id));
        assert_eq!(find("acme+jo").await, Some(member.id.clone()));
        assert_eq!(find("jo").await, Some(member.id));
        assert_eq!(find("acme+al").await, None);
        assert_eq!(find("other+jo").await, None);
        assert_eq!(find("JO").await, None);
    });
}

#[test]
fn a_new_name_is_found_at_once_where_it_was_unknown() {
    on_each_database(async |kit| {
        let directory = &kit.store.directory;
        assert!(directory.account_by_login_name("jo", NOW).await.expect("an answer").is_none());
        let jo = kit.account("jo").await;
        assert!(directory.account_by_login_name("jo", NOW).await.expect("an answer").is_some());
        let update = AccountUpdate { username: Some(name("al")), ..AccountUpdate::default() };
        assert!(directory.account_by_login_name("al", NOW).await.expect("an answer").is_none());
        kit.store.accounts.update(&jo.id, update, &by()).await.expect("renamed");
        assert!(directory.account_by_login_name("jo", NOW).await.expect("an answer").is_none());
        assert!(directory.account_by_login_name("al", NOW).await.expect("an answer").is_some());
    });
}

#[test]
fn an_update_changes_what_it_names_and_nothing_else() {
    on_each_database(async |kit| {
        let jo = kit.member("jo@example.com", "acme", Role::Member).await;
        let update = AccountUpdate {
            role: Some(Role::Integrator),
            email: Some(None),
            external_id: Some(Some("4711".to_owned())),
            scopes: Some(ScopeLimit::Only(scopes("a:read"))),
            ..AccountUpdate::default()
        };
        let after = kit.store.accounts.update(&jo.id, update, &by()).await.expect("updated");
        let expected = Account {
            role: Role::Integrator,
            email: None,
            external_id: Some("4711".to_owned()),
            scopes: ScopeLimit::Only(scopes("a:read")),
            ..jo.clone()
        };
        assert_eq!(after, expected);
        let same = kit.store.accounts.update(&jo.id, AccountUpdate::default(), &by()).await.expect("nothing to do");
        assert_eq!(same, expected);
        let nobody = AccountId::parse("nobody").expect("an id");
        let refused = kit.store.accounts.update(&nobody, AccountUpdate::default(), &by()).await;
        assert!(matches!(refused, Err(AccountError::NotFound)));
    });
}

#[test]
fn an_account_without_any_scope_stays_without() {
    on_each_database(async |kit| {
        let none = ScopeLimit::Only(Scopes::none());
        let new = NewAccount { scopes: none.clone(), ..NewAccount::named(name("jo")) };
        let jo = kit.store.accounts.create(new, &by()).await.expect("an account");
        let read = kit.store.accounts.find(&jo.id).await.expect("an answer").expect("is there");
        assert_eq!(read.scopes, none);
    });
}

#[test]
fn a_page_of_accounts_follows_the_one_before_within_reach() {
    on_each_database(async |kit| {
        for number in 0..5 {
            kit.member(&format!("m{number}"), "acme", Role::Member).await;
        }
        let stranger = kit.member("s", "other", Role::Member).await;
        let reach = Reach::Company(company_id("acme"));
        let mut seen = Vec::new();
        let mut page = Page::first(2);
        loop {
            let part = kit.store.accounts.list(&reach, AccountFilter::default(), page).await.expect("a page");
            assert!(part.items.len() <= 2);
            seen.extend(part.items.into_iter().map(|account| account.username.to_string()));
            match part.next {
                Some(next) => page = Page { after: Some(next), limit: 2 },
                None => break,
            }
        }
        seen.sort();
        assert_eq!(seen, ["m0", "m1", "m2", "m3", "m4"]);
        let own = Reach::Account(stranger.id.clone());
        let own = kit.store.accounts.list(&own, AccountFilter::default(), Page::default()).await.expect("a page");
        assert_eq!(own.items, [stranger]);
    });
}

#[test]
fn deleting_an_account_takes_along_all_that_it_owns() {
    on_each_database(async |kit| {
        let (owner, holder) = (kit.account("owner").await, kit.account("holder").await);
        let client = kit.client(&owner, "a:read").await;
        let token = kit.token(&client, &holder, "a:read").await;
        let (public_key, _) = kit.key(&owner, None).await;
        assert!(kit.is_good(&token).await);
        kit.store.accounts.delete(&owner.id, &by()).await.expect("deleted");
        assert!(!kit.is_good(&token).await);
        assert!(kit.store.clients.find(&client.client.client_key).await.expect("an answer").is_none());
        assert!(kit.store.directory.client(&client.client.client_key, NOW).await.expect("an answer").is_none());
        assert!(kit.store.directory.api_key(&public_key, NOW).await.expect("an answer").is_none());
        let log = kit.store.audit.list(&Reach::Everything, AuditFilter::default(), 100).await.expect("the log");
        assert_eq!(log.first().map(|row| row.event.as_str()), Some(Event::AccountDeleted.as_str()));
    });
}

#[test]
fn a_password_change_ends_the_other_sessions() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let lifetime = Lifetime::from_seconds(3600);
        let begin = async || {
            kit.store.sessions.begin(&jo, SessionKind::Browser, lifetime, Some("x"), &by()).await.expect("a session")
        };
        let (kept, kept_secret) = begin().await;
        let (_, other_secret) = begin().await;
        let directory = &kit.store.directory;
        assert!(directory.session(&hash(&other_secret), NOW).await.expect("an answer").is_some());
        let password = StoredPassword { hash: Secret::new("$argon2id$1"), digest: Vec::new() };
        kit.store.accounts.set_password(&jo.id, Some(password), Some(kept.id), &by()).await.expect("set");
        assert!(directory.session(&hash(&kept_secret), NOW).await.expect("an answer").is_some());
        assert!(directory.session(&hash(&other_secret), NOW).await.expect("an answer").is_none());
        let found = directory.account(&jo.id, NOW).await.expect("an answer").expect("is there");
        assert!(found.password.as_ref().is_some_and(|hash| hash.matches(b"$argon2id$1")));
    });
}

#[test]
fn digest_secrets_are_found_by_name_and_by_hash_until_the_password_or_name_changes() {
    on_each_database(async |kit| {
        let password = StoredPassword { hash: Secret::new("$argon2id$"), digest: vec![digest_secret("jo")] };
        let new = NewAccount { password: Some(password.clone()), ..NewAccount::named(name("jo")) };
        let jo = kit.store.accounts.create(new, &by()).await.expect("an account");
        let directory = &kit.store.directory;
        let find = async |user: DigestUser| directory.digest(&user, "Countersign", NOW).await.expect("an answer");
        let plain = || DigestUser::Plain("jo".to_owned());
        let found = find(plain()).await.expect("is there");
        let hashes = DigestHash::ALL.map(|hash| found.ha1(hash).expect("a hash").as_hex().to_owned());
        assert_eq!(hashes, ["256a".repeat(16), "5".repeat(32)]);
        assert_eq!(found.account.account.id, jo.id);
        assert!(found.api_key.is_none());
        let hashed = find(DigestUser::Hashed(DigestHash::Sha256, format!("{:0>64}", 2))).await.expect("is there");
        assert_eq!(hashed.username, "jo");
        assert!(find(DigestUser::Hashed(DigestHash::Md5, format!("{:0>32}", 2))).await.is_some());
        assert!(find(DigestUser::Hashed(DigestHash::Sha256, format!("{:0>32}", 2))).await.is_none());
        assert!(directory.digest(&plain(), "Other", NOW).await.expect("an answer").is_none());
        // Who has no hash in a realm is known by name all the same.
        assert!(directory.account_by_login_name("jo", NOW).await.expect("an answer").is_some());
        assert_eq!(kit.store.accounts.digest_secrets_of_other_realms("Other").await.expect("a count"), 1);
        assert_eq!(kit.store.accounts.digest_secrets_of_other_realms("Countersign").await.expect("a count"), 0);

        let update = AccountUpdate { username: Some(name("al")), ..AccountUpdate::default() };
        kit.store.accounts.update(&jo.id, update, &by()).await.expect("renamed");
        assert!(find(plain()).await.is_none());
        kit.store.accounts.set_password(&jo.id, Some(password), None, &by()).await.expect("set");
        assert!(find(plain()).await.is_some());
        kit.store.accounts.set_password(&jo.id, None, None, &by()).await.expect("taken away");
        assert!(find(plain()).await.is_none());
    });
}

// Clients

#[test]
fn a_client_is_ready_to_verify_with_and_its_secret_is_stored_sealed() {
    on_each_database(async |kit| {
        let owner = kit.account("owner").await;
        let issued = kit.client(&owner, "a:read").await;
        let found = kit.store.directory.client(&issued.client.client_key, NOW).await.expect("an answer");
        let found = found.expect("is there");
        assert_eq!(found.client, issued.client);
        assert!(found.secret.matches(issued.secret.expose().as_bytes()));
        assert_eq!(found.owner.account, owner);
        let another_key = Kit::open(kit.url.clone(), MasterKey::generate());
        if kit.url != "sqlite::memory:" {
            let refused = another_key.store.directory.client(&issued.client.client_key, NOW).await;
            assert!(matches!(refused, Err(StoreError::Sealed { .. })));
        }
    });
}

#[test]
fn the_old_secret_stays_good_for_the_grace_alone() {
    on_each_database(async |kit| {
        let owner = kit.account("owner").await;
        let first = kit.client(&owner, "").await;
        let key = &first.client.client_key;
        let directory = &kit.store.directory;
        let second = kit.store.clients.rotate_secret(key, Lifetime::from_seconds(60), &by()).await.expect("rotated");
        let found = directory.client(key, NOW).await.expect("an answer").expect("is there");
        assert!(found.secret.matches(second.secret.expose().as_bytes()));
        let old = first.secret.expose().as_bytes();
        let at = |seconds| Timestamp::from_unix(NOW.unix() + seconds);
        assert!(found.previous_secret(at(59)).is_some_and(|previous| previous.matches(old)));
        assert!(found.previous_secret(at(60)).is_none());
        let third = kit.store.clients.rotate_secret(key, Lifetime::from_seconds(0), &by()).await.expect("rotated");
        let found = directory.client(key, NOW).await.expect("an answer").expect("is there");
        assert!(found.secret.matches(third.secret.expose().as_bytes()));
        assert!(found.previous_secret(NOW).is_none());
    });
}

#[test]
fn a_client_is_changed_listed_and_deleted() {
    on_each_database(async |kit| {
        let owner = kit.member("owner", "acme", Role::Member).await;
        let issued = kit.client(&owner, "a:read").await;
        let key = &issued.client.client_key;
        let update = ClientUpdate {
            name: Some("Plotter".to_owned()),
            callbacks: Some(vec![Callback::parse("https://a.example/cb").expect("a callback"), Callback::OutOfBand]),
            signature_methods: Some(SignatureMethods::from_names(["HMAC-SHA256"]).expect("known")),
            http_auth: Some(false),
            ..ClientUpdate::default()
        };
        let changed = kit.store.clients.update(key, update, &by()).await.expect("updated");
        assert_eq!(kit.store.clients.find(key).await.expect("an answer"), Some(changed.clone()));
        assert_eq!(changed.name, "Plotter");
        assert_eq!(changed.callbacks.len(), 2);
        assert!(!changed.http_auth);
        assert_eq!(changed.scopes, issued.client.scopes);

        kit.token(&issued, &owner, "a:read").await;
        let gone = kit.token(&issued, &owner, "a:read").await;
        kit.store.delegations.revoke_token(&gone.credentials.id, &by()).await.expect("revoked");
        kit.client(&kit.member("stranger", "other", Role::Member).await, "").await;
        let reach = Reach::Company(company_id("acme"));
        let list = kit.store.clients.list(&reach, None, NOW, Page::default()).await.expect("a list");
        assert_eq!(list.items.iter().map(|item| &item.client).collect::<Vec<_>>(), [&changed]);
        assert_eq!(list.items.first().map(|item| (item.active_tokens, item.owner.as_str())), Some((1, "owner")));
        let all = kit.store.clients.list(&Reach::Everything, None, NOW, Page::default()).await.expect("a list");
        assert_eq!(all.items.len(), 2);

        kit.store.clients.delete(key, &by()).await.expect("deleted");
        assert!(kit.store.clients.show(key, NOW).await.expect("an answer").is_none());
        assert!(matches!(kit.store.clients.delete(key, &by()).await, Err(ClientError::NotFound)));
    });
}

#[test]
fn what_somebody_else_disabled_its_owner_can_not_enable() {
    on_each_database(async |kit| {
        let owner = kit.account("owner").await;
        let client = kit.client(&owner, "a:read").await;
        let key = &client.client.client_key;
        let own = By { who: Actor::account(&owner), ..by() };
        let set = async |enabled, by: &By| {
            kit.store
                .clients
                .set_enabled(key, enabled, by)
                .await
                .map(|client| client.status)
                .map_err(|error| error.to_string())
        };
        assert_eq!(set(false, &own).await, Ok(ClientStatus::Disabled));
        assert_eq!(set(true, &own).await, Ok(ClientStatus::Active));
        assert_eq!(set(false, &by()).await, Ok(ClientStatus::Suspended));
        for enabled in [true, false] {
            assert!(set(enabled, &own).await.is_err_and(|error| error.contains("suspended")));
        }
        assert_eq!(set(true, &by()).await, Ok(ClientStatus::Active));
    });
}

#[test]
fn tokens_rest_while_their_client_is_disabled() {
    on_each_database(async |kit| {
        let owner = kit.account("owner").await;
        let client = kit.client(&owner, "a:read").await;
        let token = kit.token(&client, &owner, "a:read").await;
        let key = &client.client.client_key;
        assert!(kit.is_good(&token).await);
        kit.store.clients.set_enabled(key, false, &by()).await.expect("disabled");
        assert!(!kit.is_good(&token).await);
        kit.store.clients.set_enabled(key, true, &by()).await.expect("enabled");
        assert!(kit.is_good(&token).await);
        let locked = AccountStatus::Locked { reason: Some("late".to_owned()) };
        kit.store.accounts.set_status(&owner.id, locked, &by()).await.expect("locked");
        assert!(!kit.is_good(&token).await);
    });
}

// API keys

#[test]
fn a_regenerated_key_kills_the_old_private_half_at_once() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let (public_key, old) = kit.key(&jo, Some("a:read")).await;
        let directory = &kit.store.directory;
        let found = directory.api_key(&public_key, NOW).await.expect("an answer").expect("is there");
        assert!(found.matches(old.expose().as_bytes()) && !found.matches(b"wrong"));
        assert_eq!(found.standing(NOW).map(ToString::to_string), Ok("a:read".to_owned()));
        let known = async |account: &Account, private_key: &Secret| {
            directory.api_key_of(&account.id, private_key, NOW).await.expect("an answer").is_some()
        };
        let al = kit.account("al").await;
        assert!(known(&jo, &old).await && !known(&al, &old).await);
        let new = Secret::generate(&mut rand::rng());
        kit.store.api_keys.regenerate(&public_key, new.clone(), Vec::new(), &by()).await.expect("regenerated");
        let found = directory.api_key(&public_key, NOW).await.expect("an answer").expect("is there");
        assert!(found.matches(new.expose().as_bytes()) && !found.matches(old.expose().as_bytes()));
        assert!(known(&jo, &new).await && !known(&jo, &old).await);
        let list = kit.store.api_keys.list(&Reach::Everything, Some(&jo.id), Page::default()).await.expect("a list");
        assert!(list.items.first().is_some_and(|item| new.expose().ends_with(item.hint.as_str())));
        kit.store.api_keys.delete(&public_key, &by()).await.expect("deleted");
        assert!(directory.api_key(&public_key, NOW).await.expect("an answer").is_none());
        assert!(matches!(kit.store.api_keys.delete(&public_key, &by()).await, Err(ApiKeyError::NotFound)));
    });
}

#[test]
fn a_digest_secret_of_a_key_goes_with_it() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let pair = KeyPair::generate(&mut rand::rng());
        let digest = vec![digest_secret(pair.public_key.as_str())];
        kit.store.api_keys.create(NewApiKey { digest, ..new_key(&pair, &jo) }, &by()).await.expect("a key");
        let user = DigestUser::Plain(pair.public_key.to_string());
        let find = async || kit.store.directory.digest(&user, "Countersign", NOW).await.expect("an answer");
        let found = find().await.expect("is there");
        assert_eq!(found.api_key.as_ref().map(|key| &key.key.public_key), Some(&pair.public_key));
        kit.store.accounts.set_password(&jo.id, None, None, &by()).await.expect("taken away");
        assert!(find().await.is_some(), "the password is another matter");
        kit.store.api_keys.delete(&pair.public_key, &by()).await.expect("deleted");
        assert!(find().await.is_none());
    });
}

#[test]
fn an_integrator_acts_for_a_member_of_its_company_until_it_may_no_longer() {
    on_each_database(async |kit| {
        let integrator = kit.member("integrator", "acme", Role::Integrator).await;
        let member = kit.member("member", "acme", Role::Member).await;
        let stranger = kit.member("stranger", "other", Role::Member).await;
        let start = async |account: &Account| {
            let pair = KeyPair::generate(&mut rand::rng());
            let new = NewApiKey {
                impersonator: Some(integrator.id.clone()),
                expires_at: Some(NOW + Lifetime::from_seconds(60)),
                ..new_key(&pair, account)
            };
            kit.store.api_keys.create(new, &by()).await
        };
        assert!(matches!(start(&stranger).await, Err(ApiKeyError::MayNotImpersonate)));
        let key = start(&member).await.expect("a key");
        let find = async || kit.store.directory.api_key(&key.public_key, NOW).await.expect("an answer");
        let found = find().await.expect("is there");
        assert_eq!(found.key.impersonator.as_ref().map(|actor| actor.username.as_str()), Some("integrator"));
        assert!(found.standing(NOW).is_ok());
        assert_eq!(found.standing(NOW + Lifetime::from_seconds(60)), Err(ApiKeyRefusal::Expired));
        let update = AccountUpdate { role: Some(Role::Member), ..AccountUpdate::default() };
        kit.store.accounts.update(&integrator.id, update, &by()).await.expect("demoted");
        assert_eq!(find().await.expect("is there").standing(NOW), Err(ApiKeyRefusal::Impersonator));
        let later = NOW + Lifetime::from_seconds(61);
        assert_eq!(kit.store.api_keys.delete_ended_impersonations(later).await.expect("cleaned"), 1);
    });
}

// Delegation

#[test]
fn a_dance_ends_with_a_token_that_may_do_what_was_consented_to() {
    on_each_database(async |kit| {
        let (owner, holder) = (kit.account("owner").await, kit.account("holder").await);
        let client = kit.client(&owner, "a:read b:read").await;
        let temporary = kit.temporary(&client, "a:read b:read").await;
        let stored = kit.store.delegations.temporary(&hash(&temporary.token)).await.expect("an answer");
        let (credentials, secret) = stored.expect("is there");
        assert_eq!(credentials, temporary.credentials);
        assert!(secret.matches(temporary.secret.expose().as_bytes()));
        let verifier = kit.allow(&temporary, &holder, "a:read").await;
        let token = kit.exchange(&temporary, &client, verifier.expose()).await.expect("a token");
        assert_eq!(token.username.as_str(), "holder");
        let found = kit.store.directory.token(&hash(&token.token), NOW).await.expect("an answer").expect("is there");
        assert_eq!(found.credentials, token.credentials);
        assert!(found.secret.matches(token.secret.expose().as_bytes()));
        assert_eq!(found.standing(NOW).map(ToString::to_string), Ok("a:read".to_owned()));
        let again = kit.exchange(&temporary, &client, verifier.expose()).await;
        assert!(matches!(again, Err(DelegationError::Refused(TemporaryRefusal::Used))));
    });
}

#[test]
fn many_exchanges_of_one_request_token_give_one_access_token() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "a:read").await;
        let temporary = kit.temporary(&client, "a:read").await;
        let verifier = kit.allow(&temporary, &jo, "a:read").await;
        let outcomes = join_all((0..20).map(|_| kit.exchange(&temporary, &client, verifier.expose()))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert!(matches!(refused, DelegationError::Refused(TemporaryRefusal::Used)), "{refused}");
        }
        let tokens = kit.store.delegations.tokens(&Reach::Everything, TokenFilter::default(), Page::default()).await;
        assert_eq!(tokens.expect("a list").items.len(), 1);
    });
}

#[test]
fn the_first_of_many_decisions_counts() {
    on_each_database(async |kit| {
        let (jo, al) = (kit.account("jo").await, kit.account("al").await);
        let client = kit.client(&jo, "a:read").await;
        let temporary = kit.temporary(&client, "a:read").await;
        let token = hash(&temporary.token);
        let by = by();
        let decisions = (0..10).map(|number| {
            let account = if number % 2 == 0 { &jo.id } else { &al.id };
            kit.store.delegations.authorize(&token, account, scopes("a:read"), &by)
        });
        let outcomes = join_all(decisions).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert!(matches!(refused, DelegationError::Refused(TemporaryRefusal::AlreadyAuthorized)), "{refused}");
        }
    });
}

#[test]
fn a_denied_request_token_is_dead() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "").await;
        let temporary = kit.temporary(&client, "").await;
        let decided = kit.store.delegations.deny(&hash(&temporary.token), &jo.id, &by()).await.expect("denied");
        assert!(decided.verifier.is_none());
        let refused = kit.exchange(&temporary, &client, "guess").await;
        assert!(matches!(refused, Err(DelegationError::Refused(TemporaryRefusal::Denied))));
        let refused = kit.store.delegations.authorize(&hash(&temporary.token), &jo.id, Scopes::none(), &by()).await;
        assert!(matches!(refused, Err(DelegationError::Refused(TemporaryRefusal::Denied))));
    });
}

#[test]
fn a_request_token_is_refused_unless_authorized_in_time_and_by_its_own_client() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let (client, other) = (kit.client(&jo, "").await, kit.client(&jo, "").await);
        let temporary = kit.temporary(&client, "").await;
        let refused = kit.exchange(&temporary, &client, "guess").await;
        assert!(matches!(refused, Err(DelegationError::Refused(TemporaryRefusal::NotAuthorized))));
        let late = kit.store.delegations.authorize(&hash(&temporary.token), &jo.id, Scopes::none(), &by_at(600)).await;
        assert!(matches!(late, Err(DelegationError::Refused(TemporaryRefusal::Expired))));
        let verifier = kit.allow(&temporary, &jo, "").await;
        let refused = kit.exchange(&temporary, &other, verifier.expose()).await;
        assert!(matches!(refused, Err(DelegationError::Refused(TemporaryRefusal::Unknown))));
        let token = hash(&temporary.token);
        let key = &client.client.client_key;
        let late = kit.store.delegations.exchange(&token, key, verifier.expose(), LIMITS, &by_at(600)).await;
        assert!(matches!(late, Err(DelegationError::Refused(TemporaryRefusal::Expired))));
        kit.exchange(&temporary, &client, verifier.expose()).await.expect("none of that used it up");
    });
}

#[test]
fn a_request_token_dies_after_too_many_wrong_verifiers() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "").await;
        let patient = kit.temporary(&client, "").await;
        let verifier = kit.allow(&patient, &jo, "").await;
        for _ in 0..4 {
            let refused = kit.exchange(&patient, &client, "wrong").await;
            assert!(matches!(refused, Err(DelegationError::Refused(TemporaryRefusal::WrongVerifier))));
        }
        kit.exchange(&patient, &client, verifier.expose()).await.expect("the fifth attempt is judged");

        let attacked = kit.temporary(&client, "").await;
        let verifier = kit.allow(&attacked, &jo, "").await;
        let outcomes = join_all((0..20).map(|_| kit.exchange(&attacked, &client, "wrong"))).await;
        let judged = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Err(DelegationError::Refused(TemporaryRefusal::WrongVerifier))));
        assert_eq!(judged.count(), 5, "no more are judged, however many come at once");
        let refused = kit.exchange(&attacked, &client, verifier.expose()).await;
        assert!(matches!(refused, Err(DelegationError::Refused(TemporaryRefusal::Exhausted))));
    });
}

#[test]
fn two_dances_of_one_account_and_client_share_a_grant() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "a:read b:read").await;
        let dances =
            join_all((0..6).map(|number| kit.token(&client, &jo, if number % 2 == 0 { "a:read" } else { "b:read" })))
                .await;
        let grants: HashSet<&str> = dances.iter().map(|token| token.credentials.grant.as_str()).collect();
        assert_eq!(grants.len(), 1);
        let grant = kit.store.delegations.grant_of(&jo.id, &client.client.client_key).await.expect("an answer");
        assert_eq!(grant.expect("is there").scopes, scopes("a:read b:read"));
        let list = kit.store.delegations.grants(&Reach::Everything, GrantFilter::default(), NOW, Page::default()).await;
        let list = list.expect("a list");
        assert_eq!(list.items.iter().map(|item| item.active_tokens).collect::<Vec<_>>(), [6]);
    });
}

#[test]
fn a_revoked_token_is_refused_at_once_and_its_sister_is_not() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "a:read").await;
        let (first, second) = (kit.token(&client, &jo, "a:read").await, kit.token(&client, &jo, "a:read").await);
        assert!(kit.is_good(&first).await && kit.is_good(&second).await);
        let by_value = kit.store.delegations.token(first.token.expose()).await.expect("an answer");
        let by_id = kit.store.delegations.token(first.credentials.id.as_str()).await.expect("an answer");
        assert_eq!(by_value, Some(first.credentials.clone()));
        assert_eq!(by_id, by_value);
        kit.store.delegations.revoke_token(&first.credentials.id, &by()).await.expect("revoked");
        kit.store.delegations.revoke_token(&first.credentials.id, &by()).await.expect("again is no error");
        assert!(!kit.is_good(&first).await && kit.is_good(&second).await);
        let found = kit.store.directory.token(&hash(&first.token), NOW).await.expect("an answer").expect("is kept");
        assert_eq!(found.standing(NOW), Err(TokenRefusal::Revoked));
    });
}

#[test]
fn revoking_a_grant_kills_all_its_tokens_also_one_that_is_just_being_issued() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "a:read").await;
        for round in 0..6 {
            let first = kit.token(&client, &jo, "a:read").await;
            let grant = first.credentials.grant.clone();
            let temporary = kit.temporary(&client, "a:read").await;
            let verifier = kit.allow(&temporary, &jo, "a:read").await;
            let by = by();
            let (revoked, second) = tokio::join!(
                kit.store.delegations.revoke_grant(&grant, &by),
                kit.exchange(&temporary, &client, verifier.expose()),
            );
            revoked.expect("revoked");
            let second = second.expect("a token");
            assert!(!kit.is_good(&first).await);
            // Either the token came first and died with the grant, or it came after and has a new one.
            assert_eq!(kit.is_good(&second).await, second.credentials.grant != grant, "round {round}");
            let ended = kit.store.delegations.revoke_all_of_account(&jo.id, &by).await.expect("revoked");
            assert_eq!(ended, usize::from(second.credentials.grant != grant));
            assert!(!kit.is_good(&second).await);
        }
        let nothing = GrantId::parse("nothing").expect("an id");
        let refused = kit.store.delegations.revoke_grant(&nothing, &by()).await;
        assert!(matches!(refused, Err(DelegationError::GrantNotFound)));
    });
}

#[test]
fn a_member_sees_its_own_tokens_and_those_of_its_clients() {
    on_each_database(async |kit| {
        let owner = kit.member("owner", "acme", Role::Member).await;
        let holder = kit.member("holder", "other", Role::Member).await;
        let stranger = kit.account("stranger").await;
        let client = kit.client(&owner, "a:read").await;
        let token = kit.token(&client, &holder, "a:read").await;
        let direct = kit
            .store
            .delegations
            .issue_directly(&client.client.client_key, &owner.id, scopes("a:read"), None, &by())
            .await
            .expect("a token");
        let seen = async |reach: Reach| {
            let page = kit.store.delegations.tokens(&reach, TokenFilter::default(), Page::default()).await;
            page.expect("a list").items.len()
        };
        assert_eq!(seen(Reach::Account(owner.id.clone())).await, 2);
        assert_eq!(seen(Reach::Account(holder.id.clone())).await, 1);
        assert_eq!(seen(Reach::Account(stranger.id.clone())).await, 0);
        assert_eq!(seen(Reach::Company(company_id("other"))).await, 1);
        assert_eq!(seen(Reach::Everything).await, 2);
        kit.store.delegations.revoke_token(&direct.credentials.id, &by()).await.expect("revoked");
        let filter = TokenFilter { alive_at: Some(NOW), ..TokenFilter::default() };
        let alive = kit.store.delegations.tokens(&Reach::Everything, filter, Page::default()).await.expect("a list");
        assert_eq!(alive.items.iter().map(|item| &item.token).collect::<Vec<_>>(), [&token.credentials]);
        assert!(alive.items.iter().all(|item| token.token.expose().ends_with(item.token.hint.as_str())));
    });
}

#[test]
fn an_expired_token_is_refused_and_in_the_end_deleted() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "").await;
        let lifetime = Some(Lifetime::from_seconds(60));
        let key = &client.client.client_key;
        let token =
            kit.store.delegations.issue_directly(key, &jo.id, Scopes::none(), lifetime, &by()).await.expect("a token");
        kit.temporary(&client, "").await;
        let directory = &kit.store.directory;
        let found = directory.token(&hash(&token.token), NOW).await.expect("an answer").expect("is there");
        assert!(found.standing(NOW + Lifetime::from_seconds(59)).is_ok());
        assert_eq!(found.standing(NOW + Lifetime::from_seconds(60)), Err(TokenRefusal::Expired));
        kit.store.clean_up(NOW + Lifetime::from_seconds(600)).await.expect("cleaned");
        assert!(kit.store.delegations.token(token.token.expose()).await.expect("an answer").is_some());
        kit.store.clean_up(NOW + Lifetime::from_seconds(40 * 86_400)).await.expect("cleaned");
        assert!(kit.store.delegations.token(token.token.expose()).await.expect("an answer").is_none());
    });
}

// The rest

#[test]
fn a_form_is_carried_out_once_whoever_sends_it_on_whichever_node() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let lifetime = Lifetime::from_seconds(3600);
        let begin = async || {
            kit.store.sessions.begin(&jo, SessionKind::Browser, lifetime, None, &by()).await.expect("a session").0.id
        };
        let (session, other) = (begin().await, begin().await);
        let forms = &kit.store.sent_forms;
        let (first, second) = tokio::join!(forms.take(&session, "form"), forms.take(&session, "form"));
        assert_eq!(u8::from(first.expect("an answer")) + u8::from(second.expect("an answer")), 1);
        assert!(forms.take(&other, "form").await.expect("another session's form is another form"));
        forms.give_back(&session, "form").await.expect("given back");
        assert!(forms.take(&session, "form").await.expect("good again"));
        assert!(!forms.take(&session, "form").await.expect("taken"));
        kit.store.sessions.end(&jo.id, &session, &by()).await.expect("ended");
        assert!(forms.take(&session, "form").await.is_err(), "a session that has ended sends nothing");
    });
}

#[test]
fn a_session_begins_and_ends() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let lifetime = Lifetime::from_seconds(60);
        let agent = "é".repeat(200);
        let (session, secret) = kit
            .store
            .sessions
            .begin(&jo, SessionKind::MemberHash, lifetime, Some(&agent), &by())
            .await
            .expect("a session");
        let find = async || kit.store.directory.session(&hash(&secret), NOW).await.expect("an answer");
        assert_eq!(find().await.map(|found| found.session.clone()), Some(session.clone()));
        assert!(session.user_agent.as_ref().is_some_and(|text| text.len() <= 255));
        let list = async |at: i64| {
            kit.store.sessions.list(&jo.id, Timestamp::from_unix(NOW.unix() + at)).await.expect("a list").len()
        };
        assert_eq!((list(0).await, list(60).await), (1, 0));
        assert!(kit.store.sessions.end(&jo.id, &session.id, &by()).await.expect("ended"));
        assert!(!kit.store.sessions.end(&jo.id, &session.id, &by()).await.expect("is gone already"));
        assert!(find().await.is_none());
    });
}

#[test]
fn the_audit_log_is_filtered_and_shows_each_what_is_within_reach() {
    on_each_database(async |kit| {
        let jo = kit.member("jo", "acme", Role::Member).await;
        let al = kit.member("al", "other", Role::Member).await;
        let acting = By { who: Actor::account(&jo), ..by_at(10) };
        let client = kit.store.clients.create(NewClient::named(al.id.clone(), "App"), &acting).await.expect("a client");
        let list = async |reach: Reach, filter: AuditFilter| {
            let rows = kit.store.audit.list(&reach, filter, 100).await.expect("the log");
            rows.into_iter().map(|row| row.event).collect::<Vec<_>>()
        };
        let everything = list(Reach::Everything, AuditFilter::default()).await;
        assert_eq!(everything.first().map(String::as_str), Some("client.created"), "the newest first");
        assert_eq!(
            list(Reach::Account(jo.id.clone()), AuditFilter::default()).await,
            ["client.created", "account.created"]
        );
        assert_eq!(
            list(Reach::Company(company_id("acme")), AuditFilter::default()).await,
            ["account.created", "company.created"]
        );
        let filter = AuditFilter { event: Some("account".to_owned()), ..AuditFilter::default() };
        assert_eq!(list(Reach::Everything, filter).await.len(), 2);
        let filter = AuditFilter { event: Some("client.created".to_owned()), ..AuditFilter::default() };
        assert_eq!(list(Reach::Everything, filter).await.len(), 1);
        let filter = AuditFilter { since: Some(acting.now), ..AuditFilter::default() };
        assert_eq!(list(Reach::Everything, filter).await.len(), 1);
        let filter = AuditFilter { until: Some(acting.now), ..AuditFilter::default() };
        assert_eq!(list(Reach::Everything, filter).await.len(), everything.len() - 1);
        let filter = AuditFilter { client_key: Some(client.client.client_key), ..AuditFilter::default() };
        let rows = kit.store.audit.list(&Reach::Everything, filter, 1).await.expect("the log");
        let row = rows.first().expect("one row");
        assert_eq!((row.actor.as_str(), row.at()), ("jo", acting.now));
        let filter = AuditFilter { before: Some(row.id), ..AuditFilter::default() };
        assert_eq!(list(Reach::Everything, filter).await.len(), everything.len() - 1);
    });
}

#[test]
fn of_many_candidates_for_a_setting_one_is_established() {
    on_each_database(async |kit| {
        let settings = &kit.store.settings;
        let candidates = (0..10).map(|number| settings.establish("jwt/1", Secret::new(format!("key {number}")), NOW));
        let values: HashSet<String> = join_all(candidates)
            .await
            .into_iter()
            .map(|setting| setting.expect("a setting").value.expose().to_owned())
            .collect();
        assert_eq!(values.len(), 1);
        settings.establish("other", Secret::new("x"), NOW).await.expect("a setting");
        assert_eq!(settings.list("jwt/").await.expect("a list").len(), 1);
        assert!(settings.delete("jwt/1").await.expect("deleted"));
        assert!(settings.get("jwt/1").await.expect("an answer").is_none());
    });
}

#[test]
fn the_newest_fifty_refusals_of_a_client_are_kept() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let (client, other) = (kit.client(&jo, "").await, kit.client(&jo, "").await);
        let key = &client.client.client_key;
        kit.store.refusals.keep(&other.client.client_key, "other".to_owned(), NOW).await.expect("kept");
        for number in 0..55 {
            kit.store.refusals.keep(key, number.to_string(), NOW).await.expect("kept");
        }
        let list = kit.store.refusals.list(key).await.expect("a list");
        assert_eq!(list.len(), 50);
        assert_eq!(list.first().map(|refusal| refusal.report.as_str()), Some("54"));
        assert_eq!(kit.store.refusals.list(&other.client.client_key).await.expect("a list").len(), 1);
    });
}

#[test]
fn uses_are_written_in_batches_and_never_go_back() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "").await;
        let token = kit.token(&client, &jo, "").await;
        let directory = &kit.store.directory;
        let found = directory.token(&hash(&token.token), NOW).await.expect("an answer").expect("is there");
        for second in 0..100 {
            directory.note_token_use(&found, Timestamp::from_unix(NOW.unix() + second));
        }
        assert_eq!(directory.write_uses().await.expect("written"), 2, "a token and its client");
        let used = async || {
            let page = kit.store.delegations.tokens(&Reach::Everything, TokenFilter::default(), Page::default()).await;
            page.expect("a list").items.first().and_then(|item| item.last_used_at)
        };
        let last = Some(Timestamp::from_unix(NOW.unix() + 60));
        assert_eq!(used().await, last);
        let second_node = kit.second_node();
        if kit.url != "sqlite::memory:" {
            let found = second_node.store.directory.token(&hash(&token.token), NOW).await.expect("an answer");
            second_node.store.directory.note_token_use(&found.expect("is there"), NOW);
            second_node.store.directory.write_uses().await.expect("written");
            assert_eq!(used().await, last, "an earlier use from another node changes nothing");
        }
        let shown = kit.store.clients.show(&client.client.client_key, NOW).await.expect("an answer");
        assert_eq!(shown.expect("is there").last_used_at, last);
        assert_eq!(directory.write_uses().await.expect("nothing to do"), 0);
    });
}

#[test]
fn what_is_exported_carries_on_unchanged_elsewhere() {
    on_each_database(async |kit| {
        let password = StoredPassword { hash: Secret::new("$argon2id$"), digest: vec![digest_secret("jo")] };
        let new = NewAccount {
            company: Some(company_id("acme")),
            password: Some(password),
            scopes: ScopeLimit::Only(Scopes::none()),
            ..NewAccount::named(name("jo"))
        };
        let jo = kit.store.accounts.create(new, &by()).await.expect("an account");
        let owner = kit.account("owner").await;
        let client = kit.client(&owner, "a:read").await;
        let token = kit.token(&client, &owner, "a:read").await;
        let (public_key, private_key) = kit.key(&owner, Some("a:read")).await;
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let sink = lines.clone();
        let exported = kit
            .store
            .transfer
            .export(
                move |line| {
                    sink.lock().expect("no panic").push(line.to_owned());
                    Ok(())
                },
                &by(),
            )
            .await
            .expect("exported");
        let lines = lines.lock().expect("no panic").clone();
        assert_eq!((lines.len(), exported.accounts, exported.tokens), (6, 2, 1));

        let place = memory();
        let other = Kit::open(place.url, MasterKey::generate());
        other.store.database.migrate().await.expect("migrated");
        let again = lines.clone();
        let imported = other.store.transfer.import(lines.into_iter().map(Ok), &by()).await.expect("imported");
        assert_eq!(imported, exported);
        let directory = &other.store.directory;
        let found = directory.account(&jo.id, NOW).await.expect("an answer").expect("is there");
        assert_eq!(found.account, jo);
        assert!(found.password.as_ref().is_some_and(|hash| hash.matches(b"$argon2id$")));
        let user = DigestUser::Plain("jo".to_owned());
        assert!(directory.digest(&user, "Countersign", NOW).await.expect("an answer").is_some());
        let found = directory.token(&hash(&token.token), NOW).await.expect("an answer").expect("is there");
        assert!(found.secret.matches(token.secret.expose().as_bytes()));
        assert!(found.client.secret.matches(client.secret.expose().as_bytes()));
        assert_eq!(found.client.client, client.client);
        assert!(found.standing(NOW).is_ok());
        let found = directory.api_key(&public_key, NOW).await.expect("an answer").expect("is there");
        assert!(found.matches(private_key.expose().as_bytes()));

        let refused = other.store.transfer.import(again.into_iter().map(Ok), &by()).await;
        assert!(matches!(refused, Err(TransferError::Record { record: 1, .. })));
    });
}

#[test]
fn a_bad_record_leaves_nothing_of_the_import() {
    on_each_database(async |kit| {
        let lines = [
            r#"{"type":"account","username":"jo"}"#,
            "",
            r#"{"type":"client","client_key":"k","client_secret":"s","owner":"nobody","name":"App"}"#,
        ];
        let refused = kit.store.transfer.import(lines.into_iter().map(|line| Ok(line.to_owned())), &by()).await;
        match refused {
            Err(TransferError::Record { record: 3, reason }) => assert!(reason.contains("nobody"), "{reason}"),
            other => panic!("refused as a record, not {:?}", other.map_err(|error| error.to_string())),
        }
        assert!(kit.store.accounts.is_empty().await.expect("an answer"));
        for line in [
            r#"{"type":"account","username":"a:b"}"#,
            r#"{"type":"account","username":"jo","colour":"red"}"#,
            r#"{"type":"planet"}"#,
            r#"{"type":"token","oauth_token_secret":"s","client_key":"k","username":"jo"}"#,
            "{",
        ] {
            let refused = kit.store.transfer.import(std::iter::once(Ok(line.to_owned())), &by()).await;
            assert!(matches!(refused, Err(TransferError::Record { record: 1, .. })), "{line}");
        }
    });
}

#[test]
fn another_providers_client_and_token_carry_on() {
    on_each_database(async |kit| {
        let lines = [
            r#"{"type":"account","username":"jo@example.com","external_id":"17"}"#,
            r#"{"type":"client","client_key":"dpf43f3p2l4k3l03","client_secret":"kd94hf93k423kf44","owner":"jo@example.com","name":"Printer","scopes":["a:read"]}"#,
            r#"{"type":"token","oauth_token":"nnch734d00sl2jdk","oauth_token_secret":"pfkkdhi9sl3r4s00","client_key":"dpf43f3p2l4k3l03","username":"jo@example.com"}"#,
            r#"{"type":"key","public_key":"AKIA","private_key":"sesame open sesame","account":"jo@example.com","name":"old"}"#,
        ];
        let imported = kit.store.transfer.import(lines.into_iter().map(|line| Ok(line.to_owned())), &by()).await;
        assert_eq!(imported.expect("imported").tokens, 1);
        let directory = &kit.store.directory;
        let token = directory.token(&TokenHash::of("nnch734d00sl2jdk"), NOW).await.expect("an answer");
        let token = token.expect("is there");
        assert!(token.secret.matches(b"pfkkdhi9sl3r4s00") && token.client.secret.matches(b"kd94hf93k423kf44"));
        assert_eq!(token.standing(NOW).map(ToString::to_string), Ok("a:read".to_owned()));
        let key = PublicKey::parse("AKIA").expect("a key");
        let key = directory.api_key(&key, NOW).await.expect("an answer").expect("is there");
        assert!(key.matches(b"sesame open sesame"));
    });
}

// Several processes

/// Waits for a change by others. The contract's limit is a second; a machine that runs other tests besides is given more, and the
/// clock of these tests stands still, so that no entry dies of its age meanwhile.
async fn soon(what: &str, mut happened: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !happened().await {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn what_another_process_changes_is_seen_within_a_second() {
    on_each_shared_database(async |kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "a:read").await;
        let (first, second) = (kit.token(&client, &jo, "a:read").await, kit.token(&client, &jo, "a:read").await);
        let (public_key, _) = kit.key(&jo, None).await;
        let other = kit.second_node();
        let _watch = Watch::start(&other.store.database).expect("a watch");
        assert!(other.is_good(&first).await && other.is_good(&second).await);
        assert!(other.store.directory.api_key(&public_key, NOW).await.expect("an answer").is_some());
        kit.store.delegations.revoke_token(&first.credentials.id, &by()).await.expect("revoked");
        soon("the revoked token dies", async || !other.is_good(&first).await).await;
        assert!(other.is_good(&second).await);
        kit.store.api_keys.delete(&public_key, &by()).await.expect("deleted");
        soon("the key dies", async || {
            other.store.directory.api_key(&public_key, NOW).await.expect("an answer").is_none()
        })
        .await;
        let disabled = AccountStatus::Disabled { reason: None };
        kit.store.accounts.set_status(&jo.id, disabled, &by()).await.expect("disabled");
        soon("the account's token rests", async || !other.is_good(&second).await).await;
    });
}

#[test]
fn two_processes_that_migrate_at_once_do_no_harm() {
    let places = [Some(file()), postgres()];
    for place in places.into_iter().flatten() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let kits: Vec<Kit> = (0..4).map(|_| Kit::open(place.url.clone(), MasterKey::generate())).collect();
            let applied = join_all(kits.iter().map(|kit| kit.store.database.migrate())).await;
            let mut applied: Vec<usize> = applied.into_iter().map(|names| names.expect("migrated").len()).collect();
            applied.sort_unstable();
            let all = applied.pop().expect("four did it");
            assert!(all > 0 && applied == [0, 0, 0], "one applied all, the others nothing");
            for kit in &kits {
                assert!(kit.store.database.pending_migrations().await.expect("a list").is_empty());
                assert_eq!(kit.store.database.applied_migrations().await.expect("a list").len(), all);
            }
        });
    }
}

#[test]
fn no_secret_stands_in_the_database_file() {
    let place = file();
    let path = place.url.trim_start_matches("sqlite://").to_owned();
    on(&place, async |kit: Kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "a:read").await;
        let token = kit.token(&client, &jo, "a:read").await;
        let temporary = kit.temporary(&client, "a:read").await;
        let (_, private_key) = kit.key(&jo, None).await;
        let lifetime = Lifetime::from_seconds(60);
        let session = kit.store.sessions.begin(&jo, SessionKind::Browser, lifetime, None, &by()).await;
        kit.store.settings.establish("jwt", Secret::new("the signing key of the server"), NOW).await.expect("kept");
        let secrets = [
            client.secret,
            token.token,
            token.secret,
            temporary.token,
            temporary.secret,
            private_key,
            session.expect("a session").1,
            Secret::new("the signing key of the server"),
        ];
        let folder = std::path::Path::new(&path).parent().expect("a folder");
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            bytes.extend(std::fs::read(entry.expect("an entry").path()).expect("a file"));
        }
        assert!(bytes.windows(2).any(|window| window == b"jo"), "the files were read");
        for secret in &secrets {
            let secret = secret.expose().as_bytes();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        }
    });
}

#[test]
fn after_resealing_the_old_master_key_is_not_needed_any_more() {
    on_each_shared_database(async |kit| {
        let password = StoredPassword { hash: Secret::new("$argon2id$"), digest: vec![digest_secret("jo")] };
        let new = NewAccount { password: Some(password), ..NewAccount::named(name("jo")) };
        let jo = kit.store.accounts.create(new, &by()).await.expect("an account");
        let client = kit.client(&jo, "").await;
        let key = &client.client.client_key;
        kit.store.clients.rotate_secret(key, Lifetime::from_seconds(60), &by()).await.expect("rotated");
        let token = kit.token(&client, &jo, "").await;
        kit.store.settings.establish("jwt", Secret::new("x"), NOW).await.expect("kept");

        let new_key = MasterKey::generate();
        let both = Vault::new(&new_key, std::slice::from_ref(&kit.key));
        let resealed = reseal_all(&kit.store.database, Arc::new(both), &by()).await.expect("resealed");
        // Two secrets of the client, the used request token, the access token, the Digest secret, the setting.
        assert_eq!(resealed, 6);
        let alone = Kit::open(kit.url.clone(), new_key);
        assert!(alone.is_good(&token).await);
        let found = alone.store.directory.client(key, NOW).await.expect("an answer").expect("is there");
        assert!(found.previous_secret(NOW).is_some_and(|old| old.matches(client.secret.expose().as_bytes())));
        assert!(alone.store.settings.get("jwt").await.expect("an answer").is_some());
        let user = DigestUser::Plain("jo".to_owned());
        assert!(alone.store.directory.digest(&user, "Countersign", NOW).await.expect("an answer").is_some());
    });
}

#[test]
fn work_goes_on_after_postgresql_was_restarted() {
    let Some(server) = Postgres::start() else { return };
    let place = Place { url: server.new_database(), _folder: None, _server: None };
    on(&place, async |kit: Kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "").await;
        let token = kit.token(&client, &jo, "").await;
        let _watch = Watch::start(&kit.store.database).expect("a watch");
        assert!(kit.is_good(&token).await);
        server.stop(End::Crash);
        let unreachable = kit.store.accounts.find(&jo.id).await;
        assert!(matches!(unreachable, Err(StoreError::Unavailable(_) | StoreError::Refused(_))));
        server.start_again();
        let start = Instant::now();
        while kit.store.accounts.find(&jo.id).await.is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "the connections come back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        kit.store.delegations.revoke_token(&token.credentials.id, &by()).await.expect("revoked");
        assert!(!kit.is_good(&token).await);
    });
}

#[test]
fn both_databases_have_the_same_tables_and_columns() {
    let columns = |folder: &str| {
        let path = format!("{}/migrations/{folder}/00000000000001_initial/up.sql", env!("CARGO_MANIFEST_DIR"));
        let sql = std::fs::read_to_string(path).expect("the migration is there");
        sql.lines()
            .map(|line| line.replace(" COLLATE \"C\"", "").replace("BYTEA", "BLOB"))
            .map(|line| {
                line.replace("BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT")
            })
            .collect::<Vec<_>>()
    };
    let (sqlite, postgres) = (columns("sqlite"), columns("postgres"));
    assert!(postgres.len() > 100);
    assert_eq!(sqlite.get(..postgres.len()), Some(postgres.as_slice()));
    let rest: Vec<&String> = sqlite.iter().skip(postgres.len()).filter(|line| line.starts_with("CREATE")).collect();
    assert_eq!(rest, ["CREATE TABLE changes ("], "NOTIFY takes its place on PostgreSQL");
}

#[test]
fn an_unknown_client_key_is_asked_for_again_once_it_exists() {
    on_each_database(async |kit| {
        let directory = &kit.store.directory;
        let key = ClientKey::parse("imported").expect("a key");
        assert!(directory.client(&key, NOW).await.expect("an answer").is_none());
        let lines = [
            r#"{"type":"account","username":"jo"}"#,
            r#"{"type":"client","client_key":"imported","client_secret":"s","owner":"jo","name":"App"}"#,
        ];
        let lines = lines.into_iter().map(|line| Ok(line.to_owned()));
        kit.store.transfer.import(lines, &by()).await.expect("imported");
        assert!(directory.client(&key, NOW).await.expect("an answer").is_some());
    });
}
