//! Accounts: names that are handed out once, companies, passwords, what Digest verifies with.

use countersign::domain::account::{Account, Reach, Role};
use countersign::domain::credentials::{AccountId, Secret};
use countersign::domain::scope::{ScopeLimit, Scopes};
use countersign::protocol::digest::DigestHash;
use countersign::store::accounts::{AccountError, AccountFilter, AccountUpdate, NewAccount, StoredPassword};
use countersign::store::audit::{AuditFilter, Event};
use countersign::store::digest_users::DigestUser;
use countersign::store::page::Page;
use countersign::store::sessions::SessionKind;
use countersign::time::Lifetime;
use futures_util::future::join_all;

use super::kit::{NOW, by, company_id, digest_secret, hash, name, on_each_database, scopes};

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
        for shadow in ["acme+jo", "acme+anybody", public_key.as_str(), member.id.as_str(), "(operator)"] {
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
        let own = kit.store.accounts.list(&own, AccountFilter::default(), Page::first(100)).await.expect("a page");
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
            kit.store
                .sessions
                .begin(&jo, None, SessionKind::Browser, lifetime, Some("x"), &by())
                .await
                .expect("an answer")
                .expect("a session")
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
        let log_in = async |proved: &str| {
            let (sessions, proved) = (&kit.store.sessions, Secret::new(proved));
            sessions.begin(&jo, Some(&proved), SessionKind::Browser, lifetime, None, &by()).await.expect("an answer")
        };
        assert!(log_in("$argon2id$0").await.is_none(), "proved by the password that was");
        assert!(log_in("$argon2id$1").await.is_some());
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
