//! API keys and impersonation.

use countersign::domain::account::{Account, Reach, Role};
use countersign::domain::api_key::{ApiKeyRefusal, KeyPair};
use countersign::domain::credentials::{PublicKey, Secret};
use countersign::domain::scope::ScopeLimit;
use countersign::store::accounts::AccountUpdate;
use countersign::store::api_keys::{ApiKeyError, NewApiKey, NewImpersonator, ProvedBy};
use countersign::store::digest_users::DigestUser;
use countersign::store::page::Page;
use countersign::time::Lifetime;

use super::kit::{NOW, by, by_at, digest_secret, new_key, on_each_database};

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
        let list = kit.store.api_keys.list(&Reach::Everything, Some(&jo.id), Page::first(100)).await.expect("a list");
        assert!(list.items.first().is_some_and(|item| new.expose().ends_with(item.hint.as_str())));
        kit.store.api_keys.delete(&public_key, &by()).await.expect("deleted");
        assert!(directory.api_key(&public_key, NOW).await.expect("an answer").is_none());
        assert!(matches!(kit.store.api_keys.delete(&public_key, &by()).await, Err(ApiKeyError::NotFound)));
    });
}

#[test]
fn a_key_that_has_expired_is_not_made_anew() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let pair = KeyPair::generate(&mut rand::rng());
        let expires_at = Some(NOW + Lifetime::from_seconds(60));
        kit.store.api_keys.create(NewApiKey { expires_at, ..new_key(&pair, &jo) }, &by()).await.expect("a key");
        let regenerate = async |at| {
            let new = Secret::generate(&mut rand::rng());
            kit.store.api_keys.regenerate(&pair.public_key, new, Vec::new(), &by_at(at)).await
        };
        assert!(regenerate(59).await.is_ok());
        let refused = regenerate(60).await.map_err(|error| error.to_string());
        assert_eq!(refused.err().as_deref(), Some("the key has expired: make a new one"));
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
        let start_by = async |proved: ProvedBy, account: &Account| {
            let pair = KeyPair::generate(&mut rand::rng());
            let new = NewApiKey {
                impersonator: Some(NewImpersonator { account: integrator.id.clone(), proved }),
                expires_at: Some(NOW + Lifetime::from_seconds(60)),
                ..new_key(&pair, account)
            };
            kit.store.api_keys.create(new, &by()).await
        };
        let start = async |account: &Account| start_by(ProvedBy::Password(None), account).await;
        assert!(matches!(start(&stranger).await, Err(ApiKeyError::MayNotImpersonate)));
        for changed in [
            ProvedBy::Password(Some(Secret::new("$argon2id$another"))),
            ProvedBy::Key(PublicKey::parse("gone").expect("a public key"), vec![0; 32]),
        ] {
            assert!(matches!(start_by(changed, &member).await, Err(ApiKeyError::MayNotImpersonate)));
        }
        let key = start(&member).await.expect("a key");
        let find = async || kit.store.directory.api_key(&key.public_key, NOW).await.expect("an answer");
        let found = find().await.expect("is there");
        assert_eq!(found.key.impersonator.as_ref().map(|actor| actor.username.as_str()), Some("integrator"));
        assert!(found.standing(NOW).is_ok());
        assert_eq!(found.standing(NOW + Lifetime::from_seconds(60)), Err(ApiKeyRefusal::Expired));
        let narrowed = ScopeLimit::parse("a:read").expect("scopes");
        let widened = ScopeLimit::parse("manage:write").expect("scopes");
        for (update, acts) in [
            (AccountUpdate { scopes: Some(narrowed), ..AccountUpdate::default() }, false),
            (AccountUpdate { scopes: Some(widened), ..AccountUpdate::default() }, true),
            (AccountUpdate { role: Some(Role::Member), ..AccountUpdate::default() }, false),
        ] {
            kit.store.accounts.update(&integrator.id, update, &by()).await.expect("changed");
            let standing = find().await.expect("is there").standing(NOW).err();
            assert_eq!(standing, (!acts).then_some(ApiKeyRefusal::Impersonator));
        }
        let later = NOW + Lifetime::from_seconds(61);
        assert_eq!(kit.store.api_keys.delete_ended_impersonations(later).await.expect("cleaned"), 1);
    });
}
