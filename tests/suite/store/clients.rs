//! Clients: their secrets, rotation, states.

use countersign::domain::account::{AccountStatus, Reach, Role};
use countersign::domain::client::{Callback, ClientStatus, SignatureMethods};
use countersign::store::audit::{Actor, By};
use countersign::store::clients::{ClientError, ClientFilter, ClientUpdate};
use countersign::store::error::StoreError;
use countersign::store::page::Page;
use countersign::store::vault::MasterKey;
use countersign::time::{Lifetime, Timestamp};

use super::kit::{Kit, NOW, by, company_id, on_each_database};

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
        let list =
            kit.store.clients.list(&reach, ClientFilter::default(), NOW, Page::first(100)).await.expect("a list");
        assert_eq!(list.items.iter().map(|item| &item.client).collect::<Vec<_>>(), [&changed]);
        assert_eq!(list.items.first().map(|item| (item.active_tokens, item.owner.as_str())), Some((1, "owner")));
        let all = kit
            .store
            .clients
            .list(&Reach::Everything, ClientFilter::default(), NOW, Page::first(100))
            .await
            .expect("a list");
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
        assert_eq!(set(false, &by()).await, Ok(ClientStatus::Barred));
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
