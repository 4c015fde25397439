//! Forms, sessions, the audit log, settings, refusals, last uses, export and import.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use countersign::auth::enrolment;
use countersign::domain::account::{Account, Reach, Role};
use countersign::domain::credentials::{ClientKey, PublicKey, Secret, TokenHash};
use countersign::domain::scope::{ScopeLimit, Scopes};
use countersign::store::accounts::{NewAccount, StoredPassword};
use countersign::store::audit::{Actor, AuditFilter, By};
use countersign::store::clients::{IssuedClient, NewClient};
use countersign::store::delegations::TokenFilter;
use countersign::store::digest_users::DigestUser;
use countersign::store::page::Page;
use countersign::store::sessions::SessionKind;
use countersign::store::transfer::TransferError;
use countersign::store::vault::MasterKey;
use countersign::time::{Lifetime, Timestamp};
use futures_util::future::join_all;

use super::kit::{Kit, NOW, by, by_at, company_id, digest_secret, hash, memory, name, no_digest, on_each_database};

#[test]
fn a_form_is_carried_out_once_whoever_sends_it_on_whichever_node() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let lifetime = Lifetime::from_seconds(3600);
        let begin = async || {
            kit.store
                .sessions
                .begin(&jo, None, SessionKind::Browser, lifetime, None, &by())
                .await
                .expect("an answer")
                .expect("a session")
                .0
                .id
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
            .begin(&jo, None, SessionKind::MemberHash, lifetime, Some(&agent), &by())
            .await
            .expect("an answer")
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
fn of_more_sessions_than_an_account_may_have_the_oldest_ends() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let begin = async |second: i64| {
            let begun = kit
                .store
                .sessions
                .begin(&jo, None, SessionKind::Browser, Lifetime::from_seconds(86_400), None, &by_at(second))
                .await;
            begun.expect("an answer").expect("a session").1
        };
        let oldest = begin(0).await;
        let second = begin(1).await;
        join_all((2..1000).map(begin)).await;
        let find = async |secret: &Secret| kit.store.directory.session(&hash(secret), NOW).await.expect("an answer");
        assert!(find(&oldest).await.is_some());
        begin(1000).await;
        assert!(find(&oldest).await.is_none() && find(&second).await.is_some());
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
            let page = kit.store.delegations.tokens(&Reach::Everything, TokenFilter::default(), Page::first(100)).await;
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
        let imported =
            other.store.transfer.import(lines.into_iter().map(Ok), no_digest, &by()).await.expect("imported");
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

        let refused = other.store.transfer.import(again.into_iter().map(Ok), no_digest, &by()).await;
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
        let refused =
            kit.store.transfer.import(lines.into_iter().map(|line| Ok(line.to_owned())), no_digest, &by()).await;
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
            let refused = kit.store.transfer.import(std::iter::once(Ok(line.to_owned())), no_digest, &by()).await;
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
        let digest = |private_key: &Secret, public_key: &PublicKey, account: &Account| {
            enrolment::private_key(private_key, public_key, account, "Countersign")
        };
        let imported =
            kit.store.transfer.import(lines.into_iter().map(|line| Ok(line.to_owned())), digest, &by()).await;
        assert_eq!(imported.expect("imported").tokens, 1);
        let directory = &kit.store.directory;
        let token = directory.token(&TokenHash::of("nnch734d00sl2jdk"), NOW).await.expect("an answer");
        let token = token.expect("is there");
        assert!(token.secret.matches(b"pfkkdhi9sl3r4s00") && token.client.secret.matches(b"kd94hf93k423kf44"));
        assert_eq!(token.standing(NOW).map(ToString::to_string), Ok("a:read".to_owned()));
        let key = PublicKey::parse("AKIA").expect("a key");
        let key = directory.api_key(&key, NOW).await.expect("an answer").expect("is there");
        assert!(key.matches(b"sesame open sesame"));
        let user = DigestUser::Plain("AKIA".to_owned());
        let digest = directory.digest(&user, "Countersign", NOW).await.expect("an answer").expect("made from the key");
        assert_eq!(digest.username, "AKIA");
        assert!(digest.api_key.is_some());
    });
}

#[test]
fn a_secret_that_is_being_replaced_moves_too() {
    on_each_database(async |kit| {
        let owner = kit.account("owner").await;
        let (client, settled) = (kit.client(&owner, "").await, kit.client(&owner, "").await);
        let rotate = async |client: &IssuedClient, grace| {
            let grace = Lifetime::from_seconds(grace);
            kit.store.clients.rotate_secret(&client.client.client_key, grace, &by()).await.expect("rotated")
        };
        let until = NOW + Lifetime::from_seconds(60);
        let rotated = rotate(&client, 60).await;
        assert_eq!(rotated.previous_secret_until, Some(until));
        assert_eq!(rotate(&settled, 0).await.previous_secret_until, None);
        let export = async |at: i64| {
            let lines: Arc<Mutex<Vec<String>>> = Arc::default();
            let sink = lines.clone();
            let keep = move |line: &str| {
                sink.lock().expect("no panic").push(line.to_owned());
                Ok(())
            };
            kit.store.transfer.export(keep, &by_at(at)).await.expect("exported");
            lines.lock().expect("no panic").clone()
        };
        let lines = export(59).await;
        assert_eq!(lines.iter().filter(|line| line.contains("previous_secret")).count(), 1);
        assert!(!export(60).await.iter().any(|line| line.contains("previous_secret")), "good no more");
        let other = Kit::open(memory().url, MasterKey::generate());
        other.store.database.migrate().await.expect("migrated");
        other.store.transfer.import(lines.into_iter().map(Ok), no_digest, &by()).await.expect("imported");
        let key = &client.client.client_key;
        let found = other.store.directory.client(key, NOW).await.expect("an answer").expect("is there");
        assert!(found.secret.matches(rotated.secret.expose().as_bytes()));
        let old = found.previous_secret(NOW).expect("the one before");
        assert!(old.matches(client.secret.expose().as_bytes()) && found.previous_secret(until).is_none());
        let shown = other.store.clients.show(key, NOW).await.expect("an answer").expect("is there");
        assert_eq!(shown.previous_secret_until, Some(until));
    });
}

#[test]
fn what_an_import_refuses_it_names() {
    on_each_database(async |kit| {
        let owner = kit.account("jo").await;
        let client = kit.client(&owner, "").await;
        let key = client.client.client_key.as_str();
        let refusal = async |lines: Vec<String>| match kit
            .store
            .transfer
            .import(lines.into_iter().map(Ok), no_digest, &by())
            .await
        {
            Err(error) => error.to_string(),
            Ok(_) => panic!("taken"),
        };
        let token = format!(
            r#"{{"type":"token","oauth_token":"t","oauth_token_secret":"u","client_key":"{key}","username":"jo"}}"#
        );
        assert_eq!(refusal(vec![token.clone(), token]).await, "record 2: this access token is taken, or its id is");
        let app = |secret: &str, more: &str| {
            format!(
                r#"{{"type":"client","client_key":"k","client_secret":"{secret}","owner":"jo","name":"App"{more}}}"#
            )
        };
        for more in ["", r#","signature_methods":["RSA-SHA1","HMAC-SHA1"]"#] {
            assert!(refusal(vec![app("", more)]).await.starts_with("record 1: client_secret is empty"), "{more}");
        }
        for more in [
            r#","previous_secret":"p""#,
            r#","previous_secret_until":"2027-01-15T08:00:00Z""#,
            r#","previous_secret":"","previous_secret_until":"2027-01-15T08:00:00Z""#,
        ] {
            assert!(refusal(vec![app("s", more)]).await.contains("previous_secret_until"), "{more}");
        }
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for record in [
            r#""type":"key","private_key":"""#.to_owned(),
            format!(r#""type":"key","private_key_sha256":"{nothing}""#),
            r#""type":"token","oauth_token":"""#.to_owned(),
            format!(r#""type":"token","oauth_token_sha256":"{nothing}""#),
        ] {
            let rest = match record.contains("key") {
                true => r#""public_key":"p","account":"jo","name":"n""#.to_owned(),
                false => format!(r#""oauth_token_secret":"u","client_key":"{key}","username":"jo""#),
            };
            let line = format!("{{{record},{rest}}}");
            let said = refusal(vec![line.clone()]).await;
            assert!(said.starts_with("record 1: ") && said.ends_with(" is empty"), "{line}: {said}");
        }
        let rsa = app("", r#","signature_methods":["RSA-SHA1"]"#);
        kit.store.transfer.import(std::iter::once(Ok(rsa)), no_digest, &by()).await.expect("needs no secret");
        let rsa = ClientKey::parse("k").expect("a key");
        let found = kit.store.directory.client(&rsa, NOW).await.expect("an answer").expect("is there");
        assert!(!found.secret.expose().is_empty(), "and has none that anybody knows");
    });
}
